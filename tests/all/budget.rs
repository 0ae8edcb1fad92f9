//! The budgets of rules: what is above them waits, or is refused with a sentence.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sandsock_host::OpenActs;
use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_tests::{Guest, Program, Way, both_ways, command, programs, run_together};

use crate::serve::{PATIENCE, Serving};
use crate::wasi::udp_echo;

const TIME: Option<Duration> = Some(Duration::from_secs(20));

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A peer of one connection that counts what it gets.
pub(crate) fn sink() -> (u16, JoinHandle<usize>) {
    let (listener, port) = listener();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        stream.set_read_timeout(TIME).expect("is set");
        let mut all = Vec::new();
        // A guest that ends with unread bytes resets the connection.
        let _ = stream.read_to_end(&mut all);
        all.len()
    });
    (port, peer)
}

/// A peer of one connection that sends so many bytes, ends its side, and reads the rest.
pub(crate) fn source(count: usize) -> (u16, JoinHandle<usize>) {
    let (listener, port) = listener();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        stream.set_read_timeout(TIME).expect("is set");
        let _ = stream.write_all(&vec![7; count]);
        let _ = stream.shutdown(Shutdown::Write);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all.len()
    });
    (port, peer)
}

/// A peer that keeps every connection, and does nothing with it.
pub(crate) fn keeper() -> u16 {
    let (listener, port) = listener();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            all.push(stream);
        }
    });
    port
}

/// A port at which nobody listens.
pub(crate) fn free_port() -> u16 {
    listener().1
}

/// Runs a program of `wasi:sockets` in each of its roles: with the role, the port of its peer, and
/// the rule that it runs under.
pub(crate) fn of_wasi(run: impl Fn(&str, u16, &str)) {
    for (role, terms) in [("send", "bytes=100"), ("send-rate", "rate=20kB/s")] {
        let (port, peer) = sink();
        run(role, port, &format!("tcp-connect=127.0.0.1:{port};{terms}"));
        let got = peer.join().expect("ends");
        assert_eq!(got, if role == "send" { 100 } else { 40_000 }, "{role}");
    }
    for (role, terms) in [("receive", "bytes=100"), ("receive-rate", "rate=20kB/s")] {
        let (port, _peer) = source(200_000);
        run(role, port, &format!("tcp-connect=127.0.0.1:{port};{terms}"));
    }
    let (port, peer) = source(1000);
    run("splice", port, &format!("tcp-connect=127.0.0.1:{port};bytes=100"));
    assert!(peer.join().expect("ends") <= 50, "each byte moves twice");
    let port = keeper();
    run("connections", port, &format!("tcp-connect=127.0.0.1:{port};connections=1"));
    let port = udp_echo();
    run("datagrams", port, &format!("udp-send=127.0.0.1:{port};rate=1kB/s"));
}

fn under(program: Program, way: Way, role: &str, port: u16, terms: &str) -> Guest {
    Guest::new(program, way)
        .allow(format!("tcp-connect=127.0.0.1:{port};{terms}"))
        .arg(role)
        .arg(port)
}

#[test]
pub(crate) fn budget_bytes_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bytes"), [7; 1000]).expect("writes");
    both_ways(|way| {
        let run = |role: &str, port| {
            let guest = under(programs::budget_bytes_refused, way, role, port, "bytes=100");
            guest.dir(folder.path(), "data").run().success();
        };
        for role in ["send", "send-none", "send-to", "send-message", "send-file", "urgent"] {
            let (port, peer) = sink();
            run(role, port);
            // The urgent byte is not in the stream.
            let urgent = usize::from(role == "urgent");
            assert_eq!(peer.join().expect("ends"), 100 - urgent, "{role}");
        }
        let roles =
            ["receive", "receive-all", "receive-from", "receive-message", "discard", "peek"];
        for role in roles {
            let (port, peer) = source(1000);
            run(role, port);
            assert_eq!(peer.join().expect("ends"), 0, "{role}");
        }
        for (role, count) in [("end", 100), ("both", 1000)] {
            let (port, peer) = source(count);
            run(role, port);
            peer.join().expect("ends");
        }
    });
}

#[test]
pub(crate) fn budget_rate_waits() {
    both_ways(|way| {
        let run = |role: &str, port| {
            let guest = under(programs::budget_rate_waits, way, role, port, "rate=20kB/s");
            let ended = guest.run();
            let cpu = ended.cpu.expect("its own thread");
            ended.success();
            // A loop that spins would take all of the time.
            assert!(cpu < Duration::from_millis(700), "{role} took {cpu:?}");
        };
        for role in [
            "send",
            "poll-out",
            "poller-out",
            "poller-edge",
            "poller-once",
            "poller-nested",
            "others",
        ] {
            let (port, _peer) = sink();
            run(role, port);
        }
        for (role, count) in
            [("receive", 100_000), ("poll-in", 100_000), ("poller-in", 100_000), ("end", 30_000)]
        {
            let (port, _peer) = source(count);
            run(role, port);
        }
    });
}

