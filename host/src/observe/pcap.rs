//! `--pcap`, which writes what a guest sent and received as a pcapng file
//! (draft-ietf-opsawg-pcapng) that Wireshark opens.
//!
//! The host sees calls and no packets. For TCP and UDP over IP, the capture has the packets that
//! would have carried the data, with the real addresses. A TCP connection has its handshake, an
//! acknowledgement for each segment, and FIN or RST. Each datagram is one packet. Retransmissions,
//! real segments and windows are below the calls, and not known here. Everything else, such as UNIX
//! sockets, is written as Wireshark's "exported PDU", with both addresses in the packet's comment.
//!
//! Each instance has a state of its own, so no instance waits while packets for another are made. A
//! thread writes the packets. The packets of a call have no more bytes than it moved, so the
//! kernel's limits of a datagram hold here too.
//!
//! The file is not split further, because every part works on the state of one socket.

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};

use super::address::SocketAddress;
use super::pcapng::{At, IP, PDU, enhanced_packet, exported_pdu, file_header, statistics};
use super::traffic::{self, Direction, Packet, Traffic, pieces};
use super::value::Value;
use super::writer::Writer;
use super::{Call, CallError, Interest, Observer, Socket, names};

/// The most data in one segment. It is that of loopback, whose packets have 64 KiB.
const SEGMENT: usize = 65_483;
/// The longest packet that Wireshark reads.
const PACKET: usize = 256 * 1024 - 1024;
/// The number of sources of wildcard sockets that are remembered for an instance.
const SOURCES: usize = 64;
/// The most bytes of incomplete datagrams that are kept for an instance. Of further bytes, only the
/// length is kept.
const CORKED: usize = 1 << 20;

/// Writes a pcapng file. If packets come faster than they can be written, an interface's statistics
/// have the number of calls that are missing (`isb_ifdrop`).
pub struct Pcap {
    writer: Writer,
    instances: Mutex<HashMap<u64, Arc<Mutex<Capture>>>>,
}

impl Pcap {
    /// Writes to `to`, on a thread of its own. [`super::create`] makes a file that only its owner
    /// can read.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let writer = Writer::new("capture", to, statistics);
        writer.put(0, file_header());
        Self { writer, instances: Mutex::default() }
    }

    /// Sets whether a guest waits if packets come faster than they can be written. Then none is
    /// lost, as long as the output takes any. Use it only for a guest with a thread of its own.
    #[must_use]
    pub fn lossless(mut self, lossless: bool) -> Self {
        self.writer.set_lossless(lossless);
        self
    }

    fn instances(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Capture>>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, instance: u64, write: impl FnOnce(&mut Capture)) {
        let own = Arc::clone(self.instances().entry(instance).or_default());
        let out = {
            let capture = &mut *own.lock().unwrap_or_else(PoisonError::into_inner);
            write(capture);
            std::mem::take(&mut capture.out)
        };
        self.writer.put(instance, out);
    }
}

impl Observer for Pcap {
    fn interest(&self) -> Interest {
        Interest { calls: true, bytes: usize::MAX, addresses: true }
    }

    fn called(&self, call: &Call<'_>) {
        self.capture(call.instance, |capture| capture.call(call));
    }

    fn closed(&self, instance: u64, socket: &Socket, last: bool) {
        if last {
            self.capture(instance, |capture| {
                // The kernel drops an incomplete datagram.
                capture.uncork(socket.description);
                if let Some(mut connection) = capture.connections.remove(&socket.description) {
                    connection.finish(Direction::Sent, SystemTime::now(), &mut capture.out);
                }
            });
        }
    }

