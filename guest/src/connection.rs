//! Functions that make a connection or a listener in one call.

use std::{collections::VecDeque, time::Duration};

use sandsock_abi::constants::{IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET};

use crate::{
    AddressArgument, AddressInfo, AddressInfoFlags, Error, ErrorKind, Family, Progress, Result,
    Service, Socket, SocketType, ToAddress, address::is_name, getaddrinfo, resume,
};

/// The time limit of [`create_connection`] for each address.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ConnectTimeout {
    /// The default timeout.
    #[default]
    Default,
    /// No limit.
    None,
    /// This time.
    After(Duration),
    /// This number of seconds, checked as [`Socket::settimeout_f64`] does.
    Seconds(f64),
}

/// Connects a stream socket to a host and a port, at the first of the host's addresses that
/// answers.
///
/// The addresses are tried in the order of [`getaddrinfo`], each with the whole timeout, and from
/// `source_address` if there is one. Python: `socket.create_connection(address, timeout,
/// source_address, all_errors=...)`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use sandsock::{ConnectTimeout, create_connection};
///
/// let timeout = ConnectTimeout::After(Duration::from_secs(5));
/// let socket = create_connection(("db.example", 5432), timeout, None, false)?;
/// # Ok::<(), sandsock::Error>(())
/// ```
///
/// # Errors
/// Those of [`getaddrinfo`]; then the error of the last attempt, or with `all_errors` an
/// `ExceptionGroup` of all errors ([`Error::errors`]). An interrupt ends the call at once.
pub fn create_connection<'a>(
    address: (impl Into<Option<&'a str>>, impl Into<Service<'a>>),
    timeout: ConnectTimeout,
    source_address: Option<&dyn ToAddress>,
    all_errors: bool,
) -> Result<Socket> {
    let source = source_address.map(ToAddress::to_address);
    Connecting::new(address, timeout, source, all_errors)?.connect()
}

/// A [`create_connection`] that can go on after an interrupt.
///
/// [`connect`](Self::connect) can be called again after an error that has an [`Error::progress`].
/// Dropping the value ends the attempt.
#[derive(Debug)]
pub struct Connecting<'a> {
    /// The name of the host. None for an address.
    name: Option<Box<str>>,
    addresses: VecDeque<AddressInfo>,
    timeout: ConnectTimeout,
    source: Option<AddressArgument<'a>>,
    all_errors: bool,
    /// The attempt that was interrupted.
    attempt: Option<(Socket, Progress)>,
    errors: Vec<Error>,
}

impl<'a> Connecting<'a> {
    /// Looks up the addresses. The arguments are those of [`create_connection`].
    ///
    /// # Errors
    /// Those of [`getaddrinfo`].
    pub fn new<'b>(
        (host, service): (impl Into<Option<&'b str>>, impl Into<Service<'b>>),
        timeout: ConnectTimeout,
        source: Option<AddressArgument<'a>>,
        all_errors: bool,
    ) -> Result<Self> {
        let host = host.into();
        let answers = getaddrinfo(
            host,
            service,
            Family::UNSPEC,
            SocketType::STREAM,
            0,
            AddressInfoFlags::NONE,
        )?;
        Ok(Self {
            name: host.filter(|host| is_name(host)).map(Box::from),
            addresses: answers.into(),
            timeout,
            source,
            all_errors,
            attempt: None,
            errors: Vec::new(),
        })
    }

    /// Tries the remaining addresses.
    ///
    /// # Errors
    /// Those of [`create_connection`].
    pub fn connect(&mut self) -> Result<Socket> {
        while let Some(info) = self.addresses.front() {
            match attempt(&mut self.attempt, info, self.timeout, self.source.as_ref()) {
                Ok(socket) => {
                    socket.set_peer_name(self.name.take());
                    return Ok(socket);
                }
                // These are not failed attempts: the caller's interrupt handler ended the call.
                Err(error) if error.progress().is_some() || error.kind() == ErrorKind::Other => {
                    return Err(error);
                }
                // Python collects only OSErrors.
                Err(error) if is_os_error(&error) => self.errors.push(error),
                Err(error) => return Err(error),
            }
            self.addresses.pop_front();
        }
        let errors = std::mem::take(&mut self.errors);
        if self.all_errors && !errors.is_empty() {
            return Err(Error::group("create_connection failed", errors));
        }
        let empty = || Error::text(ErrorKind::Os, "getaddrinfo returns an empty list");
        Err(errors.into_iter().next_back().unwrap_or_else(empty))
    }
}

fn is_os_error(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Os
            | ErrorKind::Denied
            | ErrorKind::TimedOut
            | ErrorKind::AddressInfo
            | ErrorKind::Host
    )
}

