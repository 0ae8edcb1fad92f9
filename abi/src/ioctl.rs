//! The table of ioctl requests, with the access that each needs.
//!
//! **A number without a row is unknown** (ENOTTY). Many requests have pointers in their arguments,
//! so a request gets a row only once it is known what it reads and writes. Numbers and layouts are
//! those of 64-bit Linux.

use core::fmt;

use crate::option::Access;

/// The data that the argument's pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A 4-byte integer.
    Integer,
    /// `struct ifreq` (man 7 netdevice), 40 bytes: a name of 16 and a union of 24.
    Interface,
    /// An array of `struct ifreq`. The kernel's `struct ifconf` has a pointer, so the host builds
    /// it. The argument's length is the room, and the result is cut to what the kernel filled in.
    InterfaceList,
    /// `struct timeval` or `struct timespec`, 16 bytes.
    Time,
    /// `struct arpreq` (man 7 arp), 68 bytes.
    Arp,
}

impl Shape {
    /// The size in bytes. For a list it is the size of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Integer => 4,
            Self::Interface | Self::InterfaceList => 40,
            Self::Time => 16,
            Self::Arp => 68,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ioctl {
    /// The request's name, as a policy spells it in `ioctl=SIOCGIFADDR`.
    pub name: &'static str,
    /// The request's number.
    pub number: u32,
    /// The form of its argument.
    pub shape: Shape,
    /// The access that it needs: `Ordinary`, `Granted` (by `ioctl=NAME`) or `Refused`.
    pub access: Access,
}

impl fmt::Display for Ioctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The row of a request.
#[must_use]
pub fn find(number: u32) -> Option<&'static Ioctl> {
    IOCTLS.binary_search_by_key(&number, |row| row.number).ok().and_then(|at| IOCTLS.get(at))
}

/// The row of a request by its name, aliases (`SIOCINQ`, `TIOCOUTQ`) included.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Ioctl> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    IOCTLS.iter().find(|row| row.name == name)
}

/// Other names of a row's number: `(alias, name)`.
pub static ALIASES: &[(&str, &str)] = &[
    ("SIOCINQ", "FIONREAD"),
    ("SIOGIFINDEX", "SIOCGIFINDEX"),
    ("TIOCINQ", "FIONREAD"),
    ("TIOCOUTQ", "SIOCOUTQ"),
];

const BIT: Access = Access::Refused("set-nonblocking sets this bit");
const SIGNALS: Access = Access::Refused("it asks for signals, and a guest has none");
const POINTER: Access = Access::Refused("its argument contains a pointer");

macro_rules! ioctls {
    ($($name:ident = $number:literal: $shape:ident, $access:expr;)*) => {{
        use Access::{Granted, Ordinary};
        &[$(Ioctl { name: stringify!($name), number: $number, shape: Shape::$shape, access: $access },)*]
    }};
}

/// Every row, sorted by number.
pub static IOCTLS: &[Ioctl] = ioctls! {
    // A request to a device, not to a socket. The host makes it for an AF_VSOCK socket.
    IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x07b9: Integer, Ordinary;
    SIOCOUTQ = 0x5411: Integer, Ordinary;
    FIONREAD = 0x541b: Integer, Ordinary;
    FIONBIO = 0x5421: Integer, BIT;
    FIOASYNC = 0x5452: Integer, SIGNALS;
    FIOSETOWN = 0x8901: Integer, SIGNALS;
    SIOCSPGRP = 0x8902: Integer, SIGNALS;
    FIOGETOWN = 0x8903: Integer, SIGNALS;
    SIOCGPGRP = 0x8904: Integer, SIGNALS;
    SIOCATMARK = 0x8905: Integer, Ordinary;
    SIOCGSTAMP = 0x8906: Time, Ordinary;
    SIOCGSTAMPNS = 0x8907: Time, Ordinary;
    SIOCADDRT = 0x890b: Interface, POINTER;
    SIOCDELRT = 0x890c: Interface, POINTER;
    SIOCGIFNAME = 0x8910: Interface, Granted;
    SIOCGIFCONF = 0x8912: InterfaceList, Granted;
    SIOCGIFFLAGS = 0x8913: Interface, Granted;
    SIOCSIFFLAGS = 0x8914: Interface, Granted;
    SIOCGIFADDR = 0x8915: Interface, Granted;
    SIOCSIFADDR = 0x8916: Interface, Granted;
    SIOCGIFDSTADDR = 0x8917: Interface, Granted;
    SIOCSIFDSTADDR = 0x8918: Interface, Granted;
    SIOCGIFBRDADDR = 0x8919: Interface, Granted;
    SIOCSIFBRDADDR = 0x891a: Interface, Granted;
    SIOCGIFNETMASK = 0x891b: Interface, Granted;
    SIOCSIFNETMASK = 0x891c: Interface, Granted;
    SIOCGIFMETRIC = 0x891d: Interface, Granted;
    SIOCSIFMETRIC = 0x891e: Interface, Granted;
    SIOCGIFMTU = 0x8921: Interface, Granted;
    SIOCSIFMTU = 0x8922: Interface, Granted;
    SIOCSIFNAME = 0x8923: Interface, Granted;
    SIOCSIFHWADDR = 0x8924: Interface, Granted;
    SIOCGIFHWADDR = 0x8927: Interface, Granted;
    SIOCADDMULTI = 0x8931: Interface, Granted;
    SIOCDELMULTI = 0x8932: Interface, Granted;
    SIOCGIFINDEX = 0x8933: Interface, Granted;
    SIOCGIFTXQLEN = 0x8942: Interface, Granted;
    SIOCSIFTXQLEN = 0x8943: Interface, Granted;
    SIOCETHTOOL = 0x8946: Interface, POINTER;
    SIOCOUTQNSD = 0x894b: Integer, Ordinary;
    SIOCDARP = 0x8953: Arp, Granted;
    SIOCGARP = 0x8954: Arp, Granted;
    SIOCSARP = 0x8955: Arp, Granted;
    SIOCGIFMAP = 0x8970: Interface, Granted;
};
