//! Promise: a guest never gets back a right that it has given up.

use sandsock_tests::{Guest, both_ways, programs};

use crate::policy::{Tcp, Udp};

#[test]
pub(crate) fn attack_rights_regained_denied() {
    both_ways(|way| {
        let (kept, other, datagrams) = (Tcp::new(), Tcp::new(), Udp::new());
        let guest = |twin: bool| {
            let guest = Guest::new(programs::attack_rights_regained_denied, way)
                .allow_all()
                .resolve("host.example=127.0.0.1");
            let guest = if twin { guest.arg("twin") } else { guest };
            guest.arg(kept.port()).arg(other.port()).arg(datagrams.port()).arg("host.example").run()
        };
        guest(false).success();
        other.untouched();
        assert!(datagrams.datagrams().is_empty(), "a datagram came through");
        assert!(kept.connections() > 0);
        guest(true).success();
        assert!(other.connections() > 0 && !datagrams.datagrams().is_empty());
    });
}
