//! The families: the layout of an address, and what the policy is asked for each use of it.
//!
//! A new family is a case of the WIT's `address`, a file in `family/` and a line in `families!`.
//! The matches have no `_` arm, so a missing part does not compile.

mod alg;
mod bluetooth;
pub(crate) mod can;
mod inet;
mod inet6;
mod ip;
pub(crate) mod netlink;
pub(crate) mod packet;
mod qipcrtr;
mod rds;
mod tipc;
mod unix;
mod vsock;

pub(crate) use ip::{
    is_raw, judge_port, keeps_ports, listen_request, listening_account, local_act, port_verb,
    served,
};
pub(crate) use unix::name as unix_name;

use rustix::io::Errno;

use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, OtherAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;

/// How an address is used.
#[derive(Clone, Copy)]
pub(crate) enum Use<'a> {
    /// bind(2) of this socket.
    Bind(&'a Handle),
    /// connect(2).
    Connect,
    /// sendto(2) and its relatives by this socket.
    Send(&'a Handle),
}

/// What each family's file implements.
trait FamilyRules {
    /// The socket types that the family serves.
    const TYPES: &'static [i32];

    /// Returns whether the family serves sockets of this type and protocol.
    fn serves(type_: i32, _protocol: i32) -> bool {
        Self::TYPES.contains(&type_)
    }

    /// Returns whether the policy checks the bytes of a message, because they contain the act.
    fn is_inspected(_kind: SocketKind) -> bool {
        false
    }

    /// Whether sends take MSG_NOSIGNAL. The families that refuse it have no streams that could
    /// break.
    const TAKES_NOSIGNAL: bool = true;

    /// Returns the address in the kernel's layout. EAFNOSUPPORT for an address of another family.
    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno>;

    /// Addresses of the family, each with the socket's protocol.
    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)>;

    /// Whether every byte of the kernel's layout has a place in the WIT's address.
    #[cfg(test)]
    const FIXED: bool = false;

    /// Converts the kernel's bytes for a socket of this kind to the family's case. None if they are
    /// too short.
    fn decode(raw: &RawAddress, kind: SocketKind) -> Option<Address>;

    /// Asks the policy for this use of an address, and returns the address for the kernel.
    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination>;

    /// Asks the policy for listen on this socket, with its current local address.
    fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()>;

    /// Asks the policy about the local address that the kernel chose at a bind. What was asked
    /// before the bind is not asked again.
    fn judge_bound(_: &Gate, _: &Handle, _: SocketKind) -> CallResult<()> {
        Ok(())
    }

    /// Asks the policy for the act in a message, which goes to an address or to the connected peer.
    fn judge_contents(
        _: &Gate,
        _: &Handle,
        _: SocketKind,
        _to: Option<&Address>,
        _: &[u8],
    ) -> CallResult<()> {
        Ok(())
    }
}

