//! How calls wait, on the thread and on the fiber, and what ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandsock_tests::{Ended, Guest, Running, Way, both_ways, programs, run_together};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

/// A test waits no longer than this for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of the test's own, and a path in it.
fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("it is there").join("peer");
    (directory, path)
}

/// A word that no other test of this machine uses for a name.
fn tag() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("sandsock-wait-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Checks that there is something to read.
#[track_caller]
fn await_readable(fd: impl AsFd) {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    let time = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert!(poll(&mut fds, Some(&time)).expect("polls") > 0, "nothing came");
}

#[track_caller]
fn accept(listener: &UnixListener) -> UnixStream {
    await_readable(listener);
    let (stream, _) = listener.accept().expect("accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

#[track_caller]
fn accept_tcp(listener: &TcpListener) -> TcpStream {
    await_readable(listener);
    let (stream, _) = listener.accept().expect("accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

fn tcp_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A UNIX listener with a backlog of this length.
fn narrow_listener(path: &Path, backlog: i32) -> UnixListener {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::unix(path).expect("a path")).expect("binds");
    socket.listen(backlog).expect("listens");
    UnixListener::from(OwnedFd::from(socket))
}

/// Checks that the guest is still at the same place after a while in which it could have gone on.
#[track_caller]
fn stays_at(guest: &Running, lines: usize, while_: Duration) {
    std::thread::sleep(while_);
    assert_eq!(guest.lines(lines).len(), lines, "it did not wait");
}

#[test]
pub(crate) fn wait_none_never() {
    both_ways(|way| {
        let (listener, port) = tcp_listener();
        let guest = Guest::new(programs::wait_none_never, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .arg(port)
            .start();
        guest.lines(1);
        guest.interrupt();
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = accept_tcp(&listener);
            // The first two are closed by now.
            let _ = stream.write_all(b"g");
            streams.push(stream);
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn wait_within_expired() {
    both_ways(|way| {
        let tag = tag();
        Guest::new(programs::wait_within_expired, way)
            .allow(format!("unix-bind=@{tag}*"))
            .allow(format!("unix-connect=@{tag}*"))
            .arg(tag)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn wait_within_partial() {
    both_ways(|way| {
        Guest::new(programs::wait_within_partial, way).run().success();
    });
}

#[test]
pub(crate) fn wait_forever_whole() {
    const MIB: usize = 1 << 20;
    both_ways(|way| {
        let (_keep, path) = directory();
        let listener = UnixListener::bind(&path).expect("binds");
        let guest = Guest::new(programs::wait_forever_whole, way)
            .allow(format!("unix-connect={}", path.display()))
            .arg(path.display())
            .start();
        let data: Vec<u8> =
            (0..8 * MIB as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        // It reads little by little: the guest waits again and again.
        let slowly = |stream: &mut UnixStream| {
            let mut all = vec![0; data.len()];
            for (at, part) in all.chunks_mut(100_000).enumerate() {
                if at % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                stream.read_exact(part).expect("receives");
            }
            assert!(all == data);
        };
        let mut stream = accept(&listener);
        slowly(&mut stream);
        for part in data[..MIB + 500_000].chunks(70_001) {
            stream.write_all(part).expect("sends");
        }
        stream.write_all(b"end").expect("sends");
        drop(stream);
        for _ in 0..2 {
            let mut stream = accept(&listener);
            slowly(&mut stream);
            assert_eq!(stream.read(&mut [0]).expect("receives"), 0, "nothing more");
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn wait_forever_flags() {
    both_ways(|way| {
        let tag = tag();
        Guest::new(programs::wait_forever_flags, way)
            .allow(format!("unix-bind=@{tag}"))
            .allow(format!("unix-connect=@{tag}"))
            .allow("udp-bind=127.0.0.1:0")
            .arg(tag)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn wait_backlog_full() {
    both_ways(|way| {
        let (_keep, path) = directory();
        let listener = narrow_listener(&path, 0);
        let _first = UnixStream::connect(&path).expect("connects");
        let guest = Guest::new(programs::wait_backlog_full, way)
            .allow(format!("unix-connect={}", path.display()))
            .arg(path.display())
            .start();
        guest.lines(1);
        stays_at(&guest, 1, Duration::from_millis(100));
        accept(&listener);
        guest.lines(2);
        accept(&listener).write_all(b"hello").expect("sends");
        guest.join().success();
    });
}

#[test]
pub(crate) fn wait_datagram_full() {
    both_ways(|way| {
        for how in ["unconnected", "message", "connected"] {
            let (_keep, path) = directory();
            let peer = UnixDatagram::bind(&path).expect("binds");
            peer.set_read_timeout(Some(PATIENCE)).expect("it can be set");
            let guest = Guest::new(programs::wait_datagram_full, way)
                .allow(format!("unix-connect={}", path.display()))
                .arg(path.display())
                .arg(how)
                .start();
            let count: usize = guest.lines(1)[0].parse().expect("a number");
            stays_at(&guest, 1, Duration::from_millis(800));
            let receive = || {
                let mut data = [0; 10];
                let length = peer.recv(&mut data).expect("receives");
                data[..length].to_vec()
            };
            assert_eq!(receive(), b"fill");
            guest.lines(2);
            for _ in 1..count {
                assert_eq!(receive(), b"fill");
            }
            assert_eq!(receive(), b"forever");
            let ended = guest.join();
            let cpu = ended.cpu.expect("a thread of its own");
            ended.success();
            assert!(
                cpu < Duration::from_millis(200),
                "{how}: it used the processor for {cpu:?} while it waited"
            );
        }
    });
}

#[test]
pub(crate) fn wait_linger_closed() {
    both_ways(|way| {
        let (listener, port) = tcp_listener();
        let begin = Instant::now();
        let guest = Guest::new(programs::wait_linger_closed, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .arg(port)
            .start();
        let mut streams: Vec<_> = (0..3).map(|_| accept_tcp(&listener)).collect();
        guest.lines(1);
        guest.interrupt();
        streams.push(accept_tcp(&listener));
        guest.join().success();
        assert!(begin.elapsed() < Duration::from_secs(1000));
        // The kernel still has the bytes that were not read.
        drop(streams);
    });
}

/// Interrupts the guest at each of its first `lines` lines.
fn interrupt_at_each_line(guest: Running, lines: usize) -> Ended {
    for line in 1..=lines {
        guest.lines(line);
        // Every other time it is given time to be at its wait.
        if line % 2 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        guest.interrupt();
    }
    guest.join()
}

#[test]
pub(crate) fn wait_interrupt_ended() {
    both_ways(|way| {
        let tag = tag();
        let guest = Guest::new(programs::wait_interrupt_ended, way)
            .allow(format!("unix-bind=@{tag}*"))
            .allow(format!("unix-connect=@{tag}*"))
            .arg(tag)
            .start();
        let told = interrupt_at_each_line(guest, 45).success();
        assert_eq!(told.lines().count(), 45);
    });
}

#[test]
pub(crate) fn wait_connect_finished() {
    both_ways(|way| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("binds");
        socket.listen(0).expect("listens");
        let listener = TcpListener::from(OwnedFd::from(socket));
        let address = listener.local_addr().expect("an address");
        // With one waiting connection the backlog is full, so no other client is answered.
        let _first = TcpStream::connect(address).expect("connects");
        let unused = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        unused.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("binds");
        let closed = unused.local_addr().expect("an address").as_socket().expect("of IPv4").port();
        let guest = Guest::new(programs::wait_connect_finished, way)
            .allow("tcp-connect=127.0.0.1:*")
            .arg(address.port())
            .arg(closed)
            .start();
        guest.lines(1);
        guest.interrupt();
        guest.lines(2);
        accept_tcp(&listener);
        accept_tcp(&listener).write_all(b"hello").expect("sends");
        guest.join().success();
    });
}

#[test]
pub(crate) fn wait_alias_ended() {
    both_ways(|way| {
        Guest::new(programs::wait_alias_ended, way).run().success();
    });
}

#[test]
pub(crate) fn wait_many_together() {
    const GUESTS: usize = 50;
    let (_keep, path) = directory();
    let listener = narrow_listener(&path, 4);
    let guest = || {
        Guest::new(programs::wait_many_together, Way::Fiber)
            .allow(format!("unix-connect={}", path.display()))
            .arg(path.display())
    };
    let running = run_together((0..GUESTS).map(|_| guest()).collect());
    // All of them are there before the first is answered: none holds the thread.
    let mut streams: Vec<_> = (0..GUESTS).map(|_| accept(&listener)).collect();
    for stream in streams.iter_mut().rev() {
        stream.write_all(b"1").expect("sends");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("it is answered while all others wait");
        assert_eq!(&answer, b"a");
    }
    for stream in &mut streams {
        stream.write_all(b"2").expect("sends");
    }
    for stream in streams.iter_mut().rev() {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("receives");
        assert_eq!(all.len(), 1 << 20);
    }
    for ended in running.join().expect("the host must not panic") {
        ended.success();
    }
}

#[test]
pub(crate) fn wait_ended_closed() {
    both_ways(|way| {
        for how in ["trap", "exit", "abort", "compute", "wait"] {
            let (_keep, path) = directory();
            let unix = UnixListener::bind(&path).expect("binds");
            let (tcp, port) = tcp_listener();
            let guest = Guest::new(programs::wait_ended_closed, way)
                .allow(format!("unix-connect={}", path.display()))
                .allow(format!("tcp-connect=127.0.0.1:{port}"))
                .arg(path.display())
                .arg(port)
                .arg(how)
                .start();
            let (mut unix, mut tcp) = (accept(&unix), accept_tcp(&tcp));
            // A socket closed with bytes unread resets its peer.
            tcp.write_all(b"unread").expect("sends");
            guest.lines(1);
            if matches!(how, "compute" | "wait") {
                guest.stop();
            }
            assert_eq!(unix.read(&mut [0]).expect("receives"), 0, "{how}: the end");
            match tcp.read(&mut [0]) {
                Ok(length) => assert_eq!(length, 0, "{how}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{how}"),
            }
            assert!(!matches!(guest.join().result, Ok(Ok(()))), "{how}: it did not end well");
        }
    });
}

#[test]
pub(crate) fn wait_poll_told() {
    both_ways(|way| {
        for limit in [4, 900] {
            let guest = Guest::new(programs::wait_poll_told, way)
                .limit(format!("poll-entries={limit}"))
                .arg(limit)
                .start();
            interrupt_at_each_line(guest, 1).success();
        }
    });
}

#[test]
pub(crate) fn wait_interrupt_after() {
    both_ways(|way| {
        let (_folder, path) = directory();
        let listener = UnixListener::bind(&path).expect("binds");
        let guest = Guest::new(programs::wait_interrupt_after, way)
            .allow(format!("unix-connect={}", path.display()))
            .arg(path.display())
            .start();
        let mut stream = accept(&listener);
        for _ in 0..6 {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("receives");
            std::thread::sleep(Duration::from_millis(5));
            stream.write_all(&byte).expect("sends");
        }
        guest.lines(1);
        stream.write_all(b"x").expect("sends");
        guest.interrupt();
        guest.join().success();
    });
}
