//! Python's addresses as arguments and as results.

use std::borrow::Cow;

use pyo3::exceptions::{PyOSError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString, PyTuple};
use sandsock::constants::{
    BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO, CAN_BCM, CAN_ISOTP, CAN_J1939,
    CAN_RAW, HCI_CHANNEL_RAW, PACKET_HOST, TIPC_CLUSTER_SCOPE,
};
use sandsock::raw::types::{
    self, AlgAddress, BluetoothAddress, BluetoothDevice, CanDetail, CanIsotp, CanJ1939, HciAddress,
    NetlinkAddress, QipcrtrAddress, TipcAddress, VsockAddress,
};
use sandsock::{Address, AddressArgument, Family, Socket};

use crate::error::{OrRaise, with_text};
use crate::ffi::{
    self, Answer, Buffer, Convert, Converted, FileSystemName, Format, Long, Raised, Result, Text,
    parse, parse_one,
};

/// The bytes of an address whose family is not known (`sa_data`).
const UNKNOWN: usize = 14;

/// The host of an address: str, bytes or bytearray. ASCII is taken as it is, and other text is
/// encoded by IDNA.
#[derive(Default)]
struct Host(Vec<u8>);

impl Convert for Host {
    fn convert(object: &Bound<'_, PyAny>) -> Result<Self> {
        let py = object.py();
        let host = if let Ok(bytes) = object.cast::<PyBytes>() {
            bytes.as_bytes().to_vec()
        } else if object.is_instance_of::<PyByteArray>() {
            Buffer::of(object)?.get().to_vec()
        } else if let Ok(text) = object.cast::<PyString>() {
            match text.to_str() {
                Ok(text) if text.is_ascii() => text.as_bytes().to_vec(),
                _ => idna(object)
                    .map_err(|_| with_text::<PyTypeError>(py, "encoding of hostname failed"))?,
            }
        } else {
            let found = ffi::type_name(object);
            let text = format!("str, bytes or bytearray expected, not {found}");
            return Err(with_text::<PyTypeError>(py, &text));
        };
        if host.contains(&0) {
            let text = "host name must not contain null character";
            return Err(with_text::<PyTypeError>(py, text));
        }
        Ok(Self(host))
    }
}

/// Encodes a str by the interpreter's codec for names of hosts.
pub(crate) fn idna(text: &Bound<'_, PyAny>) -> Result<Vec<u8>> {
    let bytes = ffi::encode(text, c"idna")?;
    Ok(Buffer::of(&bytes)?.get().to_vec())
}

/// Reads an argument as an address of a socket's family, and looks up its host. `caller` is the
/// method's name.
///
/// # Errors
/// As CPython's, with the same texts.
pub(crate) fn argument(
    socket: &Socket,
    caller: &str,
    object: &Bound<'_, PyAny>,
) -> Result<AddressArgument<'static>> {
    let address = parsed(socket, caller, object)?;
    socket.resolve(caller, address).or_raise(object.py())
}

