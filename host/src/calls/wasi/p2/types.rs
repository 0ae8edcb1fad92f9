//! The types of `wasi:sockets/network`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::calls::wasi::address::{IpFamily, to_contract};
use crate::calls::wasi::error;
use crate::observe::{CallError, SocketAddress, ToValue, Value, ValueBuilder, WatchedData};

/// Makes the enum `error-code`, from the common one.
macro_rules! error_codes {
    ($($name:literal $code:ident;)*) => {
        /// WIT `error-code`.
        #[derive(Debug, Clone, Copy, ComponentType, Lower)]
        #[component(enum)]
        #[repr(u8)]
        pub(crate) enum ErrorCode {
            $(#[component(name = $name)] $code,)*
        }

        impl From<error::ErrorCode> for ErrorCode {
            fn from(code: error::ErrorCode) -> Self {
                match code {
                    $(error::ErrorCode::$code => Self::$code,)*
                    // This version has no code of its own for it.
                    error::ErrorCode::ConnectionBroken => Self::ConnectionReset,
                }
            }
        }

        impl ErrorCode {
            /// The code's name in the package.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }
        }
    };
}

error_codes! {
    "unknown" Unknown;
    "access-denied" AccessDenied;
    "not-supported" NotSupported;
    "invalid-argument" InvalidArgument;
    "out-of-memory" OutOfMemory;
    "timeout" Timeout;
    "concurrency-conflict" ConcurrencyConflict;
    "not-in-progress" NotInProgress;
    "would-block" WouldBlock;
    "invalid-state" InvalidState;
    "new-socket-limit" NewSocketLimit;
    "address-not-bindable" AddressNotBindable;
    "address-in-use" AddressInUse;
    "remote-unreachable" RemoteUnreachable;
    "connection-refused" ConnectionRefused;
    "connection-reset" ConnectionReset;
    "connection-aborted" ConnectionAborted;
    "datagram-too-large" DatagramTooLarge;
    "name-unresolvable" NameUnresolvable;
    "temporary-resolver-failure" TemporaryResolverFailure;
    "permanent-resolver-failure" PermanentResolverFailure;
}

impl ToValue for ErrorCode {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Failed(CallError::Code(self.name()))
    }
}

/// WIT `ip-address-family`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum IpAddressFamily {
    #[component(name = "ipv4")]
    Ipv4,
    #[component(name = "ipv6")]
    Ipv6,
}

impl From<IpAddressFamily> for IpFamily {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

impl From<IpFamily> for IpAddressFamily {
    fn from(family: IpFamily) -> Self {
        match family {
            IpFamily::V4 => Self::Ipv4,
            IpFamily::V6 => Self::Ipv6,
        }
    }
}

impl ToValue for IpAddressFamily {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Integer(IpFamily::from(*self).number().into())
    }
}

/// WIT `ipv4-address`.
type Ipv4Address = (u8, u8, u8, u8);

/// WIT `ipv6-address`.
type Ipv6Address = (u16, u16, u16, u16, u16, u16, u16, u16);

/// WIT `ipv4-socket-address`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Ipv4SocketAddress {
    port: u16,
    address: Ipv4Address,
}

/// WIT `ipv6-socket-address`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Ipv6SocketAddress {
    port: u16,
    #[component(name = "flow-info")]
    flow_info: u32,
    address: Ipv6Address,
    #[component(name = "scope-id")]
    scope_id: u32,
}

/// WIT `ip-socket-address`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum IpSocketAddress {
    #[component(name = "ipv4")]
    Ipv4(Ipv4SocketAddress),
    #[component(name = "ipv6")]
    Ipv6(Ipv6SocketAddress),
}

/// WIT `ip-address`.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum IpAddress {
    #[component(name = "ipv4")]
    Ipv4(Ipv4Address),
    #[component(name = "ipv6")]
    Ipv6(Ipv6Address),
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self::Ipv4((a, b, c, d))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.segments();
                Self::Ipv6((a, b, c, d, e, f, g, h))
            }
        }
    }
}

impl ToValue for IpAddress {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Text(match *self {
            Self::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).to_string(),
            Self::Ipv6((a, b, c, d, e, f, g, h)) => {
                Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
            }
        })
    }
}

impl From<IpSocketAddress> for SocketAddr {
    fn from(address: IpSocketAddress) -> Self {
        match address {
            IpSocketAddress::Ipv4(v4) => {
                let (a, b, c, d) = v4.address;
                SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), v4.port).into()
            }
            IpSocketAddress::Ipv6(v6) => {
                let (a, b, c, d, e, f, g, h) = v6.address;
                let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
                SocketAddrV6::new(ip, v6.port, v6.flow_info, v6.scope_id).into()
            }
        }
    }
}

impl From<SocketAddr> for IpSocketAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => {
                let [a, b, c, d] = v4.ip().octets();
                Self::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
            }
            SocketAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.ip().segments();
                Self::Ipv6(Ipv6SocketAddress {
                    port: v6.port(),
                    flow_info: v6.flowinfo(),
                    address: (a, b, c, d, e, f, g, h),
                    scope_id: v6.scope_id(),
                })
            }
        }
    }
}

impl ToValue for IpSocketAddress {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Address(SocketAddress::from(&to_contract((*self).into())))
    }
}

/// WIT `shutdown-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ShutdownType {
    #[component(name = "receive")]
    Receive,
    #[component(name = "send")]
    Send,
    #[component(name = "both")]
    #[expect(dead_code, reason = "guests make it")]
    Both,
}

impl ShutdownType {
    /// SHUT_RD, SHUT_WR or SHUT_RDWR.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Receive => libc::SHUT_RD,
            Self::Send => libc::SHUT_WR,
            Self::Both => libc::SHUT_RDWR,
        }
    }
}

impl ToValue for ShutdownType {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Integer(self.number().into())
    }
}
