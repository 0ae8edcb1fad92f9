//! Collects the rules of a policy.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::address::canonical;
use crate::error::{GrantError, ParseError};
use crate::limits::Limits;
use crate::name::{ends_in_number, normalise_name};
use crate::path::UnixPattern;
use crate::policy::{Fixed, Policy};
use crate::publish::Published;
use crate::sender_cache::Cache;
use crate::unix::{RealPath, absolute};
use crate::verbs::{Grant, Rules};

/// Collects the rules of a [`Policy`]. Without any, the policy denies everything.
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    allow: Vec<Grant>,
    deny: Vec<Grant>,
    everything: bool,
    fixed: Fixed,
    published: Published,
    limits: Limits,
    base: Option<Box<[u8]>>,
}

impl PolicyBuilder {
    /// Adds a rule that allows.
    ///
    /// # Errors
    ///
    /// The text is no rule, or names a relative path before
    /// [`base_directory`](Self::base_directory) was called.
    pub fn allow(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let grant = self.parse(text)?;
        self.allow.push(grant);
        Ok(self)
    }

    /// Adds a rule that denies. It wins over every rule that allows.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn deny(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let grant = self.parse(text)?;
        self.deny.push(grant);
        Ok(self)
    }

    fn parse(&self, text: &str) -> Result<Grant, GrantError> {
        let grant: Grant = text.parse()?;
        match &grant {
            Grant::UnixConnect(UnixPattern::Path(path))
            | Grant::UnixBind(UnixPattern::Path(path))
                if !path.absolute && self.base.is_none() =>
            {
                let at = grant.verb().name().len() + 1;
                let error = ParseError::new(
                    at,
                    "the path is relative",
                    "this program sets no directory where relative paths start; write an absolute path",
                );
                Err(GrantError::new(text, error))
            }
            _ => Ok(grant),
        }
    }

    /// Sets a limit from `NAME=N`.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the number is none or out of range.
    pub fn limit(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        self.limits.parse(text)?;
        Ok(self)
    }

    /// Returns the limits, to be set field by field.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Allows everything that no rule denies.
    pub fn allow_all(&mut self) -> &mut Self {
        self.everything = true;
        self
    }

    /// Fixes an address of a name, from `NAME=ADDRESS`. Look-ups of the name are answered with it,
    /// and grants by the name always hold for it, even if it is private. A second call adds an
    /// address.
    ///
    /// # Errors
    ///
    /// The text is not a name, `=` and an address.
    pub fn resolve(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        const HINT: &str = "write NAME=ADDRESS, as in db.example=10.0.0.5";
        let error =
            |offset, what: String| GrantError::new(text, ParseError::new(offset, what, HINT));
        let Some((name, address)) = text.split_once('=') else {
            return Err(error(text.len(), "the address is missing".into()));
        };
        self.fix(name, address)
            .map_err(|(half, what)| error(if half { name.len() + 1 } else { 0 }, what))?;
        Ok(self)
    }

    /// As `resolve`. The error says whether it is in the second half, the address.
    pub(super) fn fix(&mut self, name: &str, address: &str) -> Result<(), (bool, String)> {
        let shown = name.escape_debug();
        let known = normalise_name(name)
            .map_err(|e| (false, format!("`{shown}` is not a host name: {e}")))?;
        if ends_in_number(&known) {
            return Err((false, format!("`{shown}` is not a host name: it ends in a number")));
        }
        let inside =
            address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let Ok(ip) = inside.parse::<IpAddr>() else {
            return Err((true, format!("`{}` is not an address", address.escape_debug())));
        };
        let ip = canonical(ip);
        let name: Box<str> = known.into();
        let names = self.fixed.addresses.entry(ip).or_default();
        if !names.contains(&name) {
            names.push(name.clone());
        }
        let rule = format!("resolve={name}").into();
        let (addresses, _) = self.fixed.names.entry(name).or_insert((Vec::new(), rule));
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
        Ok(())
    }

    /// Publishes an address, from `HOST:PORT=GUEST:PORT`. A guest may bind GUEST:PORT, and then
    /// listens at HOST:PORT. `/tcp` or `/udp` at the end leaves out the other protocol. Receiving
    /// and answering over UDP still need grants.
    ///
    /// # Errors
    ///
    /// The text is no such pair, or the guest's address is published already.
    pub fn publish(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        self.published.add(text)?;
        Ok(self)
    }

    /// Sets the directory where relative UNIX paths of rules and guests start. It must be called
    /// before rules with such paths are added.
    ///
    /// # Errors
    ///
    /// It is not absolute, or has `..` in it.
    pub fn base_directory(
        &mut self,
        directory: impl Into<PathBuf>,
    ) -> Result<&mut Self, GrantError> {
        use std::os::unix::ffi::OsStrExt;
        let directory = directory.into();
        let bytes = directory.as_os_str().as_bytes();
        let error = |what: &str| {
            let text = directory.to_string_lossy();
            Err(GrantError::new(
                &text,
                ParseError::new(0, what, "write an absolute path without `..`"),
            ))
        };
        // The root keeps no slash: a component follows with one.
        if bytes.first() == Some(&b'/')
            && bytes.iter().all(|b| matches!(b, b'/' | b'.'))
            && !bytes.windows(2).any(|w| w == b"..")
        {
            self.base = Some(Box::default());
            return Ok(self);
        }
        if bytes.first() != Some(&b'/') {
            return error("the directory is not absolute");
        }
        match absolute(bytes, None) {
            Ok(base) => self.base = Some(base.into()),
            Err(_) => return error("no directory to start from"),
        }
        Ok(self)
    }

    /// Makes the policy. `real_path` returns the real path of a path, with every link followed.
    ///
    /// It is called for the directories that rules spell out. A rule that denies also holds for the
    /// real place of its directory. A directory that becomes a link later is refused.
    pub fn build_with(self, real_path: RealPath<'_>) -> Policy {
        let base = self.base.as_deref();
        Policy {
            allow: Rules::build(self.allow, base, real_path, false),
            deny: Rules::build(self.deny, base, real_path, true),
            everything: self.everything,
            fixed: self.fixed,
            published: self.published,
            limits: self.limits,
            base: self.base,
            generation: 0,
            senders: Cache::default(),
        }
    }

    /// As [`build_with`](Self::build_with), by this machine's file system.
    #[cfg(test)]
    pub(crate) fn build(self) -> Policy {
        self.build_with(&|path| std::fs::canonicalize(path))
    }
}

impl Policy {
    /// A builder without any rule.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }
}

#[cfg(test)]
impl Policy {
    /// Makes a policy of these rules, for tests.
    #[track_caller]
    pub(crate) fn of_rules(allow: &[&str], deny: &[&str]) -> Self {
        let mut builder = Self::builder();
        for rule in allow {
            builder.allow(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        }
        for rule in deny {
            builder.deny(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        }
        builder.build()
    }
}
