//! What the benchmark runs works at all. The figures are the benchmark's: nothing is timed here.

use std::net::TcpListener;

use sandsock_tests::bench::serve;
use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn bench_transfer_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    std::thread::spawn(move || serve(&listener));
    both_ways(|way| {
        for (operation, size) in [("send", 65536), ("receive", 65536), ("round-trip", 64)] {
            let guest = Guest::new(programs::bench_transfer_ok, way).allow(format!("tcp-connect=127.0.0.1:{port}"));
            let printed = guest.arg(operation).arg(port).arg(size).arg(20).run().success();
            assert!(printed.trim().parse::<u64>().expect("nanoseconds") > 0);
        }
    });
}
