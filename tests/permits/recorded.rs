//! Without a permit, no system call: what the kernel saw is compared with the permits that were
//! issued.
//!
//! The command runs guests under strace(1). The host logs each permit when it is issued, and the log
//! is in strace's output too, because it is written to standard error. So one file has the permits
//! and the system calls in the order in which they happened. Each socket that is made, each use of an
//! address, each option that is set, and each message with control data must have a permit that was
//! issued before.

mod whole_run;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use sandsock_tests::{command, guest_path, skip};

/// The options that the host sets for itself: the filter of the policy, SO_LINGER before a close,
/// and the size of a receive buffer above the limit `buffer-bytes` (linux: asm-generic/socket.h).
const OWN_OPTIONS: &[&str] = &["0x1 0x1a", "0x1 0x1b", "0x1 0xd", "0x1 0x8", "0x1 0x48"];

/// The system calls that need a permit.
const CALLS: &str = "socket,socketpair,bind,connect,listen,sendto,sendmsg,sendmmsg,setsockopt";

/// Guests that need nobody else, with the grants and arguments of their own tests.
const GUESTS: &[(&str, &[&str], &[&str])] = &[
    ("inet_options_forms", &["tcp-connect=127.0.0.1:1", "udp-bind=[::1]:0"], &[]),
    (
        "inet_message_buffers",
        &[
            "tcp-listen=127.0.0.1:0",
            "tcp-connect=127.0.0.1:*",
            "udp-bind=[::1]:0",
            "udp-send=[::1]:*",
        ],
        &[],
    ),
    (
        "inet_flags_peek",
        &["tcp-listen=127.0.0.1:0", "tcp-connect=127.0.0.1:*", "udp-bind=*:0", "udp-send=*:*"],
        &[],
    ),
    ("unix_pair_unnamed", &[], &[]),
    ("poller_triggers_ok", &[], &[]),
    ("aio_echo_ok", &["tcp-listen=127.0.0.1:0", "tcp-connect=127.0.0.1:*"], &["20"]),
];

/// A permit or a system call, in one form: `bind 127.0.0.1:80`.
#[derive(Debug, PartialEq)]
enum Event {
    Permit(String),
    Call(String),
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// The bytes of a text in which some are written as `\x7f`.
fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(hex.get(..2)?, 16).ok()?);
            rest = &hex[2..];
        } else {
            bytes.push(u8::try_from(first).ok()?);
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(bytes)
}

/// An address as strace shows it. None if there is none, or AF_UNSPEC, which dissolves.
fn shown_address(text: &str) -> Option<String> {
    let family = between(text, "sa_family=", ",").or_else(|| between(text, "sa_family=", "}"))?;
    // `-X raw` shows ports and addresses as their bytes, in network order.
    let bytes = |field: &str| quoted(between(text, &format!("{field}=\""), "\"")?);
    let port = |field: &str| bytes(field)?.try_into().map(u16::from_be_bytes).ok();
    Some(match family {
        "0x2" => {
            let address: [u8; 4] = bytes("sin_addr")?.try_into().ok()?;
            std::net::SocketAddr::from((address, port("sin_port")?)).to_string()
        }
        "0xa" => {
            let address: [u8; 16] = bytes("sin6_addr")?.try_into().ok()?;
            std::net::SocketAddr::from((address, port("sin6_port")?)).to_string()
        }
        "0" => return None,
        // By the family alone: the permit has the bytes, and strace has words.
        family => format!("family {family}"),
    })
}

/// The address in a permit's text.
fn permitted_address(text: &str) -> Option<String> {
    let raw = between(text, "raw: ", ", anchor")?;
    let Some(bytes) = raw.strip_prefix('[').filter(|rest| !rest.contains("]:")) else {
        return Some(raw.to_owned());
    };
    let mut bytes = bytes.split([',', ']']).map(|byte| byte.trim().parse::<u16>().ok());
    let family = bytes.next()?? | (bytes.next()?? << 8);
    if family == 0 { None } else { Some(format!("family {family:#x}")) }
}

