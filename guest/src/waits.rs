//! Waits of a guest whose threads share one interpreter: the one hook that every loop calls.
//!
//! Without the feature `threads`, or without a hook, the host waits within the calls themselves. With
//! a hook, each call is made with [`Wait::None`], and the wait after EAGAIN is a call of its own,
//! during which the guest's other threads run. No lock is held there.

use crate::raw::{
    connections,
    descriptors::Descriptor,
    netdb,
    types::{self, Address, AddressHints, AddressInfo, HostEntry, NameError, Wait},
};

#[cfg(all(feature = "threads", not(test)))]
pub use hooked::{WaitHook, set_wait_hook};
#[cfg(all(feature = "threads", not(test)))]
pub(crate) use hooked::{is_hooked, poll, poller_ready, ready, sleep, stdin_ready, thread};

/// Whether waits are calls of their own.
#[cfg(not(all(feature = "threads", not(test))))]
pub(crate) const fn is_hooked() -> bool {
    false
}

/// Returns the number of the running thread.
#[cfg(not(all(feature = "threads", not(test))))]
pub(crate) const fn thread() -> u32 {
    0
}

/// Calls a function of `waits` if there is a hook, or else one of the raw layer.
macro_rules! either {
    ($hooked:ident($($argument:expr),*), $plain:expr) => {{
        #[cfg(all(feature = "threads", not(test)))]
        if is_hooked() {
            return hooked::$hooked($($argument),*);
        }
        $plain
    }};
}

pub(crate) fn close(d: Descriptor) -> Result<(), types::Error> {
    either!(close(d), connections::close(d))
}

pub(crate) fn get_address_info(
    host: Option<&str>,
    service: Option<&str>,
    hints: AddressHints,
) -> Result<Vec<AddressInfo>, NameError> {
    either!(
        get_address_info(host, service, hints),
        netdb::get_address_info(host, service, hints, Wait::Forever)
    )
}

pub(crate) fn get_name_info(address: &Address, flags: i32) -> Result<(String, String), NameError> {
    either!(get_name_info(address, flags), netdb::get_name_info(address, flags, Wait::Forever))
}

pub(crate) fn get_host_by_name(name: &str, family: i32) -> Result<HostEntry, NameError> {
    either!(get_host_by_name(name, family), netdb::get_host_by_name(name, family, Wait::Forever))
}

pub(crate) fn get_host_by_address(address: &Address) -> Result<HostEntry, NameError> {
    either!(get_host_by_address(address), netdb::get_host_by_address(address, Wait::Forever))
}

#[cfg(all(feature = "threads", not(test)))]
mod hooked {
    use std::sync::OnceLock;

    use crate::raw::{
        descriptors::Descriptor,
        polling::{PollEntry, Poller},
        types::{self, Address, AddressHints, AddressInfo, HostEntry, NameError, Wait},
        waits,
    };

    /// How the threads of a guest share its interpreter.
    #[derive(Clone, Copy, Debug)]
    pub struct WaitHook {
        /// Makes a call during which other threads run. An interpreter releases its lock around
        /// the call. The caller of the crate must not hold anything that another thread would wait
        /// for with the interpreter's lock held.
        pub wait: fn(call: &mut dyn FnMut()),
        /// Returns the number of the running thread. It is 0 for the thread that handles
        /// interrupts.
        pub thread: fn() -> u32,
    }

    static HOOK: OnceLock<WaitHook> = OnceLock::new();

    /// Makes the waits of this crate leave the other threads running. It is set once, before there
    /// are threads. A later hook is ignored.
    pub fn set_wait_hook(hook: WaitHook) {
        let _ = HOOK.set(hook);
    }

    #[inline]
    pub(crate) fn is_hooked() -> bool {
        HOOK.get().is_some()
    }

    /// Returns the number of the running thread.
    pub(crate) fn thread() -> u32 {
        HOOK.get().map_or(0, |hook| (hook.thread)())
    }

    /// Makes a call of the interface `waits`. Its argument says whether an interrupt ends the wait.
    fn call<T>(call: impl FnOnce(bool) -> T) -> Option<T> {
        let hook = HOOK.get()?;
        let interruptible = (hook.thread)() == 0;
        let (mut call, mut result) = (Some(call), None);
        (hook.wait)(&mut || result = call.take().map(|call| call(interruptible)));
        result
    }

    /// A hook that makes no call ends the wait as an interrupt does.
    const NOT_CALLED: types::Error = types::Error::Os(sandsock_abi::errno::EINTR);

    fn or_error<T>(result: Option<Result<T, types::Error>>) -> Result<T, types::Error> {
        result.unwrap_or(Err(NOT_CALLED))
    }

    fn or_name_error<T>(result: Option<Result<T, NameError>>) -> Result<T, NameError> {
        result.unwrap_or(Err(NameError::Other(NOT_CALLED)))
    }

    pub(crate) fn ready(d: &Descriptor, events: u16, wait: Wait) -> Result<(), types::Error> {
        or_error(call(|interruptible| waits::ready(d, events, wait, interruptible)))
    }

    pub(crate) fn poll(entries: &[PollEntry<'_>], wait: Wait) -> Result<(), types::Error> {
        or_error(call(|interruptible| waits::poll(entries, wait, interruptible)))
    }

    pub(crate) fn sleep(until: u64) -> Result<(), types::Error> {
        poll(&[], Wait::Until(until))
    }

    pub(crate) fn poller_ready(poller: &Poller, wait: Wait) -> Result<(), types::Error> {
        or_error(call(|interruptible| waits::poller_ready(poller, wait, interruptible)))
    }

    pub(crate) fn stdin_ready() -> Result<(), types::Error> {
        or_error(call(waits::stdin_ready))
    }

    pub(super) fn close(d: Descriptor) -> Result<(), types::Error> {
        or_error(call(|interruptible| waits::close(d, interruptible)))
    }

    pub(super) fn get_address_info(
        host: Option<&str>,
        service: Option<&str>,
        hints: AddressHints,
    ) -> Result<Vec<AddressInfo>, NameError> {
        or_name_error(call(|interruptible| {
            waits::get_address_info(host, service, hints, Wait::Forever, interruptible)
        }))
    }

    pub(super) fn get_name_info(
        address: &Address,
        flags: i32,
    ) -> Result<(String, String), NameError> {
        or_name_error(call(|interruptible| {
            waits::get_name_info(address, flags, Wait::Forever, interruptible)
        }))
    }

    pub(super) fn get_host_by_name(name: &str, family: i32) -> Result<HostEntry, NameError> {
        or_name_error(call(|interruptible| {
            waits::get_host_by_name(name, family, Wait::Forever, interruptible)
        }))
    }

    pub(super) fn get_host_by_address(address: &Address) -> Result<HostEntry, NameError> {
        or_name_error(call(|interruptible| {
            waits::get_host_by_address(address, Wait::Forever, interruptible)
        }))
    }
}
