//! The answers of a look-up that the guest may have.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use crate::address::{canonical, destination};
use crate::denial::{Denial, quoted};
use crate::host::{EndpointPattern, HostPattern};
use crate::index::{Endpoints, Ports, any_left};
use crate::name::normalise_name;
use crate::pins::ADDRESSES;
use crate::policy::Policy;
use crate::port::PortRange;
use crate::verbs::Verb;
use crate::verbs::raw::RawPattern;

/// The answers of a look-up, judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedAnswers {
    /// The addresses that the guest may have and that are to be pinned.
    pub kept: Vec<IpAddr>,
    /// The others.
    pub dropped: Vec<DroppedAnswer>,
}

impl JudgedAnswers {
    /// Returns the first denial, if no answer was kept.
    pub fn denial(&self) -> Option<&Denial> {
        if self.kept.is_empty() {
            self.dropped.first().map(|dropped| &dropped.denial)
        } else {
            None
        }
    }
}

/// An answer that the guest may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedAnswer {
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub denial: Denial,
}

impl Policy {
    /// Judges the answers to a look-up of `name`, or its fixed addresses.
    ///
    /// An address is dropped in two cases. It lies in private space, and neither a rule that names
    /// addresses nor `--resolve` holds it. Or rules that deny leave no port of those that grants
    /// by the name and by the address open. If a name may be looked up and has no other grant, the
    /// addresses are kept that could be connected or sent to. At most 64 addresses are kept.
    pub fn judge_answers(&self, name: &str, addresses: Vec<IpAddr>) -> JudgedAnswers {
        self.judge_answers_of(name, &[], addresses)
    }
    /// As [`Self::judge_answers`], for a look-up that gave other names too: canonical names and
    /// aliases, for which deny rules hold.
    pub fn judge_answers_of(
        &self,
        name: &str,
        others: &[String],
        addresses: Vec<IpAddr>,
    ) -> JudgedAnswers {
        let mut judged = JudgedAnswers::default();
        let known = normalise_name(name).unwrap_or(Cow::Borrowed(""));
        let fixed = self.fixed.names.get(&*known).map_or(&[][..], |(addresses, _)| addresses);
        let others: Vec<_> = others.iter().filter_map(|other| normalise_name(other).ok()).collect();
        for address in addresses {
            let result = if judged.kept.len() < ADDRESSES {
                self.judge_answer(&known, &others, canonical(address), fixed)
            } else {
                Err(Denial::new(format!(
                    "{address} is left out: {known} has more than {ADDRESSES} addresses"
                )))
            };
            match result {
                Ok(()) => judged.kept.push(address),
                Err(denial) => judged.dropped.push(DroppedAnswer { address, denial }),
            }
        }
        for kept in &self.restrictions {
            let by_guest = kept.judge_answers_of(name, &[], std::mem::take(&mut judged.kept));
            judged.kept = by_guest.kept;
            judged.dropped.extend(by_guest.dropped.into_iter().map(
                |DroppedAnswer { address, denial }| {
                    let what = format_args!("{known}'s address {address}");
                    DroppedAnswer { address, denial: Denial::given_up(what, denial) }
                },
            ));
        }
        judged
    }
    fn judge_answer(
        &self,
        name: &str,
        others: &[Cow<'_, str>],
        address: IpAddr,
        fixed: &[IpAddr],
    ) -> Result<(), Denial> {
        let (allow, deny) = (&self.allow, &self.deny);
        // A connect to the unspecified address leads to the loopback, and rules name that.
        let reached = canonical(destination(SocketAddr::new(address, 0)).ip());
        let held = |rules: &Endpoints| rules.all_at(reached).next().is_some();
        let at = |deny: &Endpoints, port| {
            deny.touching(address, port).or_else(|| deny.touching(reached, port))
        };
        let names = || std::iter::once(name).chain(others.iter().map(|other| &**other));
        let taken = |deny: &Endpoints, port| {
            at(deny, port).or_else(|| names().find_map(|name| deny.names.find(name, port)))
        };
        let usable = |deny: &Endpoints, wanted: Ports| any_left(wanted, |port| taken(deny, port));
        let private = self.is_private(address)
            && !self.everything
            && !fixed.contains(&address)
            && !allow.endpoints().any(held);
        // The grants for the first ports that are open by the name: none is of use where deny rules
        // take them.
        let named = || {
            let rules = allow.implying_resolve().zip(deny.implying_resolve());
            rules.flat_map(|((verb, allow), (_, deny))| {
                allow.names.all(name).map(move |ports| (verb, ports, deny))
            })
        };
        let left = named().find(|(_, ports, deny)| usable(deny, *ports));
        if private && (left.is_some() || named().next().is_none()) {
            let grant = left.map(|(verb, ports, _)| {
                let pattern = EndpointPattern {
                    host: HostPattern::Net(reached.into()),
                    ports: ports.range(),
                };
                match verb {
                    Verb::Raw => format!("{verb}={}", RawPattern::Packets(pattern)),
                    verb => format!("{verb}={pattern}"),
                }
            });
            let also = grant
                .as_ref()
                .map(|grant| format!("--allow {} or ", quoted(grant)))
                .unwrap_or_default();
            let reason = format!(
                "{name} leads to {address}, which is private: a name alone does not open it; \
                 allow it with {also}--resolve {name}={reached}"
            );
            return Err(Denial { grant, ..Denial::new(reason) });
        }
        let mut granted = false;
        if !self.everything {
            for (allow, deny) in allow.endpoints().zip(deny.endpoints()) {
                for wanted in allow.all_at(reached).chain(allow.names.all(name)) {
                    granted = true;
                    if usable(deny, wanted) {
                        return Ok(());
                    }
                }
            }
        }
        let everywhere = Ports::new(PortRange::ANY, 0);
        if !granted
            && [&self.deny.tcp_connect, &self.deny.udp_send]
                .into_iter()
                .any(|deny| usable(deny, everywhere))
        {
            return Ok(());
        }
        let any = |deny: &Endpoints| {
            let by_name = || names().find_map(|name| deny.names.all(name).next());
            deny.all_at(reached).next().or_else(by_name).or_else(|| at(deny, 0))
        };
        let rule = deny.endpoints().find_map(any).map_or("", |found| self.deny.text(found.rule));
        Err(Denial::by_rule(format_args!("{name}'s address {address}"), rule))
    }
}
