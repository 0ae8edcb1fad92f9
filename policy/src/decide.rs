//! The one decision about each request.

mod frames;
mod look_ups;
mod netlink;
mod options;
mod packets;

use std::time::Instant;

use sandsock_abi::option::Access;

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::endpoints::endpoint_grant;
use crate::index::RuleId;
use crate::pins::Pins;
use crate::policy::Policy;
use crate::request::Request;
use crate::target::{Ancillary, DescriptorNumber, Hostname};
use crate::verbs::Verb;
use crate::verbs::can::CanInterface;

impl Policy {
    /// Decides on a request.
    ///
    /// `now` is the time of the request; a pin that allows it is used at that time. Nothing is
    /// allocated where it is allowed.
    ///
    /// # Errors
    ///
    /// The denial. Where its `expired_name` is set, the caller may look that name up, pin the
    /// answers and ask once more.
    pub fn decide(
        &self,
        request: &Request<'_>,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let (allow, deny) = (&self.allow, &self.deny);
        match *request {
            Request::TcpConnect(address) => {
                self.remote(request, address, &allow.tcp_connect, &deny.tcp_connect, pins, now)
            }
            Request::UdpSend(address) => {
                self.remote(request, address, &allow.udp_send, &deny.udp_send, pins, now)
            }
            Request::UdpReceive(source) => {
                if let Some(rule) = self.source(source, pins, now) {
                    return rule;
                }
                Err(Denial::missing(
                    format!("udp-receive from {source}"),
                    Some(endpoint_grant(Verb::UdpReceive, source)),
                ))
            }
            Request::TcpListen(local) => {
                self.local(request, local, &allow.tcp_listen, &deny.tcp_listen)
            }
            Request::UdpBind(local) => self.local(request, local, &allow.udp_bind, &deny.udp_bind),
            Request::UnixConnect(target) => {
                self.unix(request, target, &allow.unix_connect, &deny.unix_connect)
            }
            Request::UnixBind(target) => {
                self.unix(request, target, &allow.unix_bind, &deny.unix_bind)
            }
            Request::Can { interface, protocol } => {
                let denied =
                    find(&deny.can, |rule| rule.speaks(protocol) && rule.touches(interface));
                let allowed =
                    find(&allow.can, |rule| rule.speaks(protocol) && rule.holds(interface));
                // Of an interface that is not there nothing can be granted but all. A `*` in a name
                // would be a pattern, and what is shown of it has escapes, which a rule has not.
                let grant = match interface {
                    CanInterface::Name(name)
                        if name.contains('*') || !name.escape_debug().eq(name.chars()) =>
                    {
                        None
                    }
                    CanInterface::All | CanInterface::Name(_) => Some(request.to_string()),
                    CanInterface::Unknown(_) => None,
                };
                self.listed(request, denied, allowed, grant)
            }
            Request::Family(target) => {
                let denied = find(&deny.families, |rule| rule.touches(target));
                self.listed(
                    request,
                    denied,
                    find(&allow.families, |rule| rule.holds(target)),
                    target.grant(),
                )
            }
            Request::Resolve(name) => self.resolve(name),
            Request::ReverseResolve(address) => self.reverse_resolve(address, pins, now),
            Request::Interfaces => {
                self.plain("interfaces", Verb::Interfaces.name(), allow.interfaces, deny.interfaces)
            }
            Request::Hostname(Hostname::Read) => self.plain(
                "hostname read",
                "hostname=read",
                allow.hostname_read,
                deny.hostname_read,
            ),
            Request::Hostname(Hostname::Set) => {
                self.plain("hostname set", "hostname=set", allow.hostname_set, deny.hostname_set)
            }
            Request::GetOption { family, level, number } => {
                self.option(family, level, number, |row| row.get)
            }
            Request::SetOption { family, level, number, datagram } => {
                self.option(family, level, number, |row| match row.set {
                    Access::GrantedOnDatagrams if datagram => Access::Granted,
                    Access::GrantedOnDatagrams => Access::Ordinary,
                    access => access,
                })
            }
            Request::Control { level, number } => self.control(level, number),
            Request::RightsSend => self.ancillary(
                Ancillary::RightsSend,
                [allow.rights_send, None],
                [deny.rights_send, None],
            ),
            Request::RightsReceive { any: false } => self.ancillary(
                Ancillary::RightsReceive,
                [allow.rights_receive, allow.rights_receive_any],
                [deny.rights_receive, None],
            ),
            Request::RightsReceive { any: true } => self.ancillary(
                Ancillary::RightsReceiveAny,
                [allow.rights_receive_any, None],
                [deny.rights_receive, deny.rights_receive_any],
            ),
            Request::CredentialsForge => self.ancillary(
                Ancillary::CredentialsForge,
                [allow.credentials_forge, None],
                [deny.credentials_forge, None],
            ),
            Request::Inherit(number) => self.inherit(number),
            Request::RawSend(address) => self.raw(request, address, pins, now),
            Request::Packet { interface, protocol } => self.packet(interface, protocol),
            Request::Netlink(asked) => self.netlink(asked),
            Request::Multicast(group) => self.multicast(group),
            Request::Ioctl(row) => self.ioctl(row),
        }
    }
    /// Whether a rule allows to use this network interface, so that its name and index may be
    /// looked up without `interfaces`.
    pub fn names_interface(&self, name: &str) -> bool {
        let target = CanInterface::Name(name);
        self.deny.interfaces.is_none() && find(&self.allow.can, |rule| rule.holds(target)).is_some()
    }
    /// Decides by two rules that name the whole of what is asked for.
    fn plain(
        &self,
        what: &str,
        grant: &str,
        allow: Option<RuleId>,
        deny: Option<RuleId>,
    ) -> Result<Allowed<'_>, Denial> {
        match (deny, allow) {
            (Some(rule), _) => Err(Denial::by_rule(what, self.deny.text(rule))),
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(self.by(rule)),
            (None, None) => Err(Denial::missing(what.to_owned(), Some(grant.to_owned()))),
        }
    }
    /// Decides by the rules that were found; `grant` is the target of the rule that would do.
    fn listed(
        &self,
        request: &Request<'_>,
        denied: Option<RuleId>,
        allowed: Option<RuleId>,
        grant: Option<String>,
    ) -> Result<Allowed<'_>, Denial> {
        let verb = request.verb();
        match (denied, allowed) {
            (Some(rule), _) => {
                Err(Denial::by_rule(format_args!("{verb} {request}"), self.deny.text(rule)))
            }
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(self.by(rule)),
            (None, None) => Err(Denial::missing(
                format!("{verb} {request}"),
                grant.map(|target| format!("{verb}={target}")),
            )),
        }
    }
    fn ancillary(
        &self,
        what: Ancillary,
        allow: [Option<RuleId>; 2],
        deny: [Option<RuleId>; 2],
    ) -> Result<Allowed<'_>, Denial> {
        let name = format_args!("ancillary {}", what.name());
        if let Some(rule) = deny.into_iter().flatten().next() {
            return Err(Denial::by_rule(name, self.deny.text(rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match allow.into_iter().flatten().next() {
            Some(rule) => Ok(self.by(rule)),
            None => Err(Denial::missing(
                name.to_string(),
                Some(format!("{}={}", Verb::Ancillary, what.name())),
            )),
        }
    }
    /// Decides on taking what was handed over.
    fn inherit(&self, number: DescriptorNumber) -> Result<Allowed<'_>, Denial> {
        if let Some(rule) = self.deny.inherit.get(&number) {
            return Err(Denial::by_rule(
                format_args!("inherit of {number}"),
                self.deny.text(*rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match self.allow.inherit.get(&number) {
            Some(rule) => Ok(self.by(*rule)),
            None => Err(Denial::missing(
                format!("inherit of {number}"),
                Some(format!("{}={number}", Verb::Inherit)),
            )),
        }
    }
}

/// The first rule of a list that fits. Such lists are short: nobody has thousands of CAN
/// interfaces.
fn find<P>(list: &[(P, RuleId)], fits: impl Fn(&P) -> bool) -> Option<RuleId> {
    list.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests;
