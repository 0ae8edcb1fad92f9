//! TCP sockets: binds, connects, listeners, options.

use wasip2::sockets::network::ErrorCode;
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};

use super::support::*;

const SECOND: u64 = 1_000_000_000;

pub(crate) fn run(net: &Net) {
    binds(net);
    binds_in_use(net);
    bind_after_close(net);
    connects(net);
    states(net);
    option_ranges(net);
    options_of_accepted(net);
}

fn binds(net: &Net) {
    // The kernel chooses the port, or the guest does.
    for address in [net.loopback(0), net.unspecified(0)] {
        let socket = net.tcp();
        net.bind_tcp(&socket, address).unwrap();
        let bound = local(&socket);
        assert_eq!(bound.ip(), address.ip());
        assert_ne!(bound.port(), 0);
        drop(socket);
        let again = net.tcp();
        net.bind_tcp(&again, bound).unwrap();
        assert_eq!(local(&again), bound);
    }
    // A bind that fails can be tried again.
    let socket = net.tcp();
    for address in net.strange(0).into_iter().chain(net.groups(0)) {
        fails(net.bind_tcp(&socket, address), ErrorCode::InvalidArgument);
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
    }
    fails(net.bind_tcp(&socket, net.nowhere(0)), ErrorCode::AddressNotBindable);
    fails(socket.local_address(), ErrorCode::InvalidState);
    net.bind_tcp(&socket, net.loopback(0)).unwrap();
    fails(net.bind_tcp(&socket, net.loopback(0)), ErrorCode::InvalidState);
}

fn binds_in_use(net: &Net) {
    for address in [net.loopback(0), net.unspecified(0)] {
        let first = net.tcp();
        net.bind_tcp(&first, address).unwrap();
        listen(&first).unwrap();
        let other = net.tcp();
        fails(net.bind_tcp(&other, local(&first)), ErrorCode::AddressInUse);
        // The other family's wildcard does not take this one's port.
        drop(first);
        net.bind_tcp(&other, net.loopback(0)).unwrap();
    }
}

/// A connection in TIME_WAIT does not prevent a bind.
fn bind_after_close(net: &Net) {
    let (listener, at) = net.listener();
    let client = net.connect(net.tcp(), at).map_err(|(_, code)| code).unwrap();
    let served = accept(&listener);
    served.output.blocking_write_and_flush(&[0; 10]).unwrap();
    // The server closes first.
    drop(served);
    drop(listener);
    let listener = net.tcp();
    net.bind_tcp(&listener, at).unwrap();
    listen(&listener).unwrap();
    drop(client);
}

fn connects(net: &Net) {
    let (listener, at) = net.listener();
    for remote in net
        .strange(at.port())
        .into_iter()
        .chain(net.groups(at.port()))
        .chain([net.unspecified(at.port()), net.loopback(0)])
    {
        let socket = net.tcp();
        fails(socket.start_connect(&net.network, wit(remote)), ErrorCode::InvalidArgument);
        fails(socket.finish_connect(), ErrorCode::NotInProgress);
        // The socket is as it was.
        net.bind_tcp(&socket, net.loopback(0)).unwrap();
    }
    // A bound socket connects from its address.
    let socket = net.tcp();
    net.bind_tcp(&socket, net.loopback(0)).unwrap();
    let own = local(&socket);
    let client = net.connect(socket, at).map_err(|(_, code)| code).unwrap();
    assert_eq!(local(&client.socket), own);
    assert_eq!(std(client.socket.remote_address().unwrap()), at);
    let served = accept(&listener);
    assert_eq!(std(served.socket.remote_address().unwrap()), own);
    assert_eq!(local(&served.socket), at);
    // Without a bind the kernel chooses.
    let client = net.connect(net.tcp(), at).map_err(|(_, code)| code).unwrap();
    assert_ne!(local(&client.socket).port(), 0);
    drop(listener);
    assert_eq!(net.connect_code(at), Some(ErrorCode::ConnectionRefused));
    // After a failure only a drop is left.
    let Err((socket, _)) = net.connect(net.tcp(), at) else { panic!("nobody listens") };
    closed(socket.start_connect(&net.network, wit(at)));
    closed(net.bind_tcp(&socket, net.loopback(0)));
    closed(socket.start_listen());
    closed(socket.local_address());
    closed(socket.remote_address());
    closed(socket.set_listen_backlog_size(1));
    closed(socket.hop_limit());
    assert!(!socket.is_listening());
    assert_eq!(socket.address_family(), net.family);
    within(&socket.subscribe()).expect("nothing is in progress");
}

