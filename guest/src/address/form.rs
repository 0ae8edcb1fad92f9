//! The forms of Python's tuples: the number and the types of the elements in an address of a
//! family, and the errors for other tuples.

use std::borrow::Cow;

use sandsock_abi::constants::{CAN_BCM, CAN_RAW};

use super::AddressArgument;
use crate::error::type_error;
use crate::{
    Address, Family, Result,
    raw::types::{self, CanDetail},
};

/// An element of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Text,
    Bytes,
    Number,
}

/// The type that a family takes as an element of its tuple.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// A host's name, as text or bytes.
    Host,
    Text,
    Bytes,
    Number,
}

/// A family's tuple.
struct Form {
    /// The types of its elements, including those that may be left out.
    wanted: &'static [Wanted],
    /// The least number of elements.
    least: usize,
    /// CPython's error for another length, and for an element that must be text and is not. None if
    /// CPython counts the elements in its error.
    text: Option<&'static str>,
}

impl Form {
    /// Returns the form of a family. None if the family has no tuple that is checked here.
    const fn of(family: Family, protocol: i32) -> Option<Self> {
        use Wanted::{Bytes, Host, Number, Text};
        const PAIR: &[Wanted] = &[Number, Number];
        Some(match family {
            Family::INET | Family::RDS => Self {
                wanted: &[Host, Number],
                least: 2,
                text: Some("AF_INET address must be a pair (host, port)"),
            },
            Family::INET6 => Self {
                wanted: &[Host, Number, Number, Number],
                least: 2,
                text: Some("AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])"),
            },
            Family::NETLINK => Self {
                wanted: PAIR,
                least: 2,
                text: Some("AF_NETLINK address must be a pair (pid, groups)"),
            },
            Family::PACKET => Self {
                wanted: &[Text, Number, Number, Number, Bytes],
                least: 2,
                text: Some("AF_PACKET address must be a tuple of two to five elements"),
            },
            Family::CAN if matches!(protocol, CAN_RAW | CAN_BCM) => Self {
                wanted: &[Text],
                least: 1,
                text: Some("AF_CAN address must be a tuple (interface, )"),
            },
            Family::TIPC => Self {
                wanted: &[Number; 5],
                least: 4,
                text: Some("AF_TIPC address must be a tuple (addr_type, v1, v2, v3[, scope])"),
            },
            Family::ALG => Self {
                wanted: &[Text, Text, Number, Number],
                least: 2,
                text: Some("AF_ALG address must be a tuple (type, name[, feat[, mask]])"),
            },
            Family::VSOCK | Family::QIPCRTR => Self { wanted: PAIR, least: 2, text: None },
            _ => return None,
        })
    }

    /// Checks a tuple as PyArg_ParseTuple does: its length, then each element.
    fn check(&self, tuple: &[Element]) -> Result<()> {
        if !(self.least..=self.wanted.len()).contains(&tuple.len()) {
            return Err(self.text.map_or_else(
                || {
                    let (wanted, given) = (self.wanted.len(), tuple.len());
                    type_error(format!(
                        "getsockaddrarg() takes exactly {wanted} arguments ({given} given)"
                    ))
                },
                type_error,
            ));
        }
        for (wanted, element) in self.wanted.iter().zip(tuple) {
            match (wanted, element) {
                (Wanted::Host, Element::Number) => {
                    return Err(type_error("str, bytes or bytearray expected, not int"));
                }
                (Wanted::Number, Element::Text) => {
                    return Err(type_error("'str' object cannot be interpreted as an integer"));
                }
                (Wanted::Number, Element::Bytes) => {
                    return Err(type_error("'bytes' object cannot be interpreted as an integer"));
                }
                (Wanted::Text, Element::Number | Element::Bytes) => {
                    return Err(type_error(self.text.unwrap_or_default()));
                }
                (Wanted::Bytes, Element::Number) => {
                    return Err(type_error("a bytes-like object is required, not 'int'"));
                }
                (Wanted::Bytes, Element::Text) => {
                    return Err(type_error("a bytes-like object is required, not 'str'"));
                }
                (Wanted::Host | Wanted::Text, Element::Text)
                | (Wanted::Host | Wanted::Bytes, Element::Bytes)
                | (Wanted::Number, Element::Number) => {}
            }
        }
        Ok(())
    }
}

