//! Conversion of addresses between the contract's tuples and the crate's types.

use std::borrow::Cow;

use sandsock::raw::types::{self, BluetoothAddress, CanDetail};
use sandsock::{AddressArgument, ToAddress};

use crate::contract::sockets::Address;

/// Converts an argument of a call.
impl ToAddress for Address {
    fn to_address(&self) -> AddressArgument<'_> {
        let host = |host, port, flow_info, scope_id| AddressArgument::Host {
            host,
            port,
            flow_info,
            scope_id,
        };
        // The numbers below lose their high bits, as in C.
        let known = match self {
            Self::Inet((name, port)) | Self::Rds((name, port)) => {
                return host(Cow::Borrowed(name.as_bytes()), *port, None, None);
            }
            Self::Inet6((name, port, flow_info, scope_id)) => {
                return host(
                    Cow::Borrowed(name.as_bytes()),
                    *port,
                    Some(*flow_info),
                    Some(*scope_id),
                );
            }
            Self::Unix(name) => return AddressArgument::Name(Cow::Borrowed(name)),
            Self::Packet((interface, protocol, packet_type, hardware_type, hardware_address)) => {
                return AddressArgument::Packet {
                    interface: Cow::Borrowed(interface.as_bytes()),
                    protocol: *protocol,
                    packet_type: *packet_type,
                    hardware_type: *hardware_type,
                    hardware_address: Cow::Borrowed(hardware_address),
                };
            }
            Self::Netlink((port_id, groups)) => types::Address::Netlink(types::NetlinkAddress {
                port_id: *port_id as u32,
                groups: *groups as u32,
            }),
            Self::Can(interface) => {
                return AddressArgument::Can {
                    interface: Cow::Borrowed(interface.as_bytes()),
                    detail: CanDetail::Plain,
                };
            }
            Self::CanIsotp((interface, receive_id, transmit_id)) => {
                return host(
                    Cow::Borrowed(interface.as_bytes()),
                    *receive_id,
                    Some(*transmit_id),
                    None,
                );
            }
            Self::CanJ1939((interface, name, pgn, address)) => {
                return host(
                    Cow::Borrowed(interface.as_bytes()),
                    *name as i64,
                    Some(*pgn),
                    Some(*address),
                );
            }
            Self::Alg((kind, name, feature, mask)) => types::Address::Alg(types::AlgAddress {
                kind: kind.clone(),
                name: name.clone(),
                feature: *feature as u32,
                mask: *mask as u32,
            }),
            Self::Tipc((address_type, v1, v2, v3, scope)) => {
                types::Address::Tipc(types::TipcAddress {
                    // A number that does not fit is no type of address, and neither is 0.
                    address_type: u8::try_from(*address_type).unwrap_or(0),
                    scope: *scope as i8,
                    v1: *v1 as u32,
                    v2: *v2 as u32,
                    v3: *v3 as u32,
                })
            }
            Self::Vsock((cid, port)) => {
                types::Address::Vsock(types::VsockAddress { cid: *cid as u32, port: *port as u32 })
            }
            Self::Qipcrtr((node, port)) => types::Address::Qipcrtr(types::QipcrtrAddress {
                node: *node as u32,
                port: *port as u32,
            }),
            Self::L2cap((device, psm, cid, device_type)) => {
                return host(
                    Cow::Borrowed(device.as_bytes()),
                    *psm,
                    Some(*cid),
                    Some(*device_type),
                );
            }
            Self::Rfcomm((device, channel)) => {
                return host(Cow::Borrowed(device.as_bytes()), *channel, None, None);
            }
            Self::Sco(device) => return AddressArgument::Name(Cow::Borrowed(device.as_bytes())),
            Self::Hci((adapter, channel)) => {
                types::Address::Bluetooth(BluetoothAddress::Hci(types::HciAddress {
                    adapter: *adapter as u16,
                    channel: *channel as u16,
                }))
            }
            _ => return AddressArgument::None,
        };
        AddressArgument::Known(known)
    }
}

