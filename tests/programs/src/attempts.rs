//! Attempts on UNIX paths and names, which the arguments name: `VERB EXPECTED NAME`.
//!
//! VERB is `connect`, `send` or `bind`; `@` starts an abstract name. EXPECTED is `ok`, an errno of
//! the kernel's, `denied` if no grant can help, or `needs:GRANT`.

use sandsock::constants::*;
use sandsock::{Error, ErrorKind, Flags, Socket};

/// Makes every attempt, and demands what is expected of each.
pub(crate) fn run() {
    let mut count = 0;
    for attempt in std::env::args().skip(1) {
        let mut parts = attempt.splitn(3, ' ');
        let (verb, expected, name) = (parts.next(), parts.next(), parts.next());
        let (Some(verb), Some(expected), Some(name)) = (verb, expected, name) else {
            panic!("{attempt}: not understood")
        };
        let name = name
            .strip_prefix('@')
            .map_or(name.as_bytes().to_vec(), |name| [b"\0", name.as_bytes()].concat());
        let seen = tell(make(verb, &name));
        assert_eq!(seen, expected, "{attempt}");
        count += 1;
    }
    assert!(count > 0, "nothing was attempted");
}

fn make(verb: &str, name: &[u8]) -> Result<(), Error> {
    match verb {
        "connect" => Socket::new(AF_UNIX, SOCK_STREAM, 0)?.connect(name),
        "send" => {
            let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
            let by_sendto = socket.sendto(b"x", Flags::NONE, name).map(drop);
            let by_sendmsg = socket
                .sendmsg(&[std::io::IoSlice::new(b"x")], &[], Flags::NONE, Some(&name))
                .map(drop);
            let by_connect = socket.connect(name);
            assert_eq!(by_sendto, by_sendmsg, "sendmsg is judged as sendto is");
            assert_eq!(by_sendto, by_connect, "connect is judged as sendto is");
            by_sendto
        }
        "bind" => Socket::new(AF_UNIX, SOCK_STREAM, 0)?.bind(name),
        other => panic!("no verb: {other}"),
    }
}

fn tell(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) if error.kind() == ErrorKind::Denied => {
            assert_eq!(error.errno(), Some(sandsock::errno::EACCES));
            assert_eq!(error.class(), "PermissionError");
            error.grant().map_or_else(|| "denied".to_owned(), |grant| format!("needs:{grant}"))
        }
        Err(error) if error.kind() == ErrorKind::Os => {
            error.errno().map_or_else(|| error.to_string(), |errno| errno.to_string())
        }
        Err(error) => panic!("{error:?}"),
    }
}
