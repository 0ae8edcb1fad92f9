//! System calls on one socket that never wait. Each function decodes its arguments, checks the
//! call, and makes it.

use std::sync::Arc;

use rustix::io::Errno;
use wasmtime::component::Resource;

use sandsock_abi::constants::{
    IOCTL_VM_SOCKETS_GET_LOCAL_CID, SO_PASSPIDFD, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW, SOCK_PACKET,
    VMADDR_PORT_ANY,
};
use sandsock_abi::option::{self, Access, Shape};

use crate::authority::family::{self, Family};
use crate::authority::filter;
use crate::authority::permit::Bind;
use crate::authority::unix_names::Reserved;
use crate::bindings::sandsock::socket::syscalls;
use crate::bindings::sandsock::socket::types::{
    Address, IoctlResult, OptionValue, SocketKind, UnixAddress,
};
use crate::ctx::{SandsockCtx, SandsockCtxView};
use crate::descriptor::acts::{Local, SetOption};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::{Descriptor, Handle, socket_kind};
use crate::error::CallResult;
use crate::sys::{self, OptionBytes};
use sandsock_policy::Denial;

/// The most attempts to bind to a port that the host chooses, if deny rules name ports.
const BIND_TRIES: usize = 8;
/// asm-generic/ioctls.h: FIONREAD, which is also SIOCINQ.
const FIONREAD: u32 = libc::FIONREAD as u32;

/// The most bytes of an option's value.
const OPTION_MAX: usize = 64 * 1024;

/// Returns the seconds of an SO_LINGER with which a close would wait.
fn waiting_linger(value: &OptionBytes) -> Option<i32> {
    let OptionBytes::Bytes(bytes) = value else { return None };
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().map(i32::from_ne_bytes).ok();
    let (on, seconds) = (number(0)?, number(4)?);
    // The kernel takes a negative time for an endless one.
    (on != 0 && seconds != 0).then_some(seconds)
}

/// Returns whether a bind to this address leaves the port to the kernel.
fn chose_no_port(address: &Address) -> bool {
    match address {
        Address::Inet(address) => address.port == 0,
        Address::Inet6(address) => address.port == 0,
        Address::Vsock(address) => address.port == VMADDR_PORT_ANY,
        _ => false,
    }
}

/// SOCK_TYPE_MASK, NPROTO, SOCK_MAX and IPPROTO_MAX of the kernel (linux/net.h, linux/in.h).
const TYPE_MASK: i32 = 0xf;
const FAMILIES: i32 = 46;
const TYPES: i32 = 11;
const PROTOCOLS: i32 = 263;

/// Splits SOCK_NONBLOCK and SOCK_CLOEXEC off a type. It refuses families and types that no kernel
/// has, or that this version does not serve, with the kernel's errors in the kernel's order.
fn plausible(family: i32, kind: i32, protocol: i32) -> Result<(i32, bool), Errno> {
    if kind & !TYPE_MASK & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    let nonblocking = kind & libc::SOCK_NONBLOCK != 0;
    let kind = kind & TYPE_MASK;
    if !(0..FAMILIES).contains(&family) {
        return Err(Errno::AFNOSUPPORT);
    }
    if kind >= TYPES {
        return Err(Errno::INVAL);
    }
    let served = Family::of(family)?;
    match family {
        // The policy checks the protocol, and then the kernel.
        _ if served.serves(kind, protocol) => Ok((kind, nonblocking)),
        // net/socket.c: in AF_INET, this type is another name of AF_PACKET. The kernel converts it
        // before it reads the protocol.
        libc::AF_INET if kind == SOCK_PACKET => Err(Errno::SOCKTNOSUPPORT),
        libc::AF_INET | libc::AF_INET6 if !(0..PROTOCOLS).contains(&protocol) => Err(Errno::INVAL),
        libc::AF_UNIX if !matches!(protocol, 0 | libc::AF_UNIX) => Err(Errno::PROTONOSUPPORT),
        _ => Err(Errno::SOCKTNOSUPPORT),
    }
}

/// Refuses the families and types that this version does not serve. The policy has no rules for
/// them.
fn is_served(kind: SocketKind) -> Result<(), Errno> {
    if Family::of(kind.family)?.serves(kind.type_, kind.protocol) {
        Ok(())
    } else {
        Err(Errno::SOCKTNOSUPPORT)
    }
}

/// Returns whether the kernel may choose the name for a bind to this address, or the port of the
/// address behind a published one.
fn chose_no_name(address: &Address) -> bool {
    matches!(
        address,
        Address::Inet(_)
            | Address::Inet6(_)
            | Address::Vsock(_)
            | Address::Unix(UnixAddress::Unnamed)
    )
}

