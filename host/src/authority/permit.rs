//! Permits: proofs that the policy allowed an act.
//!
//! Only a [`Judge`] makes a [`Permit`]. Its fields are private, it can't be cloned, and it owns the
//! encoded address or the bytes of an option. So the kernel gets exactly what was checked.

mod judge;
mod ports;
mod value;

pub(crate) use judge::Judge;
#[cfg(fuzzing)]
pub(crate) use value::fuzz as fuzz_values;

use std::ffi::{CString, OsStr, OsString};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::io::Errno;
use sandsock_abi::ioctl::Shape as Argument;

use crate::descriptor::Handle;
use crate::descriptor::account::Account;
use crate::sys::address::{RawAddress, View};
use crate::sys::{self, OptionBytes, is_socket_in};

/// The proof that an act was checked and allowed.
#[derive(Debug)]
pub(crate) struct Permit<A> {
    act: A,
    generation: u64,
}

impl<A> Permit<A> {
    pub(crate) fn act(&self) -> &A {
        &self.act
    }

    pub(crate) fn into_act(self) -> A {
        self.act
    }
}

/// socket(2), socketpair(2).
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) domain: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

/// A checked address, with what keeps the check valid until the kernel has used the address.
#[derive(Debug)]
pub(crate) struct Destination {
    raw: RawAddress,
    anchor: Anchor,
    /// The guest's own view of a published address.
    published: Option<View>,
    /// The account of the rule that allows the address.
    account: Option<Arc<Account>>,
}

/// What keeps a UNIX path in place between check and use.
#[derive(Debug)]
pub(crate) enum Anchor {
    /// Not a path.
    None,
    /// The socket's own inode, which the address names through /proc.
    Inode(#[expect(dead_code, reason = "held open, never read")] OwnedFd),
    /// The directory, the name that a bind must make in it, and where a relative address starts.
    Directory { parent: Dir, name: OsString, start: Option<Dir> },
}

impl Destination {
    pub(crate) fn plain(raw: RawAddress) -> Self {
        Self { raw, anchor: Anchor::None, published: None, account: None }
    }

    pub(crate) fn anchored(raw: RawAddress, anchor: Anchor) -> Self {
        Self { raw, anchor, published: None, account: None }
    }

    /// The host's address, in place of the one that the guest binds.
    pub(crate) fn published(view: View) -> Self {
        Self {
            raw: RawAddress::from_ip(view.host_for_guest()),
            anchor: Anchor::None,
            published: Some(view),
            account: None,
        }
    }

    /// The address, whose use is charged to an account.
    pub(crate) fn charged_to(self, account: Option<Arc<Account>>) -> Self {
        Self { account, ..self }
    }
}

macro_rules! destinations {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(Destination);

        impl $name {
            pub(crate) fn address(&self) -> &RawAddress {
                &self.0.raw
            }

            /// Returns the account that the act is charged to.
            pub(crate) fn account(&self) -> Option<&Arc<Account>> {
                self.0.account.as_ref()
            }
        }
    )*};
}

destinations! {
    /// bind(2).
    Bind
    /// connect(2).
    Connect
    /// sendto(2), sendmsg(2) and sendmmsg(2) with an address.
    SendTo
}

impl Bind {
    /// Returns the guest's view of a published address.
    pub(crate) fn view(&self) -> Option<View> {
        self.0.published
    }

    /// Returns whether bind(2) made the name in the directory that was checked.
    pub(crate) fn verify(&self) -> bool {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => is_socket_in(parent, name),
            Anchor::None | Anchor::Inode(_) => true,
        }
    }

    /// Returns the directory where a relative path starts.
    pub(crate) fn start(&self) -> Option<&Dir> {
        match &self.0.anchor {
            Anchor::Directory { start, .. } => start.as_ref(),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }

    /// Returns the directory of a path and the name in it.
    pub(crate) fn made(&self) -> Option<(&Dir, &OsStr)> {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => Some((parent, name)),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }
}

/// unlink(2) of a socket's name.
#[derive(Debug)]
pub(crate) struct RemoveName {
    pub(crate) parent: Dir,
    pub(crate) name: OsString,
}

/// listen(2).
#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) backlog: i32,
}

/// getsockopt(2).
#[derive(Debug)]
pub(crate) struct GetOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) length: u32,
}

/// setsockopt(2).
#[derive(Debug)]
pub(crate) struct SetOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) value: OptionBytes,
}

/// An option that `wasi:sockets` switches on for its sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prescribed {
    /// IPV6_V6ONLY, for every IPv6 socket.
    V6Only,
    /// SO_REUSEADDR, before the bind of a TCP socket.
    ReuseAddress,
}

/// A message whose contents were checked. A netlink message and a frame contain the act in their
/// bytes.
#[derive(Debug)]
pub(crate) struct Contents(Vec<u8>);

impl Contents {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// ioctl(2).
#[derive(Debug)]
pub(crate) struct Ioctl {
    pub(crate) number: u32,
    pub(crate) shape: Argument,
    /// The argument, as long as `shape` says.
    pub(crate) argument: Vec<u8>,
}

/// sendmsg(2)'s control data, encoded.
#[derive(Debug)]
pub(crate) struct Control {
    encoded: Vec<u8>,
    /// The descriptors whose numbers are in `encoded`. They stay open as long as this lives.
    rights: Vec<Arc<Handle>>,
    /// The levels and types of the other messages, by which they were checked.
    options: Vec<(i32, i32)>,
}

impl Control {
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn rights(&self) -> &[Arc<Handle>] {
        &self.rights
    }

    pub(crate) fn options(&self) -> &[(i32, i32)] {
        &self.options
    }
}

/// getaddrinfo(3) and gethostbyname(3) of a name.
#[derive(Debug)]
pub(crate) struct Resolve {
    name: String,
    whole: bool,
    searched: bool,
}

impl Resolve {
    /// Returns the name in the form that was checked and is pinned.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the guest wrote the last dot, which makes the name absolute.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Returns the name to ask the resolver for. It ends in a dot, so that no search list and no
    /// alias of the host's environment changes it. Two kinds of names have no last dot: a single
    /// label that was granted as such, and a name that the hosts file answers, because names there
    /// have no last dot.
    pub(crate) fn asked(&self, in_hosts_file: bool) -> Result<CString, Errno> {
        let dot = self.whole || !(in_hosts_file || self.searched);
        sys::c_string(&if dot { format!("{}.", self.name) } else { self.name.clone() })
    }
}

/// getnameinfo(3) and gethostbyaddr(3).
#[derive(Debug)]
pub(crate) struct ReverseResolve {
    pub(crate) address: IpAddr,
}

/// if_nameindex(3) and its relatives.
#[derive(Debug)]
pub(crate) struct Interfaces;

/// gethostname(2).
#[derive(Debug)]
pub(crate) struct ReadHostName;

/// sethostname(2).
#[derive(Debug)]
pub(crate) struct SetHostName {
    pub(crate) name: Vec<u8>,
}

/// One control message that a guest wants to send.
pub(crate) enum OutgoingControl<'a> {
    /// SCM_RIGHTS.
    Rights(Vec<Arc<Handle>>),
    /// Any other control message.
    Message { level: i32, kind: i32, data: &'a [u8] },
}
