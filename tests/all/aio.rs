//! Asynchronous guests: the executor, the reactor, sockets whose methods are futures.

use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn aio_echo_ok() {
    both_ways(|way| {
        let guest = Guest::new(programs::aio_echo_ok, way).limit("descriptors=1024");
        guest
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .arg(300)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn aio_timer_ok() {
    both_ways(|way| {
        Guest::new(programs::aio_timer_ok, way).run().success();
    });
}

#[test]
pub(crate) fn aio_cancel_ok() {
    both_ways(|way| {
        // Room for the pairs that are open at once. A descriptor that stays open would exceed it.
        Guest::new(programs::aio_cancel_ok, way)
            .limit("descriptors=8")
            .limit("pollers=1")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn aio_connect_ok() {
    both_ways(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        // A port without a listener. It is bound, so no other program gets it meanwhile.
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("binds");
        let port = bound.local_addr().expect("an address").as_socket().expect("of INET").port();
        // The guest's own listener gets a port of the kernel's, which the grant must name: any but
        // the one that is denied.
        let other = port ^ 1;
        Guest::new(programs::aio_connect_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-connect=sandsock.example:80")
            .limit("lookups-per-second=0")
            .deny(format!("tcp-connect=127.0.0.1:{other}"))
            .allow(format!("unix-bind={}/*", folder.display()))
            .allow(format!("unix-connect={}/*", folder.display()))
            .arg(port)
            .arg(folder.join("backlog").display())
            .run()
            .success();
    });
}

#[test]
pub(crate) fn aio_again_ok() {
    both_ways(|way| {
        Guest::new(programs::aio_again_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn aio_datagram_ok() {
    both_ways(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        Guest::new(programs::aio_datagram_ok, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .allow(format!("unix-bind={}/*", folder.display()))
            .allow(format!("unix-connect={}/*", folder.display()))
            .allow("ancillary=rights:send")
            .allow("ancillary=rights:receive")
            .arg(folder.display())
            .run()
            .success();
    });
}

#[test]
pub(crate) fn aio_interrupt_ends() {
    both_ways(|way| {
        let guest = Guest::new(programs::aio_interrupt_ends, way).start();
        for lines in 1..=3 {
            guest.lines(lines);
            guest.interrupt();
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn aio_turns_shared() {
    both_ways(|way| {
        Guest::new(programs::aio_turns_shared, way).run().success();
    });
}
