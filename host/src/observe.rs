//! Observers, which get what a guest calls, what it moves, and what the policy decides.
//!
//! There is one mechanism. Every function that `linker.rs` registers reports to its context's
//! `Watch` before and after the call. The policy's decisions and the waits within the call go to
//! the same place. Each [`Observer`] of the context gets them in order. A function can't be
//! registered in another way, so no function is left out. A context without observers pays two
//! comparisons a call.
//!
//! This module has the observers that the command offers: [`Trace`], [`Pcap`], [`Stats`] and
//! [`Audit`]. An embedder adds them, or observers of its own, with
//! [`SandsockCtxBuilder::observe`](crate::SandsockCtxBuilder::observe).
//!
//! # Secrets
//!
//! A trace has the first bytes of the data that a guest moves, and a capture has all of the data. A
//! decision log and statistics have addresses, paths and names only. [`create`] makes files that
//! only their owner can read.

mod address;
mod audit;
#[cfg(test)]
mod contract;
mod log;
mod missing_grants;
mod names;
mod numbers;
mod pcap;
mod pcapng;
mod rules;
mod spent;
mod stats;
mod trace;
mod traffic;
mod value;
mod watch;
mod writer;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

pub use address::SocketAddress;
pub use audit::Audit;
#[cfg(test)]
pub(crate) use contract::{Functions, raw_layer, threads};
pub(crate) use log::log;
pub use missing_grants::MissingGrant;
pub(crate) use missing_grants::MissingGrants;
pub(crate) use numbers::{Identify, Identity, OWN_PLACES, Place};
pub use pcap::Pcap;
pub use rules::{MissingCounters, RuleCounters};
pub use spent::BudgetCounters;
pub use stats::{Counters, Stats};
pub use trace::Trace;
pub use value::{Bytes, CallError, List, Value, WaitTime};
pub(crate) use value::{
    ToValue, ToValues, ValueBuilder, case_to_value, control_message, record_to_value,
};
pub(crate) use watch::{
    PollableWait, PollableWaits, StreamFunctions, Suspended, Transfer, Watch, WatchedData, begin,
    end, suspend,
};

use crate::authority::budgets::Budgets;
use sandsock_policy::{Decision, SocketArguments};

/// Gets what one guest instance does, or what several do.
///
/// The methods are called on the guest's own thread. The calls for one instance come one at a time,
/// but several instances can call at once. Other guests may run on the same thread, so a method
/// should be short and wait for nothing. It can't use the context. If an observer fails, for
/// example in writing, it keeps the failure to itself: no observer changes what a guest gets. The
/// observers of this module write on a thread of their own. They drop and count what does not fit
/// into its queue.
pub trait Observer: Send + Sync {
    /// Returns what the observer is interested in. Each context asks once.
    fn interest(&self) -> Interest;

    /// A call has to wait. Only its arguments are known.
    fn waits(&self, call: &Call<'_>) {
        let _ = call;
    }

    /// A call has ended.
    fn called(&self, call: &Call<'_>) {
        let _ = call;
    }

    /// The policy has decided. `socket` is the descriptor that the decision is about, if there is
    /// one yet.
    fn decided(&self, decision: &Decision<'_>, socket: Option<&Socket>) {
        let _ = (decision, socket);
    }

    /// The kernel has dropped `count` datagrams at this socket since the last report, because no
    /// grant names their senders. The count includes datagrams that found the socket's queue full.
    /// The report comes before the next call on the descriptor.
    fn dropped(&self, instance: u64, socket: &Socket, count: u64) {
        let _ = (instance, socket, count);
    }

    /// A descriptor was closed by a call, by a drop, or with its instance. `last` is true if no
    /// other descriptor refers to the same open file description.
    fn closed(&self, instance: u64, socket: &Socket, last: bool) {
        let _ = (instance, socket, last);
    }

    /// An instance begins. `budgets` says, then and later, what it uses of the budgets of its
    /// policy's rules.
    fn began(&self, instance: u64, budgets: &Budgets) {
        let _ = (instance, budgets);
    }

    /// An instance has ended. All its descriptors are closed.
    fn ended(&self, instance: u64) {
        let _ = instance;
    }

