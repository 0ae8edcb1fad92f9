//! UDP-Lite: datagrams whose checksum covers only a part. No verb of this version grants it.

use sandsock::constants::*;
use sandsock::{Result, Socket};
use sandsock_test_programs::loopback;

fn main() -> Result<()> {
    for family in [AF_INET, AF_INET6] {
        let one = match Socket::new(family, SOCK_DGRAM, IPPROTO_UDPLITE) {
            Ok(one) => one,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        let two = Socket::new(family, SOCK_DGRAM, IPPROTO_UDPLITE)?;
        assert_eq!((one.kind().0, one.proto()), (SOCK_DGRAM, 136));
        two.bind((loopback(family), 0))?;
        one.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 8)?;
        two.setsockopt(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, 8)?;
        assert_eq!(one.getsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV)?, 8);
        one.sendto(b"partly covered", 0, two.getsockname()?)?;
        let (data, from) = two.recvfrom(100, 0)?;
        assert_eq!(data, b"partly covered");
        one.connect(two.getsockname()?)?;
        two.sendto(b"answer", 0, from)?;
        assert_eq!(one.recv(100, 0)?, b"answer");
        println!("exchanged");
    }
    Ok(())
}
