//! The cost of composition: an app that is composed with the provider, against a guest with the
//! crate linked in.
//!
//! By the plain verbs of `sockets`, and by the data plane; sends and receives of 64 KiB, and round
//! trips of 64 bytes.
//!
//! The whole process and its peer run on one CPU, rounds are interleaved in a rotating order, and
//! medians are printed: a wake-up across CPUs would decide everything else. Default socket buffers,
//! TCP_NODELAY at the peer alone.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use sandsock_tests::bench::{Work, pin, serve};
use sandsock_tests::{Guest, Way, programs};

const ROUNDS: usize = 9;

const WORKS: [Work; 3] = [
    Work { operation: "send", size: 64 * 1024, count: 10_000 },
    Work { operation: "receive", size: 64 * 1024, count: 10_000 },
    Work { operation: "round-trip", size: 64, count: 50_000 },
];

#[derive(Clone, Copy)]
enum Runner {
    LinkedIn,
    Composed(&'static str),
}

const RUNNERS: [(&str, Runner); 3] = [
    ("linked in", Runner::LinkedIn),
    ("data plane", Runner::Composed("data-plane")),
    ("plain", Runner::Composed("plain")),
];

fn main() {
    if std::env::args().any(|arg| arg == "--peer") {
        return peer();
    }
    pin();
    let mut peer = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--peer")
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the peer starts");
    let mut line = String::new();
    BufReader::new(peer.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("the peer speaks");
    let port: u16 = line.trim().parse().expect("the peer says its port");

    println!("time per call, one CPU, medians of {ROUNDS} rounds");
    println!("{:<22} {:>12} {:>22} {:>22}", "work", "linked in", "data plane", "plain");
    for work in WORKS {
        let mut times = [const { Vec::new() }; RUNNERS.len()];
        for round in 0..ROUNDS {
            for turn in 0..RUNNERS.len() {
                let which = (round + turn) % RUNNERS.len();
                times[which].push(measure(RUNNERS[which].1, port, work));
            }
            eprint!("\r{} {} round {}/{ROUNDS}   ", work.operation, work.size, round + 1);
            let _ = std::io::stderr().flush();
        }
        eprint!("\r{:40}\r", "");
        let medians = times.map(median);
        print!("{:<22} {:>9.0} ns", format!("{} {} B", work.operation, work.size), medians[0]);
        for median in &medians[1..] {
            print!(" {:>9.0} ns {:>6.2} x", median, median / medians[0]);
        }
        println!();
    }
    let _ = peer.kill();
    let _ = peer.wait();
}

/// Nanoseconds a call.
fn measure(runner: Runner, port: u16, work: Work) -> f64 {
    let guest = match runner {
        Runner::LinkedIn => Guest::new(programs::bench_transfer_ok, Way::Thread),
        Runner::Composed(way) => {
            Guest::new(programs::provider_transfer_ok, Way::Thread).composed().arg(way)
        }
    };
    let printed = guest
        .allow(format!("tcp-connect=127.0.0.1:{port}"))
        .arg(work.operation)
        .arg(port)
        .arg(work.size)
        .arg(work.count)
        .run()
        .success();
    let total: f64 = printed.trim().parse().expect("the guest prints nanoseconds");
    total / work.count as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The other end, in a process of its own, which ends with the benchmark.
fn peer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    println!("{}", listener.local_addr().expect("has an address").port());
    std::thread::spawn(move || serve(&listener));
    let _ = std::io::stdin().lines().count();
}
