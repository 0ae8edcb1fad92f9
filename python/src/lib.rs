//! CPython's modules `_socket`, `_ssl` and `select` as one extension module, over the crate
//! `sandsock`.
//!
//! All semantics are the crate's. This package converts Python's values to the crate's and back.
//! Each module uses only modules further down: `module`; `ssl`; `names`, `socket`, `transfer`, `select`,
//! `hashes`, `os`; `address`; `error`; `errno`, `ffi`, `panic`.

mod address;
mod errno;
mod error;
mod ffi;
mod hashes;
mod module;
mod names;
mod os;
mod panic;
mod select;
mod socket;
mod ssl;
mod transfer;
