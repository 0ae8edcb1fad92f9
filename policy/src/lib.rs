//! What a guest may do: rules, and the decision about each request.
//!
//! This crate is pure: it does no I/O, reads no clock, and knows nothing of wasm. The caller passes
//! the text of a policy file, the time of a request, and a function that returns real paths
//! ([`RealPath`]). `clippy.toml` lists the functions of the standard library that are refused here.
//!
//! # Rules
//!
//! A rule is `VERB=TARGET`, or `VERB` alone if the verb has no targets. [`Verb::TABLE`] lists the
//! verbs with examples. The policy denies everything that no rule allows. A rule that denies wins
//! over rules that allow, and over `allow-all`.
//!
//! A rule that allows may have terms, `VERB=TARGET;KEY=VALUE;KEY=VALUE`. [`Terms::TABLE`] lists
//! them. A `;` in a target is written `\;`.
//!
//! `tcp-connect`, `tcp-listen`, `tls-connect`, `tls-listen`, `tls-insecure`, `tls-upgrade`,
//! `udp-bind`, `udp-send` and `udp-receive` name `HOST:PORT`. The host is one of these:
//!
//! * An address or a network: `127.0.0.1`, `10.0.0.0/8`, `[::1]`, `[2001:db8::/32]`. It has no
//!   zone, because a rule holds on every interface.
//! * `*`: every address of both families, but no name.
//! * A name: `db.example`, or `*.example.com` for names at any depth below it, but not for
//!   `example.com` itself. Only verbs that name another host take names. A name stands for the
//!   addresses that the guest looked it up to and that are still pinned ([`Pins`]). A grant of
//!   `tcp-connect`, `udp-send` or `raw` by name implies `resolve` of that name.
//! * A set: one of [`SETS`], or one that the operator named ([`PolicyBuilder::set`]). A name of one
//!   label that is a set's is the set.
//!
//! The port is a number, a range `a-b`, or `*` for any. Port 0 is the port that the kernel chooses
//! at a bind.
//!
//! `udp-send` also allows the replies. `unix-connect` and `unix-bind` name a path or an abstract
//! name. In a path, `*` and `?` stand for bytes within a component, and `**` for any number of
//! components. An abstract name begins with `@`; `*` stands for any bytes, `\xNN` for one byte. The
//! patterns of the other verbs have their own types, such as [`CanPattern`] and [`FamilyPattern`].
//!
//! # How addresses are judged
//!
//! * `public` holds an IPv6 address with an IPv4 address inside only if it holds that one too.
//! * An IPv4-mapped IPv6 address is the IPv4 address. No other form is rewritten. A v4-compatible,
//!   NAT64, 6to4 or Teredo address needs an IPv6 rule that allows it. An IPv4 rule that denies the
//!   address inside denies it too.
//! * As a destination, `0.0.0.0` is 127.0.0.1 and `::` is `::1`. The kernel must be given that
//!   address: [`destination`].
//! * The wildcard as a local address needs a rule for `0.0.0.0` or `[::]`, or for every address:
//!   `*`, `0.0.0.0/0`, `[::/0]`. `[::]` includes IPv4 unless the socket is IPV6_V6ONLY. `[::]:PORT`
//!   covers that. `[::/0]:PORT` covers it only together with a rule for IPv4's wildcard. A rule that
//!   denies any address which the wildcard includes denies the wildcard.
//! * A name that leads to private space ([`is_private`]) opens nothing there, unless `--resolve`
//!   says where it leads. A rule that names the address still works.
//!
//! # Which rule an act is charged to
//!
//! Of the rules that allow an act, the most specific one is named, and the act is charged to its
//! budget ([`Allowed`]). It is found by the host first, then by the ports, then by the order in
//! which the rules were given:
//!
//! 1. An address is more specific than a network, and a network than one with a shorter prefix.
//!    Then follow whole names, names below another one (more labels first), sets, and `*`.
//! 2. A port is more specific than a range, and a range than a wider one. `*` is the widest.
//! 3. An earlier rule is more specific than a later one.
//!
//! Of rules about UNIX paths, the one whose fixed directory is deepest is the most specific. In one
//! directory a whole path comes before patterns, and patterns without `**` before those with it. Of
//! abstract names, a whole name comes before patterns, and more fixed bytes before fewer. A datagram
//! is received by a rule of `udp-receive`, and by one of `udp-send` only if there is none.
//! `allow-all` is the least specific.
//!
//! # How UNIX paths are judged
//!
//! A path is judged twice. First it is judged as it is written: absolute or from the base
//! directory, without `.` and doubled slashes. `..` never matches. Then [`UnixRoute::permits`]
//! judges where it leads. Links in the directory that a rule spells out belong to the operator.
//! Links below that directory must stay below it and end where a rule holds. Rules that deny are
//! asked both times. They also hold for the real place of their directory when the policy is made.
//!
//! # What is published
//!
//! `HOST:PORT=GUEST:PORT` grants a bind to the guest's address, and puts the host's address in its
//! place ([`Policy::published`]). Rules that deny are asked about both.
//!
//! # How names are denied
//!
//! A rule that denies a name holds for the addresses that the guest looked that name up to,
//! whatever else allows them. It can't hold for an address that the guest knows by other means, so
//! deny the address too.

