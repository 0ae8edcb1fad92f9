//! Promise: descriptors that a peer sends hold up only the guest that may receive them, and
//! descriptors that others hold stay as they were.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, sockopt,
};
use sandsock_tests::fuse::{FLUSH, Fuse, GETATTR, POLL};
use sandsock_tests::{
    Ended, Guest, Running, Way, both_ways, in_own_process, programs, run_together, skip,
};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with listening sockets.
struct Peer {
    directory: TempDir,
    /// For what the attacked guest says, and what another one does.
    lines: [Socket; 2],
    stream: Socket,
    messages: Socket,
}

impl Peer {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listen = |name: &str, kind| {
            let socket = Socket::new(Domain::UNIX, kind, None).expect("a socket");
            socket
                .bind(&SockAddr::unix(directory.path().join(name)).expect("a path"))
                .expect("binds");
            socket.listen(16).expect("listens");
            socket
        };
        let lines = ["line", "other"].map(|name| listen(name, Type::STREAM));
        let (stream, messages) =
            (listen("stream", Type::STREAM), listen("messages", Type::SEQPACKET));
        Self { directory, lines, stream, messages }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there").join(name)
    }

    fn reachable_by(&self, guest: Guest) -> Guest {
        guest.allow(format!("unix-connect={}", self.path("*").display()))
    }
}

#[track_caller]
fn accept(listener: &Socket) -> UnixStream {
    assert!(comes(listener), "nobody connected");
    let (socket, _) = listener.accept().expect("accepts");
    let stream = UnixStream::from(OwnedFd::from(socket));
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

fn shown(fd: impl AsFd, events: PollFlags, milliseconds: i64) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), events)];
    let time = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
    poll(&mut fds, Some(&time)).expect("polls");
    fds[0].revents()
}

fn comes(fd: impl AsFd) -> bool {
    shown(fd, PollFlags::IN, 20_000).contains(PollFlags::IN)
}

fn send(socket: impl AsFd, data: &[u8], fds: &[BorrowedFd<'_>]) {
    send_with(socket, data, fds, SendFlags::empty()).expect("sends");
}

fn send_with(
    socket: impl AsFd,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    rustix::net::sendmsg(socket, &[IoSlice::new(data)], &mut control, flags)
}

#[track_caller]
fn receive(socket: impl AsFd) -> (Vec<u8>, Vec<OwnedFd>) {
    assert!(comes(&socket), "nothing came");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 100];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut control, flags)
            .expect("receives");
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    (data[..received.bytes].to_vec(), fds)
}

/// Waits for a byte of the guest's.
#[track_caller]
fn hear(line: &mut UnixStream, expected: u8) {
    let mut byte = [0];
    line.read_exact(&mut byte).expect("the guest says how far it is");
    assert_eq!(byte[0], expected);
}

fn go(line: &mut UnixStream) {
    line.write_all(b"g").expect("sends");
}

