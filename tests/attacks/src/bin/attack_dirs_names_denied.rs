//! Tries to change the names that the policy checks and the files that the command trusts: renames,
//! links, writes.
//!
//! `/r` is the folder of the policy's sockets and is read-only. `/t` has the same files, is
//! writable, and no rule names it: the twin acts there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};

use sandsock::constants::{AF_UNIX, SOCK_STREAM};
use sandsock::errno::ENOENT;
use sandsock::{Result, Socket};

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

fn main() -> Result<()> {
    let args = attack::args();
    let (twin, root) = match args.as_slice() {
        [twin, root] if twin == "twin" => (true, root.as_str()),
        [root] => (false, root.as_str()),
        other => panic!("{other:?}"),
    };
    let connect = |path: &str| {
        Socket::new(AF_UNIX, SOCK_STREAM, 0)?.connect(format!("{root}/{path}").as_str())
    };
    for (what, act) in ACTS {
        let result = act(if twin { "/t" } else { "/r" });
        match (twin, &result) {
            (true, Ok(())) => {}
            (false, Err(error)) if error.kind() == ErrorKind::PermissionDenied => {}
            _ => panic!("{what}: {result:?}"),
        }
    }
    if !twin {
        // Both folders are in one file system.
        for (what, result) in [
            ("link out", fs::hard_link("/r/admin/ctl", "/t/app/out.sock")),
            ("rename out", fs::rename("/r/admin/ctl", "/t/app/out.sock")),
            ("link in", fs::hard_link("/t/admin/ctl", "/r/app/in.sock")),
            ("rename in", fs::rename("/t/admin/ctl", "/r/app/in.sock")),
        ] {
            assert!(result.is_err(), "{what}");
        }
    }
    for name in ["renamed", "linked", "soft", "in"] {
        attack::refused(name, connect(&format!("app/{name}.sock")), ENOENT);
    }
    attack::denied_by_rule("the denied one", connect("admin/ctl"));
    connect("app/own.sock")
}

/// An act that needs write access to the folder.
type Act = fn(&str) -> io::Result<()>;

/// The order matters: a file is renamed before its folder.
const ACTS: &[(&str, Act)] = &[
    ("hard link", |at| fs::hard_link(format!("{at}/admin/ctl"), format!("{at}/app/linked.sock"))),
    #[allow(deprecated)]
    ("symbolic link", |at| fs::soft_link("../admin/ctl", format!("{at}/app/soft.sock"))),
    ("rename", |at| fs::rename(format!("{at}/admin/ctl"), format!("{at}/app/renamed.sock"))),
    ("rename a folder", |at| fs::rename(format!("{at}/admin"), format!("{at}/moved"))),
    ("make a folder", |at| fs::create_dir(format!("{at}/made"))),
    ("remove a folder", |at| fs::remove_dir(format!("{at}/empty"))),
    ("make a file", |at| File::create_new(format!("{at}/made.toml")).map(drop)),
    ("empty a file", |at| File::create(format!("{at}/policy.toml")).map(drop)),
    ("write a file", |at| {
        OpenOptions::new()
            .write(true)
            .open(format!("{at}/policy.toml"))?
            .write_all(b"allow = ['x']")
    }),
    ("append to a file", |at| {
        OpenOptions::new().append(true).open(format!("{at}/policy.toml"))?.write_all(b"#")
    }),
    ("write what is open to be read too", |at| {
        OpenOptions::new().read(true).write(true).open(format!("{at}/policy.toml"))?.write_all(b"#")
    }),
    ("rename over a file", |at| {
        let _ = fs::write(format!("{at}/other.toml"), "allow = []");
        fs::rename(format!("{at}/other.toml"), format!("{at}/policy.toml"))
    }),
    ("remove a file", |at| fs::remove_file(format!("{at}/policy.toml"))),
];
