//! Control messages: descriptors on their way in and out, credentials, and what is counted of them.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, UCred,
};
use rustix::pipe::pipe;
use sandsock_tests::{Guest, Running, both_ways, programs, skip};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

/// A native listener that a guest connects to.
struct Peer {
    _directory: TempDir,
    path: PathBuf,
    listener: UnixListener,
}

impl Peer {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().canonicalize().expect("it is there").join("peer");
        let listener = UnixListener::bind(&path).expect("binds");
        Self { _directory: directory, path, listener }
    }

    /// Lets the guest connect, and gives it the path as its first argument.
    fn reachable_by(&self, guest: Guest) -> Guest {
        guest.allow(format!("unix-connect={}", self.path.display())).arg(self.path.display())
    }

    fn accept(&self) -> UnixStream {
        assert!(comes(&self.listener, PollFlags::IN), "nobody connected");
        let (stream, _) = self.listener.accept().expect("accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        stream
    }
}

/// Returns the events of a descriptor within `milliseconds`.
fn shown(fd: impl AsFd, events: PollFlags, milliseconds: i64) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), events)];
    let time = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
    poll(&mut fds, Some(&time)).expect("polls");
    fds[0].revents()
}

/// Whether an event comes within 10 seconds.
fn comes(fd: impl AsFd, event: PollFlags) -> bool {
    shown(fd, event, 10_000).contains(event)
}

/// Whether the other end of a pipe or of a socket is closed by now, or soon.
fn is_closed(fd: impl AsFd) -> bool {
    let end = PollFlags::HUP | PollFlags::RDHUP;
    shown(fd, PollFlags::RDHUP, 10_000).intersects(end)
}

fn is_open(fd: impl AsFd) -> bool {
    shown(fd, PollFlags::RDHUP, 0).is_empty()
}

fn send(socket: &UnixStream, data: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    let sent =
        rustix::net::sendmsg(socket, &[IoSlice::new(data)], &mut control, SendFlags::empty())
            .expect("sends");
    assert_eq!(sent, data.len());
}

fn receive(socket: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>, Option<UCred>) {
    assert!(comes(socket, PollFlags::IN), "nothing came");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 100];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut control, flags)
            .expect("receives");
    let (mut fds, mut credentials) = (Vec::new(), None);
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
            RecvAncillaryMessage::ScmCredentials(ids) => credentials = Some(ids),
            _ => panic!("another control message"),
        }
    }
    (data[..received.bytes].to_vec(), fds, credentials)
}

/// A pair of TCP sockets.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
    (client, listener.accept().expect("accepts").0)
}

/// So many pipes: the ends to read from, and those to write to.
fn pipes(count: usize) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
    (0..count).map(|_| pipe().expect("a pipe")).unzip()
}

fn borrowed(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}

#[test]
pub(crate) fn ancillary_rights_received() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_rights_received, way))
            .allow("ancillary=rights:receive,any")
            .start();
        let mut control = peer.accept();
        let (read, write) = pipe().expect("a pipe");
        let file = tempfile::tempfile().expect("a file");
        let (mut stream, given) = UnixStream::pair().expect("a pair");
        let datagram = UdpSocket::bind("127.0.0.1:0").expect("binds");
        send(&control, b"four", &[write.as_fd(), file.as_fd(), given.as_fd(), datagram.as_fd()]);
        drop((write, given));
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        let mut data = [0; 13];
        stream.read_exact(&mut data).expect("receives");
        assert_eq!(&data, b"by the stream");
        guest.lines(1);
        assert!(is_open(&read), "the guest still has a duplicate");
        control.write_all(b"1").expect("sends");
        guest.lines(2);
        assert!(is_closed(&read));
        assert!(is_open(&stream));
        control.write_all(b"2").expect("sends");
        guest.join().success();
        assert!(is_closed(&stream), "the guest's end closes all it had");
    });
}

