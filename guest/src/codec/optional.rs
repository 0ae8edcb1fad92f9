//! Encodings that a text file rarely has.

pub(super) mod charmap;
pub(super) mod utf16;
pub(super) mod utf7;
