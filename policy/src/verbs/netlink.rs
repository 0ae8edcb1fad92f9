//! The verb `netlink`: what a guest may ask of the kernel's own tables.

use std::collections::BTreeSet;
use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found, untaken};
use crate::decide::{Asked, Asking, Capability, Query, find};
use crate::denial::{Allowed, Denial};
use crate::error::{ParseError, suggestion};
use crate::index::RuleId;
use crate::policy::Policy;
use crate::rule::with_target;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, verb};
use sandsock_abi::constants::{
    NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG,
};

/// What `netlink` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NetlinkPattern {
    /// `route:read`: links, addresses, routes, neighbours: dumps and events.
    RouteRead,
    /// `route:write`: change them.
    RouteWrite,
    /// `generic:NAME`: all of one generic family.
    Generic(Box<str>),
    /// `sock-diag:read`: list the host's sockets.
    SockDiagRead,
    /// `uevent`: events of devices.
    Uevent,
}

/// What a message or a group is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetlinkRequest<'a> {
    /// A dump, a look-up or the events of NETLINK_ROUTE.
    RouteRead,
    /// Any other message of NETLINK_ROUTE.
    RouteWrite,
    /// A message to, or the events of, a generic family.
    Generic(&'a str),
    /// The family that lists the generic families. Every program that uses one has to look up its
    /// number there.
    GenericControl,
    /// A list of sockets.
    SockDiagRead,
    /// The events of devices.
    Uevent,
    /// A message that no verb grants, in a few words.
    Other(&'a str),
}

impl fmt::Display for NetlinkRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::RouteRead => f.write_str("route:read"),
            Self::RouteWrite => f.write_str("route:write"),
            Self::Generic(name) => write!(f, "generic:{}", name.escape_debug()),
            Self::GenericControl => f.write_str("generic:nlctrl"),
            Self::SockDiagRead => f.write_str("sock-diag:read"),
            Self::Uevent => f.write_str("uevent"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl NetlinkPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        const WORDS: [&str; 5] =
            ["route:read", "route:write", "generic:NAME", "sock-diag:read", "uevent"];
        Ok(match text {
            "route:read" => Self::RouteRead,
            "route:write" => Self::RouteWrite,
            "sock-diag:read" => Self::SockDiagRead,
            "uevent" => Self::Uevent,
            _ => match text.strip_prefix("generic:") {
                // GENL_NAMSIZ is 16 with its NUL.
                Some(name)
                    if (1..16).contains(&name.len())
                        && name.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Self::Generic(name.into())
                }
                Some(name) => {
                    let what = format!("`{}` is not a generic family", name.escape_debug());
                    return Err(ParseError::new(
                        "generic:".len(),
                        what,
                        "write its name, as in generic:nl80211",
                    ));
                }
                None => {
                    let what = format!("unknown target `{}`", text.escape_debug());
                    let hint =
                        format!("targets are {}{}", WORDS.join(", "), suggestion(text, WORDS));
                    return Err(ParseError::new(0, what, hint));
                }
            },
        })
    }

    /// Returns what it names.
    fn request(&self) -> NetlinkRequest<'_> {
        match self {
            Self::RouteRead => NetlinkRequest::RouteRead,
            Self::RouteWrite => NetlinkRequest::RouteWrite,
            Self::Generic(name) => NetlinkRequest::Generic(name),
            Self::SockDiagRead => NetlinkRequest::SockDiagRead,
            Self::Uevent => NetlinkRequest::Uevent,
        }
    }

    pub(crate) fn holds(&self, asked: NetlinkRequest<'_>) -> bool {
        match (self, asked) {
            (Self::RouteRead, NetlinkRequest::RouteRead)
            | (Self::RouteWrite, NetlinkRequest::RouteWrite)
            | (Self::SockDiagRead, NetlinkRequest::SockDiagRead)
            | (Self::Generic(_), NetlinkRequest::GenericControl)
            | (Self::Uevent, NetlinkRequest::Uevent) => true,
            (Self::Generic(own), NetlinkRequest::Generic(name)) => **own == *name,
            _ => false,
        }
    }
}

impl fmt::Display for NetlinkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request().fmt(f)
    }
}

