//! Fetches a page over verified TLS: `https_get HOST PORT PATH`. With `tls-connect=HOST:PORT` the
//! program reaches nothing else, and sends nothing in the clear.

use std::io::{Read as _, Write as _};

use sandsock::{ConnectTimeout, TlsOptions, TlsStream, create_connection};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, path] = arguments.as_slice() else {
        eprintln!("usage: https_get HOST PORT PATH");
        std::process::exit(1);
    };
    let port: u16 = port.parse().map_err(std::io::Error::other)?;
    let socket = create_connection((host.as_str(), port), ConnectTimeout::Default, None, false)?;
    let mut stream = TlsStream::connect(socket, host, &TlsOptions::default())?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    std::io::stdout().write_all(&page)
}
