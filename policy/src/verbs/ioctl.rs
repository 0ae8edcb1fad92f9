//! The verb `ioctl`: ioctls that are about more than the socket.

use std::collections::HashMap;
use std::fmt::{self, Display as _};

use sandsock_abi::ioctl;
use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option::Access;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::error::{ParseError, suggestion};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::{Request, verb};

impl Capability for verb::Ioctl {
    const EXAMPLES: &'static [&'static str] = &["SIOCGIFADDR", "SIOCGIFCONF"];
    const ABOUT: &'static str = "make a request by ioctl that is not about the socket itself";

    /// By the ioctl's number.
    type Index = HashMap<u32, RuleId>;

    fn parse(text: &str) -> Result<&'static Ioctl, ParseError> {
        let granted =
            || ioctl::IOCTLS.iter().filter(|row| row.access == Access::Granted).map(|row| row.name);
        match ioctl::by_name(text) {
            Some(row) if row.access == Access::Granted => Ok(row),
            Some(row) => {
                let why =
                    if let Access::Refused(why) = row.access { why } else { "it needs no grant" };
                Err(ParseError::new(
                    0,
                    format!("`{}` takes no rule: {why}", row.name),
                    "leave it out",
                ))
            }
            None => Err(ParseError::new(
                0,
                format!("unknown ioctl `{}`", text.escape_debug()),
                format!("write a request's name, as in SIOCGIFADDR{}", suggestion(text, granted())),
            )),
        }
    }

    fn index(rules: &VerbRules<'_, &'static Ioctl>) -> Self::Index {
        rules.rules.iter().map(|(rule, row)| (row.number, *rule)).collect()
    }

    fn show(asked: &'static Ioctl, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn settled<'p>(_: &Query<'p, '_>, asked: &'static Ioctl) -> Option<Answer<'p>> {
        let Access::Refused(why) = asked.access else { return None };
        Some(Err(Denial::new(format!("ioctl {asked} is denied: {why}"))))
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: &'static Ioctl) -> Option<&'p str> {
        query.policy.deny.ioctl.get(&asked.number).map(|rule| query.policy.deny.text(*rule))
    }

    fn exempt<'p>(_: &Query<'p, '_>, asked: &'static Ioctl) -> Option<Answer<'p>> {
        (asked.access == Access::Ordinary).then_some(Ok(Allowed::FREE))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: &'static Ioctl) -> Option<Allowed<'p>> {
        query.policy.allow.ioctl.get(&asked.number).map(|rule| query.policy.by(*rule))
    }

    fn grant(asked: &'static Ioctl) -> Option<String> {
        Some(asked.to_string())
    }

    fn ask<'a>(
        pattern: &'a &'static Ioctl,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((*pattern, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        compared.first(ioctl::IOCTLS.iter().map(Request::Ioctl))
    }

    #[cfg(test)]
    fn samples() -> Vec<&'static Ioctl> {
        ioctl::IOCTLS.iter().collect()
    }
}
