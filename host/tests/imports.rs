//! The imports of each crate go one way: a module may use the modules of later rows alone.
//!
//! An import of an earlier row fails, and so does an exception that nothing needs any more. Tests
//! (`#[cfg(test)]`) may use everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate, its order and the exceptions from it.
struct Layers {
    /// The folder of its sources, below the workspace's folder.
    sources: &'static str,
    /// The top-level modules, users first. Modules of one row may use each other.
    order: &'static [&'static [&'static str]],
    /// (from, to, reason). Both are module paths, or the beginnings of such.
    exceptions: &'static [(&'static str, &'static str, &'static str)],
}

const HOST: Layers = Layers {
    sources: "host/src",
    order: &[
        &["fuzzing", "linker"],
        &["calls"],
        &["ctx"],
        &["observe"],
        &["own_networks"],
        &["authority"],
        &["descriptor"],
        &["wait"],
        &["netns", "sys"],
        &["error"],
        &["bindings"],
        &["policy", "tls", ROOT],
    ],
    exceptions: &[
        ("sys", "authority::permit", "a system call takes the permit of its act"),
        ("bindings", "descriptor", "bindgen! is given the resource's type"),
        ("bindings", "error", "bindgen! is given the error's type"),
    ],
};

const POLICY: Layers = Layers {
    sources: "policy/src",
    order: &[
        &["learn", "restriction", "why"],
        &["builder", "file", "schema"],
        &[
            "allowed_senders",
            "answers",
            "ceiling",
            "chosen_ports",
            "create",
            "other_names",
            "show",
            "warnings",
        ],
        &["audit", "balance"],
        &["covers", "grant", "rule", "terms", "verbs"],
        &["endpoints"],
        &["decide"],
        &["policy"],
        &["rules"],
        &["unix"],
        &["denial", "publish", "sender_cache"],
        &["program", "senders"],
        &["index"],
        &["sets"],
        &["host", "pins"],
        &["limits", "name", "path", "port"],
        &["address", "error", "hints", "text", ROOT],
    ],
    exceptions: &[
        ("policy", "rule", "a policy holds rules"),
        ("policy", "terms", "a policy lists its budgets"),
        ("policy", "verbs", "a policy holds the rules of every verb"),
        ("decide", "rule", "a denial names a rule"),
        ("decide", "verbs", "the generic decision knows the row of a verb"),
        ("decide", "covers", "each verb compares two policies"),
        ("endpoints", "verbs", "the name of an address needs the verb resolve"),
        ("denial", "rule", "a denial names a grant, if it is one"),
        ("denial", "terms", "an answer names the budget to which the act is charged"),
        ("unix", "rule", "a denial names a rule"),
        ("unix", "verbs", "a way to a path belongs to one of two verbs"),
        ("publish", "verbs", "an address is published for a verb"),
    ],
};

const COMMAND: Layers = Layers {
    sources: "cli/src",
    order: &[
        &["policy", "python"],
        &["inspect", "run", "serve"],
        &["ask", "entry"],
        &["guest", "listen"],
        &["engine", "harden", "inherited_fds", "memory", "observers"],
        &["compiled", "compose", "folders", "learn", "stderr", "threads"],
        &["cache", "component", "output", "parts", "settings", "terminal"],
        &["exit", "help", "path_walk", "text", ROOT],
    ],
    exceptions: &[],
};

/// The part of the crate that `lib.rs` or `main.rs` itself is, and what it exports.
const ROOT: &str = "crate";

#[test]
fn imports_of_the_host_go_one_way() {
    HOST.check();
}

#[test]
fn imports_of_the_policy_go_one_way() {
    POLICY.check();
}

#[test]
fn imports_of_the_command_go_one_way() {
    COMMAND.check();
}

