//! Many guests behind one listener, and descriptors that are handed over to guests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, Program, both_ways, command, guest_path, programs, root, skip};

use crate::tls::{Authority, NAME, ran};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// `sandsock serve` under way, ended on drop.
pub(crate) struct Serving {
    child: Child,
    /// Where it said that it listens.
    pub(crate) address: String,
    output: Arc<Mutex<String>>,
}

impl Serving {
    /// Starts it; the program and its arguments come last.
    #[track_caller]
    fn start(options: &[&str], program: Program) -> Self {
        let mut command = Command::new(command());
        command.arg("serve").args(options).arg(program.path());
        Self::spawn(command)
    }

    #[track_caller]
    pub(crate) fn on_loopback(options: &[&str], program: Program) -> Self {
        Self::start(&[&["--listen", "127.0.0.1:0"], options].concat(), program)
    }

    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let output = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let collect = |stream: Box<dyn Read + Send>| {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut output = output.lock().expect("no panic");
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        };
        collect(Box::new(out));
        collect(Box::new(err));
        let mut serving = Self { child, address: String::new(), output };
        let line = serving.said("listening on ");
        serving.address = line.rsplit_once("listening on ").expect("it is there").1.to_owned();
        serving
    }

    /// Waits for a line with these words, and gives it.
    #[track_caller]
    fn said(&self, words: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let output = self.output.lock().expect("no panic").clone();
            if let Some(line) = output.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not say {words:?}:\n{}", self.output.lock().expect("no panic"));
    }

    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }

    #[track_caller]
    fn connect(&self) -> Line<TcpStream> {
        let stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        Line(BufReader::new(stream))
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end:\n{}", self.output());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The open descriptors, and the resident memory in KiB.
    pub(crate) fn size(&self) -> (usize, usize) {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let descriptors = std::fs::read_dir(process.join("fd")).expect("it is there").count();
        let status = std::fs::read_to_string(process.join("status")).expect("it is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        (descriptors, line.trim().trim_end_matches(" kB").parse().expect("a number"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection spoken to by lines.
struct Line<S>(BufReader<S>);

impl<S: Read + Write> Line<S> {
    #[track_caller]
    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("writes");
    }

    /// One line, empty at the end.
    fn hear(&mut self) -> String {
        let mut answer = String::new();
        // A reset is an end as well.
        let _ = self.0.read_line(&mut answer);
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }
}

#[test]
pub(crate) fn serve_connection_ok() {
    let mut serving = Serving::on_loopback(&["--env", "SHARED=yes"], programs::serve_connection_ok);
    let (mut one, mut two) = (serving.connect(), serving.connect());
    // Each has an instance of its own.
    assert_eq!([one.ask("count"), one.ask("count"), two.ask("count")], ["1", "2", "1"]);
    let names = |line: &Line<TcpStream>| {
        let show = |address: SocketAddr| format!("('{}', {})", address.ip(), address.port());
        let stream = line.0.get_ref();
        format!(
            "{} {}",
            show(stream.peer_addr().expect("is there")),
            show(stream.local_addr().expect("is there"))
        )
    };
    assert_eq!(one.ask("names"), names(&one));
    assert_eq!(two.ask("more"), "PermissionError OSError");
    let surroundings = one.ask("surroundings");
    assert_eq!(surroundings, r#"["serve_connection_ok.wasm"] Some("yes") Ok(0)"#);
    serving.said("on standard output");
    // The guest has ended when its connection is at its end.
    one.0.get_ref().shutdown(std::net::Shutdown::Write).expect("shuts");
    assert_eq!(one.hear(), "");
    drop(two);
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
}

/// A program of WASI 0.3, which the engine with concurrency support runs: sandsock's calls are the
/// same.
#[test]
fn serve_program_of_wasi_0_3() {
    let mut command = Command::new(command());
    command.args(["serve", "--workers", "1", "--listen", "127.0.0.1:0"]);
    command.arg(guest_path("bench_wasi3")).arg("echo");
    let mut serving = Serving::spawn(command);
    // One waits while the other is served.
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!(two.ask("two"), "two");
    assert_eq!(one.ask("one"), "one");
    assert_eq!(two.ask("two again"), "two again");
    drop(one);
    serving.signal(Signal::TERM);
    serving.said("accepting no more connections");
    assert_eq!(two.ask("served on"), "served on");
    drop(two);
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
    assert!(!serving.output().contains("trapped"), "{}", serving.output());
}

#[test]
fn serve_example_answers_http() {
    let mut command = Command::new(command());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--policy"])
        .arg(root().join("examples/policies/hello_http.toml"));
    command.arg(guest_path("hello_http"));
    let serving = Serving::spawn(command);
    for (request, words) in [
        (
            "GET /page HTTP/1.1\r\nHost: x\r\n\r\n",
            &["HTTP/1.1 200 OK\r\n", "\r\n\r\nhello ('127.0.0.1', ", " at /page\n"][..],
        ),
        ("HEAD / HTTP/1.1\r\n\r\n", &["HTTP/1.1 200 OK\r\n"]),
        ("nonsense\r\n\r\n", &["HTTP/1.1 400 Bad Request\r\n"]),
    ] {
        let mut stream = TcpStream::connect(&serving.address).expect("connects");
        stream.write_all(request.as_bytes()).expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        assert!(words.iter().all(|word| answer.contains(word)), "{request}\n{answer}");
    }
}

#[test]
fn serve_tls_connection_is_plain_to_its_instance() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("serve_tls_connection_is_plain_to_its_instance", "curl does not run");
    }
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
    let pem = authority.issue(&[NAME], false);
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
    };
    write("chain.pem", &pem.0);
    write("key.pem", &pem.1);
    write("roots.pem", &authority.0.pem());
    let serve = |tls: &str| {
        let mut serve = Command::new(command());
        serve
            .current_dir(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--max-connections", "2", "-v", "--policy"])
            .arg(root().join("examples/policies/hello_http.toml"))
            .args(["--tls-identity", "web=chain.pem,key.pem", "--tls", tls])
            .arg(guest_path("hello_http"));
        serve
    };
    let serving = Serving::spawn(serve("identity=web;alpn=http/1.1"));
    let port = serving.address.rsplit_once(':').expect("a port").1;
    let curl = format!(
        "curl -sS --max-time 20 --noproxy * --resolve {NAME}:{port}:127.0.0.1 https://{NAME}:{port}/"
    );
    let start = Instant::now();
    for version in ["--tlsv1.3", "--tls-max 1.2", "--http1.1"] {
        let (status, page) = ran(folder.path(), &format!("{curl} {version} --cacert roots.pem"));
        assert_eq!(status, Some(0), "{version}: {}", serving.output());
        assert!(page.contains("hello ('127.0.0.1', "), "{version}: {page}");
    }
    // A client that says nothing, and one that speaks no TLS, cost the others a place for a while.
    let (_silent, mut plain) = (serving.connect(), serving.connect());
    plain.say("GET / HTTP/1.0\r\n\r");
    serving.said("no TLS: ");
    let (status, _) = ran(folder.path(), &format!("{curl} --cacert roots.pem"));
    assert_eq!(status, Some(0), "{}", serving.output());
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    serving.said("no TLS: timed out");
    for (tls, error) in [
        ("identity=other", "add --tls-identity other=CERT.pem,KEY.pem"),
        ("web", "write identity=NAME"),
        ("identity=web;alpn=", "ALPN takes at most 32 protocols, each of 1 to 255 bytes"),
    ] {
        let output = serve(tls).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(error), "{tls}: {said}");
    }
}

