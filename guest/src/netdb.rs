//! Look-ups of names. The host makes them with its own resolver.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use sandsock_abi::{
    constants::{AI_NUMERICHOST, EAI_NONAME},
    errno,
};

use crate::error::type_error;
use crate::{
    Address, AddressArgument, AddressInfoFlags, Error, ErrorKind, Family, NameInfoFlags, Progress,
    Result, SocketType, ToAddress, address, idna, interrupt,
    raw::{
        netdb,
        types::{self, AddressHints, NameError},
    },
    waits,
};

/// Longer than any name of a host or a service. A longer name is not passed on, because a host ends
/// a guest that passes too much data.
const NAME_LIMIT: usize = 64 << 10;

/// One answer of [`getaddrinfo`]: the arguments for [`Socket::new`](crate::Socket::new) and
/// [`Socket::connect`](crate::Socket::connect).
#[derive(Clone, Debug, PartialEq)]
pub struct AddressInfo {
    /// The family.
    pub family: Family,
    /// The type.
    pub kind: SocketType,
    /// The protocol.
    pub protocol: i32,
    /// The canonical name. Empty if the call did not ask for it, and on all answers but the first.
    pub canonical_name: String,
    /// The address.
    pub address: Address,
}

/// A service, as [`getaddrinfo`] takes it: a port number, a name, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service<'a> {
    /// No service: port 0.
    #[default]
    None,
    /// A port number. It is not checked: the resolver gets it in decimal.
    Number(i64),
    /// The name of a service, or a decimal number.
    Name(&'a str),
}

impl<'a> From<&'a str> for Service<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl From<()> for Service<'_> {
    fn from((): ()) -> Self {
        Self::None
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(
            impl From<$type> for Service<'_> {
                fn from(number: $type) -> Self {
                    Self::Number(number.into())
                }
            }
        )*
    };
}

numbers!(u16, i32, i64);

impl<'a> Service<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Name(name) => Some(Cow::Borrowed(name)),
        }
    }
}

/// Returns the addresses of a host and a service: getaddrinfo(3).
///
/// `family`, `kind` and `protocol` are 0 for any. No timeout limits a look-up. Python:
/// `socket.getaddrinfo(host, port, family, type, proto, flags)`.
///
/// # Errors
/// `gaierror` if there is no such name or service; `UnicodeError` for a name that IDNA does not
/// allow; `PermissionError` if no grant names the host; EAGAIN if the look-ups allowed at once are
/// used up.
///
/// ```no_run
/// use sandsock::{AddressInfoFlags, Family, SocketType, getaddrinfo};
///
/// let answers = getaddrinfo("localhost", 80, Family::UNSPEC, SocketType::STREAM, 0, AddressInfoFlags::NONE)?;
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn getaddrinfo<'a>(
    host: impl Into<Option<&'a str>>,
    service: impl Into<Service<'a>>,
    family: impl Into<Family>,
    kind: impl Into<SocketType>,
    protocol: i32,
    flags: impl Into<AddressInfoFlags>,
) -> Result<Vec<AddressInfo>> {
    let hints = AddressHints {
        family: family.into().0,
        type_: kind.into().0,
        protocol,
        flags: flags.into().0,
    };
    let host = host.into();
    let host = host.map(idna::encode).transpose()?;
    let service = service.into().text();
    let answers = look_up(host.as_deref().map(c_text), service.as_deref().map(c_text), hints)?;
    Ok(answers.into_iter().map(AddressInfo::from).collect())
}

impl From<types::AddressInfo> for AddressInfo {
    fn from(info: types::AddressInfo) -> Self {
        Self {
            family: Family(info.family),
            kind: SocketType(info.type_),
            protocol: info.protocol,
            canonical_name: info.canonical_name.unwrap_or_default(),
            address: info.address.into(),
        }
    }
}

/// Returns the first address of a host in a family, as for Python's address arguments.
pub(crate) fn first_address(host: &str, family: Family) -> Result<Address> {
    let hints = AddressHints { family: family.0, type_: 0, protocol: 0, flags: 0 };
    let answers = look_up(Some(host), None, hints)?;
    let first = answers.into_iter().next();
    // getaddrinfo(3) has no empty answer. If a host gives one, there is no such name.
    first.map(|info| info.address.into()).ok_or_else(|| Error::address_info(EAI_NONAME))
}

