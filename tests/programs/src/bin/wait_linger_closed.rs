//! Closes sockets with SO_LINGER. The close waits and can be interrupted. A drop does not wait.

use sandsock::Error;
use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::types::{Address, InetAddress, OptionValue, Wait};
use sandsock::raw::{clock, connections, descriptors, interrupts, syscalls, transfers};

/// A connection to a peer that does not read, with more to send than there is room for.
fn stuck(port: u16, seconds: i32) -> Result<Descriptor, Error> {
    let d = syscalls::socket(AF_INET, SOCK_STREAM, 0)?;
    connections::connect(
        &d,
        &Address::Inet(InetAddress { address: (127, 0, 0, 1), port }),
        Wait::Forever,
    )?;
    let linger: Vec<u8> = [1, seconds].iter().flat_map(|part: &i32| part.to_ne_bytes()).collect();
    syscalls::set_option(&d, SOL_SOCKET, SO_LINGER, OptionValue::Bytes(&linger))?;
    // Bytes for which the peer's buffer still has room arrive a little later.
    while transfers::send(&d, &[7; 1 << 20], 0, Wait::Within(50_000_000)).is_ok() {}
    Ok(d)
}

fn main() -> Result<(), Error> {
    let port = std::env::args().nth(1).expect("a port").parse().expect("a number");
    let second = 1_000_000_000;

    let d = stuck(port, 1)?;
    let begin = clock::now();
    assert_eq!(connections::close(d), Ok(()));
    assert!(clock::now() - begin >= second * 9 / 10, "it lingers for a second");

    // The non-blocking bit is nothing to it.
    let d = stuck(port, 1)?;
    descriptors::set_nonblocking(&d, true)?;
    let begin = clock::now();
    assert_eq!(connections::close(d), Ok(()));
    assert!(clock::now() - begin >= second * 9 / 10, "non-blocking sockets linger too");

    let d = stuck(port, 3600)?;
    assert!(!interrupts::take());
    println!("closing");
    assert_eq!(connections::close(d), Ok(()));
    assert!(interrupts::take(), "the interrupt that ended the linger stays pending");

    let d = stuck(port, 3600)?;
    let copy = descriptors::duplicate(&d)?;
    assert_eq!(
        connections::close(d),
        Ok(()),
        "the description stays open: there is nothing to wait for"
    );
    drop(copy);

    // An end within the hour shows that close did not wait.
    println!("done");
    Ok(())
}
