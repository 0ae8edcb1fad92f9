//! Leaves more and more names of UNIX sockets in a folder. Arguments: the folder, and the number of
//! names that it can leave there. With `twin` it may leave all of them.

use sandsock::constants::*;
use sandsock::{Result, Socket};

#[allow(dead_code)]
#[path = "../../../programs/src/attack.rs"]
mod attack;
use attack::{args, denied_for, refused};

fn bind(path: &str, kind: i32) -> Result<Socket> {
    let socket = Socket::new(AF_UNIX, kind, 0)?;
    socket.bind(path).map(|()| socket)
}

fn main() -> Result<()> {
    let args = args();
    let (folder, most) = (&args[0], args[1].parse::<usize>().expect("a number"));
    for number in 0..most {
        // Closed at once: the name stays.
        bind(
            &format!("{folder}/{number}"),
            if number % 2 == 0 { SOCK_STREAM } else { SOCK_DGRAM },
        )?;
        // A bind that fails leaves no name and takes no place.
        refused(
            "a name that is there",
            bind(&format!("{folder}/{number}"), SOCK_STREAM),
            sandsock::errno::EADDRINUSE,
        );
    }
    // A denial comes first, whatever is left.
    denied_for(
        "elsewhere",
        bind("/tmp/sandsock-elsewhere", SOCK_STREAM),
        "unix-bind=/tmp/sandsock-elsewhere",
    );
    let more = ["a", "b", "sub/c"].map(|name| format!("{folder}/{name}"));
    if args.get(2).is_some_and(|word| word == "twin") {
        for path in &more {
            bind(path, SOCK_STREAM)?;
        }
        return Ok(());
    }
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for path in &more {
            refused("one more name", bind(path, kind), sandsock::errno::ENOSPC);
        }
    }
    // Names that go with their sockets take no place.
    for number in 0..100 {
        bind(&format!("\0sandsock-attack-paths-{number}"), SOCK_DGRAM)?;
    }
    println!("full");
    // The operator clears up: then there is room again.
    for _ in 0..1000 {
        if bind(&more[0], SOCK_STREAM).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no room though a name is gone")
}
