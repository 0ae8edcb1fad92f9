//! Which accounts of the policy's budgets an open file description uses.
//!
//! The account of a connection is set when it is made: at connect by the rule that allowed it, at
//! accept by the rule that allowed the listener. It stays for as long as the description has the
//! connection, whatever the policy says later. Duplicates share it, because they share the
//! description. Datagrams to an address, and those that come in, are charged by address and not
//! here.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use sandsock_policy::Denial;

use super::account::{Account, OpenConnection};
use super::handle::Open;

/// What an open file description has to do with budgets.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    /// Whether `state` was ever set. Transfers without a budget read nothing else.
    is_set: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the bytes of a stream, and of datagrams without an address.
    connection: Option<Connection>,
    /// Of what comes to the socket's own address: the connections that it accepts, or the messages
    /// to a UNIX name.
    local: Option<Arc<Account>>,
    /// The account that the last message had to wait for.
    awaited: Option<Arc<Account>>,
    /// The bytes at the head of the queue that a peek has counted.
    peeked: usize,
}

/// A connection that an account counts.
#[derive(Debug)]
struct Connection {
    account: Arc<Account>,
    /// None while a datagram socket is associated, which is no connection.
    open: Option<OpenConnection>,
}

/// A connect that has begun.
#[must_use]
pub(crate) struct Beginning {
    open: Arc<Open>,
    step: Step,
}

/// An account, and why it refuses.
type Refusal = (Arc<Account>, Denial);

enum Step {
    /// No budget is concerned.
    None,
    /// The association is to be dissolved.
    Dissolves,
    /// The description had no account, and has one for the time of the attempt.
    First,
    /// The connection of this attempt is under way, or there.
    UnderWay,
    /// A datagram socket leaves its peer, whatever account it had.
    Leaves(Option<Connection>),
}

impl Spending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) -> MutexGuard<'_, State> {
        self.is_set.store(true, Relaxed);
        self.state()
    }

    /// Returns whether some budget may be concerned.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }

    fn read<R>(&self, read: impl FnOnce(&State) -> Option<R>) -> Option<R> {
        if self.is_set() { read(&self.state()) } else { None }
    }

    /// The account of the connection's bytes.
    pub(crate) fn connection(&self) -> Option<Arc<Account>> {
        self.read(|state| Some(Arc::clone(&state.connection.as_ref()?.account)))
    }

    /// The account of what comes to the socket's own address.
    pub(crate) fn local(&self) -> Option<Arc<Account>> {
        self.read(|state| state.local.clone())
    }

    /// The account that the last message had to wait for.
    pub(crate) fn awaited(&self) -> Option<Arc<Account>> {
        self.read(|state| state.awaited.clone())
    }

    /// The last message has to wait for an account, or for none.
    pub(crate) fn set_awaited(&self, account: Option<&Arc<Account>>) {
        if account.is_some() || self.is_set() {
            self.set().awaited = account.cloned();
        }
    }

    /// Returns an account that this description uses.
    pub(crate) fn account(&self) -> Option<Arc<Account>> {
        self.connection().or_else(|| self.local())
    }

    /// The socket has an address of its own, by a rule with this budget or with none.
    pub(crate) fn set_local(&self, account: Option<Arc<Account>>) {
        if account.is_some() || self.is_set() {
            self.set().local = account;
        }
    }

    /// The description is a connection that was accepted.
    pub(crate) fn set_accepted(&self, account: Option<Arc<Account>>, open: Option<OpenConnection>) {
        if let Some(account) = account {
            self.set().connection = Some(Connection { account, open });
        }
    }

    fn begin(&self, account: Option<&Arc<Account>>, connects: bool) -> Result<Step, Refusal> {
        let mut state = self.set();
        let known = state.connection.as_ref().map(|connection| &connection.account);
        match (known, account) {
            (None, None) => return Ok(Step::None),
            // The connection that it has, or had, keeps its place.
            (Some(known), Some(account)) if Arc::ptr_eq(known, account) => return Ok(Step::None),
            (Some(known), _) if connects => {
                let denial = Denial::new(format!(
                    "connect is denied: the budget of the rule {} counts this socket's connection; \
                     use a new socket, or dissolve the connection with AF_UNSPEC first",
                    known.rule()
                ));
                if !known.passes(&denial) {
                    return Err((Arc::clone(known), denial));
                }
            }
            _ => {}
        }
        let new = match account {
            None => None,
            Some(account) => {
                let open = connects.then(|| account.open_to_connect()).transpose();
                let open = open.map_err(|denial| (Arc::clone(account), denial))?;
                Some(Connection { account: Arc::clone(account), open })
            }
        };
        if state.connection.is_some() {
            return Ok(Step::Leaves(new));
        }
        state.connection = new;
        Ok(Step::First)
    }

    /// The association was dissolved. Returns the connection that is over.
    fn dissolve(&self) -> Option<Connection> {
        let mut state = self.state();
        // The kernel has thrown away what was queued.
        state.peeked = 0;
        state.connection.take()
    }

    /// Takes out the connection, for a close that may take longer than the description lives here.
    pub(crate) fn take_open(&self) -> Option<OpenConnection> {
        if self.is_set() { self.state().connection.as_mut()?.open.take() } else { None }
    }

    /// The bytes at the head of the queue that were counted already.
    pub(crate) fn peeked(&self) -> usize {
        self.read(|state| Some(state.peeked)).unwrap_or(0)
    }

    /// So many bytes at the head of the queue are counted now.
    pub(crate) fn set_peeked(&self, count: usize) {
        if count > 0 || self.is_set() {
            self.set().peeked = count;
        }
    }
}

