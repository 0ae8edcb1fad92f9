//! Looks up a name that does not exist, and names that can't exist.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, ErrorKind, Family, Socket, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() {
    let ask = |name: &str| getaddrinfo(name, 80, Family::UNSPEC, SOCK_STREAM, 0, 0).map(|_| ());
    let gaierror = |what: &str, error: Error| {
        assert_eq!(
            (error.kind(), error.class()),
            (ErrorKind::AddressInfo, "gaierror"),
            "{what}: {error:?}"
        );
        assert_eq!(error.grant(), None);
        error.errno().expect("a code")
    };
    // If no resolver answers, the error may be EAI_AGAIN. It is no denial, because the name was
    // granted.
    let start = Instant::now();
    let code = gaierror("unknown", ask("sandsock-no-such-name.invalid").expect_err("no such name"));
    assert!(matches!(code, EAI_NONAME | EAI_AGAIN | EAI_NODATA | EAI_FAIL), "{code}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let tcp = Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket");
    gaierror(
        "connect",
        tcp.connect(("sandsock-no-such-name.invalid", 80)).expect_err("no such name"),
    );
    // Too long for any name: no resolver sees it.
    let start = Instant::now();
    for length in [254, 255, 256, 1000, 100_000, 1 << 20] {
        let name = "abc.".repeat(length / 4) + "invalid";
        let error = ask(&name).expect_err("too long");
        assert!(
            matches!(error.kind(), ErrorKind::AddressInfo | ErrorKind::Denied),
            "{length}: {:?}",
            error.kind()
        );
        assert!(error.to_string().len() < 2000, "{length}: the text is as long as the name");
        let error = ask(&("a".repeat(length) + ".invalid")).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Unicode, "{length}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
