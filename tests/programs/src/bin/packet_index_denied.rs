//! Holds `packet=lo`, which lets it ask for that interface's number and name; the number is denied by a rule of its own.

use sandsock::constants::*;
use sandsock::raw::syscalls::{ioctl, socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_by_rule, denied_for, raw};

fn main() -> sandsock::Result<()> {
    let d = raw(socket(AF_PACKET, SOCK_RAW, 0))?;
    let mut request = [0; 40];
    request[..2].copy_from_slice(b"lo");
    denied_by_rule("the number", raw(ioctl(&d, 0x8933, &request)).map(|result| result.argument));
    // The name of number 1, which no rule denies.
    request[16] = 1;
    assert_eq!(raw(ioctl(&d, 0x8910, &request))?.argument[..3], *b"lo\0");
    // Of an interface without a grant the frames are what is missing.
    request[16] = 2;
    denied_for("another's name", raw(ioctl(&d, 0x8910, &request)).map(|result| result.argument), "packet=left");
    Ok(())
}
