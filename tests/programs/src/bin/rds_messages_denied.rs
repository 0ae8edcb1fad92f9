//! Has grants of other families and of TCP to the same addresses, and can create no RDS socket.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::needs;

fn main() -> Result<(), Error> {
    needs(Socket::new(AF_RDS, SOCK_SEQPACKET, 0), None);
    // The granted family is there.
    Socket::new(AF_TIPC, SOCK_RDM, 0)?;
    Ok(())
}
