//! The values of options and ioctls: checks what they name, and converts them to the kernel's form.

use std::net::IpAddr;

use rustix::io::Errno;
use sandsock_abi::option::{Access, Shape, SocketOption};

use crate::authority::family;
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::OptionBytes;
use sandsock_policy::Request;

/// Returns the interface whose number or name an ioctl asks for. None for every other request.
pub(super) fn named_interface(
    handle: &Handle,
    request: &str,
    argument: &[u8],
) -> Result<Option<String>, Errno> {
    match request {
        "SIOCGIFINDEX" => {
            let name = argument.get(..16).ok_or(Errno::INVAL)?;
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if name.is_empty() {
                return Err(Errno::NODEV);
            }
            Ok(Some(String::from_utf8_lossy(name).into_owned()))
        }
        "SIOCGIFNAME" => {
            let index = argument
                .get(16..20)
                .and_then(|index| index.try_into().ok())
                .map(u32::from_ne_bytes);
            rustix::net::netdevice::index_to_name(handle.fd(), index.ok_or(Errno::INVAL)?).map(Some)
        }
        _ => Ok(None),
    }
}

/// BPF_MAXINSNS (linux/bpf_common.h).
const PROGRAM_MAX: usize = 4096;

/// Converts a classic BPF program from its instructions of 8 bytes each: code, two jumps, operand
/// (man 7 socket, SO_ATTACH_FILTER).
fn program(value: &OptionBytes) -> Result<OptionBytes, Errno> {
    let OptionBytes::Bytes(bytes) = value else { return Err(Errno::INVAL) };
    let (instructions, rest) = bytes.as_chunks::<8>();
    if instructions.is_empty() || instructions.len() > PROGRAM_MAX || !rest.is_empty() {
        return Err(Errno::INVAL);
    }
    let instruction = |&[a, b, jt, jf, k @ ..]: &[u8; 8]| libc::sock_filter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes(k),
    };
    Ok(OptionBytes::Program(instructions.iter().map(instruction).collect()))
}

/// Returns the multicast group that an option's value names.
fn group(shape: Shape, value: &OptionBytes) -> Option<IpAddr> {
    let OptionBytes::Bytes(bytes) = value else { return None };
    let v4 = |at: usize| {
        bytes.get(at..at + 4)?.try_into().map(|octets: [u8; 4]| IpAddr::from(octets)).ok()
    };
    let v6 = |at: usize| {
        bytes.get(at..at + 16)?.try_into().map(|octets: [u8; 16]| IpAddr::from(octets)).ok()
    };
    match shape {
        Shape::GroupV4 => v4(0),
        Shape::GroupV6 => v6(0),
        Shape::GroupAddress => {
            match i32::from(u16::from_ne_bytes(bytes.get(8..10)?.try_into().ok()?)) {
                libc::AF_INET => v4(12),
                libc::AF_INET6 => v6(16),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Reads the bytes as the value of each option, as a program of a filter, and as the argument of
/// each ioctl.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let value = OptionBytes::Bytes(data.to_vec());
    for shape in [Shape::GroupV4, Shape::GroupV6, Shape::GroupAddress] {
        let _ = group(shape, &value);
    }
    if let Ok(OptionBytes::Program(instructions)) = program(&value) {
        assert_eq!(instructions.len() * 8, data.len());
    }
}

/// Checks what an option's value names, and returns the value in the kernel's form.
pub(super) fn judged(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
    row: &SocketOption,
    value: OptionBytes,
) -> CallResult<OptionBytes> {
    match (row.shape, &value) {
        (Shape::Program, _) => return Ok(program(&value)?),
        (shape, _) if shape.names_group() && row.set == Access::Multicast => {
            let group = group(row.shape, &value).ok_or(Errno::INVAL)?;
            gate.decide(&Request::Multicast(Some(group)))?;
        }
        (Shape::PacketMembership, OptionBytes::Bytes(bytes)) if row.set != Access::Ordinary => {
            family::packet::judge_membership(gate, handle, bytes)?;
        }
        (Shape::NetlinkGroup, OptionBytes::Bytes(bytes)) => {
            let group =
                bytes.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes);
            family::netlink::judge_group(gate, kind.protocol, group.ok_or(Errno::INVAL)?)?;
        }
        (Shape::PacketMembership | Shape::NetlinkGroup, OptionBytes::Null(_)) => {
            return Err(Errno::INVAL.into());
        }
        _ => {}
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUPS: [Shape; 3] = [Shape::GroupV4, Shape::GroupV6, Shape::GroupAddress];

    #[test]
    fn a_group_is_found_where_the_kernel_reads_it() {
        let bytes = |bytes: &[u8]| OptionBytes::Bytes(bytes.to_vec());
        assert_eq!(
            group(Shape::GroupV4, &bytes(&[239, 1, 2, 3, 9, 9, 9, 9])),
            Some([239, 1, 2, 3].into())
        );
        let mut request = vec![0; 136];
        request[8..10].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        request[12..16].copy_from_slice(&[239, 1, 2, 3]);
        assert_eq!(group(Shape::GroupAddress, &bytes(&request)), Some([239, 1, 2, 3].into()));
        request[8..10].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        request[16..18].copy_from_slice(&[0xff, 2]);
        assert_eq!(
            group(Shape::GroupAddress, &bytes(&request)),
            Some([0xff02, 0, 0, 0, 0, 0, 0, 0].into())
        );
        request[8] = 1;
        assert_eq!(group(Shape::GroupAddress, &bytes(&request)), None);
        assert_eq!(group(Shape::GroupV6, &OptionBytes::Null(20)), None);
    }

    proptest! {
        #[test]
        fn any_value_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = OptionBytes::Bytes(bytes.clone());
            for shape in GROUPS {
                prop_assert!(group(shape, &value).is_none() || bytes.len() >= 4);
            }
            match program(&value) {
                Ok(OptionBytes::Program(instructions)) => prop_assert_eq!(instructions.len() * 8, bytes.len()),
                Ok(_) => prop_assert!(false, "no program"),
                Err(_) => prop_assert!(bytes.is_empty() || bytes.len() % 8 != 0),
            }
        }
    }
}
