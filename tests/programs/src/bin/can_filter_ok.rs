//! Filters of CAN_RAW: masks, inverted filters, joined filters, no filters; error frames; CAN FD.

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};
use sandsock_test_programs::argument;
use sandsock_test_programs::can::{fd_frame, frame, raw, silent};

/// CAN_INV_FILTER: what does not match.
const INVERTED: u32 = 0x2000_0000;

fn filter(socket: &Socket, filters: &[(u32, u32)]) -> Result<(), Error> {
    let bytes: Vec<u8> = filters
        .iter()
        .flat_map(|(id, mask)| [id.to_ne_bytes(), mask.to_ne_bytes()].concat())
        .collect();
    socket.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, OptionValue::Bytes(&bytes))
}

fn main() -> Result<(), Error> {
    let index = argument(0);
    let (a, b) = (raw(index)?, raw(index)?);
    let send = |ids: &[u32]| ids.iter().try_for_each(|id| a.send(&frame(*id, b"x"), 0).map(drop));
    let expect = |id: u32| -> Result<(), Error> {
        assert_eq!(b.recv(16, 0)?, frame(id, b"x"));
        Ok(())
    };

    filter(&b, &[(0x200, 0x700), (0x123, CAN_SFF_MASK)])?;
    let set = b.getsockopt_bytes(SOL_CAN_RAW, CAN_RAW_FILTER, 64)?;
    assert_eq!(set.len(), 16);
    send(&[0x100, 0x123, 0x2ff, 0x300])?;
    expect(0x123)?;
    expect(0x2ff)?;
    silent(&b);

    // With joined filters, all must match: in the 200s, but not 201.
    filter(&b, &[(0x200, 0x700), (0x201 | INVERTED, CAN_SFF_MASK)])?;
    b.setsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS, 1)?;
    send(&[0x201, 0x202, 0x300])?;
    expect(0x202)?;
    silent(&b);
    b.setsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS, 0)?;

    filter(&b, &[])?;
    send(&[1, 2])?;
    silent(&b);
    filter(&b, &[(0, 0)])?;

    // Error frames are none of the filters' business.
    let error = frame(CAN_ERR_FLAG | 4, b"\0\0\0\0\0\0\0\0");
    a.send(&error, 0)?;
    silent(&b);
    b.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, OptionValue::Bytes(&CAN_ERR_MASK.to_ne_bytes()))?;
    a.send(&error, 0)?;
    assert_eq!(b.recv(16, 0)?, error);

    // CAN FD: frames of 72 bytes, for those who ask for them.
    let long = fd_frame(0x42, &[7; 64]);
    sandsock_test_programs::fails_with(a.send(&long, 0), "OSError", sandsock::errno::EINVAL);
    a.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1)?;
    a.send(&long, 0)?;
    silent(&b);
    b.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1)?;
    a.send(&long, 0)?;
    let mut got = b.recv(100, 0)?;
    // Later kernels mark it as what it is, CANFD_FDF.
    got[5] &= !4;
    assert_eq!(got, long);
    send(&[3])?;
    expect(3)
}
