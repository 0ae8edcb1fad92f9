//! Fills connections to a peer that reads nothing. Arguments: the limit, the number of connections,
//! the peer's port. With `twin` before them it must hold more.

use sandsock::constants::*;
use sandsock::errno::{EAGAIN, ENOBUFS};
use sandsock::raw::clock::now;
use sandsock::raw::connections::{close, connect};
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{PollEntry, create_poller, poll};
use sandsock::raw::syscalls::{listen, socket};
use sandsock::raw::transfers::{send, send_message};
use sandsock::raw::types::{Address, Error, InetAddress, Trigger, Wait};
use sandsock_attacks::buffers::{enlarge, fill, queued, unless_full};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;

const SECOND: u64 = 1_000_000_000;

/// Fills all connections until the last one takes nothing any more: what a peer's kernel takes of
/// them makes room for a while.
fn settle(all: &[Descriptor]) {
    let mut refused = 0;
    for _ in 0..200 {
        all.iter().for_each(fill);
        poll(&[], Wait::Within(SECOND / 10)).expect("sleeps");
        match send(&all[all.len() - 1], b"x", 0, Wait::None) {
            Err(Error::Os(EAGAIN)) => refused += 1,
            Ok(_) => refused = 0,
            Err(error) => panic!("{error:?}"),
        }
        if refused == 3 {
            return;
        }
    }
    panic!("there is always room");
}

fn main() {
    let twin = usize::from(is_twin());
    let (limit, most, port): (u64, usize, u16) =
        (argument(twin), argument(twin + 1), argument(twin + 2));
    let peer = Address::Inet(InetAddress { address: (127, 0, 0, 1), port });
    let connected = || -> Option<Descriptor> {
        let d = unless_full(socket(AF_INET, SOCK_STREAM, 0))?;
        // A socket whose listen failed does not count as a listener.
        assert!(listen(&d, 0).is_err());
        connect(&d, &peer, Wait::Within(5 * SECOND)).expect("connects");
        assert!(listen(&d, 0).is_err());
        Some(d)
    };
    // Connected first, each then filled with the greatest buffers.
    let mut all = Vec::new();
    while all.len() < most
        && let Some(d) = connected()
    {
        all.push(d);
    }
    for d in &all {
        enlarge(d);
        fill(d);
    }
    let held: u64 = all.iter().map(queued).sum();
    println!("{held} of {limit} held in {}", all.len());
    if is_twin() {
        assert!(held > limit && all.len() == most);
        return;
    }
    assert!(held <= limit && held > limit / 4);

    // At the limit: no send, by no call, no wait that spins, and no more sockets.
    settle(&all);
    // The kernel alone would let the last one send.
    let Some(last) = all.last() else { panic!("none connected") };
    assert_eq!(send(last, b"x", 0, Wait::None), Err(Error::Os(EAGAIN)));
    assert_eq!(send_message(last, &[b"x"], &[], 0, None, Wait::None), Err(Error::Os(EAGAIN)));
    let start = now();
    assert_eq!(send(last, b"x", 0, Wait::Within(SECOND / 10)), Err(Error::Os(EAGAIN)));
    assert!((SECOND / 10..5 * SECOND).contains(&(now() - start)));
    let extra = socket(AF_INET, SOCK_STREAM, 0).err();
    assert_eq!(extra, Some(Error::Os(ENOBUFS)));
    let entry = || PollEntry { descriptor: last, events: POLLOUT as u16 };
    assert_eq!(poll(&[entry()], Wait::Within(SECOND / 10)), Ok(vec![0]));
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let poller = create_poller().expect("makes");
        poller.add(last, 1, POLLOUT as u16, trigger).expect("adds");
        assert!(poller.wait(8, Wait::Within(SECOND / 10)).expect("waits").is_empty());
        println!("full");
        // The peer reads what one of the connections holds.
        let events = poller.wait(8, Wait::Within(10 * SECOND)).expect("waits");
        assert_eq!(events.len(), 1, "{trigger:?}");
        assert_ne!(events[0].ready & POLLOUT as u16, 0);
        assert_ne!(poll(&[entry()], Wait::None).expect("polls")[0] & POLLOUT as u16, 0);
        settle(&all);
    }
    // A poller in another one makes that one ready only for what the limit lets through.
    let (inner, outer) = (create_poller().expect("makes"), create_poller().expect("makes"));
    inner.add(last, 1, POLLOUT as u16, Trigger::Level).expect("adds");
    outer.add_poller(&inner, 2, POLLIN as u16, Trigger::Level).expect("adds");
    assert!(outer.wait(8, Wait::Within(SECOND / 10)).expect("waits").is_empty());
    println!("full");
    let events = outer.wait(8, Wait::Within(10 * SECOND)).expect("waits");
    assert_eq!((events.len(), events[0].key), (1, 2));
    settle(&all);
    println!("full");
    assert_eq!(send(last, b"x", 0, Wait::Forever), Ok(1));
    println!("sent");
    all.iter().for_each(fill);
    let held: u64 = all.iter().map(queued).sum();
    assert!(held <= limit, "{held}");

    // Closed with all that they hold, which the kernel goes on to send; and others in their place,
    // again and again.
    for round in 0..3 {
        for d in all.drain(..) {
            close(d).expect("closes");
        }
        for _ in 0..most {
            let Some(d) = connected() else { break };
            enlarge(&d);
            fill(&d);
            all.push(d);
        }
        println!("round {round}: {} made", all.len());
    }
    println!("left");
    // The test looks from outside meanwhile.
    poll(&[], Wait::Forever).expect_err("until the test interrupts it");
}
