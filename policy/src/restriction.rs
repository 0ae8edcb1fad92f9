//! What a guest keeps when it gives up rights.

use std::sync::Arc;

use crate::builder::PolicyBuilder;
use crate::error::GrantError;
use crate::policy::Policy;
use crate::rule::{Rule, needless_terms};

/// The rules that a guest keeps when it gives up all other rights.
///
/// An act is allowed only if the policy allows it and each restriction has a rule that does. So a
/// restriction never allows anything by itself. It has no rules that deny, because those of the
/// policy hold on.
#[derive(Clone, Debug)]
pub struct Restriction(Arc<Policy>);

impl Restriction {
    /// Makes the restriction of a guest under this policy that keeps these rules. Names have the
    /// addresses that the policy gives them, and relative paths start where the policy's do.
    ///
    /// No path is looked up, because the guest chose it: a rule about a UNIX path holds for the path
    /// as it is written.
    ///
    /// # Errors
    ///
    /// A text is no rule. The error has its place in the list.
    pub fn new<T: AsRef<str>>(policy: &Policy, keep: &[T]) -> Result<Self, (usize, GrantError)> {
        let mut builder = PolicyBuilder::of_restriction(policy);
        for (at, text) in keep.iter().map(AsRef::as_ref).enumerate() {
            let rule: Rule = text.parse().map_err(|error| (at, error))?;
            let added = match rule.terms.is_empty() {
                true => builder.keep_rule(rule),
                // A budget of the policy counts on.
                false => Err(needless_terms("a rule that is kept", &rule)),
            };
            added.map_err(|error| (at, GrantError::new(text, error)))?;
        }
        Ok(Self(Arc::new(builder.build_with(&|path| Ok(path.to_owned())))))
    }
}

impl Policy {
    /// Returns this policy for a guest that keeps only what the restriction allows too.
    #[must_use]
    pub fn restricted(mut self, restriction: Restriction) -> Self {
        self.restrictions.push(restriction.0);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};
    use std::path::Path;
    use std::time::Instant;

    use crate::filter::Carried;
    use crate::verbs::{Request, Verb};
    use crate::{Pins, UnixTarget};

    use super::*;

    fn restricted(policy: &Policy, keep: &[&str]) -> Policy {
        policy.clone().restricted(Restriction::new(policy, keep).unwrap())
    }

