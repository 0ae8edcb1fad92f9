//! `--mode observe` and `--learn`: what is not granted passes, and is said or learnt.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::{command, guest_path, root, skip, target};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command under way, killed on drop.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    #[track_caller]
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(command());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout }
    }

    /// Returns the port at the end of the next line.
    #[track_caller]
    fn port(&mut self) -> u16 {
        let line = self.line();
        let number = line.rsplit([':', ' ', ')']).find(|part| !part.trim().is_empty());
        let number = number.map(|part| part.trim().trim_end_matches(')'));
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no port in {line}"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("reads");
        line
    }

    /// Waits for the end. Returns the status and standard error.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        let mut stderr = self.child.stderr.take().expect("piped");
        let text = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return (status.code(), text.join().expect("no panic").expect("UTF-8"));
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to the end. Returns the status and standard error.
#[track_caller]
fn run(args: &[&str]) -> (Option<i32>, String) {
    Running::start(args).end()
}

/// Starts a server that returns what it gets, for this number of connections.
fn echo(connections: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = stream.expect("accepts");
            let mut other = stream.try_clone().expect("clones");
            std::thread::spawn(move || std::io::copy(&mut stream, &mut other));
        }
    });
    port
}

fn udp_echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok((count, sender)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..count], sender);
        }
    });
    port
}

fn example(name: &str) -> String {
    guest_path(name).display().to_string()
}

fn lines<'a>(stderr: &'a str, start: &str) -> Vec<&'a str> {
    stderr.lines().filter_map(|line| line.strip_prefix(start)).collect()
}

const DENIED: &str = "sandsock: would be denied: ";

#[test]
fn learn_mode_observe_passes_and_says_what_it_would_deny() {
    let port = echo(3);
    let (client, number) = (example("echo_client"), port.to_string());
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (audit, stats) = (file("audit"), file("stats"));
    let json = format!("--stats=json:{stats}");
    let observe = ["run", "--mode", "observe", "--yes", "--audit", &audit, &json];
    let words = ["127.0.0.1", &number, "hello"];
    let (status, stderr) = run(&[&observe[..], &[&client], &words].concat());
    assert_eq!(status, Some(0), "{stderr}");
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    assert_eq!(lines(&stderr, DENIED), [&grant], "{stderr}");
    let decisions = std::fs::read_to_string(&audit).expect("a log");
    crate::schema::check_lines(&crate::schema::read("audit.schema.json"), &decisions);
    let would_deny = format!(
        r#""decision":"would-deny","rule":null,"reason":"tcp-connect to 127.0.0.1:{port} is not granted; allow it with --allow {grant}","grant":"{grant}""#
    );
    assert!(decisions.contains(&would_deny), "{decisions}");
    let stats = std::fs::read_to_string(&stats).expect("statistics");
    let missing = format!(r#"{{"grant":"{grant}","denied":0,"would_deny":1}}"#);
    assert!(stats.contains(&missing), "{stats}");

    // What is granted is not said. A name would do too, because the guest used one.
    let (status, stderr) = run(&[&observe[..], &["--allow", &grant, &client], &words].concat());
    assert_eq!((status, lines(&stderr, DENIED)), (Some(0), vec![]), "{stderr}");
    let names = ["--resolve", "db.example=127.0.0.1", &client, "db.example", &number, "hello"];
    let (status, stderr) = run(&[&observe[..], &names].concat());
    let grant = format!("tcp-connect=db.example:{port}");
    assert_eq!((status, lines(&stderr, DENIED)), (Some(0), vec![&*grant]), "{stderr}");

    // A rule that denies holds.
    let deny = ["--deny", "tcp-connect=127.0.0.0/8:*", &client];
    let (status, stderr) = run(&[&observe[..], &deny, &words].concat());
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("is denied by the rule tcp-connect=127.0.0.0/8:*"), "{stderr}");
}

