//! An embedder's own crate, outside of the workspace: it compiles, runs a guest under its policy, and
//! takes nothing along that the command alone needs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use sandsock_host::policy::Policy;
use sandsock_tests::bench::wasi::{By, Program, Version};
use sandsock_tests::built::{crates, rustc};
use sandsock_tests::{guest_path, root, skip, target};

/// Compiles a program of an embedder.
#[track_caller]
fn compile(source: &str, program: &Path) {
    let crates = crates();
    let mut compiler = rustc();
    for name in ["sandsock_host", "wasmtime", "wasmtime_wasi"] {
        compiler.arg("--extern").arg(format!("{name}={}", crates[name].display()));
    }
    let output = compiler.arg("-o").arg(program).arg(root().join(source)).output();
    let output = output.expect("rustc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn embedder_is_built_and_runs() {
    let work = tempfile::tempdir().expect("a folder");
    let program = work.path().join("embedder");
    compile("tests/embedder/src/main.rs", &program);

    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..count]).expect("sends");
        }
    });
    let run = |grant: String| {
        let output = Command::new(&program)
            .arg(guest_path("echo_client"))
            .args([&grant, "127.0.0.1", &port.to_string(), "hello"])
            .output()
            .expect("starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let refused = run(format!("tcp-connect=127.0.0.1:{}", port ^ 1));
    assert!(refused.contains("the guest failed") && !refused.contains("succeeded"), "{refused}");
    let allowed = run(format!("tcp-connect=127.0.0.1:{port}"));
    assert!(allowed.contains("hello") && allowed.contains("the guest succeeded"), "{allowed}");
    echo.join().expect("the echo ends");
}

/// The example with ten Python plugins, each with a policy of its own.
#[test]
fn embedder_runs_ten_python_plugins() {
    let runner = target().join("python");
    if !runner.join("version").exists() {
        let missing = "no target/python/runner.wasm; `make python` builds it, with python3 and pip";
        skip("embedder_runs_ten_python_plugins", missing);
        return;
    }
    let work = tempfile::tempdir().expect("a folder");
    let program = work.path().join("plugins");
    compile("host/examples/python_plugins.rs", &program);
    let output = Command::new(&program).arg(&runner).output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    for number in 0..10 {
        // Each gets an answer from its own service, and none from its neighbour's.
        let own = format!("plugin {number}: service {number}\n");
        let refused =
            format!("plugin {number}: [Errno 2] Permission denied: tcp-connect to 127.0.0.1:");
        assert!(text.contains(&own) && text.contains(&refused), "{text}");
    }
    // One more plugin costs at most 20 MiB.
    let costs = text.lines().filter_map(|line| {
        let (_, cost) = line.strip_suffix(" KiB resident more")?.rsplit_once(' ')?;
        cost.parse::<u64>().ok()
    });
    let costs: Vec<u64> = costs.collect();
    assert_eq!(costs.len(), 10, "{text}");
    assert!(costs[1..].iter().all(|cost| *cost <= 20 << 10), "{text}");
}

/// An embedder chooses whether sandsock serves `wasi:sockets` too. If not, the linker keeps the one
/// that is there, here wasmtime's own with the whole network.
#[test]
fn embedder_chooses_the_packages() {
    let mut policy = Policy::builder();
    policy.allow("resolve=fixed.example").expect("a grant");
    policy.resolve("fixed.example=192.0.2.1").expect("a pair");
    for (version, program, first) in
        [(Version::P2, "wasi_acts_ok", None), (Version::P3, "bench_wasi3", Some("wasi3_acts_ok"))]
    {
        let run = |by, act: &str| {
            let args: Vec<_> = first.into_iter().chain([act]).map(str::to_owned).collect();
            let program = Program::new(program, version, by).expect("it is built");
            program.under(&policy).run_alone(&args).expect("it ends well")
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let to = format!("connect={}", listener.local_addr().expect("an address"));
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("reads");
            stream.write_all(&bytes).expect("sends");
        });
        assert_eq!(run(By::Sandsock, "resolve=fixed.example"), "resolve: 192.0.2.1\n");
        assert_eq!(run(By::Sandsock, &to), "connect: access-denied\n");
        let own = run(By::Wasmtime, "resolve=fixed.example");
        assert!(!own.contains("192.0.2.1"), "{own}");
        assert_eq!(run(By::Wasmtime, &to), "connect: ping\n");
        echo.join().expect("the echo ends");
    }
}

#[test]
fn embedder_takes_nothing_of_the_command() {
    let work = tempfile::tempdir().expect("a folder");
    let manifest = root().join("tests/embedder/Cargo.toml");
    let host = root().join("host").canonicalize().expect("it is there");
    // The workspace's lock file says which versions are here.
    let manifest = std::fs::read_to_string(manifest).expect("reads");
    let manifest = manifest.replace("../../host", host.to_str().expect("UTF-8"));
    let put = |name: &str, text: &[u8]| {
        let path = work.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("makes a folder");
        std::fs::write(path, text).expect("writes");
    };
    put("Cargo.toml", manifest.as_bytes());
    put("Cargo.lock", &std::fs::read(root().join("Cargo.lock")).expect("reads"));
    put("src/main.rs", b"fn main() {}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(work.path())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"sandsock-policy"), "{tree}");
    for name in ["clap", "ctrlc", "signal-hook", "tracing-subscriber", "wac-graph", "wat"] {
        assert!(!names.contains(&name), "{name} is a dependency of the host");
    }
}
