//! Nothing waits under `none`.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::types::{Address, Error as RawError, InetAddress, Wait};
use sandsock::raw::{connections, descriptors, interrupts, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let port = std::env::args().nth(1).expect("a port").parse().expect("a number");
    let again = RawError::Os(errno::EAGAIN);
    for bit in [false, true] {
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            let (a, b) = syscalls::socketpair(AF_UNIX, kind, 0)?;
            descriptors::set_nonblocking(&a, bit)?;
            assert_eq!(transfers::receive(&a, 9, 0, Wait::None), Err(again.clone()));
            assert_eq!(
                transfers::receive(&a, 1 << 20, MSG_WAITALL, Wait::None),
                Err(again.clone())
            );
            assert_eq!(transfers::receive_from(&a, 9, 0, Wait::None).map(drop), Err(again.clone()));
            assert_eq!(
                transfers::receive_message(&a, 9, 99, 0, Wait::None).map(drop),
                Err(again.clone())
            );
            let ready = |d| {
                polling::poll(
                    &[PollEntry { descriptor: d, events: (POLLIN | POLLOUT) as u16 }],
                    Wait::None,
                )
            };
            assert_eq!(ready(&a), Ok(vec![POLLOUT as u16]));
            let full = loop {
                match transfers::send(&a, &[7; 10_000], 0, Wait::None) {
                    Ok(sent) => assert!(sent > 0),
                    Err(error) => break error,
                }
            };
            assert_eq!(full, again);
            assert_eq!(
                transfers::send_message(&a, &[&[7; 10_000]], &[], 0, None, Wait::None),
                Err(again.clone())
            );
            assert_eq!(ready(&a), Ok(vec![0]));
            assert_eq!(ready(&b), Ok(vec![(POLLIN | POLLOUT) as u16]));
        }
        let listener = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
        descriptors::set_nonblocking(&listener, bit)?;
        syscalls::bind(
            &listener,
            &Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 }),
        )?;
        syscalls::listen(&listener, 5)?;
        assert_eq!(connections::accept(&listener, Wait::None).map(drop), Err(again.clone()));
        let client = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
        let peer = Address::Inet(InetAddress { address: (127, 0, 0, 1), port });
        assert_eq!(
            connections::connect(&client, &peer, Wait::None),
            Err(RawError::Os(errno::EINPROGRESS))
        );
        // The connect goes on without the guest, and takes no time here.
        assert_eq!(connections::finish_connect(&client, Wait::Within(10_000_000_000)), Ok(()));
        assert_eq!(connections::finish_connect(&client, Wait::None), Ok(()));
        // Linux reports the success of a connect that was under way once more.
        assert_eq!(connections::connect(&client, &peer, Wait::None), Ok(()));
        assert_eq!(
            connections::connect(&client, &peer, Wait::None),
            Err(RawError::Os(errno::EISCONN))
        );
    }
    // An interrupt that finds no wait stays for the next.
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    println!("interrupt me");
    let go = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    let peer = Address::Inet(InetAddress { address: (127, 0, 0, 1), port });
    let _ = connections::connect(&go, &peer, Wait::None);
    while transfers::receive(&go, 1, 0, Wait::None).is_err() {}
    assert_eq!(transfers::receive(&a, 9, 0, Wait::None), Err(again.clone()));
    assert_eq!(
        polling::poll(&[PollEntry { descriptor: &a, events: POLLIN as u16 }], Wait::None),
        Ok(vec![0])
    );
    transfers::send(&b, b"x", 0, Wait::Forever)?;
    // An interrupt does not end a call that need not wait.
    assert_eq!(
        polling::poll(&[PollEntry { descriptor: &a, events: POLLIN as u16 }], Wait::Forever),
        Ok(vec![POLLIN as u16])
    );
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Forever), Ok(b"x".to_vec()));
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Forever), Err(RawError::Os(errno::EINTR)));
    assert!(!interrupts::take(), "it was one");
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Within(1_000_000)), Err(again));
    Ok(())
}
