//! The ceiling of a process: the most that acts under its policies can ask of the kernel.
//!
//! A process that restricts itself computes its ceiling first, and gives up the rest. Denials do
//! not count: a ceiling is only an upper bound, and the policy decides about each act.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use sandsock_abi::constants::{
    AF_ALG, AF_BLUETOOTH, AF_CAN, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_QIPCRTR, AF_RDS,
    AF_TIPC, AF_UNIX, AF_VSOCK, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP,
    NETLINK_ROUTE, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_STREAM,
};

use crate::path::UnixPattern;
use crate::policy::Policy;
use crate::port::PortRange;
use crate::verbs::ancillary::Ancillary;
use crate::verbs::family::FamilyPattern;
use crate::verbs::hostname::Hostname;
use crate::verbs::netlink::NetlinkPattern;
use crate::verbs::{Grant, Verb};

/// The types of sockets.
const TYPES: [i32; 5] = [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET];

/// The families that are served, by their name in rules and messages.
const FAMILIES: [(i32, &str); 12] = [
    (AF_UNIX, "AF_UNIX"),
    (AF_INET, "AF_INET"),
    (AF_INET6, "AF_INET6"),
    (AF_NETLINK, "AF_NETLINK"),
    (AF_PACKET, "AF_PACKET"),
    (AF_RDS, "AF_RDS"),
    (AF_CAN, "AF_CAN"),
    (AF_TIPC, "AF_TIPC"),
    (AF_BLUETOOTH, "AF_BLUETOOTH"),
    (AF_ALG, "AF_ALG"),
    (AF_VSOCK, "AF_VSOCK"),
    (AF_QIPCRTR, "AF_QIPCRTR"),
];

/// The first port that any process may bind (man 7 ip: ip_unprivileged_port_start).
const FIRST_ORDINARY_PORT: u16 = 1024;

/// Options whose use needs CAP_NET_ADMIN (man 7 socket, ip, ipv6, tcp, and the kernel's
/// setsockopt).
const ADMIN_OPTIONS: [&str; 27] = [
    "IPV6_FLOWLABEL_MGR",
    "IPV6_IPSEC_POLICY",
    "IPV6_JOIN_ANYCAST",
    "IPV6_TRANSPARENT",
    "IPV6_XFRM_POLICY",
    "IP_IPSEC_POLICY",
    "IP_TRANSPARENT",
    "IP_XFRM_POLICY",
    "SO_BUSY_POLL",
    "SO_BUSY_POLL_BUDGET",
    "SO_DEBUG",
    "SO_J1939_SEND_PRIO",
    "SO_MARK",
    "SO_PREFER_BUSY_POLL",
    "SO_PRIORITY",
    "SO_RCVBUFFORCE",
    "SO_RCVMARK",
    "SO_SNDBUFFORCE",
    "SO_TXTIME",
    "TCP_AO_REPAIR",
    "TCP_CONGESTION",
    "TCP_QUEUE_SEQ",
    "TCP_REPAIR",
    "TCP_REPAIR_OPTIONS",
    "TCP_REPAIR_QUEUE",
    "TCP_REPAIR_WINDOW",
    "TCP_TIMESTAMP",
];

/// Options whose use needs CAP_NET_RAW.
const RAW_OPTIONS: [&str; 10] = [
    "IPV6_2292DSTOPTS",
    "IPV6_2292HOPOPTS",
    "IPV6_2292RTHDR",
    "IPV6_DSTOPTS",
    "IPV6_HOPOPTS",
    "IPV6_RTHDR",
    "IPV6_RTHDRDSTOPTS",
    "IP_OPTIONS",
    "SO_BINDTODEVICE",
    "SO_BINDTOIFINDEX",
];