    fn ended(&self, instance: u64) {
        self.instances().remove(&instance);
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

/// The state of an instance.
#[derive(Default)]
struct Capture {
    /// The blocks of the current call.
    out: Vec<u8>,
    /// TCP connections, by open file description.
    connections: HashMap<u64, Connection>,
    /// Datagrams that are not complete yet, by open file description.
    corked: HashMap<u64, Corked>,
    /// The number of bytes that are kept in `corked`.
    kept: usize,
    /// By destination, the address from which a wildcard socket sends.
    sources: HashMap<IpAddr, IpAddr>,
}

/// A datagram that is not complete.
struct Corked {
    data: Vec<u8>,
    length: usize,
    /// The destination and the own address. The first piece names them.
    address: Option<SocketAddress>,
    own: Option<IpAddr>,
    segment: usize,
}

/// The state of a TCP connection in the capture.
struct Connection {
    local: SocketAddr,
    peer: SocketAddr,
    /// The next sequence number of each side, by [`Direction`].
    next: [u32; 2],
    ended: [bool; 2],
    state: Handshake,
}

#[derive(PartialEq, Eq)]
enum Handshake {
    /// connect(2) began at this time.
    Begun(SystemTime),
    Done,
    /// A reset is the end. No segment follows it.
    Reset,
}

/// The flags of a segment.
#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    ack: bool,
    push: bool,
    fin: bool,
    reset: bool,
    urgent: bool,
}

/// No bytes.
const EMPTY: (&[u8], usize) = (&[], 0);

const ACK: Flags =
    Flags { syn: false, ack: true, push: false, fin: false, reset: false, urgent: false };

impl Connection {
    fn new(local: SocketAddr, peer: SocketAddr, state: Handshake) -> Self {
        // Any numbers will do, as long as the two sides differ.
        Self { local, peer, next: [0x1000_0000, 0x2000_0000], ended: [false; 2], state }
    }

    /// Writes one segment with `length` bytes, of which the first are known.
    fn segment(
        &mut self,
        from: Direction,
        flags: Flags,
        (data, length): (&[u8], usize),
        at: At<'_>,
        out: &mut Vec<u8>,
    ) {
        let (source, destination) = match from {
            Direction::Sent => (self.local, self.peer),
            Direction::Received => (self.peer, self.local),
        };
        let Some(ip) = ip_packet(source.ip(), destination.ip()) else { return };
        let (own, other) = (self.next[from as usize], self.next[1 - from as usize]);
        let mut tcp = ip.tcp(source.port(), destination.port(), own, u16::MAX);
        if flags.syn {
            tcp = tcp.syn();
        }
        if flags.ack {
            tcp = tcp.ack(other);
        }
        if flags.push {
            tcp = tcp.psh();
        }
        if flags.fin {
            tcp = tcp.fin();
        }
        if flags.reset {
            tcp = tcp.rst();
        }
        if flags.urgent {
            tcp = tcp.urg(u16::try_from(length).unwrap_or(u16::MAX));
        }
        let written =
            with_payload((data, length), |packet, payload| tcp.write(packet, payload).is_ok());
        if let Some((packet, whole)) = written {
            enhanced_packet(out, IP, (&packet, whole), Some(from), at);
            let taken = length as u32 + u32::from(flags.syn) + u32::from(flags.fin);
            self.next[from as usize] = own.wrapping_add(taken);
        }
    }

    fn handshake(&mut self, from: Direction, begun: SystemTime, at: At<'_>, out: &mut Vec<u8>) {
        self.segment(
            from,
            Flags { syn: true, ..Flags::default() },
            EMPTY,
            At { time: begun, ..at },
            out,
        );
        self.segment(from.other(), Flags { syn: true, ..ACK }, EMPTY, At::plain(at.time), out);
        self.segment(from, ACK, EMPTY, At::plain(at.time), out);
        self.state = Handshake::Done;
    }