    /// Writes what the observer still holds, or gives up if the output takes nothing. It is called
    /// before a process ends without dropping the observer.
    fn flush(&self) {}
}

/// An observer that observes nothing.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn interest(&self) -> Interest {
        Interest::default()
    }
}

/// What an observer is interested in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Whether it gets calls. Decisions are always reported.
    pub calls: bool,
    /// The most bytes that it gets of each list of bytes in an argument or a result.
    pub bytes: usize,
    /// Whether [`Socket`] has the addresses of both ends. They cost two system calls a call.
    pub addresses: bool,
}

impl Interest {
    /// Returns the interest of two observers together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            calls: self.calls || other.calls,
            bytes: self.bytes.max(other.bytes),
            addresses: self.addresses || other.addresses,
        }
    }
}

/// One call of a guest.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The number of the instance that called. The context's builder counts from 1.
    pub instance: u64,
    /// The interface of the package `sandsock:socket`, for example `transfers`.
    pub interface: &'static str,
    /// The function, as WIT's tools write it: for example `send-to`, `[method]poller.wait`,
    /// `[resource-drop]descriptor`.
    pub function: &'static str,
    /// The arguments, with their names in WIT.
    pub arguments: &'a [(&'static str, Value)],
    /// The first descriptor among the arguments, as it was before the call.
    pub socket: Option<&'a Socket>,
    /// The same descriptor after the call. None if it is closed.
    pub socket_after: Option<&'a Socket>,
    /// The first descriptor that the call made.
    pub made: Option<&'a Socket>,
    /// How the call ended.
    pub outcome: CallOutcome<'a>,
    /// The rule by which the policy denied something in the call, if there is one.
    pub denied_by: Option<&'a str>,
    /// When the call began.
    pub time: SystemTime,
    /// How long the call took, with its waits.
    pub took: Duration,
    /// How often the call waited.
    pub waits: u32,
    /// How long the call waited.
    pub waited: Duration,
}

impl Call<'_> {
    /// Returns an argument.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the result, if the call ended without an error.
    pub fn result(&self) -> Option<&Value> {
        match self.outcome {
            CallOutcome::Done(Value::Failed(_)) => None,
            CallOutcome::Done(value) => Some(value),
            CallOutcome::Waiting | CallOutcome::Trapped(_) | CallOutcome::Abandoned => None,
        }
    }

    /// Returns the error, if the call ended with one.
    pub fn error(&self) -> Option<&CallError> {
        match self.outcome {
            CallOutcome::Done(Value::Failed(failure)) => Some(failure),
            _ => None,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CallOutcome<'a> {
    /// The call waits.
    Waiting,
    /// The call returned this result, which may be an error.
    Done(&'a Value),
    /// The guest trapped in the call, for this reason.
    Trapped(&'a str),
    /// The guest was stopped in the call.
    Abandoned,
}

/// A descriptor of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// The number, as traces show it. It is the lowest that was free in the instance, from 3 up.
    /// With real numbers, it is the kernel's.
    pub number: i32,
    /// The number among all descriptors that the instance ever had, from 1 up.
    pub serial: u64,
    /// The number of the open file description. Duplicates of a descriptor share it.
    pub description: u64,
    /// AF_*, SOCK_* and the protocol. None if it is no socket.
    pub kind: Option<SocketArguments>,
    /// The socket's own address, if an observer is interested ([`Interest::addresses`]).
    pub local: Option<SocketAddress>,
    /// The peer's address, likewise.
    pub peer: Option<SocketAddress>,
    /// UDP_SEGMENT, the size of the datagrams that the kernel cuts a message into. It is read with
    /// the addresses.
    pub segment: u16,
    /// UDP_CORK, which joins several sends to one datagram. It is read with the addresses.
    pub corked: bool,
}

/// The names of a function of the contract in WIT. The first parameter of a method and of a
/// resource's drop is `self`.
pub(crate) struct Function {
    pub(crate) interface: &'static str,
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [&'static str],
}

/// Makes a file that only its owner can read. A file that exists is emptied, and gets the same
/// mode.
///
/// # Errors
/// The file can't be opened for writing.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A file that existed has its old mode. A device or a pipe keeps it.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
