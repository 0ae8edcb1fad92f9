//! Threads of a Python program (`tests/python/threads.py`).

use super::*;

/// Runs a test of the script, with options of the command and arguments.
#[track_caller]
fn passes(name: &str, options: &[&str], args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut python = python(folder.path());
    python.args(options).arg(script("threads.py")).arg(name).args(args);
    let (stdout, _) = ended(0, python);
    assert!(stdout.ends_with("ok\n"), "{stdout}");
    stdout
}

/// The grants of a program that talks to itself.
const SERVES: [&str; 4] =
    ["--allow", "tcp-listen=127.0.0.1:*", "--allow", "tcp-connect=127.0.0.1:*"];

#[test]
fn python_threads_locks_and_queues_ok() {
    if built() {
        passes("locks_and_queues", &[], &[]);
        passes("pools", &[], &[]);
        passes("recursion", &[], &[]);
    }
}

#[test]
fn python_threads_computation_gives_way() {
    if built() {
        passes("preemption", &[], &[]);
    }
}

#[test]
fn python_threads_waits_stop_no_other() {
    if built() {
        passes("waits_of_sockets", &SERVES, &[]);
    }
}

#[test]
fn python_threads_servers_ok() {
    if built() {
        passes("servers", &SERVES, &[]);
        passes("asyncio_threads", &SERVES, &[]);
    }
}

#[test]
fn python_threads_many_ok() {
    if built() {
        passes("many", &["--limit", "threads=2000"], &[]);
    }
}

#[test]
fn python_threads_stacks_are_bounded() {
    if built() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut python = python(folder.path());
        python.args(["--limit", "memory-bytes=100000000"]).arg(script("threads.py")).arg("stacks");
        let (_, stderr) = ended(134, python);
        assert!(stderr.contains("the stacks of its threads take more than 256 MiB"), "{stderr}");
    }
}

#[test]
fn python_threads_limit_holds() {
    if built() {
        passes("limited", &["--limit", "threads=3"], &[]);
        passes("none", &["--limit", "threads=0"], &[]);
    }
}

#[test]
fn python_threads_joined_at_the_end() {
    if built() {
        assert_eq!(passes_first("joined"), "ok\nthe thread ends\n");
    }
}

/// Runs a test whose threads print after it has ended.
#[track_caller]
fn passes_first(name: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut python = python(folder.path());
    python.arg(script("threads.py")).arg(name);
    ended(0, python).0
}

#[test]
fn python_threads_sleepers_all_end() {
    if built() {
        passes("sleepers", &[], &[]);
    }
}

#[test]
fn python_threads_calls_that_fail_are_counted() {
    if built() {
        passes("calls_that_fail", &[], &[]);
    }
}

#[test]
fn python_threads_stress_ok() {
    if built() {
        passes("stress", &SERVES, &["5"]);
    }
}

/// Starts a test of the script, and sends SIGINT `count` times after the line `ready`. Returns the
/// status and what it printed.
fn interrupted(name: &str, count: usize) -> (Option<i32>, String) {
    let mut child = Command::new(command())
        .args(["python", "--runner"])
        .arg(target().join("python"))
        .arg(script("threads.py"))
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    for _ in 0..count {
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), Signal::INT).expect("runs");
    }
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > end {
            child.kill().expect("a child");
            panic!("{name}: it goes on after {count} interrupts");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("text");
    (status.code(), rest)
}

#[test]
fn python_threads_ctrl_c_reaches_the_main_thread() {
    if built() {
        let expected = (Some(0), "KeyboardInterrupt\nok\n".to_owned());
        assert_eq!(interrupted("interrupted_lock", 1), expected);
        assert_eq!(interrupted("interrupted_computation", 1), expected);
        let cancelled = (Some(0), "cancelled\nKeyboardInterrupt\nok\n".to_owned());
        assert_eq!(interrupted("interrupted_loop", 1), cancelled);
    }
}

#[test]
fn python_threads_second_ctrl_c_stops_all() {
    if built() {
        assert_eq!(interrupted("stopped", 2), (Some(130), String::new()));
    }
}
