//! The `sandsock` command: what it takes, what it passes on, how it ends.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandsock_host::policy::Verb;
use sandsock_tests::netns::Namespace;
use sandsock_tests::{command, guest_path, programs, raise_descriptor_limit, root, skip};

/// The command, bounded in time.
#[track_caller]
fn sandsock() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(command());
    command.timeout(Duration::from_secs(60));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the command's standard error, and checks its status.
#[track_caller]
fn complaint(status: i32, args: &[&str]) -> String {
    let output = sandsock().args(args).output().expect("runs");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}\n{stderr}");
    stderr
}

/// A program of the tests, as an argument.
fn program(program: sandsock_tests::Program) -> String {
    program.path().display().to_string()
}

#[test]
pub(crate) fn cli_end_ok() {
    let end = program(programs::cli_end_ok);
    // WASI 0.2 distinguishes success from failure, and nothing else.
    for (args, status) in
        [(&["ok"][..], 0), (&["error"], 1), (&["exit", "0"], 0), (&["exit", "7"], 1)]
    {
        sandsock().args(["run", &end]).args(args).assert().code(status);
    }
}

#[test]
fn cli_trap_is_told_with_a_status_of_its_own() {
    let stderr = complaint(134, &["run", &program(programs::cli_end_ok), "panic"]);
    assert!(stderr.contains("as told"), "the guest's own words: {stderr}");
    let sentence = stderr
        .lines()
        .find(|line| line.starts_with("sandsock: "))
        .expect("a sentence of the command");
    assert!(
        sentence.contains("cli_end_ok.wasm: the guest trapped: wasm trap: wasm `unreachable`"),
        "{sentence}"
    );
    assert!(stderr.contains("cli_end_ok::main"), "the guest's functions: {stderr}");
}

#[test]
fn cli_memory_is_bounded_and_the_refusal_told() {
    let end = program(programs::cli_end_ok);
    let limited = ["run", "--limit", "memory-bytes=33554432", &end];
    for (how, status) in [(["memory", "8"], 0), (["room", "64"], 0), (["memory", "64"], 134)] {
        let stderr = complaint(status, &[&limited[..], &how].concat());
        let told = "the guest trapped: wasm trap: wasm `unreachable` instruction executed (it was refused more memory than the \
                    limit memory-bytes=33554432, 32 MiB, allows)";
        assert_eq!(stderr.contains(told), status == 134, "{stderr}");
    }
    // The limit holds by default. The command also reports a limit that is too small for the
    // program itself.
    sandsock().args(["run", &end, "memory", "100"]).assert().success();
    let stderr = complaint(134, &["run", &end, "memory", "1100"]);
    assert!(stderr.contains("memory-bytes=1073741824, 1024 MiB"), "{stderr}");
    let stderr = complaint(134, &["run", "--limit", "memory-bytes=65536", &end, "ok"]);
    assert!(stderr.contains("exceeds memory limits (it was refused more memory"), "{stderr}");
}

#[test]
pub(crate) fn cli_surroundings_ok() {
    let guest = program(programs::cli_surroundings_ok);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "content").expect("writes");
    let output = sandsock()
        .args([
            "run",
            "--dir",
            &format!("{}::/given", folder.path().display()),
            "--env",
            "A=b=c",
            "--env",
            "PASSED_ON",
        ])
        .args([&guest, "one", "--dir", "-v", "--", "two words"])
        .env("PASSED_ON", "value")
        .env("KEPT", "secret")
        .write_stdin("input")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    let expected = [
        r#"args ["cli_surroundings_ok.wasm", "one", "--dir", "-v", "--", "two words"]"#,
        r#"env [("A", "b=c"), ("PASSED_ON", "value")]"#,
        r#"file "content""#,
        r#"stdin "input""#,
        "",
    ];
    assert_eq!(text(&output.stdout), expected.join("\n"));
    assert_eq!(text(&output.stderr), "complaint\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("made")).expect("made"), "content");
    // Without grants there is nothing of all that.
    let output = sandsock().args(["run", &guest]).env("KEPT", "secret").output().expect("runs");
    let expected = "args [\"cli_surroundings_ok.wasm\"]\nenv []\nno file: NotFound\nstdin \"\"\n";
    assert_eq!(text(&output.stdout), expected);
}

/// The folders of `--dir` are also those that the kernel sends files from.
#[test]
fn cli_folder_is_sent_from() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large"), vec![7; 8 << 20]).expect("writes");
    std::fs::write(folder.path().join("small"), "0123456789").expect("writes");
    std::fs::write(folder.path().join("empty"), "").expect("writes");
    let run = |given: &str| {
        let grants = ["tcp-connect=127.0.0.1:*", "tcp-listen=127.0.0.1:0", "udp-send=127.0.0.1:9"];
        sandsock()
            .args(["run", "--dir", &format!("{}::{given}", folder.path().display())])
            .args(grants.map(|grant| format!("--allow={grant}")))
            .arg(program(programs::files_sendfile_judged))
            .output()
            .expect("runs")
    };
    let output = run("/data");
    assert!(output.status.success(), "{output:?}");
    let output = run("/elsewhere");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("No such file or directory"), "{output:?}");
}