/// A capability of the kernel that an act under a policy can need (man 7 capabilities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelCapability {
    /// CAP_NET_RAW.
    NetRaw,
    /// CAP_NET_ADMIN.
    NetAdmin,
    /// CAP_NET_BIND_SERVICE.
    NetBindService,
    /// CAP_SYS_ADMIN.
    SysAdmin,
    /// CAP_SETUID.
    SetUid,
    /// CAP_SETGID.
    SetGid,
}

impl KernelCapability {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::NetRaw,
        Self::NetAdmin,
        Self::NetBindService,
        Self::SysAdmin,
        Self::SetUid,
        Self::SetGid,
    ];

    /// Its name in man 7 capabilities.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetRaw => "CAP_NET_RAW",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetBindService => "CAP_NET_BIND_SERVICE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SetUid => "CAP_SETUID",
            Self::SetGid => "CAP_SETGID",
        }
    }
}

impl fmt::Display for KernelCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All of something, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// All of it.
    All,
    /// These.
    Of(T),
}

impl<T: Ord + Clone> Part<BTreeSet<T>> {
    fn none() -> Self {
        Self::Of(BTreeSet::new())
    }

    fn add(&mut self, one: T) {
        if let Self::Of(set) = self {
            set.insert(one);
        }
    }

    fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Of(own), Self::Of(others)) => own.extend(others.iter().cloned()),
            _ => *self = Self::All,
        }
    }

    /// Returns the first member of `self` that `other` does not have. None in `Some` is "all".
    fn beyond(&self, other: &Self) -> Option<Option<T>> {
        match (self, other) {
            (_, Self::All) => None,
            (Self::All, Self::Of(_)) => Some(None),
            (Self::Of(own), Self::Of(others)) => own.difference(others).next().cloned().map(Some),
        }
    }
}

/// The most that acts under some policies can ask of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    sockets: BTreeMap<(i32, i32), Part<BTreeSet<i32>>>,
    capabilities: BTreeSet<KernelCapability>,
    tcp_bind: Part<BTreeSet<u16>>,
    tcp_connect: Part<BTreeSet<u16>>,
    unix_bind: Part<BTreeSet<PathBuf>>,
    unix_paths: bool,
    abstract_names: bool,
    host_name: bool,
    vsock: bool,
    look_ups: bool,
}

/// The most TCP ports that are listed one by one. A rule with more ports counts as all ports.
const MOST_PORTS: usize = 4096;