#[test]
fn serve_hundreds_of_connections_at_once_each_with_its_own_instance() {
    let serving = Serving::on_loopback(&[], programs::serve_connection_ok);
    let mut lines: Vec<_> = (0..400).map(|_| serving.connect()).collect();
    for (number, line) in lines.iter_mut().enumerate() {
        line.say(&format!("echo {number}"));
    }
    for (number, line) in lines.iter_mut().enumerate() {
        assert_eq!(line.hear(), number.to_string());
    }
    for line in &mut lines {
        assert_eq!(line.ask("count"), "1");
    }
}

#[test]
fn serve_leaves_nothing_behind() {
    let serving = Serving::on_loopback(&[], programs::serve_connection_ok);
    let round = |count: usize| {
        for number in 0..count {
            let mut line = serving.connect();
            assert_eq!(line.ask("echo x"), "x");
            // Ends of every kind: the client's, a trap.
            if number % 4 == 0 {
                assert_eq!(line.ask("trap"), "");
            }
        }
        // The last instance is gone a moment after its client.
        std::thread::sleep(Duration::from_millis(300));
        serving.size()
    };
    let (before, memory) = round(300);
    let (after, more) = round(1500);
    assert_eq!(before, after, "descriptors");
    assert!(more < memory + 4096, "{memory} KiB have become {more}");
}

#[test]
fn serve_trap_harms_no_other() {
    let serving = Serving::on_loopback(&[], programs::serve_connection_ok);
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!((one.ask("count"), two.ask("count")), ("1".to_owned(), "1".to_owned()));
    assert_eq!(two.ask("trap"), "", "the connection of an instance that traps is closed");
    let peer = two.0.get_ref().local_addr().expect("an address");
    let line = serving.said("trapped");
    assert!(
        line.contains(&format!(
            "serve_connection_ok.wasm: a connection from {peer}: the guest trapped: "
        )),
        "{line}"
    );
    assert_eq!(one.ask("count"), "2");
    assert_eq!(serving.connect().ask("count"), "1");
}

