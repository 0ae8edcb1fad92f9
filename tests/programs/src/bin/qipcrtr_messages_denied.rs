//! Has a grant of another family, and can create no QIPCRTR socket.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::needs;

fn main() -> Result<(), Error> {
    needs(Socket::new(AF_QIPCRTR, SOCK_DGRAM, 0), None);
    // The granted family is there.
    Socket::new(AF_TIPC, SOCK_RDM, 0)?;
    Ok(())
}
