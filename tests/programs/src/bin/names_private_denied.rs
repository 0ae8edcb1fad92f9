//! Looks up localhost with a grant of the name only. Argument: a TCP port.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Family, Socket, create_connection, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, ports};

fn main() -> sandsock::Result<()> {
    let port = ports()[0];
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let ask = || getaddrinfo("localhost", port, Family::INET, SOCK_STREAM, 0, 0);
    let timeout = || ConnectTimeout::After(Duration::from_secs(5));
    for (what, result) in [
        ("getaddrinfo", ask().map(|_| ())),
        ("connect", Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("localhost", port))),
        ("connect", Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("LocalHost", port))),
        (
            "create_connection",
            create_connection(("localhost", port), timeout(), None, false).map(|_| ()),
        ),
    ] {
        let error = denied(what, result);
        let text = error.to_string();
        // The denial has the address, the reason, and both ways out.
        for part in [
            "private",
            "localhost leads to 127.0.0.1",
            "--allow ",
            &grant,
            "--resolve localhost=127.0.0.1",
        ] {
            assert!(text.contains(part), "{what}: {text} has no {part:?}");
        }
        assert_eq!(error.grant(), Some(grant.as_str()), "{what}");
    }
    // Asking has not opened it.
    let number = Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("127.0.0.1", port));
    attack::denied_for("the number", number, &grant);
    Ok(())
}