/// Demands an error of a socket whose connect was refused. WIT: in this state methods may return
/// `invalid-state`. wasmtime's own repeat the error.
#[track_caller]
fn closed<T>(result: Result<T, ErrorCode>) {
    let code = result.err();
    assert!(
        matches!(code, Some(ErrorCode::InvalidState | ErrorCode::ConnectionRefused)),
        "{code:?}"
    );
}

/// What every state allows.
fn common(net: &Net, socket: &TcpSocket) {
    assert_eq!(socket.address_family(), net.family);
    fails(socket.finish_bind(), ErrorCode::NotInProgress);
    fails(socket.finish_connect(), ErrorCode::NotInProgress);
    fails(socket.finish_listen(), ErrorCode::NotInProgress);
    within(&socket.subscribe()).expect("nothing is in progress");
    socket.keep_alive_enabled().unwrap();
    socket.set_keep_alive_enabled(false).unwrap();
    socket.set_keep_alive_idle_time(1).unwrap();
    socket.set_keep_alive_interval(1).unwrap();
    socket.set_keep_alive_count(1).unwrap();
    socket.set_hop_limit(255).unwrap();
    socket.set_receive_buffer_size(16_000).unwrap();
    socket.set_send_buffer_size(16_000).unwrap();
}

fn states(net: &Net) {
    let socket = net.tcp();
    let unconnected = |socket: &TcpSocket| {
        fails(socket.shutdown(ShutdownType::Both), ErrorCode::InvalidState);
        fails(socket.remote_address(), ErrorCode::InvalidState);
    };
    common(net, &socket);
    unconnected(&socket);
    fails(socket.accept(), ErrorCode::InvalidState);
    fails(socket.start_listen(), ErrorCode::InvalidState);
    fails(socket.local_address(), ErrorCode::InvalidState);
    assert!(!socket.is_listening());
    socket.set_listen_backlog_size(32).unwrap();

    net.bind_tcp(&socket, net.loopback(0)).unwrap();
    common(net, &socket);
    unconnected(&socket);
    fails(socket.accept(), ErrorCode::InvalidState);
    assert!(!socket.is_listening());
    socket.set_listen_backlog_size(32).unwrap();

    // A listen that is in progress.
    socket.start_listen().unwrap();
    fails(socket.start_listen(), ErrorCode::ConcurrencyConflict);
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::ConcurrencyConflict);
    socket.finish_listen().unwrap();
    fails(socket.finish_listen(), ErrorCode::NotInProgress);
    assert!(socket.is_listening());
    fails(socket.accept(), ErrorCode::WouldBlock);
    unconnected(&socket);
    fails(socket.start_listen(), ErrorCode::InvalidState);
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    // The state comes before the address.
    fails(socket.start_connect(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    socket.set_listen_backlog_size(32).unwrap();
    let at = local(&socket);

    // A connect that is in progress.
    let client = net.tcp();
    client.start_connect(&net.network, wit(at)).unwrap();
    fails(client.start_connect(&net.network, wit(at)), ErrorCode::ConcurrencyConflict);
    fails(client.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::ConcurrencyConflict);
    fails(client.start_listen(), ErrorCode::ConcurrencyConflict);
    fails(client.set_listen_backlog_size(1), ErrorCode::InvalidState);
    fails(client.accept(), ErrorCode::InvalidState);
    unconnected(&client);
    assert!(!client.is_listening());
    let (_input, _output) = wait(&client, TcpSocket::finish_connect).unwrap();
    fails(client.finish_connect(), ErrorCode::NotInProgress);
    common(net, &client);
    fails(client.accept(), ErrorCode::InvalidState);
    fails(client.start_listen(), ErrorCode::InvalidState);
    fails(client.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    fails(client.start_connect(&net.network, wit(at)), ErrorCode::InvalidState);
    assert!(!client.is_listening());
    drop((_input, _output));
}

fn option_ranges(net: &Net) {
    let socket = net.tcp();
    for positive in [
        socket.keep_alive_idle_time(),
        socket.keep_alive_interval(),
        socket.keep_alive_count().map(u64::from),
        socket.hop_limit().map(u64::from),
        socket.receive_buffer_size(),
        socket.send_buffer_size(),
    ] {
        assert!(positive.unwrap() > 0);
    }
    fails(socket.set_listen_backlog_size(0), ErrorCode::InvalidArgument);
    fails(socket.set_keep_alive_idle_time(0), ErrorCode::InvalidArgument);
    fails(socket.set_keep_alive_interval(0), ErrorCode::InvalidArgument);
    fails(socket.set_keep_alive_count(0), ErrorCode::InvalidArgument);
    fails(socket.set_hop_limit(0), ErrorCode::InvalidArgument);
    fails(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
    fails(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
    for value in [u64::MAX, 1] {
        socket.set_listen_backlog_size(value).unwrap();
        socket.set_keep_alive_idle_time(value).unwrap();
        socket.set_keep_alive_interval(value).unwrap();
        socket.set_receive_buffer_size(value).unwrap();
        socket.set_send_buffer_size(value).unwrap();
    }
    // A nanosecond is rounded to the least that the kernel has, and not to 0.
    for time in [socket.keep_alive_idle_time(), socket.keep_alive_interval()] {
        assert_eq!(time.unwrap(), SECOND);
    }
    for value in [u32::MAX, 1, 42] {
        socket.set_keep_alive_count(value).unwrap();
    }
    for value in [1, u8::MAX, 42] {
        socket.set_hop_limit(value).unwrap();
        assert_eq!(socket.hop_limit().unwrap(), value);
    }
    assert_eq!(socket.keep_alive_count().unwrap(), 42);
    for value in [true, false] {
        socket.set_keep_alive_enabled(value).unwrap();
        assert_eq!(socket.keep_alive_enabled().unwrap(), value);
    }
}

/// The options that an accepted socket inherits.
fn set_options(socket: &TcpSocket, of: u64) {
    socket.set_keep_alive_enabled(of == 42).unwrap();
    socket.set_keep_alive_idle_time(of * SECOND).unwrap();
    socket.set_keep_alive_interval(of * SECOND).unwrap();
    socket.set_keep_alive_count(of as u32).unwrap();
    socket.set_hop_limit(of as u8).unwrap();
    socket.set_receive_buffer_size(of * 0x400).unwrap();
    socket.set_send_buffer_size(of * 0x400).unwrap();
}

fn has_options(socket: &TcpSocket, of: u64) {
    assert_eq!(socket.keep_alive_enabled().unwrap(), of == 42);
    assert_eq!(socket.keep_alive_idle_time().unwrap(), of * SECOND);
    assert_eq!(socket.keep_alive_interval().unwrap(), of * SECOND);
    assert_eq!(u64::from(socket.keep_alive_count().unwrap()), of);
    assert_eq!(u64::from(socket.hop_limit().unwrap()), of);
    assert_eq!(socket.receive_buffer_size().unwrap(), of * 0x400);
    assert_eq!(socket.send_buffer_size().unwrap(), of * 0x400);
}

fn options_of_accepted(net: &Net) {
    for before_listen in [true, false] {
        let listener = net.tcp();
        if before_listen {
            set_options(&listener, 42);
        }
        net.bind_tcp(&listener, net.loopback(0)).unwrap();
        listen(&listener).unwrap();
        set_options(&listener, 42);
        let client = net.connect(net.tcp(), local(&listener)).map_err(|(_, code)| code).unwrap();
        let served = accept(&listener);
        has_options(&served.socket, 42);
        // Later changes of the listener are its own.
        set_options(&listener, 43);
        has_options(&served.socket, 42);
        has_options(&listener, 43);
        drop(client);
    }
}
