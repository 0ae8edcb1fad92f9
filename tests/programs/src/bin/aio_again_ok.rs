//! A call after a cancelled call of the same kind waits for what the cancelled one began: connects,
//! and sends that connect.

use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket, errno};
use sandsock_test_programs::{fails_with, times_out};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn socket() -> AsyncSocket {
    AsyncSocket::new(Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket")).expect("takes it")
}

/// Makes a listener that accepts nothing, and the sockets that fill its queue.
async fn full() -> (Socket, Address, Vec<AsyncSocket>) {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket");
    listener.bind(("127.0.0.1", 0)).expect("binds");
    listener.listen(0).expect("listens");
    let address = listener.getsockname().expect("an address");
    let first = socket();
    first.connect(&address).await.expect("connects");
    (listener, address, vec![first])
}

/// Connects, is cancelled, and connects again, while the listener takes in or ends.
async fn connects(ends: bool) {
    let (listener, address, keep) = full().await;
    let client = socket();
    times_out(aio::timeout(SHORT, client.connect(&address)).await);
    // The second is cancelled as well; the third has its end.
    times_out(aio::timeout(SHORT, client.connect(&address)).await);
    let act = async {
        aio::sleep(SHORT).await;
        if ends {
            listener.close().expect("closes");
            return None;
        }
        let listener = AsyncSocket::new(listener).expect("takes it");
        drop(listener.accept().await.expect("accepts"));
        Some(listener.accept().await.expect("accepts").0)
    };
    let (connected, peer) =
        futures_lite::future::zip(aio::timeout(LONG, client.connect(&address)), act).await;
    let connected = connected.expect("it ends");
    match peer {
        Some(peer) => {
            connected.expect("connects");
            client.sendall(b"hello", Flags::NONE).await.expect("sends");
            assert_eq!(peer.recv(16, Flags::NONE).await.expect("receives"), b"hello");
        }
        None => fails_with(connected, "ConnectionRefusedError", errno::ECONNREFUSED),
    }
    drop(keep);
}

/// The same with a send that connects.
async fn sends() {
    let (listener, address, keep) = full().await;
    let client = socket();
    times_out(aio::timeout(SHORT, client.sendto(b"lost", MSG_FASTOPEN, &address)).await);
    let listener = AsyncSocket::new(listener).expect("takes it");
    let accept = async {
        aio::sleep(SHORT).await;
        drop(listener.accept().await.expect("accepts"));
        listener.accept().await.expect("accepts").0
    };
    let send = aio::timeout(LONG, client.sendto(b"hello", MSG_FASTOPEN, &address));
    let (sent, peer) = futures_lite::future::zip(send, accept).await;
    assert_eq!(sent.expect("it ends").expect("sends"), 5);
    assert_eq!(peer.recv(16, Flags::NONE).await.expect("receives"), b"hello");
    drop(keep);
}

/// An accept and a receive that were cancelled have taken nothing.
async fn accepts() {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket");
    listener.bind(("127.0.0.1", 0)).expect("binds");
    listener.listen(None).expect("listens");
    let address = listener.getsockname().expect("an address");
    let listener = AsyncSocket::new(listener).expect("takes it");
    times_out(aio::timeout(SHORT, listener.accept()).await);
    let client = socket();
    let (accepted, connected) =
        futures_lite::future::zip(listener.accept(), client.connect(&address)).await;
    connected.expect("connects");
    let (server, _) = accepted.expect("accepts");
    times_out(aio::timeout(SHORT, server.recv(16, Flags::NONE)).await);
    client.sendall(b"hello", Flags::NONE).await.expect("sends");
    assert_eq!(server.recv(16, Flags::NONE).await.expect("receives"), b"hello");
    // A send that was cancelled has sent what it had sent, and the next goes on behind it.
    let data = vec![7; 16 << 20];
    times_out(aio::timeout(SHORT, client.sendall(&data, Flags::NONE)).await);
    let rest = async {
        client.sendall(b"end", Flags::NONE).await.expect("sends");
        client.get_ref().shutdown(SHUT_WR).expect("shuts");
    };
    let all = async {
        let mut last = Vec::new();
        loop {
            let some = server.recv(1 << 16, Flags::NONE).await.expect("receives");
            if some.is_empty() {
                return last;
            }
            last = some;
        }
    };
    let ((), last) = futures_lite::future::zip(rest, all).await;
    assert!(last.ends_with(b"end"));
}

fn main() -> Result<(), Error> {
    aio::run(async {
        let two = futures_lite::future::zip(connects(false), connects(true));
        futures_lite::future::zip(two, futures_lite::future::zip(sends(), accepts())).await;
    })
}
