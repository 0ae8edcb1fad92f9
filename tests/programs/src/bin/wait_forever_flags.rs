//! Calls that do not wait under `forever`, because of flags or the non-blocking bit. The socket's
//! own timeouts end such a wait.

use sandsock::constants::*;
use sandsock::raw::types::{
    Address, Error as RawError, InetAddress, OptionValue, UnixAddress, Wait,
};
use sandsock::raw::{clock, connections, descriptors, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let tag = std::env::args().nth(1).expect("a tag");
    let again = RawError::Os(errno::EAGAIN);
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    assert_eq!(transfers::receive(&a, 9, MSG_DONTWAIT, Wait::Forever), Err(again.clone()));
    assert_eq!(
        transfers::receive(&a, 9, MSG_DONTWAIT | MSG_WAITALL, Wait::Forever),
        Err(again.clone())
    );
    assert_eq!(
        transfers::receive_from(&a, 9, MSG_DONTWAIT, Wait::Forever).map(drop),
        Err(again.clone())
    );
    assert_eq!(
        transfers::receive_message(&a, 9, 99, MSG_DONTWAIT, Wait::Forever).map(drop),
        Err(again.clone())
    );
    // The flag does not end a timed wait: Python waits before the call.
    let begin = clock::now();
    assert_eq!(
        transfers::receive(&a, 9, MSG_DONTWAIT, Wait::Within(30_000_000)),
        Err(again.clone())
    );
    assert!(clock::now() - begin >= 30_000_000);

    // The error queue is never waited for.
    let udp = syscalls::socket(AF_INET, SOCK_DGRAM, 0)?;
    syscalls::bind(&udp, &Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 }))?;
    assert_eq!(transfers::receive(&udp, 9, MSG_ERRQUEUE, Wait::Forever), Err(again.clone()));
    assert_eq!(
        transfers::receive_message(&udp, 9, 99, MSG_ERRQUEUE, Wait::Forever).map(drop),
        Err(again.clone())
    );

    // The bit, which duplicates share.
    let copy = descriptors::duplicate(&a)?;
    descriptors::set_nonblocking(&copy, true)?;
    assert!(descriptors::get_nonblocking(&a)?);
    assert!(!descriptors::get_nonblocking(&b)?, "the other end is another description");
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Forever), Err(again.clone()));
    let begin = clock::now();
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Within(30_000_000)), Err(again.clone()));
    assert!(clock::now() - begin >= 30_000_000, "a timed wait does not ask the bit");
    let name = Address::Unix(UnixAddress::Abstract(tag.into_bytes()));
    let listener = syscalls::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    assert!(descriptors::get_nonblocking(&listener)?);
    syscalls::bind(&listener, &name)?;
    syscalls::listen(&listener, 0)?;
    assert_eq!(connections::accept(&listener, Wait::Forever).map(drop), Err(again.clone()));
    let client = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(&client, &name, Wait::Forever)?;
    let accepted = connections::accept(&listener, Wait::Forever)?;
    assert!(!descriptors::get_nonblocking(&accepted.descriptor)?, "it is not inherited");
    // A stream's send takes what there is room for.
    let sent = transfers::send(&a, &[7; 1 << 20], 0, Wait::Forever)?;
    assert!(0 < sent && sent < 1 << 20);
    assert_eq!(transfers::send(&a, b"x", 0, Wait::Forever), Err(again.clone()));
    descriptors::set_nonblocking(&a, false)?;

    // SO_RCVTIMEO and SO_SNDTIMEO.
    let time = |milliseconds: i64| {
        OptionValue::Bytes(
            [0, milliseconds * 1000]
                .iter()
                .flat_map(|part| part.to_ne_bytes())
                .collect::<Vec<u8>>()
                .leak(),
        )
    };
    syscalls::set_option(&a, SOL_SOCKET, SO_RCVTIMEO, time(40))?;
    syscalls::set_option(&a, SOL_SOCKET, SO_SNDTIMEO, time(80))?;
    let begin = clock::now();
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Forever), Err(again.clone()));
    assert!((40_000_000..).contains(&(clock::now() - begin)));
    let begin = clock::now();
    assert_eq!(transfers::send(&a, b"x", 0, Wait::Forever), Err(again.clone()));
    assert!((80_000_000..).contains(&(clock::now() - begin)));
    // The call returns the bytes that it has, although the time is over.
    transfers::send(&b, b"abc", 0, Wait::None)?;
    assert_eq!(transfers::receive(&a, 9, MSG_WAITALL, Wait::Forever)?, b"abc");
    let begin = clock::now();
    syscalls::set_option(&listener, SOL_SOCKET, SO_RCVTIMEO, time(40))?;
    descriptors::set_nonblocking(&listener, false)?;
    assert_eq!(connections::accept(&listener, Wait::Forever).map(drop), Err(again));
    assert!((40_000_000..).contains(&(clock::now() - begin)));
    Ok(())
}
