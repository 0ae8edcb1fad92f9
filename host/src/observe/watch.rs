//! The watch of one context, which reports its calls, decisions and waits to the observers.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::ResourceTable;

use super::numbers::{DescriptorNumbers, Place};
use super::value::{Bytes, CallError, ToValues, Value, ValueBuilder};
use super::{Call, CallOutcome, Function, Interest, Observer, Socket};
use crate::authority::budgets::Budgets;
use crate::authority::gate::DecisionObserver;
use crate::bindings::sandsock::socket::types::Error;
use crate::descriptor::Handle;
use crate::wait::WaitObserver;
use sandsock_policy::{Decision, Denial, Verdict};

/// The function of `wasi:sockets` 0.2 that ends a connect. If it was denied, the decision was
/// reported when it began.
const FINISH_CONNECT: &str = "[method]tcp-socket.finish-connect";

/// Reports what one context does to its observers.
pub(crate) struct Watch {
    instance: u64,
    observers: Vec<Arc<dyn Observer>>,
    interest: Interest,
    /// The number of bytes of one call that are copied at most.
    most: usize,
    state: Mutex<State>,
}

struct State {
    builder: ValueBuilder,
    current: Option<Current>,
    /// How many calls have begun.
    calls: u64,
    /// The waits of pollables that no call has reported yet, by the place of their socket.
    pollable_waits: HashMap<Option<u32>, Waits>,
}

/// How often something waited, and for how long.
#[derive(Debug, Clone, Copy, Default)]
struct Waits {
    count: u32,
    time: Duration,
}

impl AddAssign for Waits {
    fn add_assign(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.time += other.time;
    }
}

/// Implemented by the data of a store whose calls can be observed.
pub(crate) trait WatchedData: Send {
    /// Returns the watch of the store's context, if there are observers.
    fn watch(&mut self) -> Option<&Arc<Watch>>;

    /// Returns the table with the store's descriptors.
    fn table(&mut self) -> &mut ResourceTable;
}

/// The call that is under way. There is one at a time, because a store is lent to one host function
/// at a time. An async function of the Component Model gives the store back while it waits: see
/// [`Suspended`].
struct Current {
    function: &'static Function,
    arguments: Vec<(&'static str, Value)>,
    /// The place of the first descriptor in the table, and what was known of it before the call.
    place: Option<u32>,
    socket: Option<Socket>,
    denied: bool,
    denied_by: Option<String>,
    time: SystemTime,
    start: Instant,
    /// The waits of the call itself.
    waits: Waits,
    /// Those of the pollables of its descriptor before it.
    pollable_waits: Waits,
}

impl Current {
    fn call<'a>(&'a self, instance: u64, outcome: CallOutcome<'a>) -> Call<'a> {
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
            waits: self.waits.count.saturating_add(self.pollable_waits.count),
            waited: self.waits.time + self.pollable_waits.time,
        }
    }
}

/// The names of the functions by which a stream is read and written.
pub(crate) struct StreamFunctions {
    pub(crate) read: &'static str,
    pub(crate) write: &'static str,
}

