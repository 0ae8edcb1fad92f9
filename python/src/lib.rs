//! CPython's modules `_socket` and `select` as one extension module, over the crate `sandsock`.
//!
//! All semantics are the crate's. This package converts Python's values to the crate's and back.

mod descriptor;
mod errno;
mod error;
mod os;
mod select;
mod socket;
