//! The one place where a context's calls, decisions and waits come together.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable};

use super::value::{Failure, ShownList, SocketAddress, Value};
use super::{Call, Function, Observer, Outcome, Socket, Wants};
use crate::authority::family;
use crate::authority::gate::DecisionObserver;
use crate::bindings::sandsock::socket::types::{DescriptorKind, SocketKind};
use crate::descriptor::{Descriptor, Handle};
use crate::sys;
use crate::wait::WaitObserver;
use sandsock_policy::{Decision, Denial, Verdict};

/// The lowest number that a descriptor gets: a program's first three are its standard ones.
const FIRST: i32 = 3;

/// What one context tells its observers.
pub(crate) struct Watch {
    instance: u64,
    observers: Vec<Arc<dyn Observer>>,
    wants: Wants,
    /// How many bytes of one call are looked at.
    most: usize,
    state: Mutex<State>,
}

struct State {
    look: Look,
    current: Option<Current>,
}

/// Implemented by the data of a store whose calls can be observed.
pub(crate) trait WatchedData: Send {
    /// Returns the watch of the store's context, if there are observers.
    fn watch(&mut self) -> Option<&Arc<Watch>>;

    /// Returns the table with the store's descriptors.
    fn table(&mut self) -> &mut ResourceTable;
}

/// The call that is under way. There is one at a time: a store is lent to one host function.
struct Current {
    function: &'static Function,
    arguments: Vec<(&'static str, Value)>,
    /// The first descriptor's place in the table, and what was known of it before the call.
    place: Option<u32>,
    socket: Option<Socket>,
    denied: bool,
    denied_by: Option<String>,
    time: SystemTime,
    start: Instant,
    waits: u32,
    waited: Duration,
}

impl Current {
    fn call<'a>(&'a self, instance: u64, outcome: Outcome<'a>) -> Call<'a> {
        Call {
            instance,
            interface: self.function.interface,
            function: self.function.name,
            arguments: &self.arguments,
            socket: self.socket.as_ref(),
            socket_after: None,
            made: None,
            outcome,
            denied_by: self.denied_by.as_deref(),
            time: self.time,
            took: self.start.elapsed(),
            waits: self.waits,
            waited: self.waited,
        }
    }
}

/// How many elements of lists are looked at in one call.
const ELEMENTS: usize = 4096;

/// What an instance's descriptors are called, and how much of each value is looked at.
#[derive(Default)]
pub(crate) struct Look {
    wants: Wants,
    /// How many bytes and elements of lists are still looked at in the values that are being made.
    /// A guest's lists may share their memory: what they have together follows no memory of the
    /// guest's.
    bytes: usize,
    elements: usize,
    real_numbers: bool,
    /// By place in the store's table.
    sockets: HashMap<u32, Socket>,
    /// Numbers below `fresh` that are free.
    free: BTreeSet<i32>,
    fresh: i32,
    serials: u64,
    /// By where an open description lies in memory: its number here, and how many descriptors refer
    /// to it.
    descriptions: HashMap<usize, (u64, usize)>,
    /// By its number, where it lies.
    places: HashMap<u64, usize>,
    /// The first descriptor that was met for the first time.
    made: Option<u32>,
}

impl Look {
    /// Before new values are made.
    fn reset(&mut self, bytes: usize) {
        (self.bytes, self.elements) = (bytes, ELEMENTS);
    }

    /// How many bytes of a list with this many are looked at.
    pub(crate) fn take_bytes(&mut self, length: usize) -> usize {
        let count = length.min(self.wants.bytes).min(self.bytes);
        self.bytes -= count;
        count
    }

    /// Whether one more element of a list is looked at.
    pub(crate) fn take_element(&mut self) -> bool {
        let room = self.elements > 0;
        self.elements -= usize::from(room);
        room
    }

    /// The number of a resource, which gets one where it is new.
    pub(crate) fn number<T: WatchedData>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        place: u32,
    ) -> i32 {
        if let Some(socket) = self.sockets.get(&place) {
            return socket.number;
        }
        let handle = handle(store, place);
        let number = match &handle {
            Some(handle) if self.real_numbers => std::os::fd::AsRawFd::as_raw_fd(&handle.fd()),
            _ => self.free.pop_first().unwrap_or_else(|| {
                self.fresh = self.fresh.max(FIRST).saturating_add(1);
                self.fresh - 1
            }),
        };
        self.serials += 1;
        let mut socket = Socket { number, serial: self.serials, ..Socket::default() };
        if let Some(handle) = handle {
            socket.kind = match handle.open.kind {
                DescriptorKind::Socket(SocketKind { family, type_, protocol }) => {
                    Some((family, type_, protocol))
                }
                _ => None,
            };
            let fresh = (self.serials, 0);
            let place = Arc::as_ptr(&handle.open).addr();
            let (description, count) = self.descriptions.entry(place).or_insert(fresh);
            *count += 1;
            socket.description = *description;
            self.places.insert(*description, place);
        }
        self.sockets.insert(place, socket);
        self.made.get_or_insert(place);
        self.refresh(store, place);
        number
    }

