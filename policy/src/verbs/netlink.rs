//! The verb `netlink`: what a guest may ask of the kernel's own tables.

use std::fmt;

use crate::error::{ParseError, suggestion};

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
    /// The generic families themselves: every program that uses one has to look up its number.
    GenericControl,
    /// A list of sockets.
    SockDiagRead,
    /// The events of devices.
    Uevent,
    /// What no verb grants, in a few words.
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
                    let what = format!("`{}` is no generic family", name.escape_debug());
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
        match self {
            Self::RouteRead => NetlinkRequest::RouteRead.fmt(f),
            Self::RouteWrite => NetlinkRequest::RouteWrite.fmt(f),
            Self::Generic(name) => NetlinkRequest::Generic(name).fmt(f),
            Self::SockDiagRead => NetlinkRequest::SockDiagRead.fmt(f),
            Self::Uevent => NetlinkRequest::Uevent.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

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
                let result = policy.netlink(asked).map(drop).map_err(|denial| denial.grant);
                assert_eq!(
                    result,
                    if at == of { Ok(()) } else { Err(Some(format!("netlink={asked}"))) }
                );
            }
            assert_eq!(policy.netlink(NetlinkRequest::GenericControl).is_ok(), at == 2);
            assert_eq!(policy.netlink(NetlinkRequest::Other("something")).unwrap_err().grant, None);
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
            policy.netlink(NetlinkRequest::RouteWrite).is_err()
                && policy.netlink(NetlinkRequest::Generic("TASKSTATS")).is_err()
        );
        for asked in [
            NetlinkRequest::RouteRead,
            NetlinkRequest::GenericControl,
            NetlinkRequest::Generic("x"),
            NetlinkRequest::Other("anything"),
        ] {
            assert!(policy.netlink(asked).is_ok());
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