#[test]
fn cli_hostname_is_what_the_guest_sees() {
    let guest = program(programs::names_hostname_ok);
    let run = |options: &[&str]| {
        let output = sandsock().arg("run").args(options).arg(&guest).output().expect("runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    assert_eq!(run(&[]), "sandbox sandbox\n");
    assert_eq!(run(&["--hostname", "web-1"]), "web-1 web-1\n");
    assert_eq!(run(&["--hostname", "web-1", "--allow", "hostname=read"]), "web-1 web-1\n");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux has it");
    assert!(run(&["--allow", "hostname=read"]).starts_with(&format!("{} ", own.trim())));
}

#[test]
fn cli_policy_file_takes_a_verb_alone() {
    let guest = program(programs::names_interfaces_ok);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "allow = ['interfaces']").expect("writes");
    let output =
        sandsock().args(["run", "--policy"]).arg(&file).arg(&guest).output().expect("runs");
    assert!(output.status.success() && text(&output.stdout).contains("1 lo"), "{output:?}");
    let denied = sandsock()
        .args(["run", "--deny", "interfaces", "--policy"])
        .arg(&file)
        .arg(&guest)
        .output()
        .expect("runs");
    assert!(
        text(&denied.stderr).contains("interfaces is denied by the rule interfaces"),
        "{denied:?}"
    );
}

#[test]
fn cli_arguments_with_faults_are_125_and_one_sentence() {
    let guest = program(programs::cli_end_ok);
    for (args, words) in [
        (
            &["--allow", "tcp-conect=127.0.0.1:1"][..],
            &[
                "--allow tcp-conect=127.0.0.1:1: at character 1: unknown verb `tcp-conect`",
                "tcp-listen",
                "did you mean tcp-connect?",
            ][..],
        ),
        (
            &["--allow", "tcp-connect:127.0.0.1:1"],
            &["unknown verb `tcp-connect:127.0.0.1:1`", "; write tcp-connect=TARGET"],
        ),
        (
            &["--allow", "TCP-Connect=127.0.0.1:1"],
            &["unknown verb `TCP-Connect`", "did you mean tcp-connect?"],
        ),
        (
            &["--allow", "tcp-connect=127.0.0.1:99999"],
            &["at character 23: `99999` is not a port", "0 to 65535"],
        ),
        (
            &["--allow", "tcp-connect=127.0.0.1"],
            &["--allow tcp-connect=127.0.0.1: at character 22: the port is missing"],
        ),
        (
            &["--allow", "can=vcan0:rwa"],
            &["at character 11: unknown CAN protocol `rwa`", "protocols are raw, bcm, isotp"],
        ),
        (
            &["--allow", "family=lag"],
            &["at character 8: unknown family `lag`", "families are alg, tipc"],
        ),
        (
            &["--allow", "tcp-connect=http://example.com/a"],
            &["`http://example.com/a` is a URL; write HOST:PORT, as in example.com:PORT"],
        ),
        (
            &["--allow", "tcp-connect=https://example.com:8443/"],
            &["is a URL; write HOST:PORT, as in example.com:8443"],
        ),
        (
            &["--limit", "descriptors"],
            &["the value is missing; write NAME=N, as in descriptors=64"],
        ),
        (
            &["--dir", "no-such-folder:/data"],
            &["write two colons between the two names: no-such-folder::/data"],
        ),
        (
            &["--deny", "ancillary=x"],
            &["--deny ancillary=x: at character 11: unknown target `x`", "rights:send"],
        ),
        (
            &["--limit", "descriptor=1"],
            &[
                "--limit descriptor=1: at character 1: unknown limit `descriptor`",
                "lookups-pending",
                "did you mean descriptors?",
            ],
        ),
        (
            &["--limit", "descriptors=many"],
            &[
                "--limit descriptors=many: at character",
                "wrong value for `descriptors`",
                "from 0 to 1048576",
            ],
        ),
        (
            &["--resolve", "name"],
            &["--resolve name: at character 5: the address is missing", "NAME=ADDRESS"],
        ),
        (
            &["--allow", "interfaces=eth0"],
            &["--allow interfaces=eth0: at character 11: `interfaces` takes no target"],
        ),
        (
            &["--allow", "hostname"],
            &["at character 9: `hostname` needs a target", "hostname=read, hostname=set"],
        ),
        (
            &["--allow", "reverse-resolve=192.0.2.1:53"],
            &["at character 26: a port is not allowed here"],
        ),
        (&["--hostname", ""], &["--hostname : a host name has 1 to 64 bytes"]),
        (&["--env", "=value"], &["--env =value: the name is missing"]),
        (&["--env", "NOT_SET_ANYWHERE"], &["--env NOT_SET_ANYWHERE: this variable is not set"]),
        (&["--dir", "/not/there::/"], &["--dir /not/there: can't open the folder: No such file"]),
        (
            &["--dir", "/etc/hosts::/x"],
            &["--dir /etc/hosts: can't open the folder: Not a directory"],
        ),
        (&["--dir", "::/x"], &["--dir ::/x: write it as HOST::GUEST"]),
        (&["--dir", ":ro"], &["--dir :ro: write it as HOST::GUEST"]),
        (
            &["--dir", "no-such-folder:ro"],
            &["--dir no-such-folder: can't open the folder: No such file"],
        ),
        (
            &["--dir", "no-such-folder:/data:ro"],
            &["write two colons between the two names: no-such-folder::/data:ro"],
        ),
        (&["--dir", "/usr::/usr:RO"], &["--dir /usr::/usr:RO: the modes are :ro and :rw"]),
        (&["--dir", "/usr:readonly"], &["--dir /usr:readonly: the modes are :ro and :rw"]),
        (&["--dir", "/usr::ro"], &["write one colon before the mode, as in /usr:ro"]),
        (
            &["--dir", "/usr::/x:ro", "--dir", "/srv::/x:ro"],
            &["the guest's name /x is taken by --dir /usr::/x:ro"],
        ),
        (
            &["--policy", "/not/there.toml"],
            &["/not/there.toml: can't read the policy file: No such file"],
        ),
    ] {
        let stderr = complaint(125, &[&["run"], args, &[guest.as_str(), "ok"]].concat());
        for word in words {
            assert!(stderr.contains(word), "{word}\n{stderr}");
        }
        assert!(stderr.starts_with("sandsock: ") && stderr.matches('\n').count() == 1, "{stderr}");
        assert_eq!(
            stderr.matches("No such file").count(),
            usize::from(words[0].contains("No such file")),
            "{stderr}"
        );
    }
    assert!(
        complaint(125, &["run", "--alow", "x", &guest]).contains("unexpected argument '--alow'")
    );
    assert!(complaint(125, &["run"]).contains("<COMPONENT>"));
    assert!(complaint(125, &[]).contains("Usage: sandsock"));
}

#[test]
fn cli_files_that_observers_would_overwrite_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (guest, old) = (at("guest.wasm"), at("old"));
    std::fs::copy(programs::cli_end_ok.path(), &guest).expect("copies");
    std::fs::write(&old, "old").expect("writes");
    let whole = std::fs::read(&guest).expect("reads");
    // The file's name was forgotten: the component is no place to write.
    for option in ["--pcap", "--audit"] {
        let stderr = complaint(125, &["run", option, &guest, "ok"]);
        assert!(
            stderr.contains(&format!(
                "{option} {guest}: this is a WebAssembly file, and the command does not overwrite it"
            )),
            "{stderr}"
        );
    }
    complaint(125, &["run", &format!("--trace={guest}"), &guest, "ok"]);
    complaint(125, &["run", &format!("--stats=json:{guest}"), &guest, "ok"]);
    complaint(125, &["serve", "--listen", "127.0.0.1:0", "--pcap", &guest, &guest]);
    assert!(std::fs::read(&guest).expect("reads") == whole);
    let stderr = complaint(125, &["run", "--pcap", &old, "--audit", &old, &guest, "ok"]);
    assert!(stderr.contains(&format!("--audit {old}: --pcap writes to the same file")), "{stderr}");
    // Where nothing is run, nothing is written.
    complaint(126, &["run", "--pcap", &old, &at("missing.wasm")]);
    complaint(125, &["run", "--pcap", &old, "--allow", "nonsense", &guest, "ok"]);
    assert_eq!(std::fs::read_to_string(&old).expect("reads"), "old");
    // The value of these stands behind a `=`.
    let stderr = complaint(126, &["run", "--trace", &at("trace"), &guest, "ok"]);
    assert!(stderr.contains("(--trace takes its value as --trace=VALUE)"), "{stderr}");
    // If there is no such folder, the command reports it before the guest begins.
    let stderr = complaint(125, &["run", "--pcap", &at("none/x"), &guest, "ok"]);
    assert!(stderr.contains("none/x: can't write there: No such file or directory"), "{stderr}");
}

