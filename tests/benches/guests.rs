//! What 1,000 idle guests cost: each has a connection on which nothing comes, in one process on one
//! CPU, by sandsock's own package and by wasi:sockets. Each measurement is a process of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sandsock_tests::bench::native::listener;
use sandsock_tests::bench::wasi::{By, Program, Version};
use sandsock_tests::bench::{median, pin, resident};
use sandsock_tests::raise_descriptor_limit;

const GUESTS: usize = 1_000;
const ROUNDS: usize = 5;
/// How long the guests are idle.
const IDLE: Duration = Duration::from_secs(1);

const KINDS: [(&str, &str, Version, By); 5] = [
    ("sandsock:socket", "bench_transfer_ok", Version::P2, By::Sandsock),
    ("wasi:sockets 0.2", "bench_wasi2", Version::P2, By::Wasmtime),
    ("wasi:sockets 0.2 by sandsock", "bench_wasi2", Version::P2, By::Sandsock),
    ("wasi:sockets 0.3", "bench_wasi3", Version::P3, By::Wasmtime),
    ("wasi:sockets 0.3 by sandsock", "bench_wasi3", Version::P3, By::Sandsock),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, ..] = &args[..]
        && flag == "--measure"
    {
        return measure(kind.parse().expect("a number"));
    }
    pin();
    println!(
        "{GUESTS} idle guests, one CPU, medians of {ROUNDS} rounds. A wake is one byte to a guest and back, for all guests in turn."
    );
    println!("{:<30} {:>15} {:>22} {:>10}", "", "resident, each", "CPU, a second of all", "a wake");
    let mut rounds: Vec<Vec<[f64; 3]>> = vec![Vec::new(); KINDS.len()];
    for round in 0..ROUNDS {
        for turn in 0..KINDS.len() {
            let kind = (round + turn) % KINDS.len();
            rounds[kind].push(of_child(kind));
        }
    }
    for ((name, ..), rounds) in KINDS.iter().zip(&rounds) {
        let of = |at: usize| median(rounds.iter().map(|round| round[at]).collect());
        println!("{name:<30} {:>11.1} KiB {:>19.2} ms {:>7.1} us", of(0), of(1), of(2));
    }
}

/// KiB for each guest, milliseconds of processor time in a second, microseconds of a wake.
fn of_child(kind: usize) -> [f64; 3] {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--measure", &kind.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{}: {text}", KINDS[kind].0))
}

fn measure(kind: usize) {
    raise_descriptor_limit(20_000);
    let (_, name, version, by) = KINDS[kind];
    let program = Rc::new(Program::new(name, version, by).expect("`make guests` builds it"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = listener().expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    let peers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let accepted = Arc::clone(&peers);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("accepts");
            stream.set_nodelay(true).expect("is a TCP socket");
            accepted.lock().expect("no panic").push(stream);
        }
    });
    let args = ["idle".to_owned(), port.to_string(), "0".to_owned(), "0".to_owned()];
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut started = 0;
        let mut start = async |count: usize| {
            for _ in 0..count {
                let (program, args) = (Rc::clone(&program), args.clone());
                tokio::task::spawn_local(async move { program.run(&args).await.expect("it runs") });
            }
            started += count;
            while peers.lock().expect("no panic").len() < started {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Until all of them wait.
            tokio::time::sleep(IDLE).await;
        };
        // The parts that are made only once are not part of a guest's cost.
        start(1).await;
        let before = resident();
        start(GUESTS).await;
        let memory = resident().saturating_sub(before) as f64 / GUESTS as f64;
        let busy = processor_time();
        tokio::time::sleep(IDLE).await;
        let busy = (processor_time() - busy).as_secs_f64() * 1000.0 / IDLE.as_secs_f64();
        let wakes = tokio::task::spawn_blocking(move || wake_all(&peers.lock().expect("no panic")));
        println!("{memory} {busy} {}", wakes.await.expect("no panic"));
        // The guests' tasks never end.
        std::process::exit(0);
    });
}

/// Sends each guest a byte and waits for it. Returns the microseconds for one of them.
fn wake_all(peers: &[TcpStream]) -> f64 {
    let start = Instant::now();
    for mut peer in peers {
        peer.write_all(&[7]).expect("sends");
        peer.read_exact(&mut [0]).expect("receives");
    }
    start.elapsed().as_secs_f64() * 1e6 / peers.len() as f64
}

/// The processor time of this process.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
