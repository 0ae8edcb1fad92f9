//! The decision log, with one JSON line for each decision.

use std::io::Write;
use std::time::SystemTime;

use super::writer::Writer;
use super::{Interest, Observer, Socket};
use crate::authority::family;
use crate::bindings::sandsock::socket::types::SocketKind;
use sandsock_policy::{Decision, Denial, Verb, Verdict};

/// Writes every decision of the policy as one JSON line. [`Decision`] has its fields.
///
/// Each datagram that a guest receives is a decision too (`udp-receive`). The datagrams that the
/// kernel dropped by a socket's filter share one line with their number, because their senders are
/// not known any more. If decisions come faster than they can be written, a line has the number of
/// those that are missing: `{"lost":3}`.
pub struct Audit {
    writer: Writer,
    /// Whether only denials are written.
    denials_alone: bool,
}

impl Audit {
    /// Writes to `to`, line by line, on a thread of its own.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let writer =
            Writer::new("decision log", to, |count| format!("{{\"lost\":{count}}}\n").into_bytes());
        Self { writer, denials_alone: false }
    }

    /// Sets whether only denials are written, and what would be denied if a policy that only
    /// observes were enforced.
    #[must_use]
    pub fn denials_alone(mut self, alone: bool) -> Self {
        self.denials_alone = alone;
        self
    }

    /// Sets whether a guest waits if decisions come faster than they can be written. Then none is
    /// lost, as long as the output takes any. Use it only for a guest with a thread of its own.
    #[must_use]
    pub fn lossless(mut self, lossless: bool) -> Self {
        self.writer.set_lossless(lossless);
        self
    }
}

impl Observer for Audit {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn dropped(&self, instance: u64, socket: &Socket, count: u64) {
        let denial =
            Denial::new(format!("{count} datagrams were dropped: no grant names their senders"));
        let is_raw = socket.kind.is_some_and(|(family, type_, protocol)| {
            family::is_raw(SocketKind { family, type_, protocol })
        });
        let verb = if is_raw { Verb::Raw } else { Verb::UdpReceive };
        let decision =
            Decision::denied(SystemTime::now(), verb.name(), format!("{count} datagrams"), &denial);
        self.decided(&Decision { instance, ..decision.on(socket.kind) }, Some(socket));
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        if self.denials_alone && decision.decision == Verdict::Allow {
            return;
        }
        if let Ok(mut line) = serde_json::to_vec(decision) {
            line.push(b'\n');
            self.writer.put(decision.instance, line);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}
