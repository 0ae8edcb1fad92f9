//! Accepts connections on the socket that it shares with other instances, and which its environment
//! names. It answers one line on each: `echo TEXT`, `count`, `trap`. It succeeds when it is
//! interrupted.

use sandsock::{Error, Flags, Result, Socket};

fn main() -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    assert_eq!(variable("LISTEN_FDS").as_deref(), Some("1"));
    assert_eq!(variable("LISTEN_PID").as_deref(), Some("42"));
    let listener = Socket::with_fileno(3, None, None, None)?;
    println!("started");
    let mut count = 0;
    loop {
        match serve(&listener, &mut count) {
            Err(error) if error.class() == "InterruptedError" => {
                println!("interrupted");
                return Ok(());
            }
            other => other?,
        }
    }
}

fn serve(listener: &Socket, count: &mut u32) -> std::result::Result<(), Error> {
    let (connection, _) = listener.accept()?;
    let line = connection.recv(4096, Flags::NONE)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    *count += 1;
    let answer = match line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "")) {
        ("echo", text) => text.to_owned(),
        ("count", _) => count.to_string(),
        _ => panic!("as told"),
    };
    connection.sendall(format!("{answer}\n").as_bytes(), Flags::NONE)
}
