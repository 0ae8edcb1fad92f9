//! A descriptor number of the host's process, and the open file description that it refers to.

mod closing;
mod revoking;
mod watching;

pub(crate) use closing::Closing;
use watching::Watcher;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;
use sandsock_abi::constants::SO_PASSPIDFD;

use crate::bindings::sandsock::socket::types::{Address, Denial, DescriptorKind, SocketKind};
use crate::descriptor::acts::{Acts, Origin};
use crate::descriptor::buffers::Charge;
use crate::descriptor::filter_slot::FilterSlot;
use crate::descriptor::guard;
use crate::descriptor::in_flight::InFlight;
use crate::descriptor::inherited::Inherited;
use crate::descriptor::kind::kind_of;
use crate::descriptor::quota::Reservation;
use crate::descriptor::spending::Spending;
use crate::descriptor::tls::TlsSlot;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::{RawAddress, View};
use crate::sys::closer::{Closer, DeferredFd};
use crate::wait::budget::WaitTarget;
use crate::wait::registration::RegistrationCell;

/// After two receives that found nothing, how many of the next ones wait before their first
/// attempt.
const EXPECTED_WAITS: u8 = 64;

/// One descriptor number of the host's process. It is closed on drop.
#[derive(Debug)]
pub(crate) struct Handle {
    /// None only during the drop.
    fd: Option<OwnedFd>,
    /// Duplicates share it, as they share the kernel's open file description.
    pub(crate) open: Arc<Open>,
    /// Incremented by `revoke-aliases`.
    pub(super) aliases: AtomicU64,
    /// How many of the next receives wait first. 1 means that the last receive found nothing
    /// ([`Self::expects_to_wait`]).
    empty_tries: AtomicU8,
    /// The registration with tokio, kept between waits. It holds a duplicate and is dropped before
    /// the close.
    pub(crate) registration: RegistrationCell,
    /// Whether the number belongs to the process. Then a close by the guest closes it, and a drop
    /// does not.
    of_process: AtomicBool,
    /// Counts against the instance's limit until the number is closed.
    place: Mutex<Option<Reservation>>,
}

/// What the host keeps of an open file description.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) kind: DescriptorKind,
    /// The non-blocking bit that the guest sees and sets, if it is not the kernel's own flag.
    nonblocking: Arc<AtomicBool>,
    /// Other processes may hold the description. The kernel's own flag is then the guest's bit, and
    /// they may change it.
    shared: AtomicBool,
    /// The description came from outside: it was handed over, received or adopted.
    foreign: bool,
    /// The description was sent to another process.
    travelled: AtomicBool,
    /// Several contexts were given the description, so none of them may change it.
    common: bool,
    /// How it is waited for.
    polls: Polls,
    /// One end of a pair that the guest made. Everything that arrives comes from the guest, unless
    /// the guest passes descriptors.
    paired: AtomicBool,
    /// The guest bound it with a permit. So `listen` on a UNIX socket needs no further check.
    bound_here: AtomicBool,
    port_chosen: AtomicBool,
    /// A datagram socket that was made without a grant. Nothing can reach it.
    ungranted: AtomicBool,
    /// The IP socket had a local port when last checked, and was not dissolved since.
    has_port: AtomicBool,
    /// SO_PASSCRED may be set. The kernel then gives a UNIX socket without a name a name of its
    /// own.
    may_be_named: AtomicBool,
    /// SO_RCVTIMEO or SO_SNDTIMEO may be set.
    may_time_out: AtomicBool,
    /// TCP_FASTOPEN_CONNECT may have delayed the connect to the next send.
    defers_connect: AtomicBool,
    /// The seconds of SO_LINGER, which the kernel gets only at the last close. 0 means none.
    linger: AtomicI32,
    /// The protocol that the guest asked for an AF_PACKET socket. The kernel gets it at `bind`.
    packet_protocol: AtomicU16,
    /// The policy's filter, if the kernel has one.
    pub(crate) filter: FilterSlot,
    /// A check after the act failed. The guest can only close it.
    poisoned: AtomicBool,
    /// The policy was replaced, and no longer allows the description. It is closed, and every call of
    /// the guest gets this denial.
    revoked: OnceLock<Denial>,
    /// What a later policy would have to allow as well.
    acts: Mutex<Acts>,
    /// The guest's view of its local address, and the real address that bind(2) gave it.
    view: Mutex<Option<(View, SocketAddr)>>,
    /// What the kernel may hold for the description.
    pub(crate) charge: Charge,
    /// Its session of TLS, and whether no other bytes may move.
    pub(crate) tls: TlsSlot,
    /// The pollers that its descriptors are registered with.
    watchers: Mutex<Vec<Watcher>>,
    /// The accounts of budgets that it uses.
    pub(crate) spending: Spending,
    /// Counts the descriptors that were sent through it.
    rights: InFlight,
    /// The local address that it had when it was handed over. Listening there needs no grant.
    handed_at: Option<RawAddress>,
    /// The embedder handed it over.
    pub(crate) is_handed: bool,
    /// What was handed over. It is given back unchanged.
    _handed: Option<Inherited>,
}

