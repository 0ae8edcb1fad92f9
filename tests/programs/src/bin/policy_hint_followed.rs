//! Does one act, and prints the denial if the act is denied. Arguments: the act, and its target.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::types::Wait;
use sandsock::raw::{syscalls, transfers};
use sandsock::{ConnectTimeout, ErrorKind, Result, Socket, create_connection};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn act(what: &str, target: &str) -> Result<()> {
    let port =
        || target.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).expect("a port");
    let host = || target.rsplit_once(':').expect("a host").0;
    match what {
        "reach" => create_connection(
            (host(), port()),
            ConnectTimeout::After(Duration::from_secs(5)),
            None,
            false,
        )
        .map(drop),
        "reach-datagram" => {
            let family = if host().starts_with("six") { AF_INET6 } else { AF_INET };
            Socket::new(family, SOCK_DGRAM, 0)?.sendto(b"x", 0, (host(), port())).map(drop)
        }
        "listen" => Socket::new(AF_INET6, SOCK_STREAM, 0)?.listen(1),
        "receive" => match Socket::new(AF_INET6, SOCK_DGRAM, 0)?.recv(1, MSG_DONTWAIT) {
            Err(error) if error.errno() == Some(sandsock::errno::EAGAIN) => Ok(()),
            result => result.map(drop),
        },
        "receive-unix" => match Socket::new(AF_UNIX, SOCK_DGRAM, 0)?.recv(1, MSG_DONTWAIT) {
            Err(error) if error.errno() == Some(sandsock::errno::EAGAIN) => Ok(()),
            result => result.map(drop),
        },
        "send-nowhere" => match Socket::new(AF_INET, SOCK_DGRAM, 0)?.send(b"x", 0) {
            Err(error) if error.errno() == Some(sandsock::errno::EDESTADDRREQ) => Ok(()),
            result => result.map(drop),
        },
        "send-named" => {
            // A sender that asks for credentials gets a name before it sends.
            let socket = attack::raw(syscalls::socket(AF_UNIX, SOCK_DGRAM, 0))?;
            let one = sandsock::raw::types::OptionValue::Integer(1);
            attack::raw(syscalls::set_option(&socket, SOL_SOCKET, SO_PASSCRED, one))?;
            let path = sandsock::raw::types::UnixAddress::Path(target.as_bytes().to_vec());
            let to = sandsock::raw::types::Address::Unix(path);
            attack::raw(transfers::send_to(&socket, b"x", 0, &to, Wait::None)).map(drop)
        }
        "sequence" => Socket::new(AF_UNIX, SOCK_SEQPACKET, 0).map(drop),
        "frames" => Socket::new(AF_PACKET, SOCK_DGRAM, 0x0608).map(drop),
        "ask" => Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC).map(drop),
        verb => attack::act(verb, target),
    }
}

fn main() {
    let args = attack::args();
    match act(&args[0], &args[1]) {
        Ok(()) => println!("done"),
        Err(error) if error.kind() == ErrorKind::Denied => println!("{error}"),
        Err(error) => panic!("{error:?}"),
    }
}
