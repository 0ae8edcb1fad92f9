//! The decision log: one JSON line each.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::{Observer, Sink, Socket, Wants};
use crate::policy::Decision;

/// Writes every decision of the policy as one JSON line: see [`Decision`] for its fields.
///
/// Each received datagram of a guest is a decision too (`udp-receive`).
pub struct Audit(Mutex<Sink>);

impl Audit {
    /// Writes there, line by line.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Sink::new("decision log", to)))
    }
}

impl Observer for Audit {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        if let Ok(mut line) = serde_json::to_vec(decision) {
            line.push(b'\n');
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        }
    }
}