/// How a descriptor is waited for. Polling a file of another process can call that process, for
/// example a FUSE daemon, or a device's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polls {
    /// By the kernel.
    Kernel,
    /// Never waited for. man 2 poll says that such files are always ready, and epoll_ctl(2) refuses
    /// them.
    Always,
    /// Never waited for, because the answer would not come from the kernel.
    Never,
}

/// A description that was handed over at the start.
pub(crate) struct Handed {
    pub(crate) kind: DescriptorKind,
    pub(crate) number: i32,
    pub(crate) nonblocking: Arc<AtomicBool>,
    pub(crate) shared: bool,
    /// No other process has it.
    pub(crate) sole: bool,
    /// Several contexts were given it.
    pub(crate) common: bool,
    pub(crate) linger: i32,
    pub(crate) bound: Option<RawAddress>,
    pub(crate) keep: Option<Inherited>,
}

impl Open {
    fn new(
        kind: DescriptorKind,
        nonblocking: Arc<AtomicBool>,
        shared: bool,
        rights: &InFlight,
    ) -> Self {
        Self {
            kind,
            nonblocking,
            shared: AtomicBool::new(shared),
            foreign: shared,
            travelled: AtomicBool::new(false),
            common: false,
            polls: Polls::Kernel,
            paired: AtomicBool::new(false),
            bound_here: AtomicBool::new(false),
            port_chosen: AtomicBool::new(false),
            ungranted: AtomicBool::new(false),
            has_port: AtomicBool::new(false),
            may_be_named: AtomicBool::new(shared),
            may_time_out: AtomicBool::new(shared),
            defers_connect: AtomicBool::new(false),
            linger: AtomicI32::new(0),
            packet_protocol: AtomicU16::new(0),
            filter: FilterSlot::default(),
            poisoned: AtomicBool::new(false),
            revoked: OnceLock::new(),
            acts: Mutex::default(),
            view: Mutex::default(),
            charge: Charge::default(),
            tls: TlsSlot::default(),
            watchers: Mutex::default(),
            spending: Spending::default(),
            rights: rights.clone(),
            handed_at: None,
            is_handed: false,
            _handed: None,
        }
    }
}

impl Handle {
    /// A description that this host has just made and nobody else has: its kernel flag is
    /// O_NONBLOCK.
    pub(crate) fn own(
        fd: OwnedFd,
        kind: SocketKind,
        nonblocking: bool,
        rights: &InFlight,
    ) -> Arc<Self> {
        Self::with(
            fd,
            Open::new(DescriptorKind::Socket(kind), Arc::new(nonblocking.into()), false, rights),
        )
    }

    /// A description that was handed over at the start.
    pub(crate) fn handed(fd: OwnedFd, handed: Handed, rights: &InFlight) -> Arc<Self> {
        let Handed { kind, number, nonblocking, shared, sole, common, linger, bound, keep } =
            handed;
        let mut open = Open::new(kind, nonblocking, shared, rights);
        (open.foreign, open.common) = (!sole, common);
        *open.linger.get_mut() = linger;
        open.acts.get_mut().unwrap_or_else(PoisonError::into_inner).origin =
            Origin::Inherited(number);
        // Its former holders may have set SO_PASSCRED, or a timeout.
        (*open.may_be_named.get_mut(), *open.may_time_out.get_mut()) = (true, true);
        (open.handed_at, open.is_handed, open._handed) = (bound, true, keep);
        Self::with(fd, open)
    }

