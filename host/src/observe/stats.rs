//! `--stats`, which counts what each descriptor does.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::address::SocketAddress;
use super::rules::{MissingCounters, RuleCounters, Rules};
use super::spent::{BudgetCounters, BudgetRows};
use super::traffic::{self, Direction};
use super::{Call, CallError, Interest, Observer, Socket, names};
use crate::authority::budgets::Budgets;
use sandsock_policy::{Decision, Verdict};

/// The number of rows above which a closed descriptor loses its row.
const ROWS: usize = 1000;
/// The most descriptors that have a row. Open descriptors count too.
const MOST: usize = 10_000;

/// Counts what guests do, by descriptor and in total.
#[derive(Default)]
pub struct Stats(Mutex<State>);

#[derive(Default)]
struct State {
    instances: u64,
    /// By instance and serial number of the descriptor.
    rows: BTreeMap<(u64, u64), Row>,
    /// Calls that are about no descriptor.
    none: Counters,
    /// Descriptors without a row. Either they are closed and lost their row, or they were opened
    /// when there were too many rows.
    rest: Counters,
    folded: u64,
    rules: Rules,
    budgets: BudgetRows,
}

/// The counts of a descriptor, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Calls, also those that failed.
    pub calls: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Messages sent: datagrams, or calls on a stream. A message that the kernel cuts by
    /// UDP_SEGMENT counts as many. The calls whose bytes it joins by UDP_CORK or MSG_MORE count as
    /// one.
    pub sent_messages: u64,
    /// Bytes received. Bytes that were read with MSG_PEEK do not count.
    pub received_bytes: u64,
    /// Messages received.
    pub received_messages: u64,
    /// How often a call waited.
    pub waits: u64,
    /// How long calls waited, in nanoseconds.
    pub waited_ns: u64,
    /// Calls that ended with EAGAIN.
    pub again: u64,
    /// Calls that ended with another errno, or with an error of a name service.
    pub errors: u64,
    /// Denials of the policy, except for dropped datagrams.
    pub denials: u64,
    /// Datagrams that were dropped because no grant names their senders. The kernel's count also
    /// includes datagrams that found the queue of a filtered socket full. It does not include drops
    /// of the filter of a raw or ping socket.
    pub dropped: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.sent_bytes += other.sent_bytes;
        self.sent_messages += other.sent_messages;
        self.received_bytes += other.received_bytes;
        self.received_messages += other.received_messages;
        self.waits += other.waits;
        self.waited_ns += other.waited_ns;
        self.again += other.again;
        self.errors += other.errors;
        self.denials += other.denials;
        self.dropped += other.dropped;
    }
}

/// The row of one descriptor.
#[derive(Debug, Clone, Default, Serialize)]
struct Row {
    instance: u64,
    descriptor: i32,
    family: Option<String>,
    #[serde(rename = "type")]
    type_: Option<String>,
    #[serde(serialize_with = "as_text")]
    local: Option<SocketAddress>,
    #[serde(serialize_with = "as_text")]
    peer: Option<SocketAddress>,
    #[serde(flatten)]
    counters: Counters,
    /// The last datagram is not complete yet, and counts already.
    #[serde(skip)]
    corked: bool,
}

/// Formats an address when its row is written, so that calls do not format it under the lock.
fn as_text<S: Serializer>(
    address: &Option<SocketAddress>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}

impl Row {
    fn describe(&mut self, instance: u64, socket: &Socket) {
        self.instance = instance;
        self.descriptor = socket.number;
        if let Some((family, type_, _)) = socket.kind {
            self.family.get_or_insert_with(|| names::family(i128::from(family)));
            self.type_.get_or_insert_with(|| names::socket_type(i128::from(type_)));
        }
        for (known, now) in [(&mut self.local, &socket.local), (&mut self.peer, &socket.peer)] {
            if now.is_some() && known != now {
                known.clone_from(now);
            }
        }
    }
}