/// Reads the form of an address. The guest crate finds the errors that need the host.
fn parsed(
    socket: &Socket,
    caller: &str,
    object: &Bound<'_, PyAny>,
) -> Result<AddressArgument<'static>> {
    let known = match socket.family() {
        Family::UNIX => return unix(object),
        Family::INET | Family::RDS => {
            must_be_tuple(object, &format!("{caller}(): AF_INET"))?;
            let (Converted(Host(host)), port): (_, i32) = ports(
                caller,
                object,
                const { &Format::new(c"O&i;AF_INET address must be a pair (host, port)") },
            )?;
            return Ok(AddressArgument::Host {
                host: Cow::Owned(host),
                port: i64::from(port),
                flow_info: None,
                scope_id: None,
            });
        }
        Family::INET6 => {
            must_be_tuple(object, &format!("{caller}(): AF_INET6"))?;
            let (Converted(Host(host)), port, flow_info, scope_id): (_, i32, u32, u32) = ports(
                caller,
                object,
                const {
                    &Format::new(
                        c"O&i|II;AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])",
                    )
                },
            )?;
            return Ok(AddressArgument::Host {
                host: Cow::Owned(host),
                port: i64::from(port),
                flow_info: Some(i64::from(flow_info)),
                scope_id: Some(i64::from(scope_id)),
            });
        }
        Family::PACKET => return packet(caller, object),
        Family::CAN => return can(socket.proto(), caller, object),
        Family::BLUETOOTH => return bluetooth(socket.proto(), caller, object),
        Family::NETLINK => {
            must_be_tuple(object, &format!("{caller}(): AF_NETLINK"))?;
            let (port_id, groups) = pair(
                object,
                const { &Format::new(c"II;AF_NETLINK address must be a pair (pid, groups)") },
            )?;
            types::Address::Netlink(NetlinkAddress { port_id, groups })
        }
        Family::QIPCRTR => {
            must_be_tuple(object, "getsockaddrarg: AF_QIPCRTR")?;
            let (node, port) = pair(object, const { &Format::new(c"II:getsockaddrarg") })?;
            types::Address::Qipcrtr(QipcrtrAddress { node, port })
        }
        Family::VSOCK => {
            must_be_tuple(object, "getsockaddrarg: AF_VSOCK")?;
            let (cid, port) = pair(object, const { &Format::new(c"II:getsockaddrarg") })?;
            types::Address::Vsock(VsockAddress { cid, port })
        }
        Family::TIPC => {
            must_be_tuple(object, &format!("{caller}(): AF_TIPC"))?;
            let mut values = (0, 0, 0, 0, TIPC_CLUSTER_SCOPE.cast_unsigned());
            let format = const {
                &Format::new(
                    c"IIII|I;AF_TIPC address must be a tuple (addr_type, v1, v2, v3[, scope])",
                )
            };
            parse(object, format, &mut values)?;
            let (address_type, v1, v2, v3, scope): (u32, u32, u32, u32, u32) = values;
            types::Address::Tipc(TipcAddress {
                // A number that does not fit is no type of address, and neither is 0.
                address_type: u8::try_from(address_type).unwrap_or(0),
                scope: scope as i8,
                v1,
                v2,
                v3,
            })
        }
        Family::ALG => {
            must_be_tuple(object, &format!("{caller}(): AF_ALG"))?;
            let mut values = (Text::<false>::default(), Text::<false>::default(), 0, 0);
            let format = const {
                &Format::new(c"ss|HH;AF_ALG address must be a tuple (type, name[, feat[, mask]])")
            };
            parse(object, format, &mut values)?;
            let (kind, name, feature, mask): (_, _, u16, u16) = values;
            let text = |text: Text<'_>| {
                String::from_utf8_lossy(text.get().unwrap_or_default()).into_owned()
            };
            types::Address::Alg(AlgAddress {
                kind: text(kind),
                name: text(name),
                feature: feature.into(),
                mask: mask.into(),
            })
        }
        _ => {
            let text = format!("{caller}(): bad family");
            return Err(with_text::<PyOSError>(object.py(), &text));
        }
    };
    Ok(AddressArgument::Known(known))
}

/// Refuses an address that is not a tuple.
fn must_be_tuple(object: &Bound<'_, PyAny>, what: &str) -> Result<()> {
    if object.is_instance_of::<PyTuple>() {
        return Ok(());
    }
    let text = format!("{what} address must be tuple, not {}", ffi::type_name(object));
    Err(with_text::<PyTypeError>(object.py(), &text))
}

/// Parses a tuple with a port. An integer out of range is a port out of range.
fn ports<T: ffi::Units + Default>(
    caller: &str,
    object: &Bound<'_, PyAny>,
    format: &Format<T>,
) -> Result<T> {
    let mut values = T::default();
    parse(object, format, &mut values).map_err(|raised| {
        replace_overflow(raised, object, &format!("{caller}(): port must be 0-65535."))
    })?;
    Ok(values)
}

fn pair(object: &Bound<'_, PyAny>, format: &Format<(u32, u32)>) -> Result<(u32, u32)> {
    let mut values = (0, 0);
    parse(object, format, &mut values)?;
    Ok(values)
}

fn replace_overflow(raised: Raised, object: &Bound<'_, PyAny>, text: &str) -> Raised {
    if ffi::is_overflow(object.py()) {
        with_text::<PyOverflowError>(object.py(), text)
    } else {
        raised
    }
}

