//! `bench_transfer_ok OPERATION PORT SIZE COUNT`: moves data to or from a peer that the benchmark runs, and prints the nanoseconds
//! that it took. OPERATION is `send`, `receive` or `round-trip`.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [operation, port, size, count] = args.as_slice() else { panic!("OPERATION PORT SIZE COUNT") };
    let (port, size, count): (u16, usize, u64) =
        (port.parse().expect("a port"), size.parse().expect("a size"), count.parse().expect("a count"));

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", port))?;
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)?;
    let total = count * size as u64;
    // What the peer does meanwhile: `bench.rs` of the tests.
    let mut request = vec![match operation.as_str() {
        "send" => b's',
        "receive" => b'r',
        _ => b'e',
    }];
    request.extend(total.to_le_bytes());
    request.extend((size as u64).to_le_bytes());
    socket.sendall(&request, Flags::NONE)?;
    // The peer is ready once it has answered.
    socket.recv(1, MSG_WAITALL)?;

    let mut buffer = vec![7; size];
    let start = Instant::now();
    match operation.as_str() {
        "send" => {
            for _ in 0..count {
                socket.sendall(&buffer, Flags::NONE)?;
            }
            socket.recv(1, Flags::NONE)?;
        }
        "receive" => {
            let mut left = total;
            while left > 0 {
                let got = socket.recv_into(&mut buffer, Flags::NONE)?;
                assert!(got > 0, "the peer ended too soon");
                left -= got as u64;
            }
        }
        "round-trip" => {
            for _ in 0..count {
                socket.sendall(&buffer, Flags::NONE)?;
                let mut filled = 0;
                while filled < size {
                    let got = socket.recv_into(&mut buffer[filled..], Flags::NONE)?;
                    assert!(got > 0, "the peer ended too soon");
                    filled += got;
                }
            }
        }
        other => panic!("no operation {other}"),
    }
    let elapsed: Duration = start.elapsed();
    println!("{}", elapsed.as_nanos());
    Ok(())
}