#[test]
fn cli_options_behind_the_component_are_told() {
    let guest = program(programs::cli_end_ok);
    let late = ["ok", "--allow", "tcp-connect=127.0.0.1:1"];
    let output = sandsock().args(["run", &guest]).args(late).output().expect("runs");
    assert!(
        text(&output.stderr).contains("--allow comes after the component, so the guest gets it"),
        "{output:?}"
    );
    // After `--`, such an argument is meant for the guest.
    let output = sandsock().args(["run", &guest, "--"]).args(late).output().expect("runs");
    assert!(!text(&output.stderr).contains("after the component"), "{output:?}");
}

#[test]
fn cli_policy_file_fault_is_told_by_line_and_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    for (content, words) in [
        (
            "allow = []\n\n  alow = []\n",
            "policy.toml:3:3: unknown key `alow`; keys are allow, deny, include, limits, nat64, publish, resolve, sets",
        ),
        (
            "allow = [\n  'tcp-connect=127.0.0.1:x'\n]",
            "policy.toml:2:26: in `tcp-connect=127.0.0.1:x`: `x` is not a port",
        ),
        ("[limits]\npolers = 1", "policy.toml:2:1: unknown limit `polers`"),
        ("allow = [", "policy.toml:1:"),
    ] {
        std::fs::write(&file, content).expect("writes");
        let stderr = complaint(125, &["run", "--policy", &file.display().to_string(), "none.wasm"]);
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn cli_component_that_cannot_be_loaded_is_126() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writes");
        path.display().to_string()
    };
    let whole = std::fs::read(programs::cli_end_ok.path()).expect("`make guests` builds it");
    let missing = folder.path().join("missing.wasm").display().to_string();
    for (path, words) in [
        (missing, "missing.wasm: can't read the component: No such file"),
        (write("junk.wasm", b"junk"), "junk.wasm: not a WebAssembly component"),
        (write("empty.wasm", b""), "empty.wasm: not a WebAssembly component"),
        (write("core.wasm", b"\0asm\x01\0\0\0"), "core.wasm: a core module, not a component"),
        (write("module.wat", b"(module)"), "module.wat: a core module, not a component"),
        (write("cut.wasm", &whole[..whole.len() / 2]), "cut.wasm: not a valid WebAssembly component"),
        (write("fault.wat", b"(component (impot))"), "fault.wat:1:13"),
        (
            write("import.wat", br#"(component (import "example:missing/thing" (instance)) (import "wasi:io/error@0.2.0" (instance)))"#),
            "it imports example:missing/thing, which this command does not offer",
        ),
        (
            write("other.wat", br#"(component (import "sandsock:socket/other@0.1.0" (instance (export "f" (func)))) (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))"#),
            "sandsock:socket/other@0.1.0",
        ),
        (
            write("sockets.wat", br#"(component (import "sandsock:socket/sockets@0.1.0" (instance (export "f" (func)))))"#),
            "the provider exports no sandsock:socket/sockets@0.1.0",
        ),
        (
            write("http.wat", br#"(component (instance $handler) (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#),
            "it answers requests of wasi:http and needs a host that speaks HTTP",
        ),
        (
            write("outgoing.wat", br#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)) (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))"#),
            "it imports wasi:http/outgoing-handler@0.2.0, which this command does not offer",
        ),
        (write("library.wat", b"(component)"), "it does not export wasi:cli/run"),
    ] {
        let stderr = complaint(126, &["run", &path]);
        assert!(stderr.starts_with("sandsock: ") && stderr.contains(words), "{words}\n{stderr}");
        // `inspect` reports the same. It does so on stdout if it could read the component.
        let output = sandsock().args(["inspect", &path]).output().expect("runs");
        assert_eq!(output.status.code(), Some(126));
        assert!((text(&output.stdout) + &text(&output.stderr)).contains(words), "{words}\n{output:?}");
    }
}

#[test]
fn cli_inspect_says_what_it_can_run() {
    let output = sandsock().arg("inspect").arg(guest_path("echo_server")).output().expect("runs");
    assert!(output.status.success());
    let stdout = text(&output.stdout);
    for line in [
        "imports:",
        "  sandsock:socket/transfers@0.1.0",
        "exports:",
        "  wasi:cli/run@0.2.0",
        "engine: without support for concurrency, which only WASI 0.3 needs",
        "this command can run it",
    ] {
        assert!(stdout.lines().any(|found| found == line), "{line}\n{stdout}");
    }
}

/// Names of imports and of files that hold escape sequences.
#[test]
fn cli_names_reach_a_terminal_escaped() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = "a\x1b[31mred\nsandsock: all is well\u{202e}";
    let shown = "a\\u{1b}[31mred\\nsandsock: all is well\\u{202e}";
    let path = folder.path().join(format!("{odd}.wat"));
    // man 1 wat: a string takes escapes; an import by a URL takes any character but its own end.
    let import = "url=<\\1b[31mred\\0asandsock: all is well>";
    std::fs::write(&path, format!("(component (import \"{import}\" (func)))")).expect("writes");
    let missing = folder.path().join(format!("{odd}.none"));
    let plain = |text: String| {
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'),
            "{text:?}"
        );
        assert!(text.lines().all(|line| !line.starts_with("sandsock: all is well")), "{text}");
        text
    };
    let run = |args: &[&std::ffi::OsStr]| {
        let output = sandsock().args(args).output().expect("runs");
        plain(text(&output.stdout) + &text(&output.stderr))
    };
    let inspected = run(&["inspect".as_ref(), path.as_ref()]);
    assert!(
        inspected.contains(shown) && inspected.contains("red\\nsandsock: all is well"),
        "{inspected}"
    );
    for args in [
        &["run".as_ref(), path.as_ref()][..],
        &["run".as_ref(), missing.as_ref()],
        &["run".as_ref(), "--policy".as_ref(), missing.as_ref(), path.as_ref()],
        &["run".as_ref(), "--dir".as_ref(), missing.as_ref(), path.as_ref()],
        &["run".as_ref(), "--netns".as_ref(), missing.as_ref(), path.as_ref()],
        &["run".as_ref(), "--allow".as_ref(), missing.as_ref(), path.as_ref()],
        &[
            "run".as_ref(),
            "--audit".as_ref(),
            missing.join("x").as_ref(),
            programs::cli_end_ok.path().as_ref(),
            "ok".as_ref(),
        ],
        &[
            "serve".as_ref(),
            "--listen".as_ref(),
            missing.join("x").as_ref(),
            programs::cli_end_ok.path().as_ref(),
        ],
        &["compose".as_ref(), path.as_ref(), "-o".as_ref(), missing.as_ref()],
        &[format!("--{odd}").as_ref()],
    ] {
        let said = run(args);
        assert!(said.contains("\\u{1b}[31mred"), "{args:?}: {said}");
    }
    // A log's line is one line.
    let mut command = sandsock();
    command.args(["-v", "run", "--allow", "unix-connect=/tmp/**"]).arg(guest_path("unix_client"));
    let output = command.args([&format!("/tmp/{odd}"), "x"]).output().expect("runs");
    let log: String = text(&output.stderr)
        .lines()
        .filter(|line| line.contains(" INFO "))
        .map(str::to_owned)
        .collect();
    plain(log);
}

#[test]
fn cli_help_and_version() {
    let help = |args: &[&str]| {
        let output = sandsock().args(args).output().expect("runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        text(&output.stdout)
    };
    assert_eq!(help(&["--version"]), format!("sandsock {}\n", env!("CARGO_PKG_VERSION")));
    let whole = help(&["--help"]);
    assert!(whole.contains("Examples:\n  sandsock run --allow "), "{whole}");
    let run = help(&["run", "--help"]);
    for words in [
        "Examples:\n  sandsock run ",
        "--allow <VERB[=TARGET]>",
        "--hostname <NAME>",
        "\nArguments:\n  <COMPONENT>  ",
        "  publish = [",
        "[limits]",
        "descriptors                 1024",
    ] {
        assert!(run.contains(words), "{words}\n{run}");
    }
    for row in Verb::TABLE {
        let line = format!("  {:<16} {}\n", row.name, row.about);
        assert!(run.contains(&line) && run.contains(&row.examples.join("  ")), "{line}\n{run}");
    }
}

#[test]
fn cli_verbose_tells_decisions() {
    let client = guest_path("echo_client");
    let run = |more: &[&str]| {
        let port = unused_port();
        let output = sandsock()
            .args(more)
            .args([
                "run",
                "--allow",
                "tcp-connect=127.0.0.1:*",
                "--deny",
                &format!("tcp-connect=127.0.0.1:{port}"),
            ])
            .arg(&client)
            .args(["127.0.0.1", &port.to_string(), "x"])
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(1));
        (port, text(&output.stderr))
    };
    let (port, quiet) = run(&[]);
    assert!(!quiet.contains("INFO"), "{quiet}");
    assert!(
        quiet.contains(&format!("is denied by the rule tcp-connect=127.0.0.1:{port}")),
        "{quiet}"
    );
    let (port, told) = run(&["-v"]);
    let line = format!(
        " INFO connect denied: tcp-connect to 127.0.0.1:{port} is denied by the rule tcp-connect=127.0.0.1:{port}"
    );
    assert!(told.lines().any(|found| found == line), "{line}\n{told}");
    // Where it is allowed, the rule that allows.
    let port = unused_port();
    let rule = format!("tcp-connect=127.0.0.1:{port}");
    let output = sandsock()
        .args(["-v", "run", "--allow", &rule])
        .arg(&client)
        .args(["127.0.0.1", &port.to_string(), "x"])
        .output()
        .expect("runs");
    assert!(
        text(&output.stderr)
            .contains(&format!("INFO connect allowed: tcp-connect 127.0.0.1:{port} by {rule}\n")),
        "{output:?}"
    );
    let stderr =
        text(&sandsock().args(["run", "--allow-all"]).arg(&client).output().expect("runs").stderr);
    assert!(stderr.contains("WARN --allow-all"), "{stderr}");
}

/// Checks that a folder is refused if it is writable, that the error offers `:ro`, and that `:ro`
/// is accepted.
#[track_caller]
fn refused_unless_read_only(options: &[&str], dir: &str, guest: &str, words: &[&str]) {
    let (writable, read_only) = (format!("{dir}::/given"), format!("{dir}::/given:ro"));
    let stderr = complaint(125, &[&["run"], options, &["--dir", &writable, guest, "ok"]].concat());
    assert!(
        stderr.starts_with(&format!("sandsock: --dir {writable} ")) && stderr.lines().count() == 1,
        "{stderr}"
    );
    let way_out = format!("give the folder read-only with --dir {read_only}");
    for word in words.iter().chain([&way_out.as_str()]) {
        assert!(stderr.contains(word), "{word}\n{stderr}");
    }
    sandsock()
        .args([&["run"], options, &["--dir", &read_only, guest, "ok"]].concat())
        .assert()
        .success();
}

#[test]
fn cli_folder_to_write_in_holds_no_sockets_of_a_rule() {
    let guest = program(programs::cli_end_ok);
    let (folder, policies) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let root = folder.path().canonicalize().expect("it is there").display().to_string();
    for name in ["in/deep", "beside", "links"] {
        std::fs::create_dir_all(folder.path().join(name)).expect("makes");
    }
    std::os::unix::fs::symlink(format!("{root}/in"), folder.path().join("links/to"))
        .expect("links");
    for (given, path) in [
        // The folder is the rule's, holds it, or lies beneath it.
        (format!("{root}/in"), format!("{root}/in/*.sock")),
        (root.clone(), format!("{root}/in/a.sock")),
        (format!("{root}/in/deep"), format!("{root}/in/**")),
        (format!("{root}/in/deep"), "/**".to_owned()),
        ("/".to_owned(), format!("{root}/in/*.sock")),
        // The guest could make this folder, as a link to another.
        (format!("{root}/in"), format!("{root}/in/later/a.sock")),
        // By a link, on either side, and by the folder that holds the link.
        (format!("{root}/links/to"), format!("{root}/in/*.sock")),
        (format!("{root}/in"), format!("{root}/links/to/*.sock")),
        (format!("{root}/links"), format!("{root}/links/to/*.sock")),
    ] {
        for (option, verb) in [
            ("--allow", "unix-connect"),
            ("--deny", "unix-connect"),
            ("--allow", "unix-bind"),
            ("--deny", "unix-bind"),
        ] {
            let rule = format!("{verb}={path}");
            let named = format!(" and {option} {rule} meet in ");
            refused_unless_read_only(
                &[option, &rule],
                &given,
                &guest,
                &[&named, "could rename and link what the rule names"],
            );
            let file = policies.path().join("policy.toml");
            std::fs::write(&file, format!("{} = ['{rule}']", &option[2..])).expect("writes");
            let file = file.display().to_string();
            let named = format!(" and the rule {rule} of --policy {file} meet in ");
            refused_unless_read_only(&["--policy", &file], &given, &guest, &[&named]);
        }
    }
    // A relative path of a rule or of a folder begins in the command's directory.
    let run = |dir: &str| {
        let options = ["run", "--allow", "unix-connect=in/*.sock", "--dir", dir, &guest, "ok"];
        sandsock().current_dir(&root).args(options).assert()
    };
    run("in").code(125);
    run("in:ro").success();
    run("in::/x:ro").success();
    // A folder beside it, a folder whose name begins alike, and abstract names are accepted.
    run("beside").success();
    std::fs::create_dir(folder.path().join("in-other")).expect("makes");
    run("in-other").success();
    for rule in ["unix-connect=@name", "unix-bind=@*"] {
        sandsock().args(["run", "--allow", rule, "--dir", &root, &guest, "ok"]).assert().success();
    }
    sandsock().args(["run", "--allow-all", "--dir", &root, &guest, "ok"]).assert().success();
    // A folder that is given twice is writable if either option says so.
    let twice = [
        "run",
        "--allow",
        "unix-connect=in/*.sock",
        "--dir",
        "in::/a:ro",
        "--dir",
        "in::/b",
        &guest,
        "ok",
    ];
    sandsock().current_dir(&root).args(twice).assert().code(125);
}

#[test]
fn cli_folder_to_write_in_holds_no_file_of_the_command() {
    let (folder, apart) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (root, out) =
        (folder.path().canonicalize().expect("there"), apart.path().canonicalize().expect("there"));
    let at = |name: &str| root.join(name).display().to_string();
    let dir = root.display().to_string();
    let guest = program(programs::cli_end_ok);
    std::fs::write(at("policy.toml"), "allow = []").expect("writes");
    std::fs::write(out.join("policy.toml"), "allow = []").expect("writes");
    std::fs::copy(programs::cli_end_ok.path(), at("app.wasm")).expect("copies");
    // By its own name, by a link, and by a hard link.
    let words = [", the policy of --policy: a guest that may write there could change it"];
    refused_unless_read_only(&["--policy", &at("policy.toml")], &dir, &guest, &words);
    std::os::unix::fs::symlink(out.join("policy.toml"), at("link.toml")).expect("links");
    refused_unless_read_only(&["--policy", &at("link.toml")], &dir, &guest, &words);
    std::fs::create_dir(at("deep")).expect("makes");
    std::fs::hard_link(out.join("policy.toml"), at("deep/other-name")).expect("links");
    let same = out.join("policy.toml").display().to_string();
    refused_unless_read_only(
        &["--policy", &same],
        &dir,
        &guest,
        &["another name (a hard link) of", words[0]],
    );
    refused_unless_read_only(&[], &dir, &at("app.wasm"), &["app.wasm, the component: "]);
    for option in ["--trace", "--audit", "--pcap", "--stats=json:"] {
        let (file, name) = (at("written"), option.split('=').next().expect("a name"));
        let given = if option.ends_with(':') {
            format!("{option}{file}")
        } else {
            format!("{option}={file}")
        };
        refused_unless_read_only(
            &[&given],
            &dir,
            &guest,
            &[&format!("written, which {name} writes")],
        );
        // The file does not exist yet.
        let given = given.replace("written", "deep/../written");
        refused_unless_read_only(&[&given], &dir, &guest, &[&format!("which {name} writes")]);
    }
    // The socket that `serve` binds.
    let socket = at("serve.sock");
    let stderr = complaint(125, &["serve", "--listen", &socket, "--dir", &dir, &guest]);
    assert!(stderr.contains("serve.sock, the socket of --listen: "), "{stderr}");
    // Files that the environment names.
    let run = |variable: &str, value: &str, dir: &str| {
        let output = sandsock()
            .args(["run", "--dir", dir, &guest, "ok"])
            .env(variable, value)
            .output()
            .expect("runs");
        (output.status.code(), text(&output.stderr))
    };
    for (variable, value, words) in [
        (
            "XDG_CACHE_HOME",
            dir.clone(),
            "the cache of compiled components (XDG_CACHE_HOME names another place)",
        ),
        ("XDG_CACHE_HOME", at("deep/none"), "the cache of compiled components"),
        ("SANDSOCK_PROVIDER", at("provider.wasm"), "where the provider of sockets is looked for"),
        ("HOSTALIASES", at("aliases"), "the aliases of HOSTALIASES"),
    ] {
        let (status, stderr) = run(variable, &value, &dir);
        assert!(status == Some(125) && stderr.contains(words), "{stderr}");
        let (status, stderr) = run(variable, &value, &format!("{dir}:ro"));
        assert_eq!(status, Some(0), "{stderr}");
    }
    // A folder in the cache; the command itself, its memory, and the files of look-ups.
    let cache = apart.path().join("cache");
    sandsock().args(["run", &guest, "ok"]).env("XDG_CACHE_HOME", &cache).assert().success();
    std::fs::create_dir_all(cache.join("sandsock/compiled/deep")).expect("makes");
    let deep = cache.join("sandsock/compiled/deep").display().to_string();
    let (status, stderr) = run("XDG_CACHE_HOME", &cache.display().to_string(), &deep);
    assert!(status == Some(125) && stderr.contains(" lies in "), "{stderr}");
    for (given, words) in [
        (
            command().parent().expect("a folder").display().to_string(),
            "sandsock, a part of this command: ",
        ),
        ("/etc".to_owned(), "which look-ups read: "),
        ("/proc".to_owned(), "/proc/self/mem, the memory of this command: "),
    ] {
        let stderr = complaint(125, &["run", "--dir", &given, &guest, "ok"]);
        assert!(stderr.contains(words), "{stderr}");
    }
    // A folder named by a link that an earlier guest could have made.
    std::os::unix::fs::symlink("/usr", at("deep/usr")).expect("links");
    let stderr = complaint(
        125,
        &["run", "--dir", &dir, "--dir", &format!("{}::/u:ro", at("deep/usr")), &guest, "ok"],
    );
    assert!(
        stderr.contains(" has a link in ") && stderr.contains("name the folder itself, /usr"),
        "{stderr}"
    );
    sandsock()
        .args(["run", "--dir", &dir, "--dir", &format!("{}::/d", at("deep")), &guest, "ok"])
        .assert()
        .success();
}

#[test]
fn cli_folder_mounted_elsewhere_is_the_same() {
    const TEST: &str = "cli_folder_mounted_elsewhere_is_the_same";
    let guest = program(programs::cli_end_ok);
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("there").display().to_string();
    for name in ["app/sub", "mount", "other/holds", "beside"] {
        std::fs::create_dir_all(folder.path().join(name)).expect("makes");
    }
    // In a mount namespace: the rule's folder is mounted in another folder, and a folder below the
    // rule's is mounted beside it.
    let script = format!(
        "mount --bind {root}/app/sub {root}/mount && mount --bind {root}/app {root}/other/holds || exit 77; shift; exec \"$@\""
    );
    for (dir, status) in [("mount", 125), ("other", 125), ("other/holds", 125), ("beside", 0)] {
        let output = assert_cmd::Command::new("unshare")
            .args(["--mount", "sh", "-c", &script, "sh", "--"])
            .arg(command())
            .args([
                "run",
                "--allow",
                &format!("unix-connect={root}/app/*.sock"),
                "--dir",
                &format!("{root}/{dir}::/x"),
            ])
            .args([&guest, "ok"])
            .timeout(Duration::from_secs(60))
            .output();
        match output {
            Ok(output) if output.status.code() == Some(status) => {}
            Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
                return skip(TEST, "no mount namespace of its own can be had here");
            }
            Ok(output) => panic!("{dir}: {output:?}"),
            Err(error) => return skip(TEST, &error.to_string()),
        }
    }
}

#[test]
fn cli_compiled_components_are_cached() {
    let cache = tempfile::tempdir().expect("a folder");
    let run = || {
        let start = Instant::now();
        sandsock()
            .args(["run", &program(programs::cli_end_ok), "ok"])
            .env("XDG_CACHE_HOME", cache.path())
            .assert()
            .success();
        start.elapsed()
    };
    let first = run();
    let found = files(cache.path());
    assert!(found.iter().any(|(_, length)| *length > 100_000), "compiled code lies in {found:?}");
    let second = run();
    assert!(second < first, "{second:?} against {first:?}");
    // Without a place for it, it runs all the same.
    sandsock()
        .args(["run", &program(programs::cli_end_ok), "ok"])
        .env("XDG_CACHE_HOME", "/dev/null")
        .assert()
        .success();
}

#[test]
fn cli_compiled_components_are_taken_from_nobody_else() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let cache = tempfile::tempdir().expect("a folder");
    let compiled = cache.path().join("sandsock/compiled");
    let run = || {
        let output = sandsock()
            .args(["run", &program(programs::cli_end_ok), "ok"])
            .env("XDG_CACHE_HOME", cache.path())
            .output();
        let output = output.expect("runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    assert_eq!(run(), "");
    assert_eq!(compiled.metadata().expect("is made").permissions().mode() & 0o7777, 0o700);
    assert!(!files(&compiled).is_empty());
    // If others may have written there, the cache is not used, and the command says so once.
    for (folder, mode, words) in [
        (
            compiled.as_path(),
            0o777,
            "compiled is open to others (mode 0777), who may have written into it; remove it",
        ),
        (compiled.as_path(), 0o755, "is open to others"),
        (cache.path(), 0o775, "others may write in "),
    ] {
        let before = folder.metadata().expect("is there").permissions();
        set_permissions(folder, Permissions::from_mode(mode)).expect("is ours");
        let code = || files(&compiled).into_iter().filter(|(_, length)| *length > 100_000);
        code().for_each(|(path, _)| std::fs::remove_file(path).expect("is ours"));
        let stderr = run();
        assert!(
            stderr.contains(" WARN compiled components are not cached: ") && stderr.contains(words),
            "{stderr}"
        );
        assert_eq!((stderr.lines().count(), code().count()), (1, 0), "{stderr}");
        set_permissions(folder, before).expect("is ours");
    }
    assert_eq!(run(), "");
    // man 5 XDG base directories: a relative path is none.
    let output = sandsock()
        .args(["run", &program(programs::cli_end_ok), "ok"])
        .current_dir(cache.path())
        .env("XDG_CACHE_HOME", "relative")
        .env("HOME", cache.path().join("home"))
        .output()
        .expect("runs");
    assert!(output.status.success() && !cache.path().join("relative").exists(), "{output:?}");
    assert!(cache.path().join("home/.cache/sandsock/compiled").is_dir());
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.metadata() {
            Ok(data) if data.is_dir() => files(&path),
            Ok(data) => vec![(path, data.len())],
            Err(_) => Vec::new(),
        })
        .collect()
}

/// Returns a port that no program has now, outside the range from which the kernel chooses.
#[track_caller]
fn unused_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| {
        TcpListener::bind(("127.0.0.1", *port)).is_ok()
            && TcpListener::bind(("0.0.0.0", *port)).is_ok()
    };
    // Other runs of these tests may be under way on this machine.
    let candidates = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = candidates
        .take(1000)
        .map(|next| (10_000 + (std::process::id() * 16 + next) % 20_000) as u16);
    ports.find(free).expect("a port")
}

