//! `create_connection` takes the addresses of a name in turn until one answers.

use std::time::Duration;

use sandsock::{ConnectTimeout, Error, create_connection};
use sandsock_test_programs::{argument, fails};

fn main() -> Result<(), Error> {
    // Two names, each with both loopback addresses, in either order; at each port listens one of
    // the two, or none.
    let (first, second, nobody): (u16, u16, u16) = (argument(0), argument(1), argument(2));
    for name in ["v4first.test", "v6first.test"] {
        for (port, host) in [(first, "127.0.0.1"), (second, "::1")] {
            for all_errors in [false, true] {
                let socket =
                    create_connection((name, port), ConnectTimeout::Default, None, all_errors)?;
                assert_eq!(socket.getpeername()?.host().as_deref(), Some(host), "{name}");
                assert_eq!(socket.gettimeout(), None);
                assert_eq!(socket.recv(10, 0)?, b"hi");
            }
        }
        let refused = "[Errno 111] Connection refused";
        let timeout = ConnectTimeout::After(Duration::from_secs(20));
        fails(
            create_connection((name, nobody), timeout, None, false),
            "ConnectionRefusedError",
            refused,
        );
        let all =
            create_connection((name, nobody), timeout, None, true).expect_err("nobody listens");
        assert_eq!(
            (all.class(), all.to_string().as_str()),
            ("ExceptionGroup", "create_connection failed (2 sub-exceptions)")
        );
        let each: Vec<_> =
            all.errors().iter().map(|error| (error.class(), error.to_string())).collect();
        assert_eq!(each, vec![("ConnectionRefusedError", refused.to_owned()); 2]);
        assert_eq!(all.errno(), None);

        // An address of the other family to come from: that attempt fails, the next one is made.
        let source = ("127.0.0.1", 0);
        let socket = create_connection((name, first), timeout, Some(&source), false)?;
        assert_eq!(socket.getsockname()?.host().as_deref(), Some("127.0.0.1"));
        assert_eq!(socket.gettimeout(), Some(Duration::from_secs(20)));
    }

    // Numbers are no names, whatever they look like.
    let socket = create_connection(("127.1", first), ConnectTimeout::None, None, false)?;
    assert_eq!(socket.recv(10, 0)?, b"hi");
    let denied = create_connection(("other.test", first), ConnectTimeout::Default, None, false)
        .expect_err("not granted");
    assert_eq!((denied.class(), denied.grant()), ("PermissionError", Some("resolve=other.test")));
    Ok(())
}
