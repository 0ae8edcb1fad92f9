//! Has a grant of another family, and can create no TIPC socket.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::needs;

fn main() -> Result<(), Error> {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RDM] {
        needs(Socket::new(AF_TIPC, kind, 0), None);
    }
    // The granted family is there.
    Socket::new(AF_QIPCRTR, SOCK_DGRAM, 0)?;
    Ok(())
}
