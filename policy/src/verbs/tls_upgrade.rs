//! The verb `tls-upgrade`: connect a TCP socket that begins in the clear, as with STARTTLS, and then
//! carries TLS alone, with a server that proves a name.

use std::fmt;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::endpoints;
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::Endpoints;
use crate::rules::VerbRules;
use crate::verbs::tls_remote::{self, TlsIndex, TlsRequest, tls_remote};
use crate::verbs::{Request, verb};

tls_remote! {
    TlsUpgrade, tls_upgrade,
    about: "connect to HOST:PORT over TCP, and send and receive at most 64 KiB each before a handshake in which the server proves HOST; a name may be looked up too",
    examples: &["mail.example.com:587", "*.example.com:143"]
}
