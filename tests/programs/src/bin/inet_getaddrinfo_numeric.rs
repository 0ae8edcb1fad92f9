//! Numeric hosts need no grant; names do.

use sandsock::constants::*;
use sandsock::{AddressInfo, AddressInfoFlags, Error, Family, Service, SocketType, getaddrinfo};
use sandsock_test_programs::fails;

const NUMERIC: AddressInfoFlags = AddressInfoFlags::NUMERICHOST;

fn main() -> Result<(), Error> {
    let ask =
        |host: Option<&'static str>,
         port: Service<'static>,
         family: i32,
         kind: i32,
         flags: AddressInfoFlags| { getaddrinfo(host, port, family, kind, 0, flags) };
    let none = AddressInfoFlags::NONE;
    let shown = |answers: Vec<AddressInfo>| -> Vec<String> {
        let show = |i: AddressInfo| {
            format!(
                "{} {} {} {:?} {}",
                i.family.0, i.kind.0, i.protocol, i.canonical_name, i.address
            )
        };
        answers.into_iter().map(show).collect()
    };
    assert_eq!(
        shown(ask(Some("127.0.0.1"), Service::Number(80), AF_UNSPEC, 0, none)?),
        [
            "2 1 6 \"\" ('127.0.0.1', 80)",
            "2 2 17 \"\" ('127.0.0.1', 80)",
            "2 3 0 \"\" ('127.0.0.1', 80)"
        ]
    );
    assert_eq!(
        shown(ask(Some("::1"), Service::Name("7"), AF_INET6, SOCK_DGRAM, none)?),
        ["10 2 17 \"\" ('::1', 7, 0, 0)"]
    );
    for (host, address) in [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
    ] {
        let answers = ask(Some(host), Service::None, AF_UNSPEC, SOCK_STREAM, none)?;
        assert_eq!(shown(answers), [format!("2 1 6 \"\" ('{address}', 0)")], "{host}");
    }
    let mapped = ask(
        Some("127.0.0.1"),
        Service::Number(1),
        AF_INET6,
        SOCK_STREAM,
        AddressInfoFlags::V4MAPPED,
    )?;
    assert_eq!(shown(mapped), ["10 1 6 \"\" ('::ffff:127.0.0.1', 1, 0, 0)"]);
    let canonical =
        ask(Some("127.0.0.1"), Service::None, AF_INET, SOCK_STREAM, AddressInfoFlags::CANONNAME)?;
    assert_eq!(shown(canonical), ["2 1 6 \"127.0.0.1\" ('127.0.0.1', 0)"]);
    let passive = ask(None, Service::Number(5), AF_INET, SOCK_STREAM, AddressInfoFlags::PASSIVE)?;
    assert_eq!(shown(passive), ["2 1 6 \"\" ('0.0.0.0', 5)"]);
    assert_eq!(
        shown(ask(None, Service::Number(5), AF_INET6, SOCK_STREAM, none)?),
        ["10 1 6 \"\" ('::1', 5, 0, 0)"]
    );
    // The port's range is not checked. The resolver keeps 16 bits of it.
    assert_eq!(
        ask(Some("127.0.0.1"), Service::Number(65_536), AF_INET, SOCK_STREAM, none)?[0]
            .address
            .port(),
        Some(0)
    );

    let unknown = "[Errno -2] Name or service not known";
    fails(ask(None, Service::None, AF_UNSPEC, 0, none), "gaierror", unknown);
    fails(ask(Some("name.test"), Service::None, AF_UNSPEC, 0, NUMERIC), "gaierror", unknown);
    fails(
        ask(Some("::1"), Service::None, AF_INET, 0, NUMERIC),
        "gaierror",
        "[Errno -9] Address family for hostname not supported",
    );
    fails(
        ask(Some("127.0.0.1"), Service::Number(-1), AF_INET, SOCK_STREAM, none),
        "gaierror",
        "[Errno -8] Servname not supported for ai_socktype",
    );
    fails(
        ask(Some("127.0.0.1"), Service::None, 99, 0, none),
        "gaierror",
        "[Errno -6] ai_family not supported",
    );
    let denied = getaddrinfo("name.test", 80, Family::UNSPEC, SocketType::STREAM, 0, none)
        .expect_err("not granted");
    assert_eq!(
        (denied.class(), denied.errno(), denied.grant()),
        ("PermissionError", Some(13), Some("resolve=name.test"))
    );
    Ok(())
}