#[test]
fn learn_without_consent_refused() {
    let client = example("echo_client");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml").display().to_string();
    for option in [&["--mode", "observe"][..], &["--learn", &file]] {
        // `setsid` leaves the terminal, if the tests have one.
        let mut alone = Command::new("setsid");
        alone.arg("--wait").arg(command()).arg("run").args(option);
        let output = alone.args([&client, "127.0.0.1", "1", "x"]).stdin(Stdio::null()).output();
        let output = output.expect("starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains("there is no terminal to agree to it; add --yes"), "{stderr}");
    }
    assert!(!Path::new(&file).exists());
    let (status, stderr) = run(&["run", "--learn", &file, "--yes", "--allow-all", &client]);
    assert_eq!(status, Some(125));
    assert!(stderr.contains("leave out --allow-all"), "{stderr}");
    // A guest must not be able to change what is written.
    let dir = folder.path().display().to_string();
    let (status, stderr) = run(&["run", "--learn", &file, "--yes", "--dir", &dir, &client]);
    assert_eq!(status, Some(125));
    assert!(stderr.contains("the policy that --learn writes"), "{stderr}");
    let nowhere = folder.path().join("none/policy.toml").display().to_string();
    let (status, stderr) = run(&["run", "--learn", &nowhere, "--yes", &client]);
    assert_eq!(status, Some(125));
    assert!(stderr.contains("none/policy.toml: can't write there"), "{stderr}");
}

#[test]
fn learn_mode_observe_lets_in_and_names_unlisted_senders() {
    let server = example("udp_server");
    let mut running =
        Running::start(&["run", "--mode", "observe", "--yes", &server, "127.0.0.1", "0", "1"]);
    let port = running.port();
    let client = UdpSocket::bind("127.0.0.1:0").expect("binds");
    client.set_read_timeout(Some(PATIENCE)).expect("sets");
    client.send_to(b"hello", ("127.0.0.1", port)).expect("sends");
    let mut answer = [0; 16];
    assert_eq!(client.recv(&mut answer).expect("an answer"), 5);
    let own = client.local_addr().expect("an address");
    let (status, stderr) = running.end();
    assert_eq!(status, Some(0), "{stderr}");
    let expected = [
        "udp-bind=127.0.0.1:0".to_owned(),
        format!("udp-receive={own}"),
        format!("udp-send={own}"),
    ];
    assert_eq!(lines(&stderr, DENIED), expected, "{stderr}");
}

/// Learns what a program does, and returns the file and what was said.
struct Lesson {
    folder: tempfile::TempDir,
}

impl Lesson {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("learnt.toml")
    }

    fn name(&self) -> String {
        self.file().display().to_string()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("the learnt policy")
    }

    /// The rules, without comments.
    fn rules(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix('"'));
        lines.filter_map(|line| Some(line.strip_suffix("\",")?.to_owned())).collect()
    }

    /// Runs one program to learn, or under what was learnt.
    #[track_caller]
    fn run(&self, learn: bool, subcommand: &str, program: &[&str]) -> (Option<i32>, String) {
        let name = self.name();
        let options: &[&str] =
            if learn { &["--yes", "--learn", &name] } else { &["--policy", &name] };
        run(&[&[subcommand], options, program].concat())
    }
}

