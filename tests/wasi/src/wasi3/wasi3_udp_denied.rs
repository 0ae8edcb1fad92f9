//! `wasi3_udp_denied PORT`: sends, connects and binds without a grant for them.

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let peer = loopback(port(args));
    let socket = udp();
    fails!(socket.send(b"no".to_vec(), Some(peer)).await, AccessDenied);
    fails!(socket.connect(peer), AccessDenied);
    fails!(socket.bind(loopback(0)), AccessDenied);
    fails!(socket.get_local_address(), InvalidState);
    // The socket can be used with what is granted.
    let _ = socket.send(b"yes".to_vec(), Some(v4([127, 0, 0, 1], 9))).await;
    assert!(socket.get_local_address().is_ok());
}
