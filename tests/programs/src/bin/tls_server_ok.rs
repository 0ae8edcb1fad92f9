//! A server of TLS with an identity whose key it never sees. It answers with the bytes in reverse.

use sandsock::constants::*;
use sandsock::{Result, Socket, TlsIdentity, TlsOptions, TlsStream, TlsTrust};
use sandsock_test_programs::needs;

fn main() -> Result<()> {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    println!("{}", listener.getsockname()?.port().unwrap_or(0));
    let (socket, _) = listener.accept()?;
    let options = TlsOptions { alpn: vec!["echo".to_owned()], ..TlsOptions::default() };
    let lent = |name: &str| TlsIdentity::Lent(name.to_owned());
    // No roots need to be there for it.
    let other = TlsOptions {
        identity: Some(lent("other")),
        trust: TlsTrust::None,
        ..TlsOptions::default()
    };
    needs(TlsStream::connect(socket.dup()?, "client.test", &other), "tls-identity=other");
    let stream = TlsStream::accept(socket, &lent("web"), &options)?;
    let mut bytes = stream.recv(100)?;
    bytes.reverse();
    stream.sendall(&bytes)?;
    stream.shutdown()
}
