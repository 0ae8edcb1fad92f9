//! Promise: the resolver is asked for exactly the name that was checked, and deny rules hold for
//! the other names of an answer.

use std::net::TcpListener;
use std::process::Command;

use sandsock_tests::resolver::{NameServer, with_own_resolver};
use sandsock_tests::{Guest, both_ways, command, programs};

const RECORDS: &str = "\
93.184.216.34 secret.corp.example
93.184.216.34 host.example
93.184.216.35 db.corp.example
93.184.216.36 open.example
";

const ALIASES: &[(&str, &str)] = &[
    ("alias.example", "secret.corp.example"),
    // A chain whose names between and at the end are what rules name.
    ("outer.example", "middle.corp.example"),
    ("middle.corp.example", "host.example"),
    ("harmless.example", "open.example"),
];

#[test]
pub(crate) fn attack_search_names_denied() {
    const TEST: &str = "attacks::search::attack_search_names_denied";
    let program = programs::attack_search_names_denied;
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, RECORDS, ALIASES) else { return };
        let configure = |options: &str| {
            let text = format!(
                "nameserver 127.0.0.1\nsearch corp.example\noptions timeout:3 attempts:1 {options}\n"
            );
            std::fs::write("/etc/resolv.conf", text).expect("the file is ours");
        };
        let hosts = "127.0.0.1 localhost\n192.0.2.80 files.example files www.files.example\n192.0.2.81 label secret.file.example\n";
        std::fs::write("/etc/hosts", hosts).expect("the file is ours");
        let listener = TcpListener::bind("93.184.216.34:0").expect("the namespace is ours");
        let port = listener.local_addr().expect("is bound").port();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let run = |guest: Guest, words: &[&str]| {
            words.iter().fold(guest, |guest, word| guest.arg(word)).run().success();
        };
        both_ways(|way| {
            let guest = || Guest::new(program, way).allow("resolve=*").allow("tcp-connect=*:9");
            // A denied name by its label, whatever the resolver's options are; and by an alias, and
            // by what stands between.
            for options in ["", "ndots:5"] {
                configure(options);
                let denied = guest()
                    .deny("resolve=secret.corp.example")
                    .deny("resolve=middle.corp.example")
                    .deny("resolve=secret.file.example");
                run(
                    denied,
                    &[
                        "none:secret",
                        "none:SECRET",
                        "none:secret.corp",
                        "none:db",
                        "denied:secret.corp.example",
                        "denied:alias.example",
                        "denied:alias.example.",
                        "denied:outer.example",
                        // The name as the hosts file has it.
                        "denied:label",
                        "found:files",
                        "found:files.example",
                        "found:www.files.example",
                        "found:harmless.example",
                        "found:db.corp.example",
                    ],
                );
                assert!(
                    !server.asked().contains(&"secret.corp.example".to_owned()),
                    "{:?}",
                    server.asked()
                );
            }
            configure("");
            // The end of the chain.
            run(
                guest().deny("resolve=host.example"),
                &["denied:outer.example", "denied:middle.corp.example", "found:alias.example"],
            );
            run(
                guest().deny("resolve=*.corp.example"),
                &["denied:outer.example", "denied:alias.example", "found:host.example"],
            );
            // Rules about what a name is for.
            let connect = format!("connect:alias.example:{port}");
            let port_denied = || guest().allow(format!("tcp-connect=*:{port}"));
            run(port_denied().deny(format!("tcp-connect=secret.corp.example:{port}")), &[&connect]);
            run(port_denied(), &["twin", &connect]);
            // A granted name of one label is searched, and each name that the search list makes of
            // it is checked.
            let label = || Guest::new(program, way).allow("resolve=db").allow("tcp-connect=*:9");
            run(label(), &["found:db"]);
            run(label().deny("resolve=db.corp.example"), &["denied:db"]);
            run(label().deny("resolve=*.corp.example"), &["denied:db"]);
            run(label().deny("resolve=other.corp.example"), &["found:db"]);
        });
        both_ways(|way| {
            let guest = Guest::new(program, way)
                .allow("resolve=*")
                .allow("tcp-connect=*:9")
                .allow("resolve=secret");
            // The twin: the same without the rules that deny.
            run(
                guest,
                &[
                    "twin",
                    "x:alias.example",
                    "x:outer.example",
                    "x:secret.corp.example",
                    "x:label",
                    "x:secret",
                ],
            );
        });
        environment(program.path().display().to_string());
    });
}

/// glibc's resolver reads the command's environment.
fn environment(program: String) {
    let folder = tempfile::tempdir().expect("a folder");
    let aliases = folder.path().join("aliases");
    std::fs::write(&aliases, "innocent secret.corp.example\n").expect("writes");
    let output = Command::new(command())
        .env("HOSTALIASES", &aliases)
        .env("LOCALDOMAIN", "corp.example")
        .env("RES_OPTIONS", "ndots:9")
        .args([
            "run",
            "--allow",
            "resolve=*",
            "--allow",
            "tcp-connect=*:9",
            "--deny",
            "resolve=secret.corp.example",
        ])
        .args([&program, "none:innocent", "none:secret", "found:open.example", "found:files"])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
