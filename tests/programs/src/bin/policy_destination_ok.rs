//! Connects and sends to the destinations of its arguments: HOST TCP-PORT UDP-PORT, again and
//! again.

use sandsock::constants::*;
use sandsock::{Flags, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    for three in attack::args().chunks(3) {
        let [host, tcp, udp] = three else { panic!("arguments come in threes") };
        let port = |text: &str| text.parse::<u16>().expect("a port");
        let family = attack::family_of(host);
        let stream = Socket::new(family, SOCK_STREAM, 0)?;
        stream.connect((host, port(tcp)))?;
        stream.sendall(b"x", Flags::NONE)?;
        Socket::new(family, SOCK_DGRAM, 0)?.sendto(host.as_bytes(), 0, (host, port(udp)))?;
    }
    Ok(())
}
