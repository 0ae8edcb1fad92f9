//! `provider_transfer_ok WAY OPERATION PORT SIZE COUNT`: does the same as `bench_transfer_ok`, in
//! an app that is composed with a provider. WAY is `plain` (the methods of `sockets`) or
//! `data-plane` (the app moves the bytes by `transfers` itself).

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "sandsock:socket/app" });
}

use std::time::{Duration, Instant};

use bindings::sandsock::socket::data_plane::{Operation, handle, plan};
use bindings::sandsock::socket::descriptors::Descriptor;
use bindings::sandsock::socket::sockets::{Address, Error, Progress, Socket};
use bindings::sandsock::socket::transfers;

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;
const MSG_WAITALL: i32 = 0x100;

/// A socket, and the handle of its data plane where that is the way.
struct Stream {
    socket: Socket,
    handle: Option<Descriptor>,
}

impl Stream {
    fn sendall(&self, data: &[u8]) {
        let Some(handle) = &self.handle else {
            return self.socket.sendall(data, 0, None).expect("the peer takes it");
        };
        let mut done = 0;
        while done < data.len() {
            let resume = (done > 0).then_some(Progress { deadline: None, done: done as u64 });
            let wait = plan(&self.socket, Operation::Sendall, resume).expect("the socket is open");
            done += transfers::send(handle, &data[done..], 0, wait).expect("the peer takes it")
                as usize;
        }
    }

    fn recv(&self, size: usize) -> Vec<u8> {
        let Some(handle) = &self.handle else {
            return self.socket.recv(size as i64, 0, None).expect("the peer sends it");
        };
        let wait = plan(&self.socket, Operation::Recv, None).expect("the socket is open");
        transfers::receive(handle, size as u64, 0, wait).expect("the peer sends it")
    }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [way, operation, port, size, count] = args.as_slice() else {
        panic!("WAY OPERATION PORT SIZE COUNT")
    };
    let (port, size, count): (i64, usize, u64) = (
        port.parse().expect("a port"),
        size.parse().expect("a size"),
        count.parse().expect("a count"),
    );

    let socket = Socket::create(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(&Address::Inet(("127.0.0.1".to_owned(), port)), None)?;
    let total = count * size as u64;
    let mut request = vec![match operation.as_str() {
        "send" => b's',
        "receive" => b'r',
        _ => b'e',
    }];
    request.extend(total.to_le_bytes());
    request.extend((size as u64).to_le_bytes());
    socket.sendall(&request, 0, None)?;
    socket.recv(1, MSG_WAITALL, None)?;

    let handle = if way == "data-plane" { Some(handle(&socket)?) } else { None };
    let stream = Stream { socket, handle };
    let mut buffer = vec![7; size];
    let mut take = |left: usize| {
        let got = stream.recv(left);
        assert!(!got.is_empty(), "the peer ended too soon");
        buffer[..got.len()].copy_from_slice(&got);
        got.len()
    };
    let data = vec![7; size];
    let start = Instant::now();
    match operation.as_str() {
        "send" => {
            for _ in 0..count {
                stream.sendall(&data);
            }
            take(1);
        }
        "receive" => {
            let mut left = total;
            while left > 0 {
                left -= take(size) as u64;
            }
        }
        "round-trip" => {
            for _ in 0..count {
                stream.sendall(&data);
                let mut left = size;
                while left > 0 {
                    left -= take(left);
                }
            }
        }
        other => panic!("no operation {other}"),
    }
    let elapsed: Duration = start.elapsed();
    // A handle ends with its socket.
    if let Some(handle) = &stream.handle {
        stream.socket.close()?;
        assert!(
            transfers::receive(handle, 1, 0, bindings::sandsock::socket::types::Wait::None)
                .is_err()
        );
    }
    println!("{}", elapsed.as_nanos());
    Ok(())
}
