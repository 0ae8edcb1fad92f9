//! AF_TIPC, in the booted kernel.

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, programs};

#[test]
pub(crate) fn tipc_messages_ok() {
    booted(|way| {
        Guest::new(programs::tipc_messages_ok, way).allow("family=tipc").run().success();
    });
}

#[test]
pub(crate) fn tipc_messages_denied() {
    booted(|way| {
        Guest::new(programs::tipc_messages_denied, way).allow("family=qipcrtr").run().success();
    });
}
