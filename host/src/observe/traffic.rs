//! The bytes that a call moved through a socket. Only this module knows which arguments and results
//! of `transfers` hold them.

use std::net::IpAddr;

use super::address::SocketAddress;
use super::value::{Bytes, Value};
use super::{Call, Socket};

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

/// One message, or a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// The first bytes, in pieces.
    pub(super) data: Vec<&'a [u8]>,
    /// The length of the whole.
    pub(super) length: usize,
    /// The address of the other end, if the call names it.
    pub(super) address: Option<&'a SocketAddress>,
    /// The own address, if a control message names it: IP_PKTINFO or IPV6_PKTINFO.
    pub(super) own: Option<IpAddr>,
    /// The size of the datagrams that the kernel cuts it into (UDP_SEGMENT), or that it was joined
    /// from (UDP_GRO). 0 if it is one datagram.
    pub(super) segment: usize,
    /// More bytes follow for the same datagram (MSG_MORE, UDP_CORK).
    pub(super) more: bool,
}

/// What a call moved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traffic<'a> {
    pub(super) socket: &'a Socket,
    pub(super) direction: Direction,
    pub(super) packets: Vec<Packet<'a>>,
    /// It ends with an urgent byte of a stream.
    pub(super) urgent: bool,
}

/// The functions that move bytes through a socket.
#[cfg(test)]
pub(super) const MOVES: &[&str] = &[
    "send",
    "send-to",
    "send-message",
    "send-batch",
    "send-file",
    "receive",
    "receive-from",
    "receive-message",
    "receive-batch",
];

const SOL_UDP: i32 = libc::IPPROTO_UDP;

/// linux/udp.h: UDP_MAX_SEGMENTS. The kernel makes no more datagrams of one message, and joins no
/// more to one.
const SEGMENTS: usize = 128;

/// Returns what a call moved. None if it moved nothing, or only peeked.
pub(super) fn of<'a>(call: &'a Call<'_>) -> Option<Traffic<'a>> {
    let socket = call.socket?;
    let result = call.result()?;
    let flags: i32 = call.argument("flags").and_then(Value::number).unwrap_or(0);
    let stream = socket.kind.is_some_and(|(_, type_, _)| type_ == libc::SOCK_STREAM);
    let (direction, packets) = match (call.interface, call.function) {
        ("files", "send-file") => {
            // The kernel took the bytes from the file. The host did not see them.
            (Direction::Sent, vec![Packet::unseen(result.number()?)])
        }
        ("transfers", "send" | "send-to") => {
            let data = vec![bytes(call.argument("data")?)?];
            (
                Direction::Sent,
                vec![sent(data, result.number()?, call.argument("address"), None, socket, flags)],
            )
        }
        ("transfers", "send-message") => {
            let data = list(call.argument("buffers")?).iter().filter_map(bytes).collect();
            let (address, control) = (call.argument("address"), call.argument("control"));
            (Direction::Sent, vec![sent(data, result.number()?, address, control, socket, flags)])
        }
        ("transfers", "send-batch") => {
            let mut data = bytes(call.argument("data")?)?.0;
            let messages = list(call.argument("messages")?).iter().take(result.number()?);
            let packets = messages.map(|message| {
                let length = message.field("length").and_then(Value::number).unwrap_or(0);
                let (own, rest) = data.split_at(data.len().min(length));
                data = rest;
                sent(
                    vec![(own, length)],
                    length,
                    message.field("address"),
                    message.field("control"),
                    socket,
                    flags,
                )
            });
            (Direction::Sent, packets.collect())
        }
        ("streams", "[method]output-stream.write" | "stream.write") => {
            let data = vec![bytes(call.argument("contents")?)?];
            (Direction::Sent, vec![sent(data, result.number()?, None, None, socket, flags)])
        }
        ("udp", "[method]outgoing-datagram-stream.send") => {
            let datagrams = list(call.argument("datagrams")?).iter().take(result.number()?);
            let packets = datagrams.filter_map(|datagram| {
                let (data, length) = bytes(datagram.field("data")?)?;
                let address = datagram.field("remote-address").and_then(address);
                Some(Packet { address, ..Packet::of(vec![data], length) })
            });
            (Direction::Sent, packets.collect())
        }
        ("udp", "[method]incoming-datagram-stream.receive") => {
            let packets = list(result).iter().filter_map(|datagram| {
                let from = datagram.field("remote-address");
                Some(received(datagram.field("data")?, None, from, None))
            });
            (Direction::Received, packets.collect())
        }
        ("types", "[method]udp-socket.send") => {
            let (data, length) = bytes(call.argument("data")?)?;
            let address = call.argument("remote-address").and_then(address);
            (Direction::Sent, vec![Packet { address, ..Packet::of(vec![data], length) }])
        }
        ("types", "[method]udp-socket.receive") => {
            let [data, from] = list(result) else { return None };
            (Direction::Received, vec![received(data, None, Some(from), None)])
        }
        ("streams", "[method]input-stream.read" | "stream.read") => {
            (Direction::Received, vec![received(result, None, None, None)])
        }
        // MSG_PEEK leaves the bytes there. MSG_ERRQUEUE returns what was sent before.
        ("transfers", _) if flags & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) != 0 => return None,
        // man 7 tcp: MSG_TRUNC discards the bytes. The call returns other bytes in their place.
        ("transfers", "receive" | "receive-from" | "receive-message")
            if flags & libc::MSG_TRUNC != 0 && is_tcp(socket) =>
        {
            let (_, count) = bytes(result.field("data").unwrap_or(result))?;
            let length = result.field("length").and_then(Value::number).unwrap_or(0);
            (Direction::Received, vec![Packet::unseen(length.max(count))])
        }
        ("transfers", "receive") => (Direction::Received, vec![received(result, None, None, None)]),
        ("transfers", "receive-from") => (
            Direction::Received,
            vec![received(result.field("data")?, None, result.field("address"), None)],
        ),
        ("transfers", "receive-message") => {
            // With MSG_TRUNC, this is the whole length of a message that was cut.
            let length = result.field("length").and_then(Value::number).filter(|_| !stream);
            let (address, control) = (result.field("address"), result.field("control"));
            (Direction::Received, vec![received(result.field("data")?, length, address, control)])
        }
        ("transfers", "receive-batch") => {
            let mut data = bytes(result.field("data")?)?.0;
            let packets = list(result.field("messages")?).iter().map(|message| {
                let length = message.field("length").and_then(Value::number).unwrap_or(0);
                let (own, rest) = data.split_at(data.len().min(length));
                data = rest;
                let (address, control) =
                    (message.field("address").and_then(address), message.field("control"));
                Packet {
                    address,
                    own: received_at(control),
                    segment: gro(control),
                    ..Packet::of(vec![own], length)
                }
            });
            (Direction::Received, packets.collect())
        }
        _ => return None,
    };
    Some(Traffic { socket, direction, packets, urgent: stream && flags & libc::MSG_OOB != 0 })
}

