//! The guests of the benchmarks work. Nothing is timed here.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use sandsock_tests::bench::native::{listener, native_batch, unused_port};
use sandsock_tests::bench::{Work, native, serve, tls, wasi};
use sandsock_tests::{Guest, both_ways, programs};

const OPERATIONS: [(&str, usize); 9] = [
    ("send", 65536),
    ("receive", 65536),
    ("round-trip", 64),
    ("connect", 0),
    ("accept", 0),
    ("datagram-send", 64),
    ("datagram-receive", 64),
    ("batch-send", 64),
    ("batch-receive", 64),
];

/// A peer that serves until the tests end.
fn peer() -> u16 {
    let listener = listener().expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    std::thread::spawn(move || serve(&listener));
    port
}

/// The size; for `accept` the port of its listener.
fn size(operation: &str, size: usize) -> usize {
    match operation {
        "accept" => unused_port().into(),
        _ => size,
    }
}

#[test]
pub(crate) fn bench_transfer_ok() {
    let port = peer();
    both_ways(|way| {
        for (operation, bytes) in OPERATIONS {
            let size = size(operation, bytes);
            let guest = Guest::new(programs::bench_transfer_ok, way)
                .allow(format!("tcp-connect=127.0.0.1:{port}"))
                .allow("tcp-listen=127.0.0.1:*")
                .allow("udp-bind=127.0.0.1:0")
                .allow("udp-send=127.0.0.1:*");
            let printed = guest.arg(operation).arg(port).arg(size).arg(128).run().success();
            assert!(printed.trim().parse::<u64>().expect("nanoseconds") > 0, "{operation}");
        }
    });
}

#[test]
fn bench_natively_and_on_wasi_sockets_works_too() {
    let port = peer();
    for (operation, bytes) in OPERATIONS {
        let work = |size| Work { operation, size, count: 128 };
        native(port, work(size(operation, bytes))).expect("the native loop works");
        if operation == "batch-send" {
            native_batch(work(bytes)).expect("the native loop works");
        }
        if operation.starts_with("batch") {
            continue;
        }
        for (version, by) in [
            (wasi::Version::P2, wasi::By::Wasmtime),
            (wasi::Version::P2, wasi::By::Sandsock),
            (wasi::Version::P3, wasi::By::Wasmtime),
            (wasi::Version::P3, wasi::By::Sandsock),
        ] {
            let args = [
                operation.to_owned(),
                port.to_string(),
                size(operation, bytes).to_string(),
                "128".to_owned(),
            ];
            let printed = wasi::run(version, by, &args).expect("the program works");
            assert!(
                printed.trim().parse::<u64>().expect("nanoseconds") > 0,
                "{version:?} by {by:?}: {operation}"
            );
        }
    }
}

#[test]
fn bench_idle_guests_send_a_byte_back() {
    for (name, version, by) in [
        ("bench_transfer_ok", wasi::Version::P2, wasi::By::Sandsock),
        ("bench_wasi2", wasi::Version::P2, wasi::By::Wasmtime),
        ("bench_wasi2", wasi::Version::P2, wasi::By::Sandsock),
        ("bench_wasi3", wasi::Version::P3, wasi::By::Wasmtime),
        ("bench_wasi3", wasi::Version::P3, wasi::By::Sandsock),
    ] {
        let listener = listener().expect("listens");
        let port = listener.local_addr().expect("has an address").port();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut byte = [0];
            for _ in 0..3 {
                stream.write_all(&[7]).expect("sends");
                stream.read_exact(&mut byte).expect("receives");
            }
            byte
        });
        let program = wasi::Program::new(name, version, by).expect("it is built");
        let args = ["idle".to_owned(), port.to_string(), "0".to_owned(), "0".to_owned()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let printed = runtime.expect("a runtime").block_on(program.run(&args));
        assert_eq!(printed.expect("it ends with its connection").trim(), "0", "{name} by {by:?}");
        assert_eq!(peer.join().expect("no panic"), [7]);
    }
}

#[test]
pub(crate) fn bench_tls_ok() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = crate::tls::self_signed(tls::NAME);
    std::fs::write(folder.path().join("chain.pem"), &pem.0).expect("writes");
    std::fs::write(folder.path().join("key.pem"), &pem.1).expect("writes");
    let sides = tls::Sides::read(folder.path(), true).expect("the files are there");
    let listener = listener().expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    let peer = sides.clone();
    std::thread::spawn(move || peer.serve(&listener));
    for (operation, bytes) in [
        ("handshake-1.3", 0),
        ("handshake-1.2", 0),
        ("accept", 0),
        ("send", 65536),
        ("receive", 65536),
        ("idle", 0),
    ] {
        let work = Work { operation, size: size(operation, bytes), count: 20 };
        tls::native(&sides, port, work).expect("the native loop works");
        both_ways(|way| {
            let mut settings = sandsock_host::tls::TlsSettings::default();
            let root = sandsock_host::tls::Roots::from_pem(pem.0.as_bytes(), "the test's");
            settings.roots(root.expect("a root"));
            settings.identity("web", pem.identity());
            let printed = Guest::new(programs::bench_tls_ok, way)
                .allow(format!("tls-connect={}:{port}", tls::NAME))
                .allow("tcp-listen=127.0.0.1:*")
                .allow("tls-identity=web")
                .resolve(format!("{}=127.0.0.1", tls::NAME))
                .tls(settings)
                .arg(operation)
                .arg(tls::NAME)
                .arg(port)
                .arg(size(operation, bytes))
                .arg(20)
                .run()
                .success();
            let printed = printed.lines().next().expect("a line");
            assert!(printed.parse::<u64>().expect("nanoseconds") > 0, "{operation}");
        });
    }
}

#[test]
pub(crate) fn bench_idle_ok() {
    both_ways(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("it is there").join("echo");
        let listener = UnixListener::bind(&path).expect("listens");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut stream = stream.expect("accepts");
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        let guest = Guest::new(programs::bench_idle_ok, way)
            .allow(format!("unix-connect={}", path.display()));
        let printed = guest.arg(path.display()).arg(5).arg(3).arg(2).arg(10).run().success();
        assert_eq!(
            printed.lines().filter(|line| line.parse::<f64>().is_ok_and(|time| time > 0.0)).count(),
            2
        );
    });
}
