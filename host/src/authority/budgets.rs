//! Budgets: what the accounts of the rules let through.
//!
//! A transfer asks before its system call how many bytes may move ([`to_send`], [`to_receive`]), and
//! says afterwards how many have moved. A wait asks which events are withheld ([`withheld`]), so
//! that a guest whose rate is used up sleeps. Without a budget each of these questions reads one
//! flag of the description and one of the policy.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use sandsock_policy::{BudgetId, Decision, Denial, Policy, Request, Scope, Shortage, Verb};

use crate::authority::family;
use crate::authority::gate::{DecisionObserver, Gate};
use crate::authority::permit::{Permit, SendTo};
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::descriptor::account::{Account, BudgetUse, Passing, Taken};
use crate::error::{CallResult, Fault};
use crate::sys::address::RawAddress;
use crate::sys::{self, ControlRoom};
use crate::wait::budget::WaitBudget;
use crate::wait::registration::poll_now;
use crate::wait::{HasWaiter, now};

/// The longest time until a wait looks again at what a budget withholds. Another instance can close
/// a connection or give bytes back.
const LOOK: Duration = Duration::from_millis(50);

/// The longest sleep of a transfer before it asks again.
const LONGEST: Duration = Duration::from_secs(1);

/// Readiness to receive.
const INPUT: PollFlags =
    PollFlags::IN.union(PollFlags::RDNORM).union(PollFlags::RDBAND).union(PollFlags::PRI);
/// The end of a stream, which comes after the bytes that are still in the queue.
const END: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP);
/// Readiness to send.
const OUTPUT: PollFlags = PollFlags::OUT.union(PollFlags::WRNORM).union(PollFlags::WRBAND);

/// The accounts of one instance, in the order of its policy's budgets.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    all: Box<[Arc<Account>]>,
    /// The generation of the policy.
    generation: u64,
    /// Whether a budget is about datagrams, which are charged by their addresses.
    has_datagrams: bool,
}

/// The accounts that all instances under one policy share, by the text of the rule.
#[derive(Debug, Default)]
pub(crate) struct SharedAccounts(Mutex<HashMap<String, Arc<Account>>>);

impl SharedAccounts {
    /// Returns those of a policy.
    pub(crate) fn of(policy: &Arc<Policy>) -> Arc<Self> {
        // The weak reference keeps the address from being used again.
        type Known = (Weak<Policy>, Arc<SharedAccounts>);
        static ALL: Mutex<BTreeMap<usize, Known>> = Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(policy).addr();
        if let Some((_, shared)) = all.get(&address) {
            return Arc::clone(shared);
        }
        all.retain(|_, (policy, _)| policy.strong_count() > 0);
        let shared = Arc::default();
        all.insert(address, (Arc::downgrade(policy), Arc::clone(&shared)));
        shared
    }
}

/// Returns the policy whose budgets count: of one that only observes, the one that would be
/// enforced.
pub(crate) fn enforced(policy: &Policy) -> &Policy {
    policy.enforced().unwrap_or(policy)
}