/// The command under way. Dropped, it is killed.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    #[track_caller]
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(command())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout }
    }

    /// The next line of its stdout; none at the end.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("reads");
        line.trim_end().to_owned()
    }

    fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it is there");
    }

    /// Waits for the end, 20 s at most; gives the status and stderr.
    #[track_caller]
    fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut stderr = String::new();
        let pipe = self.child.stderr.as_mut().expect("a pipe");
        pipe.read_to_string(&mut stderr).expect("reads");
        (status, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
pub(crate) fn cli_interrupt_ok() {
    let mut guest = Running::start(&["run", &program(programs::cli_interrupt_ok)]);
    assert_eq!(guest.line(), "waiting");
    guest.interrupt();
    assert_eq!(guest.line(), "InterruptedError: [Errno 4] Interrupted system call");
    let (status, stderr) = guest.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("Ctrl-C again"), "advice that nobody needs: {stderr}");
}

#[test]
fn cli_second_interrupt_stops_a_guest_that_computes() {
    let mut guest = Running::start(&["run", &program(programs::cli_interrupt_ok), "compute"]);
    assert_eq!(guest.line(), "waiting");
    guest.interrupt();
    assert!(guest.line().starts_with("InterruptedError"));
    // The command says how to stop a guest that goes on.
    std::thread::sleep(Duration::from_millis(600));
    guest.interrupt();
    let (status, stderr) = guest.end();
    assert!(stderr.contains("Ctrl-C again stops the guest"), "{stderr}");
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(!stderr.contains("trapped"), "{stderr}");
}