macro_rules! families {
    ($($variant:ident = $number:path => $rules:path, $name:literal;)*) => {
        /// The families that this host serves.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Family {
            $(#[doc = $name] $variant,)*
        }

        impl Family {
            /// Every family: its name, its number, itself.
            #[cfg(test)]
            pub(crate) const ALL: &'static [(&'static str, i32, Self)] =
                &[$(($name, $number, Self::$variant),)*];

            #[cfg(test)]
            fn samples(self) -> Vec<(i32, Address)> {
                match self { $(Self::$variant => <$rules>::samples(),)* }
            }

            #[cfg(test)]
            fn is_fixed(self) -> bool {
                match self { $(Self::$variant => <$rules>::FIXED,)* }
            }

            /// Returns the family with this number. EAFNOSUPPORT if the host does not serve it.
            pub(crate) fn of(number: i32) -> Result<Self, Errno> {
                match number {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(Errno::AFNOSUPPORT),
                }
            }

            /// Returns whether the family serves sockets of this type and protocol.
            pub(crate) fn serves(self, type_: i32, protocol: i32) -> bool {
                match self { $(Self::$variant => <$rules>::serves(type_, protocol),)* }
            }

            /// Returns whether [`judge_contents`](Self::judge_contents) must check each message, in
            /// one piece.
            pub(crate) fn is_inspected(self, kind: SocketKind) -> bool {
                match self { $(Self::$variant => <$rules>::is_inspected(kind),)* }
            }

            /// Returns whether sends take MSG_NOSIGNAL.
            pub(crate) fn takes_nosignal(self) -> bool {
                match self { $(Self::$variant => <$rules>::TAKES_NOSIGNAL,)* }
            }

            #[cfg(test)]
            fn encode(self, address: &Address) -> Result<RawAddress, Errno> {
                match self { $(Self::$variant => <$rules>::encode(address),)* }
            }

            fn decode(self, raw: &RawAddress, kind: SocketKind) -> Option<Address> {
                match self { $(Self::$variant => <$rules>::decode(raw, kind),)* }
            }

            /// Asks the policy for this use of an address by a socket of this family.
            pub(crate) fn judge(
                self, gate: &Gate, purpose: Use<'_>, kind: SocketKind, address: &Address,
            ) -> CallResult<Destination> {
                if matches!(address, Address::Unspec) {
                    // man 2 connect: AF_UNSPEC dissolves the association. That needs no grant. In
                    // other calls the kernel would take the bytes for an address of the socket's
                    // own family, unchecked.
                    return match purpose {
                        // CAN_BCM ignores the family as well, and would take every interface.
                        Use::Connect if self != Self::Can => Ok(Destination::plain(RawAddress::from_bytes(&[0; 16]))),
                        Use::Connect | Use::Bind(_) | Use::Send(_) => Err(Errno::AFNOSUPPORT.into()),
                    };
                }
                match self { $(Self::$variant => <$rules>::judge(gate, purpose, kind, address),)* }
            }

            /// Asks the policy for listen on this socket, with the local address that it has.
            pub(crate) fn judge_listen(self, gate: &Gate, socket: &Handle) -> CallResult<()> {
                match self { $(Self::$variant => <$rules>::judge_listen(gate, socket),)* }
            }

            /// Asks the policy about the local address that the kernel chose at a bind.
            pub(crate) fn judge_bound(self, gate: &Gate, socket: &Handle, kind: SocketKind) -> CallResult<()> {
                match self { $(Self::$variant => <$rules>::judge_bound(gate, socket, kind),)* }
            }

            /// Asks the policy for the act in a message.
            pub(crate) fn judge_contents(
                self, gate: &Gate, socket: &Handle, kind: SocketKind, to: Option<&Address>, message: &[u8],
            ) -> CallResult<()> {
                match self { $(Self::$variant => <$rules>::judge_contents(gate, socket, kind, to, message),)* }
            }
        }
    };
}

families! {
    Inet = libc::AF_INET => inet::Inet, "inet";
    Inet6 = libc::AF_INET6 => inet6::Inet6, "inet6";
    Unix = libc::AF_UNIX => unix::Unix, "unix";
    Packet = libc::AF_PACKET => packet::Packet, "packet";
    Netlink = libc::AF_NETLINK => netlink::Netlink, "netlink";
    Can = libc::AF_CAN => can::Can, "can";
    Alg = libc::AF_ALG => alg::Alg, "alg";
    Tipc = libc::AF_TIPC => tipc::Tipc, "tipc";
    Vsock = libc::AF_VSOCK => vsock::Vsock, "vsock";
    Bluetooth = libc::AF_BLUETOOTH => bluetooth::Bluetooth, "bluetooth";
    Rds = sandsock_abi::constants::AF_RDS => rds::Rds, "rds";
    Qipcrtr = sandsock_abi::constants::AF_QIPCRTR => qipcrtr::Qipcrtr, "qipcrtr";
}

/// Returns the IP address that an address contains, if it is one of IP.
pub(crate) fn to_ip(address: &Address) -> Option<std::net::SocketAddr> {
    inet::to_ip(address).or_else(|_| inet6::to_ip(address)).ok()
}

/// An address's bytes. Fields are read in the host's byte order. None beyond the end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn field<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }

    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.field(at).map(u32::from_ne_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.field(at).map(u64::from_ne_bytes)
    }
}

