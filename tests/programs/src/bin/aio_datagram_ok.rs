//! `aio_datagram_ok FOLDER`: datagrams and messages: sendto and recvfrom over UDP, descriptors over
//! UNIX, and a full UNIX peer, connected or named.

use std::io::IoSlice;

use sandsock::aio::AsyncSocket;
use sandsock::constants::*;
use sandsock::{Ancillary, Error, Flags, Socket, aio, socketpair};
use sandsock_test_programs::{argument, datagrams};

/// More than a peer's queue takes (net.unix.max_dgram_qlen).
const MANY: usize = 4_000;

fn unix() -> AsyncSocket {
    AsyncSocket::new(Socket::new(AF_UNIX, SOCK_DGRAM, 0).expect("a socket")).expect("takes it")
}

fn main() -> Result<(), Error> {
    let folder: String = argument(0);
    let path = format!("{folder}/full");
    let (a, b) = (AsyncSocket::new(datagrams(AF_INET)?)?, AsyncSocket::new(datagrams(AF_INET)?)?);
    aio::run(async {
        let to = b.get_ref().getsockname().expect("an address");
        let receive = b.recvfrom(16, Flags::NONE);
        let send = a.sendto(b"hello", Flags::NONE, &to);
        let (received, sent) = futures_lite::future::zip(receive, send).await;
        assert_eq!(sent.expect("sends"), 5);
        assert_eq!(
            received.expect("receives"),
            (b"hello".to_vec(), a.get_ref().getsockname().expect("an address"))
        );

        // With control messages.
        let (c, d) = socketpair(AF_UNIX, SOCK_SEQPACKET, 0).expect("a pair");
        let (c, d) =
            (AsyncSocket::new(c).expect("takes it"), AsyncSocket::new(d).expect("takes it"));
        let given = [Ancillary::rights(&[a.get_ref().fileno()])];
        let (received, sent) = futures_lite::future::zip(
            d.recvmsg(16, 64, Flags::NONE),
            c.sendmsg(&[IoSlice::new(b"ta"), IoSlice::new(b"ke")], &given, Flags::NONE, None),
        )
        .await;
        assert_eq!(sent.expect("sends"), 4);
        let received = received.expect("receives");
        assert_eq!((received.data.as_slice(), received.fds().len()), (&b"take"[..], 1));
        for fd in received.fds() {
            sandsock::close(fd).expect("closes");
        }

        // A reader that is slower than the writer, who waits and loses nothing.
        let reader = unix();
        reader.get_ref().bind(path.as_str()).expect("binds");
        for connected in [true, false] {
            let writer = unix();
            if connected {
                writer.connect(path.as_str()).await.expect("connects");
            }
            let write = async {
                for number in 0..MANY as u32 {
                    let data = number.to_le_bytes();
                    match connected {
                        true => writer.send(&data, Flags::NONE).await,
                        false => writer.sendto(&data, Flags::NONE, path.as_str()).await,
                    }
                    .expect("sends");
                }
            };
            let read = async {
                for number in 0..MANY as u32 {
                    assert_eq!(
                        reader.recv(8, Flags::NONE).await.expect("receives"),
                        number.to_le_bytes()
                    );
                }
            };
            futures_lite::future::zip(write, read).await;
        }
    })
}
