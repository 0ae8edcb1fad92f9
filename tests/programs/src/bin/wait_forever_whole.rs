//! Under `forever` the send of a stream goes on until everything is queued, one mebibyte a call.
//! MSG_WAITALL gathers all bytes.

use sandsock::constants::*;
use sandsock::raw::types::{Address, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Error, Flags, Socket};

const MIB: usize = 1 << 20;

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let data: Vec<u8> =
        (0..8 * MIB as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let d = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(
        &d,
        &Address::Unix(UnixAddress::Path(path.clone().into_bytes())),
        Wait::Forever,
    )?;
    let mut rest = &data[..];
    let mut calls = 0;
    while !rest.is_empty() {
        let sent = if calls % 2 == 0 {
            transfers::send(&d, rest, 0, Wait::Forever)?
        } else {
            // In buffers whose bounds are not those of the cut.
            let (a, b) = rest.split_at(rest.len().min(700_000));
            transfers::send_message(&d, &[a, &[], b], &[], 0, None, Wait::Forever)?
        };
        assert_eq!(sent, MIB as u64);
        rest = &rest[MIB..];
        calls += 1;
    }
    assert_eq!(calls, 8);
    let back = transfers::receive(&d, 3_000_000, MSG_WAITALL, Wait::Forever)?;
    assert!(back == data[..MIB], "a mebibyte, gathered from many pieces");
    let back = transfers::receive(&d, 500_000, MSG_WAITALL, Wait::Forever)?;
    assert!(back == data[MIB..][..500_000]);
    assert_eq!(
        transfers::receive(&d, 100, MSG_WAITALL, Wait::Forever)?,
        b"end",
        "cut short by the end"
    );

    // Python's methods: one call moves all of it.
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    socket.connect(&path)?;
    assert_eq!(socket.send(&data, Flags::NONE)?, data.len());
    socket.close()?;
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    socket.connect(&path)?;
    socket.sendall(&data, Flags::NONE)?;
    Ok(())
}
