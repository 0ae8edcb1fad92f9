//! Makes some of every kind of call for the observers: `observe_traffic_ok TCP UDP FORBIDDEN`. The
//! arguments are the ports of a stream's and of a datagram's peer on the loopback of each family,
//! and a port that is not granted. It prints each family's own ports, one line each.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{bind, local_address, socket};
use sandsock::raw::transfers::{BatchEntry, ControlOut, receive_batch, send_batch, send_message};
use sandsock::raw::types::{Address, ControlMessage, Inet6Address, InetAddress, Wait};
use sandsock::{Error, Socket, socketpair};
use sandsock_test_programs::{argument, fails_with, loopback, port, would_block};

fn native(family: i32, port: u16) -> Address {
    if family == AF_INET {
        Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
    } else {
        Address::Inet6(Inet6Address {
            address: (0, 0, 0, 0, 0, 0, 0, 1),
            port,
            flow_info: 0,
            scope_id: 0,
        })
    }
}

fn main() -> Result<(), Error> {
    let (tcp, udp, forbidden) = (argument::<u16>(0), argument::<u16>(1), argument::<u16>(2));
    for family in [AF_INET, AF_INET6] {
        let host = loopback(family);

        // A stream, to a peer that answers.
        let stream = Socket::new(family, SOCK_STREAM, 0)?;
        stream.connect((host, tcp))?;
        stream.sendall(b"connect-hello", 0)?;
        assert_eq!(stream.recv(7, MSG_PEEK)?, b"connect");
        assert_eq!(stream.recv(13, MSG_WAITALL)?, b"connect-reply");
        stream.shutdown(SHUT_WR)?;
        assert_eq!(stream.recv(100, 0)?, b"");
        stream.close()?;

        // A stream from a peer.
        let listener = Socket::new(family, SOCK_STREAM, 0)?;
        listener.bind((host, 0))?;
        listener.listen(5)?;
        println!("{}", port(&listener));
        let (accepted, _) = listener.accept()?;
        assert_eq!(accepted.recv(100, 0)?, b"accept-hello");
        let duplicate = accepted.dup()?;
        accepted.close()?;
        duplicate.sendmsg(&[IoSlice::new(b"accept-"), IoSlice::new(b"reply")], &[], 0, None)?;
        duplicate.close()?;

        // Datagrams, one by one; the peer gives each back.
        let datagrams = Socket::new(family, SOCK_DGRAM, 0)?;
        datagrams.bind((host, 0))?;
        datagrams.sendto(b"sendto-one", 0, (host, udp))?;
        assert_eq!(datagrams.recvfrom(100, MSG_PEEK)?.0, b"sendto-one");
        assert_eq!(datagrams.recvfrom(100, 0)?.0, b"sendto-one");
        datagrams.sendmsg(
            &[IoSlice::new(b"sendmsg-"), IoSlice::new(b"two")],
            &[],
            0,
            Some(&(host, udp)),
        )?;
        assert_eq!(datagrams.recvmsg(100, 0, 0)?.data, b"sendmsg-two");
        fails_with(datagrams.sendto(b"forbidden", 0, (host, forbidden)), "PermissionError", 13);
        datagrams.setblocking(false)?;
        would_block(datagrams.recv(100, 0));
        // A stranger's datagram is dropped. It has arrived when the test writes a line.
        println!("{}", port(&datagrams));
        std::io::stdin().read_line(&mut String::new()).expect("reads");
        would_block(datagrams.recv(100, 0));

        // Batches, and one that the kernel cuts.
        let d: Descriptor = socket(family, SOCK_DGRAM, 0).expect("a socket");
        bind(&d, &native(family, 0)).expect("binds");
        local_address(&d).expect("has an address");
        let to = native(family, udp);
        let entries =
            [7u32, 9].map(|length| BatchEntry { length, address: Some(&to), control: &[] });
        assert_eq!(send_batch(&d, b"batch-1batch-two", &entries, 0, Wait::Forever), Ok(2));
        let mut got = Vec::new();
        while got.len() < 16 {
            got.extend(receive_batch(&d, 8, 100, 0, 0, Wait::Forever).expect("receives").data);
        }
        assert_eq!(got, b"batch-1batch-two");
        let cut = ControlMessage {
            level: SOL_UDP,
            type_: UDP_SEGMENT,
            data: 5u16.to_ne_bytes().to_vec(),
        };
        assert_eq!(
            send_message(
                &d,
                &[b"gso-1gso-2gso-3"],
                &[ControlOut::Message(&cut)],
                0,
                Some(&to),
                Wait::Forever
            ),
            Ok(15)
        );
        let mut got = Vec::new();
        while got.len() < 15 {
            got.extend(receive_batch(&d, 8, 100, 0, 0, Wait::Forever).expect("receives").data);
        }
        assert_eq!(got, b"gso-1gso-2gso-3");
    }

    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    a.sendall(b"unix-hello", 0)?;
    assert_eq!(b.recv(100, 0)?, b"unix-hello");
    Ok(())
}
