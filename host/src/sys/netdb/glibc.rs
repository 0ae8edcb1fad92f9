//! The resolver and the tables of the C library. Its calls can block.
#![allow(unsafe_code, reason = "the C library's look-ups have no safe wrapper")]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use super::question::{AddressInfo, Hints, HostEntry, ResolverError};
use crate::sys::address::RawAddress;
use crate::sys::last_errno;

/// getaddrinfo(3) of a name. Returns the answers, and the names that lead to them if `other_names`
/// asks for these: aliases and canonical names.
pub(super) fn get_address_info(
    name: &CStr,
    service: Option<&CStr>,
    mut hints: Hints,
    other_names: bool,
) -> Result<(Vec<AddressInfo>, Vec<String>), ResolverError> {
    without_host_aliases()?;
    let canonical = hints.flags & libc::AI_CANONNAME != 0;
    if other_names {
        hints.flags |= libc::AI_CANONNAME;
    }
    let mut answers = address_info(Some(name), service, hints)?;
    let mut names = Vec::new();
    if other_names {
        names.extend(answers.iter().filter_map(|info| info.canonical_name.clone()));
        if !canonical {
            answers.iter_mut().for_each(|info| info.canonical_name = None);
        }
        // getaddrinfo(3) returns only the last name, and not the names between.
        let mut families: Vec<i32> = answers
            .iter()
            .filter_map(|info| Some(info.address.to_ip()?.ip()))
            .map(family_of)
            .collect();
        families.sort_unstable();
        families.dedup();
        for family in families {
            let entry = host_by_name(name, family).map_err(|failure| match failure {
                ResolverError::System(errno) => ResolverError::System(errno),
                _ => ResolverError::Code(libc::EAI_AGAIN),
            })?;
            names.push(entry.name);
            names.extend(entry.aliases);
        }
    }
    Ok((answers, names))
}

/// The family in which an address is looked up.
fn family_of(address: IpAddr) -> i32 {
    if address.to_canonical().is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// The first fields of `struct __res_state` (resolv.h), which are part of glibc's binary interface.
#[repr(C)]
struct ResolverState {
    _retrans: libc::c_int,
    _retry: libc::c_int,
    options: libc::c_ulong,
}

/// resolv.h: RES_INIT and RES_NOALIASES.
const RES_INIT: libc::c_ulong = 0x0001;
const RES_NOALIASES: libc::c_ulong = 0x1000;

/// Initialises the resolver of the calling thread again. It reads the present resolv.conf, and ignores
/// the aliases of the host's environment (HOSTALIASES), which would ask for another name.
fn without_host_aliases() -> Result<(), ResolverError> {
    // SAFETY: `__res_state` returns this thread's own state. It lives as long as the thread, and
    // nobody else uses it meanwhile. It is closed only if it was opened (man 3 resolver).
    unsafe {
        let state = __res_state();
        if (*state).options & RES_INIT != 0 {
            __res_nclose(state);
        }
        if __res_ninit(state) != 0 {
            return Err(ResolverError::System(Errno::NOMEM));
        }
        (*state).options |= RES_NOALIASES;
    }
    Ok(())
}

/// getaddrinfo(3) of a number, or of no host. The system's tables are searched for a service that is
/// a name.
pub(super) fn numeric_address_info(
    host: Option<&CStr>,
    service: Option<&CStr>,
    mut hints: Hints,
) -> Result<Vec<AddressInfo>, ResolverError> {
    if host.is_some() {
        hints.flags |= libc::AI_NUMERICHOST;
    }
    address_info(host, service, hints)
}

fn address_info(
    host: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
) -> Result<Vec<AddressInfo>, ResolverError> {
    let hint = libc::addrinfo {
        ai_flags: hints.flags,
        ai_family: hints.family,
        ai_socktype: hints.kind,
        ai_protocol: hints.protocol,
        ai_addrlen: 0,
        ai_addr: std::ptr::null_mut(),
        ai_canonname: std::ptr::null_mut(),
        ai_next: std::ptr::null_mut(),
    };
    let mut list = std::ptr::null_mut();
    // SAFETY: the strings are null or end with NUL, and the hint and the list outlive the call.
    let code = unsafe {
        libc::getaddrinfo(or_null(host), or_null(service), &raw const hint, &raw mut list)
    };
    if code == libc::EAI_SYSTEM {
        return Err(ResolverError::System(last_errno()));
    }
    if code != 0 {
        return Err(ResolverError::Code(code));
    }
    let mut answers = Vec::new();
    let mut next = list;
    // SAFETY: `next` is null or a node of the list, which nobody has freed.
    while let Some(node) = unsafe { next.as_ref() } {
        // SAFETY: ai_canonname is null or ends with NUL, and ai_addr points to ai_addrlen bytes.
        // Both live as long as the list.
        let (canonical_name, bytes) = unsafe {
            (
                (!node.ai_canonname.is_null()).then(|| text(node.ai_canonname)),
                std::slice::from_raw_parts(node.ai_addr.cast::<u8>(), node.ai_addrlen as usize),
            )
        };
        answers.push(AddressInfo {
            family: node.ai_family,
            kind: node.ai_socktype,
            protocol: node.ai_protocol,
            canonical_name,
            address: RawAddress::from_bytes(bytes),
        });
        next = node.ai_next;
    }
    // SAFETY: the list is getaddrinfo's own. It is freed once, after its last use.
    unsafe { libc::freeaddrinfo(list) };
    Ok(answers)
}

// glibc's reentrant look-ups and the state of its resolver (man 3 gethostbyname, getservbyname_r,
// getprotobyname_r, resolver). The crate `libc` does not declare them.
unsafe extern "C" {
    fn __res_state() -> *mut ResolverState;
    fn __res_ninit(state: *mut ResolverState) -> libc::c_int;
    fn __res_nclose(state: *mut ResolverState);
    fn gethostbyname2_r(
        name: *const libc::c_char,
        family: libc::c_int,
        entry: *mut libc::hostent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::hostent,
        h_errno: *mut libc::c_int,
    ) -> libc::c_int;
    fn gethostbyaddr_r(
        address: *const libc::c_void,
        length: libc::socklen_t,
        family: libc::c_int,
        entry: *mut libc::hostent,
        buffer: *mut libc::c_char,
        buffer_length: usize,
        result: *mut *mut libc::hostent,
        h_errno: *mut libc::c_int,
    ) -> libc::c_int;
    fn getservbyname_r(
        name: *const libc::c_char,
        protocol: *const libc::c_char,
        entry: *mut libc::servent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::servent,
    ) -> libc::c_int;
    fn getservbyport_r(
        port: libc::c_int,
        protocol: *const libc::c_char,
        entry: *mut libc::servent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::servent,
    ) -> libc::c_int;
    fn getprotobyname_r(
        name: *const libc::c_char,
        entry: *mut libc::protoent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::protoent,
    ) -> libc::c_int;
}

/// The longest buffer for an entry.
const ENTRY_MAX: usize = 1 << 20;

/// Makes one of these calls with a buffer that grows until the entry fits. Returns the result of
/// `read`, or the result of the call if there is no entry.
fn find_entry<E, R>(
    mut call: impl FnMut(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
    read: impl FnOnce(&E) -> R,
) -> Result<R, libc::c_int> {
    let mut length = 1 << 10;
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut buffer: Vec<libc::c_char> = Vec::with_capacity(length);
        let mut result = std::ptr::null_mut();
        let code = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), length, &raw mut result);
        if code == libc::ERANGE && length < ENTRY_MAX {
            length *= 4;
            continue;
        }
        // SAFETY: the result is null, or points to `entry`, which was then filled with pointers
        // into `buffer`. Both live here.
        return unsafe { result.as_ref() }.map(read).ok_or(code);
    }
}

