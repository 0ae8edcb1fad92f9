//! Why an act is allowed or denied, and what would change that.

use std::net::IpAddr;
use std::time::Instant;

use serde::Serialize;

use crate::builder::PolicyBuilder;
use crate::covers::addresses::unnamed;
use crate::decide::{Asking, Query, decide};
use crate::denial::{Allowed, Denial};
use crate::error::{GrantError, ParseError};
use crate::host::HostPattern;
use crate::pins::Pins;
use crate::policy::Policy;
use crate::rule::Rule;
use crate::unix::RealPath;
use crate::verbs::{Grant, Request, verb};

/// Why an act is allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The act, as `VERB=TARGET`.
    pub act: String,
    /// Whether it is allowed.
    pub allowed: bool,
    /// The decision as one sentence.
    pub reason: String,
    /// If it is allowed, the rules of which each allows it, the one that decides first. If it is
    /// denied, the rules that deny it.
    pub rules: Vec<String>,
    /// The smallest rule that would allow it, when no rule denies it any more. None if it is
    /// allowed, if a rule allows it already, or if no rule can.
    pub missing: Option<String>,
    /// What the answer depends on.
    pub notes: Vec<String>,
}

/// An act, and the names and addresses that belong to it.
struct Asked<'a> {
    request: Request<'a>,
    /// The name that stands in place of an address, and the address that was put there.
    name: Option<(&'a str, IpAddr)>,
}

impl PolicyBuilder {
    /// Explains what the policy decides on an act: `VERB=TARGET`, where the target names one thing.
    ///
    /// A name in place of an address is an address that the guest looked the name up to.
    /// `real_path` is as for [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// The text is no act.
    pub fn explain(
        &self,
        act: &str,
        real_path: RealPath<'_>,
        now: Instant,
    ) -> Result<Explanation, GrantError> {
        let rule: Rule = act.parse()?;
        let grant = rule.grant;
        if !rule.terms.is_empty() {
            let at = Rule::from(grant.clone()).to_string().len();
            let error =
                ParseError::new(at, "an act has no terms", "leave out what follows the `;`");
            return Err(GrantError::new(act, error));
        }
        let policy = self.clone().build_with(real_path);
        let target = grant.target().to_string();
        let asked = asked(&policy, &grant, &target).map_err(|hint| {
            let at = grant.verb().name().len() + 1;
            GrantError::new(act, ParseError::new(at, "the target names more than one act", hint))
        })?;
        let act = Rule::from(grant.clone()).to_string();
        let mut notes = notes(&policy, &asked);
        let mut rules = Vec::new();
        let (allowed, reason) = match asked.decide(&policy, now) {
            Ok(Allowed { rule: None, .. }) => {
                (true, format!("{act} is allowed: it needs no grant"))
            }
            Ok(Allowed { rule: Some(rule), .. }) => {
                (true, format!("{act} is allowed by the rule {rule}"))
            }
            Err(denial) => (false, denial.reason),
        };
        let mut rest = self.clone();
        let mut missing = None;
        loop {
            let (rule, is_in) = match asked.decide(&rest.clone().build_with(real_path), now) {
                Ok(Allowed { rule: Some(rule), .. }) if allowed => {
                    (rule.to_owned(), rest.remove_allowed(rule))
                }
                Err(Denial { rule: Some(rule), .. }) if !allowed => {
                    let is_in = rest.remove_denied(&rule);
                    (rule, is_in)
                }
                Ok(Allowed { rule: Some(rule), .. }) if !allowed => {
                    notes.push(format!("without the rules that deny it, {rule} would allow it"));
                    break;
                }
                Err(denial) if !allowed => {
                    missing = denial.grant;
                    break;
                }
                Ok(_) | Err(_) => break,
            };
            rules.push(rule);
            if !is_in {
                // It is no rule of a list: `allow-all`, or what is published or resolved.
                break;
            }
        }
        Ok(Explanation { act, allowed, reason, rules, missing, notes })
    }
}

impl Asked<'_> {
    fn decide<'p>(&self, policy: &'p Policy, now: Instant) -> Result<Allowed<'p>, Denial> {
        let mut pins = Pins::new(now);
        if let Some((name, address)) = self.name {
            pins.pin(name, &[address], now);
        }
        policy.decide(&self.request, &pins, now)
    }
}