#[test]
pub(crate) fn ancillary_sockets_received() {
    both_ways(|way| {
        let (unix, inet) = (libc::AF_UNIX, libc::AF_INET);
        for (grants, families) in [
            (&["ancillary=rights:receive"][..], &[unix][..]),
            (&["ancillary=rights:receive", "tcp-connect=127.0.0.1:1"], &[unix, inet]),
            // Datagrams of the same family are another matter.
            (&["ancillary=rights:receive", "udp-send=127.0.0.1:1"], &[unix]),
            // Sending is not receiving.
            (&["ancillary=rights:send", "tcp-connect=127.0.0.1:1"], &[]),
        ] {
            let peer = Peer::new();
            let mut guest =
                peer.reachable_by(Guest::new(programs::ancillary_sockets_received, way));
            for grant in grants {
                guest = guest.allow(grant);
            }
            for family in families {
                guest = guest.arg(family);
            }
            let guest = guest.start();
            let mut control = peer.accept();
            let (read, write) = pipe().expect("a pipe");
            let (stream, given) = UnixStream::pair().expect("a pair");
            let (tcp, tcp_given) = tcp_pair();
            send(&control, b"three", &[write.as_fd(), given.as_fd(), tcp_given.as_fd()]);
            drop((write, given, tcp_given));
            guest.lines(1);
            assert!(is_closed(&read));
            // Sockets that came in were closed by the guest; those that did not, by the host. None
            // is left.
            assert!(is_closed(&stream) && is_closed(&tcp));
            control.write_all(b"1").expect("sends");
            guest.join().success();
        }
    });
}

#[test]
pub(crate) fn ancillary_rights_refused() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_rights_refused, way))
            .allow_all()
            .deny("ancillary=rights:receive")
            .start();
        let mut control = peer.accept();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (read, write) = pipe().expect("a pipe");
            let (stream, given) = UnixStream::pair().expect("a pair");
            send(&control, b"two", &[write.as_fd(), given.as_fd()]);
            ends.push((read, stream));
        }
        guest.lines(1);
        assert!(ends.iter().all(|(read, stream)| is_closed(read) && is_closed(stream)));
        control.write_all(b"1").expect("sends");
        guest.join().success();
    });
}

#[test]
pub(crate) fn ancillary_rights_sent() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_rights_sent, way))
            .allow("ancillary=rights:send")
            .start();
        let control = peer.accept();
        let (data, mut fds, _) = receive(&control);
        assert_eq!((data.as_slice(), fds.len()), (&b"two"[..], 2));
        // The guest's bit is the kernel's own flag, now that others have the description.
        let nonblocking = |fd: &OwnedFd| fcntl_getfl(fd).expect("flags").contains(OFlags::NONBLOCK);
        assert_eq!(fds.iter().map(nonblocking).collect::<Vec<_>>(), [false, true]);
        let mut stream = UnixStream::from(fds.remove(0));
        stream.write_all(b"by the other end").expect("sends");
        drop(stream);
        let (data, mut fds, _) = receive(&control);
        assert_eq!((data.as_slice(), fds.len()), (&b"two"[..], 2));
        UnixStream::from(fds.remove(0)).write_all(b"again").expect("sends");
        guest.join().success();
    });
}

#[test]
pub(crate) fn ancillary_send_denied() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_send_denied, way))
            .allow("ancillary=rights:receive,any")
            .start();
        let control = peer.accept();
        let (data, fds, _) = receive(&control);
        assert_eq!((data.as_slice(), fds.len()), (&b"without"[..], 0));
        guest.join().success();
    });
}

#[test]
pub(crate) fn ancillary_guests_passed() {
    both_ways(|way| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().canonicalize().expect("it is there").join("taker");
        let guest =
            |role| Guest::new(programs::ancillary_guests_passed, way).arg(role).arg(path.display());
        let taker = guest("take")
            .allow(format!("unix-bind={}", path.display()))
            .allow("ancillary=rights:receive")
            .start();
        taker.lines(1);
        let giver = guest("give")
            .allow(format!("unix-connect={}", path.display()))
            .allow("ancillary=rights:send")
            .start();
        giver.lines(1);
        giver.join().success();
        taker.join().success();
    });
}