impl Ceiling {
    /// Returns the ceiling of a process whose guests have no grant. They can make plain sockets of
    /// INET, INET6 and UNIX, whose first act is denied.
    pub fn bottom() -> Self {
        let mut ceiling = Self {
            sockets: BTreeMap::new(),
            capabilities: BTreeSet::new(),
            // An implicit bind, and a socket by which the host learns a port.
            tcp_bind: Part::Of([0].into()),
            tcp_connect: Part::none(),
            unix_bind: Part::none(),
            unix_paths: false,
            abstract_names: false,
            host_name: false,
            vsock: false,
            look_ups: false,
        };
        for family in [AF_INET, AF_INET6] {
            ceiling.socket(family, SOCK_STREAM, [0, IPPROTO_TCP]);
            ceiling.socket(family, SOCK_DGRAM, [0, IPPROTO_UDP]);
        }
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            ceiling.socket(AF_UNIX, kind, [0, AF_UNIX]);
        }
        ceiling
    }

    /// Returns the ceiling of INET, INET6 and UNIX without any capability: all TCP ports, all
    /// UNIX names.
    pub fn ordinary() -> Self {
        Self {
            tcp_bind: Part::All,
            tcp_connect: Part::All,
            unix_bind: Part::All,
            unix_paths: true,
            abstract_names: true,
            look_ups: true,
            ..Self::bottom()
        }
    }

    /// Returns the ceiling of everything that a grant can allow.
    pub fn top() -> Self {
        let kinds = FAMILIES.into_iter().flat_map(|(family, _)| TYPES.map(|kind| (family, kind)));
        Self {
            sockets: kinds.map(|kind| (kind, Part::All)).collect(),
            capabilities: KernelCapability::ALL.into(),
            host_name: true,
            vsock: true,
            ..Self::ordinary()
        }
    }

    /// Returns the ceiling of one policy.
    pub fn of(policy: &Policy) -> Self {
        if policy.allows_all() {
            return Self::top();
        }
        let mut ceiling = Self::bottom();
        for (family, types, protocols) in questions() {
            for kind in types {
                let granted =
                    protocols.iter().filter(|number| policy.has_grant_for(family, *kind, **number));
                ceiling.socket(family, *kind, granted.copied());
            }
        }
        for rule in policy.allowed() {
            ceiling.grant(&rule.grant);
        }
        for (_, host) in policy.published.of(Verb::TcpListen) {
            ceiling.tcp_listen(PortRange::single(host.port()));
        }
        if policy
            .published
            .of(Verb::UdpBind)
            .any(|(_, host)| is_low(PortRange::single(host.port())))
        {
            ceiling.capabilities.insert(KernelCapability::NetBindService);
        }
        policy.allow.unix_bind.folders().for_each(|(folder, _)| ceiling.unix_bind.add(folder));
        let names = &policy.allow.resolve;
        ceiling.look_ups |= names.any.is_some()
            || !names.names.is_empty()
            || policy.allow.implying_resolve().any(|(_, rules)| !rules.names.is_empty());
        // The host chooses a port that no rule denies, and binds it.
        if policy.denied().iter().any(|rule| matches!(rule.grant, Grant::TcpListen(_))) {
            ceiling.tcp_bind = Part::All;
        }
        ceiling
    }

    /// Adds what another ceiling has.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        for (kind, protocols) in &other.sockets {
            self.sockets.entry(*kind).or_insert_with(Part::none).join(protocols);
        }
        self.capabilities.extend(&other.capabilities);
        self.tcp_bind.join(&other.tcp_bind);
        self.tcp_connect.join(&other.tcp_connect);
        self.unix_bind.join(&other.unix_bind);
        self.unix_paths |= other.unix_paths;
        self.abstract_names |= other.abstract_names;
        self.host_name |= other.host_name;
        self.vsock |= other.vsock;
        self.look_ups |= other.look_ups;
        self
    }

    /// Checks that a policy needs nothing beyond this ceiling.
    ///
    /// # Errors
    ///
    /// What it needs, as the end of a sentence.
    pub fn check(&self, policy: &Policy) -> Result<(), String> {
        let needed = Self::of(policy);
        for ((family, kind), protocols) in &needed.sockets {
            let own = self.sockets.get(&(*family, *kind));
            if own.is_none_or(|own| protocols.beyond(own).is_some()) {
                return Err(format!("sockets of {}", family_name(*family).unwrap_or("?")));
            }
        }
        if let Some(capability) = needed.capabilities.difference(&self.capabilities).next() {
            return Err(format!("the capability {capability}"));
        }
        let ports = [
            ("binds", &needed.tcp_bind, &self.tcp_bind),
            ("connections", &needed.tcp_connect, &self.tcp_connect),
        ];
        for (what, needed, own) in ports {
            match needed.beyond(own) {
                Some(Some(port)) => return Err(format!("TCP {what} to port {port}")),
                Some(None) => return Err(format!("TCP {what} to any port")),
                None => {}
            }
        }
        match needed.unix_bind.beyond(&self.unix_bind) {
            Some(Some(folder)) => return Err(format!("UNIX binds in {}", folder.display())),
            Some(None) => return Err("UNIX binds in any folder".to_owned()),
            None => {}
        }
        if needed.abstract_names && !self.abstract_names {
            return Err("connections to abstract UNIX names".to_owned());
        }
        if needed.host_name && !self.host_name {
            return Err("setting the host's name".to_owned());
        }
        if needed.look_ups && !self.look_ups {
            return Err("look-ups".to_owned());
        }
        Ok(())
    }

    /// The kinds of sockets by family and type, each with its protocols.
    pub fn sockets(&self) -> &BTreeMap<(i32, i32), Part<BTreeSet<i32>>> {
        &self.sockets
    }

    /// The names of the families of [`Ceiling::sockets`].
    pub fn families(&self) -> Vec<&'static str> {
        let mut numbers: Vec<i32> = self.sockets.keys().map(|(family, _)| *family).collect();
        numbers.dedup();
        numbers.into_iter().filter_map(family_name).collect()
    }

    /// The capabilities.
    pub fn capabilities(&self) -> &BTreeSet<KernelCapability> {
        &self.capabilities
    }

    /// The TCP ports that a socket may be bound to.
    pub fn tcp_bind(&self) -> &Part<BTreeSet<u16>> {
        &self.tcp_bind
    }

    /// The TCP ports that a socket may be connected to.
    pub fn tcp_connect(&self) -> &Part<BTreeSet<u16>> {
        &self.tcp_connect
    }

    /// The folders where UNIX sockets may get their names.
    pub fn unix_bind(&self) -> &Part<BTreeSet<PathBuf>> {
        &self.unix_bind
    }

    /// Returns whether UNIX sockets with a path may be used, which can belong to other users.
    pub fn unix_paths(&self) -> bool {
        self.unix_paths
    }

    /// Returns whether a socket may be connected to an abstract name of another process.
    pub fn abstract_names(&self) -> bool {
        self.abstract_names
    }

    /// Returns whether this host's name may be set.
    pub fn sets_host_name(&self) -> bool {
        self.host_name
    }

    /// Returns whether the device of AF_VSOCK may be asked.
    pub fn asks_vsock(&self) -> bool {
        self.vsock
    }

    /// Returns whether the C library may be asked for a name or for the name of an address.
    pub fn looks_up(&self) -> bool {
        self.look_ups
    }

    fn socket(&mut self, family: i32, kind: i32, protocols: impl IntoIterator<Item = i32>) {
        let mut protocols = protocols.into_iter().peekable();
        if protocols.peek().is_some() {
            let own = self.sockets.entry((family, kind)).or_insert_with(Part::none);
            protocols.for_each(|protocol| own.add(protocol));
        }
    }

    fn tcp_listen(&mut self, ports: PortRange) {
        add_ports(&mut self.tcp_bind, ports);
        if is_low(ports) {
            self.capabilities.insert(KernelCapability::NetBindService);
        }
    }

    /// Adds what the acts of one rule need beside their sockets. There is no `_` arm, so that a new
    /// verb is thought about.
    fn grant(&mut self, grant: &Grant) {
        use KernelCapability::{NetAdmin, NetBindService, NetRaw, SetGid, SetUid, SysAdmin};
        let needed: &[KernelCapability] = match grant {
            Grant::TcpConnect(to)
            | Grant::TlsConnect(to)
            | Grant::TlsInsecure(to)
            | Grant::TlsUpgrade(to) => {
                add_ports(&mut self.tcp_connect, to.ports);
                &[]
            }
            Grant::TcpListen(at) | Grant::TlsListen(at) => {
                self.tcp_listen(at.ports);
                &[]
            }
            Grant::UdpBind(at) if is_low(at.ports) => &[NetBindService],
            Grant::UnixConnect(UnixPattern::Abstract(_)) => {
                self.abstract_names = true;
                &[]
            }
            Grant::UnixConnect(UnixPattern::Path(_)) | Grant::UnixBind(UnixPattern::Path(_)) => {
                self.unix_paths = true;
                &[]
            }
            Grant::Interfaces(_) => {
                // man 3 if_nameindex: glibc asks by netlink.
                self.socket(AF_NETLINK, SOCK_RAW, [NETLINK_ROUTE]);
                &[]
            }
            Grant::Hostname(Hostname::Set) => {
                self.host_name = true;
                &[SysAdmin]
            }
            Grant::Option(option) if ADMIN_OPTIONS.contains(&option.name) => &[NetAdmin],
            Grant::Option(option) if RAW_OPTIONS.contains(&option.name) => &[NetRaw],
            // The requests that set something.
            Grant::Ioctl(ioctl) if changes(ioctl.name) => &[NetAdmin],
            // man 7 unix: a forged process, user or group.
            Grant::Ancillary(Ancillary::CredentialsForge) => &[SysAdmin, SetUid, SetGid],
            Grant::ReverseResolve(_) => {
                self.look_ups = true;
                &[]
            }
            Grant::Raw(_) => &[NetRaw],
            Grant::Packet(_) => {
                for kind in [SOCK_RAW, SOCK_DGRAM] {
                    self.sockets.insert((AF_PACKET, kind), Part::All);
                }
                &[NetRaw]
            }
            Grant::Netlink(NetlinkPattern::RouteWrite | NetlinkPattern::Generic(_)) => &[NetAdmin],
            Grant::Family(FamilyPattern::Bluetooth(_)) => &[NetRaw, NetAdmin, NetBindService],
            Grant::Family(FamilyPattern::Vsock(_)) => {
                self.vsock = true;
                &[NetBindService]
            }
            Grant::Family(FamilyPattern::Qipcrtr) => &[NetAdmin],
            Grant::UdpBind(_)
            | Grant::UdpSend(_)
            | Grant::UdpReceive(_)
            | Grant::UnixBind(UnixPattern::Abstract(_))
            | Grant::Can(_)
            | Grant::Family(FamilyPattern::Alg { .. } | FamilyPattern::Tipc | FamilyPattern::Rds)
            | Grant::Resolve(_)
            | Grant::Hostname(Hostname::Read)
            | Grant::Option(_)
            | Grant::Ancillary(
                Ancillary::RightsSend | Ancillary::RightsReceive | Ancillary::RightsReceiveAny,
            )
            | Grant::Inherit(_)
            | Grant::TlsIdentity(_)
            | Grant::Netlink(
                NetlinkPattern::RouteRead | NetlinkPattern::SockDiagRead | NetlinkPattern::Uevent,
            )
            | Grant::Multicast(_)
            | Grant::Ioctl(_) => &[],
        };
        self.capabilities.extend(needed);
    }
}

