//! Every call that waits, on a socket in every odd state: it ends soon after its time, and uses no
//! processor meanwhile.
//!
//! Arguments: `states` for their names; `run LIMIT STATE`; `echo PATH` answers meanwhile. The twin
//! has a peer that answers late, and the same waits end by that.

use sandsock::constants::*;
use sandsock::errno::{EAGAIN, EISCONN};
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::transfers::BatchEntry;
use sandsock::raw::types::{
    Address, AddressHints, Error as RawError, InetAddress, OptionValue, Trigger, UnixAddress, Wait,
};
use sandsock::raw::{clock, connections, files, netdb, syscalls, transfers};
use sandsock::{Error, errno};

const MILLISECOND: u64 = 1_000_000;
/// The time of the waits that are looked at for what they cost.
const LONG: u64 = 200 * MILLISECOND;

type Result<T = (), E = RawError> = std::result::Result<T, E>;

/// A socket in some state, and what keeps it there.
struct Made(Descriptor, Vec<Descriptor>);

/// Brings a socket into its state. Where it is `known`, the host has waited for it before.
struct Maker {
    known: bool,
}

fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

fn nowhere() -> Address {
    Address::Unix(UnixAddress::Abstract(b"sandsock-nowhere".to_vec()))
}

fn integer(d: &Descriptor, level: i32, name: i32, value: i32) -> Result {
    syscalls::set_option(d, level, name, OptionValue::Integer(value))
}

fn bound(kind: i32) -> Result<Descriptor> {
    let d = syscalls::socket(AF_INET, kind, 0)?;
    syscalls::bind(&d, &loopback(0))?;
    Ok(d)
}

fn address(d: &Descriptor) -> Result<Address> {
    syscalls::local_address(d)?.ok_or(RawError::Os(errno::ENOTCONN))
}

/// Time for the host to see what the kernel shows.
fn settle() {
    let _ = polling::poll(&[], Wait::Within(2 * MILLISECOND));
}

fn fill(d: &Descriptor) {
    let _ = integer(d, SOL_SOCKET, SO_SNDBUF, 1 << 14);
    let mut left = 10_000;
    for size in [1 << 16, 1000, 1] {
        while transfers::send(d, &MUCH[..size], 0, Wait::None).is_ok() {
            left -= 1;
            assert!(left > 0, "it takes bytes without end");
        }
    }
}

fn read_error(d: &Descriptor) -> Result {
    syscalls::get_option(d, SOL_SOCKET, SO_ERROR).map(drop)
}

impl Maker {
    fn know(&self, d: &Descriptor) {
        if self.known {
            let _ = transfers::receive(d, 1, 0, Wait::Within(MILLISECOND));
            let _ = polling::poll(
                &[PollEntry { descriptor: d, events: POLLIN as u16 }],
                Wait::Within(MILLISECOND),
            );
        }
    }

    fn pair(&self, kind: i32) -> Result<(Descriptor, Descriptor)> {
        let (a, b) = syscalls::socketpair(AF_UNIX, kind, 0)?;
        self.know(&a);
        Ok((a, b))
    }

    fn tcp(&self) -> Result<(Descriptor, Descriptor, Descriptor)> {
        let listener = bound(SOCK_STREAM)?;
        syscalls::listen(&listener, 5)?;
        let a = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
        connections::connect(&a, &address(&listener)?, Wait::Forever)?;
        let b = connections::accept(&listener, Wait::Forever)?.descriptor;
        self.know(&a);
        Ok((a, b, listener))
    }

    /// Read to the end of its stream.
    fn ended(&self) -> Result<(Descriptor, Descriptor)> {
        let (a, b, listener) = self.tcp()?;
        drop(b);
        transfers::receive(&a, 1, 0, Wait::Forever)?;
        settle();
        Ok((a, listener))
    }

    fn udp(&self) -> Result<Descriptor> {
        let d = bound(SOCK_DGRAM)?;
        self.know(&d);
        Ok(d)
    }