    /// A description that was received. It is only asked what the kernel knows without its file:
    /// nothing of it is changed. `of_kernel` says that it is no file of anybody's.
    pub(crate) fn foreign(
        fd: DeferredFd,
        kind: DescriptorKind,
        of_kernel: bool,
        rights: &InFlight,
    ) -> Result<Arc<Self>, Errno> {
        let nonblocking = rustix::fs::fcntl_getfl(&fd)?.contains(rustix::fs::OFlags::NONBLOCK);
        let mut open = Open::new(kind, Arc::new(nonblocking.into()), true, rights);
        open.common = matches!(kind, DescriptorKind::Socket(_)) && guard::is_common(fd.as_fd());
        open.polls = match kind {
            _ if of_kernel => Polls::Kernel,
            DescriptorKind::Socket(_) | DescriptorKind::Pipe => Polls::Kernel,
            DescriptorKind::File | DescriptorKind::Directory | DescriptorKind::BlockDevice => {
                Polls::Always
            }
            DescriptorKind::CharacterDevice | DescriptorKind::Other => Polls::Never,
        };
        open.acts.get_mut().unwrap_or_else(PoisonError::into_inner).origin = Origin::Received;
        rights.closer.note_fd_passed();
        Ok(Self::with(fd.take(), open))
    }

    /// A number of this process, for an embedder that shows real ones.
    pub(crate) fn of_process(fd: OwnedFd, rights: &InFlight) -> Result<Arc<Self>, Errno> {
        match kind_of(fd.as_fd()) {
            Ok(kind) => Ok(Self::with(fd, Open::new(kind, Arc::default(), true, rights))),
            Err(errno) => {
                let _ = fd.into_raw_fd();
                Err(errno)
            }
        }
    }

    fn with(fd: OwnedFd, open: Open) -> Arc<Self> {
        Arc::new(Self {
            fd: Some(fd),
            open: Arc::new(open),
            aliases: AtomicU64::new(0),
            empty_tries: AtomicU8::new(0),
            registration: Mutex::default(),
            of_process: AtomicBool::new(false),
            place: Mutex::default(),
        })
    }

    /// dup(2), close-on-exec.
    pub(crate) fn duplicate(&self) -> Result<Arc<Self>, Errno> {
        let copy = Arc::new(Self {
            fd: Some(rustix::io::fcntl_dupfd_cloexec(self.fd(), 0)?),
            open: Arc::clone(&self.open),
            aliases: AtomicU64::new(0),
            empty_tries: AtomicU8::new(0),
            registration: Mutex::default(),
            of_process: AtomicBool::new(false),
            place: Mutex::default(),
        });
        copy.open.filter.duplicated(&copy);
        Ok(copy)
    }

    /// Counts against the instance's limit from now on.
    pub(crate) fn hold(&self, place: Reservation) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Leaves the number to the process, whose other instances know it too: all state is the
    /// kernel's from now on.
    pub(crate) fn leave_to_process(&self) -> Result<(), Errno> {
        self.of_process.store(true, Ordering::Relaxed);
        self.share()
    }

    /// Whether the number is the process's. Its calls may then block and be interrupted as they
    /// would natively.
    pub(crate) fn is_of_process(&self) -> bool {
        self.of_process.load(Ordering::Relaxed)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        // Only `drop` and `close` take it, and they own the handle.
        self.fd.as_ref().expect("a live handle has its descriptor").as_fd()
    }

    /// The socket's three numbers; ENOTSOCK on any other file.
    pub(crate) fn socket(&self) -> Result<SocketKind, Errno> {
        match self.open.kind {
            DescriptorKind::Socket(kind) => Ok(kind),
            _ => Err(Errno::NOTSOCK),
        }
    }

