//! Receives over TLS what a server sends without end, or measures how soon another server answers
//! meanwhile. Arguments: `flooded` or `twin`, the server's name and its port.
//!
//! The flooded guests give up after some seconds. The twin prints its longest round in milliseconds.

use std::time::{Duration, Instant};

use sandsock::{ConnectTimeout, ErrorKind, Result, TlsOptions, TlsStream, create_connection};
use sandsock_attacks::is_twin;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let (name, port) = (args[0].as_str(), args[1].parse::<u16>().expect("a port"));
    let socket = create_connection((name, port), ConnectTimeout::Default, None, false)?;
    let stream = TlsStream::connect(socket, name, &TlsOptions::default())?;
    let begin = Instant::now();
    if !is_twin() {
        stream.socket().settimeout(Some(Duration::from_millis(700)))?;
        while begin.elapsed() < Duration::from_secs(3) {
            match stream.recv(100) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => {
                    println!("{error}");
                    break;
                }
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(6), "the timeout holds");
        return Ok(());
    }
    let mut longest = Duration::ZERO;
    while begin.elapsed() < Duration::from_secs(2) {
        let round = Instant::now();
        stream.sendall(b"x")?;
        assert_eq!(stream.recv(1)?, b"x");
        longest = longest.max(round.elapsed());
    }
    println!("{}", longest.as_millis());
    stream.shutdown()
}
