//! Tries to spoil a socket that other instances have too. The twin has it alone, and may.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::connections;
use sandsock::raw::descriptors;
use sandsock::raw::types::{Address, Error, OptionValue, Wait};
use sandsock::raw::{syscalls, transfers};
use sandsock::{Result, Socket, socketpair};
use sandsock_attacks::is_twin;

/// Checks that the only obstacle is that other instances have it.
#[track_caller]
fn spared<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) {
    match result {
        Err(Error::Denied(denial)) => {
            assert!(
                denial.reason.contains("other instances were handed"),
                "{what}: {}",
                denial.reason
            );
            assert_eq!(denial.grant, None, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn spoil(d: &descriptors::Descriptor, stream: bool, port: u16) {
    let loopback = attack::inet([127, 0, 0, 1], port);
    for how in 0..3 {
        spared("shutdown", syscalls::shutdown(d, how));
    }
    for wait in [Wait::None, Wait::Forever, Wait::Within(1_000_000)] {
        spared("dissolve", connections::connect(d, &Address::Unspec, wait));
        spared("connect", connections::connect(d, &loopback, wait));
    }
    spared("bind", syscalls::bind(d, &loopback));
    for (level, name, value) in [
        (SOL_SOCKET, SO_LINGER, OptionValue::Bytes(&[1, 0, 0, 0, 0, 0, 0, 0])),
        (SOL_SOCKET, SO_RCVTIMEO, OptionValue::Bytes(&[1; 16])),
        (SOL_SOCKET, SO_RCVBUF, OptionValue::Integer(1)),
        (SOL_SOCKET, SO_LOCK_FILTER, OptionValue::Integer(1)),
        (SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&[6, 0, 0, 0, 0, 0, 0, 0])),
        (SOL_SOCKET, SO_KEEPALIVE, OptionValue::Integer(0)),
        (IPPROTO_IP, IP_TTL, OptionValue::Integer(1)),
    ] {
        spared("an option", syscalls::set_option(d, level, name, value));
    }
    if stream {
        spared("MSG_FASTOPEN", transfers::send_to(d, b"x", MSG_FASTOPEN, &loopback, Wait::None));
        // Servers do this with a socket that they are given. It listens, and goes on to.
        for backlog in [0, 1, 1000] {
            syscalls::listen(d, backlog).expect("it listens");
        }
    } else {
        spared("MSG_MORE", transfers::send_to(d, b"x", MSG_MORE, &loopback, Wait::None));
        spared("listen", syscalls::listen(d, 1));
    }
    // The bit is each guest's own.
    let before = descriptors::get_nonblocking(d).expect("a bit");
    descriptors::set_nonblocking(d, !before).expect("its own");
    assert_eq!(descriptors::get_nonblocking(d), Ok(!before));
}

fn main() -> Result<()> {
    let number: i32 = attack::args().pop().expect("a number").parse().expect("a number");
    let d = attack::raw(descriptors::inherit(number))?;
    let DescriptorSocket { stream, port } = kind(&d)?;
    if is_twin() {
        attack::raw(descriptors::set_nonblocking(&d, true))?;
        attack::raw(syscalls::set_option(&d, SOL_SOCKET, SO_KEEPALIVE, OptionValue::Integer(1)))?;
        if stream {
            attack::raw(syscalls::listen(&d, 7))?;
            attack::raw(syscalls::shutdown(&d, 2))?;
        } else {
            attack::raw(connections::connect(&d, &attack::inet([127, 0, 0, 1], port), Wait::None))?;
            attack::raw(connections::connect(&d, &Address::Unspec, Wait::None))?;
        }
        println!("spoilt");
        return Ok(());
    }
    spoil(&d, stream, port);
    // By a duplicate, and by one that went out and came in again.
    spoil(&attack::raw(descriptors::duplicate(&d))?, stream, port);
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let copy = Socket::with_fileno(number, None, None, None)?;
    a.send_fds(&[IoSlice::new(b"x")], &[copy.fileno()])?;
    drop((a, copy));
    let (c, e) = attack::raw(syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0))?;
    let out = [transfers::ControlOut::Rights(&[&d])];
    attack::raw(transfers::send_message(&c, &[b"x"], &out, 0, None, Wait::None))?;
    let mut received = attack::raw(transfers::receive_message(&e, 1, 100, 0, Wait::None))?;
    let Some(transfers::ControlIn::Rights(mut fds)) = received.control.pop() else {
        panic!("nothing came")
    };
    spoil(&fds.pop().expect("a descriptor"), stream, port);
    drop(b);
    println!("tried");
    Ok(())
}

struct DescriptorSocket {
    stream: bool,
    port: u16,
}

fn kind(d: &descriptors::Descriptor) -> Result<DescriptorSocket> {
    let sandsock::raw::types::DescriptorKind::Socket(kind) = attack::raw(descriptors::kind(d))?
    else {
        panic!("no socket")
    };
    let port = match attack::raw(syscalls::local_address(d))? {
        Some(Address::Inet(address)) => address.port,
        other => panic!("{other:?}"),
    };
    Ok(DescriptorSocket { stream: kind.type_ == SOCK_STREAM, port })
}
