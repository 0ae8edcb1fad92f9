//! Observers: what a guest calls, what it moves and what was decided, told to whoever runs it.
//!
//! There is one mechanism. Every function that `linker.rs` registers tells its context's `Watch`
//! before and after the call; the policy's decisions and the waits in between come to the same
//! place; each [`Observer`] of the context gets them in order. A function can't be registered
//! another way, so none can be left out. A context without observers pays two comparisons a call.
//!
//! The observers here are what the command offers: [`Trace`], [`Pcap`], [`Stats`], [`Audit`]. An
//! embedder gives them, or its own, to
//! [`SandsockCtxBuilder::observe`](crate::SandsockCtxBuilder::observe).
//!
//! # Secrets
//!
//! A trace holds the first bytes of what was moved, a capture all of it, an audit file and
//! statistics only addresses, paths and names. Files are made by [`create`], for their owner alone.

mod audit;
#[cfg(test)]
mod contract;
mod log;
mod missing_grants;
mod names;
mod numbers;
mod pcap;
mod pcapng;
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

pub use audit::Audit;
#[cfg(test)]
pub(crate) use contract::{Functions, raw_layer};
pub(crate) use log::log;
pub use missing_grants::MissingGrant;
pub(crate) use missing_grants::MissingGrants;
pub(crate) use numbers::{Identify, Identity, Place};
pub use pcap::Pcap;
pub use stats::{Counters, Stats};
pub use trace::Trace;
pub use value::{Bytes, CallError, List, SocketAddress, Value, WaitTime};
pub(crate) use value::{ToValue, ValueBuilder, case_to_value, control_message, record_to_value};
pub(crate) use watch::{Transfer, Watch, WatchedData, begin, end};

use sandsock_policy::{Decision, SocketArguments};

/// Gets what one guest instance, or many, do.
///
/// Its methods are called on the guest's own thread, one at a time for one instance, and at once
/// for several. That thread may be other guests' as well: they should be short and wait for
/// nothing, and can't use the context. What they can't do (write, for example) they keep to
/// themselves: no observer changes what a guest gets. Those of this module that write do so on a
/// thread of their own, and lose, and count, what does not fit into its queue.
pub trait Observer: Send + Sync {
    /// What it wants to be told. Asked once for each context.
    fn interest(&self) -> Interest;

    /// A call has to wait: its arguments are known, and nothing more.
    fn waits(&self, call: &Call<'_>) {
        let _ = call;
    }

    /// A call has ended.
    fn called(&self, call: &Call<'_>) {
        let _ = call;
    }

    /// The policy has decided. `socket` is the one that it is about, if there is one yet.
    fn decided(&self, decision: &Decision<'_>, socket: Option<&Socket>) {
        let _ = (decision, socket);
    }

    /// The kernel has dropped datagrams at this socket, so many since this was told last. No grant
    /// names their senders; those that found the socket's queue full are in the count too. It is
    /// told before the next call on the descriptor.
    fn dropped(&self, instance: u64, socket: &Socket, count: u64) {
        let _ = (instance, socket, count);
    }

    /// A descriptor is closed: by a call, by a drop, or with its instance. `last` says that no
    /// duplicate of it is left.
    fn closed(&self, instance: u64, socket: &Socket, last: bool) {
        let _ = (instance, socket, last);
    }

    /// An instance has ended, all its descriptors are closed.
    fn ended(&self, instance: u64) {
        let _ = instance;
    }

    /// Writes what it holds back, or gives that up where its output takes nothing: before the
    /// process ends without dropping it.
    fn flush(&self) {}
}

/// What an observer wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Calls. Decisions are told always.
    pub calls: bool,
    /// How many bytes of each list of bytes that goes in or out.
    pub bytes: usize,
    /// The addresses of both ends in [`Socket`]: it costs two system calls a call.
    pub addresses: bool,
}

impl Interest {
    /// What either wants.
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
    /// Which instance called, counted from 1 by the context's builder.
    pub instance: u64,
    /// The interface of the package `sandsock:socket`, for example `transfers`.
    pub interface: &'static str,
    /// The function as WIT's tools name it, for example `send-to`, `[method]poller.wait`,
    /// `[resource-drop]descriptor`.
    pub function: &'static str,
    /// The arguments by their names in WIT.
    pub arguments: &'a [(&'static str, Value)],
    /// The first descriptor among the arguments, as it was before the call.
    pub socket: Option<&'a Socket>,
    /// The same descriptor after the call; none where it is closed.
    pub socket_after: Option<&'a Socket>,
    /// The first descriptor that the call made.
    pub made: Option<&'a Socket>,
    /// How it ended.
    pub outcome: CallOutcome<'a>,
    /// The rule by which the policy denied something in it, if one did.
    pub denied_by: Option<&'a str>,
    /// When it began.
    pub time: SystemTime,
    /// How long it took, waits included.
    pub took: Duration,
    /// How often it waited.
    pub waits: u32,
    /// How long it waited.
    pub waited: Duration,
}

impl Call<'_> {
    /// An argument.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The result, where it ended with one that is no failure.
    pub fn result(&self) -> Option<&Value> {
        match self.outcome {
            CallOutcome::Done(Value::Failed(_)) => None,
            CallOutcome::Done(value) => Some(value),
            CallOutcome::Waiting | CallOutcome::Trapped(_) | CallOutcome::Abandoned => None,
        }
    }

    /// Why it failed, where it did.
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
    /// It waits.
    Waiting,
    /// With a result, which may be a failure.
    Done(&'a Value),
    /// The guest trapped in it, for this reason.
    Trapped(&'a str),
    /// The guest was stopped in it.
    Abandoned,
}

/// A descriptor of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// Its number, as traces show it: the lowest that was free in its instance, from 3 up; the
    /// kernel's where numbers are real.
    pub number: i32,
    /// Its number among all that the instance ever had, from 1 up.
    pub serial: u64,
    /// Which open description it refers to: duplicates have the same.
    pub description: u64,
    /// AF_*, SOCK_* and protocol; none for what is no socket.
    pub kind: Option<SocketArguments>,
    /// Its own address, if it was asked for ([`Interest::addresses`]).
    pub local: Option<SocketAddress>,
    /// Its peer's.
    pub peer: Option<SocketAddress>,
    /// UDP_SEGMENT, which cuts what is sent into datagrams; asked for with the addresses.
    pub segment: u16,
    /// UDP_CORK, by which several sends are one datagram; asked for with the addresses.
    pub corked: bool,
}

/// A function of the contract: its names in WIT. A method's first parameter is `self`, and so is the
/// one of a resource's drop.
pub(crate) struct Function {
    pub(crate) interface: &'static str,
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [&'static str],
}

/// Makes a file that only its owner may read, or empties the one that is there and makes it so.
///
/// # Errors
/// It can't be opened for writing.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // One that was there has a mode of its own. A device or a pipe keeps it.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
