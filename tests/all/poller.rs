//! Pollers: level, edge, one-shot, timers, limits.

use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn poller_triggers_ok() {
    both_ways(|way| {
        Guest::new(programs::poller_triggers_ok, way).run().success();
    });
}

#[test]
pub(crate) fn poller_timer_ok() {
    both_ways(|way| {
        Guest::new(programs::poller_timer_ok, way).run().success();
    });
}

#[test]
pub(crate) fn poller_limits_bounded() {
    both_ways(|way| {
        let guest = Guest::new(programs::poller_limits_bounded, way).limit("pollers=2").limit("poll-entries=3").start();
        guest.lines(1);
        guest.interrupt();
        guest.join().success();
    });
}