#[test]
fn serve_memory_is_bounded_for_each_instance() {
    let serving =
        Serving::on_loopback(&["--limit", "memory-bytes=33554432"], programs::serve_connection_ok);
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!((one.ask("count"), two.ask("memory 64")), ("1".to_owned(), String::new()));
    let line = serving.said("trapped");
    assert!(
        line.ends_with(
            "(it was refused more memory than the limit memory-bytes=33554432, 32 MiB, allows)"
        ),
        "{line}"
    );
    // Each may have that much, whatever the others have.
    let mut all: Vec<_> = (0..4).map(|_| serving.connect()).collect();
    assert!(all.iter_mut().all(|line| line.ask("memory 16") == "16"));
    assert_eq!(one.ask("count"), "2");
}

#[test]
fn serve_computing_guest_gives_way_to_the_others() {
    let mut serving =
        Serving::on_loopback(&["--workers", "1", "--grace", "0"], programs::serve_connection_ok);
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!(one.ask("count"), "1");
    two.say("compute");
    for round in 2..10 {
        assert_eq!(one.ask("count"), round.to_string());
    }
    // It is stopped all the same.
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(0));
}

#[test]
fn serve_bound_reached_is_a_wait_in_the_backlog() {
    let serving = Serving::on_loopback(&["--max-connections", "2"], programs::serve_connection_ok);
    let (mut one, mut two, mut three) = (serving.connect(), serving.connect(), serving.connect());
    assert_eq!((one.ask("count"), two.ask("count")), ("1".to_owned(), "1".to_owned()));
    three.say("count");
    three.0.get_ref().set_read_timeout(Some(Duration::from_millis(300))).expect("is set");
    assert_eq!(three.hear(), "", "no instance yet");
    three.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("is set");
    drop(one);
    assert_eq!(three.hear(), "1");
    assert_eq!(two.ask("count"), "2");
}

#[test]
fn serve_signal_ends_it_with_grace() {
    let mut serving = Serving::on_loopback(&["--grace", "1"], programs::serve_connection_ok);
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!((one.ask("count"), two.ask("count")), ("1".to_owned(), "1".to_owned()));
    serving.signal(Signal::TERM);
    serving.said("accepting no more connections; 2 instances are running");
    let start = Instant::now();
    while TcpStream::connect(&serving.address).is_ok() {
        assert!(start.elapsed() < PATIENCE, "it goes on to listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Those that are served are served on, and interrupted after a second.
    assert_eq!(one.ask("count"), "2");
    assert_eq!(one.hear(), "");
    serving.said("InterruptedError");
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
    drop(two);
}

#[test]
fn serve_second_signal_ends_it_at_once() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut serving = Serving::on_loopback(&["--grace", "1000"], programs::serve_connection_ok);
        let mut line = serving.connect();
        assert_eq!(line.ask("count"), "1");
        line.say("compute");
        serving.signal(signal);
        serving.said("A second signal ends them");
        serving.signal(signal);
        assert_eq!(serving.ended().code(), Some(status));
        assert_eq!(line.hear(), "");
    }
}

#[test]
fn serve_second_signal_takes_the_socket_file_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serve.sock");
    // The guest's standard output is a pipe without a reader. The guest waits for that, and does
    // not see the end.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(command());
    command
        .args(["serve", "--workers", "1", "--listen"])
        .arg(&path)
        .arg(programs::serve_connection_ok.path());
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().expect("starts");
    drop(command);
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut line = Line(BufReader::new(UnixStream::connect(&path).expect("connects")));
    line.say("print");
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..2 {
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(child.wait().expect("waits").code(), Some(143));
    assert!(!path.exists(), "the socket's file is left behind");
    drop(reader);
}

#[test]
fn serve_ends_though_nobody_reads_what_it_says() {
    let mut command = Command::new(command());
    command
        .args(["serve", "-v", "--grace", "0", "--listen", "127.0.0.1:0"])
        .arg(programs::serve_connection_ok.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut said =
        BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let address = said
        .find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()))
        .expect("it listens");
    drop(said);
    let ask = |text: &str| {
        let mut line = Line(BufReader::new(TcpStream::connect(&address).expect("connects")));
        line.ask(text)
    };
    // The command reports a trap too.
    assert_eq!(
        (ask("count"), ask("trap"), ask("count")),
        ("1".to_owned(), String::new(), "1".to_owned())
    );
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
    let start = Instant::now();
    while child.try_wait().expect("waits").is_none() {
        assert!(start.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().expect("waits").code(), Some(0));
}

