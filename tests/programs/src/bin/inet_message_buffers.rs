//! Several buffers as one, up to the most that one call takes. A receive fills them in turn.

use std::io::{IoSlice, IoSliceMut};

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, ToAddress};
use sandsock_test_programs::{connected, datagrams, fails, fails_with, port, receive_all};

fn main() -> Result<(), Error> {
    let too_many = "[Errno 90] Message too long";
    let (a, b) = connected(AF_INET)?;
    let parts =
        [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two"), IoSlice::new(b"three")];
    assert_eq!(a.sendmsg(&parts, &[], 0, None)?, 11);
    b.recv(11, MSG_WAITALL | MSG_PEEK)?;
    let (mut first, mut second, mut third) = ([b'.'; 2], [b'.'; 10], [b'.'; 9]);
    let mut buffers = [
        IoSliceMut::new(&mut first),
        IoSliceMut::new(&mut second[2..7]),
        IoSliceMut::new(&mut third),
    ];
    let got = b.recvmsg_into(&mut buffers, 0, 0)?;
    assert_eq!(
        (got.data, got.flags, got.address, got.ancillary.len()),
        (11, Flags::NONE, Address::None, 0)
    );
    assert_eq!((&first, &second, &third), (b"on", b"..etwot...", b"hree....."));

    let many: Vec<_> = (0..1024).map(|_| IoSlice::new(b"xy")).collect();
    assert_eq!(a.sendmsg(&many, &[], 0, None)?, 2048);
    assert_eq!(b.recvmsg(5000, 0, MSG_PEEK)?.address, Address::None);
    assert_eq!(receive_all(&b, 2048)?, b"xy".repeat(1024));
    let more: Vec<_> = (0..1025).map(|_| IoSlice::new(b"xy")).collect();
    fails(a.sendmsg(&more, &[], 0, None), "OSError", too_many);
    a.sendall(&[7; 1024], 0)?;
    let mut bytes = [0u8; 1025];
    let mut slices: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    fails(b.recvmsg_into(&mut slices, 0, 0), "OSError", too_many);
    b.recv(1024, MSG_WAITALL | MSG_PEEK)?;
    assert_eq!(b.recvmsg_into(&mut slices[..1024], 0, 0)?.data, 1024);
    drop(slices);
    assert_eq!(bytes[..1024], [7; 1024]);
    assert_eq!(bytes[1024], 0);
    assert_eq!(a.sendmsg(&[], &[], 0, None)?, 0);

    // Datagrams: an address goes with them, and comes.
    let (one, two) = (datagrams(AF_INET6)?, datagrams(AF_INET6)?);
    let to = ("::1", port(&two));
    let to: Option<&dyn ToAddress> = Some(&to);
    assert_eq!(one.sendmsg(&parts, &[], 0, to)?, 11);
    let (mut first, mut second) = ([0; 3], [0; 4]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let got = two.recvmsg_into(&mut buffers, 0, 0)?;
    assert_eq!((got.data, got.flags, got.address), (7, Flags::TRUNC, one.getsockname()?));
    assert_eq!((&first, &second), (b"one", b"twot"));
    one.sendmsg(&parts, &[], 0, to)?;
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(two.recvmsg_into(&mut buffers, 0, MSG_TRUNC)?.data, 11);
    assert_eq!(one.sendmsg(&[], &[], 0, to)?, 0);
    assert_eq!(two.recvfrom(10, 0)?, (Vec::new(), one.getsockname()?));
    fails(one.sendmsg(&more, &[], 0, to), "OSError", too_many);
    fails_with(one.sendmsg(&parts, &[], 0, None), "OSError", 89);
    let wrong = ("::1", 70_000);
    fails(
        one.sendmsg(&parts, &[], 0, Some(&wrong)),
        "OverflowError",
        "sendmsg(): port must be 0-65535.",
    );
    fails(one.recvmsg(1, 1 << 31, 0), "ValueError", "invalid ancillary data buffer length");
    Ok(())
}
