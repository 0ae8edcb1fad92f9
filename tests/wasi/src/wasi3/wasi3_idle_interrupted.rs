//! `wasi3_idle_interrupted PORT`: waits in several ways at the same time, until an interrupt.

use futures_lite::future::zip;
use wasip3::sockets::types::ErrorCode;

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let socket = tcp();
    socket.connect(loopback(port(args))).await.expect("connects");
    let (input, received) = socket.receive();
    let (_listener, mut clients, _) = listener();
    let datagrams = udp();
    datagrams.bind(loopback(0)).expect("binds");
    say("waits");
    let receiving = async {
        assert!(input.collect().await.is_empty());
        received.await
    };
    let (datagram, (ended, client)) =
        zip(datagrams.receive(), zip(receiving, clients.next())).await;
    for result in [datagram.map(drop), ended] {
        let text = match result {
            Err(ErrorCode::Other(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text.as_deref(), Some("interrupted"));
    }
    assert!(client.is_none());
    say("interrupted");
}
