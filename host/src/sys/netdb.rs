//! Look-ups: names, addresses, services, protocols.
//!
//! A look-up is a [`Question`]. A [`Resolver`] answers it in this process, by the C library, or
//! sends it to a process that does nothing else. A question about a name or an address takes the
//! permit for it.

mod glibc;
mod process;
mod question;
mod table;

use std::ffi::CStr;
use std::net::IpAddr;
use std::sync::Arc;

use rustix::io::Errno;

pub(crate) use glibc::{numeric_host, text};
pub use process::LookUpProcess;
pub(crate) use question::{AddressInfo, Hints, HostEntry, ResolverError};

use crate::authority::permit::{Permit, Resolve, ReverseResolve};
use question::{
    AddressInfoOf, Ask, HostByAddress, HostByName, HostsFileHasAddress, HostsFileHasName, NameOf,
    Numeric, ProtocolNumber, SearchList, ServiceName, ServicePort,
};

/// Where questions are answered.
#[derive(Clone, Debug, Default)]
pub(crate) enum Resolver {
    /// In this process.
    #[default]
    Here,
    /// In a process of its own.
    In(Arc<LookUpProcess>),
}

impl Resolver {
    /// Asks, and waits for the answer. Only threads of the pools ask a question that may need a
    /// name server.
    fn ask<Q: Ask>(&self, question: Q) -> Result<Q::Found, ResolverError> {
        match self {
            Self::Here => question.answer(),
            Self::In(process) => process.ask(question),
        }
    }

    /// getaddrinfo(3) of a name. Returns the answers, and their other names if the caller needs
    /// them.
    pub(crate) fn get_address_info(
        &self,
        permit: Permit<Resolve>,
        service: Option<&CStr>,
        hints: Hints,
        lookup: Lookup,
    ) -> Result<(Vec<AddressInfo>, Vec<String>), ResolverError> {
        let name = asked(permit, lookup.in_hosts_file)?;
        let (service, other_names) = (service.map(owned), lookup.other_names);
        self.ask(AddressInfoOf { name, service, hints, other_names })
    }

    /// getaddrinfo(3) of a number, or of no host. The system's tables are searched for a service
    /// that is a name.
    pub(crate) fn numeric_address_info(
        &self,
        host: Option<&CStr>,
        service: Option<&CStr>,
        hints: Hints,
    ) -> Result<Vec<AddressInfo>, ResolverError> {
        // glibc asks for this host's addresses for the flag, and to sort two answers, which the
        // wildcard has.
        let looks = hints.flags & libc::AI_ADDRCONFIG != 0 || host.is_none();
        if !looks && service.is_none_or(is_number) {
            return glibc::numeric_address_info(host, service, hints);
        }
        self.ask(Numeric { host: host.map(owned), service: service.map(owned), hints })
    }

    /// gethostbyname2(3).
    pub(crate) fn get_host_by_name(
        &self,
        permit: Permit<Resolve>,
        family: i32,
        in_hosts_file: bool,
    ) -> Result<HostEntry, ResolverError> {
        self.ask(HostByName { name: asked(permit, in_hosts_file)?, family })
    }

    /// gethostbyaddr(3).
    pub(crate) fn get_host_by_address(
        &self,
        permit: Permit<ReverseResolve>,
    ) -> Result<HostEntry, ResolverError> {
        self.ask(HostByAddress { address: permit.into_act().address })
    }

    /// The name of an address: getnameinfo(3) with NI_NAMEREQD. `cut` adds NI_NOFQDN, which cuts
    /// this host's own domain.
    pub(crate) fn get_name(
        &self,
        permit: Permit<ReverseResolve>,
        cut: bool,
    ) -> Result<String, ResolverError> {
        self.ask(NameOf { address: permit.into_act().address, cut })
    }

    /// getservbyname(3): the port in host byte order, or ENOENT.
    pub(crate) fn service_port(&self, name: &CStr, protocol: Option<&CStr>) -> Result<u16, Errno> {
        let (name, protocol) = (owned(name), protocol.map(owned));
        self.ask(ServicePort { name, protocol }).map_err(ResolverError::errno)
    }

    /// getservbyport(3) of a port in host byte order, or ENOENT.
    pub(crate) fn service_name(&self, port: u16, protocol: Option<&CStr>) -> Result<String, Errno> {
        let protocol = protocol.map(owned);
        self.ask(ServiceName { port, protocol }).map_err(ResolverError::errno)
    }

    /// getprotobyname(3), or ENOENT.
    pub(crate) fn protocol_number(&self, name: &CStr) -> Result<i32, Errno> {
        self.ask(ProtocolNumber { name: owned(name) }).map_err(ResolverError::errno)
    }

    /// Returns whether the hosts file answers a look-up of this name. The name is in the form in
    /// which the policy checks names. `family` is an AF_*, or 0 for both.
    pub(crate) fn hosts_file_has_name(&self, name: &str, family: i32) -> bool {
        // Without an answer, the question takes the longer way, which reports the error.
        self.ask(HostsFileHasName { name: name.to_owned(), family }).unwrap_or(false)
    }

    /// Returns whether the hosts file answers a look-up of this address.
    pub(crate) fn hosts_file_has_address(&self, address: IpAddr) -> bool {
        self.ask(HostsFileHasAddress { address }).unwrap_or(false)
    }

    /// Returns the domains of the resolver's search list.
    pub(crate) fn search_list(&self) -> Result<Vec<String>, Errno> {
        self.ask(SearchList {}).map_err(ResolverError::errno)
    }
}

/// getaddrinfo(3) of a text that may be a number, without a service. Nothing is looked up.
pub(crate) fn number_address_info(text: &CStr) -> Result<Vec<AddressInfo>, ResolverError> {
    let hints = Hints { family: 0, kind: libc::SOCK_STREAM, protocol: 0, flags: 0 };
    glibc::numeric_address_info(Some(text), None, hints)
}

/// Returns whether a service is a number, which glibc does not look up.
pub(crate) fn is_number(service: &CStr) -> bool {
    service.to_bytes().iter().all(u8::is_ascii_digit)
}

/// How a name is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Lookup {
    /// Whether the hosts file has the name. It is asked first.
    pub(crate) in_hosts_file: bool,
    /// Whether the caller needs the names that lead to the answer: aliases and canonical names.
    pub(crate) other_names: bool,
}

fn asked(permit: Permit<Resolve>, in_hosts_file: bool) -> Result<String, ResolverError> {
    let name = permit.into_act().asked(in_hosts_file).map_err(ResolverError::System)?;
    Ok(owned(&name))
}

/// The texts of guests are UTF-8.
fn owned(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}
