//! Connections a second of `sandsock serve`, against a native server with a thread for each:
//! connect, one line there and one back, close. Servers and client are processes of their own on
//! one CPU, rounds are interleaved, medians are printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sandsock_tests::bench::pin;
use sandsock_tests::{command, programs};

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 2000;

/// A server of this name, its process and its address.
struct Server {
    name: &'static str,
    child: Child,
    address: String,
}

fn main() {
    if std::env::args().any(|arg| arg == "--native") {
        return native();
    }
    pin();
    let own = std::env::current_exe().expect("this program has a path");
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let guest = |options: &[&str], program: sandsock_tests::Program| {
        let mut command = Command::new(command());
        command.args(listen).args(options).arg(program.path());
        command
    };
    let mut servers = [
        start("native", Command::new(own).arg("--native")),
        start("an instance each", &mut guest(&[], programs::serve_connection_ok)),
        start("one instance", &mut guest(&["--instances", "1"], programs::serve_instances_ok)),
    ];
    println!("connections of one line each, one CPU, medians of {ROUNDS} rounds");
    println!("{:<18} {:>14} {:>14} {:>8}", "server", "a second", "time for one", "ratio");
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for turn in 0..servers.len() {
            let which = (round + turn) % servers.len();
            times[which].push(measure(&servers[which].address));
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    for (server, time) in servers.iter().zip(medians) {
        println!(
            "{:<18} {:>14.0} {:>11.1} us {:>8.2}",
            server.name,
            1e6 / time,
            time,
            time / medians[0]
        );
    }
    for server in &mut servers {
        let _ = server.child.kill();
        let _ = server.child.wait();
    }
}

fn start(name: &'static str, command: &mut Command) -> Server {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("it speaks");
    let address = line.trim_end().rsplit(' ').next().expect("its address").to_owned();
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Server { name, child, address }
}

/// Microseconds a connection.
fn measure(address: &str) -> f64 {
    let start = Instant::now();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.write_all(b"echo hello\n").expect("writes");
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).expect("reads");
        assert_eq!(&answer, b"hello\n");
    }
    start.elapsed().as_nanos() as f64 / 1000.0 / CONNECTIONS as f64
}

/// The native server, a thread for each connection, which ends with the benchmark.
fn native() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    eprintln!("listening on {}", listener.local_addr().expect("has an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream));
        }
    });
    let _ = std::io::stdin().lines().count();
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let text = buffer[..length].strip_prefix(b"echo ").unwrap_or(&buffer[..length]);
        if stream.write_all(text).is_err() {
            return;
        }
    }
}
