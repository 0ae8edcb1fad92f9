//! Sends that open the connection themselves, step by step. `fastopen.py` has the same.

use std::cell::Cell;
use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Result, Socket, select};
use sandsock_test_programs::argument;
use sandsock_test_programs::oracle::{repr, shown};

const LONG: Duration = Duration::from_secs(20);

fn step<T>(name: &str, result: Result<T>, show: impl FnOnce(T) -> String) {
    println!("{name} {}", shown(result.map(show)));
}

fn number(name: &str, result: Result<usize>) {
    step(name, result, |count| count.to_string());
}

fn none(name: &str, result: Result<()>) {
    step(name, result, |()| "None".to_owned());
}

fn bytes(name: &str, result: Result<Vec<u8>>) {
    step(name, result, |data| repr(&data));
}

fn listening(backlog: Option<i32>) -> Result<Socket> {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    if backlog.is_some() {
        listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 5)?;
        listener.listen(backlog)?;
    }
    Ok(listener)
}

fn client(timeout: Option<Duration>) -> Result<Socket> {
    let made = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    made.settimeout(timeout)?;
    Ok(made)
}

fn decided(made: &Socket) -> Result<()> {
    select(&[], &[made.fileno()], &[], Some(LONG)).map(drop)
}

fn got(listener: &Socket, length: usize) -> Result<Vec<u8>> {
    let (peer, _) = listener.accept()?;
    peer.settimeout(Some(LONG))?;
    let mut data = Vec::new();
    while data.len() < length {
        data.extend(peer.recv(length - data.len(), 0)?);
    }
    peer.settimeout(Some(Duration::ZERO))?;
    bytes("more", peer.recv(1, 0));
    Ok(data)
}

type Send = fn(&Socket, &[u8], &Address) -> Result<usize>;

const SENDS: [(&str, Send); 2] = [
    ("sendto", |made, data, to| made.sendto(data, MSG_FASTOPEN, to)),
    ("sendmsg", |made, data, to| {
        let (start, rest) = data.split_at(data.len().min(2));
        made.sendmsg(&[IoSlice::new(start), IoSlice::new(rest)], &[], MSG_FASTOPEN, Some(to))
    }),
];

fn opens(name: &str, timeout: Option<Duration>, send: Send) -> Result<()> {
    let listener = listening(Some(5))?;
    let to = listener.getsockname()?;
    let made = client(timeout)?;
    let sent = Cell::new(0);
    let count = |result: Result<usize>| result.inspect(|taken| sent.set(sent.get() + taken));
    number(&format!("{name} first"), count(send(&made, b"first", &to)));
    decided(&made)?;
    number(&format!("{name} again"), count(send(&made, b"again", &to)));
    number(&format!("{name} once more"), count(send(&made, b"more", &to)));
    number(&format!("{name} plain"), count(made.send(b"plain", 0)));
    none(&format!("{name} all"), made.sendall(b"all", 0));
    bytes(&format!("{name} got"), got(&listener, sent.get() + 3));
    // There is no listener.
    let closed = listening(None)?;
    let to = closed.getsockname()?;
    let made = client(timeout)?;
    number(&format!("{name} refused"), send(&made, b"first", &to));
    decided(&made)?;
    number(&format!("{name} refused then"), made.send(b"x", 0));
    none(&format!("{name} refused connect"), made.connect(&to));
    decided(&made)?;
    none(&format!("{name} refused again"), made.connect(&to));
    let made = client(timeout)?;
    number(&format!("{name} denied"), send(&made, b"", &to));
    number(&format!("{name} no address"), client(timeout)?.send(b"x", MSG_FASTOPEN));
    // The connect is put off.
    let listener = listening(Some(5))?;
    let to = listener.getsockname()?;
    let made = client(timeout)?;
    none(&format!("{name} late"), made.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
    none(&format!("{name} late connect"), made.connect(&to));
    decided(&made)?;
    number(&format!("{name} late send"), made.send(b"first", 0));
    bytes(&format!("{name} late got"), got(&listener, 5));
    let made = client(timeout)?;
    made.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)?;
    let to = closed.getsockname()?;
    none(&format!("{name} late refused"), made.connect(&to));
    decided(&made)?;
    number(&format!("{name} late refused then"), made.send(b"first", 0));
    decided(&made)?;
    number(&format!("{name} late refused send"), made.send(b"first", 0));
    Ok(())
}

fn main() -> Result<(), Error> {
    let (server, full): (u16, u16) = (argument(0), argument(1));
    for (timeout, shown) in [(None, "None"), (Some(LONG), "20"), (Some(Duration::ZERO), "0")] {
        for (name, send) in SENDS {
            opens(&format!("{name} {shown}"), timeout, send)?;
        }
    }
    for (name, send) in SENDS {
        let made = client(None)?;
        let to = Address::Inet(std::net::Ipv4Addr::LOCALHOST, server);
        number(&format!("much {name}"), send(&made, &vec![0; 3_000_000], &to));
        made.shutdown(SHUT_WR)?;
        bytes("counted", made.recv(100, Flags::NONE));
    }
    for microseconds in [0i64, 100_000] {
        let made = client(None)?;
        let time: Vec<u8> = [0i64.to_le_bytes(), microseconds.to_le_bytes()].concat();
        made.setsockopt(SOL_SOCKET, SO_SNDTIMEO, time.as_slice())?;
        made.setblocking(microseconds > 0)?;
        number("in time", made.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", full)));
        number("and then", made.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", full)));
        made.settimeout(Some(Duration::from_millis(20)))?;
        number("room", made.send(b"x", 0));
    }
    Ok(())
}