#[test]
fn cli_killed_guest_leaves_no_connection() {
    let mut server = Running::start(&[
        "run",
        "--allow",
        "tcp-listen=127.0.0.1:0",
        &guest_path("echo_server").display().to_string(),
        "127.0.0.1",
        "0",
    ]);
    let mut client = TcpStream::connect(("127.0.0.1", port_of(&server.line()))).expect("connects");
    client.write_all(b"x").expect("sends");
    client.read_exact(&mut [0]).expect("receives");
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
}

/// The port in `listening on ('127.0.0.1', 1234)`.
#[track_caller]
fn port_of(line: &str) -> u16 {
    let number = line.rsplit(' ').next().map(|word| word.trim_end_matches(')'));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no port in {line:?}"))
}

fn policy(example: &str) -> PathBuf {
    root().join("examples/policies").join(example).with_extension("toml")
}

/// The examples with their own policies, in which another port or path stands for the one of the
/// README: several runs of the tests must not meet.
struct Examples {
    folder: tempfile::TempDir,
    original: &'static str,
    place: String,
}

impl Examples {
    #[track_caller]
    fn new(original: &'static str, place: impl ToString) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), original, place: place.to_string() }
    }

    #[track_caller]
    fn arguments(&self, name: &str, args: &[&str]) -> Vec<String> {
        let text = std::fs::read_to_string(policy(name)).expect("the example has a policy");
        assert!(text.contains(self.original), "{name}: {text}");
        let policy = self.folder.path().join(name).with_extension("toml");
        std::fs::write(&policy, text.replace(self.original, &self.place)).expect("writes");
        let own = [
            "run".into(),
            "--policy".into(),
            policy.display().to_string(),
            guest_path(name).display().to_string(),
        ];
        own.into_iter().chain(args.iter().map(|arg| arg.to_string())).collect()
    }

