//! Joins one group of the loopback after the other. Arguments: the most that the limit allows, and
//! the number to try.

use sandsock::constants::*;
use sandsock::errno::ENOBUFS;
use sandsock::raw::syscalls::{set_option, socket};
use sandsock::raw::types::{Error, OptionValue};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;

/// struct packet_mreq: the interface, PACKET_MR_MULTICAST, the address and its length.
fn request(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    [&1u32.to_ne_bytes()[..], &[0, 0], &6u16.to_ne_bytes(), &[1, 0, 0x5e, a, b, c, 0, 0]].concat()
}

fn main() {
    let twin = usize::from(is_twin());
    let (most, asked): (u32, u32) = (argument(twin), argument(twin + 1));
    let packets = socket(AF_PACKET, SOCK_DGRAM, 0).expect("makes");
    let join = |number| {
        set_option(
            &packets,
            SOL_PACKET,
            PACKET_ADD_MEMBERSHIP,
            OptionValue::Bytes(&request(number)),
        )
    };
    let joined = (0..asked).take_while(|number| match join(*number) {
        Ok(()) => true,
        Err(Error::Os(ENOBUFS)) => false,
        Err(error) => panic!("{error:?}"),
    });
    let joined = joined.count() as u32;
    println!("{joined} joined");
    assert!(if is_twin() {
        joined == asked && joined > most
    } else {
        (1..=most).contains(&joined)
    });
    if !is_twin() {
        set_option(&packets, SOL_PACKET, PACKET_DROP_MEMBERSHIP, OptionValue::Bytes(&request(0)))
            .expect("leaves");
        join(asked).expect("there is room for one");
        assert_eq!(join(asked + 1), Err(Error::Os(ENOBUFS)));
    }
}