/// Calls on a socket that may be in the table as a descriptor, or as a socket of `wasi:sockets`.
impl SandsockCtx {
    /// Binds a socket. If the host chose a free port and another process has taken it, it tries
    /// another one, as the kernel would.
    fn bind_judged(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<(Bind, Option<Reserved>)> {
        let judge = self.judge();
        let tries = if chose_no_port(address) && family::keeps_ports(&self.gate, kind).is_some() {
            BIND_TRIES
        } else {
            1
        };
        let mut last = Errno::ADDRINUSE;
        for _ in 0..tries {
            let permit = judge.bind(handle, kind, address)?;
            let limit = self.limits().unix_names;
            let place = permit.act().made().map(|_| self.unix_names.reserve(limit)).transpose()?;
            match sys::bind(handle.fd(), permit) {
                Ok(bound) => return Ok((bound, place)),
                Err(errno) => last = errno,
            }
            if last != Errno::ADDRINUSE {
                break;
            }
        }
        Err(last.into())
    }

    /// Checks a socket once more with the kind that the kernel gave it.
    fn judge_created(&self, kind: SocketKind) -> CallResult<()> {
        is_served(kind)?;
        self.judge().created(kind)
    }

    /// Makes a socket, which counts against the limits and gets its filter.
    pub(crate) fn make_socket(
        &self,
        family: i32,
        kind: i32,
        protocol: i32,
        nonblocking: bool,
    ) -> CallResult<Arc<Handle>> {
        self.descriptor_quota.room_for(1)?;
        let permit = self.judge().create(family, kind, protocol)?;
        let held_back = permit.act().protocol != protocol;
        let fd = sys::socket(permit)?;
        let mut made = socket_kind(std::os::fd::AsFd::as_fd(&fd))?;
        if made.family == libc::AF_CAN && family == made.family {
            // SO_PROTOCOL is 0 for most CAN protocols. Each protocol has its own socket type, so
            // the requested number is right.
            made.protocol = protocol;
        }
        self.judge_created(made)?;
        let handle = Handle::own(fd, made, nonblocking, &self.rights);
        self.admit(&handle)?;
        let granted = self.gate.policy().has_grant_for(made.family, made.type_, made.protocol);
        if made.type_ == libc::SOCK_DGRAM && !granted {
            handle.set_ungranted(true);
        }
        filter::protect(&self.gate, &handle);
        if held_back {
            // It is in network order, as socket(2) takes it (man 7 packet).
            handle.hold_packet_protocol(u16::from_be(protocol as u16));
        }
        Ok(handle)
    }

    /// Binds a socket, and checks what the kernel has made.
    pub(crate) fn bind_socket(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<()> {
        let (bound, place) = self.bind_judged(handle, kind, address)?;
        if !bound.verify() {
            handle.poison();
            let reason = "the directory was changed during bind: the socket is not where the grant allows it";
            return Err(Denial::new(reason.to_owned()).into());
        }
        if let (Some(place), Some((parent, name))) = (place, bound.made()) {
            place.keep(parent, name);
        }
        handle.set_bound_here(chose_no_port(address));
        handle.set_view(bound.view());
        self.note_local(handle, kind, Some(address));
        handle.open.spending.set_local(bound.account().cloned());
        if chose_no_name(address)
            && let Err(denied) = self.judge().bound(handle, kind)
        {
            handle.poison();
            return Err(denied);
        }
        if let Some(view) = bound.view() {
            let real = sys::local_address(handle.fd())?;
            tracing::info!("published: {real:?} is the guest's {}", view.guest);
        }
        Ok(())
    }

    /// Makes a socket listen at the address that it has.
    pub(crate) fn listen_socket(
        &self,
        handle: &Handle,
        kind: SocketKind,
        backlog: i32,
    ) -> CallResult<()> {
        let backlog = self.gate.buffers.backlog(handle, kind, backlog);
        let permit = self.judge().listen(handle, kind, backlog)?;
        self.judge().account_to_listen(handle, kind)?;
        sys::listen(handle.fd(), permit)?;
        self.gate.buffers.listens(handle, kind, backlog);
        // The port may differ from the one that was checked. A socket that was connected before
        // gets the port that it had then.
        let judge = self.judge();
        let account =
            judge.listening(handle, kind).and_then(|()| judge.account_to_listen(handle, kind));
        let account = account.inspect(|account| handle.open.spending.set_local(account.clone()));
        if let Err(denied) = account {
            handle.poison();
            sys::shutdown(handle.fd(), libc::SHUT_RDWR)?;
            return Err(denied);
        }
        if !handle.is_where_handed() {
            self.note_local(handle, kind, None);
        }
        Ok(())
    }

    /// Remembers where a socket is bound, for a later policy. `bound` is the address that the guest
    /// has bound. A socket that listens without a bind has an address of IP.
    fn note_local(&self, handle: &Handle, kind: SocketKind, bound: Option<&Address>) {
        let of_ip = family::local_act(handle, kind).ok().flatten();
        if let Some(Local::Tcp(at)) = &of_ip {
            handle.open.tls.set_serves(family::served(&self.gate, handle, *at));
        }
        let local = of_ip.or_else(|| bound.cloned().map(Local::Address));
        if local.is_some() {
            handle.acts().local = local;
        }
    }

    /// Reads an option of a socket.
    pub(crate) fn option_of(
        &self,
        handle: &Handle,
        kind: SocketKind,
        (level, name): (i32, i32),
        length: u32,
    ) -> CallResult<Vec<u8>> {
        let permit = self.judge().get_option(kind.family, level, name, length)?;
        if (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER)
            && let Some(mut held) = handle.held_linger()
        {
            held.truncate(length as usize);
            return Ok(held);
        }
        if let Some(mut shown) = filter::get_option(&self.gate, handle, level, name)? {
            shown.truncate(length as usize);
            return Ok(shown);
        }
        Ok(sys::get_option(handle.fd(), permit)?)
    }

    /// Sets an option of a socket.
    pub(crate) fn set_option_of(
        &self,
        handle: &Handle,
        kind: SocketKind,
        (level, name): (i32, i32),
        value: OptionBytes,
    ) -> CallResult<()> {
        // If others may hold the description, the kernel keeps the option, as natively.
        let kept = (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER) && handle.is_sole();
        let linger = kept.then(|| waiting_linger(&value));
        let value = if let Some(Some(_)) = linger { OptionBytes::Bytes(vec![0; 8]) } else { value };
        let value = self.gate.buffers.fit(handle, level, name, value);
        let permit = self.judge().set_option(handle, kind, level, name, value)?;
        let Some(permit) = filter::set_option(&self.gate, handle, permit)? else {
            return Ok(());
        };
        if level == libc::SOL_SOCKET && matches!(name, libc::SO_PASSCRED | SO_PASSPIDFD) {
            handle.set_may_be_named();
        }
        if level == libc::SOL_SOCKET
            && matches!(
                name,
                libc::SO_RCVTIMEO | libc::SO_SNDTIMEO | SO_RCVTIMEO_NEW | SO_SNDTIMEO_NEW
            )
        {
            handle.set_may_time_out();
        }
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) {
            handle.set_defers_connect();
        }
        self.gate.buffers.room_for_option(level, name)?;
        let lasting = option::find(kind.family, level, name)
            // The group of a netlink socket is in the option's value.
            .filter(|row| row.set != Access::Ordinary || row.shape == Shape::NetlinkGroup)
            .and_then(|_| permit.act().value.bytes().map(<[u8]>::to_vec));
        sys::set_option(handle.fd(), permit)?;
        if let Some(value) = lasting {
            handle.acts().add_option(SetOption { level, name, value });
        }
        self.gate.buffers.option_set(handle, level, name);
        if let Some(seconds) = linger {
            handle.hold_linger(seconds.unwrap_or(0));
        }
        Ok(())
    }
}

impl syscalls::Host for SandsockCtxView<'_> {
    fn socket(
        &mut self,
        family: i32,
        kind: i32,
        protocol: i32,
    ) -> CallResult<Resource<Descriptor>> {
        let (kind, nonblocking) = plausible(family, kind, protocol)?;
        let handle = self.ctx.make_socket(family, kind, protocol, nonblocking)?;
        Ok(self.table.push(Descriptor::new(handle))?)
    }