/// Makes a look-up.
fn look_up(
    host: Option<&str>,
    service: Option<&str>,
    hints: AddressHints,
) -> Result<Vec<types::AddressInfo>> {
    if host.into_iter().chain(service).any(|name| name.len() > NAME_LIMIT) {
        return Err(Error::address_info(EAI_NONAME));
    }
    ask(|| waits::get_address_info(host, service, hints))
}

/// Asks the host. It asks again after an interrupt, if the handler allows it.
fn ask<T>(call: impl Fn() -> Result<T, NameError>) -> Result<T> {
    interrupt::handle_pending(Progress::default())?;
    loop {
        match call() {
            Err(NameError::Other(types::Error::Os(errno::EINTR))) => {
                interrupt::handle(Progress::default())?
            }
            result => return Ok(result?),
        }
    }
}

/// Returns an `OSError` with a text and without an errno.
fn os_text(text: &'static str) -> Error {
    Error::text(ErrorKind::Os, text)
}

/// Encodes a host's name for gethostbyname and similar functions.
fn host_argument<'a>(method: &str, name: &'a str) -> Result<Cow<'a, str>> {
    let name = idna::encode(name)?;
    if name.contains('\0') {
        let text =
            format!("{method}() argument 1 must be encoded string without null bytes, not str");
        return Err(Error::text(ErrorKind::Type, text));
    }
    Ok(name)
}

/// Returns a text up to its first NUL, where C's strings end.
fn c_text(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// Fails if a text has a NUL.
fn no_null(text: &str) -> Result<()> {
    if text.contains('\0') {
        Err(Error::text(ErrorKind::Value, "embedded null character"))
    } else {
        Ok(())
    }
}

/// A host's names and addresses: the result of [`gethostbyname_ex`] and [`gethostbyaddr`], and
/// Python's tuple of three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// The official name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The addresses, numeric.
    pub addresses: Vec<String>,
}

/// Converts an entry whose addresses must all be of one family.
fn host_entry(entry: types::HostEntry, v6: bool) -> Result<HostEntry> {
    let types::HostEntry { name, aliases, addresses } = entry;
    // CPython: for an IPv4-mapped address, a resolver may return the IPv4 address.
    if addresses.iter().any(|address| address.contains(':') != v6) {
        return Err(Error::from_errno(errno::EAFNOSUPPORT));
    }
    Ok(HostEntry { name, aliases, addresses })
}

/// Returns an IPv4 address of a host: gethostbyname(3).
///
/// An empty name is the wildcard, `0.0.0.0`, and `<broadcast>` is `255.255.255.255`. Python:
/// `socket.gethostbyname(hostname)`.
///
/// # Errors
/// `gaierror`, `UnicodeError` and `PermissionError` as for [`getaddrinfo`]; `TypeError` for a name
/// with a NUL.
pub fn gethostbyname(hostname: &str) -> Result<String> {
    let hostname = host_argument("gethostbyname", hostname)?;
    Ok(resolve(Family::INET, hostname.as_bytes())?.to_string())
}

/// Returns the name, the aliases and the IPv4 addresses of a host: gethostbyname(3).
///
/// Python: `socket.gethostbyname_ex(hostname)`.
///
/// # Errors
/// Those of [`gethostbyname`]; `herror` if the name has an address but no entry.
pub fn gethostbyname_ex(hostname: &str) -> Result<HostEntry> {
    let hostname = host_argument("gethostbyname_ex", hostname)?;
    resolve(Family::INET, hostname.as_bytes())?;
    host_entry(ask(|| waits::get_host_by_name(&hostname, Family::INET.0))?, false)
}

/// Returns the name, the aliases and the addresses of a host, by one of its addresses or names:
/// gethostbyaddr(3).
///
/// Python: `socket.gethostbyaddr(ip_address)`.
///
/// # Errors
/// `herror` if the address has no name; `OSError` without an errno for an empty argument;
/// `PermissionError` if no grant (`reverse-resolve=ADDRESS`) names the address; those of
/// [`gethostbyname`].
pub fn gethostbyaddr(ip_address: &str) -> Result<HostEntry> {
    let ip_address = host_argument("gethostbyaddr", ip_address)?;
    let (found, v6) = match resolve(Family::UNSPEC, ip_address.as_bytes())? {
        IpAddr::V4(v4) => (address::inet(v4, 0), false),
        IpAddr::V6(v6) => (address::inet6(v6, 0, 0, 0), true),
    };
    host_entry(ask(|| waits::get_host_by_address(&found))?, v6)
}

