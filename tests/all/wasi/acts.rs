//! The options of the command for guests of `wasi:sockets`. Two programs do the same acts, one by
//! 0.2 and one by 0.3, and each test runs both.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::netns::Namespace;
use sandsock_tests::resolver::with_own_resolver;
use sandsock_tests::{command, guest_path, programs, skip};

use super::{echo_server, udp_echo};
use crate::names::HostileServer;
use crate::policy::{Tcp, Udp};

/// A version of the package.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Version {
    Two,
    Three,
}

use Version::{Three, Two};

/// A run of the program of one version.
pub(crate) struct Acts {
    pub(crate) child: Child,
    pub(crate) input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What comes on standard error.
    errors: JoinHandle<String>,
}

impl Acts {
    /// Starts it, with options of the command.
    pub(crate) fn start(version: Version, options: &[&str], acts: &[&str]) -> Self {
        Self::start_by(Command::new(command()), version, options, acts)
    }

    /// Starts it by a command that runs the command.
    pub(crate) fn start_by(
        mut run: Command,
        version: Version,
        options: &[&str],
        acts: &[&str],
    ) -> Self {
        run.arg("run").args(options);
        match version {
            Two => run.arg(programs::wasi_acts_ok.path()),
            Three => run.arg(guest_path("bench_wasi3")).arg("wasi3_acts_ok"),
        };
        run.args(acts);
        Self::spawn(run)
    }

    /// Starts another program that prints lines.
    pub(crate) fn spawn(mut run: Command) -> Self {
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("starts");
        let input = child.stdin.take().expect("is piped");
        let output = BufReader::new(child.stdout.take().expect("is piped"));
        let mut stderr = child.stderr.take().expect("is piped");
        // It is read at once, so that the command never waits for the test.
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).expect("reads");
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, input, output, errors }
    }

    /// The next line of the program.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a text");
        line.trim_end().to_owned()
    }

    /// The address at the end of the next line.
    pub(crate) fn address(&mut self) -> String {
        let line = self.line();
        line.rsplit_once(" at ").unwrap_or_else(|| panic!("{line}")).1.to_owned()
    }

    /// Waits for its end, which must be a success. Returns the other lines, and those on standard
    /// error.
    pub(crate) fn end(mut self) -> (Vec<String>, Vec<String>) {
        drop(self.input);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("a text");
        let status = self.child.wait().expect("ends");
        let stderr = self.errors.join().expect("is read");
        assert!(status.success(), "{rest}{stderr}");
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        (lines(&rest), lines(&stderr))
    }
}

/// Runs the program of one version to its end.
pub(crate) fn run(version: Version, options: &[&str], acts: &[&str]) -> (Vec<String>, Vec<String>) {
    Acts::start(version, options, acts).end()
}

/// Options that allow all of these.
pub(crate) fn allow<'a>(grants: &[&'a str]) -> Vec<&'a str> {
    grants.iter().flat_map(|grant| ["--allow", grant]).collect()
}

/// Talks to a server that sends back what it gets.
fn echoes(at: &str) {
    let mut client = TcpStream::connect(at).expect("connects");
    client.write_all(b"back").expect("writes");
    client.shutdown(Shutdown::Write).expect("is shut");
    let mut back = String::new();
    client.read_to_string(&mut back).expect("reads");
    assert_eq!(back, "back");
}

/// The same with a datagram.
fn answers(at: &str) {
    let any = if at.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(any).expect("binds");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
    socket.send_to(b"back", at).expect("sends");
    let mut buffer = [0; 10];
    assert_eq!(socket.recv(&mut buffer).expect("receives"), 4);
}

/// Whether this host has IPv6.
pub(crate) fn has_ipv6(test: &str) -> bool {
    let is_there = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !is_there {
        skip(test, "this host has no IPv6");
    }
    is_there
}