/// A number, or several with `|` between them.
fn number(text: &str) -> Option<u32> {
    if let Some((flag, rest)) = text.split_once('|') {
        return Some(number(flag)? | number(rest)?);
    }
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Reads a permit of the log.
fn permit(text: &str) -> Option<Event> {
    let field = |name: &str| {
        let rest = text.split_once(&format!("{name}: "))?.1;
        rest.split([',', ' ', '}']).next()?.parse::<i64>().ok()
    };
    let act = text.split(['(', ' ']).next()?;
    let event = match act {
        "Create" => {
            format!("socket {} {} {}", field("domain")?, field("kind")? & 0xf, field("protocol")?)
        }
        "Bind" | "Connect" | "SendTo" => {
            let name = if act == "SendTo" { "send".to_owned() } else { act.to_lowercase() };
            match permitted_address(text) {
                Some(address) => format!("{name} {address}"),
                None => format!("{name} nowhere"),
            }
        }
        "Listen" => "listen".to_owned(),
        "SetOption" => format!("option {:#x} {:#x}", field("level")?, field("name")?),
        "Control" => "control".to_owned(),
        "Ioctl" => format!("ioctl {:#x}", field("number")?),
        _ => return None,
    };
    Some(Event::Permit(event))
}

/// Reads a line of strace. None for a call that needs no permit.
fn event(line: &str) -> Option<Event> {
    let (_, line) = line.trim_start().split_once(' ')?;
    let (name, arguments) = line.trim_start().split_once('(')?;
    if matches!(name, "write" | "pwrite64") {
        let (_, text) = arguments.split_once("permit: ")?;
        return permit(text);
    }
    let words: Vec<&str> = arguments.split([',', ')']).map(str::trim).collect();
    let event = match name {
        "socket" | "socketpair" => format!(
            "socket {} {} {}",
            number(words.first()?)?,
            number(words.get(1)?)? & 0xf,
            number(words.get(2)?)?
        ),
        "bind" | "connect" => match shown_address(arguments) {
            Some(address) => format!("{name} {address}"),
            None => format!("{name} nowhere"),
        },
        "listen" => "listen".to_owned(),
        "sendto" => format!("send {}", shown_address(arguments)?),
        "sendmsg" | "sendmmsg" => match shown_address(arguments) {
            Some(address) => format!("send {address}"),
            None if arguments.contains("cmsg_len") => "control".to_owned(),
            None => return None,
        },
        "setsockopt" => {
            let (level, option) = (number(words.get(1)?)?, number(words.get(2)?)?);
            let pair = format!("{level:#x} {option:#x}");
            if OWN_OPTIONS.contains(&pair.as_str()) {
                return None;
            }
            format!("option {pair}")
        }
        _ => return None,
    };
    Some(Event::Call(event))
}

/// Reads a line of strace: a batch has a call for each of its messages.
fn events(line: &str) -> Vec<Event> {
    match line.split_once("sendmmsg(") {
        Some((before, arguments)) => {
            let messages = arguments.split("msg_hdr=").skip(1);
            messages.filter_map(|message| event(&format!("{before}sendmmsg({message}"))).collect()
        }
        None => event(line).into_iter().collect(),
    }
}

/// Runs a guest, and returns the calls that had no permit before them, and how many had one.
fn run(work: &Path, guest: &str, grants: &[&str], arguments: &[&str]) -> (Vec<String>, usize) {
    let trace = work.join(guest);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-X", "raw", "-s", "4096", "-e"]);
    strace.arg(format!("trace=write,{CALLS}"));
    strace.arg("-o").arg(&trace).arg(command()).arg("run");
    for grant in grants {
        strace.arg("--allow").arg(grant);
    }
    strace.arg(guest_path(guest)).args(arguments);
    let output = strace.env("SANDSOCK_LOG", "sandsock::permit=trace").output().expect("starts");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{guest}: {report}");
    let trace = std::fs::read_to_string(trace).expect("strace writes it");
    let (mut issued, mut missing, mut found) = (BTreeSet::new(), Vec::new(), 0);
    for event in trace.lines().flat_map(events) {
        match event {
            Event::Permit(permit) => {
                issued.insert(permit);
            }
            Event::Call(call) if issued.contains(&call) => found += 1,
            Event::Call(call) => missing.push(call),
        }
    }
    (missing, found)
}

#[test]
fn every_system_call_has_a_permit() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("every_system_call_has_a_permit", "strace is not installed");
    }
    let work = tempfile::tempdir().expect("a folder");
    let mut all = 0;
    for (guest, grants, arguments) in GUESTS {
        let (missing, found) = run(work.path(), guest, grants, arguments);
        assert!(missing.is_empty(), "{guest} made system calls without a permit: {missing:#?}");
        assert!(found > 0, "{guest} made no system call");
        all += found;
    }
    assert!(all > 60, "{all}");
}

#[test]
fn a_system_call_without_a_permit_is_found() {
    let lines = [
        r#"7 write(2, "TRACE permit: Create { domain: 2, kind: 1, protocol: 0 }\n", 60) = 60"#,
        r"7 socket(0x2, 0x1|0x80800, 0) = 9",
        r#"7 write(2, "TRACE permit: Connect(Destination { raw: 127.0.0.1:80, anchor: None, published: None })\n", 9) = 9"#,
        r#"8 connect(9, {sa_family=0x2, sin_port="\x00\x50", sin_addr="\x7f\x00\x00\x01"}, 16) = 0"#,
        r#"8 connect(9, {sa_family=0x2, sin_port="\x00Q", sin_addr="\x7f\x00\x00\x01"}, 16) = 0"#,
        r"8 setsockopt(9, 0x1, 0x2, [1], 4) = 0",
        r#"8 sendto(9, "x", 1, 0x4040, NULL, 0) = 1"#,
        r#"8 sendmmsg(9, [{msg_hdr={msg_name={sa_family=0x2, sin_port="\x00\x50", sin_addr="\x7f\x00\x00\x01"}, msg_namelen=16}}, {msg_hdr={msg_name={sa_family=0x2, sin_port="\x00Q", sin_addr="\x7f\x00\x00\x01"}, msg_namelen=16}}], 2, 0) = 2"#,
    ];
    let events: Vec<_> = lines.iter().flat_map(|line| events(line)).collect();
    let of = |text: &str| text.to_owned();
    assert_eq!(
        events,
        [
            Event::Permit(of("socket 2 1 0")),
            Event::Call(of("socket 2 1 0")),
            Event::Permit(of("connect 127.0.0.1:80")),
            Event::Call(of("connect 127.0.0.1:80")),
            Event::Call(of("connect 127.0.0.1:81")),
            Event::Call(of("option 0x1 0x2")),
            Event::Call(of("send 127.0.0.1:80")),
            Event::Call(of("send 127.0.0.1:81")),
        ]
    );
}
