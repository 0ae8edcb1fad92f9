//! Code that the attacks on `buffer-bytes` share: sockets that are filled as far as possible, and
//! the kernel's own numbers of the bytes that they hold.

use sandsock::constants::*;
use sandsock::errno::{EAGAIN, EMSGSIZE, ENOBUFS};
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::types::{Error, OptionValue, Wait};
use sandsock::raw::{syscalls, transfers};

/// SO_MEMINFO's words (linux/sock_diag.h).
pub fn memory(d: &Descriptor) -> [u64; 9] {
    let bytes = syscalls::get_option_bytes(d, SOL_SOCKET, SO_MEMINFO, 36).expect("tells");
    std::array::from_fn(|word| {
        u32::from_ne_bytes(bytes[4 * word..][..4].try_into().expect("four bytes")).into()
    })
}

/// Returns the room that a socket's own bytes take in the kernel: those that a UNIX peer has not
/// read, and those in TCP's queue.
pub fn queued(d: &Descriptor) -> u64 {
    let words = memory(d);
    words[2].max(words[5])
}

/// Asks for the greatest send and receive buffer.
pub fn enlarge(d: &Descriptor) {
    for name in [SO_SNDBUF, SO_RCVBUF] {
        syscalls::set_option(d, SOL_SOCKET, name, OptionValue::Integer(i32::MAX)).expect("sets");
    }
}

/// Sends until the socket takes no more, in pieces of several lengths.
pub fn fill(d: &Descriptor) {
    for length in [1 << 20, 200_000, 60_000, 4096, 1] {
        let data = vec![7; length];
        for _ in 0..20_000 {
            match transfers::send(d, &data, 0, Wait::None) {
                Ok(_) => {}
                Err(Error::Os(EAGAIN)) => break,
                // A message that is longer than the buffer, or than the kernel has in one piece.
                Err(Error::Os(EMSGSIZE | ENOBUFS)) if length > 1 => break,
                Err(error) => panic!("{length} bytes: {error:?}"),
            }
        }
    }
}

/// Returns the result. None if the limit of buffers refuses it.
pub fn unless_full<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Os(ENOBUFS)) => None,
        Err(error) => panic!("{error:?}"),
    }
}
