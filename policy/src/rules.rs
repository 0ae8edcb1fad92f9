//! One side of a policy, allow or deny: its rules, and an index of each verb.

use std::collections::HashMap;
use std::sync::Arc;

use crate::grant::Grant;
use crate::host::EndpointPattern;
use crate::index::{Endpoints, Names, RuleId};
use crate::name::ResolvePattern;
use crate::path::UnixPattern;
use crate::port::PortRange;
use crate::target::{Ancillary, DescriptorNumber, Hostname};
use crate::unix::{RealPath, UnixRules};
use crate::verbs::can::CanPattern;
use crate::verbs::family::FamilyPattern;
use crate::verbs::netlink::NetlinkPattern;
use crate::verbs::packet::PacketPattern;
use crate::verbs::raw::RawPattern;

/// Names that `resolve` rules hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolves {
    pub(crate) any: Option<RuleId>,
    pub(super) names: Names,
}

impl Resolves {
    pub(super) fn find(&self, name: &str) -> Option<RuleId> {
        self.any.or_else(|| self.names.find(name, 0).map(|found| found.rule))
    }
}

/// One side of a policy, allow or deny.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(crate) grants: Vec<Grant>,
    texts: Vec<Arc<str>>,
    pub(super) tcp_connect: Endpoints,
    pub(super) tcp_listen: Endpoints,
    pub(super) udp_bind: Endpoints,
    pub(super) udp_send: Endpoints,
    pub(super) udp_receive: Endpoints,
    /// What `tcp-listen` and `udp-bind` say about some ports and not about every one.
    pub(super) tcp_ports: Endpoints,
    pub(super) udp_ports: Endpoints,
    /// With the protocol in place of the port.
    pub(super) raw: Endpoints,
    pub(super) raw_header: Option<RuleId>,
    pub(super) multicast: Endpoints,
    pub(super) packet: Vec<(PacketPattern, RuleId)>,
    pub(super) netlink: Vec<(NetlinkPattern, RuleId)>,
    pub(crate) ioctls: HashMap<u32, RuleId>,
    pub(super) unix_connect: Arc<UnixRules>,
    pub(super) unix_bind: Arc<UnixRules>,
    pub(super) can: Vec<(CanPattern, RuleId)>,
    pub(super) families: Vec<(FamilyPattern, RuleId)>,
    pub(super) resolve: Resolves,
    /// Ports have no meaning here: every rule holds for port 0.
    pub(super) reverse_resolve: Endpoints,
    pub(crate) interfaces: Option<RuleId>,
    pub(crate) hostname_read: Option<RuleId>,
    pub(crate) hostname_set: Option<RuleId>,
    /// By the level's name and the number: levels of Bluetooth have the numbers of other levels.
    pub(crate) options: HashMap<(&'static str, i32), RuleId>,
    pub(crate) rights_send: Option<RuleId>,
    pub(crate) rights_receive: Option<RuleId>,
    pub(crate) rights_receive_any: Option<RuleId>,
    pub(crate) credentials_forge: Option<RuleId>,
    pub(crate) inherit: HashMap<DescriptorNumber, RuleId>,
}

