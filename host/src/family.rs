//! The families: how an address is laid out, and what the policy is asked for it.
//!
//! Adding one is a case in the WIT's `address`, a file in `family/` and a word in the list below; the matches have no `_` arm.

mod inet;
mod inet6;
mod ip;
pub(crate) mod netlink;
pub(crate) mod packet;
mod unix;

pub(crate) use ip::is_raw;
pub(crate) use unix::is_bound_in;

use rustix::io::Errno;

use crate::address::RawAddress;
use crate::bindings::sandsock::socket::types::{Address, OtherAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::Outcome;
use crate::permit::{Destination, Judge};

/// What is done with an address.
#[derive(Clone, Copy)]
pub(crate) enum Use<'a> {
    /// bind(2) of this socket.
    Bind(&'a Handle),
    /// connect(2).
    Connect,
    /// sendto(2) and its kin by this socket.
    Send(&'a Handle),
}

/// What a family's file implements.
trait FamilyRules {
    /// The socket types that have rules.
    const TYPES: &'static [i32];

    /// Whether the bytes that are sent are judged too, because they say what they do.
    const INSPECTED: bool = false;

    /// The address in the kernel's layout; EAFNOSUPPORT for another family's case.
    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno>;

    /// The kernel's bytes as the family's case; none where they are too short.
    fn decode(raw: &RawAddress) -> Option<Address>;

    /// Asks the policy for this use of an address.
    fn judge(judge: &Judge<'_>, purpose: Use<'_>, kind: SocketKind, address: &Address) -> Outcome<Destination>;

    /// Asks the policy for listen on this socket, with the local address that it has.
    fn judge_listen(judge: &Judge<'_>, socket: &Handle) -> Outcome<()>;

    /// Asks the policy for what a message does, to an address or to where the socket leads.
    fn judge_contents(_: &Judge<'_>, _: &Handle, _: SocketKind, _to: Option<&Address>, _: &[u8]) -> Outcome<()> {
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
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant),)*];

            /// The family of this number; EAFNOSUPPORT where it is not served.
            pub(crate) fn of(number: i32) -> Result<Self, Errno> {
                match number {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(Errno::AFNOSUPPORT),
                }
            }

            /// Whether sockets of this type have rules.
            pub(crate) fn has_type(self, kind: i32) -> bool {
                match self { $(Self::$variant => <$rules>::TYPES.contains(&kind),)* }
            }

            /// Whether what is sent must be judged by [`judge_contents`](Self::judge_contents), each message in one piece.
            pub(crate) fn is_inspected(self) -> bool {
                match self { $(Self::$variant => <$rules>::INSPECTED,)* }
            }

            #[cfg(test)]
            fn encode(self, address: &Address) -> Result<RawAddress, Errno> {
                match self { $(Self::$variant => <$rules>::encode(address),)* }
            }

            fn decode(self, raw: &RawAddress) -> Option<Address> {
                match self { $(Self::$variant => <$rules>::decode(raw),)* }
            }

            /// Asks the policy for this use of an address by a socket of this family.
            pub(crate) fn judge(
                self, judge: &Judge<'_>, purpose: Use<'_>, kind: SocketKind, address: &Address,
            ) -> Outcome<Destination> {
                if matches!(address, Address::Unspec) {
                    // man 2 connect: AF_UNSPEC dissolves the association, which needs no grant. Elsewhere the kernel would
                    // take it for an address of the socket's own family, unjudged.
                    return match purpose {
                        Use::Connect => Ok(Destination::plain(RawAddress::from_bytes(&[0; 16]))),
                        Use::Bind(_) | Use::Send(_) => Err(Errno::AFNOSUPPORT.into()),
                    };
                }
                match self { $(Self::$variant => <$rules>::judge(judge, purpose, kind, address),)* }
            }

            /// Asks the policy for listen on this socket, with the local address that it has.
            pub(crate) fn judge_listen(self, judge: &Judge<'_>, socket: &Handle) -> Outcome<()> {
                match self { $(Self::$variant => <$rules>::judge_listen(judge, socket),)* }
            }

            /// Asks the policy for what a message does.
            pub(crate) fn judge_contents(
                self, judge: &Judge<'_>, socket: &Handle, kind: SocketKind, to: Option<&Address>, message: &[u8],
            ) -> Outcome<()> {
                match self { $(Self::$variant => <$rules>::judge_contents(judge, socket, kind, to, message),)* }
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
}

/// The IP address that an address is, if it is one.
pub(crate) fn to_ip(address: &Address) -> Option<std::net::SocketAddr> {
    inet::to_ip(address).or_else(|_| inet6::to_ip(address)).ok()
}

/// What the kernel wrote as an address: none where its length is 0.
pub(crate) fn decode(raw: &RawAddress) -> Option<Address> {
    let number = raw.family()?;
    if number == libc::AF_UNSPEC {
        // CPython: an address nobody filled in is None.
        return None;
    }
    Family::of(number).ok().and_then(|family| family.decode(raw)).or_else(|| {
        let family = u16::try_from(number).ok()?;
        Some(Address::Other(OtherAddress { family, data: raw.bytes()[2..].to_vec() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_kernel_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..140), family in 0u8..5) {
            let number = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_PACKET, libc::AF_NETLINK][family as usize];
            if bytes.len() >= 2 {
                bytes[..2].copy_from_slice(&(number as u16).to_ne_bytes());
            }
            let raw = RawAddress::from_bytes(&bytes);
            if let (Some(address), Ok(family)) = (decode(&raw), Family::of(number)) {
                let _ = family.encode(&address);
            }
        }
    }

    #[test]
    fn every_family_round_trips() {
        for (name, family) in Family::ALL {
            let samples = match family {
                Family::Inet => inet::samples(),
                Family::Inet6 => inet6::samples(),
                Family::Unix => unix::samples(),
                Family::Packet => packet::samples(),
                Family::Netlink => netlink::samples(),
            };
            assert!(!samples.is_empty());
            for sample in samples {
                let raw = family.encode(&sample).unwrap_or_else(|errno| panic!("{name}: {errno}"));
                assert_eq!(format!("{:?}", decode(&raw)), format!("{:?}", Some(sample)), "{name}");
            }
        }
    }
}
