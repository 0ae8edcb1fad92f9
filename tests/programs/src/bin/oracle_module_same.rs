//! The module's functions and objects, as its arguments name them. `module.py` does the same.

use std::fmt::Display;
use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{
    Address, Ancillary, ConnectTimeout, Error, Family, FileOptions, Flags, Received, Result,
    ServerOptions, Socket, SocketType, ToAddress, cmsg_len, cmsg_space, create_connection,
    create_server, fromfd, htonl, htons, ntohl, ntohs, set_warning_handler, setdefaulttimeout,
    setdefaulttimeout_f64, socketpair,
};
use sandsock_test_programs::oracle::{decode, quoted, repr, shown};

fn main() {
    for argument in std::env::args().skip(1) {
        let parts: Vec<_> = argument.split('|').collect();
        println!("{argument} {}", shown(call(&parts)));
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn seconds(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn truth(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

fn attempt<T: Display>(result: Result<T>) -> String {
    match result {
        Ok(value) => quoted(&value.to_string()),
        Err(error) => {
            let text = shown(Err(error));
            quoted(&text)
        }
    }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn state(socket: &Socket) -> String {
    let timeout = socket.gettimeout().map_or(-1.0, |timeout| timeout.as_secs_f64());
    format!("('{timeout:.3}', {})", truth(socket.getblocking()))
}

fn call(parts: &[&str]) -> Result<String> {
    let rest = &parts[1..];
    match parts[0] {
        "adopted" => adopted(number(rest[0]), number(rest[1]), number(rest[2])),
        "fileno" => Socket::with_fileno(number(rest[0]), None, None, None)
            .map(|socket| format!("{socket:?}")),
        "closefd" => sandsock::close(number(rest[0])).map(|()| "None".to_owned()),
        "dupfd" => sandsock::dup(number(rest[0])).map(|fd| fd.to_string()),
        "fromfd" => {
            fromfd(number(rest[0]), AF_INET, SOCK_STREAM, 0).map(|socket| format!("{socket:?}"))
        }
        "cmsg" => {
            // A length that wasm's words do not hold is longer than any control message.
            let length = usize::try_from(number::<u64>(rest[0])).unwrap_or(usize::MAX);
            Ok(list([attempt(cmsg_len(length)), attempt(cmsg_space(length))]))
        }
        "byteorder" => {
            let value: i64 = number(rest[0]);
            Ok(format!(
                "({}, {}, {}, {})",
                ntohs(value)?,
                htons(value)?,
                ntohl(value)?,
                htonl(value)?
            ))
        }
        "afalg" => {
            let socket = Socket::new(number::<i32>(rest[0]), SOCK_DGRAM, 0)?;
            let sent = socket.sendmsg_afalg(
                &[IoSlice::new(b"x")],
                number(rest[1]),
                None,
                rest[2].parse().ok(),
                0,
            )?;
            Ok(sent.to_string())
        }
        "default" => {
            setdefaulttimeout_f64(seconds(rest[0]))?;
            let result = default(rest[1]);
            setdefaulttimeout(None)?;
            result
        }
        "accepted" => accepted(rest),
        "server" => server(rest),
        "connection" => connection(rest),
        "option" => {
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            socket.setsockopt(number(rest[0]), number(rest[1]), number::<i64>(rest[2]))?;
            Ok(socket.getsockopt(number(rest[0]), number(rest[1]))?.to_string())
        }
        "cut" => cut(number(rest[0]), number(rest[1])),
        "fds" => {
            let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            let fds = vec![left.fileno(); number(rest[0])];
            let length = left.send_fds(&[IoSlice::new(b"one"), IoSlice::new(b"two")], &fds)?;
            let got = right.recv_fds(10, number(rest[1]))?;
            let fds = closed(&got)?;
            Ok(format!(
                "({length}, {}, {fds}, {}, {})",
                repr(&got.data),
                flags(got.flags),
                got.address
            ))
        }
        "lifetime" => lifetime(rest[0]),
        "repr" => {
            represented(number(rest[0]), number(rest[1]), rest[2]).map(|text| quoted(&plain(&text)))
        }
        "pairs" => {
            let (left, right) =
                socketpair(number::<i32>(rest[0]), number::<i32>(rest[1]), number(rest[2]))?;
            left.send(b"x", 0)?;
            let (family, kind) = (left.family().0, left.kind().0);
            Ok(format!(
                "({family}, {kind}, {}, {}, {})",
                left.proto(),
                state(&left),
                repr(&right.recv(1, 0)?)
            ))
        }
        _ => {
            let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            right.settimeout_f64(seconds(rest[1]))?;
            left.send(b"0123456789", 0)?;
            left.shutdown(SHUT_WR)?;
            let (size, flags) = (number(rest[0]), number::<i32>(rest[2]));
            let from =
                |(data, address): (Vec<u8>, Address)| format!("({}, {address})", repr(&data));
            Ok(list([
                attempt(right.recv(size, flags).map(|data| repr(&data))),
                attempt(right.recvfrom(size, flags).map(from)),
                attempt(right.recv(3, flags).map(|data| repr(&data))),
            ]))
        }
    }
}

fn adopted(family: i32, kind: i32, proto: i32) -> Result<String> {
    let fd = Socket::new(AF_INET, SOCK_STREAM, 0)?.detach();
    let given = |number: i32| (number != -1).then_some(number);
    let socket = Socket::with_fileno(
        fd,
        given(family).map(Family),
        given(kind).map(SocketType),
        given(proto),
    )?;
    let mut results = vec![
        attempt(socket.getsockname()),
        attempt(socket.getpeername()),
        attempt(socket.accept().map(|(_, address)| address)),
    ];
    if ![-1, 1, 2, 10, 16, 17, 21, 29, 30, 31, 38, 40, 42].contains(&family) {
        results.push(attempt(socket.connect("x").map(|()| "None")));
    }
    Ok(format!(
        "({}, {}, {}, {})",
        socket.family().0,
        socket.kind().0,
        socket.proto(),
        list(results)
    ))
}

fn default(how: &str) -> Result<String> {
    match how {
        "new" => return Ok(state(&Socket::new(AF_INET, SOCK_STREAM, 0)?)),
        "nonblock" => return Ok(state(&Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?)),
        _ => {}
    }
    let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    Ok(match how {
        "pair" => format!("({}, {})", state(&left), state(&right)),
        "dup" => {
            left.settimeout_f64(Some(3.0))?;
            state(&left.dup()?)
        }
        "fromfd" => state(&fromfd(left.fileno(), AF_UNIX, SOCK_STREAM, 0)?),
        "adopt" => state(&Socket::with_fileno(left.detach(), None, None, None)?),
        _ => {
            let server = create_server(("127.0.0.1", 0), ServerOptions::default())?;
            let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            client.settimeout_f64(Some(20.0))?;
            client.connect(server.getsockname()?)?;
            server.settimeout_f64(Some(20.0))?;
            state(&server.accept()?.0)
        }
    })
}

fn accepted(rest: &[&str]) -> Result<String> {
    let server = create_server(("127.0.0.1", 0), ServerOptions::default())?;
    let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    client.connect(server.getsockname()?)?;
    setdefaulttimeout_f64(seconds(rest[1]))?;
    server.settimeout_f64(seconds(rest[0]))?;
    let result = loop {
        match server.accept() {
            Err(error) if error.class() == "BlockingIOError" => {}
            result => break result,
        }
    };
    setdefaulttimeout(None)?;
    let (accepted, peer) = result?;
    let same = truth(peer == client.getsockname()?);
    Ok(format!("({}, {same}, {}, {})", state(&accepted), accepted.family().0, accepted.proto()))
}

fn server(rest: &[&str]) -> Result<String> {
    let [family, host, port, reuse, dual] = rest else { panic!("not five parts") };
    let options = ServerOptions {
        family: Family(number(family)),
        backlog: None,
        reuse_port: *reuse == "1",
        dualstack_ipv6: *dual == "1",
    };
    let server = create_server((*host, number::<i64>(port)), options)?;
    let only = match server.family() {
        Family::INET6 => server.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)?.to_string(),
        _ => "None".to_owned(),
    };
    let host = server.getsockname()?.host().unwrap_or_default();
    let (address, port) = (
        server.getsockopt(SOL_SOCKET, SO_REUSEADDR)?,
        server.getsockopt(SOL_SOCKET, SO_REUSEPORT)?,
    );
    Ok(format!("('{host}', {address}, {port}, {only}, {})", state(&server)))
}

fn connection(rest: &[&str]) -> Result<String> {
    let [host, port, timeout, source, every] = rest else { panic!("not five parts") };
    let host = String::from_utf8(decode(host)).expect("UTF-8");
    let family = if host.contains(':') { AF_INET6 } else { AF_INET };
    let port = match *port {
        "closed" => {
            let socket = Socket::new(family, SOCK_STREAM, 0)?;
            socket.bind((host.as_str(), 0))?;
            i64::from(socket.getsockname()?.port().expect("a port"))
        }
        port => number(port),
    };
    let timeout = match seconds(timeout) {
        Some(seconds) => ConnectTimeout::After(std::time::Duration::from_secs_f64(seconds)),
        None => ConnectTimeout::Default,
    };
    let from = (host.as_str(), 0);
    let source = (*source == "s").then_some(&from as &dyn ToAddress);
    match create_connection((host.as_str(), port), timeout, source, *every == "1") {
        Ok(_) => Ok("None".to_owned()),
        Err(group) if !group.errors().is_empty() => {
            let one =
                |error: &Error| format!("('{}', {})", error.class(), quoted(&error.to_string()));
            Ok(format!(
                "({}, {})",
                quoted(&group.to_string()),
                list(group.errors().iter().map(one))
            ))
        }
        Err(error) => Err(error),
    }
}

/// Closes the descriptors that came, and says how many there were.
fn closed<T>(received: &Received<T>) -> Result<usize> {
    let fds = received.fds();
    fds.iter().try_for_each(|&fd| sandsock::close(fd))?;
    Ok(fds.len())
}

fn flags(flags: Flags) -> i32 {
    flags.0 & !MSG_CMSG_CLOEXEC
}

fn cut(sent: usize, room: usize) -> Result<String> {
    thread_local! {
        static TEXTS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let rights = [Ancillary::rights(&vec![left.fileno(); sent])];
    left.sendmsg(&[IoSlice::new(b"data")], if sent > 0 { &rights } else { &[] }, 0, None)?;
    set_warning_handler(Some(|_, text| {
        TEXTS.with_borrow_mut(|texts| texts.push(quoted(text)));
        Ok(())
    }));
    let got = right.recvmsg(10, room, 0)?;
    set_warning_handler(None);
    closed(&got)?;
    let items = list(
        got.ancillary
            .iter()
            .map(|item| format!("({}, {}, {})", item.level, item.kind, item.data.len())),
    );
    Ok(format!("({}, {items}, {}, {})", repr(&got.data), flags(got.flags), list(TEXTS.take())))
}

fn lifetime(how: &str) -> Result<String> {
    let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    right.settimeout_f64(Some(20.0))?;
    let receive = |size| right.recv(size, 0).map(|data| repr(&data));
    Ok(match how {
        "close" => {
            left.close()?;
            left.close()?;
            format!("(None, None, {}, {}, {})", left.fileno(), left.detach(), receive(1)?)
        }
        "detach" => {
            let again = Socket::with_fileno(left.detach(), None, None, None)?;
            again.send(b"x", 0)?;
            drop(again);
            format!("({}, {}, {}, {})", left.fileno(), left.detach(), receive(1)?, receive(1)?)
        }
        "dup" => {
            let copy = left.dup()?;
            left.close()?;
            copy.send(b"x", 0)?;
            copy.close()?;
            format!("({}, {})", receive(1)?, receive(1)?)
        }
        "file" | "filefirst" => {
            let mut file = left.makefile("wb", FileOptions::default())?;
            let mut other = left.makefile("rb", FileOptions::default())?;
            file.write(b"abc")?;
            let first = how == "file";
            if first {
                left.close()?
            } else {
                file.close()?
            }
            let open = truth(left.fileno() != -1);
            if first {
                file.close()?
            } else {
                left.close()?
            }
            let still = truth(left.fileno() != -1);
            other.close()?;
            format!("({open}, {still}, {}, {}, {})", left.fileno(), receive(10)?, receive(1)?)
        }
        "inherit" => {
            let before = left.get_inheritable()?;
            left.set_inheritable(true)?;
            list([
                truth(before),
                "None".to_owned(),
                truth(left.get_inheritable()?),
                truth(right.get_inheritable()?),
            ])
        }
        _ => {
            left.set_inheritable(true)?;
            let (copy, third) = (left.dup()?, fromfd(left.fileno(), AF_UNIX, SOCK_STREAM, 0)?);
            format!("({}, {})", truth(copy.get_inheritable()?), truth(third.get_inheritable()?))
        }
    })
}

fn represented(family: i32, kind: i32, how: &str) -> Result<String> {
    let mut socket = Socket::new(family, kind, 0)?;
    match how {
        "closed" => socket.close()?,
        "detached" => sandsock::close(socket.detach())?,
        "bound" => match family {
            AF_UNIX => socket.bind(b"\0sandsock-oracle\xff")?,
            AF_INET => socket.bind(("127.0.0.1", 0))?,
            _ => socket.bind(("::1", 0))?,
        },
        "pair" => socket = socketpair(AF_UNIX, kind, 0)?.0,
        "file" => {
            let mut file = socket.makefile("rb", FileOptions::default())?;
            socket.close()?;
            let text = format!("{socket:?}");
            file.close()?;
            return Ok(format!("{text}{socket:?}"));
        }
        _ => {}
    }
    Ok(format!("{socket:?}"))
}

/// Without numbers that are chosen anew each time.
fn plain(text: &str) -> String {
    let masked = |text: String, before: &str, mask: &str| {
        let mut parts = text.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let mask = if digits > 0 { mask } else { "" };
            format!("{all}{before}{mask}{}", &part[digits..])
        })
    };
    let text = masked(text.to_owned(), "fd=", "N");
    let text = masked(text, "'127.0.0.1', ", "P");
    masked(text, "'::1', ", "P")
}
