//! What guests did, as the smallest policy that allows it.
//!
//! A policy that only observes ([`Policy::passing`]) reports for each act the rule that would allow
//! it. The rule names a name if the guest looked the address up. [`Learner`] collects these reports,
//! and drops the rules that others imply. [`file`] adds them to the text of a policy file.

mod file;
mod generalise;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use sandsock_abi::constants::{AF_INET, AF_INET6, AF_UNIX};

use crate::audit::{Decision, SocketArguments, Verdict};
use crate::create::example_in;
use crate::decide::Query;
use crate::name::ends_in_number;
use crate::policy::Policy;
use crate::rule;
use crate::verbs::{Request, Verb};

pub use file::PolicyText;
pub use generalise::Generalise;

/// The most rules, names and sockets of each kind that are learnt. A guest can cause any number.
const MOST: usize = 4096;

/// The target of a grant to receive descriptors of any kind, and of the kinds that are granted.
const ANY_RIGHTS: &str = "rights:receive,any";
const GRANTED_RIGHTS: &str = "rights:receive";

/// Collects what guests did.
#[derive(Clone, Debug, Default)]
pub struct Learner {
    rules: BTreeMap<Rule, Seen>,
    /// The answers of names that lead to private space, which a name alone does not open.
    private: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The names that were looked up.
    names: BTreeSet<String>,
    /// The addresses that were bound and are published, as they were given.
    published: BTreeSet<String>,
    /// The sockets that only a grant about them lets exist, with a grant that does, and the sentence
    /// that asks for one.
    sockets: BTreeMap<SocketArguments, (Option<String>, String)>,
    /// The sockets that were received.
    received: BTreeSet<SocketArguments>,
    /// What no rule can name.
    unnamed: BTreeSet<String>,
    /// How many acts were not learnt, because there were too many different ones.
    beyond: u64,
}

/// A rule: its verb, and its target as text.
type Rule = (Verb, String);

/// How often a rule was needed, and by which calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    count: u64,
    calls: BTreeSet<String>,
    /// How many rules a generalised one stands for.
    rules: usize,
}

/// What was learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// The rules that allow what was done, by verb and target. None implies another.
    pub rules: Vec<LearntRule>,
    /// Names with the addresses that `--resolve` has to give them.
    pub resolve: Vec<(String, Vec<IpAddr>)>,
    /// What has to be published.
    pub publish: Vec<String>,
    /// What no rule can allow, as sentences.
    pub unnamed: Vec<String>,
    /// How many acts were left out, because there were too many different ones.
    pub beyond: u64,
}

/// A rule that was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearntRule {
    /// The rule.
    pub rule: String,
    /// What it was seen for, and how often.
    pub comment: String,
}

/// Adds to a collection, unless it is full. Returns whether there was room.
macro_rules! add {
    ($collection:expr, $value:expr) => {{
        let (collection, value) = (&mut $collection, $value);
        let room = collection.len() < MOST || collection.contains(&value);
        if room {
            collection.insert(value);
        }
        room
    }};
}

impl Learner {
    /// Starts with nothing learnt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns from the report of a decision.
    pub fn saw(&mut self, decision: &Decision<'_>) {
        let resolves = decision.verb == Verb::Resolve.name();
        let fits = match (decision.decision, decision.grant) {
            (Verdict::Deny, _) => true,
            (Verdict::Allow, _) => match decision.rule.and_then(|rule| rule.split_once('=')) {
                Some(("publish", pair)) => add!(self.published, pair.to_owned()),
                _ if resolves => add!(self.names, decision.target.clone()),
                _ => true,
            },
            // The answer of a look-up.
            (Verdict::WouldDeny, _) if resolves && decision.target.contains('=') => {
                self.saw_answer(&decision.target)
            }
            (Verdict::WouldDeny, _) if decision.verb == "socket" => self.saw_socket(decision),
            (Verdict::WouldDeny, Some(grant)) => self.saw_act(decision, grant),
            (Verdict::WouldDeny, None) => {
                add!(self.unnamed, decision.reason.unwrap_or_default().to_owned())
            }
        };
        if !fits {
            self.beyond += 1;
        }
    }

