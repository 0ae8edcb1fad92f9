//! An echo server for very many clients, written as if for one: `async_server HOST PORT [CLIENTS]`.
//!
//! Each client has a task of its own. All tasks share the guest's one thread, and a task that waits
//! lets the others run. The server disconnects a client that sends nothing for a minute. If CLIENTS
//! is given, the server ends after this number of clients.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::errno::ECONNABORTED;
use sandsock::{Error, Flags, ServerOptions, create_server};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of clients now, and the largest number so far.
#[derive(Default)]
struct Clients {
    now: Cell<u64>,
    most: Cell<u64>,
}

impl Clients {
    fn enter(&self) {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
    }

    fn leave(&self) {
        self.now.set(self.now.get() - 1);
    }
}

async fn echo(client: AsyncSocket) -> Result<(), Error> {
    loop {
        let data = aio::timeout(PATIENCE, client.recv(64 * 1024, Flags::NONE)).await??;
        if data.is_empty() {
            return Ok(());
        }
        client.sendall(&data, Flags::NONE).await?;
    }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, most)) = parse(&args) else {
        eprintln!("usage: async_server HOST PORT [CLIENTS]");
        std::process::exit(1);
    };

    // A thousand clients may come at the same moment, and all of them may wait to be accepted.
    let options = ServerOptions { backlog: Some(1024), ..ServerOptions::default() };
    let server = AsyncSocket::new(create_server((host, port), options)?)?;
    println!("listening on {}", server.get_ref().getsockname()?);

    let clients = Rc::new(Clients::default());
    aio::run(async {
        let mut tasks = Vec::new();
        for _ in 0..most {
            let (client, address) = match server.accept().await {
                Ok(connection) => connection,
                // The client had left before the server accepted it.
                Err(error) if error.errno() == Some(ECONNABORTED) => continue,
                Err(error) => return Err(error),
            };
            let clients = Rc::clone(&clients);
            let task = aio::spawn(async move {
                clients.enter();
                if let Err(error) = echo(client).await {
                    println!("{address}: {error}");
                }
                clients.leave();
            });
            if most == u64::MAX {
                task.detach();
            } else {
                tasks.push(task);
            }
        }
        for task in tasks {
            task.await;
        }
        println!("{most} clients, {} at once", clients.most.get());
        Ok(())
    })?
}

fn parse(args: &[String]) -> Option<(&str, u16, u64)> {
    match args {
        [host, port] => Some((host, port.parse().ok()?, u64::MAX)),
        [host, port, clients] => Some((host, port.parse().ok()?, clients.parse().ok()?)),
        _ => None,
    }
}
