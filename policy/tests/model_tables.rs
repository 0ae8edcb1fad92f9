//! Random policies of the verbs without hosts, decided by the crate and by tables: for each request
//! the rules that allow it, and the rules that deny it.
//!
//! `SANDSOCK_CASES` and `SANDSOCK_SEED` are as for the model of addresses.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test takes the time, reads its seed and prints it"
)]

mod random;

use std::time::Instant;

use sandsock_abi::constants::{
    AF_INET, CAN_ISOTP, CAN_RAW, IP_HDRINCL, IP_MULTICAST_IF, IPPROTO_IP, SCM_RIGHTS, SO_ERROR,
    SO_MARK, SOL_SOCKET, VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL, VMADDR_PORT_ANY,
};
use sandsock_abi::ioctl;
use sandsock_policy::{
    Alone, Ancillary, BluetoothTarget, CanInterface, CanRequest, DescriptorNumber, EVERY_PROTOCOL,
    FamilyTarget, Hostname, NetlinkRequest, OptionRequest, PacketRequest, Pins, Policy, RawRequest,
    Request, Restriction, UnixTarget, VsockUse,
};

use crate::random::{Random, policies};

/// What decides about a request besides rules.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Settled {
    No,
    /// It needs no grant, but a rule can deny it.
    Free,
    /// Nothing allows it.
    Never,
}

/// A request, and the rules that matter to it.
struct Case {
    request: Request<'static>,
    settled: Settled,
    /// The rules that allow it. The first of them in the policy is named.
    allow: &'static [&'static str],
    /// The rules that deny it.
    deny: &'static [&'static str],
}

/// A request that the same rules allow and deny.
fn case(request: Request<'static>, rules: &'static [&'static str]) -> Case {
    Case { request, settled: Settled::No, allow: rules, deny: rules }
}

impl Case {
    fn denied_by(self, deny: &'static [&'static str]) -> Self {
        Self { deny, ..self }
    }

    fn settled(self, settled: Settled) -> Self {
        Self { settled, ..self }
    }
}