    /// Connected to a port that no socket has.
    fn udp_refused(&self, error_queue: bool) -> Result<Descriptor> {
        let closed = address(&bound(SOCK_DGRAM)?)?;
        let d = self.udp()?;
        if error_queue {
            integer(&d, IPPROTO_IP, IP_RECVERR, 1)?;
        }
        connections::connect(&d, &closed, Wait::None)?;
        transfers::send(&d, b"x", 0, Wait::None)?;
        settle();
        Ok(d)
    }

    fn make(&self, state: &str) -> Result<Made> {
        let (family, state) = state.split_once('-').expect("a family and a state");
        Ok(match (family, state) {
            ("tcp", state) => self.make_tcp(state)?,
            ("udp", "refused") => Made(self.udp_refused(false)?, Vec::new()),
            ("udp", "refused-read") => {
                let d = self.udp_refused(false)?;
                read_error(&d)?;
                Made(d, Vec::new())
            }
            ("udp", "queue") => Made(self.udp_refused(true)?, Vec::new()),
            ("udp", "queue-read") => {
                let d = self.udp_refused(true)?;
                read_error(&d)?;
                Made(d, Vec::new())
            }
            ("udp", "new") => Made(syscalls::socket(AF_INET, SOCK_DGRAM, 0)?, Vec::new()),
            ("udp", state) => {
                let (d, peer) = (self.udp()?, bound(SOCK_DGRAM)?);
                if state != "bound" {
                    connections::connect(&d, &address(&peer)?, Wait::None)?;
                }
                match state {
                    "bound" | "connected" => {}
                    "dissolved" => connections::connect(&d, &Address::Unspec, Wait::None)?,
                    other => syscalls::shutdown(&d, how(other))?,
                }
                settle();
                Made(d, vec![peer])
            }
            ("stream", state) => self.make_unix(SOCK_STREAM, state)?,
            ("dgram", state) => self.make_unix(SOCK_DGRAM, state)?,
            ("packet", state) => self.make_unix(SOCK_SEQPACKET, state)?,
            other => panic!("no state {other:?}"),
        })
    }

