//! The context: the host's state for one guest instance, and the builder that embedders use.

pub(crate) mod preemption;
pub(crate) mod replacement;
pub(crate) mod tls;

use std::any::Any;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable};

use crate::authority::budgets::{Budgets, SharedAccounts};
use crate::authority::gate::{Asker, DecisionObserver, Gate, Granted};
use crate::authority::permit::Judge;
use crate::authority::unix_names::UnixNames;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::buffers::Buffers;
use crate::descriptor::folder::Folder;
use crate::descriptor::in_flight::InFlight;
use crate::descriptor::inherited::{Inheritance, Inherited};
use crate::descriptor::{Descriptor, Handle, Quota, Reservation};
use crate::error::CallResult;
use crate::observe::{self, MissingGrant, MissingGrants, OWN_PLACES, Observer, Watch, WatchedData};
use crate::sys::closer::Closer;
use crate::sys::{LookUpProcess, Resolver};
use crate::tls::TlsSettings;
use crate::wait::parking::Parking;
use crate::wait::pool;
use crate::wait::{HasWaiter, Interrupter, Mode, PollableWaiter, WaitObserver, Waiter};
use preemption::Preemption;
use replacement::PolicyHandle;
use sandsock_policy::{Limits, Policy, TokenBucket};

/// Linux's own limit of a host name (man 2 gethostname: HOST_NAME_MAX).
const HOST_NAME_MAX: usize = 64;

