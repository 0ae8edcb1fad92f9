//! Options as integers, as bytes, as a length without a value. A read is cut to the bytes that the
//! kernel filled in.

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};
use sandsock_test_programs::{datagrams, fails, fails_with};

fn main() -> Result<(), Error> {
    let tcp = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let udp = datagrams(AF_INET6)?;
    let constants =
        [(&tcp, [AF_INET, SOCK_STREAM, IPPROTO_TCP]), (&udp, [AF_INET6, SOCK_DGRAM, IPPROTO_UDP])];
    for (socket, numbers) in constants {
        for (option, number) in [SO_DOMAIN, SO_TYPE, SO_PROTOCOL].into_iter().zip(numbers) {
            assert_eq!(socket.getsockopt(SOL_SOCKET, option)?, number);
            assert_eq!(
                socket.getsockopt_bytes(SOL_SOCKET, option, 64)?,
                number.to_le_bytes(),
                "cut to 4 bytes"
            );
        }
    }
    let nonblocking = Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)?;
    assert_eq!(nonblocking.kind().0, SOCK_STREAM);
    assert_eq!(nonblocking.getsockopt(SOL_SOCKET, SO_TYPE)?, SOCK_STREAM);

    // Integers, and their bytes.
    assert_eq!(tcp.getsockopt(IPPROTO_TCP, TCP_NODELAY)?, 0);
    tcp.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)?;
    assert_eq!(tcp.getsockopt(IPPROTO_TCP, TCP_NODELAY)?, 1);
    tcp.setsockopt(IPPROTO_TCP, TCP_NODELAY, &[0, 0, 0, 0])?;
    assert_eq!(tcp.getsockopt_bytes(IPPROTO_TCP, TCP_NODELAY, 4)?, [0, 0, 0, 0]);
    tcp.setsockopt(SOL_SOCKET, SO_KEEPALIVE, true)?;
    assert_eq!(tcp.getsockopt(SOL_SOCKET, SO_KEEPALIVE)?, 1);
    tcp.setsockopt(SOL_SOCKET, SO_RCVBUF, 20_000)?;
    assert_eq!(tcp.getsockopt(SOL_SOCKET, SO_RCVBUF)?, 40_000, "Linux doubles it");
    tcp.setsockopt(IPPROTO_IP, IP_TTL, 7)?;
    assert_eq!(tcp.getsockopt(IPPROTO_IP, IP_TTL)?, 7);

    // Structures.
    let linger = [1, 0, 0, 0, 5, 0, 0, 0];
    tcp.setsockopt(SOL_SOCKET, SO_LINGER, &linger)?;
    assert_eq!(tcp.getsockopt_bytes(SOL_SOCKET, SO_LINGER, 8)?, linger);
    assert_eq!(tcp.getsockopt_bytes(SOL_SOCKET, SO_LINGER, 1024)?, linger);
    assert_eq!(tcp.getsockopt_bytes(SOL_SOCKET, SO_LINGER, 5)?, linger[..5]);
    assert_eq!(tcp.getsockopt(SOL_SOCKET, SO_LINGER)?, 1, "its first four bytes");
    fails_with(tcp.setsockopt(SOL_SOCKET, SO_LINGER, &linger[..4]), "OSError", 22);
    tcp.setsockopt(SOL_SOCKET, SO_LINGER, &[0; 8])?;

    // A length and no value: the kernel reads through the null pointer, or takes no value at all.
    fails_with(tcp.setsockopt(SOL_SOCKET, SO_KEEPALIVE, OptionValue::Null(4)), "OSError", 14);
    fails_with(tcp.setsockopt(SOL_SOCKET, SO_KEEPALIVE, OptionValue::Null(0)), "OSError", 22);
    assert_eq!(tcp.getsockopt(SOL_SOCKET, SO_KEEPALIVE)?, 1, "it stays");

    // Lengths, by Python's rule.
    for length in [0, 1025, 1 << 20] {
        let read = tcp.getsockopt_bytes(SOL_SOCKET, SO_TYPE, length);
        fails(read, "OSError", "getsockopt buflen out of range");
    }
    assert_eq!(tcp.getsockopt_bytes(SOL_SOCKET, SO_TYPE, 1)?, [1]);

    fails_with(tcp.setsockopt(SOL_SOCKET, SO_TYPE, 1), "OSError", 92);
    fails_with(udp.getsockopt(IPPROTO_TCP, TCP_NODELAY), "OSError", 92);
    let denied = tcp.setsockopt(SOL_SOCKET, SO_MARK, 1).expect_err("it needs a grant");
    assert_eq!(
        (denied.class(), denied.grant()),
        ("PermissionError", Some("option=SOL_SOCKET/SO_MARK"))
    );
    Ok(())
}
