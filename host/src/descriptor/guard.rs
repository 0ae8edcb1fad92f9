//! Sockets that were handed to several contexts: none of them may change what the others have.
//!
//! A socket is known by its cookie, so that one that a guest sends away and takes in again is the
//! same.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

static COMMON: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());

fn common() -> MutexGuard<'static, BTreeMap<u64, usize>> {
    COMMON.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that several contexts have, as long as this lives.
#[derive(Debug)]
pub(crate) struct Guard(u64);

impl Guard {
    /// None for what is no socket, which no guest can change.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        let cookie = sys::cookie(fd)?;
        *common().entry(cookie).or_default() += 1;
        Some(Self(cookie))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut common = common();
        if let Some(count) = common.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                common.remove(&self.0);
            }
        }
    }
}

/// Whether several contexts have this socket.
pub(crate) fn is_common(fd: BorrowedFd<'_>) -> bool {
    let common = common();
    !common.is_empty() && sys::cookie(fd).is_some_and(|cookie| common.contains_key(&cookie))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_socket_is_known_by_any_of_its_numbers() {
        let (socket, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let copy = socket.try_clone().unwrap();
        let guards = (Guard::of(socket.as_fd()).unwrap(), Guard::of(copy.as_fd()).unwrap());
        assert!(is_common(copy.as_fd()) && !is_common(other.as_fd()));
        drop(guards.0);
        assert!(is_common(socket.as_fd()));
        drop(guards.1);
        assert!(!is_common(socket.as_fd()));
        assert!(
            Guard::of(std::io::stdin().as_fd()).is_none()
                || sys::cookie(std::io::stdin().as_fd()).is_some()
        );
    }
}