#[test]
pub(crate) fn budget_connections_refused() {
    both_ways(|way| {
        let (peer, port) = (keeper(), free_port());
        let guest = Guest::new(programs::budget_connections_refused, way)
            .allow(format!("tcp-connect=127.0.0.1:{peer};connections=2"))
            .allow(format!("tcp-listen=127.0.0.1:{port};connections=1"))
            .arg(peer)
            .arg(port)
            .start();
        guest.lines(1);
        let clients: Vec<_> =
            (0..2).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects")).collect();
        guest.join().success();
        drop(clients);
    });
}

#[test]
pub(crate) fn budget_datagrams_counted() {
    both_ways(|way| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        drop(socket);
        for (role, terms) in
            [("bytes", "bytes=100"), ("batch", "bytes=100"), ("rate", "rate=1kB/s")]
        {
            let (peer, free) = (udp_echo(), udp_echo());
            Guest::new(programs::budget_datagrams_counted, way)
                .allow("udp-bind=127.0.0.1:0")
                .allow(format!("udp-send=127.0.0.1:{peer};{terms}"))
                .allow(format!("udp-send=127.0.0.1:{free}"))
                .arg(role)
                .arg(peer)
                .arg(free)
                .run()
                .success();
        }
    });
}

#[test]
pub(crate) fn budget_unix_counted() {
    both_ways(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (stream, datagrams, own) = (path("stream"), path("datagrams"), path("own"));
        let listener = UnixListener::bind(&stream).expect("listens");
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut data = [0; 40];
            stream.read_exact(&mut data).expect("reads");
            stream.write_all(&[2; 41]).expect("writes");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            rest.len()
        });
        let receiver = UnixDatagram::bind(&datagrams).expect("binds");
        let guest = Guest::new(programs::budget_unix_counted, way)
            .allow(format!("unix-connect={stream};bytes=100"))
            .allow(format!("unix-connect={datagrams};bytes=100"))
            .allow(format!("unix-bind={own};bytes=100"))
            .arg(&stream)
            .arg(&datagrams)
            .arg(&own)
            .start();
        guest.lines(1);
        let mut client = UnixStream::connect(&own).expect("connects");
        client.write_all(&[3; 1000]).expect("writes");
        guest.join().success();
        assert_eq!(peer.join().expect("ends"), 20);
        receiver.set_nonblocking(true).expect("is set");
        let mut buffer = [0; 100];
        let mut total = 0;
        while let Ok(count) = receiver.recv(&mut buffer) {
            total += count;
        }
        assert_eq!(total, 100);
    });
}

#[test]
pub(crate) fn budget_replaced_counts() {
    both_ways(|way| {
        let (peer, second, third) = (keeper(), keeper(), keeper());
        let program = programs::budget_replaced_counts;
        let rule = |bytes: u32| format!("tcp-connect=127.0.0.1:{peer};bytes={bytes}");
        let guest = Guest::new(program, way).allow(rule(100)).arg(peer).arg(second).arg(third);
        let guest = guest.start();
        for (line, bytes, marker) in [(1, 100, second), (2, 200, third)] {
            guest.lines(line);
            let mut policy = Policy::builder();
            for rule in [rule(bytes), format!("tcp-connect=127.0.0.1:{marker}")] {
                policy.allow(&rule).expect("a good rule");
            }
            assert!(guest.policy().replace(&policy.build(), OpenActs::Close).is_empty());
        }
        guest.join().success();
    });
}

/// `--stats` has what was used. `--mode observe` counts, says what would be refused, and refuses
/// nothing.
#[test]
fn budget_stats_show_the_use() {
    let guest = programs::budget_scope_shared.path();
    let stats = |options: &[&str], rule: &str, port: u16| {
        let mut run = Command::new(command());
        run.arg("run").args(options).args(["--allow", rule]).arg(&guest).arg(port.to_string());
        let output = run.output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        (String::from_utf8_lossy(&output.stdout).trim().to_owned(), stderr)
    };
    let port = keeper();
    let rule = format!("tcp-connect=127.0.0.1:{port};bytes=50;connections=2");
    let (sent, json) = stats(&["--stats=json"], &rule, port);
    assert_eq!(sent, "50");
    let report: serde_json::Value = serde_json::from_str(json.trim()).expect("JSON");
    let used = serde_json::json!([{ "rule": rule, "bytes": 50, "connections": 1 }]);
    assert_eq!(report["budgets"], used, "{json}");
    let (_, table) = stats(&["--stats"], &rule, port);
    let line = format!("{:>12}  {:>11}  {rule}", 50, 1);
    assert!(table.contains("bytes  connections  budget\n") && table.contains(&line), "{table}");
    let (sent, json) = stats(&["--stats=json", "--mode", "observe", "--yes"], &rule, port);
    assert_eq!(sent, "60");
    let refused =
        format!("sandsock: would be denied: the budget of the rule {rule} has no bytes left");
    assert_eq!(json.lines().filter(|line| *line == refused).count(), 1, "{json}");
    // The warnings come first.
    let last = json.lines().last().expect("a line");
    let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
    let used = serde_json::json!([{ "rule": rule, "bytes": 60, "connections": 1 }]);
    assert_eq!(report["budgets"], used, "{json}");
    // What is learnt has no budget, and the budget of a rule that the file has stays.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    let text = format!("allow = [\"{rule}\"]\n");
    std::fs::write(&file, &text).expect("writes");
    let learn = ["--stats", "--learn", &file.display().to_string(), "--yes"];
    let (sent, stderr) = stats(&learn, "udp-send=127.0.0.1:9", port);
    assert_eq!(sent, "60");
    assert_eq!(std::fs::read_to_string(&file).expect("the policy"), text, "{stderr}");
    let sentence = format!("not learnt: the budget of the rule {rule} has no bytes left");
    assert!(stderr.contains(&sentence) && stderr.contains("nothing new"), "{stderr}");
    assert!(stderr.contains(&format!("{:>12}  {:>11}  {rule}", 60, 1)), "{stderr}");
}

