//! The package `wasi:sockets`, served by this host's own descriptors, permits and system calls.
//!
//! This module and its direct submodules are what the versions of the package have in common:
//!
//! * [`error`]: the error codes, and the code of each errno and denial;
//! * [`address`]: the checks of addresses that the package prescribes;
//! * [`options`]: the options with the ranges that the package prescribes;
//! * [`tcp`]: a TCP socket and its states;
//! * [`connection`]: the bytes of a TCP connection, for streams that have no store;
//! * [`udp`]: a UDP socket, its states and its datagrams;
//! * [`names`]: the error codes of look-ups. [`crate::calls::netdb`] makes them.
//!
//! A version's own part has the types of its functions, its functions, and what only it has: for 0.2
//! in [`p2`] the pairs of `start-` and `finish-` functions, `would-block`, and the streams and
//! pollables of wasmtime's `wasi:io`; for 0.3 in [`p3`] the async functions, and the streams and
//! futures of the Component Model.

pub(crate) mod address;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod p2;
pub(crate) mod p3;
pub(crate) mod tcp;
pub(crate) mod udp;
