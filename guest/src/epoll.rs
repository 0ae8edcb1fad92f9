//! epoll: waiting for very many descriptors.

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

/// How many events one wait gives where nothing else is asked for. CPython: FD_SETSIZE - 1.
const EVENTS: u32 = 1023;

/// A set of descriptors to wait for, whose cost follows the ready ones: epoll(7). Python:
/// `select.epoll`.
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
    /// EMFILE where the instance has as many as its limit allows.
    pub fn new() -> Result<Self> {
        polling::create_poller().map(Self).map_err(Error::from)
    }

    /// Adds a descriptor. `events` are `EPOLL*` bits, EPOLLET and EPOLLONESHOT among them.
    ///
    /// It stays until it is taken out or closed.
    ///
    /// # Errors
    /// `ValueError` for a negative number; EBADF for a number that is no descriptor, EEXIST for one
    /// that is in the set already, EPERM for one that can't be waited for, ENOSPC where the set is
    /// full.
    pub fn register(&self, item: &impl Fileno, events: impl Into<u32>) -> Result<()> {
        let fd = number(item)?;
        let (events, trigger) = split(events.into());
        let descriptor = fds::get(fd)?;
        self.0.add(&descriptor, key(fd), events, trigger).map_err(Error::from)
    }

    /// Changes what is waited for, or arms an EPOLLONESHOT anew.
    ///
    /// # Errors
    /// ENOENT for a descriptor that is not in the set, EBADF for a number that is no descriptor,
    /// `ValueError` for a negative one.
    pub fn modify(&self, item: &impl Fileno, events: impl Into<u32>) -> Result<()> {
        let fd = number(item)?;
        fds::get(fd)?;
        let (events, trigger) = split(events.into());
        self.0.modify(key(fd), events, trigger).map_err(Error::from)
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    pub fn unregister(&self, item: &impl Fileno) -> Result<()> {
        let fd = number(item)?;
        fds::get(fd)?;
        self.0.remove(key(fd)).map_err(Error::from)
    }

    /// Waits until something is ready, and returns at most `maxevents` numbers with their `EPOLL*`
    /// bits. No timeout is no end; no `maxevents` is 1,023.
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
        interrupt::settle(waiting.progress())?;
        loop {
            match self.0.wait(most, waiting.wait()) {
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

/// The low 16 bits are poll's; of the others two say how to report, and the rest mean nothing here.
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
