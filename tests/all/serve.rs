//! Many guests behind one listener, and what is handed over to guests.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::fs::OFlags;
use sandsock_tests::{Guest, both_ways, programs};

fn blocks(listener: &TcpListener) -> bool {
    !rustix::fs::fcntl_getfl(listener).expect("it is open").contains(OFlags::NONBLOCK)
}

#[test]
pub(crate) fn serve_inherit_judged() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let (udp, peer) = (UdpSocket::bind("127.0.0.1:0").expect("binds"), UdpSocket::bind("127.0.0.1:0").expect("binds"));
        peer.send_to(b"unasked", udp.local_addr().expect("an address")).expect("sends");
        let (here, mut there) = UnixStream::pair().expect("a pair");
        let (pipe, _writer) = std::io::pipe().expect("a pipe");
        let (more, _) = UnixStream::pair().expect("a pair");
        let guest = Guest::new(programs::serve_inherit_judged, way)
            .inherit(3, listener.try_clone().expect("copies"))
            .inherit(4, udp)
            .inherit(5, here)
            .inherit(6, OwnedFd::from(pipe))
            .inherit(7, more)
            .arg(peer.local_addr().expect("an address").port());
        let guest = [3, 4, 5, 6].into_iter().fold(guest, |guest, number| guest.allow(format!("inherit=fd:{number}")));
        assert!(!blocks(&listener), "a listener that was handed over does not block a thread");
        let running = guest.start();
        let mut text = String::new();
        TcpStream::connect(address).expect("connects").read_to_string(&mut text).expect("reads");
        there.read_to_string(&mut text).expect("the guest has closed its end");
        // The guest is still there.
        let mut third = TcpStream::connect(address).expect("connects");
        third.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "firstsecondthird");
        let ended = running.join();
        assert_eq!(ended.dropped, 1);
        ended.success();
        assert!(blocks(&listener), "and blocks again afterwards");
    });
}
