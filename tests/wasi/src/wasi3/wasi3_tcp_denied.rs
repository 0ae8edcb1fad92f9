//! `wasi3_tcp_denied PORT`: connects, binds and listens without a grant.

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let server = port(args);
    let client = tcp();
    for _ in 0..2 {
        let socket = tcp();
        fails!(socket.connect(loopback(server)).await, AccessDenied);
        // After a failed connect there is nothing left to do.
        fails!(socket.connect(loopback(server)).await, InvalidState);
        fails!(socket.get_hop_limit(), InvalidState);
    }
    fails!(client.bind(loopback(0)), AccessDenied);
    fails!(client.listen(), AccessDenied);
    // A bind that failed can be tried again.
    fails!(client.bind(loopback(0)), AccessDenied);
}
