//! A server that may listen on one port and do nothing else: `restricted_server HOST PORT
//! [CLIENTS]`.
//!
//! For each client it tries six forbidden acts, and sends the client a report. It ends with an
//! error if any act was allowed.

use sandsock::constants::{AF_INET, AF_UNIX, SO_MARK, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};
use sandsock::{
    AddressInfoFlags, Error, ErrorKind, Family, Flags, ServerOptions, Socket, SocketType,
    create_server, getaddrinfo,
};

/// An act that a server might try without its operator's consent. It gets a client's connection.
type Act = fn(&Socket) -> Result<(), Error>;
const FORBIDDEN: [(&str, Act); 6] = [
    ("connect to 192.0.2.1:443", |_| {
        Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("192.0.2.1", 443))
    }),
    ("listen on port 8022 too", |_| {
        create_server(("127.0.0.1", 8022), ServerOptions::default()).map(drop)
    }),
    ("send a datagram to 192.0.2.1:53", |_| {
        Socket::new(AF_INET, SOCK_DGRAM, 0)?
            .sendto(b"secret", Flags::NONE, ("192.0.2.1", 53))
            .map(drop)
    }),
    ("connect to /run/app.sock", |_| {
        Socket::new(AF_UNIX, SOCK_STREAM, 0)?.connect("/run/app.sock")
    }),
    ("look up secret.example.com", |_| {
        let (any, stream) = (Family::UNSPEC, SocketType::STREAM);
        getaddrinfo("secret.example.com", 443, any, stream, 0, AddressInfoFlags::NONE).map(drop)
    }),
    ("set SO_MARK on the connection", |connection| connection.setsockopt(SOL_SOCKET, SO_MARK, 1)),
];

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, most)) = parse(&args) else {
        eprintln!("usage: restricted_server HOST PORT [CLIENTS]");
        std::process::exit(1);
    };

    let server = create_server((host, port), ServerOptions::default())?;
    println!("listening on {}", server.getsockname()?);

    let mut allowed = 0;
    for _ in 0..most {
        let (connection, address) = server.accept()?;
        let mut report = String::from("hello; this is what I tried:\n");
        for (what, act) in FORBIDDEN {
            let outcome = match act(&connection) {
                Ok(()) => "ALLOWED".to_owned(),
                // The policy refused the act. This is distinct from every error of the kernel. The
                // text names the missing grant, and error.grant() returns only the grant.
                Err(error) if error.kind() == ErrorKind::Denied => {
                    format!("refused: {}", error.strerror())
                }
                Err(error) => format!("ALLOWED, and the kernel said: {error}"),
            };
            allowed += i32::from(outcome.starts_with("ALLOWED"));
            report.push_str(&format!("{what}\n  {outcome}\n"));
        }
        println!("{address} connected; allowed so far of what is forbidden: {allowed}");
        if let Err(error) = connection.sendall(report.as_bytes(), Flags::NONE) {
            println!("{address}: {error}");
        }
    }
    std::process::exit(i32::from(allowed > 0));
}

fn parse(args: &[String]) -> Option<(&str, u16, u64)> {
    match args {
        [host, port] => Some((host, port.parse().ok()?, u64::MAX)),
        [host, port, clients] => Some((host, port.parse().ok()?, clients.parse().ok()?)),
        _ => None,
    }
}