    /// Writes bytes of the stream, and their acknowledgement.
    fn data(
        &mut self,
        from: Direction,
        (data, length): (&[u8], usize),
        urgent: bool,
        time: SystemTime,
        out: &mut Vec<u8>,
    ) {
        if self.state == Handshake::Reset {
            return;
        }
        let mut left = length;
        for piece in pieces(data, length, SEGMENT) {
            left -= piece.1;
            let last = left == 0;
            if piece.0.is_empty() && left + piece.1 < length {
                // One packet is enough for bytes that the host has not seen. The following ones are
                // left out.
                self.next[from as usize] =
                    self.next[from as usize].wrapping_add((left + piece.1) as u32);
                return;
            }
            self.segment(
                from,
                Flags { push: last, urgent: urgent && last, ..ACK },
                piece,
                At::plain(time),
                out,
            );
            self.segment(from.other(), ACK, EMPTY, At::plain(time), out);
        }
    }

    /// Writes the FIN of one side.
    fn finish(&mut self, from: Direction, time: SystemTime, out: &mut Vec<u8>) {
        if self.state == Handshake::Done && !std::mem::replace(&mut self.ended[from as usize], true)
        {
            self.segment(from, Flags { fin: true, ..ACK }, EMPTY, At::plain(time), out);
            self.segment(from.other(), ACK, EMPTY, At::plain(time), out);
        }
    }

    fn reset(&mut self, from: Direction, time: SystemTime, out: &mut Vec<u8>) {
        if self.state != Handshake::Reset {
            self.segment(from, Flags { reset: true, ..ACK }, EMPTY, At::plain(time), out);
            self.state = Handshake::Reset;
        }
    }
}

impl Direction {
    fn other(self) -> Self {
        match self {
            Self::Sent => Self::Received,
            Self::Received => Self::Sent,
        }
    }
}

impl Capture {
    fn call(&mut self, call: &Call<'_>) {
        let Some(socket) = call.socket_after.or(call.socket) else { return };
        let time = call.time + call.took;
        let traffic = traffic::of(call);
        match transport(socket) {
            Some(Transport::Tcp) => self.tcp(call, socket, traffic, time),
            Some(Transport::Udp) => {
                let comment = format!("instance {}, descriptor {}", call.instance, socket.number);
                self.udp(call, socket, traffic, At { time, comment: &comment });
            }
            None => {
                if let Some(traffic) = traffic {
                    self.other(call.instance, socket, &traffic, time);
                }
            }
        }
    }

    fn tcp(
        &mut self,
        call: &Call<'_>,
        socket: &Socket,
        traffic: Option<Traffic<'_>>,
        time: SystemTime,
    ) {
        let key = socket.description;
        let comment = format!("instance {}, descriptor {}", call.instance, socket.number);
        match (call.interface, call.function) {
            ("connections", "connect")
            | ("tcp", "[method]tcp-socket.start-connect" | "[method]tcp-socket.finish-connect") => {
                self.connect(call, socket, &comment, time);
            }
            ("connections", "accept") | ("tcp", "[method]tcp-socket.accept") => {
                if let Some(made) = call.made
                    && let Some((local, peer)) = self.ends(made, None, None)
                {
                    let mut connection = Connection::new(local, peer, Handshake::Done);
                    let comment = format!("instance {}, descriptor {}", call.instance, made.number);
                    connection.handshake(
                        Direction::Received,
                        time,
                        At { time, comment: &comment },
                        &mut self.out,
                    );
                    self.connections.insert(made.description, connection);
                }
                return;
            }
            _ => {}
        }
        let named = call.argument("address").and_then(address);
        if !self.connections.contains_key(&key) {
            // MSG_FASTOPEN connects with the first bytes. A socket that was inherited or received
            // is connected already.
            let moved = traffic
                .as_ref()
                .is_some_and(|traffic| traffic.packets.iter().any(|packet| packet.length > 0));
            let fast = moved.then_some(named).flatten();
            if !moved && socket.peer.is_none() {
                return;
            }
            let Some((local, peer)) = self.ends(socket, fast, None) else { return };
            let mut connection = Connection::new(local, peer, Handshake::Done);
            if fast.is_some() {
                connection.handshake(
                    Direction::Sent,
                    call.time,
                    At { time, comment: &comment },
                    &mut self.out,
                );
            }
            self.connections.insert(key, connection);
        }
        let ends = self.ends(socket, None, None);
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if let Handshake::Begun(begun) = connection.state {
            let Some(ends) = ends else {
                if is_reset(call.error()) {
                    self.connections.remove(&key);
                }
                return;
            };
            (connection.local, connection.peer) = ends;
            connection.handshake(
                Direction::Sent,
                begun,
                At { time, comment: &comment },
                &mut self.out,
            );
        }
        if let Some(traffic) = &traffic {
            for packet in &traffic.packets {
                let data = packet.data.concat();
                let bytes = (&*data, packet.length);
                connection.data(traffic.direction, bytes, traffic.urgent, time, &mut self.out);
                let asked = call.argument("length").or_else(|| call.argument("len"));
                let asked = asked.and_then(Value::number).unwrap_or(0u64);
                if traffic.direction == Direction::Received && packet.length == 0 && asked > 0 {
                    connection.finish(Direction::Received, time, &mut self.out);
                }
            }
        }
        let shuts = matches!(call.function, "shutdown" | "[method]tcp-socket.shutdown");
        if shuts && call.result().is_some() {
            let how = call.argument("how").or_else(|| call.argument("shutdown-type"));
            let how: Option<i32> = how.and_then(Value::number);
            if matches!(how, Some(libc::SHUT_WR | libc::SHUT_RDWR)) {
                connection.finish(Direction::Sent, time, &mut self.out);
            }
        }
        if is_reset(call.error()) && matches!(call.interface, "transfers" | "files" | "streams") {
            connection.reset(Direction::Received, time, &mut self.out);
        }
    }

