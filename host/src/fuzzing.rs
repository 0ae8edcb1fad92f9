//! Entries for the fuzz targets (`fuzz/`). cargo-fuzz alone sets `cfg(fuzzing)`.

use crate::authority::{family, permit};
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::sys::address::RawAddress;
use crate::sys::control;

/// Reads the bytes as an address of each family.
pub fn addresses(data: &[u8]) {
    let Some((&[kind, protocol], rest)) = data.split_first_chunk::<2>() else { return };
    let types = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
    let type_ = types[usize::from(kind) % types.len()];
    for number in 0..46u16 {
        let kind = SocketKind { family: number.into(), type_, protocol: protocol.into() };
        let bytes = [&number.to_ne_bytes(), rest].concat();
        let raw = RawAddress::from_bytes(&bytes[..bytes.len().min(128)]);
        let _ = (raw.to_ip(), format!("{raw:?}"), family::decode(&raw, kind));
    }
}

/// Splits the bytes into control messages.
pub fn control_messages(data: &[u8]) {
    let mut total = 0;
    let mut encoded = Vec::new();
    for item in control::split(data) {
        total += item.data.len();
        control::push(&mut encoded, item.level, item.kind, item.data);
    }
    assert!(total <= data.len());
    assert!(!control::is_malformed(&encoded));
    assert_eq!(control::has_rights(data), control::has_rights(&encoded));
    let _ = control::is_malformed(data);
}

/// Reads the bytes as messages of netlink.
pub fn netlink(data: &[u8]) {
    let bodies: usize = family::netlink::messages(data)
        .map(|message| message.map_or(0, |message| message.body.len()))
        .sum();
    assert!(bodies <= data.len());
    family::netlink::fuzz(data);
}

/// Reads the bytes as the value of each option.
pub fn option_values(data: &[u8]) {
    permit::fuzz_values(data);
}
