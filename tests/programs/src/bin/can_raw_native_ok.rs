//! Answers a native peer's frames, each with its data turned around.

use sandsock::Error;
use sandsock_test_programs::argument;
use sandsock_test_programs::can::{frame, raw};

fn main() -> Result<(), Error> {
    let socket = raw(argument(0))?;
    println!("listening");
    for _ in 0..3 {
        let mut data = socket.recv(16, 0)?;
        let length = usize::from(data[4]);
        data[8..8 + length].reverse();
        let id = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]);
        socket.send(&frame(id + 1, &data[8..8 + length]), 0)?;
    }
    Ok(())
}
