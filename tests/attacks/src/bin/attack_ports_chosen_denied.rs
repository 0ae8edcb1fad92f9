//! Gets local ports that the kernel chooses, in every way. If rules deny ports, the kernel must
//! choose none of them. Arguments: the expected outcome, a TCP and a UDP port of 127.0.0.1 that the
//! guest may reach, the first and the last port that it may get.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::types::Wait;
use sandsock::raw::{syscalls, transfers};
use sandsock::{OptionValue, Result, Socket};

#[allow(dead_code)]
#[path = "../../../programs/src/attack.rs"]
mod attack;
use attack::{args, denied_by_rule, inet, raw};

const HERE: &str = "127.0.0.1";

/// A way to a local port: its name, whether it is by the way of another act, and the act.
type Way = (&'static str, bool, fn(u16, u16) -> Result<(Socket, Result<()>)>);

fn tcp() -> Result<Socket> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    // A close that leaves nothing behind: the range is small.
    socket.setsockopt(SOL_SOCKET, SO_LINGER, OptionValue::Bytes(&[1, 0, 0, 0, 0, 0, 0, 0]))?;
    Ok(socket)
}

fn udp() -> Result<Socket> {
    Socket::new(AF_INET, SOCK_DGRAM, 0)
}

/// With an address and without a port, which the kernel chooses at the next act.
fn address_alone(socket: Socket) -> Result<Socket> {
    socket.setsockopt(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)?;
    // Where a bind is denied the act is tried on a socket without an address.
    let _ = socket.bind((HERE, 0));
    Ok(socket)
}

fn done<T>(socket: Socket, act: impl FnOnce(&Socket) -> Result<T>) -> Result<(Socket, Result<()>)> {
    let result = act(&socket).map(drop);
    Ok((socket, result))
}

const WAYS: &[Way] = &[
    ("bind", false, |_, _| done(udp()?, |socket| socket.bind((HERE, 0)))),
    ("bind to the wildcard", false, |_, _| done(udp()?, |socket| socket.bind(("", 0)))),
    ("bind of both versions", false, |_, _| {
        done(Socket::new(AF_INET6, SOCK_DGRAM, 0)?, |socket| socket.bind(("::", 0)))
    }),
    ("bind to the mapped address", false, |_, _| {
        done(Socket::new(AF_INET6, SOCK_DGRAM, 0)?, |socket| socket.bind(("::ffff:127.0.0.1", 0)))
    }),
    ("bind of a stream", false, |_, _| done(tcp()?, |socket| socket.bind((HERE, 0)))),
    ("bind of a stream to the wildcard", false, |_, _| done(tcp()?, |socket| socket.bind(("", 0)))),
    ("bind of a stream of both versions", false, |_, _| {
        done(Socket::new(AF_INET6, SOCK_STREAM, 0)?, |socket| socket.bind(("::", 0)))
    }),
    ("listen", false, |_, _| done(tcp()?, |socket| socket.listen(1))),
    ("listen of both versions", false, |_, _| {
        done(Socket::new(AF_INET6, SOCK_STREAM, 0)?, |socket| socket.listen(1))
    }),
    ("connect", true, |_, port| done(udp()?, |socket| socket.connect((HERE, port)))),
    ("connect of a mapped address", true, |_, port| {
        done(Socket::new(AF_INET6, SOCK_DGRAM, 0)?, |socket| {
            socket.connect(("::ffff:127.0.0.1", port))
        })
    }),
    ("sendto", true, |_, port| done(udp()?, |socket| socket.sendto(b"x", 0, (HERE, port)))),
    ("empty sendto", true, |_, port| done(udp()?, |socket| socket.sendto(b"", 0, (HERE, port)))),
    ("sendmsg", true, |_, port| {
        done(udp()?, |socket| socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, Some(&(HERE, port))))
    }),
    ("sendto with MSG_MORE", true, |_, port| {
        done(udp()?, |socket| socket.sendto(b"x", MSG_MORE, (HERE, port)))
    }),
    ("sendto after a bind without a port", true, |_, port| {
        done(address_alone(udp()?)?, |socket| socket.sendto(b"x", 0, (HERE, port)))
    }),
    ("connect of a stream", true, |port, _| done(tcp()?, |socket| socket.connect((HERE, port)))),
    ("connect_ex", true, |port, _| {
        done(tcp()?, |socket| match socket.connect_ex((HERE, port))? {
            0 => Ok(()),
            // The number alone says nothing of the rule: the act that does is repeated.
            number => {
                assert_eq!(number, 13);
                socket.connect((HERE, port))
            }
        })
    }),
    ("sendto with MSG_FASTOPEN", true, |port, _| {
        done(tcp()?, |socket| socket.sendto(b"x", MSG_FASTOPEN, (HERE, port)))
    }),
    ("sendmsg with MSG_FASTOPEN", true, |port, _| {
        done(tcp()?, |socket| {
            socket.sendmsg(&[IoSlice::new(b"x")], &[], MSG_FASTOPEN, Some(&(HERE, port)))
        })
    }),
    ("connect after a bind without a port", true, |port, _| {
        done(address_alone(tcp()?)?, |socket| socket.connect((HERE, port)))
    }),
];

/// The batch is the raw layer's alone.
fn batch(port: u16) -> (Result<u32>, u16) {
    let socket = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0)).expect("is made");
    let to = inet([127, 0, 0, 1], port);
    let entry = || transfers::BatchEntry { length: 1, address: Some(&to), control: &[] };
    let result = raw(transfers::send_batch(&socket, b"xy", &[entry(), entry()], 0, Wait::None));
    let sandsock::raw::types::Address::Inet(local) =
        raw(syscalls::local_address(&socket)).expect("is told").expect("is one")
    else {
        panic!("no address of IPv4")
    };
    (result, local.port)
}

fn main() -> Result<()> {
    let args = args();
    let expected = args[0].as_str();
    let ports: Vec<u16> = args[1..].iter().map(|text| text.parse().expect("a port")).collect();
    let [tcp_port, udp_port, first, last] = ports[..] else { panic!("four ports") };
    for (name, implicit, act) in WAYS {
        let (socket, result) = act(tcp_port, udp_port)?;
        let port = socket.getsockname()?.port().unwrap_or(0);
        if expected == "denied" || (expected == "every" && !implicit) {
            denied_by_rule(name, result);
            assert_eq!(port, 0, "{name}: it has a port all the same");
        } else {
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!((first..=last).contains(&port), "{name}: port {port}");
        }
    }
    let (result, port) = batch(udp_port);
    if expected == "denied" {
        denied_by_rule("a batch", result);
        assert_eq!(port, 0);
    } else {
        assert_eq!(result?, 2);
        assert!((first..=last).contains(&port), "a batch: port {port}");
    }
    // Without an address nothing is sent, but the kernel gives a port before it says so: here it is
    // granted by `udp-bind`.
    let socket = udp()?;
    let error = socket.send(b"x", 0).expect_err("there is no address");
    let port = socket.getsockname()?.port().unwrap_or(0);
    match expected {
        "denied" => denied_by_rule("send", Err::<(), _>(error)),
        _ => assert_eq!(error.errno(), Some(sandsock::errno::EDESTADDRREQ), "{error:?}"),
    }
    assert!(port == 0 || (first..=last).contains(&port), "send: port {port}");
    Ok(())
}
