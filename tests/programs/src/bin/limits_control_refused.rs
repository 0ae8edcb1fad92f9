//! Sends more control data and more buffers than it may. Argument: the limit in bytes.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::errno::{EMSGSIZE, ENOBUFS};
use sandsock::{Ancillary, Socket, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, refused};

fn main() -> sandsock::Result<()> {
    let limit: usize = args()[0].parse().expect("a number");
    let port: u16 = args()[1].parse().expect("a port");
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let ttl = Ancillary { level: IPPROTO_IP, kind: IP_TTL, data: vec![9, 0, 0, 0] };
    let send = |control: &[Ancillary]| {
        socket.sendmsg(&[IoSlice::new(b"x")], control, 0, Some(&("127.0.0.1", port)))
    };
    send(std::slice::from_ref(&ttl))?;
    // Each takes 24 bytes of control data.
    refused("many messages", send(&vec![ttl.clone(); limit / 24 + 1]), ENOBUFS);
    let long = Ancillary { level: IPPROTO_IP, kind: IP_TTL, data: vec![0; limit] };
    refused("a long message", send(std::slice::from_ref(&long)), ENOBUFS);
    refused("a very long message", send(&[Ancillary { data: vec![0; 4 << 20], ..long }]), ENOBUFS);
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    // A thousand and twenty-four buffers are the most; empty ones count.
    let buffers: Vec<_> = (0..1025).map(|_| IoSlice::new(b"")).collect();
    refused("too many buffers", a.sendmsg(&buffers, &[], 0, None), EMSGSIZE);
    assert_eq!(a.sendmsg(&vec![IoSlice::new(b"x"); 1024], &[], 0, None)?, 1024);
    assert_eq!(b.recv(2000, 0)?.len(), 1024);
    // Send the most descriptors that one message can hold, up to the limit of descriptors in
    // flight.
    let one_more = vec![a.fileno(); 254];
    let error =
        a.send_fds(&[IoSlice::new(b"x")], &one_more).expect_err("more than the kernel takes");
    assert!(matches!(error.errno(), Some(22 | 109 | 105)), "{error:?}");
    let mut parked = 0;
    let error = loop {
        match a.send_fds(&[IoSlice::new(b"x")], &[a.fileno()]) {
            Ok(_) => parked += 1,
            Err(error) => break error,
        }
        assert!(parked <= 64, "parked without end");
    };
    assert!(error.errno() == Some(sandsock::errno::ETOOMANYREFS) || limit < 64, "{error:?}");
    assert!(parked == 64 || limit < 64, "{parked}");
    Ok(())
}
