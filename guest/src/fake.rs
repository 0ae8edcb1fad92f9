//! A scripted host for unit tests. Each test says which calls it expects, in which order, and their
//! results.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use crate::{interrupt, raw::types, timeout};

type Result<T, E = types::Error> = std::result::Result<T, E>;

thread_local! {
    static SCRIPT: RefCell<VecDeque<(String, Box<dyn Any>)>> = RefCell::default();
    static LOG: RefCell<Vec<String>> = RefCell::default();
    static NOW: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A lock for tests that use state of the whole process, so that they run one after the other.
static SERIAL: Mutex<()> = Mutex::new(());

/// A host with an empty script. Its drop checks that all expected calls have come.
pub(crate) struct Host(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self(SERIAL.lock().unwrap_or_else(PoisonError::into_inner));
        SCRIPT.take();
        LOG.take();
        NOW.set(None);
        host
    }

    /// Expects a call, given as its text, and sets its result.
    pub(crate) fn expect<T: 'static>(&self, call: &str, answer: T) -> &Self {
        SCRIPT.with_borrow_mut(|script| script.push_back((call.to_owned(), Box::new(answer))));
        self
    }

    /// Expects a call that fails with an errno.
    pub(crate) fn fail<T: 'static>(&self, call: &str, errno: i32) -> &Self {
        self.expect::<Result<T>>(call, Err(types::Error::Os(errno)))
    }

    /// Makes a socket of descriptor `id`, without a call in the script.
    pub(crate) fn socket(&self, id: u32, family: i32, kind: i32) -> crate::Socket {
        let call = format!("socket({family}, {kind}, 0)");
        self.expect(&call, Ok::<_, types::Error>(descriptors::Descriptor(id)));
        crate::Socket::new(family, kind, 0).unwrap()
    }

    /// Sets the clock. A test that does not set it must not read it.
    pub(crate) fn at(&self, now: u64) -> &Self {
        NOW.set(Some(now));
        self
    }

    /// Returns the descriptors that were closed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        LOG.take()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        interrupt::set_interrupt_handler(None);
        timeout::setdefaulttimeout(None).unwrap();
        let left: Vec<String> = SCRIPT.take().into_iter().map(|(call, _)| call).collect();
        if !thread::panicking() {
            assert!(left.is_empty(), "expected and never called: {left:?}");
        }
    }
}

/// Moves the clock forward.
pub(crate) fn advance(nanoseconds: u64) {
    NOW.set(NOW.get().map(|now| now.saturating_add(nanoseconds)));
}

fn answer<T: 'static>(call: &str) -> T {
    let Some((expected, answer)) = SCRIPT.with_borrow_mut(VecDeque::pop_front) else {
        panic!("not expected: {call}");
    };
    assert_eq!(call, expected);
    *answer.downcast().unwrap_or_else(|_| panic!("the answer to {call} has another type"))
}

macro_rules! calls {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $($text:tt)* })*) => {
        $(
            pub(crate) fn $name($($argument: $type),*) -> $result {
                answer(&format!($($text)*))
            }
        )*
    };
}

pub(crate) mod descriptors {
    use super::{LOG, Result, answer, types::DescriptorKind};

    #[allow(unreachable_pub)] // The real one is public.
    #[derive(Debug)]
    pub struct Descriptor(pub(crate) u32);

    impl Drop for Descriptor {
        fn drop(&mut self) {
            LOG.with_borrow_mut(|log| log.push(format!("drop({})", self.0)));
        }
    }

    /// This host has no real numbers.
    pub(crate) fn number(_: &Descriptor) -> Option<i32> {
        None
    }

    pub(crate) fn inherited() -> Vec<i32> {
        vec![0]
    }

    pub(crate) fn adopt(_: i32) -> Result<Descriptor> {
        Err(super::types::Error::Os(9))
    }

    pub(crate) fn revoke_aliases(d: &Descriptor) {
        LOG.with_borrow_mut(|log| log.push(format!("revoke_aliases({})", d.0)));
    }

    calls! {
        fn kind(d: &Descriptor) -> Result<DescriptorKind> { "kind({})", d.0 }
        fn duplicate(d: &Descriptor) -> Result<Descriptor> { "duplicate({})", d.0 }
        fn alias(d: &Descriptor) -> Result<Descriptor> { "alias({})", d.0 }
        fn inherit(number: i32) -> Result<Descriptor> { "inherit({number})" }
        fn set_nonblocking(d: &Descriptor, on: bool) -> Result<()> { "set_nonblocking({}, {on})", d.0 }
        fn get_nonblocking(d: &Descriptor) -> Result<bool> { "get_nonblocking({})", d.0 }
    }
}