fn every_act(version: Version) {
    let (tcp, udp) = (echo_server(1), udp_echo());
    let (to, by_udp) = (format!("127.0.0.1:{tcp}"), format!("127.0.0.1:{udp}"));
    let grants =
        [format!("tcp-connect={to}"), format!("udp-send={by_udp}"), "resolve=one.example".into()];
    let mut options = allow(&grants.each_ref().map(String::as_str));
    options.extend(["--resolve", "one.example=192.0.2.1"]);
    let acts = [format!("connect={to}"), format!("send={by_udp}"), "resolve=one.example".into()];
    let (lines, stderr) = run(version, &options, &acts.each_ref().map(String::as_str));
    let expected = ["connect: ping", &format!("send: ping from {by_udp}"), "resolve: 192.0.2.1"];
    assert_eq!(lines, expected);
    assert_eq!(stderr, [""; 0]);
}

#[test]
pub(crate) fn wasi_acts_ok() {
    every_act(Two);
}

#[test]
pub(crate) fn wasi3_acts_ok() {
    every_act(Three);
}

#[test]
fn wasi_ipv6_is_served() {
    if !has_ipv6("wasi_ipv6_is_served") {
        return;
    }
    for version in [Two, Three] {
        let listener = TcpListener::bind("[::1]:0").expect("listens");
        let to = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut data = Vec::new();
            stream.read_to_end(&mut data).expect("reads");
            stream.write_all(&data).expect("writes");
        });
        let peer = UdpSocket::bind("[::1]:0").expect("binds");
        let datagrams = peer.local_addr().expect("an address").to_string();
        let answer = std::thread::spawn(move || {
            let mut buffer = [0; 10];
            let (count, from) = peer.recv_from(&mut buffer).expect("receives");
            peer.send_to(&buffer[..count], from).expect("sends");
        });
        let grants = [
            format!("tcp-connect={to}"),
            format!("udp-send={datagrams}"),
            "tcp-listen=[::1]:0".to_owned(),
            "udp-bind=[::1]:0".to_owned(),
            "udp-receive=[::1]:*".to_owned(),
            "udp-send=[::1]:*".to_owned(),
            "resolve=six.example".to_owned(),
        ];
        let mut options = allow(&grants.each_ref().map(String::as_str));
        options.extend(["--resolve", "six.example=2001:db8::6", "--resolve", "six.example=::6"]);
        let acts = [
            format!("connect={to}"),
            format!("send={datagrams}"),
            "resolve=six.example".to_owned(),
            "listen=[::1]:0".to_owned(),
            "bind=[::1]:0".to_owned(),
        ];
        let mut running = Acts::start(version, &options, &acts.each_ref().map(String::as_str));
        assert_eq!(running.line(), "connect: ping");
        assert_eq!(running.line(), format!("send: ping from {datagrams}"));
        assert_eq!(running.line(), "resolve: 2001:db8::6 ::6");
        echoes(&running.address());
        assert_eq!(running.line(), "listen: accepted");
        answers(&running.address());
        assert_eq!(running.end().0, ["bind: answered"]);
        server.join().expect("is well");
        answer.join().expect("is well");

        // Without grants.
        let acts = [
            format!("connect={to}"),
            format!("send={datagrams}"),
            "listen=[::]:0".to_owned(),
            "bind=[::1]:0".to_owned(),
        ];
        let (lines, stderr) = run(version, &[], &acts.each_ref().map(String::as_str));
        let denied =
            ["connect", "send", "listen", "bind"].map(|act| format!("{act}: access-denied"));
        assert_eq!(lines, denied);
        let missing = [
            format!("--allow 'tcp-connect={to}'"),
            // Version 0.2 must bind first.
            match version {
                Two => "--allow 'udp-bind=[::]:0'".to_owned(),
                Three => format!("--allow 'udp-send={datagrams}'"),
            },
            "--allow 'tcp-listen=[::]:0'".to_owned(),
            "--allow 'udp-bind=[::1]:0'".to_owned(),
        ];
        assert_eq!(stderr.len(), 4, "{stderr:?}");
        for (line, grant) in stderr.iter().zip(missing) {
            assert!(line.contains(&grant), "{grant} is not in {line}");
        }
    }
}

