//! An alias can only transfer, and only as long as its original allows it.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::transfers::{self, ControlOut};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, syscalls};
use sandsock::{Error, Flags, errno, socketpair};

fn main() -> Result<(), Error> {
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let bad = RawError::Os(errno::EBADF);
    let alias = descriptors::alias(&a)?;
    let again = Err(RawError::Os(errno::EAGAIN));

    // Both ways, by every transfer.
    assert_eq!(transfers::send(&alias, b"one", 0, Wait::Forever)?, 3);
    assert_eq!(transfers::send_message(&alias, &[b"two"], &[], 0, None, Wait::Forever)?, 3);
    assert_eq!(transfers::receive(&b, 9, 0, Wait::Forever)?, b"onetwo");
    transfers::send(&b, b"abc", 0, Wait::Forever)?;
    assert_eq!(transfers::receive(&alias, 1, 0, Wait::Forever)?, b"a");
    assert_eq!(transfers::receive_from(&alias, 1, 0, Wait::Forever)?.data, b"b");
    assert_eq!(transfers::receive_message(&alias, 1, 0, 0, Wait::Forever)?.data, b"c");
    assert_eq!(transfers::receive(&alias, 1, 0, Wait::Within(1_000_000)), again);
    assert!(descriptors::kind(&alias).is_ok());

    // Nothing else.
    let name = Address::Unix(UnixAddress::Unnamed);
    assert_eq!(syscalls::local_address(&alias), Err(bad.clone()));
    assert_eq!(syscalls::peer_address(&alias), Err(bad.clone()));
    assert_eq!(syscalls::bind(&alias, &name), Err(bad.clone()));
    assert_eq!(syscalls::listen(&alias, 1), Err(bad.clone()));
    assert_eq!(syscalls::shutdown(&alias, SHUT_RDWR), Err(bad.clone()));
    assert_eq!(syscalls::get_option(&alias, SOL_SOCKET, SO_TYPE), Err(bad.clone()));
    assert_eq!(descriptors::set_nonblocking(&alias, true), Err(bad.clone()));
    assert_eq!(descriptors::get_nonblocking(&alias), Err(bad.clone()));
    assert_eq!(descriptors::duplicate(&alias).map(drop), Err(bad.clone()));
    assert_eq!(descriptors::alias(&alias).map(drop), Err(bad.clone()));
    assert_eq!(connections::connect(&alias, &name, Wait::Forever), Err(bad.clone()));
    assert_eq!(connections::finish_connect(&alias, Wait::Forever), Err(bad.clone()));
    assert_eq!(connections::accept(&alias, Wait::Forever).map(drop), Err(bad.clone()));
    let rights = ControlOut::Rights(&[&alias]);
    let passed =
        transfers::send_message(&a, &[b"x"], std::slice::from_ref(&rights), 0, None, Wait::Forever);
    assert_eq!(passed, Err(bad.clone()));
    let entry = |d| PollEntry { descriptor: d, events: POLLIN as u16 };
    // man 2 poll: a number that is not open is reported without a wait.
    assert_eq!(polling::poll(&[entry(&a), entry(&alias)], Wait::Forever)?, [0, POLLNVAL as u16]);

    // The bit is the description's.
    descriptors::set_nonblocking(&a, true)?;
    assert_eq!(transfers::receive(&alias, 1, 0, Wait::Forever), again);
    descriptors::set_nonblocking(&a, false)?;

    // Revoked: these, and not the next. Closed, an alias closes nothing.
    let second = descriptors::alias(&a)?;
    descriptors::revoke_aliases(&a);
    for revoked in [&alias, &second] {
        assert_eq!(transfers::send(revoked, b"x", 0, Wait::Forever), Err(bad.clone()));
        assert_eq!(transfers::receive(revoked, 1, 0, Wait::Forever), Err(bad.clone()));
        assert_eq!(descriptors::kind(revoked), Err(bad.clone()));
    }
    drop(alias);
    assert_eq!(connections::close(second), Err(bad.clone()), "there was nothing to close");
    let third = descriptors::alias(&a)?;
    let copy = descriptors::duplicate(&a)?;
    let of_copy = descriptors::alias(&copy)?;
    assert_eq!(transfers::send(&third, b"x", 0, Wait::Forever)?, 1);
    assert_eq!(connections::close(descriptors::alias(&a)?), Err(bad.clone()));
    assert_eq!(transfers::send(&a, b"y", 0, Wait::Forever)?, 1);

    // The original's end is the end of its aliases, and the peer sees it.
    connections::close(a)?;
    assert_eq!(transfers::send(&third, b"x", 0, Wait::Forever), Err(bad.clone()));
    assert_eq!(transfers::send(&of_copy, b"z", 0, Wait::Forever)?, 1, "a duplicate is another");
    drop(copy);
    assert_eq!(transfers::send(&of_copy, b"x", 0, Wait::Forever), Err(bad.clone()));
    assert_eq!(transfers::receive(&b, 9, 0, Wait::Forever)?, b"xyz");
    assert_eq!(transfers::receive(&b, 9, 0, Wait::Forever)?, b"", "no alias keeps it open");

    // Python's close and detach.
    let (socket, peer) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let alias = socket.alias()?;
    assert_eq!(transfers::send(&alias, b"x", 0, Wait::Forever)?, 1);
    let fd = socket.detach();
    assert_eq!(transfers::send(&alias, b"x", 0, Wait::Forever), Err(bad.clone()));
    let socket = sandsock::Socket::with_fileno(fd, None, None, None)?;
    let alias = socket.alias()?;
    socket.close()?;
    assert_eq!(transfers::send(&alias, b"x", 0, Wait::Forever), Err(bad));
    assert_eq!(peer.recv(9, Flags::NONE)?, b"x");
    assert_eq!(peer.recv(9, Flags::NONE)?, b"");
    Ok(())
}
