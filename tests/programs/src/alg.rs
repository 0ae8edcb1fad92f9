//! Code that the guests of the suite `alg` share: addresses and control messages.

use sandsock::constants::*;
use sandsock::raw::types::{self, AlgAddress};
use sandsock::{Address, Ancillary, Result, Socket};

/// The address of an algorithm.
pub fn algorithm(kind: &str, name: &str) -> Address {
    Address::Other(types::Address::Alg(AlgAddress {
        kind: kind.to_owned(),
        name: name.to_owned(),
        feature: 0,
        mask: 0,
    }))
}

/// A socket bound to an algorithm, without a key yet.
///
/// # Errors
/// What the steps say.
pub fn bound(kind: &str, name: &str) -> Result<Socket> {
    let socket = Socket::new(AF_ALG, SOCK_SEQPACKET, 0)?;
    socket.bind(algorithm(kind, name))?;
    Ok(socket)
}

/// ALG_SET_OP.
pub fn operation(number: i32) -> Ancillary {
    Ancillary { level: SOL_ALG, kind: ALG_SET_OP, data: number.to_ne_bytes().to_vec() }
}

/// ALG_SET_IV.
pub fn vector(bytes: &[u8]) -> Ancillary {
    Ancillary {
        level: SOL_ALG,
        kind: ALG_SET_IV,
        data: [&(bytes.len() as u32).to_ne_bytes()[..], bytes].concat(),
    }
}

/// ALG_SET_AEAD_ASSOCLEN.
pub fn associated(length: u32) -> Ancillary {
    Ancillary { level: SOL_ALG, kind: ALG_SET_AEAD_ASSOCLEN, data: length.to_ne_bytes().to_vec() }
}