/// Returns the first bytes, and the whole length.
fn bytes(value: &Value) -> Option<(&[u8], usize)> {
    match value {
        Value::Bytes(Bytes { head, length }) => Some((head, *length)),
        _ => None,
    }
}

fn is_tcp(socket: &Socket) -> bool {
    socket.kind.is_some_and(|(family, type_, _)| {
        type_ == libc::SOCK_STREAM && matches!(family, libc::AF_INET | libc::AF_INET6)
    })
}

/// Returns whether the kernel may join the bytes of several sends to one datagram. It does so over
/// IP.
fn joins(socket: &Socket) -> bool {
    socket.kind.is_some_and(|(family, type_, _)| {
        type_ == libc::SOCK_DGRAM && matches!(family, libc::AF_INET | libc::AF_INET6)
    })
}

/// Returns the elements of a list that were copied.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => &list.head,
        _ => &[],
    }
}

fn address(value: &Value) -> Option<&SocketAddress> {
    match value {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

/// Returns a message of which the kernel took `count` bytes.
fn sent<'a>(
    data: Vec<(&'a [u8], usize)>,
    count: usize,
    to: Option<&'a Value>,
    control: Option<&'a Value>,
    socket: &Socket,
    flags: i32,
) -> Packet<'a> {
    let mut left = count;
    let mut pieces = Vec::new();
    for (head, length) in data {
        pieces.push(&head[..head.len().min(left)]);
        if head.len() < length.min(left) {
            // After a gap, the position of further bytes would be wrong.
            break;
        }
        left -= length.min(left);
    }
    let segment = match last(control, SOL_UDP, libc::UDP_SEGMENT) {
        // The end of a list that was cut is not known.
        _ if control.is_some_and(is_cut) => 0,
        Some(size) => segment(size),
        None => usize::from(socket.segment),
    };
    Packet {
        address: to.and_then(address),
        own: sent_from(control),
        segment,
        more: joins(socket) && (socket.corked || flags & libc::MSG_MORE != 0),
        ..Packet::of(pieces, count)
    }
}

fn received<'a>(
    data: &'a Value,
    length: Option<usize>,
    from: Option<&'a Value>,
    control: Option<&'a Value>,
) -> Packet<'a> {
    let (head, count) = bytes(data).unwrap_or((&[], 0));
    let length = length.map_or(count, |length| length.max(count));
    Packet {
        address: from.and_then(address),
        own: received_at(control),
        segment: gro(control),
        ..Packet::of(vec![head], length)
    }
}

