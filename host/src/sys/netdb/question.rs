//! The questions of look-ups and their answers, as values that another process can get.

use std::net::IpAddr;

use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{glibc, table};
use crate::sys::address::RawAddress;
use crate::sys::c_string;

/// getaddrinfo(3)'s hints: AF_*, SOCK_*, IPPROTO_*, AI_*.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Hints {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
    pub(crate) flags: i32,
}

/// One answer of getaddrinfo(3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AddressInfo {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
    pub(crate) canonical_name: Option<String>,
    #[serde(with = "raw_address")]
    pub(crate) address: RawAddress,
}

/// The answer of gethostbyname(3) or gethostbyaddr(3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostEntry {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Why a look-up failed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum ResolverError {
    /// An EAI_* code.
    Code(i32),
    /// An h_errno.
    Host(i32),
    /// EAI_SYSTEM's or NETDB_INTERNAL's errno.
    System(#[serde(with = "errno")] Errno),
}

impl ResolverError {
    /// Returns the errno of a look-up in a table, which has no other errors.
    pub(super) fn errno(self) -> Errno {
        match self {
            Self::System(errno) => errno,
            Self::Code(_) | Self::Host(_) => Errno::IO,
        }
    }
}

/// A question of one kind.
pub(super) trait Ask: Into<Question> {
    /// What is found.
    type Found: Serialize + DeserializeOwned;

    /// The error if nobody answers any more.
    const NOBODY: ResolverError = ResolverError::System(Errno::IO);

    /// Answers it in this process. It may block.
    fn answer(self) -> Result<Self::Found, ResolverError>;
}

macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, Deserialize)]
            pub(super) struct $name { $(pub(super) $field: $type),* }

            impl From<$name> for Question {
                fn from(question: $name) -> Self {
                    Self::$name(question)
                }
            }
        )*

        /// A question of any kind.
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) enum Question { $($name($name)),* }

        impl Question {
            /// Answers it in this process, in the form in which answers are sent.
            pub(super) fn reply(self) -> serde_json::Result<Vec<u8>> {
                match self {
                    $(Self::$name(question) => serde_json::to_vec(&question.answer()),)*
                }
            }
        }
    };
}

questions! {
    /// getaddrinfo(3) of a name.
    AddressInfoOf { name: String, service: Option<String>, hints: Hints, other_names: bool }
    /// getaddrinfo(3) of a number or of no host.
    Numeric { host: Option<String>, service: Option<String>, hints: Hints }
    /// gethostbyname2(3).
    HostByName { name: String, family: i32 }
    /// gethostbyaddr(3).
    HostByAddress { address: IpAddr }
    /// getnameinfo(3).
    NameOf { address: IpAddr, cut: bool }
    /// getservbyname(3).
    ServicePort { name: String, protocol: Option<String> }
    /// getservbyport(3).
    ServiceName { port: u16, protocol: Option<String> }
    /// getprotobyname(3).
    ProtocolNumber { name: String }
    /// Whether the hosts file has a name.
    HostsFileHasName { name: String, family: i32 }
    /// Whether the hosts file has an address.
    HostsFileHasAddress { address: IpAddr }
    /// The resolver's search list.
    SearchList {}
}

fn for_c(text: &str) -> Result<std::ffi::CString, ResolverError> {
    c_string(text).map_err(ResolverError::System)
}

impl Ask for AddressInfoOf {
    type Found = (Vec<AddressInfo>, Vec<String>);
    const NOBODY: ResolverError = ResolverError::Code(libc::EAI_FAIL);

    fn answer(self) -> Result<Self::Found, ResolverError> {
        let service = self.service.as_deref().map(for_c).transpose()?;
        glibc::get_address_info(
            &for_c(&self.name)?,
            service.as_deref(),
            self.hints,
            self.other_names,
        )
    }
}

impl Ask for Numeric {
    type Found = Vec<AddressInfo>;
    const NOBODY: ResolverError = ResolverError::Code(libc::EAI_FAIL);

    fn answer(self) -> Result<Self::Found, ResolverError> {
        let host = self.host.as_deref().map(for_c).transpose()?;
        let service = self.service.as_deref().map(for_c).transpose()?;
        glibc::numeric_address_info(host.as_deref(), service.as_deref(), self.hints)
    }
}

impl Ask for HostByName {
    type Found = HostEntry;
    const NOBODY: ResolverError = ResolverError::Host(sandsock_abi::constants::NO_RECOVERY);

    fn answer(self) -> Result<HostEntry, ResolverError> {
        glibc::get_host_by_name(&for_c(&self.name)?, self.family)
    }
}

impl Ask for HostByAddress {
    type Found = HostEntry;
    const NOBODY: ResolverError = ResolverError::Host(sandsock_abi::constants::NO_RECOVERY);

    fn answer(self) -> Result<HostEntry, ResolverError> {
        glibc::get_host_by_address(self.address)
    }
}

impl Ask for NameOf {
    type Found = String;
    const NOBODY: ResolverError = ResolverError::Code(libc::EAI_FAIL);

    fn answer(self) -> Result<String, ResolverError> {
        glibc::get_name(self.address, self.cut)
    }
}

impl Ask for ServicePort {
    type Found = u16;

    fn answer(self) -> Result<u16, ResolverError> {
        let protocol = self.protocol.as_deref().map(for_c).transpose()?;
        let port = glibc::service_port(&for_c(&self.name)?, protocol.as_deref());
        port.map_err(ResolverError::System)
    }
}

impl Ask for ServiceName {
    type Found = String;

    fn answer(self) -> Result<String, ResolverError> {
        let protocol = self.protocol.as_deref().map(for_c).transpose()?;
        glibc::service_name(self.port, protocol.as_deref()).map_err(ResolverError::System)
    }
}

impl Ask for ProtocolNumber {
    type Found = i32;

    fn answer(self) -> Result<i32, ResolverError> {
        glibc::protocol_number(&for_c(&self.name)?).map_err(ResolverError::System)
    }
}

impl Ask for HostsFileHasName {
    type Found = bool;

    fn answer(self) -> Result<bool, ResolverError> {
        Ok(table::hosts_file_has_name(&self.name, self.family))
    }
}

impl Ask for HostsFileHasAddress {
    type Found = bool;

    fn answer(self) -> Result<bool, ResolverError> {
        Ok(table::hosts_file_has_address(self.address))
    }
}

impl Ask for SearchList {
    type Found = Vec<String>;

    fn answer(self) -> Result<Vec<String>, ResolverError> {
        Ok(table::search_list())
    }
}

/// An errno by its number.
mod errno {
    use rustix::io::Errno;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        errno.raw_os_error().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        i32::deserialize(from).map(Errno::from_raw_os_error)
    }
}

/// A socket address by its bytes.
mod raw_address {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::sys::address::RawAddress;

    pub(super) fn serialize<S: Serializer>(raw: &RawAddress, to: S) -> Result<S::Ok, S::Error> {
        raw.bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RawAddress, D::Error> {
        Vec::<u8>::deserialize(from).map(|bytes| RawAddress::from_bytes(&bytes))
    }
}