    fn make_tcp(&self, state: &str) -> Result<Made> {
        match state {
            "new" => return Ok(Made(syscalls::socket(AF_INET, SOCK_STREAM, 0)?, Vec::new())),
            "bound" => return Ok(Made(bound(SOCK_STREAM)?, Vec::new())),
            "listening" | "listening-shut" | "listening-again" => {
                let d = bound(SOCK_STREAM)?;
                syscalls::listen(&d, 5)?;
                if self.known {
                    let _ = connections::accept(&d, Wait::Within(MILLISECOND));
                }
                if state != "listening" {
                    syscalls::shutdown(&d, SHUT_RDWR)?;
                    settle();
                }
                if state == "listening-again" {
                    syscalls::listen(&d, 5)?;
                }
                return Ok(Made(d, Vec::new()));
            }
            "connecting" => {
                let listener = bound(SOCK_STREAM)?;
                syscalls::listen(&listener, 0)?;
                let to = address(&listener)?;
                let mut all = vec![listener];
                for _ in 0..4 {
                    let d = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
                    let _ = connections::connect(&d, &to, Wait::None);
                    all.push(d);
                }
                settle();
                let d = all.pop().expect("the last");
                self.know(&d);
                return Ok(Made(d, all));
            }
            "refused" | "refused-read" => {
                let closed = address(&bound(SOCK_STREAM)?)?;
                let d = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
                self.know(&d);
                let _ = connections::connect(&d, &closed, Wait::None);
                settle();
                if state == "refused-read" {
                    read_error(&d)?;
                }
                return Ok(Made(d, Vec::new()));
            }
            "ended" => {
                let (a, listener) = self.ended()?;
                return Ok(Made(a, vec![listener]));
            }
            "ended-dissolved" | "ended-again" | "ended-listening" => {
                let (a, listener) = self.ended()?;
                connections::connect(&a, &Address::Unspec, Wait::None)?;
                let mut keep = Vec::new();
                match state {
                    "ended-again" => {
                        connections::connect(&a, &address(&listener)?, Wait::Forever)?;
                        keep.push(connections::accept(&listener, Wait::Forever)?.descriptor);
                    }
                    "ended-listening" => syscalls::listen(&a, 5)?,
                    _ => {}
                }
                keep.push(listener);
                return Ok(Made(a, keep));
            }
            _ => {}
        }
        let (a, b, listener) = self.tcp()?;
        let mut keep = vec![listener];
        match state {
            "idle" => keep.push(b),
            "ended-unread" => {
                transfers::send(&b, b"unread", 0, Wait::None)?;
                drop(b);
            }
            "half" => {
                syscalls::shutdown(&b, SHUT_WR)?;
                keep.push(b);
            }
            "reset" | "reset-read" | "reset-again" => {
                transfers::send(&a, b"unread", 0, Wait::None)?;
                settle();
                // Bytes that were not read reset the connection.
                drop(b);
                settle();
                if state != "reset" {
                    read_error(&a)?;
                }
                if state == "reset-again" {
                    connections::connect(&a, &Address::Unspec, Wait::None)?;
                    connections::connect(&a, &address(&keep[0])?, Wait::Forever)?;
                    keep.push(connections::accept(&keep[0], Wait::Forever)?.descriptor);
                }
            }
            "dissolved" => {
                connections::connect(&a, &Address::Unspec, Wait::None)?;
                keep.push(b);
            }
            "urgent" | "urgent-read" | "urgent-ended" => {
                transfers::send(&b, b"u!", MSG_OOB, Wait::None)?;
                settle();
                if state != "urgent" {
                    let _ = transfers::receive(&a, 1, MSG_OOB, Wait::None);
                    let _ = transfers::receive(&a, 9, 0, Wait::None);
                }
                if state == "urgent-ended" {
                    drop(b);
                } else {
                    keep.push(b);
                }
            }
            "full" | "full-half" => {
                fill(&a);
                if state == "full-half" {
                    syscalls::shutdown(&b, SHUT_WR)?;
                }
                keep.push(b);
            }
            "full-reset" => {
                fill(&a);
                drop(b);
            }
            other => {
                syscalls::shutdown(&a, how(other))?;
                keep.push(b);
            }
        }
        settle();
        Ok(Made(a, keep))
    }

    fn make_unix(&self, kind: i32, state: &str) -> Result<Made> {
        match state {
            "new" => return Ok(Made(syscalls::socket(AF_UNIX, kind, 0)?, Vec::new())),
            "listening" | "listening-shut" => {
                let d = syscalls::socket(AF_UNIX, kind, 0)?;
                syscalls::bind(&d, &Address::Unix(UnixAddress::Unnamed))?;
                syscalls::listen(&d, 5)?;
                if self.known {
                    let _ = connections::accept(&d, Wait::Within(MILLISECOND));
                }
                if state == "listening-shut" {
                    syscalls::shutdown(&d, SHUT_RD)?;
                }
                settle();
                return Ok(Made(d, Vec::new()));
            }
            _ => {}
        }
        let (a, b) = self.pair(kind)?;
        let mut keep = Vec::new();
        match state {
            "idle" => keep.push(b),
            "ended" => drop(b),
            "ended-unread" => {
                transfers::send(&a, b"unread", 0, Wait::None)?;
                drop(b);
            }
            "half" => {
                syscalls::shutdown(&b, SHUT_WR)?;
                keep.push(b);
            }
            "full" | "full-half" => {
                fill(&a);
                if state == "full-half" {
                    syscalls::shutdown(&b, SHUT_WR)?;
                }
                keep.push(b);
            }
            "full-ended" => {
                fill(&a);
                drop(b);
            }
            "dissolved" => {
                // Its peer leaves with a datagram unread: ECONNRESET is shown, read, and no more.
                transfers::send(&a, b"x", 0, Wait::None)?;
                connections::connect(&b, &Address::Unspec, Wait::None)?;
                settle();
                read_error(&a)?;
                fill(&a);
                keep.push(b);
            }
            other => {
                syscalls::shutdown(&a, how(other))?;
                keep.push(b);
            }
        }
        settle();
        Ok(Made(a, keep))
    }
}

