//! The gate, which asks the policy for one instance and reports each decision to the observers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use crate::authority::filter::Filters;
use crate::descriptor::buffers::Buffers;
use crate::error::{CallResult, Fault};
use sandsock_policy::{
    Allowed, Decision, Denial, Pins, Policy, Request, UnixRoute, UnixTarget, Verb,
};

/// Gets the decisions of one instance, as it makes them.
pub(crate) trait DecisionObserver: Send + Sync {
    /// The policy has decided, within the call that is under way.
    fn decided(&self, decision: Decision<'_>);
}

/// The policy of one instance, and what its decisions depend on.
///
/// Pollables of WASI use it without the store, so it is shared. Its locks are never contended,
/// because a store is lent to one call or one wait at a time.
pub(crate) struct Gate {
    pub(crate) policy: Arc<Policy>,
    /// Empty until the first look-up, so that the decisions before it take no lock.
    pins: OnceLock<Mutex<Pins>>,
    no_pins: Pins,
    /// A granted name whose pinned addresses had expired when the last decision was made.
    expired_name: Mutex<Option<String>>,
    observer: Option<Arc<dyn DecisionObserver>>,
    /// The memory that the kernel holds for the instance.
    pub(crate) buffers: Arc<Buffers>,
    /// The filters of the instance's sockets.
    pub(crate) filters: Filters,
    /// The datagrams that the host dropped because no grant names their senders.
    dropped_datagrams: AtomicU64,
}

impl Gate {
    pub(crate) fn new(
        policy: Arc<Policy>,
        buffers: Arc<Buffers>,
        observer: Option<Arc<dyn DecisionObserver>>,
    ) -> Self {
        Self {
            policy,
            pins: OnceLock::new(),
            no_pins: Pins::new(Instant::now()),
            expired_name: Mutex::default(),
            observer,
            buffers,
            filters: Filters::default(),
            dropped_datagrams: AtomicU64::new(0),
        }
    }

    /// Reads the pins.
    pub(crate) fn with_pins<R>(&self, read: impl FnOnce(&Pins) -> R) -> R {
        match self.pins.get() {
            Some(pins) => read(&pins.lock().unwrap_or_else(PoisonError::into_inner)),
            None => read(&self.no_pins),
        }
    }

    /// Returns the pins, for a look-up that adds some.
    pub(crate) fn pins_to_change(&self) -> MutexGuard<'_, Pins> {
        let pins = self.pins.get_or_init(|| Mutex::new(Pins::new(self.no_pins.origin())));
        pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name whose pinned addresses had expired when the last decision was made.
    pub(crate) fn take_expired_name(&self) -> Option<String> {
        self.expired_name.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the policy. Nothing is reported.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<Allowed<'_>, Denial> {
        self.with_pins(|pins| self.policy.decide(request, pins, decision_time(pins)))
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
        let routes = self.policy.unix_route(verb, path);
        if let Err(denial) = &routes {
            self.report(|time| {
                Decision::denied(time, verb.name(), unix_request(verb, path).to_string(), denial)
            });
        }
        Ok(routes?)
    }

    /// Reports that the walk to a UNIX path ended where a rule allows it.
    pub(crate) fn walked(&self, verb: Verb, path: &[u8]) {
        let request = unix_request(verb, path);
        self.report(|time| {
            let rule = self.ask(&request).ok().and_then(|allowed| allowed.rule);
            Decision::allowed(time, verb.name(), request.to_string(), rule)
        });
    }

    /// Asks the policy.
    pub(crate) fn decide(&self, request: &Request<'_>) -> CallResult<()> {
        let result = self.ask(request);
        self.report(|time| Decision::of_request(time, request, &result));
        result.map(drop).map_err(|mut denial| {
            *self.expired_name.lock().unwrap_or_else(PoisonError::into_inner) =
                denial.expired_name.take();
            denial.into()
        })
    }

    /// Returns whether the policy would allow a request. No decision follows from the answer alone,
    /// so it is not reported.
    pub(crate) fn would_allow(&self, request: &Request<'_>) -> bool {
        self.ask(request).is_ok()
    }

    /// Asks the policy again, with what the kernel has chosen. Only a denial is reported, because
    /// the first decision allowed the request.
    pub(crate) fn decide_again(&self, request: &Request<'_>) -> CallResult<()> {
        if self.would_allow(request) { Ok(()) } else { self.decide(request) }
    }

    /// Returns whether only a grant is missing. Then no rule denies the request, and another grant
    /// may allow it.
    pub(crate) fn lacks_grant(&self, request: &Request<'_>) -> bool {
        self.ask(request).is_err_and(|denial| denial.rule.is_none())
    }

    /// Asks whether a rule denies a request. A missing grant is no denial here.
    pub(crate) fn not_denied(&self, request: &Request<'_>) -> CallResult<()> {
        if self.lacks_grant(request) { Ok(()) } else { self.decide(request) }
    }
}

/// Returns the time of a decision. Only pins have an age, so no clock is read without pins.
pub(crate) fn decision_time(pins: &Pins) -> Instant {
    if pins.is_empty() { pins.origin() } else { Instant::now() }
}

/// Returns the request for a UNIX path.
fn unix_request(verb: Verb, path: &[u8]) -> Request<'_> {
    match verb {
        Verb::UnixBind => Request::UnixBind(UnixTarget::Path(path)),
        _ => Request::UnixConnect(UnixTarget::Path(path)),
    }
}