/// Checks that the other guest has its turns.
#[track_caller]
fn answers(other: &mut UnixStream) {
    for _ in 0..3 {
        let start = Instant::now();
        other.write_all(b"?").expect("sends");
        hear(other, b'?');
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "it was held up for {:?}",
            start.elapsed()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A TCP socket whose last close waits for a minute, or until its peer is gone.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let own = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
    let (peer, _) = listener.accept().expect("accepts");
    own.set_nonblocking(true).expect("it can be set");
    while (&own).write(&[0; 1 << 16]).is_ok() {}
    own.set_nonblocking(false).expect("it can be set");
    sockopt::set_socket_linger(&own, Some(Duration::from_secs(60))).expect("it can be set");
    (own, peer)
}

/// The ways to meet a message with descriptors, or not to read it.
const WAYS: [&str; 12] = [
    "plain",
    "whole",
    "from",
    "peeked",
    "message",
    "short",
    "none",
    "batch",
    "batch-short",
    "unread",
    "dropped",
    "left",
];

/// A guest that is attacked, and one that shares its thread where guests do.
struct Attacked {
    line: UnixStream,
    other: UnixStream,
    /// Where the descriptors are sent.
    connection: UnixStream,
    all: std::thread::JoinHandle<Vec<Ended>>,
    _peer: Peer,
}

impl Attacked {
    #[track_caller]
    fn start(way: Way, role: &str, grant: Option<&str>) -> Self {
        println!("{role}, {grant:?}");
        let peer = Peer::new();
        let of_messages = role.starts_with("batch");
        let guest = |role: &str, line: &str| {
            let path = peer.path(if of_messages { "messages" } else { "stream" });
            let guest = Guest::new(programs::attack_strangers_files_harmless, way);
            let guest = peer
                .reachable_by(guest)
                .arg(role)
                .arg(peer.path(line).display())
                .arg(path.display());
            match grant {
                Some(grant) => guest.allow(grant),
                None => guest,
            }
        };
        let guests = vec![guest(role, "line"), guest("other", "other")];
        let all = match way {
            Way::Fiber => run_together(guests),
            Way::Thread => {
                let running: Vec<Running> = guests.into_iter().map(Guest::start).collect();
                std::thread::spawn(move || running.into_iter().map(Running::join).collect())
            }
        };
        let [mut line, mut other] = [0, 1].map(|at| accept(&peer.lines[at]));
        hear(&mut line, b'h');
        hear(&mut other, b'h');
        let connection = accept(if of_messages { &peer.messages } else { &peer.stream });
        answers(&mut other);
        Self { line, other, connection, all, _peer: peer }
    }

    #[track_caller]
    fn end(self) {
        drop((self.line, self.other));
        for ended in self.all.join().expect("the host must not panic") {
            ended.success();
        }
    }
}

/// Descriptors whose close hangs, and the means to end that.
struct Hanging {
    fds: Vec<OwnedFd>,
    peer: Option<TcpStream>,
    fuse: Option<Fuse>,
}

impl Hanging {
    /// `held` are the requests that the file system leaves without an answer.
    fn new(held: &[u32]) -> Self {
        let (socket, peer) = lingering();
        let mut fds: Vec<OwnedFd> = vec![socket.into()];
        let fuse = match Fuse::new() {
            Ok(fuse) => fuse,
            Err(reason) => {
                skip("attack_strangers_files_harmless (in part)", &reason);
                return Self { fds, peer: Some(peer), fuse: None };
            }
        };
        fds.push(fuse.open().into());
        fds.push(
            rustix::fs::open(fuse.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .expect("it opens"),
        );
        fuse.hold(held);
        Self { fds, peer: Some(peer), fuse: Some(fuse) }
    }

    fn send(&mut self, connection: &UnixStream, count: usize) {
        let fds: Vec<_> = self.fds.iter().map(AsFd::as_fd).collect();
        for _ in 0..count {
            send(connection, b"x", &fds);
        }
        // The guest's descriptor is the last one of the socket. No file is closed too early.
        self.fds.remove(0);
    }

    /// How many such requests are not answered.
    fn waiting(&self, kind: u32) -> usize {
        self.fuse.as_ref().map_or(0, |fuse| fuse.waiting(kind))
    }

    fn release(&mut self) {
        if let Some(fuse) = &self.fuse {
            fuse.release();
        }
        self.peer = None;
    }
}

impl Drop for Hanging {
    /// A test that fails closes its own descriptors too.
    fn drop(&mut self) {
        self.release();
    }
}

#[test]
pub(crate) fn attack_strangers_files_harmless() {
    in_own_process("attacks::strangers::attack_strangers_files_harmless", files_harmless);
}

fn files_harmless() {
    both_ways(|way| {
        for grant in [None, Some("ancillary=rights:receive")] {
            for role in WAYS {
                let mut hanging = Hanging::new(&[FLUSH, GETATTR, POLL]);
                let mut attacked = Attacked::start(way, role, grant);
                hanging.send(&attacked.connection, 1);
                go(&mut attacked.line);
                // A close that waits for its result waits, as natively.
                if role != "unread" {
                    hear(&mut attacked.line, b'd');
                }
                answers(&mut attacked.other);
                assert_eq!(hanging.waiting(GETATTR), 0, "it was denied before anybody looked");
                hanging.release();
                if role == "unread" {
                    hear(&mut attacked.line, b'd');
                }
                // A guest that has left hears no more.
                let _ = attacked.line.write_all(b"g");
                attacked.end();
            }
        }
        // The kernel throws away an urgent byte that is passed over, and what came with it.
        let mut hanging = Hanging::new(&[FLUSH, GETATTR]);
        let mut attacked = Attacked::start(way, "urgent", None);
        match send_with(&attacked.connection, b"!", &[hanging.fds[0].as_fd()], SendFlags::OOB) {
            Ok(_) => hanging.send(&attacked.connection, 1),
            Err(errno) => {
                skip(
                    "attack_strangers_files_harmless (in part)",
                    &format!("UNIX sockets have no urgent bytes: {errno}"),
                );
                hanging.send(&attacked.connection, 1);
            }
        }
        go(&mut attacked.line);
        answers(&mut attacked.other);
        hanging.release();
        hear(&mut attacked.line, b'd');
        go(&mut attacked.line);
        attacked.end();

        // More than can be closed are not taken in.
        let mut hanging = Hanging::new(&[FLUSH]);
        let mut attacked = Attacked::start(way, "flood", None);
        hanging.send(&attacked.connection, 100);
        go(&mut attacked.line);
        hear(&mut attacked.line, b'd');
        answers(&mut attacked.other);
        hanging.release();
        go(&mut attacked.line);
        hear(&mut attacked.line, b'd');
        go(&mut attacked.line);
        attacked.end();

        // A guest that may have all is held up alone: by the file that does not say what it is, and
        // by its own close.
        let any = Some("ancillary=rights:receive,any");
        let mut hanging = Hanging::new(&[GETATTR]);
        let mut attacked = Attacked::start(way, "unanswered", any);
        hanging.send(&attacked.connection, 1);
        go(&mut attacked.line);
        answers(&mut attacked.other);
        hear(&mut attacked.line, b'd');
        hanging.release();
        go(&mut attacked.line);
        attacked.end();

        let mut hanging = Hanging::new(&[FLUSH, POLL]);
        if hanging.fuse.is_none() {
            return;
        }
        let mut attacked = Attacked::start(way, "twin", any);
        send(&attacked.connection, b"x", &[hanging.fds[1].as_fd()]);
        go(&mut attacked.line);
        hear(&mut attacked.line, b'd');
        assert_eq!((hanging.waiting(POLL), hanging.waiting(FLUSH)), (0, 0));
        go(&mut attacked.line);
        answers(&mut attacked.other);
        assert_eq!(
            shown(&attacked.line, PollFlags::IN, 200),
            PollFlags::empty(),
            "its close waits"
        );
        assert_eq!(hanging.waiting(FLUSH), 1);
        hanging.release();
        hear(&mut attacked.line, b'c');
        go(&mut attacked.line);
        attacked.end();
    });
}

#[test]
pub(crate) fn attack_strangers_sockets_unchanged() {
    both_ways(|way| {
        for twin in [false, true] {
            let peer = Peer::new();
            let linger = Some(Duration::from_secs(77));
            let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
            let connected = || {
                let own = TcpStream::connect(listener.local_addr().expect("an address"))
                    .expect("connects");
                let (accepted, _) = listener.accept().expect("accepts");
                sockopt::set_socket_linger(&own, linger).expect("it can be set");
                (own, accepted)
            };
            let pairs = [connected(), connected()];
            let flags = || {
                pairs
                    .each_ref()
                    .map(|(own, _)| (fcntl_getfl(own).expect("flags"), sockopt::socket_linger(own)))
            };
            let before = flags();
            let guest =
                peer.reachable_by(Guest::new(programs::attack_strangers_sockets_unchanged, way));
            let guest = match twin {
                true => guest
                    .arg("twin")
                    .allow("ancillary=rights:receive")
                    .allow("tcp-connect=127.0.0.1:1"),
                false => guest,
            };
            let guest = guest
                .allow("inherit=fd:3")
                .inherit(3, pairs[0].0.try_clone().expect("a duplicate"));
            let guest = guest.arg(peer.path("line").display()).start();
            let mut line = accept(&peer.lines[0]);
            let fds = pairs.each_ref().map(|(own, _)| own.as_fd());
            for _ in 0..3 {
                send(&line, b"x", &fds);
            }
            guest.lines(1);
            assert_eq!(flags(), before);
            go(&mut line);
            guest.join().success();
            assert_eq!(flags(), before);
            // And no peer saw an end.
            for (_, accepted) in &pairs {
                assert_eq!(shown(accepted, PollFlags::RDHUP, 100), PollFlags::empty());
            }
        }
    });
}

/// Returns the events, results and messages that the holder of one end and the peer at the other
/// see, after a guest sent descriptors through that end and closed its own descriptor of it.
fn goes_on(holder: &UnixStream, peer: &UnixStream, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let ends = PollFlags::RDHUP | PollFlags::HUP;
    seen.push(format!("{:?} {:?}", shown(holder, ends, 0) & ends, shown(peer, ends, 0) & ends));
    seen.push(format!("{:?}", (&*holder).write(b"from the holder").map_err(|error| error.kind())));
    seen.push(format!("{:?}", (&*peer).write(b"from the peer").map_err(|error| error.kind())));
    for _ in 0..limit {
        let (data, fds) = receive(peer);
        seen.push(format!("{data:?} {}", fds.len()));
    }
    seen.push(format!("{:?}", receive(peer).0));
    seen.push(format!("{:?}", receive(holder).0));
    seen
}

#[test]
pub(crate) fn attack_strangers_connection_kept() {
    const LIMIT: usize = 4;
    let native = {
        let (holder, peer) = UnixStream::pair().expect("a pair");
        let sender = holder.try_clone().expect("a duplicate");
        for _ in 0..LIMIT {
            send(&sender, b"m", &[std::io::stdout().as_fd()]);
        }
        drop(sender);
        goes_on(&holder, &peer, LIMIT)
    };
    both_ways(|way| {
        for role in ["inherited", "adopted", "received", "sent", "twin"] {
            println!("{role}");
            let peer = Peer::new();
            let (mut holder, mut other) = UnixStream::pair().expect("a pair");
            let guest =
                peer.reachable_by(Guest::new(programs::attack_strangers_connection_kept, way));
            let guest = guest
                .allow("ancillary=rights:send")
                .allow("ancillary=rights:receive")
                .allow("inherit=fd:3");
            let guest = guest.limit(format!("rights-in-flight={LIMIT}"));
            let guest = match role {
                "inherited" => guest.inherit(3, holder.try_clone().expect("a duplicate")),
                "adopted" => guest.real_numbers(),
                _ => guest,
            };
            let guest = guest.arg(role).arg(LIMIT).arg(peer.path("line").display()).start();
            let mut line = accept(&peer.lines[0]);
            match role {
                "adopted" => {
                    line.write_all(format!("{:8}", holder.as_raw_fd()).as_bytes()).expect("sends")
                }
                "received" => send(&line, b"x", &[holder.as_fd()]),
                "sent" => {
                    let mut fds = receive(&line).1.into_iter().map(UnixStream::from);
                    holder = fds.next().expect("its own end");
                    other = fds.next().expect("the other end");
                }
                "twin" => {
                    other = receive(&line)
                        .1
                        .into_iter()
                        .map(UnixStream::from)
                        .next()
                        .expect("the other end")
                }
                _ => {}
            }
            line.write_all(b"t").expect("sends");
            hear(&mut line, b'1');
            let end = |socket: &UnixStream| {
                let shown = shown(socket, PollFlags::RDHUP, 10_000);
                assert!(shown.contains(PollFlags::RDHUP), "{shown:?}");
            };
            if role == "twin" {
                // The guest had it alone: its close is the end, and what it sent can still be read.
                end(&other);
                for _ in 0..LIMIT {
                    assert_eq!(receive(&other).0, b"m");
                }
                assert_eq!(receive(&other).0, b"");
            } else {
                assert_eq!(goes_on(&holder, &other, LIMIT), native);
                // All is taken. The last who has it closes it, though the guest lives on.
                drop(holder);
                end(&other);
            }
            // There is room again.
            go(&mut line);
            hear(&mut line, b'2');
            go(&mut line);
            guest.join().success();
        }
    });
}

#[test]
pub(crate) fn attack_strangers_ids_hidden() {
    let ids = [
        std::process::id(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    ];
    both_ways(|way| {
        for twin in [false, true] {
            let peer = Peer::new();
            let (own, other) = UnixStream::pair().expect("a pair");
            sockopt::set_socket_passcred(&other, true).expect("it can be set");
            (&own).write_all(b"x").expect("sends");
            let guest = peer.reachable_by(Guest::new(programs::attack_strangers_ids_hidden, way));
            // The kernel gives sockets that ask for credentials a name.
            let guest = guest.allow("unix-bind=@*").allow("inherit=fd:3").inherit(3, other);
            let guest =
                if twin { guest.arg("twin").allow("option=SOL_SOCKET/SO_PEERCRED") } else { guest };
            let guest = ids.iter().fold(guest, Guest::arg);
            guest.arg(peer.path("line").display()).run().success();
        }
    });
}
