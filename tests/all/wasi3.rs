//! Programs on `wasi:sockets` 0.3, run by the command: its engine has concurrency support.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::{Program, command, guest_path};
use socket2::{Domain, SockRef, Socket, Type};

use crate::policy::{Tcp, Udp};
pub(crate) use crate::wasi::wasi3_acts_ok;
use crate::wasi::{echo_server, families, resetting_server, udp_echo};

/// One run of a program.
struct Run {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Run {
    /// Starts a program with options of the command and arguments of its own.
    fn start(program: &str, options: &[&str], args: &[String]) -> Self {
        let mut run = Command::new(command());
        run.arg("run").args(options).arg(guest_path("bench_wasi3")).arg(program).args(args);
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("starts");
        let input = child.stdin.take().expect("is piped");
        let output = BufReader::new(child.stdout.take().expect("is piped"));
        Self { child, input, output }
    }

    /// The next line of the program.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a text");
        line.trim_end().to_owned()
    }

    fn port(&mut self) -> u16 {
        let line = self.line();
        line.parse().unwrap_or_else(|_| panic!("a port, not {line:?}"))
    }

    /// Waits for its end, which must be a success. Returns the lines on standard error.
    fn success(mut self) -> Vec<String> {
        drop(self.input);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("a text");
        let output = self.child.wait_with_output().expect("ends");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{rest}{stderr}");
        stderr.lines().map(str::to_owned).collect()
    }
}

/// Runs a program that talks to this port, to its success.
fn run(program: &str, options: &[&str], port: u16) -> Vec<String> {
    Run::start(program, options, &[port.to_string()]).success()
}

fn denied(grant: &str, sentence: &str) -> String {
    format!("sandsock: {sentence} is not granted; allow it with --allow {grant}")
}

fn echoes(port: u16) {
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    client.write_all(b"back").expect("writes");
    client.shutdown(Shutdown::Write).expect("is shut");
    let mut back = String::new();
    client.read_to_string(&mut back).expect("reads");
    assert_eq!(back, "back");
}

#[test]
pub(crate) fn wasi3_tcp_ok() {
    let server = echo_server(1);
    let grant = format!("tcp-connect=127.0.0.1:{server}");
    let options = ["--allow", &grant, "--allow", "tcp-listen=127.0.0.1:0"];
    let mut running = Run::start("wasi3_tcp_ok", &options, &[server.to_string()]);
    let port = running.port();
    echoes(port);
    echoes(port);
    assert_eq!(running.success(), [""; 0]);
}

#[test]
pub(crate) fn wasi3_tcp_denied() {
    let peer = Tcp::new();
    let to = format!("127.0.0.1:{}", peer.port());
    // Each missing grant once.
    let lines = run("wasi3_tcp_denied", &[], peer.port());
    let expected = [
        denied(&format!("tcp-connect={to}"), &format!("tcp-connect to {to}")),
        denied("tcp-listen=127.0.0.1:0", "tcp-listen on 127.0.0.1:0"),
        denied("tcp-listen=0.0.0.0:0", "tcp-listen on 0.0.0.0:0"),
    ];
    assert_eq!(lines, expected);
    peer.untouched();
}

#[test]
pub(crate) fn wasi3_close_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().expect("accepts");
        let mut output = first.try_clone().expect("a copy");
        let sends = std::thread::spawn(move || while output.write_all(&[1; 4096]).is_ok() {});
        let mut said = String::new();
        // The client may reset the connection, because it does not read what is sent.
        let mut buffer = [0; 16];
        let count = first.read(&mut buffer).expect("reads");
        said.push_str(std::str::from_utf8(&buffer[..count]).expect("a text"));
        // The client may have reset the connection.
        let _ = first.shutdown(Shutdown::Both);
        sends.join().expect("ends");
        for _ in 0..2 {
            let (other, _) = listener.accept().expect("accepts");
            std::thread::sleep(Duration::from_millis(50));
            SockRef::from(&other).set_linger(Some(Duration::ZERO)).expect("is set");
        }
        said
    });
    run("wasi3_close_ok", &["--allow", &format!("tcp-connect=127.0.0.1:{port}")], port);
    assert_eq!(server.join().expect("is well"), "enough");
}