fn how(state: &str) -> i32 {
    match state {
        "shut-read" => SHUT_RD,
        "shut-write" => SHUT_WR,
        "shut-both" => SHUT_RDWR,
        other => panic!("no state {other}"),
    }
}

const STATES: &[&str] = &[
    "tcp-new",
    "tcp-bound",
    "tcp-listening",
    "tcp-listening-shut",
    "tcp-listening-again",
    "tcp-connecting",
    "tcp-refused",
    "tcp-refused-read",
    "tcp-idle",
    "tcp-half",
    "tcp-ended",
    "tcp-ended-unread",
    "tcp-ended-dissolved",
    "tcp-ended-again",
    "tcp-ended-listening",
    "tcp-reset",
    "tcp-reset-read",
    "tcp-reset-again",
    "tcp-dissolved",
    "tcp-urgent",
    "tcp-urgent-read",
    "tcp-urgent-ended",
    "tcp-full",
    "tcp-full-half",
    "tcp-full-reset",
    "tcp-shut-read",
    "tcp-shut-write",
    "tcp-shut-both",
    "udp-new",
    "udp-bound",
    "udp-connected",
    "udp-dissolved",
    "udp-refused",
    "udp-refused-read",
    "udp-queue",
    "udp-queue-read",
    "udp-shut-read",
    "udp-shut-write",
    "udp-shut-both",
    "stream-new",
    "stream-listening",
    "stream-listening-shut",
    "stream-idle",
    "stream-half",
    "stream-ended",
    "stream-ended-unread",
    "stream-full",
    "stream-full-half",
    "stream-full-ended",
    "stream-shut-read",
    "stream-shut-write",
    "stream-shut-both",
    "dgram-new",
    "dgram-idle",
    "dgram-half",
    "dgram-ended",
    "dgram-ended-unread",
    "dgram-full",
    "dgram-full-half",
    "dgram-full-ended",
    "dgram-dissolved",
    "dgram-shut-read",
    "dgram-shut-write",
    "dgram-shut-both",
    "packet-new",
    "packet-listening",
    "packet-listening-shut",
    "packet-idle",
    "packet-half",
    "packet-ended",
    "packet-ended-unread",
    "packet-full",
    "packet-full-half",
    "packet-full-ended",
    "packet-shut-read",
    "packet-shut-write",
    "packet-shut-both",
];