#[test]
fn serve_silent_client_loses_its_place() {
    let options = ["--max-connections", "2", "--max-time", "1"];
    let serving = Serving::on_loopback(&options, programs::serve_connection_ok);
    // One says nothing, one has its guest compute.
    let (mut silent, mut busy, mut third) =
        (serving.connect(), serving.connect(), serving.connect());
    busy.say("compute");
    let start = Instant::now();
    assert_eq!(third.ask("count"), "1");
    assert!(start.elapsed() > Duration::from_millis(900), "there was a place for it before");
    serving.said("InterruptedError");
    assert_eq!((silent.hear(), busy.hear()), (String::new(), String::new()));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn serve_host_name_is_what_each_instance_sees() {
    let serving =
        Serving::on_loopback(&["--hostname", "served.example"], programs::serve_connection_ok);
    assert_eq!(serving.connect().ask("hostname"), "served.example");
    let serving = Serving::on_loopback(&[], programs::serve_connection_ok);
    assert_eq!(serving.connect().ask("hostname"), "sandbox");
}

#[test]
fn serve_unix_listeners() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serve.sock");
    let text = path.display().to_string();
    let mut serving = Serving::start(&["--listen", &text], programs::serve_connection_ok);
    assert_eq!(serving.address, text);
    let mut line = Line(BufReader::new(UnixStream::connect(&path).expect("connects")));
    assert_eq!(line.ask("count"), "1");
    // Taken: the file is another's.
    let taken = Command::new(command())
        .args(["serve", "--listen", &text])
        .arg(programs::serve_connection_ok.path())
        .output()
        .expect("runs");
    let stderr = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(
        taken.status.code() == Some(125) && stderr.contains("the file exists already"),
        "{stderr}"
    );
    drop(line);
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
    assert!(!path.exists(), "its file is removed");

    let name = format!("sandsock-serve-{}", std::process::id());
    let serving = Serving::start(&["--listen", &format!("@{name}")], programs::serve_connection_ok);
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
    assert_eq!(
        Line(BufReader::new(UnixStream::connect_addr(&address).expect("connects"))).ask("echo x"),
        "x"
    );
    drop(serving);
}

#[test]
fn serve_ipv6_and_both_families() {
    for (listen, hosts) in [("[::1]:0", &["::1"][..]), ("*:0", &["::1", "127.0.0.1"])] {
        let serving = Serving::start(&["--listen", listen], programs::serve_connection_ok);
        let port = serving.address.parse::<SocketAddr>().expect("an address").port();
        for host in hosts {
            let stream = TcpStream::connect((*host, port))
                .unwrap_or_else(|error| panic!("{listen} {host}: {error}"));
            assert_eq!(Line(BufReader::new(stream)).ask("count"), "1", "{host}");
        }
    }
}

#[test]
fn serve_faults_are_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = taken.local_addr().expect("an address").to_string();
    let guest = programs::serve_connection_ok.path().display().to_string();
    let pair = format!("127.0.0.1:80={port}/sctp");
    let long = format!("/{}", "a".repeat(119));
    for (status, args, words) in [
        (125, vec!["--listen", &port, &guest], "Address already in use"),
        (
            125,
            vec!["--listen", "nonsense", &guest],
            "nonsense: the port is missing; write HOST:PORT as in 127.0.0.1:8000",
        ),
        (125, vec!["--listen", "8000", &guest], "8000: the port is missing; write HOST:PORT"),
        (
            125,
            vec!["--listen", "127.0.0.1:99999", &guest],
            "`99999` is not a port, which is a number from 0 to 65535",
        ),
        (125, vec!["--listen", ":8000", &guest], "the host is missing; write HOST:PORT"),
        (125, vec!["--listen", "::1:8000", &guest], "an IPv6 address is written in brackets"),
        (125, vec!["--listen", "[::1]", &guest], "the port is missing"),
        (125, vec!["--listen", "256.0.0.1.example.invalid.:x", &guest], "`x` is not a port"),
        (125, vec!["--listen", "@", &guest], "--listen @: the name is missing; write @NAME"),
        (125, vec!["--listen", &long, &guest], "it has 120 bytes, and the kernel allows 107"),
        (125, vec!["--listen", "fd:0", &guest], "it is a device, but must be a listening socket"),
        (
            125,
            vec!["--listen", "/", &guest],
            "there is a file of this name, and it is not a socket",
        ),
        (125, vec!["--listen", "fd:77", &guest], "this command did not inherit it"),
        (125, vec!["--listen", "fd:x", &guest], "`x` is not a descriptor's number"),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--inherit", "stdin", &guest],
            "each instance has its connection under this number; use another number",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--inherit", "listen", &guest],
            "LISTEN_FDS is not set",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--instances", "0", &guest],
            "0 is not in 1..=100000",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--workers", "1000000", &guest],
            "1000000 is not in 1..=1024",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--max-connections", "0", &guest],
            "0 is not in 1..=1000000",
        ),
        (125, vec!["--listen", "127.0.0.1:0", "--grace", "-1", &guest], "-1 is not in 0..=86400"),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--hostname", "", &guest],
            "--hostname : a host name has 1 to 64 bytes",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--netns", "there-is-none", &guest],
            "there is no network namespace",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--netns", "/dev/null", &guest],
            "/dev/null is not a network namespace",
        ),
        (
            125,
            vec!["--listen", "127.0.0.1:0", "--publish", &pair, &guest],
            ": unknown protocol `sctp`",
        ),
        (126, vec!["--listen", "127.0.0.1:0", "/dev/null"], "not a WebAssembly component"),
    ] {
        let output = Command::new(command())
            .arg("serve")
            .args(&args)
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}\n{stderr}");
        assert!(stderr.contains(words), "{args:?}\n{stderr}");
    }
}