/// A listener that takes no connection: its queue is full.
pub(crate) struct Silent {
    listener: Socket,
    _queued: Vec<Socket>,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).expect("binds");
        listener.listen(0).expect("listens");
        let to = listener.local_addr().expect("an address");
        let queued = (0..8).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("is set");
            let _ = client.connect(&to);
            client
        });
        Self { _queued: queued.collect(), listener }
    }

    pub(crate) fn port(&self) -> u16 {
        let address = self.listener.local_addr().expect("an address");
        address.as_socket().expect("is IP").port()
    }
}

#[test]
pub(crate) fn wasi3_cancel_ok() {
    let (silent, server) = (Silent::new(), echo_server(1));
    let grants = [
        format!("tcp-connect=127.0.0.1:{}", silent.port()),
        format!("tcp-connect=127.0.0.1:{server}"),
        "tcp-connect=127.0.0.1:*".to_owned(),
        "tcp-listen=127.0.0.1:0".to_owned(),
        "udp-bind=127.0.0.1:0".to_owned(),
        "udp-send=127.0.0.1:*".to_owned(),
    ];
    let options: Vec<_> = grants.iter().flat_map(|grant| ["--allow", grant]).collect();
    let args = [silent.port().to_string(), server.to_string()];
    Run::start("wasi3_cancel_ok", &options, &args).success();
}

#[test]
pub(crate) fn wasi3_accept_limited() {
    let options = ["--allow", "tcp-listen=127.0.0.1:0", "--limit", "descriptors=4"];
    let mut running = Run::start("wasi3_accept_limited", &options, &[]);
    let port = running.port();
    let clients: Vec<_> =
        (0..6).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects")).collect();
    running.success();
    drop(clients);
}

#[test]
pub(crate) fn wasi3_idle_interrupted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let options =
        ["--allow", &grant, "--allow", "tcp-listen=127.0.0.1:0", "--allow", "udp-bind=127.0.0.1:0"];
    let mut running = Run::start("wasi3_idle_interrupted", &options, &[port.to_string()]);
    assert_eq!(running.line(), "waits");
    std::thread::sleep(Duration::from_millis(200));
    kill_process(Pid::from_child(&running.child), Signal::INT).expect("is sent");
    assert_eq!(running.line(), "interrupted");
    running.success();
}

#[test]
pub(crate) fn wasi3_udp_ok() {
    let peer = udp_echo();
    run("wasi3_udp_ok", &["--allow", &format!("udp-send=127.0.0.1:{peer}")], peer);
}

#[test]
pub(crate) fn wasi3_udp_denied() {
    let peer = Udp::new();
    let to = format!("127.0.0.1:{}", peer.port());
    let lines = run("wasi3_udp_denied", &["--allow", "udp-send=127.0.0.1:9"], peer.port());
    let expected = [
        denied(&format!("udp-send={to}"), &format!("udp-send to {to}")),
        denied("udp-bind=127.0.0.1:0", "udp-bind on 127.0.0.1:0"),
    ];
    assert_eq!(lines, expected);
    peer.untouched();
}

#[test]
pub(crate) fn wasi3_udp_strangers_unseen() {
    let peer = udp_echo();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let grant = format!("udp-send=127.0.0.1:{peer}");
    let mut running =
        Run::start("wasi3_udp_strangers_unseen", &["--allow", &grant], &[peer.to_string()]);
    let guest = running.port();
    for _ in 0..10 {
        stranger.send_to(b"strange", ("127.0.0.1", guest)).expect("sends");
    }
    writeln!(running.input, "go").expect("is written");
    running.success();
}

#[test]
pub(crate) fn wasi3_names_ok() {
    let server = echo_server(1);
    let grant = format!("tcp-connect=one.example:{server}");
    let options = [
        "--allow",
        &grant,
        "--allow",
        "resolve=two.example",
        "--resolve",
        "one.example=127.0.0.1",
        "--resolve",
        "two.example=127.0.0.1",
        "--resolve",
        "two.example=::1",
    ];
    run("wasi3_names_ok", &options, server);
}

#[test]
pub(crate) fn wasi3_names_denied() {
    if !crate::names::knows_localhost("wasi3_names_denied, private space") {
        return;
    }
    let options = ["--allow", "resolve=name.invalid", "--allow", "resolve=localhost"];
    let lines = Run::start("wasi3_names_denied", &options, &[]).success();
    let first = denied("resolve=denied.example", "resolve of denied.example");
    assert!(lines[0].starts_with(&first), "{lines:?}");
}

