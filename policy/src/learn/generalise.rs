//! Wider rules in place of several that were learnt, where the user asks for them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::{Rule, Seen};
use crate::error::suggestion;
use crate::verbs::Verb;

/// The lengths of the networks that stand for several addresses.
const V4_LENGTH: u8 = 24;
const V6_LENGTH: u8 = 64;

/// What rules are generalised over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generalise {
    /// Several ports of a host become `HOST:*`.
    Ports,
    /// Several addresses of a network become the network: /24 of IPv4, /64 of IPv6.
    Networks,
    /// Several UNIX sockets of a folder become `FOLDER/*`.
    Folders,
}

impl Generalise {
    const ALL: [(&'static str, Self); 3] =
        [("ports", Self::Ports), ("networks", Self::Networks), ("folders", Self::Folders)];

    /// Replaces rules by wider ones.
    pub(super) fn apply(self, rules: &mut BTreeMap<Rule, Seen>) {
        let mut groups: BTreeMap<Rule, Vec<Rule>> = BTreeMap::new();
        for rule in rules.keys() {
            if let Some(wider) = self.wider(rule) {
                groups.entry(wider).or_default().push(rule.clone());
            }
        }
        for (wider, narrow) in groups.into_iter().filter(|(_, narrow)| narrow.len() > 1) {
            let mut all = Seen::default();
            for rule in narrow {
                let seen = rules.remove(&rule).unwrap_or_default();
                all.add(Seen { rules: seen.rules.max(1), ..seen });
            }
            rules.entry(wider).or_default().add(all);
        }
    }

    /// Returns the rule that can stand for this one and for others. None if there is none.
    fn wider(self, (verb, target): &Rule) -> Option<Rule> {
        use Verb::{TcpConnect, TcpListen, UdpBind, UdpReceive, UdpSend, UnixBind, UnixConnect};
        let has_port = matches!(verb, TcpConnect | TcpListen | UdpBind | UdpReceive | UdpSend);
        let wider = match self {
            Self::Ports if has_port => format!("{}:*", target.rsplit_once(':')?.0),
            Self::Networks if has_port => {
                let (host, port) = target.rsplit_once(':')?;
                let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let address: IpAddr = inside.unwrap_or(host).parse().ok()?;
                // A network does not include the wildcard as a local address.
                if address.is_unspecified() {
                    return None;
                }
                let length = if address.is_ipv4() { V4_LENGTH } else { V6_LENGTH };
                match IpNet::new(address, length).ok()?.trunc() {
                    IpNet::V4(net) => format!("{net}:{port}"),
                    IpNet::V6(net) => format!("[{net}]:{port}"),
                }
            }
            Self::Folders if matches!(verb, UnixBind | UnixConnect) => {
                let (folder, _) = target.rsplit_once('/')?;
                format!("{folder}/*")
            }
            Self::Ports | Self::Networks | Self::Folders => return None,
        };
        Some((*verb, wider))
    }
}

impl FromStr for Generalise {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, how)| *how).ok_or_else(|| {
            let near = suggestion(word, Self::ALL.iter().map(|(name, _)| *name));
            format!("it is ports, networks or folders{near}")
        })
    }
}
