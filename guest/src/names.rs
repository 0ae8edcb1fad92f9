//! Numbers of the API that print as names.

use std::fmt;

use sandsock_abi::constants;

/// Returns the name of a number, among the names with a prefix.
fn name_of(prefix: &str, number: i64) -> Option<&'static str> {
    // The names of Python's socket module come first. The wider table has more names of the kernel.
    [constants::SOCKET_MODULE, constants::CONSTANTS]
        .into_iter()
        .flatten()
        .find(|(name, value)| *value == number && name.starts_with(prefix))
        .map(|(name, _)| *name)
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident { $($name:ident = $constant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub i32);

        impl $type {
            $(
                #[doc = concat!("`", stringify!($constant), "`.")]
                pub const $name: Self = Self(constants::$constant);
            )*
        }

        impl From<i32> for $type {
            fn from(number: i32) -> Self {
                Self(number)
            }
        }

        impl From<$type> for i32 {
            fn from(number: $type) -> Self {
                number.0
            }
        }
    };
}

/// Prints a number's name, as Python's enumerations do. A number without a name is printed as it
/// is.
macro_rules! one_name {
    ($type:ident, $prefix:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match name_of($prefix, i64::from(self.0)) {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

/// Prints the names of the set bits, and adds the operators of a set of bits.
macro_rules! bits {
    ($type:ident, $prefix:literal) => {
        impl $type {
            /// No flag.
            pub const NONE: Self = Self(0);

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $type {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl std::ops::BitAnd for $type {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl std::ops::Not for $type {
            type Output = Self;

            fn not(self) -> Self {
                Self(!self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.0 == 0 {
                    return f.write_str("0");
                }
                let mut separator = "";
                for bit in (0..32).map(|shift| 1_i32 << shift).filter(|bit| self.0 & bit != 0) {
                    f.write_str(separator)?;
                    separator = "|";
                    match name_of($prefix, i64::from(bit)) {
                        Some(name) => f.write_str(name)?,
                        None => write!(f, "{bit:#x}")?,
                    }
                }
                Ok(())
            }
        }
    };
}

number! {
    /// An address family, `AF_*` (man 2 socket). Any number is allowed. The host knows which
    /// families exist.
    Family {
        UNSPEC = AF_UNSPEC,
        UNIX = AF_UNIX,
        INET = AF_INET,
        INET6 = AF_INET6,
        NETLINK = AF_NETLINK,
        PACKET = AF_PACKET,
        CAN = AF_CAN,
        TIPC = AF_TIPC,
        ALG = AF_ALG,
        VSOCK = AF_VSOCK,
        BLUETOOTH = AF_BLUETOOTH,
        RDS = AF_RDS,
        QIPCRTR = AF_QIPCRTR,
    }
}
one_name!(Family, "AF_");

number! {
    /// A socket's type, `SOCK_*` (man 2 socket).
    ///
    /// [`SocketType::NONBLOCK`] and [`SocketType::CLOEXEC`] can be added to it with `|` when a
    /// socket is made.
    SocketType {
        STREAM = SOCK_STREAM,
        DGRAM = SOCK_DGRAM,
        RAW = SOCK_RAW,
        RDM = SOCK_RDM,
        SEQPACKET = SOCK_SEQPACKET,
        NONBLOCK = SOCK_NONBLOCK,
        CLOEXEC = SOCK_CLOEXEC,
    }
}

impl SocketType {
    /// Returns the type without `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
    pub(crate) const fn bare(self) -> Self {
        Self(self.0 & !(Self::NONBLOCK.0 | Self::CLOEXEC.0))
    }

    /// Whether the type has `SOCK_NONBLOCK`.
    pub(crate) const fn is_nonblocking(self) -> bool {
        self.0 & Self::NONBLOCK.0 != 0
    }
}

impl std::ops::BitOr for SocketType {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
one_name!(SocketType, "SOCK_");

number! {
    /// Flags of a transfer, `MSG_*` (man 2 send, man 2 recv).
    Flags {
        OOB = MSG_OOB,
        PEEK = MSG_PEEK,
        DONTROUTE = MSG_DONTROUTE,
        CTRUNC = MSG_CTRUNC,
        TRUNC = MSG_TRUNC,
        DONTWAIT = MSG_DONTWAIT,
        EOR = MSG_EOR,
        WAITALL = MSG_WAITALL,
        CONFIRM = MSG_CONFIRM,
        ERRQUEUE = MSG_ERRQUEUE,
        NOSIGNAL = MSG_NOSIGNAL,
        MORE = MSG_MORE,
        FASTOPEN = MSG_FASTOPEN,
        CMSG_CLOEXEC = MSG_CMSG_CLOEXEC,
    }
}
bits!(Flags, "MSG_");

number! {
    /// Flags of [`getaddrinfo`](crate::getaddrinfo), `AI_*` (man 3 getaddrinfo).
    AddressInfoFlags {
        PASSIVE = AI_PASSIVE,
        CANONNAME = AI_CANONNAME,
        NUMERICHOST = AI_NUMERICHOST,
        V4MAPPED = AI_V4MAPPED,
        ALL = AI_ALL,
        ADDRCONFIG = AI_ADDRCONFIG,
        NUMERICSERV = AI_NUMERICSERV,
    }
}
bits!(AddressInfoFlags, "AI_");

number! {
    /// Flags of [`getnameinfo`](crate::getnameinfo), `NI_*` (man 3 getnameinfo).
    NameInfoFlags {
        NUMERICHOST = NI_NUMERICHOST,
        NUMERICSERV = NI_NUMERICSERV,
        NOFQDN = NI_NOFQDN,
        NAMEREQD = NI_NAMEREQD,
        DGRAM = NI_DGRAM,
        IDN = NI_IDN,
    }
}
bits!(NameInfoFlags, "NI_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_their_names() {
        assert_eq!(format!("{:?} {:?}", Family(2), Family(16)), "AF_INET AF_NETLINK");
        assert_eq!(format!("{:?}", Family(99)), "99");
        assert_eq!(format!("{:?}", SocketType::SEQPACKET), "SOCK_SEQPACKET");
        assert_eq!(format!("{:?}", Flags::PEEK | Flags::DONTWAIT), "MSG_PEEK|MSG_DONTWAIT");
        assert_eq!(format!("{:?} {:?}", Flags::NONE, AddressInfoFlags(1)), "0 AI_PASSIVE");
    }

    #[test]
    fn type_flags_are_separate() {
        let kind = SocketType::DGRAM | SocketType::NONBLOCK | SocketType::CLOEXEC;
        assert_eq!(kind.bare(), SocketType::DGRAM);
        assert!(kind.is_nonblocking());
    }
}
