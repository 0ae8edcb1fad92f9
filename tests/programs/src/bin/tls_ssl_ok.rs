//! The `ssl` function of Python's early `socket` module: on sockets that were connected to a name
//! and to an address, without a certificate of the client's and with one.

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Result, Socket, create_connection, ssl};
use sandsock_test_programs::argument;

fn connected(host: &str, port: u16) -> Result<Socket> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect((host, port))?;
    Ok(socket)
}

fn echoes(socket: Socket, keyfile: Option<&str>, certfile: Option<&str>) -> Result<()> {
    let (subject, issuer): (String, String) = (argument(3), argument(4));
    let ssl = ssl(socket, keyfile, certfile)?;
    assert_eq!((ssl.server(), ssl.issuer()), (&*subject, &*issuer));
    assert_eq!(ssl.write(b"hello")?, 5);
    assert_eq!(ssl.read(1)?, b"h");
    assert_eq!(ssl.read(1024)?, b"ello");
    ssl.stream().shutdown()?;
    assert_eq!(ssl.read(1024)?, b"", "the server ends too");
    Ok(())
}

fn main() -> Result<()> {
    let (name, port, asking): (String, u16, u16) = (argument(0), argument(1), argument(2));
    echoes(connected(&name, port)?, None, None)?;
    echoes(connected("127.0.0.1", port)?, None, None)?;
    let created = || create_connection((&*name, port), ConnectTimeout::Default, None, false);
    echoes(created()?, None, None)?;
    // A duplicate knows the name too.
    echoes(created()?.dup()?, None, None)?;

    // This server asks for a certificate.
    echoes(connected(&name, asking)?, Some("data/key.pem"), Some("data/chain.pem"))?;
    echoes(connected(&name, asking)?, Some("data/both.pem"), Some("data/both.pem"))?;
    echoes(connected(&name, asking)?, None, Some("identity:web"))
}
