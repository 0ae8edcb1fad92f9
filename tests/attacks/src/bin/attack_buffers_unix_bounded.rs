//! Makes the kernel hold as much as it can in UNIX pairs. Arguments: the limit, and the number of
//! pairs. For the twin: how much it must reach instead.

use sandsock::constants::*;
use sandsock::raw::connections::close;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::poll;
use sandsock::raw::syscalls::{set_option, socketpair};
use sandsock::raw::transfers::{ControlOut, receive, send, send_message};
use sandsock::raw::types::{OptionValue, Wait};
use sandsock_attacks::buffers::{enlarge, fill, memory, queued, unless_full};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;

const KINDS: [i32; 3] = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];

/// Waits until this much room is free again. Descriptors that were sent away are closed some time
/// after the call.
fn freed(kind: i32) {
    for _ in 0..500 {
        let pairs: Vec<_> =
            std::iter::from_fn(|| unless_full(socketpair(AF_UNIX, kind, 0))).take(11).collect();
        if pairs.len() == 11 {
            return;
        }
        drop(pairs);
        poll(&[], Wait::Within(20_000_000)).expect("sleeps");
    }
    panic!("nothing is free again");
}

fn main() {
    let twin = usize::from(is_twin());
    let (limit, most): (u64, usize) = (argument(twin), argument(twin + 1));
    let check = |what: &str, held: u64, made: usize| {
        println!("{what}: {held} held, {made} made");
        if is_twin() {
            assert!(held > limit && made == most, "{what}");
        } else {
            assert!(held <= limit, "{what}: {held}");
        }
    };
    for kind in KINDS {
        let pair = || unless_full(socketpair(AF_UNIX, kind, 0));
        freed(kind);
        // Both ways, with buffers of the default size.
        let mut pairs = Vec::new();
        while pairs.len() < most
            && let Some((a, b)) = pair()
        {
            fill(&a);
            fill(&b);
            pairs.push((a, b));
        }
        let held: u64 = pairs.iter().map(|(a, b)| queued(a) + queued(b)).sum();
        println!("default: {held} held, {} made", pairs.len());
        assert!(
            if is_twin() { pairs.len() == most } else { held <= limit && pairs.len() > 10 },
            "{held}"
        );
        drop(pairs);
        // With the greatest buffers.
        let mut pairs = Vec::new();
        while pairs.len() < most
            && let Some((a, b)) = pair()
        {
            enlarge(&a);
            enlarge(&b);
            fill(&a);
            fill(&b);
            pairs.push((a, b));
        }
        check("both ways", pairs.iter().map(|(a, b)| queued(a) + queued(b)).sum(), pairs.len());
        // All is free again.
        let made = pairs.len();
        drop(pairs);
        freed(kind);
        let again: Vec<_> = std::iter::from_fn(pair).take(made).collect();
        assert_eq!(again.len(), made);
        drop(again);

        // The sender is gone, or its buffer small again, and what it sent stays.
        for way in ["closed", "small"] {
            freed(kind);
            let (mut kept, mut held) = (Vec::new(), 0);
            while kept.len() < most
                && let Some((a, b)) = pair()
            {
                enlarge(&a);
                fill(&a);
                held += queued(&a);
                if way == "closed" {
                    close(a).expect("closes");
                    kept.push((None, b));
                } else {
                    set_option(&a, SOL_SOCKET, SO_SNDBUF, OptionValue::Integer(1)).expect("sets");
                    kept.push((Some(a), b));
                }
            }
            check(way, held, kept.len());
        }

        freed(kind);
        // In flight: filled pairs that the guest has closed, and that are not received.
        let Some((through, end)) = unless_full(socketpair(AF_UNIX, SOCK_STREAM, 0)) else {
            panic!("{limit} is too little")
        };
        let (mut parked, mut held) = (0, 0);
        while parked < most.min(30)
            && let Some((a, b)) = pair()
        {
            enlarge(&a);
            fill(&a);
            fill(&b);
            held += queued(&a) + queued(&b);
            let both = [&a, &b];
            send_message(&through, &[b"x"], &[ControlOut::Rights(&both)], 0, None, Wait::None)
                .expect("sends");
            parked += 1;
        }
        println!("in flight: {held} held, {parked} parked");
        assert!(
            if is_twin() { parked == most.min(30) } else { held <= limit },
            "in flight: {held}"
        );
        drop((through, end));

        freed(kind);
        // The sender was sent away and dropped there, and what it sent stays.
        let (mut kept, mut held) = (Vec::<Descriptor>::new(), 0);
        while kept.len() < most
            && let Some((a, b)) = pair()
            && let Some((through, end)) = unless_full(socketpair(AF_UNIX, SOCK_STREAM, 0))
        {
            enlarge(&a);
            fill(&a);
            held += queued(&a);
            send_message(&through, &[b"x"], &[ControlOut::Rights(&[&a])], 0, None, Wait::None)
                .expect("sends");
            close(a).expect("closes");
            receive(&end, 1, 0, Wait::None).expect("receives");
            kept.push(b);
        }
        check("sent away", held, kept.len());
        drop(kept);
    }
    freed(SOCK_STREAM);
    // A receiver makes room, and the sender goes on.
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("there is room again");
    fill(&a);
    let before = memory(&a)[2];
    receive(&b, 1 << 20, 0, Wait::None).expect("receives");
    send(&a, &[7; 4096], 0, Wait::Forever).expect("sends");
    assert!(memory(&a)[2] <= before);
}