fn gro(control: Option<&Value>) -> usize {
    last(control, SOL_UDP, libc::UDP_GRO).map_or(0, segment)
}

fn is_cut(value: &Value) -> bool {
    matches!(value, Value::List(list) if list.is_cut())
}

/// Returns the data of the last control message of this kind. If there are several, the kernel uses
/// the last one (man 7 udp, ip, ipv6).
fn last(control: Option<&Value>, level: i32, kind: i32) -> Option<&[u8]> {
    list(control?).iter().rev().find_map(|message| {
        let message = message.field("message").unwrap_or(message);
        let own: (i32, i32) = (message.field("level")?.number()?, message.field("type")?.number()?);
        if own == (level, kind) { Some(bytes(message.field("data")?)?.0) } else { None }
    })
}

/// Reads the size of the segments from a control message of UDP. It has two bytes for sending, and
/// four for receiving.
fn segment(data: &[u8]) -> usize {
    match data {
        [a, b] => usize::from(u16::from_ne_bytes([*a, *b])),
        [a, b, c, d, ..] => usize::try_from(i32::from_ne_bytes([*a, *b, *c, *d])).unwrap_or(0),
        _ => 0,
    }
}

/// man 7 ip: `struct in_pktinfo` has an interface's index, the local address, and the address in
/// the packet's header. man 7 ipv6: `struct in6_pktinfo` begins with the address.
const IPV4_LOCAL: usize = 4;
const IPV4_HEADER: usize = 8;

/// Returns the source that a control message sets.
fn sent_from(control: Option<&Value>) -> Option<IpAddr> {
    packet_info(control, IPV4_LOCAL)
}

/// Returns the address to which a packet was sent, if a control message has it.
fn received_at(control: Option<&Value>) -> Option<IpAddr> {
    packet_info(control, IPV4_HEADER)
}

fn packet_info(control: Option<&Value>, at: usize) -> Option<IpAddr> {
    let v4 = || {
        let octets: [u8; 4] =
            last(control, libc::IPPROTO_IP, libc::IP_PKTINFO)?.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(octets))
    };
    let v6 = || {
        let octets: [u8; 16] =
            last(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?.get(..16)?.try_into().ok()?;
        Some(IpAddr::from(octets).to_canonical())
    };
    v4().or_else(v6).filter(|address| !address.is_unspecified())
}

impl<'a> Packet<'a> {
    fn of(data: Vec<&'a [u8]>, length: usize) -> Self {
        Self { data, length, address: None, own: None, segment: 0, more: false }
    }

    /// A packet whose bytes the host did not see.
    fn unseen(length: usize) -> Self {
        Self::of(Vec::new(), length)
    }

    /// Returns the number of datagrams on the wire.
    pub(super) fn count(&self) -> usize {
        match self.length.checked_div(self.segment) {
            Some(_) if self.length.div_ceil(self.segment) <= SEGMENTS => {
                self.length.div_ceil(self.segment).max(1)
            }
            // The kernel does not cut a message of more datagrams.
            _ => 1,
        }
    }

    /// Returns the datagrams on the wire, each as its first bytes and its length.
    pub(super) fn datagrams(&self) -> Vec<(Vec<u8>, usize)> {
        let data = self.data.concat();
        if self.count() == 1 {
            return vec![(data, self.length)];
        }
        pieces(&data, self.length, self.segment)
            .map(|(kept, length)| (kept.to_vec(), length))
            .collect()
    }
}