/// Makes the request that a target names.
///
/// # Errors
///
/// It names more than one. The error says what to write.
fn asked<'a>(
    policy: &'a Policy,
    grant: &'a Grant,
    target: &'a str,
) -> Result<Asked<'a>, &'static str> {
    let asking = Asking { policy, target, address: unnamed(policy).into() };
    let (request, name) = grant.ask(&asking)?;
    let Some(name) = name else { return Ok(Asked { request, name: None }) };
    // The address of a name is known if it is fixed.
    let fixed = policy.fixed(name).and_then(|fixed| fixed.first());
    let asking = Asking { address: fixed.copied().unwrap_or(asking.address), ..asking };
    Ok(Asked { request: grant.ask(&asking)?.0, name: Some((name, asking.address)) })
}

/// Returns what the answer depends on.
fn notes(policy: &Policy, asked: &Asked<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    match asked.request {
        Request::TcpListen(local) | Request::TlsListen(local) | Request::UdpBind(local) => {
            notes.extend(local.published.map(|host| format!("{local} is published as {host}")));
        }
        Request::UnixConnect(_) | Request::UnixBind(_) => notes.push(
            "links in the path are followed when it is used, and the place where they lead is judged too"
                .to_owned(),
        ),
        _ => {}
    }
    let Some((name, address)) = asked.name else { return notes };
    if policy.fixed(name).is_some() {
        notes.push(format!("{name} has the fixed address {address}"));
        return notes;
    }
    notes.push(format!(
        "{address} stands for any public address that the guest looks {name} up to; an address in private space needs a rule of its \
         own, or --resolve {name}=ADDRESS"
    ));
    if let Err(denial) = decide::<verb::Resolve>(&Query::without_pins(policy), name) {
        notes.push(format!("the guest gets no address of it: {denial}"));
    }
    let verb = asked.request.verb();
    for (rules, what) in [(policy.denied(), "deny"), (policy.allowed(), "allow")] {
        let by_address =
            rules.iter().filter(|rule| rule.verb() == verb && !names_a_name(&rule.grant));
        let by_address: Vec<String> = by_address.map(ToString::to_string).collect();
        if !by_address.is_empty() {
            let rules = by_address.join(", ");
            notes
                .push(format!("rules that {what} addresses hold for those of {name} too: {rules}"));
        }
    }
    notes
}