#[test]
fn wasi_published_addresses_are_the_guests() {
    for version in [Two, Three] {
        // The tests' own ports are free for a moment.
        let (tcp, udp) = (Tcp::new().port(), Udp::new().port());
        let (tcp, udp) = (format!("127.0.0.1:{tcp}"), format!("127.0.0.1:{udp}"));
        let (by_tcp, by_udp) =
            (format!("{tcp}=10.9.8.7:80/tcp"), format!("{udp}=[fd00::9]:53/udp"));
        let options = [
            "--publish",
            &by_tcp,
            "--publish",
            &by_udp,
            "--allow",
            "udp-receive=127.0.0.1:*",
            "--allow",
            "udp-send=127.0.0.1:*",
        ];
        let acts = ["listen=10.9.8.7:80", "listen=10.9.8.7:81", "bind=10.9.8.7:53"];
        let mut running = Acts::start(version, &options, &acts);
        assert_eq!(running.address(), "10.9.8.7:80");
        echoes(&tcp);
        let (lines, _) = running.end();
        assert_eq!(lines, ["listen: accepted", "listen: access-denied", "bind: access-denied"]);
        // A published address of the same family.
        let pair = format!("{udp}=10.9.8.7:53/udp");
        let options = [
            "--publish",
            &pair,
            "--allow",
            "udp-receive=127.0.0.1:*",
            "--allow",
            "udp-send=127.0.0.1:*",
        ];
        let mut running = Acts::start(version, &options, &["bind=10.9.8.7:53"]);
        assert_eq!(running.address(), "10.9.8.7:53");
        answers(&udp);
        assert_eq!(running.end().0, ["bind: answered"]);
    }
}

#[test]
fn wasi_netns_is_where_guests_are() {
    let (a, b) = match Namespace::linked() {
        Ok(namespaces) => namespaces,
        Err(reason) => return skip("wasi_netns_is_where_guests_are", &reason),
    };
    for version in [Two, Three] {
        let listener = b.run(|| TcpListener::bind("10.77.0.2:0").expect("listens"));
        let to = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().expect("accepts");
            stream.write_all(peer.ip().to_string().as_bytes()).expect("writes");
            stream.read_to_end(&mut Vec::new()).expect("reads");
        });
        let grant = format!("tcp-connect={to}");
        let act = format!("connect={to}");
        let (lines, _) = run(version, &["--netns", a.name(), "--allow", &grant], &[&act]);
        assert_eq!(lines, ["connect: 10.77.0.1"]);
        server.join().expect("is well");
        // It has no grant there that it was not given.
        let (lines, _) = run(version, &["--netns", a.name()], &[&act]);
        assert_eq!(lines, ["connect: access-denied"]);
    }
}

#[test]
fn wasi_denials_and_policy_files_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("policy.toml");
    for version in [Two, Three] {
        let peer = Tcp::new();
        let server = echo_server(1);
        let (to, denied) = (format!("127.0.0.1:{server}"), format!("127.0.0.1:{}", peer.port()));
        let text = format!(
            "allow = ['tcp-connect=127.0.0.1:*', 'resolve=*.example']\n\
             deny = ['tcp-connect={denied}', 'resolve=secret.example']\n\
             [resolve]\n'one.example' = '192.0.2.1'\n'secret.example' = '192.0.2.2'\n"
        );
        std::fs::write(&policy, text).expect("is written");
        let file = policy.to_str().expect("a text");
        let acts = [
            format!("connect={denied}"),
            format!("connect={to}"),
            "resolve=one.example".to_owned(),
            "resolve=secret.example".to_owned(),
        ];
        let acts = acts.each_ref().map(String::as_str);
        let (lines, stderr) = run(version, &["--policy", file], &acts);
        let expected = [
            "connect: access-denied",
            "connect: ping",
            "resolve: 192.0.2.1",
            "resolve: access-denied",
        ];
        assert_eq!(lines, expected);
        // A denial by name is warned of at the start.
        assert!(
            stderr[0].contains("the denial resolve=secret.example refuses look-ups"),
            "{stderr:?}"
        );
        assert!(stderr[1].contains("is denied by the rule"), "{stderr:?}");
        // A denial of the command line wins over the file.
        let options =
            ["--policy", file, "--deny", "tcp-connect=127.0.0.0/8:*", "--deny", "resolve=*"];
        let (lines, _) = run(version, &options, &acts);
        let nothing = ["connect", "connect", "resolve", "resolve"];
        assert_eq!(lines, nothing.map(|act| format!("{act}: access-denied")));
        // All but what is denied.
        let options = ["--allow-all", "--deny", &format!("tcp-connect={denied}")];
        let (lines, _) = run(version, &options, &acts[..1]);
        assert_eq!(lines, ["connect: access-denied"]);
        peer.untouched();
    }
}

