//! The accounts of the policy's budgets, which several sockets and several instances can share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sandsock_policy::{Balance, Budget, Decision, Denial, Rule, Scope, Shortage, Verb};

/// The account of one rule's budget.
#[derive(Debug)]
pub(crate) struct Account {
    verb: Verb,
    /// The target of the rule, for observers.
    target: String,
    scope: Scope,
    balance: Mutex<Balance>,
    /// Set if the policy only observes: nothing is refused.
    passing: Option<Passing>,
}

/// Reports a decision.
pub(crate) type Reporter = Arc<dyn Fn(Decision<'_>) + Send + Sync>;

/// Gets what an account lets pass that a policy which is enforced would deny.
#[derive(Clone)]
pub(crate) struct Passing(pub(crate) Option<Reporter>);

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passing")
    }
}

/// What was used of a rule's budget. With `scope=command`, instances have used it together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetUse {
    /// The rule.
    pub rule: String,
    /// Who shares the budget.
    pub scope: Scope,
    /// Bytes that were sent and received.
    pub bytes: u64,
    /// Connections that are open.
    pub connections: u32,
    /// The most connections that were open at once.
    pub most_connections: u32,
}

/// Bytes that an account gave for a move that is under way. The drop gives back what has not moved.
#[derive(Debug)]
pub(crate) struct Taken {
    account: Arc<Account>,
    count: u64,
}

/// An open connection of an account. The drop closes it there.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Account>);

impl Account {
    /// Opens the account of a rule. With `passing` it refuses nothing.
    pub(crate) fn new(rule: &Rule, budget: &Budget, passing: Option<Passing>) -> Self {
        let balance = Balance::new(&rule.to_string(), budget, Instant::now());
        let balance = if passing.is_some() { balance.passing() } else { balance };
        let grant = rule.grant.to_string();
        let target = grant.split_once('=').map_or("", |(_, target)| target).to_owned();
        let (verb, scope) = (rule.verb(), budget.scope);
        Self { verb, target, scope, balance: Mutex::new(balance), passing }
    }

    /// Returns whether it refuses nothing, because the policy only observes. Then it reports the
    /// denial.
    pub(crate) fn passes(&self, denial: &Denial) -> bool {
        let Some(Passing(report)) = &self.passing else { return false };
        if let Some(report) = report {
            let (verb, target) = (self.verb.name(), self.target.clone());
            report(Decision::denied(SystemTime::now(), verb, target, denial).passed());
        }
        true
    }

    /// Reports that more bytes were moved than the budget has, if nothing is refused.
    fn report_excess(&self) {
        if self.passing.is_some() {
            let excess = self.balance().excess();
            excess.inspect(|denial| {
                self.passes(denial);
            });
        }
    }

    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verb of the rule.
    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    /// The target of the rule.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The rule's text.
    pub(crate) fn rule(&self) -> String {
        self.balance().rule().to_owned()
    }

    /// Returns what was used of the budget.
    pub(crate) fn used(&self) -> BudgetUse {
        let balance = self.balance();
        BudgetUse {
            rule: balance.rule().to_owned(),
            scope: self.scope,
            bytes: balance.moved(),
            connections: balance.open(),
            most_connections: balance.most_open(),
        }
    }

    /// Takes bytes for a move that may be cut: at least one, unless none is wanted.
    ///
    /// # Errors
    ///
    /// None may move now.
    pub(crate) fn take(self: &Arc<Self>, wanted: usize) -> Result<Taken, Shortage> {
        let count = self.balance().take(wanted as u64, Instant::now())?;
        Ok(Taken { account: Arc::clone(self), count })
    }

    /// Takes bytes for a message that can't be cut.
    ///
    /// # Errors
    ///
    /// The message may not move now.
    pub(crate) fn take_message(self: &Arc<Self>, length: usize) -> Result<Taken, Shortage> {
        let count = self.balance().take_message(length as u64, Instant::now())?;
        Ok(Taken { account: Arc::clone(self), count })
    }

    /// Takes as many of these bytes as are left, without regard to the rate.
    pub(crate) fn take_now(self: &Arc<Self>, wanted: usize) -> Taken {
        let count = self.balance().take_now(wanted as u64);
        Taken { account: Arc::clone(self), count }
    }

    /// Counts bytes that have moved already.
    pub(crate) fn charge(&self, count: usize) {
        self.balance().charge(count as u64);
        self.report_excess();
    }

    /// Returns how long moves have to wait for the rate. None if they don't, or if none may move
    /// any more.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.balance().pause(Instant::now())
    }

    /// Returns whether another connection may be open.
    pub(crate) fn may_open(&self) -> bool {
        self.balance().may_open()
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// As many as the budget allows are open.
    pub(crate) fn open_connection(self: &Arc<Self>) -> Result<OpenConnection, Denial> {
        self.balance().open_connection()?;
        Ok(OpenConnection(Arc::clone(self)))
    }

    /// As [`open_connection`](Self::open_connection), for a connect. An accept would wait.
    ///
    /// # Errors
    ///
    /// As many as the budget allows are open.
    pub(crate) fn open_to_connect(self: &Arc<Self>) -> Result<OpenConnection, Denial> {
        if self.passing.is_some() {
            let full = self.balance().full();
            full.inspect(|denial| {
                self.passes(denial);
            });
        }
        self.open_connection()
    }
}

impl Taken {
    /// Returns how many bytes may move.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// So many of the bytes have moved. If more have, they count too.
    pub(crate) fn moved(mut self, count: usize) {
        let count = count as u64;
        if count > self.count {
            self.account.balance().charge(count - self.count);
            self.count = 0;
        } else {
            self.count -= count;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.count > 0 {
            self.account.balance().give_back(self.count);
        }
        self.account.report_excess();
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.balance().close_connection();
    }
}
