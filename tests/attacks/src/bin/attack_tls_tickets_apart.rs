//! A client that connects twice, or a server that takes two connections. Each prints whether the two
//! sessions are resumed ones. Arguments: `client`, the server's name and its port; or `server`.
//!
//! The second session is the first one's twin: within an instance, tickets work.

use std::io::Write as _;

use sandsock::constants::*;
use sandsock::{
    ConnectTimeout, Result, Socket, TlsIdentity, TlsOptions, TlsStream, create_connection,
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = TlsOptions::default();
    if args[0] == "server" {
        let identity = TlsIdentity::Lent("web".to_owned());
        let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        listener.bind(("127.0.0.1", 0))?;
        listener.listen(None)?;
        println!("{}", listener.getsockname()?.port().unwrap_or(0));
        std::io::stdout().flush().expect("it is open");
        for _ in 0..2 {
            let stream = TlsStream::accept(listener.accept()?.0, &identity, &options)?;
            println!("{}", stream.info()?.resumed);
            stream.sendall(b"x")?;
            assert_eq!(stream.recv(1)?, b"");
            stream.shutdown()?;
        }
        return Ok(());
    }
    let (name, port) = (args[1].as_str(), args[2].parse::<u16>().expect("a port"));
    for _ in 0..2 {
        let socket = create_connection((name, port), ConnectTimeout::Default, None, false)?;
        let stream = TlsStream::connect(socket, name, &options)?;
        println!("{}", stream.info()?.resumed);
        // The ticket comes before the answer.
        stream.sendall(b"x")?;
        assert_eq!(stream.recv(1)?, b"x");
        stream.shutdown()?;
        assert_eq!(stream.recv(1)?, b"");
    }
    Ok(())
}