//! # How this crate is laid out
//!
//! Imports go one way, from the end of this list to its start:
//!
//! 1. `text`, `error`, `address`: letters and numbers.
//! 2. `port`, `name`, `path`, `host`, `limits`: the parts of a target. `pins`: the addresses that
//!    names were looked up to.
//! 3. `sets`: sets of hosts. `index`, `unix`: how rules are found. `senders`, `program`, `sender_cache`: who may send to a
//!    socket. `publish`, `denial`: what is published, and the answer to a request.
//! 4. `policy`: all rules, limits and fixed addresses.
//! 5. `decide`: the one decision, and the trait [`Capability`](decide::Capability) by which a verb
//!    takes part in it. `endpoints`: what the verbs about addresses have in common.
//! 6. `verbs`: the list of verbs, and one file for each verb: its targets, its rules, its requests.
//!    `rule`, `grant` and `terms`: the text of a rule. `covers`: whether a policy grants nothing
//!    that another one does not.
//! 7. `builder` and `file`, which make a policy, and `create`, `answers`, `other_names`,
//!    `chosen_ports` and `allowed_senders`, which ask it other questions. `ceiling`: the most that
//!    acts under a policy ask of the kernel. `warnings`: what of a policy may surprise. `audit`: the
//!    record of a decision. `show`: a policy as a policy file. `why`: what would change a decision.
//!    `learn`: what guests did, as a policy that allows it.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "tests take the time and make files"
    )
)]

mod address;
mod allowed_senders;
mod answers;
mod audit;
mod balance;
mod builder;
mod ceiling;
mod chosen_ports;
mod covers;
mod create;
mod decide;
mod denial;
mod endpoints;
mod error;
mod file;
mod grant;
#[cfg(test)]
mod hints;
mod host;
mod index;
mod learn;
mod limits;
mod name;
mod other_names;
mod path;
mod pins;
mod policy;
mod port;
mod program;
mod publish;
mod restriction;
mod rule;
mod rules;
mod schema;
mod sender_cache;
mod senders;
mod sets;
mod show;
mod terms;
mod text;
mod unix;
mod verbs;
mod warnings;
mod why;

pub use address::{canonical, destination, is_private};
pub use answers::{DroppedAnswer, JudgedAnswers};
pub use audit::{Decision, SocketArguments, Verdict};
pub use balance::{Balance, Shortage};
pub use builder::PolicyBuilder;
pub use ceiling::{Ceiling, KernelCapability, Part, family_name};
pub use covers::{Excess, ExcessAct, ExcessBudget, Undecided};
pub use denial::{Allowed, Denial, quoted};
pub use endpoints::LocalAddress;
pub use error::GrantError;
pub use file::{PolicyFileError, ReadFile};
pub use host::{EndpointPattern, HostPattern};
pub use learn::{Generalise, Learner, Learnt, LearntRule, PolicyText};
pub use limits::{LimitInfo, Limits, TokenBucket};
pub use name::{NameError, NamePattern, ResolvePattern, normalise_name};
pub use path::{AbstractPattern, PathPattern, UnixPattern};
pub use pins::Pins;
pub use policy::Policy;
pub use port::PortRange;
pub use restriction::Restriction;
pub use rule::Rule;
pub use schema::schema;
pub use sets::{SETS, SetInfo};
pub use terms::{Budget, BudgetId, Scope, TermInfo, Terms, TlsTerms};
pub use unix::{RealPath, UnixRoute, UnixTarget, show_path};
pub use verbs::TlsRequest;
pub use verbs::ancillary::Ancillary;
pub use verbs::can::{CanInterface, CanPattern, CanRequest};
pub use verbs::family::bluetooth::{BluetoothPattern, BluetoothTarget};
pub use verbs::family::vsock::{VsockPattern, VsockUse};
pub use verbs::family::{FamilyPattern, FamilyTarget};
pub use verbs::hostname::Hostname;
pub use verbs::inherit::DescriptorNumber;
pub use verbs::interfaces::Alone;
pub use verbs::multicast::MulticastPattern;
pub use verbs::netlink::{NetlinkPattern, NetlinkRequest};
pub use verbs::option::OptionRequest;
pub use verbs::packet::{EVERY_PROTOCOL, PacketPattern, PacketRequest};
pub use verbs::raw::{RawPattern, RawRequest};
pub use verbs::tls_identity::IdentityName;
pub use verbs::{Grant, Request, Verb, VerbInfo};
pub use warnings::Warning;
pub use why::Explanation;

/// Who may send to a socket, and the programs by which the kernel drops all others
/// (`SO_ATTACH_FILTER`).
pub mod filter {
    pub use crate::program::{Instruction, LONGEST_PROGRAM, Layout, Program, program};
    pub use crate::senders::{Carried, PortSet, Senders, Span};
}
