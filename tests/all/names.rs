//! Names: which ones a guest may look up, how the host treats the answers, and what the answers
//! grant.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sandsock_tests::resolver::{NameServer, with_own_resolver};
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
pub(crate) fn knows_localhost(test: &str) -> bool {
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
        Guest::new(programs::names_unknown_fails, way)
            .allow("tcp-connect=*.invalid:80")
            .run()
            .success();
    });
}

/// Whether this host has the usual table of services.
fn knows_services(test: &str) -> bool {
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let known = services.lines().any(|line| line.starts_with("http") && line.contains("80/tcp"));
    if !known {
        skip(test, "/etc/services does not have http");
    }
    known
}

#[test]
pub(crate) fn names_numeric_ok() {
    both_ways(|way| {
        let known = knows_services("names_numeric_ok, service names");
        let guest = Guest::new(programs::names_numeric_ok, way);
        if known { guest.arg("services") } else { guest }.run().success();
    });
}

/// A name server that answers A questions by a function of the name and of how often it was asked;
/// none is silence.
pub(crate) struct HostileServer {
    asked: Arc<Mutex<Vec<String>>>,
}

/// The name server's answers: addresses, and the alias that leads to them.
pub(crate) type Answer = Option<(Option<&'static str>, Vec<[u8; 4]>)>;

impl HostileServer {
    pub(crate) fn start(answer: fn(&str, usize) -> Answer) -> Self {
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

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Returns the question's name, and the offset of its end.
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

/// The answer to a question (RFC 1035, section 4): the header and the question again, then the
/// records.
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
        let name: Vec<u8> = alias
            .split('.')
            .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
            .chain([0])
            .collect();
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
                "rebind.example" => {
                    (None, vec![if times.is_multiple_of(4) { PUBLIC } else { metadata }])
                }
                "mixed.example" => {
                    (None, vec![[10, 0, 0, 1], PUBLIC, metadata, [127, 0, 0, 1], [192, 168, 0, 1]])
                }
                "metadata.example" => (None, vec![metadata]),
                "denied.example" => (None, vec![[93, 184, 216, 36]]),
                "alias.example" => (Some("canonical.other"), vec![[93, 184, 216, 35]]),
                _ => (None, vec![PUBLIC]),
            })
        });
        let listener = TcpListener::bind("0.0.0.0:8080").expect("the namespace is ours");
        listener.set_nonblocking(true).expect("is set");
        both_ways(|way| {
            let mut guest = Guest::new(programs::names_rebinding_denied, way)
                .deny("tcp-connect=93.184.216.36:*");
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
            [
                "alias.example",
                "denied.example",
                "metadata.example",
                "mixed.example",
                "rebind.example"
            ],
            "the server must hear of granted names alone"
        );
    });
}

#[test]
pub(crate) fn names_lookup_interrupted() {
    with_own_resolver("names::names_lookup_interrupted", || {
        let server = HostileServer::start(|_, _| None);
        both_ways(|way| {
            for function in
                ["getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo", "getfqdn"]
            {
                let running = Guest::new(programs::names_lookup_interrupted, way)
                    .allow("resolve=silent.example")
                    .allow("reverse-resolve=192.0.2.1")
                    .limit("lookups-pending=2")
                    .arg(function)
                    .start();
                for round in 1..=2 {
                    running.lines(round);
                    // Until the question is out, so that there is a wait to be ended.
                    std::thread::sleep(Duration::from_millis(200));
                    let start = Instant::now();
                    running.interrupt();
                    running.lines(round + 1);
                    assert!(
                        start.elapsed() < Duration::from_secs(2),
                        "{function}: {:?}",
                        start.elapsed()
                    );
                }
                running.join().success();
            }
        });
        assert!(server.asked().iter().all(|name| name == "silent.example"));
        assert!(!server.asked().is_empty());
    });
}