type Call = (&'static str, fn(&Descriptor, Wait) -> Result);

fn poll(d: &Descriptor, events: i32, wait: Wait) -> Result {
    let ready = polling::poll(&[PollEntry { descriptor: d, events: events as u16 }], wait)?;
    if ready == [0] { Err(RawError::Os(EAGAIN)) } else { Ok(()) }
}

/// Waits on a poller until nothing is new.
fn poller(d: &Descriptor, events: i32, trigger: Trigger, wait: Wait) -> Result {
    let poller = polling::create_poller()?;
    poller.add(d, 1, events as u16, trigger)?;
    let none = |events: Vec<_>| if events.is_empty() { Err(RawError::Os(EAGAIN)) } else { Ok(()) };
    if trigger != Trigger::Level {
        poller.wait(8, Wait::None)?;
    }
    none(poller.wait(8, wait)?)
}

/// The same for a poller in another one.
fn nested(d: &Descriptor, trigger: Trigger, wait: Wait) -> Result {
    let (inner, outer) = (polling::create_poller()?, polling::create_poller()?);
    inner.add(d, 1, (POLLIN | POLLOUT | POLLPRI) as u16, trigger)?;
    outer.add_poller(&inner, 1, POLLIN as u16, trigger)?;
    if trigger != Trigger::Level {
        outer.wait(8, Wait::None)?;
    }
    let events = outer.wait(8, wait)?;
    if events.is_empty() { Err(RawError::Os(EAGAIN)) } else { Ok(()) }
}

/// The destination that fits the socket's family.
fn destination(d: &Descriptor) -> Address {
    match syscalls::local_address(d) {
        Ok(Some(Address::Unix(_))) => nowhere(),
        _ => loopback(1),
    }
}

const MUCH: &[u8] = &[7; 1 << 20];

const CALLS: &[Call] = &[
    ("send", |d, wait| transfers::send(d, b"x", 0, wait).map(drop)),
    ("send of much", |d, wait| transfers::send(d, MUCH, 0, wait).map(drop)),
    ("send urgent", |d, wait| transfers::send(d, b"x", MSG_OOB, wait).map(drop)),
    ("send-to", |d, wait| transfers::send_to(d, b"x", 0, &destination(d), wait).map(drop)),
    ("send-to opens", |d, wait| {
        transfers::send_to(d, b"x", MSG_FASTOPEN, &destination(d), wait).map(drop)
    }),
    ("send-message", |d, wait| {
        transfers::send_message(d, &[b"x", b"y"], &[], 0, None, wait).map(drop)
    }),
    ("send-batch", |d, wait| {
        let one = BatchEntry { length: 1, address: None, control: &[] };
        transfers::send_batch(d, b"x", &[one], 0, wait).map(drop)
    }),
    ("receive", |d, wait| transfers::receive(d, 1, 0, wait).map(drop)),
    ("receive of much", |d, wait| transfers::receive(d, 1 << 20, 0, wait).map(drop)),
    ("peek", |d, wait| transfers::receive(d, 1, MSG_PEEK, wait).map(drop)),
    ("receive urgent", |d, wait| transfers::receive(d, 1, MSG_OOB, wait).map(drop)),
    ("receive all", |d, wait| transfers::receive(d, 1 << 20, MSG_WAITALL, wait).map(drop)),
    ("peek all", |d, wait| transfers::receive(d, 1 << 20, MSG_WAITALL | MSG_PEEK, wait).map(drop)),
    ("receive an error", |d, wait| transfers::receive(d, 1, MSG_ERRQUEUE, wait).map(drop)),
    ("receive-from", |d, wait| transfers::receive_from(d, 1, 0, wait).map(drop)),
    ("receive-message", |d, wait| transfers::receive_message(d, 1, 100, 0, wait).map(drop)),
    ("receive-batch", |d, wait| transfers::receive_batch(d, 8, 100, 100, 0, wait).map(drop)),
    ("connect", |d, wait| connections::connect(d, &destination(d), wait)),
    ("connect to none", |d, wait| connections::connect(d, &Address::Unspec, wait)),
    ("finish-connect", |d, wait| connections::finish_connect(d, wait)),
    ("accept", |d, wait| connections::accept(d, wait).map(drop)),
    ("poll for none", |d, wait| poll(d, 0, wait)),
    ("poll for input", |d, wait| poll(d, POLLIN, wait)),
    ("poll for output", |d, wait| poll(d, POLLOUT, wait)),
    ("poll for urgent", |d, wait| poll(d, POLLPRI, wait)),
    ("poll for the end", |d, wait| poll(d, POLLRDHUP, wait)),
    ("poll for all", |d, wait| poll(d, 0xffff, wait)),
    ("poller", |d, wait| poller(d, POLLIN | POLLOUT, Trigger::Level, wait)),
    ("poller for none", |d, wait| poller(d, 0, Trigger::Level, wait)),
    ("poller of the edge", |d, wait| poller(d, POLLIN | POLLOUT | POLLPRI, Trigger::Edge, wait)),
    ("poller once", |d, wait| poller(d, POLLIN | POLLOUT | POLLPRI, Trigger::OneShot, wait)),
    ("poller in a poller", |d, wait| nested(d, Trigger::Level, wait)),
    ("poller in a poller of the edge", |d, wait| nested(d, Trigger::Edge, wait)),
    ("poller in a poller once", |d, wait| nested(d, Trigger::OneShot, wait)),
    ("send-file", |d, wait| {
        files::send_file(d, &files::open("/folder/file")?, 0, 1 << 20, wait).map(drop)
    }),
    ("get-address-info", |_, wait| {
        let hints = AddressHints { family: AF_INET, type_: SOCK_STREAM, protocol: 0, flags: 0 };
        let _ = netdb::get_address_info(Some("localhost"), Some("http"), hints, wait);
        Ok(())
    }),
    ("get-name-info", |_, wait| {
        let _ = netdb::get_name_info(&loopback(80), 0, wait);
        Ok(())
    }),
    ("get-host-by-name", |_, wait| {
        let _ = netdb::get_host_by_name("localhost", AF_INET, wait);
        Ok(())
    }),
    ("get-host-by-address", |_, wait| {
        let _ = netdb::get_host_by_address(&loopback(80), wait);
        Ok(())
    }),
];

fn run(limit: u64, state: &str) -> Result<(), Error> {
    let mut waits = 0;
    for known in [false, true] {
        let maker = Maker { known };
        for &(name, call) in CALLS {
            // A busy machine may be late once, but not each time.
            let mut took = u64::MAX;
            let mut result = Ok(());
            for _ in 0..8 {
                let Made(d, _peers) = maker.make(state)?;
                let begin = clock::now();
                result = call(&d, Wait::Within(MILLISECOND));
                took = clock::now() - begin;
                if took <= limit {
                    break;
                }
            }
            assert!(took <= limit, "{state}, {name}: a wait of 1 ms took {took} ns, {result:?}");
            if known && result == Err(RawError::Os(EAGAIN)) {
                let Made(d, _peers) = maker.make(state)?;
                // Twice, because the first event may be an old edge.
                let _ = call(&d, Wait::Within(MILLISECOND));
                waits += u32::from(call(&d, Wait::Within(LONG)) == Err(RawError::Os(EAGAIN)));
            }
        }
    }
    println!("{waits}");
    Ok(())
}

/// Answers each byte with one, until the connection ends.
fn echo(path: &str) -> Result<(), Error> {
    let listener = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    syscalls::bind(&listener, &Address::Unix(UnixAddress::Path(path.into())))?;
    syscalls::listen(&listener, 5)?;
    println!("listening");
    let client = connections::accept(&listener, Wait::Forever)?.descriptor;
    loop {
        let data = transfers::receive(&client, 1, 0, Wait::Forever)?;
        if data.is_empty() {
            return Ok(());
        }
        transfers::send(&client, &data, 0, Wait::Forever)?;
    }
}

/// A peer of the host's answers late: each wait ends by that, on a connection that was ended and
/// made again.
fn twin(port: u16) -> Result<(), Error> {
    const PATIENCE: Wait = Wait::Within(20_000 * MILLISECOND);
    let d = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    connections::connect(&d, &loopback(port), Wait::Forever)?;
    assert!(transfers::receive(&d, 1, 0, PATIENCE)?.is_empty(), "the end");
    settle();
    connections::connect(&d, &Address::Unspec, Wait::None)?;
    connections::connect(&d, &loopback(port), Wait::Forever)?;
    for _ in 0..3 {
        assert_eq!(transfers::receive(&d, 9, 0, PATIENCE)?, b"late");
        transfers::send(&d, b"next", 0, PATIENCE)?;
    }
    fill(&d);
    println!("full");
    assert!(transfers::send(&d, b"more", 0, PATIENCE)? > 0);
    // The connection is there, and its end as well.
    assert_eq!(connections::connect(&d, &loopback(port), Wait::None), Err(RawError::Os(EISCONN)));
    syscalls::shutdown(&d, SHUT_WR)?;
    assert_eq!(transfers::receive(&d, 9, 0, PATIENCE)?, b"");
    Ok(())
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["states"] => {
            STATES.iter().for_each(|state| println!("{state}"));
            Ok(())
        }
        ["run", limit, state] => {
            run(limit.parse::<u64>().expect("milliseconds") * MILLISECOND, state)
        }
        ["echo", path] => echo(path),
        ["twin", port] => twin(port.parse().expect("a port")),
        _ => panic!("unknown arguments"),
    }
}
