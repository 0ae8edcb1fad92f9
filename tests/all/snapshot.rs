//! The texts that users see, whole: `--help`, a trace, and one denial of each verb. Each is a file
//! of `snapshots/`. CONTRIBUTING.md says how to accept a change.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use sandsock_abi::constants::{AF_INET, CAN_RAW, SO_PRIORITY, SOL_SOCKET};
use sandsock_abi::ioctl;
use sandsock_host::policy::{
    Alone, Ancillary, CanInterface, CanRequest, DescriptorNumber, FamilyTarget, Hostname,
    LocalAddress, NetlinkRequest, OptionRequest, PacketRequest, Pins, Policy,
    PolicyBuilderExt as _, RawRequest, Request, TlsRequest, UnixTarget, Verb,
};
use sandsock_tests::{command, programs};

/// The subcommands. `snapshot_help` checks that there are no others.
const SUBCOMMANDS: [&str; 6] = ["run", "python", "serve", "compose", "inspect", "policy"];

/// The subcommands of `policy`.
const OF_POLICY: [&str; 6] = ["check", "show", "why", "covers", "attack", "schema"];

/// Compares a text with its snapshot.
#[track_caller]
pub(crate) fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Returns what the command prints with these arguments.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let output = Command::new(command()).args(args).output().expect("starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn snapshot_help() {
    let whole = printed(&["--help"]);
    let (_, list) = whole.split_once("\nCommands:\n").expect("it lists the subcommands");
    let listed: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.as_bytes().get(2).is_some_and(|byte| *byte != b' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, SUBCOMMANDS);
    compare("help", &whole);
    for name in SUBCOMMANDS {
        compare(&format!("help-{name}"), &printed(&[name, "--help"]));
    }
    for name in OF_POLICY {
        compare(&format!("help-policy-{name}"), &printed(&["policy", name, "--help"]));
    }
}

/// Replaces the numbers that differ from run to run: how long calls took, and instants.
fn stable(trace: &str) -> String {
    let mut text = String::new();
    for line in trace.lines() {
        let (call, time) = line.rsplit_once(" <").expect("each call has its time");
        let time = time.strip_suffix('>').expect("it ends the line");
        assert!(time.parse::<f64>().is_ok(), "{line}");
        let call = match (call.split_once(" = "), call.split_once(", until ")) {
            (Some((start, _)), _) if start.starts_with("clock_gettime(") => {
                format!("{start} = INSTANT")
            }
            (_, Some((start, rest))) => {
                let (_, end) = rest.split_once(')').expect("it is the last argument");
                format!("{start}, until INSTANT){end}")
            }
            _ => call.to_owned(),
        };
        writeln!(text, "{call} <SECONDS>").expect("a string takes it");
    }
    text
}

#[test]
pub(crate) fn snapshot_trace_ok() {
    let output = Command::new(command())
        .args(["run", "--trace", "--resolve", "db.example=192.0.2.7"])
        .args(["--allow", "udp-bind=127.0.0.1:0"])
        .arg(programs::snapshot_trace_ok.path())
        .output()
        .expect("starts");
    let trace = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{trace}");
    compare("trace", &stable(&trace));
}

/// Returns a request that the verb decides on. There is no other arm, so a new verb needs one.
fn request(verb: Verb) -> Request<'static> {
    let local = IpAddr::from([127, 0, 0, 1]);
    let address = (local, 8000).into();
    match verb {
        Verb::TcpConnect => Request::TcpConnect(address),
        Verb::TcpListen => Request::TcpListen(LocalAddress::from(address)),
        Verb::TlsConnect => Request::TlsConnect(TlsRequest::Name("api.example", 443)),
        Verb::TlsListen => Request::TlsListen(LocalAddress::from(address)),
        Verb::TlsInsecure => Request::TlsInsecure(TlsRequest::Connect(address)),
        Verb::TlsUpgrade => Request::TlsUpgrade(TlsRequest::Name("mail.example", 587)),
        Verb::TlsIdentity => Request::TlsIdentity("web"),
        Verb::UdpBind => Request::UdpBind(LocalAddress::from(address)),
        Verb::UdpSend => Request::UdpSend(address),
        Verb::UdpReceive => Request::UdpReceive(address),
        Verb::UnixConnect => Request::UnixConnect(UnixTarget::Path(b"/run/app/it's.sock")),
        Verb::UnixBind => Request::UnixBind(UnixTarget::Abstract(b"name")),
        Verb::Can => {
            Request::Can(CanRequest { interface: CanInterface::Name("vcan0"), protocol: CAN_RAW })
        }
        Verb::Family => Request::Family(FamilyTarget::Alg { kind: "hash", name: "sha256" }),
        Verb::Resolve => Request::Resolve("db.example"),
        Verb::ReverseResolve => Request::ReverseResolve(local),
        Verb::Interfaces => Request::Interfaces(Alone),
        Verb::Hostname => Request::Hostname(Hostname::Set),
        Verb::Option => Request::Option(OptionRequest::Set {
            family: AF_INET,
            level: SOL_SOCKET,
            number: SO_PRIORITY,
            datagram: true,
        }),
        Verb::Ancillary => Request::Ancillary(Ancillary::RightsSend),
        Verb::Inherit => Request::Inherit(DescriptorNumber(3)),
        Verb::Raw => Request::Raw(RawRequest::Packet((local, 1).into())),
        Verb::Packet => Request::Packet(PacketRequest { interface: Some("lo"), protocol: 0x0806 }),
        Verb::Netlink => Request::Netlink(NetlinkRequest::RouteWrite),
        Verb::Multicast => Request::Multicast(Some([239, 1, 2, 3].into())),
        Verb::Ioctl => {
            Request::Ioctl(ioctl::by_name("SIOCGIFADDR").expect("the table has this ioctl"))
        }
    }
}

#[test]
fn snapshot_denials() {
    let mut text = String::new();
    let now = Instant::now();
    let denial = |policy: Policy, verb| {
        policy.decide(&request(verb), &Pins::new(now), now).expect_err("it is not allowed")
    };
    for row in Verb::TABLE {
        assert_eq!(request(row.verb).verb(), row.verb);
        let missing = denial(Policy::builder().build(), row.verb);
        let rule = missing.grant.as_ref().expect("it names the missing grant");
        // A rule that denies has no terms.
        let rule = rule.split(';').next().expect("a verb");
        let mut policy = Policy::builder();
        policy.allow_all().deny(rule).expect("a rule");
        let denied = denial(policy.build(), row.verb);
        writeln!(text, "{missing}\n{denied}\n").expect("a string takes it");
    }
    compare("denials", &text);
}

#[test]
fn snapshots_are_all_compared() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/all/snapshots");
    let of_policy = OF_POLICY.iter().map(|name| format!("help-policy-{name}.snap"));
    let expected: Vec<_> =
        SUBCOMMANDS.iter().map(|name| format!("help-{name}.snap")).chain(of_policy).collect();
    for entry in folder.read_dir().expect("the folder of snapshots") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let known = expected.contains(&name)
            || ["denials.snap", "hardening.snap", "help.snap", "trace.snap"]
                .contains(&name.as_str())
            || name.ends_with(".snap.new");
        assert!(known, "no test compares snapshots/{name}");
    }
}
