//! `wasi_standard_ok 4|6`: what the documentation of `wasi:sockets` 0.2 says, for one family of
//! addresses.

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
    let net = support::Net::new(&std::env::args().nth(1).unwrap());
    tcp::run(&net);
    streams::run(&net);
    udp::run(&net);
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
