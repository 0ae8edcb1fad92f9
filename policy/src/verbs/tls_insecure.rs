//! The verb `tls-insecure`: connect a TCP socket for TLS alone, to a server that need not prove
//! anything.

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
    TlsInsecure, tls_insecure,
    about: "connect to HOST:PORT over TCP for TLS alone, to a server that proves nothing; a name may be looked up too",
    examples: &["192.168.0.10:8443", "printer.example:443"]
}
