//! AF_VSOCK (man 7 vsock): connections between a machine and its virtual machines, by context id
//! and port.

use rustix::io::Errno;
use sandsock_abi::constants::{VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL, VMADDR_PORT_ANY};

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, SocketKind, VsockAddress};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::RawAddress;
use sandsock_policy::{FamilyTarget, Request, VsockUse};

pub(super) struct Vsock;

/// sockaddr_vm: family, a reserved field, port, cid, flags. The flags stay 0, because
/// VMADDR_FLAG_TO_HOST would lead to another cid than the one that was checked.
fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Vsock(VsockAddress { cid, port }) = *address else {
        return Err(Errno::AFNOSUPPORT);
    };
    let words = [libc::AF_VSOCK as u32, port, cid, 0];
    Ok(RawAddress::from_bytes(&words.map(u32::to_ne_bytes).concat()))
}

/// Returns all cids that lead to the same machine (the kernel's `vsock_use_local_transport`). A
/// machine is reached by VMADDR_CID_LOCAL, by its own cid and, if it is not a virtual machine, by
/// VMADDR_CID_HOST.
fn same_place(cid: u32) -> Vec<u32> {
    let own = sys::local_cid().unwrap_or(VMADDR_CID_ANY);
    let mut local = vec![VMADDR_CID_LOCAL];
    match own {
        // Older kernels report no cid if only the loopback exists.
        VMADDR_CID_ANY | VMADDR_CID_LOCAL => local.push(VMADDR_CID_HOST),
        own => local.push(own),
    }
    if local.contains(&cid) { local } else { vec![cid] }
}

impl FamilyRules for Vsock {
    const TYPES: &'static [i32] = &[libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM];

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        Some(Address::Vsock(VsockAddress { port: bytes.u32(4)?, cid: bytes.u32(8)? }))
    }

    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        let Address::Vsock(VsockAddress { cid, port }) = *address else {
            return Err(Errno::AFNOSUPPORT.into());
        };
        let (purpose, same) = match purpose {
            Use::Bind(_) => (VsockUse::Listen, vec![cid]),
            Use::Connect | Use::Send(_) => (VsockUse::Connect, same_place(cid)),
        };
        gate.decide(&Request::Family(FamilyTarget::Vsock { purpose, cid, same: &same, port }))?;
        Ok(Destination::plain(raw))
    }

    fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()> {
        let Some(Address::Vsock(VsockAddress { cid, port })) =
            Self::decode(&sys::local_address(socket.fd())?, socket.socket()?)
        else {
            return Err(Errno::INVAL.into());
        };
        if port == VMADDR_PORT_ANY {
            // The socket has no name, so the kernel refuses.
            return Ok(());
        }
        // The bind was granted with a port of the kernel's choice. Rules may still deny the chosen
        // port.
        let same = [cid];
        let listen = |port| {
            Request::Family(FamilyTarget::Vsock {
                purpose: VsockUse::Listen,
                cid,
                same: &same,
                port,
            })
        };
        gate.not_denied(&listen(port))?;
        let port = if socket.is_port_chosen() { VMADDR_PORT_ANY } else { port };
        gate.decide(&listen(port))
    }

    fn judge_bound(gate: &Gate, socket: &Handle, _kind: SocketKind) -> CallResult<()> {
        Self::judge_listen(gate, socket)
    }

    #[cfg(test)]
    const FIXED: bool = true;

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let vsock = |cid, port| (0, Address::Vsock(VsockAddress { cid, port }));
        vec![vsock(VMADDR_CID_LOCAL, 1024), vsock(VMADDR_CID_ANY, VMADDR_PORT_ANY), vsock(0, 0)]
    }
}