impl Beginning {
    /// Begins a connect by a rule with this budget or with none. `connects` says that it makes a
    /// connection, and is not the association of a datagram socket.
    ///
    /// # Errors
    ///
    /// The budget allows no more connections. Or the socket may have a connection that another
    /// budget counts, and the kernel could report that one as the result of this connect.
    pub(crate) fn new(
        open: &Arc<Open>,
        account: Option<&Arc<Account>>,
        connects: bool,
    ) -> Result<Self, Refusal> {
        let step = match account {
            None if !open.spending.is_set() => Step::None,
            account => open.spending.begin(account, connects)?,
        };
        Ok(Self { open: Arc::clone(open), step })
    }

    /// Begins to dissolve an association (man 2 connect: AF_UNSPEC).
    pub(crate) fn dissolving(open: &Arc<Open>) -> Self {
        let step = if open.spending.is_set() { Step::Dissolves } else { Step::None };
        Self { open: Arc::clone(open), step }
    }

    /// Returns whether no attempt has shown yet what becomes of the connection.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.step, Step::First | Step::Leaves(_) | Step::Dissolves)
    }

    /// An attempt has ended. Several attempts of one call can follow one another.
    pub(crate) fn ended(&mut self, result: Result<(), Errno>) {
        let state = || self.open.spending.state();
        let goes_on = matches!(result, Ok(()) | Err(Errno::INPROGRESS | Errno::INTR));
        let (next, ended) = match std::mem::replace(&mut self.step, Step::None) {
            // man 2 connect: the backlog of a UNIX socket is full.
            Step::First if result == Err(Errno::AGAIN) => (Step::First, None),
            Step::First if goes_on => (Step::UnderWay, None),
            // The kernel can report an earlier connect, which no budget counted.
            Step::First => (Step::None, state().connection.take()),
            Step::UnderWay if is_failure(result) => (Step::None, state().connection.take()),
            Step::Leaves(new) if goes_on => {
                (Step::None, std::mem::replace(&mut state().connection, new))
            }
            Step::Leaves(new) => (Step::None, new),
            Step::Dissolves if result.is_ok() => (Step::None, self.open.spending.dissolve()),
            step => (step, None),
        };
        self.step = next;
        drop(ended);
    }
}

/// An attempt that was given up is one that failed before the kernel had it.
impl Drop for Beginning {
    fn drop(&mut self) {
        if let Step::First = self.step {
            self.ended(Err(Errno::CANCELED));
        }
    }
}

/// Whether connect(2) reports with this error that the connection under way has failed.
fn is_failure(result: Result<(), Errno>) -> bool {
    matches!(
        result,
        Err(Errno::CONNREFUSED
            | Errno::TIMEDOUT
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH)
    )
}
