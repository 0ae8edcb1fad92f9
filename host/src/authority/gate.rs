//! The gate, which asks the policy for one instance and reports each decision to the observers.
//!
//! A policy that only observes ([`Policy::observing`]) allows everything that no rule denies. The
//! gate then asks the policy that would be enforced too, and reports what that one would deny.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};

use crate::authority::budgets::{self, Accounts, Budgets, SharedAccounts};
use crate::authority::filter::{self, Filters};
use crate::bindings::sandsock::socket::types::Error;
use crate::descriptor::account::Account;
use crate::descriptor::buffers::Buffers;
use crate::descriptor::open_list::OpenList;
use crate::error::{CallResult, Fault};
use sandsock_policy::{
    Allowed, Decision, Denial, LocalAddress, Pins, Policy, Request, SocketArguments, TlsRequest,
    TlsTerms, UnixRoute, UnixTarget, Verb,
};

/// Gets the decisions of one instance, as it makes them.
pub(crate) trait DecisionObserver: Send + Sync {
    /// The policy has decided, within the call that is under way.
    fn decided(&self, decision: Decision<'_>);

    /// Returns the number of the call that is under way.
    fn call(&self) -> u64;
}

/// What an embedder answers to the question whether a missing grant is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// It is not given: the call is denied.
    No,
    /// It is given for the call that needs it.
    Once,
    /// It is given from now on, as if it were a rule of the policy.
    ForThisRun,
}

/// Answers whether the missing grant of a denial is given.
pub(crate) type Asker = Arc<dyn Fn(&Denial) -> Granted + Send + Sync>;

/// The grants that were given once: for the call with this number.
#[derive(Default)]
struct GivenOnce {
    call: u64,
    grants: Vec<String>,
}

/// The policy of one instance, and what its decisions depend on.
///
/// Pollables of WASI use it without the store, so it is shared. Its locks are contended only while
/// the embedder exchanges the policy, because a store is lent to one call or one wait at a time.
pub(crate) struct Gate {
    policy: ArcSwap<Policy>,
    /// The policy's limit `transfer-bytes`. Each send and receive of bytes reads it, and nothing
    /// else of the policy.
    transfer_bytes: AtomicUsize,
    /// Held while the policy is exchanged.
    exchange: Mutex<()>,
    pins: Arc<PinTable>,
    /// A granted name whose pinned addresses had expired when the last decision was made.
    expired_name: Mutex<Option<String>>,
    observer: Option<Arc<dyn DecisionObserver>>,
    /// Who is asked before a call is denied because a grant is missing.
    asker: Option<Asker>,
    given_once: Mutex<GivenOnce>,
    /// The accounts of the policy's budgets, which are exchanged with it.
    accounts: Arc<ArcSwap<Accounts>>,
    /// Those that instances under one policy share.
    shared: Arc<SharedAccounts>,
    /// Whether there are accounts, or were under a former policy: open connections keep theirs.
    has_budgets: AtomicBool,
    /// Whether some accounts are of datagrams.
    has_datagram_budgets: AtomicBool,
    /// The memory that the kernel holds for the instance.
    pub(crate) buffers: Arc<Buffers>,
    /// The filters of the instance's sockets.
    pub(crate) filters: Filters,
    /// The descriptors of the guest.
    pub(crate) open: OpenList,
    /// The datagrams that the host dropped because no grant names their senders.
    dropped_datagrams: AtomicU64,
}

impl Gate {
    pub(crate) fn new(
        policy: Arc<Policy>,
        buffers: Arc<Buffers>,
        shared: &Arc<SharedAccounts>,
        observer: Option<Arc<dyn DecisionObserver>>,
        asker: Option<Asker>,
    ) -> Self {
        let gate = Self {
            accounts: Arc::default(),
            shared: Arc::clone(shared),
            has_budgets: AtomicBool::new(false),
            has_datagram_budgets: AtomicBool::new(false),
            policy: ArcSwap::new(policy),
            transfer_bytes: AtomicUsize::new(0),
            exchange: Mutex::default(),
            pins: Arc::new(PinTable { pins: OnceLock::new(), none: Pins::new(Instant::now()) }),
            expired_name: Mutex::default(),
            observer,
            asker,
            given_once: Mutex::default(),
            buffers,
            filters: Filters::default(),
            open: OpenList::default(),
            dropped_datagrams: AtomicU64::new(0),
        };
        gate.follow_policy();
        gate
    }

