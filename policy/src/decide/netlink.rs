//! Decisions on netlink messages and groups.

use sandsock_abi::constants::{
    NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG,
};

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::policy::Policy;
use crate::verbs::Verb;
use crate::verbs::netlink::{NetlinkPattern, NetlinkRequest};

impl Policy {
    /// Decides on a netlink message or group.
    pub(crate) fn netlink(&self, asked: NetlinkRequest<'_>) -> Result<Allowed<'_>, Denial> {
        let what = || format!("netlink {asked}");
        // The control family is denied by its own name alone: another family's rule leaves the
        // others their look-up.
        let denied = self.deny.netlink.iter().find(|(pattern, _)| match asked {
            NetlinkRequest::GenericControl => pattern.holds(NetlinkRequest::Generic("nlctrl")),
            asked => pattern.holds(asked),
        });
        if let Some((_, rule)) = denied {
            return Err(Denial::by_rule(what(), self.deny.text(*rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some((_, rule)) = self.allow.netlink.iter().find(|(pattern, _)| pattern.holds(asked))
        {
            return Ok(self.by(*rule));
        }
        match asked {
            NetlinkRequest::Other(_) => {
                Err(Denial::new(format!("{} is denied: no grant allows it", what())))
            }
            // As it is, not as a person is shown it.
            NetlinkRequest::Generic(name) => {
                Err(Denial::missing(what(), Some(format!("{}=generic:{name}", Verb::Netlink))))
            }
            asked => Err(Denial::missing(what(), Some(format!("{}={asked}", Verb::Netlink)))),
        }
    }

    /// Whether some grant is about this netlink protocol.
    pub(crate) fn may_make_netlink(&self, protocol: i32) -> bool {
        self.allow.netlink.iter().any(|(pattern, _)| match pattern {
            NetlinkPattern::RouteRead | NetlinkPattern::RouteWrite => protocol == NETLINK_ROUTE,
            NetlinkPattern::Generic(_) => protocol == NETLINK_GENERIC,
            NetlinkPattern::SockDiagRead => protocol == NETLINK_SOCK_DIAG,
            NetlinkPattern::Uevent => protocol == NETLINK_KOBJECT_UEVENT,
        })
    }
}
