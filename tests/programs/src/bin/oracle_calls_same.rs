//! Makes the calls that its arguments name, and prints their results. `calls.py` does the same.

use std::io::{IoSlice, IoSliceMut};

use sandsock::constants::*;
use sandsock::{
    Address, Error, OptionValue, Received, Socket, ToAddress, getdefaulttimeout, setdefaulttimeout,
    setdefaulttimeout_f64,
};
use sandsock_test_programs::oracle::{decode, hex, repr, shown, unhex};

fn main() {
    for argument in std::env::args().skip(1) {
        let parts: Vec<_> = argument.split('|').collect();
        println!("{argument} {}", shown(call(&parts)));
    }
}

type Outcome = Result<String, Error>;

fn number(text: &str) -> i32 {
    text.parse().expect("a number")
}

fn call(parts: &[&str]) -> Outcome {
    let rest = &parts[1..];
    match parts[0] {
        "bind" | "connect" | "connect_ex" | "sendto" => {
            addressed(parts[0], number(rest[0]), &rest[1..])
        }
        "form" => {
            let socket = Socket::new(number(rest[0]), SOCK_DGRAM, 0)?;
            if rest[0] == "1" { socket.bind(("text", 1)) } else { socket.bind("text") }.map(none)
        }
        "socket" => {
            let socket = Socket::new(number(rest[0]), number(rest[1]), number(rest[2]))?;
            let timeout = seconds(socket.gettimeout());
            Ok(format!(
                "({}, {}, {}, '{timeout}')",
                socket.family().0,
                socket.kind().0,
                socket.proto()
            ))
        }
        "settimeout" => {
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            socket.settimeout_f64(Some(rest[0].parse().expect("a number")))?;
            Ok(format!("('{}', {})", seconds(socket.gettimeout()), truth(socket.getblocking())))
        }
        "setdefaulttimeout" => {
            let result = setdefaulttimeout_f64(Some(rest[0].parse().expect("a number")));
            let timeout = seconds(getdefaulttimeout());
            setdefaulttimeout(None)?;
            result.map(|()| format!("'{timeout}'"))
        }
        "option" => option(rest),
        "null" => {
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            let length = OptionValue::Null(rest[2].parse().expect("a length"));
            socket.setsockopt(number(rest[0]), number(rest[1]), length).map(none)
        }
        verb => {
            let socket = Socket::new(AF_INET, number(rest[0]), 0)?;
            match (verb, rest[1]) {
                ("listen", backlog) => {
                    socket.listen(number(backlog))?;
                    return Ok(socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)?.to_string());
                }
                ("shutdown", how) => return socket.shutdown(number(how)).map(none),
                (_, "closed") => socket.close()?,
                (_, timeout) => socket.settimeout_f64(Some(timeout.parse().expect("a number")))?,
            }
            method(&socket, verb)
        }
    }
}

fn addressed(verb: &str, family: i32, parts: &[&str]) -> Outcome {
    let socket = Socket::new(family, SOCK_DGRAM, 0)?;
    let host = decode(parts[0]);
    let numbers: Vec<i64> = parts[1..].iter().map(|part| part.parse().expect("a number")).collect();
    let argument: Box<dyn ToAddress> = match numbers[..] {
        [] => Box::new(host),
        [port] => Box::new((host, port)),
        [port, flow] => Box::new((host, port, flow)),
        [port, flow, scope, ..] => Box::new((host, port, flow, scope)),
    };
    let argument = &*argument;
    let address = match verb {
        "bind" => socket.bind(argument).and_then(|()| socket.getsockname())?,
        "connect" => socket.connect(argument).and_then(|()| socket.getpeername())?,
        "connect_ex" => return Ok(socket.connect_ex(argument)?.to_string()),
        _ => return Ok(socket.sendto(b"", 0, argument)?.to_string()),
    };
    // Without the port that the kernel chose.
    Ok(match address {
        Address::Inet(host, _) if parts[1] == "0" => Address::Inet(host, 0),
        Address::Inet6(host, _, flow, scope) if parts[1] == "0" => {
            Address::Inet6(host, 0, flow, scope)
        }
        address => address,
    }
    .to_string())
}

