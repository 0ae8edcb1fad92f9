//! Decisions on look-ups of names, and of the names of addresses.

use std::net::IpAddr;
use std::time::Instant;

use crate::address::canonical;
use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::index::{Ports, any_left};
use crate::name::{ends_in_number, normalise_name};
use crate::pins::Pins;
use crate::policy::Policy;
use crate::request::Request;
use crate::verbs::Verb;

impl Policy {
    /// Decides on a look-up.
    pub(crate) fn resolve(&self, name: &str) -> Result<Allowed<'_>, Denial> {
        if name.parse::<IpAddr>().is_ok() {
            return Ok(Allowed { rule: None });
        }
        let request = Request::Resolve(name);
        let known = match normalise_name(name) {
            Ok(known) => known,
            Err(e) => {
                return Err(Denial::new(format!(
                    "resolve of {request} is denied: it is no host name, {e}"
                )));
            }
        };
        if let Some(rule) = self.deny.resolve.find(&known) {
            return Err(Denial::by_rule(
                format_args!("resolve of {request}"),
                self.deny.text(rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(rule) = self.allow.resolve.find(&known) {
            return Ok(self.by(rule));
        }
        if let Some((_, rule)) = self.fixed.names.get(&*known) {
            return Ok(Allowed { rule: Some(rule) });
        }
        let (allow, deny) = (&self.allow, &self.deny);
        let implied = [
            (&allow.tcp_connect, &deny.tcp_connect),
            (&allow.udp_send, &deny.udp_send),
            (&allow.raw, &deny.raw),
        ];
        for (allow, deny) in implied {
            // A grant of which a deny rule leaves no port implies nothing.
            let left = |ports: &Ports| any_left(*ports, |port| deny.names.find(&known, port));
            if let Some(found) = allow.names.all(&known).find(left) {
                return Ok(self.by(found.rule));
            }
        }
        // No rule can name what resolvers may read as an address.
        let grant = (!ends_in_number(&known)).then(|| format!("{}={known}", Verb::Resolve));
        let mut denial = Denial::missing(format!("resolve of {request}"), grant);
        if denial.grant.is_some() {
            // Most look a name up to connect to it.
            denial.reason.push_str(&format!(
                ", or by what it is looked up for, as in {}={known}:443",
                Verb::TcpConnect
            ));
        }
        Err(denial)
    }
    /// Whether every name may be looked up that no rule denies, so that a text that is no name has
    /// nothing to be denied for.
    pub fn resolves_any(&self) -> bool {
        self.deny.resolve.any.is_none() && (self.everything || self.allow.resolve.any.is_some())
    }
    /// Decides on a reverse look-up. A rule by a name holds for what the guest looked that name up
    /// to, as it does for a connect: private addresses need a rule of their own, or `--resolve`,
    /// whose addresses may be asked for without any other rule.
    pub(crate) fn reverse_resolve(
        &self,
        given: IpAddr,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let (allow, deny) = (&self.allow.reverse_resolve, &self.deny.reverse_resolve);
        let address = canonical(given);
        let what = || format!("{} of {given}", Verb::ReverseResolve);
        if let Some(rule) = self.denied_at(deny, address, 0, pins) {
            return Err(Denial::by_rule(what(), self.deny.text(rule.rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(found) = allow.at(address, 0) {
            return Ok(self.by(found.rule));
        }
        let expired = match self.named_at(allow, address, 0, pins, now) {
            Ok((rule, pin)) => {
                if let Some(pin) = pin {
                    pins.touch(pin, now);
                }
                return Ok(self.by(rule));
            }
            Err(expired) => expired,
        };
        let fixed = self.fixed_names(address).first().and_then(|name| self.fixed.names.get(name));
        if let Some((_, rule)) = fixed {
            return Ok(Allowed { rule: Some(rule) });
        }
        let mut denial =
            Denial::missing(what(), Some(format!("{}={address}", Verb::ReverseResolve)));
        denial.expired_name =
            expired.map(|pin| pin.name().to_owned()).filter(|name| self.resolve(name).is_ok());
        Err(denial)
    }
}
