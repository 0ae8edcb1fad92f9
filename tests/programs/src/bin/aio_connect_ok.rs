//! `aio_connect_ok PORT PATH`: connects that are refused, denied, not looked up, accepted, and one
//! that waits for room in a UNIX listener's full backlog.

use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno};
use sandsock_test_programs::{argument, fails_with};

fn socket(family: i32) -> AsyncSocket {
    AsyncSocket::new(Socket::new(family, SOCK_STREAM, 0).expect("a socket")).expect("takes it")
}

fn main() -> Result<(), Error> {
    let refused: u16 = argument(0);
    let path: String = argument(1);
    aio::run(async {
        fails_with(
            socket(AF_INET).connect(("127.0.0.1", refused)).await,
            "ConnectionRefusedError",
            errno::ECONNREFUSED,
        );
        // Another port is not granted.
        fails_with(
            socket(AF_INET).connect(("127.0.0.1", refused ^ 1)).await,
            "PermissionError",
            errno::EACCES,
        );
        // No look-up is left. This is an error at once, without a wait.
        let second = Duration::from_secs(1);
        let result = aio::timeout(second, socket(AF_INET).connect(("sandsock.example", 80))).await;
        fails_with(result.expect("it is told"), "BlockingIOError", errno::EAGAIN);

        let listener = Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket");
        listener.bind(("127.0.0.1", 0)).expect("binds");
        listener.listen(None).expect("listens");
        let address = listener.getsockname().expect("an address");
        let listener = AsyncSocket::new(listener).expect("takes it");
        let client = socket(AF_INET);
        let (accepted, connected) =
            futures_lite::future::zip(listener.accept(), client.connect(&address)).await;
        connected.expect("connects");
        let (server, peer) = accepted.expect("accepts");
        assert_eq!(peer, client.get_ref().getsockname().expect("an address"));
        client.sendall(b"hello", Flags::NONE).await.expect("sends");
        assert_eq!(server.recv(16, Flags::NONE).await.expect("receives"), b"hello");

        // A backlog of 1 takes two; the third has to wait until one is accepted.
        let listener = Socket::new(AF_UNIX, SOCK_STREAM, 0).expect("a socket");
        listener.bind(path.as_str()).expect("binds");
        listener.listen(1).expect("listens");
        let listener = AsyncSocket::new(listener).expect("takes it");
        let clients = [socket(AF_UNIX), socket(AF_UNIX), socket(AF_UNIX)];
        clients[0].connect(path.as_str()).await.expect("connects");
        clients[1].connect(path.as_str()).await.expect("connects");
        let full = aio::timeout(Duration::from_millis(30), clients[2].connect(path.as_str())).await;
        assert_eq!(full.expect_err("it is full").class(), "TimeoutError");
        let accept = async {
            aio::sleep(Duration::from_millis(30)).await;
            listener.accept().await.expect("accepts")
        };
        let (connected, _) =
            futures_lite::future::zip(clients[2].connect(path.as_str()), accept).await;
        connected.expect("connects");
    })
}
