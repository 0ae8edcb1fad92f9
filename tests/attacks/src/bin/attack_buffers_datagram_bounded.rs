//! Opens sockets for datagrams and reads nothing. Arguments: the limit, the maximum of sockets.
//! Prints their ports, and then `.`. The peer then floods them, and reads how much the kernel
//! holds.

use sandsock::constants::*;
use sandsock::raw::polling::poll;
use sandsock::raw::syscalls::{bind, local_address, socket};
use sandsock::raw::types::{Address, InetAddress, Wait};
use sandsock_attacks::buffers::{enlarge, unless_full};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;

fn main() {
    let most: usize = argument(usize::from(is_twin()) + 1);
    let mut all = Vec::new();
    while all.len() < most
        && let Some(d) = unless_full(socket(AF_INET, SOCK_DGRAM, 0))
    {
        bind(&d, &Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 })).expect("binds");
        let Ok(Some(Address::Inet(bound))) = local_address(&d) else { panic!("no address") };
        println!("{}", bound.port);
        all.push(d);
    }
    all.iter().for_each(enlarge);
    println!(".");
    assert!(!is_twin() || all.len() == most, "{}", all.len());
    poll(&[], Wait::Forever).expect_err("until the test interrupts it");
}