    /// Learns an answer that leads to private space, from `NAME=ADDRESS`.
    fn saw_answer(&mut self, target: &str) -> bool {
        let Some((name, address)) = target.split_once('=') else { return true };
        let Ok(address) = address.parse() else { return true };
        let room = self.private.len() < MOST;
        match self.private.get_mut(name) {
            Some(answers) => add!(*answers, address),
            None if room => {
                self.private.insert(name.to_owned(), BTreeSet::from([address]));
                true
            }
            None => false,
        }
    }

    /// Learns that a socket was created which needs a grant about it.
    fn saw_socket(&mut self, decision: &Decision<'_>) -> bool {
        let (Some(family), Some(type_), Some(protocol)) =
            (decision.family, decision.type_, decision.protocol)
        else {
            return true;
        };
        if self.sockets.len() >= MOST {
            return false;
        }
        let reason = decision.reason.unwrap_or_default();
        let example = decision.grant.or_else(|| example_in(reason)).map(str::to_owned);
        self.sockets.insert((family, type_, protocol), (example, reason.to_owned()));
        true
    }

    /// Learns the rule that would allow an act.
    fn saw_act(&mut self, decision: &Decision<'_>, grant: &str) -> bool {
        let (word, target) = grant.split_once('=').unwrap_or((grant, ""));
        let Some(verb) = Verb::by_name(word) else { return true };
        let rule = (verb, target.to_owned());
        if verb == Verb::Ancillary
            && target == ANY_RIGHTS
            && let (Some(family), Some(type_), Some(protocol)) =
                (decision.family, decision.type_, decision.protocol)
        {
            add!(self.received, (family, type_, protocol));
        }
        if self.rules.len() >= MOST && !self.rules.contains_key(&rule) {
            return false;
        }
        let seen = self.rules.entry(rule).or_default();
        seen.count += 1;
        // The guest's calls are functions of the contract, so there are few.
        seen.calls.extend(decision.call.map(short));
        true
    }

    /// Returns what was learnt. `known` is the policy whose answers the decisions had
    /// ([`Policy::enforced`]).
    pub fn learnt(&self, known: &Policy, generalise: &[Generalise]) -> Learnt {
        let mut rules = self.rules.clone();
        drop_implied(&mut rules, known);
        for how in generalise {
            how.apply(&mut rules);
        }
        self.narrow_rights(&mut rules, known);
        let mut unnamed: Vec<String> = self.unnamed.iter().cloned().collect();
        let mut policy = policy_of(known, &rules);
        for ((family, type_, protocol), (example, reason)) in &self.sockets {
            if policy.may_create(*family, *type_, *protocol).is_ok() {
                continue;
            }
            // The socket was made and not used. An example of a use is enough.
            let Some(Ok(example)) = example.as_deref().map(str::parse::<rule::Rule>) else {
                unnamed.push(reason.clone());
                continue;
            };
            let rule = (example.verb(), example.grant.target().to_string());
            let calls = BTreeSet::from(["socket".to_owned()]);
            rules.entry(rule).or_default().add(Seen { count: 1, calls, rules: 0 });
            policy = policy_of(known, &rules);
        }
        Learnt {
            rules: rules.iter().map(LearntRule::new).collect(),
            resolve: self.resolve(&policy),
            publish: self.published.iter().cloned().collect(),
            unnamed,
            beyond: self.beyond,
        }
    }

    /// Replaces the grant to receive any descriptor if the other rules grant every kind that was
    /// received. A descriptor that is no socket is reported with the UNIX socket that received it.
    fn narrow_rights(&self, rules: &mut BTreeMap<Rule, Seen>, known: &Policy) {
        let any = (Verb::Ancillary, ANY_RIGHTS.to_owned());
        let Some(seen) = rules.remove(&any) else { return };
        let policy = policy_of(known, rules);
        let granted = |(family, type_, protocol): &SocketArguments| {
            *family != AF_UNIX && policy.has_grant_for(*family, *type_, *protocol)
        };
        let narrow = !self.received.is_empty() && self.received.iter().all(granted);
        let target = if narrow { GRANTED_RIGHTS } else { ANY_RIGHTS };
        rules.entry((Verb::Ancillary, target.to_owned())).or_default().add(seen);
    }

