//! A server of pages over TLS, as a browser could ask it. Arguments: how many connections it takes. For
//! each it prints what was agreed on, or why there was no session.

use std::io::Write as _;

use sandsock::constants::*;
use sandsock::{ClientCertificate, Result, Socket, TlsIdentity, TlsOptions, TlsStream};
use sandsock_test_programs::argument;

fn page(socket: Socket, options: &TlsOptions) -> Result<String> {
    let stream = TlsStream::accept(socket, &TlsIdentity::Lent("web".to_owned()), options)?;
    let info = stream.info()?;
    let alpn = info.alpn.map(|name| String::from_utf8_lossy(&name).into_owned());
    let agreed = format!(
        "{:?} {} {} {}",
        info.version,
        info.cipher,
        alpn.unwrap_or_default(),
        if info.peer_chain.is_empty() { "nobody" } else { "somebody" }
    );
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = stream.recv(4096)?;
        if bytes.is_empty() {
            break;
        }
        request.extend(bytes);
    }
    let length = agreed.len() + 1;
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.sendall(format!("{head}{agreed}\n").as_bytes())?;
    stream.shutdown()?;
    Ok(agreed)
}

fn main() -> Result<()> {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    println!("{}", listener.getsockname()?.port().unwrap_or(0));
    let options = TlsOptions {
        alpn: vec!["http/1.1".to_owned()],
        client_certificate: ClientCertificate::Optional,
        ..TlsOptions::default()
    };
    for _ in 0..argument(0) {
        let (socket, _) = listener.accept()?;
        match page(socket, &options) {
            Ok(agreed) => println!("{agreed}"),
            Err(error) => println!("no session: {error}"),
        }
        std::io::stdout().flush().expect("it is open");
    }
    Ok(())
}
