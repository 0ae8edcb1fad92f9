//! `sandsock python`: Python programs in the runner. `make python` builds the runner.

mod bytecode;
mod options;
mod serve;
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
        ("import os; os.abort()", 134, ""),
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
    let built = target().join("python");
    let lines = || -> Vec<String> {
        let mut run = assert_cmd::Command::new(command());
        run.args(["python", "--runner"])
            .arg(&built)
            .arg(script("secrets_of_run.py"))
            .timeout(LIMIT);
        ended(0, run).0.lines().map(str::to_owned).collect()
    };
    let (one, other) = (lines(), lines());
    assert_eq!(one.len(), 8);
    let same: Vec<usize> = (0..one.len()).filter(|line| one[*line] == other[*line]).collect();
    // CPython's secret of string hashes is in the snapshot. So nobody else may read it. `make
    // test-python` compares it with that of a second build.
    assert_eq!(same, [7], "{one:?} {other:?}");
    let component = built.join("runner.wasm").metadata().expect("it is there");
    assert_eq!(component.mode() & 0o777, 0o600);
    assert_eq!(built.metadata().expect("it is there").mode() & 0o777, 0o700);
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
    refused("there is no Python runner in");
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
fn python_runner_of_another_user_is_refused_with_what_to_run() {
    use std::os::unix::process::CommandExt as _;

    if !rustix::process::geteuid().is_root() {
        skip("python_runner_of_another_user_is_refused_with_what_to_run", "it needs root");
        return;
    }
    // An installation by root.
    let folder = tempfile::tempdir().expect("a folder");
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    open(folder.path(), 0o755);
    let prefix = folder.path().canonicalize().expect("a path");
    let [bin, runner, scripts] =
        ["bin", "lib/sandsock/python", "lib/sandsock/parts/scripts"].map(|name| prefix.join(name));
    for made in [&bin, &runner, &scripts] {
        std::fs::create_dir_all(made).expect("makes");
    }
    std::fs::copy(command(), bin.join("sandsock")).expect("copies");
    std::fs::write(runner.join("runner.wasm"), "").expect("writes");
    open(&runner, 0o700);
    let build = scripts.join("python.sh");
    std::fs::write(&build, "").expect("writes");
    let output = Command::new(bin.join("sandsock"))
        .args(["python", "-c", "pass"])
        .current_dir("/")
        .env("HOME", "/nonexistent")
        .env_remove("XDG_DATA_HOME")
        .gid(65534)
        .uid(65534)
        .output()
        .expect("starts");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{stderr}");
    let words = format!(
        "runner.wasm: can't read the Python runner, which only its owner may; build one of your own with `{}`",
        build.display()
    );
    assert!(stderr.contains(&words) && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn python_errors_say_what_the_sandbox_lacks() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().canonicalize().expect("a path");
    std::fs::write(site.join("fast.cpython-314-x86_64-linux-gnu.so"), "").expect("writes");
    std::fs::create_dir(site.join("package")).expect("makes");
    std::fs::write(site.join("package/__init__.py"), "").expect("writes");
    std::fs::write(site.join("package/core.abi3.so"), "").expect("writes");
    let options = ["--site", site.to_str().expect("UTF-8")];
    for (program, note) in [
        ("import fast", "fast.cpython-314-x86_64-linux-gnu.so is native code"),
        ("import package.core", "package/core.abi3.so is native code"),
        ("from package import core", "package/core.abi3.so is native code"),
        ("import mmap", "this module of the standard library is not part of the sandbox's Python"),
        ("open('/etc/passwd')", "the program has only the folders of its code and those of --dir"),
        (
            "open('new', 'w')",
            "the program can't write there; give it a folder for its data with --dir",
        ),
        ("import zoneinfo; zoneinfo.ZoneInfo('Europe/Paris')", "--dir /usr/share/zoneinfo:ro"),
        ("import numpy", "modules come from the program's folder and from those of --site DIR"),
        ("import pip", "packages are installed outside of the sandbox"),
        ("import multiprocessing as m; m.Pool()", "no other processes"),
        ("import subprocess; subprocess.run(['ls'])", "no other processes"),
        ("import os; os.system('ls')", "no other processes"),
        ("import signal; signal.alarm(1)", "no other processes"),
    ] {
        let (_, stderr) = code(&site, 1, &options, program);
        assert!(stderr.lines().last().is_some_and(|line| line.contains(note)), "{stderr}");
    }
    let limited = ["--limit", "threads=0"];
    let (_, stderr) =
        code(&site, 1, &limited, "import threading; threading.Thread(target=print).start()");
    let note = "sandsock: the limit of threads is --limit threads=N, by default 1024";
    assert_eq!(stderr.lines().last(), Some(note), "{stderr}");
    for module in ["pip", "numpy"] {
        let mut run = python(&site);
        run.args(["-m", module]);
        let (_, stderr) = ended(1, run);
        assert!(stderr.contains(&format!("No module named {module}\nsandsock: ")), "{stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }
    // The program's own attribute of such a name has another reason.
    let (_, stderr) = code(&site, 1, &options, "class C: pass\nC().system");
    assert!(stderr.ends_with("object has no attribute 'system'\n"), "{stderr}");
}

#[test]
fn python_refusals_that_a_program_hides_are_named_at_its_end() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hides = "
import socket, sys
for _ in range(2):
    try:
        socket.create_server(('127.0.0.1', 8000))
    except OSError:
        pass
";
    let told = "sandsock: tcp-listen on 127.0.0.1:8000 is not granted; allow it with --allow tcp-listen=127.0.0.1:8000\n";
    for (end, status, expected) in [
        ("sys.exit('could not open socket')", 1, format!("could not open socket\n{told}")),
        ("sys.exit(3)", 3, told.to_owned()),
        ("", 0, String::new()),
    ] {
        let (_, stderr) = code(folder.path(), status, &[], &format!("{hides}{end}"));
        assert_eq!(stderr, expected);
    }
    let within = "
import socket, sys
try:
    socket.create_server(('127.0.0.1', 8000))
except OSError:
    sys.exit('could not open socket')
";
    let (_, stderr) = code(folder.path(), 1, &[], within);
    assert_eq!(stderr, format!("could not open socket\n{told}"));
    // An error that shows its reason is not repeated.
    let shows = "import socket; socket.create_server(('127.0.0.1', 8000))";
    let (_, stderr) = code(folder.path(), 1, &[], shows);
    assert_eq!(stderr.matches("--allow tcp-listen=127.0.0.1:8000").count(), 1, "{stderr}");
}

#[test]
fn python_runs_scripts_that_are_no_files() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    let program = "import sys\nprint(sys.argv, sys.path[0], __file__)\n1/0\n";
    for place in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let mut run = python(&real);
        run.args([place, "one"]).write_stdin(program);
        let (stdout, stderr) = ended(1, run);
        let parent = Path::new(place).parent().expect("a folder").display();
        assert_eq!(stdout, format!("['{place}', 'one'] {parent} {place}\n"));
        let frame = format!("  File \"{place}\", line 3, in <module>\n    1/0\n");
        assert!(stderr.contains(&frame), "{stderr}");
    }
    let mut broken = python(&real);
    broken.arg("/dev/stdin").write_stdin(b"print('\xff')".as_slice());
    let (_, stderr) = ended(2, broken);
    assert!(stderr.contains("a script from a pipe must be UTF-8; put it into a file"), "{stderr}");
    // CPython: the working directory may have an empty name.
    let mut none = python(&real);
    none.arg("");
    assert!(
        ended(1, none).1.contains(&format!("can't find '__main__' module in '{}'", real.display()))
    );
    std::fs::write(real.join("__main__.py"), "print('main')").expect("writes");
    let mut here = python(&real);
    here.arg("");
    assert_eq!(ended(0, here).0, "main\n");
}

