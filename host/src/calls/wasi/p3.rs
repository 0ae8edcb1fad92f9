//! `wasi:sockets` 0.3. `linker/wasi3.rs` lists its functions.

pub(crate) mod listen;
pub(crate) mod names;
pub(crate) mod streams;
pub(crate) mod tcp;
pub(crate) mod types;
pub(crate) mod udp;
