//! May receive from one sender of several. Arguments: the sender's port.

use std::io::IoSliceMut;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ErrorKind, Poll, Result, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn again<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    let error = result.expect_err(what);
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::Os, Some(sandsock::errno::EAGAIN)),
        "{what}: {error:?}"
    );
}

fn main() -> Result<()> {
    let granted = attack::ports()[0];
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    socket.bind(("127.0.0.1", 0))?;
    println!("{}", socket.getsockname()?.port().unwrap_or(0));
    // The other one's datagrams come first, one for each way to receive; then the granted one's.
    let mut poll = Poll::new();
    poll.register(&socket, POLLIN)?;
    assert_eq!(poll.poll(Some(Duration::from_secs(10)))?.len(), 1);
    std::thread::sleep(Duration::from_millis(300));
    socket.setblocking(false)?;
    let mut buffer = [0; 100];
    // Each of these meets what is not for it at the head of the queue, drops it, and goes on to the
    // marked one behind.
    let expect = |what: &str, data: &[u8], from: u16| {
        assert_eq!((data, from), (b"granted".as_slice(), granted), "{what}");
    };
    let (data, from) = socket.recvfrom(100, MSG_PEEK)?;
    expect("recvfrom with MSG_PEEK", &data, from.port().unwrap_or(0));
    expect("recv with MSG_PEEK", &socket.recv(100, MSG_PEEK)?, granted);
    let message = socket.recvmsg(100, 100, MSG_PEEK)?;
    expect("recvmsg with MSG_PEEK", &message.data, message.address.port().unwrap_or(0));
    expect("a peek of a great length", &socket.recv(1 << 20, MSG_PEEK | MSG_TRUNC)?, granted);
    expect("recv", &socket.recv(100, 0)?, granted);
    // Two more rounds: a stranger's before each.
    let length = socket.recv_into(&mut buffer, 0)?;
    expect("recv_into", &buffer[..length], granted);
    let message = socket.recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 100, 0)?;
    let (length, from) = (message.data, message.address.port().unwrap_or(0));
    expect("recvmsg_into", &buffer[..length], from);
    expect("recv of a great length", &socket.recv(1 << 20, 0)?, granted);
    let (length, from) = socket.recvfrom_into(&mut buffer, 0)?;
    expect("recvfrom_into", &buffer[..length], from.port().unwrap_or(0));
    again("nothing is left", socket.recv(100, 0));
    again("nothing is left", socket.recv(100, MSG_PEEK));
    again("nor in the error queue", socket.recvmsg(100, 100, MSG_ERRQUEUE));

    // Only a stranger's datagram is there, and nothing reveals it.
    println!("alone");
    for what in ["recv", "MSG_PEEK", "recvmsg", "MSG_TRUNC"] {
        assert_eq!(poll.poll(Some(Duration::from_millis(300)))?.len(), 0, "{what}");
        match what {
            "recv" => again(what, socket.recv(100, 0)),
            "MSG_PEEK" => again(what, socket.recvfrom(100, MSG_PEEK)),
            "recvmsg" => again(what, socket.recvmsg(100, 0, MSG_PEEK | MSG_TRUNC)),
            _ => again(what, socket.recv(0x7fff_ffff, MSG_PEEK | MSG_TRUNC)),
        }
        assert_eq!(poll.poll(Some(Duration::ZERO))?.len(), 0, "{what}: it is gone");
        println!("{what}");
    }
    socket.settimeout(Some(Duration::from_millis(200)))?;
    let error = socket.recv(100, 0).expect_err("nothing comes");
    assert_eq!(error.class(), "TimeoutError");
    Ok(())
}
