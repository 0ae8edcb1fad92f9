//! Names: which may be looked up, what becomes of the answers, and what they open.

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sandsock_tests::resolver::with_own_resolver;
use sandsock_tests::{Guest, both_ways, programs, skip};

use crate::policy::{Tcp, Udp};

#[test]
pub(crate) fn names_resolve_ok() {
    both_ways(|way| {
        let (tcp, udp, other) = (Tcp::new(), Udp::new(), Tcp::new());
        Guest::new(programs::names_resolve_ok, way)
            .allow(format!("tcp-connect=one.example:{}", tcp.port()))
            .allow(format!("udp-send=one.example:{}", udp.port()))
            .resolve("one.example=127.0.0.1")
            .resolve("one.example=::1")
            .resolve("two.example=127.0.0.1")
            .arg(tcp.port())
            .arg(udp.port())
            .arg(other.port())
            .run()
            .success();
        assert_eq!(tcp.connections(), 3);
        assert_eq!(udp.datagrams(), [b"by name".to_vec(), b"by number".to_vec()]);
        other.untouched();
    });
}

/// Whether the system's resolver knows localhost as this suite expects it.
fn knows_localhost(test: &str) -> bool {
    use std::net::ToSocketAddrs as _;
    let known = ("localhost", 80)
        .to_socket_addrs()
        .is_ok_and(|mut list| list.any(|address| address.ip().to_string() == "127.0.0.1"));
    if !known {
        skip(test, "the system's resolver does not know localhost");
    }
    known
}

#[test]
pub(crate) fn names_private_denied() {
    if !knows_localhost("names_private_denied") {
        return;
    }
    both_ways(|way| {
        let peer = Tcp::new();
        Guest::new(programs::names_private_denied, way)
            .allow(format!("tcp-connect=localhost:{}", peer.port()))
            .arg(peer.port())
            .run()
            .success();
        peer.untouched();
    });
}

#[test]
pub(crate) fn names_private_ok() {
    if !knows_localhost("names_private_ok") {
        return;
    }
    both_ways(|way| {
        let peer = Tcp::new();
        let port = peer.port();
        // Either of the two ways that the denial names.
        Guest::new(programs::names_private_ok, way)
            .allow(format!("tcp-connect=localhost:{port}"))
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .arg(port)
            .run()
            .success();
        Guest::new(programs::names_private_ok, way)
            .allow(format!("tcp-connect=localhost:{port}"))
            .resolve("localhost=127.0.0.1")
            .arg(port)
            .run()
            .success();
        assert_eq!(peer.connections(), 4);
    });
}

#[test]
pub(crate) fn names_pattern_denied() {
    both_ways(|way| {
        let granted = [
            "a.example.com",
            "A.B.Example.COM.",
            "bücher.example",
            "BÜCHER.example",
            "xn--bcher-kva.example",
            "db.internal",
            "DB.internal.",
        ];
        let mut guest = Guest::new(programs::names_pattern_denied, way)
            .allow("tcp-connect=*.Example.com:5432")
            .allow("resolve=Bücher.example.")
            .allow("tcp-connect=db.internal:5432");
        for name in ["a.example.com", "a.b.example.com", "bücher.example", "db.internal"] {
            guest = guest.resolve(format!("{name}=203.0.113.9"));
        }
        granted.iter().fold(guest, |guest, name| guest.arg(name)).run().success();
    });
}

#[test]
pub(crate) fn names_unknown_fails() {
    both_ways(|way| {
        Guest::new(programs::names_unknown_fails, way).allow("tcp-connect=*.invalid:80").run().success();
    });
}

#[test]
pub(crate) fn names_numeric_ok() {
    both_ways(|way| {
        let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
        let known = services.lines().any(|line| line.starts_with("http") && line.contains("80/tcp"));
        if !known {
            skip("names_numeric_ok", "service names: /etc/services does not have http");
        }
        let guest = Guest::new(programs::names_numeric_ok, way);
        if known { guest.arg("services") } else { guest }.run().success();
    });
}

/// A name server that answers A questions by a function of the name and of how often it was asked; none is silence.
struct HostileServer {
    asked: Arc<Mutex<Vec<String>>>,
}