#[test]
pub(crate) fn wasi3_states_ok() {
    let grants = [
        "tcp-connect=127.0.0.1:*",
        "tcp-listen=127.0.0.1:*",
        "tcp-listen=192.0.2.1:0",
        "udp-bind=127.0.0.1:0",
        "udp-send=127.0.0.1:*",
    ];
    let options: Vec<_> = grants.iter().flat_map(|grant| ["--allow", grant]).collect();
    Run::start("wasi3_states_ok", &options, &[]).success();
}

#[test]
pub(crate) fn wasi3_standard_ok() {
    for family in families("wasi3_standard_ok") {
        // The policy has no part in it.
        let server = resetting_server(family);
        let args = [family.to_string(), server.to_string(), "more".to_owned()];
        Run::start("wasi3_standard_ok", &["--allow-all"], &args).success();
    }
}

#[test]
pub(crate) fn wasi3_states_denied() {
    for family in families("wasi3_states_denied") {
        Run::start("wasi3_states_denied", &[], &[family.to_string()]).success();
    }
}

#[test]
pub(crate) fn wasi3_serve_ok() {
    crate::serve::serves_guests_of_wasi(Program::example("bench_wasi3"), &["wasi3_serve_ok"]);
}

#[test]
fn wasi3_calls_are_observed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (trace, audit, pcap, stats) = (file("trace"), file("audit"), file("pcap"), file("stats"));
    let server = echo_server(1);
    let grant = format!("tcp-connect=one.example:{server}");
    let options = [
        &format!("--trace={trace}"),
        "--audit",
        &audit,
        "--pcap",
        &pcap,
        &format!("--stats=json:{stats}"),
        "--allow",
        &grant,
        "--allow",
        "resolve=two.example",
        "--resolve",
        "one.example=127.0.0.1",
        "--resolve",
        "two.example=127.0.0.1",
        "--resolve",
        "two.example=::1",
    ];
    run("wasi3_names_ok", &options, server);
    let calls = std::fs::read_to_string(trace).expect("a text");
    for start in [
        "getaddrinfo(\"ONE.example\") = ",
        "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3 <",
        &format!("connect(3, {{AF_INET, 127.0.0.1:{server}}}) = 0 <"),
        "send(3, \"by name\", 7) = 7 <",
        "recv(3, \"by name\", ",
        "drop(3) = 0 <",
    ] {
        assert!(calls.lines().any(|line| line.starts_with(start)), "{start} is not in\n{calls}");
    }
    let decisions = std::fs::read_to_string(audit).expect("a text");
    crate::schema::check_lines(&crate::schema::read("audit.schema.json"), &decisions);
    let allowed = format!("\"verb\":\"tcp-connect\",\"target\":\"127.0.0.1:{server}\"");
    assert!(decisions.contains(&allowed), "{decisions}");
    let capture = std::fs::read(pcap).expect("a capture");
    assert!(capture.windows(7).any(|part| part == b"by name"));
    let counters = std::fs::read_to_string(stats).expect("a text");
    assert!(
        counters.contains("\"sent_bytes\":7") && counters.contains("\"received_bytes\":7"),
        "{counters}"
    );
}

#[test]
fn wasi3_inspect_names_the_grants() {
    let output = Command::new(command())
        .arg("inspect")
        .arg(guest_path("bench_wasi3"))
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| {
        let name = format!("  wasi:sockets/{name}@0.3.0");
        let line = text.lines().find(|line| line.starts_with(&name));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
    };
    let types = line("types");
    for grant in ["tcp-connect=HOST:PORT", "tcp-listen=ADDRESS:PORT", "udp-send=HOST:PORT"] {
        assert!(types.contains(grant), "{types}");
    }
    assert!(line("ip-name-lookup").contains("resolve=NAME"));
}

#[test]
pub(crate) fn wasi3_budget_bounded() {
    crate::budget::of_wasi(|role, port, rule| {
        let args = [role.to_owned(), port.to_string()];
        Run::start("wasi3_budget_bounded", &["--allow", rule], &args).success();
    });
}
