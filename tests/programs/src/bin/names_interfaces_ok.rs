//! Prints the interfaces, by number and by name, and uses their names as zones.

use sandsock::constants::*;
use sandsock::{
    ErrorKind, Family, Result, getaddrinfo, getnameinfo, if_indextoname, if_nameindex,
    if_nametoindex,
};
use sandsock_test_programs::fails;

fn main() -> Result<()> {
    for (index, name) in if_nameindex()? {
        assert_eq!((if_nametoindex(&name)?, if_indextoname(index)?), (index, name.clone()));
        println!("{index} {name}");
        let zone =
            getaddrinfo(format!("fe80::1%{name}").as_str(), 80, Family::INET6, SOCK_STREAM, 0, 0)?;
        assert_eq!(zone[0].address.to_string(), format!("('fe80::1', 80, 0, {index})"));
        let shown = getnameinfo(("fe80::1", 80, 0, index), NI_NUMERICHOST | NI_NUMERICSERV)?;
        assert_eq!(shown, (format!("fe80::1%{name}"), "80".to_owned()));
        // glibc: a name is a zone in link-local scope only.
        let unknown =
            getaddrinfo(format!("::1%{name}").as_str(), 80, Family::INET6, SOCK_STREAM, 0, 0);
        assert_eq!(unknown.expect_err("no such host").kind(), ErrorKind::AddressInfo);
    }
    fails(if_nametoindex("none"), "OSError", "no interface with this name");
    fails(if_nametoindex("a-name-that-is-too-long"), "OSError", "no interface with this name");
    fails(if_indextoname(0x7fff_ffff), "OSError", "[Errno 6] No such device or address");
    let none = getaddrinfo("fe80::1%none", 80, Family::INET6, SOCK_STREAM, 0, 0);
    fails(none, "gaierror", "[Errno -2] Name or service not known");
    Ok(())
}
