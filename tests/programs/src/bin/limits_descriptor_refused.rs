//! Makes descriptors up to the limit, a million times, in every way. Argument: the limit.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::errno::EMFILE;
use sandsock::raw::{descriptors, syscalls};
use sandsock::{Socket, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, raw, refused};

fn main() -> sandsock::Result<()> {
    let limit: usize = args()[0].parse().expect("a number");
    let pair = || raw(syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0));
    // A listener and a connection that waits in it, to be accepted when there is room.
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    println!("{}", listener.getsockname()?.port().unwrap_or(0));
    client.connect(("127.0.0.1", listener.getsockname()?.port().unwrap_or(0)))?;
    // A descriptor in flight.
    let (sender, receiver) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    sender.send_fds(&[IoSlice::new(b"take it")], &[sender.fileno()])?;

    let (first, _other) = pair()?;
    let mut held = Vec::new();
    loop {
        // Aliases count as all others do.
        let more = if held.len() % 2 == 0 {
            descriptors::duplicate(&first)
        } else {
            descriptors::alias(&first)
        };
        match raw(more) {
            Ok(descriptor) => held.push(descriptor),
            Err(error) => {
                assert_eq!(error.errno(), Some(EMFILE), "{error:?}");
                break;
            }
        }
        assert!(held.len() <= limit, "more than the limit");
    }
    assert_eq!(held.len() + 6, limit);

    // Now nothing makes one, and nothing is half made.
    for _ in 0..200_000 {
        refused("duplicate", raw(descriptors::duplicate(&first)), EMFILE);
        refused("alias", raw(descriptors::alias(&first)), EMFILE);
        refused("socket", raw(syscalls::socket(AF_INET, SOCK_STREAM, 0)), EMFILE);
        refused("socketpair", pair().map(|_| ()), EMFILE);
        refused("accept", listener.accept().map(|_| ()), EMFILE);
    }
    // A descriptor beyond the limit is closed, and MSG_CTRUNC reports it. The bytes arrive.
    let received = receiver.recvmsg(100, 100, MSG_PEEK)?;
    assert_eq!(received.data, b"take it");
    assert!(received.flags.contains(sandsock::Flags::CTRUNC), "{received:?}");
    assert!(received.ancillary.iter().all(|message| message.fds().is_empty()));
    drop(held.pop());
    refused("socketpair needs two", pair().map(|_| ()), EMFILE);
    let (accepted, _) = listener.accept()?;
    refused("socket", raw(syscalls::socket(AF_INET, SOCK_STREAM, 0)), EMFILE);
    accepted.close()?;
    // Closing frees, by close and by drop, aliases too.
    let received = receiver.recv_fds(100, 1)?;
    let [message] = &received.ancillary[..] else { panic!("{received:?}") };
    sandsock::close(message.fds()[0])?;
    drop(held);
    let again: Vec<_> = std::iter::from_fn(|| raw(descriptors::duplicate(&first)).ok()).collect();
    assert_eq!(again.len() + 6, limit);
    Ok(())
}