impl Accounts {
    /// Opens the accounts of an instance. A rule of `before` that is also one of this policy, in
    /// the same words, keeps its account.
    /// Those of a policy that only observes refuse nothing, and `observer` gets what they would.
    pub(crate) fn new(
        policy: &Policy,
        shared: &SharedAccounts,
        before: &Self,
        observer: Option<&Arc<dyn DecisionObserver>>,
    ) -> Self {
        let mut has_datagrams = false;
        let passing = policy.enforced().map(|_| {
            let observer = observer.map(Arc::clone);
            Passing(observer.map(|observer| -> Arc<dyn Fn(Decision<'_>) + Send + Sync> {
                Arc::new(move |decision: Decision<'_>| observer.decided(decision))
            }))
        });
        let all = enforced(policy).budgets().map(|(rule, budget)| {
            has_datagrams |= matches!(rule.verb(), Verb::UdpSend | Verb::UdpReceive);
            let open = || Arc::new(Account::new(rule, budget, passing.clone()));
            match budget.scope {
                Scope::Instance => {
                    let text = rule.to_string();
                    let known = before.all.iter().find(|account| account.rule() == text);
                    known.map_or_else(open, Arc::clone)
                }
                Scope::Command => {
                    let mut shared = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::clone(shared.entry(rule.to_string()).or_insert_with(open))
                }
            }
        });
        let all = all.collect();
        Self { all, generation: policy.generation(), has_datagrams }
    }

    /// Returns the generation of the policy whose budgets these are.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns whether a budget is about datagrams.
    pub(crate) fn has_datagrams(&self) -> bool {
        self.has_datagrams
    }

    /// Returns whether the policy has no budgets.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the account of a budget.
    pub(crate) fn get(&self, id: BudgetId) -> Option<Arc<Account>> {
        self.all.get(id.index()).cloned()
    }
}

/// What a context uses of the budgets of its policy, which may be asked at any time.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<ArcSwap<Accounts>>);

impl Budgets {
    pub(crate) fn new(accounts: &Arc<ArcSwap<Accounts>>) -> Self {
        Self(Arc::clone(accounts))
    }

    /// Returns what was used of each budget of the context's policy, in the order of the rules.
    pub fn used(&self) -> Vec<BudgetUse> {
        self.0.load().all.iter().map(|account| account.used()).collect()
    }
}

/// Why a transfer does not go on.
#[derive(Debug)]
pub(crate) enum Held {
    /// A rate lets nothing move now. The transfer is tried again at this instant.
    Until(u64),
    /// A budget refuses it.
    Refused(Fault),
    /// The kernel's answer, which comes first.
    Os(Errno),
}

impl Held {
    pub(crate) fn new(gate: &Gate, account: &Account, shortage: Shortage) -> Self {
        match shortage {
            Shortage::Wait(time) => Self::Until(after(time.min(LONGEST))),
            Shortage::UsedUp(denial) => Self::Refused(denied(gate, account, denial)),
        }
    }

    /// Waits until the transfer may be tried again.
    ///
    /// # Errors
    ///
    /// The call does not wait so long, or the transfer is refused.
    pub(crate) async fn wait(
        self,
        store: &mut impl HasWaiter,
        handle: &Handle,
        wait: &mut WaitBudget,
        events: PollFlags,
    ) -> CallResult<()> {
        match self {
            Self::Until(instant) => wait.until(store, handle, events, instant).await,
            Self::Refused(fault) => Err(fault),
            Self::Os(errno) => Err(errno.into()),
        }
    }

    /// Returns the error for a caller that does not wait, and whose errors are the kernel's.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Until(_) => Errno::AGAIN,
            Self::Refused(fault) => fault.errno(),
            Self::Os(errno) => *errno,
        }
    }
}

