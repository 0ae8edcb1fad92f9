//! Promise: the bytes that the kernel holds in the buffers of a guest's sockets stay below its
//! `buffer-bytes`. It does not matter who reads, or what the guest closes, sends away or leaves
//! waiting.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, Program, Running, Way, both_ways, programs, skip};

/// The limit of the attacks, and what their twins go beyond.
const LIMIT: u64 = 16 << 20;
const TWIN: u64 = 1 << 30;

/// Returns the sum of a queue's bytes over all sockets with this port, in a table like
/// /proc/net/tcp.
fn queues(table: &str, address: usize, port: u16, received: bool) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/net/{table}")).expect("reads");
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|columns| columns[address].split(':').nth(1).map(hex) == Some(port.into()))
        .map(|columns| columns[4].split(':').nth(usize::from(received)).map_or(0, hex))
        .sum()
}

/// The guest that attacks, or its twin.
fn guest(program: Program, way: Way, twin: bool) -> Guest {
    let guest =
        Guest::new(program, way).limit(format!("buffer-bytes={}", if twin { TWIN } else { LIMIT }));
    let guest = if twin { guest.arg("twin") } else { guest };
    guest.arg(LIMIT)
}

fn both_kinds(body: impl Fn(Way, bool)) {
    both_ways(|way| [false, true].into_iter().for_each(|twin| body(way, twin)));
}

/// The lines that the guest prints until this one.
fn until(running: &Running, last: &str) -> Vec<String> {
    let mut count = 1;
    loop {
        let lines = running.lines(count);
        if lines.last().is_some_and(|line| line == last) {
            return lines;
        }
        count = lines.len() + 1;
    }
}

#[test]
pub(crate) fn attack_buffers_unix_bounded() {
    both_kinds(|way, twin| {
        let pairs = if twin { 16 } else { 512 };
        let guest = guest(programs::attack_buffers_unix_bounded, way, twin).arg(pairs);
        let ended = guest.limit("memory-bytes=4194304").allow("ancillary=rights:send").run();
        println!("{}", ended.success());
    });
}

#[test]
pub(crate) fn attack_buffers_tcp_bounded() {
    both_kinds(|way, twin| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).expect("sets");
        let port = listener.local_addr().expect("an address").port();
        let guest = guest(programs::attack_buffers_tcp_bounded, way, twin).arg(8).arg(port);
        let running = guest.allow(format!("tcp-connect=127.0.0.1:{port}")).start();
        let mut peers: Vec<_> = (0..8).map(|_| listener.accept().expect("accepts").0).collect();
        if twin {
            running.join().success();
            return;
        }
        // Another guest is not concerned.
        running.lines(2);
        Guest::new(programs::limits_transfer_cut, way)
            .limit("transfer-bytes=1000")
            .arg(1000)
            .run()
            .success();
        for number in 0..5 {
            running.lines(number + 2);
            let held = queues("tcp", 2, port, false);
            assert!((LIMIT / 4..=LIMIT).contains(&held), "{held}");
            std::thread::sleep(Duration::from_millis(100));
            let mut data = vec![0; 3 << 20];
            peers[0].set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
            peers[0].read_exact(&mut data).expect("reads");
        }
        // A client that connects later must wait as well.
        let lines = until(&running, "left");
        println!("{lines:?}");
        let held = queues("tcp", 2, port, false);
        assert!((LIMIT / 4..=LIMIT).contains(&held), "{held}");
        running.interrupt();
        running.join().success();
    });
}

#[test]
pub(crate) fn attack_buffers_datagram_bounded() {
    both_kinds(|way, twin| {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let from = peer.local_addr().expect("an address").port();
        let guest = guest(programs::attack_buffers_datagram_bounded, way, twin).arg(32);
        let running = guest
            .allow("udp-bind=127.0.0.1:0")
            .allow(format!("udp-receive=127.0.0.1:{from}"))
            .start();
        let mut ports: Vec<u16> =
            until(&running, ".").iter().filter_map(|line| line.parse().ok()).collect();
        assert!(ports.len() > 8, "{}", ports.len());
        for _ in 0..300 {
            for port in &ports {
                peer.send_to(&[7; 60_000], ("127.0.0.1", *port)).expect("sends");
            }
        }
        ports.sort_unstable();
        let held: u64 = ports.iter().map(|port| queues("udp", 1, *port, true)).sum();
        println!("{held} held in {}", ports.len());
        assert_eq!(held > LIMIT, twin, "{held}");
        running.interrupt();
        running.join().success();
    });
}

#[test]
pub(crate) fn attack_buffers_backlog_bounded() {
    both_kinds(|way, twin| {
        let folder = tempfile::tempdir().expect("makes");
        let path = folder.path().join("socket");
        let path = path.to_str().expect("is text");
        let running = guest(programs::attack_buffers_backlog_bounded, way, twin)
            .arg(if twin { 12 } else { 200 })
            .arg(path)
            .allow(format!("unix-bind={path}"))
            .allow(format!("unix-connect={path}"))
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .start();
        let lines = running.lines(3);
        println!("{lines:?}");
        let port = lines[2].parse().expect("a port");
        let start = Instant::now();
        let held = queues("tcp", 1, port, true);
        assert!(start.elapsed() < Duration::from_secs(10));
        println!("{held} held");
        assert_eq!(held > LIMIT, twin, "{held}");
        running.interrupt();
        running.join().success();
    });
}

#[test]
pub(crate) fn attack_buffers_membership_bounded() {
    let body = || {
        both_kinds(|way, twin| {
            let limit = if twin { TWIN } else { 600_000 };
            let guest = Guest::new(programs::attack_buffers_membership_bounded, way)
                .limit(format!("buffer-bytes={limit}"));
            let guest = if twin { guest.arg("twin") } else { guest };
            let guest = guest
                .arg(400)
                .arg(2000)
                .allow("packet=lo")
                .allow("option=SOL_PACKET/PACKET_ADD_MEMBERSHIP");
            println!("{}", guest.allow("option=SOL_PACKET/PACKET_DROP_MEMBERSHIP").run().success());
        });
    };
    match Namespace::linked() {
        Ok((namespace, _other)) => namespace.run(body),
        Err(reason) => skip("attack_buffers_membership_bounded", &reason),
    }
}
