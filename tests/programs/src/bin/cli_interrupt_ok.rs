//! Waits until it is interrupted, and then computes without end.

use sandsock::constants::{AF_UNIX, SOCK_STREAM};
use sandsock::{Error, Flags, socketpair};

fn main() -> Result<(), Error> {
    let (a, _b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    println!("waiting");
    if let Err(error) = a.recv(1, Flags::NONE) {
        println!("{error:?}");
    }
    if std::env::args().nth(1).as_deref() == Some("compute") {
        let mut number: u64 = 0;
        loop {
            number = std::hint::black_box(number.wrapping_add(1));
        }
    }
    Ok(())
}
