//! Connects a UDP socket while a stranger's datagrams are in its queue. Argument: the granted port.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Result, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> Result<()> {
    let granted = attack::ports()[0];
    for host in ["127.0.0.1", "::1"] {
        let socket = Socket::new(attack::family_of(host), SOCK_DGRAM, 0)?;
        socket.bind((host, 0))?;
        println!("{}", socket.getsockname()?.port().unwrap_or(0));
        // The queue holds the datagrams of every sender from before the connect.
        let mut poll = sandsock::Poll::new();
        poll.register(&socket, POLLIN)?;
        assert_eq!(poll.poll(Some(Duration::from_secs(10)))?.len(), 1);
        std::thread::sleep(Duration::from_millis(200));
        socket.connect((host, granted))?;
        socket.settimeout(Some(Duration::from_secs(5)))?;
        assert_eq!(socket.recv(100, MSG_PEEK)?, b"granted");
        assert_eq!(socket.recv(100, 0)?, b"granted");
        socket.setblocking(false)?;
        assert_eq!(
            socket.recv(100, 0).map_err(|error| error.errno()),
            Err(Some(sandsock::errno::EAGAIN))
        );
        // The peer answers. The reply needs no grant of its own.
        socket.settimeout(Some(Duration::from_secs(5)))?;
        socket.send(b"question", 0)?;
        assert_eq!(socket.recvfrom(100, 0)?.0, b"answer");
    }
    Ok(())
}
