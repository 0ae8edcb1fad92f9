//! The checks of addresses that `wasi:sockets` prescribes, before the policy's.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::error::ErrorCode;
use crate::bindings::sandsock::socket::types::{Address, Inet6Address, InetAddress};
use crate::sys::address::RawAddress;

/// WIT `ip-address-family`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    /// AF_INET or AF_INET6.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        }
    }

    /// The address that stands for no address yet: unspecified, with port 0.
    pub(crate) fn unspecified(self) -> SocketAddr {
        match self {
            Self::V4 => SocketAddr::from(([0; 4], 0)),
            Self::V6 => SocketAddr::from(([0; 8], 0)),
        }
    }

    /// Whether sockets of this family take this address. Dual-stack is off, so an IPv4-mapped
    /// address is of neither family. IPv4-compatible addresses are obsolete (RFC 4291, 2.5.5.1),
    /// and would be a second name of an IPv4 host.
    fn has(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4, IpAddr::V4(_)) => true,
            (Self::V6, IpAddr::V6(v6)) => v6.to_ipv4_mapped().is_none() && !is_compatible(v6),
            _ => false,
        }
    }
}

fn is_compatible(address: Ipv6Addr) -> bool {
    address.segments()[..6] == [0; 6]
        && address != Ipv6Addr::UNSPECIFIED
        && address != Ipv6Addr::LOCALHOST
}

fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_multicast(),
    }
}

fn demand(holds: bool) -> Result<(), ErrorCode> {
    if holds { Ok(()) } else { Err(ErrorCode::InvalidArgument) }
}

/// Checks an address to bind a TCP socket to.
pub(crate) fn check_tcp_local(family: IpFamily, local: SocketAddr) -> Result<(), ErrorCode> {
    demand(family.has(local.ip()) && is_unicast(local.ip()))
}

/// Checks an address to bind a UDP socket to.
pub(crate) fn check_udp_local(family: IpFamily, local: SocketAddr) -> Result<(), ErrorCode> {
    demand(family.has(local.ip()))
}

/// Checks an address to connect a TCP socket to.
pub(crate) fn check_tcp_remote(family: IpFamily, remote: SocketAddr) -> Result<(), ErrorCode> {
    check_udp_remote(family, remote)?;
    demand(is_unicast(remote.ip()))
}

/// Checks an address to send datagrams to.
pub(crate) fn check_udp_remote(family: IpFamily, remote: SocketAddr) -> Result<(), ErrorCode> {
    demand(family.has(remote.ip()) && !remote.ip().is_unspecified() && remote.port() != 0)
}

/// The address as this host's own functions take it.
pub(crate) fn to_contract(address: SocketAddr) -> Address {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            Address::Inet(InetAddress { address: (a, b, c, d), port: v4.port() })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            Address::Inet6(Inet6Address {
                address: (a, b, c, d, e, f, g, h),
                port: v6.port(),
                flow_info: v6.flowinfo(),
                scope_id: v6.scope_id(),
            })
        }
    }
}

/// The address that the kernel gave for a socket of the package.
pub(crate) fn from_kernel(raw: &RawAddress) -> Result<SocketAddr, ErrorCode> {
    raw.to_ip().ok_or(ErrorCode::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_check_refuses_what_the_package_says() {
        type Check = fn(IpFamily, SocketAddr) -> Result<(), ErrorCode>;
        let all: [Check; 4] =
            [check_tcp_local, check_udp_local, check_tcp_remote, check_udp_remote];
        for check in all {
            assert!(check(IpFamily::V4, at("127.0.0.1:1")).is_ok());
            assert!(check(IpFamily::V6, at("[::1]:1")).is_ok());
            assert!(check(IpFamily::V6, at("[fe80::1]:1")).is_ok());
            for (family, other) in [
                (IpFamily::V4, "[::1]:1"),
                (IpFamily::V6, "127.0.0.1:1"),
                (IpFamily::V6, "[::ffff:127.0.0.1]:1"),
                (IpFamily::V6, "[::127.0.0.1]:1"),
            ] {
                assert_eq!(check(family, at(other)), Err(ErrorCode::InvalidArgument), "{other}");
            }
        }
        let multicast = [(IpFamily::V4, "224.0.0.1:1"), (IpFamily::V6, "[ff02::1]:1")];
        for (family, address) in multicast.into_iter().chain([(IpFamily::V4, "255.255.255.255:1")])
        {
            assert!(check_tcp_local(family, at(address)).is_err(), "{address}");
            assert!(check_tcp_remote(family, at(address)).is_err(), "{address}");
            assert!(check_udp_local(family, at(address)).is_ok(), "{address}");
            assert!(check_udp_remote(family, at(address)).is_ok(), "{address}");
        }
        for (family, address) in [
            (IpFamily::V4, "0.0.0.0:1"),
            (IpFamily::V6, "[::]:1"),
            (IpFamily::V4, "127.0.0.1:0"),
            (IpFamily::V6, "[::1]:0"),
        ] {
            assert!(check_tcp_remote(family, at(address)).is_err(), "{address}");
            assert!(check_udp_remote(family, at(address)).is_err(), "{address}");
            assert!(check_tcp_local(family, at(address)).is_ok(), "{address}");
            assert!(check_udp_local(family, at(address)).is_ok(), "{address}");
        }
    }
}
