//! Timeouts, and the interrupts that end waits.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, Way, both_ways, programs, skip};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::inet::{listener, pattern, serving};

/// A guest that may talk to itself over loopback.
fn guest(program: sandsock_tests::Program, way: Way) -> Guest {
    Guest::new(program, way)
        .allow("tcp-listen=127.0.0.1:0")
        .allow("tcp-connect=127.0.0.1:*")
        .allow("udp-bind=127.0.0.1:0")
        .allow("udp-receive=127.0.0.1:*")
}

/// Makes a listener whose queue is full. It does not answer a client until the waiting connections
/// are accepted.
fn deaf() -> (TcpListener, Vec<TcpStream>, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("binds");
    socket.listen(0).expect("listens");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("an address");
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(stream);
    }
    (listener, queued, address.port())
}

/// A listener whose connections have a small buffer.
fn narrow() -> (TcpListener, u16) {
    let (listener, port) = listener("127.0.0.1:0");
    let socket = Socket::from(listener);
    socket.set_recv_buffer_size(1 << 15).expect("sets");
    (socket.into(), port)
}

/// Reads to the end or up to `length` bytes, in pieces of `piece` bytes, with a pause after each.
fn slowly(stream: &mut TcpStream, length: usize, piece: usize, pause: Duration) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; piece];
    while all.len() < length {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
        }
        thread::sleep(pause);
    }
    all
}

#[test]
pub(crate) fn timeout_modes_letter() {
    both_ways(|way| {
        guest(programs::timeout_modes_letter, way).run().success();
    });
}

#[test]
pub(crate) fn timeout_wait_exact() {
    both_ways(|way| {
        guest(programs::timeout_wait_exact, way).run().success();
    });
}

#[test]
pub(crate) fn timeout_sendall_total() {
    both_ways(|way| {
        let (listener, port) = narrow();
        let peer = serving(listener, 1, |mut stream| {
            slowly(&mut stream, usize::MAX, 1 << 14, Duration::from_millis(10));
        });
        let guest = Guest::new(programs::timeout_sendall_total, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"));
        guest.arg(port).run().success();
        peer.join().expect("the peer's part");
    });
}

#[test]
pub(crate) fn timeout_connect_expires() {
    both_ways(|way| {
        let (listener, queued, port) = deaf();
        let guest = Guest::new(programs::timeout_connect_expires, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .arg(port)
            .start();
        guest.lines(1);
        // It ends with the test's process.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // The guest gave some of the connections up.
                let _ = stream.write_all(b"hi");
            }
            drop(queued);
        });
        guest.join().success();
    });
}

#[test]
pub(crate) fn timeout_connect_fails() {
    both_ways(|way| {
        for mode in ["timed", "blocking"] {
            let (listener, _queued, port) = deaf();
            let grant = format!("tcp-connect=127.0.0.1:{port}");
            let guest = Guest::new(programs::timeout_connect_fails, way)
                .allow(grant)
                .arg(port)
                .arg(mode)
                .start();
            guest.lines(1);
            thread::sleep(Duration::from_millis(100));
            drop(listener);
            guest.join().success();
        }
    });
}

/// A raw socket for UDP, whose datagrams have what checksum one likes.
fn forger() -> Option<Socket> {
    Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))
        .map_err(|error| skip("timeout_eagain_retried", &format!("no raw socket: {error}")))
        .ok()
}

