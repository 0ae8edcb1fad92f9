//! The provider: the crate `sandsock` as a component that exports `sandsock:socket/sockets` and
//! `data-plane`.
//!
//! All semantics are the crate's. This package converts the contract's values to the crate's and
//! back. It imports only the raw layer of `sandsock:socket`, and nothing of WASI.

#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "sandsock:socket/provider",
        with: {
            "sandsock:socket/types@0.1.0": sandsock::raw::types,
            "sandsock:socket/descriptors@0.1.0": sandsock::raw::descriptors,
            "sandsock:socket/syscalls@0.1.0": sandsock::raw::syscalls,
            "sandsock:socket/connections@0.1.0": sandsock::raw::connections,
            "sandsock:socket/transfers@0.1.0": sandsock::raw::transfers,
            "sandsock:socket/polling@0.1.0": sandsock::raw::polling,
            "sandsock:socket/clock@0.1.0": sandsock::raw::clock,
            "sandsock:socket/interrupts@0.1.0": sandsock::raw::interrupts,
            "sandsock:socket/netdb@0.1.0": sandsock::raw::netdb,
            "sandsock:socket/files@0.1.0": sandsock::raw::files,
            "sandsock:socket/rights@0.1.0": sandsock::raw::rights,
            "sandsock:socket/tls@0.1.0": sandsock::raw::tls,
        },
    });

    export!(Provider);

    use crate::Provider;
}

mod address;
mod data_plane;
mod error;
mod sockets;

use bindings::exports::sandsock::socket as contract;

/// The exports of the component.
#[derive(Debug)]
struct Provider;
