//! AF_ALG (the kernel's Documentation/crypto/userspace-if.rst): the kernel's ciphers and hashes.
//!
//! A socket is bound to an algorithm. The socket that accept returns then does the work, without
//! further checks.

use rustix::io::Errno;

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, AlgAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use sandsock_policy::{FamilyTarget, Request};

/// sockaddr_alg's room for the kind and for the name, each with its NUL.
const KIND: usize = 14;
const NAME: usize = 64;

pub(super) struct Alg;

/// sockaddr_alg: family, kind, features, mask, name.
fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Alg(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let mut bytes = vec![0; 24 + NAME];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(0, &(libc::AF_ALG as u16).to_ne_bytes());
    for (text, at, room) in [(&address.kind, 2, KIND), (&address.name, 24, NAME)] {
        // The kernel would read the name only up to a NUL, and so use another name than the one
        // checked.
        if text.len() >= room || text.contains('\0') {
            return Err(Errno::INVAL);
        }
        put(at, text.as_bytes());
    }
    put(16, &address.feature.to_ne_bytes());
    put(20, &address.mask.to_ne_bytes());
    Ok(RawAddress::from_bytes(&bytes))
}

impl FamilyRules for Alg {
    const TYPES: &'static [i32] = &[libc::SOCK_SEQPACKET];

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        let text = |at, room| {
            let field: &[u8] = bytes.0.get(at..at + room)?;
            Some(String::from_utf8_lossy(field.split(|byte| *byte == 0).next()?).into_owned())
        };
        Some(Address::Alg(AlgAddress {
            kind: text(2, KIND)?,
            feature: bytes.u32(16)?,
            mask: bytes.u32(20)?,
            name: text(24, NAME)?,
        }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        let Address::Alg(AlgAddress { kind, name, .. }) = address else {
            return Err(Errno::AFNOSUPPORT.into());
        };
        gate.decide(&Request::Family(FamilyTarget::Alg { kind, name }))?;
        Ok(Destination::plain(raw))
    }

    /// The kernel has no listen for this family, and returns its error.
    fn judge_listen(_gate: &Gate, _socket: &Handle) -> CallResult<()> {
        Ok(())
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let alg = |kind: &str, name: &str, feature, mask| {
            Address::Alg(AlgAddress { kind: kind.to_owned(), name: name.to_owned(), feature, mask })
        };
        vec![
            (0, alg("hash", "sha256", 0, 0)),
            (0, alg(&"k".repeat(13), &"n".repeat(63), 1, u32::MAX)),
            (0, alg("", "", 0, 0)),
        ]
    }
}
