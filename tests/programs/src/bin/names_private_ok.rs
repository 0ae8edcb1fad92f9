//! Looks up localhost, whose address is granted as well. Argument: the TCP port.

use sandsock::constants::*;
use sandsock::{Family, Socket, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    let port = attack::ports()[0];
    let answers = getaddrinfo("localhost", port, Family::INET, SOCK_STREAM, 0, 0)?;
    Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(answers[0].address.clone())?;
    Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("LOCALHOST", port))
}
