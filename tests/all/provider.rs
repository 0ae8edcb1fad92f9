//! The provider component: its parts, and apps composed with it. tests/conformance/ tests what its
//! functions do.

use std::net::TcpListener;
use std::process::Command;

use sandsock_tests::bench::serve;
use sandsock_tests::{Guest, both_ways, command, guest_path, programs, skip, target};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine};

/// The names of one side's functions, as `interface function`.
fn names<'a>(
    engine: &Engine,
    items: impl Iterator<Item = (&'a str, ComponentItem)>,
) -> Vec<String> {
    let mut names = Vec::new();
    for (name, item) in items {
        match item {
            ComponentItem::ComponentInstance(instance) => {
                names
                    .extend(instance.exports(engine).map(|(export, _)| format!("{name} {export}")));
            }
            _ => names.push(name.to_owned()),
        }
    }
    names
}

#[test]
fn provider_imports_only_sandsock() {
    let engine = Engine::new(&Config::new()).expect("an engine");
    let provider =
        Component::from_file(&engine, guest_path("provider")).expect("`make guests` built it");
    let kind = provider.component_type();
    let imports = names(&engine, kind.imports(&engine).map(|(name, item)| (name, item.ty)));
    assert!(!imports.is_empty());
    for import in &imports {
        assert!(import.starts_with("sandsock:socket/"), "the provider imports {import}");
        assert!(
            !import.starts_with("sandsock:socket/sockets@"),
            "the provider imports what it exports"
        );
    }
    let exports = names(&engine, kind.exports(&engine).map(|(name, item)| (name, item.ty)));
    for export in
        ["sandsock:socket/sockets@0.1.0 create-connection", "sandsock:socket/data-plane@0.1.0 plan"]
    {
        assert!(exports.iter().any(|name| name == export), "{export} is not among {exports:?}");
    }
}

/// The command, without a provider of the environment's.
fn sandsock() -> Command {
    let mut command = Command::new(command());
    command.env_remove("SANDSOCK_PROVIDER");
    command
}

/// The command fails with this status, and its complaint holds these words.
#[track_caller]
fn fails(command: &mut Command, status: i32, words: &str) {
    let output = command.output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(words), "{words}\n{stderr}");
}

#[test]
pub(crate) fn provider_transfer_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    std::thread::spawn(move || serve(&listener));
    both_ways(|way| {
        for (plane, operation, size) in [
            ("plain", "send", 65536),
            ("plain", "receive", 65536),
            ("plain", "round-trip", 64),
            ("data-plane", "send", 65536),
            ("data-plane", "receive", 65536),
            ("data-plane", "round-trip", 64),
        ] {
            let guest = Guest::new(programs::provider_transfer_ok, way).composed();
            let guest =
                guest.allow(format!("tcp-connect=127.0.0.1:{port}")).arg(plane).arg(operation);
            let printed = guest.arg(port).arg(size).arg(20).run().success();
            assert!(printed.trim().parse::<u64>().expect("nanoseconds") > 0);
        }
    });
}

#[test]
fn provider_policy_denies() {
    // The app and its provider have one policy: the provider gets nothing that the app was not
    // granted.
    both_ways(|way| {
        let guest = Guest::new(programs::provider_transfer_ok, way)
            .composed()
            .allow("tcp-connect=127.0.0.1:1");
        let ended = guest.arg("plain").arg("send").arg(2).arg(64).arg(1).run();
        assert!(matches!(ended.result, Ok(Err(()))), "{ended:?}");
        assert!(ended.stderr.contains("tcp-connect=127.0.0.1:2"), "{}", ended.stderr);
    });
}

#[test]
fn provider_budget_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    std::thread::spawn(move || serve(&listener));
    both_ways(|way| {
        for plane in ["plain", "data-plane"] {
            let run = |bytes: &str| {
                let guest = Guest::new(programs::provider_transfer_ok, way).composed();
                let guest = guest.allow(format!("tcp-connect=127.0.0.1:{port};bytes={bytes}"));
                guest.arg(plane).arg("round-trip").arg(port).arg(64).arg(20).run()
            };
            run("1MiB").success();
            let ended = run("1000");
            assert!(!matches!(ended.result, Ok(Ok(()))), "{ended:?}");
            assert!(ended.stderr.contains("has no bytes left"), "{}", ended.stderr);
        }
    });
}