#[test]
pub(crate) fn serve_instances_ok() {
    let mut serving = Serving::on_loopback(&["--instances", "3"], programs::serve_instances_ok);
    for _ in 0..50 {
        assert_eq!(serving.connect().ask("echo hello"), "hello");
    }
    // An instance that traps is followed by another one. All three had many turns.
    for round in 0..6 {
        assert_eq!(serving.connect().ask("trap"), "");
        assert_eq!(serving.connect().ask(&format!("echo {round}")), round.to_string());
    }
    let trapped = serving.output().matches("the guest trapped").count();
    assert_eq!(trapped, 6, "{}", serving.output());
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
    let output = serving.output();
    let (started, interrupted) =
        (output.matches("started").count(), output.matches("interrupted\n").count());
    assert!(started > 3 && interrupted >= 1, "{output}");
}

/// A shell that has a listening socket as its standard input, and becomes the command as a service
/// manager would start it.
fn activated(listener: &TcpListener, line: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec 3<&0 </dev/null; {line}")).arg(command());
    shell.stdin(OwnedFd::from(listener.try_clone().expect("copies")));
    shell
}

#[test]
fn serve_socket_activation() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    let ask = |line: &str| {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        Line(BufReader::new(stream)).ask(line)
    };
    // `serve` with descriptors that were handed over, in both modes.
    for (options, program) in
        [("", programs::serve_connection_ok), ("--instances 2", programs::serve_instances_ok)]
    {
        let mut command =
            activated(&listener, &format!("exec \"$0\" serve --listen fd:3 {options} \"$1\""));
        command.arg(program.path());
        let mut serving = Serving::spawn(command);
        assert_eq!(serving.address, format!("fd:3, a listening socket on {address}"));
        assert!(!blocks(&listener));
        assert_eq!(ask("echo x"), "x");
        serving.signal(Signal::TERM);
        assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
        assert!(blocks(&listener), "given back as it was");
    }

    // The descriptors that all instances get, beside their connections.
    let mut command =
        activated(&listener, "exec \"$0\" serve --listen 127.0.0.1:0 --inherit fd:3 \"$1\"");
    command.arg(programs::serve_connection_ok.path());
    let mut serving = Serving::spawn(command);
    assert_eq!(serving.connect().ask("count"), "1");
    assert!(!blocks(&listener));
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(0), "{}", serving.output());
    assert!(blocks(&listener), "given back as it was");

    // `run --inherit listen`: the guest finds its environment.
    let line = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec \"$0\" -v run --inherit listen \"$1\"";
    let mut child = activated(&listener, line)
        .arg(programs::serve_instances_ok.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    assert_eq!(ask("echo y"), "y");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("reads");
    assert!(child.wait().expect("waits").success(), "{stderr}");
    assert!(
        stderr.contains(&format!("handed over: fd:3 (web), a listening socket on {address}")),
        "{stderr}"
    );

    // The command reports descriptors that are meant for another process, or that have no name.
    for (variables, words) in [
        ("LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID is 1 and this is process"),
        ("LISTEN_FDS=1", "LISTEN_PID is not set"),
        ("LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS is not a number from 1 to 4096"),
        ("LISTEN_PID=$$ LISTEN_FDS=5", "this command did not inherit fd:4"),
    ] {
        let line = format!("export {variables}; exec \"$0\" run --inherit listen \"$1\"");
        let output = activated(&listener, &line)
            .arg(programs::serve_instances_ok.path())
            .output()
            .expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(125) && stderr.contains(words),
            "{variables}: {stderr}"
        );
    }
}

