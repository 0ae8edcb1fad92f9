//! `wasi_standard_ok 4|6 PORT`: what the documentation of `wasi:sockets` 0.2 says, for one family of
//! addresses. At the port is a server that resets each connection after its first byte.

#[cfg(target_family = "wasm")]
#[path = "../wasi2/support.rs"]
mod support;

#[cfg(target_family = "wasm")]
#[path = "../wasi2/tcp.rs"]
mod tcp;

#[cfg(target_family = "wasm")]
#[path = "../wasi2/streams.rs"]
mod streams;

#[cfg(target_family = "wasm")]
#[path = "../wasi2/udp.rs"]
mod udp;

#[cfg(target_family = "wasm")]
fn main() {
    let argument = |at| std::env::args().nth(at).unwrap();
    let net = support::Net::new(&argument(1));
    tcp::run(&net);
    streams::run(&net, argument(2).parse().unwrap());
    udp::run(&net);
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
