//! select and poll: waiting for many descriptors.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sandsock_abi::{
    constants::{
        POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM, POLLWRBAND,
        POLLWRNORM,
    },
    errno,
};
use smallvec::SmallVec;

use crate::{
    Error, ErrorKind, Result, Socket, fds, interrupt,
    raw::{
        descriptors::Descriptor,
        polling::{self, PollEntry},
        types::Wait,
    },
    timeout::{Timeout, Waiting},
};

/// A list for a call. Most calls wait for a few descriptors, and need no memory of the heap for them.
type Few<T> = SmallVec<[T; 4]>;

/// A value that has a descriptor's number: the number itself, or a socket.
pub trait Fileno {
    /// Returns the number, or -1 if it is closed.
    fn fileno(&self) -> i32;
}

impl Fileno for i32 {
    fn fileno(&self) -> i32 {
        *self
    }
}

impl Fileno for Socket {
    fn fileno(&self) -> i32 {
        self.fileno()
    }
}

impl<T: Fileno + ?Sized> Fileno for &T {
    fn fileno(&self) -> i32 {
        (**self).fileno()
    }
}

/// Returns the number of a descriptor to wait for. Fails if it is negative.
pub(crate) fn number(item: &impl Fileno) -> Result<i32> {
    match item.fileno() {
        fd @ ..0 => Err(Error::text(
            ErrorKind::Value,
            format!("file descriptor cannot be a negative integer ({fd})"),
        )),
        fd => Ok(fd),
    }
}

/// Waits for the wanted events of descriptors, and returns the events of each, which are 0 if it is
/// not ready. A number without a descriptor is ready with POLLNVAL.
///
/// After an interrupt that its handler allows, it waits for the remaining time.
fn wait_for(wanted: &[(i32, u16)], timeout: Timeout) -> Result<Vec<u16>> {
    let mut waiting = Waiting::new(timeout);
    interrupt::handle_pending(waiting.progress())?;
    // Nothing to ask the host. Python's `selectors` makes such a call when it is imported, which
    // can be while a snapshot of the interpreter is made, without a host.
    if wanted.is_empty() && timeout.is_zero() {
        return Ok(Vec::new());
    }
    loop {
        // Looked up each time, because an interrupt handler may have closed one.
        let mut descriptors: Few<Option<Arc<Descriptor>>> = Few::with_capacity(wanted.len());
        for &(fd, _) in wanted {
            match fds::get(fd) {
                Ok(descriptor) => descriptors.push(Some(descriptor)),
                Err(error) if error.errno() == Some(errno::EBADF) => descriptors.push(None),
                Err(error) => return Err(error),
            }
        }
        let mut entries: Few<PollEntry<'_>> = Few::with_capacity(wanted.len());
        entries.extend(wanted.iter().zip(&descriptors).filter_map(|(&(_, events), descriptor)| {
            Some(PollEntry { descriptor: descriptor.as_deref()?, events })
        }));
        // A number without a descriptor is ready at once.
        let all = entries.len() == wanted.len();
        let wait = if all { waiting.wait() } else { Wait::None };
        match polling::poll(&entries, wait) {
            Ok(ready) if all && ready.iter().any(|events| *events != 0) => return Ok(ready),
            Ok(ready) if all => {
                let again = waiting.poll(&entries);
                drop(entries);
                drop(descriptors);
                match again {
                    Ok(false) => return Ok(ready),
                    Ok(true) => {}
                    Err(error) => waiting.failed(error)?,
                }
            }
            Ok(ready) => {
                let mut ready = ready.into_iter();
                let events = |descriptor: &Option<_>| match descriptor {
                    Some(_) => ready.next().unwrap_or_default(),
                    None => POLLNVAL as u16,
                };
                return Ok(descriptors.iter().map(events).collect());
            }
            Err(error) => {
                drop(entries);
                drop(descriptors);
                waiting.failed(error)?;
            }
        }
    }
}

/// The result of [`select`]: the items ready to be read, those ready to be written, and those with
/// an exceptional condition.
pub type Ready<T> = (Vec<T>, Vec<T>, Vec<T>);

