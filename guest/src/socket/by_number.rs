//! Calls on a socket by its number alone, for programs that have no [`Socket`] of it.

use crate::{Family, Flags, Result, Socket, SocketType, fds, raw::descriptors, timeout::Timeout};

impl Socket {
    /// Returns an object that does not close the socket. Its calls wait as the kernel's do: by the
    /// non-blocking bit of the open file description.
    fn borrowed(fd: i32) -> Self {
        let mut socket = Self::with_timeout(fd, Family(0), SocketType(0), 0, Timeout::NONE);
        socket.owner = false;
        socket
    }
}

/// Receives at most `length` bytes: read(2). Python: `os.read(fd, length)`.
///
/// # Errors
/// EBADF for a number without a descriptor, ENOTSOCK for another file than a socket, EAGAIN by the
/// non-blocking bit, and the errors of recv(2).
pub fn read(fd: i32, length: usize) -> Result<Vec<u8>> {
    fds::get(fd)?;
    Socket::borrowed(fd).recv(length, Flags::NONE)
}

/// Sends bytes, and returns how many: write(2). Python: `os.write(fd, data)`.
///
/// # Errors
/// EBADF for a number without a descriptor, ENOTSOCK for another file than a socket, EAGAIN by the
/// non-blocking bit, and the errors of send(2).
pub fn write(fd: i32, data: &[u8]) -> Result<usize> {
    Socket::borrowed(fd).send(data, Flags::NONE)
}

/// Whether the open file description of a socket blocks. Python: `os.get_blocking(fd)`.
///
/// # Errors
/// EBADF for a number without a descriptor, ENOTSOCK for another file than a socket.
pub fn get_blocking(fd: i32) -> Result<bool> {
    Ok(!descriptors::get_nonblocking(&*fds::get(fd)?)?)
}

/// Sets whether the open file description of a socket blocks. The timeout of a [`Socket`] stays.
/// Python: `os.set_blocking(fd, blocking)`.
///
/// # Errors
/// EBADF for a number without a descriptor, ENOTSOCK for another file than a socket.
pub fn set_blocking(fd: i32, blocking: bool) -> Result<()> {
    Ok(descriptors::set_nonblocking(&*fds::get(fd)?, !blocking)?)
}

/// Makes an ioctl on a socket: see [`Socket::ioctl`]. Python: `fcntl.ioctl(fd, request, argument)`.
///
/// # Errors
/// EBADF for a number without a descriptor, and those of [`Socket::ioctl`].
pub fn ioctl(fd: i32, request: u32, argument: &[u8]) -> Result<(i32, Vec<u8>)> {
    Socket::borrowed(fd).ioctl(request, argument)
}
