//! `--ask`: questions at a terminal. Each test runs the command in a terminal of its own, which
//! Python's `pty` makes.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sandsock_tests::{Program, command, programs, root, skip};

/// How each question ends.
const PROMPT: &str = "Your answer [n]: ";

/// What a run in a terminal printed, and its status.
struct Seen {
    output: String,
    status: Option<i32>,
}

impl Seen {
    fn of(output: &Output) -> Self {
        Self {
            output: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
            status: output.status.code(),
        }
    }

    fn questions(&self) -> usize {
        self.output.matches(PROMPT).count()
    }

    fn connected(&self) -> usize {
        self.output.matches("is connected").count()
    }

    #[track_caller]
    fn expect(&self, questions: usize, connected: usize) {
        let found = (self.questions(), self.connected(), self.status);
        assert_eq!(found, (questions, connected, Some(0)), "{}", self.output);
        assert!(self.output.contains("done"), "{}", self.output);
    }
}

/// Runs the guest in a terminal. `steps` are texts to wait for, and what is typed then. None if
/// Python is missing.
#[track_caller]
fn run(options: &[&str], ports: &[u16], steps: &[(&str, &str)]) -> Option<Seen> {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    run_program(programs::ask_questions_limited, options, &ports, steps)
}

/// As [`run`], for any guest and its arguments.
#[track_caller]
fn run_program(
    program: Program,
    options: &[&str],
    args: &[&str],
    steps: &[(&str, &str)],
) -> Option<Seen> {
    if !has_terminal() {
        return None;
    }
    let mut terminal = terminal(steps);
    terminal.arg("run").args(options).arg(program.path()).args(args);
    Some(Seen::of(&terminal.output().expect("starts")))
}

/// Whether this machine can make a terminal.
fn has_terminal() -> bool {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    let there = python.is_ok_and(|status| status.success());
    if !there {
        skip("ask", "python3 is missing, which makes the terminal");
    }
    there
}

/// The command in a terminal, without its arguments.
fn terminal(steps: &[(&str, &str)]) -> Command {
    let mut terminal = Command::new("python3");
    terminal.arg(root().join("tests/all/terminal.py"));
    terminal.arg(serde_json::to_string(steps).expect("JSON"));
    terminal.arg(command()).stdin(Stdio::null());
    terminal
}

/// A port at which somebody listens, as long as the value lives.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[test]
pub(crate) fn ask_questions_limited() {
    let (_listener, port) = listener();
    // Twenty questions, and no more. Nobody listens at these ports.
    let ports: Vec<u16> = (1..=25).collect();
    let Some(seen) = run(&["--ask"], &ports, &[(PROMPT, "\n"); 25]) else { return };
    seen.expect(20, 0);
    // Each target is asked about once, whatever the answer is.
    for (answer, connected) in [
        ("n\n", 0),
        ("\n", 0),
        ("maybe\n", 0),
        ("R\n", 0),
        ("no, or yes\n", 0),
        ("\u{4}", 0),
        ("o\n", 1),
        ("y\n", 1),
        (" once \n", 1),
        ("r\n", 3),
        ("run\n", 3),
        // There is no file to write to.
        ("w\n", 0),
    ] {
        let Some(seen) = run(&["--ask"], &[port; 3], &[(PROMPT, answer)]) else { return };
        seen.expect(1, connected);
    }
}

#[test]
pub(crate) fn ask_netlink_refused() {
    // The command keeps what may be added at a terminal: INET, INET6 and UNIX.
    let Some(seen) = run_program(programs::ask_netlink_refused, &["--ask"], &[], &[]) else {
        return;
    };
    assert_eq!((seen.questions(), seen.status), (0, Some(0)), "{}", seen.output);
    let sentence = "interfaces can't be granted now: the command has given up sockets of AF_NETLINK; start it with --allow";
    assert!(seen.output.contains(sentence), "{}", seen.output);
    // What the ceiling has can be asked for.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ceiling.toml");
    std::fs::write(&file, "allow = [\"interfaces\"]\n").expect("writes");
    let options = ["--ask", "--ceiling", &file.display().to_string()];
    let steps = [(PROMPT, "r\n")];
    let Some(seen) = run_program(programs::ask_netlink_refused, &options, &["granted"], &steps)
    else {
        return;
    };
    assert_eq!((seen.questions(), seen.status), (1, Some(0)), "{}", seen.output);
}

