//! Writes more than is read, as its connection says: `flood` and `complain` without end, `write N`
//! bytes, `denials N` for observers to write. `count` shows that the guest is alive, and `read
//! PATH` returns a file.

use std::io::Write as _;

use sandsock::constants::{AF_INET, SOCK_DGRAM};
use sandsock::{Flags, Result, Socket};

fn main() -> Result<()> {
    let connection = Socket::with_fileno(0, None, None, None)?;
    let mut input = Vec::new();
    loop {
        let bytes = connection.recv(4096, Flags::NONE)?;
        if bytes.is_empty() {
            return Ok(());
        }
        input.extend(bytes);
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&input[..end]).into_owned();
            input.drain(..=end);
            let answer = answer(&line);
            connection.sendall(format!("{answer}\n").as_bytes(), Flags::NONE)?;
        }
    }
}

fn answer(line: &str) -> String {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let count = || rest.parse::<usize>().expect("a number");
    match verb {
        "flood" => loop {
            println!("{}", "x".repeat(1000));
        },
        "complain" => loop {
            eprintln!("{}", "x".repeat(1000));
        },
        "write" => {
            let mut left = count();
            while left > 0 {
                let piece = left.min(5000);
                std::io::stdout().write_all(&vec![b'w'; piece]).expect("is written");
                left -= piece;
            }
            std::io::stdout().flush().expect("is written");
            "written".to_owned()
        }
        "denials" => {
            for _ in 0..count() {
                // The policy refuses the socket or the send.
                let sent = Socket::new(AF_INET, SOCK_DGRAM, 0)
                    .and_then(|socket| socket.sendto(b"x", 0, ("192.0.2.1", 9)));
                assert_eq!(sent.expect_err("no grant").errno(), Some(13));
            }
            "denied".to_owned()
        }
        "count" => "alive".to_owned(),
        "read" => {
            std::fs::read_to_string(rest).unwrap_or_else(|error| format!("{:?}", error.kind()))
        }
        other => panic!("{other:?}"),
    }
}
