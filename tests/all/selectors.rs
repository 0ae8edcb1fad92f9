//! Python's `selectors`.

use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn selectors_register_same() {
    both_ways(|way| {
        Guest::new(programs::selectors_register_same, way).run().success();
    });
}
