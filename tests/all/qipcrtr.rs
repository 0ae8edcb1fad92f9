//! AF_QIPCRTR, in the booted kernel.

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, programs};

#[test]
pub(crate) fn qipcrtr_messages_ok() {
    booted(|way| {
        Guest::new(programs::qipcrtr_messages_ok, way).allow("family=qipcrtr").run().success();
    });
}

#[test]
pub(crate) fn qipcrtr_messages_denied() {
    booted(|way| {
        Guest::new(programs::qipcrtr_messages_denied, way).allow("family=tipc").run().success();
    });
}
