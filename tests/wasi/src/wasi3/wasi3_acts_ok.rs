//! `wasi3_acts_ok ACT...`: what the program `wasi_acts_ok` does, by `wasi:sockets` 0.3.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{ErrorCode, IpAddress, IpAddressFamily, TcpSocket, UdpSocket};

use super::support::*;

fn family(address: SocketAddr) -> IpAddressFamily {
    if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 }
}

/// The name of an error code, as WIT has it.
fn name(code: impl std::fmt::Debug) -> String {
    let text = format!("{code:?}");
    let (_, case) = text.split_once("::").expect("a variant");
    let mut name = String::new();
    for letter in case.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

async fn resolve(name_: &str) -> Result<String, String> {
    let found = resolve_addresses(name_.to_owned()).await.map_err(name)?;
    let texts = found.iter().map(|address| match *address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).to_string(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
            Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
        }
    });
    Ok(texts.collect::<Vec<_>>().join(" "))
}

async fn connect(to: SocketAddr) -> Result<String, ErrorCode> {
    let socket = TcpSocket::create(family(to))?;
    socket.connect(wit(to)).await?;
    let (input, received) = socket.receive();
    send(&socket, b"ping".to_vec()).await?;
    let answer = input.collect().await;
    received.await?;
    Ok(String::from_utf8(answer).expect("a text"))
}

async fn listen(at: SocketAddr) -> Result<String, ErrorCode> {
    let socket = TcpSocket::create(family(at))?;
    socket.bind(wit(at))?;
    let mut clients = socket.listen()?;
    say(format_args!("listens at {}", std(socket.get_local_address()?)));
    echo(clients.next().await.expect("a client")).await;
    Ok("accepted".to_owned())
}

async fn send_datagram(to: SocketAddr) -> Result<String, ErrorCode> {
    let socket = UdpSocket::create(family(to))?;
    socket.send(b"ping".to_vec(), Some(wit(to))).await?;
    let (data, from) = socket.receive().await?;
    let text = String::from_utf8(data).expect("a text");
    Ok(format!("{text} from {}", std(from)))
}

async fn bind(at: SocketAddr) -> Result<String, ErrorCode> {
    let socket = UdpSocket::create(family(at))?;
    socket.bind(wit(at))?;
    say(format_args!("bound at {}", std(socket.get_local_address()?)));
    let (data, from) = socket.receive().await?;
    socket.send(data, Some(from)).await?;
    Ok("answered".to_owned())
}

async fn reassociate(targets: &str) -> Result<String, ErrorCode> {
    let (first, second) = targets.split_once(',').expect("two addresses");
    let [first, second]: [SocketAddr; 2] =
        [first, second].map(|text| text.parse().expect("an address"));
    let socket = UdpSocket::create(family(first))?;
    socket.connect(wit(first))?;
    let again = socket.connect(wit(second));
    if again.is_err() {
        // The association is as it was.
        assert_eq!(std(socket.get_remote_address()?), first);
    }
    socket.connect(wit(first))?;
    socket.send(b"associated".to_vec(), None).await?;
    fails!(socket.send(b"other".to_vec(), Some(wit(second))).await, InvalidArgument);
    socket.disconnect()?;
    let mut sent = 0;
    for address in [first, second, first] {
        if socket.send(b"listed".to_vec(), Some(wit(address))).await.is_err() {
            break;
        }
        sent += 1;
    }
    Ok(format!("{}, sent {sent}", again.map_or_else(name, |()| "ok".to_owned())))
}

fn sockets(count: usize, kept: &mut Vec<TcpSocket>) -> String {
    for made in 0..count {
        match TcpSocket::create(IpAddressFamily::Ipv4) {
            Ok(socket) => kept.push(socket),
            Err(code) => return format!("{made}, then {code:?}"),
        }
    }
    count.to_string()
}

async fn idle() -> String {
    let (_socket, mut clients, _) = listener();
    say("waits");
    match clients.next().await {
        None => "woken, the stream has ended".to_owned(),
        Some(_) => "accepted".to_owned(),
    }
}

pub(super) async fn run(args: &[String]) {
    let mut kept = Vec::new();
    for act in args {
        let (verb, target) = act.split_once('=').unwrap_or((act, ""));
        let address = || target.parse().expect("an address");
        let result = match verb {
            "resolve" => resolve(target).await,
            "connect" => connect(address()).await.map_err(name),
            "listen" => listen(address()).await.map_err(name),
            "send" => send_datagram(address()).await.map_err(name),
            "bind" => bind(address()).await.map_err(name),
            "reassociate" => reassociate(target).await.map_err(name),
            "sockets" => Ok(sockets(target.parse().expect("a number"), &mut kept)),
            "idle" => Ok(idle().await),
            "pause" => {
                say("pauses");
                let line = std::io::stdin().read_line(&mut String::new());
                assert!(line.is_ok_and(|count| count > 0));
                continue;
            }
            other => panic!("{other} is no act"),
        };
        let (Ok(text) | Err(text)) = result;
        say(format_args!("{verb}: {text}"));
    }
}