fn unix(object: &Bound<'_, PyAny>) -> Result<AddressArgument<'static>> {
    let encoded;
    let object = if object.is_instance_of::<PyString>() {
        encoded = ffi::file_system_bytes(object)?;
        &encoded
    } else {
        object
    };
    let mut values = (Buffer::<false>::default(),);
    parse_one(object, const { &Format::new(c"y*") }, &mut values)?;
    Ok(AddressArgument::Name(Cow::Owned(values.0.get().to_vec())))
}

fn packet(caller: &str, object: &Bound<'_, PyAny>) -> Result<AddressArgument<'static>> {
    must_be_tuple(object, &format!("{caller}(): AF_PACKET"))?;
    let mut values = (Text::<false>::default(), 0, PACKET_HOST, 0, Buffer::<false>::default());
    let format = const {
        &Format::new(c"si|iiy*;AF_PACKET address must be a tuple of two to five elements")
    };
    parse(object, format, &mut values).map_err(|raised| {
        replace_overflow(raised, object, &format!("{caller}(): address argument out of range"))
    })?;
    let (interface, protocol, packet_type, hardware_type, hardware_address) = values;
    Ok(AddressArgument::Packet {
        interface: Cow::Owned(interface.get().unwrap_or_default().to_vec()),
        protocol: i64::from(protocol),
        packet_type: i64::from(packet_type),
        hardware_type: i64::from(hardware_type),
        hardware_address: Cow::Owned(hardware_address.get().to_vec()),
    })
}

fn can(protocol: i32, caller: &str, object: &Bound<'_, PyAny>) -> Result<AddressArgument<'static>> {
    let (interface, detail) = match protocol {
        CAN_RAW | CAN_BCM => {
            must_be_tuple(object, &format!("{caller}(): AF_CAN"))?;
            let mut values = (FileSystemName::default(),);
            let format = const { &Format::new(c"O&;AF_CAN address must be a tuple (interface, )") };
            parse(object, format, &mut values)?;
            (values.0, CanDetail::Plain)
        }
        CAN_ISOTP => {
            let mut values = (FileSystemName::default(), Long::default(), Long::default());
            parse(object, const { &Format::new(c"O&kk") }, &mut values)?;
            let (interface, receive_id, transmit_id) = values;
            let ids = CanIsotp { receive_id: receive_id.low(), transmit_id: transmit_id.low() };
            (interface, CanDetail::Isotp(ids))
        }
        CAN_J1939 => {
            let mut values = (FileSystemName::default(), 0, 0, 0);
            parse(object, const { &Format::new(c"O&KIB") }, &mut values)?;
            let (interface, name, pgn, address): (_, u64, u32, u8) = values;
            (interface, CanDetail::J1939(CanJ1939 { name, pgn, address }))
        }
        _ => {
            let text = format!("{caller}(): unsupported CAN protocol");
            return Err(with_text::<PyOSError>(object.py(), &text));
        }
    };
    Ok(AddressArgument::Can { interface: Cow::Owned(interface.get().to_vec()), detail })
}

fn bluetooth(
    protocol: i32,
    caller: &str,
    object: &Bound<'_, PyAny>,
) -> Result<AddressArgument<'static>> {
    let py = object.py();
    // CPython replaces the error of the parser.
    let wrong_format = |_: Raised| with_text::<PyOSError>(py, &format!("{caller}(): wrong format"));
    let host = |device: &Text<'_>, port, flow_info, scope_id| AddressArgument::Host {
        host: Cow::Owned(device.get().unwrap_or_default().to_vec()),
        port,
        flow_info,
        scope_id,
    };
    match protocol {
        BTPROTO_L2CAP => {
            let mut values = (Text::<false>::default(), 0, 0, 0);
            parse(object, const { &Format::new(c"sH|HB") }, &mut values).map_err(wrong_format)?;
            let (device, psm, cid, device_type): (_, u16, u16, u8) = values;
            let (cid, device_type) = (Some(i64::from(cid)), Some(i64::from(device_type)));
            Ok(host(&device, i64::from(psm), cid, device_type))
        }
        BTPROTO_RFCOMM => {
            let mut values = (Text::<false>::default(), 0);
            parse(object, const { &Format::new(c"sB") }, &mut values).map_err(wrong_format)?;
            let (device, channel): (_, u8) = values;
            Ok(host(&device, i64::from(channel), None, None))
        }
        BTPROTO_HCI => {
            let (adapter, channel): (u16, u16) = if ffi::is_index(object) {
                let mut values = (0,);
                parse_one(object, const { &Format::new(c"H") }, &mut values)?;
                (values.0, HCI_CHANNEL_RAW as u16)
            } else {
                let mut values = (0, HCI_CHANNEL_RAW as u16);
                parse(object, const { &Format::new(c"H|H") }, &mut values).map_err(wrong_format)?;
                values
            };
            let address = BluetoothAddress::Hci(HciAddress { adapter, channel });
            Ok(AddressArgument::Known(types::Address::Bluetooth(address)))
        }
        BTPROTO_SCO => {
            let device = if object.is_instance_of::<PyBytes>() {
                let mut values = (Text::<true>::default(),);
                parse_one(object, const { &Format::new(c"y") }, &mut values)?;
                values.0.get().map(<[u8]>::to_vec)
            } else if object.is_instance_of::<PyString>() {
                let mut values = (Text::<false>::default(),);
                parse_one(object, const { &Format::new(c"s") }, &mut values)?;
                values.0.get().map(<[u8]>::to_vec)
            } else {
                return Err(with_text::<PyOSError>(py, &format!("{caller}(): wrong format")));
            };
            Ok(AddressArgument::Name(Cow::Owned(device.unwrap_or_default())))
        }
        _ => {
            let text = format!("{caller}(): unknown Bluetooth protocol");
            Err(with_text::<PyOSError>(py, &text))
        }
    }
}

/// Returns an address in Python's form.
pub(crate) fn result<'py>(py: Python<'py>, address: &Address) -> Answer<'py> {
    let host = || address.host().unwrap_or_default();
    let tuple = match address {
        Address::None => return Ok(py.None().into_bound(py)),
        Address::Inet(_, port) => (host(), port).into_pyobject(py)?,
        Address::Inet6(_, port, flow_info, scope_id) => {
            (host(), port, flow_info, scope_id).into_pyobject(py)?
        }
        Address::Unix(name) if name.first() == Some(&0) => {
            return Ok(PyBytes::new(py, name).into_any());
        }
        Address::Unix(name) => return ffi::file_system_text(py, name),
        Address::Netlink(first, second)
        | Address::Vsock(first, second)
        | Address::Qipcrtr(first, second) => (first, second).into_pyobject(py)?,
        Address::Packet(interface, protocol, packet_type, hardware_type, hardware_address) => {
            let hardware_address = PyBytes::new(py, hardware_address);
            (interface, protocol, packet_type, hardware_type, hardware_address).into_pyobject(py)?
        }
        Address::Can(interface, detail) => {
            let interface = ffi::file_system_text(py, interface.as_bytes())?;
            match detail {
                CanDetail::Plain => (interface,).into_pyobject(py)?,
                CanDetail::Isotp(CanIsotp { receive_id, transmit_id }) => {
                    (interface, receive_id, transmit_id).into_pyobject(py)?
                }
                CanDetail::J1939(CanJ1939 { name, pgn, address }) => {
                    (interface, name, pgn, address).into_pyobject(py)?
                }
            }
        }
        Address::Other(address) => return other(py, address),
        _ => unknown(py, 0, &[])?,
    };
    Ok(tuple.into_any())
}

