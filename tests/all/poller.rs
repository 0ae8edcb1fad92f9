//! Pollers: level, edge, one-shot, timers, limits.

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, both_ways, programs, raise_descriptor_limit};

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
pub(crate) fn poller_nested_ok() {
    both_ways(|way| {
        Guest::new(programs::poller_nested_ok, way).run().success();
    });
}

#[test]
pub(crate) fn poller_limits_bounded() {
    both_ways(|way| {
        let guest = Guest::new(programs::poller_limits_bounded, way)
            .limit("pollers=2")
            .limit("poll-entries=3")
            .start();
        guest.lines(1);
        guest.interrupt();
        guest.join().success();
    });
}

/// A hundred thousand idle descriptors. If this machine lets no process open that many, they are
/// opened in the booted kernel. The benchmark `idle` measures precisely. A cost that grew with
/// their number would be a thousand times that of ten descriptors.
#[test]
pub(crate) fn poller_idle_flat() {
    const IDLE: u64 = 100_000;
    /// For all else that the tests of this process have open meanwhile.
    const REST: u64 = 4_000;
    let body = |way| {
        let guest = Guest::new(programs::poller_idle_flat, way)
            .limit(format!("descriptors={}", IDLE + 1_000))
            .limit(format!("poll-entries={}", IDLE + 1_000))
            .limit("buffer-bytes=1099511627776");
        let printed = guest.arg(100).arg(21).arg(10).arg(IDLE).run().success();
        let times: Vec<u64> =
            printed.lines().map(|line| line.parse().expect("nanoseconds")).collect();
        println!("100 ready beside 10 and beside {IDLE} idle ones: {times:?} ns");
        assert!(times[1] < times[0] * 5, "beside 10 and {IDLE} idle ones: {times:?} ns");
    };
    if raise_descriptor_limit(IDLE + REST) < IDLE + REST { booted(body) } else { both_ways(body) }
}
