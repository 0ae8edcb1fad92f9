//! TLS for sandsock's host: sessions without I/O over rustls, trust in roots, and identities.
//!
//! A [`Session`] takes the bytes that a transport received and gives the bytes to send, so the host
//! decides how it waits. A [`Client`] or a [`Server`] makes sessions of one setup. Its tickets are
//! its own: two instances that must not share tickets have a client of their own each.
//!
//! Keys stay in an [`Identity`], which gives no access to them. TLS 1.2 and 1.3 are offered, without
//! early data, renegotiation and compression.
//!
//! Nothing here knows of guests or of policies. The host decides which names, roots and identities
//! a guest may use.

mod failure;
mod identity;
mod roots;
mod session;
mod setup;
mod tickets;
mod verify;

pub use failure::{CertificateFault, Failure};
pub use identity::{Identity, IdentityError};
pub use roots::{Revocation, Roots, RootsError};
pub use session::{ClientHello, Info, KEYING_MATERIAL_MAX, Plain, Session};
pub use setup::{
    ALPN_MAX, Algorithms, Client, ClientAuth, ClientOptions, Server, ServerOptions, SetupError,
    Trust, Version, Versions,
};
pub use verify::Demand;