impl Rules {
    /// `add_path` is [`UnixRules::add_path`] or, for rules that deny,
    /// [`UnixRules::add_path_and_real`].
    pub(crate) fn build(
        grants: Vec<Grant>,
        base: Option<&[u8]>,
        real_path: RealPath<'_>,
        deny: bool,
    ) -> Self {
        let texts: Vec<Arc<str>> = grants.iter().map(|grant| grant.to_string().into()).collect();
        let mut endpoints: [Vec<(RuleId, &EndpointPattern)>; 7] = Default::default();
        let mut reverse: Vec<(RuleId, EndpointPattern)> = Vec::new();
        let (mut unix_connect, mut unix_bind) = (UnixRules::default(), UnixRules::default());
        let mut rules = Self::default();
        let add_unix = |rules: &mut UnixRules, pattern: &UnixPattern, text: &Arc<str>| match pattern
        {
            UnixPattern::Path(path) if deny => rules.add_path_and_real(path, base, real_path, text),
            UnixPattern::Path(path) => rules.add_path(path, base, real_path, text),
            UnixPattern::Abstract(name) => rules.add_abstract(name, text),
        };
        for ((id, grant), text) in (0..).zip(&grants).zip(&texts) {
            match grant {
                Grant::TcpConnect(pattern) => endpoints[0].push((id, pattern)),
                Grant::TcpListen(pattern) => endpoints[1].push((id, pattern)),
                Grant::UdpBind(pattern) => endpoints[2].push((id, pattern)),
                Grant::UdpSend(pattern) => endpoints[3].push((id, pattern)),
                Grant::UdpReceive(pattern) => endpoints[4].push((id, pattern)),
                Grant::UnixConnect(pattern) => add_unix(&mut unix_connect, pattern, text),
                Grant::UnixBind(pattern) => add_unix(&mut unix_bind, pattern, text),
                Grant::Can(pattern) => rules.can.push((pattern.clone(), id)),
                Grant::Family(pattern) => rules.families.push((pattern.clone(), id)),
                Grant::Resolve(ResolvePattern::Any) => rules.resolve.any = Some(id),
                Grant::Resolve(ResolvePattern::Name(name)) => {
                    rules.resolve.names.add(name, PortRange::ANY, id)
                }
                Grant::ReverseResolve(host) => {
                    reverse
                        .push((id, EndpointPattern { host: host.clone(), ports: PortRange::ANY }));
                }
                Grant::Interfaces => rules.interfaces = Some(id),
                Grant::Hostname(Hostname::Read) => rules.hostname_read = Some(id),
                Grant::Hostname(Hostname::Set) => rules.hostname_set = Some(id),
                Grant::Option(option) => {
                    rules.options.insert((option.level_name, option.number), id);
                }
                Grant::Ancillary(Ancillary::RightsSend) => rules.rights_send = Some(id),
                Grant::Ancillary(Ancillary::RightsReceive) => rules.rights_receive = Some(id),
                Grant::Ancillary(Ancillary::RightsReceiveAny) => {
                    rules.rights_receive_any = Some(id)
                }
                Grant::Ancillary(Ancillary::CredentialsForge) => rules.credentials_forge = Some(id),
                Grant::Inherit(number) => {
                    rules.inherit.insert(*number, id);
                }
                Grant::Raw(RawPattern::Packets(pattern)) => endpoints[5].push((id, pattern)),
                Grant::Raw(RawPattern::Header) => rules.raw_header = Some(id),
                Grant::Packet(pattern) => rules.packet.push((pattern.clone(), id)),
                Grant::Netlink(pattern) => rules.netlink.push((pattern.clone(), id)),
                Grant::Multicast(pattern) => endpoints[6].push((id, &pattern.0)),
                Grant::Ioctl(row) => {
                    rules.ioctls.insert(row.number, id);
                }
            }
        }
        let some_ports = |rules: &[(RuleId, &EndpointPattern)]| {
            Endpoints::build(
                rules.iter().copied().filter(|(_, pattern)| pattern.ports != PortRange::ANY),
            )
        };
        (rules.tcp_ports, rules.udp_ports) = (some_ports(&endpoints[1]), some_ports(&endpoints[2]));
        let [connect, listen, bind, send, receive, raw, multicast] =
            endpoints.map(|list| Endpoints::build(list.into_iter()));
        (rules.tcp_connect, rules.tcp_listen, rules.udp_bind, rules.udp_send, rules.udp_receive) =
            (connect, listen, bind, send, receive);
        (rules.raw, rules.multicast) = (raw, multicast);
        (rules.unix_connect, rules.unix_bind) = (Arc::new(unix_connect), Arc::new(unix_bind));
        rules.reverse_resolve =
            Endpoints::build(reverse.iter().map(|(id, pattern)| (*id, pattern)));
        rules.resolve.names.finish();
        rules.grants = grants;
        rules.texts = texts;
        rules
    }

    pub(super) fn text(&self, rule: RuleId) -> &str {
        self.texts.get(rule as usize).map_or("", |text| text)
    }

    pub(super) fn has_family(&self, family: i32) -> bool {
        self.families.iter().any(|(rule, _)| rule.family() == family)
    }

    /// Those by which an address may be used.
    pub(super) fn endpoints(&self) -> [&Endpoints; 6] {
        [
            &self.tcp_connect,
            &self.tcp_listen,
            &self.udp_bind,
            &self.udp_send,
            &self.udp_receive,
            &self.raw,
        ]
    }
}