    fn decide(policy: &Policy, request: &Request<'_>) -> Result<(), String> {
        let now = Instant::now();
        let pins = Pins::new(now);
        policy.decide(request, &pins, now).map(drop).map_err(|denial| denial.to_string())
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_act_needs_a_rule_of_the_policy_and_of_each_restriction() {
        let policy =
            Policy::of_rules(&["tcp-connect=10.0.0.0/8:*"], &["tcp-connect=10.9.0.0/16:*"]);
        let first = restricted(&policy, &["tcp-connect=10.0.0.0/8:443", "tcp-connect=[::1]:443"]);
        let second = restricted(&first, &["tcp-connect=*:*"]);
        let third = restricted(&second, &["tcp-connect=10.1.0.0/16:*"]);
        assert_eq!((policy.restrictions(), third.restrictions()), (0, 3));
        for (to, allowed) in [
            ("10.1.2.3:443", [true, true, true]),
            ("10.2.3.4:443", [true, true, false]),
            ("10.1.2.3:80", [false, false, false]),
            ("10.9.2.3:443", [false, false, false]),
            ("[::1]:443", [false, false, false]),
        ] {
            let request = Request::TcpConnect(at(to));
            let found = [&first, &second, &third].map(|policy| decide(policy, &request).is_ok());
            assert_eq!(found, allowed, "{to}");
        }
        let request = Request::TcpConnect(at("10.1.2.3:80"));
        assert_eq!(
            decide(&first, &request).unwrap_err(),
            "tcp-connect to 10.1.2.3:80 is denied: the guest gave it up with restrict"
        );
        // The policy's own denial names the grant.
        let request = Request::TcpConnect(at("11.0.0.1:443"));
        assert!(decide(&first, &request).unwrap_err().contains("--allow tcp-connect=11.0.0.1:443"));
    }

    #[test]
    fn nothing_is_kept_of_an_empty_list_and_each_sample_needs_its_rule() {
        let mut everything = Policy::builder();
        everything.allow_all();
        let everything = everything.build();
        let none = restricted(&everything, &[]);
        let own = Policy::of_rules(&[], &[]);
        for request in Request::samples() {
            assert_eq!(
                decide(&none, &request).is_ok(),
                decide(&own, &request).is_ok(),
                "{request:?} is not decided as without any rule"
            );
        }
        assert!(!none.allows_all() && everything.allows_all());
        assert!(none.may_create(17, 3, 0).is_err() && !none.has_grant_for(2, 1, 6));
        assert!(none.may_create(2, 1, 0).is_ok(), "it reaches nothing");
        assert!(!none.may_send_udp(2) && !none.resolves_any());
        assert!(none.restricts_senders(Carried::Udp));
        let denial = none.no_input(2);
        assert!(denial.grant.is_none() && denial.reason.contains("gave it up"), "{denial}");
        assert!(everything.no_input(2).grant.is_some());
    }

    #[test]
    fn names_are_kept_by_names() {
        let policy = Policy::of_rules(&["tcp-connect=*.example:*", "resolve=*"], &[]);
        let kept = restricted(&policy, &["tcp-connect=db.example:5432"]);
        let now = Instant::now();
        let mut pins = Pins::new(now);
        let (db, other): (IpAddr, IpAddr) =
            ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        pins.pin("db.example", &[db], now);
        pins.pin("x.example", &[other], now);
        let connect = |address: IpAddr, port: u16| {
            kept.decide(&Request::TcpConnect((address, port).into()), &pins, now).is_ok()
        };
        assert!(connect(db, 5432) && !connect(db, 80) && !connect(other, 5432));
        assert!(decide(&kept, &Request::Resolve("db.example")).is_ok());
        assert!(decide(&kept, &Request::Resolve("x.example")).is_err());
        assert_eq!(kept.judge_answers("db.example", vec![db]).kept, [db]);
        let dropped = kept.judge_answers("x.example", vec!["10.0.0.1".parse().unwrap()]);
        assert!(dropped.kept.is_empty());
        // An expired pin can be looked up once more.
        let late = now + std::time::Duration::from_secs(3600);
        let denial = kept.decide(&Request::TcpConnect((db, 5432).into()), &pins, late).unwrap_err();
        assert_eq!(denial.expired_name.as_deref(), Some("db.example"));
    }

    #[test]
    fn senders_are_those_that_all_allow() {
        let policy = Policy::of_rules(&["udp-receive=*:*"], &[]);
        let kept = restricted(&policy, &["udp-receive=192.0.2.0/24:*"]);
        let now = Instant::now();
        let pins = Pins::new(now);
        let allowed = |sender: &str| kept.udp_source_allowed(at(sender), &pins, now);
        assert!(allowed("192.0.2.7:9") && !allowed("192.0.3.7:9"));
        assert!(kept.restricts_senders(Carried::Udp) && !policy.restricts_senders(Carried::Udp));
        let raw = restricted(&Policy::of_rules(&["raw=icmp"], &[]), &["raw=icmp:192.0.2.0/24"]);
        let from = |text: &str| raw.raw_source_allowed(text.parse().unwrap(), 1, &pins, now);
        assert!(from("192.0.2.7") && !from("192.0.3.7"));
    }

    #[test]
    fn a_path_is_kept_where_its_links_lead() {
        let policy = Policy::of_rules(&["unix-connect=/run/app/**"], &[]);
        let kept = restricted(&policy, &["unix-connect=/run/app/*.sock"]);
        let route = |path: &[u8]| kept.unix_route(Verb::UnixConnect, path);
        let routes = route(b"/run/app/a.sock").unwrap();
        let leads = |to: &str| routes[0].permits(Path::new("/run/app"), Path::new(to)).is_ok();
        assert!(leads("a.sock") && leads("b.sock") && !leads("sub/a.sock") && !leads("admin"));
        assert!(route(b"/run/app/admin").unwrap_err().to_string().contains("gave it up"));
        // The folder's real place is another one.
        assert!(routes[0].permits(Path::new("/real/app"), Path::new("a.sock")).is_ok());
        let request = Request::UnixBind(UnixTarget::Path(b"/run/app/a.sock"));
        assert!(decide(&kept, &request).is_err());
    }

    #[test]
    fn a_text_that_is_no_rule_has_its_place() {
        let policy = Policy::of_rules(&[], &[]);
        let new = |keep: &[&str]| Restriction::new(&policy, keep).map(drop).unwrap_err();
        let (at, error) = new(&["resolve=*", "tcp-connect=1.2.3.4:99999"]);
        assert_eq!((at, error.character()), (1, 21));
        assert_eq!(new(&["unix-bind=a.sock"]).0, 0);
        let error = new(&["tcp-connect=192.0.2.1:80;bytes=1MiB"]).1;
        assert_eq!(
            error.to_string(),
            "at character 25: a rule that is kept takes no terms; write tcp-connect=192.0.2.1:80"
        );
    }

    #[test]
    fn a_later_policy_keeps_what_was_given_up() {
        let policy = Policy::of_rules(&["tcp-connect=*:*"], &[]);
        let kept = restricted(&policy, &[]);
        let later = policy.clone().following(&kept);
        assert_eq!((later.restrictions(), later.generation()), (1, 1));
        assert!(decide(&later, &Request::TcpConnect(at("192.0.2.1:1"))).is_err());
    }
}
