//! Budgets of `wasi:sockets` 0.3: what is above them waits, or ends the stream with `access-denied`.
//! Arguments: the role and the port of a peer.

use std::time::{Duration, Instant};

use wasip3::sockets::types::{ErrorCode, IpAddressFamily, TcpSocket, UdpSocket};

use super::support::loopback;

pub(super) async fn run(args: &[String]) {
    let [role, port] = args else { panic!("ROLE PORT") };
    let port = port.parse().expect("a port");
    match role.as_str() {
        // 100 bytes.
        "send" => {
            let (_socket, mut output, result) = sender(port).await;
            let rest = output.write_all(vec![7; 500]).await;
            assert!(!rest.is_empty());
            drop(output);
            assert!(matches!(result.await, Err(ErrorCode::AccessDenied)));
        }
        "receive" => {
            let socket = connect(port).await.expect("connects");
            let (mut input, result) = socket.receive();
            let mut total = 0;
            loop {
                let (_, data) = input.read(Vec::with_capacity(64)).await;
                if data.is_empty() {
                    break;
                }
                total += data.len();
            }
            assert_eq!(total, 100);
            assert!(matches!(result.await, Err(ErrorCode::AccessDenied)));
        }
        // 100 bytes, of which each one that comes goes back.
        "splice" => {
            let socket = connect(port).await.expect("connects");
            let (input, received) = socket.receive();
            let sent = socket.send(input);
            let results = [received.await, sent.await];
            let denied = |result: &Result<(), ErrorCode>| matches!(result, Err(ErrorCode::AccessDenied));
            assert!(results.iter().any(denied), "{results:?}");
        }
        // 20,000 bytes a second.
        "send-rate" => {
            let (_socket, mut output, _result) = sender(port).await;
            let start = Instant::now();
            assert!(output.write_all(vec![7; 40_000]).await.is_empty());
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
        }
        "receive-rate" => {
            let socket = connect(port).await.expect("connects");
            let (mut input, _result) = socket.receive();
            let (start, mut total) = (Instant::now(), 0);
            while total < 40_000 {
                total += input.read(Vec::with_capacity(100_000)).await.1.len();
            }
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
        }
        "connections" => {
            let first = connect(port).await.expect("connects");
            assert!(matches!(connect(port).await, Err(ErrorCode::AccessDenied)));
            drop(first);
            connect(port).await.expect("connects");
        }
        // 1,000 bytes a second.
        "datagrams" => {
            let socket = UdpSocket::create(IpAddressFamily::Ipv4).expect("makes");
            let start = Instant::now();
            for _ in 0..10 {
                socket.send(vec![7; 100], Some(loopback(port))).await.expect("sends");
                assert_eq!(socket.receive().await.expect("receives").0.len(), 100);
            }
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
        }
        role => panic!("no role {role}"),
    }
}

async fn connect(port: u16) -> Result<TcpSocket, ErrorCode> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.connect(loopback(port)).await?;
    Ok(socket)
}

type Sender = (
    TcpSocket,
    wasip3::wit_bindgen::rt::async_support::StreamWriter<u8>,
    wasip3::wit_bindgen::rt::async_support::FutureReader<Result<(), ErrorCode>>,
);

async fn sender(port: u16) -> Sender {
    let socket = connect(port).await.expect("connects");
    let (output, data) = wasip3::wit_stream::new();
    let result = socket.send(data);
    (socket, output, result)
}
