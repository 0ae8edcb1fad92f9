//! A conversation with itself over TCP and UDP, step by step. `conversation.py` has the same.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    Address, Error, Family, Flags, Poll, Received, Result, ServerOptions, Socket, create_server,
    select,
};
use sandsock_test_programs::oracle::{repr, shown};

const LONG: Option<Duration> = Some(Duration::from_secs(20));
const SHORT: Option<Duration> = Some(Duration::from_millis(20));

thread_local! {
    static PORTS: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// The same with its port's place among those that were seen.
fn plain(address: &Address) -> Address {
    let place = |port: u16| {
        PORTS.with_borrow_mut(|ports| {
            let place = ports.iter().position(|&seen| seen == port).unwrap_or_else(|| {
                ports.push(port);
                ports.len() - 1
            });
            place as u16
        })
    };
    match address {
        Address::Inet(host, port) => Address::Inet(*host, place(*port)),
        Address::Inet6(host, port, flow, scope) => {
            Address::Inet6(*host, place(*port), *flow, *scope)
        }
        address => address.clone(),
    }
}

/// Returns the text as Python's `repr` shows it.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for () {
    fn shown(&self) -> String {
        "None".to_owned()
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Shown for $number {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(i32 usize);

impl Shown for bool {
    fn shown(&self) -> String {
        if *self { "True" } else { "False" }.to_owned()
    }
}

impl Shown for Address {
    fn shown(&self) -> String {
        plain(self).to_string()
    }
}

impl Shown for Vec<u8> {
    fn shown(&self) -> String {
        repr(self)
    }
}

impl<const N: usize> Shown for [u8; N] {
    fn shown(&self) -> String {
        repr(self)
    }
}

impl Shown for &str {
    fn shown(&self) -> String {
        (*self).to_owned()
    }
}

impl<T: Shown> Shown for Received<T> {
    fn shown(&self) -> String {
        assert!(self.ancillary.is_empty());
        format!("({}, [], {}, {})", self.data.shown(), self.flags.0, self.address.shown())
    }
}

impl Shown for Vec<i32> {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Shown),*> Shown for ($($name,)*) {
            #[allow(non_snake_case)]
            fn shown(&self) -> String {
                let ($($name,)*) = self;
                format!("({})", [$($name.shown()),*].join(", "))
            }
        }
    )*};
}

tuples!((A B) (A B C) (A B C D) (A B C D E));

fn step<T: Shown>(name: &str, result: Result<T>) {
    println!("{name} {}", shown(result.map(|value| value.shown())));
}

fn counts<T>((read, write, exceptional): (Vec<T>, Vec<T>, Vec<T>)) -> Vec<i32> {
    [read.len(), write.len(), exceptional.len()].map(|count| count as i32).to_vec()
}

fn codes(socket: &Socket, address: &Address, count: usize) -> Result<Vec<i32>> {
    (0..count).map(|_| socket.connect_ex(address)).collect()
}

fn main() -> Result<()> {
    for (family, host) in [(AF_INET, "127.0.0.1"), (AF_INET6, "::1")] {
        tcp(family, host)?;
        udp(family, host)?;
    }
    Ok(())
}