impl Layers {
    fn check(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(self.sources);
        let row = |module: &str| self.order.iter().position(|row| row.contains(&module));
        let (mut wrong, mut used) = (BTreeMap::new(), BTreeSet::new());
        for file in files(&root) {
            let path = module_path(&root, &file);
            let from = path.first().map_or(ROOT, String::as_str).to_owned();
            let text = std::fs::read_to_string(&file).expect("a source file");
            for target in imports(&text, &path) {
                let head = target.split("::").next().expect("a name");
                let to = if root.join(head).with_extension("rs").is_file() { head } else { ROOT };
                if from == to || from == ROOT {
                    continue;
                }
                let whole = path.join("::");
                let (Some(above), Some(below)) = (row(&from), row(to)) else {
                    wrong.insert((whole, target.clone()), "has no row in the order");
                    continue;
                };
                if above <= below {
                    continue;
                }
                let excepted = self
                    .exceptions
                    .iter()
                    .find(|(from, to, _)| begins(&whole, from) && begins(&target, to));
                match excepted {
                    Some(exception) => {
                        used.insert(exception);
                    }
                    None => {
                        wrong.insert((whole, target.clone()), "is against the order");
                    }
                }
            }
        }
        let mut report: Vec<_> =
            wrong.iter().map(|((from, to), why)| format!("{from} -> {to} {why}")).collect();
        report.extend(
            self.exceptions
                .iter()
                .filter(|exception| !used.contains(exception))
                .map(|(from, to, _)| format!("{from} -> {to} is an exception that nothing needs")),
        );
        assert!(report.is_empty(), "{}:\n{}", self.sources, report.join("\n"));
    }
}

/// Returns whether a path is that of a module, or lies below it.
fn begins(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the Rust files below a folder. Files that hold tests alone are left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs")
            && path.file_stem() != Some("tests".as_ref())
        {
            found.push(path);
        }
    }
    found
}

/// Returns the module path of a file: `a/b.rs` is `[a, b]`, and the crate's root has none.
fn module_path(root: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(root).expect("below the root").with_extension("");
    let parts: Vec<_> =
        relative.iter().map(|part| part.to_str().expect("UTF-8").to_owned()).collect();
    match parts.first().map(String::as_str) {
        Some("lib" | "main") => Vec::new(),
        _ => parts,
    }
}

/// Returns the paths that follow `crate::`, and those that enough `super::` reach.
fn imports(text: &str, path: &[String]) -> BTreeSet<String> {
    let text = code(text);
    let mut found = BTreeSet::new();
    let up = "super::".repeat(path.len());
    for prefix in ["crate::", &up] {
        for (at, _) in text.match_indices(prefix).filter(|_| !prefix.is_empty()) {
            let before = &text[..at];
            // `pub(in crate::a)` is no import. `super::` after `super::` was seen before.
            let apart = !before.ends_with(is_name) && !before.ends_with("::");
            if apart && !before.ends_with("in ") {
                leaves("", &text[at + prefix.len()..], &mut found);
            }
        }
    }
    found
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// Adds the paths of a use tree, `{a::b, c::{d, e}}` for one, and returns what follows the tree.
fn leaves<'a>(above: &str, tree: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let tree = tree.trim_start();
    let end = tree.find(|letter| !is_name(letter) && letter != ':').unwrap_or(tree.len());
    let (name, mut rest) = tree.split_at(end);
    let path = format!("{above}{name}");
    if !rest.starts_with('{') || !(name.is_empty() || name.ends_with("::")) {
        if !name.is_empty() {
            found.insert(path.trim_end_matches(':').to_owned());
        }
        return rest;
    }
    while let Some(more) = rest.strip_prefix(['{', ',']) {
        rest = leaves(&path, more, found);
        // `as another_name`.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// Returns the text without line comments, and without what only tests have.
fn code(text: &str) -> String {
    let (mut kept, mut test, mut skipping) = (String::new(), false, false);
    for line in text.lines() {
        if skipping {
            skipping = line != "}";
            continue;
        }
        let line = match line.trim_start() {
            comment if comment.starts_with("//") => continue,
            _ => line,
        };
        if line.starts_with("#[cfg(test)]") {
            test = true;
            continue;
        }
        if test {
            // An item of one line, or up to the brace that closes it in the first column.
            test = line.starts_with("#[");
            skipping = !test && !line.trim_end().ends_with(';') && !line.trim_end().ends_with('}');
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[test]
fn imports_are_found() {
    let found = |text: &str, path: &[&str]| {
        let path: Vec<_> = path.iter().map(|part| (*part).to_owned()).collect();
        imports(text, &path).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("use crate::a::{b, c};\nlet x = crate::d::e();", &["m"]), "a::b a::c d::e");
    assert_eq!(found("use crate::{a::{b, c}, d, e as f, g::h};", &["m"]), "a::b a::c d e g::h");
    assert_eq!(found("use super::a::b;\nuse super::super::c::d;", &["m", "n"]), "c::d");
    assert_eq!(found("use super::a::b;", &["m"]), "a::b");
    assert_eq!(found("pub(in crate::a) fn f() {}\n// crate::b\n", &["m"]), "");
    let tests = "use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n#[cfg(test)]\nuse crate::c;\nuse crate::d;";
    assert_eq!(found(tests, &["m"]), "a d");
}