    /// Takes over what a new policy says of limits, and opens the accounts of its budgets.
    fn follow_policy(&self) {
        let policy = self.policy();
        self.transfer_bytes.store(policy.limits().transfer_bytes as usize, Ordering::Relaxed);
        let accounts =
            Accounts::new(&policy, &self.shared, &self.accounts.load(), self.observer.as_ref());
        if !accounts.is_empty() {
            self.has_budgets.store(true, Ordering::Relaxed);
        }
        self.has_datagram_budgets.store(accounts.has_datagrams(), Ordering::Relaxed);
        self.accounts.store(Arc::new(accounts));
    }

    /// Returns the policy of this moment.
    #[inline]
    pub(crate) fn policy(&self) -> Guard<Arc<Policy>> {
        self.policy.load()
    }

    /// Returns the most bytes of a stream that one system call moves.
    #[inline]
    pub(crate) fn transfer_bytes(&self) -> usize {
        self.transfer_bytes.load(Ordering::Relaxed)
    }

    /// Puts another policy in the place of this one. From then on, the new policy decides. A pin
    /// stays only if the new policy has a rule about its name.
    pub(crate) fn exchange(&self, make: impl FnOnce(&Policy) -> Policy) {
        let _one_at_a_time = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = Arc::new(make(&self.policy()));
        self.policy.store(Arc::clone(&policy));
        self.follow_policy();
        if self.pins.pins.get().is_some() {
            self.pins_to_change().retain(|name| policy.concerns_name(name));
        }
    }

    /// Returns a gate with the same policy and pins that reports nothing, for questions that belong
    /// to no call of the guest.
    pub(crate) fn unobserved(&self) -> Self {
        Self {
            pins: Arc::clone(&self.pins),
            ..Self::new(
                self.policy.load_full(),
                Arc::clone(&self.buffers),
                &self.shared,
                None,
                None,
            )
        }
    }

    /// Reads the pins.
    pub(crate) fn with_pins<R>(&self, read: impl FnOnce(&Pins) -> R) -> R {
        match self.pins.pins.get() {
            Some(pins) => read(&pins.lock().unwrap_or_else(PoisonError::into_inner)),
            None => read(&self.pins.none),
        }
    }

