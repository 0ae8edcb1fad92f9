//! Decisions for the logs of `tracing`, which the command's `-v` shows.

use std::sync::Arc;

use super::{Interest, Observer, Socket};
use sandsock_policy::{Decision, Verdict};

/// Writes decisions with `tracing`, at the level INFO. Decisions about each received datagram have
/// the level DEBUG.
struct Log;

/// Returns the observer, if the level INFO is enabled.
pub(crate) fn log() -> Option<Arc<dyn Observer>> {
    tracing::enabled!(tracing::Level::INFO).then(|| Arc::new(Log) as Arc<dyn Observer>)
}

impl Observer for Log {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn dropped(&self, _instance: u64, socket: &Socket, count: u64) {
        tracing::debug!(
            "{count} datagrams to {} were dropped: no grant names their senders",
            socket.number
        );
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        let call = decision.call.unwrap_or_default();
        let text = match decision.decision {
            Verdict::Allow => {
                let by = decision.rule.map_or_else(String::new, |rule| format!(" by {rule}"));
                format!("{call} allowed: {} {}{by}", decision.verb, decision.target)
            }
            Verdict::Deny => format!("{call} denied: {}", decision.reason.unwrap_or_default()),
            Verdict::WouldDeny => {
                format!("{call} would be denied: {}", decision.reason.unwrap_or_default())
            }
        };
        if decision.verb == "udp-receive" {
            tracing::debug!("{text}");
        } else {
            tracing::info!("{text}");
        }
    }
}