/// What an embedder answers for a missing grant.
type AskForGrants = Arc<dyn Fn(&MissingGrant<'_>) -> Granted + Send + Sync>;

/// Makes the future that ends when standard input can be read.
type StdinReady = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The host's state for one guest instance: its policy, its limits, how it waits.
///
/// The instance's descriptors are in the store's [`ResourceTable`]. Dropping the store closes all
/// of them.
pub struct SandsockCtx {
    pub(crate) gate: Arc<Gate>,
    /// The observers, if there are any.
    watch: Option<Arc<Watch>>,
    pub(crate) waiter: Waiter,
    /// Waits for pollables of WASI, which have no store.
    pub(crate) pollables: Arc<PollableWaiter>,
    /// Reports the grants that calls of `wasi:sockets` lack.
    pub(crate) missing_grants: MissingGrants,
    pub(crate) descriptor_quota: Quota,
    pub(crate) poller_quota: Quota,
    /// The threads of the pools that the instance holds.
    pub(crate) usage: pool::InstanceUsage,
    pub(crate) rights: InFlight,
    lookups: TokenBucket,
    pub(crate) lookup_quota: Quota,
    handshakes: TokenBucket,
    pub(crate) session_quota: Quota,
    /// Where look-ups are made.
    pub(crate) resolver: Resolver,
    pub(crate) real_numbers: bool,
    pub(crate) inheritance: Inheritance,
    /// The names of UNIX sockets that this builder's contexts have left in folders.
    pub(crate) unix_names: UnixNames,
    pub(crate) folders: Arc<[Folder]>,
    /// The host name that the operator gave.
    pub(crate) host_name: Option<String>,
    /// What a thread waits for before it reads standard input.
    pub(crate) stdin_ready: Option<StdinReady>,
    /// The guest's threads that wait for one another.
    pub(crate) parking: Parking,
    pub(crate) preemption: Preemption,
    /// The roots and identities, and the tickets of the instance.
    pub(crate) tls: tls::InstanceTls,
    sent_by_kernel: u64,
    /// The next place of its own by which observers know a socket.
    next_place: u32,
}

impl SandsockCtx {
    /// Starts a builder for a context under this policy.
    pub fn builder(policy: Arc<Policy>) -> SandsockCtxBuilder {
        let usage = pool::PolicyUsage::of(Arc::as_ptr(&policy).addr());
        let accounts = SharedAccounts::of(&policy);
        SandsockCtxBuilder {
            policy,
            mode: Mode::Thread,
            real_numbers: false,
            inheritance: Inheritance::default(),
            unix_names: UnixNames::default(),
            folders: Vec::new(),
            host_name: None,
            stdin_ready: None,
            resolver: Resolver::default(),
            observers: Vec::new(),
            missing_grants: MissingGrants::default(),
            ask_for_grants: None,
            held: Vec::new(),
            tls: TlsSettings::default(),
            instances: Arc::default(),
            instance: None,
            usage,
            accounts,
        }
    }

    /// Returns a handle that ends this context's waits, from any thread.
    pub fn interrupter(&self) -> Interrupter {
        self.waiter.interrupter().clone()
    }

    /// Returns a handle that replaces the policy of this context, from any thread.
    pub fn policy_handle(&self) -> PolicyHandle {
        PolicyHandle::new(self)
    }

    /// Returns the limits of this context. They change when its policy is replaced.
    pub fn limits(&self) -> Limits {
        self.gate.policy().limits().clone()
    }

    /// Takes a look-up from the rate.
    ///
    /// # Errors
    ///
    /// The time until there is one, or [`Duration::MAX`] if there never will be.
    pub(crate) fn take_lookup(&mut self) -> Result<(), Duration> {
        self.lookups.set_rate(self.gate.policy().limits().lookups_per_second);
        self.lookups.take(Instant::now())
    }

    /// Takes the place of a session of TLS, and a handshake from the rate. EMFILE or EDQUOT at a
    /// limit.
    pub(crate) fn begin_session(&mut self) -> Result<Reservation, Errno> {
        self.handshakes.set_rate(self.gate.policy().limits().tls_handshakes);
        let place = self.session_quota.take()?;
        self.handshakes.take(Instant::now()).map_err(|_| Errno::DQUOT)?;
        Ok(place)
    }

    /// Returns how many datagrams were dropped because no grant names their sender.
    ///
    /// The filters of the sockets drop most of them in the kernel. The kernel's count also includes
    /// datagrams that found the queue of a filtered socket full. It does not include drops at a
    /// socket that other processes hold, nor drops of the filter of a raw or ping socket.
    pub fn dropped_datagrams(&self) -> u64 {
        self.gate.dropped_datagrams()
    }

    /// Returns how many bytes of files the kernel sent directly, without this process's or the
    /// guest's memory.
    pub fn file_bytes_sent(&self) -> u64 {
        self.sent_by_kernel
    }

    /// Returns how many descriptors the guest holds.
    pub fn descriptors(&self) -> usize {
        self.descriptor_quota.taken()
    }

    /// Returns how many bytes the kernel holds, or may hold, in the buffers of the guest's sockets,
    /// as last measured.
    pub fn buffer_bytes(&self) -> u64 {
        self.gate.buffers.total()
    }

    /// Returns what is used of the policy's budgets.
    pub fn budgets(&self) -> Budgets {
        self.gate.budgets()
    }

    /// Counts what the kernel may hold for a handle. ENOBUFS above the limit.
    fn count(&self, handle: &Arc<Handle>) -> Result<(), Errno> {
        self.gate.buffers.charge(handle).or_else(|_| {
            // Descriptors in flight that a peer has received no longer count.
            self.rights.sweep();
            self.gate.buffers.charge(handle)
        })
    }

    /// Counts a descriptor that the guest gets, until its number is closed. EMFILE or ENOBUFS at a
    /// limit.
    pub(crate) fn admit(&self, handle: &Arc<Handle>) -> Result<(), Errno> {
        let place = self.descriptor_quota.take()?;
        if self.real_numbers {
            handle.leave_to_process()?;
        } else {
            self.count(handle)?;
        }
        handle.hold(place);
        self.gate.open.add(handle);
        Ok(())
    }

    /// Returns the observers, if there are any.
    pub(crate) fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge::new(&self.gate)
    }

    /// Returns a place for a socket whose streams can outlive its resource.
    pub(crate) fn own_place(&mut self) -> u32 {
        let place = self.next_place;
        self.next_place = place.checked_add(1).unwrap_or(OWN_PLACES);
        place
    }

    pub(crate) fn count_sent_by_kernel(&mut self, bytes: u64) {
        self.sent_by_kernel += bytes;
    }
}

impl std::fmt::Debug for SandsockCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandsockCtx")
            .field("descriptors", &self.descriptor_quota.taken())
            .finish_non_exhaustive()
    }
}

