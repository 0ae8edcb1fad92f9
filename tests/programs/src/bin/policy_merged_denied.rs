//! Has a small grant of every verb. None of them adds up to what another one allows. Arguments: TCP
//! port to connect to, UDP port to send to, UDP port to receive from, port to listen on.

use sandsock::Socket;
use sandsock::constants::*;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{all_denied, denied_for, ports, tcp_ways, udp_ways};

const HERE: &str = "127.0.0.1";

fn main() -> sandsock::Result<()> {
    let [connect, send, receive, listen] = ports()[..] else { panic!("four ports") };
    // An address to receive from is not an address to send to.
    all_denied(udp_ways(HERE, receive)?, Some(&format!("udp-send={HERE}:{receive}")));
    // The same address and port by the other protocol.
    all_denied(tcp_ways(HERE, send)?, Some(&format!("tcp-connect={HERE}:{send}")));
    all_denied(udp_ways(HERE, connect)?, Some(&format!("udp-send={HERE}:{connect}")));
    // An address to listen on is not an address to connect to.
    all_denied(tcp_ways(HERE, listen)?, Some(&format!("tcp-connect={HERE}:{listen}")));

    let tcp = || Socket::new(AF_INET, SOCK_STREAM, 0);
    let udp = || Socket::new(AF_INET, SOCK_DGRAM, 0);
    // An address to connect or send to is not an address to bind.
    denied_for("bind", tcp()?.bind((HERE, connect)), &format!("tcp-listen={HERE}:{connect}"));
    denied_for("bind", udp()?.bind((HERE, send)), &format!("udp-bind={HERE}:{send}"));
    denied_for("bind", udp()?.bind((HERE, receive)), &format!("udp-bind={HERE}:{receive}"));
    // A port by the other protocol.
    denied_for("bind", udp()?.bind((HERE, listen)), &format!("udp-bind={HERE}:{listen}"));
    denied_for("bind", tcp()?.bind((HERE, 0)), &format!("tcp-listen={HERE}:0"));
    // The granted ones by another address.
    denied_for(
        "bind",
        tcp()?.bind(("127.0.0.2", listen)),
        &format!("tcp-listen=127.0.0.2:{listen}"),
    );
    denied_for("bind", tcp()?.bind(("0.0.0.0", listen)), &format!("tcp-listen=0.0.0.0:{listen}"));
    denied_for("bind", udp()?.bind(("127.0.0.2", 0)), "udp-bind=127.0.0.2:0");
    let both = Socket::new(AF_INET6, SOCK_STREAM, 0)?;
    denied_for("bind", both.bind(("::", listen)), &format!("tcp-listen=[::]:{listen}"));
    // A grant of a port grants no option and no name.
    denied_for("option", tcp()?.setsockopt(SOL_SOCKET, SO_MARK, 1), "option=SOL_SOCKET/SO_MARK");
    // And what was granted works, so that none of these was denied by chance.
    udp()?.bind((HERE, 0))?;
    tcp()?.bind((HERE, listen))?;
    tcp()?.connect((HERE, connect))?;
    udp()?.sendto(b"granted", 0, (HERE, send))?;
    Ok(())
}
