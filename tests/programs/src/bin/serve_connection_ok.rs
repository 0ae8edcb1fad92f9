//! Serves its one connection by lines: `echo TEXT`, `count`, `names`, `more`, `trap`, `memory`,
//! `hostname`, `print`, `compute`.

use std::sync::atomic::{AtomicU32, Ordering};

use sandsock::{Flags, Result, Socket, fromfd};

/// How many lines this instance has counted: another instance has its own.
static COUNT: AtomicU32 = AtomicU32::new(0);

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
            let answer = answer(&connection, &line)?;
            connection.sendall(format!("{answer}\n").as_bytes(), Flags::NONE)?;
        }
    }
}

fn answer(connection: &Socket, line: &str) -> Result<String> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("echo", text) => Ok(text.to_owned()),
        ("count", _) => Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string()),
        ("names", _) => Ok(format!("{} {}", connection.getsockname()?, connection.getpeername()?)),
        // Nothing but the connection is there.
        ("more", _) => {
            let (connected, other) =
                (Socket::new(2, 1, 0)?.connect(("127.0.0.1", 1)), fromfd(3, 2, 1, 0));
            Ok(format!(
                "{} {}",
                connected.expect_err("no grant").class(),
                other.expect_err("no descriptor").class()
            ))
        }
        ("surroundings", _) => {
            let args: Vec<String> = std::env::args().collect();
            let mut input = String::new();
            let read = std::io::Read::read_to_string(&mut std::io::stdin(), &mut input);
            println!("on standard output");
            Ok(format!("{args:?} {:?} {read:?}", std::env::var("SHARED").ok()))
        }
        ("trap", _) => panic!("as told"),
        ("memory", mebibytes) => {
            let bytes = vec![1u8; mebibytes.parse::<usize>().expect("a number") << 20];
            Ok((bytes.len() >> 20).to_string())
        }
        ("hostname", _) => Ok(sandsock::gethostname()),
        ("print", _) => loop {
            println!("{}", "x".repeat(4096));
        },
        ("compute", _) => {
            let mut number: u64 = 0;
            loop {
                number = std::hint::black_box(number.wrapping_add(1));
            }
        }
        other => panic!("{other:?}"),
    }
}
