//! Collects the rules of a policy.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv6Net};

use crate::address::{Nat64, canonical};
use crate::endpoints::local_name;
use crate::error::{GrantError, ParseError};
use crate::host::{EndpointPattern, HostPattern, parse_lone_host};
use crate::limits::Limits;
use crate::name::{NamePattern, ResolvePattern, SET_WORDS, ends_in_number, normalise_name};
use crate::path::UnixPattern;
use crate::policy::{Fixed, Policy};
use crate::publish::Published;
use crate::rule::{Rule, needless_terms};
use crate::sender_cache::Cache;
use crate::sets::{PUBLIC, Sets, own_network};
use crate::terms::Terms;
use crate::unix::{RealPath, absolute};
use crate::verbs::multicast::no_group;
use crate::verbs::{Grant, Rules};

/// Collects the rules of a [`Policy`]. Without any, the policy denies everything.
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    everything: bool,
    fixed: Fixed,
    published: Published,
    limits: Limits,
    base: Option<Box<[u8]>>,
    sets: Sets,
    /// The policy files that were read.
    pub(super) files: Vec<PathBuf>,
}

impl PolicyBuilder {
    /// Adds a rule that allows.
    ///
    /// # Errors
    ///
    /// The text is no rule, or names a relative path before
    /// [`base_directory`](Self::base_directory) was called, or has no identity and needs one.
    pub fn allow(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let rule = text.parse()?;
        self.allow_rule(rule).map_err(|error| GrantError::new(text, error))?;
        Ok(self)
    }

    /// Adds a rule that denies. It wins over every rule that allows.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow). A rule that denies has no terms.
    pub fn deny(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let rule = text.parse()?;
        self.deny_rule(rule).map_err(|error| GrantError::new(text, error))?;
        Ok(self)
    }

    /// Adds a rule that allows. The error's place is in the rule's text without escapes.
    pub(super) fn allow_rule(&mut self, mut rule: Rule) -> Result<(), ParseError> {
        self.settle_tls(&mut rule)?;
        if let (Some(info), None) = (Terms::required(rule.verb()), rule.terms.identity()) {
            let text = rule.to_string();
            return Err(ParseError::new(
                text.len(),
                format!("`{}` needs `{}`", rule.verb(), info.name),
                format!("write {text};{}={}", info.name, info.example),
            ));
        }
        self.keep_rule(rule)
    }

    /// Adds a rule that a guest keeps. Its terms are those of the policy.
    pub(super) fn keep_rule(&mut self, mut rule: Rule) -> Result<(), ParseError> {
        self.settle(&mut rule)?;
        self.allow.push(rule);
        Ok(())
    }

    /// Adds a rule that denies.
    pub(super) fn deny_rule(&mut self, mut rule: Rule) -> Result<(), ParseError> {
        self.settle(&mut rule)?;
        if !rule.terms.is_empty() {
            return Err(needless_terms("a rule that denies", &rule));
        }
        self.deny.push(rule);
        Ok(())
    }

