//! The functions of the contract, a file for each WIT interface: each decodes its arguments, asks
//! [`crate::authority`] for a permit, and makes the system call with it.

mod clock;
pub(crate) mod connections;
mod descriptors;
pub(crate) mod files;
mod interrupts;
pub(crate) mod netdb;
pub(crate) mod polling;
mod syscalls;
pub(crate) mod transfers;
mod types;