#[test]
fn wasi_names_are_resolved_by_the_policy() {
    for version in [Two, Three] {
        let options = [
            "--allow",
            "resolve=bücher.example",
            "--allow",
            "resolve=two.example",
            "--allow",
            "resolve=*.sub.example",
            "--hostname",
            "guest.example",
            "--resolve",
            "bücher.example=192.0.2.1",
            "--resolve",
            "two.example=192.0.2.2",
            "--resolve",
            "two.example=2001:db8::2",
            "--resolve",
            "a.sub.example=192.0.2.3",
        ];
        let acts = [
            "resolve=bücher.example",
            "resolve=BÜCHER.Example",
            "resolve=xn--bcher-kva.example",
            "resolve=two.example",
            "resolve=TWO.example.",
            "resolve=a.sub.example",
            "resolve=sub.example",
            "resolve=guest.example",
            "resolve=xn--a.example",
            "resolve=127.0.0.1:80",
            "resolve=[::]:80",
            "resolve=http://two.example/",
            "resolve= ",
            "resolve=",
            "resolve=a.b<&>",
            "resolve=[::]",
            "resolve=DEAD:BEEF::0",
            "resolve=0.0.0.0",
            "resolve=::ffff:192.0.2.9",
        ];
        let (lines, stderr) = run(version, &options, &acts);
        let expected = [
            "192.0.2.1",
            "192.0.2.1",
            "192.0.2.1",
            "192.0.2.2 2001:db8::2",
            "192.0.2.2 2001:db8::2",
            "192.0.2.3",
            "access-denied",
            "access-denied",
            "invalid-argument",
            "invalid-argument",
            "invalid-argument",
            "invalid-argument",
            "invalid-argument",
            "invalid-argument",
            "invalid-argument",
            "::",
            "dead:beef::",
            "0.0.0.0",
            "192.0.2.9",
        ];
        assert_eq!(lines, expected.map(|text| format!("resolve: {text}")));
        // The name that the guest has is no grant to look it up.
        assert_eq!(stderr.len(), 2, "{stderr:?}");
        assert!(stderr[0].contains("--allow resolve=sub.example"), "{stderr:?}");
        assert!(stderr[1].contains("--allow resolve=guest.example"), "{stderr:?}");
    }
}