fn tables() -> Vec<Vec<Case>> {
    let can = |interface, protocol| Request::Can(CanRequest { interface, protocol });
    let vcan = CanInterface::Name("vcan0");
    let packet = |interface, protocol| Request::Packet(PacketRequest { interface, protocol });
    let vsock = |purpose, cid, same, port| {
        Request::Family(FamilyTarget::Vsock { purpose, cid, same, port })
    };
    let alg = |kind, name| Request::Family(FamilyTarget::Alg { kind, name });
    let bluetooth = |target| Request::Family(FamilyTarget::Bluetooth(target));
    let raw =
        |last, protocol| Request::Raw(RawRequest::Packet(([10, 0, 0, last], protocol).into()));
    let get =
        |level, number| Request::Option(OptionRequest::Get { family: AF_INET, level, number });
    let set = |level, number| {
        Request::Option(OptionRequest::Set { family: AF_INET, level, number, datagram: true })
    };
    let path = |path: &'static str| Request::UnixConnect(UnixTarget::Path(path.as_bytes()));
    let bound = |path: &'static str| Request::UnixBind(UnixTarget::Path(path.as_bytes()));
    let name = |name: &'static str| Request::UnixConnect(UnixTarget::Abstract(name.as_bytes()));
    let ioctl = |name| Request::Ioctl(ioctl::by_name(name).expect(name));
    vec![
        vec![
            case(Request::TlsIdentity("web"), &["tls-identity=web"]),
            case(Request::TlsIdentity("web-2"), &["tls-identity=web-2"]),
            case(Request::TlsIdentity("other"), &[]),
        ],
        vec![
            case(can(vcan, CAN_RAW), &["can=vcan0", "can=vcan0:raw", "can=*", "can=*:raw"]),
            case(can(vcan, CAN_ISOTP), &["can=vcan0", "can=*"]),
            case(can(CanInterface::Name("vcan1"), CAN_RAW), &["can=*", "can=*:raw"]),
            case(can(CanInterface::Unknown(9), CAN_RAW), &["can=*", "can=*:raw"]),
            case(can(CanInterface::All, CAN_RAW), &["can=*", "can=*:raw"]).denied_by(&[
                "can=vcan0",
                "can=vcan0:raw",
                "can=*",
                "can=*:raw",
            ]),
        ],
        vec![
            case(Request::Interfaces(Alone), &["interfaces"]),
            case(Request::Hostname(Hostname::Read), &["hostname=read"]),
            case(Request::Hostname(Hostname::Set), &["hostname=set"]),
            case(Request::Inherit(DescriptorNumber(0)), &["inherit=stdin"]),
            case(Request::Inherit(DescriptorNumber(3)), &["inherit=fd:3"]),
            case(Request::Inherit(DescriptorNumber(4)), &[]),
        ],
        vec![
            case(Request::Ancillary(Ancillary::RightsSend), &["ancillary=rights:send"]),
            case(
                Request::Ancillary(Ancillary::RightsReceive),
                &["ancillary=rights:receive", "ancillary=rights:receive,any"],
            )
            .denied_by(&["ancillary=rights:receive"]),
            case(
                Request::Ancillary(Ancillary::RightsReceiveAny),
                &["ancillary=rights:receive,any"],
            )
            .denied_by(&["ancillary=rights:receive", "ancillary=rights:receive,any"]),
            case(Request::Ancillary(Ancillary::CredentialsForge), &["ancillary=credentials:forge"]),
        ],
        vec![
            case(raw(1, 1), &["raw=icmp", "raw=icmp:10.0.0.0/8", "raw=icmp:10.0.0.1"]),
            case(raw(2, 1), &["raw=icmp", "raw=icmp:10.0.0.0/8"]),
            case(raw(1, 6), &["raw=6"]).denied_by(&["raw=6", "tcp-connect=10.0.0.1:80"]),
            case(raw(2, 6), &["raw=6"]),
            case(raw(1, 17), &["raw=17:10.0.0.1"])
                .denied_by(&["raw=17:10.0.0.1", "udp-send=10.0.0.0/8:53"]),
            case(raw(1, 136), &[]).denied_by(&["udp-send=10.0.0.0/8:53"]),
            case(raw(1, 89), &[]),
            case(Request::Raw(RawRequest::Header), &["raw=header"]),
            // A packet of IPPROTO_RAW brings its own header, and may have any protocol.
            case(raw(2, 255), &["raw=header"]).denied_by(&[
                "raw=header",
                "raw=icmp",
                "raw=icmp:10.0.0.0/8",
                "raw=6",
            ]),
        ],
        vec![
            case(packet(Some("lo"), 0x0806), &["packet=lo", "packet=lo:arp", "packet=*:arp"]),
            case(packet(Some("lo"), 0x0800), &["packet=lo"]),
            case(packet(Some("eth0"), 0x0806), &["packet=*:arp"]),
            // Some protocol, which the rule may choose.
            case(packet(Some("lo"), 0), &["packet=lo", "packet=lo:arp", "packet=*:arp"])
                .denied_by(&["packet=lo"]),
            // Every protocol, and every interface.
            case(packet(Some("lo"), EVERY_PROTOCOL), &["packet=lo"]).denied_by(&[
                "packet=lo",
                "packet=lo:arp",
                "packet=*:arp",
            ]),
            case(packet(None, 0x0806), &["packet=*:arp"]).denied_by(&[
                "packet=lo",
                "packet=lo:arp",
                "packet=*:arp",
            ]),
        ],
        vec![
            case(Request::Netlink(NetlinkRequest::RouteRead), &["netlink=route:read"]),
            case(Request::Netlink(NetlinkRequest::RouteWrite), &["netlink=route:write"]),
            case(Request::Netlink(NetlinkRequest::SockDiagRead), &["netlink=sock-diag:read"]),
            case(Request::Netlink(NetlinkRequest::Uevent), &["netlink=uevent"]),
            case(Request::Netlink(NetlinkRequest::Generic("a")), &["netlink=generic:a"]),
            case(Request::Netlink(NetlinkRequest::Generic("nlctrl")), &["netlink=generic:nlctrl"]),
            case(
                Request::Netlink(NetlinkRequest::GenericControl),
                &["netlink=generic:a", "netlink=generic:nlctrl"],
            )
            .denied_by(&["netlink=generic:nlctrl"]),
            case(Request::Netlink(NetlinkRequest::Other("a message")), &[]),
        ],
        vec![
            case(Request::Family(FamilyTarget::Tipc), &["family=tipc"]),
            case(Request::Family(FamilyTarget::Rds), &["family=rds"]),
            case(Request::Family(FamilyTarget::Qipcrtr), &["family=qipcrtr"]),
            case(
                bluetooth(BluetoothTarget::L2cap),
                &["family=bluetooth", "family=bluetooth:l2cap"],
            ),
            case(
                bluetooth(BluetoothTarget::Hci(0)),
                &["family=bluetooth", "family=bluetooth:hci", "family=bluetooth:hci:raw"],
            ),
            case(bluetooth(BluetoothTarget::Hci(1)), &["family=bluetooth", "family=bluetooth:hci"]),
            case(bluetooth(BluetoothTarget::Sco), &["family=bluetooth"]),
        ],
        vec![
            case(
                alg("hash", "sha256"),
                &["family=alg", "family=alg:hash", "family=alg:hash:sha*", "family=alg:h*h:*2*"],
            ),
            case(alg("hash", "md5"), &["family=alg", "family=alg:hash"]),
            case(alg("skcipher", "cbc(aes)"), &["family=alg", "family=alg:skcipher:*(aes)"]),
            case(alg("skcipher", "cbc(aes)x"), &["family=alg"]),
        ],
        vec![
            case(
                vsock(VsockUse::Connect, VMADDR_CID_HOST, &[VMADDR_CID_HOST], 1024),
                &[
                    "family=vsock",
                    "family=vsock:connect",
                    "family=vsock:connect:host:1024",
                    "family=vsock:connect:*:1000-1024",
                ],
            ),
            case(
                vsock(VsockUse::Connect, VMADDR_CID_HOST, &[VMADDR_CID_HOST], 1025),
                &["family=vsock", "family=vsock:connect"],
            ),
            // The machine's own number leads to the same place. Only rules that deny hold for it.
            case(
                vsock(VsockUse::Connect, VMADDR_CID_LOCAL, &[VMADDR_CID_LOCAL, 7], 9),
                &["family=vsock", "family=vsock:connect"],
            )
            .denied_by(&[
                "family=vsock",
                "family=vsock:connect",
                "family=vsock:connect:7:9",
            ]),
            case(
                vsock(VsockUse::Listen, 7, &[7], 2000),
                &["family=vsock", "family=vsock:listen:7:2000"],
            ),
            // The wildcard to bind to takes in every number.
            case(
                vsock(VsockUse::Listen, VMADDR_CID_ANY, &[VMADDR_CID_ANY], 2000),
                &["family=vsock"],
            )
            .denied_by(&["family=vsock", "family=vsock:listen:7:2000"]),
            // The kernel may choose any port from 1024 on.
            case(
                vsock(VsockUse::Listen, 7, &[7], VMADDR_PORT_ANY),
                &["family=vsock", "family=vsock:listen:7:any"],
            )
            .denied_by(&[
                "family=vsock",
                "family=vsock:listen:7:any",
                "family=vsock:listen:7:2000",
            ]),
        ],
        vec![
            case(set(SOL_SOCKET, SO_MARK), &["option=SOL_SOCKET/SO_MARK"]),
            case(get(SOL_SOCKET, SO_ERROR), &[])
                .denied_by(&["option=SOL_SOCKET/SO_ERROR"])
                .settled(Settled::Free),
            case(set(IPPROTO_IP, IP_HDRINCL), &["raw=header"])
                .denied_by(&["raw=header", "option=IPPROTO_IP/IP_HDRINCL"]),
            case(set(IPPROTO_IP, IP_MULTICAST_IF), &["multicast=239.1.2.3", "multicast=*"])
                .denied_by(&["option=IPPROTO_IP/IP_MULTICAST_IF"]),
            case(get(9999, 1), &[]).settled(Settled::Never),
            case(
                Request::Option(OptionRequest::Control { level: SOL_SOCKET, number: SCM_RIGHTS }),
                &[],
            )
            .settled(Settled::Never),
        ],
        vec![
            case(ioctl("SIOCGIFADDR"), &["ioctl=SIOCGIFADDR"]),
            case(ioctl("SIOCGIFFLAGS"), &["ioctl=SIOCGIFFLAGS"]),
            case(ioctl("FIONREAD"), &[]).settled(Settled::Free),
        ],
        vec![
            case(
                path("/run/a"),
                &["unix-connect=/run/a", "unix-connect=/run/*", "unix-connect=/**"],
            ),
            case(
                path("/run/./a"),
                &["unix-connect=/run/a", "unix-connect=/run/*", "unix-connect=/**"],
            ),
            case(path("/run/b/c"), &["unix-connect=/run/**/c", "unix-connect=/**"]),
            case(
                path("/run/c"),
                &["unix-connect=/run/**/c", "unix-connect=/run/*", "unix-connect=/**"],
            ),
            case(path("/run/b/x/c"), &["unix-connect=/run/**/c", "unix-connect=/**"]),
            case(path("c"), &["unix-connect=/base/?", "unix-connect=c", "unix-connect=/**"]),
            case(path("/run/../run/a"), &[]).settled(Settled::Never),
            case(path(""), &[]).settled(Settled::Never),
            case(Request::UnixConnect(UnixTarget::Unnamed), &[]).settled(Settled::Never),
        ],
        vec![
            case(bound("/run/a"), &["unix-bind=/run/a", "unix-bind=/run/*"]),
            case(bound("/run/b"), &["unix-bind=/run/*"]),
            case(
                Request::UnixBind(UnixTarget::Abstract(b"ab12e")),
                &["unix-bind=@*", "unix-bind=@ab*"],
            ),
            case(
                Request::UnixBind(UnixTarget::Abstract(b"srv")),
                &["unix-bind=@*", "unix-bind=@srv"],
            ),
            // The kernel chooses five hexadecimal digits.
            case(Request::UnixBind(UnixTarget::Unnamed), &["unix-bind=@*"])
                .denied_by(&["unix-bind=@*", "unix-bind=@ab*"]),
        ],
        vec![
            case(name("srv"), &["unix-connect=@srv", "unix-connect=@s*v", "unix-connect=@*"]),
            case(name("s-v"), &["unix-connect=@s*v", "unix-connect=@*"]),
            case(name("sv"), &["unix-connect=@s*v", "unix-connect=@*"]),
            case(name("v"), &["unix-connect=@*"]),
            case(name(""), &["unix-connect=@*"]),
        ],
    ]
}

