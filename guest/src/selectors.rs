//! Python's `selectors`: waiting for many descriptors, each with data of the caller.

use std::{collections::BTreeMap, time::Duration};

use sandsock_abi::constants::{EPOLLIN, EPOLLOUT};

use crate::{Epoll, Error, ErrorKind, Fileno, Result};

/// Ready to be read. Python: `selectors.EVENT_READ`.
pub const EVENT_READ: u32 = 1;
/// Ready to be written. Python: `selectors.EVENT_WRITE`.
pub const EVENT_WRITE: u32 = 2;

/// A registration with a [`DefaultSelector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectorKey<T> {
    /// The descriptor's number.
    pub fd: i32,
    /// The events to wait for: [`EVENT_READ`], [`EVENT_WRITE`] or both.
    pub events: u32,
    /// The caller's data.
    pub data: T,
}

/// Descriptors to wait for, each with data of the caller: Python's `selectors.DefaultSelector`, on
/// [`Epoll`].
///
/// It keeps a descriptor's number where Python keeps the file object. So a closed descriptor is
/// unregistered by its old number. Dropping the selector closes it.
///
/// ```no_run
/// use std::time::Duration;
///
/// use sandsock::{DefaultSelector, EVENT_READ, constants::*, socketpair};
///
/// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
/// let mut selector = DefaultSelector::new()?;
/// selector.register(&a, EVENT_READ, "the first")?;
/// b.sendall(b"x", 0)?;
/// for (key, events) in selector.select(Some(Duration::from_secs(1)))? {
///     assert_eq!((key.fd, key.data, events), (a.fileno(), "the first", EVENT_READ));
/// }
/// # Ok::<(), sandsock::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "EpollSelector")]
pub struct DefaultSelector<T> {
    epoll: Epoll,
    keys: BTreeMap<i32, SelectorKey<T>>,
}

impl<T> DefaultSelector<T> {
    /// Makes a selector with nothing registered.
    ///
    /// # Errors
    /// EMFILE if the instance has as many pollers as its limit allows.
    pub fn new() -> Result<Self> {
        Ok(Self { epoll: Epoll::new()?, keys: BTreeMap::new() })
    }

    /// Adds a descriptor.
    ///
    /// # Errors
    /// `ValueError` for unknown events and for a negative number, `KeyError` for a descriptor that
    /// is registered already; EBADF for a number without a descriptor, and the other errors of
    /// [`Epoll::register`].
    pub fn register(
        &mut self,
        item: &impl Fileno,
        events: u32,
        data: T,
    ) -> Result<&SelectorKey<T>> {
        if events == 0 || events & !(EVENT_READ | EVENT_WRITE) != 0 {
            return Err(Error::text(ErrorKind::Value, format!("Invalid events: {events}")));
        }
        let fd = number(item)?;
        if self.keys.contains_key(&fd) {
            return Err(key_error(&format!("{fd} (FD {fd}) is already registered")));
        }
        self.epoll.register(&fd, epoll_events(events))?;
        Ok(self.keys.entry(fd).or_insert(SelectorKey { fd, events, data }))
    }

    /// Removes a descriptor, which may be closed already, and returns its registration.
    ///
    /// # Errors
    /// `KeyError` for a descriptor that is not registered, `ValueError` for a negative number.
    pub fn unregister(&mut self, item: &impl Fileno) -> Result<SelectorKey<T>> {
        let fd = number(item)?;
        let key = self.keys.remove(&fd).ok_or_else(|| not_registered(fd))?;
        // A closed descriptor is not in the set any more.
        let _ = self.epoll.unregister(&fd);
        Ok(key)
    }

    /// Changes the events and the data of a descriptor.
    ///
    /// # Errors
    /// `KeyError` for a descriptor that is not registered, `ValueError` for a negative number.
    /// EBADF for a closed descriptor, which is then no longer registered.
    pub fn modify(&mut self, item: &impl Fileno, events: u32, data: T) -> Result<&SelectorKey<T>> {
        let fd = number(item)?;
        let known = self.keys.get(&fd).ok_or_else(|| not_registered(fd))?.events;
        if events != known {
            self.epoll.modify(&fd, epoll_events(events)).inspect_err(|_| {
                self.keys.remove(&fd);
            })?;
        }
        let key = SelectorKey { fd, events, data };
        self.keys.insert(fd, key);
        self.get_key(&fd)
    }

    /// Waits until a descriptor is ready, and returns the registrations of the ready ones with
    /// their events. Without a timeout it waits without end.
    ///
    /// # Errors
    /// The error of an interrupt, if there is no handler or the handler returns an error.
    pub fn select(&self, timeout: Option<Duration>) -> Result<Vec<(&SelectorKey<T>, u32)>> {
        let most = u32::try_from(self.keys.len()).unwrap_or(u32::MAX).max(1);
        let ready = self.epoll.poll(timeout, Some(most))?;
        let registration = |(fd, ready): (i32, u32)| {
            let key = self.keys.get(&fd)?;
            let mut events = 0;
            // Errors and hang-ups count as both events.
            if ready & !EPOLLIN != 0 {
                events |= EVENT_WRITE;
            }
            if ready & !EPOLLOUT != 0 {
                events |= EVENT_READ;
            }
            Some((key, events & key.events))
        };
        Ok(ready.into_iter().filter_map(registration).collect())
    }

    /// Returns the registration of a descriptor.
    ///
    /// # Errors
    /// As [`unregister`](Self::unregister).
    pub fn get_key(&self, item: &impl Fileno) -> Result<&SelectorKey<T>> {
        let fd = number(item)?;
        self.keys.get(&fd).ok_or_else(|| not_registered(fd))
    }

    /// Returns all registrations, by the descriptors' numbers.
    #[must_use]
    pub const fn get_map(&self) -> &BTreeMap<i32, SelectorKey<T>> {
        &self.keys
    }
}

fn number(item: &impl Fileno) -> Result<i32> {
    match item.fileno() {
        fd @ ..0 => Err(Error::text(ErrorKind::Value, format!("Invalid file descriptor: {fd}"))),
        fd => Ok(fd),
    }
}

fn not_registered(fd: i32) -> Error {
    key_error(&format!("{fd} is not registered"))
}

/// Returns a KeyError, whose text Python prints as its `repr`.
fn key_error(text: &str) -> Error {
    Error::text(ErrorKind::Key, format!("'{text}'"))
}

const fn epoll_events(events: u32) -> u32 {
    let mut all = 0;
    if events & EVENT_READ != 0 {
        all |= EPOLLIN;
    }
    if events & EVENT_WRITE != 0 {
        all |= EPOLLOUT;
    }
    all
}