#[test]
fn wasi_limits_are_error_codes() {
    for version in [Two, Three] {
        let sockets = |limit: &str| {
            let (lines, _) = run(version, &["--limit", limit], &["sockets=3000"]);
            let (count, code) = lines[0]
                .strip_prefix("sockets: ")
                .and_then(|line| line.split_once(", then "))
                .unwrap_or_else(|| panic!("{lines:?}"));
            (count.parse::<u32>().expect("a number"), code.to_owned())
        };
        let (count, code) = sockets("descriptors=7");
        // 0.3 has no code of its own.
        let expected = match version {
            Two => "new-socket-limit",
            Three => "ErrorCode::Other(Some(\"too many open sockets\"))",
        };
        assert_eq!((count, &*code), (7, expected));
        let (count, code) = sockets("buffer-bytes=4194304");
        assert!((1..1024).contains(&count), "{count}");
        assert!(["out-of-memory", "ErrorCode::OutOfMemory"].contains(&&*code), "{code}");

        // No look-up at all, and no more than one at once.
        let options = [
            "--allow",
            "resolve=*",
            "--limit",
            "lookups-per-second=0",
            "--resolve",
            "two.example=::1",
        ];
        let (lines, _) = run(version, &options, &["resolve=one.invalid", "resolve=two.example"]);
        // Fixed addresses need no look-up.
        assert_eq!(lines, ["resolve: temporary-resolver-failure", "resolve: ::1"]);
        let options = ["--allow", "resolve=*", "--limit", "lookups-pending=0"];
        let (lines, _) = run(version, &options, &["resolve=one.invalid"]);
        assert_eq!(lines, ["resolve: temporary-resolver-failure"]);

        // The most that one call moves.
        let folder = tempfile::tempdir().expect("a folder");
        let trace = folder.path().join("trace");
        let server = echo_server(1);
        let grant = format!("tcp-connect=127.0.0.1:{server}");
        let traced = format!("--trace={}", trace.display());
        let options = ["--allow", &grant, "--limit", "transfer-bytes=1", &traced];
        let (lines, _) = run(version, &options, &[&format!("connect=127.0.0.1:{server}")]);
        assert_eq!(lines, ["connect: ping"]);
        let calls = std::fs::read_to_string(&trace).expect("a text");
        for byte in ["p", "i", "n", "g"] {
            assert!(calls.contains(&format!("send(3, \"{byte}\", 1) = 1")), "{calls}");
            assert!(
                calls.contains(&format!("recv(3, \"{byte}\", 1, 0) = 1"))
                    || calls.contains(&format!("recv(3, \"{byte}\", 1) = 1")),
                "{calls}"
            );
        }
    }
}

/// A server that lets its client wait.
fn slow_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut data = Vec::new();
        stream.read_to_end(&mut data).expect("reads");
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(&data).expect("writes");
    });
    port
}

/// A UDP socket that lets its client wait.
fn slow_udp() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut buffer = [0; 10];
        let (count, from) = socket.recv_from(&mut buffer).expect("receives");
        std::thread::sleep(Duration::from_millis(100));
        socket.send_to(&buffer[..count], from).expect("sends");
    });
    port
}

