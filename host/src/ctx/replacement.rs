//! How the policy of a context is replaced while its guest runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::SandsockCtx;
use crate::authority::gate::Gate;
use crate::authority::{filter, open_acts};
use crate::descriptor::Quota;
use crate::wait::Interrupter;
use sandsock_policy::{GrantError, Policy, Restriction};

/// What happens to a guest's open descriptors when its policy is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenActs {
    /// They stay as they are: connections go on, listeners go on to accept, and a bound socket stays
    /// bound. The new policy decides about each further act with them, for example a send to an
    /// address, and about the sender of each received datagram.
    Keep,
    /// The host closes each open file description with an act that the new policy does not allow:
    /// how the guest got it, the address that it is bound or connected to, and the options that
    /// needed a grant. A connection that was accepted counts as bound where its listener is. A call
    /// that waits for such a description, and each later call with it, is denied, and the denial
    /// says that the policy was replaced.
    Close,
}

/// Replaces the policy of one context, from any thread ([`SandsockCtx::policy_handle`]).
#[derive(Clone)]
pub struct PolicyHandle {
    gate: Arc<Gate>,
    interrupter: Interrupter,
    descriptors: Quota,
    pollers: Quota,
    lookups: Quota,
    sessions: Quota,
    rights_in_flight: Arc<AtomicUsize>,
}

impl std::fmt::Debug for PolicyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyHandle").field("policy", &self.policy()).finish_non_exhaustive()
    }
}

impl PolicyHandle {
    pub(super) fn new(ctx: &SandsockCtx) -> Self {
        Self {
            gate: Arc::clone(&ctx.gate),
            interrupter: ctx.interrupter(),
            descriptors: ctx.descriptor_quota.clone(),
            pollers: ctx.poller_quota.clone(),
            lookups: ctx.lookup_quota.clone(),
            sessions: ctx.session_quota.clone(),
            rights_in_flight: Arc::clone(ctx.rights.limit()),
        }
    }

    /// Returns the policy of this moment.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.gate.policy())
    }

    /// Puts another policy in the place of the context's. Returns why the host closed open file
    /// descriptions, one sentence for each.
    ///
    /// When it returns, the new policy decides. A system call that is under way at this moment may
    /// still be one that only the former policy allows.
    ///
    /// * A call that waits is checked again before its next attempt.
    /// * The addresses of a looked-up name count on if the new policy has a rule about the name.
    /// * The kernel's filters of the guest's sockets are made anew. Datagrams of senders that are
    ///   not allowed any more are dropped, also those that are in a queue.
    /// * The limits are the new policy's, except for `memory-bytes`, which the embedder enforces. If
    ///   a limit is lower than what the guest has, the guest keeps what it has, and gets nothing
    ///   more until it has given up enough. A connection of `wasi:sockets` keeps its
    ///   `transfer-bytes`.
    /// * A rule with a budget that the former policy has too, in the same words, keeps its count. The
    ///   count of another rule starts anew. An open connection counts on by the rule that allowed it,
    ///   and a connection that no budget has counted stays uncounted.
    /// * What the guest has given up by `restrict` stays given up.
    ///
    /// It makes system calls for each socket of the guest, and looks at the paths of UNIX sockets.
    pub fn replace(&self, policy: &Policy, open: OpenActs) -> Vec<String> {
        let limits = policy.limits();
        self.descriptors.set_limit(size(limits.descriptors));
        self.pollers.set_limit(size(limits.pollers));
        self.lookups.set_limit(size(limits.lookups_pending));
        self.sessions.set_limit(size(limits.tls_sessions));
        self.rights_in_flight.store(size(limits.rights_in_flight), Ordering::Relaxed);
        self.gate.buffers.set_limit(limits.buffer_bytes);
        self.gate.exchange(|former| policy.clone().following(former));
        follow_policy(&self.gate, &self.interrupter, open)
    }
}

/// How often a guest may give up rights (WIT: 16 times). Each time makes every later decision longer.
const RESTRICTIONS_MAX: usize = 16;

/// Why a guest gave up no rights.
pub(crate) enum RestrictError {
    /// The text at this place of the list is no rule.
    Rule(usize, GrantError),
    /// The guest has given up rights as often as it may.
    TooOften,
}

impl SandsockCtx {
    /// Gives up the rights that none of these rules allows.
    pub(crate) fn restrict(&self, keep: &[String]) -> Result<(), RestrictError> {
        // Before the rules are parsed, so that a guest can't have that done again and again.
        if self.gate.policy().restrictions() >= RESTRICTIONS_MAX {
            return Err(RestrictError::TooOften);
        }
        let restriction = Restriction::new(&self.gate.policy(), keep)
            .map_err(|(at, error)| RestrictError::Rule(at, error))?;
        self.gate.exchange(|former| former.clone().restricted(restriction).following(former));
        follow_policy(&self.gate, self.waiter.interrupter(), OpenActs::Keep);
        Ok(())
    }
}

/// Applies the policy of this moment, which is a new one, to the guest's descriptors and waits.
fn follow_policy(gate: &Gate, interrupter: &Interrupter, open: OpenActs) -> Vec<String> {
    let closed = match open {
        OpenActs::Keep => Vec::new(),
        OpenActs::Close => open_acts::close_ungranted(gate),
    };
    open_acts::follow_policy(gate);
    filter::follow_policy(gate);
    interrupter.renew();
    closed
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
