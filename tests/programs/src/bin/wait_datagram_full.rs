//! Sends datagrams to a full peer, with and without a connection, and by a name that is checked
//! anew.

use sandsock::constants::*;
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (path, how) = (args.next().expect("a path"), args.next().expect("how"));
    let peer = Address::Unix(UnixAddress::Path(path.into_bytes()));
    let d = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    if how == "connected" {
        connections::connect(&d, &peer, Wait::None)?;
    }
    let send = |data: &[u8], wait| match how.as_str() {
        "connected" => transfers::send(&d, data, 0, wait),
        "message" => transfers::send_message(&d, &[data], &[], 0, Some(&peer), wait),
        _ => transfers::send_to(&d, data, 0, &peer, wait),
    };
    let mut count = 0;
    let full = loop {
        match send(b"fill", Wait::None) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, RawError::Os(errno::EAGAIN));
    println!("{count}");
    assert_eq!(send(b"forever", Wait::Forever)?, 7);
    println!("sent");
    Ok(())
}
