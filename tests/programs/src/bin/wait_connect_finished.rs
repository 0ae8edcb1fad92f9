//! An interrupt or a timeout ends the wait for a slow connection. A later call finishes it.

use sandsock::constants::*;
use sandsock::raw::types::{Address, Error as RawError, InetAddress, OptionValue, Wait};
use sandsock::raw::{connections, descriptors, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let port = std::env::args().nth(1).expect("a port").parse().expect("a number");
    let peer = Address::Inet(InetAddress { address: (127, 0, 0, 1), port });
    let new = || syscalls::socket(AF_INET, SOCK_STREAM, 0);
    let os = |errno| Err(RawError::Os(errno));

    // The bit makes it EINPROGRESS; SO_SNDTIMEO ends it so as well.
    let never = new()?;
    descriptors::set_nonblocking(&never, true)?;
    assert_eq!(connections::connect(&never, &peer, Wait::Forever), os(errno::EINPROGRESS));
    assert_eq!(connections::connect(&never, &peer, Wait::Forever), os(errno::EALREADY));
    assert_eq!(connections::finish_connect(&never, Wait::None), os(errno::EAGAIN));
    let timed = new()?;
    let time: Vec<u8> = [0i64, 30_000].iter().flat_map(|part| part.to_ne_bytes()).collect();
    syscalls::set_option(&timed, SOL_SOCKET, SO_SNDTIMEO, OptionValue::Bytes(&time))?;
    assert_eq!(connections::connect(&timed, &peer, Wait::Forever), os(errno::EINPROGRESS));
    drop((never, timed));

    let d = new()?;
    assert_eq!(connections::connect(&d, &peer, Wait::Within(30_000_000)), os(errno::EAGAIN));
    println!("connecting");
    assert_eq!(connections::finish_connect(&d, Wait::Forever), os(errno::EINTR));
    assert_eq!(syscalls::peer_address(&d).map(drop), os(errno::ENOTCONN));
    println!("finishing");
    connections::finish_connect(&d, Wait::Forever)?;
    assert_eq!(syscalls::peer_address(&d)?, Some(peer));
    assert_eq!(transfers::receive(&d, 5, MSG_WAITALL, Wait::Forever)?, b"hello");

    // A connection that fails reports it once, under every wait.
    let closed: u16 = std::env::args().nth(2).expect("a closed port").parse().expect("a number");
    let nobody = Address::Inet(InetAddress { address: (127, 0, 0, 1), port: closed });
    for wait in [Wait::Forever, Wait::Within(10_000_000_000)] {
        let d = new()?;
        assert_eq!(connections::connect(&d, &nobody, wait), os(errno::ECONNREFUSED));
        let d = new()?;
        match connections::connect(&d, &nobody, Wait::None) {
            Err(RawError::Os(errno::EINPROGRESS)) => {
                assert_eq!(connections::finish_connect(&d, wait), os(errno::ECONNREFUSED));
            }
            result => assert_eq!(result, os(errno::ECONNREFUSED)),
        }
    }
    Ok(())
}