    /// Starts one.
    #[track_caller]
    fn start(&self, name: &str, args: &[&str]) -> Running {
        let args = self.arguments(name, args);
        Running::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs one to its end, and gives what it printed.
    #[track_caller]
    fn run(&self, name: &str, args: &[&str]) -> String {
        text(&sandsock().args(self.arguments(name, args)).assert().success().get_output().stdout)
    }
}

#[test]
fn cli_example_echo_serves_several_clients_at_once() {
    let port = unused_port();
    let examples = Examples::new("7777", port);
    let number = &port.to_string();
    let mut server = examples.start("echo_server", &["127.0.0.1", number, "3"]);
    assert_eq!(server.line(), format!("listening on ('127.0.0.1', {port})"));
    // Two clients that are in no hurry, one of which sends more than any buffer holds and does not
    // read.
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    slow.set_nonblocking(true).expect("sets");
    let mut pending = 0;
    while let Ok(sent) = slow.write(&[7; 65536]) {
        pending += sent;
        assert!(pending < 1 << 30, "the server buffers without end");
    }
    let mut idle = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    assert_eq!(
        examples.run("echo_client", &["127.0.0.1", number, "hello", "world"]),
        format!("connected to ('127.0.0.1', {port})\nhello\nworld\n")
    );
    idle.write_all(b"still here").expect("sends");
    idle.shutdown(Shutdown::Write).expect("shuts down");
    let mut back = String::new();
    idle.read_to_string(&mut back).expect("receives");
    assert_eq!(back, "still here");
    slow.set_nonblocking(false).expect("sets");
    slow.shutdown(Shutdown::Write).expect("shuts down");
    let mut back = Vec::new();
    slow.read_to_end(&mut back).expect("receives");
    assert!(back.len() == pending && back.iter().all(|byte| *byte == 7));
    assert!(server.end().0.success());
}

#[test]
fn cli_example_async_serves_a_thousand_clients_at_once() {
    const CLIENTS: usize = 1_000;
    let files = raise_descriptor_limit(4_096);
    if files < 4_096 {
        return skip(
            "cli_example_async_serves_a_thousand_clients_at_once",
            "this process may not open 4,096 files",
        );
    }
    let port = unused_port();
    let examples = Examples::new("7781", port);
    let mut server =
        examples.start("async_server", &["127.0.0.1", &port.to_string(), &CLIENTS.to_string()]);
    assert_eq!(server.line(), format!("listening on ('127.0.0.1', {port})"));
    let mut clients: Vec<TcpStream> =
        (0..CLIENTS).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects")).collect();
    // All speak before any listens, twice; each gets its own words back.
    for round in ["hello", "and again"] {
        for (number, client) in clients.iter_mut().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(60))).expect("sets");
            client.write_all(format!("{round} from {number}").as_bytes()).expect("sends");
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let mut back = vec![0; format!("{round} from {number}").len()];
            client.read_exact(&mut back).expect("receives");
            assert_eq!(text(&back), format!("{round} from {number}"));
        }
    }
    drop(clients);
    assert_eq!(server.line(), format!("{CLIENTS} clients, {CLIENTS} at once"));
    assert!(server.end().0.success());
}