/// Returns the full name of a host. An empty name, `0.0.0.0` and `::` mean this host.
///
/// It is the first name of [`gethostbyaddr`] that has a dot, or else its first name. If that call
/// fails, it is the argument without the white space around it. Python: `socket.getfqdn(name)`.
///
/// # Errors
/// `UnicodeError` and `TypeError` as for [`gethostbyname`]; the error of an interrupt.
pub fn getfqdn(name: &str) -> Result<String> {
    let name = match name.trim() {
        "" | "0.0.0.0" | "::" => Cow::Owned(gethostname()),
        name => Cow::Borrowed(name),
    };
    match gethostbyaddr(&name) {
        Ok(entry) => {
            let full = entry.aliases.into_iter().find(|alias| alias.contains('.'));
            Ok(if entry.name.contains('.') { entry.name } else { full.unwrap_or(entry.name) })
        }
        // Python: OSError and its subclasses.
        Err(error) if error.progress().is_none() && is_os_error(&error) => Ok(name.into_owned()),
        Err(error) => Err(error),
    }
}

fn is_os_error(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Os | ErrorKind::Denied | ErrorKind::AddressInfo | ErrorKind::Host
    )
}

/// Returns this host's name: gethostname(2).
///
/// It is `sandbox`, unless the policy grants the real name (`hostname=read`) or sets another one.
/// Python: `socket.gethostname()`.
#[must_use]
pub fn gethostname() -> String {
    netdb::get_host_name()
}

/// Sets this host's name: sethostname(2).
///
/// Python: `socket.sethostname(name)`.
///
/// # Errors
/// `PermissionError` if the policy does not grant it (`hostname=set`), or if the host's process may
/// not set it (EPERM); EINVAL for more than 64 bytes.
pub fn sethostname(name: impl AsRef<[u8]>) -> Result<()> {
    let name = name.as_ref();
    // A host ends a guest that passes too much data. The kernel refuses every name that is too
    // long, so a part of it is enough.
    Ok(netdb::set_host_name(&name[..name.len().min(NAME_LIMIT)])?)
}

/// Returns the name of an address and the service of its port: getnameinfo(3).
///
/// The host must be numeric. Python: `socket.getnameinfo(sockaddr, flags)`.
///
/// # Errors
/// `gaierror` if the host is not numeric, or if a name is required and there is none;
/// `OverflowError` for flow information above 1048575; `OSError` without an errno for an IPv4 host
/// with flow information; `TypeError` for an address that is not a tuple in Python;
/// `PermissionError` if the call looks up the name and no grant (`reverse-resolve=ADDRESS`) names
/// the address.
///
/// ```no_run
/// use sandsock::{NameInfoFlags, getnameinfo};
///
/// let (host, service) = getnameinfo(("192.0.2.7", 80), NameInfoFlags::NONE)?;
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn getnameinfo(
    sockaddr: impl ToAddress,
    flags: impl Into<NameInfoFlags>,
) -> Result<(String, String)> {
    let flags = flags.into().0;
    let address = match sockaddr.to_address() {
        AddressArgument::Host { host, port, flow_info, scope_id } => {
            numeric_address(&host, port, flow_info, scope_id)?
        }
        AddressArgument::Known(address @ (types::Address::Inet(_) | types::Address::Inet6(_))) => {
            address
        }
        _ => return Err(Error::text(ErrorKind::Type, "getnameinfo() argument 1 must be a tuple")),
    };
    ask(|| waits::get_name_info(&address, flags))
}