#[test]
fn ask_ctrl_c_is_no() {
    let (_listener, port) = listener();
    let Some(seen) = run(&["--ask"], &[port; 2], &[(PROMPT, "\u{3}")]) else { return };
    assert_eq!((seen.questions(), seen.connected()), (1, 0), "{}", seen.output);
}

#[test]
fn ask_writes_to_the_policy_file() {
    let (_listener, port) = listener();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    let name = file.display().to_string();
    std::fs::write(&file, "# Mine.\nallow = [\"interfaces\"]\n").expect("writes");
    let options = ["--ask", "--policy", &name];
    let Some(seen) = run(&options, &[port; 2], &[(PROMPT, "w\n")]) else { return };
    seen.expect(1, 2);
    assert!(seen.output.contains(&format!("write it to {name}")), "{}", seen.output);
    let text = std::fs::read_to_string(&file).expect("the policy");
    assert_eq!(
        text,
        format!(
            "# Mine.\nallow = [\"interfaces\",\n    # allowed at a question of --ask\n    \"tcp-connect=127.0.0.1:{port}\",\n]\n"
        )
    );
    let Some(seen) = run(&options, &[port; 2], &[]) else { return };
    seen.expect(0, 2);
}

#[test]
fn ask_never_about_what_a_rule_denies() {
    let (_listener, port) = listener();
    let deny = format!("tcp-connect=127.0.0.1:{port}");
    let Some(seen) = run(&["--ask", "--deny", &deny], &[port], &[(PROMPT, "r\n")]) else { return };
    seen.expect(0, 0);
    let Some(seen) = run(&["--ask", "--allow", &deny], &[port], &[(PROMPT, "n\n")]) else { return };
    seen.expect(0, 1);
}

#[test]
fn ask_tricks_of_the_guest_are_shown() {
    let (_listener, port) = listener();
    let Some(seen) = run(&["--ask"], &[port], &[(PROMPT, "n\n")]) else { return };
    seen.expect(1, 0);
    let shown = "\\u{1b}[?1049h\\u{1b}]0;title\\u{7}\\u{1b}[8mhidden\\u{202e}text\\x9b2J\\u{1b}P";
    assert!(seen.output.contains(shown), "{}", seen.output);
    for raw in ["\u{1b}[?1049h", "\u{1b}]0", "\u{1b}[8m", "\u{202e}", "\u{1b}P"] {
        assert!(!seen.output.contains(raw), "{raw:?} in {:?}", seen.output);
    }
    // What the guest wrote comes before the question, and the terminal is reset between them.
    let (before, question) = seen.output.split_once("\u{1b}[!p").expect("a reset");
    assert!(before.contains(shown) && question.contains(PROMPT), "{}", seen.output);
    let asked = format!("Allow tcp-connect=127.0.0.1:{port}?");
    assert!(question.contains(&asked), "{question}");
}

#[test]
fn ask_what_was_typed_before_is_no_answer() {
    let (_listener, port) = listener();
    // The first step is typed before the command has started.
    let steps = [("", "r\ny\no\n"), ("Allow", ""), (PROMPT, "\n")];
    let Some(seen) = run(&["--ask"], &[port], &steps) else { return };
    seen.expect(1, 0);
}

#[test]
fn ask_without_a_terminal_denies() {
    let (_listener, port) = listener();
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(command()).args(["run", "--ask"]);
    alone.arg(programs::ask_questions_limited.path()).arg(port.to_string());
    let output = alone.stdin(Stdio::null()).output().expect("starts");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(err.contains("there is no terminal, so what is not granted is denied"), "{err}");
    assert!(out.contains("is refused") && !out.contains("is connected"), "{out}");
    assert!(Path::new("/dev/tty").exists());
}

