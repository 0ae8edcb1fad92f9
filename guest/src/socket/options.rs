//! Options and ioctls.

use sandsock_abi::errno;

use super::{Socket, fill};
use crate::{Error, ErrorKind, Family, Result, raw::syscalls, raw::types, windows};

/// The longest value of an option that a host takes.
const OPTION_LIMIT: usize = 64 << 10;

/// The longest argument of an ioctl that a host takes.
const ARGUMENT_LIMIT: usize = 4096;

/// The longest buffer of `getsockopt`, by Python's rule.
const OPTION_BUFFER: usize = 1024;

impl Socket {
    /// Reads an option as an integer: getsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT if there is no such option; `PermissionError` for an option that needs a grant
    /// of its own; on an AF_VSOCK socket `OverflowError` for a value that needs
    /// [`getsockopt_u64`](Self::getsockopt_u64).
    pub fn getsockopt(&self, level: i32, name: i32) -> Result<i32> {
        if self.family() == Family::VSOCK {
            let value = self.getsockopt_u64(level, name)?;
            return i32::try_from(value).map_err(|_| {
                Error::text(ErrorKind::Overflow, "Python int too large to convert to C int")
            });
        }
        Ok(syscalls::get_option(&*self.descriptor()?, level, name)?)
    }

    /// Reads an option as an unsigned integer of 8 bytes, the size of AF_VSOCK's options. On other
    /// sockets it has 4 bytes.
    ///
    /// # Errors
    /// Those of [`getsockopt`](Self::getsockopt).
    pub fn getsockopt_u64(&self, level: i32, name: i32) -> Result<u64> {
        if self.family() != Family::VSOCK {
            return Ok(u64::from(self.getsockopt(level, name)?.cast_unsigned()));
        }
        let mut value = [0; 8];
        fill(&mut value, &syscalls::get_option_bytes(&*self.descriptor()?, level, name, 8)?);
        Ok(u64::from_ne_bytes(value))
    }

    /// Reads an option as at most `buflen` bytes (1 to 1024), and returns those that the kernel
    /// wrote.
    ///
    /// # Errors
    /// `OSError` without an errno for another length and on an AF_VSOCK socket, and those of
    /// [`getsockopt`](Self::getsockopt).
    pub fn getsockopt_bytes(&self, level: i32, name: i32, buflen: usize) -> Result<Vec<u8>> {
        if self.family() == Family::VSOCK {
            return Err(Error::text(ErrorKind::Os, "getsockopt string buffer not allowed"));
        }
        if !(1..=OPTION_BUFFER).contains(&buflen) {
            return Err(Error::text(ErrorKind::Os, "getsockopt buflen out of range"));
        }
        Ok(syscalls::get_option_bytes(&*self.descriptor()?, level, name, buflen as u32)?)
    }

    /// Sets an option: setsockopt(2).
    ///
    /// ```no_run
    /// use sandsock::{OptionValue, constants::*};
    ///
    /// # let socket = sandsock::Socket::new(AF_INET, SOCK_STREAM, 0)?;
    /// socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    /// socket.setsockopt(SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0, 5, 0, 0, 0])?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// ENOPROTOOPT if there is no such option, EINVAL for a value of the wrong size or range;
    /// `TypeError` for a long that does not fit into 4 bytes, and on an AF_VSOCK socket for a value
    /// that is not an integer; `PermissionError` for an option that needs a grant of its own.
    pub fn setsockopt<'a>(
        &self,
        level: i32,
        name: i32,
        value: impl Into<OptionValue<'a>>,
    ) -> Result<()> {
        let value = value.into();
        if self.family() == Family::VSOCK {
            // CPython: for every level and name the value has 8 bytes.
            let value = match value {
                OptionValue::Integer(value) => value.into(),
                OptionValue::Long(value) => value,
                OptionValue::Bytes(_) => {
                    return Err(Error::text(
                        ErrorKind::Type,
                        "setsockopt() argument 3 must be int, not bytes",
                    ));
                }
                OptionValue::Null(_) => {
                    return Err(Error::text(
                        ErrorKind::Type,
                        "setsockopt() takes exactly 3 arguments (4 given)",
                    ));
                }
            };
            let value = types::OptionValue::Bytes(&value.to_ne_bytes());
            return Ok(syscalls::set_option(&*self.descriptor()?, level, name, value)?);
        }
        let value = match value {
            // CPython: the error is that of the last form that it tries, a buffer.
            OptionValue::Long(value) => {
                types::OptionValue::Integer(i32::try_from(value).map_err(|_| {
                    Error::text(ErrorKind::Type, "a bytes-like object is required, not 'int'")
                })?)
            }
            OptionValue::Integer(value) => types::OptionValue::Integer(value),
            OptionValue::Bytes(value) if value.len() > OPTION_LIMIT => {
                return Err(Error::from_errno(errno::EINVAL));
            }
            OptionValue::Bytes(value) => types::OptionValue::Bytes(value),
            OptionValue::Null(length) => types::OptionValue::Null(length),
        };
        Ok(syscalls::set_option(&*self.descriptor()?, level, name, value)?)
    }

    /// Makes an ioctl of the socket's device or protocol: ioctl(2). Returns the call's value, and
    /// the argument after the call.
    ///
    /// The kernel reads and writes the argument, at most 4096 bytes in the host's layout. Python
    /// has `socket.ioctl` only on Windows. On Linux `fcntl.ioctl` does the same.
    ///
    /// # Errors
    /// ENOTTY for an unknown request, EOPNOTSUPP for a request of Windows (`SIO_*`), EINVAL for an
    /// argument of the wrong size; `PermissionError` for a request that needs a grant of its own.
    pub fn ioctl(&self, request: u32, argument: &[u8]) -> Result<(i32, Vec<u8>)> {
        if windows::is_windows_request(request) {
            return Err(Error::from_errno(errno::EOPNOTSUPP));
        }
        let descriptor = self.descriptor()?;
        if argument.len() > ARGUMENT_LIMIT {
            return Err(Error::from_errno(errno::EINVAL));
        }
        let types::IoctlResult { value, argument } =
            syscalls::ioctl(&descriptor, request, argument)?;
        Ok((value, argument))
    }
}

/// The value of an option, in Python's three forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionValue<'a> {
    /// An integer of 4 bytes, or of 8 on an AF_VSOCK socket.
    Integer(i32),
    /// An integer that must fit into 4 bytes. On an AF_VSOCK socket it has 8 bytes.
    Long(i64),
    /// Bytes in the option's layout on the host.
    Bytes(&'a [u8]),
    /// No value (a null pointer) of this length.
    Null(u32),
}

impl From<i32> for OptionValue<'_> {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<i64> for OptionValue<'_> {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<bool> for OptionValue<'_> {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl<'a> From<&'a [u8]> for OptionValue<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for OptionValue<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(value)
    }
}
