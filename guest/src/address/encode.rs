//! Encodes arguments as addresses of a family, by Python's rules. Hosts are looked up, and names of
//! interfaces become numbers.

use std::net::IpAddr;

use sandsock_abi::constants::{
    BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO, CAN_BCM, CAN_ISOTP, CAN_J1939, CAN_RAW,
};
use sandsock_abi::errno;

use super::form::python_type;
use super::{AddressArgument, IFNAMSIZ, IFREQ, form, inet, inet6};
use crate::error::type_error;
use crate::netdb::{host_text, other_family, resolve};
use crate::raw::descriptors::Descriptor;
use crate::raw::syscalls;
use crate::raw::types::{
    self, BluetoothAddress, CanAddress, CanDetail, CanIsotp, CanJ1939, L2capAddress, PacketAddress,
    RfcommAddress, UnixAddress,
};
use crate::{Error, ErrorKind, Family, Result, Socket};

/// Linux's ioctl from an interface's name to its number (man 7 netdevice).
const SIOCGIFINDEX: u32 = 0x8933;

/// The longest AF_UNIX name: `sun_path` (man 7 unix).
const SUN_PATH: usize = 108;

/// Returns the number of an interface in the socket's network namespace. CPython asks the socket
/// too.
fn interface_index(descriptor: &Descriptor, name: &[u8]) -> Result<u32> {
    let mut request = [0; IFREQ];
    // Like strncpy: a longer name is cut, and a NUL ends it.
    for (to, from) in request[..IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.split(|&byte| byte == 0).next().unwrap_or_default())
    {
        *to = *from;
    }
    let answer = syscalls::ioctl(descriptor, SIOCGIFINDEX, &request)?.argument;
    let number = answer
        .get(IFNAMSIZ..IFNAMSIZ + 4)
        .and_then(|four| four.try_into().ok())
        .map(u32::from_ne_bytes);
    number.ok_or_else(|| Error::from_errno(errno::ENODEV))
}

/// Encodes an AF_PACKET address. CPython checks the interface first, then the hardware address,
/// then the protocol.
fn packet(
    socket: &Socket,
    method: &str,
    interface: &[u8],
    protocol: i64,
    kinds: (i64, i64),
    hardware_address: &[u8],
) -> Result<types::Address> {
    // A number that does not fit C's int is refused first.
    let int = |value: i64| {
        i32::try_from(value)
            .map_err(|_| overflow(format!("{method}(): address argument out of range")))
    };
    let (protocol, packet_type, hardware_type) = (int(protocol)?, int(kinds.0)?, int(kinds.1)?);
    if interface.contains(&0) {
        return Err(Error::text(ErrorKind::Value, "embedded null character"));
    }
    let interface = interface_index(&*socket.descriptor()?, interface)?;
    if hardware_address.len() > 8 {
        return Err(Error::text(ErrorKind::Value, "Hardware address must be 8 bytes or less"));
    }
    let protocol = u16::try_from(protocol)
        .map_err(|_| overflow(format!("{method}(): proto must be 0-65535.")))?;
    Ok(types::Address::Packet(PacketAddress {
        interface,
        protocol,
        // Conversions in C drop the high bits.
        packet_type: packet_type as u8,
        hardware_type: hardware_type as u16,
        hardware_address: hardware_address.to_vec(),
    }))
}

/// Encodes an AF_CAN address. CPython checks the tuple's length, which depends on the protocol, and
/// then the interface. Numbers lose their high bits, as in C.
fn can(socket: &Socket, method: &str, interface: &[u8], numbers: &[i64]) -> Result<types::Address> {
    let detail = match (socket.proto(), numbers) {
        (CAN_RAW | CAN_BCM, []) => CanDetail::Plain,
        (CAN_ISOTP, [receive_id, transmit_id]) => CanDetail::Isotp(CanIsotp {
            receive_id: *receive_id as u32,
            transmit_id: *transmit_id as u32,
        }),
        (CAN_J1939, [name, pgn, address]) => CanDetail::J1939(CanJ1939 {
            name: *name as u64,
            pgn: *pgn as u32,
            address: *address as u8,
        }),
        (CAN_RAW | CAN_BCM, _) => {
            return Err(type_error("AF_CAN address must be a tuple (interface, )"));
        }
        (CAN_ISOTP, _) => return Err(wrong_count("3 arguments", numbers)),
        (CAN_J1939, _) => return Err(wrong_count("4 arguments", numbers)),
        _ => {
            return Err(Error::text(
                ErrorKind::Os,
                format!("{method}(): unsupported CAN protocol"),
            ));
        }
    };
    if interface.contains(&0) {
        return Err(Error::text(ErrorKind::Value, "embedded null byte"));
    }
    let interface = match interface.len() {
        0 => 0,
        1..IFNAMSIZ => interface_index(&*socket.descriptor()?, interface)?,
        _ => return Err(Error::text(ErrorKind::Os, "AF_CAN interface name too long")),
    };
    Ok(types::Address::Can(CanAddress { interface, detail }))
}

