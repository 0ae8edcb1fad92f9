//! What a call moved through a socket: the one place that knows where a function of `transfers` has its bytes.

use super::value::{Bytes, SocketAddress, Value};
use super::{Call, Socket};

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

/// One message, or a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// The first of its bytes, in pieces.
    pub(super) data: Vec<&'a [u8]>,
    /// How many bytes it has.
    pub(super) length: usize,
    /// The other end, where the call names it.
    pub(super) address: Option<&'a SocketAddress>,
    /// The kernel cuts it into datagrams of so many bytes (UDP_SEGMENT), or made it of such ones (UDP_GRO); 0 is one datagram.
    pub(super) segment: usize,
}

/// What a call moved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traffic<'a> {
    pub(super) socket: &'a Socket,
    pub(super) direction: Direction,
    pub(super) packets: Vec<Packet<'a>>,
    /// A stream's byte out of the line.
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

/// What a call moved; none where it moved nothing, or only looked at it.
pub(super) fn of<'a>(call: &'a Call<'_>) -> Option<Traffic<'a>> {
    let socket = call.socket?;
    let result = call.result()?;
    let flags: i32 = call.argument("flags").and_then(Value::number).unwrap_or(0);
    let stream = socket.kind.is_some_and(|(_, type_, _)| type_ == libc::SOCK_STREAM);
    let (direction, packets) = match (call.interface, call.function) {
        ("files", "send-file") => {
            // The kernel took them from the file: nobody has seen them here.
            (Direction::Sent, vec![Packet { data: Vec::new(), length: result.number()?, address: None, segment: 0 }])
        }
        ("transfers", "send" | "send-to") => {
            let data = vec![bytes(call.argument("data")?)?];
            (Direction::Sent, vec![sent(data, result.number()?, call.argument("address"), None, socket)])
        }
        ("transfers", "send-message") => {
            let data = list(call.argument("buffers")?).iter().filter_map(bytes).collect();
            let (address, control) = (call.argument("address"), call.argument("control"));
            (Direction::Sent, vec![sent(data, result.number()?, address, control, socket)])
        }
        ("transfers", "send-batch") => {
            let mut data = bytes(call.argument("data")?)?.0;
            let messages = list(call.argument("messages")?).iter().take(result.number()?);
            let packets = messages.map(|message| {
                let length = message.field("length").and_then(Value::number).unwrap_or(0);
                let (own, rest) = data.split_at(data.len().min(length));
                data = rest;
                sent(vec![(own, length)], length, message.field("address"), message.field("control"), socket)
            });
            (Direction::Sent, packets.collect())
        }
        // They look at bytes that stay, or at what was sent before.
        ("transfers", _) if flags & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) != 0 => return None,
        ("transfers", "receive") => (Direction::Received, vec![received(result, None, None, None)]),
        ("transfers", "receive-from") => {
            (Direction::Received, vec![received(result.field("data")?, None, result.field("address"), None)])
        }
        ("transfers", "receive-message") => {
            // Of a message that was cut this is the whole length, if it was asked for.
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
                let (address, segment) = (message.field("address").and_then(address), gro(message.field("control")));
                Packet { data: vec![own], length, address, segment }
            });
            (Direction::Received, packets.collect())
        }
        _ => return None,
    };
    Some(Traffic { socket, direction, packets, urgent: stream && flags & libc::MSG_OOB != 0 })
}

/// The first bytes, and how many there are.
fn bytes(value: &Value) -> Option<(&[u8], usize)> {
    match value {
        Value::Bytes(Bytes { head, length }) => Some((head, *length)),
        _ => None,
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => list,
        _ => &[],
    }
}