#[test]
fn wasi_acts_are_observed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (trace, audit, pcap, stats) = (file("trace"), file("audit"), file("pcap"), file("stats"));
    let text = |path: &str| std::fs::read_to_string(Path::new(path)).expect("a text");
    for version in [Two, Three] {
        let (tcp, udp) = (slow_server(), slow_udp());
        let (to, by_udp) = (format!("127.0.0.1:{tcp}"), format!("127.0.0.1:{udp}"));
        let grants = [format!("tcp-connect={to}"), format!("udp-send={by_udp}")];
        let mut options = allow(&grants.each_ref().map(String::as_str));
        let outputs = [format!("--trace={trace}"), format!("--stats=json:{stats}")];
        options.extend(outputs.each_ref().map(String::as_str));
        options.extend(["--audit", &audit, "--pcap", &pcap]);
        let acts =
            [format!("connect={to}"), format!("send={by_udp}"), "connect=192.0.2.1:9".into()];
        let (lines, _) = run(version, &options, &acts.each_ref().map(String::as_str));
        let expected = [
            "connect: ping".to_owned(),
            format!("send: ping from {by_udp}"),
            "connect: access-denied".to_owned(),
        ];
        assert_eq!(lines, expected);

        // The waits are those of the pollables, or of the calls.
        let counters: serde_json::Value = serde_json::from_str(&text(&stats)).expect("JSON");
        let rows = counters["descriptors"].as_array().expect("a list");
        assert_eq!(rows.len(), 3, "{counters}");
        for (row, type_) in rows.iter().zip(["SOCK_STREAM", "SOCK_DGRAM"]) {
            assert_eq!(row["type"], type_);
            assert_eq!((&row["sent_bytes"], &row["received_bytes"]), (&4.into(), &4.into()));
            assert!(row["waits"].as_u64().expect("a number") > 0, "{version:?}: {row}");
            assert!(row["waited_ns"].as_u64().expect("a number") > 50_000_000, "{row}");
        }
        assert_eq!(rows[2]["denials"], 1);

        let decisions = text(&audit);
        for (verb, target, decision) in [
            ("tcp-connect", &*to, "allow"),
            ("udp-send", &by_udp, "allow"),
            ("tcp-connect", "192.0.2.1:9", "deny"),
        ] {
            let is_there = decisions.lines().any(|line| {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                line["verb"] == verb && line["target"] == target && line["decision"] == decision
            });
            assert!(is_there, "{verb} {target} is not in\n{decisions}");
        }
        // What was sent and what came back, over both.
        let capture = std::fs::read(&pcap).expect("a capture");
        let count = capture.windows(4).filter(|part| part == b"ping").count();
        assert_eq!(count, 4, "{version:?}");
        let calls = text(&trace);
        let udp_calls = match version {
            Two => ["sendmmsg(3, [{data=\"ping\"", "recvmmsg(3, [{data=\"ping\""],
            Three => ["sendto(3, \"ping\", 4", "recvfrom(3, \"ping\""],
        };
        for start in ["socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 3 <"].iter().chain(&udp_calls) {
            assert!(
                calls.lines().any(|line| line.starts_with(start)),
                "{start} is not in\n{calls}"
            );
        }
    }
}

#[test]
fn wasi_interrupt_wakes_the_guest() {
    for version in [Two, Three] {
        let options = ["--allow", "tcp-listen=127.0.0.1:0"];
        let mut running = Acts::start(version, &options, &["idle", "idle", "idle"]);
        let woken = match version {
            Two => "idle: woken, would-block",
            Three => "idle: woken, the stream has ended",
        };
        assert_eq!(running.line(), "waits");
        std::thread::sleep(Duration::from_millis(100));
        let pid = Pid::from_child(&running.child);
        kill_process(pid, Signal::INT).expect("is sent");
        assert_eq!(running.line(), woken);
        // The second one stops it.
        assert_eq!(running.line(), "waits");
        kill_process(pid, Signal::INT).expect("is sent");
        let status = running.child.wait().expect("ends");
        assert_eq!(status.code(), Some(130));
    }
}

/// An accept that fails for one connection, or for want of descriptors, does not end the stream of
/// 0.3.
#[test]
fn wasi3_accept_goes_on_after_errors() {
    let strace = Command::new("strace").arg("-V").output();
    if !strace.is_ok_and(|output| output.status.success()) {
        return skip("wasi3_accept_goes_on_after_errors", "no strace here");
    }
    for error in ["ECONNABORTED", "EPROTO", "ENETDOWN", "EMFILE", "ENOBUFS", "EINTR"] {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("strace");
        let mut run = Command::new("strace");
        run.args(["-f", "-qq", "-e", "trace=accept,accept4"]);
        run.args(["-e", &format!("inject=accept,accept4:error={error}:when=1..3")]);
        run.arg("-o").arg(&log).arg(command());
        let options = ["--allow", "tcp-listen=127.0.0.1:0"];
        let mut running = Acts::start_by(run, Three, &options, &["listen=127.0.0.1:0"]);
        echoes(&running.address());
        assert_eq!(running.end().0, ["listen: accepted"], "{error}");
        let calls = std::fs::read_to_string(&log).expect("a text");
        assert_eq!(calls.matches("(INJECTED)").count(), 3, "{error}: {calls}");
    }
}

