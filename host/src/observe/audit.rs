//! The decision log: one JSON line each.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::{Observer, Sink, Socket, Wants};
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::family;
use crate::policy::{Decision, Denial, Verb};

/// Writes every decision of the policy as one JSON line: see [`Decision`] for its fields.
///
/// Each received datagram of a guest is a decision too (`udp-receive`). Those that the kernel dropped by a socket's filter are one
/// line, which says how many they were: nobody knows any more from where they came.
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

    fn dropped(&self, instance: u64, socket: &Socket, count: u64) {
        let denial = Denial::new(format!("{count} datagrams were dropped: no grant names their senders"));
        let is_raw =
            socket.kind.is_some_and(|(family, type_, protocol)| family::is_raw(SocketKind { family, type_, protocol }));
        let verb = if is_raw { Verb::Raw } else { Verb::UdpReceive };
        let decision = Decision::denied(SystemTime::now(), verb.name(), format!("{count} datagrams"), &denial);
        self.decided(&Decision { instance, ..decision.on(socket.kind) }, Some(socket));
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        if let Ok(mut line) = serde_json::to_vec(decision) {
            line.push(b'\n');
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        }
    }
}
