//! `sandsock policy`: what its subcommands print, and their statuses.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use sandsock_tests::command;
use serde_json::Value;

/// A folder with policy files, in which the command runs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("writes");
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    #[track_caller]
    fn run(&self, status: i32, args: &[&str]) -> Output {
        let mut command = assert_cmd::Command::new(command());
        command.timeout(Duration::from_secs(60)).current_dir(self.path());
        let output = command.arg("policy").args(args).output().expect("runs");
        assert_eq!(output.status.code(), Some(status), "{args:?}\n{output:?}");
        output
    }

    /// Returns what is printed on standard output. Nothing else may be.
    #[track_caller]
    fn printed(&self, status: i32, args: &[&str]) -> String {
        let output = self.run(status, args);
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[track_caller]
    fn json(&self, status: i32, args: &[&str]) -> Value {
        let text = self.printed(status, &[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Returns the error that is printed. Nothing else may be.
    #[track_caller]
    fn complaint(&self, status: i32, args: &[&str]) -> String {
        let output = self.run(status, args);
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }
}

#[test]
fn policy_check_reports_errors_with_their_place_and_warnings() {
    let folder = Folder::new(&[
        ("good.toml", "allow = ['tcp-connect=192.0.2.1:443']\n"),
        ("bad.toml", "allow = [\n  'tcp-conect=192.0.2.1:443',\n]\n"),
        ("odd.toml", "allow = ['tcp-connect=*:443']\ndeny = ['tcp-connect=db.example:443']\n"),
        ("\u{1b}[31m.toml", "x = 1"),
    ]);
    let text = folder.printed(0, &["check", "good.toml"]);
    assert_eq!(text, "good.toml: valid, 1 rule allows and 0 deny\n");
    let text = folder.printed(1, &["check", "good.toml", "bad.toml"]);
    let (first, second) = text.split_once('\n').expect("two lines");
    assert_eq!(first, "good.toml: valid, 1 rule allows and 0 deny");
    assert!(
        second.starts_with("bad.toml:2:4: in `tcp-conect=192.0.2.1:443`: unknown verb"),
        "{second}"
    );
    assert!(second.ends_with("did you mean tcp-connect?\n"), "{second}");
    let text = folder.printed(0, &["check", "odd.toml"]);
    assert!(text.contains("odd.toml: warning: the denial tcp-connect=db.example:443 "), "{text}");
    let text = folder.printed(1, &["check", "missing.toml"]);
    assert_eq!(
        text,
        "missing.toml: can't read the policy file: No such file or directory (os error 2)\n"
    );
    // The name of a file does not steer a terminal.
    let text = folder.printed(1, &["check", "\u{1b}[31m.toml"]);
    assert!(text.starts_with("\\u{1b}[31m.toml:1:1: unknown key `x`"), "{text}");
    let answer = folder.json(1, &["check", "good.toml", "bad.toml", "odd.toml", "missing.toml"]);
    assert_eq!(answer["valid"], false);
    let files = answer["files"].as_array().expect("a list");
    assert_eq!(files[0]["valid"], true);
    assert_eq!((&files[1]["error"]["line"], &files[1]["error"]["column"]), (&2.into(), &4.into()));
    assert_eq!(files[2]["warnings"][0]["rule"], "tcp-connect=db.example:443");
    assert_eq!(files[3]["valid"], false);
    assert!(folder.complaint(125, &["check"]).contains("<FILE>..."));
}

#[test]
fn policy_show_prints_a_policy_that_is_the_same() {
    let folder = Folder::new(&[(
        "base.toml",
        "allow = ['unix-bind=run/*.sock', 'tcp-connect=db.example:5432;rate=1MiB/s']\n[resolve]\n'db.example' = '10.0.0.5'\n",
    )]);
    let options = [
        "--policy",
        "base.toml",
        "--allow",
        "resolve=*",
        "--deny",
        "tcp-connect=10.0.0.0/8:*",
        "--limit",
        "descriptors=64",
        "--publish",
        "0.0.0.0:8080=127.0.0.1:80/tcp",
        "--resolve",
        "db.example=::1",
        "--hostname",
        "x",
        "--stats",
    ];
    let shown =
        folder.printed(0, &[&["show"][..], &options, &["app.wasm", "--allow", "x"]].concat());
    for line in [
        "    \"tcp-connect=db.example:5432;rate=1MiB/s\",",
        "    \"tcp-connect=10.0.0.0/8:*\",",
        "    \"0.0.0.0:8080=127.0.0.1:80/tcp\",",
        "descriptors = 64",
        "pollers = 16",
        "\"db.example\" = [\"10.0.0.5\", \"::1\"]",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    std::fs::write(folder.path().join("shown.toml"), &shown).expect("writes");
    assert_eq!(folder.printed(0, &["show", "--policy", "shown.toml"]), shown);
    let error = folder.complaint(125, &["show", "--allow", "tcp-conect=1:2"]);
    assert!(error.contains("did you mean tcp-connect?"), "{error}");
}

#[test]
fn policy_why_names_the_rule_and_what_would_change_it() {
    let folder = Folder::new(&[(
        "p.toml",
        "allow = ['tcp-connect=*:80', 'tcp-connect=db.example:5432']\ndeny = ['tcp-connect=10.0.0.0/8:*']\n",
    )]);
    let why = |status, act: &str| folder.printed(status, &["why", "p.toml", act]);
    assert_eq!(
        why(0, "tcp-connect=192.0.2.1:80"),
        "allowed: tcp-connect=192.0.2.1:80 is allowed by the rule tcp-connect=*:80\n  \
         to deny it: remove the rule tcp-connect=*:80, or deny tcp-connect=192.0.2.1:80\n"
    );
    assert_eq!(
        why(1, "tcp-connect=10.1.2.3:443"),
        "denied: tcp-connect to 10.1.2.3:443 is denied by the rule tcp-connect=10.0.0.0/8:*\n  \
         to allow it: remove the denial tcp-connect=10.0.0.0/8:*, and add the rule tcp-connect=10.1.2.3:443\n"
    );
    let text = why(0, "tcp-connect=db.example:5432");
    assert!(text.contains("private space") && text.contains("10.0.0.0/8"), "{text}");
    assert!(
        why(1, "udp-send=db.example:53")
            .contains("to allow it: add the rule udp-send=db.example:53")
    );
    assert!(why(0, "option=SOL_SOCKET/SO_KEEPALIVE").contains("it needs no grant"));
    // The options of `run` add to the file, or stand alone.
    let with =
        folder.printed(0, &["why", "--allow", "udp-send=*:53", "p.toml", "udp-send=192.0.2.1:53"]);
    assert!(with.contains("by the rule udp-send=*:53"), "{with}");
    folder.printed(1, &["why", "--deny", "resolve=*", "--allow-all", "resolve=a.example"]);
    let answer = folder.json(1, &["why", "p.toml", "tcp-connect=10.1.2.3:443"]);
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["rules"][0], "tcp-connect=10.0.0.0/8:*");
    assert_eq!(answer["missing"], "tcp-connect=10.1.2.3:443");
    for (args, words) in [
        (
            &["p.toml", "tcp-connect=10.0.0.0/8:443"][..],
            "the target names more than one act; write one address",
        ),
        (&["p.toml", "tcp-conect=10.0.0.1:443"], "did you mean tcp-connect?"),
        (&["p.toml"], "write the act after it, as in `policy why p.toml"),
        (&["missing.toml", "resolve=a.example"], "can't read the policy file"),
        (&["--allow", "x", "resolve=a.example"], "--allow x: at character 1: unknown verb"),
    ] {
        let error = folder.complaint(2, &[&["why"][..], args].concat());
        assert!(error.contains(words) && error.lines().count() == 1, "{args:?}: {error}");
    }
}

#[test]
fn policy_covers_says_what_is_more() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "allow = ['tcp-connect=10.0.0.0/8:443', 'unix-connect=/run/app/*.sock']\n[limits]\ndescriptors = 2048\n",
        ),
        (
            "b.toml",
            "allow = ['tcp-connect=10.0.0.0/8:*', 'unix-connect=/run/**']\ndeny = ['tcp-connect=10.0.0.1:*']\n",
        ),
        ("bad.toml", "allow = ['x']"),
    ]);
    assert_eq!(
        folder.printed(0, &["covers", "a.toml", "a.toml"]),
        "a.toml grants nothing that a.toml does not\n"
    );
    assert_eq!(
        folder.printed(1, &["covers", "a.toml", "b.toml"]),
        "a.toml grants more than b.toml, for example:\n  \
         tcp-connect=10.0.0.1:443\n    \
         a.toml allows it by tcp-connect=10.0.0.0/8:443\n    \
         b.toml: tcp-connect to 10.0.0.1:443 is denied by the rule tcp-connect=10.0.0.1:*\n  \
         the limit descriptors=2048; b.toml has 1024\n"
    );
    let answer = folder.json(1, &["covers", "b.toml", "a.toml"]);
    assert_eq!(answer["covered"], false);
    let acts: Vec<&str> = answer["excess"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|excess| excess["act"].as_str().expect("an act"))
        .collect();
    assert_eq!(acts.len(), 2);
    // Each act is one that `why` explains as it was said.
    for act in acts {
        folder.printed(0, &["why", "b.toml", act]);
        folder.printed(1, &["why", "a.toml", act]);
    }
    assert_eq!(folder.json(0, &["covers", "a.toml", "a.toml"])["covered"], true);
    let error = folder.complaint(2, &["covers", "a.toml", "bad.toml"]);
    assert!(error.contains("bad.toml:1:11: in `x`: unknown verb `x`"), "{error}");
    folder.complaint(2, &["covers", "missing.toml", "a.toml"]);
}

#[test]
fn policy_schema_is_json() {
    let text = Folder::new(&[]).printed(0, &["schema"]);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert!(schema["properties"]["allow"].is_object(), "{text}");
}