/// The kinds of sockets that a policy is asked about, and their protocols.
fn questions() -> Vec<(i32, &'static [i32], Vec<i32>)> {
    const PLAIN: &[i32] = &[SOCK_STREAM, SOCK_DGRAM];
    let transport = vec![0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6];
    let mut all = Vec::new();
    for family in [AF_INET, AF_INET6] {
        all.push((family, PLAIN, transport.clone()));
        all.push((family, &[SOCK_RAW][..], (0..=255).collect()));
    }
    // include/uapi/linux/netlink.h: MAX_LINKS. net/bluetooth/af_bluetooth.c: BT_MAX_PROTO.
    let few = [
        (AF_NETLINK, 0..32),
        (AF_CAN, 0..8),
        (AF_BLUETOOTH, 0..9),
        (AF_ALG, 0..1),
        (AF_TIPC, 0..1),
        (AF_VSOCK, 0..AF_VSOCK + 1),
        (AF_RDS, 0..1),
        (AF_QIPCRTR, 0..1),
    ];
    all.extend(few.map(|(family, protocols)| (family, &TYPES[..], protocols.collect())));
    all
}

/// Returns the name of a family that is served.
pub fn family_name(family: i32) -> Option<&'static str> {
    FAMILIES.iter().find(|row| row.0 == family).map(|row| row.1)
}