/// Parses the tuple of getnameinfo.
fn numeric_address(
    host: &[u8],
    port: i64,
    flow_info: Option<i64>,
    scope_id: Option<i64>,
) -> Result<types::Address> {
    let no_name = || Error::address_info(EAI_NONAME);
    let host = str::from_utf8(host).map_err(|_| no_name())?;
    no_null(host)?;
    let port = c_int(port)?;
    let is_pair = flow_info.is_none() && scope_id.is_none();
    // C's unsigned int: the bits above the 32nd are lost.
    let (flow_info, scope_id) = (flow_info.unwrap_or(0) as u32, scope_id.unwrap_or(0) as u32);
    if flow_info > 0xf_ffff {
        return Err(Error::text(ErrorKind::Overflow, "getnameinfo(): flowinfo must be 0-1048575."));
    }
    // CPython does not use IDNA here. IDNA would turn some other digits into ASCII.
    if !host.is_ascii() {
        return Err(no_name());
    }
    let hints =
        AddressHints { family: 0, type_: SocketType::DGRAM.0, protocol: 0, flags: AI_NUMERICHOST };
    let mut answers =
        look_up(Some(host), Some(&port.to_string()), hints)?.into_iter().map(|info| info.address);
    match (answers.next(), answers.next()) {
        (Some(_), Some(_)) => Err(os_text("sockaddr resolved to multiple addresses")),
        (Some(types::Address::Inet(_)), None) if !is_pair => {
            Err(os_text("IPv4 sockaddr must be 2 tuple"))
        }
        (Some(types::Address::Inet6(found)), None) => {
            Ok(types::Address::Inet6(types::Inet6Address { flow_info, scope_id, ..found }))
        }
        (Some(found), None) => Ok(found),
        (None, _) => Err(no_name()),
    }
}

/// Converts a number as Python does for C's int.
fn c_int(number: i64) -> Result<i32> {
    i32::try_from(number).map_err(|_| {
        let text = if number < 0 {
            "signed integer is less than minimum"
        } else {
            "signed integer is greater than maximum"
        };
        Error::text(ErrorKind::Overflow, text)
    })
}

/// Asks the host for the entry of a table. ENOENT becomes an error with the text `missing`.
fn entry<T>(missing: &'static str, call: impl Fn() -> Result<T, types::Error>) -> Result<T> {
    let result = ask(|| call().map_err(NameError::Other));
    result.map_err(
        |error| if error.errno() == Some(errno::ENOENT) { os_text(missing) } else { error },
    )
}

/// Returns the port of a service, for one protocol or any: getservbyname(3).
///
/// Python: `socket.getservbyname(servicename, protocolname)`.
///
/// # Errors
/// `OSError` without an errno if there is no such service; `ValueError` for a NUL.
pub fn getservbyname<'a>(
    servicename: &str,
    protocolname: impl Into<Option<&'a str>>,
) -> Result<u16> {
    const MISSING: &str = "service/proto not found";
    let protocol = protocolname.into();
    for text in [Some(servicename), protocol].into_iter().flatten() {
        no_null(text)?;
        if text.len() > NAME_LIMIT {
            return Err(os_text(MISSING));
        }
    }
    entry(MISSING, || netdb::get_service_by_name(servicename, protocol))
}

/// Returns the name of a service by its port, for one protocol or any: getservbyport(3).
///
/// Python: `socket.getservbyport(port, protocolname)`.
///
/// # Errors
/// `OverflowError` for a port outside 0 to 65535; `OSError` without an errno if there is no such
/// service; `ValueError` for a NUL.
pub fn getservbyport<'a>(
    port: impl Into<i64>,
    protocolname: impl Into<Option<&'a str>>,
) -> Result<String> {
    const MISSING: &str = "port/proto not found";
    let port = c_int(port.into())?;
    let protocol = protocolname.into();
    protocol.map_or(Ok(()), no_null)?;
    let port = u16::try_from(port)
        .map_err(|_| Error::text(ErrorKind::Overflow, "getservbyport: port must be 0-65535."))?;
    if protocol.is_some_and(|protocol| protocol.len() > NAME_LIMIT) {
        return Err(os_text(MISSING));
    }
    entry(MISSING, || netdb::get_service_by_port(port, protocol))
}

/// Returns the number of a protocol: getprotobyname(3).
///
/// Python: `socket.getprotobyname(protocolname)`.
///
/// # Errors
/// `OSError` without an errno if there is no such protocol; `ValueError` for a NUL.
pub fn getprotobyname(protocolname: &str) -> Result<i32> {
    const MISSING: &str = "protocol not found";
    no_null(protocolname)?;
    if protocolname.len() > NAME_LIMIT {
        return Err(os_text(MISSING));
    }
    entry(MISSING, || netdb::get_protocol_by_name(protocolname))
}

