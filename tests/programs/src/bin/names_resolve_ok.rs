//! Looks up names whose addresses `--resolve` gives, and uses them. Arguments: TCP port of
//! one.example, UDP port of one.example, TCP port that it may not connect to.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Family, Flags, Socket, create_connection, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_for, ports};

fn main() -> sandsock::Result<()> {
    let [tcp, udp, other] = ports()[..] else { panic!("three ports") };
    // All the spellings of the name are the name.
    for name in ["one.example", "ONE.Example", "one.example."] {
        let answers = getaddrinfo(name, tcp, Family::UNSPEC, SOCK_STREAM, 0, 0)?;
        let shown: Vec<_> = answers.iter().map(|answer| answer.address.to_string()).collect();
        assert_eq!(
            shown,
            [format!("('127.0.0.1', {tcp})"), format!("('::1', {tcp}, 0, 0)")],
            "{name}"
        );
        create_connection((name, tcp), ConnectTimeout::After(Duration::from_secs(5)), None, false)?
            .send(b"x", 0)?;
    }
    let v6 = getaddrinfo("one.example", tcp, Family::INET6, SOCK_STREAM, 0, AI_CANONNAME)?;
    assert_eq!((v6.len(), v6[0].canonical_name.as_str()), (1, "one.example"));
    // A name may also stand in an address, and an address that was looked up may be used as a
    // number.
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    socket.sendto(b"by name", Flags::NONE, ("one.example", udp))?;
    socket.sendto(b"by number", Flags::NONE, ("127.0.0.1", udp))?;
    // The name opens its ports alone, and no other name of the same address does.
    let connect =
        |host: &str, port: u16| Socket::new(AF_INET, SOCK_STREAM, 0)?.connect((host, port));
    denied_for(
        "another port",
        connect("one.example", other),
        &format!("tcp-connect=one.example:{other}"),
    );
    denied_for(
        "another port",
        connect("127.0.0.1", other),
        &format!("tcp-connect=one.example:{other}"),
    );
    denied_for(
        "another verb",
        connect("one.example", udp),
        &format!("tcp-connect=one.example:{udp}"),
    );
    let sent = socket.sendto(b"x", Flags::NONE, ("one.example", tcp));
    denied_for("another verb", sent, &format!("udp-send=one.example:{tcp}"));
    denied_for("a bind", socket.bind(("one.example", 0)), "udp-bind=127.0.0.1:0");
    // A name that has an address may be looked up, and nothing else.
    assert_eq!(getaddrinfo("two.example", other, Family::INET, SOCK_STREAM, 0, 0)?.len(), 1);
    denied_for(
        "without a grant",
        connect("two.example", other),
        &format!("tcp-connect=one.example:{other}"),
    );
    denied_for(
        "another name",
        getaddrinfo("three.example", 80, Family::UNSPEC, 0, 0, 0),
        "resolve=three.example",
    );
    Ok(())
}
