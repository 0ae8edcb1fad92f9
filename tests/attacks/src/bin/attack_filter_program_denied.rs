//! Attaches filters of its own, by grants, to hear a sender that no grant names. Argument: `twin`
//! or `attack`.
//!
//! 127.0.0.1 may be sent to and is heard, 127.0.0.2 is not.

use sandsock::constants::*;
use sandsock::errno::{EINVAL, ENOENT, EPERM};
use sandsock::raw::syscalls::{get_option, set_option};
use sandsock::raw::types::{Error, OptionValue};

use sandsock_attacks::filter::{Listener, Sender, done, fails, host, port};

/// An instruction of classic BPF.
fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&code.to_ne_bytes());
    (bytes[2], bytes[3]) = (jt, jf);
    bytes[4..].copy_from_slice(&k.to_ne_bytes());
    bytes
}

/// BPF_RET: how many bytes of the packet are kept.
fn keep(bytes: u32) -> [u8; 8] {
    instruction(0x06, 0, 0, bytes)
}

fn set(listener: &Listener, name: i32, value: OptionValue<'_>) -> Result<(), Error> {
    set_option(&listener.d, SOL_SOCKET, name, value)
}

fn attach(listener: &Listener, program: &[[u8; 8]]) -> Result<(), Error> {
    set(listener, SO_ATTACH_FILTER, OptionValue::Bytes(&program.concat()))
}

fn main() {
    let twin = sandsock_attacks::is_twin();
    let listener = Listener::bound(AF_INET, 0, &host(AF_INET, 1, 0));
    let [listed, stranger] = [1, 2].map(|last| {
        Sender::new(AF_INET, 0, &host(AF_INET, last, 0), host(AF_INET, 1, port(&listener.d)))
    });
    // The stranger is as silent as before, and the listed one is heard.
    let is_as_before = |what: &str| {
        stranger.send(b"unlisted");
        listener.hears_if(twin, what, b"unlisted");
        listed.send(b"listed");
        listener.hears(what, b"listed");
    };
    let detach = || set(&listener, SO_DETACH_FILTER, OptionValue::Integer(0));
    is_as_before("no filter");
    fails("there is none to take away", detach(), ENOENT);

    done("everything", attach(&listener, &[keep(u32::MAX)]));
    is_as_before("a filter that keeps everything");
    // A register that was never loaded is 0.
    done(
        "the registers",
        attach(&listener, &[instruction(0x15, 0, 1, 0), keep(u32::MAX), keep(0)]),
    );
    is_as_before("a filter that asks for what nobody loaded");
    // A datagram that begins with an x, behind UDP's 8 bytes, is dropped, and 3 bytes of any other
    // are kept.
    done(
        "a choice",
        attach(
            &listener,
            &[
                instruction(0x30, 0, 0, 8),
                instruction(0x15, 0, 1, u32::from(b'x')),
                keep(0),
                keep(11),
            ],
        ),
    );
    listed.send(b"x is dropped");
    listener.is_silent("the guest's own choice");
    listed.send(b"y is kept");
    listener.hears("the guest's own choice", b"y i");
    stranger.send(b"y is kept");
    listener.hears_if(twin, "the guest's own choice of the stranger's", b"y i");

    fails("a jump out of it", attach(&listener, &[instruction(0x05, 0, 0, 1), keep(0)]), EINVAL);
    fails(
        "a jump to its end",
        attach(&listener, &[instruction(0x15, 1, 0, 0), keep(u32::MAX)]),
        EINVAL,
    );
    fails("no end", attach(&listener, &[instruction(0x30, 0, 0, 0)]), EINVAL);
    listed.send(b"y is kept");
    listener.hears("a bad program changes nothing", b"y i");

    // So long that nothing more goes into a program.
    for length in [4000, 4096] {
        done("a long one", attach(&listener, &vec![keep(u32::MAX); length]));
        is_as_before("a long program");
    }
    done("detach", detach());
    is_as_before("the guest's own was taken away");
    fails("there is none any more", detach(), ENOENT);

    done("again", attach(&listener, &[keep(u32::MAX)]));
    assert_eq!(get_option(&listener.d, SOL_SOCKET, SO_LOCK_FILTER), Ok(0));
    done("lock", set(&listener, SO_LOCK_FILTER, OptionValue::Integer(1)));
    assert_eq!(get_option(&listener.d, SOL_SOCKET, SO_LOCK_FILTER), Ok(1));
    fails("unlock", set(&listener, SO_LOCK_FILTER, OptionValue::Integer(0)), EPERM);
    fails("attach where it is locked", attach(&listener, &[keep(0)]), EPERM);
    fails("detach where it is locked", detach(), EPERM);
    is_as_before("a locked filter");
    // A guest can't read the attached filter.
    assert!(matches!(get_option(&listener.d, SOL_SOCKET, SO_ATTACH_FILTER), Err(Error::Denied(_))));
}
