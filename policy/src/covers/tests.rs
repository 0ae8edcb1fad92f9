use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use sandsock_abi::constants::{AF_INET, CAN_BCM, CAN_RAW};

use super::*;
use crate::*;

fn policy(
    allow: &[String],
    deny: &[String],
    all: bool,
    fixed: &[&str],
    published: &[&str],
) -> Policy {
    let mut builder = Policy::builder();
    builder.base_directory("/base").unwrap();
    builder.set("mine=10.0.0.0/24,64:ff9b::/97,web.example,link-local").unwrap();
    for rule in allow {
        builder.allow(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
    }
    for rule in deny {
        builder.deny(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
    }
    for pair in fixed {
        match pair.strip_prefix("nat64=") {
            Some(prefix) => builder.nat64(prefix).unwrap(),
            None => builder.resolve(pair).unwrap(),
        };
    }
    for pair in published {
        // The same address twice is an error, and then the first one holds.
        let _ = builder.publish(pair);
    }
    if all {
        builder.allow_all();
    }
    builder.build()
}

fn of_rules(allow: &[&str], deny: &[&str]) -> Policy {
    let owned = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
    policy(&owned(allow), &owned(deny), false, &[], &[])
}

/// Returns the acts that the first policy grants beyond the second one, as they are printed.
fn acts(left: &Policy, right: &Policy) -> Vec<String> {
    let excess = left.excess_over(right, Instant::now()).expect("it is decided");
    let text = |excess: &Excess| match excess {
        Excess::Act(act) => act.to_string(),
        Excess::Limit { name, value, bound } => format!("{name}={value}, not {bound}"),
        Excess::Budget(budget) => format!("{}: {}", budget.act, budget.reason),
    };
    excess.iter().map(text).collect()
}

#[track_caller]
fn covered(left: &Policy, right: &Policy) {
    assert_eq!(acts(left, right), Vec::<String>::new());
}

#[track_caller]
fn uncovered(left: &Policy, right: &Policy, expected: &[&str]) {
    assert_eq!(acts(left, right), expected);
}

#[test]
fn a_larger_budget_is_not_covered() {
    let one = |rule: &str| of_rules(&[rule], &[]);
    let of = |rules: &[&str]| of_rules(rules, &[]);
    let plain = one("tcp-connect=10.0.0.0/8:443");
    for (smaller, larger, less) in [
        ("bytes=1MiB", "bytes=2MiB", "allows fewer bytes"),
        ("rate=1kB/s", "rate=2kB/s", "allows a lower rate"),
        ("connections=1", "connections=2", "allows fewer connections"),
        ("bytes=9;scope=command", "bytes=9", "is one for all instances"),
    ] {
        let with = |terms: &str| one(&format!("tcp-connect=10.0.0.0/8:443;{terms}"));
        let (small, large) = (with(smaller), with(larger));
        covered(&small, &large);
        covered(&small, &small);
        covered(&small, &plain);
        // Any address of the rule is an example.
        let sentence =
            format!(":443: the budget of the rule tcp-connect=10.0.0.0/8:443;{smaller} {less}");
        let found = acts(&large, &small);
        assert!(found.len() == 1 && found[0].ends_with(&sentence), "{found:?}");
        assert_eq!(acts(&plain, &small).len(), 1, "{smaller}");
    }
    // What the budgets of several rules allow is added.
    let both = of(&["tcp-connect=10.0.0.1:1;bytes=6", "tcp-connect=10.0.0.2:1;bytes=6"]);
    covered(&both, &one("tcp-connect=10.0.0.0/8:1;bytes=12"));
    assert_eq!(acts(&both, &one("tcp-connect=10.0.0.0/8:1;bytes=11")).len(), 1);
    // The most specific rule decides which budget counts an act.
    let nested = of(&["tcp-connect=*:1", "tcp-connect=10.0.0.1:1;bytes=6"]);
    covered(&nested, &nested);
    assert_eq!(acts(&one("tcp-connect=*:1"), &nested).len(), 1);
    assert_eq!(acts(&one("tcp-connect=10.0.0.1:1;bytes=7"), &nested).len(), 1);
    covered(&one("tcp-connect=10.0.0.2:1"), &nested);
    // Replies are charged to the rule that lets datagrams out.
    let sends = one("udp-send=10.0.0.1:53;bytes=5");
    covered(&sends, &sends);
    let more = of(&["udp-send=10.0.0.1:53;bytes=5", "udp-receive=10.0.0.1:53"]);
    assert_eq!(acts(&more, &sends).len(), 1);
    // Names, paths and listeners.
    let name = |bytes: u32| one(&format!("tcp-connect=db.example:1;bytes={bytes}"));
    covered(&name(5), &name(5));
    assert_eq!(acts(&name(6), &name(5)).len(), 1);
    let paths = |some: u32, all: u32| {
        of(&[
            &format!("unix-connect=/run/a;bytes={some}"),
            &format!("unix-connect=/run/**;bytes={all}"),
        ])
    };
    covered(&paths(5, 6), &paths(5, 6));
    assert_eq!(acts(&paths(6, 6), &paths(5, 6)).len(), 1);
    assert_eq!(acts(&paths(5, 7), &paths(5, 6)).len(), 1);
    covered(&paths(5, 6), &one("unix-connect=/run/**;bytes=11"));
    assert_eq!(acts(&paths(5, 6), &one("unix-connect=/run/**;bytes=10")).len(), 1);
    let names = |bytes: u32| one(&format!("unix-bind=@app-*;bytes={bytes}"));
    covered(&names(5), &names(5));
    assert_eq!(acts(&names(6), &names(5)).len(), 1);
    let listens = |most: u32| one(&format!("tcp-listen=127.0.0.1:80;connections={most}"));
    covered(&listens(5), &listens(5));
    assert_eq!(acts(&listens(6), &listens(5)).len(), 1);
}

#[test]
fn terms_of_tls_are_compared() {
    let one = |rule: &str| of_rules(&[rule, "resolve=*"], &[]);
    for (wide, narrow) in [
        ("tls-connect=*:443", "tls-connect=*:443;roots=/a;alpn=h2"),
        ("tls-connect=*:443;alpn=h2,http/1.1", "tls-connect=api.example:443;alpn=h2;roots=/a"),
        ("tls-upgrade=10.0.0.0/8:25;roots=/a", "tls-upgrade=10.0.0.1:25;roots=/a;alpn=x"),
        ("tls-listen=*:*;identity=web", "tls-listen=127.0.0.1:443;identity=web;alpn=h2"),
    ] {
        covered(&one(narrow), &one(wide));
        let acts = acts(&one(wide), &one(narrow));
        assert!(!acts.is_empty(), "{wide} {narrow}");
    }
    for (one_rule, other) in [
        ("tls-connect=*:443;roots=/a", "tls-connect=*:443;roots=/b"),
        ("tls-connect=a.example:443;alpn=h2", "tls-connect=a.example:443;alpn=h3"),
        ("tls-listen=127.0.0.1:443;identity=a", "tls-listen=127.0.0.1:443;identity=b"),
    ] {
        for (left, right) in [(one_rule, other), (other, one_rule)] {
            let excess = one(left).excess_over(&one(right), Instant::now()).unwrap();
            let [Excess::Act(act), ..] = &excess[..] else { panic!("{left} {right}: {excess:?}") };
            let reason = format!("is allowed only as the rule {right} says");
            assert!(act.denial.reason.ends_with(&reason), "{act:?}");
        }
    }
    // A name counts by the rule that decides it.
    let left = of_rules(&["tls-connect=a.example:443;roots=/a", "resolve=*"], &[]);
    let right = of_rules(
        &["tls-connect=a.example:443;roots=/a", "tls-connect=*:443;roots=/b", "resolve=*"],
        &[],
    );
    covered(&left, &right);
}

#[test]
fn a_policy_covers_itself_and_what_is_narrower() {
    for info in Verb::TABLE {
        let rules = info.verb.examples();
        let (all, none) = (policy(&rules, &[], false, &[], &[]), of_rules(&[], &[]));
        let everything = policy(&[], &[], true, &[], &[]);
        covered(&all, &all);
        covered(&none, &all);
        covered(&all, &everything);
        assert!(!acts(&all, &none).is_empty(), "{}", info.name);
        assert!(!acts(&everything, &all).is_empty(), "{}", info.name);
        // No name can be looked up here.
        for rule in rules.iter().filter(|rule| *rule != "reverse-resolve=db.example") {
            let one = policy(std::slice::from_ref(rule), &[], false, &[], &[]);
            covered(&one, &all);
            assert!(!acts(&one, &none).is_empty(), "{rule}");
            // What is denied is not granted. A rule that denies takes no terms.
            let target = rule.split(';').next().map(str::to_owned);
            let denied = policy(&rules, target.as_slice(), false, &[], &[]);
            covered(&denied, &all);
            assert!(!acts(&one, &denied).is_empty(), "{rule}");
        }
    }
}

#[test]
fn addresses_and_ports_are_regions() {
    let eighth = of_rules(&["tcp-connect=10.0.0.0/8:1-100"], &[]);
    let halves = of_rules(
        &[
            "tcp-connect=10.0.0.0/9:*",
            "tcp-connect=10.128.0.0/9:1-50",
            "tcp-connect=10.128.0.0/9:51-200",
        ],
        &[],
    );
    covered(&eighth, &halves);
    uncovered(&halves, &eighth, &["tcp-connect=10.0.113.1:0"]);
    let hole = of_rules(&["tcp-connect=10.0.0.0/8:*"], &["tcp-connect=10.1.2.3:80"]);
    uncovered(&eighth, &hole, &["tcp-connect=10.1.2.3:80"]);
    covered(&of_rules(&["tcp-connect=10.0.0.0/8:1-100"], &["tcp-connect=10.1.2.3:80"]), &hole);
    // All of IPv4 and all of IPv6 are every address.
    let both = of_rules(&["tcp-connect=0.0.0.0/0:443", "tcp-connect=[::/0]:443", "resolve=*"], &[]);
    covered(&of_rules(&["tcp-connect=*:443"], &[]), &both);
    covered(&of_rules(&["tcp-connect=db.example:443"], &[]), &both);
}

#[test]
fn addresses_that_embed_denied_ones_are_denied() {
    let all = of_rules(&["tcp-connect=[64:ff9b::/96]:443"], &[]);
    let less = of_rules(&["tcp-connect=[64:ff9b::/96]:443"], &["tcp-connect=10.0.0.0/8:*"]);
    uncovered(&all, &less, &["tcp-connect=[64:ff9b::a00:1]:443"]);
    covered(&less, &all);
    covered(&of_rules(&["tcp-connect=[64:ff9b::cb00:7101]:443"], &[]), &less);
    // An interface identifier of ISATAP may stand in any network.
    let network = of_rules(&["tcp-connect=[2001:db8::/32]:443"], &[]);
    let less = of_rules(&["tcp-connect=[2001:db8::/32]:443"], &["tcp-connect=10.0.0.1:443"]);
    uncovered(&network, &less, &["tcp-connect=[2001:db8::5efe:a00:1]:443"]);
    // Two places of one address.
    let local = of_rules(&["tcp-connect=[64:ff9b:1::/48]:443"], &["tcp-connect=10.0.0.0/8:443"]);
    let more = of_rules(
        &["tcp-connect=[64:ff9b:1::/48]:443"],
        &["tcp-connect=10.0.0.0/9:443", "tcp-connect=10.128.0.0/9:443"],
    );
    covered(&local, &more);
    covered(&more, &local);
}

#[test]
fn names_are_symbols() {
    let name = of_rules(&["tcp-connect=db.example:5432"], &[]);
    let wildcard = of_rules(&["tcp-connect=*.example:5000-6000"], &[]);
    covered(&name, &wildcard);
    covered(&name, &of_rules(&["tcp-connect=*:5432", "resolve=*"], &[]));
    uncovered(
        &wildcard,
        &name,
        &[
            "tcp-connect=db.example:5000 (203.0.113.1 as an address of db.example)",
            "resolve=any.example",
        ],
    );
    uncovered(
        &name,
        &of_rules(&["tcp-connect=203.0.113.0/24:5432", "resolve=*"], &[]),
        &["tcp-connect=db.example:5432 (203.0.112.1 as an address of db.example)"],
    );
    uncovered(&name, &of_rules(&["tcp-connect=*:5432"], &[]), &["resolve=db.example"]);
    // A name opens no private address, so the other policy need not either.
    let public = of_rules(&["tcp-connect=*.example:*"], &["tcp-connect=10.0.0.0/8:*"]);
    covered(&name, &public);
    // It may lead to any other address.
    let denied = of_rules(&["tcp-connect=*.example:*"], &["tcp-connect=198.51.100.7:*"]);
    uncovered(
        &name,
        &denied,
        &["tcp-connect=db.example:5432 (198.51.100.7 as an address of db.example)"],
    );
}

#[test]
fn a_deny_by_name_counts_where_the_name_can_be_looked_up() {
    let open = of_rules(&["tcp-connect=*:443"], &[]);
    let denied = of_rules(&["tcp-connect=*:443"], &["tcp-connect=evil.example:*"]);
    covered(&open, &denied);
    let open = of_rules(&["tcp-connect=*:443", "resolve=*"], &[]);
    let denied = of_rules(&["tcp-connect=*:443", "resolve=*"], &["tcp-connect=evil.example:*"]);
    uncovered(
        &open,
        &denied,
        &["tcp-connect=203.0.113.1:443 (203.0.113.1 as an address of evil.example)"],
    );
    // A name may stand for the denied one.
    let open = of_rules(&["tcp-connect=*:443", "resolve=a.example"], &[]);
    let denied =
        of_rules(&["tcp-connect=*:443", "resolve=a.example"], &["tcp-connect=evil.example:*"]);
    uncovered(
        &open,
        &denied,
        &[
            "tcp-connect=203.0.113.1:443 (203.0.113.1 as an address of a.example, which stands for evil.example)",
        ],
    );
}

#[test]
fn sets_are_what_they_hold() {
    let public = of_rules(&["tcp-connect=public:443"], &[]);
    covered(
        &public,
        &of_rules(&["tcp-connect=*:443"], &["tcp-connect=private:*", "tcp-connect=loopback:*"]),
    );
    covered(&public, &of_rules(&["tcp-connect=public:*"], &["tcp-connect=10.0.0.0/8:*"]));
    uncovered(
        &of_rules(&["tcp-connect=mine:443", "resolve=*"], &[]),
        &of_rules(
            &[
                "tcp-connect=10.0.0.0/8:*",
                "tcp-connect=public:443",
                "tcp-connect=web.example:443",
                "resolve=*",
            ],
            &[],
        ),
        &["tcp-connect=169.254.113.1:443"],
    );
    // What IANA does not call globally reachable may be an address of a name.
    let name = of_rules(&["tcp-connect=web.example:443", "resolve=*"], &[]);
    let set = of_rules(&["tcp-connect=public:443", "resolve=*"], &[]);
    uncovered(
        &name,
        &set,
        &["tcp-connect=web.example:443 (203.0.113.1 as an address of web.example)"],
    );
    uncovered(&set, &name, &["tcp-connect=1.0.113.1:443"]);
}

#[test]
fn local_addresses_and_what_is_published() {
    let any = of_rules(&["tcp-listen=*:0"], &[]);
    covered(&of_rules(&["tcp-listen=127.0.0.1:0"], &[]), &any);
    let kept = of_rules(&["tcp-listen=*:0"], &["tcp-listen=127.0.0.1:8000"]);
    assert_eq!(acts(&any, &kept).len(), 1);
    // The wildcard needs a rule that names it.
    uncovered(
        &of_rules(&["tcp-listen=0.0.0.0:80"], &[]),
        &of_rules(&["tcp-listen=10.0.0.0/8:80"], &[]),
        &["tcp-listen=0.0.0.0:80"],
    );
    let published = |pairs: &[&str], rules: &[&str]| {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        policy(&rules, &[], false, &[], pairs)
    };
    let one = published(&["0.0.0.0:8080=127.0.0.1:80/tcp"], &[]);
    covered(&one, &one);
    uncovered(&one, &of_rules(&[], &[]), &["tcp-listen=127.0.0.1:80 (published as 0.0.0.0:8080)"]);
    uncovered(
        &one,
        &of_rules(&["tcp-listen=127.0.0.1:80"], &[]),
        &["tcp-listen=127.0.0.1:80 (published as 0.0.0.0:8080)"],
    );
    uncovered(
        &one,
        &published(&["0.0.0.0:8081=127.0.0.1:80/tcp"], &[]),
        &["tcp-listen=127.0.0.1:80 (published as 0.0.0.0:8080)"],
    );
}

#[test]
fn fixed_names_open_their_addresses() {
    let rules = ["tcp-connect=db.example:5432".to_owned()];
    let fixed = policy(&rules, &[], false, &["db.example=10.0.0.5"], &[]);
    let free = policy(&rules, &[], false, &[], &[]);
    let found = acts(&fixed, &free);
    assert!(found[0].starts_with("tcp-connect=10.0.0.5:5432"), "{found:?}");
    covered(&fixed, &fixed);
}

#[test]
fn paths_and_abstract_names_are_languages() {
    let paths = |rules: &[&str], deny: &[&str]| {
        let rule = |path: &&str| format!("unix-connect={path}");
        policy(
            &rules.iter().map(rule).collect::<Vec<_>>(),
            &deny.iter().map(rule).collect::<Vec<_>>(),
            false,
            &[],
            &[],
        )
    };
    let deep = paths(&["/run/**"], &[]);
    covered(&paths(&["/run/*", "/run/a/*/c", "/run/**/x.sock"], &[]), &deep);
    uncovered(&deep, &paths(&["/run/*"], &[]), &["unix-connect=/run/z/z"]);
    covered(&paths(&["/run/*", "/run/*/**"], &[]), &deep);
    covered(&deep, &paths(&["/run/*", "/run/*/**"], &[]));
    uncovered(
        &paths(&["/run/*.sock"], &[]),
        &paths(&["/run/?*.sock"], &[]),
        &["unix-connect=/run/.sock"],
    );
    uncovered(&deep, &paths(&["/run/**"], &["/run/admin/**"]), &["unix-connect=/run/admin/z"]);
    covered(&paths(&["/run/a*"], &[]), &paths(&["/run/**"], &["/run/b*"]));
    covered(&paths(&["x/*.sock"], &[]), &paths(&["/base/x/*"], &[]));
    covered(&paths(&["@app-*-1"], &[]), &paths(&["@app-*"], &[]));
    uncovered(
        &paths(&["@app-*"], &[]),
        &paths(&["@app-*-1", "@app-"], &[]),
        &["unix-connect=@app-z"],
    );
    covered(&paths(&["@*"], &[]), &paths(&["@*"], &[]));
}

#[test]
fn a_larger_limit_is_more() {
    let limited = |limit: &str| {
        let mut builder = Policy::builder();
        builder.limit(limit).unwrap();
        builder.build()
    };
    covered(&limited("descriptors=64"), &of_rules(&[], &[]));
    uncovered(&of_rules(&[], &[]), &limited("descriptors=64"), &["descriptors=1024, not 64"]);
}

const HOSTS: &[&str] = &[
    "*",
    "0.0.0.0/0",
    "[::/0]",
    "10.0.0.0/8",
    "10.0.0.1",
    "10.0.0.0/9",
    "203.0.113.0/24",
    "127.0.0.1",
    "[::1]",
    "[64:ff9b::/96]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::/48]",
    "[2002::/16]",
    "[2002:a00::/24]",
    "[2001::/32]",
    "[2001:0:a00::/40]",
    "[fe80::/10]",
    "[2001:db8::/32]",
    "[::/96]",
    "public",
    "private",
    "link-local",
    "mine",
];
const NAMES: &[&str] = &["db.example", "*.example", "*.db.example", "web.example"];
const PORTS: &[&str] = &["*", "443", "440-445", "0", "0-500", "8000"];
const PATHS: &[&str] = &[
    "/run/app/*.sock",
    "/run/**/x",
    "/run/**",
    "/run/a?",
    "/run/*",
    "/run/app/a.sock",
    "/**",
    "/*",
    "/*/x",
    "/run/*a*",
    "/run/??",
    "x/y",
    "x/*",
    "@a*",
    "@*",
    "@a",
    "@ab*c",
    "@*c",
    "@*b*",
    "@00000",
    "/run/ü?",
    "/**/a/**",
];
/// Rules of the other verbs.
const OTHERS: &[&str] = &[
    "can=vcan0",
    "can=*",
    "can=vcan0:raw",
    "can=*:bcm",
    "family=alg",
    "family=alg:hash",
    "family=alg:hash:sha*",
    "family=alg:*:*256",
    "family=alg:hash:sha256",
    "family=vsock",
    "family=vsock:connect",
    "family=vsock:connect:host:1024",
    "family=vsock:connect:local",
    "family=vsock:listen:any:1000-2000",
    "family=vsock:listen:*:any",
    "family=bluetooth",
    "family=bluetooth:hci",
    "family=bluetooth:hci:raw",
    "family=bluetooth:sco",
    "family=tipc",
    "interfaces",
    "hostname=read",
    "hostname=set",
    "option=SOL_SOCKET/SO_MARK",
    "option=IPPROTO_IP/IP_PKTINFO",
    "ancillary=rights:send",
    "ancillary=rights:receive",
    "ancillary=rights:receive,any",
    "inherit=fd:3",
    "inherit=stdin",
    "packet=lo",
    "packet=lo:arp",
    "packet=*:arp",
    "packet=*",
    "netlink=route:read",
    "netlink=route:write",
    "netlink=generic:nl80211",
    "netlink=uevent",
    "multicast=239.0.0.0/8",
    "multicast=239.1.2.3",
    "multicast=*",
    "multicast=ff02::/16",
    "multicast=multicast",
    "reverse-resolve=public",
    "ioctl=SIOCGIFADDR",
    "raw=header",
    "resolve=*",
    "resolve=db.example",
    "resolve=*.example",
    "reverse-resolve=10.0.0.0/8",
    "reverse-resolve=*",
    "reverse-resolve=db.example",
    "reverse-resolve=::/0",
];

fn rule() -> impl Strategy<Value = String> {
    let any_host = || {
        prop_oneof![prop::sample::select(HOSTS), prop::sample::select(NAMES)]
            .prop_map(str::to_owned)
    };
    let address = || prop::sample::select(HOSTS).prop_map(str::to_owned);
    let ports = || prop::sample::select(PORTS);
    let remote =
        (prop::sample::select(vec!["tcp-connect", "udp-send", "udp-receive"]), any_host(), ports())
            .prop_map(|(verb, host, ports)| format!("{verb}={host}:{ports}"));
    let wildcard =
        prop_oneof![4 => address(), 1 => Just("0.0.0.0".to_owned()), 1 => Just("[::]".to_owned())];
    let local = (prop::sample::select(vec!["tcp-listen", "udp-bind"]), wildcard, ports())
        .prop_map(|(verb, host, ports)| format!("{verb}={host}:{ports}"));
    let raw = (prop::sample::select(vec!["icmp", "6", "17", "89", "icmp6"]), any_host())
        .prop_map(|(protocol, host)| format!("raw={protocol}:{host}"));
    let unix =
        (prop::sample::select(vec!["unix-connect", "unix-bind"]), prop::sample::select(PATHS))
            .prop_map(|(verb, path)| format!("{verb}={path}"));
    let other = prop::sample::select(OTHERS).prop_map(str::to_owned);
    let budget = prop::sample::select(vec![
        "",
        "",
        ";bytes=100",
        ";bytes=50",
        ";bytes=200;scope=command",
        ";rate=1kB/s;bytes=100",
    ]);
    let charged = prop_oneof![3 => remote, 2 => unix];
    let charged = (charged, budget).prop_map(|(rule, terms)| rule + terms);
    let listen = (local, prop::sample::select(vec!["", ";bytes=70"]));
    let local = listen.prop_map(|(rule, terms)| match rule.starts_with("tcp") {
        true => rule + terms,
        false => rule,
    });
    prop_oneof![5 => charged, 1 => local, 1 => raw, 3 => other]
}

/// A rule that denies.
fn denial() -> impl Strategy<Value = String> {
    rule().prop_map(|rule| rule.split(';').next().unwrap_or_default().to_owned())
}

prop_compose! {
    fn any_policy()(
        allow in prop::collection::vec(rule(), 0..8),
        deny in prop::collection::vec(denial(), 0..4),
        all in prop::bool::weighted(0.1),
        fixed in prop::sample::subsequence(vec!["db.example=10.0.0.1", "web.example=203.0.113.1", "x.db.example=64:ff9b::a00:1", "nat64=2001:db8::/40", "nat64=2002::/32"], 0..3),
        published in prop::sample::subsequence(vec!["0.0.0.0:8000=10.0.0.1:443", "127.0.0.1:0=127.0.0.1:443/tcp", "[::]:1=[::]:443/udp"], 0..2),
    ) -> Policy {
        policy(&allow, &deny, all, &fixed, &published)
    }
}

/// Two policies that have much in common.
fn pair() -> impl Strategy<Value = (Policy, Policy)> {
    let independent = (any_policy(), any_policy());
    let related = (
        prop::collection::vec(rule(), 0..6),
        prop::collection::vec(denial(), 0..3),
        prop::collection::vec(rule(), 0..2),
        prop::collection::vec(denial(), 0..2),
    )
        .prop_map(|(allow, deny, more, except)| {
            let left = policy(&allow, &[&deny[..], &except].concat(), false, &[], &[]);
            let right = policy(&[&allow[..], &more].concat(), &deny, false, &[], &[]);
            (left, right)
        });
    prop_oneof![independent, related]
}

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.200.0.1",
    "203.0.113.1",
    "127.0.0.1",
    "0.0.0.0",
    "8.8.8.8",
    "::",
    "::1",
    "64:ff9b::a00:1",
    "64:ff9b::808:808",
    "2002:a00:1::",
    "2002:808:808::1",
    "2001:0:a00:1::",
    "2001:0:808:808:0:0:f5ff:fffe",
    "::10.0.0.1",
    "fe80::5efe:a00:1",
    "2001:db8::5efe:a00:1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:1:fff:0:0:a00:1",
    "239.1.2.3",
    "ff02::1",
    "2600::1",
    "2001:db8:a:0:100::",
    "2001:db8:8:808:8::",
];

/// An act, and the names that its address has.
fn act() -> impl Strategy<Value = (Request<'static>, Option<IpAddr>)> {
    let address =
        || prop::sample::select(ADDRESSES).prop_map(|text| text.parse::<IpAddr>().unwrap());
    let port = || prop::sample::select(vec![0u16, 1, 53, 443, 440, 446, 8000, 65535]);
    let remote = (0..5, address(), port()).prop_map(|(verb, ip, port)| {
        let to = SocketAddr::new(ip, port);
        let request = match verb {
            0 => Request::TcpConnect(to),
            1 => Request::UdpSend(to),
            2 => Request::UdpReceive(to),
            3 => Request::ReverseResolve(ip),
            _ => Request::Multicast(Some(ip)),
        };
        (request, Some(ip))
    });
    let raw = (address(), prop::sample::select(vec![1u16, 6, 17, 58, 89, 136, 255, 256])).prop_map(
        |(ip, protocol)| {
            (Request::Raw(RawRequest::Packet(SocketAddr::new(ip, protocol))), Some(ip))
        },
    );
    let local = (any::<bool>(), address(), port(), any::<bool>(), any::<bool>()).prop_map(
        |(tcp, ip, port, v6only, chosen)| {
            let address = SocketAddr::new(ip, port);
            let local = LocalAddress {
                address,
                v6only,
                kernel_chosen: chosen && port > 0,
                published: None,
            };
            (if tcp { Request::TcpListen(local) } else { Request::UdpBind(local) }, None)
        },
    );
    let paths = vec![
        "/run/app/x.sock",
        "/run/app/a.sock",
        "/run/x",
        "/run/a/x",
        "/run/ab",
        "/run/aü",
        "/x",
        "/a/x",
        "/base/x/y",
        "/base/x/z",
        "/run/..",
        "/run/a/b/c/x",
        "/run/üx",
        "/run/a/",
        "relative",
        "x/y",
    ];
    let path = prop::sample::select(paths).prop_map(|path| UnixTarget::Path(path.as_bytes()));
    let name = prop::sample::select(vec!["a", "", "ab", "abc", "abbc", "00000", "c", "b"])
        .prop_map(|name| UnixTarget::Abstract(name.as_bytes()));
    let unix = (any::<bool>(), prop_oneof![path, name, Just(UnixTarget::Unnamed)]).prop_map(
        |(connect, target)| {
            (if connect { Request::UnixConnect(target) } else { Request::UnixBind(target) }, None)
        },
    );
    let more = vec![
        Request::Can(CanRequest { interface: CanInterface::Name("vcan1"), protocol: CAN_BCM }),
        Request::Can(CanRequest { interface: CanInterface::Name("vcan0"), protocol: CAN_RAW }),
        Request::Packet(PacketRequest { interface: Some("eth7"), protocol: 0x0806 }),
        Request::Packet(PacketRequest { interface: None, protocol: 0x0806 }),
        Request::Family(FamilyTarget::Alg { kind: "hash", name: "sha512" }),
        Request::Family(FamilyTarget::Alg { kind: "aead", name: "x256" }),
        Request::Family(FamilyTarget::Vsock {
            purpose: VsockUse::Connect,
            cid: 1,
            same: &[1, 2],
            port: 1024,
        }),
        Request::Family(FamilyTarget::Vsock {
            purpose: VsockUse::Listen,
            cid: 7,
            same: &[7],
            port: 1500,
        }),
        Request::Resolve("web.example"),
        Request::Resolve("other.test"),
        Request::Resolve("x.db.example"),
        Request::Option(OptionRequest::Get { family: AF_INET, level: 1, number: 36 }),
    ];
    let samples = Request::samples()
        .into_iter()
        .chain(more)
        .map(|request| (request, None))
        .collect::<Vec<_>>();
    prop_oneof![4 => remote, 1 => raw, 2 => local, 2 => unix, 3 => prop::sample::select(samples)]
}

proptest! {
    #[test]
    fn what_is_covered_has_no_act_that_is_not(
        (left, right) in pair(),
        acts in prop::collection::vec((act(), prop::sample::subsequence(vec!["db.example", "web.example", "x.db.example", "other.test"], 0..3), any::<bool>()), 48),
    ) {
        let now = Instant::now();
        let excess = left.excess_over(&right, now).unwrap();
        let mut charged: BTreeMap<BudgetId, BTreeSet<Option<BudgetId>>> = BTreeMap::new();
        let has = |verb| excess.iter().any(|excess| matches!(excess, Excess::Act(act) if act.verb == verb));
        for ((request, address), names, alias) in acts {
            let mut pins = Pins::new(now);
            if let Some(address) = address {
                let looked_up: Vec<_> = names.iter().filter(|name| left.decide(&Request::Resolve(name), &pins, now).is_ok()).collect();
                for name in &looked_up {
                    pins.pin(name, &[address], now);
                }
                // The others are names of the first one.
                if let (Some(first), true) = (looked_up.first(), alias) {
                    let others: Vec<String> = names.iter().filter(|name| !looked_up.contains(name)).map(|name| (*name).to_owned()).collect();
                    let others: Vec<String> = others.into_iter().filter(|other| left.judge_other_name(first, other).is_ok()).collect();
                    pins.note_others(first, &others);
                }
            }
            let Ok(allowed) = left.decide(&request, &pins, now) else { continue };
            let other = right.decide(&request, &pins, now);
            prop_assert!(other.is_ok() || has(request.verb()), "{request:?} with {pins:?}");
            let bound = other.ok().and_then(|other| other.budget);
            if let Some(bound) = bound.filter(|_| !has(request.verb())) {
                charged.entry(bound).or_default().insert(allowed.budget);
            }
        }
        let all: Vec<_> = left.budgets().map(|(_, budget)| budget).collect();
        for (id, ids) in charged {
            let (rule, bound) = right.budgets().nth(id.index()).unwrap();
            let of_left: Vec<_> = ids.iter().map(|id| id.map(|id| all[id.index()])).collect();
            let is_larger = budgets::reason(rule, bound, &of_left).is_some();
            let text = rule.to_string();
            let is_found = excess.iter().any(|excess| matches!(excess, Excess::Budget(budget) if budget.bound == text));
            prop_assert!(!is_larger || is_found, "{text} by {of_left:?}");
        }
        prop_assert!(left.excess_over(&left, now).unwrap().is_empty());
        prop_assert!(right.excess_over(&right, now).unwrap().is_empty());
    }
}