fn tcp(family: i32, host: &str) -> Result<()> {
    let stream = || Socket::new(family, SOCK_STREAM, 0);
    let listener = stream()?;
    listener.bind((host, 0))?;
    let address = listener.getsockname()?;
    step("listener", listener.getsockname());
    step("accept early", listener.accept().map(drop));
    listener.listen(None)?;
    let client = stream()?;
    step("unconnected recv", client.recv(1, 0));
    step("unconnected send", client.send(b"x", 0));
    step("connect", client.connect(&address));
    let (server, peer) = listener.accept()?;
    step("accepted", Ok(peer));
    step(
        "names",
        Ok((
            client.getsockname()?,
            client.getpeername()?,
            server.getsockname()?,
            server.getpeername()?,
        )),
    );
    step("again", codes(&client, &address, 2));
    step("listen connected", client.listen(None));
    step("bind connected", client.bind((host, 0)));
    step("accept connected", client.accept().map(drop));
    step("send", client.send(b"hello, world", 0));
    step("peek", server.recv(5, MSG_PEEK));
    step("recv", server.recv(5, MSG_WAITALL));
    step("recvfrom", server.recvfrom(2, 0));
    let mut seven = [b'.'; 7];
    step("recv_into", server.recv_into(&mut seven, MSG_PEEK).map(|count| (count, seven)));
    let mut three = [b'.'; 3];
    step("recvfrom_into", server.recvfrom_into(&mut three, 0).map(|result| (result, three)));
    step("recvmsg", server.recvmsg(100, 64, 0));
    step(
        "sendmsg",
        client.sendmsg(
            &[IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"three")],
            &[],
            0,
            None,
        ),
    );
    let (mut a, mut b, mut c, mut d) = ([b'.'; 2], [], [b'.'; 4], [b'.'; 5]);
    let mut buffers = [
        IoSliceMut::new(&mut a),
        IoSliceMut::new(&mut b),
        IoSliceMut::new(&mut c),
        IoSliceMut::new(&mut d),
    ];
    let received = server.recvmsg_into(&mut buffers, 0, 0);
    step("recvmsg_into", received.map(|received| (received, a, b, c, d)));
    step("sendto connected", client.sendto(b"xy", 0, &address));
    let mut two = [b'.'; 2];
    let received = server.recvmsg_into(&mut [IoSliceMut::new(&mut two)], 0, MSG_TRUNC);
    step("recvmsg trunc", received.map(|received| (received, two)));
    step("sendall", client.sendall(b"all", 0));
    step("recvall", server.recv(3, MSG_WAITALL));
    step("oob none", server.recv(1, MSG_OOB));
    step("oob send", client.send(b"u!", MSG_OOB));
    step("oob select", select(&[], &[], &[&server], LONG).map(counts));
    step("oob recv", server.recv(1, MSG_OOB));
    step("oob rest", server.recv(9, 0));
    server.settimeout(Some(Duration::ZERO))?;
    step("nonblocking", server.recv(1, 0));
    server.settimeout(SHORT)?;
    step("timed", server.recv(1, 0));
    step("timed dontwait", server.recv(1, MSG_DONTWAIT));
    server.settimeout(None)?;
    step("dontwait", server.recv(1, MSG_DONTWAIT));
    let copy = server.dup()?;
    copy.settimeout(SHORT)?;
    step("shared", server.recv(1, 0));
    let timeouts = (server.gettimeout(), copy.gettimeout(), server.getblocking());
    assert_eq!(timeouts, (None, SHORT, true));
    step("timeouts", Ok("(None, '0.02', True)"));
    server.setblocking(true)?;
    step("copy", Ok(copy.getpeername()? == server.getpeername()?));
    copy.close()?;
    let mut poll = Poll::new();
    poll.register(&client, None)?;
    let events = |poll: &Poll| -> Result<Vec<i32>> {
        let mut events: Vec<_> = poll.poll(LONG)?.into_iter().map(|(_, events)| events).collect();
        events.sort();
        Ok(events)
    };
    step("poll client", events(&poll));
    step("shutdown", client.shutdown(SHUT_WR));
    step("epipe", client.send(b"x", 0));
    step("epipe all", client.sendall(b"x", 0));
    step("end", server.recv(1, 0));
    step("end from", server.recvfrom(1, 0));
    step("end message", server.recvmsg(1, 0, 0));
    poll.register(&server, None)?;
    step("poll server", events(&poll));
    step("answer", server.send(b"bye", 0));
    step("answered", client.recv(3, MSG_WAITALL));
    let closed = server.fileno();
    server.close()?;
    step("both ended", client.recv(3, 0));
    poll.unregister(&closed)?;
    step("poll ended", events(&poll));
    step("server closed", server.getpeername());
    step("error", client.getsockopt(SOL_SOCKET, SO_ERROR));
    client.close()?;
    let other = stream()?;
    step("in use", other.bind(&address));
    listener.close()?;
    step("time wait", other.bind(&address));
    let client = stream()?;
    step("refused", codes(&client, &address, 3));
    client.settimeout(LONG)?;
    step("refused timed", codes(&client, &address, 4));
    let server = create_server(
        (host, 0),
        ServerOptions { family: Family(family), ..ServerOptions::default() },
    )?;
    let address = server.getsockname()?;
    assert_eq!(server.gettimeout(), None);
    step("server", Ok((address.clone(), (), server.getsockopt(SOL_SOCKET, SO_REUSEADDR)?)));
    let client = stream()?;
    client.settimeout(LONG)?;
    step("timed connect", codes(&client, &address, 3));
    let client = stream()?;
    client.setblocking(false)?;
    step("zero connect", client.connect(&address));
    step("writable", select(&[], &[&client], &[], LONG).map(counts));
    step("zero again", codes(&client, &address, 2));
    Ok(())
}