/// Returns the network interfaces, by index and name: if_nameindex(3).
///
/// Python: `socket.if_nameindex()`.
///
/// # Errors
/// `PermissionError` if the policy does not grant `interfaces`.
pub fn if_nameindex() -> Result<Vec<(u32, String)>> {
    Ok(netdb::interfaces()?
        .into_iter()
        .map(|interface| (interface.index, interface.name))
        .collect())
}

/// Returns an interface's index: if_nametoindex(3).
///
/// Python: `socket.if_nametoindex(if_name)`.
///
/// # Errors
/// `OSError` without an errno if there is no such interface; `ValueError` for a NUL;
/// `PermissionError` if the policy does not grant `interfaces`.
pub fn if_nametoindex(if_name: impl AsRef<[u8]>) -> Result<u32> {
    let name = if_name.as_ref();
    if name.contains(&0) {
        return Err(Error::text(ErrorKind::Value, "embedded null byte"));
    }
    // Linux: IFNAMSIZ is 16. No interface has a longer name, or one that is not UTF-8. The host is
    // still asked, by an empty name, so that a denial comes first.
    let name = str::from_utf8(name).ok().filter(|name| name.len() < 16).unwrap_or_default();
    netdb::interface_index(name).map_err(|error| match error {
        types::Error::Os(errno::ENODEV) => os_text("no interface with this name"),
        error => error.into(),
    })
}

/// Returns an interface's name: if_indextoname(3).
///
/// Python: `socket.if_indextoname(if_index)`.
///
/// # Errors
/// ENXIO if there is no such interface; `ValueError` for a negative index, `OverflowError` for an
/// index above 32 bits; `PermissionError` if the policy does not grant `interfaces`.
pub fn if_indextoname(if_index: impl Into<i64>) -> Result<String> {
    let index = if_index.into();
    if index < 0 {
        return Err(Error::text(ErrorKind::Value, "value must be positive"));
    }
    let too_large =
        |_| Error::text(ErrorKind::Overflow, "Python int too large to convert to C unsigned int");
    Ok(netdb::interface_name(u32::try_from(index).map_err(too_large)?)?)
}

/// Returns the host of an address in the form for its look-up. CPython takes ASCII as it is, and
/// checks only other names by IDNA.
pub(crate) fn host_text(host: &[u8]) -> Result<Cow<'_, [u8]>> {
    let host = match str::from_utf8(host) {
        Ok(name) if !name.is_ascii() => {
            let name = idna::encode(name).map_err(|_| type_error("encoding of hostname failed"))?;
            Cow::Owned(name.into_owned().into_bytes())
        }
        _ => Cow::Borrowed(host),
    };
    if host.contains(&0) {
        Err(type_error("host name must not contain null character"))
    } else {
        Ok(host)
    }
}

/// Resolves a host by Python's rules: as the wildcard, broadcast, a numeric address or a name, in
/// this order. AF_UNSPEC allows both families.
pub(crate) fn resolve(family: Family, host: &[u8]) -> Result<IpAddr> {
    let (v4, v6) = (family != Family::INET6, family != Family::INET);
    let host = &*host_text(host)?;
    match host {
        b"" if v4 && v6 => {
            return Err(Error::text(ErrorKind::Os, "wildcard resolved to multiple address"));
        }
        b"" if v6 => return Ok(Ipv6Addr::UNSPECIFIED.into()),
        b"" => return Ok(Ipv4Addr::UNSPECIFIED.into()),
        b"<broadcast>" | b"255.255.255.255" if !v4 => {
            return Err(Error::text(ErrorKind::Os, "address family mismatched"));
        }
        b"<broadcast>" => return Ok(Ipv4Addr::BROADCAST.into()),
        _ => {}
    }
    // No host has a name that is not UTF-8.
    let host = str::from_utf8(host).map_err(|_| Error::address_info(EAI_NONAME))?;
    // `Ipv6Addr` does not take a %zone, so getaddrinfo reads it.
    if v6 && let Ok(address) = host.parse::<Ipv6Addr>() {
        return Ok(address.into());
    }
    if v4 && let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(address.into());
    }
    match first_address(host, family)? {
        Address::Inet(host, _) => Ok(host.into()),
        Address::Inet6(host, ..) => Ok(host.into()),
        _ => Err(other_family()),
    }
}

/// Returns the error for an answer in a family that was not asked for, which getaddrinfo should
/// never give.
pub(crate) const fn other_family() -> Error {
    Error::from_errno(errno::EAFNOSUPPORT)
}
