//! AF_INET and AF_INET6.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn inet_echo_ok() {
    both_ways(|way| {
        let guest = Guest::new(programs::inet_echo_ok, way).allow("tcp-listen=127.0.0.1:0").start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        client.write_all(b"hello").expect("sends");
        client.shutdown(Shutdown::Write).expect("shuts down");
        let mut back = String::new();
        client.read_to_string(&mut back).expect("receives");
        assert_eq!(back, "hello");
        guest.join().success();
    });
}
