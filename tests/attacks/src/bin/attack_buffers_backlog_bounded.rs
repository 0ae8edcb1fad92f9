//! Connects to its own listeners, sends as much as they take, and closes. Nothing is ever accepted.
//! Arguments: the limit, the number of connections, a UNIX path.

use sandsock::constants::*;
use sandsock::errno::{EAGAIN, ECONNRESET, EPIPE};
use sandsock::raw::connections::{close, connect};
use sandsock::raw::polling::poll;
use sandsock::raw::syscalls::{bind, listen, local_address, socket};
use sandsock::raw::transfers::send;
use sandsock::raw::types::{Address, Error, InetAddress, UnixAddress, Wait};
use sandsock_attacks::buffers::{enlarge, fill, queued, unless_full};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;

const SECOND: u64 = 1_000_000_000;

fn main() {
    let twin = usize::from(is_twin());
    let (limit, most): (u64, usize) = (argument(twin), argument(twin + 1));
    let path: String = argument(twin + 2);
    // UNIX: the bytes belong to a connection that was not accepted.
    let address = Address::Unix(UnixAddress::Path(path.into_bytes()));
    let listener = socket(AF_UNIX, SOCK_STREAM, 0).expect("makes");
    bind(&listener, &address).expect("binds");
    listen(&listener, 4096).expect("listens");
    let (mut held, mut made) = (0, 0);
    while made < most
        && let Some(d) = unless_full(socket(AF_UNIX, SOCK_STREAM, 0))
    {
        match connect(&d, &address, Wait::None) {
            Ok(()) => {}
            Err(Error::Os(EAGAIN)) => break,
            Err(error) => panic!("{error:?}"),
        }
        enlarge(&d);
        fill(&d);
        held += queued(&d);
        close(d).expect("closes");
        made += 1;
    }
    println!("unix: {held} held in {made}");
    assert!(if is_twin() { held > limit && made == most } else { held <= limit });
    drop(listener);

    // TCP: it lies in the receive buffers of connections that wait, which are as great as the
    // listener's.
    let listener = socket(AF_INET, SOCK_STREAM, 0).expect("there is room again");
    enlarge(&listener);
    bind(&listener, &Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 }))
        .expect("binds");
    listen(&listener, 4096).expect("listens");
    enlarge(&listener);
    let Ok(Some(Address::Inet(to))) = local_address(&listener) else { panic!("no address") };
    let (mut made, mut refused) = (0, 0);
    while made < most
        && refused < 2
        && let Some(d) = unless_full(socket(AF_INET, SOCK_STREAM, 0))
    {
        if connect(&d, &Address::Inet(to), Wait::Within(SECOND / 4)).is_err() {
            // The queue is full.
            refused += 1;
            continue;
        }
        let data = vec![7; 1 << 20];
        for _ in 0..64 {
            match send(&d, &data, 0, Wait::Within(SECOND / 100)) {
                Ok(_) => {}
                Err(Error::Os(EAGAIN | EPIPE | ECONNRESET)) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        close(d).expect("closes");
        made += 1;
    }
    println!("tcp: {made} made");
    assert!(!is_twin() || made == most);
    println!("{}", to.port);
    poll(&[], Wait::Forever).expect_err("until the test interrupts it");
}
