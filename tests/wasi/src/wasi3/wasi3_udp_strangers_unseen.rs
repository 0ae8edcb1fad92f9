//! `wasi3_udp_strangers_unseen PORT`: waits for the answer of the echo server there, while others
//! send to the same socket.

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let server = loopback(port(args));
    let socket = udp();
    socket.send(b"first".to_vec(), Some(server)).await.expect("sends");
    assert_eq!(socket.receive().await.expect("receives").0, b"first");
    say(port_of(socket.get_local_address().expect("an address")));
    // The test answers when strangers have sent.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    socket.send(b"second".to_vec(), Some(server)).await.expect("sends");
    let (data, from) = socket.receive().await.expect("receives");
    assert_eq!((data.as_slice(), port_of(from)), (&b"second"[..], port(args)));
    assert!(within(std::time::Duration::from_millis(50), socket.receive()).await.is_none());
}
