//! What the command keeps for itself, and its processes for look-ups and for compiling. What each
//! measure forbids is tried in `tests/harden`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::serve::Serving;
use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::resolver::{NameServer, with_own_resolver};
use sandsock_tests::{Program, command, programs, skip};

fn run(options: &[&str], program: Program, args: &[&str]) -> Output {
    let mut command = Command::new(command());
    command.arg("run").args(options).arg(program.path()).args(args);
    command.output().expect("it starts")
}

/// Returns what the command's log says about itself, with other paths and families as they are.
#[track_caller]
fn measures(options: &[&str]) -> String {
    let output = run(&[&["-v"], options].concat(), programs::cli_end_ok, &["ok"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Returns whether the tests run as root, and the kernel has Landlock as this suite expects it.
fn is_usual(test: &str) -> bool {
    let text = measures(&[]);
    let usual = rustix::process::geteuid().is_root() && text.contains("Landlock (ABI 7)");
    if !usual {
        skip(test, "the tests do not run as root, or the kernel does not have ABI 7 of Landlock");
    }
    usual
}

#[test]
fn harden_log_says_what_holds() {
    if !is_usual("harden_log_says_what_holds") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("it is there").display().to_string();
    let ceiling = folder.path().join("ceiling.toml");
    std::fs::write(&ceiling, "allow = [\"raw=icmp\", \"tcp-connect=*:443\"]\n")
        .expect("is written");
    let ceiling = ceiling.display().to_string();
    let dir = format!("{}::/data", folder.path().display());
    let mut all = String::new();
    for (name, options) in [
        ("no grant", &[][..]),
        ("a client", &["--allow", "tcp-connect=*:80-81", "--allow", "unix-connect=@x"]),
        ("a server", &["--allow", "tcp-listen=127.0.0.1:80", "--dir", &dir]),
        ("ping and routes", &["--allow", "raw=icmp", "--allow", "netlink=route:write"]),
        ("everything", &["--allow-all"]),
        ("a ceiling", &["--ceiling", &ceiling]),
        ("nothing", &["--no-harden"]),
    ] {
        all += &format!("{name}:\n");
        for line in measures(options).lines() {
            all += &format!("{}\n", line.trim().replace(&real, "FOLDER"));
        }
        all += "\n";
    }
    crate::snapshot::compare("hardening", &all);
}

#[test]
fn harden_ceiling_that_can_not_be_read_is_an_error() {
    let output = run(&["--ceiling", "/no/such/file"], programs::cli_end_ok, &["ok"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains("--ceiling") && text.contains("/no/such/file"), "{text}");
    let output = run(&["--no-harden", "--ceiling", "x"], programs::cli_end_ok, &["ok"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be used with"));
}

/// The children of a process.
fn children(of: u32) -> Vec<Pid> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = std::fs::read_to_string(path).expect("the kernel has the list");
    text.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

#[test]
pub(crate) fn harden_lookups_fail() {
    let known = std::fs::read_to_string("/etc/services").unwrap_or_default().contains("80/tcp");
    if !known || !crate::names::knows_localhost("harden_lookups_fail") {
        return skip("harden_lookups_fail", "/etc/services does not have http");
    }
    let mut child = Command::new(command())
        .args(["run", "--allow", "resolve=localhost"])
        .args(["--allow", "reverse-resolve=127.0.0.1", "--allow", "tcp-connect=127.0.0.1:80"])
        .args(["--allow", "udp-bind=127.0.0.1:0", "--allow", "udp-send=127.0.0.1:*"])
        .args(["--limit", "lookups-per-second=100000"])
        .arg(programs::harden_lookups_fail.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next();
    let helpers = children(child.id());
    if let [helper] = helpers.as_slice() {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", helper.as_raw_nonzero()));
        assert_eq!(name.expect("it lives"), "sandsock-names\n");
        kill_process(*helper, Signal::KILL).expect("it is ours");
    }
    let mut stdin = child.stdin.take().expect("a pipe");
    let _ = stdin.write_all(b"go\n");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(first, Some(Ok(line)) if line == "looked up"), "{text}");
    assert_eq!(helpers.len(), 1);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("WARN a look-up got no answer"), "{text}");
}

/// The lines of these fields in the status of each thread of a process (man 5 proc_pid_status).
fn statuses(of: u32, fields: &[&str]) -> Vec<Vec<String>> {
    let threads = std::fs::read_dir(format!("/proc/{of}/task")).expect("it lives");
    let status = |thread: std::io::Result<std::fs::DirEntry>| {
        let path = thread.expect("an entry").path().join("status");
        let text = std::fs::read_to_string(path).expect("it lives");
        let known = |line: &&str| fields.iter().any(|field| line.starts_with(field));
        text.lines().filter(known).map(|line| line.replace('\t', " ")).collect()
    };
    threads.map(status).collect()
}

#[test]
fn harden_each_thread_has_the_measures() {
    const FIELDS: &[&str] = &["CapPrm:", "CapEff:", "NoNewPrivs:", "Seccomp:"];
    let options = ["--workers", "3"];
    let serving = Serving::on_loopback(&options, programs::serve_connection_ok);
    let all = statuses(serving.id(), FIELDS);
    assert!(all.len() > 3, "{all:?}");
    let none = format!("{:016x}", 0);
    for thread in all {
        let (prm, eff) = (format!("CapPrm: {none}"), format!("CapEff: {none}"));
        assert_eq!(thread, [prm.as_str(), &eff, "NoNewPrivs: 1", "Seccomp: 2"]);
    }
    // No grant needs the process that looks names up.
    assert_eq!(children(serving.id()), []);
    drop(serving);

    let options = ["--workers", "3", "--allow", "resolve=localhost"];
    let serving = Serving::on_loopback(&options, programs::serve_connection_ok);
    assert_eq!(children(serving.id()).len(), 1);
    drop(serving);

    let serving = Serving::on_loopback(&["--no-harden"], programs::serve_connection_ok);
    for thread in statuses(serving.id(), &["NoNewPrivs:", "Seccomp:"]) {
        assert_eq!(thread, own(&["NoNewPrivs:", "Seccomp:"]));
    }
}

/// The lines of these fields for the tests' own process.
fn own(fields: &[&str]) -> Vec<String> {
    statuses(std::process::id(), fields).swap_remove(0)
}

#[test]
fn harden_process_for_names_ends_with_the_command() {
    let mut child = Command::new(command())
        .args(["run", "--allow", "resolve=localhost"])
        .arg(programs::harden_lookups_fail.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let start = Instant::now();
    let helper = loop {
        if let [helper] = children(child.id()).as_slice() {
            break *helper;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "there is no such process");
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().expect("it lives");
    let mut stdout = child.stdout.take().expect("a pipe");
    let _ = child.wait();
    // It holds neither the command's standard output nor anything else of it.
    std::io::copy(&mut stdout, &mut std::io::sink()).expect("the pipe's end");
    let path = format!("/proc/{}", helper.as_raw_nonzero());
    let start = Instant::now();
    // It may be a zombie until init takes it.
    let lives = || {
        let state = std::fs::read_to_string(format!("{path}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    while lives() {
        assert!(start.elapsed() < Duration::from_secs(20), "it lives on");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
pub(crate) fn harden_connect_ok() {
    const TEST: &str = "harden::harden_connect_ok";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "93.184.216.34 web.example\n", &[]) else {
            return;
        };
        // The same guests as in the suite of names, which run in the process of the test there.
        server.pause();
        let output = run(
            &[
                "--allow",
                "resolve=web.example",
                "--allow",
                "resolve=files.example",
                "--allow",
                "reverse-resolve=93.184.216.34",
            ],
            programs::names_dead_fails,
            &[],
        );
        server.go_on();
        assert!(output.status.success(), "{output:?}");
        let listener = TcpListener::bind("93.184.216.34:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let accept = std::thread::spawn(move || listener.accept().map(drop));
        let grant = format!("tcp-connect=web.example:{port}");
        let connect = || {
            let args = ["web.example", &port.to_string()];
            run(&["--allow", &grant], programs::harden_connect_ok, &args)
        };
        let output = connect();
        assert!(output.status.success(), "{output:?}");
        accept.join().expect("ends").expect("a connection");
        // man 5 resolv.conf: the file may change at any time.
        std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.9\noptions timeout:1 attempts:1\n")
            .expect("is written");
        let output = connect();
        assert!(!output.status.success(), "{output:?}");
    });
}

#[test]
fn harden_policy_behind_a_link_is_learnt() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["links", "policies"] {
        std::fs::create_dir(at(name)).expect("is new");
    }
    std::fs::write(at("policies/real.toml"), "# Mine.\n").expect("is written");
    std::os::unix::fs::symlink("../policies/real.toml", at("links/link.toml")).expect("is new");
    let link = at("links/link.toml").display().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port().to_string();
    let args = ["127.0.0.1", port.as_str()];
    let output = run(&["--learn", &link, "--yes"], programs::harden_connect_ok, &args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let learnt = std::fs::read_to_string(at("policies/real.toml")).expect("it is there");
    assert!(
        learnt.contains("# Mine.") && learnt.contains("tcp-connect=127.0.0.1:"),
        "{learnt}\n{text}"
    );
    assert!(at("links/link.toml").is_symlink());
}