#[test]
fn python_output_that_nobody_reads_is_reported_once() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(command())
        .args(["python", "--runner"])
        .arg(target().join("python"))
        .args(["-c", "print('x' * 100)"])
        .current_dir(folder.path())
        .stdout(writer)
        .output()
        .expect("starts");
    assert_eq!(output.status.code(), Some(120));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("BrokenPipeError").count(), 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

#[test]
fn python_nesting_that_exhausts_the_stack_is_one_sentence() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for program in [
        "x = []\nfor _ in range(300000): x = [x]\ndel x",
        "import ast; ast.parse('a' + '.b' * 300000)",
    ] {
        let (_, stderr) = code(folder.path(), 134, &[], program);
        assert_eq!(
            stderr,
            "sandsock: python3: the guest trapped: its calls are nested too deeply (call stack exhausted)\n"
        );
    }
}

#[test]
fn python_select_has_the_limit_of_cpython() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = "
import select, socket
a, b = socket.socketpair()
b.send(b'x')
print(len(select.select([a] * 1024, [], [])[0]))
for lists in (([a] * 100_000, [], []), ([], [a] * 1025, []), ([], [], [a] * 1025)):
    try:
        select.select(*lists, 0)
    except ValueError as error:
        print(error)
";
    let too_many = "too many file descriptors in select()\n";
    let (stdout, _) = code(folder.path(), 0, &[], program);
    assert_eq!(stdout, format!("1024\n{too_many}{too_many}{too_many}"));
}