/// Converts an address that the kernel wrote for a socket of this kind. None if its length is 0.
pub(crate) fn decode(raw: &RawAddress, kind: SocketKind) -> Option<Address> {
    let number = raw.family()?;
    if number == libc::AF_UNSPEC {
        // CPython: an address that the kernel did not fill in is None.
        return None;
    }
    // Addresses of AF_RDS have AF_INET's number.
    let known = if kind.family == sandsock_abi::constants::AF_RDS { kind.family } else { number };
    Family::of(known).ok().and_then(|family| family.decode(raw, kind)).or_else(|| {
        let family = u16::try_from(number).ok()?;
        Some(Address::Other(OtherAddress { family, data: raw.bytes()[2..].to_vec() }))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn kind(family: i32, protocol: i32) -> SocketKind {
        SocketKind { family, type_: libc::SOCK_DGRAM, protocol }
    }

    proptest! {
        #[test]
        fn any_kernel_bytes_are_survived(
            mut bytes in prop::collection::vec(any::<u8>(), 0..140), at in 0..Family::ALL.len(), protocol in 0i32..9,
        ) {
            let (_, number, family) = Family::ALL[at];
            if bytes.len() >= 2 {
                bytes[..2].copy_from_slice(&(number as u16).to_ne_bytes());
            }
            let raw = RawAddress::from_bytes(&bytes);
            if let Some(address) = decode(&raw, kind(number, protocol)) {
                let encoded = family.encode(&address);
                if let (true, Ok(raw)) = (family.is_fixed(), encoded) {
                    // Encoding reproduces every byte that was read.
                    let back = decode(&raw, kind(number, protocol));
                    prop_assert_eq!(format!("{back:?}"), format!("{:?}", Some(address)));
                }
            }
        }
    }

    #[test]
    fn the_page_of_calls_says_which_families_are_served() {
        let page = include_str!("../../../wit/posix.md");
        let (_, rest) = page.split_once("## Families").expect("the section is there");
        let (section, _) = rest.split_once("\n## ").expect("it ends");
        let rows: Vec<(Vec<&str>, &str)> = section
            .lines()
            .filter(|line| line.starts_with("| AF_"))
            .map(|line| {
                (
                    line.split('|').nth(1).unwrap_or_default().split(',').map(str::trim).collect(),
                    line,
                )
            })
            .collect();
        for (name, ..) in Family::ALL {
            let name = format!("AF_{}", name.to_uppercase());
            let row = rows.iter().find(|(names, _)| names.contains(&name.as_str()));
            let (_, line) = row.unwrap_or_else(|| panic!("wit/posix.md has no row of {name}"));
            assert!(!line.contains("not served"), "{line}");
        }
        let served = |name: &str| {
            Family::ALL.iter().any(|(own, ..)| name == format!("AF_{}", own.to_uppercase()))
        };
        for (names, line) in rows {
            let says = line.contains("not served")
                || line.contains("never served")
                || names.contains(&"AF_UNSPEC");
            assert!(says || names.iter().all(|name| served(name)), "{line}");
        }
    }

    #[test]
    fn the_readme_lists_the_families() {
        let page = include_str!("../../../README.md");
        let (_, rest) = page.split_once("## What is supported").expect("the section is there");
        let (section, _) = rest.split_once("\n## ").expect("it ends");
        let words = section.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let listed: BTreeSet<_> = words.filter_map(|word| word.strip_prefix("AF_")).collect();
        let names: Vec<_> = Family::ALL.iter().map(|(name, ..)| name.to_uppercase()).collect();
        assert_eq!(listed, names.iter().map(String::as_str).collect());
    }

    #[test]
    fn every_family_round_trips() {
        for &(name, number, family) in Family::ALL {
            let samples = family.samples();
            assert!(!samples.is_empty());
            for (protocol, sample) in samples {
                let raw = family.encode(&sample).unwrap_or_else(|errno| panic!("{name}: {errno}"));
                let back = decode(&raw, kind(number, protocol));
                assert_eq!(format!("{back:?}"), format!("{:?}", Some(sample)), "{name}");
            }
        }
    }
}
