//! `wasi3_close_ok PORT`: each direction of a connection ends by itself. The server there sends
//! without an end until its first connection says something, and resets the others.

use std::time::Duration;

use wasip3::sockets::types::ErrorCode;

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let server = port(args);
    let socket = tcp();
    socket.connect(loopback(server)).await.expect("connects");
    let (mut input, received) = socket.receive();
    let (_, data) = input.read(Vec::with_capacity(100)).await;
    assert!(!data.is_empty());
    // The guest wants no more, and can still send.
    drop(input);
    received.await.expect("ends well");
    send(&socket, b"enough".to_vec()).await.expect("sends");

    // A direction that is never begun does not keep the other.
    let socket = tcp();
    socket.connect(loopback(server)).await.expect("connects");
    let (input, received) = socket.receive();
    assert!(input.collect().await.is_empty());
    fails!(received.await, ConnectionReset);
    fails!(send(&socket, vec![1; 1 << 20]).await, ConnectionBroken);

    // The writer learns of the end while it waits.
    let socket = tcp();
    socket.connect(loopback(server)).await.expect("connects");
    let (mut output, data) = wasip3::wit_stream::new();
    let sent = socket.send(data);
    let end = async {
        loop {
            if !output.write_all(vec![1; 1 << 16]).await.is_empty() {
                break;
            }
        }
        sent.await
    };
    let end = within(Duration::from_secs(10), end).await.expect("ends");
    assert!(matches!(end, Err(ErrorCode::ConnectionReset | ErrorCode::ConnectionBroken)), "{end:?}");
}