/// Builds one or more [`SandsockCtx`].
#[derive(Clone)]
pub struct SandsockCtxBuilder {
    policy: Arc<Policy>,
    mode: Mode,
    real_numbers: bool,
    inheritance: Inheritance,
    /// All contexts of this builder and its clones share it.
    unix_names: UnixNames,
    folders: Vec<Folder>,
    host_name: Option<String>,
    stdin_ready: Option<StdinReady>,
    resolver: Resolver,
    observers: Vec<Arc<dyn Observer>>,
    /// All contexts of this builder and its clones share it.
    missing_grants: MissingGrants,
    ask_for_grants: Option<AskForGrants>,
    held: Vec<Arc<dyn Any + Send + Sync>>,
    tls: TlsSettings,
    /// How many contexts this builder and its clones have built.
    instances: Arc<AtomicU64>,
    /// The number of the next context, if it is set.
    instance: Option<u64>,
    /// The threads of the pools that all contexts under this policy hold.
    usage: Arc<pool::PolicyUsage>,
    /// The budgets that all contexts under this policy share.
    accounts: Arc<SharedAccounts>,
}

impl std::fmt::Debug for SandsockCtxBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandsockCtxBuilder")
            .field("policy", &self.policy)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl SandsockCtxBuilder {
    /// Waits on the calling thread, in poll(2). This suits one guest on one thread, is the default,
    /// and goes with [`crate::add_to_linker_sync`].
    pub fn wait_on_thread(&mut self) -> &mut Self {
        self.mode = Mode::Thread;
        self
    }

    /// Waits in tokio, with the guest's fiber suspended. This suits many guests on few threads, and
    /// goes with [`crate::add_to_linker_async`]. The guest must run within a tokio runtime with IO
    /// and time enabled.
    pub fn wait_on_fiber(&mut self) -> &mut Self {
        self.mode = Mode::Fiber;
        self
    }

    /// Shows the kernel's own descriptor numbers to the guest, and lets it adopt any number of this
    /// process. This is for running a native test suite against this host, never for a sandbox.
    ///
    /// The descriptors belong to the process, and every context can use them. Dropping one closes
    /// nothing, and the kernel's own blocking mode applies. A signal that interrupts a wait is an
    /// interrupt.
    pub fn real_numbers(&mut self, real: bool) -> &mut Self {
        self.real_numbers = real;
        self
    }

    /// Hands over a descriptor, which the guest takes by this number. The number must not be
    /// negative, and is below 1024 by custom, because guests' own numbers begin there. The policy
    /// must allow `inherit=fd:NUMBER`.
    pub fn inherit(&mut self, number: i32, descriptor: Inherited) -> &mut Self {
        self.inheritance.insert(number, descriptor);
        self
    }

    /// Gives the guest a folder of the host to send files from, under a name of its own. The guest
    /// can read regular files beneath it. No link leads out of it. If one folder's name is inside
    /// another's, the longer name counts.
    ///
    /// # Errors
    ///
    /// The folder can't be opened.
    pub fn folder(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl AsRef<Path>,
    ) -> std::io::Result<&mut Self> {
        self.folders.push(Folder::open(host.as_ref(), guest.as_ref())?);
        Ok(self)
    }

    /// Gives the guest this host name, of 1 to 64 bytes without NUL (man 2 sethostname). The guest
    /// sees it instead of the real name, even if `hostname=read` is granted. Without this call and
    /// without that grant, the guest sees `sandbox`.
    ///
    /// # Errors
    ///
    /// The name is empty, too long, or contains a NUL: `InvalidInput`.
    pub fn host_name(&mut self, name: &str) -> std::io::Result<&mut Self> {
        if name.is_empty() || name.len() > HOST_NAME_MAX || name.contains('\0') {
            let text = format!("a host name has 1 to {HOST_NAME_MAX} bytes and no NUL");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        self.host_name = Some(name.to_owned());
        Ok(self)
    }

    /// Sets the roots and the identities of TLS. Without this call, the system's roots count, and
    /// there is no identity.
    pub fn tls(&mut self, settings: TlsSettings) -> &mut Self {
        self.tls = settings;
        self
    }

    /// Sets what a guest with threads waits for before it reads WASI's standard input: a future that
    /// ends when a read of the stream returns at once. Meanwhile its other threads run. Without it, such
    /// a read stops all threads until it returns.
    pub fn stdin_ready<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        ready: impl Fn() -> F + Send + Sync + 'static,
    ) -> &mut Self {
        self.stdin_ready = Some(Arc::new(move || Box::pin(ready())));
        self
    }

    /// Has names looked up in a process of its own. Without it, they are looked up in this process,
    /// on threads of a pool.
    pub fn look_up_in(&mut self, process: Arc<LookUpProcess>) -> &mut Self {
        self.resolver = Resolver::In(process);
        self
    }

    /// Adds an observer of what the guest does: see [`crate::observe`]. If there are several, each
    /// call is reported to all of them, in the order in which they were added.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) -> &mut Self {
        self.observers.push(observer);
        self
    }

    /// Reports each grant that a call of `wasi:sockets` lacks. The error codes of that package have
    /// no text, so the guest can't say which grant is missing. A grant is reported once for all
    /// contexts of this builder and its clones. Observers get every denial
    /// ([`Observer::decided`]).
    pub fn on_missing_grant(
        &mut self,
        report: impl Fn(&MissingGrant<'_>) + Send + Sync + 'static,
    ) -> &mut Self {
        self.missing_grants.set_report(Arc::new(report));
        self
    }

    /// Asks before a call is denied because a grant is missing. It is asked for each such call, on
    /// the guest's thread, which waits for the answer, and so does every other thread of the guest.
    /// What a rule denies is never asked for, nor is anything that no single grant allows. Datagrams
    /// of senders that no grant names are dropped without a question.
    pub fn ask_for_grants(
        &mut self,
        ask: impl Fn(&MissingGrant<'_>) -> Granted + Send + Sync + 'static,
    ) -> &mut Self {
        self.ask_for_grants = Some(Arc::new(ask));
        self
    }

    /// Keeps a value alive until the context is gone and every descriptor that it left to be closed
    /// is closed. A close can wait for a file system or a socket's SO_LINGER. An embedder that
    /// limits the number of contexts passes each context's permit of its semaphore here.
    pub fn hold(&mut self, held: Arc<dyn Any + Send + Sync>) -> &mut Self {
        self.held.push(held);
        self
    }

    /// Sets the number by which observers know the context. Without it, the contexts of this
    /// builder and its clones are numbered from 1.
    pub fn instance(&mut self, number: u64) -> &mut Self {
        self.instance = Some(number);
        self
    }

    /// Builds the context.
    ///
    /// # Errors
    ///
    /// The process has no free descriptor for the interrupt's eventfd.
    pub fn build(&self) -> std::io::Result<SandsockCtx> {
        let limits = self.policy.limits();
        let instance =
            self.instance.unwrap_or_else(|| self.instances.fetch_add(1, Ordering::Relaxed) + 1);
        let mut observers: Vec<_> = self.observers.iter().cloned().chain(observe::log()).collect();
        let asker = self.ask_for_grants.clone().map(|ask| -> Asker {
            Arc::new(move |denial| {
                let (grant, reason) = (denial.grant.as_deref(), &*denial.reason);
                ask(&MissingGrant { instance, grant, reason })
            })
        });
        if asker.is_some() && observers.is_empty() {
            // A grant that is given once holds for one call, and only observed calls are numbered.
            observers.push(Arc::new(observe::Nobody));
        }
        let usage = pool::InstanceUsage::of(&self.usage);
        let watch =
            Watch::new(instance, &observers, self.real_numbers, limits.transfer_bytes as usize);
        let buffers = Buffers::new(limits.buffer_bytes);
        let wait_observer = watch.clone().map(|watch| watch as Arc<dyn WaitObserver>);
        let decision_observer = watch.clone().map(|watch| watch as Arc<dyn DecisionObserver>);
        let waiter = Waiter::new(self.mode, self.real_numbers, wait_observer)?;
        let policy = Arc::clone(&self.policy);
        let gate = Gate::new(policy, buffers, &self.accounts, decision_observer, asker);
        if let Some(watch) = &watch {
            watch.began(&gate.budgets());
        }
        Ok(SandsockCtx {
            pollables: Arc::new(waiter.for_pollables()),
            waiter,
            missing_grants: self.missing_grants.of_instance(instance),
            descriptor_quota: Quota::new(limits.descriptors as usize),
            poller_quota: Quota::new(limits.pollers as usize),
            rights: InFlight::new(
                limits.rights_in_flight as usize,
                usage.clone(),
                Closer::new(self.held.clone()),
            ),
            usage,
            lookups: TokenBucket::new(
                limits.lookups_per_second,
                limits.lookups_per_second,
                Instant::now(),
            ),
            lookup_quota: Quota::new(limits.lookups_pending as usize),
            handshakes: TokenBucket::new(
                limits.tls_handshakes,
                limits.tls_handshakes,
                Instant::now(),
            ),
            session_quota: Quota::new(limits.tls_sessions as usize),
            resolver: self.resolver.clone(),
            real_numbers: self.real_numbers,
            inheritance: self.inheritance.clone(),
            unix_names: self.unix_names.for_context(),
            folders: self.folders.as_slice().into(),
            host_name: self.host_name.clone(),
            stdin_ready: self.stdin_ready.clone(),
            parking: Parking::new(limits.threads),
            preemption: Preemption::default(),
            tls: tls::InstanceTls::new(self.tls.clone()),
            sent_by_kernel: 0,
            next_place: OWN_PLACES,
            gate: Arc::new(gate),
            watch,
        })
    }
}

/// A context and the table that holds its descriptors.
#[derive(Debug)]
pub struct SandsockCtxView<'a> {
    /// The context.
    pub ctx: &'a mut SandsockCtx,
    /// The store's resource table.
    pub table: &'a mut ResourceTable,
}

