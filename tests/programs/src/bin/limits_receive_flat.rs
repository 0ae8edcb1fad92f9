//! Asks for the greatest number of bytes, in every form of receive. Argument: a UDP port to send
//! to.

use sandsock::constants::*;
use sandsock::raw::types::Wait;
use sandsock::raw::{descriptors::Descriptor, syscalls, transfers};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{inet, ports, raw};

/// 4 GiB, one more, and as much as can be said.
const HUGE: [u64; 4] = [1 << 32, (1 << 32) + 1, i64::MAX as u64, u64::MAX];

fn receive_all(
    d: &Descriptor,
    mut send: impl FnMut() -> sandsock::Result<()>,
) -> sandsock::Result<()> {
    for length in HUGE {
        for flags in [0, MSG_PEEK, MSG_TRUNC | MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL | MSG_DONTWAIT] {
            send()?;
            let peek = flags & MSG_PEEK != 0;
            let wait = if flags & MSG_WAITALL != 0 { Wait::None } else { Wait::Forever };
            let check = |data: &[u8]| {
                assert!(data.is_empty() || data.starts_with(b"some"), "{length} {flags}: {data:?}")
            };
            check(&raw(transfers::receive(d, length, flags, wait))?);
            if !peek {
                send()?;
            }
            check(&raw(transfers::receive_from(d, length, flags, wait))?.data);
            if !peek {
                send()?;
            }
            for control in [0, 1 << 18, u32::MAX] {
                check(
                    &raw(transfers::receive_message(d, length, control, flags | MSG_PEEK, wait))?
                        .data,
                );
            }
            check(
                &raw(transfers::receive_message(d, length, u32::MAX, flags & !MSG_PEEK, wait))?
                    .data,
            );
        }
    }
    Ok(())
}

fn main() -> sandsock::Result<()> {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = raw(syscalls::socketpair(AF_UNIX, kind, 0))?;
        receive_all(&b, || raw(transfers::send(&a, b"some", 0, Wait::None)).map(|_| ()))?;
        assert_eq!(
            raw(transfers::receive(&b, 10, 0, Wait::None)).map_err(|e| e.errno()),
            Err(Some(11))
        );
    }
    let to = inet([127, 0, 0, 1], ports()[0]);
    let (a, b) = (
        raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?,
        raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?,
    );
    raw(syscalls::bind(&b, &to))?;
    receive_all(&b, || raw(transfers::send_to(&a, b"some", 0, &to, Wait::None)).map(|_| ()))?;

    // Python's own form: the most that a 32-bit guest can ask for.
    let (a, b) = sandsock::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    for _ in 0..1000 {
        a.send(b"some", 0)?;
        assert_eq!(b.recv(usize::MAX, 0)?, b"some");
    }
    // Option buffers and waits of any length are no way either.
    let d = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    for length in [1 << 17, u32::MAX] {
        let answer = raw(syscalls::get_option_bytes(&d, SOL_SOCKET, SO_TYPE, length));
        assert_eq!(answer.map_err(|error| error.errno()), Err(Some(sandsock::errno::EINVAL)));
    }
    for wait in [Wait::Within(0), Wait::Until(0), Wait::Until(1)] {
        let nothing = raw(transfers::receive(&d, 10, 0, wait));
        assert_eq!(nothing.map_err(|error| error.errno()), Err(Some(sandsock::errno::EAGAIN)));
    }
    Ok(())
}
