//! Asks a server that does not answer. Each function ends with its own error, and the raw layer's
//! waits end in time.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::raw::clock;
use sandsock::raw::netdb;
use sandsock::raw::types::{Address, AddressHints, Error, InetAddress, NameError, Wait};
use sandsock::{Family, Result, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, getnameinfo};
use sandsock_test_programs::fails;

fn timed<T>(what: &str, least: Duration, most: Duration, ask: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = ask();
    let elapsed = start.elapsed();
    assert!(elapsed >= least && elapsed <= most, "{what}: {elapsed:?}");
    result
}

fn main() -> Result<()> {
    const AGAIN: &str = "[Errno -3] Temporary failure in name resolution";
    let address = Address::Inet(InetAddress { address: (93, 184, 216, 34), port: 80 });
    let hints = AddressHints { family: AF_INET, type_: SOCK_STREAM, protocol: 0, flags: 0 };
    let over = NameError::Other(Error::Os(sandsock::errno::EAGAIN));
    // The guest's own times, which are shorter than the resolver's.
    let (least, most) = (Duration::from_millis(300), Duration::from_millis(2500));
    for wait in [Wait::Within(300_000_000), Wait::Until(clock::now() + 300_000_000)] {
        let least = if matches!(wait, Wait::Within(_)) { least } else { Duration::ZERO };
        let error = timed("address", least, most, || {
            netdb::get_address_info(Some("web.example"), None, hints, wait)
        });
        assert_eq!(error.err(), Some(over.clone()));
        let error = timed("name", Duration::ZERO, most, || {
            netdb::get_host_by_name("web.example", AF_INET, wait)
        });
        assert_eq!(error.err(), Some(over.clone()));
        let error =
            timed("reverse", Duration::ZERO, most, || netdb::get_host_by_address(&address, wait));
        assert_eq!(error.err(), Some(over.clone()));
        let error = timed("info", Duration::ZERO, most, || netdb::get_name_info(&address, 0, wait));
        assert_eq!(error.err(), Some(over.clone()));
    }
    // Eight look-ups whose callers have given up are under way. A ninth is refused until they end.
    let error =
        timed("no place", Duration::ZERO, Duration::from_secs(1), || gethostbyname("web.example"))
            .expect_err("full");
    assert_eq!((error.class(), error.errno()), ("BlockingIOError", Some(sandsock::errno::EAGAIN)));
    // No look-up: a number and a service in a file need no server and, without a name of a service,
    // no place.
    assert_eq!(gethostbyname("192.0.2.7")?, "192.0.2.7");
    println!("full");
    let start = Instant::now();
    while gethostbyname("files.example").is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "the places do not come free");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(1));
    // This waits to the end: the resolver's own time, 3 s.
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(12));
    let ask = || getaddrinfo("web.example", 80, Family::INET, SOCK_STREAM, 0, 0);
    fails(timed("getaddrinfo", least, most, ask), "gaierror", AGAIN);
    let error = timed("gethostbyaddr", least, most, || gethostbyaddr("93.184.216.34"));
    fails(error, "herror", "[Errno 2] Host name lookup failure");
    fails(
        timed("getnameinfo", least, most, || getnameinfo(("93.184.216.34", 80), 0)),
        "gaierror",
        AGAIN,
    );
    assert_eq!(timed("getfqdn", least, most, || getfqdn("93.184.216.34"))?, "93.184.216.34");
    Ok(())
}
