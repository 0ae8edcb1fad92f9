//! `sandsock python`: Python programs in the runner. `make python` builds the runner.

mod threads;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::{command, root, skip, target};

/// The time that one program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns whether there is a runner for this command. If not, reports the test as skipped.
#[track_caller]
fn built() -> bool {
    let there = target().join("python/version").exists();
    if !there {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("python").trim_start_matches("python::").to_owned();
        skip(&test, "no target/python/runner.wasm; `make python` builds it, with python3 and pip");
    }
    there
}

/// Returns `sandsock python`, with a folder of its own as the working directory.
fn python(folder: &Path) -> assert_cmd::Command {
    let mut python = assert_cmd::Command::new(command());
    python.arg("python").arg("--runner").arg(target().join("python"));
    python.current_dir(folder).timeout(LIMIT);
    python
}

/// A script of `tests/python`.
fn script(name: &str) -> PathBuf {
    // The command names a script by its real path.
    root().join("tests/python").join(name).canonicalize().expect("a script of the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program. Returns its standard output and error, and checks the status.
#[track_caller]
fn ended(status: i32, mut command: assert_cmd::Command) -> (String, String) {
    let output = command.output().expect("starts");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Runs code by `-c`, in a folder, with options. Returns its standard output and error.
#[track_caller]
fn code(folder: &Path, status: i32, options: &[&str], code: &str) -> (String, String) {
    let mut python = python(folder);
    python.args(options).args(["-c", code]);
    ended(status, python)
}

/// A program that serves, and tells its port.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    /// Starts a script and waits for the line `listening on PORT`.
    fn start(options: &[&str], name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(command())
            .args(["python", "--runner"])
            .arg(target().join("python"))
            .args(options)
            .arg(script(name))
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("reads");
        let port = line.trim_end().strip_prefix("listening on ").expect("it listens");
        let port = port.parse().expect("a port");
        Self { child, stdout, port }
    }

    /// Waits for the end, and returns the rest of its output.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("reads");
        assert!(self.child.wait().expect("ends").success(), "{rest}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn python_scripts_see_what_python3_shows_them() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::copy(script("surroundings.py"), real.join("surroundings.py")).expect("copies");
    let mut run = python(&real);
    run.args(["--env", "A=b", "surroundings.py", "one", "-m", "--dir", "--"])
        .write_stdin("first\nsecond\nthird");
    let (stdout, stderr) = ended(0, run);
    let expected = format!(
        "argv ['surroundings.py', 'one', '-m', '--dir', '--']\npath {real}\nname __main__ {real}/surroundings.py\n\
         environment {{'A': 'b'}}\nprompt: input first\nrest second\nthird\nat the end\ndeleted\n",
        real = real.display()
    );
    assert_eq!(stdout, expected);
    assert_eq!(stderr, "complaint\n");
}

#[test]
fn python_ends_with_each_status() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (program, status, complaint) in [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("import sys; sys.exit(1)", 1, ""),
        ("import sys; sys.exit(77)", 77, ""),
        ("import sys; sys.exit(255)", 255, ""),
        ("import sys; sys.exit(-1)", 255, ""),
        ("import sys; sys.exit(256)", 0, ""),
        ("import sys; sys.exit('the reason')", 1, "the reason\n"),
        ("import os; os._exit(9)", 9, ""),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
        ("1/0", 1, "ZeroDivisionError: division by zero\n"),
    ] {
        let (_, stderr) = code(folder.path(), status, &[], program);
        assert!(stderr.ends_with(complaint), "{program}: {stderr}");
        assert!(!complaint.is_empty() || stderr.is_empty(), "{program}: {stderr}");
    }
}

#[test]
fn python_tracebacks_are_those_of_python3() {
    if !built() {
        return;
    }
    let path = script("trace.py");
    let mut run = python(&root());
    run.arg(&path);
    let (_, stderr) = ended(1, run);
    let expected = format!(
        "Traceback (most recent call last):\n  File \"{path}\", line 12, in <module>\n    run()\n    ~~~^^\n  \
         File \"{path}\", line 9, in run\n    divide(0)\n    ~~~~~~^^^\n  File \"{path}\", line 5, in divide\n    return 1 / value\n           \
         ~~^~~~~~~\nZeroDivisionError: division by zero\n",
        path = path.display()
    );
    assert_eq!(stderr, expected);
    // A syntax error has no traceback.
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().canonicalize().expect("a path").join("broken.py");
    std::fs::write(&broken, "x = (1 +\n").expect("writes");
    let mut run = python(folder.path());
    run.arg(&broken);
    let (_, stderr) = ended(1, run);
    let expected = format!(
        "  File \"{}\", line 1\n    x = (1 +\n        ^\nSyntaxError: '(' was never closed\n",
        broken.display()
    );
    assert_eq!(stderr, expected);
}

#[test]
fn python_runs_modules_code_and_standard_input() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::create_dir(real.join("package")).expect("makes");
    std::fs::write(real.join("package/__init__.py"), "").expect("writes");
    std::fs::write(real.join("package/__main__.py"), "import sys; print(__name__, sys.argv[1:])")
        .expect("writes");
    let mut run = python(&real);
    run.args(["-m", "package", "--allow", "-c"]);
    assert_eq!(ended(0, run).0, "__main__ ['--allow', '-c']\n");
    // A folder with a `__main__.py` is a program too.
    let mut run = python(&real);
    run.args(["package", "-v"]);
    assert_eq!(ended(0, run).0, "__main__ ['-v']\n");
    let mut run = python(&real);
    run.args(["-c", "import sys; print(sys.argv, repr(sys.path[0]))", "-m", "x"]);
    assert_eq!(ended(0, run).0, "['-c', '-m', 'x'] ''\n");
    let mut run = python(&real);
    run.args(["-", "one"]).write_stdin("import sys\nprint(sys.argv)\n");
    assert_eq!(ended(0, run).0, "['-', 'one']\n");
    let mut run = python(&real);
    run.args(["-m", "json.tool"]).write_stdin("{\"a\": 1}");
    assert_eq!(ended(0, run).0, "{\n    \"a\": 1\n}\n");
    let mut run = python(&real);
    run.args(["-m", "no.such.module"]);
    assert!(ended(1, run).1.contains("No module named"));
}

#[test]
fn python_has_options_of_the_interpreter() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::write(real.join("random.py"), "print('own')").expect("writes");
    // A module beside the script comes before the library's, unless an option says otherwise.
    for (options, printed) in [(&[][..], "own\n"), (&["-P"], ""), (&["-I"], "")] {
        assert_eq!(code(&real, 0, options, "import random").0, printed);
    }
    let warn = "import warnings; warnings.warn('words')";
    assert!(code(&real, 0, &[], warn).1.contains("UserWarning: words"));
    assert_eq!(code(&real, 0, &["-Wignore"], warn).1, "");
    assert!(code(&real, 1, &["-W", "error"], warn).1.ends_with("UserWarning: words\n"));
    assert_eq!(code(&real, 0, &["--env", "PYTHONWARNINGS=ignore"], warn).1, "");
    assert!(code(&real, 0, &["-E", "--env", "PYTHONWARNINGS=ignore"], warn).1.contains("words"));
    assert_eq!(code(&real, 0, &["-X", "a=b"], "import sys; print(sys._xoptions['a'])").0, "b\n");
    let unbuffered = "import os, sys; sys.stdout.write('seen'); os._exit(0)";
    assert_eq!(code(&real, 0, &[], unbuffered).0, "");
    assert_eq!(code(&real, 0, &["-u"], unbuffered).0, "seen");
    let mut run = python(&real);
    run.arg("-Z");
    assert!(ended(125, run).1.contains("unexpected argument '-Z'"));
}

