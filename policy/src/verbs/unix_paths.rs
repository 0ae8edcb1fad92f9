//! Decisions on UNIX paths and abstract names.

use std::borrow::Cow;

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::path::escape_abstract;
use crate::policy::Policy;
use crate::request::{Request, SHOWN, UnixTarget};
use crate::unix::{UnixRoute, UnixRules, absolute, path_grant, show};
use crate::verbs::Verb;

impl Policy {
    /// Decides on a UNIX name as it is written.
    pub(crate) fn unix<'p>(
        &'p self,
        request: &Request<'_>,
        target: UnixTarget<'_>,
        allow: &'p UnixRules,
        deny: &UnixRules,
    ) -> Result<Allowed<'p>, Denial> {
        let verb = request.verb();
        let what = || format!("{verb} to {request}");
        let (denied, allowed, grant): (_, _, Option<String>) = match target {
            UnixTarget::Path(path) => {
                let path = self.unix_path(verb, path)?;
                let (denied, allowed) = (deny.path(&path), allow.path(&path));
                (denied, allowed, if allowed.is_some() { None } else { path_grant(verb, &path) })
            }
            UnixTarget::Abstract(name) => {
                let (denied, allowed) = (deny.name(name), allow.name(name));
                (
                    denied,
                    allowed,
                    if allowed.is_some() {
                        None
                    } else {
                        Some(format!("{verb}=@{}", escape_abstract(name)))
                    },
                )
            }
            UnixTarget::Unnamed if verb == Verb::UnixBind => {
                let allowed = allow.every_name();
                (
                    deny.kernel_chosen_name(),
                    allowed,
                    if allowed.is_some() { None } else { Some(format!("{verb}=@*")) },
                )
            }
            UnixTarget::Unnamed => {
                return Err(Denial::new(format!("{} is denied: nobody has it", what())));
            }
        };
        match (denied, allowed) {
            (Some(rule), _) => Err(Denial::by_rule(what(), rule)),
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(Allowed { rule: Some(rule) }),
            (None, None) => Err(Denial::missing(what(), grant)),
        }
    }
    fn unix_path<'a>(&self, verb: Verb, path: &'a [u8]) -> Result<Cow<'a, [u8]>, Denial> {
        absolute(path, self.base.as_deref()).map_err(|why| {
            Denial::new(format!(
                "{verb} to {} is denied: {why}",
                show(&path[..path.len().min(SHOWN)])
            ))
        })
    }
    /// The ways to a path that rules allow. The caller walks one after the other until
    /// [`UnixRoute::permits`] agrees.
    ///
    /// `verb` is [`Verb::UnixConnect`] or [`Verb::UnixBind`].
    ///
    /// # Errors
    ///
    /// The path is denied as it is written, or no rule holds it, or the verb is another.
    pub fn unix_route(&self, verb: Verb, path: &[u8]) -> Result<Vec<UnixRoute>, Denial> {
        let target = UnixTarget::Path(path);
        let (request, allow, deny) = match verb {
            Verb::UnixConnect => {
                (Request::UnixConnect(target), &self.allow.unix_connect, &self.deny.unix_connect)
            }
            Verb::UnixBind => {
                (Request::UnixBind(target), &self.allow.unix_bind, &self.deny.unix_bind)
            }
            verb => return Err(Denial::new(format!("{verb} has no paths"))),
        };
        self.unix(&request, target, allow, deny)?;
        let path = self.unix_path(verb, path)?;
        if self.everything {
            return Ok(vec![UnixRoute::of_everything(verb, &path, deny)]);
        }
        Ok(allow.routes(verb, &path, deny))
    }
}
