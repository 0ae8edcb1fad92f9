//! The options of `wasi:sockets`, with the ranges that the package prescribes: 0 is an invalid
//! argument, and every other value is set, as near as the kernel has it.

use rustix::io::Errno;

use super::address::IpFamily;
use super::error::{ErrorCode, SocketResult};
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::ctx::SandsockCtx;
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::OptionBytes;

const SECOND: u64 = 1_000_000_000;

/// net/tcp.h: MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, in seconds.
const KEEP_ALIVE_TIME_MAX: u64 = 32_767;

/// net/tcp.h: MAX_TCP_KEEPCNT.
const KEEP_ALIVE_COUNT_MAX: u32 = 127;

/// A socket whose options are read and set.
pub(crate) struct Options<'a> {
    pub(crate) ctx: &'a SandsockCtx,
    pub(crate) handle: &'a Handle,
    pub(crate) kind: SocketKind,
    pub(crate) family: IpFamily,
}

/// Makes the functions that read and set the options of the resource `This`. `$find` finds the
/// version's socket in the table. A row has the names of the version's two functions, and those of
/// [`Options`] that they call.
macro_rules! option_functions {
    (in $find:path; $($get:ident, $set:ident = $read:ident, $write:ident: $type:ty;)*) => {$(
        pub(crate) fn $get(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<$type> {
            $find(view.table, &this)?.socket.options(view.ctx)?.$read()
        }

        pub(crate) fn $set(
            view: &mut SandsockCtxView<'_>,
            this: This,
            value: $type,
        ) -> SocketResult<()> {
            $find(view.table, &this)?.socket.options(view.ctx)?.$write(value)
        }
    )*};
}

pub(crate) use option_functions;

/// A level and a name.
type Name = (i32, i32);

const RECEIVE_BUFFER: Name = (libc::SOL_SOCKET, libc::SO_RCVBUF);
const SEND_BUFFER: Name = (libc::SOL_SOCKET, libc::SO_SNDBUF);
const KEEP_ALIVE: Name = (libc::SOL_SOCKET, libc::SO_KEEPALIVE);
const KEEP_ALIVE_IDLE: Name = (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
const KEEP_ALIVE_INTERVAL: Name = (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
const KEEP_ALIVE_COUNT: Name = (libc::IPPROTO_TCP, libc::TCP_KEEPCNT);

fn hop_limit_name(family: IpFamily) -> Name {
    match family {
        IpFamily::V4 => (libc::IPPROTO_IP, libc::IP_TTL),
        IpFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    }
}

fn not_zero<N: Default + PartialEq>(value: N) -> Result<N, ErrorCode> {
    if value == N::default() { Err(ErrorCode::InvalidArgument) } else { Ok(value) }
}

impl Options<'_> {
    fn get(&self, name: Name) -> CallResult<u32> {
        let bytes = self.ctx.option_of(self.handle, self.kind, name, 4)?;
        let value = bytes.first_chunk().map_or(0, |four| i32::from_ne_bytes(*four));
        Ok(u32::try_from(value).unwrap_or(0))
    }

    fn set(&self, name: Name, value: u32) -> CallResult<()> {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        let bytes = OptionBytes::Bytes(value.to_ne_bytes().to_vec());
        self.ctx.set_option_of(self.handle, self.kind, name, bytes)
    }

    pub(crate) fn keep_alive_enabled(&self) -> SocketResult<bool> {
        Ok(self.get(KEEP_ALIVE)? != 0)
    }

    pub(crate) fn set_keep_alive_enabled(&self, enabled: bool) -> SocketResult<()> {
        Ok(self.set(KEEP_ALIVE, enabled.into())?)
    }

    fn time(&self, name: Name) -> SocketResult<u64> {
        Ok(u64::from(self.get(name)?) * SECOND)
    }

    /// The kernel counts seconds.
    fn set_time(&self, name: Name, nanoseconds: u64) -> SocketResult<()> {
        let seconds = (not_zero(nanoseconds)? / SECOND).clamp(1, KEEP_ALIVE_TIME_MAX);
        Ok(self.set(name, seconds as u32)?)
    }

    pub(crate) fn keep_alive_idle_time(&self) -> SocketResult<u64> {
        self.time(KEEP_ALIVE_IDLE)
    }

    pub(crate) fn set_keep_alive_idle_time(&self, nanoseconds: u64) -> SocketResult<()> {
        self.set_time(KEEP_ALIVE_IDLE, nanoseconds)
    }

    pub(crate) fn keep_alive_interval(&self) -> SocketResult<u64> {
        self.time(KEEP_ALIVE_INTERVAL)
    }

    pub(crate) fn set_keep_alive_interval(&self, nanoseconds: u64) -> SocketResult<()> {
        self.set_time(KEEP_ALIVE_INTERVAL, nanoseconds)
    }

    pub(crate) fn keep_alive_count(&self) -> SocketResult<u32> {
        Ok(self.get(KEEP_ALIVE_COUNT)?)
    }

    pub(crate) fn set_keep_alive_count(&self, count: u32) -> SocketResult<()> {
        Ok(self.set(KEEP_ALIVE_COUNT, not_zero(count)?.min(KEEP_ALIVE_COUNT_MAX))?)
    }

    pub(crate) fn hop_limit(&self) -> SocketResult<u8> {
        let hops = self.get(hop_limit_name(self.family))?;
        Ok(u8::try_from(hops).unwrap_or(u8::MAX))
    }

    pub(crate) fn set_hop_limit(&self, hops: u8) -> SocketResult<()> {
        Ok(self.set(hop_limit_name(self.family), not_zero(hops)?.into())?)
    }

    /// man 7 socket: the kernel doubles the size that is set, and reports the doubled one.
    fn buffer_size(&self, name: Name) -> SocketResult<u64> {
        Ok(u64::from(self.get(name)? / 2))
    }

    fn set_buffer_size(&self, name: Name, bytes: u64) -> SocketResult<()> {
        let bytes = u32::try_from(not_zero(bytes)?).unwrap_or(u32::MAX);
        match self.set(name, bytes) {
            // WIT: no value but 0 causes an error. The buffer stays as it is.
            Err(fault) if fault.is(Errno::NOBUFS) => Ok(()),
            result => Ok(result?),
        }
    }

    pub(crate) fn receive_buffer_size(&self) -> SocketResult<u64> {
        self.buffer_size(RECEIVE_BUFFER)
    }

    pub(crate) fn set_receive_buffer_size(&self, bytes: u64) -> SocketResult<()> {
        self.set_buffer_size(RECEIVE_BUFFER, bytes)
    }

    pub(crate) fn send_buffer_size(&self) -> SocketResult<u64> {
        self.buffer_size(SEND_BUFFER)
    }

    pub(crate) fn set_send_buffer_size(&self, bytes: u64) -> SocketResult<()> {
        self.set_buffer_size(SEND_BUFFER, bytes)
    }
}