#[test]
fn python_pollers_can_be_in_pollers() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = "
import os, select, selectors, socket, threading, time
a, b = socket.socketpair()
inner, outer = select.epoll(), select.epoll()
outer.register(inner, select.EPOLLIN)
inner.register(a, select.EPOLLIN)
print(outer.poll(0))
threading.Thread(target=lambda: (time.sleep(0.2), b.send(b'x'))).start()
print(outer.poll() == [(inner.fileno(), select.EPOLLIN)], inner.poll() == [(a.fileno(), select.EPOLLIN)])
for wrong in (lambda: inner.register(outer), lambda: outer.register(outer), lambda: outer.register(inner)):
    try:
        wrong()
    except OSError as error:
        print(error.strerror)
outer.modify(inner, 0)
print(outer.poll(0))
outer.unregister(inner)
selector, other = selectors.EpollSelector(), selectors.EpollSelector()
selector.register(other, selectors.EVENT_READ, 'nested')
other.register(a, selectors.EVENT_READ)
print([key.data for key, _ in selector.select()])
inner.unregister(a)
c, d = socket.socketpair()
poll = select.poll()
for fd in (d, inner, 5000, other, c):
    poll.register(fd, select.POLLIN)
names = {5000: 'none', other.fileno(): 'other', c.fileno(): 'c'}
print([(names[fd], mask & select.POLLNVAL) for fd, mask in poll.poll()])
poll.unregister(5000)
d.send(b'x')
print([names[fd] for fd, _ in poll.poll()])
for timeout in (0, None):
    lists = select.select([other, c, inner], [d, c], [c], timeout)
    print([[{c: 'c', d: 'd', other: 'other'}[ready] for ready in found] for found in lists])
print(select.select([inner], [], [], 0.01))
closed = os.dup(d.fileno())
os.close(closed)
try:
    select.select([inner, closed], [], [])
except OSError as error:
    print(error.strerror)
";
    let (stdout, _) = code(folder.path(), 0, &[], program);
    assert_eq!(
        stdout,
        "[]\nTrue True\nToo many levels of symbolic links\nInvalid argument\nFile exists\n[]\n['nested']\n\
         [('none', 32), ('other', 0)]\n['other', 'c']\n\
         [['other', 'c'], ['d', 'c'], []]\n[['other', 'c'], ['d', 'c'], []]\n([], [], [])\nBad file descriptor\n"
    );
}

