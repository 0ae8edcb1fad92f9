//! Connects sockets: bind, listen, accept, connect, shutdown, and the two addresses.

use sandsock_abi::constants::{BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO, POLLIN};
use sandsock_abi::errno;

use super::Socket;
use crate::{
    Address, AddressArgument, Error, ErrorKind, Family, Flags, Result, ToAddress, address::decode,
    address::encode_for, interrupt, raw::connections, raw::descriptors::Descriptor, raw::syscalls,
    raw::types, timeout::Waiting, unlink,
};

/// The default backlog in Python: the smaller of SOMAXCONN and 128.
const BACKLOG: i32 = 128;

impl Socket {
    /// Takes the first waiting connection: accept(2). Returns its socket and the peer's address.
    ///
    /// The new socket has the default timeout. If that is None, the new socket blocks, whatever the
    /// timeout of this one is.
    ///
    /// # Errors
    /// The errors of accept(2); `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn accept(&self) -> Result<(Self, Address)> {
        let mut waiting = Waiting::new(self.timeout());
        self.check_named()?;
        let accepted = self.attempt(&mut waiting, (POLLIN, Flags::NONE), connections::accept)?;
        // Linux makes the new description blocking, so nothing is set if the default timeout is
        // None.
        let socket = Self::made(
            accepted.descriptor,
            self.shared.family,
            self.shared.kind,
            self.shared.proto,
        )?;
        let address = decode(&*socket.descriptor()?, accepted.address);
        Ok((socket, address))
    }

    /// Reads an argument as an address of the socket's family, and looks up its host, as every
    /// method with an address does first. The result goes to the host unchanged. `method` is the
    /// method's name, for the texts of errors.
    ///
    /// It is for callers that must find the errors of an address before other errors.
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)).
    pub fn resolve(
        &self,
        method: &str,
        address: impl ToAddress,
    ) -> Result<AddressArgument<'static>> {
        encode_for(self, method, address.to_address()).map(AddressArgument::Known)
    }

    /// Binds the socket to a local address: bind(2).
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)), those of bind(2) (EADDRINUSE,
    /// EADDRNOTAVAIL), and `PermissionError` if no grant names the address.
    pub fn bind(&self, address: impl ToAddress) -> Result<()> {
        let address = encode_for(self, "bind", address.to_address())?;
        syscalls::bind(&*self.descriptor()?, &address)?;
        unlink::note(&address);
        Ok(())
    }

    /// Connects the socket, or sets a datagram socket's peer: connect(2).
    ///
    /// With a timeout it waits at most that long, and the connection goes on afterwards. If the
    /// backlog of an AF_UNIX listener is full, the call waits only without a timeout.
    ///
    /// # Errors
    /// Those of an address, which are found before the socket is used: `gaierror` if there is no
    /// such host, `TypeError` for an address of another family's form, `OverflowError` for numbers
    /// out of range, `OSError` without an errno for an AF_UNIX name that is too long. Then those of
    /// connect(2) (ECONNREFUSED, EINPROGRESS), `TimeoutError`, and `PermissionError` if no grant
    /// names the address.
    pub fn connect(&self, address: impl ToAddress) -> Result<()> {
        self.establish("connect", address.to_address())?
    }

    /// As [`connect`](Self::connect), but returns the errno of the kernel's or the policy's error:
    /// 0 after it connects, EINPROGRESS if it does not wait, EAGAIN if the time is over, EACCES for
    /// a denial, EBADF on a closed socket.
    ///
    /// # Errors
    /// Those of an address, and the error of an interrupt.
    pub fn connect_ex(&self, address: impl ToAddress) -> Result<i32> {
        Ok(match self.establish("connect_ex", address.to_address())? {
            Ok(()) => 0,
            // Only a timeout has no errno here.
            Err(error) => error.errno().unwrap_or(errno::EAGAIN),
        })
    }

    /// Connects. The inner result is that of the kernel or the policy. The outer one has all other
    /// errors.
    fn establish(&self, method: &str, address: AddressArgument<'_>) -> Result<Result<()>> {
        let mut waiting = Waiting::new(self.timeout());
        let name = address.host_name().map(Box::from);
        let address = encode_for(self, method, address)?;
        self.set_peer_name(name);
        interrupt::handle_pending(waiting.progress())?;
        loop {
            let descriptor = match self.descriptor() {
                Ok(descriptor) => descriptor,
                Err(error) => return Ok(Err(error)),
            };
            let result = if waiting.done == 0 {
                connections::connect(&descriptor, &address, waiting.wait()).map(|()| true)
            } else {
                match connections::finish_connect(&descriptor, waiting.wait()) {
                    Err(types::Error::Os(errno::EISCONN)) => Ok(true),
                    result => result.map(|()| true),
                }
            };
            let result = result.or_else(|error| self.under_way(&mut waiting, &descriptor, error));
            drop(descriptor);
            match result {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(types::Error::Os(errno::EINTR)) => {
                    // A UNIX socket that waited for the backlog has not begun to connect. Any other
                    // socket has.
                    if self.shared.family != Family::UNIX {
                        waiting.done = 1;
                    }
                    interrupt::handle(waiting.progress())?;
                    if self.timeout().is_zero() {
                        return Ok(Err(Error::from_errno(errno::EINTR)));
                    }
                }
                // EAGAIN of a UNIX socket is a full backlog, for which a timeout does not wait.
                Err(types::Error::Os(errno::EAGAIN))
                    if waiting.is_timed() && self.shared.family != Family::UNIX =>
                {
                    return Ok(Err(Error::timed_out()));
                }
                Err(error) => return Ok(Err(error.into())),
            }
        }
    }

    /// Waits for a connection that has begun, while other threads run. Returns Ok(false) if it can be
    /// finished. Without a hook it returns the error, because the host has waited.
    fn under_way(
        &self,
        #[allow(unused_variables, reason = "without threads the host waits within the call")]
        waiting: &mut Waiting,
        #[allow(unused_variables, reason = "without threads the host waits within the call")]
        descriptor: &Descriptor,
        error: types::Error,
    ) -> Result<bool, types::Error> {
        #[cfg(all(feature = "threads", not(test)))]
        if crate::waits::is_hooked() && !self.timeout().is_zero() {
            match error {
                // A full backlog has no readiness.
                types::Error::Os(errno::EAGAIN) if self.shared.family == Family::UNIX => {
                    return if waiting.is_timed() {
                        Err(error)
                    } else {
                        waiting.pause().map(|()| false)
                    };
                }
                types::Error::Os(errno::EALREADY) if waiting.is_timed() => return Err(error),
                types::Error::Os(errno::EINPROGRESS | errno::EALREADY | errno::EAGAIN) => {
                    waiting.done = 1;
                    return match waiting.ready(descriptor, sandsock_abi::constants::POLLOUT) {
                        // man 7 socket: this is the error after SO_SNDTIMEO, and on a socket that
                        // does not block.
                        Err(types::Error::Os(errno::EAGAIN)) if !waiting.is_timed() => {
                            Err(types::Error::Os(errno::EINPROGRESS))
                        }
                        result => result.map(|()| false),
                    };
                }
                error => return Err(error),
            }
        }
        Err(error)
    }

    /// Fails if Python does not know the length of this family's addresses.
    pub(super) fn check_named(&self) -> Result<()> {
        has_addresses(self.family(), self.proto())
    }

    /// Returns the peer's address: getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN if there is none; `OSError` without an errno for a family that Python does not
    /// know.
    pub fn getpeername(&self) -> Result<Address> {
        self.check_named()?;
        let descriptor = self.descriptor()?;
        Ok(decode(&descriptor, syscalls::peer_address(&descriptor)?))
    }

    /// Returns the socket's own address: getsockname(2).
    ///
    /// # Errors
    /// EBADF on a closed socket; `OSError` without an errno for a family that Python does not know.
    pub fn getsockname(&self) -> Result<Address> {
        self.check_named()?;
        let descriptor = self.descriptor()?;
        Ok(decode(&descriptor, syscalls::local_address(&descriptor)?))
    }

    /// Makes the socket accept connections: listen(2). The default backlog is 128. A negative
    /// backlog is 0.
    ///
    /// # Errors
    /// The errors of listen(2), and `PermissionError` if no grant names the local address.
    pub fn listen(&self, backlog: impl Into<Option<i32>>) -> Result<()> {
        let backlog = backlog.into().unwrap_or(BACKLOG).max(0);
        Ok(syscalls::listen(&*self.descriptor()?, backlog)?)
    }

    /// Shuts one or both directions: shutdown(2). `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
    ///
    /// # Errors
    /// ENOTCONN if it is not connected, EINVAL for another number.
    pub fn shutdown(&self, how: i32) -> Result<()> {
        Ok(syscalls::shutdown(&*self.descriptor()?, how)?)
    }
}

/// Fails if Python does not know the length of a family's addresses.
fn has_addresses(family: Family, protocol: i32) -> Result<()> {
    let text = match family {
        Family::UNIX
        | Family::INET
        | Family::INET6
        | Family::NETLINK
        | Family::PACKET
        | Family::CAN
        | Family::TIPC => None,
        Family::ALG | Family::VSOCK | Family::RDS | Family::QIPCRTR => None,
        Family::BLUETOOTH
            if matches!(protocol, BTPROTO_L2CAP | BTPROTO_RFCOMM | BTPROTO_HCI | BTPROTO_SCO) =>
        {
            None
        }
        Family::BLUETOOTH => Some("getsockaddrlen: unknown BT protocol"),
        _ => Some("getsockaddrlen: bad family"),
    };
    text.map_or(Ok(()), |text| Err(Error::text(ErrorKind::Os, text)))
}
