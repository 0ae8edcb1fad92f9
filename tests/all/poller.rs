//! Pollers: level, edge, one-shot, timers, limits.

use sandsock_tests::{Guest, both_ways, programs, raise_descriptor_limit, skip};

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

/// A hundred thousand idle descriptors. The benchmark `idle` measures closely; here a cost that grows with them would be a
/// thousand times that of the ten.
#[test]
pub(crate) fn poller_idle_flat() {
    const MOST: u64 = 100_000;
    const ROOM: u64 = MOST + 1_000;
    if raise_descriptor_limit(ROOM + 10_000) < ROOM + 10_000 {
        return skip("poller_idle_flat", "this process may not open 111,000 files (see `ulimit -Hn`)");
    }
    both_ways(|way| {
        let guest = Guest::new(programs::poller_idle_flat, way)
            .limit(format!("descriptors={ROOM}"))
            .limit(format!("poll-entries={ROOM}"));
        let printed = guest.arg(100).arg(21).arg(10).arg(MOST).run().success();
        let times: Vec<u64> = printed.lines().map(|line| line.parse().expect("nanoseconds")).collect();
        println!("100 ready beside 10 and beside {MOST} idle ones: {times:?} ns");
        assert!(times[1] < times[0] * 5, "beside 10 and {MOST} idle ones: {times:?} ns");
    });
}
