//! Filters for datagrams from senders that no grant names. Such a datagram must not wake the guest,
//! tell it anything or delay it.
//!
//! Two mechanisms do this. A socket that the guest made has a filter in the kernel (man 7 socket:
//! SO_ATTACH_FILTER), compiled from the rules and the pins. A datagram of another sender never
//! enters its queue, so every answer about the queue agrees with the policy. In addition, the
//! policy checks every received datagram. This second check is the one that decides.
//!
//! A filter can admit more than the policy allows, and some sockets have none. For these,
//! [`readiness`] and [`shows_queue`] look at the head of the queue before they report anything, and
//! drop what is not allowed. A description that other processes hold has no filter, because the
//! host must not change it. A description that is sent away keeps only the filter that the guest
//! itself attached ([`FilterSlot::release`](crate::descriptor::filter_slot::FilterSlot::release)).

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use sandsock_abi::constants::{SO_ATTACH_REUSEPORT_CBPF, SO_LOCK_FILTER, SO_MEMINFO, SO_RXQ_OVFL};

use crate::authority::family;
use crate::authority::gate::{Gate, decision_time};
use crate::authority::permit::{Permit, SetOption};
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::filter_slot::{Attached, drops};
use crate::descriptor::{Handle, Open};
use crate::sys::address::RawAddress;
use crate::sys::{self, OptionBytes};
use sandsock_policy::filter::{Carried, Instruction, Layout, Program, Senders, program};
use sandsock_policy::{Allowed, Decision, Denial, Pins, RawRequest, Request, Verb};

/// The most datagrams that one look at a queue drops. This is more than a queue of the usual size
/// holds. It is bounded because other guests may share the thread.
const DROPS: usize = 512;

/// The most sockets of an instance whose filters follow the pins. The filters of further sockets
/// admit every sender at the ports that names are granted with.
const FOLLOWERS: usize = 64;

/// With more pinned addresses than this, no filter follows the pins.
const EXACT_PINS: usize = 1024;

/// Returns what sockets of this kind carry. None if their senders are not checked.
fn carried(kind: SocketKind) -> Option<Carried> {
    match kind {
        SocketKind {
            family: libc::AF_INET | libc::AF_INET6,
            type_: libc::SOCK_DGRAM | libc::SOCK_RAW,
            protocol,
        } => Some(match u8::try_from(protocol) {
            Ok(protocol) if family::is_raw(kind) => Carried::Packets(protocol),
            _ => Carried::Udp,
        }),
        _ => None,
    }
}

/// Returns whether the policy checks the senders of what such a socket receives.
pub(crate) fn is_judged(kind: SocketKind) -> bool {
    carried(kind).is_some()
}

/// Returns whether the policy keeps some sender's datagrams from such a socket.
pub(crate) fn is_restricted(gate: &Gate, kind: SocketKind) -> bool {
    carried(kind).is_some_and(|carried| gate.policy().restricts_senders(carried))
}

fn is_listed(gate: &Gate, kind: SocketKind, sender: &RawAddress) -> bool {
    let Some(sender) = sender.to_ip() else { return false };
    gate.with_pins(|pins| {
        let now = decision_time(pins);
        if family::is_raw(kind) {
            gate.policy().raw_source_allowed(sender.ip(), kind.protocol, pins, now)
        } else {
            gate.policy().udp_source_allowed(sender, pins, now)
        }
    })
}

