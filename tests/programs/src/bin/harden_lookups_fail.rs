//! Looks names up, many times and then after the process that looks them up was ended. Each look-up
//! fails then with its own error, and everything else goes on.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    Family, Result, Socket, getaddrinfo, gethostbyname, getnameinfo, getprotobyname, getservbyname,
};
use sandsock_test_programs::fails;

fn main() -> Result<()> {
    let flood = || getaddrinfo("localhost", "http", Family::INET, SOCK_STREAM, 0, 0);
    for _ in 0..500 {
        assert_eq!(flood()?[0].address.port(), Some(80));
    }
    println!("looked up");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the test writes a line");

    const FAILED: &str = "[Errno -4] Non-recoverable failure in name resolution";
    fails(flood(), "gaierror", FAILED);
    fails(gethostbyname("localhost"), "gaierror", FAILED);
    fails(getnameinfo(("127.0.0.1", 80), 0), "gaierror", FAILED);
    const UNREAD: &str = "[Errno 5] Input/output error";
    fails(getservbyname("http", None), "OSError", UNREAD);
    fails(getprotobyname("tcp"), "OSError", UNREAD);
    // No look-up is needed.
    assert_eq!(gethostbyname("127.0.0.1")?, "127.0.0.1");
    let receiver = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    receiver.settimeout(Some(Duration::from_secs(10)))?;
    receiver.bind(("127.0.0.1", 0))?;
    let sender = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    sender.sendto(b"still here", 0, receiver.getsockname()?)?;
    assert_eq!(receiver.recvfrom(100, 0)?.0, b"still here");
    Ok(())
}