    /// Whether others may hold the description.
    pub(crate) fn is_shared(&self) -> bool {
        self.open.shared.load(Ordering::Relaxed)
    }

    /// How it is waited for.
    pub(crate) fn polls(&self) -> Polls {
        self.open.polls
    }

    /// Whether nobody else may have the description: what its last close here means, it means to
    /// the peer.
    pub(crate) fn is_sole(&self) -> bool {
        self.open.is_sole()
    }

    /// Whether several contexts were handed the description.
    pub(crate) fn is_common(&self) -> bool {
        self.open.common
    }

    /// An end of a pair that the guest has just made.
    pub(crate) fn set_paired(&self) {
        self.open.paired.store(true, Ordering::Relaxed);
    }

    /// Where the instance closes what may be anybody's.
    pub(crate) fn closer(&self) -> &Closer {
        &self.open.rights.closer
    }

    /// Whether the kernel's own flag is the bit that the guest sees. Of what several contexts have,
    /// each has a bit of its own.
    fn has_kernels_bit(&self) -> bool {
        self.is_shared() && !self.open.common
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        if self.has_kernels_bit() {
            rustix::fs::fcntl_getfl(self.fd())
                .is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
        } else {
            self.open.nonblocking.load(Ordering::Relaxed)
        }
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> Result<(), Errno> {
        self.open.nonblocking.store(nonblocking, Ordering::Relaxed);
        if self.has_kernels_bit() {
            rustix::io::ioctl_fionbio(self.fd(), nonblocking)
        } else {
            Ok(())
        }
    }

    /// Before the description is first sent away (or where numbers are real): the kernel gets from
    /// the host what its other holders will go by. A description that several contexts have stays
    /// as it is.
    pub(crate) fn share(&self) -> Result<(), Errno> {
        if self.is_shared() || self.open.common {
            return Ok(());
        }
        rustix::io::ioctl_fionbio(self.fd(), self.is_nonblocking())?;
        self.open.filter.release(self.fd());
        self.open.shared.store(true, Ordering::Relaxed);
        match self.open.linger.swap(0, Ordering::Relaxed) {
            0 => {}
            seconds => sys::set_linger(self.fd(), Some(seconds)),
        }
        Ok(())
    }

    /// It is sent away.
    pub(crate) fn set_travelled(&self) {
        self.open.travelled.store(true, Ordering::Relaxed);
        self.closer().note_fd_passed();
    }

    /// Whether accept and connect may block in the kernel, where nothing may.
    pub(crate) fn may_block(&self) -> bool {
        // Whatever the flag is now, another holder may change it before the call.
        if self.is_shared() {
            return !self.is_of_process();
        }
        // A listener that was handed over: another holder may have cleared the flag that the host
        // has set.
        let flags = || rustix::fs::fcntl_getfl(self.fd());
        self.open.foreign
            && !flags().is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    pub(crate) fn is_bound_here(&self) -> bool {
        self.open.bound_here.load(Ordering::Relaxed)
    }

    /// The guest has bound it, by a permit; `port_chosen` says that it left the port to the kernel.
    pub(crate) fn set_bound_here(&self, port_chosen: bool) {
        self.open.bound_here.store(true, Ordering::Relaxed);
        self.open.port_chosen.store(port_chosen, Ordering::Relaxed);
    }

    /// Whether the kernel chose the port at the guest's bind: a grant of port 0 covers it.
    pub(crate) fn is_port_chosen(&self) -> bool {
        self.open.port_chosen.load(Ordering::Relaxed)
    }

    /// Whether a datagram may arrive at this socket: it is bound, connected, or has a port.
    pub(crate) fn is_reachable(&self) -> bool {
        self.is_bound_here() || self.acts().peer.is_some() || self.has_port()
    }

    /// Whether no grant is about this datagram socket, which nothing can reach.
    pub(crate) fn set_ungranted(&self, ungranted: bool) {
        self.open.ungranted.store(ungranted, Ordering::Relaxed);
    }

    pub(crate) fn is_ungranted(&self) -> bool {
        self.open.ungranted.load(Ordering::Relaxed)
    }

    /// Whether this IP socket has a local port, so that no send makes the kernel choose one.
    pub(crate) fn has_port(&self) -> bool {
        // Another holder may dissolve it.
        if self.open.has_port.load(Ordering::Relaxed) && !self.is_shared() {
            return true;
        }
        let has = sys::local_address(self.fd())
            .is_ok_and(|raw| raw.to_ip().is_some_and(|address| address.port() != 0));
        self.open.has_port.store(has, Ordering::Relaxed);
        has
    }

    /// Its association is dissolved (man 2 connect: AF_UNSPEC): a datagram socket may lose its
    /// port.
    pub(crate) fn forget_port(&self) {
        self.open.has_port.store(false, Ordering::Relaxed);
    }

    /// The guest has bound a published address.
    pub(crate) fn set_view(&self, view: Option<View>) {
        let real = || sys::local_address(self.fd()).ok()?.to_ip();
        *self.view() = view.and_then(|view| Some((view, real()?)));
    }

    fn view(&self) -> MutexGuard<'_, Option<(View, SocketAddr)>> {
        self.open.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published address that this socket has, where its address in truth is `real`. A socket
    /// that let go of the port to which it was bound has none any more.
    pub(crate) fn view_at(&self, real: SocketAddr) -> Option<View> {
        let (view, bound) = (*self.view())?;
        let is_same = bound.port() == real.port()
            && (bound.ip() == real.ip() || bound.ip().to_canonical().is_unspecified());
        is_same.then_some(view)
    }

    /// getsockname(2), as the guest sees it.
    pub(crate) fn local_address(&self) -> Result<RawAddress, Errno> {
        let raw = sys::local_address(self.fd())?;
        let Some((real, view)) = raw.to_ip().and_then(|real| Some((real, self.view_at(real)?)))
        else {
            return Ok(raw);
        };
        // On the wildcard a connection has the address by which its peer came.
        let ip = if view.guest.ip().is_unspecified() && !real.ip().is_unspecified() {
            real.ip()
        } else {
            view.guest.ip()
        };
        Ok(RawAddress::from_ip(SocketAddr::new(ip, view.guest.port())))
    }

    /// An accepted socket is where its listener is.
    pub(crate) fn inherit_view(&self, listener: &Self) {
        let view = *listener.view();
        if view.is_some() {
            *self.view() = view;
        }
    }

    /// Whether it still has the address that it was handed over with.
    pub(crate) fn is_where_handed(&self) -> bool {
        let at = self.open.handed_at.as_ref();
        at.is_some_and(|at| {
            sys::local_address(self.fd()).is_ok_and(|now| now.bytes() == at.bytes())
        })
    }

    /// The guest sets SO_PASSCRED.
    pub(crate) fn set_may_be_named(&self) {
        self.open.may_be_named.store(true, Ordering::Relaxed);
    }

    /// The guest sets SO_RCVTIMEO or SO_SNDTIMEO.
    pub(crate) fn set_may_time_out(&self) {
        self.open.may_time_out.store(true, Ordering::Relaxed);
    }

    /// The guest sets TCP_FASTOPEN_CONNECT.
    pub(crate) fn set_defers_connect(&self) {
        self.open.defers_connect.store(true, Ordering::Relaxed);
    }

    /// Whether a send may be the one that connects; asked once.
    pub(crate) fn take_defers_connect(&self) -> bool {
        self.open.defers_connect.load(Ordering::Relaxed)
            && self.open.defers_connect.swap(false, Ordering::Relaxed)
    }

    /// Whether the next receive is to wait before its first attempt: the last two found nothing at
    /// first. Now and then one attempts first all the same.
    pub(crate) fn expects_to_wait(&self) -> bool {
        let left = self.empty_tries.load(Ordering::Relaxed);
        if left < 2 {
            return false;
        }
        self.empty_tries.store(left - 1, Ordering::Relaxed);
        true
    }

    /// What a receive's first attempt found.
    pub(crate) fn note_first_attempt(&self, found: bool) {
        let empty_tries = match (found, self.empty_tries.load(Ordering::Relaxed)) {
            (true, _) => 0,
            (false, 0) => 1,
            (false, _) => EXPECTED_WAITS,
        };
        self.empty_tries.store(empty_tries, Ordering::Relaxed);
    }

    /// Whether connect or a message would make the kernel bind this UNIX socket (`unix_autobind`):
    /// it asks for credentials or for a pidfd, and has no name.
    pub(crate) fn would_be_named(&self) -> bool {
        self.open.may_be_named.load(Ordering::Relaxed)
            && self.socket().is_ok_and(|kind| kind.family == libc::AF_UNIX)
            && [libc::SO_PASSCRED, SO_PASSPIDFD]
                .iter()
                .any(|&name| sys::own_option(self.fd(), libc::SOL_SOCKET, name) == Ok(1))
            && sys::local_address(self.fd()).is_ok_and(|address| address.bytes().len() <= 2)
    }

    /// The protocol that an AF_PACKET socket was asked for and not made with; 0 is none.
    pub(crate) fn packet_protocol(&self) -> u16 {
        self.open.packet_protocol.load(Ordering::Relaxed)
    }

    pub(crate) fn hold_packet_protocol(&self, protocol: u16) {
        self.open.packet_protocol.store(protocol, Ordering::Relaxed);
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.open.poisoned.load(Ordering::Relaxed)
    }

    /// Takes the socket from the guest: a check after the fact failed.
    pub(crate) fn poison(&self) {
        self.open.poisoned.store(true, Ordering::Relaxed);
    }

    /// What a later policy would have to allow as well.
    pub(crate) fn acts(&self) -> MutexGuard<'_, Acts> {
        self.open.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest connects it to this address, with a permit, or dissolves its association.
    pub(crate) fn set_peer(&self, address: &Address) {
        self.acts().peer = match address {
            Address::Unspec => None,
            address => Some(address.clone()),
        };
    }

    /// Whether it is one end of a pair that the guest made.
    pub(crate) fn is_paired(&self) -> bool {
        self.open.paired.load(Ordering::Relaxed)
    }

    pub(crate) fn revoke_aliases(&self) {
        self.aliases.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps so many seconds of SO_LINGER from the kernel until the last close, for a close may
    /// happen anywhere: on a shared thread, or in the kernel while it drops a message with
    /// descriptors. 0 is none.
    pub(crate) fn hold_linger(&self, seconds: i32) {
        self.open.linger.store(seconds, Ordering::Relaxed);
    }

    /// The SO_LINGER that is kept from the kernel, as the guest set it.
    pub(crate) fn held_linger(&self) -> Option<Vec<u8>> {
        let seconds = self.open.linger.load(Ordering::Relaxed);
        (seconds != 0).then(|| [1i32.to_ne_bytes(), seconds.to_ne_bytes()].concat())
    }

    /// man 7 socket: an accepted socket has its listener's SO_LINGER, its timeouts and its other
    /// options.
    pub(crate) fn inherit_options(&self, listener: &Self) {
        *self.acts() = listener.acts().of_connection();
        self.open.may_time_out.store(
            listener.is_shared() || listener.open.may_time_out.load(Ordering::Relaxed),
            Ordering::Relaxed,
        );
        self.open.linger.store(listener.open.linger.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl WaitTarget for Handle {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }

    fn registration(&self) -> &RegistrationCell {
        &self.registration
    }

    fn is_nonblocking(&self) -> bool {
        self.is_nonblocking()
    }

    /// The kernel is asked only if somebody may have set a timeout.
    fn timeout(&self, name: i32) -> Option<u64> {
        let may = self.is_shared() || self.open.may_time_out.load(Ordering::Relaxed);
        if may { sys::own_timeout(self.fd(), name) } else { None }
    }

    fn check(&self) -> CallResult<()> {
        Self::check(self)
    }
}

impl Open {
    fn is_sole(&self) -> bool {
        !self.foreign
            && !self.shared.load(Ordering::Relaxed)
            && !self.travelled.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.rights.closed(self, self.is_sole());
    }
}
