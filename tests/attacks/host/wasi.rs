//! Promise: a guest of `wasi:sockets`, of 0.2 or 0.3, gets no further than its policy, and makes the
//! host hold no more than its limits.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandsock_tests::resolver::with_own_resolver;
use sandsock_tests::{command, guest_path, programs};

use crate::names::HostileServer;
use crate::policy::{Tcp, Udp};
use crate::wasi::acts::{Acts, Version, allow, has_ipv6, run};

const BOTH: [Version; 2] = [Version::Two, Version::Three];

/// What came of acts of one kind on each of these targets.
fn results(version: Version, options: &[&str], act: &str, targets: &[String]) -> Vec<String> {
    let acts: Vec<_> = targets.iter().map(|target| format!("{act}={target}")).collect();
    let (lines, _) = run(version, options, &acts.iter().map(String::as_str).collect::<Vec<_>>());
    let texts = lines.iter().map(|line| line.split_once(": ").expect("an act").1.to_owned());
    texts.collect()
}

/// Other names of 127.0.0.1, and what the package says of them.
fn aliases(port: u16) -> Vec<(String, &'static str)> {
    [
        ("127.0.0.1", "access-denied"),
        ("127.1.2.3", "access-denied"),
        ("0.0.0.0", "invalid-argument"),
        ("[::]", "invalid-argument"),
        ("[::ffff:127.0.0.1]", "invalid-argument"),
        ("[::ffff:0.0.0.0]", "invalid-argument"),
        ("[::127.0.0.1]", "invalid-argument"),
        ("[::127.0.0.1%1]", "invalid-argument"),
        ("[64:ff9b::127.0.0.1]", "access-denied"),
        ("[64:ff9b:1::127.0.0.1]", "access-denied"),
        ("[2002:7f00:1::]", "access-denied"),
        ("[2002:7f00:1:1::1]", "access-denied"),
        ("[::ffff:0:127.0.0.1]", "access-denied"),
        ("[fe80::5efe:127.0.0.1%1]", "access-denied"),
        ("[2001:0:c000:201:0:0:80ff:fffe]", "access-denied"),
    ]
    .map(|(host, code)| (format!("{host}:{port}"), code))
    .to_vec()
}

#[test]
fn attack_wasi_addresses_denied() {
    if !has_ipv6("attack_wasi_addresses_denied") {
        return;
    }
    for version in BOTH {
        let (tcp, udp) = (Tcp::new(), Udp::new());
        for (act, port) in [("connect", tcp.port()), ("send", udp.port())] {
            let (targets, codes): (Vec<_>, Vec<_>) = aliases(port).into_iter().unzip();
            let verb = if act == "connect" { "tcp-connect" } else { "udp-send" };
            let rule = format!("{verb}=127.0.0.0/8:*");
            // All is allowed but this.
            let options = ["--allow-all", "--deny", &rule];
            assert_eq!(results(version, &options, act, &targets), codes, "{version:?} {act}");
            // Nothing is allowed but another port. A bind comes first where the package says so.
            let options = ["--allow", &format!("{verb}=127.0.0.1:1"), "--allow", "udp-bind=[::]:0"];
            assert_eq!(results(version, &options, act, &targets), codes, "{version:?} {act}");
        }
        tcp.untouched();
        udp.untouched();
        // The twin.
        let server = crate::wasi::echo_server(1);
        let to = format!("127.0.0.1:{server}");
        let grant = format!("tcp-connect={to}");
        assert_eq!(results(version, &["--allow", &grant], "connect", &[to]), ["ping"]);
    }
}

/// Grants for TLS alone let these guests connect nowhere: they have no TLS of the host's.
#[test]
fn attack_wasi_tls_denied() {
    for version in BOTH {
        let tcp = Tcp::new();
        let to = [format!("127.0.0.1:{}", tcp.port())];
        for verb in ["tls-connect", "tls-insecure", "tls-upgrade"] {
            let grant = format!("{verb}={}", to[0]);
            let options = ["--allow", &grant];
            assert_eq!(results(version, &options, "connect", &to), ["access-denied"], "{verb}");
        }
        tcp.untouched();
        // The twin.
        let to = [format!("127.0.0.1:{}", crate::wasi::echo_server(1))];
        let grant = format!("tcp-connect={}", to[0]);
        assert_eq!(results(version, &["--allow", &grant], "connect", &to), ["ping"]);
    }
}