/// Compares a policy's decisions about the requests of one table with the table's. Counts them by
/// whether they were denied or allowed.
fn compare(seed: u64, table: &[Case], counts: &mut [usize; 2]) {
    let random = &mut Random(seed);
    let rules: Vec<&str> =
        table.iter().flat_map(|case| case.allow.iter().chain(case.deny)).copied().collect();
    let some = |random: &mut Random, most: usize| -> Vec<&str> {
        (0..random.below(most + 1)).map(|_| random.pick(&rules)).collect()
    };
    let (allow, deny, everything) = (some(random, 4), some(random, 2), random.one_in(4));
    let mut builder = Policy::builder();
    builder.base_directory("/base").expect("a directory");
    if everything {
        builder.allow_all();
    }
    for rule in &allow {
        builder.allow(rule).expect(rule);
    }
    for rule in &deny {
        builder.deny(rule).expect(rule);
    }
    let mut policy = builder.build_with(&|path| Ok(path.to_owned()));
    let mut kept = Vec::new();
    while random.one_in(4) {
        let keep = some(random, 6);
        let restriction = Restriction::new(&policy, &keep).expect("good rules");
        policy = policy.restricted(restriction);
        kept.push(keep);
    }
    let now = Instant::now();
    let pins = Pins::new(now);
    for case in table {
        let has = |rules: &[&str]| rules.iter().any(|rule| case.allow.contains(rule));
        let is_free = case.settled == Settled::Free;
        let expected = case.settled != Settled::Never
            && !deny.iter().any(|rule| case.deny.contains(rule))
            && (is_free || everything || has(&allow))
            && (is_free || kept.iter().all(|kept| has(kept)));
        let found = policy.decide(&case.request, &pins, now);
        assert_eq!(
            found.is_ok(),
            expected,
            "seed {seed}: {:?}: {found:?}\nallow {allow:?} (all: {everything})\ndeny {deny:?}\nkept {kept:?}",
            case.request,
        );
        counts[usize::from(expected)] += 1;
    }
}

#[test]
fn decisions_are_the_tables() {
    let (tables, seeds) = (tables(), policies(20_000));
    let cases = (seeds.end - seeds.start) as usize;
    let mut counts = vec![[0; 2]; tables.len()];
    for seed in seeds {
        let at = seed as usize % tables.len();
        compare(seed, &tables[at], &mut counts[at]);
    }
    println!("{counts:?}");
    for (at, [denied, allowed]) in counts.into_iter().enumerate() {
        let verb = tables[at][0].request.verb();
        assert!(denied.min(allowed) >= cases / tables.len() / 4, "{verb} is hardly compared");
    }
}