#[test]
fn provider_plugins_apart() {
    // Two plugins in one host: each is composed with a provider of its own and has a policy of its
    // own.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("listens"));
    let ports =
        listeners.each_ref().map(|listener| listener.local_addr().expect("has an address").port());
    for listener in listeners {
        std::thread::spawn(move || serve(&listener));
    }
    both_ways(|way| {
        let plugin = |granted: u16, asked: u16| {
            let guest = Guest::new(programs::provider_transfer_ok, way).composed();
            let guest = guest.allow(format!("tcp-connect=127.0.0.1:{granted}"));
            guest.arg("data-plane").arg("round-trip").arg(asked).arg(64).arg(20).start()
        };
        let both = [plugin(ports[0], ports[0]), plugin(ports[1], ports[1])];
        for running in both {
            running.join().success();
        }
        let denied = plugin(ports[0], ports[1]).join();
        assert!(
            denied.stderr.contains(&format!("tcp-connect=127.0.0.1:{}", ports[1])),
            "{}",
            denied.stderr
        );
    });
}

#[test]
fn provider_run_composes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port().to_string();
    std::thread::spawn(move || serve(&listener));
    let app = programs::provider_transfer_ok.path();
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let run = |command: &mut Command| {
        let output =
            command.args(["data-plane", "round-trip", &port, "64", "20"]).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(sandsock().args(["run", "--allow", &grant]).arg(&app));
    let folder = tempfile::tempdir().expect("a folder");
    let composed = folder.path().join("composed.wasm");
    assert!(
        sandsock()
            .arg("compose")
            .arg(&app)
            .arg("-o")
            .arg(&composed)
            .status()
            .expect("runs")
            .success()
    );
    // It is whole: no provider is looked for.
    run(sandsock()
        .env("SANDSOCK_PROVIDER", "/nowhere")
        .args(["run", "--allow", &grant])
        .arg(&composed));
    let output = sandsock().arg("inspect").arg(&app).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("sandsock:socket/sockets@0.1.0 (from the provider "), "{text}");
}

#[test]
fn provider_compose_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.wasm");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path
    };
    let app = programs::provider_transfer_ok.path();
    let compose = || {
        let mut command = sandsock();
        command.arg("compose").arg("-o").arg(&output);
        command
    };
    fails(compose().arg(&app).arg(&app), 125, "one provider serves one app");
    fails(
        compose().arg(programs::bench_transfer_ok.path()),
        126,
        "it does not import sandsock:socket/sockets",
    );
    fails(compose().arg(folder.path().join("missing.wasm")), 126, "can't read the component");
    fails(
        compose().arg(&app).arg("--provider").arg(folder.path().join("none.wasm")),
        125,
        "can't read the provider",
    );
    fails(compose().env("SANDSOCK_PROVIDER", "/nowhere").arg(&app), 125, "can't read the provider");
    // A type that differs from the provider's.
    let import = r#"(component (import "sandsock:socket/sockets@0.1.0" (instance (export "nothing" (func)))))"#;
    let other = write("other.wat", import);
    fails(
        compose().arg(&other),
        126,
        "the provider exports no sandsock:socket/sockets@0.1.0 of the type",
    );
    fails(
        sandsock().arg("run").arg(&other),
        126,
        "the provider exports no sandsock:socket/sockets@0.1.0 of the type",
    );
    // A provider that is none.
    fails(
        compose().arg(&app).arg("--provider").arg(write("empty.wat", "(component)")),
        126,
        "the provider exports no ",
    );
    assert!(!output.exists());
}

#[test]
fn provider_apps_speak() {
    // The example apps, in every language that was built.
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone()?, &mut stream));
        }
    });
    for app in
        ["guests/composed_client", "apps/composed_client_python", "apps/composed_client_javascript"]
    {
        let path = target().join(app).with_extension("wasm");
        if !path.exists() {
            assert_ne!(app, "guests/composed_client", "`make guests` builds it");
            skip("provider_apps_speak", &format!("no target/{app}.wasm; `make apps` builds it"));
            continue;
        }
        let run = |grant: &str| {
            let mut command = sandsock();
            command.args(["run", "--allow", grant]).arg(&path).args([
                "127.0.0.1",
                &port,
                "hello",
                "there",
            ]);
            command.output().expect("runs")
        };
        let output = run(&format!("tcp-connect=127.0.0.1:{port}"));
        assert!(output.status.success(), "{app}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nthere\n", "{app}");
        let output = run("tcp-connect=127.0.0.1:1");
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("PermissionError") && stderr.contains(&port), "{app}: {stderr}");
    }
}
