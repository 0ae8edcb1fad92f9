//! Names: look-ups go to the host, which asks its own resolver.

use std::borrow::Cow;

use sandsock_abi::{constants::EAI_NONAME, errno};

use crate::{
    Address, AddressInfoFlags, Error, Family, Progress, Result, SocketType, interrupt,
    raw::{
        netdb,
        types::{self, AddressHints, NameError, Wait},
    },
};

/// More than any host's or service's name can be; a host ends a guest that hands over too much.
const NAME_LIMIT: usize = 64 << 10;

/// One answer of [`getaddrinfo`]: what [`Socket::new`](crate::Socket::new) and [`Socket::connect`](crate::Socket::connect)
/// need.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressInfo {
    /// The family.
    pub family: Family,
    /// The type.
    pub kind: SocketType,
    /// The protocol.
    pub protocol: i32,
    /// The canonical name; empty where none was asked for, and on all answers but the first.
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
    /// A port number. It is not judged: the resolver is asked for it in decimal.
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

/// The addresses of a host and a service: getaddrinfo(3).
///
/// `family`, `kind` and `protocol` are 0 for any. A look-up takes the time that it takes, whatever the timeouts are.
/// Python: `socket.getaddrinfo(host, port, family, type, proto, flags)`.
///
/// # Errors
/// `gaierror` where there is no such name or service; `PermissionError` where no grant names the host; EAGAIN where the
/// look-ups allowed at once are used up.
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
    let hints = AddressHints { family: family.into().0, type_: kind.into().0, protocol, flags: flags.into().0 };
    // C's strings end at a NUL.
    let host = host.into().map(|host| host.split('\0').next().unwrap_or_default());
    let service = service.into().text();
    let answers = look_up(host, service.as_deref(), hints)?;
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

/// The first address of a host in a family, as Python's addresses take it.
pub(crate) fn first_address(host: &str, family: Family) -> Result<Address> {
    let hints = AddressHints { family: family.0, type_: 0, protocol: 0, flags: 0 };
    let answers = look_up(Some(host), None, hints)?;
    let first = answers.into_iter().next();
    // getaddrinfo(3) has no empty answer; should a host give one, there is no such name.
    first.map(|info| info.address.into()).ok_or_else(|| Error::address_info(EAI_NONAME))
}

/// Makes a look-up, again after an interrupt whose handler lets it go on.
fn look_up(host: Option<&str>, service: Option<&str>, hints: AddressHints) -> Result<Vec<types::AddressInfo>> {
    if host.into_iter().chain(service).any(|name| name.len() > NAME_LIMIT) {
        return Err(Error::address_info(EAI_NONAME));
    }
    interrupt::settle(Progress::default())?;
    loop {
        match netdb::get_address_info(host, service, hints, Wait::Forever) {
            Ok(answers) => return Ok(answers),
            Err(NameError::Other(types::Error::Os(errno::EINTR))) => interrupt::handle(Progress::default())?,
            Err(error) => return Err(error.into()),
        }
    }
}
