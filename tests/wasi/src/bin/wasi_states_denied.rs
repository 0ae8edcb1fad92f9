//! `wasi_states_denied 4|6`: the states of sockets whose operations the policy denies. Nothing is
//! granted.

#[cfg(target_family = "wasm")]
#[path = "../wasi2/support.rs"]
#[allow(dead_code, reason = "the other programs use the rest")]
mod support;

#[cfg(target_family = "wasm")]
fn main() {
    use support::*;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::ErrorCode;
    use wasip2::sockets::tcp::ShutdownType;

    let net = Net::new(&std::env::args().nth(1).unwrap());
    // A denied bind leaves the socket unbound, and nothing is in progress.
    let socket = net.tcp();
    for address in [net.loopback(0), net.unspecified(0), net.loopback(80)] {
        fails(socket.start_bind(&net.network, wit(address)), ErrorCode::AccessDenied);
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
        fails(socket.local_address(), ErrorCode::InvalidState);
        fails(socket.start_listen(), ErrorCode::InvalidState);
        fails(socket.accept(), ErrorCode::InvalidState);
    }
    // The checks of the package come first.
    for address in net.strange(0).into_iter().chain(net.groups(0)) {
        fails(socket.start_bind(&net.network, wit(address)), ErrorCode::InvalidArgument);
        fails(socket.start_connect(&net.network, wit(address)), ErrorCode::InvalidArgument);
    }
    // The options are the guest's own.
    socket.set_keep_alive_enabled(true).unwrap();
    socket.set_hop_limit(7).unwrap();
    socket.set_receive_buffer_size(10_000).unwrap();
    socket.set_listen_backlog_size(7).unwrap();
    // A denied connect has failed, and closes the socket as any failure does.
    socket.start_connect(&net.network, wit(net.loopback(80))).unwrap();
    fails(
        socket.start_connect(&net.network, wit(net.loopback(80))),
        ErrorCode::ConcurrencyConflict,
    );
    within(&socket.subscribe()).expect("it has failed");
    fails(socket.finish_connect(), ErrorCode::AccessDenied);
    fails(socket.finish_connect(), ErrorCode::NotInProgress);
    fails(socket.start_connect(&net.network, wit(net.loopback(80))), ErrorCode::InvalidState);
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    fails(socket.shutdown(ShutdownType::Both), ErrorCode::InvalidState);
    fails(socket.local_address(), ErrorCode::InvalidState);
    fails(socket.keep_alive_enabled(), ErrorCode::InvalidState);

    let socket = net.udp();
    for address in [net.loopback(0), net.unspecified(0), net.loopback(53)] {
        fails(socket.start_bind(&net.network, wit(address)), ErrorCode::AccessDenied);
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
        fails(socket.local_address(), ErrorCode::InvalidState);
        fails(socket.stream(None), ErrorCode::InvalidState);
        fails(socket.stream(Some(wit(net.loopback(53)))), ErrorCode::InvalidState);
    }
    for address in net.strange(0) {
        fails(socket.start_bind(&net.network, wit(address)), ErrorCode::InvalidArgument);
    }
    socket.set_unicast_hop_limit(7).unwrap();

    // A number is no name.
    let name = |name: &str| resolve_addresses(&net.network, name);
    fails(name("a.example"), ErrorCode::AccessDenied);
    fails(name("localhost"), ErrorCode::AccessDenied);
    fails(name("a b"), ErrorCode::InvalidArgument);
    let stream = name("192.0.2.1").unwrap();
    assert!(stream.resolve_next_address().unwrap().is_some());
    assert!(stream.resolve_next_address().unwrap().is_none());
    assert!(stream.resolve_next_address().unwrap().is_none());
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