/// Returns whether the guest may get what was received with these flags from this address. Reports
/// the decision.
pub(crate) fn is_allowed(gate: &Gate, kind: SocketKind, flags: i32, address: &RawAddress) -> bool {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return is_own_error(gate, kind, address);
    }
    if !gate.is_observed() {
        return is_listed(gate, kind, address);
    }
    let Some(sender) = address.to_ip() else { return false };
    if family::is_raw(kind) {
        let allowed = is_listed(gate, kind, address);
        let (verb, target) = (Verb::Raw.name(), || format!("{}:{}", kind.protocol, sender.ip()));
        let answer = match allowed {
            true => Ok(Allowed::FREE),
            false => Err(Denial::new(format!("{verb} from {} is not granted", sender.ip()))),
        };
        let packet = RawRequest::Packet(SocketAddr::new(
            sender.ip(),
            u16::try_from(kind.protocol).unwrap_or_default(),
        ));
        gate.report_answer(
            &gate.policy(),
            &answer,
            |policy, pins| policy.decide(&Request::Raw(packet), pins, decision_time(pins)),
            |time, answer| match answer {
                Ok(allowed) => Decision::allowed(time, verb, target(), allowed.rule),
                Err(denial) => Decision::denied(time, verb, target(), denial),
            },
        );
        return allowed;
    }
    let request = Request::UdpReceive(sender);
    let policy = gate.policy();
    let result = gate.ask(&policy, &request);
    gate.report_request(&policy, &request, &result);
    result.is_ok()
}

/// Returns whether an entry of the error queue is about a datagram that the guest may have sent.
/// Its address is that datagram's destination, which the kernel takes from the sender of an ICMP
/// error. Entries of the kernel itself, such as timestamps, have no address.
fn is_own_error(gate: &Gate, kind: SocketKind, address: &RawAddress) -> bool {
    if address.bytes().is_empty() {
        return true;
    }
    let Some(to) = address.to_ip() else { return false };
    let request = match carried(kind) {
        Some(Carried::Packets(protocol)) => {
            Request::Raw(RawRequest::Packet(SocketAddr::new(to.ip(), protocol.into())))
        }
        Some(Carried::Udp) | None => Request::UdpSend(to),
    };
    let policy = gate.policy();
    let result = gate.ask(&policy, &request);
    if result.is_err() {
        gate.report_request(&policy, &request, &result);
    }
    result.is_ok()
}

/// The filters of one instance's sockets.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// The open file descriptions that have a filter.
    all: Mutex<Vec<Weak<Open>>>,
    /// The state of the pins when the filters were last made.
    changes: AtomicU64,
    /// What the kernel dropped at sockets that no longer have a filter.
    dropped: Arc<AtomicU64>,
}

impl Filters {
    fn all(&self) -> MutexGuard<'_, Vec<Weak<Open>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Vec<Arc<Open>> {
        self.all().iter().filter_map(Weak::upgrade).collect()
    }

    fn add(&self, open: &Arc<Open>) {
        let mut all = self.all();
        if all.len() == all.capacity() {
            all.retain(|open| open.strong_count() > 0);
        }
        all.push(Arc::downgrade(open));
    }

    /// Returns how many datagrams the kernel dropped at sockets with a filter.
    pub(crate) fn dropped(&self) -> u64 {
        let open: u64 = self
            .live()
            .iter()
            .filter_map(|open| open.filter.with_handle(|handle| drops(handle.fd())))
            .sum();
        open + self.dropped.load(Ordering::Relaxed)
    }
}

/// Gives a new socket its filter, before the guest can bind the socket.
pub(crate) fn protect(gate: &Gate, handle: &Arc<Handle>) {
    let Ok(kind) = handle.socket() else { return };
    let Some(carried) = carried(kind).filter(|carried| gate.policy().restricts_senders(*carried))
    else {
        return;
    };
    if handle.is_shared() {
        return;
    }
    let udp = matches!(kind.protocol, libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE)
        && carried == Carried::Udp;
    let follows = follows(gate, carried);
    let mut attached = Box::new(Attached {
        carried,
        layout: Layout { v6: kind.family == libc::AF_INET6, ports: udp },
        handles: vec![Arc::downgrade(handle)],
        instructions: Vec::new(),
        exact: false,
        until: None,
        clean: false,
        follows,
        guest: Vec::new(),
        locked: false,
        counts_overflow: false,
        reported: 0,
        dropped: Arc::clone(&gate.filters.dropped),
    });
    // Without a program of the guest, the kernel can refuse this only for lack of memory.
    let _ = attach(&mut attached, gate, handle.fd());
    // A raw socket receives from the moment it exists. Other sockets must be bound first.
    attached.clean = kind.type_ != libc::SOCK_RAW && (udp || carried != Carried::Udp);
    *handle.open.filter.lock() = Some(attached);
    gate.filters.add(&handle.open);
}

