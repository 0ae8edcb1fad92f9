//! What of a policy may surprise the person who wrote it.

use std::fmt;

use crate::error::suggestion;
use crate::host::{EndpointPattern, HostPattern};
use crate::name::{NamePattern, ResolvePattern, SET_WORDS};
use crate::policy::Policy;
use crate::port::PortRange;
use crate::rule::Rule;
use crate::verbs::Grant;
use crate::verbs::raw::RawPattern;

/// A part of a policy that works, but perhaps not as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule that the warning is about.
    pub rule: String,
    /// Whether that rule denies.
    pub denies: bool,
    /// What is said of the rule, as the rest of the sentence.
    pub message: String,
}

/// One sentence.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.denies { "denial" } else { "grant" };
        write!(f, "the {side} {} {}", self.rule, self.message)
    }
}

impl Policy {
    /// Returns what may surprise in this policy: rules that are never reached, budgets that another
    /// rule lets a guest evade, and denials by name, which say less than they seem to.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        for (at, rule) in self.allowed().iter().enumerate() {
            found.extend(self.never_reached(at, rule));
            found.extend(self.uncharged(rule));
            found.extend(self.unproven(rule));
        }
        found.extend(self.denied().iter().filter_map(denied_by_name));
        let sides = [(self.allowed(), false), (self.denied(), true)];
        let near = |(rules, denies): (&[Rule], bool)| {
            let all = rules.iter().filter_map(|rule| Some((rule, self.near_a_set(rule)?)));
            let warning = move |(rule, message): (&Rule, String)| Warning {
                rule: rule.to_string(),
                denies,
                message,
            };
            all.map(warning).collect::<Vec<_>>()
        };
        found.extend(sides.into_iter().flat_map(near));
        found
    }

    /// Returns the warning about a host name that is almost the name of a set.
    fn near_a_set(&self, rule: &Rule) -> Option<String> {
        let name = match (&rule.grant, rule.grant.host()) {
            (Grant::Resolve(ResolvePattern::Name(name)), _) => name,
            (_, Some(HostPattern::Name(name))) => name,
            _ => return None,
        };
        let NamePattern::Exact(label) = name else { return None };
        let words = SET_WORDS.into_iter().chain(self.sets().map(|(word, _)| word));
        let near = Some(suggestion(label, words)).filter(|near| !near.is_empty())?;
        Some(format!("names the host `{label}`, which is no set{near}"))
    }

    fn never_reached(&self, at: usize, rule: &Rule) -> Option<Warning> {
        let earlier = self.allowed()[..at].iter().find(|earlier| earlier.grant == rule.grant);
        let message = match earlier {
            Some(earlier) if earlier.terms == rule.terms => "is there twice".to_owned(),
            Some(earlier) => format!("is never reached, because {earlier} comes before it"),
            None => {
                let denial = self.denied().iter().find(|deny| covers(&deny.grant, &rule.grant))?;
                format!("is never reached, because the denial {denial} covers it")
            }
        };
        Some(Warning { rule: rule.to_string(), denies: false, message })
    }

    /// Returns the warning about a rule with a budget that a rule without one covers.
    fn uncharged(&self, rule: &Rule) -> Option<Warning> {
        rule.terms.budget.as_ref()?;
        let wide = "allow-all".to_owned();
        let wider = if self.allows_all() {
            wide
        } else {
            let free = |other: &&Rule| other.terms.budget.is_none();
            let over = |other: &Rule| covers_addresses(&other.grant, &rule.grant);
            self.allowed().iter().filter(free).find(|other| over(other))?.to_string()
        };
        let message = match endpoint(&rule.grant).map(|endpoint| &endpoint.host) {
            Some(HostPattern::Name(name)) => format!(
                "is not charged for an address of {name} that the guest did not look up, because \
                 {wider} allows it without a budget"
            ),
            _ => format!(
                "counts only the acts with its own target; {wider} covers it, and allows all others without a budget"
            ),
        };
        Some(Warning { rule: rule.to_string(), denies: false, message })
    }
}