fn udp(family: i32, host: &str) -> Result<()> {
    let (one, two) = (Socket::new(family, SOCK_DGRAM, 0)?, Socket::new(family, SOCK_DGRAM, 0)?);
    step("unbound", one.getsockname());
    two.bind((host, 0))?;
    let to = two.getsockname()?;
    step("two", two.getsockname());
    step("listen", two.listen(None));
    step("send", one.send(b"x", 0));
    step("sendto", one.sendto(b"first", 0, &to));
    let (_, from) = two.recvfrom(100, 0)?;
    // Its port is seen here as well.
    plain(&from);
    step("recvfrom", Ok(format!("'{}'", from.host().unwrap_or_default()).as_str()));
    step("empty", one.sendto(b"", 0, &to));
    step("recv", two.recv(100, 0));
    step(
        "sendmsg",
        one.sendmsg(&[IoSlice::new(b"some"), IoSlice::new(b"thing")], &[], 0, Some(&to)),
    );
    let cut = two.recvmsg(3, 0, 0)?;
    step("recvmsg", Ok((cut.data, "[]", cut.flags.0)));
    step("sendto", one.sendto(b"second", 0, &to));
    let mut three = [b'.'; 3];
    step("recv_into", two.recv_into(&mut three, MSG_TRUNC).map(|count| (count, three)));
    step("sendto", one.sendto(b"third", 0, &to));
    let (mut a, mut b) = ([b'.'; 2], [b'.'; 2]);
    let received = two.recvmsg_into(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)], 0, 0);
    step("recvmsg_into", received.map(|received| ((received.data, received.flags.0), a, b)));
    step("sendto", one.sendto(b"fourth", 0, &to));
    step("recvfrom0", two.recvfrom(0, 0).map(|(data, _)| data));
    two.settimeout(Some(Duration::ZERO))?;
    step("nothing", two.recv(1, 0));
    step("too long", one.sendto(&[0; 65536], 0, &to));
    step("connect", one.connect(&to));
    step("peer", one.getpeername());
    step("send", one.send(b"direct", 0));
    step("select", select(&[&two], &[&two], &[], LONG).map(counts));
    step("recv", two.recv(100, 0));
    step("unconnected", two.getpeername());
    two.close()?;
    one.settimeout(LONG)?;
    step("to nobody", one.send(b"x", 0));
    step("refused", one.recv(1, 0));
    step("to nobody", one.send(b"x", 0));
    step("poll", select(&[&one], &[], &[], LONG).map(counts));
    step(
        "error",
        Ok(vec![one.getsockopt(SOL_SOCKET, SO_ERROR)?, one.getsockopt(SOL_SOCKET, SO_ERROR)?]),
    );
    one.shutdown(SHUT_RD)?;
    one.settimeout(Some(Duration::ZERO))?;
    step("shut", one.recv(1, 0));
    one.settimeout(None)?;
    step("shut", one.recv(1, 0));
    step("shut", one.recvfrom(1, 0));
    step("shut", one.recvmsg(1, 0, Flags::NONE));
    step("shut", one.recv(1, MSG_DONTWAIT));
    Ok::<(), Error>(())
}
