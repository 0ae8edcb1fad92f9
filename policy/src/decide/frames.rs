//! Decisions on the frames of an interface.

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::index::RuleId;
use crate::policy::Policy;
use crate::verbs::Verb;
use crate::verbs::packet;
use crate::verbs::packet::{PacketPattern, is_interface_name};

impl Policy {
    /// Decides on frames of an interface, or with none of every interface. Protocol 0 stands for
    /// some protocol.
    pub(crate) fn packet(
        &self,
        interface: Option<&str>,
        protocol: u16,
    ) -> Result<Allowed<'_>, Denial> {
        let what = || format!("packet on {}", packet::show(interface, protocol));
        let find = |rules: &[(PacketPattern, RuleId)], is: &dyn Fn(&PacketPattern) -> bool| {
            rules.iter().find(|(pattern, _)| is(pattern)).map(|(_, rule)| *rule)
        };
        if let Some(rule) = find(&self.deny.packet, &|pattern| pattern.touches(interface, protocol))
        {
            return Err(Denial::by_rule(what(), self.deny.text(rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match find(&self.allow.packet, &|pattern| pattern.holds(interface, protocol)) {
            Some(rule) => Ok(self.by(rule)),
            None => {
                // A `*` in a name would be a pattern. What is shown has escapes, which a rule has
                // not.
                let named = interface.is_none_or(|name| {
                    is_interface_name(name) && name.escape_debug().eq(name.chars())
                });
                let grant = named
                    .then(|| format!("{}={}", Verb::Packet, packet::show(interface, protocol)));
                Err(Denial::missing(what(), grant))
            }
        }
    }

    /// Whether some grant is about frames of this protocol, on whichever interface.
    pub(crate) fn may_make_packet(&self, protocol: u16) -> bool {
        self.allow
            .packet
            .iter()
            .any(|(pattern, _)| pattern.holds(pattern.interface.as_deref(), protocol))
    }
}
