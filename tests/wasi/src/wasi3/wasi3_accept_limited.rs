//! `wasi3_accept_limited`: accepts connections under the limit `descriptors=4`. At the limit new
//! connections wait, and the stream goes on when the guest closes others.

use std::time::Duration;

use super::support::*;

pub(super) async fn run(_: &[String]) {
    let (_listener, mut clients, port) = listener();
    say(port);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(clients.next().await.expect("a client"));
    }
    assert!(within(Duration::from_millis(100), clients.next()).await.is_none());
    for _ in 0..3 {
        drop(open.pop());
        open.push(clients.next().await.expect("a client"));
    }
}
