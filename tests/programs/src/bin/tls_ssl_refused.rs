//! The `ssl` function of Python's early `socket` module verifies the server, unlike the old one: the
//! chain and the name by which the socket was connected. And it refuses files that have no identity.

use sandsock::constants::*;
use sandsock::{Result, Socket, errno, ssl};
use sandsock_test_programs::{argument, fails, fails_with, needs};

fn main() -> Result<()> {
    let (port, stranger): (u16, u16) = (argument(0), argument(1));
    let connected = |host: &str, port: u16| -> Result<Socket> {
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        socket.connect((host, port))?;
        Ok(socket)
    };
    let refused = |host: &str, port: u16, reason: &str| -> Result<()> {
        let text = format!("the peer's certificate is refused: {reason}");
        fails(ssl(connected(host, port)?, None, None), "ssl.SSLError", &text);
        Ok(())
    };
    refused("server.test", stranger, "no trusted root signed it")?;
    refused("other.test", port, "it is for another name")?;
    refused("127.0.0.1", port, "it is for another name")?;

    let files = |keyfile, certfile| ssl(connected("server.test", port)?, keyfile, certfile);
    let together = "keyfile and certfile must be given together";
    fails(files(Some("data/key.pem"), None), "ssl.SSLError", together);
    fails(files(None, Some("data/chain.pem")), "ssl.SSLError", together);
    fails(
        files(Some("data/key.pem"), Some("identity:web")),
        "ssl.SSLError",
        "an identity has a key of its own: leave out keyfile",
    );
    fails(
        files(Some("data/key.pem"), Some("data/key.pem")),
        "ssl.SSLError",
        "the file has no certificates in PEM that can be used",
    );
    fails(
        files(Some("data/chain.pem"), Some("data/chain.pem")),
        "ssl.SSLError",
        "the file has no key in PEM that can be used",
    );
    fails_with(
        files(Some("data/none.pem"), Some("data/chain.pem")),
        "FileNotFoundError",
        errno::ENOENT,
    );
    // A key of another certificate.
    fails_with(
        files(Some("data/other.pem"), Some("data/chain.pem")),
        "OSError",
        errno::EKEYREJECTED,
    );
    needs(files(None, Some("identity:other")), "tls-identity=other");
    let unconnected = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    fails_with(ssl(unconnected, None, None), "OSError", errno::ENOTCONN);
    Ok(())
}
