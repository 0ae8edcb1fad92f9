//! What a guest may do: rules, and the decision about each request.
//!
//! This crate is pure: no I/O, no clock, no wasm. The caller passes the text of a policy file, the
//! time of a request, and a function that returns real paths ([`RealPath`]). `clippy.toml` lists
//! the functions of the standard library that are therefore refused here.
//!
//! # Rules
//!
//! A rule is `VERB=TARGET`, or `VERB` where there is nothing to name; [`Verb::TABLE`] lists the
//! verbs. Everything is denied that no rule allows, and a rule that denies wins, also over
//! `allow-all`.
//!
//! `tcp-connect`, `tcp-listen`, `udp-bind`, `udp-send` and `udp-receive` name `HOST:PORT`:
//!
//! * an address or a network: `127.0.0.1`, `10.0.0.0/8`, `[::1]`, `[2001:db8::/32]`. No zones: a
//!   rule holds on every interface.
//! * `*`: every address of both families, never a name.
//! * a name: `db.example`, or `*.example.com` for names at any depth below it, itself left out.
//!   Only for the verbs that name another host. A name stands for the addresses that the guest
//!   looked it up to and that are still pinned ([`Pins`]). A grant of `tcp-connect` or `udp-send`
//!   by name implies `resolve` of it.
//! * a port, a range `a-b`, or `*` for any. Port 0 is the one that the kernel chooses at bind.
//!
//! `udp-send` implies the replies from what it names. `unix-connect` and `unix-bind` name a path
//! (`*` and `?` within a component, `**` for any number of components) or `@` and an abstract name
//! (`*` for any bytes, `\xNN` for one byte). `can` names an interface or `*`, and may name a
//! protocol of it ([`CanPattern`]); `family` names a family without a verb of its own
//! ([`FamilyPattern`]). `resolve` names a name, `*.NAME`, or `*` for every name. `reverse-resolve`
//! names an address, a network, `*`, or a name for the addresses that it has; ports have no place
//! there. `interfaces` stands alone. `hostname` names `read` or `set`. `option` names `LEVEL/NAME`.
//! `ancillary` names what [`Ancillary`] lists, `inherit` a [`DescriptorNumber`].
//!
//! # How addresses are judged
//!
//! * IPv4-mapped IPv6 is IPv4. No other form is rewritten: v4-compatible, NAT64, 6to4, Teredo and
//!   their kin need an IPv6 rule that allows, and are denied by an IPv4 rule about the address
//!   inside as well as by an IPv6 rule.
//! * As a destination `0.0.0.0` is 127.0.0.1 and `::` is `::1`. The kernel must be given that
//!   address: [`destination`].
//! * The wildcard as a local address needs a rule that says `0.0.0.0` or `[::]`, or that holds
//!   every address: `*`, `0.0.0.0/0`, `[::/0]`. `[::]` takes IPv4 along unless the socket is
//!   IPV6_V6ONLY: `[::]:PORT` covers that, `[::/0]:PORT` only together with IPv4's wildcard. A deny
//!   rule about any address that the wildcard takes in denies the wildcard.
//! * A name that leads to private space ([`is_private`]) opens nothing there, unless `--resolve`
//!   says where it leads. An address rule that holds the address works as ever.
//!
//! # How UNIX paths are judged
//!
//! First as they are written: absolute or from the base directory, `.` and doubled slashes left
//! out; `..` never matches. Then, by [`UnixRoute::permits`], where they lead: links in the
//! directory that a rule spells out are the operator's, links below it must stay below it and end
//! where a rule holds. Deny rules are asked both times, and hold by the real place of the directory
//! they spell out as well, as it is when the policy is made.
//!
//! # What is published
//!
//! `HOST:PORT=GUEST:PORT` grants a bind to the guest's address and puts the host's in its place
//! ([`Policy::published`]). Deny rules are asked about both.
//!
//! # How names are denied
//!
//! A deny rule by name holds for the addresses that the guest looked that name up to, whatever else
//! allows them. It can't hold for an address that the guest knows otherwise: deny the address too.

//! # How this crate is laid out
//!
//! Imports go one way, from the end of this list to its start:
//!
//! 1. `text`, `error`, `verb`, `address`: letters and numbers.
//! 2. `port`, `name`, `host`, `path`, `target`, `can`, `bluetooth`, `vsock`, `family`, `raw`,
//!    `packet`, `netlink`: what the target of each verb may be.
//! 3. `grant`, `limits`, `publish`: what an operator writes. `denial`, `request`: what is asked and
//!    answered.
//! 4. `index`, `unix`, `rules`: rules as they are looked up. `pins`: what names were looked up to.
//!    `senders`, `program`, `sender_cache`: who may send to a socket.
//! 5. `policy`, and above it `builder` and `file`, which make it, and `decide`, `create`,
//!    `answers`, `other_names` and `chosen_ports`, which ask it. `audit`: the record of a decision.

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
mod builder;
mod chosen_ports;
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
mod limits;
mod name;
mod other_names;
mod path;
mod pins;
mod policy;
mod port;
mod program;
mod publish;
mod rules;
mod sender_cache;
mod senders;
mod text;
mod unix;
mod verbs;

pub use address::{canonical, destination, is_private};
pub use answers::{DroppedAnswer, JudgedAnswers};
pub use audit::{Decision, SocketArguments, Verdict};
pub use builder::PolicyBuilder;
pub use denial::{Allowed, Denial};
pub use endpoints::LocalAddress;
pub use error::GrantError;
pub use file::PolicyFileError;
pub use host::{EndpointPattern, HostPattern};
pub use limits::{LimitInfo, Limits, TokenBucket};
pub use name::{NameError, NamePattern, ResolvePattern, normalise_name};
pub use path::{AbstractPattern, PathPattern, UnixPattern};
pub use pins::Pins;
pub use policy::Policy;
pub use port::PortRange;
pub use program::{Instruction, LONGEST_PROGRAM, Layout, Program, program};
pub use senders::{Carried, PortSet, Senders, Span};
pub use unix::{RealPath, UnixRoute, UnixTarget, show};
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
pub use verbs::{Grant, Request, Verb, VerbInfo};
