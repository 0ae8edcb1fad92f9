//! CAN_RAW frames between sockets of one interface: identifiers, remote frames, loopback, own
//! frames, addresses.

use sandsock::constants::*;
use sandsock::raw::types::CanDetail;
use sandsock::{Address, Error, Flags, Socket, if_indextoname};
use sandsock_test_programs::argument;
use sandsock_test_programs::can::{OWN, frame, interface, raw, silent};

fn main() -> Result<(), Error> {
    let (first, second): (u32, u32) = (argument(0), argument(1));
    let (a, b, elsewhere) = (raw(first)?, raw(first)?, raw(second)?);
    assert_eq!(a.getsockname()?, interface(first));

    for sent in [
        frame(0x123, b"\xde\xad\xbe\xef"),
        frame(0x1234_5678 | CAN_EFF_FLAG, b"12345678"),
        frame(0x7ff, b""),
        frame(0x100 | CAN_RTR_FLAG, b""),
    ] {
        assert_eq!(a.send(&sent, 0)?, 16);
        let (data, from) = b.recvfrom(100, Flags::NONE)?;
        assert_eq!((data, from), (sent, interface(first)));
    }
    silent(&a);
    silent(&elsewhere);

    // Send to an interface, from a socket that is not bound to one.
    let unbound = Socket::new(AF_CAN, SOCK_RAW, CAN_RAW)?;
    unbound.sendto(&frame(0x321, b"to"), 0, interface(second))?;
    assert_eq!(elsewhere.recv(100, 0)?, frame(0x321, b"to"));

    // Every interface, and who it was that brought the frame.
    let all = raw(0)?;
    for index in [first, second] {
        unbound.sendto(&frame(index, b"all"), 0, interface(index))?;
        let (data, from) = all.recvfrom(100, Flags::NONE)?;
        assert_eq!((data, from), (frame(index, b"all"), interface(index)));
    }
    assert_eq!(b.recv(100, 0)?, frame(first, b"all"));

    // One's own frames, marked as such; then none for the others.
    assert_eq!(a.getsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS)?, 0);
    a.setsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, 1)?;
    a.recv(100, 0)?;
    a.send(&frame(1, b"own"), 0)?;
    let own = a.recvmsg(100, 0, Flags::NONE)?;
    assert_eq!(own.data, frame(1, b"own"));
    assert!(own.flags.contains(OWN), "{:?}", own.flags);
    let other = b.recvmsg(100, 0, Flags::NONE)?;
    assert!(!other.flags.contains(OWN), "{:?}", other.flags);
    let name = if_indextoname(first)?;
    assert_eq!(other.address, Address::Can(name.clone(), CanDetail::Plain));
    assert_eq!(other.address.to_string(), format!("('{name}',)"));

    // Python's tuples, and what it says of others.
    let by_name = Socket::new(AF_CAN, SOCK_RAW, CAN_RAW)?;
    let refused = |error: Result<(), Error>| error.expect_err("it is no address").to_string();
    assert_eq!(
        refused(by_name.bind((&name, 1, 2))),
        "AF_CAN address must be a tuple (interface, )"
    );
    assert_eq!(refused(by_name.bind(("vcan-with-a-long-name",))), "AF_CAN interface name too long");
    assert_eq!(refused(by_name.bind(&*name)), "bind(): AF_CAN address must be tuple, not str");
    by_name.bind((&name,))?;
    assert_eq!(by_name.getsockname()?, other.address);
    drop(by_name);
    a.setsockopt(SOL_CAN_RAW, CAN_RAW_LOOPBACK, 0)?;
    a.send(&frame(2, b"quiet"), 0)?;
    silent(&b);

    // Bytes that are not a frame are an error.
    sandsock_test_programs::fails_with(a.send(b"short", 0), "OSError", sandsock::errno::EINVAL);
    Ok(())
}