/// Waits until one of several descriptors is ready: select(2). Without a timeout it waits without
/// end.
///
/// The three lists hold numbers or references to sockets. The result has the ready ones, in the
/// same order. Python: `select.select(rlist, wlist, xlist, timeout)`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use sandsock::{constants::*, select, socketpair};
///
/// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
/// let (readable, writable, _) = select(&[&a, &b], &[&a], &[], Some(Duration::from_secs(1)))?;
/// assert!(readable.is_empty());
/// assert_eq!(writable.len(), 1);
/// # Ok::<(), sandsock::Error>(())
/// ```
///
/// # Errors
/// `ValueError` for a negative number, which a closed socket has; EBADF for a number without a
/// descriptor.
pub fn select<T: Fileno + Copy>(
    read: &[T],
    write: &[T],
    exceptional: &[T],
    timeout: Option<Duration>,
) -> Result<Ready<T>> {
    // The events that the kernel's select counts as ready.
    const IN: i32 = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
    const OUT: i32 = POLLWRNORM | POLLWRBAND | POLLOUT | POLLERR;
    let timeout = Timeout::from_duration(timeout)?;
    let mut wanted: Few<(i32, u16)> =
        Few::with_capacity(read.len() + write.len() + exceptional.len());
    for (list, events) in [(read, POLLIN), (write, POLLOUT), (exceptional, POLLPRI)] {
        for item in list {
            wanted.push((number(item)?, events as u16));
        }
    }
    // The host gets each descriptor once, with all events that it is wanted for.
    wanted.sort_unstable_by_key(|&(fd, _)| fd);
    wanted.dedup_by(|again, first| {
        let same = again.0 == first.0;
        if same {
            first.1 |= again.1;
        }
        same
    });
    let ready = wait_for(&wanted, timeout)?;
    if ready.iter().any(|events| events & POLLNVAL as u16 != 0) {
        return Err(Error::from_errno(errno::EBADF));
    }
    let among = |list: &[T], events: i32| {
        let is_ready = |item: &&T| {
            let place = wanted.binary_search_by_key(&item.fileno(), |&(fd, _)| fd);
            place
                .is_ok_and(|place| ready.get(place).is_some_and(|ready| ready & events as u16 != 0))
        };
        list.iter().filter(is_ready).copied().collect()
    };
    Ok((among(read, IN), among(write, OUT), among(exceptional, POLLPRI)))
}

/// Descriptors to wait for: Python's `select.poll()`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use sandsock::{Poll, constants::*, socketpair};
///
/// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
/// let mut poll = Poll::new();
/// poll.register(&a, POLLIN)?;
/// b.sendall(b"x", 0)?;
/// assert_eq!(poll.poll(Some(Duration::from_millis(100)))?, [(a.fileno(), POLLIN)]);
/// # Ok::<(), sandsock::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Poll {
    /// The descriptors and their events in the order in which they were registered.
    wanted: BTreeMap<u64, (i32, u16)>,
    /// The place of each descriptor in that order.
    places: BTreeMap<i32, u64>,
}

impl Poll {
    /// Makes an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { wanted: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Adds a descriptor, or changes its events. `events` are `POLL*` bits. POLLERR, POLLHUP and
    /// POLLNVAL are always reported.
    ///
    /// Without `events` they are POLLIN, POLLPRI and POLLOUT.
    ///
    /// # Errors
    /// `ValueError` for a negative number, `OverflowError` for more than 16 bits.
    pub fn register(&mut self, item: &impl Fileno, events: impl Into<Option<i32>>) -> Result<()> {
        let fd = number(item)?;
        let events = mask(events.into().unwrap_or(POLLIN | POLLPRI | POLLOUT))?;
        let next = self.wanted.last_key_value().map_or(0, |(&place, _)| place.saturating_add(1));
        let place = *self.places.entry(fd).or_insert(next);
        self.wanted.insert(place, (fd, events));
        Ok(())
    }

    /// Changes the events of a descriptor.
    ///
    /// # Errors
    /// ENOENT for a descriptor that was not registered, and those of [`register`](Self::register).
    pub fn modify(&mut self, item: &impl Fileno, events: i32) -> Result<()> {
        let fd = number(item)?;
        let events = mask(events)?;
        let Some(&place) = self.places.get(&fd) else {
            return Err(Error::from_errno(errno::ENOENT));
        };
        self.wanted.insert(place, (fd, events));
        Ok(())
    }

    /// Removes a descriptor.
    ///
    /// # Errors
    /// `KeyError` for a descriptor that was not registered, `ValueError` for a negative number.
    pub fn unregister(&mut self, item: &impl Fileno) -> Result<()> {
        let fd = number(item)?;
        let Some(place) = self.places.remove(&fd) else {
            return Err(Error::text(ErrorKind::Key, fd.to_string()));
        };
        self.wanted.remove(&place);
        Ok(())
    }

    /// Returns the numbers and their events, in the order in which they were registered.
    pub fn registered(&self) -> impl Iterator<Item = (i32, i32)> {
        self.wanted.values().map(|&(fd, events)| (fd, events.into()))
    }

    /// Waits until one of the descriptors is ready: poll(2). Without a timeout it waits without
    /// end.
    ///
    /// Returns the numbers that are ready, with their `POLL*` bits, in the order in which they were
    /// registered. Returns none if the time ends first. A number that has no descriptor any more has POLLNVAL.
    ///
    /// # Errors
    /// `OverflowError` for more than 63 bits of nanoseconds; the errors of the host if there are
    /// too many descriptors.
    pub fn poll(&self, timeout: Option<Duration>) -> Result<Vec<(i32, i32)>> {
        let wanted: Few<(i32, u16)> = self.wanted.values().copied().collect();
        let ready = wait_for(&wanted, Timeout::from_duration(timeout)?)?;
        let ready = wanted.into_iter().zip(ready).filter(|&(_, events)| events != 0);
        Ok(ready.map(|((fd, _), events)| (fd, events.into())).collect())
    }
}

fn mask(events: i32) -> Result<u16> {
    u16::try_from(events).map_err(|_| {
        let text = match events {
            ..0 => "can't convert negative value to unsigned int",
            _ => "Python int too large to convert to C unsigned short",
        };
        Error::text(ErrorKind::Overflow, text)
    })
}
