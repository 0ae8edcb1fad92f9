//! UDP without a grant, and with a grant for another address.

use std::io::ErrorKind;
use std::net::UdpSocket;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap().parse().unwrap();
    if arguments.next().is_none() {
        let error = UdpSocket::bind("0.0.0.0:0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        return;
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let error = socket.send_to(b"no", ("127.0.0.1", port)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let error = socket.connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    // The port is the guest's choice, so it is a bind.
    let error = UdpSocket::bind("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    // No grant is about IPv6.
    let error = UdpSocket::bind("[::]:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}
