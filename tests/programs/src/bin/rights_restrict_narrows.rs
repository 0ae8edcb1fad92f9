//! Gives up rights step by step. Arguments: the ports of two TCP servers that echo, and of two UDP
//! sockets that answer.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::rights::{self, RestrictError};
use sandsock::raw::types::Error as RawError;
use sandsock::{ErrorKind, Flags, Result, Socket, errno, restrict};
use sandsock_test_programs::{argument, fails_with, port};

/// Checks that the guest itself has given the right up.
#[track_caller]
fn given_up<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.expect_err("it was given up");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Denied, Some(errno::EACCES)), "{error}");
    assert!(error.grant().is_none() && error.to_string().contains("gave it up"), "{error}");
}

fn connect(port: u16) -> Result<Socket> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", port))?;
    Ok(socket)
}

fn echoes(socket: &Socket) -> Result<()> {
    socket.sendall(b"echo", Flags::NONE)?;
    assert_eq!(socket.recv(4, MSG_WAITALL)?, b"echo");
    Ok(())
}

fn main() -> Result<()> {
    let (first, second): (u16, u16) = (argument(0), argument(1));
    let (peer, stranger): (u16, u16) = (argument(2), argument(3));
    // A mistake gives nothing up.
    let good = format!("tcp-connect=127.0.0.1:{first}");
    let error = restrict(&[good.as_str(), "tcp-conect=127.0.0.1:1"]).expect_err("no rule");
    let text = "\"tcp-conect=127.0.0.1:1\": at character 1: unknown verb `tcp-conect`";
    assert!(error.class() == "ValueError" && error.to_string().starts_with(text), "{error}");
    let error = restrict(&["tcp-connect=127.0.0.1:65536"]).expect_err("no port");
    assert!(error.to_string().contains("at character 23: "), "{error}");
    assert_eq!(restrict(&["unix-connect=run/a.sock"]).expect_err("relative").class(), "ValueError");
    fails_with(restrict(&vec![good.as_str(); 1025]), "OSError", errno::E2BIG);
    let long = format!("resolve={}", "a".repeat(4096));
    fails_with(restrict(&[long]), "OSError", errno::E2BIG);
    let open = connect(second)?;
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    let datagrams = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    datagrams.bind(("127.0.0.1", 0))?;
    let bound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    bound.bind(("127.0.0.1", 0))?;
    let unbound = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    // Both UDP sockets have answered before the rights are given up.
    for port in [stranger, peer] {
        datagrams.sendto(b"hello", 0, ("127.0.0.1", port))?;
    }
    std::thread::sleep(Duration::from_millis(300));

    let own = port(&listener);
    restrict(&[
        good,
        format!("tcp-connect=127.0.0.1:{own}"),
        format!("udp-send=127.0.0.1:{peer}"),
        // The policy does not grant this.
        "unix-bind=@anything".to_owned(),
    ])?;
    echoes(&connect(first)?)?;
    given_up(connect(second));
    // What is open goes on.
    echoes(&open)?;
    let client = connect(own)?;
    let (accepted, _) = listener.accept()?;
    client.sendall(b"x", Flags::NONE)?;
    assert_eq!(accepted.recv(9, Flags::NONE)?, b"x");
    // Each further act is checked.
    given_up(bound.listen(None));
    given_up(Socket::new(AF_INET, SOCK_STREAM, 0)?.bind(("127.0.0.1", 0)));
    given_up(datagrams.sendto(b"x", 0, ("127.0.0.1", stranger)));
    // The operator's own answers send no question.
    assert_eq!(sandsock::gethostbyname("fixed.example")?, "192.0.2.1");
    given_up(sandsock::gethostbyname("other.example"));
    let refused = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?.bind("\0anything");
    assert!(refused.is_err_and(|error| error.grant() == Some("unix-bind=@anything")));
    // Only the peer's answer is there, though the stranger's came first.
    datagrams.settimeout(Some(Duration::from_secs(5)))?;
    assert_eq!(datagrams.recvfrom(99, 0)?.0, b"peer");
    datagrams.setblocking(false)?;
    assert_eq!(datagrams.recv(99, 0).map_err(|error| error.errno()), Err(Some(errno::EAGAIN)));

    // Nothing comes back.
    restrict(&["tcp-connect=*:*", "resolve=*", "udp-receive=*:*", "tcp-listen=*:*"])?;
    given_up(connect(second));
    given_up(sandsock::gethostbyname("other.example"));
    echoes(&connect(first)?)?;
    restrict::<&str>(&[])?;
    given_up(connect(first));
    given_up(unbound.recv(9, 0));
    echoes(&open)?;
    let (a, b) = sandsock::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    a.sendall(b"pair", Flags::NONE)?;
    assert_eq!(b.recv(9, Flags::NONE)?, b"pair");
    for _ in 3..16 {
        restrict::<&str>(&[])?;
    }
    let refused = rights::restrict(&[]);
    assert_eq!(refused, Err(RestrictError::Other(RawError::Os(errno::E2BIG))));
    Ok(())
}