    /// Finds the set that a name of one label means, and checks what only the builder knows.
    fn settle(&self, rule: &mut Rule) -> Result<(), ParseError> {
        let target = rule.verb().name().len() + 1;
        if let Grant::Resolve(ResolvePattern::Name(NamePattern::Exact(label))) = &rule.grant
            && self.sets.named.contains_key(label)
        {
            rule.grant = Grant::Resolve(ResolvePattern::Set(label.clone()));
        }
        if let Some(host) = rule.grant.host_mut()
            && let Some(word) = host.word().filter(|word| self.sets.named.contains_key(*word))
        {
            *host = HostPattern::Set(word.into());
        }
        match &rule.grant {
            Grant::TcpListen(EndpointPattern { host: HostPattern::Name(name), .. })
            | Grant::TlsListen(EndpointPattern { host: HostPattern::Name(name), .. })
            | Grant::UdpBind(EndpointPattern { host: HostPattern::Name(name), .. }) => {
                Err(local_name(name).shifted(target))
            }
            Grant::Multicast(pattern) if matches!(pattern.0.host, HostPattern::Name(_)) => {
                Err(no_group(&pattern.to_string()).shifted(target))
            }
            Grant::UnixConnect(UnixPattern::Path(path))
            | Grant::UnixBind(UnixPattern::Path(path))
                if !path.absolute && self.base.is_none() =>
            {
                Err(ParseError::new(
                    target,
                    "the path is relative",
                    "this program sets no directory where relative paths start; write an absolute path",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Gives a relative path of roots its place.
    fn settle_tls(&self, rule: &mut Rule) -> Result<(), ParseError> {
        let end = crate::rule::with_target(rule.verb(), &rule.grant.target().to_string()).len();
        let roots = rule.terms.tls.as_mut().and_then(|tls| tls.roots.as_mut());
        let Some(roots) = roots.filter(|roots| !roots.starts_with('/')) else { return Ok(()) };
        let Some(base) = self.base.as_ref().and_then(|base| std::str::from_utf8(base).ok()) else {
            return Err(ParseError::new(
                end,
                "the path of the roots is relative",
                "this program sets no directory where relative paths start; write an absolute path",
            ));
        };
        *roots = format!("{}/{roots}", base.trim_end_matches('/'));
        Ok(())
    }

    /// Names a set of hosts, from `NAME=HOST,HOST`. Rules that are added later can have the name in
    /// place of a host.
    ///
    /// # Errors
    ///
    /// The text is no name, `=` and hosts, or the set is there already, or a rule that was added
    /// before has the name as a host's.
    pub fn set(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let error = |error| GrantError::new(text, error);
        let Some((word, hosts)) = text.split_once('=').filter(|(_, hosts)| !hosts.is_empty())
        else {
            let hint = "write NAME=HOST,HOST, as in backends=10.0.0.0/24,db.example";
            return Err(error(ParseError::new(text.len(), "the hosts are missing", hint)));
        };
        let mut next = self.clone();
        next.new_set(word).map_err(error)?;
        let mut at = word.len() + 1;
        for host in hosts.split(',') {
            next.add_to_set(word, host).map_err(|found| error(found.shifted(at)))?;
            at += host.len() + 1;
        }
        *self = next;
        Ok(self)
    }

    /// Adds a set without hosts.
    pub(super) fn new_set(&mut self, word: &str) -> Result<(), ParseError> {
        let shown = word.escape_debug();
        let no = |what: String, hint: &str| Err(ParseError::new(0, what, hint));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !word.bytes().all(plain)
            || !word.starts_with(|c: char| c.is_ascii_lowercase())
            || word.len() > 63
        {
            return no(
                format!("`{shown}` can't be the name of a set"),
                "write lower-case letters, digits and `-`, the first a letter",
            );
        }
        if SET_WORDS.contains(&word) {
            return no(format!("every policy has the set `{shown}`"), "choose another name");
        }
        if self.sets.named.contains_key(word) {
            return no(format!("the set `{shown}` is there twice"), "name all its hosts at once");
        }
        let of_rules = self.allow.iter().chain(&self.deny).filter_map(|rule| rule.grant.host());
        let of_sets = self.sets.named.values().flatten();
        if of_rules.chain(of_sets).any(|host| host.word() == Some(word)) {
            return no(
                format!("`{shown}` is the name of a host already"),
                "name sets before the rules that use them, and hold no set of your own in another",
            );
        }
        self.sets.named.insert(word.into(), Vec::new());
        Ok(())
    }

    /// Adds a host to a set.
    pub(super) fn add_to_set(&mut self, word: &str, host: &str) -> Result<(), ParseError> {
        let parsed = parse_lone_host(host)?;
        if let HostPattern::Net(net) = &parsed
            && net.addr().is_unspecified()
            && net.prefix_len() == net.max_prefix_len()
        {
            let what = format!("{} stands for no host", net.addr());
            return Err(ParseError::new(0, what, "write the wildcard address in the rule itself"));
        }
        if parsed.word().is_some_and(|inner| self.sets.named.contains_key(inner)) {
            let what = format!("`{host}` is a set of your own");
            return Err(ParseError::new(
                0,
                what,
                "write its hosts; only the sets that every policy has can be in another",
            ));
        }
        self.sets.named.entry(word.into()).or_default().push(parsed);
        Ok(())
    }

    /// Names a NAT64 prefix of the network that the host is in (RFC 6052). An IPv6 address in it is
    /// judged by the IPv4 address that it holds too. The well-known prefixes need no naming.
    ///
    /// # Errors
    ///
    /// The text is no IPv6 network of 32, 40, 48, 56, 64 or 96 bits.
    pub fn nat64(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let prefix = text.parse::<Ipv6Net>().ok().filter(|prefix| *prefix == prefix.trunc());
        match prefix.filter(|prefix| Nat64::is_length(prefix.prefix_len())) {
            Some(prefix) => {
                self.sets.nat64.push(prefix);
                Ok(self)
            }
            None => Err(GrantError::new(
                text,
                ParseError::new(
                    0,
                    format!("`{}` is not a NAT64 prefix", text.escape_debug()),
                    "write an IPv6 network of 32, 40, 48, 56, 64 or 96 bits, as in 2001:db8:64::/96",
                ),
            )),
        }
    }

    /// Notes this host's own addresses and the networks that it is in, each as an address with the
    /// length of its prefix. The set `public` does not hold them.
    pub fn host_networks(&mut self, networks: impl IntoIterator<Item = IpNet>) -> &mut Self {
        let own = &mut self.sets.own_networks;
        for network in networks.into_iter().map(own_network) {
            if !own.iter().any(|known| known.contains(&network)) {
                own.push(network);
            }
        }
        self
    }

    /// Returns whether a rule names `public`, so that
    /// [`host_networks`](Self::host_networks) matter.
    pub fn needs_host_networks(&self) -> bool {
        let of_rules = self.allow.iter().chain(&self.deny).filter_map(|rule| rule.grant.host());
        let hosts = of_rules.chain(self.sets.named.values().flatten());
        hosts.filter_map(HostPattern::word).any(|word| word == PUBLIC)
    }

    /// Removes the rules that allow of this text. Returns whether there were any.
    pub(crate) fn remove_allowed(&mut self, rule: &str) -> bool {
        remove(&mut self.allow, rule)
    }

    /// Removes the rules that deny of this text. Returns whether there were any.
    pub(crate) fn remove_denied(&mut self, rule: &str) -> bool {
        remove(&mut self.deny, rule)
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

    /// Drops the rules that allow, and `allow-all`. Rules that deny, limits, and fixed and published
    /// addresses stay.
    pub fn forget_grants(&mut self) -> &mut Self {
        self.allow.clear();
        self.everything = false;
        self
    }

    /// Returns whether everything is allowed that no rule denies.
    pub fn allows_all(&self) -> bool {
        self.everything
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

    /// A builder for the rules that a guest under this policy keeps. Names, sets and relative paths
    /// mean what they mean in the policy.
    pub(crate) fn of_restriction(policy: &Policy) -> Self {
        Self {
            fixed: policy.fixed.clone(),
            sets: policy.sets.clone(),
            base: policy.base.clone(),
            ..Self::default()
        }
    }

    /// Makes the policy. `real_path` returns the real path of a path, with every link followed.
    ///
    /// It is called for the directories that rules spell out. A rule that denies also holds for the
    /// real place of its directory. A directory that becomes a link later is refused.
    pub fn build_with(self, real_path: RealPath<'_>) -> Policy {
        let base = self.base.as_deref();
        Policy {
            allow: Rules::build(self.allow, base, real_path, &self.sets.build(false), false),
            deny: Rules::build(self.deny, base, real_path, &self.sets.build(true), true),
            nat64: Nat64::new(&self.sets.nat64),
            sets: self.sets,
            files: self.files,
            everything: self.everything,
            fixed: self.fixed,
            published: self.published,
            limits: self.limits,
            base: self.base,
            generation: 0,
            senders: Cache::default(),
            restrictions: Vec::new(),
            enforced: None,
        }
    }

    /// As [`build_with`](Self::build_with), by this machine's file system.
    #[cfg(test)]
    pub(crate) fn build(self) -> Policy {
        self.build_with(&|path| std::fs::canonicalize(path))
    }
}

/// Removes the rules of a text from a list. Returns whether there were any.
fn remove(list: &mut Vec<Rule>, text: &str) -> bool {
    let before = list.len();
    list.retain(|rule| rule.to_string() != text);
    list.len() < before
}

impl Policy {
    /// A builder without any rule.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Returns this policy with more rules that allow. `real_path` is as in
    /// [`PolicyBuilder::build_with`].
    ///
    /// # Errors
    ///
    /// A text is no rule, or names a relative path and the policy has no base directory.
    pub fn granting<'r>(
        &self,
        rules: impl IntoIterator<Item = &'r str>,
        real_path: RealPath<'_>,
    ) -> Result<Self, GrantError> {
        let mut builder = PolicyBuilder {
            allow: self.allow.rules.clone(),
            sets: self.sets.clone(),
            base: self.base.clone(),
            ..PolicyBuilder::default()
        };
        for rule in rules {
            builder.allow(rule)?;
        }
        let (base, sets) = (self.base.as_deref(), self.sets.build(false));
        Ok(Self {
            allow: Rules::build(builder.allow, base, real_path, &sets, false),
            senders: Cache::default(),
            ..self.clone()
        })
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