/// systemd's own: it listens, waits for the first connection, and becomes the command.
#[test]
fn serve_under_systemd_socket_activate() {
    let instances = programs::serve_instances_ok.path();
    let guest = programs::serve_connection_ok.path();
    for (args, guest) in [
        (&["serve", "--listen", "fd:3"][..], &guest),
        (&["serve", "--listen", "fd:3", "--instances", "2"], &instances),
        (&["run", "--inherit", "listen"], &instances),
    ] {
        let (port, _) = free_ports();
        let mut activate = Command::new("systemd-socket-activate");
        activate
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--fdname=web")
            .arg(command())
            .arg("-v");
        activate
            .args(args)
            .arg(guest)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = match activate.spawn() {
            Ok(child) => child,
            Err(error) => {
                return skip(
                    "serve_under_systemd_socket_activate",
                    &format!("systemd-socket-activate: {error}"),
                );
            }
        };
        let start = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < PATIENCE, "nobody listens: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        let answer = Line(BufReader::new(stream)).ask("echo activated");
        let signal = if args[0] == "run" { Signal::INT } else { Signal::TERM };
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        let mut stderr = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("reads");
        assert!(child.wait().expect("waits").success(), "{stderr}");
        assert_eq!(answer, "activated", "{args:?}: {stderr}");
        assert!(stderr.contains(&format!("a listening socket on 127.0.0.1:{port}")), "{stderr}");
        assert_eq!(stderr.contains("fd:3 (web)"), args[0] == "run", "its name: {stderr}");
    }
}

#[test]
fn serve_run_inherits_a_connection_as_stdin() {
    let (mut here, there) = UnixStream::pair().expect("a pair");
    let mut child = Command::new(command())
        .args(["run", "--inherit", "stdin"])
        .arg(programs::serve_connection_ok.path())
        .stdin(OwnedFd::from(there))
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    here.set_read_timeout(Some(PATIENCE)).expect("is set");
    here.write_all(b"echo one\nsurroundings\n").expect("writes");
    here.shutdown(std::net::Shutdown::Write).expect("shuts");
    let mut text = String::new();
    here.read_to_string(&mut text).expect("reads");
    // The guest's standard input is empty.
    assert_eq!(text, "one\n[\"serve_connection_ok.wasm\"] None Ok(0)\n");
    assert!(child.wait().expect("waits").success());
}

/// A TCP and a UDP port of 127.0.0.1 that are free.
fn free_ports() -> (u16, u16) {
    let tcp =
        TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port();
    let udp =
        UdpSocket::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port();
    (tcp, udp)
}

#[test]
pub(crate) fn serve_publish_ok() {
    both_ways(|way| {
        let (tcp, udp) = free_ports();
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let peer_address = peer.local_addr().expect("an address");
        let running = Guest::new(programs::serve_publish_ok, way)
            .publish(format!("127.0.0.1:{tcp}=10.9.8.7:80/tcp"))
            .publish(format!("127.0.0.1:{udp}=[fd00::9]:53"))
            .allow(format!("udp-send={peer_address}"))
            .start();
        assert_eq!(running.lines(2), ["('10.9.8.7', 80)", "('fd00::9', 53, 0, 0)"]);
        let mut stream = TcpStream::connect(("127.0.0.1", tcp)).expect("connects");
        let own = stream.local_addr().expect("an address").port();
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "over TCP");
        peer.set_read_timeout(Some(PATIENCE)).expect("is set");
        peer.send_to(b"over UDP", ("127.0.0.1", udp)).expect("sends");
        let mut buffer = [0; 100];
        let (length, from) = peer.recv_from(&mut buffer).expect("receives");
        assert_eq!((&buffer[..length], from.port()), (&b"over UDP"[..], udp));
        // The peers' addresses are the true ones.
        assert_eq!(
            running.lines(6)[2..],
            [
                format!("('127.0.0.1', {own})"),
                "('10.9.8.7', 80)".to_owned(),
                format!("('::ffff:127.0.0.1', {}, 0, 0)", peer_address.port()),
                "('fd00::9', 53, 0, 0)".to_owned(),
            ]
        );
        running.join().success();
    });
}

/// `--publish` and the policy file's `publish`, by the command.
#[test]
fn serve_publish_of_the_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "publish = ['127.0.0.1:0=10.9.8.7:80/tcp']").expect("writes");
    for (option, value) in
        [("--publish", "127.0.0.1:0=10.9.8.7:80"), ("--policy", policy.to_str().expect("is text"))]
    {
        let mut child = Command::new(command())
            .args(["-v", "run", option, value])
            .arg(guest_path("echo_server"))
            .args(["10.9.8.7", "80", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // With -v the command logs the port that the kernel chose.
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let published = (&mut stderr).lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("published: ")?;
            rest.strip_suffix(" is the guest's 10.9.8.7:80").map(str::to_owned)
        });
        let address = published.expect("it is told");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("reads");
        assert_eq!(line, "listening on ('10.9.8.7', 80)\n");
        let stream = TcpStream::connect(&*address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        assert_eq!(Line(BufReader::new(stream)).ask("through"), "through");
        stdout.read_to_string(&mut line).expect("reads");
        assert!(child.wait().expect("waits").success());
    }
}