#[test]
fn cli_example_dualstack_serves_both_families() {
    let port = unused_port();
    let examples = Examples::new("7778", port);
    let number = &port.to_string();
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("cli_example_dualstack_serves_both_families", "no IPv6 here");
    }
    let mut server = examples.start("dualstack_server", &[number, "2"]);
    assert_eq!(server.line(), format!("listening on ('::', {port}, 0, 0)"));
    let stdout = examples.run("dualstack_client", &["localhost", number]);
    let expected = format!(
        "localhost has ('::1', {port}, 0, 0)\nlocalhost has ('127.0.0.1', {port})\nconnected to ('::1', {port}, 0, 0)\nyou came over IPv6\n"
    );
    assert_eq!(stdout, expected);
    let mut text = String::new();
    TcpStream::connect(("127.0.0.1", port))
        .expect("connects")
        .read_to_string(&mut text)
        .expect("receives");
    assert_eq!(text, "you came over IPv4\n");
    assert!(server.end().0.success());
    // The first address has no listener, so the client tries the second one.
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
    let native =
        std::thread::spawn(move || listener.accept().expect("accepts").0.write_all(b"found\n"));
    assert!(
        examples
            .run("dualstack_client", &["localhost", number])
            .ends_with(&format!("connected to ('127.0.0.1', {port})\nfound\n"))
    );
    native.join().expect("no panic").expect("sends");
}

#[test]
fn cli_example_udp_answers() {
    let port = unused_port();
    let examples = Examples::new("7779", port);
    let number = &port.to_string();
    let mut server = examples.start("udp_server", &["127.0.0.1", number, "1"]);
    assert_eq!(server.line(), format!("bound to ('127.0.0.1', {port})"));
    assert_eq!(
        examples.run("udp_client", &["127.0.0.1", number, "hello"]),
        format!("('127.0.0.1', {port}) answered: hello\n")
    );
    assert!(server.end().0.success());
}

#[test]
fn cli_example_unix_talks_over_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("example.sock").display().to_string();
    let examples = Examples::new("/tmp/sandsock-example.sock", &path);
    let mut server = examples.start("unix_server", &[&path, "1"]);
    assert_eq!(server.line(), format!("listening on '{path}'"));
    assert_eq!(examples.run("unix_client", &[&path, "hello"]), "hello\n");
    assert!(server.end().0.success());
    std::fs::remove_file(&path).expect("the socket's file stays");
}

