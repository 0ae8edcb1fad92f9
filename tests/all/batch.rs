//! Many datagrams a crossing.

use std::net::UdpSocket;
use std::time::Duration;

use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn batch_datagrams_ok() {
    both_ways(|way| {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let port = |socket: &UdpSocket| socket.local_addr().expect("has an address").port();
        let guest = Guest::new(programs::batch_datagrams_ok, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow(format!("udp-send=127.0.0.1:{}", port(&peer)))
            .arg(port(&peer))
            .arg(port(&stranger));
        let own = peer.try_clone().expect("duplicates");
        own.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        let echo = std::thread::spawn(move || {
            let mut buffer = [0; 128];
            // 50 messages, a long and an empty one, and the one before the forbidden one.
            for _ in 0..53 {
                let (length, from) = own.recv_from(&mut buffer).expect("receives");
                own.send_to(&buffer[..length], from).expect("sends");
            }
        });
        let guest = guest.start();
        let to: u16 = guest.lines(1)[0].parse().expect("a port");
        for _ in 0..3 {
            stranger.send_to(b"unseen", ("127.0.0.1", to)).expect("sends");
        }
        let ended = guest.join();
        echo.join().expect("the echo ends");
        assert_eq!(ended.dropped, 3);
        ended.success();
    });
}