/// Reads a string of C.
///
/// # Safety
/// It ends with NUL and lives during the call.
pub(crate) unsafe fn text(pointer: *const libc::c_char) -> String {
    // SAFETY: as this function demands.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// The pointers of a list that ends with a null.
///
/// # Safety
/// The list lives during the call.
unsafe fn pointers(mut list: *mut *mut libc::c_char) -> Vec<*mut libc::c_char> {
    let mut all = Vec::new();
    // SAFETY: the list goes on until its null, so an element that is not null has a next one.
    unsafe {
        while !list.is_null() && !(*list).is_null() {
            all.push(*list);
            list = list.add(1);
        }
    }
    all
}

/// Reads the system's entry, whose pointers must be as glibc made them.
fn read_entry(entry: &libc::hostent) -> HostEntry {
    let length = usize::try_from(entry.h_length).unwrap_or(0);
    let address = |pointer: *mut libc::c_char| {
        // SAFETY: each address of the list has h_length bytes.
        let octets = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) };
        match entry.h_addrtype {
            libc::AF_INET => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
            libc::AF_INET6 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
            _ => None,
        }
    };
    // SAFETY: glibc filled the entry. Its strings end with NUL and its lists with null, and all
    // of them live as long as the entry.
    unsafe {
        HostEntry {
            name: text(entry.h_name),
            aliases: pointers(entry.h_aliases).into_iter().map(|alias| text(alias)).collect(),
            addresses: pointers(entry.h_addr_list).into_iter().filter_map(address).collect(),
        }
    }
}

/// The error for an h_errno and the result of the call.
fn host_failure(h_errno: libc::c_int, code: libc::c_int) -> ResolverError {
    match h_errno {
        // NETDB_INTERNAL: errno says more.
        ..=0 => {
            ResolverError::System(if code > 0 { Errno::from_raw_os_error(code) } else { Errno::IO })
        }
        code => ResolverError::Host(code),
    }
}

