//! `bench_idle_ok PATH ACTIVE ROUNDS IDLE...`: connects to the UNIX socket at PATH, whose server
//! sends back what it gets, ACTIVE times, and then as often as each IDLE says, which grow. In each
//! round every active connection sends a byte and is waited for. Prints, for each IDLE, the median
//! round's nanoseconds for one of them.

use std::time::Instant;

use sandsock::constants::*;
use sandsock::{Epoll, Error, Flags, Socket};
use sandsock_test_programs::argument;

fn main() -> Result<(), Error> {
    let (path, active, rounds): (String, usize, usize) = (argument(0), argument(1), argument(2));
    let epoll = Epoll::new()?;
    let mut sockets: Vec<Socket> = Vec::new();
    let grow = |sockets: &mut Vec<Socket>, count: usize| {
        while sockets.len() < count {
            let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
            socket.connect(path.as_str())?;
            epoll.register(&socket, EPOLLIN)?;
            sockets.push(socket);
        }
        Ok::<(), Error>(())
    };
    grow(&mut sockets, active)?;
    let first = sockets[0].fileno();
    for idle in std::env::args().skip(4) {
        grow(&mut sockets, active + idle.parse::<usize>().expect("a number"))?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            let start = Instant::now();
            for socket in &sockets[..active] {
                socket.send(b"x", Flags::NONE)?;
            }
            let mut seen = 0;
            while seen < active {
                for (fd, _) in epoll.poll(None, None)? {
                    // They were made in a row, so their numbers are.
                    let mut byte = [0];
                    sockets[(fd - first) as usize].recv_into(&mut byte, Flags::NONE)?;
                    seen += 1;
                }
            }
            times.push(start.elapsed().as_nanos() as f64 / active as f64);
        }
        times.sort_by(f64::total_cmp);
        println!("{}", times[times.len() / 2]);
    }
    Ok(())
}
