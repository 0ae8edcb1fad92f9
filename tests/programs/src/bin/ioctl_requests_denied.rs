//! Every request of the table without a grant, and others. Each argument is
//! `NUMBER:SIZE:ACCESS:NAME`.

use sandsock::constants::*;
use sandsock::errno::{EINVAL, ENOTTY, EOPNOTSUPP};
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{ioctl, socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, denied, denied_for, raw, refused};

fn ask(d: &Descriptor, request: u32, argument: &[u8]) -> sandsock::Result<Vec<u8>> {
    raw(ioctl(d, request, argument)).map(|result| result.argument)
}

fn main() -> sandsock::Result<()> {
    let mut count = 0;
    let mut known = Vec::new();
    for (family, kind) in [
        (AF_INET, SOCK_DGRAM),
        (AF_INET, SOCK_STREAM),
        (AF_INET6, SOCK_DGRAM),
        (AF_UNIX, SOCK_STREAM),
    ] {
        let d = raw(socket(family, kind, 0))?;
        for argument in args() {
            let [number, size, access, name] = argument.split(':').collect::<Vec<_>>()[..] else {
                panic!("{argument}")
            };
            let (number, size): (u32, usize) =
                (number.parse().expect("a number"), size.parse().expect("a size"));
            known.push(number);
            match access {
                "granted" => {
                    denied_for(name, ask(&d, number, &vec![0; size]), &format!("ioctl={name}"))
                }
                "refused" => {
                    assert_eq!(denied(name, ask(&d, number, &vec![0; size])).grant(), None)
                }
                _ => {
                    refused(name, ask(&d, number, &vec![0; size + 1]), EINVAL);
                    refused(name, ask(&d, number, &vec![0; size - 1]), EINVAL);
                    refused(name, ask(&d, number, &[]), EINVAL);
                }
            }
            count += 1;
        }
        // Bridges, tunnels, time stamps of hardware, private ones of drivers, terminals, and what
        // no one has.
        let near = (0x8900..0x8a00).chain(0x5400..0x5480).chain(0x89f0..0x8a00).chain([
            0,
            1,
            u32::MAX,
            0x4004_54ca,
            0xc020_660b,
        ]);
        for request in near.filter(|request| !known.contains(request)) {
            for length in [0, 4, 40, 4096] {
                refused("unknown", ask(&d, request, &vec![0; length]), ENOTTY);
            }
        }
        // SIO_RCVALL, SIO_KEEPALIVE_VALS, SIO_LOOPBACK_FAST_PATH.
        for request in [0x9800_0001, 0x9800_0004, 0x9800_0010] {
            refused("Windows'", ask(&d, request, &[0; 4]), EOPNOTSUPP);
        }
    }
    assert!(count > 100, "{count}");
    Ok(())
}
