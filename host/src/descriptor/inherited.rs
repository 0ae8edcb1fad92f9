//! Descriptors that guests are handed at their start: what the embedder itself inherited, sockets
//! of socket activation, and connections that it accepted for them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use rustix::fs::OFlags;
use rustix::io::Errno;
use sandsock_tls::Session;

use crate::bindings::sandsock::socket::types::DescriptorKind;
use crate::descriptor::guard::{self, Guard};
use crate::descriptor::in_flight::InFlight;
use crate::descriptor::{Handed, Handle, kind_of};
use crate::sys;
use crate::sys::address::RawAddress;
use crate::sys::closer::Closer;

/// A descriptor for guests to take by a number, as programs take what they inherit over exec. Of
/// any kind of file; a guest can use sockets alone, and duplicate, close and pass on the others.
///
/// Taking it needs the grant `inherit=fd:NUMBER`. What a guest then does with the socket is judged
/// as on one of its own, but that it may listen at the address that the socket came with.
///
/// Clones are the same descriptor, for several contexts to have: in all of them and in what the
/// embedder keeps. No guest may change it then for the others: shutdown, connect, bind and options
/// are denied, `listen` leaves a listener as it is, and each guest has a non-blocking bit of its
/// own. Whom a guest sends it to by SCM_RIGHTS, another process, may do as it likes.
#[derive(Debug, Clone)]
pub struct Inherited(Arc<Given>);

#[derive(Debug)]
struct Given {
    /// None once a guest has taken it whole.
    fd: Option<OwnedFd>,
    kind: DescriptorKind,
    /// Nobody else has the open file description.
    sole: bool,
    /// It listens, and blocked before it was handed over: it blocks again once it is given back.
    restore: bool,
    is_listener: bool,
    /// O_NONBLOCK as guests find it.
    nonblocking: bool,
    /// SO_LINGER's seconds, kept from the kernel until the last close, where nobody else has the
    /// socket.
    linger: Option<i32>,
    /// Several contexts have it.
    common: OnceLock<Option<Guard>>,
    /// The local address that it came with, where it has one.
    bound: Option<RawAddress>,
    /// The session of TLS that moves the guest's bytes, and the bytes that it has not taken yet.
    tls: Option<(Session, Vec<u8>)>,
}

impl Inherited {
    /// A descriptor that others, here or in other processes, may have as well.
    ///
    /// The kernel's O_NONBLOCK is the guest's, as natively, but on a listening socket: that is set
    /// to O_NONBLOCK, and back when the last context that was given it, or its guest, has closed
    /// it.
    ///
    /// # Errors
    /// What fstat(2) and fcntl(2) say.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::with(fd, false)?)
    }

    /// A socket that nobody else has: one that this program made or accepted itself. It is set to
    /// O_NONBLOCK, and guests find it blocking.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sole(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::with(fd, true)?)
    }

    /// One that this process inherited, by its number. It is taken over: from here on the number is
    /// closed when the guest closes it. In place of standard input, 0, there is `/dev/null` then; 1
    /// and 2 are duplicated.
    ///
    /// # Errors
    /// EBADF for a number that is not open, or that this process opened itself: those have
    /// FD_CLOEXEC, as nothing that comes over exec has. It is also the answer for a number that was
    /// taken before.
    pub fn of_process(number: i32) -> io::Result<Self> {
        let fd = match number {
            0 => {
                let own = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
                sys::replace_standard_input(File::open("/dev/null")?.into())?;
                own
            }
            1 => rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?,
            2 => rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)?,
            number => sys::take_inherited(number)?,
        };
        Self::new(fd)
    }

    /// Lets a session of TLS move the guest's bytes. EBADF if others have it.
    pub(crate) fn with_session(
        mut self,
        session: Session,
        incoming: Vec<u8>,
    ) -> Result<Self, Errno> {
        Arc::get_mut(&mut self.0).ok_or(Errno::BADF)?.tls = Some((session, incoming));
        Ok(self)
    }

    /// Whether it is a socket that listens.
    pub fn is_listener(&self) -> bool {
        self.0.is_listener
    }

    fn with(fd: OwnedFd, sole: bool) -> Result<Self, Errno> {
        let kind = kind_of(fd.as_fd())?;
        let is_socket = matches!(kind, DescriptorKind::Socket(_));
        let was_nonblocking = rustix::fs::fcntl_getfl(&fd)?.contains(OFlags::NONBLOCK);
        let is_listener = is_socket
            && sys::own_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN) == Ok(1);
        let restore = is_listener && !sole && !was_nonblocking;
        if (restore || sole) && !was_nonblocking {
            rustix::io::ioctl_fionbio(&fd, true)?;
        }
        let linger = if is_socket && sole { sys::linger(fd.as_fd()) } else { None };
        if linger.is_some() {
            sys::set_linger(fd.as_fd(), None);
        }
        let bound = if sole { None } else { bound_address(fd.as_fd()) };
        let nonblocking = was_nonblocking && !sole;
        let common = OnceLock::new();
        Ok(Self(Arc::new(Given {
            fd: Some(fd),
            kind,
            sole,
            restore,
            is_listener,
            nonblocking,
            linger,
            common,
            bound,
            tls: None,
        })))
    }

    /// A guest's handle of it: the descriptor itself where no other context has it, or had it, else
    /// a duplicate.
    fn into_handle(self, number: i32, rights: &InFlight) -> Result<Arc<Handle>, Errno> {
        let given = &self.0;
        // It may also have been handed over twice, by two numbers.
        if Arc::strong_count(given) > 1
            || given.fd.as_ref().is_some_and(|fd| guard::is_common(fd.as_fd()))
        {
            given.common.get_or_init(|| given.fd.as_ref().and_then(|fd| Guard::of(fd.as_fd())));
        }
        let common = given.common.get().is_some();
        let handed = Handed {
            kind: given.kind,
            number,
            nonblocking: Arc::new(AtomicBool::new(given.nonblocking)),
            shared: !given.sole && !given.is_listener,
            sole: given.sole && !common,
            common,
            linger: given.linger.unwrap_or(0),
            bound: given.bound.clone(),
            // What is given back must outlive the guest's handle.
            keep: (given.restore || common).then(|| self.clone()),
        };
        let mut tls = None;
        let fd = match Arc::try_unwrap(self.0) {
            Ok(mut given) => {
                tls = given.tls.take();
                given.fd.take().ok_or(Errno::BADF)?
            }
            // One guest alone can have the session.
            Err(given) if given.tls.is_some() => return Err(Errno::BADF),
            Err(given) => {
                let fd = given.fd.as_ref().ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(fd, 0)?
            }
        };
        let handle = Handle::handed(fd, handed, rights);
        if let Some((session, incoming)) = tls {
            handle.open.tls.set_terminated(session, incoming)?;
        }
        Ok(handle)
    }
}

