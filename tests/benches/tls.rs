//! TLS against native rustls: handshakes of both versions, as a client and as a server, 64 KiB each
//! way, and the memory of an idle connection.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use sandsock_host::tls::{Identity, Roots, TlsSettings};
use sandsock_tests::bench::native::{listener, unused_port};
use sandsock_tests::bench::tls::{NAME, Sides, asked, native};
use sandsock_tests::bench::{Peer, Table, Work, pin, resident};
use sandsock_tests::{Guest, Way, programs, raise_descriptor_limit};

const ROUNDS: usize = 5;

/// The connections of which the memory is measured.
const IDLE: u64 = 1_000;

const fn work(operation: &'static str, size: usize, count: u64) -> Work {
    Work { operation, size, count }
}

/// A row's name, its work, and whether the peer resumes sessions.
const ROWS: [(&str, Work, bool); 6] = [
    ("handshake, TLS 1.3", work("handshake-1.3", 0, 300), false),
    ("handshake, TLS 1.2", work("handshake-1.2", 0, 300), false),
    ("resumed, TLS 1.3", work("handshake-1.3", 0, 300), true),
    ("accept, TLS 1.3", work("accept", 0, 300), false),
    ("send 64 KiB", work("send", 65_536, 3_000), false),
    ("receive 64 KiB", work("receive", 65_536, 3_000), false),
];

const COLUMNS: [&str; 3] = ["native rustls", "sandsock, thread", "sandsock, fiber"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg.starts_with("--peer") || arg == "--idle") {
        Some(at) if args[at] == "--idle" => return idle(&args[at + 1..]),
        Some(at) => return peer(Path::new(&args[at + 1]), args[at] == "--peer-resumes"),
        None => {}
    }
    let chosen: Vec<&String> = args.iter().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    pin();
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.path().join("chain.pem"), certificate.pem()).expect("writes");
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("writes");
    let path = folder.path().to_str().expect("UTF-8");
    let peers = ["--peer", "--peer-resumes"].map(|flag| Peer::start(&[flag, path]));
    let ports = [&peers[0], &peers[1]].map(|peer| peer.line.parse::<u16>().expect("a port"));
    let about = format!(
        "Time per handshake, with the connection and a byte each way, and per 64 KiB. P-256 and AES-256, with TCP_NODELAY; everything ran on one CPU; \
         medians of {ROUNDS} interleaved rounds."
    );
    let mut table = Table::new("tls", about, &COLUMNS);
    for (row, work, resumes) in ROWS {
        if chosen.is_empty() || chosen.iter().any(|part| row.contains(part.as_str())) {
            let port = ports[usize::from(resumes)];
            table.measure(row, ROUNDS, |column| Some(measure(column, folder.path(), port, work)));
        }
    }
    if chosen.is_empty() {
        table.save();
        println!("Memory of an idle connection, of {IDLE}:");
        for (kind, column) in COLUMNS.iter().enumerate() {
            let port = ports[0].to_string();
            let measured = Peer::start(&["--idle", &kind.to_string(), path, &port]);
            println!("{column:<24} {:>8} KiB", measured.line);
        }
    }
}

fn settings(folder: &Path) -> TlsSettings {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("it was written");
    let (chain, key) = (read("chain.pem"), read("key.pem"));
    let mut settings = TlsSettings::default();
    settings.roots(Roots::from_pem(&chain, "the benchmark's").expect("a root"));
    settings.identity("web", Identity::from_pem(&chain, &key).expect("an identity"));
    settings
}

fn guest(way: Way, folder: &Path, port: u16, work: Work) -> Guest {
    Guest::new(programs::bench_tls_ok, way)
        .allow(format!("tls-connect={NAME}:{port}"))
        .allow("tcp-listen=127.0.0.1:*")
        .allow("tls-identity=web")
        .resolve(format!("{NAME}=127.0.0.1"))
        .limit("descriptors=3000")
        .limit("buffer-bytes=1099511627776")
        .limit("tls-sessions=3000")
        .limit("tls-handshakes=100000")
        .tls(settings(folder))
        .arg(work.operation)
        .arg(NAME)
        .arg(port)
        .arg(work.size)
        .arg(work.count)
}

fn way(column: usize) -> Way {
    if column == 1 { Way::Thread } else { Way::Fiber }
}

/// Nanoseconds of one piece of work.
fn measure(column: usize, folder: &Path, port: u16, mut work: Work) -> f64 {
    if work.operation == "accept" {
        work.size = unused_port().into();
    }
    let total = match column {
        0 => {
            let sides = Sides::read(folder, false).expect("the files are there");
            native(&sides, port, work).expect("the native loop works").as_nanos() as f64
        }
        _ => {
            let printed = guest(way(column), folder, port, work).run().success();
            printed.trim().parse().expect("the guest prints nanoseconds")
        }
    };
    total / work.count as f64
}

/// Prints the KiB that a connection takes in this process, which has the client's side alone.
fn idle(args: &[String]) {
    raise_descriptor_limit(20_000);
    let kind: usize = args[0].parse().expect("a column");
    let (folder, port) = (Path::new(&args[1]), args[2].parse::<u16>().expect("a port"));
    let memory = match kind {
        0 => {
            let sides = Sides::read(folder, false).expect("the files are there");
            let config: Arc<ClientConfig> = sides.client(rustls::ALL_VERSIONS).expect("a client");
            let mut all = Vec::new();
            [IDLE / 10, IDLE].map(|more| {
                all.extend((0..more).map(|_| asked(&config, port, b'i', 0).expect("connects")));
                resident()
            })
        }
        _ => {
            let running = guest(way(kind), folder, port, work("idle", 0, IDLE)).start();
            let memory = [1, 2].map(|lines| {
                running.lines(lines);
                resident()
            });
            running.join().success();
            memory
        }
    };
    println!("{:.1}", memory[1].saturating_sub(memory[0]) as f64 / IDLE as f64);
}

/// The other end, in a process of its own, which ends with the benchmark.
fn peer(folder: &Path, resumes: bool) {
    raise_descriptor_limit(20_000);
    let listener = listener().expect("listens");
    println!("{}", listener.local_addr().expect("has an address").port());
    let sides = Sides::read(folder, resumes).expect("the files are there");
    std::thread::spawn(move || sides.serve(&listener));
    let _ = std::io::stdin().lines().count();
}
