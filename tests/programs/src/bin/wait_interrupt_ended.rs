//! An interrupt ends each kind of wait, and the descriptor still works.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{clock, connections, interrupts, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let tag = std::env::args().nth(1).expect("a tag");
    let interrupted = |what: &str, call: &dyn Fn(Wait) -> Result<(), RawError>| {
        let hour = 3_600_000_000_000;
        for wait in [Wait::Forever, Wait::Within(hour), Wait::Until(clock::now() + hour)] {
            println!("{what}");
            assert_eq!(call(wait), Err(RawError::Os(errno::EINTR)), "{what}");
            assert!(!interrupts::take(), "{what}: it was taken");
        }
    };
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let (a, b) = syscalls::socketpair(AF_UNIX, kind, 0)?;
        interrupted("receive", &|wait| transfers::receive(&a, 9, 0, wait).map(drop));
        interrupted("receive-from", &|wait| transfers::receive_from(&a, 9, 0, wait).map(drop));
        interrupted("receive-message", &|wait| {
            transfers::receive_message(&a, 9, 9, 0, wait).map(drop)
        });
        while transfers::send(&b, &[7; 1000], 0, Wait::None).is_ok() {}
        interrupted("send", &|wait| transfers::send(&b, &[7; 1000], 0, wait).map(drop));
        interrupted("send-message", &|wait| {
            transfers::send_message(&b, &[&[7; 1000]], &[], 0, None, wait).map(drop)
        });
        assert_eq!(transfers::receive(&a, 1000, 0, Wait::Forever)?.len(), 1000);
    }
    let name =
        |suffix: &str| Address::Unix(UnixAddress::Abstract(format!("{tag}{suffix}").into_bytes()));
    let listener = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    syscalls::bind(&listener, &name("a"))?;
    syscalls::listen(&listener, 0)?;
    interrupted("accept", &|wait| connections::accept(&listener, wait).map(drop));
    let entry = || PollEntry { descriptor: &listener, events: POLLIN as u16 };
    interrupted("poll", &|wait| polling::poll(&[entry(), entry()], wait).map(drop));
    interrupted("sleep", &|wait| polling::poll(&[], wait).map(drop));

    // The two waits without readiness.
    let first = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(&first, &name("a"), Wait::None)?;
    let second = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    println!("connect");
    assert_eq!(
        connections::connect(&second, &name("a"), Wait::Forever),
        Err(RawError::Os(errno::EINTR))
    );
    connections::accept(&listener, Wait::None)?;
    connections::connect(&second, &name("a"), Wait::Forever)?;
    let receiver = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    syscalls::bind(&receiver, &name("d"))?;
    while transfers::send_to(&datagram_socket()?, b"x", 0, &name("d"), Wait::None).is_ok() {}
    let sender = datagram_socket()?;
    interrupted("send-to", &|wait| {
        transfers::send_to(&sender, b"x", 0, &name("d"), wait).map(drop)
    });

    // The call first returns what was moved before the interrupt.
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    println!("send of much");
    let sent = transfers::send(&a, &[7; 1 << 20], 0, Wait::Forever)?;
    assert!(0 < sent && sent < 1 << 20, "{sent}");
    transfers::send(&a, b"x", 0, Wait::None).expect_err("there is no room");
    transfers::send(&b, b"abc", 0, Wait::None)?;
    println!("gathering receive");
    assert_eq!(transfers::receive(&a, 9, MSG_WAITALL, Wait::Forever)?, b"abc");
    Ok(())
}

fn datagram_socket() -> Result<sandsock::raw::descriptors::Descriptor, Error> {
    Ok(syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?)
}