impl Policy {
    /// Returns the warning about a rule of TLS that proves less than it seems to.
    fn unproven(&self, rule: &Rule) -> Option<Warning> {
        if let Grant::TlsListen(narrow) = &rule.grant {
            let over = |other: &&Rule| match &other.grant {
                Grant::TcpListen(wide) => {
                    covers_ports(wide.ports, narrow.ports) && covers_host(&wide.host, &narrow.host)
                }
                _ => false,
            };
            let other = self.allowed().iter().find(over)?;
            let message = format!(
                "does not enforce TLS, because {other} allows plain bytes at the same addresses"
            );
            return Some(Warning { rule: rule.to_string(), denies: false, message });
        }
        let insecure = matches!(rule.grant, Grant::TlsInsecure(_));
        let (Grant::TlsConnect(narrow) | Grant::TlsInsecure(narrow) | Grant::TlsUpgrade(narrow)) =
            &rule.grant
        else {
            return None;
        };
        let over = |other: &&Rule| {
            let wide = match &other.grant {
                Grant::TcpConnect(wide) => wide,
                Grant::TlsInsecure(wide) if !insecure => wide,
                _ => return false,
            };
            // The addresses of a name may lie in a set.
            let may_hold =
                matches!((&wide.host, &narrow.host), (HostPattern::Set(_), HostPattern::Name(_)));
            covers_ports(wide.ports, narrow.ports)
                && (may_hold || covers_host(&wide.host, &narrow.host))
        };
        let message = match self.allowed().iter().find(over) {
            Some(other) if matches!(other.grant, Grant::TcpConnect(_)) => {
                format!(
                    "does not enforce TLS, because {other} allows plain bytes to the same hosts"
                )
            }
            Some(other) => {
                format!(
                    "makes no server prove its name, because {other} allows the same hosts without proof"
                )
            }
            None if insecure => {
                "allows TLS with whoever answers there, because no certificate is verified"
                    .to_owned()
            }
            None => return None,
        };
        Some(Warning { rule: rule.to_string(), denies: false, message })
    }
}

/// Returns the warning about a denial by name: what it does not do.
fn denied_by_name(rule: &Rule) -> Option<Warning> {
    let message = match &rule.grant {
        Grant::Resolve(ResolvePattern::Name(name)) => format!(
            "refuses look-ups of {name}, and no connection: a guest that knows an address of \
             {name} can use it if a grant allows that address"
        ),
        Grant::TlsConnect(EndpointPattern { host: HostPattern::Name(name), .. }) => format!(
            "refuses look-ups of {name}, and each session of the host's TLS with it: a guest that \
             knows an address of {name} can use it without the host's TLS if a grant of \
             tcp-connect allows that address"
        ),
        grant => match &endpoint(grant)?.host {
            HostPattern::Name(name) => format!(
                "holds for the addresses that the guest looked {name} up to: a guest that knows \
                 an address of {name} by other means can use it if a grant allows that address, so \
                 deny the addresses too"
            ),
            HostPattern::Any | HostPattern::Net(_) | HostPattern::Set(_) => return None,
        },
    };
    Some(Warning { rule: rule.to_string(), denies: true, message })
}

/// Returns the host and the ports of a rule about another host.
fn endpoint(grant: &Grant) -> Option<&EndpointPattern> {
    match grant {
        Grant::TcpConnect(pattern)
        | Grant::TcpListen(pattern)
        | Grant::TlsConnect(pattern)
        | Grant::TlsListen(pattern)
        | Grant::TlsInsecure(pattern)
        | Grant::TlsUpgrade(pattern)
        | Grant::UdpBind(pattern)
        | Grant::UdpSend(pattern)
        | Grant::UdpReceive(pattern)
        | Grant::Raw(RawPattern::Packets(pattern)) => Some(pattern),
        _ => None,
    }
}

/// Returns whether everything that one rule is about is what the other one is about too. The answer
/// may be no although it is so, for verbs without an order of their targets.
fn covers(wide: &Grant, narrow: &Grant) -> bool {
    if wide.verb() != narrow.verb() {
        return false;
    }
    match (endpoint(wide), endpoint(narrow)) {
        (Some(wide), Some(narrow)) => {
            covers_ports(wide.ports, narrow.ports) && covers_host(&wide.host, &narrow.host)
        }
        _ => match (wide, narrow) {
            (Grant::Resolve(ResolvePattern::Any), Grant::Resolve(_)) => true,
            (
                Grant::Resolve(ResolvePattern::Name(wide)),
                Grant::Resolve(ResolvePattern::Name(narrow)),
            ) => covers_name(wide, narrow),
            (wide, narrow) => wide == narrow,
        },
    }
}

