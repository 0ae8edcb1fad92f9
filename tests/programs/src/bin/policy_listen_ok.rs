//! Listens without a bind, and on the wildcard of IPv6 only, as granted.

use sandsock::Socket;
use sandsock::constants::*;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    let unbound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    unbound.listen(None)?;
    let port = unbound.getsockname()?.port().unwrap_or(0);
    assert_ne!(port, 0);
    println!("{port}");
    let (connection, _) = unbound.accept()?;
    assert_eq!(connection.recv(10, 0)?, b"hello");
    // The same port by the guest's own choice is another thing.
    unbound.close()?;
    connection.close()?;
    let chosen = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    chosen.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    attack::denied_for(
        "bind",
        chosen.bind(("0.0.0.0", port)),
        &format!("tcp-listen=0.0.0.0:{port}"),
    );

    // Only the wildcard of IPv4 was granted: a dual-stack socket takes IPv6 too.
    let both = Socket::new(AF_INET6, SOCK_STREAM, 0)?;
    attack::denied_for("bind", both.bind(("::", 0)), "tcp-listen=[::]:0");
    Ok(())
}