/// The form of the JSON output.
#[derive(Serialize)]
struct Report<'a> {
    instances: u64,
    total: Counters,
    /// Calls that are about no descriptor.
    other: Counters,
    descriptors: Vec<&'a Row>,
    /// The number of further descriptors, which have no row.
    more_descriptors: u64,
    /// How often each rule decided.
    rules: Vec<RuleCounters>,
    /// How often each grant was missing.
    missing: Vec<MissingCounters>,
    /// What was used of the budgets of rules.
    budgets: Vec<BudgetCounters>,
    /// The number of further decisions of rules and for want of grants, which have no row.
    more_decisions: u64,
}

impl Stats {
    /// Starts with nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counts of all instances together.
    pub fn total(&self) -> Counters {
        self.state().total()
    }

    /// Returns how often each rule allowed or denied something. The first 1,000 rules are counted.
    pub fn rules(&self) -> Vec<RuleCounters> {
        self.state().rules.rules()
    }

    /// Returns how often each grant was missing. The first 1,000 grants are counted.
    pub fn missing_grants(&self) -> Vec<MissingCounters> {
        self.state().rules.missing()
    }

    /// Returns what was used of the budgets of rules. The first 1,000 rules are counted.
    pub fn budgets(&self) -> Vec<BudgetCounters> {
        self.state().budgets.counters()
    }

    /// Returns everything as one JSON object on one line.
    pub fn json(&self) -> String {
        let state = self.state();
        let report = Report {
            instances: state.instances,
            total: state.total(),
            other: state.none,
            descriptors: state.rows.values().collect(),
            more_descriptors: state.folded,
            rules: state.rules.rules(),
            missing: state.rules.missing(),
            budgets: state.budgets.counters(),
            more_decisions: state.rules.more(),
        };
        serde_json::to_string(&report).unwrap_or_default()
    }

