//! Asks in every way for the ids of the peer, and of the host. The twin gets them.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::transfers;
use sandsock::raw::types::Wait;
use sandsock::raw::{connections, syscalls};
use sandsock::{Ancillary, Result, Socket, socketpair};
use sandsock_attacks::is_twin;

const GRANT: &str = "option=SOL_SOCKET/SO_PEERCRED";

fn main() -> Result<()> {
    let mut args = attack::args();
    let path = args.pop().expect("a path");
    let ids: Vec<u8> = args[usize::from(is_twin())..]
        .iter()
        .flat_map(|id| id.parse::<u32>().expect("a number").to_ne_bytes())
        .collect();
    let nobody = [0u32, 65534, 65534].map(u32::to_ne_bytes).concat();
    let shown = if is_twin() { &ids } else { &nobody };
    let peer = |socket: &Socket| -> Result<()> {
        let result = socket.getsockopt_bytes(SOL_SOCKET, SO_PEERCRED, 12);
        if is_twin() {
            assert_eq!(result?, ids);
        } else {
            attack::denied_for("SO_PEERCRED", result, GRANT);
            attack::denied_for("SO_PEERCRED", socket.getsockopt(SOL_SOCKET, SO_PEERCRED), GRANT);
        }
        Ok(())
    };
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = socketpair(AF_UNIX, kind, 0)?;
        peer(&a)?;
        b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1)?;
        // Without a control message of the guest's own, and with one.
        let claim = Ancillary { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data: ids.clone() };
        for control in [&[][..], &[claim][..]] {
            a.sendmsg(&[IoSlice::new(b"x")], control, 0, None)?;
            let got = b.recvmsg(1, 100, 0)?;
            assert_eq!(got.ancillary.len(), 1);
            assert_eq!(&got.ancillary[0].data, shown);
            // Cut, it is the same.
            a.sendmsg(&[IoSlice::new(b"x")], control, 0, None)?;
            let got = b.recvmsg(1, 24, 0)?;
            assert_eq!(got.ancillary[0].data, shown[..8]);
        }
    }
    // A peer of another program, and one that has SO_PASSCRED set already.
    let connected = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connected.connect(&path)?;
    peer(&connected)?;
    let inherited = Socket::with_fileno(3, None, None, None)?;
    assert_eq!(&inherited.recvmsg(1, 100, 0)?.ancillary[0].data, shown);
    // By a batch.
    let (a, b) = attack::raw(syscalls::socketpair(AF_UNIX, SOCK_DGRAM, 0))?;
    attack::raw(syscalls::set_option(
        &b,
        SOL_SOCKET,
        SO_PASSCRED,
        sandsock::raw::types::OptionValue::Integer(1),
    ))?;
    for _ in 0..3 {
        attack::raw(transfers::send(&a, b"x", 0, Wait::None))?;
    }
    let batch = attack::raw(transfers::receive_batch(&b, 10, 1, 100, 0, Wait::None))?;
    assert_eq!(batch.messages.len(), 3);
    assert!(batch.messages.iter().all(|message| &message.control[0].data == shown));
    attack::raw(connections::close(a))?;
    Ok(())
}
