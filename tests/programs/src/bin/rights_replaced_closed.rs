//! Waits in each way while the embedder takes the grants away and closes what they opened. Argument:
//! the port of a TCP server that says nothing.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{self, PollEntry, Trigger};
use sandsock::raw::types::{Address, Error, InetAddress, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, syscalls, transfers};
use sandsock_test_programs::argument;

const HOUR: Wait = Wait::Within(3_600_000_000_000);

fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

/// Checks that a call is denied because the policy was replaced.
#[track_caller]
fn closed<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) {
    let Err(Error::Denied(denial)) = &result else { panic!("{what}: {result:?}") };
    let reason = &denial.reason;
    let begins = "the policy was replaced, and this was closed: ";
    assert!(reason.starts_with(begins) && reason.contains("not granted"), "{what}: {reason}");
}

/// Tries again until the test has put the grants back.
fn once_granted<T>(what: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..1000 {
        match what() {
            Err(Error::Denied(_)) => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
    what()
}

fn connected(port: u16) -> Result<Descriptor, Error> {
    once_granted(|| {
        let socket = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
        connections::connect(&socket, &loopback(port), Wait::Forever)?;
        Ok(socket)
    })
}

fn bound(kind: i32) -> Result<Descriptor, Error> {
    once_granted(|| {
        let socket = syscalls::socket(AF_INET, kind, 0)?;
        syscalls::bind(&socket, &loopback(0))?;
        Ok(socket)
    })
}

/// The test takes the grants away when it reads this line, and gives them back at the next.
fn begins(what: &str) {
    println!("{what}");
}

fn main() -> Result<(), sandsock::Error> {
    let port: u16 = argument(0);
    for wait in [Wait::Forever, HOUR] {
        let socket = connected(port)?;
        begins("receive");
        closed("receive", transfers::receive(&socket, 9, 0, wait));
        // Every later call says the same, and a close works.
        closed("send", transfers::send(&socket, b"x", 0, Wait::None));
        closed("peer", syscalls::peer_address(&socket));
        closed("duplicate", descriptors::duplicate(&socket));
        println!("again");
        connections::close(socket)?;

        let socket = connected(port)?;
        let copy = descriptors::duplicate(&socket)?;
        begins("send");
        let full = loop {
            match transfers::send(&socket, &[7; 1 << 20], 0, wait) {
                Ok(_) => {}
                other => break other,
            }
        };
        closed("send", full);
        closed("the copy", transfers::receive(&copy, 9, 0, Wait::None));
        println!("again");

        let listener = bound(SOCK_STREAM)?;
        syscalls::listen(&listener, 5)?;
        begins("accept");
        closed("accept", connections::accept(&listener, wait));
        println!("again");

        let listener = bound(SOCK_STREAM)?;
        syscalls::listen(&listener, 5)?;
        let Some(own) = syscalls::local_address(&listener)? else { panic!() };
        let client = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
        connections::connect(&client, &own, Wait::Forever)?;
        let accepted = connections::accept(&listener, Wait::Forever)?.descriptor;
        begins("accepted");
        closed("accepted", transfers::receive(&accepted, 9, 0, wait));
        println!("again");

        let datagrams = bound(SOCK_DGRAM)?;
        begins("receive-from");
        closed("receive-from", transfers::receive_from(&datagrams, 9, 0, wait));
        println!("again");

        let associated = once_granted(|| {
            let socket = syscalls::socket(AF_INET, SOCK_DGRAM, 0)?;
            connections::connect(&socket, &loopback(port), Wait::None)?;
            Ok(socket)
        })?;
        begins("associated");
        closed("associated", transfers::receive_message(&associated, 9, 9, 0, wait));
        println!("again");

        let socket = connected(port)?;
        begins("poll");
        let entry = || PollEntry { descriptor: &socket, events: POLLIN as u16 };
        let ready = polling::poll(&[entry(), entry()], wait)?;
        assert!(ready.iter().all(|events| *events != 0), "{ready:?}");
        closed("after poll", transfers::receive(&socket, 9, 0, wait));
        println!("again");

        let socket = connected(port)?;
        let poller = polling::create_poller()?;
        poller.add(&socket, 7, POLLIN as u16, Trigger::Level)?;
        begins("poller");
        let ready = poller.wait(9, wait)?;
        assert!(matches!(ready.as_slice(), [event] if event.key == 7), "{ready:?}");
        closed("after poller", transfers::receive(&socket, 9, 0, wait));
        println!("again");
    }
    // What needs no grant stays.
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let named = once_granted(|| {
        let socket = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
        let name = format!("{}own", argument::<String>(1)).into_bytes();
        syscalls::bind(&socket, &Address::Unix(UnixAddress::Abstract(name)))?;
        Ok(socket)
    })?;
    begins("named");
    closed("named", transfers::receive(&named, 9, 0, Wait::Forever));
    transfers::send(&a, b"pair", 0, Wait::None)?;
    assert_eq!(transfers::receive(&b, 9, 0, Wait::None)?, b"pair");
    Ok(())
}