impl Capability for verb::Netlink {
    const EXAMPLES: &'static [&'static str] =
        &["route:read", "route:write", "generic:nl80211", "sock-diag:read", "uevent"];
    const ABOUT: &'static str =
        "read the kernel's own tables; route:write changes the host's network";

    type Index = Vec<(NetlinkPattern, RuleId)>;

    fn parse(target: &str) -> Result<NetlinkPattern, ParseError> {
        NetlinkPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, NetlinkPattern>) -> Self::Index {
        rules.list()
    }

    fn show(asked: NetlinkRequest<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: NetlinkRequest<'_>) -> Option<&'p str> {
        // Only its own name denies the control family: after a rule about another family, the
        // others still need to look up their numbers.
        let asked = match asked {
            NetlinkRequest::GenericControl => NetlinkRequest::Generic("nlctrl"),
            asked => asked,
        };
        let deny = &query.policy.deny;
        find(&deny.netlink, |pattern| pattern.holds(asked)).map(|rule| deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: NetlinkRequest<'_>) -> Option<Allowed<'p>> {
        let rule = find(&query.policy.allow.netlink, |pattern| pattern.holds(asked))?;
        Some(query.policy.by(rule))
    }

    fn grant(asked: NetlinkRequest<'_>) -> Option<String> {
        match asked {
            NetlinkRequest::Other(_) => None,
            NetlinkRequest::Generic(name) => Some(format!("generic:{name}")),
            asked => Some(asked.to_string()),
        }
    }

    fn missing(_: &Query<'_, '_>, asked: NetlinkRequest<'_>) -> Denial {
        match Self::grant(asked) {
            Some(target) => {
                Denial::missing(Self::what(asked), Some(with_target(Self::VERB, &target)))
            }
            None => Denial::new(format!("{} is denied: no grant allows it", Self::what(asked))),
        }
    }

    fn ask<'a>(
        pattern: &'a NetlinkPattern,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((pattern.request(), None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let rules = compared.rules().into_iter().flat_map(|rules| &rules.netlink);
        let mut names: BTreeSet<&str> = rules
            .filter_map(|(rule, _)| match rule {
                NetlinkPattern::Generic(name) => Some(&**name),
                _ => None,
            })
            .collect();
        let other = untaken(&names, "nl80211");
        names.insert(&other);
        let generic = names.iter().map(|name| NetlinkRequest::Generic(name));
        let others = [
            NetlinkRequest::RouteRead,
            NetlinkRequest::RouteWrite,
            NetlinkRequest::GenericControl,
            NetlinkRequest::SockDiagRead,
            NetlinkRequest::Uevent,
            NetlinkRequest::Other("a message of another kind"),
        ];
        compared.first(generic.chain(others).map(Request::Netlink))
    }

    #[cfg(test)]
    fn samples() -> Vec<NetlinkRequest<'static>> {
        vec![
            NetlinkRequest::RouteRead,
            NetlinkRequest::RouteWrite,
            NetlinkRequest::Generic("nl80211"),
            NetlinkRequest::GenericControl,
            NetlinkRequest::SockDiagRead,
            NetlinkRequest::Uevent,
            NetlinkRequest::Other("something"),
        ]
    }
}

impl Policy {
    /// Returns whether some grant is about this netlink protocol.
    pub(crate) fn may_make_netlink(&self, protocol: i32) -> bool {
        self.allow.netlink.iter().any(|(pattern, _)| match pattern {
            NetlinkPattern::RouteRead | NetlinkPattern::RouteWrite => protocol == NETLINK_ROUTE,
            NetlinkPattern::Generic(_) => protocol == NETLINK_GENERIC,
            NetlinkPattern::SockDiagRead => protocol == NETLINK_SOCK_DIAG,
            NetlinkPattern::Uevent => protocol == NETLINK_KOBJECT_UEVENT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Answer;

    fn decide<'p>(policy: &'p Policy, asked: NetlinkRequest<'_>) -> Answer<'p> {
        crate::decide::decide::<verb::Netlink>(&Query::without_pins(policy), asked)
    }

    #[test]
    fn each_target_is_a_grant_of_its_own() {
        let all = ["route:read", "route:write", "generic:nl80211", "sock-diag:read", "uevent"];
        let asked = [
            NetlinkRequest::RouteRead,
            NetlinkRequest::RouteWrite,
            NetlinkRequest::Generic("nl80211"),
            NetlinkRequest::SockDiagRead,
            NetlinkRequest::Uevent,
        ];
        for (at, text) in all.iter().enumerate() {
            let mut builder = Policy::builder();
            builder.allow(&format!("netlink={text}")).unwrap();
            let policy = builder.build();
            for (of, asked) in asked.into_iter().enumerate() {
                let result = decide(&policy, asked).map(drop).map_err(|denial| denial.grant);
                assert_eq!(
                    result,
                    if at == of { Ok(()) } else { Err(Some(format!("netlink={asked}"))) }
                );
            }
            assert_eq!(decide(&policy, NetlinkRequest::GenericControl).is_ok(), at == 2);
            assert_eq!(
                decide(&policy, NetlinkRequest::Other("something")).unwrap_err().grant,
                None
            );
            assert_eq!((-1..30).filter(|&protocol| policy.may_make_netlink(protocol)).count(), 1);
        }
    }

    #[test]
    fn deny_wins_and_everything_is_everything() {
        let mut builder = Policy::builder();
        builder
            .allow_all()
            .deny("netlink=route:write")
            .unwrap()
            .deny("netlink=generic:TASKSTATS")
            .unwrap();
        let policy = builder.build();
        assert!(
            decide(&policy, NetlinkRequest::RouteWrite).is_err()
                && decide(&policy, NetlinkRequest::Generic("TASKSTATS")).is_err()
        );
        for asked in [
            NetlinkRequest::RouteRead,
            NetlinkRequest::GenericControl,
            NetlinkRequest::Generic("x"),
            NetlinkRequest::Other("anything"),
        ] {
            assert!(decide(&policy, asked).is_ok());
        }
        for bad in [
            "",
            "route",
            "route:",
            "generic:",
            "generic:0123456789abcdef",
            "generic:a b",
            "sock-diag:write",
            "Uevent",
        ] {
            assert!(NetlinkPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
