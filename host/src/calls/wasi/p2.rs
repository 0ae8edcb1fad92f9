//! `wasi:sockets` 0.2. `linker/wasi2.rs` lists its functions.

pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod streams;
pub(crate) mod tcp;
pub(crate) mod types;
pub(crate) mod udp;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error as StreamError};

use crate::observe::{Identify, Identity};

/// Resources of `wasi:io`, whose drop is not observed.
macro_rules! unobserved {
    ($($type:ty = $name:literal;)*) => {$(
        impl Identify for $type {
            fn identify(_: &Resource<Self>, _: &ResourceTable) -> Identity {
                Identity::Type($name)
            }
        }
    )*};
}

unobserved! {
    DynPollable = "pollable";
    DynInputStream = "input-stream";
    DynOutputStream = "output-stream";
    StreamError = "error";
}