fn after(time: Duration) -> u64 {
    now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Refuses something that nobody could count for this account. A policy that only observes reports it,
/// and lets it pass.
pub(crate) fn refuse(
    gate: &Gate,
    account: &Account,
    (verb, target): (Verb, &str),
    denial: Denial,
) -> CallResult<()> {
    if account.passes(&denial) { Ok(()) } else { Err(gate.denied(verb, target, denial)) }
}

/// Reports that a budget refuses something, and returns it as the call's error.
pub(crate) fn denied(gate: &Gate, account: &Account, denial: Denial) -> Fault {
    gate.report(|time| {
        Decision::denied(time, account.verb().name(), account.target().to_owned(), &denial)
    });
    denial.into()
}

fn is_udp(kind: SocketKind) -> bool {
    matches!(kind.family, libc::AF_INET | libc::AF_INET6)
        && kind.type_ == libc::SOCK_DGRAM
        && !family::is_raw(kind)
}

/// Returns whether a budget may concern the transfers of a socket.
#[inline]
pub(crate) fn is_concerned(gate: &Gate, handle: &Handle, kind: SocketKind) -> bool {
    gate.has_budgets()
        && (handle.open.spending.is_set() || is_udp(kind) && gate.has_datagram_budgets())
}

/// Returns the account of a send: that of the permit for a datagram with an address, and that of the
/// connection for everything else. man 2 send: a stream takes no address, unless it opens the
/// connection.
pub(crate) fn account_to_send(
    handle: &Handle,
    kind: SocketKind,
    permit: Option<&Permit<SendTo>>,
) -> Option<Arc<Account>> {
    match permit {
        Some(permit) if kind.type_ == libc::SOCK_DGRAM => permit.act().account().cloned(),
        _ => handle.open.spending.connection(),
    }
}

/// Takes bytes for a send of at most `wanted` bytes. Only those of a stream may be cut.
///
/// # Errors
///
/// Nothing may be sent now.
pub(crate) fn to_send(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
    account: Option<&Arc<Account>>,
    (wanted, flags): (usize, i32),
) -> Result<Option<Taken>, Held> {
    let Some(account) = account else { return Ok(None) };
    let stream = kind.type_ == libc::SOCK_STREAM;
    // Only the last byte of an urgent send is urgent, so it is not cut.
    let taken = if stream && (flags & libc::MSG_OOB == 0 || wanted == 0) {
        account.take(wanted)
    } else {
        account.take_message(wanted)
    };
    if !stream {
        handle.open.spending.set_awaited(taken.is_err().then_some(account));
    }
    taken.map(Some).map_err(|shortage| Held::new(gate, account, shortage))
}

/// So many bytes of a send have moved.
pub(crate) fn sent(kind: SocketKind, taken: Option<Taken>, count: usize) {
    if let Some(taken) = taken {
        let message = kind.type_ != libc::SOCK_STREAM;
        taken.moved(if message { count.max(1) } else { count });
    }
}

/// The bytes that a receive may get, and what of them was counted before.
#[derive(Debug)]
pub(crate) struct Allowance {
    account: Arc<Account>,
    taken: Option<Taken>,
    most: usize,
    /// The bytes at the head of the queue that a peek has counted. None if the receive reads
    /// something else, which is urgent data.
    peeked: Option<usize>,
    is_peek: bool,
    /// The kind of the socket, if it receives messages.
    messages: Option<SocketKind>,
}

impl Allowance {
    /// The most bytes that the receive may get.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// The receive got so many bytes, or discarded them.
    pub(crate) fn received(self, handle: &Handle, length: usize) {
        let peeked = self.peeked.unwrap_or(0);
        let length = self.messages.map_or(length, |kind| units(kind, length));
        let count = length.saturating_sub(peeked);
        match self.taken {
            Some(taken) => taken.moved(count),
            None if count > 0 => self.account.charge(count),
            None => {}
        }
        if self.peeked.is_some() {
            handle.open.spending.set_peeked(match (self.is_peek, self.messages) {
                (true, _) => peeked.max(length),
                (false, Some(_)) => 0,
                (false, None) => peeked.saturating_sub(length),
            });
        }
    }
}

/// Takes bytes for a receive of at most `wanted` bytes. None if no budget counts them. A peek counts
/// as well, and what a peek has counted is not counted again. A peek begins at the head of the
/// queue, because under a policy with budgets a guest can't set SO_PEEK_OFF.
///
/// # Errors
///
/// Nothing may be received now. At the end of a stream, and at an error of the socket, there is
/// nothing that could count.
#[inline]
pub(crate) fn to_receive(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
    range: (usize, i32),
) -> Result<Option<Allowance>, Held> {
    if is_concerned(gate, handle, kind) { counted(gate, handle, kind, range) } else { Ok(None) }
}

/// [`to_receive`], where a budget may be concerned.
fn counted(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
    (wanted, flags): (usize, i32),
) -> Result<Option<Allowance>, Held> {
    // The caller counts the entries of the error queue.
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Ok(None);
    }
    let urgent = flags & libc::MSG_OOB;
    let peeked = (urgent == 0).then(|| handle.open.spending.peeked());
    let is_peek = flags & libc::MSG_PEEK != 0;
    if kind.type_ != libc::SOCK_STREAM {
        let Some((account, length)) = next_message(gate, handle, kind).map_err(Held::Os)? else {
            return Ok(None);
        };
        let length = length.min(wanted);
        let taken = match units(kind, length).saturating_sub(peeked.unwrap_or(0)) {
            0 => None,
            count => {
                let taken = account.take_message(count);
                Some(taken.map_err(|shortage| Held::new(gate, &account, shortage))?)
            }
        };
        let (most, messages) = (length, Some(kind));
        return Ok(Some(Allowance { account, taken, most, peeked, is_peek, messages }));
    }
    let Some(account) = handle.open.spending.connection() else { return Ok(None) };
    // These bytes were counted by a peek.
    let free = peeked.unwrap_or(0).min(wanted);
    let (taken, most) = match account.take(wanted - free) {
        Ok(taken) => {
            let most = free + taken.count();
            (Some(taken), most)
        }
        Err(_) if free > 0 => (None, free),
        Err(shortage) if has_bytes(handle, urgent).map_err(Held::Os)? => {
            return Err(Held::new(gate, &account, shortage));
        }
        // The end of the stream. A byte that comes nevertheless is counted afterwards.
        Err(_) => (None, wanted.min(1)),
    };
    Ok(Some(Allowance { account, taken, most, peeked, is_peek, messages: None }))
}