/// Returns the elements of an argument that is a tuple in Python.
const fn elements(argument: &AddressArgument<'_>) -> Option<&'static [Element]> {
    use Element::{Bytes, Number, Text};
    use types::Address as Raw;
    Some(match argument {
        AddressArgument::Can { detail: CanDetail::Plain, .. } => &[Text],
        AddressArgument::Host { flow_info: None, scope_id: None, .. } => &[Text, Number],
        AddressArgument::Host { flow_info: Some(_), scope_id: Some(_), .. }
        | AddressArgument::Can { detail: CanDetail::J1939(_), .. } => {
            &[Text, Number, Number, Number]
        }
        AddressArgument::Host { .. } | AddressArgument::Can { .. } => &[Text, Number, Number],
        AddressArgument::Packet { .. } => &[Text, Number, Number, Number, Bytes],
        AddressArgument::Known(Raw::Netlink(_) | Raw::Vsock(_) | Raw::Qipcrtr(_)) => {
            &[Number, Number]
        }
        AddressArgument::Known(Raw::Tipc(_)) => &[Number; 5],
        AddressArgument::Known(Raw::Alg(_)) => &[Text, Text, Number, Number],
        AddressArgument::Known(_) | AddressArgument::Name(_) | AddressArgument::None => {
            return None;
        }
    })
}

/// Whether an address of the raw layer belongs to a family.
const fn is_of(address: &types::Address, family: Family) -> bool {
    use types::Address as Raw;
    matches!(
        (address, family),
        (Raw::Inet(_), Family::INET)
            | (Raw::Inet6(_), Family::INET6)
            | (Raw::Unix(_), Family::UNIX)
            | (Raw::Netlink(_), Family::NETLINK)
            | (Raw::Packet(_), Family::PACKET)
            | (Raw::Can(_), Family::CAN)
            | (Raw::Tipc(_), Family::TIPC)
            | (Raw::Alg(_), Family::ALG)
            | (Raw::Vsock(_), Family::VSOCK)
            | (Raw::Qipcrtr(_), Family::QIPCRTR)
            | (Raw::Rds(_), Family::RDS)
            | (Raw::Bluetooth(_), Family::BLUETOOTH)
    )
}

/// Returns an address of another family as Python's tuple, which can be an address of this family.
fn as_argument(address: types::Address, family: Family) -> AddressArgument<'static> {
    use types::Address as Raw;
    let pair = |first, second| match family {
        Family::VSOCK => Raw::Vsock(types::VsockAddress { cid: first, port: second }),
        Family::QIPCRTR => Raw::Qipcrtr(types::QipcrtrAddress { node: first, port: second }),
        _ => Raw::Netlink(types::NetlinkAddress { port_id: first, groups: second }),
    };
    let known = match address {
        Raw::Netlink(address) => pair(address.port_id, address.groups),
        Raw::Vsock(address) => pair(address.cid, address.port),
        Raw::Qipcrtr(address) => pair(address.node, address.port),
        Raw::Unix(address) => match Address::from(Raw::Unix(address)) {
            Address::Unix(name) => return AddressArgument::Name(Cow::Owned(name)),
            _ => return AddressArgument::None,
        },
        Raw::Inet(address) | Raw::Rds(address) => return host(Raw::Inet(address)),
        Raw::Inet6(address) => return host(Raw::Inet6(address)),
        other => other,
    };
    AddressArgument::Known(known)
}

fn host(address: types::Address) -> AddressArgument<'static> {
    let scoped = match &address {
        types::Address::Inet6(address) => Some((address.flow_info.into(), address.scope_id.into())),
        _ => None,
    };
    let address = Address::from(address);
    AddressArgument::Host {
        host: Cow::Owned(address.host().unwrap_or_default().into_bytes()),
        port: address.port().unwrap_or_default().into(),
        flow_info: scoped.map(|(flow_info, _)| flow_info),
        scope_id: scoped.map(|(_, scope_id)| scope_id),
    }
}

/// Checks an argument's form, as CPython does before it looks at values. An address of another
/// family is taken as its tuple. An address of the raw layer that has no family goes to the host
/// unchanged.
pub(super) fn conform(
    family: Family,
    protocol: i32,
    argument: AddressArgument<'_>,
) -> Result<AddressArgument<'_>> {
    let argument = match argument {
        AddressArgument::Known(address @ (types::Address::Unspec | types::Address::Other(_))) => {
            return Ok(AddressArgument::Known(address));
        }
        AddressArgument::Known(address) if is_of(&address, family) => {
            return Ok(AddressArgument::Known(address));
        }
        AddressArgument::Known(address) => as_argument(address, family),
        argument => argument,
    };
    match (Form::of(family, protocol), elements(&argument)) {
        (Some(form), Some(tuple)) => form.check(tuple).map(|()| argument),
        (None, Some(_)) if family == Family::UNIX => {
            Err(type_error("a bytes-like object is required, not 'tuple'"))
        }
        (Some(_), None) if matches!(family, Family::VSOCK | Family::QIPCRTR) => {
            let found = python_type(&argument);
            Err(type_error(format!(
                "getsockaddrarg: {family:?} address must be tuple, not {found}"
            )))
        }
        _ => Ok(argument),
    }
}

/// Returns the name of an argument's type in Python.
pub(super) const fn python_type(argument: &AddressArgument<'_>) -> &'static str {
    match argument {
        AddressArgument::Host { .. }
        | AddressArgument::Packet { .. }
        | AddressArgument::Can { .. }
        | AddressArgument::Known(_) => "tuple",
        AddressArgument::Name(_) => "str",
        AddressArgument::None => "NoneType",
    }
}
