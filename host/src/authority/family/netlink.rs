//! AF_NETLINK (man 7 netlink): the kernel's own tables.
//!
//! What a grant permits: `route:read` shows every interface, address, route and neighbour of the
//! host's network. `route:write` changes them as root would. `sock-diag:read` shows every
//! connection of the host. A generic family can be anything in the kernel. The host reads each
//! message as the kernel does, because one datagram can hold many messages.

use std::cell::OnceCell;

use rustix::io::Errno;
use sandsock_abi::constants::{
    NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG,
};

use super::{FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, NetlinkAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::RawAddress;
use sandsock_policy::{NetlinkRequest, Request};

/// `sizeof(struct nlmsghdr)`: length, type, flags, sequence, port.
pub(crate) const HEADER: usize = 16;
/// `sizeof(struct genlmsghdr)`: command, version, two bytes for later.
const GENERIC_HEADER: usize = 4;
/// Lower types are messages about messages, which the kernel skips.
const FIRST_TYPE: u16 = libc::NLMSG_MIN_TYPE as u16;
/// The control family, and the two of its commands that programs may send. The second one is
/// CTRL_CMD_GETPOLICY.
const CONTROL_FAMILY: u16 = libc::GENL_ID_CTRL as u16;
const CONTROL_READS: [u8; 2] = [libc::CTRL_CMD_GETFAMILY as u8, 10];
/// linux/sock_diag.h and linux/inet_diag.h: TCPDIAG_GETSOCK, DCCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY.
/// SOCK_DESTROY is 21.
const DIAG_READS: [u16; 3] = [18, 19, 20];
const SOCK_DESTROY: u16 = 21;
/// linux/rtnetlink.h: the requests that read. The last three are RTM_GETCHAIN, RTM_GETNEXTHOP and
/// RTM_GETNEXTHOPBUCKET. Requests of later kernels do not count as reads until they have been
/// reviewed.
const ROUTE_READS: [u16; 18] = [
    libc::RTM_GETLINK,
    libc::RTM_GETADDR,
    libc::RTM_GETROUTE,
    libc::RTM_GETNEIGH,
    libc::RTM_GETRULE,
    libc::RTM_GETQDISC,
    libc::RTM_GETTCLASS,
    libc::RTM_GETTFILTER,
    libc::RTM_GETMULTICAST,
    libc::RTM_GETANYCAST,
    libc::RTM_GETNEIGHTBL,
    libc::RTM_GETADDRLABEL,
    libc::RTM_GETNETCONF,
    libc::RTM_GETMDB,
    libc::RTM_GETSTATS,
    102,
    106,
    118,
];

pub(super) struct Netlink;

/// One message of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// What follows the header, without padding.
    pub(crate) body: &'a [u8],
}

/// Reads the messages of a datagram as the kernel's `netlink_rcv_skb` does: one after the other,
/// each aligned to 4 bytes. A rest shorter than a header is ignored. An impossible length is
/// EINVAL; the kernel would silently stop there.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Errno>> {
    std::iter::from_fn(move || {
        let header = rest.get(..HEADER)?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(body) = rest.get(HEADER..length) else {
            rest = &[];
            return Some(Err(Errno::INVAL));
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Ok(Message { kind, body }))
    })
}

/// Reads attributes (`struct nlattr`: length, type), each aligned to 4 bytes. An invalid attribute
/// ends the list.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = rest.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & libc::NLA_TYPE_MASK as u16;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// A generic family: its name, its number, its multicast groups.
#[derive(Debug, Default, PartialEq, Eq)]
struct GenericFamily {
    name: String,
    id: u16,
    groups: Vec<u32>,
}

/// The generic families of this kernel, as the control family dumps them (linux/genetlink.h).
fn dump_generic_families() -> Result<Vec<u8>, Errno> {
    let mut request = [0; HEADER + GENERIC_HEADER];
    let length = request.len() as u32;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&CONTROL_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    // The command and its version.
    request[HEADER..HEADER + 2].copy_from_slice(&[libc::CTRL_CMD_GETFAMILY as u8, 1]);
    sys::netlink_dump(NETLINK_GENERIC, &request, |part| {
        let is_done = |message: Message<'_>| i32::from(message.kind) == libc::NLMSG_DONE;
        messages(part).any(|message| message.is_ok_and(is_done))
    })
}

/// Reads the answer of the control family (linux/genetlink.h).
fn generic_families(dump: &[u8]) -> Vec<GenericFamily> {
    let number = |value: &[u8]| value.get(..4)?.try_into().map(u32::from_ne_bytes).ok();
    let family = |message: Message<'_>| {
        let mut family = GenericFamily::default();
        for (kind, value) in attributes(message.body.get(GENERIC_HEADER..)?) {
            match i32::from(kind) {
                libc::CTRL_ATTR_FAMILY_ID => {
                    family.id = u16::from_ne_bytes(value.get(..2)?.try_into().ok()?)
                }
                libc::CTRL_ATTR_FAMILY_NAME => {
                    family.name = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
                }
                libc::CTRL_ATTR_MCAST_GROUPS => {
                    let groups = attributes(value).flat_map(|(_, group)| attributes(group));
                    family.groups = groups
                        .filter(|(kind, _)| i32::from(*kind) == libc::CTRL_ATTR_MCAST_GRP_ID)
                        .filter_map(|(_, id)| number(id))
                        .collect();
                }
                _ => {}
            }
        }
        Some(family)
    };
    let families =
        messages(dump).map_while(Result::ok).filter(|message| message.kind == CONTROL_FAMILY);
    families.filter_map(family).collect()
}