/// libfaketime, which Debian's package `faketime` has.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A pin that has expired opens nothing. The name is looked up once more, and the new answer
/// decides.
#[test]
fn wasi_pins_expire() {
    const PUBLIC: [u8; 4] = [93, 184, 216, 34];
    if !Path::new(FAKETIME).exists() {
        return skip("wasi_pins_expire", "no libfaketime here");
    }
    with_own_resolver("wasi::acts::wasi_pins_expire", || {
        let server = HostileServer::start(|name, times| {
            let moved = name == "moves.example" && !times.is_multiple_of(2);
            Some((None, vec![if moved { [93, 184, 216, 35] } else { PUBLIC }]))
        });
        let listener = TcpListener::bind("0.0.0.0:8080").expect("the namespace is ours");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accepts");
                let _ =
                    stream.write_all(b"here").and_then(|()| stream.read_to_end(&mut Vec::new()));
            }
        });
        let socket = UdpSocket::bind("0.0.0.0:8080").expect("the namespace is ours");
        std::thread::spawn(move || {
            let mut buffer = [0; 10];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                socket.send_to(&buffer[..count], from).expect("sends");
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let time = folder.path().join("time");
        for version in [Two, Three] {
            for (name, after) in [("stays.example", "here"), ("moves.example", "access-denied")] {
                std::fs::write(&time, "+0").expect("is written");
                let mut run = Command::new(command());
                run.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", &time);
                run.env("FAKETIME_NO_CACHE", "1");
                let grants = ["tcp-connect", "udp-send"].map(|verb| format!("{verb}={name}:8080"));
                // The clock's file must be readable, and look-ups must use that clock.
                let options = ["--no-harden", "--allow", &*grants[0], "--allow", &grants[1]];
                let look_up = format!("resolve={name}");
                let acts = [
                    "connect=93.184.216.34:8080",
                    &look_up,
                    "connect=93.184.216.34:8080",
                    "pause",
                    "connect=93.184.216.34:8080",
                    "send=93.184.216.34:8080",
                ];
                let mut running = Acts::start_by(run, version, &options, &acts);
                let before = [(); 4].map(|()| running.line());
                let expected =
                    ["connect: access-denied", "resolve: 93.184.216.34", "connect: here", "pauses"];
                assert_eq!(before, expected, "{version:?} {name}");
                std::fs::write(&time, "+400").expect("is written");
                writeln!(running.input, "go").expect("is written");
                let by_udp = match after {
                    "here" => "ping from 93.184.216.34:8080",
                    denied => denied,
                };
                let expected = [format!("connect: {after}"), format!("send: {by_udp}")];
                assert_eq!(running.end().0, expected, "{version:?} {name}");
            }
        }
        // One question at first, and one more after the pin had expired.
        let asked = server.asked();
        for name in ["stays.example", "moves.example"] {
            assert_eq!(asked.iter().filter(|asked| *asked == name).count(), 4, "{asked:?}");
        }
    });
}

/// What a guest has written goes to its peer, also if the guest ends without closing anything.
#[test]
fn wasi_exit_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let mut running =
        Acts::start(Two, &["--allow", &grant], &[&format!("abandon=127.0.0.1:{port}")]);
    let (mut stream, _) = listener.accept().expect("accepts");
    let written: usize =
        running.line().rsplit_once(' ').expect("a number").1.parse().expect("a number");
    std::thread::sleep(Duration::from_millis(200));
    let mut data = Vec::new();
    stream.read_to_end(&mut data).expect("reads");
    assert_eq!(data.len(), written);
    assert!(running.end().0.is_empty());

    // A peer that takes nothing does not keep the command for ever.
    let start = std::time::Instant::now();
    let running = Acts::start(Two, &["--allow", &grant], &[&format!("abandon=127.0.0.1:{port}")]);
    let (stream, _) = listener.accept().expect("accepts");
    running.end();
    assert!(start.elapsed() < Duration::from_secs(30));
    drop(stream);
}

/// The same, if `sandsock serve` is told to end.
#[test]
fn wasi_serve_end_loses_nothing() {
    crate::serve::serve_end_loses_nothing(programs::wasi_acts_ok);
}
