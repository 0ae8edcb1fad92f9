//! Gives up all rights but one, and tries to get the others back. Arguments, after `twin` or not: the
//! port that is kept, a port that is not, a UDP port, and a name with a fixed address. The twin gives
//! nothing up, and does it all.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::rights;
use sandsock::{ErrorKind, Result, Socket, restrict, socketpair};
use sandsock_attacks::is_twin;

/// The twin does it. The attack is denied.
#[track_caller]
fn act<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    if is_twin() {
        result.unwrap_or_else(|error| panic!("{what}: {error}"));
        return;
    }
    let error = result.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Denied, "{what}: {error}");
    assert!(error.grant().is_none(), "{what} names a grant: {error}");
}

/// Each way to connect, and to send.
fn ways(port: u16, datagrams: u16) -> Result<()> {
    for host in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
        for (what, result) in attack::tcp_ways(host, port)? {
            match result {
                // connect_ex has no more than the number, and EINPROGRESS is a connection.
                Ok(Some(13)) => assert!(!is_twin(), "{what}"),
                Ok(Some(number)) if is_twin() => assert!(matches!(number, 0 | 115), "{what}"),
                // A mapped address is out of reach for a socket that is bound to an IPv6 address.
                Err(error) if error.kind() == ErrorKind::Os && is_twin() => {}
                result => act(&what, result),
            }
        }
        for (what, result) in attack::udp_ways(host, datagrams)? {
            match result {
                Ok(Some(13)) => assert!(!is_twin(), "{what}"),
                Err(error) if error.kind() == ErrorKind::Os && is_twin() => {}
                result => act(&what, result),
            }
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = attack::args().into_iter().filter(|word| word != "twin").collect();
    let [kept, port, datagrams, name] = words.as_slice() else { panic!("{words:?}") };
    let number = |text: &str| text.parse::<u16>().expect("a port");
    // What was made before.
    sandsock::gethostbyname(name)?;
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let bound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    bound.bind(("127.0.0.1", 0))?;
    let sender = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    a.send_fds(&[IoSlice::new(b"x")], &[socket.fileno()])?;
    let copy = bound.dup()?;
    let own = format!("tcp-connect=127.0.0.1:{kept}");
    if !is_twin() {
        restrict(&[own.as_str(), "ancillary=rights:receive"])?;
        // Other lists, mistakes, and too much.
        let wide = [
            "tcp-connect=*:*",
            "tcp-listen=*:*",
            "udp-send=*:*",
            "resolve=*",
            "unix-bind=@*",
            "ancillary=rights:receive",
            "option=SOL_SOCKET/SO_PRIORITY",
        ];
        restrict(&wide)?;
        assert!(restrict(&["tcp-connect"]).is_err() && restrict(&vec![own; 1025]).is_err());
        while rights::restrict(&wide).is_ok() {}
    }
    ways(number(port), number(datagrams))?;
    act("the name", Socket::new(AF_INET, SOCK_STREAM, 0)?.connect((name.as_str(), number(port))));
    act("listen", bound.listen(None));
    act("listen by a copy", copy.listen(None));
    act("bind", Socket::new(AF_INET, SOCK_STREAM, 0)?.bind(("127.0.0.1", 0)));
    act("name", Socket::new(AF_UNIX, SOCK_DGRAM, 0)?.bind("\0sandsock-attack-rights"));
    act("again", sender.connect(("127.0.0.1", number(datagrams))));
    act("rights", a.send_fds(&[IoSlice::new(b"x")], &[bound.fileno()]));
    act("mark", socket.setsockopt(SOL_SOCKET, SO_PRIORITY, 1));
    // A socket that was on its way is one of the guest's own.
    for number_of_it in b.recv_fds(9, 1)?.fds() {
        let received = sandsock::fromfd(number_of_it, AF_INET, SOCK_STREAM, 0)?;
        act("received", received.connect(("127.0.0.1", number(port))));
        let _ = sandsock::close(number_of_it);
    }
    // What was kept is there.
    Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("127.0.0.1", number(kept)))?;
    Ok(())
}
