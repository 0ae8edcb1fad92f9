//! Batches of datagrams: `batch_datagrams_ok PORT FORBIDDEN`. PORT is a granted peer's, FORBIDDEN
//! one that is not granted.

use sandsock::constants::*;
use sandsock::errno;
use sandsock::raw::connections;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{bind, local_address, socket, socketpair};
use sandsock::raw::transfers::{BatchEntry, receive_batch, send_batch};
use sandsock::raw::types::{Address, Error, InetAddress, Wait};

fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

fn udp() -> (Descriptor, u16) {
    let d = socket(AF_INET, SOCK_DGRAM, 0).expect("a socket");
    bind(&d, &loopback(0)).expect("binds");
    let Ok(Some(Address::Inet(address))) = local_address(&d) else { panic!("an address") };
    (d, address.port)
}

fn entries<'a>(lengths: &[u32], to: &'a Address) -> Vec<BatchEntry<'a>> {
    lengths.iter().map(|&length| BatchEntry { length, address: Some(to), control: &[] }).collect()
}

fn main() {
    let ports: Vec<u16> =
        std::env::args().skip(1).map(|port| port.parse().expect("a port")).collect();
    let [peer, forbidden] = ports[..] else { panic!("PORT FORBIDDEN") };
    let (a, a_port) = udp();
    let (to_peer, to_forbidden, to_self) = (loopback(peer), loopback(forbidden), loopback(a_port));

    // Out: to the peer, which sends each back. In: as many, with their bytes and their sender.
    let lengths: Vec<u32> = (1..=50).collect();
    let data: Vec<u8> = lengths.iter().flat_map(|&n| vec![n as u8; n as usize]).collect();
    assert_eq!(send_batch(&a, &data, &entries(&lengths, &to_peer), 0, Wait::Forever), Ok(50));
    let mut got = Vec::new();
    while got.len() < 50 {
        let batch = receive_batch(&a, 64, 100, 0, 0, Wait::Forever).expect("receives");
        let mut rest = &batch.data[..];
        for message in &batch.messages {
            let (bytes, after) = rest.split_at(message.length as usize);
            assert_eq!(message.address, Some(loopback(peer)));
            assert!(bytes.iter().all(|&byte| usize::from(byte) == bytes.len()));
            got.push(message.length);
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(got, lengths);

    // Cut messages say so; an empty one is a message.
    assert_eq!(send_batch(&a, b"abcdef", &entries(&[6, 0], &to_peer), 0, Wait::Forever), Ok(2));
    let mut messages = Vec::new();
    while messages.len() < 2 {
        messages.extend(receive_batch(&a, 8, 4, 0, 0, Wait::Forever).expect("receives").messages);
    }
    assert_eq!((messages[0].length, messages[0].flags & MSG_TRUNC), (4, MSG_TRUNC));
    assert_eq!((messages[1].length, messages[1].flags & MSG_TRUNC), (0, 0));

    // A message without a grant ends the batch there. As the first message it is denied.
    let mut mixed = entries(&[1, 1, 1], &to_peer);
    mixed[1].address = Some(&to_forbidden);
    assert_eq!(send_batch(&a, b"xyz", &mixed, 0, Wait::Forever), Ok(1));
    assert!(matches!(send_batch(&a, b"yz", &mixed[1..], 0, Wait::Forever), Err(Error::Denied(_))));
    assert_eq!(receive_batch(&a, 8, 4, 0, 0, Wait::Forever).expect("receives").data, b"x");

    // A sender that is not granted is not seen: the guest's own second socket is none.
    let (b, _) = udp();
    assert!(matches!(
        send_batch(&b, b"!", &entries(&[1], &to_self), 0, Wait::None),
        Err(Error::Denied(_))
    ));
    println!("{a_port}");
    assert_eq!(
        receive_batch(&a, 8, 4, 0, 0, Wait::Within(300_000_000)).err(),
        Some(Error::Os(errno::EAGAIN))
    );

    // Wrong use.
    assert_eq!(
        send_batch(&a, b"abc", &entries(&[1, 1], &to_peer), 0, Wait::None),
        Err(Error::Os(errno::EINVAL))
    );
    assert_eq!(send_batch(&a, b"", &[], 0, Wait::None), Ok(0));
    assert_eq!(
        receive_batch(&a, 8, 4, 0, MSG_PEEK, Wait::None).err(),
        Some(Error::Os(errno::EINVAL))
    );
    let (s, t) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
    let one = [BatchEntry { length: 1, address: None, control: &[] }];
    assert_eq!(send_batch(&s, b"a", &one, 0, Wait::None), Err(Error::Os(errno::EOPNOTSUPP)));
    assert_eq!(receive_batch(&t, 1, 1, 0, 0, Wait::None).err(), Some(Error::Os(errno::EOPNOTSUPP)));

    // A huge request is cut to what the host gives, and no message is lost by it.
    let (s, t) = socketpair(AF_UNIX, SOCK_SEQPACKET, 0).expect("a pair");
    let one = |length| BatchEntry { length, address: None, control: &[] };
    assert_eq!(send_batch(&s, b"abc", &[one(1), one(2)], 0, Wait::Forever), Ok(2));
    let batch =
        receive_batch(&t, u32::MAX, u32::MAX, u32::MAX, 0, Wait::Forever).expect("receives");
    let mut data = batch.data;
    if batch.messages.len() == 1 {
        data.extend(receive_batch(&t, 1, 10, 0, 0, Wait::Forever).expect("receives").data);
    }
    assert_eq!(data, b"abc");
    connections::close(s).expect("closes");
}
