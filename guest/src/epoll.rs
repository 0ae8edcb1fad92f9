//! epoll: waiting for many descriptors.

use std::time::Duration;

use sandsock_abi::{
    constants::{EPOLLET, EPOLLONESHOT},
    errno,
};

use crate::{
    Error, ErrorKind, Result, fds, interrupt,
    raw::{
        polling::{self, Poller},
        types::{self, Trigger},
    },
    select::{Fileno, number},
    timeout::{Timeout, Waiting},
};

/// The default number of events of one wait. CPython: FD_SETSIZE - 1.
const EVENTS: u32 = 1023;

/// A set of descriptors to wait for, whose cost depends on the number of ready ones only: epoll(7).
/// Python: `select.epoll`.
///
/// ```no_run
/// use sandsock::{Epoll, constants::*, socketpair};
///
/// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
/// let epoll = Epoll::new()?;
/// epoll.register(&a, EPOLLIN)?;
/// b.sendall(b"x", 0)?;
/// assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
/// # Ok::<(), sandsock::Error>(())
/// ```
#[derive(Debug)]
pub struct Epoll(Poller);

impl Epoll {
    /// Makes an empty set.
    ///
    /// # Errors
    /// EMFILE if the instance has as many as its limit allows.
    pub fn new() -> Result<Self> {
        polling::create_poller().map(Self).map_err(Error::from)
    }

    /// Adds a descriptor. `events` are `EPOLL*` bits, including EPOLLET and EPOLLONESHOT.
    ///
    /// It stays in the set until it is removed or closed.
    ///
    /// # Errors
    /// `ValueError` for a negative number; EBADF for a number without a descriptor, EEXIST for one
    /// that is in the set already, EPERM for a file that can't be waited for, ENOSPC if the set is
    /// full.
    pub fn register(&self, item: &impl Fileno, events: impl Into<u32>) -> Result<()> {
        let fd = number(item)?;
        let (events, trigger) = split(events.into());
        let descriptor = fds::get(fd)?;
        self.0.add(&descriptor, key(fd), events, trigger).map_err(Error::from)
    }

    /// Adds another set, which is ready for input while a descriptor in it is ready. `number` stands for
    /// it in the events, and is none of a descriptor.
    ///
    /// It stays in this set until it is removed or dropped.
    ///
    /// # Errors
    /// `ValueError` for a negative number; EINVAL for the set itself, ELOOP for one that this set is in,
    /// EEXIST for one that is in this set already or a number that is taken, ENOSPC if the set is full.
    pub fn register_epoll(&self, other: &Self, number: i32, events: impl Into<u32>) -> Result<()> {
        let (events, trigger) = split(events.into());
        self.0.add_poller(&other.0, key(self::number(&number)?), events, trigger)?;
        Ok(())
    }

    /// Changes the events of another set, or arms an EPOLLONESHOT again.
    ///
    /// # Errors
    /// ENOENT if nothing was added under this number, `ValueError` for a negative one.
    pub fn modify_epoll(&self, number: i32, events: impl Into<u32>) -> Result<()> {
        let (events, trigger) = split(events.into());
        self.0.modify(key(self::number(&number)?), events, trigger)?;
        Ok(())
    }

    /// Removes another set.
    ///
    /// # Errors
    /// As [`modify_epoll`](Self::modify_epoll).
    pub fn unregister_epoll(&self, number: i32) -> Result<()> {
        self.0.remove(key(self::number(&number)?))?;
        Ok(())
    }

    /// Changes the events of a descriptor, or arms an EPOLLONESHOT again.
    ///
    /// # Errors
    /// ENOENT for a descriptor that is not in the set, EBADF for a number without a descriptor,
    /// `ValueError` for a negative number.
    pub fn modify(&self, item: &impl Fileno, events: impl Into<u32>) -> Result<()> {
        let fd = number(item)?;
        fds::get(fd)?;
        let (events, trigger) = split(events.into());
        self.0.modify(key(fd), events, trigger).map_err(Error::from)
    }

    /// Removes a descriptor.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    pub fn unregister(&self, item: &impl Fileno) -> Result<()> {
        let fd = number(item)?;
        fds::get(fd)?;
        self.0.remove(key(fd)).map_err(Error::from)
    }

    /// Waits until a descriptor is ready, and returns at most `maxevents` numbers with their
    /// `EPOLL*` bits. Without a timeout it waits without end. Without `maxevents` it returns at
    /// most 1,023.
    ///
    /// # Errors
    /// `ValueError` for a `maxevents` of 0.
    pub fn poll(
        &self,
        timeout: Option<Duration>,
        maxevents: Option<u32>,
    ) -> Result<Vec<(i32, u32)>> {
        let most = maxevents.unwrap_or(EVENTS);
        if most == 0 {
            return Err(Error::text(ErrorKind::Value, "maxevents must be greater than 0, got 0"));
        }
        let mut waiting = Waiting::new(Timeout::from_duration(timeout)?);
        interrupt::handle_pending(waiting.progress())?;
        loop {
            match self.0.wait(most, waiting.wait()) {
                Ok(events) if events.is_empty() => match waiting.poller(&self.0) {
                    Ok(false) => return Ok(Vec::new()),
                    Ok(true) => {}
                    Err(error) => waiting.failed(error)?,
                },
                Ok(events) => {
                    let number = |key: u64| i32::try_from(key).unwrap_or(-1);
                    return Ok(events
                        .iter()
                        .map(|event| (number(event.key), event.ready.into()))
                        .collect());
                }
                Err(error @ types::Error::Os(errno::EINTR)) => waiting.failed(error)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn key(fd: i32) -> u64 {
    u64::from(fd.unsigned_abs())
}

/// The low 16 bits are those of poll. Two of the other bits choose the trigger, and the rest mean
/// nothing here.
fn split(events: u32) -> (u16, Trigger) {
    let trigger = if events & EPOLLONESHOT != 0 {
        Trigger::OneShot
    } else if events & EPOLLET != 0 {
        Trigger::Edge
    } else {
        Trigger::Level
    };
    (events as u16, trigger)
}
