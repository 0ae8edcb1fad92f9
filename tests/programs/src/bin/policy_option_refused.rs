//! May do everything, or use every option that has a grant, and sets options that are always
//! refused.

use sandsock::constants::*;
use sandsock::{OptionValue, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, refused};

fn main() -> sandsock::Result<()> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let mut program = [0; 16];
    program[0] = 1;
    program[8..].copy_from_slice(&0x7fff_0000_1000_u64.to_ne_bytes());
    // A program is its instructions: what C would put there, with a pointer in it, is two that no
    // program has.
    for name in [26, 51] {
        for value in [&program[..], &program[..15], &[], &vec![0; 8 * 4097]] {
            let set = socket.setsockopt(SOL_SOCKET, name, OptionValue::Bytes(value));
            refused("a program", set, sandsock::errno::EINVAL);
        }
        refused(
            "a program",
            socket.setsockopt(SOL_SOCKET, name, OptionValue::Null(16)),
            sandsock::errno::EINVAL,
        );
    }
    for (level, name) in [(SOL_SOCKET, 50), (SOL_SOCKET, 52), (SOL_SOCKET, 60), (SOL_SOCKET, 42)] {
        let error = denied("refused to all", socket.setsockopt(level, name, 1));
        assert_eq!(error.grant(), None);
    }
    for (level, name) in
        [(IPPROTO_IP, 64), (IPPROTO_IP, 96), (IPPROTO_IPV6, 1), (132, 100), (262, 1), (-1, -1)]
    {
        let error = denied(
            "unknown to the table",
            socket.setsockopt(level, name, OptionValue::Bytes(&program)),
        );
        assert_eq!(error.grant(), None);
        denied("unknown to the table", socket.setsockopt(level, name, OptionValue::Null(16)));
    }
    for (level, name) in
        [(SOL_SOCKET, 77), (IPPROTO_TCP, 35), (IPPROTO_IP, 41), (IPPROTO_IP, 64), (IPPROTO_IP, 65)]
    {
        let error = denied("refused to all", socket.getsockopt_bytes(level, name, 1024));
        assert_eq!(error.grant(), None);
    }
    // The ordinary way to what has a grant.
    socket.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)?;
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_REUSEPORT)?, 1);
    socket.setsockopt(SOL_SOCKET, SO_PRIORITY, 1)?;
    Ok(())
}