    /// Returns the pins, for a look-up that adds some.
    pub(crate) fn pins_to_change(&self) -> MutexGuard<'_, Pins> {
        let PinTable { pins, none } = &*self.pins;
        let pins = pins.get_or_init(|| Mutex::new(Pins::new(none.origin())));
        pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name whose pinned addresses had expired when the last decision was made.
    pub(crate) fn take_expired_name(&self) -> Option<String> {
        self.expired_name.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the policy of this moment. Nothing is reported.
    pub(crate) fn ask<'p>(
        &self,
        policy: &'p Policy,
        request: &Request<'_>,
    ) -> Result<Allowed<'p>, Denial> {
        self.with_pins(|pins| policy.decide(request, pins, decision_time(pins)))
    }

    /// Asks whether the missing grant of a denial is given. Returns the policy that has it. None if
    /// the denial stands.
    ///
    /// The guest's thread waits for the answer, and with it every thread of the guest.
    pub(crate) fn with_missing<T>(&self, answer: &Result<T, Denial>) -> Option<Arc<Policy>> {
        let (asker, denial) = (self.asker.as_ref()?, answer.as_ref().err()?);
        // A name whose pin has expired is looked up once more before the answer counts.
        let askable = denial.rule.is_none() && denial.expired_name.is_none();
        let grant = denial.grant.as_deref().filter(|_| askable)?;
        let call = self.observer.as_ref().map_or(0, |observer| observer.call());
        let granting = |policy: &Policy| policy.granting([grant], &|path| path.canonicalize()).ok();
        let is_given = {
            let once = self.given_once.lock().unwrap_or_else(PoisonError::into_inner);
            once.call == call && once.grants.iter().any(|given| given == grant)
        };
        match if is_given { Granted::Once } else { asker(denial) } {
            Granted::No => None,
            Granted::Once => {
                let mut once = self.given_once.lock().unwrap_or_else(PoisonError::into_inner);
                if once.call != call {
                    *once = GivenOnce { call, grants: Vec::new() };
                }
                if !is_given {
                    once.grants.push(grant.to_owned());
                }
                granting(&self.policy()).map(Arc::new)
            }
            Granted::ForThisRun => {
                granting(&self.policy())?;
                self.exchange(|former| {
                    granting(former).unwrap_or_else(|| former.clone()).following(former)
                });
                filter::follow_policy(self);
                Some(self.policy.load_full())
            }
        }
    }

    /// Returns the account of the rule that allows a request. None if it has no budget.
    pub(crate) fn account(&self, request: &Request<'_>) -> Option<Arc<Account>> {
        if !self.has_budgets() {
            return None;
        }
        let (mut policy, mut accounts) = (self.policy(), self.accounts.load());
        if policy.generation() != accounts.generation() {
            // They are being exchanged.
            let _exchanged = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
            (policy, accounts) = (self.policy(), self.accounts.load());
        }
        accounts.get(self.ask(budgets::enforced(&policy), request).ok()?.budget?)
    }

    /// Returns whether the policy has budgets, or a former one had.
    #[inline]
    pub(crate) fn has_budgets(&self) -> bool {
        self.has_budgets.load(Ordering::Relaxed)
    }

    /// Returns whether the policy has budgets for datagrams, which are charged by their addresses.
    #[inline]
    pub(crate) fn has_datagram_budgets(&self) -> bool {
        self.has_datagram_budgets.load(Ordering::Relaxed)
    }

    /// Returns what is used of the budgets.
    pub(crate) fn budgets(&self) -> Budgets {
        Budgets::new(&self.accounts)
    }

    /// Returns whether an observer gets the decisions.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Reports a decision to the observer. The decision is built only if there is one.
    pub(crate) fn report<'a>(&self, decision: impl FnOnce(SystemTime) -> Decision<'a>) {
        if let Some(observer) = &self.observer {
            observer.decided(decision(SystemTime::now()));
        }
    }

    /// Reports an answer of the policy. If the policy only observes and lets something pass, `ask`
    /// asks the policy that would be enforced, and the report has its answer.
    pub(crate) fn report_answer<'p>(
        &self,
        policy: &'p Policy,
        answer: &Result<Allowed<'p>, Denial>,
        ask: impl FnOnce(&'p Policy, &Pins) -> Result<Allowed<'p>, Denial>,
        record: impl for<'r> FnOnce(SystemTime, &'r Result<Allowed<'r>, Denial>) -> Decision<'r>,
    ) {
        if !self.is_observed() {
            return;
        }
        let enforced = policy.enforced().filter(|_| answer.is_ok());
        let enforced = enforced.map(|policy| self.with_pins(|pins| ask(policy, pins)));
        // The host would look up once more a name whose pin has expired.
        let expired = |answer: &Result<_, Denial>| {
            answer.as_ref().is_err_and(|denial| denial.expired_name.is_some())
        };
        self.report(|time| match enforced.as_ref().filter(|answer| !expired(answer)) {
            Some(enforced) => record(time, enforced).passed(),
            None => record(time, answer),
        });
    }

    /// Reports something that the policy lets pass because it only observes, if the policy that
    /// would be enforced denies it.
    pub(crate) fn report_passed(
        &self,
        verb: Verb,
        target: impl FnOnce() -> String,
        ask: impl FnOnce(&Policy) -> Option<Denial>,
    ) {
        let policy = self.policy();
        if let Some(denial) = policy.enforced().filter(|_| self.is_observed()).and_then(ask) {
            self.report(|time| Decision::denied(time, verb.name(), target(), &denial).passed());
        }
    }

    /// Reports a denial, and returns it as the call's error.
    pub(crate) fn denied(&self, verb: Verb, target: impl Into<String>, denial: Denial) -> Fault {
        self.report(|time| Decision::denied(time, verb.name(), target.into(), &denial));
        denial.into()
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped_datagrams.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many datagrams the host and the sockets' filters dropped.
    pub(crate) fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams.load(Ordering::Relaxed) + self.filters.dropped()
    }

    /// Returns the ways to walk to a UNIX path.
    pub(crate) fn unix_route(&self, verb: Verb, path: &[u8]) -> CallResult<Vec<UnixRoute>> {
        let routes = self.policy().unix_route(verb, path);
        let routes = match self.with_missing(&routes) {
            Some(policy) => policy.unix_route(verb, path),
            None => routes,
        };
        if let Err(denial) = &routes {
            self.report(|time| {
                Decision::denied(time, verb.name(), unix_request(verb, path).to_string(), denial)
            });
        }
        Ok(routes?)
    }

    /// Reports that the walk to a UNIX path ended where a rule allows it. If the policy only
    /// observes, `walk` walks the ways of the policy that would be enforced.
    pub(crate) fn walked(
        &self,
        verb: Verb,
        path: &[u8],
        walk: impl FnOnce(&[UnixRoute]) -> CallResult<()>,
    ) {
        if !self.is_observed() {
            return;
        }
        let request = unix_request(verb, path);
        let policy = &self.policy();
        // What was granted for this call alone has no rule.
        let free = Allowed::FREE;
        let answer = Ok(self.ask(policy, &request).unwrap_or(free));
        self.report_answer(
            policy,
            &answer,
            |policy, pins| {
                let allowed = policy.decide(&request, pins, decision_time(pins))?;
                match walk(&policy.unix_route(verb, path)?) {
                    Ok(()) => Ok(allowed),
                    Err(Fault::Error(Error::Denied(denied))) => Err(Denial::new(denied.reason)),
                    // The walk without a rule has succeeded, so a rule's folder is in the way.
                    Err(_) => Err(Denial::new(format!(
                        "{verb} to {request} is denied: its path leads out of the granted folder"
                    ))),
                }
            },
            |time, answer| Decision::of_request(time, &request, answer),
        );
    }

    /// Asks the policy.
    pub(crate) fn decide(&self, request: &Request<'_>) -> CallResult<()> {
        self.decide_about(request, None)
    }

    /// Asks the policy. The report names this socket, or that of the call if it is None.
    pub(crate) fn decide_about(
        &self,
        request: &Request<'_>,
        socket: Option<SocketArguments>,
    ) -> CallResult<()> {
        let policy = self.policy();
        let result = self.ask(&policy, request);
        let wider = self.with_missing(&result);
        let policy = wider.as_deref().unwrap_or(&policy);
        let result = if wider.is_some() { self.ask(policy, request) } else { result };
        self.report_answer(
            policy,
            &result,
            |policy, pins| policy.decide(request, pins, decision_time(pins)),
            |time, answer| Decision::of_request(time, request, answer).on(socket),
        );
        result.map(drop).map_err(|mut denial| {
            *self.expired_name.lock().unwrap_or_else(PoisonError::into_inner) =
                denial.expired_name.take();
            denial.into()
        })
    }

    /// Reports the answer to a request.
    pub(crate) fn report_request<'p>(
        &self,
        policy: &'p Policy,
        request: &Request<'_>,
        answer: &Result<Allowed<'p>, Denial>,
    ) {
        self.report_answer(
            policy,
            answer,
            |policy, pins| policy.decide(request, pins, decision_time(pins)),
            |time, answer| Decision::of_request(time, request, answer),
        );
    }

    /// Returns whether a rule grants a request, or everything is allowed. Without the grant nothing
    /// is denied, but done in another way. So a policy that only observes grants no more than if it
    /// were enforced.
    pub(crate) fn grants(&self, request: &Request<'_>) -> bool {
        match self.policy().enforced() {
            Some(enforced) => {
                self.with_pins(|pins| enforced.decide(request, pins, decision_time(pins))).is_ok()
            }
            None => self.would_allow(request),
        }
    }

    /// Returns whether the policy would allow a request. No decision follows from the answer alone,
    /// so it is not reported.
    pub(crate) fn would_allow(&self, request: &Request<'_>) -> bool {
        self.ask(&self.policy(), request).is_ok()
    }

    /// Returns whether the policy allows a request. Only what passes because the policy only
    /// observes is reported: without the grant nothing is denied, but hidden.
    pub(crate) fn lets_pass(&self, request: &Request<'_>) -> bool {
        let passes = self.would_allow(request);
        if passes {
            self.report_passed(
                request.verb(),
                || request.to_string(),
                |policy| {
                    self.with_pins(|pins| policy.decide(request, pins, decision_time(pins))).err()
                },
            );
        }
        passes
    }

    /// Asks the policy again, with what the kernel has chosen. Only a denial is reported, because
    /// the first decision allowed the request.
    pub(crate) fn decide_again(&self, request: &Request<'_>) -> CallResult<()> {
        if self.would_allow(request) { Ok(()) } else { self.decide(request) }
    }

    /// Returns whether only a grant is missing. Then no rule denies the request, and another grant
    /// may allow it.
    pub(crate) fn lacks_grant(&self, request: &Request<'_>) -> bool {
        match self.ask(&self.policy(), request) {
            Ok(_) => !self.grants(request),
            Err(denial) => denial.rule.is_none(),
        }
    }

    /// Returns what allows a connection on which TLS moves the bytes, or its session.
    pub(crate) fn tls_requests(asked: TlsRequest<'_>) -> [Request<'_>; 3] {
        [Request::TlsConnect(asked), Request::TlsUpgrade(asked), Request::TlsInsecure(asked)]
    }

    /// Asks for a connection on which TLS moves the bytes, or for its session. Returns the request
    /// that is allowed.
    pub(crate) fn decide_tls<'a>(
        &self,
        to: SocketAddr,
        asked: TlsRequest<'a>,
    ) -> CallResult<Request<'a>> {
        self.not_denied(&Request::TcpConnect(to))?;
        let [first, others @ ..] = Self::tls_requests(asked);
        let other = others.into_iter().find(|request| self.would_allow(request));
        let request = match other {
            Some(other) if !self.would_allow(&first) => other,
            _ => first,
        };
        self.decide(&request)?;
        Ok(request)
    }

    /// Returns the terms of the rule that lends an identity to what is accepted at an address.
    pub(crate) fn lent_at(&self, at: LocalAddress) -> Option<TlsTerms> {
        self.ask(&self.policy(), &Request::TlsListen(at)).ok()?.tls.cloned()
    }

    /// Asks whether a rule denies a request. A missing grant is no denial here.
    pub(crate) fn not_denied(&self, request: &Request<'_>) -> CallResult<()> {
        if self.lacks_grant(request) { Ok(()) } else { self.decide(request) }
    }
}

/// The pins of one instance. They are empty until the first look-up, so that the decisions before it
/// take no lock.
struct PinTable {
    pins: OnceLock<Mutex<Pins>>,
    none: Pins,
}

/// Returns the time of a decision. Only pins have an age, so no clock is read without pins.
pub(crate) fn decision_time(pins: &Pins) -> Instant {
    if pins.is_empty() { pins.origin() } else { Instant::now() }
}

/// Returns the request for a UNIX path.
pub(crate) fn unix_request(verb: Verb, path: &[u8]) -> Request<'_> {
    match verb {
        Verb::UnixBind => Request::UnixBind(UnixTarget::Path(path)),
        _ => Request::UnixConnect(UnixTarget::Path(path)),
    }
}