/// Gives the guest the go-ahead that it waits for.
fn go(control: &mut UnixStream) {
    control.write_all(b"g").expect("sends");
}

#[test]
pub(crate) fn ancillary_blocking_shared() {
    both_ways(|way| {
        let (peer, shared) = (Peer::new(), Peer::new());
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_blocking_shared, way))
            .allow("ancillary=rights:receive")
            .start();
        let mut control = peer.accept();
        send(&control, b"x", &[shared.listener.as_fd()]);
        let nonblocking =
            || fcntl_getfl(&shared.listener).expect("flags").contains(OFlags::NONBLOCK);
        let set = |flags| fcntl_setfl(&shared.listener, flags).expect("they can be set");
        guest.lines(1);
        assert!(!nonblocking());
        let _first = UnixStream::connect(&shared.path).expect("connects");
        guest.lines(2);
        guest.interrupt();
        guest.lines(3);
        assert!(nonblocking(), "the kernel's flag follows the guest's bit");
        go(&mut control);
        guest.lines(4);
        set(OFlags::empty());
        go(&mut control);
        guest.lines(5);
        let _second = UnixStream::connect(&shared.path).expect("connects");
        guest.lines(6);
        assert!(!nonblocking());
        set(OFlags::NONBLOCK);
        go(&mut control);
        guest.join().success();
        assert!(nonblocking(), "it stays as the last one set it");
    });
}

#[test]
pub(crate) fn ancillary_listener_contended() {
    both_ways(|way| {
        let (peer, shared) = (Peer::new(), Peer::new());
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_listener_contended, way))
            .allow("ancillary=rights:receive")
            .start();
        let control = peer.accept();
        send(&control, b"x", &[shared.listener.as_fd()]);
        guest.lines(1);
        let own = shared.listener.try_clone().expect("a duplicate");
        // It blocks in accept when all is over, and ends with the process.
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = own.accept() {
                let _ = stream.write_all(b"n");
            }
        });
        let mut by_guest = 0;
        for _ in 0..300 {
            let mut client = UnixStream::connect(&shared.path).expect("connects");
            client.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
            let mut by = [0];
            client.read_exact(&mut by).expect("somebody serves each connection");
            by_guest += usize::from(by == *b"g");
        }
        println!("the guest accepted {by_guest} of 300");
        guest.interrupt();
        guest.join().success();
    });
}

#[test]
pub(crate) fn ancillary_room_short() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_room_short, way))
            .allow("ancillary=rights:receive,any")
            .start();
        let mut control = peer.accept();
        for round in 0..5 {
            let (read, write) = pipes(2);
            send(&control, b"two", &borrowed(&write));
            drop(write);
            let taken: usize = guest.lines(2 * round + 1)[2 * round].parse().expect("a number");
            for (at, end) in read.iter().enumerate() {
                assert!(
                    if at < taken { is_open(end) } else { is_closed(end) },
                    "descriptor {at} of {taken} taken"
                );
            }
            go(&mut control);
            guest.lines(2 * round + 2);
            assert!(read.iter().all(is_closed));
            go(&mut control);
        }
        let (read, write) = pipes(2);
        send(&control, b"two", &borrowed(&write));
        drop(write);
        guest.join().success();
        assert!(read.iter().all(is_closed));
    });
}

/// Waits for the guest's claim with SO_PASSCRED set.
fn claimed(peer: &Peer, guest: Running) -> UCred {
    let mut control = peer.accept();
    rustix::net::sockopt::set_socket_passcred(&control, true).expect("it can be set");
    go(&mut control);
    let (data, _, ids) = receive(&control);
    assert_eq!(data, b"x");
    guest.join().success();
    ids.expect("credentials")
}

#[test]
pub(crate) fn ancillary_credentials_rewritten() {
    both_ways(|way| {
        let peer = Peer::new();
        let ids = claimed(
            &peer,
            peer.reachable_by(Guest::new(programs::ancillary_credentials_rewritten, way)).start(),
        );
        assert_eq!(ids.pid, rustix::process::getpid());
        assert_eq!((ids.uid, ids.gid), (rustix::process::getuid(), rustix::process::getgid()));
    });
}