/// What it answers: addresses, and the alias that leads to them.
type Answer = Option<(Option<&'static str>, Vec<[u8; 4]>)>;

impl HostileServer {
    fn start(answer: fn(&str, usize) -> Answer) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let socket = UdpSocket::bind("127.0.0.1:53").expect("the namespace is ours");
        let names = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Some((name, end)) = question(&buffer[..length]) else { continue };
                let a_record = buffer[end - 4..end - 2] == [0, 1];
                let times = {
                    let mut names = names.lock().expect("no panic");
                    let times = names.iter().filter(|known| **known == name).count();
                    if a_record {
                        names.push(name.clone());
                    }
                    times
                };
                let Some((alias, addresses)) = answer(&name, times) else { continue };
                let addresses = if a_record { addresses } else { Vec::new() };
                let _ = socket.send_to(&reply(&buffer[..end], alias, &addresses), from);
            }
        });
        Self { asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// The question's name, and where it ends.
fn question(packet: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return (at + 4 <= packet.len()).then(|| (labels.join("."), at + 4));
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

/// The answer to a question (RFC 1035, section 4): the header and the question again, then the records.
fn reply(question: &[u8], alias: Option<&str>, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut packet = question.to_vec();
    let count = addresses.len() + usize::from(alias.is_some());
    packet[2..4].copy_from_slice(&[0x81, 0x80]);
    packet[6..12].copy_from_slice(&[0, count as u8, 0, 0, 0, 0]);
    let mut record = |name: &[u8], kind: u8, data: &[u8]| {
        packet.extend(name);
        packet.extend([0, kind, 0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
        packet.extend(data);
    };
    let mut owner = vec![0xc0, 12];
    if let Some(alias) = alias {
        let name: Vec<u8> =
            alias.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect();
        record(&owner, 5, &name);
        owner = name;
    }
    for address in addresses {
        record(&owner, 1, address);
    }
    packet
}

#[test]
pub(crate) fn names_rebinding_denied() {
    const PUBLIC: [u8; 4] = [93, 184, 216, 34];
    with_own_resolver("names::names_rebinding_denied", || {
        let server = HostileServer::start(|name, times| {
            let metadata = [169, 254, 169, 254];
            Some(match name {
                // Two ways to wait are two runs: each is answered well once.
                "rebind.example" => (None, vec![if times.is_multiple_of(4) { PUBLIC } else { metadata }]),
                "mixed.example" => (None, vec![[10, 0, 0, 1], PUBLIC, metadata, [127, 0, 0, 1], [192, 168, 0, 1]]),
                "metadata.example" => (None, vec![metadata]),
                "denied.example" => (None, vec![[93, 184, 216, 36]]),
                "alias.example" => (Some("canonical.other"), vec![[93, 184, 216, 35]]),
                _ => (None, vec![PUBLIC]),
            })
        });
        let listener = TcpListener::bind("0.0.0.0:8080").expect("the namespace is ours");
        listener.set_nonblocking(true).expect("is set");
        both_ways(|way| {
            let mut guest = Guest::new(programs::names_rebinding_denied, way).deny("tcp-connect=93.184.216.36:*");
            for name in ["rebind", "mixed", "metadata", "denied", "alias"] {
                guest = guest.allow(format!("tcp-connect={name}.example:8080"));
            }
            guest.run().success();
            let from = std::iter::from_fn(|| listener.accept().ok())
                .map(|(stream, _)| stream.local_addr().expect("an address").ip().to_string());
            assert_eq!(from.collect::<Vec<_>>(), ["93.184.216.34", "93.184.216.35"]);
        });
        let mut asked = server.asked();
        asked.sort();
        asked.dedup();
        assert_eq!(
            asked,
            ["alias.example", "denied.example", "metadata.example", "mixed.example", "rebind.example"],
            "the server must hear of granted names alone"
        );
    });
}

#[test]
pub(crate) fn names_lookup_interrupted() {
    with_own_resolver("names::names_lookup_interrupted", || {
        let server = HostileServer::start(|_, _| None);
        both_ways(|way| {
            let running = Guest::new(programs::names_lookup_interrupted, way)
                .allow("resolve=silent.example")
                .limit("lookups-pending=2")
                .start();
            for round in 1..=2 {
                running.lines(round);
                // Until the question is out, so that there is a wait to be ended.
                std::thread::sleep(Duration::from_millis(200));
                let start = Instant::now();
                running.interrupt();
                running.lines(round + 1);
                assert!(start.elapsed() < Duration::from_secs(2), "the interrupt took {:?}", start.elapsed());
            }
            running.join().success();
        });
        assert!(server.asked().iter().all(|name| name == "silent.example"));
        assert!(!server.asked().is_empty());
    });
}