/// How many bytes a message counts as. An empty datagram counts as one, so that a budget bounds
/// their number. An empty result of SOCK_SEQPACKET may be the end.
fn units(kind: SocketKind, length: usize) -> usize {
    if kind.type_ == libc::SOCK_DGRAM { length.max(1) } else { length }
}

/// Returns whether a stream has bytes. False at its end.
fn has_bytes(handle: &Handle, urgent: i32) -> Result<bool, Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | urgent;
    loop {
        match sys::receive_into(handle.fd(), &mut [0], flags) {
            Err(Errno::INTR) => {}
            result => return result.map(|count| count > 0),
        }
    }
}

/// Returns the account and the length of the next message. None if no budget counts it.
fn next_message(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
) -> Result<Option<(Arc<Account>, usize)>, Errno> {
    let udp = is_udp(kind);
    let spending = &handle.open.spending;
    // Messages to a UNIX name are charged to the rule that allowed the name.
    let known = || match kind.type_ {
        libc::SOCK_DGRAM => spending.local().or_else(|| spending.connection()),
        _ => spending.connection(),
    };
    let known = if udp { None } else { known() };
    if known.is_none() && !(udp && gate.has_datagram_budgets()) {
        return Ok(None);
    }
    let room = match kind.family {
        libc::AF_UNIX => ControlRoom::of_unix(0, handle.closer()),
        _ => ControlRoom::of_bytes(0),
    };
    let flags = sys::receiving_flags(kind.family, libc::MSG_PEEK | libc::MSG_TRUNC);
    let head = loop {
        match sys::receive_message(handle.fd(), 0, room, flags) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let account = known.or_else(|| of_sender(gate, &head.address));
    Ok(account.map(|account| (account, head.length)))
}

/// Returns the account of the rule that lets a sender's datagrams in.
fn of_sender(gate: &Gate, address: &RawAddress) -> Option<Arc<Account>> {
    gate.account(&Request::UdpReceive(address.to_ip()?))
}

/// Counts an entry of the error queue, which has bytes of a message that was sent, as the network
/// sent them back. Returns how many of its bytes the guest may see. An entry can't wait: the socket
/// is in error until it is read.
pub(crate) fn error_entry(
    gate: &Gate,
    handle: &Handle,
    kind: SocketKind,
    address: &RawAddress,
    length: usize,
) -> usize {
    if !is_concerned(gate, handle, kind) {
        return length;
    }
    let account = match address.to_ip() {
        Some(to) if is_udp(kind) => gate.account(&Request::UdpSend(to)),
        _ => handle.open.spending.connection(),
    };
    let Some(account) = account else { return length };
    let taken = account.take_now(length);
    let shown = taken.count();
    taken.moved(shown);
    shown
}

/// Events that a budget withholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) events: PollFlags,
    /// When to look again.
    pub(crate) until: u64,
}

