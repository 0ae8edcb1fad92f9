//! Permits: what the policy let through, owned by the proof that it did.
//!
//! A [`Permit`] is made here alone, by a [`Judge`]; its fields are private, it can't be cloned, and
//! it holds the encoded address or option bytes, so that what was judged is what the kernel gets.

mod judge;
mod ports;
mod value;

pub(crate) use judge::Judge;

use std::ffi::{CString, OsStr, OsString};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::io::Errno;
use sandsock_abi::ioctl::Shape as Argument;

use crate::descriptor::Handle;
use crate::sys::address::{RawAddress, View};
use crate::sys::{self, OptionBytes, is_socket_in};

/// The proof that an act was judged and allowed.
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

/// A judged address, with what keeps the judgement true until the kernel has used it.
#[derive(Debug)]
pub(crate) struct Destination {
    raw: RawAddress,
    anchor: Anchor,
    /// Where the guest believes to be, where that is published.
    published: Option<View>,
}

/// What holds a UNIX path in place between check and use.
#[derive(Debug)]
pub(crate) enum Anchor {
    /// Not a path.
    None,
    /// The socket's own inode, which the address names through /proc.
    Inode(#[expect(dead_code, reason = "held open, never read")] OwnedFd),
    /// The directory, the name that a bind must have made in it, and where the address starts, if
    /// it is a relative path.
    Directory { parent: Dir, name: OsString, start: Option<Dir> },
}

impl Destination {
    pub(crate) fn plain(raw: RawAddress) -> Self {
        Self { raw, anchor: Anchor::None, published: None }
    }

    pub(crate) fn anchored(raw: RawAddress, anchor: Anchor) -> Self {
        Self { raw, anchor, published: None }
    }

    /// The host's address in place of the one that the guest binds.
    pub(crate) fn published(view: View) -> Self {
        Self {
            raw: RawAddress::from_ip(view.host_for_guest()),
            anchor: Anchor::None,
            published: Some(view),
        }
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
    /// What the guest is to see of a published address.
    pub(crate) fn view(&self) -> Option<View> {
        self.0.published
    }

    /// After bind(2): whether the name was made where it was judged.
    pub(crate) fn verify(&self) -> bool {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => is_socket_in(parent, name),
            Anchor::None | Anchor::Inode(_) => true,
        }
    }

    /// The directory where the address starts, if it is a relative path.
    pub(crate) fn start(&self) -> Option<&Dir> {
        match &self.0.anchor {
            Anchor::Directory { start, .. } => start.as_ref(),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }

    /// The directory and the name in it, if it is a path.
    pub(crate) fn made(&self) -> Option<(&Dir, &OsStr)> {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => Some((parent, name)),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }
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

/// A message whose contents were judged, whole: what netlink messages and frames say is what they
/// do.
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
    /// As long as the shape says.
    pub(crate) argument: Vec<u8>,
}

/// sendmsg(2)'s control data, encoded.
#[derive(Debug)]
pub(crate) struct Control {
    encoded: Vec<u8>,
    /// The descriptors whose numbers are in it, open as long as it is.
    rights: Vec<Arc<Handle>>,
}

impl Control {
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn rights(&self) -> &[Arc<Handle>] {
        &self.rights
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
    /// The name in the form in which it was judged and is pinned.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the guest wrote the last dot, which says that the name is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The name that the resolver is asked for, with its last dot, by which no search list and no
    /// alias of the host's environment makes another one of it. A single label that was granted as
    /// such goes without, and so does what the hosts file answers, which has no dots.
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

/// if_nameindex(3) and its kin.
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
pub(crate) enum ControlOut<'a> {
    /// SCM_RIGHTS.
    Rights(Vec<Arc<Handle>>),
    /// Any other.
    Message { level: i32, kind: i32, data: &'a [u8] },
}
