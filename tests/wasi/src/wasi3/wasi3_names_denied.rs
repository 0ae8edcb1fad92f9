//! `wasi3_names_denied`: look-ups without a grant, and of texts that are no names.

use wasip3::sockets::ip_name_lookup::{ErrorCode, resolve_addresses};

pub(super) async fn run(_: &[String]) {
    let lookup = |name: &str| resolve_addresses(name.to_owned());
    assert!(matches!(lookup("denied.example").await, Err(ErrorCode::AccessDenied)));
    for text in ["", "a b", "256.0.0.1", "a..b", "*.example"] {
        let result = lookup(text).await;
        assert!(matches!(result, Err(ErrorCode::InvalidArgument)), "{text}: {result:?}");
    }
    // The names are granted, and not found.
    let result = lookup("name.invalid").await;
    assert!(
        matches!(
            result,
            Err(ErrorCode::NameUnresolvable | ErrorCode::TemporaryResolverFailure)
        ),
        "{result:?}"
    );
    // The name's only address is in private space.
    let result = lookup("localhost").await;
    assert!(matches!(result, Err(ErrorCode::AccessDenied)), "{result:?}");
}
