//! The options of `python3` that `sandsock python` has.

use super::*;

#[test]
fn python_flags_are_those_of_python3() {
    if !built() {
        return;
    }
    let Some((native, _)) = newest_python() else {
        skip("python_flags_are_those_of_python3", "no CPython 3.13 or newer to compare with");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    // The other flags depend on how an interpreter was built.
    let program = "
import sys
names = ('debug', 'inspect', 'interactive', 'optimize', 'dont_write_bytecode', 'no_user_site', 'no_site', 'ignore_environment')
names += ('verbose', 'bytes_warning', 'quiet', 'isolated', 'dev_mode', 'safe_path')
print([(name, getattr(sys.flags, name)) for name in names], __debug__, sys.warnoptions)
";
    for options in [
        &[][..],
        &["-b"],
        &["-bb", "-Wignore"],
        &["-B"],
        &["-d"],
        &["-E"],
        &["-I"],
        &["-O"],
        &["-OO"],
        &["-O", "-O"],
        &["-P"],
        &["-q"],
        &["-s"],
        &["-S"],
        &["-Xdev"],
        &["-Xdev", "-b", "-W", "once"],
        &["-BbOsqu"],
    ] {
        let mut python3 = assert_cmd::Command::new(&native);
        // A guest has no variables of the caller either.
        python3.env_clear().args(options).args(["-c", program]).timeout(LIMIT);
        assert_eq!(code(folder.path(), 0, options, program).0, ended(0, python3).0, "{options:?}");
    }
    for variable in [
        "PYTHONDEBUG=1",
        "PYTHONDEVMODE=1",
        "PYTHONDONTWRITEBYTECODE=x",
        "PYTHONNOUSERSITE=1",
        "PYTHONOPTIMIZE=2",
        "PYTHONOPTIMIZE=x",
        "PYTHONSAFEPATH=1",
        "PYTHONWARNINGS=ignore,once",
    ] {
        let mut python3 = assert_cmd::Command::new(&native);
        let (name, value) = variable.split_once('=').expect("a value");
        python3.env_clear().args(["-c", program]).env(name, value).timeout(LIMIT);
        let options = ["--env", variable];
        assert_eq!(code(folder.path(), 0, &options, program).0, ended(0, python3).0, "{variable}");
        let options = ["-E", "--env", variable];
        assert!(code(folder.path(), 0, &options, program).0.ends_with("True []\n"), "{variable}");
    }
}

#[test]
fn python_options_have_their_effect() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    std::fs::write(real.join("own.py"), "def f():\n    'a docstring'\n    assert False\n")
        .expect("writes");
    let asserts = "import own; print(own.f.__doc__); own.f()";
    assert!(code(&real, 1, &[], asserts).1.ends_with("AssertionError\n"));
    assert_eq!(code(&real, 0, &["-O"], asserts).0, "a docstring\n");
    assert_eq!(code(&real, 0, &["-OO"], asserts).0, "None\n");
    assert!(code(&real, 0, &["-b"], "'a' == b'a'").1.contains("BytesWarning"));
    assert!(code(&real, 1, &["-bb"], "'a' == b'a'").1.contains("BytesWarning"));
    assert!(code(&real, 1, &["-S"], "exit()").1.contains("NameError: name 'exit' is not defined"));
    let verbose = code(&real, 0, &["--env", "PYTHONVERBOSE=1"], "import own").1;
    assert!(verbose.contains("import 'own'"), "{verbose}");
    let digits = "print(len(str(10 ** 5000)))";
    assert!(code(&real, 1, &[], digits).1.contains("ValueError: Exceeds the limit (4300 digits)"));
    assert_eq!(code(&real, 0, &["-Xint_max_str_digits=6000"], digits).0, "5001\n");
    let cpus = "import os; print(os.cpu_count())";
    assert_eq!(code(&real, 0, &["-X", "cpu_count=3"], cpus).0, "3\n");
    let traced =
        "import tracemalloc; print(tracemalloc.is_tracing(), tracemalloc.get_traceback_limit())";
    assert_eq!(code(&real, 0, &["-Xtracemalloc=5"], traced).0, "True 5\n");
    std::fs::write(real.join("skipped.py"), "not Python\n1/0\n").expect("writes");
    let mut skips = python(&real);
    skips.args(["-x", "skipped.py"]);
    assert!(ended(1, skips).1.contains("line 2, in <module>"));
    for (option, starts) in
        [("-V", "Python 3.14."), ("--version", "Python 3.14."), ("-VV", "Python 3.14.")]
    {
        let mut version = python(&real);
        version.arg(option);
        let (stdout, _) = ended(0, version);
        assert!(
            stdout.starts_with(starts) && stdout.contains('[') == (option == "-VV"),
            "{stdout}"
        );
    }
}

#[test]
fn python_reads_statements_after_the_program() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("a path");
    for (program, first, status, statements, last) in [
        ("x = 5", "", 0, "x + 1\n", ">>> 6\n>>> "),
        ("x = 5\n1/0", "ZeroDivisionError", 0, "x + 2\n", ">>> 7\n>>> "),
        ("x = 5\nraise SystemExit(3)", "SystemExit: 3", 0, "x\n", ">>> 5\n>>> "),
        ("x = 5", "", 9, "import sys; sys.exit(x + 4)\n", ">>> "),
    ] {
        std::fs::write(real.join("p.py"), program).expect("writes");
        let mut inspects = python(&real);
        inspects.args(["-i", "p.py"]).write_stdin(statements);
        let (stdout, stderr) = ended(status, inspects);
        assert!(stderr.contains(first), "{stderr}");
        assert_eq!(stdout, last, "{program}: {stderr}");
    }
    let mut prompts = python(&real);
    prompts.args(["-i", "-q"]).write_stdin("1 + 1\n");
    assert_eq!(ended(0, prompts).0, ">>> 2\n>>> ");
}

#[test]
fn python_standard_input_stops_no_other_thread() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for read in ["input()", "sys.stdin.read()", "os.read(0, 10)"] {
        let program = format!(
            "
import os, sys, threading, time
def other():
    time.sleep(0.2)
    print('the other thread', flush=True)
threading.Thread(target=other).start()
print('ready', flush=True)
print(type({read}).__name__)
"
        );
        let mut child = Command::new(command())
            .args(["python", "--runner"])
            .arg(target().join("python"))
            .args(["-c", &program])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("reads");
            line
        };
        // The second line comes before the program gets any input.
        assert_eq!((line(), line()), ("ready\n".to_owned(), "the other thread\n".to_owned()));
        stdin.write_all(b"some\n").expect("writes");
        drop(stdin);
        assert_eq!(line(), if read.starts_with("os") { "bytes\n" } else { "str\n" });
        assert!(child.wait().expect("ends").success());
    }
}

#[test]
fn python_interrupt_ends_a_wait_for_standard_input() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = "
print('ready', flush=True)
try:
    input()
except KeyboardInterrupt:
    print('interrupted', input())
";
    let mut child = Command::new(command())
        .args(["python", "--runner"])
        .arg(target().join("python"))
        .args(["-c", program])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("reads");
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).expect("signals");
    std::thread::sleep(Duration::from_millis(300));
    child.stdin.take().expect("a pipe").write_all(b"later\n").expect("writes");
    stdout.read_line(&mut line).expect("reads");
    assert_eq!(line, "ready\ninterrupted later\n");
    assert!(child.wait().expect("ends").success());
}
