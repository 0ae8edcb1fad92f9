//! Moves bytes past a budget of 100 bytes by the states of one socket: connecting elsewhere while a
//! connection is under way, MSG_FASTOPEN, dissolving and connecting again, and peeks that never end
//! in a receive. Arguments: `attack` or `twin`, the port of a peer with a budget, which sends 60
//! bytes on each connection, and that of a peer without one.

use sandsock::constants::*;
use sandsock::raw::connections::{connect, finish_connect};
use sandsock::raw::syscalls::{set_option, socket};
use sandsock::raw::transfers::{receive, send, send_to};
use sandsock::raw::types::{Address, Error, OptionValue, Wait};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, loopback, refused};

const SECOND: Wait = Wait::Within(1_000_000_000);

/// Peeks at all that a connection brings. Returns how many bytes were shown.
fn peeked(port: u16) -> Result<usize, Error> {
    let d = connection(port)?;
    // In one piece, and without the wait for more.
    Ok(receive(&d, 60, MSG_PEEK | MSG_WAITALL, Wait::Forever)?.len())
}

fn main() {
    let (port, free): (u16, u16) = (argument(1), argument(2));
    // A connect to the peer with a budget is under way, or has ended, when the one without is asked
    // for. The kernel reports the first connection as the result of the second connect.
    let d = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
    let _ = connect(&d, &loopback(port), Wait::None);
    let elsewhere = connect(&d, &loopback(free), Wait::Forever);
    let opened = send_to(&d, &[7; 10], MSG_FASTOPEN, &loopback(free), SECOND);
    if is_twin() {
        let _ = (elsewhere, opened);
    } else {
        refused(elsewhere, "counts this socket's connection");
        refused(opened, "counts this socket's connection");
    }
    finish_connect(&d, Wait::Forever).expect("connects");

    let mut shown = 0;
    // A peek counts, also if the connection ends then.
    let last = loop {
        match peeked(port) {
            Ok(count) => shown += count,
            Err(error) => break Some(error),
        }
        if shown >= 300 {
            break None;
        }
    };
    assert!(if is_twin() { shown >= 300 } else { shown <= 100 }, "{shown} bytes");
    let offset = set_option(&d, SOL_SOCKET, SO_PEEK_OFF, OptionValue::Integer(0));
    let sent = send(&d, &[7; 10], 0, Wait::Forever);
    let again = connect(&d, &Address::Unspec, Wait::Forever)
        .and_then(|()| connect(&d, &loopback(port), Wait::Forever))
        .and_then(|()| send(&d, &[7; 10], 0, Wait::Forever));
    if is_twin() {
        assert_eq!((last, sent, again), (None, Ok(10), Ok(10)));
    } else {
        let used_up = "has no bytes left";
        refused(Err::<(), _>(last.expect("an error")), used_up);
        refused(offset, "option SOL_SOCKET/SO_PEEK_OFF is denied");
        refused(sent, used_up);
        refused(again, used_up);
        // The dissolved socket may go to the other peer, uncounted.
        connect(&d, &Address::Unspec, Wait::Forever).expect("dissolves");
        connect(&d, &loopback(free), Wait::Forever).expect("connects");
        assert_eq!(send(&d, &[7; 500], 0, Wait::Forever), Ok(500));
    }
}