/// Returns which of the events that the kernel reports are withheld, because a transfer would have
/// to wait for a budget. None if none is. A transfer that would be refused is reported, and so are
/// errors and the end of a stream.
pub(crate) fn withheld(gate: &Gate, handle: &Handle, events: PollFlags) -> Option<Withheld> {
    if !gate.has_budgets() {
        return None;
    }
    let kind = handle.socket().ok()?;
    // A description that was taken from the guest is always ready.
    if !is_concerned(gate, handle, kind) || handle.check_errno().is_err() {
        return None;
    }
    let mut withheld = Withheld { events: PollFlags::empty(), until: u64::MAX };
    let mut add = |events, time: Duration| {
        withheld.events |= events;
        withheld.until = withheld.until.min(after(time.min(LOOK)));
    };
    if events.intersects(INPUT)
        && !events.contains(PollFlags::ERR)
        && let Some(time) = input_pause(gate, handle, kind)
    {
        add(events & (INPUT | END), time);
    }
    let broken = events.intersects(PollFlags::ERR | PollFlags::HUP);
    if events.intersects(OUTPUT) && !broken {
        let spending = &handle.open.spending;
        let account = spending.awaited().or_else(|| spending.connection());
        if let Some(time) = account.and_then(|account| account.pause()) {
            add(events & OUTPUT, time);
        }
    }
    (!withheld.events.is_empty()).then_some(withheld)
}

/// Returns what is withheld of the events that the kernel reports now.
pub(crate) fn withheld_now(gate: &Gate, handle: &Handle, events: PollFlags) -> Option<Withheld> {
    if !gate.has_budgets() || !is_concerned(gate, handle, handle.socket().ok()?) {
        return None;
    }
    let mut fds = [PollFd::from_borrowed_fd(handle.fd(), events)];
    poll_now(&mut fds).ok()?;
    withheld(gate, handle, fds[0].revents())
}

/// Returns until when a wait for these events goes on although the kernel reports some. None if the
/// guest may see one.
pub(crate) fn pause(gate: &Gate, handle: &Handle, events: PollFlags) -> Option<u64> {
    let withheld = withheld_now(gate, handle, events)?;
    withheld.rest(events).is_none().then_some(withheld.until)
}

/// Returns the descriptors that a poll goes on to wait for, and until when, if something of the
/// others is withheld. None if nothing is.
pub(crate) fn others<'a>(
    all: &[(BorrowedFd<'a>, PollFlags)],
    withheld: &[Option<Withheld>],
) -> Option<(Vec<(BorrowedFd<'a>, PollFlags)>, u64)> {
    let until = withheld.iter().flatten().map(|withheld| withheld.until).min()?;
    let others = all.iter().zip(withheld).filter_map(|(&(fd, events), withheld)| {
        let events = withheld.map_or(Some(events), |withheld| withheld.rest(events))?;
        Some((fd, events))
    });
    Some((others.collect(), until))
}

impl Withheld {
    /// Returns the events that a wait goes on to wait for. None if there are none, or if the kernel
    /// would report the end of the stream whatever is asked.
    pub(crate) fn rest(self, asked: PollFlags) -> Option<PollFlags> {
        let rest = asked - self.events;
        (!rest.is_empty() && !self.events.contains(PollFlags::HUP)).then_some(rest)
    }
}

/// Returns how long a receive or an accept would have to wait for a budget.
fn input_pause(gate: &Gate, handle: &Handle, kind: SocketKind) -> Option<Duration> {
    let spending = &handle.open.spending;
    if kind.type_ == libc::SOCK_DGRAM {
        let (account, _) = next_message(gate, handle, kind).ok()??;
        return account.pause().filter(|_| spending.peeked() == 0);
    }
    let Some(account) = spending.connection() else {
        let listener = spending.local()?;
        return (!listener.may_open()).then_some(LOOK);
    };
    let time = account.pause()?;
    let waits = spending.peeked() == 0 && has_bytes(handle, 0) != Ok(false);
    waits.then_some(time)
}