/// Returns PyArg_ParseTuple's error for a tuple of an interface and the wrong count of numbers.
fn wrong_count(wanted: &str, numbers: &[i64]) -> Error {
    type_error(format!("function takes exactly {wanted} ({} given)", numbers.len() + 1))
}

/// Encodes an argument as an address of a socket's family. The socket is asked for the numbers of
/// interfaces.
pub(crate) fn encode_for(
    socket: &Socket,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    let argument = form::conform(socket.family(), socket.proto(), argument)?;
    match (socket.family(), argument) {
        (Family::PACKET, AddressArgument::Host { host, port, flow_info, scope_id }) => packet(
            socket,
            method,
            &host,
            port,
            (flow_info.unwrap_or(0), scope_id.unwrap_or(0)),
            &[],
        ),
        (
            Family::PACKET,
            AddressArgument::Packet {
                interface,
                protocol,
                packet_type,
                hardware_type,
                hardware_address,
            },
        ) => packet(
            socket,
            method,
            &interface,
            protocol,
            (packet_type, hardware_type),
            &hardware_address,
        ),
        (Family::CAN, AddressArgument::Can { interface, detail }) => match detail {
            CanDetail::Plain => can(socket, method, &interface, &[]),
            CanDetail::Isotp(ids) => {
                can(socket, method, &interface, &[ids.receive_id.into(), ids.transmit_id.into()])
            }
            CanDetail::J1939(CanJ1939 { name, pgn, address }) => {
                can(socket, method, &interface, &[name as i64, pgn.into(), address.into()])
            }
        },
        (Family::CAN, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            let numbers: Vec<i64> =
                [Some(port), flow_info, scope_id].into_iter().flatten().collect();
            can(socket, method, &host, &numbers)
        }
        (Family::CAN, AddressArgument::Packet { protocol, packet_type, hardware_type, .. }) => {
            can(socket, method, &[], &[protocol, packet_type, hardware_type, 0])
        }
        (Family::BLUETOOTH, argument) => bluetooth(socket.proto(), method, argument),
        (family, argument) => encode_form(family, method, argument),
    }
}

/// Encodes an AF_BLUETOOTH address. Its form depends on the protocol. Numbers lose their high bits,
/// as in C.
pub(crate) fn bluetooth(
    protocol: i32,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    let wrong_format = || Error::text(ErrorKind::Os, format!("{method}(): wrong format"));
    Ok(types::Address::Bluetooth(match (protocol, argument) {
        (_, AddressArgument::Known(address)) => return Ok(address),
        (BTPROTO_L2CAP, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            BluetoothAddress::L2cap(L2capAddress {
                device: device(&host)?,
                psm: port as u16,
                cid: flow_info.unwrap_or(0) as u16,
                device_type: scope_id.unwrap_or(0) as u8,
            })
        }
        (BTPROTO_RFCOMM, AddressArgument::Host { host, port, flow_info: None, scope_id: None }) => {
            BluetoothAddress::Rfcomm(RfcommAddress { device: device(&host)?, channel: port as u8 })
        }
        (BTPROTO_SCO, AddressArgument::Name(name)) => BluetoothAddress::Sco(device(&name)?),
        (BTPROTO_L2CAP | BTPROTO_RFCOMM | BTPROTO_SCO | BTPROTO_HCI, _) => {
            return Err(wrong_format());
        }
        _ => {
            return Err(Error::text(
                ErrorKind::Os,
                format!("{method}(): unknown Bluetooth protocol"),
            ));
        }
    }))
}

/// Parses a Bluetooth device address, `12:34:56:78:9A:BC`. CPython reads it with `sscanf`, so each
/// number may have leading white space, a sign, and `0x`.
fn device(text: &[u8]) -> Result<types::BluetoothDevice> {
    let number = |part: &str| {
        let part = part.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let part = part.strip_prefix('+').unwrap_or(part);
        let part = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")).unwrap_or(part);
        // `from_str_radix` would take a second sign.
        u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))
    };
    let numbers: Option<Vec<u8>> =
        str::from_utf8(text).ok().and_then(|text| text.split(':').map(number).collect());
    match numbers.as_deref() {
        Some(&[a, b, c, d, e, f]) => Ok((a, b, c, d, e, f)),
        _ => Err(Error::text(ErrorKind::Os, "bad bluetooth address")),
    }
}

