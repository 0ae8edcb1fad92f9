//! The kernel's own tables, which the host reads for its decisions (man 7 netlink).

use std::io::{Read as _, Write as _};

use rustix::io::Errno;

use super::errno;

/// Sends a request for a dump, and returns the datagrams of the answer one after the other. The
/// last one is the one for which `is_last` holds.
pub(crate) fn netlink_dump(
    protocol: i32,
    request: &[u8],
    is_last: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Errno> {
    let mut socket = socket2::Socket::new(
        socket2::Domain::from(libc::AF_NETLINK),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::from(protocol)),
    )
    .map_err(errno)?;
    // The kernel answers within the call: a dump is in the queue when send(2) returns.
    socket.set_nonblocking(true).map_err(errno)?;
    socket.write_all(request).map_err(errno)?;
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = socket.read(&mut buffer).map_err(errno)?;
        let part = buffer.get(..count).ok_or(Errno::IO)?;
        all.extend_from_slice(part);
        if is_last(part) || count == 0 {
            return Ok(all);
        }
    }
}