fn option(rest: &[&str]) -> Outcome {
    let socket = Socket::new(AF_INET, number(rest[0]), 0)?;
    let (level, name) = (number(rest[1]), number(rest[2]));
    match rest[3] {
        "" => {}
        bytes if bytes.starts_with('x') => {
            socket.setsockopt(level, name, unhex(&bytes[1..]).as_slice())?
        }
        value => socket.setsockopt(level, name, number(value))?,
    }
    match rest[4] {
        "" => Ok(socket.getsockopt(level, name)?.to_string()),
        length => Ok(format!(
            "'{}'",
            hex(&socket.getsockopt_bytes(level, name, length.parse().expect("a length"))?)
        )),
    }
}

fn method(socket: &Socket, verb: &str) -> Outcome {
    let mut buffer = [0; 4];
    let message = |received: Received<String>| {
        format!("({}, [], {}, {})", received.data, received.flags.0, received.address)
    };
    let count = |count: usize| count.to_string();
    let with = |what: String, address: Address| format!("({what}, {address})");
    match verb {
        "accept" => socket.accept().map(|(_, address)| address.to_string()),
        "recv" => socket.recv(4, 0).map(|data| repr(&data)),
        "recv0" => socket.recv(0, 0).map(|data| repr(&data)),
        "recvfrom" => socket.recvfrom(4, 0).map(|(data, address)| with(repr(&data), address)),
        "recvfrom0" => socket.recvfrom(0, 0).map(|(data, address)| with(repr(&data), address)),
        "recv_into" => socket.recv_into(&mut buffer, 0).map(count),
        "recv_into0" => socket.recv_into(&mut [], 0).map(count),
        "recvfrom_into" => socket
            .recvfrom_into(&mut buffer, 0)
            .map(|(length, address)| with(count(length), address)),
        "recvmsg" => bytes(socket.recvmsg(4, 0, 0)).map(message),
        "recvmsg_huge" => bytes(socket.recvmsg(4, 1 << 31, 0)).map(message),
        "recvmsg_into" => socket
            .recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 0, 0)
            .map(|got| count(got.data)),
        "recv_oob" => socket.recv(1, MSG_OOB).map(|data| repr(&data)),
        "recv_errqueue" => socket.recv(1, MSG_ERRQUEUE).map(|data| repr(&data)),
        "send" => socket.send(b"x", 0).map(count),
        "send0" => socket.send(b"", 0).map(count),
        "sendall" => socket.sendall(b"x", 0).map(none),
        "sendall0" => socket.sendall(b"", 0).map(none),
        "sendmsg" => {
            socket.sendmsg(&[IoSlice::new(b"x"), IoSlice::new(b"y")], &[], 0, None).map(count)
        }
        "sendmsg0" => socket.sendmsg(&[], &[], 0, None).map(count),
        "sendmsg_many" => {
            let many: Vec<_> = (0..1025).map(|_| IoSlice::new(b"x")).collect();
            socket.sendmsg(&many, &[], 0, None).map(count)
        }
        "getsockname" => socket.getsockname().map(|address| address.to_string()),
        "getpeername" => socket.getpeername().map(|address| address.to_string()),
        "getinheritable" => socket.get_inheritable().map(truth),
        "detach" => Ok(truth(socket.detach() > 0)),
        "dup" => socket.dup().map(|_| none(())),
        "settimeout_1" => socket.settimeout_f64(Some(1.0)).map(none),
        "setblocking" => socket.setblocking(false).map(none),
        "gettimeout" => Ok(format!("'{}'", seconds(socket.gettimeout()))),
        "getsockopt" => socket.getsockopt(SOL_SOCKET, SO_TYPE).map(|value| value.to_string()),
        "getsockopt_long" => {
            socket.getsockopt_bytes(SOL_SOCKET, SO_TYPE, 1025).map(|value| hex(&value))
        }
        "setsockopt" => socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1).map(none),
        "bind_bad" => socket.bind("text").map(none),
        "connect_ex_1" => socket.connect_ex(("127.0.0.1", 1)).map(|code| code.to_string()),
        "connect_ex_bad" => socket.connect_ex(("127.0.0.1", -1)).map(|code| code.to_string()),
        "close" => socket.close().map(none),
        verb => panic!("no such call: {verb}"),
    }
}

fn bytes(received: Result<Received<Vec<u8>>, Error>) -> Result<Received<String>, Error> {
    received.map(|r| Received {
        data: repr(&r.data),
        ancillary: r.ancillary,
        flags: r.flags,
        address: r.address,
        warnings: r.warnings,
    })
}

fn none((): ()) -> String {
    "None".to_owned()
}

fn truth(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

fn seconds(timeout: Option<std::time::Duration>) -> String {
    format!("{:.9}", timeout.map_or(-1.0, |timeout| timeout.as_secs_f64()))
}
