//! Goes on with what is open while the embedder takes the grants away. Arguments: the port of a TCP
//! server, of a UDP socket, and a prefix of abstract names.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::types::{Address, Error, InetAddress, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock_test_programs::argument;

fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

/// Checks that a call lacks a grant.
#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, Error>, grant: &str) {
    let Err(Error::Denied(denial)) = &result else { panic!("{grant}: {result:?}") };
    assert_eq!(denial.grant.as_deref(), Some(grant), "{}", denial.reason);
}

fn main() -> Result<(), sandsock::Error> {
    let (port, datagrams, tag): (u16, u16, String) = (argument(0), argument(1), argument(2));
    let name = Address::Unix(UnixAddress::Abstract(format!("{tag}full").into_bytes()));
    let stream = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    connections::connect(&stream, &loopback(port), Wait::Forever)?;
    let listener = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    syscalls::bind(&listener, &loopback(0))?;
    syscalls::listen(&listener, 5)?;
    let udp = syscalls::socket(AF_INET, SOCK_DGRAM, 0)?;
    syscalls::bind(&udp, &loopback(0))?;
    transfers::send_to(&udp, b"before", 0, &loopback(datagrams), Wait::None)?;
    let (answer, _) = {
        let datagram = transfers::receive_from(&udp, 99, 0, Wait::Forever)?;
        (datagram.data, datagram.address)
    };
    assert_eq!(answer, b"answer");
    // A queue that is full, and a send that waits for room.
    let full = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    let sender = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    syscalls::bind(&full, &name)?;
    while transfers::send_to(&sender, b"x", 0, &name, Wait::None).is_ok() {}
    let [Some(Address::Inet(at)), Some(Address::Inet(udp_at))] =
        [syscalls::local_address(&listener)?, syscalls::local_address(&udp)?]
    else {
        panic!("no address")
    };
    println!("{} {}", at.port, udp_at.port);

    // The test takes every grant away. A send that waits is checked again.
    denied(
        transfers::send_to(&sender, b"x", 0, &name, Wait::Forever),
        &format!("unix-connect=@{tag}full"),
    );
    println!("narrow");
    // The server and a client come now. The connection and the listener stay.
    assert_eq!(transfers::receive(&stream, 9, 0, Wait::Forever)?, b"later");
    let accepted = connections::accept(&listener, Wait::Forever)?.descriptor;
    assert_eq!(transfers::receive(&accepted, 9, 0, Wait::Forever)?, b"client");
    transfers::send(&stream, b"end", 0, Wait::Forever)?;
    // New acts need grants.
    let other = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    denied(
        connections::connect(&other, &loopback(port), Wait::Forever),
        &format!("tcp-connect=127.0.0.1:{port}"),
    );
    denied(
        transfers::send_to(&udp, b"x", 0, &loopback(datagrams), Wait::None),
        &format!("udp-send=127.0.0.1:{datagrams}"),
    );
    // The datagram that the test has sent meanwhile came from nobody who is granted.
    std::thread::sleep(Duration::from_millis(100));
    let received = transfers::receive_from(&udp, 99, 0, Wait::None);
    assert!(matches!(received, Err(Error::Os(sandsock::errno::EAGAIN))), "{received:?}");

    println!("wide");
    // The test gives the grants back, and a limit that is lower than what is open.
    for _ in 0..1000 {
        match transfers::send_to(&udp, b"after", 0, &loopback(datagrams), Wait::None) {
            Err(Error::Denied(_)) => std::thread::sleep(Duration::from_millis(10)),
            other => {
                other?;
                break;
            }
        }
    }
    assert_eq!(transfers::receive_from(&udp, 99, 0, Wait::Forever)?.data, b"answer");
    let refused = syscalls::socket(AF_INET, SOCK_STREAM, 0);
    assert!(matches!(refused, Err(Error::Os(sandsock::errno::EMFILE))), "{refused:?}");
    drop((full, sender, accepted, listener, stream, other));
    syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    Ok(())
}
