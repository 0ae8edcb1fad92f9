//! `wasi3_serve_ok`: a server that lives long. It sends back what its clients send, several of them
//! at the same time.

use futures_lite::future::zip;

use super::support::*;

pub(super) async fn run(_: &[String]) {
    let (_socket, mut clients, port) = listener();
    say(format_args!("the guest listens on {port}"));
    // Two clients are served at once.
    while let Some(first) = clients.next().await {
        let Some(second) = clients.next().await else { break };
        zip(echo(first), echo(second)).await;
    }
    say("the stream has ended");
}
