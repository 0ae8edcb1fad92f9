//! `poller_idle_flat ACTIVE ROUNDS IDLE...`: measures a wait beside IDLE idle descriptors, for each
//! of these numbers, which grow. Each round has ACTIVE descriptors ready and serves them. Prints
//! the median round's nanoseconds for each.

use sandsock::constants::*;
use sandsock::raw::clock::now;
use sandsock::{Epoll, Error, Flags, Socket, socketpair};
use sandsock_test_programs::argument;

fn main() -> Result<(), Error> {
    let (active, rounds): (usize, usize) = (argument(0), argument(1));
    let epoll = Epoll::new()?;
    let mut idle: Vec<Socket> = Vec::new();
    let mut busy: Vec<(Socket, Socket)> = Vec::new();
    for _ in 0..active {
        let pair = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
        epoll.register(&pair.0, EPOLLIN)?;
        busy.push(pair);
    }
    for count in std::env::args().skip(3) {
        let count: usize = count.parse().expect("a number");
        while idle.len() < count {
            let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            for socket in [a, b] {
                epoll.register(&socket, EPOLLIN)?;
                idle.push(socket);
            }
        }
        let mut times = Vec::new();
        for _ in 0..rounds {
            for (_, writer) in &busy {
                writer.send(b"x", Flags::NONE)?;
            }
            let start = now();
            let mut seen = 0;
            while seen < active {
                for (fd, _) in epoll.poll(None, None)? {
                    let at = busy
                        .iter()
                        .position(|(reader, _)| reader.fileno() == fd)
                        .expect("an active one");
                    busy[at].0.recv(1, Flags::NONE)?;
                    seen += 1;
                }
            }
            times.push(now() - start);
        }
        times.sort_unstable();
        println!("{}", times[times.len() / 2]);
    }
    Ok(())
}