#[test]
pub(crate) fn ancillary_credentials_forged() {
    if !rustix::process::getuid().is_root() {
        return skip("ancillary_credentials_forged", "only root may claim to be somebody else");
    }
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_credentials_forged, way))
            .allow("ancillary=credentials:forge")
            .arg(std::process::id())
            .start();
        let ids = claimed(&peer, guest);
        assert_eq!((ids.uid.as_raw(), ids.gid.as_raw()), (12345, 54321));
    });
}

#[test]
pub(crate) fn ancillary_rights_limited() {
    both_ways(|way| {
        for limit in [4, 64] {
            let guest = Guest::new(programs::ancillary_rights_limited, way)
                .allow("ancillary=rights:send")
                .allow("ancillary=rights:receive,any")
                .arg(limit);
            // 64 is the default.
            let guest =
                if limit == 64 { guest } else { guest.limit(format!("rights-in-flight={limit}")) };
            guest.run().success();
        }
    });
}

#[test]
pub(crate) fn ancillary_messages_refused() {
    both_ways(|way| {
        let guest =
            || Guest::new(programs::ancillary_messages_refused, way).allow("ancillary=rights:send");
        let guest = || guest().limit("rights-in-flight=1000");
        // A message of credentials takes 32 bytes; the default is 256 KiB.
        guest().arg(8192).run().success();
        guest().limit("control-bytes=64").arg(2).run().success();
    });
}

#[test]
pub(crate) fn ancillary_descriptors_limited() {
    both_ways(|way| {
        let peer = Peer::new();
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_descriptors_limited, way))
            .allow("ancillary=rights:receive,any")
            .limit("descriptors=4")
            .start();
        let mut control = peer.accept();
        let (read, write) = pipes(5);
        send(&control, b"five", &borrowed(&write));
        drop(write);
        guest.lines(1);
        assert!(read[..3].iter().all(is_open));
        assert!(read[3..].iter().all(is_closed), "what finds no place is closed");
        go(&mut control);
        guest.join().success();
        assert!(read.iter().all(is_closed));
    });
}

#[test]
pub(crate) fn ancillary_connect_received() {
    both_ways(|way| {
        let peer = Peer::new();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().canonicalize().expect("it is there").join("full");
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        full.bind(&SockAddr::unix(&path).expect("a path")).expect("binds");
        full.listen(0).expect("listens");
        let _first = UnixStream::connect(&path).expect("connects");
        let guest = peer
            .reachable_by(Guest::new(programs::ancillary_connect_received, way))
            .allow(format!("unix-connect={}", path.display()))
            .allow("ancillary=rights:receive")
            .arg(path.display())
            .start();
        let control = peer.accept();
        let given = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        send(&control, b"x", &[given.as_fd()]);
        guest.lines(1);
        guest.interrupt();
        guest.lines(2);
        for greeting in [&b""[..], b"hello"] {
            assert!(comes(&full, PollFlags::IN), "nobody connected");
            full.accept().expect("accepts").0.send(greeting).expect("sends");
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn ancillary_pidfd_received() {
    // SO_PASSPIDFD came with Linux 6.5.
    if !kernel_is_at_least(6, 5) {
        return sandsock_tests::skip(
            "ancillary_pidfd_received",
            "the kernel has no SO_PASSPIDFD (Linux 6.5)",
        );
    }
    both_ways(|way| {
        for allowed in [true, false] {
            let guest = Guest::new(programs::ancillary_pidfd_received, way)
                .allow("option=SOL_SOCKET/SO_PASSPIDFD")
                // The kernel gives the socket a name if it has none.
                .allow("unix-bind=@*")
                .arg(allowed);
            let guest = if allowed { guest.allow("ancillary=rights:receive,any") } else { guest };
            guest.run().success();
        }
    });
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux tells its release");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}