#[test]
fn attack_wasi_ports_denied() {
    for version in BOTH {
        let (granted, other) = (Tcp::new().port(), Tcp::new().port());
        let targets = |hosts: &[(&str, u16)]| {
            hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>()
        };
        let all = targets(&[
            ("127.0.0.1", other),
            ("127.0.0.1", 0),
            ("0.0.0.0", granted),
            ("0.0.0.0", 0),
            ("127.0.0.2", granted),
            ("[::1]", granted),
            ("[::]", granted),
        ]);
        let denied = vec!["access-denied"; all.len()];
        let grants = [
            format!("tcp-listen=127.0.0.1:{granted}"),
            format!("udp-bind=127.0.0.1:{granted}"),
            format!("tcp-connect=127.0.0.1:{granted}"),
            "udp-receive=*:*".to_owned(),
        ];
        let options = allow(&grants.each_ref().map(String::as_str));
        assert_eq!(results(version, &options, "listen", &all), denied, "{version:?}");
        assert_eq!(results(version, &options, "bind", &all), denied, "{version:?}");
        // The kernel gives no port that a rule denies.
        let options =
            ["--allow-all", "--deny", "tcp-listen=*:1-65535", "--deny", "udp-bind=*:1-65535"];
        let chosen = targets(&[("127.0.0.1", 0), ("0.0.0.0", 0)]);
        assert_eq!(results(version, &options, "listen", &chosen), denied[..2], "{version:?}");
        assert_eq!(results(version, &options, "bind", &chosen), denied[..2], "{version:?}");
        // The twin.
        let options = allow(&grants.each_ref().map(String::as_str));
        let own = format!("127.0.0.1:{granted}");
        let act = format!("listen={own}");
        let mut twin = Acts::start(version, &options, &[&act]);
        assert_eq!(twin.address(), own);
        drop(TcpStream::connect(&own).expect("connects"));
        assert_eq!(twin.end().0, ["listen: accepted"]);
    }
}

#[test]
fn attack_wasi_associations_denied() {
    for version in BOTH {
        let (first, second) = (Udp::new(), Udp::new());
        let target = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
        let grants = [first.port(), second.port()].map(|port| format!("udp-send=127.0.0.1:{port}"));
        let options = ["--allow", &*grants[0]];
        let targets = [target];
        let got = results(version, &options, "reassociate", &targets);
        assert_eq!(got, ["access-denied, sent 1"], "{version:?}");
        assert_eq!(first.datagrams(), [b"associated".to_vec(), b"listed".to_vec()]);
        second.untouched();
        // The twin.
        let options = ["--allow", &*grants[0], "--allow", &grants[1]];
        let got = results(version, &options, "reassociate", &targets);
        assert_eq!(got, ["ok, sent 3"], "{version:?}");
        assert_eq!(second.datagrams(), [b"listed".to_vec()]);
    }
}

/// The public address of the test's own namespace.
const PUBLIC: [u8; 4] = [93, 184, 216, 34];

