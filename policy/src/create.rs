//! The sockets that may be created.

use sandsock_abi::constants::{
    AF_ALG, AF_BLUETOOTH, AF_CAN, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_QIPCRTR, AF_RDS,
    AF_TIPC, AF_UNIX, AF_VSOCK, BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO,
    IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, NETLINK_GENERIC,
    NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG, SOCK_DGRAM, SOCK_RAW, SOCK_RDM,
    SOCK_SEQPACKET, SOCK_STREAM,
};

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::policy::Policy;
use crate::verbs::Verb;
use crate::verbs::can::can_protocol;

/// SOCK_TYPE_MASK (linux/net.h): above these bits stand SOCK_NONBLOCK and SOCK_CLOEXEC.
const TYPE_MASK: i32 = 0xf;

/// Between what is not granted and the example of a grant.
const EXAMPLE: &str = "; allow some use of it, as with --allow ";

/// Returns the example of a grant in the sentence of a denial of [`Policy::may_create`]. None if
/// the sentence has none.
pub(crate) fn example_in(reason: &str) -> Option<&str> {
    reason.split_once(EXAMPLE).map(|(_, example)| example)
}

/// Returns whether a socket of this kind reaches nothing until an act with it is judged: streams
/// and datagrams of INET, INET6 and UNIX, of the protocol that the kernel takes for 0.
fn is_plain(family: i32, kind: i32, protocol: i32) -> bool {
    match (family, kind) {
        (AF_INET | AF_INET6, SOCK_STREAM) => matches!(protocol, 0 | IPPROTO_TCP),
        (AF_INET | AF_INET6, SOCK_DGRAM) => matches!(protocol, 0 | IPPROTO_UDP),
        (AF_UNIX, SOCK_STREAM | SOCK_DGRAM) => matches!(protocol, 0 | AF_UNIX),
        _ => false,
    }
}