#[test]
fn python_code_is_read_only() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    let (app, site, data) = (real.join("app"), real.join("site"), real.join("app/data"));
    for made in [&app, &site, &data] {
        std::fs::create_dir(made).expect("makes");
    }
    std::fs::write(site.join("extra.py"), "word = 'extra'").expect("writes");
    let program = "
import os, sys, extra
print(extra.word)
for folder in (os.path.dirname(__file__), os.path.dirname(extra.__file__), os.path.dirname(os.__file__)):
    try:
        open(folder + '/left', 'w')
        print('written', folder)
    except OSError as error:
        print(type(error).__name__)
open(os.path.dirname(__file__) + '/data/left', 'w').close()
";
    std::fs::write(app.join("main.py"), program).expect("writes");
    let site_option = site.display().to_string();
    let run = |dir: &Path| {
        let mut run = python(&real);
        run.args(["--site", &site_option, "--dir"]).arg(dir).arg(app.join("main.py"));
        run
    };
    let (stdout, stderr) = ended(0, run(&data));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "extra", "{stderr}");
    assert!(lines.len() == 4 && lines[1..].iter().all(|line| line.ends_with("Error")), "{stdout}");
    assert!(data.join("left").exists() && !app.join("__pycache__").exists());
    // The same folder and a wider one are refused, by whatever name.
    let other = real.join("other");
    std::os::unix::fs::symlink(&app, &other).expect("links");
    for dir in [&app, &real, &other, &site] {
        let (_, stderr) = ended(125, run(dir));
        assert!(
            stderr.contains("a guest that may write there could change it"),
            "{dir:?}: {stderr}"
        );
    }
    // So is one inside with code.
    std::fs::write(data.join("module.py"), "").expect("writes");
    let (_, stderr) = ended(125, run(&data));
    assert!(stderr.contains("module.py") && stderr.contains("or keep the two apart"), "{stderr}");
}