    fn connect(&mut self, call: &Call<'_>, socket: &Socket, comment: &str, time: SystemTime) {
        let key = socket.description;
        let to = call.argument("address").or_else(|| call.argument("remote-address"));
        let to = to.and_then(address);
        // `wasi:sockets` begins a connect, and ends it in another call.
        let begins = call.function.ends_with("start-connect");
        let ends = call.function.ends_with("finish-connect");
        if to.is_none() && !ends && call.result().is_some() {
            // man 2 connect: AF_UNSPEC dissolves the association.
            if let Some(mut connection) = self.connections.remove(&key) {
                connection.reset(Direction::Sent, time, &mut self.out);
            }
            return;
        }
        let mut connection = match (self.connections.remove(&key), self.ends(socket, to, None)) {
            // A second connect asks how the first one ended.
            (Some(known), _) if matches!(known.state, Handshake::Begun(_)) => known,
            (_, Some((local, peer))) => Connection::new(local, peer, Handshake::Begun(call.time)),
            (_, None) => return,
        };
        let Handshake::Begun(begun) = connection.state else { return };
        match call.error() {
            None if begins => {
                self.connections.insert(key, connection);
            }
            None if call.result().is_some() => {
                connection.handshake(Direction::Sent, begun, At { time, comment }, &mut self.out);
                self.connections.insert(key, connection);
            }
            Some(
                CallError::Os(libc::EINPROGRESS | libc::EALREADY | libc::EINTR | libc::EAGAIN)
                | CallError::Code("would-block"),
            ) => {
                self.connections.insert(key, connection);
            }
            Some(CallError::Os(number))
                if matches!(*number, libc::ECONNREFUSED | libc::ETIMEDOUT | libc::EHOSTUNREACH) =>
            {
                let syn = Flags { syn: true, ..Flags::default() };
                connection.segment(
                    Direction::Sent,
                    syn,
                    EMPTY,
                    At { time: begun, comment },
                    &mut self.out,
                );
                if *number == libc::ECONNREFUSED {
                    connection.reset(Direction::Received, time, &mut self.out);
                }
            }
            // The call sent nothing.
            _ => {}
        }
    }