pub(crate) mod syscalls {
    use super::{
        Result, answer,
        descriptors::Descriptor,
        types::{Address, IoctlResult, OptionValue},
    };

    calls! {
        fn socket(family: i32, kind: i32, protocol: i32) -> Result<Descriptor> { "socket({family}, {kind}, {protocol})" }
        fn socketpair(family: i32, kind: i32, protocol: i32) -> Result<(Descriptor, Descriptor)> {
            "socketpair({family}, {kind}, {protocol})"
        }
        fn bind(d: &Descriptor, address: &Address) -> Result<()> {
            "bind({}, {})", d.0, crate::Address::from(address.clone())
        }
        fn unbind(path: &[u8]) -> Result<()> { "unbind({path:?})" }
        fn listen(d: &Descriptor, backlog: i32) -> Result<()> { "listen({}, {backlog})", d.0 }
        fn shutdown(d: &Descriptor, how: i32) -> Result<()> { "shutdown({}, {how})", d.0 }
        fn local_address(d: &Descriptor) -> Result<Option<Address>> { "local_address({})", d.0 }
        fn peer_address(d: &Descriptor) -> Result<Option<Address>> { "peer_address({})", d.0 }
        fn get_option(d: &Descriptor, level: i32, name: i32) -> Result<i32> { "get_option({}, {level}, {name})", d.0 }
        fn get_option_bytes(d: &Descriptor, level: i32, name: i32, length: u32) -> Result<Vec<u8>> {
            "get_option_bytes({}, {level}, {name}, {length})", d.0
        }
        fn set_option(d: &Descriptor, level: i32, name: i32, value: OptionValue<'_>) -> Result<()> {
            "set_option({}, {level}, {name}, {value:?})", d.0
        }
        fn ioctl(d: &Descriptor, request: u32, argument: &[u8]) -> Result<IoctlResult> {
            "ioctl({}, {request:#x}, {argument:?})", d.0
        }
    }
}

pub(crate) mod connections {
    use super::{
        LOG, Result, answer,
        descriptors::Descriptor,
        types::{Address, Wait},
    };

    pub(crate) struct Accepted {
        pub(crate) descriptor: Descriptor,
        pub(crate) address: Option<Address>,
    }

    pub(crate) fn close(d: Descriptor) -> Result<()> {
        LOG.with_borrow_mut(|log| log.push(format!("close({})", d.0)));
        let id = d.0;
        std::mem::forget(d);
        match id {
            104 | 5 => Err(super::types::Error::Os(id as i32)),
            _ => Ok(()),
        }
    }

    calls! {
        fn connect(d: &Descriptor, address: &Address, wait: Wait) -> Result<()> {
            "connect({}, {}, {wait:?})", d.0, crate::Address::from(address.clone())
        }
        fn finish_connect(d: &Descriptor, wait: Wait) -> Result<()> { "finish_connect({}, {wait:?})", d.0 }
        fn accept(d: &Descriptor, wait: Wait) -> Result<Accepted> { "accept({}, {wait:?})", d.0 }
    }
}

pub(crate) mod transfers {
    use super::{
        Result, answer,
        descriptors::Descriptor,
        types::{Address, ControlMessage, Wait, Warning},
    };