#[test]
fn python_modules_are_where_they_say() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = "
import fcntl, os, pathlib, pwd, socket
code = (fcntl.fcntl.__code__.co_filename, socket.create_server.__code__.co_filename)
for place in (os.__file__, fcntl.__file__, pwd.__file__, *code):
    print(pathlib.Path(place).is_file(), place)
";
    let (stdout, _) = code(folder.path(), 0, &[], program);
    assert_eq!(
        stdout,
        "True /python/os.py\nTrue /python-lib/fcntl.py\nTrue /python-lib/pwd.py\nTrue /python-lib/fcntl.py\nTrue /python/socket.py\n"
    );
}

#[test]
fn python_allow_all_warns_of_what_it_can_change() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_, stderr) = code(folder.path(), 0, &["--allow-all"], "pass");
    assert!(stderr.contains("set this host's name and network"), "{stderr}");
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
fn python_of_an_unknown_linker_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("component.wat");
    std::fs::write(&path, "(component (core module (func (export \"f\"))))").expect("writes");
    let mut link = assert_cmd::Command::new(command());
    link.arg("python-threads").arg(&path).arg(folder.path().join("out.wasm")).timeout(LIMIT);
    let (_, stderr) = ended(126, link);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("this componentize-py links components in a form that is not known here")
    );
    assert!(!folder.path().join("out.wasm").exists());
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
fn python_gives_up_rights_for_good() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let program = format!(
        "import sandsock, socket
open = socket.create_connection(('127.0.0.1', {port}))
for wrong in ('tcp-conect=127.0.0.1:1', 'tcp-connect=127.0.0.1:1;bytes=1KiB'):
    try:
        sandsock.restrict(wrong)
    except ValueError as error:
        print(error)
socket.create_connection(('127.0.0.1', {port})).close()
sandsock.restrict('tcp-connect=127.0.0.1:1')
sandsock.restrict('tcp-connect=*:*')
try:
    socket.create_connection(('127.0.0.1', {port}))
except PermissionError as error:
    print(error)
open.sendall(b'x')
print('sent')"
    );
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let (stdout, _) = code(folder.path(), 0, &["--allow", &grant], &program);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{stdout}");
    assert!(lines[0].contains("at character 1: unknown verb `tcp-conect`"), "{stdout}");
    assert!(lines[1].contains("a rule that is kept takes no terms"), "{stdout}");
    let denied = format!("tcp-connect to 127.0.0.1:{port} is denied: the guest gave it up");
    assert!(lines[2].contains(&denied) && lines[3] == "sent", "{stdout}");
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
fn python_removes_the_names_that_it_has_bound() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::create_dir(real.join("sockets")).expect("makes");
    let sockets = real.join("sockets");
    let other = sockets.join("other");
    let _listener = std::os::unix::net::UnixListener::bind(&other).expect("binds");
    let program = "
import os, sys
from multiprocessing.connection import Client, Listener
path, other = sys.argv[1:]
for _ in range(2):
    with Listener(path) as listener:
        with Client(path) as client, listener.accept() as server:
            client.send('hello')
            print(server.recv())
for path in (path, other, other + '/x'):
    try:
        os.remove(path)
    except OSError as error:
        print(type(error).__name__)
";
    std::fs::create_dir(real.join("app")).expect("makes");
    std::fs::write(real.join("app/main.py"), program).expect("writes");
    let mut run = python(&real.join("app"));
    for verb in ["unix-bind", "unix-connect"] {
        run.args(["--allow", &format!("{verb}={}/*", sockets.display())]);
    }
    run.arg("main.py").args([sockets.join("own"), other.clone()]);
    let (stdout, _) = ended(0, run);
    assert_eq!(stdout, "hello\nhello\nFileNotFoundError\nFileNotFoundError\nFileNotFoundError\n");
    assert!(other.exists() && !sockets.join("own").exists());
}

#[test]
fn python_asyncio_removes_the_name_of_its_server() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    for made in ["sockets", "app"] {
        std::fs::create_dir(real.join(made)).expect("makes");
    }
    let path = real.join("sockets/own");
    let program = "