fn is_low(ports: PortRange) -> bool {
    ports.high() > 0 && ports.low() < FIRST_ORDINARY_PORT
}

fn add_ports(part: &mut Part<BTreeSet<u16>>, ports: PortRange) {
    let count = usize::from(ports.high() - ports.low());
    match part {
        Part::Of(own) if own.len() + count < MOST_PORTS => {
            own.extend(ports.low()..=ports.high());
        }
        _ => *part = Part::All,
    }
}

/// Returns whether a request of this name changes an interface or a table (man 7 netdevice, arp).
fn changes(name: &str) -> bool {
    name.starts_with("SIOCS") || matches!(name, "SIOCADDMULTI" | "SIOCDELMULTI" | "SIOCDARP")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> Policy {
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        for rule in rules {
            builder.allow(rule).unwrap();
        }
        builder.build()
    }

    fn ceiling(rules: &[&str]) -> Ceiling {
        Ceiling::of(&policy(rules))
    }

    fn capabilities(rules: &[&str]) -> String {
        let all = ceiling(rules);
        all.capabilities().iter().map(|one| one.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn policy_without_grants_has_plain_sockets_alone() {
        let bottom = ceiling(&[]);
        assert_eq!(bottom, Ceiling::bottom());
        assert_eq!(bottom.families(), ["AF_UNIX", "AF_INET", "AF_INET6"]);
        assert!(!bottom.sockets().contains_key(&(AF_INET, SOCK_RAW)));
        assert_eq!(bottom.tcp_connect(), &Part::none());
        assert!(bottom.check(&policy(&[])).is_ok());
    }

    #[test]
    fn capabilities_follow_from_the_rules() {
        for (rule, expected) in [
            ("tcp-connect=*:443", ""),
            ("tcp-listen=127.0.0.1:8000", ""),
            ("tcp-listen=127.0.0.1:0", ""),
            ("tcp-listen=127.0.0.1:80", "CAP_NET_BIND_SERVICE"),
            ("udp-bind=*:1000-2000", "CAP_NET_BIND_SERVICE"),
            ("udp-bind=*:*", "CAP_NET_BIND_SERVICE"),
            ("raw=icmp", "CAP_NET_RAW"),
            ("packet=lo:arp", "CAP_NET_RAW"),
            ("netlink=route:read", ""),
            ("netlink=route:write", "CAP_NET_ADMIN"),
            ("option=SOL_SOCKET/SO_MARK", "CAP_NET_ADMIN"),
            ("option=SOL_SOCKET/SO_BINDTODEVICE", "CAP_NET_RAW"),
            ("option=SOL_SOCKET/SO_REUSEPORT", ""),
            ("ioctl=SIOCGIFADDR", ""),
            ("ioctl=SIOCSIFADDR", "CAP_NET_ADMIN"),
            ("hostname=read", ""),
            ("hostname=set", "CAP_SYS_ADMIN"),
            ("ancillary=credentials:forge", "CAP_SYS_ADMIN CAP_SETUID CAP_SETGID"),
        ] {
            assert_eq!(capabilities(&[rule]), expected, "{rule}");
        }
    }

    #[test]
    fn options_of_the_tables_exist() {
        for name in ADMIN_OPTIONS.iter().chain(&RAW_OPTIONS) {
            assert!(sandsock_abi::option::all().any(|row| row.name == *name), "{name}");
        }
    }

    #[test]
    fn sockets_follow_from_the_rules() {
        let raw = ceiling(&["raw=icmp"]);
        assert_eq!(raw.sockets()[&(AF_INET, SOCK_RAW)], Part::Of([IPPROTO_ICMP].into()));
        assert_eq!(
            raw.sockets()[&(AF_INET, SOCK_DGRAM)],
            Part::Of([0, IPPROTO_ICMP, IPPROTO_UDP].into())
        );
        let route = ceiling(&["netlink=route:read"]);
        assert_eq!(route.sockets()[&(AF_NETLINK, SOCK_RAW)], Part::Of([NETLINK_ROUTE].into()));
        assert_eq!(ceiling(&["packet=lo"]).sockets()[&(AF_PACKET, SOCK_DGRAM)], Part::All);
        assert!(ceiling(&["interfaces"]).families().contains(&"AF_NETLINK"));
        assert_eq!(ceiling(&["family=tipc"]).families().len(), 4);
    }

    #[test]
    fn look_ups_follow_from_the_rules() {
        for rule in
            ["resolve=db.example", "resolve=*", "reverse-resolve=*", "tcp-connect=db.example:1"]
        {
            assert!(ceiling(&[rule]).looks_up(), "{rule}");
        }
        let mut builder = Policy::builder();
        builder.set("backends=192.0.2.1,db.example").unwrap();
        builder.allow("udp-send=backends:53").unwrap();
        assert!(Ceiling::of(&builder.build()).looks_up());
        assert!(
            !ceiling(&["tcp-connect=*:*", "tcp-listen=127.0.0.1:80", "hostname=read"]).looks_up()
        );
        // The policy has the answer.
        let mut builder = Policy::builder();
        builder.resolve("db.example=192.0.2.1").unwrap();
        assert!(!Ceiling::of(&builder.build()).looks_up());
    }

    #[test]
    fn ports_are_listed_up_to_a_number() {
        let few = ceiling(&["tcp-connect=db.example:5432", "tcp-connect=*:80-82"]);
        assert_eq!(few.tcp_connect(), &Part::Of([80, 81, 82, 5432].into()));
        assert_eq!(few.tcp_bind(), &Part::Of([0].into()));
        assert_eq!(ceiling(&["tcp-connect=*:*"]).tcp_connect(), &Part::All);
        let mut builder = Policy::builder();
        builder.publish("127.0.0.1:8080=127.0.0.1:80/tcp").unwrap();
        assert_eq!(Ceiling::of(&builder.build()).tcp_bind(), &Part::Of([0, 8080].into()));
        let mut builder = Policy::builder();
        builder.allow("tcp-listen=127.0.0.1:0").unwrap();
        builder.deny("tcp-listen=*:40000-40007").unwrap();
        assert_eq!(Ceiling::of(&builder.build()).tcp_bind(), &Part::All);
    }

    #[test]
    fn grants_beyond_the_ceiling_are_named() {
        let narrow = ceiling(&["tcp-connect=127.0.0.1:80"]);
        for (rule, beyond) in [
            ("tcp-connect=127.0.0.1:81", "TCP connections to port 81"),
            ("tcp-connect=127.0.0.1:*", "TCP connections to any port"),
            ("tcp-listen=127.0.0.1:8000", "TCP binds to port 8000"),
            ("raw=icmp", "sockets of AF_INET"),
            ("netlink=route:read", "sockets of AF_NETLINK"),
            ("resolve=*", "look-ups"),
            ("reverse-resolve=192.0.2.1", "look-ups"),
            ("udp-send=db.example:53", "look-ups"),
            ("unix-connect=@name", "connections to abstract UNIX names"),
            ("unix-bind=/run/app/*.sock", "UNIX binds in /run/app"),
            ("option=SOL_SOCKET/SO_MARK", "the capability CAP_NET_ADMIN"),
        ] {
            assert_eq!(narrow.check(&policy(&[rule])).unwrap_err(), beyond, "{rule}");
            assert!(narrow.clone().join(&ceiling(&[rule])).check(&policy(&[rule])).is_ok());
            assert!(Ceiling::top().check(&policy(&[rule])).is_ok(), "{rule}");
        }
        for inside in ["tcp-connect=[::1]:80", "udp-send=*:*", "unix-connect=/a/b"] {
            assert!(narrow.check(&policy(&[inside])).is_ok(), "{inside}");
        }
        for inside in ["tcp-connect=*:*", "unix-connect=@name", "unix-bind=/run/app/*.sock"] {
            assert!(Ceiling::ordinary().check(&policy(&[inside])).is_ok(), "{inside}");
        }
        for beyond in ["raw=icmp", "tcp-listen=*:80", "netlink=route:read"] {
            assert!(Ceiling::ordinary().check(&policy(&[beyond])).is_err(), "{beyond}");
        }
    }
}
