//! `bench_wasi3 OPERATION PORT SIZE COUNT`: what the program `bench_transfer_ok` does, by
//! wasi:sockets 0.3. Prints nanoseconds. `bench_wasi3 echo`: serves the connection that it has as
//! descriptor 0, by sandsock, in a program of WASI 0.3. `bench_wasi3 wasi3_NAME ARGUMENTS`: one of the
//! programs of the suite `wasi3`.

#![cfg(target_family = "wasm")]
// The export is generated, with `unsafe` in it.
#![allow(unsafe_code)]

#[path = "wasi3/mod.rs"]
mod programs;

use std::time::Instant;

use wasip3::sockets::types::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::rt::async_support::{FutureReader, StreamReader, StreamWriter};

/// Datagrams that are on their way at once.
const BURST: u64 = 64;

const fn loopback(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

struct Connection {
    output: StreamWriter<u8>,
    input: StreamReader<u8>,
    _sent: FutureReader<Result<(), ErrorCode>>,
    _received: FutureReader<Result<(), ErrorCode>>,
    _socket: TcpSocket,
}

async fn connect(port: u16) -> Connection {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).expect("a socket");
    socket.connect(loopback(port)).await.expect("connects");
    let (output, data) = wasip3::wit_stream::new();
    let sent = socket.send(data);
    let (input, received) = socket.receive();
    Connection { output, input, _sent: sent, _received: received, _socket: socket }
}

impl Connection {
    /// Sends what is in the buffer, which comes back as it was.
    async fn send(&mut self, data: Vec<u8>) -> Vec<u8> {
        let size = data.len();
        let (_, mut rest) = self.output.write(data).await;
        while rest.remaining() > 0 {
            (_, rest) = self.output.write_buf(rest).await;
        }
        let mut data = rest.into_vec();
        // SAFETY: the bytes are where they were; the binding only says that they were taken.
        unsafe { data.set_len(size) };
        data
    }

    /// Receives into the buffer's room, which is emptied first.
    async fn receive(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        self.input.read(buffer).await.1
    }
}

/// The peer's part.
fn kind(operation: &str) -> u8 {
    match operation {
        "send" => b's',
        "receive" => b'r',
        _ => b'e',
    }
}

fn request(operation: u8, total: u64, size: u64) -> Vec<u8> {
    [&[operation][..], &total.to_le_bytes(), &size.to_le_bytes()].concat()
}

struct Program;

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        if args == ["echo"] {
            return echo().map_err(|error| eprintln!("{}: {error}", error.class()));
        }
        if let Some((name, args)) = args.split_first()
            && let Some(()) = programs::run(name, args).await
        {
            return Ok(());
        }
        let [operation, port, size, count] = args.as_slice() else {
            panic!("OPERATION PORT SIZE COUNT")
        };
        let (port, size, count): (u16, usize, u64) = (
            port.parse().expect("a port"),
            size.parse().expect("a size"),
            count.parse().expect("a count"),
        );
        let nanoseconds = match operation.as_str() {
            "datagram-send" => datagrams(size, count).await.0,
            "datagram-receive" => datagrams(size, count).await.1,
            "idle" => {
                let mut connection = connect(port).await;
                let mut byte = Vec::with_capacity(1);
                loop {
                    byte = connection.receive(byte).await;
                    if byte.is_empty() {
                        break 0;
                    }
                    byte = connection.send(byte).await;
                }
            }
            "connect" => {
                let mut control = connect(port).await;
                control.send(request(b'c', count, 0)).await;
                control.receive(Vec::with_capacity(1)).await;
                let start = Instant::now();
                for _ in 0..count {
                    let socket = TcpSocket::create(IpAddressFamily::Ipv4).expect("a socket");
                    socket.connect(loopback(port)).await.expect("connects");
                }
                start.elapsed().as_nanos()
            }
            "accept" => {
                let listener = TcpSocket::create(IpAddressFamily::Ipv4).expect("a socket");
                listener.bind(loopback(size as u16)).expect("binds");
                let mut clients = listener.listen().expect("listens");
                let mut control = connect(port).await;
                control.send(request(b'a', count, size as u64)).await;
                control.receive(Vec::with_capacity(1)).await;
                let start = Instant::now();
                for _ in 0..count {
                    drop(clients.next().await.expect("accepts"));
                }
                start.elapsed().as_nanos()
            }
            stream => transfer(&mut connect(port).await, stream, size, count).await,
        };
        println!("{nanoseconds}");
        Ok(())
    }
}

fn echo() -> sandsock::Result<()> {
    let connection = sandsock::Socket::with_fileno(0, None, None, None)?;
    loop {
        let bytes = connection.recv(4096, sandsock::Flags::NONE)?;
        if bytes.is_empty() {
            return Ok(());
        }
        connection.sendall(&bytes, sandsock::Flags::NONE)?;
    }
}

async fn transfer(connection: &mut Connection, operation: &str, size: usize, count: u64) -> u128 {
    let total = count * size as u64;
    connection.send(request(kind(operation), total, size as u64)).await;
    connection.receive(Vec::with_capacity(1)).await;
    let mut buffer = vec![7; size];
    let start = Instant::now();
    match operation {
        "send" => {
            for _ in 0..count {
                buffer = connection.send(buffer).await;
            }
            connection.receive(Vec::with_capacity(1)).await;
        }
        "receive" => {
            let mut left = total;
            while left > 0 {
                buffer = connection.receive(buffer).await;
                left -= buffer.len() as u64;
            }
        }
        _ => {
            let mut answer = Vec::with_capacity(size);
            for _ in 0..count {
                buffer = connection.send(buffer).await;
                let mut filled = 0;
                while filled < size {
                    answer = connection.receive(answer).await;
                    filled += answer.len();
                }
            }
        }
    }
    start.elapsed().as_nanos()
}

/// Bursts from one socket of its own to another: what sending took, and what receiving took.
async fn datagrams(size: usize, count: u64) -> (u128, u128) {
    let socket = || {
        let socket = UdpSocket::create(IpAddressFamily::Ipv4).expect("a socket");
        socket.bind(loopback(0)).expect("binds");
        socket
    };
    let (sender, receiver) = (socket(), socket());
    let address = receiver.get_local_address().expect("an address");
    let (mut sending, mut receiving) = (0, 0);
    for _ in 0..count / BURST {
        let start = Instant::now();
        for _ in 0..BURST {
            sender.send(vec![7; size], Some(address)).await.expect("sends");
        }
        sending += start.elapsed().as_nanos();
        let start = Instant::now();
        for _ in 0..BURST {
            receiver.receive().await.expect("receives");
        }
        receiving += start.elapsed().as_nanos();
    }
    (sending, receiving)
}

wasip3::cli::command::export!(Program);
