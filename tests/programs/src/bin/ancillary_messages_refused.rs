//! Control messages that are malformed, too many, too long, or not granted.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::transfers::{self, ControlOut};
use sandsock::raw::types::{ControlMessage, Error as RawError, Wait};
use sandsock::{Ancillary, Error, ErrorKind, Flags, errno, socketpair};

fn main() -> Result<(), Error> {
    let fits: usize =
        std::env::args().nth(1).expect("how many credentials fit").parse().expect("a number");
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (closed, _) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let number = closed.fileno();
    closed.close()?;
    let send =
        |messages: &[Ancillary]| a.sendmsg(&[IoSlice::new(b"x")], messages, Flags::NONE, None);
    for fds in [&[number][..], &[-1], &[1 << 30], &[a.fileno(), number]] {
        assert_eq!(
            send(&[Ancillary::rights(fds)]).unwrap_err().errno(),
            Some(errno::EBADF),
            "{fds:?}"
        );
    }
    // 253 are the most that one message takes (man 7 unix).
    let many = if fits > 100 { errno::EINVAL } else { errno::ENOBUFS };
    assert_eq!(send(&[Ancillary::rights(&[a.fileno(); 254])]).unwrap_err().errno(), Some(many));

    // The guest's numbers mean nothing to the host: as bytes they are no rights.
    let raw = a.alias()?;
    for data in [0i32.to_ne_bytes().to_vec(), Vec::new()] {
        let message = ControlMessage { level: SOL_SOCKET, type_: SCM_RIGHTS, data };
        let message = ControlOut::Message(&message);
        let result = transfers::send_message(
            &raw,
            &[b"x"],
            std::slice::from_ref(&message),
            0,
            None,
            Wait::None,
        );
        assert_eq!(result, Err(RawError::Os(errno::EINVAL)));
    }

    // If an option needs a grant, the control message of that option needs it too.
    let mark = Ancillary { level: SOL_SOCKET, kind: SO_MARK, data: vec![1, 0, 0, 0] };
    let error = send(&[mark]).unwrap_err();
    assert_eq!(
        (error.kind(), error.grant()),
        (ErrorKind::Denied, Some("option=SOL_SOCKET/SO_MARK"))
    );

    let ids = Ancillary { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data: vec![0; 12] };
    assert_eq!(send(&vec![ids.clone(); fits + 1]).unwrap_err().errno(), Some(errno::ENOBUFS));
    // Nothing of all this was sent.
    b.setblocking(false)?;
    assert_eq!(b.recv(1, Flags::NONE).unwrap_err().errno(), Some(errno::EAGAIN));
    assert_eq!(send(&vec![ids; fits.min(2)])?, 1);
    assert_eq!(b.recv(9, Flags::NONE)?, b"x");
    Ok(())
}
