//! An interrupt ends the wait of every call with `InterruptedError`. An interrupt that finds no
//! wait stays for the next one.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Poll, Socket, select};
use sandsock_test_programs::{argument, datagrams, fails, listening};

fn main() -> Result<(), Error> {
    let peer: u16 = argument(0);
    let deaf: u16 = argument(1);
    // After each line that is printed there is one interrupt.
    let interrupted = |wait: &dyn Fn() -> Result<(), Error>| {
        println!("waiting");
        fails(wait(), "InterruptedError", "[Errno 4] Interrupted system call");
    };
    let listener = listening(AF_INET)?;
    let udp = datagrams(AF_INET)?;
    let stream = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    stream.connect(("127.0.0.1", peer))?;
    for timeout in [None, Some(Duration::from_secs(60))] {
        for socket in [&listener, &udp, &stream] {
            socket.settimeout(timeout)?;
        }
        interrupted(&|| listener.accept().map(drop));
        interrupted(&|| stream.recv(1, 0).map(drop));
        interrupted(&|| stream.recv(10, MSG_WAITALL).map(drop));
        interrupted(&|| udp.recvfrom(1, 0).map(drop));
        interrupted(&|| udp.recvmsg(1, 0, 0).map(drop));
        interrupted(&|| select(&[&udp], &[], &[], timeout).map(drop));
        interrupted(&|| {
            let mut poll = Poll::new();
            poll.register(&stream, POLLIN)?;
            poll.poll(timeout).map(drop)
        });
        let connecting = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        connecting.settimeout(timeout)?;
        interrupted(&|| connecting.connect(("127.0.0.1", deaf)));
        let connecting = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        connecting.settimeout(timeout)?;
        // It is raised, not given as a number.
        interrupted(&|| connecting.connect_ex(("127.0.0.1", deaf)).map(drop));
    }

    // An interrupt does not disturb a call that need not wait, and the call does not take the
    // interrupt.
    stream.setblocking(false)?;
    println!("busy");
    let go = loop {
        match stream.recv(2, 0) {
            Ok(data) => break data,
            Err(error) => assert_eq!(error.errno(), Some(11)),
        }
    };
    assert_eq!(go, b"go");
    stream.settimeout(Some(Duration::from_secs(60)))?;
    fails(stream.recv(1, 0), "InterruptedError", "[Errno 4] Interrupted system call");
    // It was one interrupt: the next wait is whole.
    stream.settimeout(Some(Duration::from_millis(200)))?;
    sandsock_test_programs::times_out(sandsock_test_programs::lasts(
        Duration::from_millis(200),
        || stream.recv(1, 0),
    ));

    // If bytes have moved already, the call returns their number.
    stream.setblocking(true)?;
    stream.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 15)?;
    println!("half");
    let data = vec![7; 32 << 20];
    let sent = stream.send(&data, 0)?;
    assert!(sent > 0 && sent < data.len(), "{sent}");
    Ok(())
}
