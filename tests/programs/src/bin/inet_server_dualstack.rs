//! One server for both families, one for IPv6 only, and the errors that Python has for it.

use sandsock::constants::*;
use sandsock::{Error, Family, ServerOptions, create_server, has_dualstack_ipv6};
use sandsock_test_programs::{fails, port};

fn main() -> Result<(), Error> {
    assert!(has_dualstack_ipv6());
    let both =
        ServerOptions { family: Family::INET6, dualstack_ipv6: true, ..ServerOptions::default() };
    let server = create_server(("", 0), both)?;
    assert_eq!(server.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)?, 0);
    assert_eq!(server.getsockname()?.host().as_deref(), Some("::"));
    println!("{}", port(&server));
    for host in ["::ffff:127.0.0.1", "::1"] {
        let (connection, peer) = server.accept()?;
        assert_eq!(peer.host().as_deref(), Some(host));
        assert_eq!(connection.getsockname()?.host().as_deref(), Some(host));
        connection.sendall(host.as_bytes(), 0)?;
    }

    let alone = create_server(
        ("", 0),
        ServerOptions { family: Family::INET6, ..ServerOptions::default() },
    )?;
    assert_eq!(alone.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)?, 1);
    println!("{}", port(&alone));
    let (_, peer) = alone.accept()?;
    assert_eq!(peer.host().as_deref(), Some("::1"));

    fails(
        create_server(("", 0), ServerOptions { dualstack_ipv6: true, ..ServerOptions::default() }),
        "ValueError",
        "dualstack_ipv6 requires AF_INET6 family",
    );
    Ok(())
}