    fn socketpair(
        &mut self,
        family: i32,
        kind: i32,
        protocol: i32,
    ) -> CallResult<(Resource<Descriptor>, Resource<Descriptor>)> {
        let (kind, nonblocking) = plausible(family, kind, protocol)?;
        self.room_for(2)?;
        let permit = self.ctx.judge().create_pair(family, kind, protocol)?;
        let (a, b) = sys::socketpair(permit)?;
        let made = socket_kind(std::os::fd::AsFd::as_fd(&a))?;
        if made.family != libc::AF_UNIX {
            self.ctx.judge_created(made)?;
        }
        let a = self.own_socket(a, made, nonblocking)?;
        let b = match self.own_socket(b, made, nonblocking) {
            Ok(b) => b,
            Err(fault) => {
                // Nobody could use one end alone.
                self.table.delete(a)?;
                return Err(fault);
            }
        };
        let (of_a, of_b) = (self.handle(&a)?, self.handle(&b)?);
        Buffers::pair(&of_a, &of_b);
        of_a.set_paired();
        of_b.set_paired();
        Ok((a, b))
    }

    fn bind(&mut self, d: Resource<Descriptor>, address: Address) -> CallResult<()> {
        let (handle, kind) = self.socket_of(&d)?;
        self.ctx.judge().change(&handle, "bind")?;
        self.ctx.bind_socket(&handle, kind, &address)
    }

