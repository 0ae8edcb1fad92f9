//! The functions of the contract, a file for each WIT interface: each decodes its arguments, asks
//! [`crate::authority`] for a permit, and makes the system call with it.

pub(crate) mod connections;
pub(crate) mod files;
pub(crate) mod netdb;
pub(crate) mod polling;
pub(crate) mod syscalls;
pub(crate) mod transfers;
