//! The cost of a ready connection on a poller beside 10 to 100,000 idle ones, against a native loop
//! on epoll.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use rustix::event::epoll;
use sandsock_tests::bench::{Peer, Table, median, pin};
use sandsock_tests::{Guest, Way, programs, raise_descriptor_limit};

const ACTIVE: usize = 100;
const ROUNDS: usize = 201;
const RUNS: usize = 3;
const IDLE: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
/// Descriptors for all else.
const REST: usize = 500;

fn main() {
    let files =
        usize::try_from(raise_descriptor_limit((IDLE[4] + REST) as u64)).unwrap_or(usize::MAX);
    if std::env::args().any(|arg| arg == "--peer") {
        return peer();
    }
    pin();
    let folder = tempfile::tempdir().expect("a folder");
    let path =
        folder.path().canonicalize().expect("it is there").join("echo").display().to_string();
    // If a process may not open that many files, it opens as many as it may.
    let most = files.saturating_sub(REST);
    let idle = IDLE.map(|count| count.min(most));
    if most < IDLE[4] {
        println!(
            "A process may open {files} files here, so there are at most {most} idle connections (see `ulimit -Hn`)."
        );
    }
    let peer = Peer::start(&["--peer", &path]);
    let about = format!(
        "Time per connection and round. In a round, {ACTIVE} connections send a byte to a server in another process, and wait until \
         they get it back, beside idle connections. Everything ran on one CPU; medians of {RUNS} runs of {ROUNDS} rounds."
    );
    let mut table =
        Table::new("idle", about, &["native epoll", "sandsock, thread", "sandsock, fiber"]);
    let mut runs: Vec<[Vec<f64>; 3]> = Vec::new();
    for _ in 0..RUNS {
        runs.push([
            native(&path, &idle),
            guest(Way::Thread, &path, &idle),
            guest(Way::Fiber, &path, &idle),
        ]);
    }
    for (at, count) in idle.iter().enumerate() {
        let of = |column: usize| Some(median(runs.iter().map(|run| run[column][at]).collect()));
        table.push(&format!("beside {count} idle"), vec![of(0), of(1), of(2)]);
    }
    table.save();
    drop(peer);
}

fn guest(way: Way, path: &str, idle: &[usize]) -> Vec<f64> {
    let limit = ACTIVE + idle[idle.len() - 1] + 10;
    let mut guest = Guest::new(programs::bench_idle_ok, way)
        .allow(format!("unix-connect={path}"))
        .limit(format!("descriptors={limit}"))
        .limit(format!("poll-entries={limit}"))
        .limit("buffer-bytes=1099511627776")
        .arg(path)
        .arg(ACTIVE)
        .arg(ROUNDS);
    for count in idle {
        guest = guest.arg(count);
    }
    guest.run().success().lines().map(|line| line.parse().expect("nanoseconds")).collect()
}

/// The same natively.
fn native(path: &str, idle: &[usize]) -> Vec<f64> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
    let mut streams: Vec<UnixStream> = Vec::new();
    let grow = |streams: &mut Vec<UnixStream>, count: usize| {
        while streams.len() < count {
            let stream = UnixStream::connect(path).expect("connects");
            let data = epoll::EventData::new_u64(streams.len() as u64);
            epoll::add(&set, &stream, data, epoll::EventFlags::IN).expect("adds");
            streams.push(stream);
        }
    };
    let mut medians = Vec::new();
    let mut events = Vec::with_capacity(1023);
    for count in idle {
        grow(&mut streams, ACTIVE + count);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for mut stream in &streams[..ACTIVE] {
                stream.write_all(b"x").expect("sends");
            }
            let mut seen = 0;
            while seen < ACTIVE {
                events.clear();
                epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None)
                    .expect("waits");
                for event in &events {
                    let mut stream = &streams[event.data.u64() as usize];
                    stream.read_exact(&mut [0]).expect("receives");
                    seen += 1;
                }
            }
            times.push(start.elapsed().as_nanos() as f64 / ACTIVE as f64);
        }
        medians.push(median(times));
    }
    medians
}

/// A server of another process that sends back what it gets.
fn peer() {
    let path = std::env::args().next_back().expect("a path");
    let listener = UnixListener::bind(path).expect("listens");
    println!("listening");
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
    epoll::add(&set, &listener, epoll::EventData::new_u64(u64::MAX), epoll::EventFlags::IN)
        .expect("adds");
    let mut streams: Vec<Option<UnixStream>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = Vec::with_capacity(1023);
    loop {
        events.clear();
        epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None).expect("waits");
        for event in &events {
            let at = event.data.u64();
            if at == u64::MAX {
                let (stream, _) = listener.accept().expect("accepts");
                let place = free.pop().unwrap_or_else(|| {
                    streams.push(None);
                    streams.len() - 1
                });
                epoll::add(
                    &set,
                    &stream,
                    epoll::EventData::new_u64(place as u64),
                    epoll::EventFlags::IN,
                )
                .expect("adds");
                streams[place] = Some(stream);
                continue;
            }
            let place = usize::try_from(at).expect("64 bits");
            let mut bytes = [0; 64];
            let left = match &mut streams[place] {
                Some(stream) => match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => true,
                    Ok(count) => stream.write_all(&bytes[..count]).is_err(),
                },
                None => false,
            };
            if left {
                streams[place] = None;
                free.push(place);
            }
        }
    }
}
