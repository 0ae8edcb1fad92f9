//! Ancillary data: control messages, and descriptors passed by their numbers.

use std::sync::Arc;

use sandsock_abi::{
    constants::{SCM_PIDFD, SCM_RIGHTS, SOL_SOCKET},
    errno,
};

pub use crate::raw::types::Warning;
use crate::{
    Address, Error, ErrorKind, Flags, Result, fds,
    raw::{
        descriptors::Descriptor,
        transfers::{self, ControlIn, ControlOut},
        types::ControlMessage,
    },
};

/// The most control data that a host takes or returns in one call.
const CONTROL_LIMIT: usize = 256 << 10;

/// The size of a descriptor's number in SCM_RIGHTS: an `int` of C.
const INT: usize = size_of::<i32>();

/// A control message (man 3 cmsg): Python's `(level, type, data)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancillary {
    /// The originating protocol, `SOL_SOCKET` for example.
    pub level: i32,
    /// The protocol's type, `SCM_RIGHTS` for example.
    pub kind: i32,
    /// The data in the host's layout. For SCM_RIGHTS an array of descriptors' numbers, as in
    /// Python's `array('i')`.
    pub data: Vec<u8>,
}

impl Ancillary {
    /// Returns an SCM_RIGHTS message (man 7 unix), which passes descriptors by their numbers.
    #[must_use]
    pub fn rights(fds: &[i32]) -> Self {
        Self::numbers(SCM_RIGHTS, fds)
    }

    fn numbers(kind: i32, fds: &[i32]) -> Self {
        let data = fds.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
        Self { level: SOL_SOCKET, kind, data }
    }

    /// Returns the descriptors' numbers in an SCM_RIGHTS message, and none for any other message.
    /// Received numbers are new, and the caller must close them. An incomplete number is left out.
    #[must_use]
    pub fn fds(&self) -> Vec<i32> {
        if !self.is_rights() {
            return Vec::new();
        }
        let (numbers, _) = self.data.as_chunks::<INT>();
        numbers.iter().map(|number| i32::from_ne_bytes(*number)).collect()
    }

    const fn is_rights(&self) -> bool {
        self.level == SOL_SOCKET && self.kind == SCM_RIGHTS
    }
}

/// The result of `recvmsg` and `recvmsg_into`. `T` is the bytes, or the number of bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<T> {
    /// The bytes, or the number of bytes.
    pub data: T,
    /// The control messages, in the kernel's order.
    pub ancillary: Vec<Ancillary>,
    /// The `MSG_*` bits that the kernel set: [`Flags::TRUNC`] if the message was cut,
    /// [`Flags::CTRUNC`] if control data was cut.
    pub flags: Flags,
    /// The sender's address, if the kernel gave one.
    pub address: Address,
    /// The warnings that Python would give: control data was cut in the middle.
    pub warnings: Vec<Warning>,
}

impl<T> Received<T> {
    /// Returns the descriptors' numbers in all SCM_RIGHTS messages. They are new, and the caller
    /// must close them.
    #[must_use]
    pub fn fds(&self) -> Vec<i32> {
        self.ancillary.iter().flat_map(Ancillary::fds).collect()
    }
}

/// Calls `send` with control messages in the raw layer's form, which has descriptors in place of
/// their numbers.
pub(crate) fn outgoing<T>(
    messages: &[Ancillary],
    send: impl FnOnce(&[ControlOut<'_>]) -> Result<T>,
) -> Result<T> {
    if messages.iter().map(|message| message.data.len()).fold(0, usize::saturating_add)
        > CONTROL_LIMIT
    {
        return Err(Error::from_errno(errno::ENOBUFS));
    }
    enum Item {
        Rights(Vec<Arc<Descriptor>>),
        Message(ControlMessage),
    }
    let items = messages
        .iter()
        .map(|message| {
            if message.is_rights() {
                return message
                    .fds()
                    .into_iter()
                    .map(fds::get)
                    .collect::<Result<_>>()
                    .map(Item::Rights);
            }
            let Ancillary { level, kind, data } = message;
            Ok(Item::Message(ControlMessage { level: *level, type_: *kind, data: data.clone() }))
        })
        .collect::<Result<Vec<Item>>>()?;
    let rights: Vec<Vec<&Descriptor>> = items
        .iter()
        .map(|item| match item {
            Item::Rights(descriptors) => descriptors.iter().map(Arc::as_ref).collect(),
            Item::Message(_) => Vec::new(),
        })
        .collect();
    let control: Vec<ControlOut<'_>> = items
        .iter()
        .zip(&rights)
        .map(|(item, rights)| match item {
            Item::Rights(_) => ControlOut::Rights(rights),
            Item::Message(message) => ControlOut::Message(message),
        })
        .collect();
    send(&control)
}

/// Converts received control messages from the raw layer's form. The descriptors in them get
/// numbers.
pub(crate) fn incoming(control: Vec<ControlIn>, flags: Flags) -> Vec<Ancillary> {
    // Like the kernel: close-on-exec only if the flag asks for it.
    let inheritable = !flags.contains(Flags::CMSG_CLOEXEC);
    let message = |message| match message {
        ControlIn::Rights(descriptors) => {
            let fds: Vec<i32> =
                descriptors.into_iter().map(|d| fds::insert(d, inheritable)).collect();
            Ancillary::rights(&fds)
        }
        ControlIn::Pidfd(descriptor) => {
            Ancillary::numbers(SCM_PIDFD, &[fds::insert(descriptor, false)])
        }
        ControlIn::Message(ControlMessage { level, type_, data }) => {
            Ancillary { level, kind: type_, data }
        }
    };
    control.into_iter().map(message).collect()
}

/// Returns how much room for control data to ask the host for.
pub(crate) fn control_room(size: usize) -> Result<u32> {
    if i32::try_from(size).is_err() {
        return Err(Error::text(ErrorKind::Value, "invalid ancillary data buffer length"));
    }
    // A host returns no more, so a larger room would stay empty.
    Ok(size.min(CONTROL_LIMIT) as u32)
}

/// Returns the length in the header of a control message with `length` bytes of data, in the host's
/// layout: `CMSG_LEN` (man 3 cmsg).
///
/// # Errors
/// `OverflowError` if the result does not fit in 31 bits.
pub fn cmsg_len(length: usize) -> Result<usize> {
    measure("CMSG_LEN", length, transfers::control_length)
}

/// Returns the room that a control message with `length` bytes of data takes, including padding, in
/// the host's layout: `CMSG_SPACE` (man 3 cmsg). `recvmsg` takes sums of it.
///
/// # Errors
/// `OverflowError` if the result does not fit in 31 bits.
pub fn cmsg_space(length: usize) -> Result<usize> {
    measure("CMSG_SPACE", length, |length| {
        // CPython's limit leaves room for padding before the data too, but only the data is
        // followed by padding.
        let most = (i32::MAX as u32).checked_sub(transfers::control_space(1)?)?;
        if length > most { None } else { transfers::control_space(length) }
    })
}

fn measure(name: &str, length: usize, host: impl Fn(u32) -> Option<u32>) -> Result<usize> {
    u32::try_from(length)
        .ok()
        .and_then(host)
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| Error::text(ErrorKind::Overflow, format!("{name}() argument out of range")))
}