#[test]
pub(crate) fn serve_publish_denied() {
    both_ways(|way| {
        let (host, _) = free_ports();
        let holder = TcpListener::bind("127.0.0.1:0").expect("binds");
        let taken = holder.local_addr().expect("an address").port();
        let (denied, _) = free_ports();
        Guest::new(programs::serve_publish_denied, way)
            .publish(format!("127.0.0.1:{host}=10.9.8.7:80/tcp"))
            .publish("127.0.0.1:0=10.9.8.7:82/tcp")
            .publish(format!("127.0.0.1:{taken}=10.9.8.7:83/tcp"))
            .publish(format!("127.0.0.1:{denied}=10.9.8.7:84/tcp"))
            .deny(format!("tcp-listen=127.0.0.1:{denied}"))
            .arg(host)
            .arg(83)
            .arg(84)
            .run()
            .success();
        // The kernel's choice for port 0 is a port like any other.
        let ended = Guest::new(programs::serve_publish_ok, way)
            .publish("127.0.0.1:0=10.9.8.7:80/tcp")
            .deny("tcp-listen=127.0.0.1:1-65535")
            .run();
        assert!(matches!(ended.result, Ok(Err(()))), "{ended:?}");
        assert!(
            ended.stderr.contains("is denied by the rule tcp-listen=127.0.0.1:1-65535"),
            "{ended:?}"
        );
    });
}

#[test]
fn serve_netns_is_where_guests_are() {
    let test = "serve_netns_is_where_guests_are";
    let (a, b) = match Namespace::linked() {
        Ok(pair) => pair,
        Err(reason) => return skip(test, &reason),
    };
    // The server in one namespace, by its name; the client in the other, by its path.
    let serving = Serving::start(
        &["--listen", "10.77.0.1:0", "--netns", a.name()],
        programs::serve_connection_ok,
    );
    let port = serving.address.parse::<SocketAddr>().expect("an address").port();
    assert!(TcpStream::connect(("10.77.0.1", port)).is_err(), "here is no such address");
    let mut line = b.run(|| serving_line(port));
    assert_eq!(line.ask("names").split(' ').next(), Some("('10.77.0.1',"));
    let server = |namespace: &str| {
        let mut command = Command::new(command());
        command
            .args(["run", "--netns", namespace, "--allow", "tcp-listen=10.77.0.2:0"])
            .arg(guest_path("echo_server"))
            .args(["10.77.0.2", "0", "1"])
            .stdout(Stdio::piped());
        command.spawn().expect("starts")
    };
    let mut server = server(&format!("/run/netns/{}", b.name()));
    let mut first = String::new();
    let mut output = BufReader::new(server.stdout.take().expect("piped"));
    output.read_line(&mut first).expect("reads");
    let port =
        first.trim_end().trim_end_matches(')').rsplit(' ').next().expect("a port").to_owned();
    let output = Command::new(command())
        .args(["run", "--netns", a.name(), "--allow", &format!("tcp-connect=10.77.0.2:{port}")])
        .arg(guest_path("echo_client"))
        .args(["10.77.0.2", &port, "across namespaces"])
        .output()
        .expect("runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("across namespaces"), "{output:?}");
    assert!(server.wait().expect("waits").success());
}

/// Files of `/etc/netns/NAME`, removed on drop.
struct EtcNetns(PathBuf);

impl EtcNetns {
    fn new(namespace: &Namespace, files: &[(&str, &str)]) -> std::io::Result<Self> {
        let folder = PathBuf::from("/etc/netns").join(namespace.name());
        std::fs::create_dir_all(&folder)?;
        let own = Self(folder);
        for (name, content) in files {
            std::fs::write(own.0.join(name), content)?;
        }
        Ok(own)
    }
}

impl Drop for EtcNetns {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // Where it was empty before.
        let _ = std::fs::remove_dir("/etc/netns");
    }
}

/// Like `ip netns exec`, the command replaces files in /etc by those of `/etc/netns/NAME`, for
/// itself alone.
#[test]
fn serve_netns_has_its_own_etc() {
    let test = "serve_netns_has_its_own_etc";
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => return skip(test, &reason),
    };
    let name = "sandsock-netns.test";
    let files = match EtcNetns::new(&namespace, &[("hosts", &format!("127.0.0.77 {name}\n"))]) {
        Ok(files) => files,
        Err(error) => return skip(test, &format!("/etc/netns: {error}")),
    };
    let run = || {
        let output = Command::new(command())
            .args(["run", "--netns", namespace.name(), "--allow", "tcp-connect=127.0.0.77:9"])
            .args(["--allow", &format!("tcp-connect={name}:9")])
            .arg(guest_path("echo_client"))
            .args([name, "9", "x"])
            .output()
            .expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The name has an address without a listener.
    let (status, stderr) = run();
    assert!(status == Some(1) && stderr.contains("Connection refused"), "{stderr}");
    assert!(
        !std::fs::read_to_string("/etc/hosts").expect("it is there").contains(name),
        "this process has its own"
    );

    // A file that has no counterpart in /etc is reported with its name.
    std::fs::write(files.0.join("sandsock-no-such-file"), "").expect("writes");
    let (status, stderr) = run();
    let words = "sandsock-no-such-file: can't be mounted over /etc/sandsock-no-such-file: No such file or directory";
    assert!(status == Some(125) && stderr.contains(words), "{stderr}");
}

