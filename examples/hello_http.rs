//! Answers one HTTP request on its connection, as a service of inetd does. `sandsock serve` runs it
//! for each connection.

use sandsock::{Error, Flags, Socket};

/// The longest head of a request that is accepted.
const HEAD_MAX: usize = 16 * 1024;

fn main() -> Result<(), Error> {
    // The connection is descriptor 0. This program can use nothing else.
    let Ok(connection) = Socket::with_fileno(0, None, None, None) else {
        eprintln!(
            "usage: hello_http without arguments, run by `sandsock serve`, which gives it a connection"
        );
        std::process::exit(1);
    };
    connection.settimeout_f64(Some(10.0))?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let more = connection.recv(4096, Flags::NONE)?;
        if more.is_empty() || head.len() > HEAD_MAX {
            return Ok(());
        }
        head.extend(more);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let (status, body) = match line.split(' ').collect::<Vec<_>>()[..] {
        ["GET" | "HEAD", path, _] => {
            ("200 OK", format!("hello {} at {path}\n", connection.getpeername()?))
        }
        _ => ("400 Bad Request", "this is not a request\n".to_owned()),
    };
    let length = body.len();
    let body = if line.starts_with("HEAD ") { "" } else { &body };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    connection.sendall(answer.as_bytes(), Flags::NONE)
}