/// Returns whether a rule is about a name, and not about addresses.
fn names_a_name(grant: &Grant) -> bool {
    grant.host().is_none_or(|host| matches!(host, HostPattern::Name(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(allow: &[&str], deny: &[&str]) -> PolicyBuilder {
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        for rule in allow {
            builder.allow(rule).unwrap();
        }
        for rule in deny {
            builder.deny(rule).unwrap();
        }
        builder
    }

    fn explain(builder: &PolicyBuilder, act: &str) -> Explanation {
        let explained = builder.explain(act, &|path| Ok(path.to_owned()), Instant::now());
        explained.unwrap_or_else(|error| panic!("{act}: {error}"))
    }

    #[test]
    fn every_rule_that_allows_is_listed() {
        let policy =
            builder(&["tcp-connect=10.0.0.0/8:*", "tcp-connect=10.0.0.1:443", "udp-send=*:*"], &[]);
        let explained = explain(&policy, "tcp-connect=10.0.0.1:443");
        assert!(explained.allowed && explained.missing.is_none());
        let mut rules = explained.rules;
        rules.sort();
        assert_eq!(rules, ["tcp-connect=10.0.0.0/8:*", "tcp-connect=10.0.0.1:443"]);
        let mut all = builder(&[], &[]);
        all.allow_all();
        assert_eq!(explain(&all, "tcp-connect=10.0.0.1:443").rules, ["allow-all"]);
        assert!(explain(&all, "option=SOL_SOCKET/SO_KEEPALIVE").rules.is_empty());
    }

    #[test]
    fn what_stands_in_the_way_is_listed_and_what_is_missing() {
        let policy = builder(
            &["tcp-connect=*:80"],
            &["tcp-connect=10.0.0.0/8:*", "tcp-connect=10.1.0.0/16:*"],
        );
        let explained = explain(&policy, "tcp-connect=10.1.2.3:443");
        assert!(!explained.allowed);
        assert_eq!(explained.rules.len(), 2);
        assert_eq!(explained.missing.as_deref(), Some("tcp-connect=10.1.2.3:443"));
        let explained = explain(&policy, "tcp-connect=10.1.2.3:80");
        assert_eq!(explained.missing, None);
        assert!(
            explained.notes.iter().any(|note| note.contains("tcp-connect=*:80")),
            "{explained:?}"
        );
    }

    #[test]
    fn a_name_depends_on_what_it_is_looked_up_to() {
        let policy = builder(&["tcp-connect=db.example:5432"], &["tcp-connect=198.51.100.0/24:*"]);
        let explained = explain(&policy, "tcp-connect=db.example:5432");
        assert_eq!(explained.rules, ["tcp-connect=db.example:5432"]);
        let notes = explained.notes.join("\n");
        assert!(notes.contains("private space") && notes.contains("198.51.100.0/24"), "{notes}");
        let explained = explain(&policy, "tcp-connect=other.example:5432");
        assert_eq!(explained.missing.as_deref(), Some("tcp-connect=other.example:5432"));
        let notes = explained.notes.join("\n");
        assert!(notes.contains("the guest gets no address of it"), "{notes}");
        let mut fixed = policy;
        fixed.resolve("db.example=10.0.0.5").unwrap();
        let notes = explain(&fixed, "tcp-connect=db.example:5432").notes.join("\n");
        assert_eq!(notes, "db.example has the fixed address 10.0.0.5");
    }

    #[test]
    fn what_is_added_and_removed_allows_the_act() {
        let policies = [
            builder(&[], &[]),
            builder(
                &["resolve=*", "unix-bind=x/*"],
                &["udp-send=*:*", "unix-connect=/run/**", "can=*"],
            ),
        ];
        let acts = [
            "tcp-connect=192.0.2.1:443",
            "tcp-listen=127.0.0.1:80",
            "tls-connect=api.example:443",
            "tls-identity=web",
            "tls-insecure=192.0.2.1:8443",
            "tls-listen=127.0.0.1:8443",
            "tls-upgrade=mail.example:587",
            "udp-bind=0.0.0.0:0",
            "udp-send=db.example:53",
            "udp-receive=192.0.2.1:9",
            "unix-connect=/run/app/x",
            "unix-connect=@name",
            "unix-bind=x/y",
            "can=vcan0:raw",
            "family=alg:hash:sha256",
            "family=vsock:connect:host:1024",
            "family=bluetooth:hci:raw",
            "family=tipc",
            "resolve=db.example",
            "reverse-resolve=192.0.2.1",
            "interfaces",
            "hostname=read",
            "option=SOL_SOCKET/SO_MARK",
            "ancillary=rights:receive,any",
            "inherit=fd:3",
            "raw=icmp:192.0.2.1",
            "raw=header",
            "packet=lo:arp",
            "packet=*",
            "netlink=generic:nl80211",
            "multicast=239.1.2.3",
            "ioctl=SIOCGIFADDR",
        ];
        for act in acts {
            for policy in &policies {
                let explained = explain(policy, act);
                let mut changed = policy.clone();
                for rule in explained.rules.iter().filter(|_| !explained.allowed) {
                    assert!(changed.remove_denied(rule), "{act}: {rule}");
                }
                if let Some(missing) = &explained.missing {
                    changed.allow(missing).unwrap();
                }
                assert!(explain(&changed, act).allowed, "{act}: {explained:?}");
            }
        }
        for verb in crate::Verb::TABLE {
            let tried = acts.iter().any(|act| act.split('=').next() == Some(verb.name));
            assert!(tried, "no act of {}", verb.name);
        }
    }

    #[test]
    fn a_target_that_names_more_is_refused() {
        let policy = builder(&[], &[]);
        let error = |act: &str| {
            policy
                .explain(act, &|path| Ok(path.to_owned()), Instant::now())
                .unwrap_err()
                .to_string()
        };
        for (act, words) in [
            (
                "tcp-connect=10.0.0.0/8:443",
                "at character 13: the target names more than one act; write one address",
            ),
            ("tcp-connect=10.0.0.1:*", "one port"),
            ("tcp-connect=*.example:1", "one address or name"),
            ("unix-connect=/run/*", "without `*` and `?`"),
            ("can=vcan0", "write one protocol too"),
            ("family=alg:hash", "write one algorithm"),
            ("family=vsock:connect", "one context id"),
            ("resolve=*", "write one name"),
            ("raw=icmp", "icmp:192.0.2.1"),
            ("tcp-connect=10.0.0.1:1;rate=1MiB/s", "at character 23: an act has no terms"),
            ("tcp-conect=1:2", "did you mean tcp-connect?"),
        ] {
            assert!(error(act).contains(words), "{act}: {}", error(act));
        }
    }
}