#[test]
pub(crate) fn names_server_ok() {
    const TEST: &str = "names::names_server_ok";
    with_own_resolver(TEST, || {
        let longest = format!(
            "{}.{}.{}.{}.example",
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(53)
        );
        let all: Vec<(String, &str)> = (1..=100)
            .flat_map(|n| {
                [
                    (format!("198.51.100.{n}"), "many.example"),
                    (format!("203.0.113.{n}"), "lots.example"),
                ]
            })
            .collect();
        let mut records = format!(
            "93.184.216.34 web.example\n93.184.216.35 both.example\n2606:2800::5 both.example\n2606:2800::6 six.example\n\
             93.184.216.36 xn--bcher-kva.example\n93.184.216.36 {longest}\n93.184.216.34 mixed.example\n\
             192.168.1.1 mixed.example\n10.0.0.7 private.example\n"
        );
        for (address, name) in &all {
            records.push_str(&format!("{address} {name}\n"));
        }
        let aliases = [("w3.example", "www.example"), ("www.example", "web.example")];
        let Some(server) = NameServer::start(TEST, &records, &aliases) else { return };
        both_ways(|way| {
            let mut guest = Guest::new(programs::names_server_ok, way)
                .allow("udp-send=many.example:9")
                .allow("udp-send=lots.example:9")
                .allow("reverse-resolve=93.184.216.0/24")
                .allow("reverse-resolve=2606:2800::/32")
                .allow(format!("resolve={longest}"));
            for name in ["w3", "both", "six", "none", "mixed", "private", "bücher"] {
                guest = guest.allow(format!("resolve={name}.example"));
            }
            guest = guest.arg(&longest);
            all.iter().fold(guest, |guest, (address, _)| guest.arg(address)).run().success();
        });
        let asked = server.asked();
        assert!(
            asked.contains(&longest) && asked.contains(&"34.216.184.93.in-addr.arpa".to_owned()),
            "{asked:?}"
        );
        let never = |name: &String| {
            name.len() > 253 || name.contains("0x7f") || name.contains("web.example")
        };
        assert!(!asked.iter().any(never), "{asked:?}");
    });
}

#[test]
pub(crate) fn names_changes_denied() {
    const TEST: &str = "names::names_changes_denied";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "", &[]) else { return };
        let listener = TcpListener::bind("0.0.0.0:8080").expect("the namespace is ours");
        both_ways(|way| {
            server.change("93.184.216.34 rebind.example\n");
            let running = Guest::new(programs::names_changes_denied, way)
                .allow("tcp-connect=rebind.example:8080")
                .start();
            for (change, answer) in [
                (Some("169.254.169.254 rebind.example\n"), b"1"),
                (Some("93.184.216.35 rebind.example\n"), b"2"),
                (None, b"3"),
                (None, b"3"),
            ] {
                let Some(mut stream) = accepted(&listener) else { break };
                if let Some(records) = change {
                    server.change(records);
                }
                stream.write_all(answer).expect("the guest waits for it");
            }
            running.join().success();
        });
    });
}

/// Returns the next connection. None if the guest failed and makes none.
fn accepted(listener: &TcpListener) -> Option<TcpStream> {
    listener.set_nonblocking(true).expect("is set");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("is set");
            return Some(stream);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

#[test]
pub(crate) fn names_slow_ok() {
    const TEST: &str = "names::names_slow_ok";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "93.184.216.34 web.example\n", &[]) else {
            return;
        };
        both_ways(|way| {
            let running = Guest::new(programs::names_slow_ok, way)
                .allow("resolve=web.example")
                .allow("reverse-resolve=93.184.216.34")
                .arg(500)
                .start();
            for question in 1..=3 {
                running.lines(question);
                server.pause();
                // The guest asks half a second after its line.
                std::thread::sleep(Duration::from_millis(1200));
                server.go_on();
            }
            running.join().success();
        });
    });
}

#[test]
pub(crate) fn names_dead_fails() {
    const TEST: &str = "names::names_dead_fails";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "93.184.216.34 web.example\n", &[]) else {
            return;
        };
        server.pause();
        both_ways(|way| {
            Guest::new(programs::names_dead_fails, way)
                .allow("resolve=web.example")
                .allow("resolve=files.example")
                .allow("reverse-resolve=93.184.216.34")
                .run()
                .success();
        });
        server.go_on();
    });
}

#[test]
pub(crate) fn names_reverse_denied() {
    const TEST: &str = "names::names_reverse_denied";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "93.184.216.34 web.example\n", &[]) else {
            return;
        };
        both_ways(|way| {
            Guest::new(programs::names_reverse_denied, way)
                .allow("reverse-resolve=192.0.2.0/24")
                .deny("reverse-resolve=192.0.2.128/25")
                .run()
                .success();
        });
        assert_eq!(
            server.asked(),
            ["1.2.0.192.in-addr.arpa"],
            "no server hears of what was not granted"
        );
    });
}