/// Implemented by the data of a store, for [`crate::add_to_linker_sync`] and
/// [`crate::add_to_linker_async`].
pub trait SandsockView: Send {
    /// Returns the context and the table.
    fn sandsock(&mut self) -> SandsockCtxView<'_>;
}

impl<T: SandsockView + 'static> HasWaiter for StoreContextMut<'_, T> {
    fn waiter(&mut self) -> &mut Waiter {
        &mut self.data_mut().sandsock().ctx.waiter
    }
}

impl<T: SandsockView> WatchedData for T {
    #[inline]
    fn watch(&mut self) -> Option<&Arc<Watch>> {
        self.sandsock().ctx.watch.as_ref()
    }

    fn table(&mut self) -> &mut ResourceTable {
        self.sandsock().table
    }
}

/// Implemented by a call's store, to reach the context's view.
pub(crate) trait StoreView {
    /// Returns the context and the table.
    fn view(&mut self) -> SandsockCtxView<'_>;
}

impl<T: SandsockView> StoreView for StoreContextMut<'_, T> {
    #[inline]
    fn view(&mut self) -> SandsockCtxView<'_> {
        self.data_mut().sandsock()
    }
}

impl SandsockCtxView<'_> {
    /// Returns the handle of a descriptor. EBADF for an alias.
    pub(crate) fn handle(&self, d: &Resource<Descriptor>) -> CallResult<Arc<Handle>> {
        Ok(Arc::clone(self.table.get(d)?.handle()?))
    }

    /// Returns the handle, also for an alias.
    pub(crate) fn referred(&self, d: &Resource<Descriptor>) -> CallResult<Arc<Handle>> {
        self.table.get(d)?.referred()
    }

    /// Returns the handle for a transfer of plain bytes, also for an alias. A socket with a session
    /// of TLS is EOPNOTSUPP. A socket on which only TLS may move bytes is denied.
    pub(crate) fn for_transfer(&self, d: &Resource<Descriptor>) -> CallResult<Arc<Handle>> {
        let handle = self.referred(d)?;
        self.ctx.judge().plain_bytes(&handle)?;
        Ok(handle)
    }

    /// Returns the handle and the kind of a socket. ENOTSOCK for other files.
    pub(crate) fn socket_of(
        &self,
        d: &Resource<Descriptor>,
    ) -> CallResult<(Arc<Handle>, SocketKind)> {
        let handle = self.handle(d)?;
        let kind = handle.socket()?;
        Ok((handle, kind))
    }

    /// Puts a descriptor into the table. EMFILE or ENOBUFS at a limit.
    pub(crate) fn push(&mut self, handle: Arc<Handle>) -> CallResult<Resource<Descriptor>> {
        self.ctx.admit(&handle)?;
        Ok(self.table.push(Descriptor::new(handle))?)
    }

    /// Wraps a socket that the host has just made.
    pub(crate) fn own_socket(
        &mut self,
        fd: OwnedFd,
        kind: SocketKind,
        nonblocking: bool,
    ) -> CallResult<Resource<Descriptor>> {
        let handle = Handle::own(fd, kind, nonblocking, &self.ctx.rights);
        self.push(handle)
    }

    /// Returns EMFILE if `count` more descriptors would exceed the limit `descriptors`. It is
    /// checked before the kernel makes them.
    pub(crate) fn room_for(&self, count: usize) -> Result<(), Errno> {
        self.ctx.descriptor_quota.room_for(count)
    }
}