/// As [`covers`], where a rule about addresses covers one about a name, because the name's
/// addresses may be among them.
fn covers_addresses(wide: &Grant, narrow: &Grant) -> bool {
    if covers(wide, narrow) {
        return wide != narrow;
    }
    let (Some(wide_at), Some(narrow_at)) = (endpoint(wide), endpoint(narrow)) else {
        return false;
    };
    wide.verb() == narrow.verb()
        && covers_ports(wide_at.ports, narrow_at.ports)
        && matches!(narrow_at.host, HostPattern::Name(_))
        && matches!(wide_at.host, HostPattern::Any | HostPattern::Net(_) | HostPattern::Set(_))
}

fn covers_ports(wide: PortRange, narrow: PortRange) -> bool {
    wide.low() <= narrow.low() && narrow.high() <= wide.high()
}

fn covers_host(wide: &HostPattern, narrow: &HostPattern) -> bool {
    match (wide, narrow) {
        // A denial of every address denies those of a name, and a grant of them allows them.
        (HostPattern::Any, _) => true,
        (HostPattern::Net(wide), HostPattern::Net(narrow)) => wide.contains(narrow),
        (HostPattern::Name(wide), HostPattern::Name(narrow)) => covers_name(wide, narrow),
        (HostPattern::Set(wide), HostPattern::Set(narrow)) => wide == narrow,
        (HostPattern::Net(_) | HostPattern::Name(_) | HostPattern::Set(_), _) => false,
    }
}