    fn udp(&mut self, call: &Call<'_>, socket: &Socket, traffic: Option<Traffic<'_>>, at: At<'_>) {
        let key = socket.description;
        let sends = call.interface == "transfers" && call.function.starts_with("send");
        if sends && call.error().is_some_and(|failure| *failure != CallError::Os(libc::EAGAIN)) {
            // man 7 udp: a send that fails drops the incomplete datagram.
            self.uncork(key);
        }
        let Some(traffic) = traffic else {
            let number = |name| call.argument(name).and_then(Value::number::<i32>);
            let option = (number("level"), number("name"))
                == (Some(libc::IPPROTO_UDP), Some(libc::UDP_CORK));
            if option && call.function == "set-option" && call.result().is_some() && !socket.corked
            {
                self.complete(socket, at);
            }
            return;
        };
        for packet in traffic.packets {
            if traffic.direction == Direction::Sent
                && (packet.more || self.corked.contains_key(&key))
            {
                let more = packet.more;
                self.cork(key, packet);
                if !more {
                    self.complete(socket, at);
                }
            } else {
                self.datagrams(socket, traffic.direction, &packet, at);
            }
        }
    }

    /// Adds bytes to an incomplete datagram. Its first piece has its destination.
    fn cork(&mut self, key: u64, packet: Packet<'_>) {
        let corked = self.corked.entry(key).or_insert_with(|| Corked {
            data: Vec::new(),
            length: 0,
            address: packet.address.cloned(),
            own: packet.own,
            segment: packet.segment,
        });
        // After a gap, the position of further bytes in `data` would be wrong.
        let whole = corked.data.len() == corked.length;
        corked.length += packet.length;
        for data in packet.data.iter().filter(|_| whole) {
            let room = data.len().min(CORKED - self.kept);
            corked.data.extend_from_slice(&data[..room]);
            self.kept += room;
            if room < data.len() {
                break;
            }
        }
    }

    /// Takes out an incomplete datagram.
    fn uncork(&mut self, key: u64) -> Option<Corked> {
        let corked = self.corked.remove(&key)?;
        self.kept -= corked.data.len();
        Some(corked)
    }

    /// Writes a datagram that is complete now.
    fn complete(&mut self, socket: &Socket, at: At<'_>) {
        let Some(corked) = self.uncork(socket.description) else { return };
        let packet = Packet {
            data: vec![&corked.data],
            length: corked.length,
            address: corked.address.as_ref(),
            own: corked.own,
            segment: corked.segment,
            more: false,
        };
        self.datagrams(socket, Direction::Sent, &packet, at);
    }

    fn datagrams(
        &mut self,
        socket: &Socket,
        direction: Direction,
        packet: &Packet<'_>,
        at: At<'_>,
    ) {
        let named = packet
            .address
            .and_then(|address| if let SocketAddress::Ip(ip) = address { Some(*ip) } else { None });
        let Some((local, peer)) = self.ends(socket, named, packet.own) else { return };
        let (source, destination) =
            if direction == Direction::Sent { (local, peer) } else { (peer, local) };
        for (data, length) in packet.datagrams() {
            let Some(ip) = ip_packet(source.ip(), destination.ip()) else { return };
            let udp = ip.udp(source.port(), destination.port());
            if let Some((packet, whole)) =
                with_payload((&data, length), |packet, payload| udp.write(packet, payload).is_ok())
            {
                enhanced_packet(&mut self.out, IP, (&packet, whole), Some(direction), at);
            }
        }
    }

    /// Writes data of any other socket as Wireshark's exported PDU, which is shown as plain data.
    fn other(&mut self, instance: u64, socket: &Socket, traffic: &Traffic<'_>, time: SystemTime) {
        let Some((family, type_, protocol)) = socket.kind else { return };
        let (family, type_) =
            (names::family(i128::from(family)), names::socket_type(i128::from(type_)));
        for packet in &traffic.packets {
            if packet.length == 0 && type_ == "SOCK_STREAM" {
                continue;
            }
            let end = |address: Option<&SocketAddress>| {
                address.map_or_else(|| "-".to_owned(), ToString::to_string)
            };
            let (local, peer) =
                (end(socket.local.as_ref()), end(packet.address.or(socket.peer.as_ref())));
            let way = if traffic.direction == Direction::Sent { "sent" } else { "received" };
            let comment = format!(
                "instance {instance}, descriptor {}: {family} {type_} {protocol}, {way}, local {local}, peer {peer}",
                socket.number
            );
            let data = packet.data.concat();
            let mut pdu = exported_pdu(&family);
            let header = pdu.len();
            pdu.extend_from_slice(&data[..data.len().min(PACKET)]);
            let at = At { time, comment: &comment };
            enhanced_packet(
                &mut self.out,
                PDU,
                (&pdu, header + packet.length),
                Some(traffic.direction),
                at,
            );
        }
    }

