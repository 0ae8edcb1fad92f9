//! The verb `unix-connect`: connect or send to a UNIX socket.

use std::fmt;
use std::sync::Arc;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::path::UnixPattern;
use crate::rules::VerbRules;
use crate::unix::{UnixRules, UnixTarget};
use crate::verbs::{Request, unix_paths, verb};

impl Capability for verb::UnixConnect {
    const EXAMPLES: &'static [&'static str] = &["/run/app/*.sock", "/run/**/notify", "@name"];
    const ABOUT: &'static str = "connect and send to a UNIX socket";
    const PREPOSITION: &'static str = " to";

    type Index = Arc<UnixRules>;

    fn parse(target: &str) -> Result<UnixPattern, ParseError> {
        UnixPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, UnixPattern>) -> Arc<UnixRules> {
        unix_paths::index(rules)
    }

    fn show(asked: UnixTarget<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unix_paths::write(asked, f)
    }

    fn settled<'p>(query: &Query<'p, '_>, asked: UnixTarget<'_>) -> Option<Answer<'p>> {
        match asked {
            UnixTarget::Unnamed => {
                let what = Self::what(asked);
                Some(Err(Denial::new(format!("{what} is denied: no socket has it"))))
            }
            asked => unix_paths::settled::<Self>(query, asked),
        }
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: UnixTarget<'_>) -> Option<&'p str> {
        let found = unix_paths::find(query, &query.policy.deny.unix_connect, asked)?;
        Some(&found.text)
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: UnixTarget<'_>) -> Option<Allowed<'p>> {
        let found = unix_paths::find(query, &query.policy.allow.unix_connect, asked)?;
        Some(query.policy.by(found.rule))
    }

    fn grant(asked: UnixTarget<'_>) -> Option<String> {
        match asked {
            // The policy's base directory decides: see `missing`.
            UnixTarget::Path(_) => None,
            UnixTarget::Abstract(name) => Some(unix_paths::abstract_target(name)),
            UnixTarget::Unnamed => None,
        }
    }

    fn missing(query: &Query<'_, '_>, asked: UnixTarget<'_>) -> Denial {
        unix_paths::missing::<Self>(query, asked)
    }

    fn ask<'a>(
        pattern: &'a UnixPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        unix_paths::ask(pattern, asking).map(|target| (target, None))
    }

    #[allow(clippy::redundant_closure, reason = "only the closure holds for every lifetime")]
    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        unix_paths::excess(
            compared,
            |rules| &rules.unix_connect,
            |target| Request::UnixConnect(target),
        )
    }

    #[cfg(test)]
    fn samples() -> Vec<UnixTarget<'static>> {
        vec![UnixTarget::Path(b"/run/a"), UnixTarget::Abstract(b"a"), UnixTarget::Unnamed]
    }
}