fn covers_name(wide: &NamePattern, narrow: &NamePattern) -> bool {
    match (wide, narrow) {
        (wide, NamePattern::Exact(name)) => wide.matches(name),
        (NamePattern::Below(_), NamePattern::Below(below)) => wide.matches(below) || wide == narrow,
        (NamePattern::Exact(_), NamePattern::Below(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(allow: &[&str], deny: &[&str]) -> Vec<String> {
        Policy::of_rules(allow, deny).warnings().iter().map(Warning::to_string).collect()
    }

    #[test]
    fn a_policy_that_means_what_it_says_has_no_warning() {
        let none: Vec<String> = Vec::new();
        assert_eq!(said(&[], &[]), none);
        assert_eq!(
            said(
                &["tcp-connect=db.example:5432;rate=1MiB/s", "tcp-connect=*:443", "resolve=*"],
                &["tcp-connect=10.0.0.0/8:*", "udp-send=*:53"],
            ),
            none
        );
    }

    #[test]
    fn a_budget_that_a_rule_without_one_covers_is_named() {
        assert_eq!(
            said(&["tcp-connect=*:*", "tcp-connect=db.example:5432;bytes=1MiB"], &[]),
            ["the grant tcp-connect=db.example:5432;bytes=1MiB is not charged for an address of \
              db.example that the guest did not look up, because tcp-connect=*:* allows it without a \
              budget"]
        );
        assert_eq!(
            said(&["tcp-connect=10.0.0.0/8:1-9", "tcp-connect=10.0.0.1:5;bytes=1MiB"], &[]),
            [
                "the grant tcp-connect=10.0.0.1:5;bytes=1MiB counts only the acts with its own target; \
              tcp-connect=10.0.0.0/8:1-9 covers it, and allows all others without a budget"
            ]
        );
        for wide in ["tcp-connect=*:5", "udp-send=*:*", "tcp-connect=*:*;rate=1kB/s"] {
            let narrow = "tcp-connect=192.0.2.1:6;bytes=1";
            assert_eq!(said(&[wide, narrow], &[]).len(), 0, "{wide}");
        }
        let mut builder = Policy::builder();
        builder.allow_all().allow("tcp-connect=192.0.2.1:6;bytes=1").unwrap();
        let all = builder.build().warnings();
        assert!(all[0].message.contains("allow-all covers it"), "{all:?}");
    }

    #[test]
    fn a_rule_of_tls_that_another_rule_undoes_is_told() {
        let tls = "tls-connect=api.example:443";
        for wide in ["tcp-connect=*:443", "tcp-connect=api.example:1-999", "tcp-connect=public:*"] {
            assert_eq!(
                said(&[tls, wide], &[]),
                [format!(
                    "the grant {tls} does not enforce TLS, because {wide} allows plain bytes to the same hosts"
                )]
            );
        }
        for other in ["tcp-connect=*:80", "tcp-connect=other.example:443", "udp-send=*:443"] {
            assert_eq!(said(&[tls, other], &[]).len(), 0, "{other}");
        }
        let listen = "tls-listen=127.0.0.1:443;identity=web";
        assert_eq!(
            said(&[listen, "tcp-listen=*:443"], &[]),
            [format!(
                "the grant {listen} does not enforce TLS, because tcp-listen=*:443 allows plain bytes at the same addresses"
            )]
        );
        assert_eq!(said(&[listen, "tcp-listen=*:80"], &[]).len(), 0);
        let insecure = "tls-insecure=*:443";
        let all = said(&[tls, insecure], &[]);
        assert!(all[0].contains("makes no server prove its name"), "{all:?}");
        assert!(all[1].contains("no certificate is verified"), "{all:?}");
    }

    #[test]
    fn a_denial_by_name_says_what_it_does_not_do() {
        let all = said(&["tcp-connect=*:*"], &["tcp-connect=*.ads.example:*"]);
        assert_eq!(
            all,
            [
                "the denial tcp-connect=*.ads.example:* holds for the addresses that the guest looked \
              *.ads.example up to: a guest that knows an address of *.ads.example by other means can \
              use it if a grant allows that address, so deny the addresses too"
            ]
        );
        let all = said(&["resolve=*"], &["resolve=ads.example"]);
        assert!(all[0].contains("refuses look-ups of ads.example, and no connection"), "{all:?}");
    }

    #[test]
    fn a_denial_of_tls_by_name_says_that_sessions_are_refused() {
        let all = said(&["tls-connect=*:*"], &["tls-connect=*.ads.example:*"]);
        assert!(all[0].contains("each session of the host's TLS with it"), "{all:?}");
        assert_eq!(all.len(), 1, "{all:?}");
    }

    #[test]
    fn a_name_that_is_almost_a_set_is_told() {
        let all = said(&["tcp-connect=pubic:443", "tcp-connect=db:1", "resolve=multicst"], &[]);
        assert_eq!(
            all,
            [
                "the grant tcp-connect=pubic:443 names the host `pubic`, which is no set; did you mean \
                 public?",
                "the grant resolve=multicst names the host `multicst`, which is no set; did you mean \
                 multicast?",
            ]
        );
        let mut builder = Policy::builder();
        builder.set("backends=10.0.0.1").unwrap().deny("udp-send=bakends:*").unwrap();
        let all = builder.build().warnings();
        assert!(all.iter().any(|warning| warning.message.ends_with("did you mean backends?")));
    }

    #[test]
    fn a_rule_that_is_never_reached_is_named() {
        for (allow, deny, part) in [
            (&["resolve=a", "resolve=a"][..], &[][..], "is there twice"),
            (
                &["tcp-connect=a:1;bytes=1", "tcp-connect=a:1;bytes=2"],
                &[],
                "because tcp-connect=a:1;bytes=1 comes before it",
            ),
            (&["tcp-connect=a:1"], &["tcp-connect=*:*"], "the denial tcp-connect=*:* covers it"),
            (&["udp-send=10.1.0.0/16:1"], &["udp-send=10.0.0.0/8:0-9"], "covers it"),
            (&["resolve=a.example"], &["resolve=*"], "covers it"),
            (&["interfaces"], &["interfaces"], "covers it"),
        ] {
            let all = said(allow, deny);
            assert!(all.len() == 1 && all[0].contains(part), "{allow:?} {all:?}");
        }
        let reached = said(&["udp-send=10.0.0.0/8:1"], &["udp-send=10.1.0.0/16:*"]);
        assert_eq!(reached.len(), 0);
    }
}