#[test]
fn learn_client_then_only_that_is_allowed() {
    let (port, other) = (echo(3), echo(1));
    let (client, number) = (example("echo_client"), port.to_string());
    let lesson = Lesson::new();
    let words = [client.as_str(), "127.0.0.1", &number, "hello"];
    let (status, stderr) = lesson.run(true, "run", &words);
    assert_eq!(status, Some(0), "{stderr}");
    let rule = format!("tcp-connect=127.0.0.1:{port}");
    assert!(stderr.contains(&format!("sandsock: learnt: {rule}")), "{stderr}");
    assert_eq!(
        lesson.text(),
        format!(
            "# Learnt by sandsock --learn: what a guest did, as rules that allow it.\n# Read it before you use it as --policy.\nallow = [\n    # seen once, by connect\n    \"{rule}\",\n]\n"
        )
    );
    let (status, stderr) = lesson.run(false, "run", &words);
    assert_eq!(status, Some(0), "{stderr}");
    // Another program is refused.
    let udp = [&example("udp_client"), "127.0.0.1", &*number, "hello"];
    let (status, stderr) = lesson.run(false, "run", &udp);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("is not granted"), "{stderr}");
    let (status, _) = lesson.run(false, "run", &[&client, "127.0.0.1", &other.to_string(), "x"]);
    assert_eq!(status, Some(1));

    // A second run adds what is new, and keeps what a person wrote.
    let mine = lesson.text().replace("# seen once", "# The server. Seen once");
    std::fs::write(lesson.file(), format!("{mine}\n[limits]\ndescriptors = 9 # few\n")).unwrap();
    let (status, stderr) = lesson.run(true, "run", &words);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("nothing new"), "{stderr}");
    let udp_port = udp_echo();
    let udp = [&example("udp_client"), "127.0.0.1", &*udp_port.to_string(), "hello"];
    let (status, stderr) = lesson.run(true, "run", &udp);
    assert_eq!(status, Some(0), "{stderr}");
    let new = format!("udp-send=127.0.0.1:{udp_port}");
    assert_eq!(lines(&stderr, "sandsock: learnt: "), [&new], "{stderr}");
    assert_eq!(lesson.rules(), [rule, new]);
    let text = lesson.text();
    assert!(text.contains("# The server. Seen once") && text.contains("= 9 # few"), "{text}");
    let (status, stderr) = lesson.run(false, "run", &udp);
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn learn_servers_then_they_run() {
    let lesson = Lesson::new();
    let name = lesson.name();
    // The kernel chooses the ports.
    let learn = ["run", "--yes", "--learn", &name];
    for options in [&learn[..], &["run", "--policy", &name]] {
        let server = example("echo_server");
        let mut running = Running::start(&[options, &[&server, "127.0.0.1", "0", "1"]].concat());
        let mut stream = TcpStream::connect(("127.0.0.1", running.port())).expect("connects");
        stream.write_all(b"hello").expect("writes");
        stream.shutdown(std::net::Shutdown::Write).expect("shuts down");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        let (status, stderr) = running.end();
        assert_eq!((status, &*answer), (Some(0), "hello"), "{stderr}");
    }
    assert_eq!(lesson.rules(), ["tcp-listen=127.0.0.1:0"]);

    let lesson = Lesson::new();
    let name = lesson.name();
    let sockets = tempfile::tempdir().expect("a folder");
    let learn = ["run", "--yes", "--learn", &name];
    let path = sockets.path().join("app.sock");
    let shown = path.display().to_string();
    for options in [&learn[..], &["run", "--policy", &name]] {
        let server = example("unix_server");
        let mut running = Running::start(&[options, &[&server, &shown, "1"]].concat());
        assert!(running.line().starts_with("listening"));
        let mut stream = UnixStream::connect(&path).expect("connects");
        stream.write_all(b"hello").expect("writes");
        drop(stream);
        let (status, stderr) = running.end();
        assert_eq!(status, Some(0), "{stderr}");
        std::fs::remove_file(&path).expect("the socket's name stays");
    }
    assert_eq!(lesson.rules(), [format!("unix-bind={shown}")]);
}

#[test]
fn learn_is_written_at_ctrl_c() {
    let lesson = Lesson::new();
    let name = lesson.name();
    let server = example("echo_server");
    let args = ["run", "--yes", "--learn", &name, &server, "127.0.0.1", "0"];
    let mut running = Running::start(&args);
    running.port();
    let pid = Pid::from_child(&running.child);
    kill_process(pid, Signal::INT).expect("interrupts");
    let (_, stderr) = running.end();
    assert_eq!(lesson.rules(), ["tcp-listen=127.0.0.1:0"], "{stderr}");
    // Nothing is left beside it.
    assert_eq!(lesson.folder.path().read_dir().expect("a folder").count(), 1);
}