/// Makes the filters anew for another policy. A socket without a filter gets one, unless the guest
/// may have attached a program of its own: then the checks at the queue and at receive remain.
pub(crate) fn follow_policy(gate: &Gate) {
    for descriptors in gate.open.descriptions() {
        let Some((handle, copies)) = descriptors.split_first() else { continue };
        let filter = &handle.open.filter;
        let Some(carried) = handle.socket().ok().and_then(carried) else { continue };
        if filter.lock().is_none() {
            if filter.has_guests_own() {
                continue;
            }
            protect(gate, handle);
            copies.iter().for_each(|copy| filter.duplicated(copy));
        }
        // It locks the filters of all sockets.
        let follows = follows(gate, carried);
        if let Some(attached) = filter.lock().as_mut() {
            attached.follows = follows;
            let _ = attach(&mut *attached, gate, handle.fd());
            // What is queued has passed another program.
            attached.clean = false;
        }
    }
}

/// Returns whether the filter of one more socket can follow the pins.
fn follows(gate: &Gate, carried: Carried) -> bool {
    gate.policy().names_senders(carried)
        && gate.filters.live().iter().filter(|open| open.filter.follows()).count() < FOLLOWERS
}

/// Updates the filters after a look-up, so that they admit the addresses that are pinned now.
pub(crate) fn follow_pins(gate: &Gate) {
    let changes = gate.with_pins(Pins::changes);
    if gate.filters.changes.swap(changes, Ordering::Relaxed) == changes {
        return;
    }
    for open in gate.filters.live() {
        open.filter.with_handle(|handle| {
            if let Some(attached) = open.filter.lock().as_mut().filter(|attached| attached.follows)
            {
                let _ = attach(&mut *attached, gate, handle.fd());
            }
        });
    }
}

/// Gives the kernel the program for the policy and the current pins.
///
/// # Errors
///
/// The kernel refuses the guest's own program. Nothing has changed then.
fn attach(attached: &mut Attached, gate: &Gate, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let policy = gate.policy();
    let named = policy.names_senders(attached.carried);
    // An exact program for very many addresses takes long to make, on a thread that guests share.
    let follows = attached.follows && gate.with_pins(Pins::count) <= EXACT_PINS;
    let (senders, until): (Arc<Senders>, _) = if named && follows {
        let (senders, until) =
            gate.with_pins(|pins| policy.senders_pinned(attached.carried, pins, Instant::now()));
        (Arc::new(senders), until)
    } else if named {
        (Arc::new(policy.senders_of_any_name(attached.carried)), None)
    } else {
        (policy.senders(attached.carried), None)
    };
    let before = (std::mem::take(&mut attached.exact), attached.until.take());
    for step in 0..=Senders::STEPS {
        let program = match step {
            0 if !named && attached.guest.is_empty() => {
                (*policy.sender_program(attached.carried, attached.layout)).clone()
            }
            _ => match program(&senders, attached.layout, &attached.guest, step) {
                Some(program) => program,
                None => break,
            },
        };
        match attached.replace(fd, program) {
            Ok(()) => {
                attached.until = until;
                // The program is made from the embedder's rules alone.
                attached.exact &= !policy.is_restricted();
                return Ok(());
            }
            Err(Errno::INVAL) => {
                (attached.exact, attached.until) = before;
                return Err(Errno::INVAL);
            }
            // man 7 socket: the memory for options is limited (optmem_max). A coarser program needs
            // less.
            Err(_) => {}
        }
    }
    // Without a filter, the look at the queue and the check at receive remain.
    attached.replace(fd, Program { instructions: attached.guest.clone(), exact: false })
}

