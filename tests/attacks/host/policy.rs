//! Promise: `sandsock policy attack` says what a policy lets through.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use sandsock_tests::{command, root, skip, target};
use serde_json::Value;

use crate::policy::{Tcp, Udp};

const PROGRAM: &str = "attack_policy_denied";

/// Runs the command with these arguments. Returns its status and what it printed. None if this
/// machine gives no network namespace.
fn attacked(args: &[&str]) -> Option<(i32, String)> {
    let output = assert_cmd::Command::new(sandsock_tests::command())
        .args(["policy", "attack"])
        .args(args)
        .timeout(std::time::Duration::from_secs(120))
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("network namespace of their own") {
        skip(PROGRAM, errors.trim());
        return None;
    }
    // The runner is compiled once.
    let unexpected = |line: &&str| !line.starts_with("sandsock: compiling the Python runner");
    assert_eq!(errors.lines().find(unexpected), None);
    let text = String::from_utf8(output.stdout).expect("text");
    Some((output.status.code().expect("a status"), text))
}

/// An attack, as `policy attack --json` prints it.
#[derive(Debug, PartialEq, Eq)]
struct Attack {
    name: String,
    doors: Vec<String>,
    ways: Vec<String>,
    rules: Vec<String>,
}

impl Attack {
    fn of(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |key: &str| value[key].as_array().expect("a list").iter().map(text).collect();
        Self {
            name: text(&value["name"]),
            doors: list("doors"),
            ways: list("ways"),
            rules: list("rules"),
        }
    }
}

/// All attacks, and why an interface was not tried.
fn answer(args: &[&str]) -> Option<(Vec<Attack>, Option<String>)> {
    let (status, text) = attacked(&[&["--json"], args].concat())?;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let attacks: Vec<_> =
        answer["attacks"].as_array().expect("a list").iter().map(Attack::of).collect();
    assert!(attacks.len() > 30, "{text}");
    let refused = attacks.iter().all(|attack| attack.ways.is_empty());
    assert_eq!((status == 0, answer["refused"] == true), (refused, refused));
    Some((attacks, answer["untried"].as_str().map(str::to_owned)))
}

/// The attacks that are open.
fn open(args: &[&str]) -> Option<Vec<Attack>> {
    let (attacks, _) = answer(args)?;
    Some(attacks.into_iter().filter(|attack| !attack.ways.is_empty()).collect())
}

/// The interface of a way.
fn door(way: &str) -> &str {
    match way {
        way if way.starts_with("Python's ") => "Python",
        way if way.starts_with("wasi:sockets ") => "wasi:sockets",
        _ => "sandsock:socket",
    }
}