/// A connection from the namespace of this thread.
fn serving_line(port: u16) -> Line<TcpStream> {
    let stream = TcpStream::connect(("10.77.0.1", port)).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("is set");
    Line(BufReader::new(stream))
}

fn blocks(listener: &TcpListener) -> bool {
    !rustix::fs::fcntl_getfl(listener).expect("it is open").contains(OFlags::NONBLOCK)
}

#[test]
pub(crate) fn serve_inherit_judged() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let (udp, peer) = (
            UdpSocket::bind("127.0.0.1:0").expect("binds"),
            UdpSocket::bind("127.0.0.1:0").expect("binds"),
        );
        peer.send_to(b"unasked", udp.local_addr().expect("an address")).expect("sends");
        let (here, mut there) = UnixStream::pair().expect("a pair");
        let (pipe, _writer) = std::io::pipe().expect("a pipe");
        let (more, _) = UnixStream::pair().expect("a pair");
        let guest = Guest::new(programs::serve_inherit_judged, way)
            .inherit(3, listener.try_clone().expect("copies"))
            .inherit(4, udp)
            .inherit(5, here)
            .inherit(6, OwnedFd::from(pipe))
            .inherit(7, more)
            .arg(peer.local_addr().expect("an address").port());
        let guest = [3, 4, 5, 6]
            .into_iter()
            .fold(guest, |guest, number| guest.allow(format!("inherit=fd:{number}")));
        assert!(!blocks(&listener), "a listener that was handed over does not block a thread");
        let running = guest.start();
        let mut text = String::new();
        TcpStream::connect(address).expect("connects").read_to_string(&mut text).expect("reads");
        there.read_to_string(&mut text).expect("the guest has closed its end");
        // The guest is still there.
        let mut third = TcpStream::connect(address).expect("connects");
        third.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "firstsecondthird");
        let ended = running.join();
        assert_eq!(ended.dropped, 1);
        ended.success();
        assert!(blocks(&listener), "and blocks again afterwards");
    });
}

/// A guest of `wasi:sockets` has a listener of its own, and ends with the command.
pub(crate) fn serves_guests_of_wasi(program: Program, args: &[&str]) {
    let mut command = Command::new(command());
    command.args(["serve", "--listen", "127.0.0.1:0", "--instances", "2", "--grace", "0"]);
    command.args(["--allow", "tcp-listen=127.0.0.1:0"]).arg(program.path()).args(args);
    let mut serving = Serving::spawn(command);
    let start = Instant::now();
    let ports = loop {
        let output = serving.output();
        let ports: Vec<u16> = output
            .lines()
            .filter_map(|line| line.strip_prefix("the guest listens on ")?.parse().ok())
            .collect();
        if ports.len() == 2 {
            break ports;
        }
        assert!(start.elapsed() < PATIENCE, "{output}");
        std::thread::sleep(Duration::from_millis(10));
    };
    for port in ports.iter().chain(&ports) {
        // Two clients at the same time, of which the later one speaks first.
        let mut clients = [(); 2].map(|()| {
            let stream = TcpStream::connect(("127.0.0.1", *port)).expect("connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("is set");
            stream
        });
        for stream in clients.iter_mut().rev() {
            stream.write_all(b"again").expect("writes");
            stream.shutdown(std::net::Shutdown::Write).expect("is shut");
        }
        for mut stream in clients {
            let mut back = String::new();
            stream.read_to_string(&mut back).expect("reads");
            assert_eq!(back, "again");
        }
    }
    serving.signal(Signal::TERM);
    serving.ended();
}

/// The instance that a connection starts connects to the listener, writes and ends without closing.
/// The peer gets all of it, although the command ends before the peer takes a byte.
pub(crate) fn serve_end_loses_nothing(program: Program) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let at = listener.local_addr().expect("an address");
    let mut command = Command::new(command());
    command.args(["serve", "--listen", "127.0.0.1:0", "--grace", "0"]);
    command.arg("--allow").arg(format!("tcp-connect={at}"));
    command.arg(program.path()).arg(format!("abandon={at}"));
    let mut serving = Serving::spawn(command);
    let client = serving.connect();
    let (mut stream, _) = listener.accept().expect("accepts");
    let line = serving.said("wrote ");
    let written: usize = line.rsplit_once(' ').expect("a number").1.parse().expect("a number");
    serving.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let mut data = Vec::new();
    stream.read_to_end(&mut data).expect("reads");
    assert_eq!(data.len(), written);
    serving.ended();
    drop(client);
}