/// Cuts `length` bytes, of which only the first are known, into pieces. Returns the known bytes of
/// each piece, and its length.
pub(super) fn pieces(
    data: &[u8],
    length: usize,
    piece: usize,
) -> impl Iterator<Item = (&[u8], usize)> {
    (0..length).step_by(piece).map(move |start| {
        let own = piece.min(length - start);
        (data.get(start..data.len().min(start + own)).unwrap_or_default(), own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transfer_is_known() {
        // A function that moves bytes has a wait. The others only compute.
        let contract = super::super::raw_layer();
        let moving = contract.iter().filter(|((interface, name), parameters)| {
            (interface == "transfers" || name == "send-file")
                && parameters.iter().any(|name| name == "wait")
        });
        let mut names: Vec<_> = moving.map(|((_, name), _)| name.as_str()).collect();
        let mut known = MOVES.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn a_segmented_packet_is_many_datagrams() {
        let packet = |data, length| Packet { segment: 2, ..Packet::of(data, length) };
        let whole = packet(vec![&b"aabb"[..], b"c"], 5);
        assert_eq!(
            whole.datagrams(),
            [(b"aa".to_vec(), 2), (b"bb".to_vec(), 2), (b"c".to_vec(), 1)]
        );
        let cut = packet(vec![b"aab"], 5);
        assert_eq!(cut.datagrams(), [(b"aa".to_vec(), 2), (b"b".to_vec(), 2), (Vec::new(), 1)]);
        assert_eq!(packet(vec![], 0).datagrams(), [(Vec::new(), 0)]);
        // The kernel makes at most 128 datagrams of one message.
        assert_eq!(
            (
                packet(vec![], 256).count(),
                packet(vec![], 257).count(),
                packet(vec![], 60_000).datagrams().len()
            ),
            (128, 1, 1)
        );
    }

    fn control(messages: &[(i32, i32, &[u8])], length: usize) -> Value {
        let message = |(level, kind, data): &(i32, i32, &[u8])| {
            let data = Value::Bytes(Bytes { head: data.to_vec(), length: data.len() });
            let fields = [
                ("level", Value::Integer((*level).into())),
                ("type", Value::Integer((*kind).into())),
                ("data", data),
            ];
            Value::Record(fields.into())
        };
        Value::List(super::super::List { head: messages.iter().map(message).collect(), length })
    }

    #[test]
    fn control_messages_are_read_as_the_kernel_reads_them() {
        let send = |control: &Value| {
            let packet = sent(
                vec![(b"abcd", 4)],
                4,
                None,
                Some(control),
                &Socket { segment: 3, ..Socket::default() },
                0,
            );
            (packet.segment, packet.own)
        };
        let size = |size: u16| size.to_ne_bytes();
        fn udp(data: &[u8]) -> (i32, i32, &[u8]) {
            (libc::IPPROTO_UDP, libc::UDP_SEGMENT, data)
        }
        assert_eq!(send(&control(&[udp(&size(1)), udp(&size(1400))], 2)).0, 1400);
        assert_eq!(
            send(&control(
                &[udp(&size(1400)), (libc::IPPROTO_UDP, 999, &size(2)), udp(&size(0))],
                3
            ))
            .0,
            0
        );
        assert_eq!(send(&control(&[], 0)).0, 3);
        // A later message may have another size.
        assert_eq!(send(&control(&[udp(&size(1))], 2)).0, 0);
        let info: [u8; 12] = [0, 0, 0, 0, 127, 0, 0, 2, 127, 0, 0, 3];
        let messages = control(&[(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)], 1);
        assert_eq!(send(&messages).1, Some("127.0.0.2".parse().unwrap()));
        assert_eq!(received_at(Some(&messages)), Some("127.0.0.3".parse().unwrap()));
        assert_eq!(
            gro(Some(&control(&[(libc::IPPROTO_UDP, libc::UDP_GRO, &1400i32.to_ne_bytes())], 1))),
            1400
        );
    }

    #[test]
    fn corked_pieces_are_marked() {
        let piece = |type_, corked, flags| {
            let socket =
                Socket { corked, kind: Some((libc::AF_INET, type_, 0)), ..Socket::default() };
            sent(vec![(b"a", 1)], 1, None, None, &socket, flags).more
        };
        let datagram = |corked, flags| piece(libc::SOCK_DGRAM, corked, flags);
        assert!(
            datagram(true, 0)
                && datagram(false, libc::MSG_MORE)
                && !datagram(false, libc::MSG_DONTWAIT)
        );
        assert!(!piece(libc::SOCK_STREAM, false, libc::MSG_MORE));
    }

    #[test]
    fn partial_sends_end_where_the_kernel_stopped() {
        let packet = sent(vec![(b"abc", 3), (b"def", 3)], 4, None, None, &Socket::default(), 0);
        assert_eq!((packet.data, packet.length), (vec![&b"abc"[..], b"d"], 4));
        let capped = sent(vec![(b"ab", 9), (b"def", 3)], 12, None, None, &Socket::default(), 0);
        assert_eq!((capped.data, capped.length), (vec![&b"ab"[..]], 12));
    }
}