impl AsFd for Inherited {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Only the last one takes it, which is gone then.
        self.0.fd.as_ref().expect("it is there as long as anybody has it").as_fd()
    }
}

/// What it is, for the log: `a listening socket on 127.0.0.1:80`.
impl std::fmt::Display for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let given = &self.0;
        match given.kind {
            DescriptorKind::Socket(_) => {
                f.write_str(if given.is_listener { "a listening socket" } else { "a socket" })?
            }
            DescriptorKind::Pipe => return f.write_str("a pipe"),
            DescriptorKind::File => return f.write_str("a file"),
            DescriptorKind::Directory => return f.write_str("a folder"),
            DescriptorKind::CharacterDevice | DescriptorKind::BlockDevice => {
                return f.write_str("a device");
            }
            DescriptorKind::Other => return f.write_str("no socket"),
        }
        match &given.bound {
            None => Ok(()),
            Some(address) => match crate::sys::address::show_unix(address) {
                Some(name) => write!(f, " on {name}"),
                None => write!(f, " on {address:?}"),
            },
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let Some(fd) = self.fd.take() else { return };
        if self.restore {
            // There is nobody to tell of a failure.
            let _ = rustix::io::ioctl_fionbio(&fd, false);
        }
        let linger = self.linger;
        // It may be the last close of a socket that lingers, or of one that holds what nobody has
        // read.
        Closer::detached().spawn(move || {
            if linger.is_some() {
                sys::set_linger(fd.as_fd(), linger);
            }
            drop(fd);
        });
    }
}

/// The local address, where bind(2) or the like gave one.
fn bound_address(fd: BorrowedFd<'_>) -> Option<RawAddress> {
    let address = sys::local_address(fd).ok()?;
    let is_bound = match address.family()? {
        libc::AF_INET | libc::AF_INET6 => address.to_ip().is_some_and(|ip| ip.port() != 0),
        _ => address.bytes().len() > 2,
    };
    is_bound.then_some(address)
}

/// What one context was handed, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inheritance(BTreeMap<i32, Entry>);

#[derive(Debug, Clone)]
enum Entry {
    /// Nobody has asked for it yet.
    Waiting(Inherited),
    /// The guest has it, as long as it has not closed it.
    Taken(Weak<Handle>),
}

impl Inheritance {
    pub(crate) fn insert(&mut self, number: i32, descriptor: Inherited) {
        self.0.insert(number, Entry::Waiting(descriptor));
    }

    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    pub(crate) fn has(&self, number: i32) -> bool {
        self.0.contains_key(&number)
    }

    /// The handle of a number: the descriptor itself the first time, then duplicates. EBADF once it
    /// is closed, as natively.
    pub(crate) fn take(&mut self, number: i32, rights: &InFlight) -> Result<Arc<Handle>, Errno> {
        let slot = self.0.get_mut(&number).ok_or(Errno::BADF)?;
        match std::mem::replace(slot, Entry::Taken(Weak::new())) {
            Entry::Waiting(inherited) => {
                let handle = inherited.into_handle(number, rights)?;
                *slot = Entry::Taken(Arc::downgrade(&handle));
                Ok(handle)
            }
            Entry::Taken(handle) => {
                let copy = handle.upgrade().ok_or(Errno::BADF)?.duplicate()?;
                *slot = Entry::Taken(handle);
                Ok(copy)
            }
        }
    }
}