/// Reads the bytes as an answer of the control family, and as questions.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let _ = generic_families(data);
    messages(data).flatten().for_each(|message| {
        let _ = asks_elsewhere(&message);
    });
}

/// Asks about the events of a group, by its number.
pub(crate) fn judge_group(gate: &Gate, protocol: i32, group: u32) -> CallResult<()> {
    let other = format!("events of protocol {protocol}");
    gate.decide(&Request::Netlink(match protocol {
        NETLINK_ROUTE => NetlinkRequest::RouteRead,
        NETLINK_SOCK_DIAG => NetlinkRequest::SockDiagRead,
        NETLINK_KOBJECT_UEVENT => NetlinkRequest::Uevent,
        NETLINK_GENERIC => {
            let families = generic_families(&dump_generic_families()?);
            return match families.iter().find(|family| family.groups.contains(&group)) {
                Some(family) => {
                    gate.decide(&Request::Netlink(NetlinkRequest::Generic(&family.name)))
                }
                None => gate.decide(&Request::Netlink(NetlinkRequest::Other(&format!(
                    "generic group {group}"
                )))),
            };
        }
        _ => NetlinkRequest::Other(&other),
    }))
}

/// Returns whether a look-up of links or addresses names another network namespace:
/// IFLA_TARGET_NETNSID, IFA_TARGET_NETNSID.
fn asks_elsewhere(message: &Message<'_>) -> bool {
    // The attributes follow `ifinfomsg` or `ifaddrmsg`, or `rtgenmsg` in dumps of old programs.
    let (at, target) = match message.kind {
        libc::RTM_GETLINK => (16, 46),
        libc::RTM_GETADDR => (8, 10),
        _ => return false,
    };
    let names = |at: usize| {
        message.body.get(at..).is_some_and(|rest| attributes(rest).any(|(kind, _)| kind == target))
    };
    names(at) || names(4)
}

/// The generic families. They are read at first use, and once for all messages of a datagram.
type Families = OnceCell<Vec<GenericFamily>>;

/// Asks about one message.
fn judge_message(
    gate: &Gate,
    protocol: i32,
    message: &Message<'_>,
    families: &Families,
) -> CallResult<()> {
    let kind = message.kind;
    let other = |what: String| gate.decide(&Request::Netlink(NetlinkRequest::Other(&what)));
    let decide = |asked| gate.decide(&Request::Netlink(asked));
    match protocol {
        NETLINK_ROUTE | NETLINK_GENERIC | NETLINK_SOCK_DIAG if kind < FIRST_TYPE => Ok(()),
        NETLINK_ROUTE if asks_elsewhere(message) => other("about another network namespace".into()),
        NETLINK_ROUTE if ROUTE_READS.contains(&kind) => decide(NetlinkRequest::RouteRead),
        NETLINK_ROUTE => decide(NetlinkRequest::RouteWrite),
        NETLINK_SOCK_DIAG if DIAG_READS.contains(&kind) => decide(NetlinkRequest::SockDiagRead),
        NETLINK_SOCK_DIAG if kind == SOCK_DESTROY => {
            other("sock-diag destroy, which ends others' connections".into())
        }
        NETLINK_SOCK_DIAG => other(format!("sock-diag message {kind}")),
        NETLINK_GENERIC if kind == CONTROL_FAMILY => match message.body.first() {
            Some(command) if CONTROL_READS.contains(command) => {
                decide(NetlinkRequest::GenericControl)
            }
            _ => decide(NetlinkRequest::Generic("nlctrl")),
        },
        NETLINK_GENERIC => {
            // The kernel assigns these numbers as modules are loaded, so they are read for each
            // datagram.
            if families.get().is_none() {
                let _ = families.set(generic_families(&dump_generic_families()?));
            }
            match families.get().into_iter().flatten().find(|family| family.id == kind) {
                Some(family) => decide(NetlinkRequest::Generic(&family.name)),
                None => other(format!("generic family {kind}")),
            }
        }
        _ => other(format!("message of protocol {protocol}")),
    }
}

