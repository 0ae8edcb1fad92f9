//! Connects to a name and a port.

use sandsock::{ConnectTimeout, Result, create_connection};
use sandsock_test_programs::argument;

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    create_connection((name.as_str(), port), ConnectTimeout::Default, None, false)?;
    Ok(())
}
