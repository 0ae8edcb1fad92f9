//! TLS in tasks: a server with an identity of the embedder's and many clients at once, by the
//! methods and by the traits of futures, and what ends a connection.

use std::time::Duration;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use sandsock::aio::{self, AsyncSocket, AsyncTlsStream};
use sandsock::constants::*;
use sandsock::{
    Address, Error, Flags, Result, ServerOptions, Socket, TlsIdentity, TlsOptions, create_server,
    errno,
};
use sandsock_test_programs::{argument, fails, pattern, times_out};

/// More than the buffers between the two hold, so that both directions have to wait.
const SIZE: usize = 3 << 20;

fn options() -> TlsOptions {
    TlsOptions { alpn: vec!["echo".to_owned()], ..TlsOptions::default() }
}

/// Sends everything back, and answers the end with the end.
async fn serve(client: AsyncSocket) -> Result<()> {
    let identity = TlsIdentity::Lent("web".to_owned());
    let stream = AsyncTlsStream::accept(client, &identity, &options()).await?;
    loop {
        let data = stream.recv(64 * 1024).await?;
        if data.is_empty() {
            return stream.shutdown().await;
        }
        stream.sendall(&data).await?;
    }
}

async fn connected(address: &Address) -> Result<AsyncSocket> {
    let client = AsyncSocket::new(Socket::new(AF_INET, SOCK_STREAM, 0)?)?;
    client.connect(address).await?;
    Ok(client)
}

async fn client(address: &Address) -> Result<AsyncTlsStream> {
    AsyncTlsStream::connect(connected(address).await?, "server.test", &options()).await
}

async fn talk(address: Address, number: usize) -> Result<()> {
    let mut stream = client(&address).await?;
    assert_eq!(stream.info()?.alpn.as_deref(), Some(&b"echo"[..]));
    let sent = pattern(100 + number);
    let mut back = vec![0; sent.len()];
    if number.is_multiple_of(2) {
        stream.sendall(&sent).await?;
        // The rest stays in the session, of which the kernel knows nothing.
        back = stream.recv(1).await?;
        while back.len() < sent.len() {
            back.extend(stream.recv(7).await?);
        }
    } else {
        stream.write_all(&sent).await.expect("sends");
        stream.read_exact(&mut back).await.expect("receives");
    }
    assert_eq!(sent, back);
    stream.close().await.expect("ends");
    assert_eq!(stream.recv(1).await?, b"", "the server ends too");
    let socket = stream.detach();
    // The grant is for TLS alone.
    assert_eq!(socket.map(drop).unwrap_err().errno(), Some(errno::EACCES));
    Ok(())
}

fn main() -> Result<(), Error> {
    let clients: usize = argument(0);
    let server = create_server(
        ("127.0.0.1", 0),
        ServerOptions { backlog: Some(1024), ..ServerOptions::default() },
    )?;
    let address = server.getsockname()?;
    sandsock::gethostbyname("server.test")?;
    aio::run(async {
        let server = AsyncSocket::new(server)?;
        let accepting = aio::spawn(async move {
            loop {
                let (client, _) = server.accept().await.expect("accepts");
                // Some of the clients below leave without an end.
                aio::spawn(async move { drop(serve(client).await) }).detach();
            }
        });

        let talks: Vec<_> =
            (0..clients).map(|number| aio::spawn(talk(address.clone(), number))).collect();
        for talk in talks {
            talk.await?;
        }

        // This client sends and receives much, at the same time.
        let stream = client(&address).await?;
        let sent = pattern(SIZE);
        let receive = async {
            let mut back = Vec::new();
            (&stream).take(SIZE as u64).read_to_end(&mut back).await.map(|_| back)
        };
        let send = async { (&stream).write_all(&sent).await };
        let (back, written) = futures_lite::future::zip(receive, send).await;
        written.expect("sends");
        assert!(back.expect("receives") == sent);
        // A receive that is dropped has taken nothing.
        times_out(aio::timeout(Duration::from_millis(20), stream.recv(100)).await);
        stream.sendall(b"more").await?;
        assert_eq!(stream.recv(100).await?, b"more");
        drop(stream);

        // A server that does not prove the name, and one that never answers.
        let options = options();
        let other = connected(&address).await?;
        fails(
            AsyncTlsStream::connect(other, "other.test", &options).await,
            "ssl.SSLError",
            "the peer's certificate is refused: it is for another name",
        );
        drop(accepting);
        let silent = create_server(("127.0.0.1", 0), ServerOptions::default())?;
        let address = silent.getsockname()?;
        let socket = connected(&address).await?;
        let shake = AsyncTlsStream::connect(socket, "server.test", &options);
        times_out(aio::timeout(Duration::from_millis(20), shake).await.map(drop));

        // The connection is cut within the handshake, and after it.
        let silent = AsyncSocket::new(silent)?;
        let cut = async {
            let (peer, _) = silent.accept().await?;
            drop(peer);
            let (peer, _) = silent.accept().await?;
            peer.recv(1, Flags::NONE).await.map(drop)
        };
        let shake = async {
            let socket = connected(&address).await?;
            let cut = AsyncTlsStream::connect(socket, "server.test", &options).await;
            let error = cut.map(drop).expect_err("there is no server");
            assert!(
                error.class() == "ssl.SSLError" || error.errno() == Some(errno::ECONNRESET),
                "{error}"
            );
            Ok::<_, Error>(())
        };
        let (cut, shaken) = futures_lite::future::zip(cut, shake).await;
        cut.and(shaken)?;

        let identity = TlsIdentity::Lent("web".to_owned());
        let accept = async {
            let (peer, _) = silent.accept().await?;
            let stream = AsyncTlsStream::accept(peer, &identity, &options).await?;
            assert_eq!(stream.recv(100).await?, b"all of it");
            let text = "the connection ended without close_notify";
            fails(stream.recv(100).await, "ssl.SSLError", text);
            Ok::<_, Error>(())
        };
        let connect = async {
            let stream = client(&address).await?;
            stream.sendall(b"all of it").await
        };
        let (accepted, connected) = futures_lite::future::zip(accept, connect).await;
        accepted.and(connected)
    })?
}
