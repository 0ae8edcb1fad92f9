//! The attacks: guests that try to get round a policy or to harm the host, each with a twin that is
//! allowed the same act.
//!
//! A guest `attack_<kind>_<what>_<outcome>` in `src/bin` has its test of that name in the kind's
//! file here. `make attacks` runs them all. A kind's file says which promise it attacks.

pub(crate) mod budget;
pub(crate) mod buffers;
pub(crate) mod capture;
pub(crate) mod dirs;
pub(crate) mod filter;
pub(crate) mod lists;
pub(crate) mod output;
pub(crate) mod paths;
pub(crate) mod policy;
pub(crate) mod pools;
pub(crate) mod ports;
pub(crate) mod rights;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod strangers;
pub(crate) mod tls;
pub(crate) mod wait;
pub(crate) mod wasi;