    /// Asks the kernel for what may have changed.
    fn refresh<T: WatchedData>(&mut self, store: &mut StoreContextMut<'_, T>, place: u32) {
        if !self.wants.addresses {
            return;
        }
        let (Some(socket), Some(handle)) = (self.sockets.get_mut(&place), handle(store, place))
        else {
            return;
        };
        let Some((family, type_, protocol)) = socket.kind else { return };
        if type_ == libc::SOCK_STREAM && socket.peer.is_some() {
            // A connection's ends do not change.
            return;
        }
        let kind = SocketKind { family, type_, protocol };
        let address = |raw| family::decode(&raw, kind).as_ref().map(SocketAddress::from);
        // A peer that is gone is still the one that it was.
        socket.local =
            sys::local_address(handle.fd()).ok().and_then(address).or_else(|| socket.local.take());
        let peer = sys::peer_address(handle.fd()).ok().and_then(address);
        // Only a datagram socket can lose its peer and go on.
        if peer.is_some() || type_ == libc::SOCK_DGRAM {
            socket.peer = peer;
        }
        if type_ == libc::SOCK_DGRAM && matches!(family, libc::AF_INET | libc::AF_INET6) {
            let option = |name| sys::own_option(handle.fd(), libc::IPPROTO_UDP, name).unwrap_or(0);
            socket.segment = u16::try_from(option(libc::UDP_SEGMENT)).unwrap_or(0);
            socket.corked = option(libc::UDP_CORK) != 0;
        }
    }

    /// A descriptor is gone; whether it was the last of its description.
    fn release(&mut self, place: u32) -> Option<(Socket, bool)> {
        let socket = self.sockets.remove(&place)?;
        if !self.real_numbers {
            self.free.insert(socket.number);
        }
        let Some(place) = self.places.get(&socket.description) else { return Some((socket, true)) };
        let Some((_, count)) = self.descriptions.get_mut(place) else {
            return Some((socket, true));
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.descriptions.remove(place);
            self.places.remove(&socket.description);
        }
        Some((socket, last))
    }
}

/// The handle behind a place in the table, if it is a descriptor's.
fn handle<T: WatchedData>(store: &mut StoreContextMut<'_, T>, place: u32) -> Option<Arc<Handle>> {
    store
        .data_mut()
        .table()
        .get(&Resource::<Descriptor>::new_borrow(place))
        .ok()?
        .for_transfer()
        .ok()
}

