//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use std::time::{Duration, SystemTime};

use super::traffic::Direction;

/// The interfaces of the file: one for IP packets without a link layer (LINKTYPE_RAW), and one for
/// exported PDUs (LINKTYPE_WIRESHARK_UPPER_PDU).
const INTERFACES: [(u16, &str); 2] = [(101, "ip"), (252, "other")];
pub(super) const IP: u32 = 0;
pub(super) const PDU: u32 = 1;

pub(super) fn file_header() -> Vec<u8> {
    let mut file = Vec::new();
    block(&mut file, 0x0a0d_0d0a, |body| {
        body.extend(0x1a2b_3c4du32.to_le_bytes());
        body.extend(1u16.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        // The length of the section is not known.
        body.extend(u64::MAX.to_le_bytes());
        option(body, 4, concat!("sandsock ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(body, 0, &[]);
    });
    for (link, name) in INTERFACES {
        block(&mut file, 1, |body| {
            body.extend(link.to_le_bytes());
            body.extend(0u16.to_le_bytes());
            // snaplen: no limit.
            body.extend(0u32.to_le_bytes());
            option(body, 2, name.as_bytes());
            // if_tsresol: nanoseconds.
            option(body, 9, &[9]);
            option(body, 0, &[]);
        });
    }
    file
}

/// Returns a block with an interface's statistics, which have the number of missing packets.
pub(super) fn statistics(lost: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let (high, low) = stamp(SystemTime::now());
    block(&mut out, 5, |body| {
        body.extend(IP.to_le_bytes());
        body.extend(high.to_le_bytes());
        body.extend(low.to_le_bytes());
        // isb_ifdrop
        option(body, 5, &lost.to_le_bytes());
        option(body, 0, &[]);
    });
    out
}

/// Returns the two halves of a time in nanoseconds.
fn stamp(time: SystemTime) -> (u32, u32) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let stamp = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    ((stamp >> 32) as u32, stamp as u32)
}

/// A packet's time and comment.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) time: SystemTime,
    pub(super) comment: &'a str,
}

impl At<'_> {
    pub(super) fn plain(time: SystemTime) -> Self {
        Self { time, comment: "" }
    }
}

pub(super) fn enhanced_packet(
    out: &mut Vec<u8>,
    interface: u32,
    (packet, length): (&[u8], usize),
    direction: Option<Direction>,
    at: At<'_>,
) {
    let (high, low) = stamp(at.time);
    block(out, 6, |body| {
        body.extend(interface.to_le_bytes());
        body.extend(high.to_le_bytes());
        body.extend(low.to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        padded(body, packet);
        if !at.comment.is_empty() {
            option(body, 1, at.comment.as_bytes());
        }
        // epb_flags: 1 is inbound, 2 outbound.
        let flags: u32 = match direction {
            Some(Direction::Received) => 1,
            Some(Direction::Sent) => 2,
            None => 0,
        };
        option(body, 2, &flags.to_le_bytes());
        option(body, 0, &[]);
    });
}

/// Adds a block: its type, its length, its body, and its length again.
fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(body);
    out.extend(length);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Returns the tags before an exported PDU (epan/exported_pdu.h), which are big-endian. They are
/// the dissector `data`, and the text of the protocol's column.
pub(super) fn exported_pdu(protocol: &str) -> Vec<u8> {
    const DISSECTOR: u16 = 12;
    const PROTOCOL_COLUMN: u16 = 33;
    let mut tags = Vec::new();
    for (tag, value) in [(DISSECTOR, "data"), (PROTOCOL_COLUMN, protocol)] {
        tags.extend(tag.to_be_bytes());
        tags.extend((value.len().next_multiple_of(4) as u16).to_be_bytes());
        padded(&mut tags, value.as_bytes());
    }
    tags.extend([0; 4]);
    tags
}