#[test]
fn attack_wasi_names_denied() {
    with_own_resolver("attacks::wasi::attack_wasi_names_denied", || {
        let server = HostileServer::start(|name, times| {
            Some(match name {
                // Each version asks twice.
                "rebind.example" => {
                    (None, vec![if times.is_multiple_of(2) { PUBLIC } else { [127, 0, 0, 1] }])
                }
                "inside.example" => {
                    (None, vec![[169, 254, 169, 254], [10, 0, 0, 1], [127, 0, 0, 1]])
                }
                _ => (None, vec![PUBLIC]),
            })
        });
        let listener = TcpListener::bind("0.0.0.0:8080").expect("the namespace is ours");
        let taken = listener.try_clone().expect("a copy");
        std::thread::spawn(move || {
            for stream in taken.incoming() {
                let mut stream = stream.expect("accepts");
                let address = stream.local_addr().expect("an address").ip().to_string();
                let _ = stream.write_all(address.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        for version in BOTH {
            let options = allow(&[
                "tcp-connect=rebind.example:8080",
                "tcp-connect=inside.example:8080",
                "resolve=other.example",
            ]);
            let acts = [
                // The address of a granted name, which was not looked up.
                "connect=93.184.216.34:8080",
                // A look-up alone grants no connection.
                "resolve=other.example",
                "connect=93.184.216.34:8080",
                "resolve=rebind.example",
                "connect=93.184.216.34:8080",
                "connect=93.184.216.34:8081",
                "connect=93.184.216.35:8080",
                "send=93.184.216.34:8080",
                // The second answer leads to this host.
                "resolve=rebind.example",
                "connect=127.0.0.1:8080",
                "connect=93.184.216.34:8080",
                "resolve=inside.example",
                "connect=127.0.0.1:8080",
                "resolve=denied.example",
                "resolve=rebind.example.other",
            ];
            let (lines, _) = run(version, &options, &acts);
            let expected = [
                "connect: access-denied",
                "resolve: 93.184.216.34",
                "connect: access-denied",
                "resolve: 93.184.216.34",
                "connect: 93.184.216.34",
                "connect: access-denied",
                "connect: access-denied",
                "send: access-denied",
                "resolve: access-denied",
                "connect: access-denied",
                "connect: 93.184.216.34",
                "resolve: access-denied",
                "connect: access-denied",
                "resolve: access-denied",
                "resolve: access-denied",
            ];
            assert_eq!(lines, expected, "{version:?}");
            // The twin may go inside.
            let options = allow(&["tcp-connect=inside.example:8080", "tcp-connect=127.0.0.1:8080"]);
            let (lines, _) =
                run(version, &options, &["resolve=inside.example", "connect=127.0.0.1:8080"]);
            assert_eq!(lines, ["resolve: 127.0.0.1", "connect: 127.0.0.1"], "{version:?}");
        }
        let asked = server.asked();
        assert!(asked.iter().all(|name| !name.contains("denied") && !name.contains(".other")));
    });
}

/// A server that takes connections, and reads and writes nothing.
struct Sink {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Sink {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut streams = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                streams.extend(stream);
            }
        });
        Self { port, stop }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Runs an attack of greed. Returns what it got, and the most memory that the command had, in MiB.
/// None if the guest trapped.
fn greed(version: Version, options: &[&str], what: &str, port: u16) -> (Option<u64>, u64) {
    let mut run = Command::new(command());
    run.arg("run").args(options);
    match version {
        Version::Two => run.arg(programs::attack_wasi_greed_bounded.path()),
        Version::Three => run.arg(guest_path("bench_wasi3")).arg("attack_wasi3_greed_bounded"),
    };
    run.args([what, &port.to_string()]);
    let mut acts = Acts::spawn(run);
    let mut line = acts.line();
    if line == "takes handles" {
        line = acts.line();
    }
    let got = line.strip_prefix("got ").map(|number| number.parse().expect("a number"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", acts.child.id()));
    let peak = status.unwrap_or_default().lines().find_map(|line| {
        let kilobytes = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
        kilobytes.parse::<u64>().ok()
    });
    if got.is_some() {
        acts.end();
    } else {
        assert_eq!(acts.child.wait().expect("ends").code(), Some(134), "{what}: a trap");
    }
    (got, peak.unwrap_or(0) / 1024)
}

/// The most memory that an attack may cost, in MiB. It is more than the limits of these tests.
const MEMORY_MOST: u64 = 48;

fn bounded(version: Version) {
    // What the twins get at least, and what the narrow policy leaves.
    let all: &[(&str, &str, u64)] = &[
        ("connections", "descriptors=500", 500),
        ("pending", "descriptors=2000", 990),
        ("writes", "descriptors=100", 1 << 20),
        ("accepts", "descriptors=2000", 20),
        ("lookups", "lookups-per-second=1000000", 1),
        ("reads", "transfer-bytes=65536", 1),
        ("subscriptions", "descriptors=10", 10_000),
        ("datagrams", "descriptors=10", 20),
    ];
    let (_, idle) = greed(version, &[], "nothing", 1);
    for &(what, limit, least) in all {
        // 0.3 has no pollables. Look-ups that have failed are no answers there.
        if version == Version::Three && what == "subscriptions" {
            continue;
        }
        let echo = crate::wasi::echo_server(1);
        let (sink, silent) = (Sink::new(), crate::wasi3::Silent::new());
        let port = match what {
            "pending" => silent.port(),
            "reads" if version == Version::Two => echo,
            _ => sink.port,
        };
        let grant = format!("tcp-connect=127.0.0.1:{port}");
        // Each of 1,000 sockets counts with its least buffers.
        let buffers =
            if what == "pending" { "buffer-bytes=671088640" } else { "buffer-bytes=33554432" };
        let options = [
            "--allow",
            &grant,
            "--allow",
            "tcp-listen=127.0.0.1:0",
            "--allow",
            "tcp-connect=127.0.0.1:*",
            "--allow",
            "udp-bind=127.0.0.1:0",
            "--allow",
            "udp-send=127.0.0.1:*",
            "--limit",
            limit,
            "--limit",
            buffers,
            "--allow",
            "resolve=*",
        ];
        let (got, peak) = greed(version, &options, what, port);
        println!("{version:?} {what}: got {got:?}, {peak} MiB, idle {idle} MiB");
        let got = got.expect("it ends well");
        if !(what == "lookups" && version == Version::Three) {
            assert!(got >= least, "{version:?} {what}: {got}");
        }
        assert!(peak < idle + MEMORY_MOST, "{version:?} {what}: {peak} MiB, {idle} at rest");
        // Without a grant it gets nothing, and costs nothing.
        let (got, peak) = greed(version, &["--limit", "descriptors=2000"], what, port);
        assert!(peak < idle + MEMORY_MOST, "{version:?} {what}: {peak} MiB, {idle} at rest");
        // A connect that is denied has ended at once.
        assert_eq!(got, Some(0), "{version:?} {what}");
    }
    // Handles without end are wasmtime's trap.
    let (got, peak) = greed(version, &[], "handles", 1);
    assert_eq!(got, None);
    assert!(peak < idle + MEMORY_MOST, "{version:?}: {peak} MiB, {idle} at rest");
}

#[test]
pub(crate) fn attack_wasi_greed_bounded() {
    bounded(Version::Two);
}

#[test]
pub(crate) fn attack_wasi3_greed_bounded() {
    bounded(Version::Three);
}

#[test]
pub(crate) fn attack_wasi3_orders_harmless() {
    // It reads and writes until its client is gone.
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                let _ = stream.write_all(&buffer);
                while matches!(stream.read(&mut buffer), Ok(1..)) {}
            });
        }
    });
    for (grant, expected) in [
        (format!("tcp-connect=127.0.0.1:{port}"), "120 orders"),
        ("resolve=a.example".into(), "denied"),
    ] {
        let mut run = Command::new(command());
        run.args(["run", "--allow", &grant]).arg(guest_path("bench_wasi3"));
        run.args(["attack_wasi3_orders_harmless", &port.to_string()]);
        assert_eq!(Acts::spawn(run).end().0, [expected]);
    }
}