    #[derive(Debug)]
    #[allow(dead_code)] // The fields are read as text.
    pub(crate) enum ControlOut<'a> {
        Rights(&'a [&'a Descriptor]),
        Message(&'a ControlMessage),
    }

    pub(crate) enum ControlIn {
        Rights(Vec<Descriptor>),
        Pidfd(Descriptor),
        Message(ControlMessage),
    }

    pub(crate) struct Datagram {
        pub(crate) data: Vec<u8>,
        pub(crate) address: Option<Address>,
    }

    pub(crate) struct Received {
        pub(crate) data: Vec<u8>,
        pub(crate) length: u64,
        pub(crate) control: Vec<ControlIn>,
        pub(crate) flags: i32,
        pub(crate) address: Option<Address>,
        pub(crate) warnings: Vec<Warning>,
    }

    pub(crate) fn control_length(length: u32) -> Option<u32> {
        length.checked_add(16).filter(|length| *length <= i32::MAX as u32)
    }

    pub(crate) fn control_space(length: u32) -> Option<u32> {
        control_length(length.checked_next_multiple_of(8)?)
    }

    fn show(address: Option<&Address>) -> crate::Address {
        address.cloned().into()
    }

    calls! {
        fn send(d: &Descriptor, data: &[u8], flags: i32, wait: Wait) -> Result<u64> {
            "send({}, {}, {flags}, {wait:?})", d.0, data.len()
        }
        fn send_to(d: &Descriptor, data: &[u8], flags: i32, address: &Address, wait: Wait) -> Result<u64> {
            "send_to({}, {}, {flags}, {}, {wait:?})", d.0, data.len(), show(Some(address))
        }
        fn send_message(
            d: &Descriptor,
            buffers: &[&[u8]],
            control: &[ControlOut<'_>],
            flags: i32,
            address: Option<&Address>,
            wait: Wait
        ) -> Result<u64> {
            "send_message({}, {:?}, {control:?}, {flags}, {}, {wait:?})",
            d.0, buffers.iter().map(|buffer| buffer.len()).collect::<Vec<_>>(), show(address)
        }
        fn receive(d: &Descriptor, length: u64, flags: i32, wait: Wait) -> Result<Vec<u8>> {
            "receive({}, {length}, {flags}, {wait:?})", d.0
        }
        fn receive_from(d: &Descriptor, length: u64, flags: i32, wait: Wait) -> Result<Datagram> {
            "receive_from({}, {length}, {flags}, {wait:?})", d.0
        }
        fn receive_message(d: &Descriptor, length: u64, room: u32, flags: i32, wait: Wait) -> Result<Received> {
            "receive_message({}, {length}, {room}, {flags}, {wait:?})", d.0
        }
    }
}

pub(crate) mod polling {
    use super::{Result, answer, descriptors::Descriptor, types::Wait};

    #[derive(Debug)]
    #[allow(dead_code)] // The fields are read as text.
    pub(crate) struct PollEntry<'a> {
        pub(crate) descriptor: &'a Descriptor,
        pub(crate) events: u16,
    }

    calls! {
        fn poll(entries: &[PollEntry<'_>], wait: Wait) -> Result<Vec<u16>> {
            "poll({:?}, {wait:?})", entries.iter().map(|e| (e.descriptor.0, e.events)).collect::<Vec<_>>()
        }
    }
}

pub(crate) mod clock {
    pub(crate) fn now() -> u64 {
        super::NOW.get().expect("the clock was read")
    }
}

pub(crate) mod netdb {
    use super::{
        Result, answer,
        types::{Address, AddressHints, AddressInfo, HostEntry, NameError, NetworkInterface, Wait},
    };

    fn show(address: &Address) -> crate::Address {
        address.clone().into()
    }

    calls! {
        fn get_name_info(address: &Address, flags: i32, wait: Wait) -> Result<(String, String), NameError> {
            "get_name_info({}, {flags}, {wait:?})", show(address)
        }
        fn get_host_by_name(name: &str, family: i32, wait: Wait) -> Result<HostEntry, NameError> {
            "get_host_by_name({name:?}, {family}, {wait:?})"
        }
        fn get_host_by_address(address: &Address, wait: Wait) -> Result<HostEntry, NameError> {
            "get_host_by_address({}, {wait:?})", show(address)
        }
        fn get_service_by_name(name: &str, protocol: Option<&str>) -> Result<u16> {
            "get_service_by_name({name:?}, {protocol:?})"
        }
        fn get_service_by_port(port: u16, protocol: Option<&str>) -> Result<String> {
            "get_service_by_port({port}, {protocol:?})"
        }
        fn get_protocol_by_name(name: &str) -> Result<i32> { "get_protocol_by_name({name:?})" }
        fn interfaces() -> Result<Vec<NetworkInterface>> { "interfaces()" }
        fn interface_index(name: &str) -> Result<u32> { "interface_index({name:?})" }
        fn interface_name(index: u32) -> Result<String> { "interface_name({index})" }
        fn get_host_name() -> String { "get_host_name()" }
        fn set_host_name(name: &[u8]) -> Result<()> { "set_host_name({name:?})" }
        fn get_address_info(host: Option<&str>, service: Option<&str>, hints: AddressHints, wait: Wait)
            -> Result<Vec<AddressInfo>, NameError> {
            "get_address_info({host:?}, {service:?}, {}, {}, {}, {}, {wait:?})",
            hints.family, hints.type_, hints.protocol, hints.flags
        }
    }
}