/// gethostbyname2(3).
pub(super) fn get_host_by_name(name: &CStr, family: i32) -> Result<HostEntry, ResolverError> {
    without_host_aliases()?;
    host_by_name(name, family)
}

fn host_by_name(name: &CStr, family: i32) -> Result<HostEntry, ResolverError> {
    let mut h_errno = 0;
    let found = find_entry(
        // SAFETY: the name ends with NUL, and `find_entry` passes an entry, a buffer of this length
        // and a pointer for the result.
        |entry, buffer, length, result| unsafe {
            gethostbyname2_r(name.as_ptr(), family, entry, buffer, length, result, &raw mut h_errno)
        },
        read_entry,
    );
    found.map_err(|code| host_failure(h_errno, code))
}

/// gethostbyaddr(3).
pub(super) fn get_host_by_address(address: IpAddr) -> Result<HostEntry, ResolverError> {
    let (octets, family) = match address {
        IpAddr::V4(v4) => (v4.octets().to_vec(), libc::AF_INET),
        IpAddr::V6(v6) => (v6.octets().to_vec(), libc::AF_INET6),
    };
    let mut h_errno = 0;
    let found = find_entry(
        // SAFETY: the address has the length of its family. The rest is as in `host_by_name`.
        |entry, buffer, length, result| unsafe {
            let address = octets.as_ptr().cast();
            gethostbyaddr_r(
                address,
                octets.len() as _,
                family,
                entry,
                buffer,
                length,
                result,
                &raw mut h_errno,
            )
        },
        read_entry,
    );
    found.map_err(|code| host_failure(h_errno, code))
}

/// The host part of getnameinfo(3), with these flags.
fn host_text(address: IpAddr, flags: i32) -> Result<String, ResolverError> {
    let raw = RawAddress::from_ip(SocketAddr::new(address, 0));
    let mut host = [0; libc::NI_MAXHOST as usize];
    // SAFETY: the pointers and lengths are those of `raw` and `host`. No service is asked for.
    let code = unsafe {
        libc::getnameinfo(
            raw.as_ptr(),
            raw.length(),
            host.as_mut_ptr().cast(),
            libc::NI_MAXHOST,
            std::ptr::null_mut(),
            0,
            flags,
        )
    };
    match code {
        0 => {
            let text = CStr::from_bytes_until_nul(&host);
            Ok(text.unwrap_or_default().to_string_lossy().into_owned())
        }
        libc::EAI_SYSTEM => Err(ResolverError::System(last_errno())),
        code => Err(ResolverError::Code(code)),
    }
}

/// The name of an address: getnameinfo(3) with NI_NAMEREQD. `cut` adds NI_NOFQDN, which cuts this
/// host's own domain.
pub(super) fn get_name(address: IpAddr, cut: bool) -> Result<String, ResolverError> {
    host_text(address, libc::NI_NAMEREQD | if cut { libc::NI_NOFQDN } else { 0 })
}

/// An address as glibc writes it.
pub(crate) fn numeric_host(address: IpAddr) -> String {
    host_text(address, libc::NI_NUMERICHOST).unwrap_or_else(|_| address.to_string())
}

fn or_null(text: Option<&CStr>) -> *const libc::c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}

/// getservbyname(3): the port in host byte order, or ENOENT.
pub(super) fn service_port(name: &CStr, protocol: Option<&CStr>) -> Result<u16, Errno> {
    let found = find_entry(
        // SAFETY: the strings end with NUL or are null. The rest is as in `host_by_name`.
        |entry, buffer, length, result| unsafe {
            getservbyname_r(name.as_ptr(), or_null(protocol), entry, buffer, length, result)
        },
        |entry: &libc::servent| u16::from_be(entry.s_port as u16),
    );
    found.map_err(|_| Errno::NOENT)
}

/// getservbyport(3) of a port in host byte order, or ENOENT.
pub(super) fn service_name(port: u16, protocol: Option<&CStr>) -> Result<String, Errno> {
    let found = find_entry(
        // SAFETY: as in `service_port`.
        |entry, buffer, length, result| unsafe {
            getservbyport_r(port.to_be().into(), or_null(protocol), entry, buffer, length, result)
        },
        // SAFETY: glibc filled the entry. Its name ends with NUL and lives as long as the entry.
        |entry: &libc::servent| unsafe { text(entry.s_name) },
    );
    found.map_err(|_| Errno::NOENT)
}

/// getprotobyname(3), or ENOENT.
pub(super) fn protocol_number(name: &CStr) -> Result<i32, Errno> {
    let found = find_entry(
        // SAFETY: as in `service_port`.
        |entry, buffer, length, result| unsafe {
            getprotobyname_r(name.as_ptr(), entry, buffer, length, result)
        },
        |entry: &libc::protoent| entry.p_proto,
    );
    found.map_err(|_| Errno::NOENT)
}
