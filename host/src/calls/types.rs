//! The shared types have no function: only how an error of the host becomes the contract's.

use crate::bindings::sandsock::socket::types::{self, Error};
use crate::ctx::SandsockCtxView;
use crate::error::Fault;

impl types::Host for SandsockCtxView<'_> {
    fn convert_error(&mut self, fault: Fault) -> wasmtime::Result<Error> {
        match fault {
            Fault::Error(error) => Ok(error),
            Fault::Trap(trap) => Err(trap),
        }
    }
}
