//! 8 MiB to a slow reader arrive whole and in order, by one call or by many, in every mode.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket, select};
use sandsock_test_programs::{argument, fails, pattern};

fn main() -> Result<(), Error> {
    let address = ("127.0.0.1", argument::<u16>(0));
    let data = pattern(8 << 20);
    let sending = |send: &dyn Fn(&Socket) -> Result<(), Error>| -> Result<(), Error> {
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 16)?;
        socket.connect(address)?;
        send(&socket)?;
        socket.setblocking(true)?;
        socket.shutdown(SHUT_WR)?;
        assert_eq!(socket.recv(10, MSG_WAITALL)?, b"all there");
        Ok(())
    };
    sending(&|socket| socket.sendall(&data, 0))?;
    // Without a timeout one send takes all.
    sending(&|socket| {
        assert_eq!(socket.send(&data, 0)?, data.len());
        Ok(())
    })?;
    // With one it takes what there is room for.
    sending(&|socket| {
        socket.settimeout(Some(Duration::from_secs(60)))?;
        let first = socket.send(&data, 0)?;
        assert!(first > 0 && first < data.len(), "{first}");
        socket.sendall(&data[first..], 0)
    })?;
    // Without waiting: some, then BlockingIOError, then more when there is room.
    sending(&|socket| {
        socket.setblocking(false)?;
        let (mut sent, mut refused) = (0, 0);
        while sent < data.len() {
            match socket.send(&data[sent..], 0) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.class(), "BlockingIOError");
                    refused += 1;
                    select(&[], &[socket], &[], Some(Duration::from_secs(60)))?;
                }
            }
        }
        assert!(refused > 0, "the reader is slow");
        Ok(())
    })?;
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(address)?;
    socket.setblocking(false)?;
    fails(
        socket.sendall(&data, 0),
        "BlockingIOError",
        "[Errno 11] Resource temporarily unavailable",
    );
    Ok(())
}