#[test]
fn python_in_a_folder_of_many_things_sees_the_code_alone() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().canonicalize().expect("a path");
    std::fs::write(home.join("helper.py"), "word = 'helped'").expect("writes");
    std::fs::write(home.join("secret.txt"), "secret").expect("writes");
    let program =
        "import os, helper; print(helper.word, sorted(os.listdir(os.path.dirname(__file__))))";
    std::fs::write(home.join("program"), program).expect("writes");
    let mut run = python(Path::new("/"));
    run.env("HOME", &home).env("XDG_CACHE_HOME", cache()).arg(home.join("program"));
    let (stdout, stderr) = ended(0, run);
    assert_eq!(stdout, "helped ['helper.py', 'program']\n");
    assert!(stderr.contains("holds more than a program"), "{stderr}");
}

/// The folder of caches that the command uses by default, with the compiled runner.
fn cache() -> PathBuf {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    given.unwrap_or_else(|| std::env::home_dir().expect("a home folder").join(".cache"))
}

#[test]
fn python_makes_the_secrets_of_each_run_anew() {
    if !built() {
        return;
    }
    let lines = |runner: &Path| -> Vec<String> {
        let mut run = assert_cmd::Command::new(command());
        run.args(["python", "--runner"])
            .arg(runner)
            .arg(script("secrets_of_run.py"))
            .timeout(LIMIT);
        ended(0, run).0.lines().map(str::to_owned).collect()
    };
    let built = target().join("python");
    let (one, other) = (lines(&built), lines(&built));
    assert_eq!(one.len(), 8);
    let same: Vec<usize> = (0..one.len()).filter(|line| one[*line] == other[*line]).collect();
    // CPython's secret of string hashes is in the snapshot. So nobody else may read it.
    assert_eq!(same, [7], "{one:?} {other:?}");
    let component = built.join("runner.wasm").metadata().expect("it is there");
    assert_eq!(component.mode() & 0o777, 0o600);
    assert_eq!(built.metadata().expect("it is there").mode() & 0o777, 0o700);
    // A second build has another secret.
    match std::env::var_os("SANDSOCK_SECOND_RUNNER") {
        Some(second) => assert_ne!(lines(Path::new(&second))[7], one[7]),
        None => skip(
            "python_makes_the_secrets_of_each_run_anew (of two builds)",
            "SANDSOCK_SECOND_RUNNER names no folder that `scripts/python.sh FOLDER` has built",
        ),
    }
}

#[test]
fn python_runner_that_others_can_read_is_refused() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let runner = folder.path().join("runner");
    std::fs::create_dir(&runner).expect("makes");
    let refused = |words: &str| {
        let mut run = assert_cmd::Command::new(command());
        run.args(["python", "--runner"])
            .arg(&runner)
            .args(["-c", "pass"])
            .current_dir(folder.path());
        let (_, stderr) = ended(126, run);
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    };
    refused("can't read the Python runner");
    std::fs::copy(target().join("python/runner.wasm"), runner.join("runner.wasm")).expect("copies");
    refused("another version of sandsock; make it anew with `make python`");
    std::fs::copy(target().join("python/version"), runner.join("version")).expect("copies");
    for name in ["stdlib", "lib"] {
        std::fs::create_dir(runner.join(name)).expect("makes");
    }
    std::fs::set_permissions(runner.join("runner.wasm"), std::fs::Permissions::from_mode(0o644))
        .expect("chmod");
    refused("it is open to others (mode 0644)");
    std::fs::remove_dir_all(&runner).expect("removes");
    refused("there is no Python runner in");
}