    fn unbind(&mut self, path: Vec<u8>) -> CallResult<()> {
        let permit = self.ctx.judge().remove_name(&path)?;
        Ok(self.ctx.unix_names.remove(permit)?)
    }

    fn listen(&mut self, d: Resource<Descriptor>, backlog: i32) -> CallResult<()> {
        let (handle, kind) = self.socket_of(&d)?;
        if handle.is_common() {
            if sys::own_option(handle.fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN) != Ok(1) {
                self.ctx.judge().change(&handle, "listen")?;
            }
            // The socket listens already, and its other holders use the same backlog.
            return self.ctx.judge().listen(&handle, kind, backlog).map(drop);
        }
        self.ctx.listen_socket(&handle, kind, backlog)
    }

    fn shutdown(&mut self, d: Resource<Descriptor>, how: i32) -> CallResult<()> {
        let (handle, _) = self.socket_of(&d)?;
        self.ctx.judge().change(&handle, "shutdown")?;
        if how != libc::SHUT_RD {
            handle.open.tls.end(handle.fd());
        }
        Ok(sys::shutdown(handle.fd(), how)?)
    }

    fn local_address(&mut self, d: Resource<Descriptor>) -> CallResult<Option<Address>> {
        let (handle, kind) = self.socket_of(&d)?;
        let mut address = family::decode(&handle.local_address()?, kind);
        if let Some(Address::Packet(packet)) = &mut address
            && packet.protocol == 0
        {
            packet.protocol = handle.packet_protocol();
        }
        Ok(address)
    }

    fn peer_address(&mut self, d: Resource<Descriptor>) -> CallResult<Option<Address>> {
        let (handle, kind) = self.socket_of(&d)?;
        Ok(family::decode(&sys::peer_address(handle.fd())?, kind))
    }

    fn get_option(&mut self, d: Resource<Descriptor>, level: i32, name: i32) -> CallResult<i32> {
        let bytes = self.get_option_bytes(d, level, name, 4)?;
        // CPython: the integer form reads what the kernel has written into 4 zeroed bytes.
        let mut value = [0; 4];
        value[..bytes.len().min(4)].copy_from_slice(&bytes[..bytes.len().min(4)]);
        Ok(i32::from_ne_bytes(value))
    }

    fn get_option_bytes(
        &mut self,
        d: Resource<Descriptor>,
        level: i32,
        name: i32,
        length: u32,
    ) -> CallResult<Vec<u8>> {
        let (handle, kind) = self.socket_of(&d)?;
        if length as usize > OPTION_MAX {
            return Err(Errno::INVAL.into());
        }
        self.ctx.option_of(&handle, kind, (level, name), length)
    }

    fn set_option(
        &mut self,
        d: Resource<Descriptor>,
        level: i32,
        name: i32,
        value: OptionValue,
    ) -> CallResult<()> {
        let (handle, kind) = self.socket_of(&d)?;
        let value = match value {
            OptionValue::Integer(value) => OptionBytes::Bytes(value.to_ne_bytes().to_vec()),
            OptionValue::Bytes(bytes) if bytes.len() > OPTION_MAX => {
                return Err(Errno::INVAL.into());
            }
            OptionValue::Bytes(bytes) => OptionBytes::Bytes(bytes),
            OptionValue::Null(length) => OptionBytes::Null(length),
        };
        self.ctx.judge().change(&handle, "an option's change")?;
        self.ctx.set_option_of(&handle, kind, (level, name), value)
    }

    fn ioctl(
        &mut self,
        d: Resource<Descriptor>,
        request: u32,
        argument: Vec<u8>,
    ) -> CallResult<IoctlResult> {
        let (handle, kind) = self.socket_of(&d)?;
        let permit = self.ctx.judge().ioctl(&handle, kind, request, argument)?;
        // The machine's cid is in a device file, which a guest does not have. The guest makes the
        // ioctl on a socket of the family, and the host makes it on the device.
        let of_device =
            kind.family == libc::AF_VSOCK && request == IOCTL_VM_SOCKETS_GET_LOCAL_CID as u32;
        let shows = request != FIONREAD || filter::shows_queue(&self.ctx.gate, &handle);
        let (value, mut argument) = if of_device {
            sys::ioctl(std::os::fd::AsFd::as_fd(&sys::vsock_device()?), permit)?
        } else {
            sys::ioctl(handle.fd(), permit)?
        };
        if !shows {
            argument.fill(0);
        }
        Ok(IoctlResult { value, argument })
    }
}
