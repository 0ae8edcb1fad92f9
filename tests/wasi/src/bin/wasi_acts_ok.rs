//! `wasi_acts_ok ACT...`: does what each argument names, by `wasi:sockets` 0.2, and prints what came
//! of it. `wasi3_acts_ok` does the same by 0.3.
//!
//! * `resolve=NAME`: looks up a name;
//! * `connect=ADDRESS`: sends `ping` over TCP, and the end, and prints what comes back;
//! * `listen=ADDRESS`: accepts one connection, and sends back what comes;
//! * `send=ADDRESS`: sends `ping` over UDP, and prints the answer and its sender;
//! * `bind=ADDRESS`: sends back one datagram;
//! * `reassociate=ADDRESS,ADDRESS`: associates a UDP socket with the first address, and then with the
//!   second one; then sends to both by one call without an association;
//! * `abandon=ADDRESS`: writes over TCP until nothing more is taken, and ends the program at once;
//! * `sockets=N`: makes so many sockets, and keeps them;
//! * `idle`: waits on a listener until an interrupt;
//! * `pause`: waits for a line of standard input.

#[cfg(target_family = "wasm")]
#[path = "../wasi2/support.rs"]
#[allow(dead_code, reason = "the other programs use the rest")]
mod support;

#[cfg(target_family = "wasm")]
mod guest {
    use std::io::{Write as _, stdin, stdout};
    use std::net::SocketAddr;

    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{ErrorCode, IpAddress};
    use wasip2::sockets::tcp::TcpSocket;

    use super::support::*;

    /// The network of an address's family.
    fn net(address: SocketAddr) -> Net {
        Net::new(if address.is_ipv4() { "4" } else { "6" })
    }

    fn say(line: impl std::fmt::Display) {
        println!("{line}");
        stdout().flush().unwrap();
    }