#[test]
pub(crate) fn attack_policy_denied() {
    // Without a grant nothing is open. The twin may do everything.
    let Some(none) = open(&[]) else { return };
    assert_eq!(none, []);
    let (all, untried) = answer(&["--allow-all"]).expect("as before");
    let by = |name: &str| {
        all.iter().filter(|attack| attack.doors.iter().any(|door| door == name)).count()
    };
    assert_eq!((by("sandsock:socket"), by("wasi:sockets")), (all.len(), 17));
    match &untried {
        // Python has no act about identities of TLS.
        None => assert_eq!(by("Python"), all.len() - 1),
        Some(reason) => skip(PROGRAM, reason),
    }
    // It does each act by each interface.
    for attack in &all {
        for name in &attack.doors {
            assert!(attack.ways.iter().any(|way| door(way) == name), "{name}: {attack:?}");
        }
        assert!(attack.ways.iter().all(|way| attack.doors.contains(&door(way).to_owned())));
    }
    let (status, text) = attacked(&["--allow-all"]).expect("as before");
    assert_eq!(status, 1);
    let refused: Vec<&str> = text.lines().filter(|line| line.starts_with("refused")).collect();
    assert_eq!(refused, [""; 0], "{text}");
    assert_eq!(text.matches("allowed by allow-all").count(), text.matches("OPEN").count());
    // A runner that is named must be there.
    let empty = tempfile::tempdir().expect("a folder");
    let mut absent = assert_cmd::Command::new(sandsock_tests::command());
    absent.args(["policy", "attack", "--runner"]).arg(empty.path());
    let output = absent.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("there is no Python runner in"), "{errors}");
    assert!(!output.status.success());
    // A narrow policy opens nothing, and a wide rule is found and named.
    let narrow = ["--allow", "tcp-connect=api.example:443", "--allow", "tcp-listen=127.0.0.1:9000"];
    assert_eq!(open(&narrow).expect("as before"), []);
    let wide = open(&["--allow", "tcp-connect=*:443"]).expect("as before");
    let names: Vec<&str> = wide.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names, ["tcp-internet", "tcp-private"]);
    assert!(wide.iter().all(|attack| attack.rules == ["tcp-connect=*:443"]), "{wide:?}");
    let public = open(&["--allow", "tcp-connect=public:443"]).expect("as before");
    assert!(public.iter().all(|attack| attack.name == "tcp-internet"), "{public:?}");
    // Both doors are tried, and each sibling call.
    assert!(wide[0].ways.len() > 20, "{wide:?}");
    // A rule that denies closes it again.
    let closed = ["--allow", "tcp-connect=*:443", "--deny", "tcp-connect=*:443"];
    assert_eq!(open(&closed).expect("as before"), []);
}

/// What a Python program can do beyond narrow grants.
#[test]
fn attack_narrow_python_denied() {
    const TEST: &str = "attack_narrow_python_denied";
    if !target().join("python/version").exists() {
        return skip(TEST, "`make python` builds the Python runner");
    }
    for twin in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("granted")).expect("makes");
        let bound = |name: &str| {
            let listener = UnixListener::bind(at(name)).expect("binds");
            listener.set_nonblocking(true).expect("is set");
            listener
        };
        let (ok, other) = (bound("granted/ok.sock"), bound("other.sock"));
        std::os::unix::fs::symlink("../other.sock", at("granted/link.sock")).expect("links");
        let accepted =
            |listener: &UnixListener| std::iter::from_fn(|| listener.accept().ok()).count();
        let (tcp, udp, other_tcp, other_udp) = (Tcp::new(), Udp::new(), Tcp::new(), Udp::new());
        let mut run = assert_cmd::Command::new(command());
        run.arg("python").arg("--runner").arg(target().join("python"));
        if twin {
            run.args(["--allow-all", "--limit", "rights-in-flight=2000"]);
        } else {
            run.args(["--limit", "descriptors=128"]);
            for grant in [
                format!("tcp-connect=127.0.0.1:{}", tcp.port()),
                format!("udp-send=127.0.0.1:{}", udp.port()),
                format!("unix-connect={}/*.sock", at("granted").display()),
                "netlink=route:read".to_owned(),
                "ancillary=rights:send".to_owned(),
                "resolve=*.example.test".to_owned(),
            ] {
                run.args(["--allow", &grant]);
            }
        }
        run.arg(root().join("tests/attacks/python/attack_narrow_denied.py"));
        run.arg(if twin { "twin" } else { "attack" });
        run.args(
            [tcp.port(), udp.port(), other_tcp.port(), other_udp.port()]
                .map(|port| port.to_string()),
        );
        let output = run.arg(folder.path()).timeout(Duration::from_secs(120)).output();
        let output = output.expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "twin {twin}: {errors}");
        let tried: usize =
            String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        assert!(tried > 50, "{tried}");
        assert!(tcp.connections() > 0 && accepted(&ok) == 1);
        assert_eq!(udp.datagrams().last().map(Vec::as_slice), Some(&b"granted"[..]));
        if twin {
            assert!(other_tcp.connections() > 5 && other_udp.datagrams().len() > 3);
            assert_eq!(accepted(&other), 3);
        } else {
            other_tcp.untouched();
            other_udp.untouched();
            assert_eq!(accepted(&other), 0);
        }
    }
}