/// Tries one address. If the attempt is interrupted, `kept` gets its socket and its progress.
fn attempt(
    kept: &mut Option<(Socket, Progress)>,
    info: &AddressInfo,
    timeout: ConnectTimeout,
    source: Option<&AddressArgument<'_>>,
) -> Result<Socket> {
    let (socket, result) = match kept.take() {
        Some((socket, progress)) => {
            let result = resume(progress, || socket.connect(&info.address));
            (socket, result)
        }
        None => {
            let socket = Socket::new(info.family, info.kind, info.protocol)?;
            match timeout {
                ConnectTimeout::Default => {}
                ConnectTimeout::None => socket.settimeout(None)?,
                ConnectTimeout::After(timeout) => socket.settimeout(Some(timeout))?,
                ConnectTimeout::Seconds(seconds) => socket.settimeout_f64(Some(seconds))?,
            }
            if let Some(source) = source {
                socket.bind(source)?;
            }
            let result = socket.connect(&info.address);
            (socket, result)
        }
    };
    match result {
        Ok(()) => Ok(socket),
        Err(error) => {
            if let Some(progress) = error.progress() {
                *kept = Some((socket, progress));
            }
            Err(error)
        }
    }
}

/// The arguments of [`create_server`] after the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The family. The default is AF_INET.
    pub family: Family,
    /// The backlog, as for [`Socket::listen`].
    pub backlog: Option<i32>,
    /// Sets SO_REUSEPORT, on INET and INET6.
    pub reuse_port: bool,
    /// Serves IPv4 on the INET6 socket too. Otherwise it serves only IPv6.
    pub dualstack_ipv6: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { family: Family::INET, backlog: None, reuse_port: false, dualstack_ipv6: false }
    }
}

/// Makes a stream socket that listens on an address, with SO_REUSEADDR.
///
/// Python: `socket.create_server(address, family=..., backlog=..., reuse_port=...,
/// dualstack_ipv6=...)`.
///
/// ```no_run
/// use sandsock::{ServerOptions, create_server};
///
/// let server = create_server(("127.0.0.1", 8000), ServerOptions::default())?;
/// # Ok::<(), sandsock::Error>(())
/// ```
///
/// # Errors
/// `ValueError` if the options ask for dual stack and it is not possible; the errors of making,
/// binding (whose text then names the address) and listening.
pub fn create_server(address: impl ToAddress, options: ServerOptions) -> Result<Socket> {
    let ServerOptions { family, backlog, reuse_port, dualstack_ipv6 } = options;
    if dualstack_ipv6 {
        if !has_dualstack_ipv6() {
            return Err(Error::text(
                ErrorKind::Value,
                "dualstack_ipv6 not supported on this platform",
            ));
        }
        if family != Family::INET6 {
            return Err(Error::text(ErrorKind::Value, "dualstack_ipv6 requires AF_INET6 family"));
        }
    }
    let socket = Socket::new(family, SocketType::STREAM, 0)?;
    // CPython: without this option the server starts all the same.
    let _ = socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
    if reuse_port && matches!(family, Family::INET | Family::INET6) {
        socket.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)?;
    }
    if family == Family::INET6 {
        socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, !dualstack_ipv6)?;
    }
    let address = address.to_address();
    socket.bind(&address).map_err(|error| match is_os_error(&error) {
        true => {
            let text =
                format!("{} (while attempting to bind on address {address})", error.strerror());
            error.with_text(text)
        }
        false => error,
    })?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Whether one INET6 socket can serve IPv4 too. False if such a socket can't be made.
///
/// Python: `socket.has_dualstack_ipv6()`.
#[must_use]
pub fn has_dualstack_ipv6() -> bool {
    Socket::new(Family::INET6, SocketType::STREAM, 0)
        .and_then(|socket| socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0))
        .is_ok()
}

/// Makes two connected sockets without socketpair(2), through a listener on loopback. Python uses
/// this on systems without socketpair, and its tests try it everywhere.
///
/// Python: `socket._fallback_socketpair(family, type, proto)`.
///
/// # Errors
/// `ValueError` for a family other than INET and INET6, a type other than SOCK_STREAM, and a
/// protocol other than 0; `ConnectionError` if another process connected first; those of the steps.
pub fn fallback_socketpair(
    family: impl Into<Family>,
    kind: impl Into<SocketType>,
    protocol: i32,
) -> Result<(Socket, Socket)> {
    let (family, kind) = (family.into(), kind.into());
    let wrong = |text: &'static str| Err(Error::text(ErrorKind::Value, text));
    let host = match family {
        Family::INET => "127.0.0.1",
        Family::INET6 => "::1",
        _ => return wrong("Only AF_INET and AF_INET6 socket address families are supported"),
    };
    if kind != SocketType::STREAM {
        return wrong("Only SOCK_STREAM socket type is supported");
    }
    if protocol != 0 {
        return wrong("Only protocol zero is supported");
    }
    let listener = Socket::new(family, kind, protocol)?;
    listener.bind((host, 0))?;
    listener.listen(None)?;
    let client = Socket::new(family, kind, protocol)?;
    client.setblocking(false)?;
    match client.connect(listener.getsockname()?) {
        Err(error) if !matches!(error.class(), "BlockingIOError" | "InterruptedError") => {
            return Err(error);
        }
        _ => client.setblocking(true)?,
    }
    let (server, _) = listener.accept()?;
    listener.close()?;
    // Another process of this machine may have connected first.
    if server.getsockname()? != client.getpeername()?
        || client.getsockname()? != server.getpeername()?
    {
        return Err(Error::exception("ConnectionError", "Unexpected peer connection"));
    }
    Ok((server, client))
}
