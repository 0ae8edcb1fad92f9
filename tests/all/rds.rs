//! AF_RDS over TCP, in the booted kernel.

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, programs};

#[test]
pub(crate) fn rds_messages_ok() {
    booted(|way| {
        Guest::new(programs::rds_messages_ok, way).allow("family=rds").run().success();
    });
}

#[test]
pub(crate) fn rds_messages_denied() {
    booted(|way| {
        let guest = Guest::new(programs::rds_messages_denied, way)
            .allow("family=tipc")
            .allow("tcp-connect=127.0.0.2:*");
        guest.allow("tcp-listen=127.0.0.1:*").run().success();
    });
}