/// A family's name, and a type's, as Python has them.
fn names(family: i32, kind: i32) -> (&'static str, &'static str) {
    let families = [
        (AF_INET, "AF_INET"),
        (AF_INET6, "AF_INET6"),
        (AF_UNIX, "AF_UNIX"),
        (AF_PACKET, "AF_PACKET"),
        (AF_NETLINK, "AF_NETLINK"),
        (AF_CAN, "AF_CAN"),
        (AF_ALG, "AF_ALG"),
        (AF_TIPC, "AF_TIPC"),
        (AF_VSOCK, "AF_VSOCK"),
        (AF_BLUETOOTH, "AF_BLUETOOTH"),
        (AF_RDS, "AF_RDS"),
        (AF_QIPCRTR, "AF_QIPCRTR"),
    ];
    let kinds = [
        (SOCK_STREAM, "SOCK_STREAM"),
        (SOCK_DGRAM, "SOCK_DGRAM"),
        (SOCK_RAW, "SOCK_RAW"),
        (SOCK_RDM, "SOCK_RDM"),
        (SOCK_SEQPACKET, "SOCK_SEQPACKET"),
    ];
    let find = |list: &[(i32, &'static str)], number| {
        list.iter().find(|row| row.0 == number).map_or("?", |row| row.1)
    };
    (find(&families, family), find(&kinds, kind))
}

impl Policy {
    /// Decides whether a socket of this kind may be created. It must be asked before socket(2), and
    /// again with the kind that the kernel reports.
    ///
    /// A stream or datagram socket of INET, INET6 or UNIX with the default protocol reaches nothing
    /// by itself, so it needs no grant. Its first act is judged, and a denial can then name the
    /// missing grant. Every other kind needs [some grant](Self::has_grant_for) about it. An unnamed
    /// UNIX socketpair needs no grant, and nobody has to ask.
    ///
    /// # Errors
    ///
    /// The denial, with an example of a grant by which such a socket could be made.
    pub fn may_create(
        &self,
        family: i32,
        type_: i32,
        protocol: i32,
    ) -> Result<Allowed<'_>, Denial> {
        for kept in &self.restrictions {
            if let Err(denial) = kept.may_create(family, type_, protocol) {
                let (family, kind) = names(family, type_ & TYPE_MASK);
                return Err(Denial::given_up(format!("a socket of {family} and {kind}"), denial));
            }
        }
        if self.everything {
            return Ok(Allowed::by(EVERYTHING));
        }
        if is_plain(family, type_ & TYPE_MASK, protocol) {
            return Ok(Allowed::FREE);
        }
        self.some_use(family, type_ & TYPE_MASK, protocol)
    }

    /// Returns whether some grant is about sockets of this kind, or everything is allowed.
    ///
    /// INET and INET6: `tcp-*` about streams of TCP, `udp-*` about datagrams of UDP, `raw` about
    /// raw and ping sockets of its protocol. UNIX: `unix-*` about streams, datagrams and sequenced
    /// packets. PACKET, NETLINK and CAN: `packet`, `netlink` and `can` by their protocol. Others:
    /// `family` by the family that it names. No grant is about any other family, type or protocol,
    /// not even if it offers the same service (MPTCP, SCTP, SMC, UDP-Lite, DCCP).
    pub fn has_grant_for(&self, family: i32, type_: i32, protocol: i32) -> bool {
        (self.everything || self.some_use(family, type_ & TYPE_MASK, protocol).is_ok())
            && self.keeps(|kept| kept.has_grant_for(family, type_, protocol))
    }

    /// Whether some grant of `udp-send` is about addresses of this family, or everything is allowed.
    /// A grant by name is about both families.
    ///
    /// A UDP socket of such a guest may have a local port of the kernel's choice, to send from.
    pub fn may_send_udp(&self, family: i32) -> bool {
        (self.everything || self.allow.udp_send.has_family(family == AF_INET6))
            && self.keeps(|kept| kept.may_send_udp(family))
    }

    /// As `has_grant_for`, by the rules that allow.
    fn some_use(&self, family: i32, kind: i32, protocol: i32) -> Result<Allowed<'_>, Denial> {
        let allow = &self.allow;
        let (granted, example) = match (family, kind, protocol) {
            (AF_INET | AF_INET6, SOCK_STREAM, 0 | IPPROTO_TCP) => (
                !allow.tcp_connect.is_empty()
                    || !allow.tls_connect.all.is_empty()
                    || !allow.tls_insecure.all.is_empty()
                    || !allow.tls_upgrade.all.is_empty()
                    || !allow.tcp_listen.all.is_empty()
                    || !allow.tls_listen.all.is_empty()
                    || self.published.has(Verb::TcpListen),
                "tcp-connect=127.0.0.1:80".to_owned(),
            ),
            (AF_INET | AF_INET6, SOCK_DGRAM, 0 | IPPROTO_UDP) => (
                !allow.udp_bind.all.is_empty()
                    || !allow.udp_send.is_empty()
                    || !allow.udp_receive.is_empty()
                    || self.published.has(Verb::UdpBind),
                "udp-send=127.0.0.1:53".to_owned(),
            ),
            (AF_UNIX, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET, 0 | AF_UNIX) => (
                !allow.unix_connect.is_empty() || !allow.unix_bind.is_empty(),
                "unix-connect=/run/app/app.sock".to_owned(),
            ),
            (AF_INET | AF_INET6, SOCK_RAW, 0..=255)
            | (AF_INET, SOCK_DGRAM, IPPROTO_ICMP)
            | (AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6) => {
                // The arm has it in range.
                return self.some_raw(u8::try_from(protocol).unwrap_or(u8::MAX));
            }
            (AF_PACKET, SOCK_RAW | SOCK_DGRAM, _) => {
                // socket(2) takes it in network order (man 7 packet).
                let protocol = u16::from_be(protocol as u16);
                (self.may_make_packet(protocol), format!("{}=INTERFACE", Verb::Packet))
            }
            (AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_ROUTE) => {
                self.some_netlink(protocol, "route:read")
            }
            (AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_GENERIC) => {
                self.some_netlink(protocol, "generic:nlctrl")
            }
            (AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_SOCK_DIAG) => {
                self.some_netlink(protocol, "sock-diag:read")
            }
            (AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) => {
                self.some_netlink(protocol, "uevent")
            }
            (AF_CAN, SOCK_RAW | SOCK_DGRAM, _) if can_protocol(protocol).is_some() => {
                // The kernel has CAN_RAW as SOCK_RAW and the others as SOCK_DGRAM, and says so
                // itself.
                (
                    allow.can.iter().any(|(rule, _)| rule.speaks(protocol)),
                    format!("{}=INTERFACE", Verb::Can),
                )
            }
            (AF_ALG, SOCK_SEQPACKET, 0) => self.some_family(family, "alg:hash:sha256"),
            (AF_TIPC, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET | SOCK_RDM, 0) => {
                self.some_family(family, "tipc")
            }
            (AF_VSOCK, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET, 0 | AF_VSOCK) => {
                self.some_family(family, "vsock:connect:host:1024")
            }
            (AF_BLUETOOTH, SOCK_STREAM | SOCK_SEQPACKET | SOCK_RAW, _) => {
                self.some_bluetooth(protocol)
            }
            (AF_RDS, SOCK_SEQPACKET, 0) => self.some_family(family, "rds"),
            (AF_QIPCRTR, SOCK_DGRAM, 0) => self.some_family(family, "qipcrtr"),
            _ => {
                let what = format!("a socket of family {family}, type {kind}, protocol {protocol}");
                return Err(Denial::new(format!(
                    "{what} is denied: no verb of this version grants it"
                )));
            }
        };
        if granted {
            return Ok(Allowed::FREE);
        }
        let (family, kind) = names(family, kind);
        Err(Denial::new(format!(
            "a socket of {family} and {kind} is not granted{EXAMPLE}{example}"
        )))
    }

    fn some_netlink(&self, protocol: i32, example: &str) -> (bool, String) {
        (self.may_make_netlink(protocol), format!("{}={example}", Verb::Netlink))
    }

    fn some_family(&self, family: i32, example: &str) -> (bool, String) {
        (
            self.allow.family.iter().any(|(rule, _)| rule.family() == family),
            format!("{}={example}", Verb::Family),
        )
    }

    fn some_bluetooth(&self, protocol: i32) -> (bool, String) {
        let granted = self.allow.family.iter().any(|(rule, _)| rule.speaks_bluetooth(protocol));
        let example = match protocol {
            BTPROTO_L2CAP => "bluetooth:l2cap",
            BTPROTO_HCI => "bluetooth:hci:raw",
            BTPROTO_SCO => "bluetooth:sco",
            BTPROTO_RFCOMM => "bluetooth:rfcomm",
            _ => "bluetooth",
        };
        (granted, format!("{}={example}", Verb::Family))
    }

    /// Returns the denial of a receive, or of a wait for input, on a datagram socket of this family
    /// that was created without a grant. Without an address nothing can arrive, so the call would
    /// wait for ever.
    pub fn no_input(&self, family: i32) -> Denial {
        let (what, grant) = match family {
            AF_UNIX => (
                "a receive on a UNIX datagram socket without a name",
                format!("{}=@*", Verb::UnixBind),
            ),
            AF_INET6 => (
                "a receive on a UDP socket that is bound nowhere",
                format!("{}=[::]:0", Verb::UdpBind),
            ),
            _ => (
                "a receive on a UDP socket that is bound nowhere",
                format!("{}=0.0.0.0:0", Verb::UdpBind),
            ),
        };
        let denial = Denial::missing(what.to_owned(), Some(grant));
        if self.keeps(|kept| kept.has_grant_for(family, SOCK_DGRAM, 0)) {
            denial
        } else {
            Denial::given_up(what, denial)
        }
    }
}
