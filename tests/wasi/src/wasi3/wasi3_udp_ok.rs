//! `wasi3_udp_ok PORT`: datagrams to the echo server there, unbound, bound and connected.

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let server = loopback(port(args));
    // The first send binds.
    let socket = udp();
    socket.send(b"one".to_vec(), Some(server)).await.expect("sends");
    let (data, from) = socket.receive().await.expect("receives");
    assert_eq!((data.as_slice(), port_of(from)), (&b"one"[..], port(args)));
    // To bind anywhere needs no grant but the one to send.
    let socket = udp();
    socket.bind(v4([0; 4], 0)).expect("binds");
    socket.send(Vec::new(), Some(server)).await.expect("sends");
    assert!(socket.receive().await.expect("receives").0.is_empty());
    socket.connect(server).expect("connects");
    for size in [1, 1400, 65_507] {
        socket.send(vec![7; size], None).await.expect("sends");
        let (data, _) = socket.receive().await.expect("receives");
        assert!(data == vec![7; size], "{size}");
    }
}