impl Watch {
    /// None where nobody watches.
    ///
    /// `most` is how many bytes of a call are looked at, whatever is wanted: the instance's limit
    /// of one transfer.
    pub(crate) fn new(
        instance: u64,
        observers: &[Arc<dyn Observer>],
        real_numbers: bool,
        most: usize,
    ) -> Option<Arc<Self>> {
        let mut wants = observers.iter().map(|observer| observer.wants()).reduce(Wants::or)?;
        wants.bytes = wants.bytes.min(most);
        let look = Look { wants, real_numbers, ..Look::default() };
        let state = Mutex::new(State { look, current: None });
        Some(Arc::new(Self { instance, observers: observers.to_vec(), wants, most, state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, tell: impl Fn(&dyn Observer)) {
        self.observers.iter().for_each(|observer| tell(&**observer));
    }

    fn begin<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        function: &'static Function,
        parameters: &impl ShownList,
    ) {
        let state = &mut *self.state();
        state.look.reset(self.most);
        let values =
            if self.wants.calls { parameters.list(store, &mut state.look) } else { Vec::new() };
        let place = parameters.first_place();
        if let Some(place) = place {
            state.look.number(store, place);
            // By now a connect that went on in the background may have come to its end.
            state.look.refresh(store, place);
        }
        if let Some(handle) = place.and_then(|place| handle(store, place)) {
            let count = handle.open.filter.newly_dropped(handle.fd());
            if let Some(socket) =
                place.and_then(|place| state.look.sockets.get(&place)).filter(|_| count > 0)
            {
                self.tell(|observer| observer.dropped(self.instance, socket, count));
            }
        }
        state.look.made = None;
        state.current = Some(Current {
            function,
            arguments: function.parameters.iter().copied().zip(values).collect(),
            place,
            socket: place.and_then(|place| state.look.sockets.get(&place).cloned()),
            denied: false,
            denied_by: None,
            time: SystemTime::now(),
            start: Instant::now(),
            waits: 0,
            waited: Duration::ZERO,
        });
    }

    fn end<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        result: &wasmtime::Result<impl ShownList>,
    ) {
        let state = &mut *self.state();
        let Some(mut current) = state.current.take() else { return };
        let took = current.start.elapsed();
        state.look.reset(self.most);
        let (value, trap) = match result {
            // What it made gets its number, whoever wants to see it.
            Ok(result) => (result.list(store, &mut state.look).pop().unwrap_or(Value::Unit), None),
            Err(trap) => (Value::Unit, Some(format!("{trap:#}"))),
        };
        if let (Value::Failed(Failure::Denied { grant, reason }), false) = (&value, current.denied)
        {
            // One that no rule of the policy's own stands behind: a folder that was changed during
            // bind, for example.
            let (verb, target) = grant
                .as_deref()
                .and_then(|grant| grant.split_once('='))
                .unwrap_or((current.function.name, ""));
            let denial = Denial::new(reason.clone());
            let decision = Decision::denied(SystemTime::now(), verb, target.to_owned(), &denial);
            self.tell_decision(decision, &mut current);
        }
        let mut released = None;
        if let Some(place) = current.place {
            if store.data_mut().table().get_any_mut(place).is_ok() {
                state.look.refresh(store, place);
            } else {
                released = state.look.release(place);
            }
        }
        if self.wants.calls {
            let look = &state.look;
            let find = |place: Option<u32>| place.and_then(|place| look.sockets.get(&place));
            let outcome = match &trap {
                Some(reason) => Outcome::Trapped(reason),
                None => Outcome::Done(&value),
            };
            let denied_by = current.denied_by.take();
            let call = Call {
                socket_after: find(current.place),
                made: find(look.made),
                denied_by: denied_by.as_deref(),
                took,
                ..current.call(self.instance, outcome)
            };
            self.tell(|observer| observer.called(&call));
        }
        if let Some((socket, last)) = released {
            self.tell(|observer| observer.closed(self.instance, &socket, last));
        }
    }

    fn tell_decision(&self, decision: Decision<'_>, current: &mut Current) {
        let socket = current.socket.as_ref();
        let decision = match decision.family {
            Some(_) => decision,
            None => decision.on(socket.and_then(|socket| socket.kind)),
        };
        let decision =
            Decision { instance: self.instance, call: Some(current.function.name), ..decision };
        self.tell(|observer| observer.decided(&decision, socket));
        if decision.decision == Verdict::Deny {
            current.denied = true;
            current.denied_by = decision.rule.map(str::to_owned);
        }
    }
}

impl DecisionObserver for Watch {
    fn decided(&self, decision: Decision<'_>) {
        if let Some(current) = &mut self.state().current {
            self.tell_decision(decision, current);
        }
    }
}

impl WaitObserver for Watch {
    fn begun(&self) {
        if let Some(current) = &mut self.state().current {
            current.waits += 1;
            if current.waits == 1 && self.wants.calls {
                let call = current.call(self.instance, Outcome::Waiting);
                self.tell(|observer| observer.waits(&call));
            }
        }
    }

    fn ended(&self, waited: Duration) {
        if let Some(current) = &mut self.state().current {
            current.waited += waited;
        }
    }
}

impl Drop for Watch {
    /// The instance ends, and its descriptors with it.
    fn drop(&mut self) {
        let state = &mut *self.state();
        if let Some(current) = state.current.take()
            && self.wants.calls
        {
            let call = current.call(self.instance, Outcome::Abandoned);
            self.tell(|observer| observer.called(&call));
        }
        let mut left: Vec<(u64, u32)> =
            state.look.sockets.iter().map(|(place, socket)| (socket.serial, *place)).collect();
        left.sort_unstable();
        for (_, place) in left {
            if let Some((socket, last)) = state.look.release(place) {
                self.tell(|observer| observer.closed(self.instance, &socket, last));
            }
        }
        self.tell(|observer| observer.ended(self.instance));
    }
}

/// Before a call.
#[inline]
pub(crate) fn begin<T: WatchedData>(
    store: &mut StoreContextMut<'_, T>,
    function: &'static Function,
    parameters: &impl ShownList,
) {
    #[cold]
    #[inline(never)]
    fn watched<T: WatchedData>(
        store: &mut StoreContextMut<'_, T>,
        watch: Arc<Watch>,
        function: &'static Function,
        parameters: &impl ShownList,
    ) {
        watch.begin(store, function, parameters);
    }

    if let Some(watch) = store.data_mut().watch() {
        let watch = Arc::clone(watch);
        watched(store, watch, function, parameters);
    }
}

/// After a call.
#[inline]
pub(crate) fn end<T: WatchedData>(
    store: &mut StoreContextMut<'_, T>,
    result: &wasmtime::Result<impl ShownList>,
) {
    #[cold]
    #[inline(never)]
    fn watched<T: WatchedData>(
        store: &mut StoreContextMut<'_, T>,
        watch: Arc<Watch>,
        result: &wasmtime::Result<impl ShownList>,
    ) {
        watch.end(store, result);
    }

    if let Some(watch) = store.data_mut().watch() {
        let watch = Arc::clone(watch);
        watched(store, watch, result);
    }
}