/// Separates the guest's own filter from the policy's. Returns the permit of an option that the
/// kernel shall set.
pub(crate) fn set_option(
    gate: &Gate,
    handle: &Handle,
    permit: Permit<SetOption>,
) -> Result<Option<Permit<SetOption>>, Errno> {
    let SetOption { level: libc::SOL_SOCKET, name, value } = permit.act() else {
        return Ok(Some(permit));
    };
    let mut slot = handle.open.filter.lock();
    let Some(attached) = slot.as_mut() else {
        if matches!(*name, libc::SO_ATTACH_FILTER | SO_ATTACH_REUSEPORT_CBPF | SO_LOCK_FILTER) {
            handle.open.filter.set_guests_own();
        }
        return Ok(Some(permit));
    };
    let number = match value {
        OptionBytes::Bytes(bytes) => bytes.first_chunk().map(|four| i32::from_ne_bytes(*four)),
        OptionBytes::Null(_) | OptionBytes::Program(_) => None,
    };
    let changed = match (*name, value, number) {
        (libc::SO_ATTACH_FILTER | libc::SO_DETACH_FILTER | SO_ATTACH_REUSEPORT_CBPF, _, _)
            if attached.locked =>
        {
            return Err(Errno::PERM);
        }
        (libc::SO_ATTACH_FILTER, OptionBytes::Program(program), _) => program
            .iter()
            .map(|&libc::sock_filter { code, jt, jf, k }| Instruction { code, jt, jf, k })
            .collect(),
        (libc::SO_DETACH_FILTER, _, Some(_)) if attached.guest.is_empty() => {
            return Err(Errno::NOENT);
        }
        (libc::SO_DETACH_FILTER, _, Some(_)) => Vec::new(),
        (SO_LOCK_FILTER, _, Some(on)) => {
            if attached.locked && on == 0 {
                return Err(Errno::PERM);
            }
            attached.locked = on != 0;
            return Ok(None);
        }
        (SO_RXQ_OVFL, _, Some(on)) => {
            attached.counts_overflow = on != 0;
            return Ok(None);
        }
        // The kernel refuses these by itself as well.
        _ => return Ok(Some(permit)),
    };
    let before = std::mem::replace(&mut attached.guest, changed);
    let result = attach(&mut *attached, gate, handle.fd());
    if result.is_err() {
        attached.guest = before;
    }
    result.map(|()| None)
}

/// Returns the guest's view of an option about the socket's filter or its queue. None if the
/// kernel's value is the guest's.
pub(crate) fn get_option(
    gate: &Gate,
    handle: &Handle,
    level: i32,
    name: i32,
) -> Result<Option<Vec<u8>>, Errno> {
    match (level, name) {
        (libc::SOL_SOCKET, SO_LOCK_FILTER | SO_RXQ_OVFL) => {
            let slot = handle.open.filter.lock();
            let is_on = slot.as_ref().map(|attached| match name {
                SO_LOCK_FILTER => attached.locked,
                _ => attached.counts_overflow,
            });
            Ok(is_on.map(|on| i32::from(on).to_ne_bytes().to_vec()))
        }
        (libc::SOL_SOCKET, SO_MEMINFO)
            if handle.socket().is_ok_and(|kind| is_restricted(gate, kind)) =>
        {
            let mut info = sys::memory_info(handle.fd())?;
            // The kernel's count includes datagrams of other senders.
            info[sys::MEMINFO_DROPS] = 0;
            if doubtful(gate, handle).is_some() {
                info[sys::MEMINFO_RECEIVED] = 0;
            }
            Ok(Some(info.iter().flat_map(|number| number.to_ne_bytes()).collect()))
        }
        _ => Ok(None),
    }
}

/// Returns whether a received control message must be hidden because it counts datagrams of other
/// senders.
pub(crate) fn is_hidden(level: i32, kind: i32) -> bool {
    (level, kind) == (libc::SOL_SOCKET, SO_RXQ_OVFL)
}