fn address(value: &Value) -> Option<&SocketAddress> {
    match value {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

/// A message of which the kernel took `count` bytes.
fn sent<'a>(
    data: Vec<(&'a [u8], usize)>,
    count: usize,
    to: Option<&'a Value>,
    control: Option<&'a Value>,
    socket: &Socket,
) -> Packet<'a> {
    let mut left = count;
    let mut pieces = Vec::new();
    for (head, length) in data {
        pieces.push(&head[..head.len().min(left)]);
        if head.len() < length.min(left) {
            // What comes after a gap has no place.
            break;
        }
        left -= length.min(left);
    }
    let segment = segment(control, libc::UDP_SEGMENT).unwrap_or(usize::from(socket.segment));
    Packet { data: pieces, length: count, address: to.and_then(address), segment }
}

fn received<'a>(data: &'a Value, length: Option<usize>, from: Option<&'a Value>, control: Option<&'a Value>) -> Packet<'a> {
    let (head, count) = bytes(data).unwrap_or((&[], 0));
    let length = length.map_or(count, |length| length.max(count));
    Packet { data: vec![head], length, address: from.and_then(address), segment: gro(control) }
}

fn gro(control: Option<&Value>) -> usize {
    segment(control, libc::UDP_GRO).unwrap_or(0)
}

/// The size of the segments in a control message of UDP: two bytes out, four bytes in.
fn segment(control: Option<&Value>, kind: i32) -> Option<usize> {
    list(control?).iter().find_map(|message| {
        let message = message.field("message").unwrap_or(message);
        let level: i32 = message.field("level")?.number()?;
        let type_: i32 = message.field("type")?.number()?;
        let (data, _) = bytes(message.field("data")?)?;
        let size = u16::from_ne_bytes(data.get(..2)?.try_into().ok()?);
        ((level, type_) == (SOL_UDP, kind)).then_some(usize::from(size))
    })
}

impl<'a> Packet<'a> {
    /// The datagrams that it is on the wire: the first bytes of each, and its length.
    pub(super) fn datagrams(&self) -> Vec<(Vec<u8>, usize)> {
        let data = self.data.concat();
        if self.segment == 0 || self.length <= self.segment {
            return vec![(data, self.length)];
        }
        pieces(&data, self.length, self.segment).map(|(kept, length)| (kept.to_vec(), length)).collect()
    }
}

/// Cuts `length` bytes, of which only the first are known, into pieces: what is known of each, and its length.
pub(super) fn pieces(data: &[u8], length: usize, piece: usize) -> impl Iterator<Item = (&[u8], usize)> {
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
        // One that moves bytes has a wait; the others only compute.
        let contract = super::super::raw_layer();
        let moving = contract.iter().filter(|((interface, name), parameters)| {
            (interface == "transfers" || name == "send-file") && parameters.iter().any(|name| name == "wait")
        });
        let mut names: Vec<_> = moving.map(|((_, name), _)| name.as_str()).collect();
        let mut known = MOVES.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn a_segmented_packet_is_many_datagrams() {
        let packet = Packet { data: vec![b"aabb", b"c"], length: 5, address: None, segment: 2 };
        assert_eq!(packet.datagrams(), [(b"aa".to_vec(), 2), (b"bb".to_vec(), 2), (b"c".to_vec(), 1)]);
        let cut = Packet { data: vec![b"aab"], length: 5, address: None, segment: 2 };
        assert_eq!(cut.datagrams(), [(b"aa".to_vec(), 2), (b"b".to_vec(), 2), (Vec::new(), 1)]);
        let empty = Packet { data: vec![], length: 0, address: None, segment: 2 };
        assert_eq!(empty.datagrams(), [(Vec::new(), 0)]);
    }

    #[test]
    fn partial_sends_end_where_the_kernel_stopped() {
        let packet = sent(vec![(b"abc", 3), (b"def", 3)], 4, None, None, &Socket::default());
        assert_eq!((packet.data, packet.length), (vec![&b"abc"[..], b"d"], 4));
        let capped = sent(vec![(b"ab", 9), (b"def", 3)], 12, None, None, &Socket::default());
        assert_eq!((capped.data, capped.length), (vec![&b"ab"[..]], 12));
    }
}