fn encode(address: NetlinkAddress) -> RawAddress {
    let mut bytes = [0; 12];
    bytes[0..2].copy_from_slice(&(libc::AF_NETLINK as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.port_id.to_ne_bytes());
    bytes[8..12].copy_from_slice(&address.groups.to_ne_bytes());
    RawAddress::from_bytes(&bytes)
}

impl FamilyRules for Netlink {
    const TYPES: &'static [i32] = &[libc::SOCK_RAW, libc::SOCK_DGRAM];

    fn is_inspected(_: SocketKind) -> bool {
        true
    }

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        let Address::Netlink(address) = address else { return Err(Errno::AFNOSUPPORT) };
        Ok(encode(*address))
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let bytes = raw.bytes();
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().map(u32::from_ne_bytes).ok();
        Some(Address::Netlink(NetlinkAddress { port_id: number(4)?, groups: number(8)? }))
    }

    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let Address::Netlink(address) = address else { return Err(Errno::AFNOSUPPORT.into()) };
        match purpose {
            Use::Bind(_) => {
                for group in (1..=32).filter(|group| address.groups >> (group - 1) & 1 == 1) {
                    judge_group(gate, kind.protocol, group)?;
                }
            }
            // Port 0 is the kernel. Every other port is a program on the host.
            Use::Connect | Use::Send(_) if (address.port_id, address.groups) != (0, 0) => {
                gate.decide(&Request::Netlink(NetlinkRequest::Other("to another program")))?;
            }
            Use::Connect | Use::Send(_) => {}
        }
        Ok(Destination::plain(encode(*address)))
    }

    fn judge_listen(_: &Gate, _: &Handle) -> CallResult<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn judge_contents(
        gate: &Gate,
        _: &Handle,
        kind: SocketKind,
        _: Option<&Address>,
        datagram: &[u8],
    ) -> CallResult<()> {
        match kind.protocol {
            NETLINK_ROUTE | NETLINK_GENERIC | NETLINK_SOCK_DIAG => {
                let families = Families::new();
                messages(datagram).try_for_each(|message| {
                    judge_message(gate, kind.protocol, &message?, &families)
                })
            }
            // How the kernel reads these protocols has not been reviewed.
            protocol => gate.decide(&Request::Netlink(NetlinkRequest::Other(&format!(
                "message of protocol {protocol}"
            )))),
        }
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let address = |port_id, groups| Address::Netlink(NetlinkAddress { port_id, groups });
        vec![address(0, 0), address(u32::MAX, 0x8000_0001)]
            .into_iter()
            .map(|address| (0, address))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn reads_are_the_gets_of_rtnetlink() {
        for kind in ROUTE_READS {
            // RTM_NEW, RTM_DEL, RTM_GET and RTM_SET follow each other from 16 on.
            assert!(kind >= 16 && kind % 4 == 2, "{kind}");
        }
    }

    #[test]
    fn the_families_of_this_kernel_have_the_control_family_among_them() {
        let families = generic_families(&dump_generic_families().expect("a dump"));
        let control =
            families.iter().find(|family| family.id == CONTROL_FAMILY).expect("the control family");
        assert_eq!(control.name, "nlctrl");
        assert_eq!(control.groups.len(), 1, "its group `notify`");
    }

    #[test]
    fn another_namespace_is_seen() {
        let mut body = vec![0; 16];
        assert!(!asks_elsewhere(&Message { kind: 18, body: &body }));
        body.extend([8, 0, 29, 0, 1, 0, 0, 0]);
        assert!(!asks_elsewhere(&Message { kind: 18, body: &body }));
        body.extend([8, 0, 46, 0, 1, 0, 0, 0]);
        assert!(asks_elsewhere(&Message { kind: 18, body: &body }));
        assert!(asks_elsewhere(&Message {
            kind: 22,
            body: &[0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 10, 0x80, 1, 0, 0, 0]
        }));
    }

    #[test]
    fn a_length_that_can_not_be_is_refused() {
        let mut bytes = message(18, &[0; 4]);
        let whole = bytes.clone();
        bytes.extend(message(16, &[0; 16]));
        for length in [0u32, 15, 1000, u32::MAX] {
            bytes[whole.len()..][..4].copy_from_slice(&length.to_ne_bytes());
            let read: Vec<_> = messages(&bytes).collect();
            assert_eq!(read, [Ok(Message { kind: 18, body: &[0; 4] }), Err(Errno::INVAL)]);
        }
    }

    proptest! {
        #[test]
        fn every_message_of_a_batch_is_seen(batch in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..10), tail in 0usize..16) {
            let mut bytes: Vec<u8> = batch.iter().flat_map(|(kind, body)| message(*kind, body)).collect();
            bytes.extend(vec![0xff; tail]);
            let read: Result<Vec<_>, _> = messages(&bytes).map(|message| message.map(|m| (m.kind, m.body.to_vec()))).collect();
            prop_assert_eq!(read, Ok(batch));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read: usize = messages(&bytes).map_while(Result::ok).map(|message| message.body.len() + HEADER).sum();
            prop_assert!(read <= bytes.len());
            let _ = generic_families(&bytes);
            prop_assert!(attributes(&bytes).map(|(_, value)| value.len() + 4).sum::<usize>() <= bytes.len());
        }
    }
}