    /// Returns the names whose addresses the file has to give: those that had them this time, and
    /// those of which the rules leave no answer, because all lead to private space.
    fn resolve(&self, policy: &Policy) -> Vec<(String, Vec<IpAddr>)> {
        let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for name in &self.names {
            if let Some(fixed) = policy.fixed(name) {
                names.insert(name.clone(), fixed.to_vec());
            }
        }
        for (name, answers) in &self.private {
            let answers: Vec<IpAddr> = answers.iter().copied().collect();
            if !ends_in_number(name)
                && policy.judge_answers(name, answers.clone()).denial().is_some()
            {
                names.entry(name.clone()).or_insert(answers);
            }
        }
        names.into_iter().collect()
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.calls.extend(other.calls);
        self.rules += other.rules;
    }
}

impl LearntRule {
    fn new(((verb, target), seen): (&Rule, &Seen)) -> Self {
        let times = match seen.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        let calls = seen.calls.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let by = if calls.is_empty() { String::new() } else { format!(", by {calls}") };
        let of = match seen.rules {
            0 => String::new(),
            rules => format!(", in place of {rules} rules"),
        };
        Self { rule: text(*verb, target), comment: format!("seen {times}{by}{of}") }
    }
}

/// Returns a rule's text.
fn text(verb: Verb, target: &str) -> String {
    if target.is_empty() { verb.name().to_owned() } else { format!("{verb}={target}") }
}

/// Returns a function of the contract without its kind: `[method]tcp-socket.bind` is
/// `tcp-socket.bind`.
fn short(call: &str) -> String {
    call.rsplit_once(']').map_or(call, |(_, name)| name).to_owned()
}

/// Returns what is known, with these rules.
fn policy_of(known: &Policy, rules: &BTreeMap<Rule, Seen>) -> Policy {
    let rules: Vec<String> = rules.keys().map(|(verb, target)| text(*verb, target)).collect();
    // The directories of paths are not looked up, because no path is asked for here.
    let as_it_is = |path: &Path| Ok(path.to_owned());
    // A denial names a grant only if it is a rule.
    known.granting(rules.iter().map(String::as_str), &as_it_is).unwrap_or_else(|_| known.clone())
}

/// The calls of `wasi:sockets` by which a UDP socket gets a port of the kernel's choice before it
/// sends. A grant to send is enough for that.
const BINDS_TO_SEND: [&str; 2] = ["udp-socket.bind", "udp-socket.start-bind"];

/// Drops the rules that others imply: look-ups of names that are connected or sent to, replies from
/// where a datagram was sent, and the bind of `wasi:sockets` before a send.
fn drop_implied(rules: &mut BTreeMap<Rule, Seen>, known: &Policy) {
    let is_implied = |verb: Verb, target: &str, seen: &Seen| match verb {
        Verb::Resolve | Verb::UdpReceive => true,
        // It was asked for no group, and a grant of any group is enough.
        Verb::Multicast => target == "*",
        Verb::UdpBind if ["0.0.0.0:0", "[::]:0"].contains(&target) => {
            seen.calls.iter().all(|call| BINDS_TO_SEND.contains(&call.as_str()))
        }
        _ => false,
    };
    let (mut candidates, others): (BTreeMap<Rule, Seen>, BTreeMap<Rule, Seen>) =
        std::mem::take(rules)
            .into_iter()
            .partition(|((verb, target), seen)| is_implied(*verb, target, seen));
    *rules = others;
    let policy = policy_of(known, rules);
    // Which addresses a name has plays no part here.
    let query = Query::without_pins(&policy);
    candidates.retain(|(verb, target), _| {
        let allowed = match text(*verb, target).parse::<rule::Rule>() {
            Ok(_) if *verb == Verb::Resolve => Request::Resolve(target).decide(&query).is_ok(),
            Ok(_) if *verb == Verb::Multicast => Request::Multicast(None).decide(&query).is_ok(),
            Ok(_) if *verb == Verb::UdpBind => policy.may_send_udp(match target.as_str() {
                "[::]:0" => AF_INET6,
                _ => AF_INET,
            }),
            Ok(_) => {
                let same = (Verb::UdpSend, target.clone());
                let source = target.parse();
                rules.contains_key(&same)
                    || source.is_ok_and(|source| Request::UdpReceive(source).decide(&query).is_ok())
            }
            Err(_) => false,
        };
        !allowed
    });
    rules.extend(candidates);
}

#[cfg(test)]
mod tests;
