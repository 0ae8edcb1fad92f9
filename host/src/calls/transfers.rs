//! The calls that move bytes. Each tries its system call first, and waits only on EAGAIN. These are
//! the calls that must be fast.

mod ancillary;
mod batch;
mod opening;
mod receive;
mod send;

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, Resource, WasmList};

use crate::bindings::sandsock::socket::types::{Address, ControlMessage, Warning};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Descriptor;
use crate::error::Fault;
use crate::observe::{
    self, List, ToValue, Value, ValueBuilder, WatchedData, case_to_value, record_to_value,
};
use crate::sys::control;

pub(crate) use batch::{receive_batch, send_batch};
pub(crate) use opening::Opening;
pub(crate) use receive::{receive, receive_from, receive_message};
pub(crate) use send::{send, send_message, send_to};

/// SC_IOV_MAX: man 3 sysconf.
const BUFFERS_MAX: usize = 1024;

/// WIT `control-message`, as a guest gives it. The data stays in the guest's memory. Many messages
/// may share one list there, so copies of all could be larger than the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ControlData {
    pub(crate) level: i32,
    #[component(name = "type")]
    pub(crate) type_: i32,
    pub(crate) data: WasmList<u8>,
}

/// WIT `control-out`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ControlOut {
    #[component(name = "rights")]
    Rights(Vec<Resource<Descriptor>>),
    #[component(name = "message")]
    Message(ControlData),
}

/// WIT `control-in`.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ControlIn {
    #[component(name = "rights")]
    Rights(Vec<Resource<Descriptor>>),
    #[component(name = "pidfd")]
    Pidfd(Resource<Descriptor>),
    #[component(name = "message")]
    Message(ControlMessage),
}

/// WIT `datagram`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Datagram {
    data: Vec<u8>,
    address: Option<Address>,
}

/// WIT `received`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Received {
    data: Vec<u8>,
    length: u64,
    control: Vec<ControlIn>,
    flags: i32,
    address: Option<Address>,
    warnings: Vec<Warning>,
}

/// WIT `batch-entry`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct BatchEntry {
    length: u32,
    address: Option<Address>,
    control: WasmList<ControlData>,
}

/// WIT `batch`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Batch {
    data: Vec<u8>,
    messages: Vec<BatchMessage>,
}

/// WIT `batch-message`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BatchMessage {
    length: u32,
    flags: i32,
    address: Option<Address>,
    control: Vec<ControlMessage>,
}

case_to_value! { ControlOut: Rights = "rights", Message = "message" }
case_to_value! { ControlIn: Rights = "rights", Pidfd = "pidfd", Message = "message" }
record_to_value! { Datagram: data, address }
record_to_value! { Received: data, length, control, flags, address, warnings }
record_to_value! { BatchEntry: length, address, control }
record_to_value! { Batch: data, messages }
record_to_value! { BatchMessage: length, flags, address, control }

impl ToValue for ControlData {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        let data = self.data.as_le_slice(&*store);
        observe::control_message(self.level, self.type_, data, builder)
    }
}

/// Implements [`ToValue`] for a list that stays in the guest's memory. Only the elements that are
/// shown are lifted.
macro_rules! lifted_list_to_value {
    ($type:ty) => {
        impl ToValue for WasmList<$type> {
            fn to_value<T: WatchedData>(
                &self,
                store: &mut StoreContextMut<'_, T>,
                builder: &mut ValueBuilder,
            ) -> Value {
                List::of(self.len(), store, builder, |at, store, builder| {
                    // If an element can't be lifted, the call itself traps, or refuses it as too
                    // long.
                    let element = lift(store, self, at, 4 * LIFT)?.ok()?;
                    Some(element.to_value(store, builder))
                })
            }
        }
    };
}

lifted_list_to_value! { ControlData }
lifted_list_to_value! { BatchEntry }
lifted_list_to_value! { WasmList<u8> }

/// The most that a call which sends or gathers everything moves, even if `transfer-bytes` is lower.
/// A caller with more data calls again (WIT: one call moves at most 1 MiB of a stream).
const WHOLE: usize = 1 << 20;

/// Returns the most bytes of a stream that one system call moves.
fn transfer_limit<T: SandsockView>(store: &mut StoreContextMut<'_, T>) -> usize {
    store.view().ctx.gate.transfer_bytes()
}

/// Keeps an interrupt for the next wait. It ended a call that has moved bytes, and the call returns
/// their number. Every other error comes again by itself.
pub(crate) fn keep_interrupt<T: SandsockView>(store: &mut StoreContextMut<'_, T>, fault: &Fault) {
    if fault.is(Errno::INTR) {
        store.view().ctx.waiter.interrupter().interrupt();
    }
}

/// WIT `transfers.control-space`.
pub(crate) fn control_space(
    _view: &mut SandsockCtxView<'_>,
    length: u32,
) -> wasmtime::Result<Option<u32>> {
    Ok(control::space(length))
}

/// WIT `transfers.control-length`.
pub(crate) fn control_length(
    _view: &mut SandsockCtxView<'_>,
    length: u32,
) -> wasmtime::Result<Option<u32>> {
    Ok(control::length(length))
}

/// The most bytes of lists that are copied when one element of a list is lifted.
pub(crate) const LIFT: usize = 4096;

/// Lifts an element of a list in the guest's memory. It fails if the lists in the element have more
/// than `most` bytes. The size of the guest's memory is no limit, because elements may share lists.
pub(crate) fn lift<T, E: Lift>(
    store: &mut StoreContextMut<'_, T>,
    list: &WasmList<E>,
    at: usize,
    most: usize,
) -> Option<wasmtime::Result<E>> {
    let fuel = store.hostcall_fuel();
    store.set_hostcall_fuel(most.min(fuel));
    let element = list.get(&mut *store, at);
    store.set_hostcall_fuel(fuel);
    element
}
