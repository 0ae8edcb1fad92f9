//! The streams of TCP connections.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;
use wasip2::io::streams::StreamError;
use wasip2::sockets::tcp::ShutdownType;

use super::support::*;

/// `resetting` is the port of a server that resets each connection after its first byte.
pub(crate) fn run(net: &Net, resetting: u16) {
    ends_of_input(net);
    ends_of_output(net);
    shutdown_loses_nothing(net);
    small_writes(net);
    busy_polls(net);
    splices(net);
    resets(net, resetting);
}

#[track_caller]
fn closed<T>(result: Result<T, StreamError>) {
    assert!(matches!(result, Err(StreamError::Closed)));
}

fn ends_of_input(net: &Net) {
    // By the peer.
    let (client, server) = net.pair();
    server.socket.shutdown(ShutdownType::Both).unwrap();
    drop(server);
    within(&client.input.subscribe()).expect("the end arrives");
    closed(client.input.read(10));
    closed(client.input.read(0));
    closed(client.input.blocking_read(10));
    closed(client.input.skip(1));
    // By the guest, with data in the queue.
    let (client, server) = net.pair();
    server.output.blocking_write_and_flush(b"discarded").unwrap();
    within(&client.input.subscribe()).expect("it arrives");
    client.socket.shutdown(ShutdownType::Receive).unwrap();
    client.socket.shutdown(ShutdownType::Receive).unwrap();
    closed(client.input.read(10));
    closed(client.input.read(0));
    within(&client.input.subscribe()).expect("it is closed");
    // The other direction goes on.
    client.output.blocking_write_and_flush(b"more").unwrap();
    assert_eq!(server.input.blocking_read(10).unwrap(), b"more");
}

fn ends_of_output(net: &Net) {
    let (client, server) = net.pair();
    assert!(client.output.check_write().unwrap() >= 3);
    client.socket.shutdown(ShutdownType::Send).unwrap();
    closed(client.output.write(b"Hi!"));
    closed(client.output.check_write());
    closed(client.output.flush());
    closed(client.output.blocking_write_and_flush(b"Hi!"));
    within(&client.output.subscribe()).expect("it is closed");
    closed(server.input.blocking_read(1));
    // Half a connection is left.
    server.output.blocking_write_and_flush(b"back").unwrap();
    assert_eq!(client.input.blocking_read(10).unwrap(), b"back");
    drop(client.output);
    client.socket.shutdown(ShutdownType::Both).unwrap();
}

/// A shutdown while bytes are written in the background.
fn shutdown_loses_nothing(net: &Net) {
    let (client, server) = net.pair();
    client.socket.set_send_buffer_size(1024).unwrap();
    let mut total = 0;
    loop {
        let room = client.output.check_write().unwrap() as usize;
        if room == 0 {
            break;
        }
        client.output.write(&vec![0; room]).unwrap();
        total += room;
    }
    client.socket.shutdown(ShutdownType::Send).unwrap();
    let mut got = 0;
    while let Ok(data) = server.input.blocking_read(1 << 20) {
        got += data.len();
    }
    assert_eq!(got, total);
}

/// Small writes lose nothing.
fn small_writes(net: &Net) {
    let (client, server) = net.pair();
    for _ in 0..300 {
        while client.output.check_write().unwrap() == 0 {
            within(&client.output.subscribe()).expect("there is room");
        }
        client.output.write(b"x").unwrap();
    }
    client.socket.shutdown(ShutdownType::Send).unwrap();
    let mut got = 0;
    while let Ok(data) = server.input.blocking_read(1000) {
        got += data.len();
    }
    assert_eq!(got, 300);
}

/// A poll that is always ready lets the readiness of a socket arrive.
fn busy_polls(net: &Net) {
    let (listener, at) = net.listener();
    for _ in 0..20 {
        let client = net.connect(net.tcp(), at).map_err(|(_, code)| code).unwrap();
        client.output.blocking_write_and_flush(b"Hello").unwrap();
        let served = accept(&listener);
        let ready = served.input.subscribe();
        let mut rounds = 0;
        while !poll(&[&subscribe_duration(0), &ready]).contains(&1) {
            rounds += 1;
            assert!(rounds < 1_000_000);
        }
        assert_eq!(served.input.read(5).unwrap(), b"Hello");
    }
}

/// The functions of `wasi:io` that stand on the others.
fn splices(net: &Net) {
    let (client, server) = net.pair();
    let (other, sink) = net.pair();
    client.output.blocking_write_zeroes_and_flush(4096).unwrap();
    client.output.blocking_write_and_flush(b"tail").unwrap();
    let mut moved = 0;
    while moved < 4100 {
        moved += other.output.blocking_splice(&server.input, 10_000).unwrap();
    }
    assert_eq!(moved, 4100);
    assert_eq!(sink.input.blocking_skip(4096).unwrap(), 4096);
    assert_eq!(sink.input.blocking_read(10).unwrap(), b"tail");
    assert_eq!(sink.input.skip(10).unwrap(), 0);
}

fn resets(net: &Net, port: u16) {
    let Ok(client) = net.connect(net.tcp(), net.loopback(port)) else { panic!("connects") };
    client.output.blocking_write_and_flush(b"x").unwrap();
    within(&client.input.subscribe()).expect("the reset arrives");
    let Err(StreamError::LastOperationFailed(error)) = client.input.read(10) else {
        panic!("a reset is an error")
    };
    assert!(!error.to_debug_string().is_empty());
    // WIT: the error is reported once, and closes the stream.
    closed(client.input.read(10));
    assert!(client.output.write(b"more").is_err());
}
