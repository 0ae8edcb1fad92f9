//! An address that is in use, an address that the machine does not have, and a server that starts
//! again.

use sandsock::constants::*;
use sandsock::{Address, Error, ServerOptions, Socket, create_server};
use sandsock_test_programs::{argument, fails, fails_with, port};

fn main() -> Result<(), Error> {
    let taken: u16 = argument(0);
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    fails(socket.bind(("127.0.0.1", taken)), "OSError", "[Errno 98] Address already in use");
    fails(
        create_server(("127.0.0.1", taken), ServerOptions::default()),
        "OSError",
        &format!(
            "[Errno 98] Address already in use (while attempting to bind on address ('127.0.0.1', {taken}))"
        ),
    );
    fails(socket.bind(("192.0.2.1", 0)), "OSError", "[Errno 99] Cannot assign requested address");
    socket.bind(("127.0.0.1", 0))?;
    fails_with(socket.bind(("127.0.0.1", 0)), "OSError", 22);

    // The end that closes first keeps the address in TIME_WAIT for a minute.
    let plain = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    plain.bind(("127.0.0.1", 0))?;
    plain.listen(None)?;
    let address = serve_one(plain)?;
    let again = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    fails(again.bind(&address), "OSError", "[Errno 98] Address already in use");

    let reusing = create_server(("127.0.0.1", 0), ServerOptions::default())?;
    assert_eq!(reusing.getsockopt(SOL_SOCKET, SO_REUSEADDR)?, 1);
    assert_eq!(reusing.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)?, 1);
    let address = serve_one(reusing)?;
    let again = create_server(&address, ServerOptions::default())?;
    assert_eq!(Some(port(&again)), address.port());
    Ok(())
}

/// Accepts a connection of the guest's own, closes it first, and the listener after it.
fn serve_one(listener: Socket) -> Result<Address, Error> {
    let address = listener.getsockname()?;
    let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    client.connect(&address)?;
    let (connection, _) = listener.accept()?;
    connection.close()?;
    assert_eq!(client.recv(1, 0)?, b"");
    client.close()?;
    listener.close()?;
    Ok(address)
}