/// A component that polls a pollable, which it may have dropped before.
const POLLS: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $outer))
        (export "pollable" (type $pollable (eq $outer)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $drop (canon resource.drop $pollable))
    (core module $guest
        (import "" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "" "block" (func $block (param i32)))
        (import "" "drop" (func $drop (param i32)))
        (func (export "run") (result i32)
            (local $handle i32)
            (local.set $handle (call $subscribe (i64.const 0)))
            (call $drop (local.get $handle))
            (call $block (local.get $handle))
            (i32.const 0)))
    (core instance $guest (instantiate $guest (with "" (instance
        (export "subscribe" (func $subscribe))
        (export "block" (func $block))
        (export "drop" (func $drop))))))
    (func $run (result (result)) (canon lift (core func $guest "run")))
    (instance $exports (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $exports)))"#;

#[test]
fn attack_wasi_dropped_handle_traps() {
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("polls.wat");
    let run = |text: &str| {
        std::fs::write(&component, text).expect("is written");
        let output = Command::new(command()).arg("run").arg(&component).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, stderr) = run(POLLS);
    assert!(status == Some(134) && stderr.contains("unknown handle index"), "{stderr}");
    // The twin keeps its pollable until it has polled it.
    let (status, stderr) = run(&POLLS.replace("(call $drop (local.get $handle))", ""));
    assert_eq!((status, &*stderr), (Some(0), ""));
}