#[test]
fn python_errors_say_what_the_sandbox_lacks() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().canonicalize().expect("a path");
    std::fs::write(site.join("fast.cpython-314-x86_64-linux-gnu.so"), "").expect("writes");
    let options = ["--site", site.to_str().expect("UTF-8")];
    for (program, note) in [
        ("import fast", "fast.cpython-314-x86_64-linux-gnu.so is native code"),
        ("import mmap", "this module of the standard library is not part of the sandbox's Python"),
        ("open('/etc/passwd')", "the program has only the folders of its code and those of --dir"),
    ] {
        let (_, stderr) = code(&site, 1, &options, program);
        assert!(stderr.lines().last().is_some_and(|line| line.contains(note)), "{stderr}");
    }
    let (_, stderr) = code(&site, 1, &options, "import nothing_of_this_name");
    assert!(stderr.ends_with("No module named 'nothing_of_this_name'\n"), "{stderr}");
}

#[test]
fn python_says_in_one_sentence_what_is_wrong() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::write(real.join("x.py"), "").expect("writes");
    for (args, status, words) in [
        (&["none.py"][..], 2, "can't open file '"),
        (&["none/none.py"], 2, "No such file or directory"),
        (&["--site", "none", "x.py"], 125, "--site none: there is no such folder"),
        (&["-m"], 125, "a value is required"),
        (&["--dir", ".::/python:ro", "x.py"], 125, "the runner has its own modules in /python"),
    ] {
        let mut run = python(&real);
        run.args(args);
        let (_, stderr) = ended(status, run);
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[test]
fn python_without_a_grant_is_refused_and_names_it() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = python(folder.path());
    run.args(["-m", "http.server", "8000", "--bind", "127.0.0.1"]);
    let (_, stderr) = ended(1, run);
    assert!(stderr.contains("PermissionError: "), "{stderr}");
    assert!(stderr.contains("--allow tcp-listen=127.0.0.1:8000"), "{stderr}");
    let program = "
import socket
try:
    socket.create_connection(('192.0.2.1', 80))
except PermissionError as error:
    print(error)
";
    let (stdout, _) = code(folder.path(), 0, &[], program);
    assert!(stdout.contains("--allow tcp-connect=192.0.2.1:80"), "{stdout}");
}

#[test]
fn python_server_and_client_meet_in_two_sandboxes() {
    if !built() {
        return;
    }
    // The host's view of a loopback address is an IPv4 one, or an IPv6 one of both versions.
    for (listen, grant, host) in [
        ("127.0.0.1", "tcp-listen=127.0.0.1:0", "127.0.0.1"),
        ("::", "tcp-listen=*:0", "127.0.0.1"),
        ("::", "tcp-listen=*:0", "::1"),
    ] {
        let server = Server::start(&["--allow", grant], "echo_server.py", &[listen, "0"]);
        let port = server.port.to_string();
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut client = python(&root());
        client.args(["--allow", &format!("tcp-connect={shown}:{port}")]);
        client.arg(script("echo_client.py")).args([host, &port, "hello"]);
        assert_eq!(ended(0, client).0, "received hello\n");
        assert_eq!(server.end(), "");
    }
}

#[test]
fn python_client_finds_a_name_that_the_command_resolves() {
    if !built() {
        return;
    }
    let server = Server::start(
        &["--allow", "tcp-listen=127.0.0.1:0"],
        "echo_server.py",
        &["127.0.0.1", "0"],
    );
    let port = server.port.to_string();
    let name = "daring.cwi.nl";
    let client = |options: &[&str]| {
        let mut client = python(&root());
        client.args(options).arg(script("echo_client.py")).args([name, &port, "hello"]);
        client
    };
    let (_, stderr) = ended(1, client(&[]));
    assert!(
        stderr.contains(&format!("--allow tcp-connect={name}:{port}"))
            || stderr.contains("resolve"),
        "{stderr}"
    );
    let grant = format!("tcp-connect={name}:{port}");
    let options = ["--allow", &grant, "--resolve", &format!("{name}=127.0.0.1")];
    assert_eq!(ended(0, client(&options)).0, "received hello\n");
    assert_eq!(server.end(), "");
}