/// Returns an address that the guest crate keeps in the raw layer's form.
fn other<'py>(py: Python<'py>, address: &types::Address) -> Answer<'py> {
    let tuple = match address {
        types::Address::Tipc(address) => {
            let TipcAddress { address_type, scope, v1, v2, v3 } = address;
            if !(1..=3).contains(address_type) {
                return Err(with_text::<PyValueError>(py, "Invalid address type"));
            }
            // CPython passes the scope as an unsigned int.
            let scope = i32::from(*scope).cast_unsigned();
            (address_type, v1, v2, v3, scope).into_pyobject(py)?
        }
        types::Address::Alg(AlgAddress { kind, name, feature, mask }) => {
            (kind, name, feature, mask).into_pyobject(py)?
        }
        types::Address::Rds(types::InetAddress { address: (a, b, c, d), port }) => {
            (format!("{a}.{b}.{c}.{d}"), port).into_pyobject(py)?
        }
        types::Address::Bluetooth(address) => match address {
            BluetoothAddress::L2cap(address) => {
                let device = device_text(address.device);
                let (psm, cid) = (address.psm, address.cid);
                if address.device_type != 0 {
                    (device, psm, cid, address.device_type).into_pyobject(py)?
                } else if cid != 0 {
                    (device, psm, cid).into_pyobject(py)?
                } else {
                    (device, psm).into_pyobject(py)?
                }
            }
            BluetoothAddress::Rfcomm(address) => {
                (device_text(address.device), address.channel).into_pyobject(py)?
            }
            BluetoothAddress::Hci(HciAddress { adapter, channel }) => {
                if i64::from(*channel) == i64::from(HCI_CHANNEL_RAW) {
                    return Ok(adapter.into_pyobject(py).map_err(PyErr::from)?.into_any());
                }
                (adapter, channel).into_pyobject(py)?
            }
            BluetoothAddress::Sco(device) => {
                return Ok(PyString::new(py, &device_text(*device)).into_any());
            }
        },
        types::Address::Other(address) => unknown(py, address.family, &address.data)?,
        _ => unknown(py, 0, &[])?,
    };
    Ok(tuple.into_any())
}

/// Returns the pair for an address whose family is not known.
fn unknown<'py>(py: Python<'py>, family: u16, data: &[u8]) -> Result<Bound<'py, PyTuple>> {
    let mut bytes = [0; UNKNOWN];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    Ok((family, PyBytes::new(py, &bytes)).into_pyobject(py)?)
}

fn device_text((a, b, c, d, e, f): BluetoothDevice) -> String {
    format!("{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}")
}