/// `policy why` and `policy show` print the rule with its budget, and `policy check` warns about a
/// rule without one that covers it.
#[test]
fn budget_tools_show_the_terms() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "tcp-connect=10.0.0.1:443;rate=1MiB/s;bytes=100MiB;connections=8;scope=command";
    let file = |name: &str, rules: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("allow = {rules:?}")).expect("writes");
        path.display().to_string()
    };
    let (one, both) = (file("one", &[rule]), file("both", &[rule, "tcp-connect=10.0.0.0/8:*"]));
    let larger = file("larger", &[&rule.replace("=8", "=9")]);
    let tool = |arguments: &[&str]| {
        let output = Command::new(command()).arg("policy").args(arguments).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, why) = tool(&["why", &one, "tcp-connect=10.0.0.1:443"]);
    assert!(status == Some(0) && why.contains(rule), "{why}");
    assert!(tool(&["show", "--policy", &one]).1.contains(rule));
    let (status, warned) = tool(&["check", &both]);
    assert!(status == Some(0) && warned.contains("without a budget"), "{warned}");
    assert!(!tool(&["check", &one]).1.contains("budget"));
    assert_eq!(tool(&["covers", &one, &larger]).0, Some(0));
    let (status, more) = tool(&["covers", &larger, &one]);
    assert!(status == Some(1) && more.contains("allows fewer connections"), "{more}");
    let (status, more) = tool(&["covers", "--json", &both, &one]);
    assert!(status == Some(1) && more.contains("tcp-connect=10.0.0.0/8:*"), "{more}");
}

/// The bytes that each guest has sent.
fn sent(guests: Vec<Guest>) -> Vec<usize> {
    let ended = run_together(guests).join().expect("ends");
    let number = |text: String| text.trim().parse().expect("a number");
    ended.into_iter().map(|ended| number(ended.success())).collect()
}

#[test]
pub(crate) fn budget_scope_shared() {
    for (scope, totals) in [("instance", [50, 50, 50]), ("command", [50, 0, 0])] {
        let (listener, port) = listener();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let program = programs::budget_scope_shared;
        let first = Guest::new(program, Way::Fiber)
            .allow(format!("tcp-connect=127.0.0.1:{port};bytes=50;scope={scope}"))
            .arg(port);
        let policy = first.policy();
        let mut guests = vec![first.under(&policy)];
        guests.extend((0..2).map(|_| Guest::new(program, Way::Fiber).under(&policy).arg(port)));
        let mut found = sent(guests);
        found.sort_unstable_by(|a, b| b.cmp(a));
        // They run at the same time, so any of them may get the bytes of all.
        assert_eq!(found.iter().sum::<usize>(), totals.iter().sum::<usize>(), "{scope}: {found:?}");
        if scope == "instance" {
            assert_eq!(found, totals);
        }
    }
}

/// The instances of `sandsock serve` share a budget if its rule says so.
#[test]
fn budget_scope_of_serve() {
    for (scope, expected) in [("instance", [50, 50]), ("command", [50, 0])] {
        let port = keeper();
        let rule = format!("tcp-connect=127.0.0.1:{port};bytes=50;scope={scope}");
        let mut serve = Command::new(command());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--allow", &rule]);
        serve.arg(programs::budget_scope_shared.path()).arg(port.to_string());
        let serving = Serving::spawn(serve);
        let sent = || -> Vec<usize> {
            serving.output().lines().filter_map(|line| line.trim().parse().ok()).collect()
        };
        for count in 1..=expected.len() {
            let mut client = TcpStream::connect(&serving.address).expect("connects");
            client.set_read_timeout(TIME).expect("is set");
            let _ = client.read_to_end(&mut Vec::new());
            let start = Instant::now();
            while sent().len() < count {
                assert!(start.elapsed() < PATIENCE, "{}", serving.output());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(sent(), expected, "{scope}");
    }
}