/// What a stream did. Its functions belong to WASI's own interfaces, and have no store.
pub(crate) enum Transfer<'a> {
    Received { asked: usize, result: Result<&'a [u8], Errno> },
    Sent { data: &'a [u8], result: Result<usize, Errno> },
}

impl Watch {
    /// Makes the watch of a context. None if there are no observers.
    ///
    /// `most` is the instance's limit of one transfer. No more bytes of a call are copied, even if
    /// an observer is interested in more.
    pub(crate) fn new(
        instance: u64,
        observers: &[Arc<dyn Observer>],
        real_numbers: bool,
        most: usize,
    ) -> Option<Arc<Self>> {
        let interest = observers.iter().map(|observer| observer.interest()).reduce(Interest::or)?;
        let numbers = DescriptorNumbers::new(interest.addresses, real_numbers);
        let builder = ValueBuilder::new(interest.bytes.min(most), numbers);
        let pollable_waits = HashMap::new();
        let state = Mutex::new(State { builder, current: None, calls: 0, pollable_waits });
        Some(Arc::new(Self { instance, observers: observers.to_vec(), interest, most, state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a method of each observer.
    fn each(&self, report: impl Fn(&dyn Observer)) {
        self.observers.iter().for_each(|observer| report(&**observer));
    }

    fn begin<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        function: &'static Function,
        parameters: &impl ToValues,
    ) {
        let state = &mut *self.state();
        state.builder.reset(self.most);
        let values = if self.interest.calls {
            parameters.to_values(store, &mut state.builder)
        } else {
            Vec::new()
        };
        let numbers = &mut state.builder.numbers;
        let place = parameters.first_place(store.data_mut().table()).map(|place| {
            let index = place.index;
            numbers.number(place);
            // A connect that went on in the background may have ended since the last call.
            numbers.refresh(index);
            index
        });
        if let Some(handle) = place.and_then(|place| numbers.handle(place)) {
            let count = handle.open.filter.newly_dropped(handle.fd());
            if let Some(socket) = numbers.get(place).filter(|_| count > 0) {
                self.each(|observer| observer.dropped(self.instance, socket, count));
            }
        }
        for (socket, last) in numbers.release_lingering() {
            self.each(|observer| observer.closed(self.instance, &socket, last));
        }
        numbers.begin_call();
        let pollable_waits = state.pollable_waits.remove(&place).unwrap_or_default();
        state.calls += 1;
        state.current = Some(Current {
            function,
            arguments: function.parameters.iter().copied().zip(values).collect(),
            place,
            socket: numbers.get(place).cloned(),
            denied: false,
            denied_by: None,
            time: SystemTime::now(),
            start: Instant::now(),
            waits: Waits::default(),
            pollable_waits,
        });
    }

    fn end<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        result: &wasmtime::Result<impl ToValues>,
        cause: Option<&Error>,
    ) {
        let state = &mut *self.state();
        let Some(mut current) = state.current.take() else { return };
        let took = current.start.elapsed();
        state.builder.reset(self.most);
        let (value, trap) = match result {
            // A descriptor in the result gets its number, even if no observer wants calls.
            Ok(result) => {
                (result.to_values(store, &mut state.builder).pop().unwrap_or(Value::Unit), None)
            }
            Err(trap) => (Value::Unit, Some(format!("{trap:#}"))),
        };
        let value = match cause {
            Some(error) => Value::Failed(CallError::from(error)),
            None => value,
        };
        let is_reported = current.denied || current.function.name == FINISH_CONNECT;
        if let (Value::Failed(CallError::Denied { grant, reason }), false) = (&value, is_reported) {
            // The denial does not come from a rule of the policy. For example, a folder was changed
            // during bind.
            let (verb, target) = grant
                .as_deref()
                .and_then(|grant| grant.split_once('='))
                .unwrap_or((current.function.name, ""));
            let denial = Denial::new(reason.clone());
            let decision = Decision::denied(SystemTime::now(), verb, target.to_owned(), &denial);
            self.report_decision(decision, &mut current);
        }
        let numbers = &mut state.builder.numbers;
        let mut released = None;
        if let Some(place) = current.place {
            if numbers.is_open(place, store.data_mut().table()) {
                numbers.refresh(place);
                if current.function.name.starts_with("[resource-drop]") {
                    numbers.linger(place);
                }
            } else {
                released = numbers.release(place);
                state.pollable_waits.remove(&Some(place));
            }
        }
        if self.interest.calls {
            let outcome = match &trap {
                Some(reason) => CallOutcome::Trapped(reason),
                None => CallOutcome::Done(&value),
            };
            let denied_by = current.denied_by.take();
            let call = Call {
                socket_after: numbers.get(current.place),
                made: numbers.made(),
                denied_by: denied_by.as_deref(),
                took,
                ..current.call(self.instance, outcome)
            };
            self.each(|observer| observer.called(&call));
        }
        if let Some((socket, last)) = released {
            self.each(|observer| observer.closed(self.instance, &socket, last));
        }
    }

    /// Reports a system call of a stream as a call of its function. It began at `start`.
    pub(crate) fn transferred(
        &self,
        socket: (u32, &Arc<Handle>),
        functions: &StreamFunctions,
        transfer: &Transfer<'_>,
        start: (SystemTime, Instant),
    ) {
        if !self.interest.calls {
            return;
        }
        let state = &mut *self.state();
        let builder = &mut state.builder;
        builder.reset(self.most);
        let (place, handle) = socket;
        let number =
            builder.numbers.number(Place { index: place, handle: Some(Arc::clone(handle)) });
        builder.numbers.refresh(place);
        let mut bytes = |bytes: &[u8]| {
            let most = builder.take_bytes(bytes.len());
            Value::Bytes(Bytes::cut(bytes, most))
        };
        let failed = |errno: &Errno| Value::Failed(CallError::Os(errno.raw_os_error()));
        let (function, argument, value) = match transfer {
            Transfer::Received { asked, result } => (
                functions.read,
                ("len", Value::Integer(*asked as i128)),
                result.as_ref().map_or_else(failed, |data| bytes(data)),
            ),
            Transfer::Sent { data, result } => (
                functions.write,
                ("contents", bytes(data)),
                result.as_ref().map_or_else(failed, |count| Value::Integer(*count as i128)),
            ),
        };
        let numbers = &state.builder.numbers;
        let waits = state.pollable_waits.remove(&Some(place)).unwrap_or_default();
        let (time, start) = start;
        let call = Call {
            instance: self.instance,
            interface: "streams",
            function,
            arguments: &[("self", Value::Descriptor(number)), argument],
            socket: numbers.get(Some(place)),
            socket_after: numbers.get(Some(place)),
            made: None,
            outcome: CallOutcome::Done(&value),
            denied_by: None,
            time,
            took: start.elapsed(),
            waits: waits.count,
            waited: waits.time,
        };
        self.each(|observer| observer.called(&call));
    }

    fn wait_begins(&self, current: &mut Current) {
        current.waits.count += 1;
        if current.waits.count == 1 && self.interest.calls {
            let call = current.call(self.instance, CallOutcome::Waiting);
            self.each(|observer| observer.waits(&call));
        }
    }

    /// Reports a call that ends without a result.
    fn abandoned(&self, current: &Current) {
        if self.interest.calls {
            let call = current.call(self.instance, CallOutcome::Abandoned);
            self.each(|observer| observer.called(&call));
        }
    }

    fn report_decision(&self, decision: Decision<'_>, current: &mut Current) {
        let socket = current.socket.as_ref();
        let decision = match decision.family {
            Some(_) => decision,
            None => decision.on(socket.and_then(|socket| socket.kind)),
        };
        let decision =
            Decision { instance: self.instance, call: Some(current.function.name), ..decision };
        self.each(|observer| observer.decided(&decision, socket));
        if decision.decision == Verdict::Deny {
            current.denied = true;
            current.denied_by = decision.rule.map(str::to_owned);
        }
    }
}

impl DecisionObserver for Watch {
    fn decided(&self, decision: Decision<'_>) {
        match &mut self.state().current {
            Some(current) => self.report_decision(decision, current),
            // A pollable of WASI has looked at a queue.
            None => self.each(|observer| {
                observer.decided(&Decision { instance: self.instance, ..decision.clone() }, None);
            }),
        }
    }

    fn call(&self) -> u64 {
        self.state().calls
    }
}

impl WaitObserver for Watch {
    fn begun(&self) {
        if let Some(current) = &mut self.state().current {
            self.wait_begins(current);
        }
    }

    fn ended(&self, waited: Duration) {
        if let Some(current) = &mut self.state().current {
            current.waits.time += waited;
        }
    }
}

impl Watch {
    /// Reports that the instance begins.
    pub(crate) fn began(&self, budgets: &Budgets) {
        self.each(|observer| observer.began(self.instance, budgets));
    }
}

impl Drop for Watch {
    /// Reports the end of the instance and of its descriptors.
    fn drop(&mut self) {
        let state = &mut *self.state();
        if let Some(current) = state.current.take() {
            self.abandoned(&current);
        }
        for (socket, last) in state.builder.numbers.release_all() {
            self.each(|observer| observer.closed(self.instance, &socket, last));
        }
        self.each(|observer| observer.ended(self.instance));
    }
}

/// Counts waits without a call of their own, those of a pollable or of a stream. The next call that
/// is about their socket reports them.
#[derive(Clone)]
pub(crate) struct PollableWaits(Option<(Arc<Watch>, Option<u32>)>);

impl PollableWaits {
    /// Counts the waits of a pollable of the socket at this place, or of none. They are counted if
    /// there are observers.
    pub(crate) fn new(watch: Option<&Arc<Watch>>, place: Option<u32>) -> Self {
        Self(watch.map(|watch| (Arc::clone(watch), place)))
    }

    /// A wait begins. None if nobody observes it.
    pub(crate) fn begin(&self) -> Option<PollableWait> {
        let (watch, place) = self.0.as_ref()?;
        Some(PollableWait { watch: Arc::clone(watch), place: *place, since: Instant::now() })
    }

    /// Waits for a future. The guest can drop the wait before its end.
    pub(crate) async fn during<R>(&self, future: impl Future<Output = R>) -> R {
        if self.0.is_none() {
            return future.await;
        }
        let mut wait = None;
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let poll = future.as_mut().poll(cx);
            if poll.is_pending() && wait.is_none() {
                wait = self.begin();
            }
            poll
        })
        .await
    }
}

/// A wait without a call. It ends with the drop.
pub(crate) struct PollableWait {
    watch: Arc<Watch>,
    place: Option<u32>,
    since: Instant,
}

impl Drop for PollableWait {
    fn drop(&mut self) {
        let wait = Waits { count: 1, time: self.since.elapsed() };
        *self.watch.state().pollable_waits.entry(self.place).or_default() += wait;
    }
}

/// A call that has given the store back, and waits while the guest makes other calls. The drop
/// reports that the guest has cancelled the call.
pub(crate) struct Suspended {
    watch: Arc<Watch>,
    /// In a box, because every async call has room for it and few are observed.
    current: Option<Box<Current>>,
}

impl Suspended {
    /// Makes it the current call again.
    pub(crate) fn resume(mut self) {
        self.watch.state().current = self.current.take().map(|current| *current);
    }

    /// Reports that the call begins to wait.
    pub(crate) fn wait_begins(&mut self) {
        if let Some(current) = &mut self.current {
            self.watch.wait_begins(current);
        }
    }

    /// Counts the time of a wait that has ended.
    pub(crate) fn wait_ended(&mut self, waited: Duration) {
        if let Some(current) = &mut self.current {
            current.waits.time += waited;
        }
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let Some(current) = self.current.take() {
            let _state = self.watch.state();
            self.watch.abandoned(&current);
        }
    }
}

/// Takes the call that is under way, if it is observed.
pub(crate) fn suspend<T: WatchedData>(store: &mut StoreContextMut<'_, T>) -> Option<Suspended> {
    let watch = store.data_mut().watch()?;
    let current = watch.state().current.take()?;
    Some(Suspended { watch: Arc::clone(watch), current: Some(Box::new(current)) })
}

/// Reports that a call begins, if it is observed.
#[inline]
pub(crate) fn begin<T: WatchedData>(
    store: &mut StoreContextMut<'_, T>,
    function: &'static Function,
    parameters: &impl ToValues,
) {
    #[cold]
    #[inline(never)]
    fn watched<T: WatchedData>(
        store: &mut StoreContextMut<'_, T>,
        watch: Arc<Watch>,
        function: &'static Function,
        parameters: &impl ToValues,
    ) {
        watch.begin(store, function, parameters);
    }

    if let Some(watch) = store.data_mut().watch() {
        let watch = Arc::clone(watch);
        watched(store, watch, function, parameters);
    }
}

/// Reports that a call has ended, if it is observed. A `cause` says more than the error in the
/// result.
#[inline]
pub(crate) fn end<T: WatchedData>(
    store: &mut StoreContextMut<'_, T>,
    result: &wasmtime::Result<impl ToValues>,
    cause: Option<&Error>,
) {
    #[cold]
    #[inline(never)]
    fn watched<T: WatchedData>(
        store: &mut StoreContextMut<'_, T>,
        watch: Arc<Watch>,
        result: &wasmtime::Result<impl ToValues>,
        cause: Option<&Error>,
    ) {
        watch.end(store, result, cause);
    }

    if let Some(watch) = store.data_mut().watch() {
        let watch = Arc::clone(watch);
        watched(store, watch, result, cause);
    }
}
