//! Sockets that several contexts were given. None of the contexts may change such a socket.
//!
//! A socket is identified by its cookie, so it is recognised after a guest sent it away and
//! received it again.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

static COMMON: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());

fn common() -> MutexGuard<'static, BTreeMap<u64, usize>> {
    COMMON.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks a socket as shared by several contexts while this lives.
#[derive(Debug)]
pub(crate) struct Guard(u64);

impl Guard {
    /// None if the descriptor is not a socket. No guest can change such a descriptor.
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

/// Returns whether several contexts have this socket.
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