import asyncio, os, socket, stat, sys
path = sys.argv[1]
async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()
async def main():
    for _ in range(2):
        server = await asyncio.start_unix_server(echo, path)
        there = os.stat(path)
        print(os.path.exists(path), stat.S_ISSOCK(there.st_mode), os.lstat(path) == there)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'hello\\n')
        print(await reader.readline())
        writer.close()
        server.close()
        await server.wait_closed()
        print(os.path.exists(path))
    # Another server has taken the name meanwhile, and keeps it.
    first = await asyncio.start_unix_server(echo, path)
    os.unlink(path)
    second = await asyncio.start_unix_server(echo, path)
    first.close()
    await first.wait_closed()
    print(os.path.exists(path))
    second.close()
    await second.wait_closed()
asyncio.run(main())
print(os.stat in os.supports_follow_symlinks, os.path.exists(path))
";
    std::fs::write(real.join("app/main.py"), program).expect("writes");
    let round = "True True True\nb'hello\\n'\nFalse\n";
    // Whether the guest has the folder of the socket or not.
    let dir = format!("{}:ro", real.join("sockets").display());
    for options in [Vec::new(), vec!["--dir", dir.as_str()]] {
        let mut run = python(&real.join("app"));
        for verb in ["unix-bind", "unix-connect"] {
            run.args(["--allow", &format!("{verb}={}", path.display())]);
        }
        run.args(options).arg("main.py").arg(&path);
        let (stdout, _) = ended(0, run);
        assert_eq!(stdout, format!("{round}{round}True\nTrue False\n"));
        assert!(!path.exists());
    }
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
    let thread = "
import threading, time
def forever():
    while True:
        time.sleep(0.1)
threading.Thread(target=forever).start()
";
    let handles = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: raise SystemExit(0)";
    let waits = "import socket; a, b = socket.socketpair(); a.recv(1)";
    for program in ["while True: pass", waits, thread, handles] {
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
fn newest_python() -> Option<(PathBuf, String)> {
    let names = ["python3.14", "python3.13", "python3"].map(PathBuf::from);
    // pyenv starts a version by its name alone only if it is chosen.
    let pyenv = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let versions = pyenv.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let others = versions.flatten().map(|version| version.path().join("bin/python3"));
    names.into_iter().chain(others).find_map(|program| {
        let code = "import sys; print('%d.%d' % sys.version_info[:2], sys.version_info >= (3, 13))";
        let output = Command::new(&program).args(["-c", code]).output().ok()?;
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
    let mut native = assert_cmd::Command::new(&program);
    native.arg(script("conversions.py")).args(calls).current_dir(ours.path()).timeout(LIMIT);
    let mut guest = python(theirs.path());
    guest.arg("--allow-all").arg(script("conversions.py")).args(calls);
    let outputs = tempfile::tempdir().expect("a folder");
    let mut compare = assert_cmd::Command::new(&program);
    compare.arg(script("conversions_compare.py")).arg(&version).current_dir(outputs.path());
    for (name, command) in [("ours", native), ("theirs", guest)] {
        std::fs::write(outputs.path().join(name), ended(0, command).0).expect("writes");
        compare.arg(name);
    }
    let (stdout, _) = ended(0, compare);
    assert!(stdout.ends_with(" calls, 0 differences without a reason\n"), "{stdout}");
}

#[test]
fn python_wrong_arguments_are_exceptions_in_all_threads() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = python(folder.path());
    run.arg(script("hostile.py")).args(["1", "4000"]);
    assert_eq!(ended(0, run).0, "ok\n");
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

#[test]
fn python_budget_waits() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (port, _peer) = crate::budget::sink();
    let mut run = python(folder.path());
    run.args(["--allow", &format!("tcp-connect=127.0.0.1:{port};rate=20kB/s")]);
    run.arg(script("budget.py")).arg(port.to_string());
    let (printed, _) = ended(0, run);
    assert!(printed.starts_with("ok "), "{printed}");
}