/// Returns the kind of a socket whose queue may contain datagrams that the policy does not allow.
/// None if it can't.
fn doubtful(gate: &Gate, handle: &Handle) -> Option<SocketKind> {
    let kind = handle.socket().ok()?;
    let carried = carried(kind)?;
    let mut slot = handle.open.filter.lock();
    let doubt = match slot.as_mut() {
        Some(attached) => {
            if attached.until.is_some_and(|until| until < Instant::now()) {
                // The kernel has accepted the guest's own program before.
                let _ = attach(&mut *attached, gate, handle.fd());
            }
            !(attached.exact && attached.clean)
        }
        None => gate.policy().restricts_senders(carried),
    };
    doubt.then_some(kind)
}

/// The head of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// A datagram that the guest may get, or the socket's end.
    Allowed,
    /// Nothing.
    Nothing,
    /// Unknown, because as many datagrams were dropped as may be dropped at once.
    Unknown,
}

/// Drops datagrams from the head of a socket's queue while they are not allowed.
fn settle(gate: &Gate, handle: &Handle, kind: SocketKind) -> Head {
    for _ in 0..DROPS {
        match sys::receive_message(
            handle.fd(),
            0,
            sys::ControlRoom::of_bytes(0),
            libc::MSG_PEEK | libc::MSG_DONTWAIT,
        ) {
            Ok(message) if is_listed(gate, kind, &message.address) => return Head::Allowed,
            Ok(message) => {
                // Another process that shares the socket may have received this datagram in the
                // meantime, and this call gets the next one. Without sandsock either process could
                // get any datagram.
                let _ = sys::receive(handle.fd(), 0, libc::MSG_DONTWAIT);
                is_allowed(gate, kind, 0, &message.address);
                gate.count_dropped();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if poll_now(handle, PollFlags::RDHUP).contains(PollFlags::RDHUP) => {
                return Head::Allowed;
            }
            Err(Errno::AGAIN) => {
                if let Some(attached) = handle.open.filter.lock().as_mut() {
                    attached.clean = true;
                }
                return Head::Nothing;
            }
            Err(_) => return Head::Allowed,
        }
    }
    Head::Unknown
}

fn poll_now(handle: &Handle, events: PollFlags) -> PollFlags {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(handle.fd(), events)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut fds, Some(&now)) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// What a guest sees of a socket that is ready.
pub(crate) struct Readiness {
    pub(crate) events: PollFlags,
    /// More must be dropped before the host knows whether the socket is readable.
    pub(crate) unsettled: bool,
}

/// Returns what the guest sees if the kernel reports these events. A datagram that is not allowed
/// makes nothing readable.
pub(crate) fn readiness(gate: &Gate, handle: &Handle, events: PollFlags) -> Readiness {
    let readable = PollFlags::IN | PollFlags::RDNORM;
    // A look at the queue would consume a pending error. An error is also a reason of its own to
    // wake up.
    if events.intersects(readable)
        && !events.contains(PollFlags::ERR)
        && let Some(kind) = doubtful(gate, handle)
    {
        match settle(gate, handle, kind) {
            Head::Allowed => {}
            Head::Nothing => return Readiness { events: events - readable, unsettled: false },
            Head::Unknown => return Readiness { events: events - readable, unsettled: true },
        }
    }
    Readiness { events, unsettled: false }
}

/// Whether the kernel reports something of these sockets now, and all of it is hidden from the guest.
pub(crate) fn hides<'a>(
    gate: &Gate,
    sockets: impl IntoIterator<Item = (&'a Arc<Handle>, PollFlags)>,
) -> bool {
    let mut found = false;
    for (handle, events) in sockets {
        let events = poll_now(handle, events);
        if !readiness(gate, handle, events).events.is_empty() {
            return false;
        }
        found |= !events.is_empty();
    }
    found
}

/// Returns whether the guest may learn about a socket's queue (FIONREAD): its head is a datagram
/// that the guest may get, or all of its queue is.
pub(crate) fn shows_queue(gate: &Gate, handle: &Handle) -> bool {
    let Some(kind) = doubtful(gate, handle) else { return true };
    let events = poll_now(handle, PollFlags::IN);
    events.contains(PollFlags::IN)
        && !events.contains(PollFlags::ERR)
        && settle(gate, handle, kind) == Head::Allowed
}
