//! Accepts TCP connections and passes each one's descriptor to a worker: `handover_front NAME HOST
//! PORT [CLIENTS]`. NAME is the abstract UNIX name where it waits for the worker.

use std::io::IoSlice;

use sandsock::constants::{AF_INET, AF_UNIX, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET};
use sandsock::{Error, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, host, port, most)) = parse(&args) else {
        eprintln!("usage: handover_front NAME HOST PORT [CLIENTS]");
        std::process::exit(1);
    };

    let meeting = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    meeting.bind(format!("\0{name}"))?;
    meeting.listen(None)?;
    let server = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    server.bind((host, port))?;
    server.listen(None)?;
    println!("listening on {}", server.getsockname()?);

    let (worker, _) = meeting.accept()?;
    for _ in 0..most {
        let (connection, client) = server.accept()?;
        // This needs the grant `ancillary=rights:send`. The worker gets the connection itself, and
        // this program's descriptor of it is closed here.
        worker.send_fds(&[IoSlice::new(b"c")], &[connection.fileno()])?;
        println!("handed over {client}");
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, &str, u16, u64)> {
    match args {
        [name, host, port] => Some((name, host, port.parse().ok()?, u64::MAX)),
        [name, host, port, clients] => {
            Some((name, host, port.parse().ok()?, clients.parse().ok()?))
        }
        _ => None,
    }
}
