//! Socket addresses as the kernel lays them out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A socket address in the kernel's layout, at most `sockaddr_storage` long.
#[derive(Clone)]
#[repr(align(8))]
pub(crate) struct RawAddress {
    bytes: [u8; Self::SIZE],
    length: libc::socklen_t,
}

impl RawAddress {
    /// `sockaddr_storage`'s size.
    pub(crate) const SIZE: usize = 128;

    /// An address that the kernel is to fill in.
    pub(crate) fn empty() -> Self {
        Self { bytes: [0; Self::SIZE], length: Self::SIZE as _ }
    }

    /// The address with these bytes, of which at most `SIZE` count.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut raw = Self::empty();
        let length = bytes.len().min(Self::SIZE);
        raw.bytes[..length].copy_from_slice(&bytes[..length]);
        raw.length = length as _;
        raw
    }

    /// The kernel's layout of an IP address (man 7 ip, man 7 ipv6).
    pub(crate) fn from_ip(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                raw.bytes[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                raw.bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
                raw.bytes[4..8].copy_from_slice(&v4.ip().octets());
                raw.length = 16;
            }
            SocketAddr::V6(v6) => {
                raw.bytes[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                raw.bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
                raw.bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                raw.bytes[8..24].copy_from_slice(&v6.ip().octets());
                raw.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                raw.length = 28;
            }
        }
        raw
    }

    /// The IP address in it, if its family is INET or INET6.
    pub(crate) fn to_ip(&self) -> Option<SocketAddr> {
        let bytes = self.bytes();
        let two = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let four = |at: usize| {
            Some([*bytes.get(at)?, *bytes.get(at + 1)?, *bytes.get(at + 2)?, *bytes.get(at + 3)?])
        };
        let port = u16::from_be_bytes(two(2)?);
        match self.family()? {
            libc::AF_INET => Some(SocketAddrV4::new(Ipv4Addr::from(four(4)?), port).into()),
            libc::AF_INET6 => {
                let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                let flow = u32::from_be_bytes(four(4)?);
                // The addresses of RFC 2133 have 24 bytes and no scope.
                let scope = four(24).map_or(0, u32::from_ne_bytes);
                Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// The family, if the address is long enough to have one.
    pub(crate) fn family(&self) -> Option<i32> {
        let bytes = self.bytes();
        Some(i32::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?])))
    }

    /// The bytes, family first.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }

    /// The pointer with which a system call reads it.
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    /// The length in bytes.
    pub(crate) fn length(&self) -> libc::socklen_t {
        self.length
    }

    /// The pointers with which a system call fills it in: the buffer, and its length.
    pub(crate) fn as_out(&mut self) -> (*mut libc::sockaddr, &mut libc::socklen_t) {
        self.length = Self::SIZE as _;
        (self.bytes.as_mut_ptr().cast(), &mut self.length)
    }

    /// Sets the length that a system call reported. It may be longer than the buffer (man 2
    /// getsockname).
    pub(crate) fn set_length(&mut self, length: libc::socklen_t) {
        self.length = length;
        self.clamp();
    }

    /// Cuts a reported length to that of the buffer.
    pub(crate) fn clamp(&mut self) {
        self.length = self.length.min(Self::SIZE as _);
    }
}

/// A UNIX address as rules spell it: a path, or `@` and the abstract name.
pub(crate) fn show_unix(address: &RawAddress) -> Option<String> {
    if address.family()? != libc::AF_UNIX {
        return None;
    }
    match address.bytes().get(2..)?.split_first()? {
        (0, name) => Some(format!("@{}", name.escape_ascii())),
        (first, rest) => {
            let path = rest.split(|&byte| byte == 0).next().unwrap_or_default();
            Some([&[*first], path].concat().escape_ascii().to_string())
        }
    }
}

impl std::fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to_ip() {
            Some(ip) => write!(f, "{ip}"),
            None => write!(f, "{:?}", self.bytes()),
        }
    }
}

/// A published address: what the guest binds, and what it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) guest: SocketAddr,
    pub(crate) host: SocketAddr,
}

impl View {
    /// The host's address, as a socket of the guest's family is bound to it.
    pub(crate) fn host_for_guest(&self) -> SocketAddr {
        match (self.guest, self.host.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(v4)) => {
                SocketAddr::new(v4.to_ipv6_mapped().into(), self.host.port())
            }
            _ => self.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ip_addresses_come_back(v4: [u8; 4], v6: [u8; 16], port: u16, flow in 0u32..=0xfffff, scope: u32) {
            let v4 = SocketAddr::from((v4, port));
            prop_assert_eq!(RawAddress::from_ip(v4).to_ip(), Some(v4));
            let v6 = SocketAddr::V6(SocketAddrV6::new(v6.into(), port, flow, scope));
            prop_assert_eq!(RawAddress::from_ip(v6).to_ip(), Some(v6));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = RawAddress::from_bytes(&bytes).to_ip();
        }
    }
}
