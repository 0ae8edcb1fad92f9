//! Look-ups without a grant, of a name in private space, and of texts that are no names.

#[cfg(target_family = "wasm")]
fn main() {
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
    use wasip2::sockets::network::{ErrorCode, IpAddress};

    fn first(name: &str) -> Result<Option<IpAddress>, ErrorCode> {
        let stream = resolve_addresses(&instance_network(), name)?;
        loop {
            match ResolveAddressStream::resolve_next_address(&stream) {
                Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
                result => return result,
            }
        }
    }

    assert_eq!(first("denied.example").unwrap_err(), ErrorCode::AccessDenied);
    assert_eq!(first("*.example").unwrap_err(), ErrorCode::InvalidArgument);
    for text in ["", "a b", "256.0.0.1", "exa mple.com", "a..b"] {
        assert_eq!(first(text).unwrap_err(), ErrorCode::InvalidArgument, "{text}");
    }
    assert!(matches!(first("127.0.0.1"), Ok(Some(IpAddress::Ipv4((127, 0, 0, 1))))));
    assert!(matches!(first("::1"), Ok(Some(IpAddress::Ipv6(_)))));
    if std::env::args().nth(1).is_some() {
        // Its name is granted, its address is in loopback space.
        assert_eq!(first("localhost").unwrap_err(), ErrorCode::AccessDenied);
    }
    assert_eq!(first("name.invalid").unwrap_err(), ErrorCode::NameUnresolvable);
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
