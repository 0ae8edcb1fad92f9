//! The limits of one guest. Whatever the guest asks for, the host stays as it was.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use sandsock_tests::{Guest, both_ways, in_own_process, programs};

/// A number of /proc/self/status, in kilobytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("reads");
    let line = text.lines().find(|line| line.starts_with(name)).expect("is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
pub(crate) fn limits_receive_flat() {
    both_ways(|way| {
        let port = UdpSocket::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("binds")
            .port();
        let before = status("VmRSS:");
        Guest::new(programs::limits_receive_flat, way)
            .allow(format!("udp-bind=127.0.0.1:{port}"))
            .allow(format!("udp-send=127.0.0.1:{port}"))
            .allow("udp-receive=127.0.0.1:*")
            .arg(port)
            .run()
            .success();
        // Other tests run beside this one: the bound is wide, and far below what was asked for.
        let grown = status("VmHWM:").saturating_sub(before);
        assert!(grown < 1_500_000, "the host grew by {grown} kB");
    });
}

#[test]
pub(crate) fn limits_descriptor_refused() {
    both_ways(|way| {
        for limit in [None, Some(7), Some(50)] {
            let mut guest = Guest::new(programs::limits_descriptor_refused, way)
                .allow("tcp-listen=127.0.0.1:0")
                .allow("tcp-connect=127.0.0.1:*")
                .allow("ancillary=rights:send")
                .allow("ancillary=rights:receive,any")
                .arg(limit.unwrap_or(1024));
            if let Some(limit) = limit {
                guest = guest.limit(format!("descriptors={limit}"));
            }
            guest.run().success();
        }
    });
}

#[test]
pub(crate) fn limits_poll_refused() {
    both_ways(|way| {
        Guest::new(programs::limits_poll_refused, way).arg(10_000).run().success();
        Guest::new(programs::limits_poll_refused, way)
            .limit("poll-entries=3")
            .arg(3)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn limits_control_refused() {
    both_ways(|way| {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let port = peer.local_addr().expect("an address").port();
        for limit in [262_144, 48] {
            Guest::new(programs::limits_control_refused, way)
                .allow(format!("udp-send=127.0.0.1:{port}"))
                .allow("ancillary=rights:send")
                .limit(format!("control-bytes={limit}"))
                .arg(limit)
                .arg(port)
                .run()
                .success();
        }
    });
}

#[test]
pub(crate) fn limits_transfer_cut() {
    both_ways(|way| {
        for limit in [1, 1000, 16_384] {
            let guest = Guest::new(programs::limits_transfer_cut, way)
                .limit(format!("transfer-bytes={limit}"));
            guest.arg(limit).run().success();
        }
    });
}

#[test]
pub(crate) fn limits_lookup_refused() {
    both_ways(|way| {
        for (what, limit) in [
            ("rate", "lookups-per-second=2"),
            ("none", "lookups-per-second=0"),
            ("pending", "lookups-pending=0"),
        ] {
            Guest::new(programs::limits_lookup_refused, way)
                .allow("resolve=localhost")
                .allow("tcp-connect=127.0.0.1:1")
                .limit(limit)
                .arg(what)
                .run()
                .success();
        }
    });
}

#[test]
pub(crate) fn limits_buffers_ok() {
    both_ways(|way| {
        sandsock_tests::raise_descriptor_limit(4096);
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let sender = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("accepts");
            let data = vec![7; 1 << 20];
            (0..64).for_each(|_| peer.write_all(&data).expect("writes"));
        });
        Guest::new(programs::limits_buffers_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .arg(port)
            .run()
            .success();
        sender.join().expect("sends");
    });
}

#[test]
pub(crate) fn limits_flood_ok() {
    both_ways(|way| {
        let granted = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let port = granted.local_addr().expect("an address").port();
        let running = Guest::new(programs::limits_flood_ok, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow(format!("udp-receive=127.0.0.1:{port}"))
            .arg(port)
            .start();
        let to = ("127.0.0.1", running.lines(1)[0].parse::<u16>().expect("a port"));
        let over = std::sync::atomic::AtomicBool::new(false);
        let ended = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let stranger = UdpSocket::bind("127.0.0.1:0").expect("binds");
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        let _ = stranger.send_to(b"flood", to);
                    }
                });
            }
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                running.lines(2);
                std::thread::sleep(Duration::from_millis(300));
                let start = Instant::now();
                running.interrupt();
                running.lines(3);
                assert!(
                    start.elapsed() < Duration::from_secs(2),
                    "the interrupt took {:?}",
                    start.elapsed()
                );
                // The queue may be full of other datagrams, so this one is sent until the guest has
                // it.
                scope.spawn(|| {
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        let _ = granted.send_to(b"at last", to);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
                running.join()
            }));
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            ended
        });
        let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(ended.dropped > 1000, "{} dropped", ended.dropped);
        ended.success();
    });
}

#[test]
pub(crate) fn limits_error_ok() {
    both_ways(|way| {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("binds")
            .port();
        let count = || std::fs::read_dir("/proc/self/fd").expect("reads").count();
        let before = count();
        // Few descriptors: one that is lost in a thousand rounds is missed.
        Guest::new(programs::limits_error_ok, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .limit("descriptors=10")
            .arg(port)
            .run()
            .success();
        // Other tests hold a thousand or two; three thousand rounds would leave more.
        let after = count();
        assert!(after < before + 2_900, "{before} descriptors before, {after} after");
    });
}

/// The bytes of one run, in hexadecimal, from a seed (SplitMix64).
fn random_hex(mut seed: u64, count: usize) -> String {
    let mut next = move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u8
    };
    (0..count).map(|_| format!("{:02x}", next())).collect()
}

#[test]
pub(crate) fn limits_random_survived() {
    // The descriptors of this process are counted.
    in_own_process("limits::limits_random_survived", || {
        let open = || std::fs::read_dir("/proc/self/fd").expect("it is there").count();
        let rules = [
            "tcp-listen=127.0.0.1:0",
            "tcp-connect=127.0.0.1:*",
            "udp-bind=127.0.0.1:0",
            "udp-send=127.0.0.1:*",
            "unix-bind=@sandsock-random-*",
            "unix-connect=@sandsock-random-*",
            "ancillary=rights:send",
            "ancillary=rights:receive,any",
        ];
        both_ways(|way| {
            let run = |seed: u64| {
                let mut guest = Guest::new(programs::limits_random_survived, way)
                    .limit("buffer-bytes=16777216")
                    .arg(random_hex(seed, 1500));
                if seed.is_multiple_of(5) {
                    guest = guest.allow_all();
                }
                let budget = ["", ";bytes=5000", ";rate=1MB/s"][seed as usize % 3];
                for (bit, rule) in rules.iter().enumerate() {
                    let takes = !rule.starts_with("udp-bind") && !rule.starts_with("ancillary");
                    if seed & 1 << bit != 0 {
                        guest = guest.allow(format!("{rule}{}", if takes { budget } else { "" }));
                    }
                }
                let told = guest.run().success();
                assert!(told.ends_with("steps\n"), "seed {seed}: {told}");
            };
            // The first run opens what stays open: the engine, and the pools' threads.
            run(255);
            let before = open();
            (0..60).for_each(run);
            let end = Instant::now() + Duration::from_secs(10);
            while open() > before + 4 {
                assert!(Instant::now() < end, "{} descriptors leaked", open() - before);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    });
}