#[test]
fn learn_generalises_where_asked() {
    let lesson = Lesson::new();
    let name = lesson.name();
    let client = example("echo_client");
    for _ in 0..2 {
        let number = echo(1).to_string();
        let args = ["run", "--yes", "--learn", &name, "--generalise", "ports,networks"];
        let (status, stderr) = run(&[&args[..], &[&client, "127.0.0.1", &number, "x"]].concat());
        assert_eq!(status, Some(0), "{stderr}");
    }
    // Each run had one port only.
    assert_eq!(lesson.rules().len(), 2);
    let (status, stderr) = run(&["run", "--learn", &name, "--generalise", "port", &client]);
    assert_eq!(status, Some(125), "{stderr}");
    assert!(stderr.contains("did you mean ports?"), "{stderr}");
}

#[test]
fn learn_wasi_sockets() {
    for (program, test) in [("wasi_udp_ok", None), ("bench_wasi3", Some("wasi3_udp_ok"))] {
        let path = guest_path(program);
        if !path.exists() {
            skip("learn_wasi_sockets", &format!("{program} is not built"));
            continue;
        }
        let path = path.display().to_string();
        let lesson = Lesson::new();
        let port = udp_echo().to_string();
        let words: Vec<&str> = [&*path].into_iter().chain(test).chain([&*port]).collect();
        let (status, stderr) = lesson.run(true, "run", &words);
        assert_eq!(status, Some(0), "{program}: {stderr}");
        assert_eq!(lesson.rules(), [format!("udp-send=127.0.0.1:{port}")], "{stderr}");
        let (status, stderr) = lesson.run(false, "run", &words);
        assert_eq!(status, Some(0), "{program}: {stderr}");
    }
}

#[test]
fn learn_python_echo() {
    if !target().join("python/version").exists() {
        return skip("learn_python_echo", "no target/python; `make python` builds it");
    }
    let runner = target().join("python").display().to_string();
    let script = |name: &str| root().join("tests/python").join(name).display().to_string();
    let lesson = Lesson::new();
    let name = lesson.name();
    let learn = ["python", "--runner", &runner, "--yes", "--learn", &name];
    let granted = ["python", "--runner", &runner, "--policy", &name];
    for options in [&learn[..], &granted] {
        let server = script("echo_server.py");
        let mut running = Running::start(&[options, &[&server, "127.0.0.1", "0"]].concat());
        let mut stream = TcpStream::connect(("127.0.0.1", running.port())).expect("connects");
        stream.write_all(b"hello").expect("writes");
        stream.shutdown(std::net::Shutdown::Write).expect("shuts down");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        let (status, stderr) = running.end();
        assert_eq!((status, &*answer), (Some(0), "hello"), "{stderr}");
    }
    assert_eq!(lesson.rules(), ["tcp-listen=127.0.0.1:0"]);
    let port = echo(1).to_string();
    let client = script("echo_client.py");
    let (status, stderr) = run(&[&granted[..], &[&client, "127.0.0.1", &port, "x"]].concat());
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("is not granted"), "{stderr}");
    // A name that leads to the loopback.
    let lesson = Lesson::new();
    let name = lesson.name();
    let port = echo(2).to_string();
    let learn = ["python", "--runner", &runner, "--yes", "--learn", &name];
    let granted = ["python", "--runner", &runner, "--policy", &name];
    for options in [&learn[..], &granted] {
        let (status, stderr) = run(&[options, &[&client, "localhost", &port, "x"]].concat());
        assert_eq!(status, Some(0), "{stderr}");
    }
    let rules = lesson.rules();
    assert!(rules.contains(&format!("tcp-connect=127.0.0.1:{port}")), "{rules:?}");
    assert!(rules.contains(&"resolve=localhost".to_owned()), "{rules:?}");
}