#[test]
pub(crate) fn timeout_eagain_retried() {
    let Some(forger) = forger() else { return };
    both_ways(|way| {
        let guest = guest(programs::timeout_eagain_retried, way).start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let forger = forger.try_clone().expect("a duplicate");
        // It ends when the test does, however it does.
        let (_running, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            // Long enough for the kernel not to look at the checksum before it is read.
            let bad =
                [[1u16, port, 8 + 400, 0xdead].map(u16::to_be_bytes).concat(), vec![b'.'; 400]]
                    .concat();
            let to = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
                forger.send_to(&bad, &to).expect("sends");
                thread::sleep(Duration::from_millis(20));
            }
        });
        let good = UdpSocket::bind("127.0.0.1:0").expect("binds");
        for line in [2, 3] {
            guest.lines(line);
            thread::sleep(Duration::from_millis(200));
            good.send_to(b"good", ("127.0.0.1", port)).expect("sends");
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn timeout_default_inherited() {
    both_ways(|way| {
        guest(programs::timeout_default_inherited, way).run().success();
    });
}

#[test]
pub(crate) fn timeout_socketoption_obeyed() {
    both_ways(|way| {
        guest(programs::timeout_socketoption_obeyed, way).run().success();
    });
}

#[test]
pub(crate) fn timeout_mode_shared() {
    both_ways(|way| {
        guest(programs::timeout_mode_shared, way).run().success();
    });
}

#[test]
pub(crate) fn timeout_interrupt_ends() {
    both_ways(|way| {
        let (_deaf, _queued, deaf_port) = deaf();
        let (listener, port) = narrow();
        let guest = guest(programs::timeout_interrupt_ends, way).arg(port).arg(deaf_port).start();
        let (mut peer, _) = listener.accept().expect("accepts");
        for line in 1..=18 {
            assert_eq!(guest.lines(line)[line - 1], "waiting");
            guest.interrupt();
        }
        assert_eq!(guest.lines(19)[18], "busy");
        guest.interrupt();
        peer.write_all(b"go").expect("sends");
        assert_eq!(guest.lines(20)[19], "half");
        guest.interrupt();
        guest.join().success();
    });
}

#[test]
pub(crate) fn timeout_interrupt_resumes() {
    both_ways(|way| {
        let (_deaf, _queued, deaf_port) = deaf();
        let (listener, port) = narrow();
        let peer = serving(listener, 1, |mut stream| {
            let length = (8 << 20) + 1000;
            let all = slowly(&mut stream, length, 1 << 16, Duration::from_millis(1));
            let expected = pattern(4 << 20);
            let expected = [&expected[..], &expected, &expected[..1000]].concat();
            assert!(all == expected, "{} of {length} bytes", all.len());
            stream.write_all(b"done").expect("sends");
            assert_eq!(stream.read(&mut [0]).ok(), Some(0));
        });
        let guest =
            guest(programs::timeout_interrupt_resumes, way).arg(port).arg(deaf_port).start();
        guest.lines(1);
        // Not without end: a guest that goes on for ever is to fail, not to hang.
        let start = Instant::now();
        while !peer.is_finished() && start.elapsed() < Duration::from_secs(60) {
            guest.interrupt();
            thread::sleep(Duration::from_millis(5));
        }
        guest.join().success();
        peer.join().expect("the peer's part");
    });
}

#[test]
pub(crate) fn timeout_send_whole() {
    both_ways(|way| {
        let (listener, port) = narrow();
        let peer = serving(listener, 5, |mut stream| {
            let expected = pattern(8 << 20);
            let all = slowly(&mut stream, usize::MAX, 1 << 16, Duration::from_millis(1));
            assert!(expected.starts_with(&all), "in order");
            if all.len() == expected.len() {
                stream.write_all(b"all there").expect("sends");
            }
        });
        let guest = Guest::new(programs::timeout_send_whole, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"));
        guest.arg(port).run().success();
        peer.join().expect("the peer's part");
    });
}

#[test]
pub(crate) fn timeout_linkdown_expires() {
    both_ways(|way| {
        let (left, right) = match Namespace::linked() {
            Ok(linked) => linked,
            Err(reason) => return skip("timeout_linkdown_expires", &reason),
        };
        // The far end echoes.
        let (port_of, port) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                right.run(|| {
                    let (listener, port) = listener("10.77.0.2:0");
                    port_of.send(port).expect("the test waits for it");
                    // Should the guest fail, nothing is heard of it over a link that is down.
                    let patient = Socket::from(listener);
                    patient.set_read_timeout(Some(Duration::from_secs(60))).expect("sets");
                    let mut stream = TcpStream::from(patient.accept().expect("accepts").0);
                    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("sets");
                    let mut buffer = [0; 16];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        stream.write_all(&buffer[..count]).expect("sends");
                    }
                });
            });
            let port = port.recv().expect("a port");
            left.run(|| {
                let (near, near_port) = listener("127.0.0.1:0");
                let guest = Guest::new(programs::timeout_linkdown_expires, way)
                    .allow(format!("tcp-connect=10.77.0.2:{port}"))
                    .allow(format!("tcp-connect=127.0.0.1:{near_port}"))
                    .arg("10.77.0.2")
                    .arg(port)
                    .arg(near_port)
                    .start();
                guest.lines(1);
                // An address that is known is not asked for: nothing on the way says that there is
                // no road.
                let link = right.ip("-o link show right").expect("the link");
                let address = link
                    .split_once("link/ether ")
                    .and_then(|(_, rest)| rest.split(' ').next())
                    .expect("its address");
                left.ip(&format!(
                    "neighbour replace 10.77.0.2 lladdr {address} dev left nud permanent"
                ))
                .expect("set");
                right.ip("link set right down").expect("down");
                let (mut told, _) = near.accept().expect("accepts");
                told.write_all(b"down").expect("sends");
                guest.lines(2);
                right.ip("link set right up").expect("up");
                told.write_all(b"up").expect("sends");
                guest.join().success();
            });
        });
    });
}
