//! `aio_echo_ok CLIENTS`: a server and its clients, each a task, over TCP. All are connected at
//! once, and every byte comes back. Half of the clients use the methods, half the traits of
//! futures.

use std::cell::Cell;
use std::rc::Rc;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::{Address, Error, Flags, ServerOptions, Socket, create_server};
use sandsock_test_programs::{argument, pattern};

/// More than the buffers between the two hold, so that both directions have to wait.
const SIZE: usize = 3 << 20;

async fn serve(client: AsyncSocket) -> Result<(), Error> {
    loop {
        let data = client.recv(64 * 1024, Flags::NONE).await?;
        if data.is_empty() {
            return Ok(());
        }
        client.sendall(&data, Flags::NONE).await?;
    }
}

async fn connect(address: &Address) -> Result<AsyncSocket, Error> {
    let client = AsyncSocket::new(Socket::new(AF_INET, SOCK_STREAM, 0)?)?;
    client.connect(address).await?;
    Ok(client)
}

fn main() -> Result<(), Error> {
    let clients: usize = argument(0);
    let server = create_server(
        ("127.0.0.1", 0),
        ServerOptions { backlog: Some(1024), ..ServerOptions::default() },
    )?;
    let address = server.getsockname()?;
    let server = AsyncSocket::new(server)?;

    let connected = Rc::new(Cell::new(0));
    aio::run(async {
        aio::spawn(async move {
            loop {
                let (client, _) = server.accept().await.expect("accepts");
                aio::spawn(async move { serve(client).await.expect("serves") }).detach();
            }
        })
        .detach();

        // Small talk of many at once.
        let tasks: Vec<_> = (0..clients)
            .map(|number| {
                let (address, connected) = (address.clone(), Rc::clone(&connected));
                aio::spawn(async move {
                    let mut client = connect(&address).await.expect("connects");
                    connected.set(connected.get() + 1);
                    while connected.get() < clients {
                        aio::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    let sent = pattern(100 + number);
                    let mut back = vec![0; sent.len()];
                    if number % 2 == 0 {
                        client.sendall(&sent, Flags::NONE).await.expect("sends");
                        let mut filled = 0;
                        while filled < back.len() {
                            filled += client
                                .recv_into(&mut back[filled..], Flags::NONE)
                                .await
                                .expect("receives");
                        }
                    } else {
                        client.write_all(&sent).await.expect("sends");
                        client.read_exact(&mut back).await.expect("receives");
                    }
                    assert_eq!(sent, back);
                    // The end is passed on both ways.
                    client.close().await.expect("shuts");
                    assert_eq!(client.recv(1, Flags::NONE).await.expect("receives"), b"");
                    number
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, number);
        }

        // This client sends and receives much, at the same time.
        let client = connect(&address).await.expect("connects");
        let sent = pattern(SIZE);
        let receive = async {
            let mut back = Vec::new();
            (&client).take(SIZE as u64).read_to_end(&mut back).await.expect("receives");
            back
        };
        let send = async { (&client).write_all(&sent).await.expect("sends") };
        let (back, ()) = futures_lite::future::zip(receive, send).await;
        assert!(back == sent);
    })
}
