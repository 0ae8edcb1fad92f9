//! Serves IPv6 and IPv4 on one socket, and sends each client the version that it came by:
//! `dualstack_server PORT [CLIENTS]`.

use sandsock::{Address, Error, Family, Flags, ServerOptions, create_server, has_dualstack_ipv6};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((port, most)) = parse(&args) else {
        eprintln!("usage: dualstack_server PORT [CLIENTS]");
        std::process::exit(1);
    };

    // Without IPv6, or without a grant for it, the server serves only IPv4.
    let options = if has_dualstack_ipv6() {
        ServerOptions { family: Family::INET6, dualstack_ipv6: true, ..ServerOptions::default() }
    } else {
        ServerOptions::default()
    };
    // An empty host means every address of the machine. The grant is `tcp-listen=[::]:PORT`.
    let server = create_server(("", port), options)?;
    println!("listening on {}", server.getsockname()?);

    for _ in 0..most {
        let (connection, address) = server.accept()?;
        let way = match &address {
            // On such a socket an IPv4 client has an IPv6 address, such as ::ffff:127.0.0.1.
            Address::Inet6(host, ..) if host.to_ipv4_mapped().is_none() => "IPv6",
            _ => "IPv4",
        };
        println!("{address} came over {way}");
        // The server goes on if a client has left already.
        if let Err(error) =
            connection.sendall(format!("you came over {way}\n").as_bytes(), Flags::NONE)
        {
            println!("{address}: {error}");
        }
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(u16, u64)> {
    match args {
        [port] => Some((port.parse().ok()?, u64::MAX)),
        [port, clients] => Some((port.parse().ok()?, clients.parse().ok()?)),
        _ => None,
    }
}