#[test]
fn python_asyncio_serves_on_its_own_loop() {
    if !built() {
        return;
    }
    let mut run = python(&root());
    run.args(["--allow", "tcp-listen=127.0.0.1:0", "--allow", "tcp-connect=127.0.0.1:*"]);
    run.arg(script("echo_asyncio.py"));
    assert_eq!(ended(0, run).0, "b'hello'\nb'pair'\ntimeout\n");
}

#[test]
fn python_interrupt_is_keyboard_interrupt() {
    if !built() {
        return;
    }
    let mut server = Server::start(
        &["--allow", "tcp-listen=127.0.0.1:0"],
        "echo_server.py",
        &["127.0.0.1", "0"],
    );
    // The line came before the accept, which the signal may find or not: it stays pending.
    let process = Pid::from_child(&server.child);
    kill_process(process, Signal::INT).expect("signals");
    assert_eq!(server.child.wait().expect("ends").code(), Some(130));
}

#[test]
fn python_memory_is_bounded() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let limited = ["--limit", "memory-bytes=134217728"];
    let (_, stderr) = code(folder.path(), 1, &limited, "x = bytearray(1 << 28)");
    assert!(stderr.contains("MemoryError"), "{stderr}");
    assert!(stderr.contains("the limit memory-bytes=134217728, 128 MiB"), "{stderr}");
}

#[test]
fn python_time_is_bounded() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for program in ["while True: pass", "import socket; a, b = socket.socketpair(); a.recv(1)"] {
        let start = Instant::now();
        let (_, stderr) = code(folder.path(), 130, &["--max-time", "1"], program);
        assert!(stderr.contains("the 1 seconds of --max-time are over"), "{stderr}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn python_starts_soon_and_small() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let mut child = Command::new(command())
            .args(["python", "--runner"])
            .arg(target().join("python"))
            .args(["-u", "-c", "import socket; print('up'); input()"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("reads");
        assert_eq!(line, "up\n");
        first = first.min(start.elapsed());
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("reads");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let resident: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
        // The limits are for a machine that does something else meanwhile.
        assert!(resident < 96 << 10, "{resident} KiB are resident");
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("writes");
        assert!(child.wait().expect("ends").success());
    }
    assert!(first < Duration::from_secs(2), "the first line came after {first:?}");
}

/// Returns a CPython of this machine that is new enough to compare with, and its version.
fn newest_python() -> Option<(&'static str, String)> {
    ["python3.14", "python3.13", "python3"].into_iter().find_map(|program| {
        let code = "import sys; print('%d.%d' % sys.version_info[:2], sys.version_info >= (3, 13))";
        let output = Command::new(program).args(["-c", code]).output().ok()?;
        let line = text(&output.stdout);
        let version = line.trim_end().strip_suffix(" True")?;
        Some((program, version.to_owned()))
    })
}

#[test]
fn python_arguments_are_judged_as_by_cpython() {
    if !built() {
        return;
    }
    let Some((program, version)) = newest_python() else {
        skip(
            "python_arguments_are_judged_as_by_cpython",
            "no CPython 3.13 or newer to compare with",
        );
        return;
    };
    // Sockets are bound to relative paths, so each run has a folder of its own.
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let calls = ["1", "12000"];
    let mut native = assert_cmd::Command::new(program);
    native.arg(script("conversions.py")).args(calls).current_dir(ours.path()).timeout(LIMIT);
    let mut guest = python(theirs.path());
    guest.arg("--allow-all").arg(script("conversions.py")).args(calls);
    let outputs = tempfile::tempdir().expect("a folder");
    let mut compare = assert_cmd::Command::new(program);
    compare.arg(script("conversions_compare.py")).arg(&version).current_dir(outputs.path());
    for (name, command) in [("ours", native), ("theirs", guest)] {
        std::fs::write(outputs.path().join(name), ended(0, command).0).expect("writes");
        compare.arg(name);
    }
    let (stdout, _) = ended(0, compare);
    assert!(stdout.ends_with(" calls, 0 differences without a reason\n"), "{stdout}");
}

#[test]
fn python_panic_ends_the_guest_with_a_sentence() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let panics = "import _sandsock\ntry: _sandsock.panic()\nexcept BaseException: print('alive')";
    let (stdout, stderr) = code(folder.path(), 134, &[], panics);
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("sandsock: the sockets of this Python failed: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