#[test]
pub(crate) fn names_fixed_ok() {
    if !knows_services("names_fixed_ok") {
        return;
    }
    both_ways(|way| {
        let pairs = [
            "one.example=10.0.0.5",
            "one.example=10.0.0.6",
            "one.example=fd00::5",
            "four.example=10.0.0.5",
            "far.example=10.9.9.9",
        ];
        let guest = Guest::new(programs::names_fixed_ok, way).deny("reverse-resolve=10.9.0.0/16");
        pairs.iter().fold(guest, |guest, pair| guest.resolve(pair)).run().success();
    });
}

#[test]
pub(crate) fn names_limits_refused() {
    both_ways(|way| {
        for limit in ["lookups-per-second", "lookups-pending"] {
            Guest::new(programs::names_limits_refused, way)
                .allow("resolve=web.example")
                .allow("reverse-resolve=192.0.2.1")
                .limit(format!("{limit}=0"))
                .arg(limit)
                .run()
                .success();
        }
    });
}

/// This host's own name.
fn kernel_hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux has it").trim().to_owned()
}

#[test]
pub(crate) fn names_hostname_ok() {
    const TEST: &str = "names::names_hostname_ok";
    with_own_resolver(TEST, || {
        both_ways(|way| {
            let guest = || Guest::new(programs::names_hostname_ok, way);
            std::fs::write("/proc/sys/kernel/hostname", "inside.example")
                .expect("the namespace is ours");
            assert_eq!(
                guest().allow("hostname=read").run().success(),
                "inside.example inside.example\n"
            );
            assert_eq!(guest().hostname("web-1").run().success(), "web-1 web-1\n");
            assert_eq!(guest().hostname("web-1").allow_all().run().success(), "web-1 web-1\n");
            assert_eq!(
                guest().allow_all().deny("hostname=read").run().success(),
                "sandbox sandbox\n"
            );
            assert_eq!(kernel_hostname(), "inside.example");
            // A guest that may set the name need not be allowed to read it.
            assert_eq!(
                guest().allow("hostname=set").arg("first").run().success(),
                "sandbox sandbox\n"
            );
            assert_eq!(kernel_hostname(), "first");
            let both = guest().allow("hostname=set").allow("hostname=read").arg("second");
            assert_eq!(both.run().success(), "second second\n");
            assert_eq!(kernel_hostname(), "second");
            // The kernel's own word, which is no denial.
            let ended = guest().allow("hostname=set").arg("x".repeat(65)).run();
            assert!(ended.stderr.contains("[Errno 22] Invalid argument"), "{ended:?}");
        });
    });
}

#[test]
pub(crate) fn names_hostname_denied() {
    both_ways(|way| {
        let before = kernel_hostname();
        Guest::new(programs::names_hostname_denied, way).run().success();
        Guest::new(programs::names_hostname_denied, way)
            .allow("interfaces")
            .allow("resolve=*")
            .deny("hostname=read")
            .run();
        assert_eq!(kernel_hostname(), before);
    });
}

#[test]
pub(crate) fn names_interfaces_ok() {
    both_ways(|way| {
        let shown =
            Guest::new(programs::names_interfaces_ok, way).allow("interfaces").run().success();
        let shown: BTreeSet<_> = shown.lines().map(str::to_owned).collect();
        let own = std::fs::read_dir("/sys/class/net").expect("Linux has it").filter_map(|entry| {
            let entry = entry.ok()?;
            let index = std::fs::read_to_string(entry.path().join("ifindex")).ok()?;
            Some(format!("{} {}", index.trim(), entry.file_name().to_string_lossy()))
        });
        assert_eq!(shown, own.collect::<BTreeSet<_>>());
    });
}

#[test]
pub(crate) fn names_interfaces_denied() {
    both_ways(|way| {
        Guest::new(programs::names_interfaces_denied, way).allow("tcp-listen=*:*").run().success();
    });
}

#[test]
pub(crate) fn names_services_ok() {
    if !knows_services("names_services_ok") {
        return;
    }
    both_ways(|way| {
        Guest::new(programs::names_services_ok, way).run().success();
    });
}