    /// Returns the addresses of both ends, in one family. The own address is that of the message,
    /// or the socket's. If that is a wildcard, it is the route's. The other address is `named`, or
    /// the peer's.
    fn ends(
        &mut self,
        socket: &Socket,
        named: Option<SocketAddr>,
        own: Option<IpAddr>,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let ip = |address: &Option<SocketAddress>| match address {
            Some(SocketAddress::Ip(ip)) => Some(*ip),
            _ => None,
        };
        let peer = canonical(named.or_else(|| ip(&socket.peer))?);
        let local = canonical(ip(&socket.local)?);
        let own = own.filter(|own| own.is_ipv4() == peer.is_ipv4());
        let source = if let Some(own) = own {
            own
        } else if local.ip().is_unspecified() || local.is_ipv4() != peer.is_ipv4() {
            self.source(peer.ip())
        } else {
            local.ip()
        };
        Some((SocketAddr::new(source, local.port()), peer))
    }

    /// Returns the address from which the kernel would send. Asking for it sends nothing.
    fn source(&mut self, to: IpAddr) -> IpAddr {
        if let Some(source) = self.sources.get(&to) {
            return *source;
        }
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let ask = || {
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect((to, 9))?;
            socket.local_addr()
        };
        let source = ask().map_or(any, |address| address.ip());
        if self.sources.len() >= SOURCES {
            self.sources.clear();
        }
        self.sources.insert(to, source);
        source
    }
}

enum Transport {
    Tcp,
    Udp,
}

/// The transports whose packets the capture can make.
fn transport(socket: &Socket) -> Option<Transport> {
    let (family, type_, protocol) = socket.kind?;
    if !matches!(family, libc::AF_INET | libc::AF_INET6) {
        return None;
    }
    match (type_, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) => Some(Transport::Tcp),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Some(Transport::Udp),
        _ => None,
    }
}

fn is_reset(failure: Option<&CallError>) -> bool {
    matches!(failure, Some(CallError::Os(libc::ECONNRESET | libc::ECONNREFUSED)))
}

fn address(value: &Value) -> Option<SocketAddr> {
    match value {
        Value::Address(SocketAddress::Ip(ip)) => Some(*ip),
        _ => None,
    }
}

/// IPv4-mapped IPv6 addresses travel as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Begins a packet, with the header fields that a host would choose.
fn ip_packet(source: IpAddr, destination: IpAddr) -> Option<PacketBuilderStep<IpHeaders>> {
    const HOPS: u8 = 64;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Some(PacketBuilder::ipv4(source.octets(), destination.octets(), HOPS))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Some(PacketBuilder::ipv6(source.octets(), destination.octets(), HOPS))
        }
        _ => None,
    }
}

/// Writes a packet of which only the first bytes are known. Returns those, and the whole length.
fn with_payload(
    (data, length): (&[u8], usize),
    write: impl FnOnce(&mut Vec<u8>, &[u8]) -> bool,
) -> Option<(Vec<u8>, usize)> {
    let mut packet = Vec::new();
    // The lengths in the headers are those of the whole packet.
    let mut payload = data.to_vec();
    payload.resize(length, 0);
    if !write(&mut packet, &payload) {
        return None;
    }
    let whole = packet.len();
    packet.truncate(whole - (length - data.len()));
    Some((packet, whole))
}
