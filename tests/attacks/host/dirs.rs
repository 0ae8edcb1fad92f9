//! A guest can't use its folders to change what a rule means or what the command trusts: such
//! folders are refused unless they are read-only.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sandsock_tests::{command, programs};

use super::output::{Serving, ask};

/// The command, bounded in time.
fn run(args: &[&str]) -> Output {
    let mut command = assert_cmd::Command::new(command());
    command.timeout(Duration::from_secs(60)).arg("run").args(args).output().expect("runs")
}

/// Makes the sockets and files that the guest tries to change.
fn fill(root: &Path) -> Vec<UnixListener> {
    for folder in ["app", "admin", "empty"] {
        std::fs::create_dir(root.join(folder)).expect("makes");
    }
    std::fs::write(root.join("policy.toml"), "deny = ['hostname=set']").expect("writes");
    ["app/own.sock", "admin/ctl"]
        .map(|name| UnixListener::bind(root.join(name)).expect("binds"))
        .into()
}

#[test]
pub(crate) fn attack_dirs_names_denied() {
    let (folder, other) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (root, free) = (
        folder.path().canonicalize().expect("is there"),
        other.path().canonicalize().expect("is there"),
    );
    let _listeners = [fill(&root), fill(&free)];
    let guest = programs::attack_dirs_names_denied.path().display().to_string();
    let (allow, deny) = (
        format!("unix-connect={}/app/*.sock", root.display()),
        format!("unix-connect={}/admin/**", root.display()),
    );
    let (text, policy) =
        (root.display().to_string(), root.join("policy.toml").display().to_string());
    let rules = ["--allow", &allow, "--deny", &deny];
    // A writable folder is refused, by each of its names.
    let named = other.path().join("named");
    symlink(&root, &named).expect("links");
    for given in
        [text.clone(), format!("{text}/app"), format!("{text}/admin"), named.display().to_string()]
    {
        let output =
            run(&[&rules[..], &["--dir", &format!("{given}::/r"), &guest, &text]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        let option = format!("--dir {given}::/r");
        assert!(said.contains(&option) && said.contains(&format!("{option}:ro")), "{said}");
        assert!(
            said.contains(&format!("--allow {allow}")) || said.contains(&format!("--deny {deny}")),
            "{said}"
        );
    }
    std::fs::remove_file(named).expect("is there");
    let output = run(&["--policy", &policy, "--dir", &format!("{text}::/r"), &guest, &text]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    // A read-only folder is given, and no act that writes succeeds in it.
    let (read_only, free_option) = (format!("{text}::/r:ro"), format!("{}::/t", free.display()));
    let given = [&rules[..], &["--policy", &policy, "--dir", &read_only, "--dir"]].concat();
    let output = run(&[&given[..], &[&free_option, &guest, &text]].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_to_string(&policy).expect("is there"), "deny = ['hostname=set']");
    let names = |folder: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("is there")
            .map(|entry| entry.expect("one").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&root), ["admin", "app", "empty", "policy.toml"]);
    assert_eq!(
        (names(&root.join("app")), names(&root.join("admin"))),
        (vec!["own.sock".into()], vec!["ctl".into()])
    );
    assert_eq!(names(&free.join("app")), ["own.sock"]);
    // The twin does all of it in a folder that no rule names.
    let output = run(&[&given[..], &[&free_option, &guest, "twin", &text]].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(&free.join("app")), ["linked.sock", "own.sock", "renamed.sock", "soft.sock"]);
    assert_eq!(names(&free), ["app", "made", "made.toml", "moved"]);
    assert_eq!(names(&root), ["admin", "app", "empty", "policy.toml"]);
}

/// A folder is opened once: a link that replaces it while the command runs has no effect on later
/// instances.
#[test]
fn attack_dirs_link_made_while_served_leads_nowhere() {
    let (folder, apart) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let root = folder.path().canonicalize().expect("is there");
    std::fs::create_dir(root.join("given")).expect("makes");
    std::fs::write(root.join("given/name"), "its own").expect("writes");
    std::fs::write(apart.path().join("name"), "secret").expect("writes");
    let socket = tempfile::tempdir().expect("a folder");
    let (outer, inner) =
        (format!("{}::/outer", root.display()), format!("{}/given::/given:ro", root.display()));
    let serving = Serving::start(
        socket.path(),
        &["--dir", &outer, "--dir", &inner],
        Stdio::null(),
        Stdio::null(),
    );
    assert_eq!(ask(&mut serving.connect(), "read /given/name"), "its own");
    // A guest with the outer folder could do the same.
    std::fs::rename(root.join("given"), root.join("moved")).expect("renames");
    symlink(apart.path(), root.join("given")).expect("links");
    assert_eq!(ask(&mut serving.connect(), "read /given/name"), "its own");
    assert_eq!(ask(&mut serving.connect(), "read /outer/moved/name"), "its own");
    assert_ne!(ask(&mut serving.connect(), "read /outer/given/name"), "secret");
    drop(serving);
    // The next command refuses the link.
    let output = run(&[
        "--dir",
        &outer,
        "--dir",
        &inner,
        &programs::cli_end_ok.path().display().to_string(),
        "ok",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(125) && said.contains(" has a link in "), "{said}");
}