/// Serves the guest in a terminal, with two connections at the same time on two workers.
fn serve(options: &[&str], port: u16, steps: &[(&str, &str)]) -> Option<Seen> {
    if !has_terminal() {
        return None;
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address");
    let mut terminal = terminal(steps);
    terminal.args(["serve", "--ask", "--workers", "2", "--listen", &free.to_string()]);
    terminal.args(options).arg(programs::ask_questions_limited.path()).arg(port.to_string());
    let clients = std::thread::spawn(move || {
        let connect = || {
            for _ in 0..600 {
                match TcpStream::connect(free) {
                    Ok(stream) => return stream,
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
            panic!("nobody serves {free}");
        };
        for mut stream in [connect(), connect()] {
            // It is closed when its instance has ended.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let seen = Seen::of(&terminal.output().expect("starts"));
    clients.join().expect("the clients");
    Some(seen)
}

#[test]
fn ask_in_serve_holds_for_all_instances() {
    let (_listener, port) = listener();
    // "For this run" is for each instance, and "once" for the one that asked.
    for (answer, connected) in [("r\n", 2), ("o\n", 1), ("n\n", 0)] {
        let steps = [(PROMPT, answer), ("done", ""), ("done", "\u{3}")];
        let Some(seen) = serve(&[], port, &steps) else { return };
        let found = (seen.questions(), seen.connected(), seen.status);
        assert_eq!(found, (1, connected, Some(0)), "{answer:?}: {}", seen.output);
        assert!(seen.output.contains("\\u{202e}text"), "{}", seen.output);
        assert!(!seen.output.contains('\u{202e}'), "{}", seen.output);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "allow = []\n").expect("writes");
    let steps = [(PROMPT, "w\n"), ("done", ""), ("done", "\u{3}")];
    let Some(seen) = serve(&["--policy", &file.display().to_string()], port, &steps) else {
        return;
    };
    assert_eq!((seen.questions(), seen.connected()), (1, 2), "{}", seen.output);
    let text = std::fs::read_to_string(&file).expect("the policy");
    assert!(text.contains(&format!("\"tcp-connect=127.0.0.1:{port}\"")), "{text}");
}

#[test]
fn ask_in_serve_ends_with_the_command() {
    let (_listener, port) = listener();
    let Some(seen) = serve(&[], port, &[(PROMPT, "\u{3}")]) else { return };
    assert_eq!((seen.questions(), seen.connected()), (1, 0), "{}", seen.output);
    assert_eq!(seen.status, Some(0), "{}", seen.output);
}

#[test]
fn ask_with_what_it_contradicts_refused() {
    let guest = programs::ask_questions_limited.path();
    for (options, sentence) in [
        (&["--mode", "observe", "--yes"][..], "--ask: with --mode observe nothing is denied"),
        (&["--allow-all"], "cannot be used with"),
        (&["--learn", "x.toml", "--yes"], "cannot be used with"),
    ] {
        let mut run = Command::new(command());
        let output = run.args(["run", "--ask"]).args(options).arg(&guest).output();
        let output = output.expect("starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains(sentence), "{stderr}");
    }
}

#[test]
fn consent_is_asked_for_at_a_terminal() {
    let (_listener, port) = listener();
    let question = "Go on? [y/N] ";
    let Some(seen) = run(&["--mode", "observe"], &[port], &[(question, "y\n")]) else { return };
    seen.expect(0, 1);
    assert!(seen.output.contains(&format!("would be denied: tcp-connect=127.0.0.1:{port}")));
    for answer in ["\n", "n\n", "maybe\n", "\u{4}"] {
        let Some(seen) = run(&["--mode", "observe"], &[port], &[(question, answer)]) else {
            return;
        };
        assert_eq!((seen.status, seen.connected()), (Some(125), 0), "{}", seen.output);
        assert!(seen.output.contains("nobody agreed"), "{}", seen.output);
    }
}
