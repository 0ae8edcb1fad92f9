//! Asks with every function if no look-up is allowed. The argument says which limit is 0.

use sandsock::constants::*;
use sandsock::{
    Family, Result, getaddrinfo, gethostbyaddr, gethostbyname, gethostbyname_ex, getnameinfo,
    getprotobyname, getservbyname, getservbyport,
};
use sandsock_test_programs::would_block;

fn main() -> Result<()> {
    let limit: String = sandsock_test_programs::argument(0);
    would_block(getaddrinfo("web.example", 80, Family::INET, SOCK_STREAM, 0, 0));
    would_block(gethostbyname("web.example"));
    would_block(gethostbyname_ex("web.example"));
    would_block(gethostbyaddr("192.0.2.1"));
    would_block(gethostbyaddr("web.example"));
    would_block(getnameinfo(("192.0.2.1", 80), NI_NUMERICSERV));
    // Tables are no look-ups by their rate, and take a place.
    if limit == "lookups-pending" {
        would_block(getservbyname("http", None));
        would_block(getservbyport(80, None));
        would_block(getprotobyname("tcp"));
        would_block(getnameinfo(("192.0.2.1", 80), NI_NUMERICHOST));
        would_block(getaddrinfo("192.0.2.1", "http", Family::INET, SOCK_STREAM, 0, 0));
    } else {
        assert_eq!(getprotobyname("tcp")?, 6);
        assert_eq!(getnameinfo(("192.0.2.1", 1), NI_NUMERICHOST)?.0, "192.0.2.1");
    }
    // These look-ups do not ask the resolver.
    assert_eq!(gethostbyname("192.0.2.1")?, "192.0.2.1");
    assert_eq!(gethostbyname_ex("192.0.2.1")?.addresses, ["192.0.2.1"]);
    assert_eq!(
        getnameinfo(("192.0.2.1", 80), NI_NUMERICHOST | NI_NUMERICSERV)?,
        ("192.0.2.1".into(), "80".into())
    );
    assert_eq!(getaddrinfo("192.0.2.1", 80, Family::INET, SOCK_STREAM, 0, 0)?.len(), 1);
    Ok(())
}
