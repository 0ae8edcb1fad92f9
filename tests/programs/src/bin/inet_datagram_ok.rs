//! Datagrams with a native peer: addresses, lengths, empty and cut datagrams, a connected socket.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};
use sandsock_test_programs::{argument, datagrams, fails_with, loopback, would_block};

fn main() -> Result<(), Error> {
    for (place, family) in [(0, AF_INET), (1, AF_INET6)] {
        // The peer sends each datagram back, and "short" as "a long answer".
        let peer = (loopback(family), argument::<u16>(place));
        let socket = Socket::new(family, SOCK_DGRAM, 0)?;
        assert_eq!(socket.sendto(b"hello", 0, peer)?, 5);
        let (data, address) = socket.recvfrom(100, 0)?;
        assert_eq!(
            (data.as_slice(), address.host().as_deref(), address.port()),
            (b"hello".as_slice(), Some(peer.0), Some(peer.1))
        );
        let shown = if family == AF_INET {
            format!("('127.0.0.1', {})", peer.1)
        } else {
            format!("('::1', {}, 0, 0)", peer.1)
        };
        assert_eq!(address.to_string(), shown);
        assert_eq!(
            socket.sendto(b"again", 0, &address)?,
            5,
            "an address that was received can be sent to"
        );
        assert_eq!(socket.recvfrom_into(&mut [0; 100], 0)?, (5, address.clone()));

        // An empty datagram is a datagram.
        assert_eq!(socket.sendto(b"", 0, peer)?, 0);
        assert_eq!(socket.recvfrom(100, 0)?, (Vec::new(), address.clone()));

        // Bytes that do not fit are lost. MSG_TRUNC reports it.
        socket.sendto(b"short", 0, peer)?;
        assert_eq!(socket.recv(6, 0)?, b"a long");
        socket.sendto(b"short", 0, peer)?;
        let message = socket.recvmsg(6, 0, 0)?;
        assert_eq!(
            (message.data.as_slice(), message.flags, message.address),
            (b"a long".as_slice(), Flags::TRUNC, address.clone())
        );
        socket.sendto(b"short", 0, peer)?;
        let mut six = [0; 6];
        assert_eq!(socket.recv_into(&mut six, MSG_TRUNC)?, 13, "its own length");
        assert_eq!(&six, b"a long");
        socket.sendto(b"short", 0, peer)?;
        assert_eq!(socket.recvfrom_into(&mut six, MSG_TRUNC | MSG_PEEK)?, (13, address.clone()));
        assert_eq!(socket.recv(6, MSG_TRUNC)?, b"a long");

        // 0 bytes: recv makes no call, and recvfrom takes the datagram.
        socket.sendto(b"first", 0, peer)?;
        socket.recv(1, MSG_PEEK)?;
        assert_eq!(socket.recv(0, 0)?, b"");
        assert_eq!(socket.recv_into(&mut [], 0)?, 0);
        assert_eq!(socket.recvfrom(0, 0)?, (Vec::new(), address.clone()));
        socket.setblocking(false)?;
        would_block(socket.recv(100, 0));
        socket.setblocking(true)?;

        // The largest, and one byte more.
        let most = if family == AF_INET { 65_507 } else { 65_527 };
        let big = sandsock_test_programs::pattern(most);
        assert_eq!(socket.sendto(&big, 0, peer)?, most);
        assert!(socket.recv(1 << 20, 0)? == big);
        fails_with(socket.sendto(&vec![0; most + 1], 0, peer), "OSError", 90);

        // Connected.
        fails_with(socket.send(b"x", 0), "OSError", 89);
        fails_with(socket.getpeername(), "OSError", 107);
        socket.connect(peer)?;
        assert_eq!(socket.getpeername()?, address);
        socket.settimeout(Some(Duration::from_secs(20)))?;
        assert_eq!(socket.send(b"direct", 0)?, 6);
        assert_eq!(socket.recv(100, 0)?, b"direct");
        assert_eq!(
            socket.sendmsg(&[IoSlice::new(b"in "), IoSlice::new(b"parts")], &[], 0, None)?,
            8
        );
        assert_eq!(socket.recvfrom(100, 0)?, (b"in parts".to_vec(), address.clone()));
        // Others are not heard any more.
        let other = datagrams(family)?;
        other.sendto(b"stranger", 0, socket.getsockname()?)?;
        socket.send(b"friend", 0)?;
        assert_eq!(socket.recv(100, 0)?, b"friend");
        // An address without a family ends the association.
        socket.connect(Address::Other(sandsock::raw::types::Address::Unspec))?;
        fails_with(socket.getpeername(), "OSError", 107);
    }
    Ok(())
}
