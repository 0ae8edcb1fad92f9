//! Prints what could fake a question of `--ask` or hide one, and then connects to each port of its
//! arguments on the loopback: `ask_questions_limited PORT...`.

use std::io::Write as _;

use sandsock::constants::{AF_INET, SOCK_STREAM};
use sandsock::{Error, Socket};

/// The alternate screen, a title, concealed text, a text that runs from right to left, and an
/// unfinished control string.
const TRICKS: &[u8] = b"\x1b[?1049h\x1b]0;title\x07\x1b[8mhidden\xe2\x80\xaetext\x9b2J\x1bP\n";

fn main() -> Result<(), Error> {
    let mut out = std::io::stdout();
    out.write_all(TRICKS).and_then(|()| out.flush()).expect("writes");
    for argument in std::env::args().skip(1) {
        let port: u16 = argument.parse().expect("a port");
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        match socket.connect(("127.0.0.1", port)) {
            Ok(()) => println!("port {port} is connected"),
            Err(error) => println!("port {port} is refused: {error}"),
        }
    }
    println!("done");
    Ok(())
}
