//! `wasi3_cancel_ok SILENT ECHO`: cancels calls that wait. SILENT takes no connection. ECHO sends
//! back what comes after its end.

use std::time::Duration;

use super::support::*;

const MOMENT: Duration = Duration::from_millis(50);

pub(super) async fn run(args: &[String]) {
    let (silent, server) = (port(args), port(&args[1..]));
    let socket = tcp();
    assert!(within(MOMENT, socket.connect(loopback(silent))).await.is_none());
    // It counts as a connect that has failed.
    fails!(socket.connect(loopback(server)).await, InvalidState);
    fails!(socket.get_local_address(), InvalidState);
    drop(socket);

    let socket = tcp();
    // A second connect is refused while the first one waits.
    let both = async {
        let first = socket.connect(loopback(silent));
        let second = async {
            fails!(socket.connect(loopback(server)).await, InvalidState);
            fails!(socket.bind(loopback(0)), InvalidState);
            fails!(socket.listen(), InvalidState);
            fails!(socket.set_listen_backlog_size(1), InvalidState);
        };
        futures_lite::future::zip(first, second).await
    };
    assert!(within(MOMENT, both).await.is_none());

    // A read that is cancelled loses nothing.
    let socket = tcp();
    socket.connect(loopback(server)).await.expect("connects");
    let (mut input, received) = socket.receive();
    for _ in 0..3 {
        assert!(within(MOMENT, input.read(Vec::with_capacity(10))).await.is_none());
    }
    send(&socket, b"whole".to_vec()).await.expect("sends");
    assert_eq!(input.collect().await, b"whole");
    received.await.expect("ends well");

    // An accept.
    let (_listener, mut clients, port) = listener();
    assert!(within(MOMENT, clients.next()).await.is_none());
    let client = tcp();
    client.connect(loopback(port)).await.expect("connects");
    let accepted = clients.next().await.expect("a client");
    assert_eq!(
        port_of(accepted.get_remote_address().expect("a peer")),
        port_of(client.get_local_address().expect("an address"))
    );

    // A datagram.
    let socket = udp();
    socket.bind(loopback(0)).expect("binds");
    let own = socket.get_local_address().expect("an address");
    assert!(within(MOMENT, socket.receive()).await.is_none());
    socket.send(b"one".to_vec(), Some(own)).await.expect("sends");
    // Two receives wait at the same time.
    let other = async {
        socket.send(b"two".to_vec(), Some(own)).await.expect("sends");
        socket.receive().await
    };
    let (first, second) = futures_lite::future::zip(socket.receive(), other).await;
    let mut both = [first.expect("receives").0, second.expect("receives").0];
    both.sort();
    assert_eq!(both, [b"one", b"two"]);
}