    /// Returns everything as a table for people.
    pub fn table(&self) -> String {
        let state = self.state();
        let mut lines = vec![
            [
                "descriptor",
                "calls",
                "sent",
                "msgs",
                "received",
                "msgs",
                "waits",
                "waited",
                "EAGAIN",
                "errors",
                "denied",
                "dropped",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        lines[0].push("socket".to_owned());
        let many = state.instances > 1;
        let mut add = |name: String, counters: &Counters, about: String| {
            let mut line = vec![name];
            let numbers = [
                counters.calls,
                counters.sent_bytes,
                counters.sent_messages,
                counters.received_bytes,
                counters.received_messages,
                counters.waits,
            ];
            line.extend(numbers.map(|number| number.to_string()));
            line.push(format!("{:.3}s", Duration::from_nanos(counters.waited_ns).as_secs_f64()));
            let numbers = [counters.again, counters.errors, counters.denials, counters.dropped];
            line.extend(numbers.map(|number| number.to_string()));
            line.push(about);
            lines.push(line);
        };
        for row in state.rows.values() {
            let name = if many {
                format!("[{}] {}", row.instance, row.descriptor)
            } else {
                row.descriptor.to_string()
            };
            let ends = match (&row.local, &row.peer) {
                (Some(local), Some(peer)) => format!(" {local} - {peer}"),
                (Some(end), None) | (None, Some(end)) => format!(" {end}"),
                (None, None) => String::new(),
            };
            let kind = [row.family.as_deref(), row.type_.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ");
            add(name, &row.counters, kind + &ends);
        }
        if state.folded > 0 {
            add("more".to_owned(), &state.rest, format!("{} descriptors", state.folded));
        }
        add("none".to_owned(), &state.none, "calls about no descriptor".to_owned());
        let instances = if many { format!("{} instances", state.instances) } else { String::new() };
        add("total".to_owned(), &state.total(), instances);
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines {
            let mut out = String::new();
            for (column, cell) in line.iter().enumerate() {
                // Numbers are aligned to the right, words to the left.
                let _ = match column {
                    0 => write!(out, "{cell:<width$}", width = widths[0]),
                    column if column + 1 == widths.len() => write!(out, "  {cell}"),
                    column => write!(out, "  {cell:>width$}", width = widths[column]),
                };
            }
            text.push_str(out.trim_end());
            text.push('\n');
        }
        state.rules.table(&mut text);
        state.budgets.table(&mut text);
        text
    }
}

impl State {
    fn counters(&mut self, instance: u64, socket: Option<&Socket>) -> &mut Counters {
        match socket {
            Some(socket) if self.row(instance, socket).is_none() => &mut self.rest,
            Some(socket) => &mut self.rows.entry((instance, socket.serial)).or_default().counters,
            None => &mut self.none,
        }
    }

    /// Returns the row of a descriptor. None if there are too many rows.
    fn row(&mut self, instance: u64, socket: &Socket) -> Option<&mut Row> {
        let full = self.rows.len() >= MOST;
        let row = match self.rows.entry((instance, socket.serial)) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(_) if full => return None,
            Entry::Vacant(place) => place.insert(Row::default()),
        };
        row.describe(instance, socket);
        Some(row)
    }

    fn total(&self) -> Counters {
        let mut total = self.none;
        total += self.rest;
        for row in self.rows.values() {
            total += row.counters;
        }
        total
    }
}

impl Observer for Stats {
    fn interest(&self) -> Interest {
        Interest { calls: true, bytes: 0, addresses: true }
    }

    fn called(&self, call: &Call<'_>) {
        let state = &mut *self.state();
        state.instances = state.instances.max(call.instance);
        if let Some(made) = call.made
            && state.row(call.instance, made).is_none()
        {
            state.folded += 1;
        }
        let socket = call.socket_after.or(call.socket);
        let counters = state.counters(call.instance, socket);
        counters.calls += 1;
        counters.waits += u64::from(call.waits);
        counters.waited_ns += u64::try_from(call.waited.as_nanos()).unwrap_or(u64::MAX);
        match call.error() {
            Some(CallError::Os(libc::EAGAIN) | CallError::Code("would-block")) => {
                counters.again += 1;
            }
            Some(
                CallError::Os(_)
                | CallError::AddressInfo(_)
                | CallError::Host(_)
                | CallError::Code(_),
            ) => counters.errors += 1,
            // The decision is reported, and counted there.
            Some(CallError::Denied { .. }) | None => {}
        }
        let Some(traffic) = traffic::of(call) else { return };
        let mut corked = socket
            .and_then(|socket| Some(state.row(call.instance, socket)?.corked))
            .unwrap_or(false);
        let counters = state.counters(call.instance, socket);
        let (bytes, count) = match traffic.direction {
            Direction::Sent => (&mut counters.sent_bytes, &mut counters.sent_messages),
            Direction::Received => (&mut counters.received_bytes, &mut counters.received_messages),
        };
        for packet in &traffic.packets {
            *bytes += packet.length as u64;
            // A datagram that several calls make counts with the first of them.
            *count +=
                if std::mem::replace(&mut corked, packet.more) { 0 } else { packet.count() as u64 };
        }
        if let Some(row) = socket.and_then(|socket| state.row(call.instance, socket)) {
            row.corked = corked;
        }
    }

    fn decided(&self, decision: &Decision<'_>, socket: Option<&Socket>) {
        let mut state = self.state();
        state.rules.count(decision);
        if decision.decision == Verdict::Deny {
            let counters = state.counters(decision.instance, socket);
            if decision.verb == "udp-receive"
                || decision.verb == "raw" && decision.call.is_some_and(|c| c.starts_with("receive"))
            {
                counters.dropped += 1
            } else {
                counters.denials += 1
            }
        }
    }

    fn began(&self, instance: u64, budgets: &Budgets) {
        self.state().budgets.began(instance, budgets);
    }

    fn ended(&self, instance: u64) {
        self.state().budgets.ended(instance);
    }

    fn dropped(&self, instance: u64, socket: &Socket, count: u64) {
        self.state().counters(instance, Some(socket)).dropped += count;
    }

    fn closed(&self, instance: u64, socket: &Socket, _last: bool) {
        let state = &mut *self.state();
        if state.rows.len() > ROWS
            && let Some(row) = state.rows.remove(&(instance, socket.serial))
        {
            state.rest += row.counters;
            state.folded += 1;
        }
    }
}
