//! The BSD socket API with Python's semantics, for wasm components that run in a sandsock host.
//!
//! A guest gets the sockets that its policy grants, and no others. Every call goes to the host,
//! which checks it against the policy and acts on real sockets of its kernel. This crate behaves
//! like the `socket` module of the newest CPython on Linux. It has the same three ways to wait
//! ([`Socket::settimeout`]), the same addresses, the same errors with the same texts ([`Error`]),
//! and descriptors as small integers ([`Socket::fileno`]). Where the languages differ, it follows
//! Rust: functions return `Result`, [`Drop`] closes, sockets implement [`std::io::Read`] and
//! [`std::io::Write`], and times are [`std::time::Duration`].
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use sandsock::{Error, Flags, Socket, constants::*};
//!
//! fn main() -> Result<(), Error> {
//!     // An echo server for one client, and a client that waits at most two seconds.
//!     let server = Socket::new(AF_INET, SOCK_STREAM, 0)?;
//!     server.bind(("127.0.0.1", 0))?;
//!     server.listen(None)?;
//!
//!     let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
//!     client.settimeout(Some(Duration::from_secs(2)))?;
//!     client.connect(server.getsockname()?)?;
//!     client.sendall(b"hello", Flags::NONE)?;
//!
//!     let (connection, peer) = server.accept()?;
//!     let data = connection.recv(1024, Flags::NONE)?;
//!     println!("{peer} sent {data:?}");
//!     connection.sendall(&data, Flags::NONE)?;
//!     assert_eq!(client.recv(1024, Flags::NONE)?, b"hello");
//!     Ok(())
//! }
//! ```
//!
//! # Contents
//!
//! * [`Socket`], [`socketpair`], [`fromfd`], [`create_connection`], [`create_server`]: the sockets;
//! * [`SocketFile`]: a socket as a file ([`Socket::makefile`]);
//! * [`Address`] and [`ToAddress`]: addresses as results and as arguments;
//! * [`getaddrinfo`], [`gethostbyname`], [`gethostbyaddr`], [`getnameinfo`]: names; [`inet_pton`]
//!   and similar functions: numeric addresses;
//! * [`getservbyname`], [`getprotobyname`], [`if_nameindex`], [`gethostname`] and similar
//!   functions: this host's tables;
//! * [`TlsStream`], and [`ssl()`] of Python's early days: TLS, with the host's keys and roots;
//! * [`select()`], [`Poll`], [`Epoll`] and [`DefaultSelector`]: waiting for many descriptors;
//! * [`aio`]: asynchronous guests;
//! * [`close`], [`dup`], [`read`], [`write`], [`set_blocking`], [`ioctl`]: descriptors by their numbers;
//! * [`restrict`]: gives up rights for good;
//! * [`unlink`], [`bind_of`]: the names of UNIX sockets;
//! * [`set_interrupt_handler`]: the function that runs when the host interrupts a wait;
//! * [`constants`]: every number of the API by its name; [`raw`]: the host's functions.
//!
//! The crate compiles for targets that are not components too. There is no host there, so every
//! call that needs one panics.
//!
//! # Features
//!
//! * `codecs` (on by default): the encodings of text files ([`FileOptions::encoding`]) that need
//!   code or tables of their own. UTF-8, ASCII and Latin-1 need no feature, and neither does the
//!   encoding of host names, IDNA.
//!
//! # Order of the modules
//!
//! Each module uses only modules further down: `aio`, `selectors`, `tls`, `connection`, `file` and
//! `sendfile`; `socket`; `address::encode`; `netdb` and `idna`; `address`, `ancillary`, `select`,
//! `epoll`; `fds`, `timeout`, `interrupt`, `unlink`, `warning`; `error`, `names`; `raw` and `x509`.

mod address;
// In unit tests a script stands in for the host. It has no pollers.
#[cfg(not(test))]
pub mod aio;
mod ancillary;
mod codec;
mod connection;
#[cfg(not(test))]
mod epoll;
mod error;
#[cfg(test)]
mod fake;
mod fds;
mod file;
mod idna;
mod interrupt;
mod names;
mod netdb;
mod numbers;
pub mod raw;
// The script of the unit tests gives nothing up.
#[cfg(not(test))]
mod rights;
mod select;
#[cfg(not(test))]
mod selectors;
mod windows;
// The script of the unit tests has no files.
#[cfg(not(test))]
mod sendfile;
mod socket;
#[cfg(test)]
mod tests;
mod timeout;
// The script of the unit tests has no sessions.
#[cfg(not(test))]
mod tls;
mod unlink;
mod waits;
mod warning;
mod x509;

pub use address::{
    Address, AddressArgument, ToAddress, inet_aton, inet_ntoa, inet_ntop, inet_pton,
};
pub use ancillary::{Ancillary, Received, Warning, cmsg_len, cmsg_space};
pub use connection::{
    ConnectTimeout, Connecting, ServerOptions, create_connection, create_server,
    fallback_socketpair, has_dualstack_ipv6,
};
#[cfg(not(test))]
pub use epoll::Epoll;
pub use error::{Error, ErrorKind};
#[cfg(all(feature = "threads", not(test)))]
pub use fds::wait_for_stdin;
pub use fds::{close, dup, dup2, get_inheritable, set_inheritable};
pub use file::{FileOptions, SocketFile};
pub use interrupt::{Progress, resume, set_interrupt_handler};
pub use names::{AddressInfoFlags, Family, Flags, NameInfoFlags, SocketType};
pub use netdb::{
    AddressInfo, HostEntry, Service, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname,
    gethostbyname_ex, gethostname, getnameinfo, getprotobyname, getservbyname, getservbyport,
    if_indextoname, if_nameindex, if_nametoindex, sethostname,
};
pub use numbers::{htonl, htons, ntohl, ntohs};
#[cfg(not(test))]
pub use rights::restrict;
/// The numbers of the API by their names: families, types, protocols, levels, options and flags.
/// The names are Python's and the values are Linux's.
pub use sandsock_abi::constants;
/// Linux's errnos by name.
pub use sandsock_abi::errno;
pub use select::{Fileno, Poll, Ready, select};
#[cfg(not(test))]
pub use selectors::{DefaultSelector, EVENT_READ, EVENT_WRITE, SelectorKey};
#[cfg(not(test))]
pub use sendfile::File;
pub use socket::{
    OptionValue, Socket, fromfd, get_blocking, ioctl, read, set_blocking, socketpair, write,
};
pub use timeout::{
    getdefaulttimeout, getdefaulttimeout_f64, setdefaulttimeout, setdefaulttimeout_f64,
};
#[cfg(not(test))]
pub use tls::{
    ClientCertificate, FailureKind, RevocationCheck, SessionFailure, SessionInfo, SslObject,
    TlsIdentity, TlsOptions, TlsRoots, TlsSession, TlsStream, TlsTrust, Version, ssl,
};
pub use unlink::{bind_of, unlink};
#[cfg(all(feature = "threads", not(test)))]
pub use waits::{WaitHook, set_wait_hook};
pub use warning::{WarningCategory, set_warning_handler};
pub use windows::fromshare;

/// The result of a function that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;