#[test]
fn cli_example_handover_serves_what_it_could_not_open() {
    let port = unused_port();
    let examples = Examples::new("7783", port);
    let (number, name) = (&port.to_string(), &format!("sandsock-{port}"));
    let mut front = examples.start("handover_front", &[name, "127.0.0.1", number, "2"]);
    assert_eq!(front.line(), format!("listening on ('127.0.0.1', {port})"));
    let mut worker = examples.start("handover_worker", &[name]);
    let refused = worker.line();
    assert!(refused.starts_with("on its own: [Errno 13] Permission denied"), "{refused}");
    for _ in 0..2 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let client_name =
            format!("('127.0.0.1', {})", client.local_addr().expect("has one").port());
        client.write_all(b"hello").expect("sends");
        let mut back = String::new();
        client.read_to_string(&mut back).expect("receives");
        assert_eq!(back, "the worker heard: hello");
        assert_eq!(front.line(), format!("handed over {client_name}"));
        assert_eq!(worker.line(), format!("serving {client_name}"));
    }
    assert!(front.end().0.success());
    assert!(worker.end().0.success());
}

#[test]
fn cli_example_restricted_is_refused_all_that_it_tries() {
    let port = unused_port();
    let examples = Examples::new("7780", port);
    let number = &port.to_string();
    let mut server = examples.start("restricted_server", &["127.0.0.1", number, "1"]);
    assert_eq!(server.line(), format!("listening on ('127.0.0.1', {port})"));
    let mut report = String::new();
    TcpStream::connect(("127.0.0.1", port))
        .expect("connects")
        .read_to_string(&mut report)
        .expect("receives");
    for grant in [
        "tcp-connect=192.0.2.1:443",
        "tcp-listen=127.0.0.1:8022",
        "udp-send=192.0.2.1:53",
        "unix-connect=/run/app.sock",
        "resolve=secret.example.com",
        "option=SOL_SOCKET/SO_MARK",
    ] {
        assert!(report.contains(grant), "{grant}\n{report}");
    }
    assert_eq!(report.matches("\n  refused: ").count(), 6, "{report}");
    assert!(server.end().0.success());
    // Under a policy that allows one of the acts, it says so and fails.
    let mut server = Running::start(&[
        "run",
        "--allow",
        "option=SOL_SOCKET/SO_MARK",
        "--allow",
        "tcp-listen=127.0.0.1:0",
        &guest_path("restricted_server").display().to_string(),
        "127.0.0.1",
        "0",
        "1",
    ]);
    let mut report = String::new();
    TcpStream::connect(("127.0.0.1", port_of(&server.line())))
        .expect("connects")
        .read_to_string(&mut report)
        .expect("receives");
    assert!(report.contains("SO_MARK on the connection\n  ALLOWED"), "{report}");
    assert_eq!(server.end().0.code(), Some(1));
}

/// Makes two joined namespaces for an example that needs a network of its own. If that is
/// impossible, returns None and counts the reason.
fn network(test: &str) -> Option<(Namespace, Namespace)> {
    Namespace::linked().inspect_err(|reason| sandsock_tests::skip(test, reason)).ok()
}

#[test]
fn cli_example_ping_is_answered() {
    let Some((near, _far)) = network("cli_example_ping_is_answered") else { return };
    let examples = Examples::new("127.0.0.1", "10.77.0.2");
    near.run(|| {
        let output = examples.run("ping", &["10.77.0.2", "2"]);
        assert!(output.contains("64 bytes from 10.77.0.2: sequence 2, "), "{output}");
        assert!(output.ends_with("2 sent, 2 answered\n"), "{output}");
        let examples = Examples::new("127.0.0.1", "127.0.0.1");
        let output = examples.run("ping", &["::1", "1"]);
        assert!(output.starts_with("64 bytes from ::1: sequence 1, "), "{output}");
        let denied = sandsock().args(examples.arguments("ping", &["10.77.0.2"])).assert().failure();
        let complaint = text(&denied.get_output().stderr);
        assert!(complaint.contains("allow it with --allow raw=icmp:10.77.0.2"), "{complaint}");
    });
}

#[test]
fn cli_example_sniffer_sees_one_protocol() {
    let Some((near, _far)) = network("cli_example_sniffer_sees_one_protocol") else { return };
    let examples = Examples::new("lo", "lo");
    near.run(|| {
        let mut sniffer = examples.start("sniffer", &["lo", "udp", "2"]);
        assert_eq!(sniffer.line(), "listening on lo");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("an address").port();
        for number in 0..2 {
            // TCP, which the filter drops. The port has no listener.
            let _ = TcpStream::connect(("127.0.0.1", port));
            socket.send_to(&[0; 10], ("127.0.0.1", port)).expect("sends");
            let line = sniffer.line();
            assert_eq!(
                line,
                format!("in  udp 127.0.0.1:{port} > 127.0.0.1:{port}, 38 bytes"),
                "{number}"
            );
        }
        assert_eq!(sniffer.end().0.code(), Some(0));
    });
}

#[test]
fn cli_example_arp_scan_finds_the_neighbour() {
    let Some((near, far)) = network("cli_example_arp_scan_finds_the_neighbour") else { return };
    let shown = far.ip("link show right").expect("is shown");
    let hardware = shown
        .split_whitespace()
        .skip_while(|word| *word != "link/ether")
        .nth(1)
        .expect("an address")
        .to_owned();
    let examples = Examples::new("eth0", "left");
    near.run(|| {
        let output = examples.run("arp_scan", &["left", "10.77.0.1"]);
        assert_eq!(output, format!("10.77.0.2 is at {hardware}\n1 found\n"));
    });
}

#[test]
fn cli_example_route_monitor_tells_what_comes_and_goes() {
    let Some((near, _far)) = network("cli_example_route_monitor_tells_what_comes_and_goes") else {
        return;
    };
    let examples = Examples::new("route:read", "route:read");
    let mut monitor = near.run(|| examples.start("route_monitor", &["100"]));
    let mut until = |wanted: &str| {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| line.contains(wanted)) {
            assert!(seen.len() < 90, "no {wanted:?} in {seen:#?}");
            seen.push(monitor.line());
        }
    };
    until("left up");
    until("address 10.77.0.1/24 on link");
    until("waiting for events");
    near.ip("address add 10.78.0.1/24 dev left").expect("is added");
    until("address 10.78.0.1/24");
    near.ip("link delete left").expect("is deleted");
    until("gone: link");
}

#[test]
fn cli_examples_say_how_they_are_used() {
    for entry in
        std::fs::read_dir(policy("echo_server").parent().expect("a folder")).expect("a folder")
    {
        let policy = entry.expect("an entry").path();
        let name = policy.file_stem().expect("a name").to_string_lossy().into_owned();
        let path = policy.display().to_string();
        let stderr =
            complaint(1, &["run", "--policy", &path, &guest_path(&name).display().to_string()]);
        assert!(stderr.starts_with(&format!("usage: {name} ")), "{stderr}");
    }
}
