//! The functions that Python's `socket` has only on Windows. Each fails with EOPNOTSUPP.

use sandsock_abi::{
    constants::{SIO_KEEPALIVE_VALS, SIO_LOOPBACK_FAST_PATH, SIO_RCVALL},
    errno,
};

use crate::{Error, Result, Socket};

/// Whether an ioctl is one of Windows. Linux does not know its number, or has another ioctl there.
pub(crate) const fn is_windows_request(request: u32) -> bool {
    matches!(request, SIO_RCVALL | SIO_KEEPALIVE_VALS | SIO_LOOPBACK_FAST_PATH)
}

/// Makes a socket from the result of another process's [`Socket::share`]. Python:
/// `socket.fromshare(data)`, only on Windows.
///
/// # Errors
/// EOPNOTSUPP: this is not Windows.
pub fn fromshare(_info: &[u8]) -> Result<Socket> {
    Err(Error::from_errno(errno::EOPNOTSUPP))
}

impl Socket {
    /// Makes a copy of the socket for another process. Python: `socket.share(process_id)`, only on
    /// Windows.
    ///
    /// # Errors
    /// EOPNOTSUPP: this is not Windows.
    pub fn share(&self, _process_id: u32) -> Result<Vec<u8>> {
        Err(Error::from_errno(errno::EOPNOTSUPP))
    }
}