/// Encodes an argument as an address of a family, and looks up its host. `method` is the caller's
/// name, for the texts of errors.
pub(crate) fn encode(
    family: Family,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    encode_form(family, method, form::conform(family, 0, argument)?)
}

/// Encodes an argument of the right form as an address of a family.
fn encode_form(
    family: Family,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    match (family, argument) {
        (Family::ALG, AddressArgument::Known(types::Address::Alg(address))) => {
            // linux/if_alg.h: 14 and 64 bytes, the last a NUL.
            if address.kind.len() > 13 {
                return Err(Error::text(ErrorKind::Value, "AF_ALG type too long."));
            }
            if address.name.len() > 63 {
                return Err(Error::text(ErrorKind::Value, "AF_ALG name too long."));
            }
            Ok(types::Address::Alg(address))
        }
        (Family::TIPC, AddressArgument::Known(types::Address::Tipc(address)))
            if !(1..=3).contains(&address.address_type) =>
        {
            Err(type_error("Invalid address type"))
        }
        (_, AddressArgument::Known(address)) => Ok(address),
        (Family::RDS, argument @ AddressArgument::Host { .. }) => {
            match encode(Family::INET, method, argument)? {
                types::Address::Inet(address) => Ok(types::Address::Rds(address)),
                other => Ok(other),
            }
        }
        (Family::UNIX, AddressArgument::Name(name)) => unix(&name).map(types::Address::Unix),
        (Family::UNIX, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("a bytes-like object is required, not '{found}'")))
        }
        (Family::INET, AddressArgument::Host { host, port, flow_info: None, scope_id: None }) => {
            let host = host_text(&host)?;
            let port = narrow(method, port)?;
            let IpAddr::V4(host) = resolve(Family::INET, &host)? else {
                return Err(other_family());
            };
            Ok(inet(host, port_number(method, port)?))
        }
        (Family::INET6, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            let host = host_text(&host)?;
            let port = narrow(method, port)?;
            let IpAddr::V6(host) = resolve(Family::INET6, &host)? else {
                return Err(other_family());
            };
            let port = port_number(method, port)?;
            // C's unsigned int: the bits above the 32nd are lost.
            let flow_info = flow_info.unwrap_or(0) as u32;
            if flow_info > 0xf_ffff {
                return Err(overflow(format!("{method}(): flowinfo must be 0-1048575.")));
            }
            // The scope id of the tuple, which is 0 if it is left out, replaces that of a %zone.
            Ok(inet6(host, port, flow_info, scope_id.unwrap_or(0) as u32))
        }
        (Family::INET | Family::INET6, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("{method}(): {family:?} address must be tuple, not {found}")))
        }
        // CPython: AF_RDS is read as AF_INET.
        (Family::RDS, argument) => encode(Family::INET, method, argument),
        (Family::PACKET | Family::NETLINK | Family::CAN | Family::ALG | Family::TIPC, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("{method}(): {family:?} address must be tuple, not {found}")))
        }
        (_, _) => Err(Error::text(ErrorKind::Os, format!("{method}(): bad family"))),
    }
}

fn overflow(text: String) -> Error {
    Error::text(ErrorKind::Overflow, text)
}

/// Refuses a port that does not fit C's int. This comes before the look-up of the host.
fn narrow(method: &str, port: i64) -> Result<i32> {
    i32::try_from(port).map_err(|_| bad_port(method))
}

/// Refuses any other number that is not a port. This comes after the look-up of the host.
fn port_number(method: &str, port: i32) -> Result<u16> {
    u16::try_from(port).map_err(|_| bad_port(method))
}

fn bad_port(method: &str) -> Error {
    overflow(format!("{method}(): port must be 0-65535."))
}

/// Encodes the name of an AF_UNIX address, by Linux's rules.
fn unix(name: &[u8]) -> Result<UnixAddress> {
    let too_long = || Error::text(ErrorKind::Os, "AF_UNIX path too long");
    match name {
        [] => Ok(UnixAddress::Unnamed),
        [0, rest @ ..] if name.len() <= SUN_PATH => Ok(UnixAddress::Abstract(rest.to_vec())),
        [0, ..] => Err(too_long()),
        // A path ends with a NUL, which needs room. The first NUL in the bytes ends the path
        // earlier.
        _ if name.len() < SUN_PATH => {
            Ok(UnixAddress::Path(name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()))
        }
        _ => Err(too_long()),
    }
}
