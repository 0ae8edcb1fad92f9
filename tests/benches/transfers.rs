//! Time against a native loop: streams, round trips, connections and datagrams, by sandsock, by
//! wasi:sockets 0.2 and 0.3 in the same wasmtime, and by CPython.
//!
//! Default socket buffers, and no TCP_NODELAY on this side, for which wasi:sockets has no word; the
//! peer has it.

use std::path::Path;
use std::process::Command;

use sandsock_tests::bench::native::{listener, native_batch, unused_port};
use sandsock_tests::bench::{Peer, Table, Work, native, pin, serve, wasi};
use sandsock_tests::{Guest, Way, programs};

const ROUNDS: usize = 5;

const fn work(operation: &'static str, size: usize, count: u64) -> Work {
    Work { operation, size, count }
}

/// A row's name, its work, and whether wasi:sockets and CPython can do it.
const ROWS: [(&str, Work); 13] = [
    ("send 64 B", work("send", 64, 100_000)),
    ("send 1 KiB", work("send", 1024, 100_000)),
    ("send 64 KiB", work("send", 65_536, 5_000)),
    ("receive 64 B", work("receive", 64, 400_000)),
    ("receive 1 KiB", work("receive", 1024, 100_000)),
    ("receive 64 KiB", work("receive", 65_536, 5_000)),
    ("round trip 64 B", work("round-trip", 64, 10_000)),
    ("connect", work("connect", 0, 2_000)),
    ("accept", work("accept", 0, 2_000)),
    ("datagram send 64 B", work("datagram-send", 64, 64_000)),
    ("datagram receive 64 B", work("datagram-receive", 64, 64_000)),
    ("batch send 64 B", work("batch-send", 64, 64_000)),
    ("batch receive 64 B", work("batch-receive", 64, 64_000)),
];

#[derive(Clone, Copy)]
enum Runner {
    Native,
    NativeBatch,
    Guest(Way),
    Wasi(wasi::Version, wasi::By),
    Python,
}

const RUNNERS: [(&str, Runner); 9] = [
    ("native", Runner::Native),
    ("sandsock, thread", Runner::Guest(Way::Thread)),
    ("sandsock, fiber", Runner::Guest(Way::Fiber)),
    ("wasi:sockets 0.2", Runner::Wasi(wasi::Version::P2, wasi::By::Wasmtime)),
    ("wasi:sockets 0.2 by sandsock", Runner::Wasi(wasi::Version::P2, wasi::By::Sandsock)),
    ("wasi:sockets 0.3", Runner::Wasi(wasi::Version::P3, wasi::By::Wasmtime)),
    ("wasi:sockets 0.3 by sandsock", Runner::Wasi(wasi::Version::P3, wasi::By::Sandsock)),
    ("CPython", Runner::Python),
    ("native sendmmsg", Runner::NativeBatch),
];

fn main() {
    if std::env::args().any(|arg| arg == "--peer") {
        return peer();
    }
    // `cargo bench` gives its own arguments; any other chooses the rows that contain it.
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    pin();
    let peer = Peer::start(&["--peer"]);
    let port: u16 = peer.line.parse().expect("the peer says its port");
    let about = format!(
        "Time per call. Everything ran on one CPU; medians of {ROUNDS} interleaved rounds. A batch has 64 datagrams; the native loop \
         and CPython send and receive them one by one."
    );
    let mut table = Table::new("transfers", about, &RUNNERS.map(|(name, _)| name));
    for (row, work) in ROWS {
        if chosen.is_empty() || chosen.iter().any(|part| row.contains(part.as_str())) {
            table.measure(row, ROUNDS, |column| measure(RUNNERS[column].1, port, work));
        }
    }
    if chosen.is_empty() {
        table.save();
    }
}

/// Nanoseconds a call. None if the runner does not do this work.
fn measure(runner: Runner, port: u16, mut work: Work) -> Option<f64> {
    let batch = work.operation.starts_with("batch");
    if work.operation == "accept" {
        // The port of its listener, in the place of a size.
        work.size = unused_port().into();
    }
    let args = [
        work.operation.to_owned(),
        port.to_string(),
        work.size.to_string(),
        work.count.to_string(),
    ];
    let printed = |text: &str| text.trim().parse::<f64>().expect("the program prints nanoseconds");
    let total = match runner {
        Runner::Native => native(port, work).expect("the native loop works").as_nanos() as f64,
        Runner::NativeBatch if work.operation == "batch-send" => {
            native_batch(work).expect("the native loop works").as_nanos() as f64
        }
        Runner::Wasi(version, by) if !batch => {
            printed(&wasi::run(version, by, &args).expect("the program works"))
        }
        Runner::Python if !batch => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/python.py");
            let output =
                Command::new("python3").arg(script).args(&args).output().expect("python3 is there");
            printed(&String::from_utf8_lossy(&output.stdout))
        }
        Runner::Guest(way) => {
            let mut guest = Guest::new(programs::bench_transfer_ok, way)
                .allow(format!("tcp-connect=127.0.0.1:{port}"))
                .allow("udp-bind=127.0.0.1:0")
                .allow("udp-send=127.0.0.1:*");
            if work.operation == "accept" {
                guest = guest.allow(format!("tcp-listen=127.0.0.1:{}", work.size));
            }
            for arg in args {
                guest = guest.arg(arg);
            }
            printed(&guest.run().success())
        }
        Runner::NativeBatch | Runner::Wasi(..) | Runner::Python => return None,
    };
    Some(total / work.count as f64)
}

/// The other end, in a process of its own, which ends with the benchmark.
fn peer() {
    let listener = listener().expect("listens");
    println!("{}", listener.local_addr().expect("has an address").port());
    std::thread::spawn(move || serve(&listener));
    let _ = std::io::stdin().lines().count();
}
