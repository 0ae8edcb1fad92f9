//! Accepts connections one by one, each for a guest to inherit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;

use crate::descriptor::inherited::Inherited;
use crate::sys;
use crate::wait::registration::{RegistrationCell, is_closed, registration, renewed};

/// How long to sleep if tokio reports a closed state that poll(2) does not confirm.
const PAUSE: Duration = Duration::from_millis(1);

/// A listening socket of the embedder, registered with the tokio runtime of the thread that made
/// this. Several acceptors may share one socket.
#[derive(Debug)]
pub struct Acceptor {
    registration: RegistrationCell,
    /// The socket is given back when the last acceptor is dropped.
    listener: Inherited,
}

impl Acceptor {
    /// Registers a duplicate of the socket with this thread's runtime, which must have IO enabled.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn new(listener: Inherited) -> io::Result<Self> {
        let cell = RegistrationCell::default();
        registration(Some(&cell), listener.as_fd())?;
        Ok(Self { registration: cell, listener })
    }

    /// Accepts the next connection, for one guest to inherit. Also returns its peer, if the peer
    /// has an IP address.
    ///
    /// # Errors
    ///
    /// accept4(2) reports an error of the process or the machine, for example EMFILE. Such an error
    /// goes away only with time. Errors of a single connection are skipped.
    pub async fn accept(&self) -> io::Result<(Inherited, Option<SocketAddr>)> {
        loop {
            // Other tasks run even if connections arrive without end.
            tokio::task::coop::consume_budget().await;
            let own = registration(Some(&self.registration), self.listener.as_fd())?;
            let mut ready = own.ready(Interest::READABLE).await?;
            match sys::accept(own.get_ref().as_fd(), true) {
                Ok((socket, peer)) => return Ok((Inherited::sole(socket)?, peer.to_ip())),
                Err(Errno::AGAIN) if is_closed(&ready) => {
                    // Another process shut the socket down and made it listen again.
                    drop(ready);
                    renewed(&own, Some(&self.registration))?;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                // man 2 accept: accept also reports errors of the connection itself.
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_listener_that_was_shut_and_listens_again_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let acceptor =
                    Acceptor::new(Inherited::new(listener.try_clone().unwrap().into()).unwrap())
                        .unwrap();
                let brief = Duration::from_millis(50);
                tokio::time::timeout(brief, acceptor.accept()).await.unwrap_err();
                rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
                assert!(tokio::time::timeout(brief, acceptor.accept()).await.unwrap().is_err());
                rustix::net::listen(&listener, 5).unwrap();
                tokio::time::timeout(brief, acceptor.accept()).await.unwrap_err();
                // man 7 ip: a port of the kernel's choice is another one now.
                let address = listener.local_addr().unwrap();
                let peer = std::thread::spawn(move || TcpStream::connect(address).unwrap());
                let (_, from) =
                    tokio::time::timeout(100 * brief, acceptor.accept()).await.unwrap().unwrap();
                assert_eq!(from, Some(peer.join().unwrap().local_addr().unwrap()));
            });
            told.send(()).unwrap();
        });
        ended.recv_timeout(Duration::from_secs(30)).expect("it spins");
    }
}
