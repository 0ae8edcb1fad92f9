//! Local ports that the kernel chooses.

use crate::address::canonical;
use crate::decide::Query;
use crate::denial::Denial;
use crate::endpoints::{LocalAddress, denied_local};
use crate::index::Endpoints;
use crate::policy::Policy;
use crate::verbs::Request;
use crate::verbs::Verb;

impl Policy {
    /// Returns the deny rules of `tcp-listen`, `tls-listen` or `udp-bind` that name some ports and not every one.
    fn kept_ports(&self, verb: Verb) -> Option<&Endpoints> {
        match verb {
            Verb::TcpListen => Some(&self.deny.tcp_listen.of_some_ports),
            Verb::TlsListen => Some(&self.deny.tls_listen.of_some_ports),
            Verb::UdpBind => Some(&self.deny.udp_bind.of_some_ports),
            _ => None,
        }
    }

    /// Returns whether rules that deny `tcp-listen`, `tls-listen` or `udp-bind` name ports, which
    /// the kernel could choose by itself.
    pub fn keeps_ports(&self, verb: Verb) -> bool {
        self.kept_ports(verb).is_some_and(|rules| !rules.is_empty())
    }

    /// Judges a local address that a socket gets implicitly, by connect, by a send or by listen.
    /// These calls need no grant of `tcp-listen` or `udp-bind`. A rule that denies every port
    /// denies an explicit bind and not these calls. A rule that denies some ports keeps the guest's
    /// sockets off these ports, whatever call would take them.
    ///
    /// # Errors
    ///
    /// A rule denies the port.
    pub fn judge_implicit(&self, verb: Verb, local: LocalAddress) -> Result<(), Denial> {
        let Some(rules) = self.kept_ports(verb) else { return Ok(()) };
        let address = canonical(local.address.ip());
        match denied_local(rules, address, local.address.port(), local.v6only) {
            Some(found) => {
                let what = format_args!("{verb} on {}, the local address", local.address);
                Err(Denial::by_rule(what, self.deny.text(found.rule)))
            }
            None => Ok(()),
        }
    }

    /// Decides on a bind or a listen. Names play no part in it.
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn judge_local(&self, request: &Request<'_>) -> Result<(), Denial> {
        match request {
            Request::TcpListen(_) | Request::TlsListen(_) | Request::UdpBind(_) => {
                request.decide(&Query::without_pins(self))?;
                for kept in &self.restrictions {
                    kept.judge_local(request)
                        .map_err(|denial| Denial::given_up(request.what(), denial))?;
                }
                Ok(())
            }
            _ => Err(Denial::new(format!("{} has no local address", request.verb()))),
        }
    }
}