/// Converts a result. None if the kernel gave no address.
pub(crate) fn outcome(address: sandsock::Address) -> Option<Address> {
    let text = |address: &sandsock::Address| address.host().unwrap_or_default();
    Some(match &address {
        sandsock::Address::Inet(_, port) => Address::Inet((text(&address), i64::from(*port))),
        sandsock::Address::Inet6(_, port, flow_info, scope_id) => Address::Inet6((
            text(&address),
            i64::from(*port),
            i64::from(*flow_info),
            i64::from(*scope_id),
        )),
        sandsock::Address::Unix(name) => Address::Unix(name.clone()),
        sandsock::Address::Netlink(port_id, groups) => {
            Address::Netlink((i64::from(*port_id), i64::from(*groups)))
        }
        sandsock::Address::Packet(interface, protocol, packet_type, hardware_type, address) => {
            Address::Packet((
                interface.clone(),
                i64::from(*protocol),
                i64::from(*packet_type),
                i64::from(*hardware_type),
                address.clone(),
            ))
        }
        sandsock::Address::Can(interface, detail) => match detail {
            CanDetail::Plain => Address::Can(interface.clone()),
            CanDetail::Isotp(ids) => Address::CanIsotp((
                interface.clone(),
                i64::from(ids.receive_id),
                i64::from(ids.transmit_id),
            )),
            CanDetail::J1939(node) => Address::CanJ1939((
                interface.clone(),
                node.name,
                i64::from(node.pgn),
                i64::from(node.address),
            )),
        },
        sandsock::Address::Vsock(cid, port) => Address::Vsock((i64::from(*cid), i64::from(*port))),
        sandsock::Address::Qipcrtr(node, port) => {
            Address::Qipcrtr((i64::from(*node), i64::from(*port)))
        }
        sandsock::Address::Other(other) => family(other),
        _ => return None,
    })
}

/// Converts an address that the crate keeps in the raw layer's form.
fn family(address: &types::Address) -> Address {
    let wide = |number: u32| i64::from(number);
    match address {
        types::Address::Tipc(tipc) => {
            let scope = i64::from(tipc.scope);
            Address::Tipc((
                i64::from(tipc.address_type),
                wide(tipc.v1),
                wide(tipc.v2),
                wide(tipc.v3),
                scope,
            ))
        }
        types::Address::Alg(alg) => {
            Address::Alg((alg.kind.clone(), alg.name.clone(), wide(alg.feature), wide(alg.mask)))
        }
        types::Address::System(system) => Address::System((wide(system.id), wide(system.unit))),
        types::Address::Hyperv(hyperv) => {
            Address::Hyperv((hyperv.vm_id.clone(), hyperv.service_id.clone()))
        }
        types::Address::Other(other) => {
            Address::Other((i64::from(other.family), other.data.clone()))
        }
        types::Address::Bluetooth(BluetoothAddress::Sco(device)) => {
            Address::Sco(device_text(*device))
        }
        types::Address::Bluetooth(BluetoothAddress::L2cap(l2cap)) => Address::L2cap((
            device_text(l2cap.device),
            i64::from(l2cap.psm),
            i64::from(l2cap.cid),
            i64::from(l2cap.device_type),
        )),
        types::Address::Bluetooth(BluetoothAddress::Hci(hci)) => {
            Address::Hci((i64::from(hci.adapter), i64::from(hci.channel)))
        }
        types::Address::Bluetooth(BluetoothAddress::Rfcomm(rfcomm)) => {
            Address::Rfcomm((device_text(rfcomm.device), i64::from(rfcomm.channel)))
        }
        types::Address::Rds(types::InetAddress { address: (a, b, c, d), port }) => {
            Address::Rds((format!("{a}.{b}.{c}.{d}"), i64::from(*port)))
        }
        _ => Address::Other((0, Vec::new())),
    }
}

fn device_text((a, b, c, d, e, f): types::BluetoothDevice) -> String {
    format!("{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}")
}
