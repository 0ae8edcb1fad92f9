//! No wait outlasts its time, holds the thread, or uses the processor, whatever state the guest has
//! brought its sockets into.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use sandsock_tests::{Ended, Guest, Running, Way, both_ways, programs, run_together};

/// How long all that is under way at once may take on a busy machine. A wait that never ends is
/// found by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many guests run at once, each on its own thread.
const TOGETHER: usize = 20;

fn guest(way: Way, folder: &Path, limit: u32, state: &str) -> Guest {
    let guest =
        Guest::new(programs::attack_wait_odd_returns, way).allow_all().dir(folder, "/folder");
    guest.arg("run").arg(limit).arg(state)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), vec![7; 1 << 20]).expect("writes");
    folder
}

fn states() -> Vec<String> {
    let told =
        Guest::new(programs::attack_wait_odd_returns, Way::Thread).arg("states").run().success();
    told.lines().map(str::to_owned).collect()
}

#[track_caller]
fn end(state: &str, running: Running, deadline: Instant) -> Ended {
    running.join_until(deadline).unwrap_or_else(|| panic!("{state}: a wait does not end"))
}

/// The processor time of a guest that does all but wait for long: what it needs by itself.
const OWN: Duration = Duration::from_millis(150);

#[test]
pub(crate) fn attack_wait_odd_returns() {
    let states = states();
    assert!(states.len() > 70);
    let folder = folder();
    both_ways(|way| {
        let mut waits = 0;
        for some in states.chunks(TOGETHER) {
            let deadline = Instant::now() + PATIENCE;
            let running: Vec<_> = some
                .iter()
                .map(|state| (state, guest(way, folder.path(), 50, state).start()))
                .collect();
            for (state, running) in running {
                let ended = end(state, running, deadline);
                let cpu = ended.cpu.expect("a thread of its own");
                let own: u32 = ended.success().trim().parse().expect("the number of long waits");
                // One wait of 200 ms that spins would use as much.
                assert!(cpu < OWN, "{state}: {own} waits used the processor for {cpu:?}");
                waits += own;
            }
        }
        assert!(waits > 300, "{waits} waits were looked at");
    });
    served_meanwhile(&states, folder.path());
    answered_late();
}

/// Another guest of the same thread is served while all of these wait.
fn served_meanwhile(states: &[String], folder: &Path) {
    let path = folder.join("echo");
    let echo = Guest::new(programs::attack_wait_odd_returns, Way::Fiber);
    let mut guests =
        vec![echo.allow(format!("unix-bind={}", path.display())).arg("echo").arg(path.display())];
    // They take turns on the one thread: it is the echo that is measured.
    guests.extend(states.iter().map(|state| guest(Way::Fiber, folder, 60_000, state)));
    let running = run_together(guests);
    let deadline = Instant::now() + PATIENCE;
    let mut client = loop {
        match UnixStream::connect(&path) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
    let mut rounds = 0;
    while rounds < 500 && Instant::now() < deadline {
        client.write_all(b"x").expect("sends");
        client.read_exact(&mut [0]).expect("it is answered while the others wait");
        rounds += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(client);
    while !running.is_finished() {
        assert!(Instant::now() < deadline, "a wait does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    for ended in running.join().expect("the host must not panic") {
        ended.success();
    }
}

/// The twin: the waits end by what a peer does, on a socket that tokio once saw closed.
fn answered_late() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let late = Duration::from_millis(50);
        let guest = Guest::new(programs::attack_wait_odd_returns, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"));
        let guest = guest.arg("twin").arg(port).start();
        drop(listener.accept().expect("accepts"));
        let (mut peer, _) = listener.accept().expect("accepts");
        peer.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        for _ in 0..3 {
            std::thread::sleep(late);
            peer.write_all(b"late").expect("sends");
            peer.read_exact(&mut [0; 4]).expect("receives");
        }
        guest.lines(1);
        std::thread::sleep(late);
        // Read to the end: the bytes that filled it, and more.
        peer.read_to_end(&mut Vec::new()).expect("receives");
        drop(peer);
        end("twin", guest, Instant::now() + PATIENCE).success();
    });
}
