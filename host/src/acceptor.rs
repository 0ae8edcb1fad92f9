//! Accepting connections for guests, one by one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::inherit::Inherited;
use crate::sys;

/// A listening socket of the embedder's, on the tokio runtime of the thread that made this. Several may share one socket.
#[derive(Debug)]
pub struct Acceptor {
    own: AsyncFd<OwnedFd>,
    /// Given back only when nobody accepts any more.
    _listener: Inherited,
}

impl Acceptor {
    /// Registers a duplicate of the socket with this thread's runtime, which must have IO enabled.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn new(listener: Inherited) -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(&listener, 0)?;
        Ok(Self { own: sys::register(own, Interest::READABLE)?, _listener: listener })
    }

    /// The next connection, for one guest to inherit, and its peer where that has an IP address.
    ///
    /// # Errors
    /// What accept4(2) says of the process or the machine, EMFILE for example: only time mends it. What it says of a connection
    /// is passed over.
    pub async fn accept(&self) -> io::Result<(Inherited, Option<SocketAddr>)> {
        loop {
            let mut ready = self.own.readable().await?;
            match sys::accept(self.own.get_ref().as_fd(), true) {
                Ok((socket, peer)) => return Ok((Inherited::sole(socket)?, peer.to_ip())),
                Err(Errno::AGAIN) => ready.clear_ready(),
                // man 2 accept: errors of a connection that are told here.
                Err(
                    Errno::INTR
                    | Errno::CONNABORTED
                    | Errno::PERM
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NONET
                    | Errno::NOPROTOOPT,
                ) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