    fn resolve(name: &str) -> Result<String, ErrorCode> {
        let net = Net::new("4");
        let stream = resolve_addresses(&net.network, name)?;
        let mut found = Vec::new();
        loop {
            match stream.resolve_next_address() {
                Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => {
                    found.push(std::net::Ipv4Addr::new(a, b, c, d).to_string());
                }
                Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                    found.push(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string());
                }
                Ok(None) => return Ok(found.join(" ")),
                Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
                Err(code) => return Err(code),
            }
        }
    }

    fn connect(to: SocketAddr) -> Result<String, ErrorCode> {
        let net = net(to);
        let connection = net.connect(net.tcp(), to).map_err(|(_, code)| code)?;
        connection.output.blocking_write_and_flush(b"ping").unwrap();
        connection.socket.shutdown(wasip2::sockets::tcp::ShutdownType::Send)?;
        let mut answer = Vec::new();
        while let Ok(data) = connection.input.blocking_read(100) {
            answer.extend(data);
        }
        Ok(String::from_utf8(answer).unwrap())
    }

    fn listen_at(at: SocketAddr) -> Result<String, ErrorCode> {
        let net = net(at);
        let socket = net.tcp();
        net.bind_tcp(&socket, at)?;
        listen(&socket)?;
        say(format_args!("listens at {}", local(&socket)));
        let client = accept(&socket);
        while let Ok(data) = client.input.blocking_read(100) {
            client.output.blocking_write_and_flush(&data).unwrap();
        }
        Ok("accepted".to_owned())
    }

    fn send(to: SocketAddr) -> Result<String, ErrorCode> {
        let net = net(to);
        let socket = net.udp();
        net.bind_udp(&socket, net.unspecified(0))?;
        let (incoming, outgoing) = socket.stream(None)?;
        outgoing.check_send()?;
        assert_eq!(outgoing.send(&[datagram(b"ping", Some(to))])?, 1);
        loop {
            if let Some(got) = incoming.receive(1)?.pop() {
                let text = String::from_utf8(got.data).unwrap();
                return Ok(format!("{text} from {}", std(got.remote_address)));
            }
            incoming.subscribe().block();
        }
    }

    fn bind(at: SocketAddr) -> Result<String, ErrorCode> {
        let net = net(at);
        let socket = net.udp();
        net.bind_udp(&socket, at)?;
        say(format_args!("bound at {}", std(socket.local_address()?)));
        let (incoming, outgoing) = socket.stream(None)?;
        loop {
            if let Some(got) = incoming.receive(1)?.pop() {
                outgoing.check_send()?;
                outgoing.send(&[datagram(&got.data, Some(std(got.remote_address)))])?;
                return Ok("answered".to_owned());
            }
            incoming.subscribe().block();
        }
    }

    fn abandon(to: SocketAddr) -> ! {
        let net = net(to);
        let connection = net.connect(net.tcp(), to).map_err(|(_, code)| code).unwrap();
        let mut written = 0;
        loop {
            let room = connection.output.check_write().unwrap() as usize;
            if room == 0 {
                break;
            }
            connection.output.write(&vec![7; room]).unwrap();
            written += room;
        }
        say(format_args!("wrote {written}"));
        std::process::exit(0)
    }

    /// Prints what came of the second association, and of the last call.
    fn reassociate(targets: &str) -> Result<String, ErrorCode> {
        let (first, second) = targets.split_once(',').expect("two addresses");
        let [first, second] = [first, second].map(|text| text.parse().expect("an address"));
        let net = net(first);
        let socket = net.udp();
        net.bind_udp(&socket, net.unspecified(0))?;
        drop(socket.stream(Some(wit(first)))?);
        let again = socket.stream(Some(wit(second))).map(drop);
        if again.is_err() {
            // The association is as it was.
            assert_eq!(std(socket.remote_address()?), first);
        }
        let (_incoming, outgoing) = socket.stream(Some(wit(first)))?;
        outgoing.check_send()?;
        assert_eq!(outgoing.send(&[datagram(b"associated", None)])?, 1);
        outgoing.check_send()?;
        let other = outgoing.send(&[datagram(b"other", Some(second))]);
        assert_eq!(other.err(), Some(ErrorCode::InvalidArgument));
        drop((_incoming, outgoing));
        let (_incoming, outgoing) = socket.stream(None)?;
        outgoing.check_send()?;
        let sent = outgoing
            .send(&[first, second, first].map(|address| datagram(b"listed", Some(address))))?;
        Ok(format!("{}, sent {sent}", again.map_or_else(|code| code.name(), |()| "ok")))
    }

    fn sockets(count: usize, kept: &mut Vec<TcpSocket>) -> Result<String, ErrorCode> {
        use wasip2::sockets::tcp_create_socket::create_tcp_socket;
        for made in 0..count {
            match create_tcp_socket(Net::new("4").family) {
                Ok(socket) => kept.push(socket),
                Err(code) => return Ok(format!("{made}, then {}", code.name())),
            }
        }
        Ok(count.to_string())
    }

    fn idle() -> Result<String, ErrorCode> {
        let (listener, _) = Net::new("4").listener();
        let pollable = listener.subscribe();
        say("waits");
        pollable.block();
        match listener.accept() {
            Err(code) => Ok(format!("woken, {}", code.name())),
            Ok(_) => Ok("accepted".to_owned()),
        }
    }

    pub(crate) fn run() {
        let mut kept = Vec::new();
        for act in std::env::args().skip(1) {
            let (verb, target) = act.split_once('=').unwrap_or((&act, ""));
            let address = || target.parse().expect("an address");
            let result = match verb {
                "resolve" => resolve(target),
                "connect" => connect(address()),
                "listen" => listen_at(address()),
                "send" => send(address()),
                "bind" => bind(address()),
                "abandon" => abandon(address()),
                "reassociate" => reassociate(target),
                "sockets" => sockets(target.parse().expect("a number"), &mut kept),
                "idle" => idle(),
                "pause" => {
                    say("pauses");
                    let line = stdin().read_line(&mut String::new());
                    assert!(line.is_ok_and(|count| count > 0));
                    continue;
                }
                other => panic!("{other} is no act"),
            };
            match result {
                Ok(text) => say(format_args!("{verb}: {text}")),
                Err(code) => say(format_args!("{verb}: {}", code.name())),
            }
        }
    }
}

fn main() {
    #[cfg(target_family = "wasm")]
    guest::run();
}
