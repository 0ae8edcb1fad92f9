//! Sessions of TLS, and what an open file description has of them: whether only TLS may move its
//! bytes, and its session.
//!
//! An attached session's I/O is made here. The bytes that it has not taken yet are at most one piece,
//! and it keeps no more that it wants to send, so nothing that the peer does makes the host keep
//! more. A session without I/O can be bound to a description on which only TLS may move bytes. Then
//! the bytes that the guest has drained are kept until they are sent, because nothing else may be.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::PollFlags;
use rustix::io::Errno;
use sandsock_policy::{LocalAddress, Shortage};
use sandsock_tls::{Failure, Roots, Server, Session};
use tokio::sync::Notify;

use crate::descriptor::account::{Account, Taken};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::{Handle, Reservation};
use crate::sys;

/// The most bytes that are read from the kernel, and plain ones that are sent, at once.
pub(crate) const PIECE: usize = 64 * 1024;

/// The flags of a send.
const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// The most pieces without a plain byte that are received before a wait.
const PIECES_MAX: usize = 16;

/// The most drained bytes that are kept for a session before it is bound.
const UNBOUND_MAX: usize = 64 * 1024;

/// The most drained bytes of a bound session that are kept until they are sent.
const UNSENT_MAX: usize = 1 << 20;

/// The most bytes that a bound session's socket receives until the handshake is verified.
const UNVERIFIED_MAX: usize = 64 * 1024;

/// The first bytes by which a session is recognised. Its header alone would fit others.
const HEAD: usize = 5 + 6 + 32;

/// The most plain bytes that move each way before a session on a socket of `tls-upgrade`.
const PREAMBLE_MAX: usize = 64 * 1024;

/// A direction of plain bytes before a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Out,
    In,
}

/// Where a rule about TLS lends an identity to connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    /// The address of the listener.
    pub(crate) at: LocalAddress,
    /// Whether no other rule allows the address, so that only TLS may move bytes.
    pub(crate) is_for_tls: bool,
}

/// The first bytes of a connection, which come before its session.
#[derive(Debug, Default)]
struct Heard {
    /// Those by which a session is recognised that the guest has fed with them.
    head: Vec<u8>,
    received: usize,
    records: Records,
}

/// The TLS of one open file description.
#[derive(Debug, Default)]
pub(crate) struct TlsSlot {
    /// Whether anything of it was ever set. Transfers of other descriptions read nothing else.
    is_set: AtomicBool,
    /// The address to which the guest connected it with a grant for TLS alone.
    only_to: OnceLock<SocketAddr>,
    /// Where it was accepted.
    served: OnceLock<Served>,
    /// Where it listens, or is bound.
    serves: Mutex<Option<Served>>,
    heard: Mutex<Heard>,
    /// Its bytes move by calls that know no sessions.
    moves_plain_bytes: AtomicBool,
    /// Whether the session is attached. A bound session's bytes are moved by the guest.
    is_attached: AtomicBool,
    /// The plain bytes that have moved before a session: out and in.
    preamble: [AtomicUsize; 2],
    session: Mutex<Option<Arc<SharedTls>>>,
    /// The embedder began the session, and the guest does not know of it.
    is_terminated: AtomicBool,
    /// Ends the waits that are under way when the session gets plain bytes.
    left: Notify,
}

/// A session that the guest's resource and a description share.
#[derive(Debug)]
pub(crate) struct SharedTls(Mutex<Tls>);

impl SharedTls {
    pub(crate) fn new(tls: Tls) -> Arc<Self> {
        Arc::new(Self(Mutex::new(tls)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Tls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsSlot {
    /// Returns whether TLS may have to do with the description's bytes.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Lets only TLS move bytes from now on, on a connection to this address. Returns false if it was
    /// connected for TLS to another address before.
    pub(crate) fn restrict(&self, to: SocketAddr) -> bool {
        self.is_set.store(true, Ordering::Release);
        *self.only_to.get_or_init(|| to) == to
    }

    /// Returns the address to which it was connected for TLS alone. None if plain bytes may move.
    pub(crate) fn only_to(&self) -> Option<SocketAddr> {
        self.only_to.get().copied()
    }

    /// Returns whether only TLS may move bytes.
    pub(crate) fn is_for_tls(&self) -> bool {
        self.only_to().is_some() || self.served.get().is_some_and(|served| served.is_for_tls)
    }

    /// Notes that its bytes move by calls that know no sessions.
    pub(crate) fn set_moves_plain_bytes(&self) {
        self.moves_plain_bytes.store(true, Ordering::Relaxed);
    }

    /// Returns whether its bytes move by calls that know no sessions.
    pub(crate) fn moves_plain_bytes(&self) -> bool {
        self.moves_plain_bytes.load(Ordering::Relaxed)
    }

    /// Notes what the connections are that it accepts.
    pub(crate) fn set_serves(&self, serves: Option<Served>) {
        *self.serves() = serves;
    }

    fn serves(&self) -> MutexGuard<'_, Option<Served>> {
        self.serves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was accepted by a listener.
    pub(crate) fn accepted_by(&self, listener: &Self) {
        if let Some(served) = *listener.serves() {
            self.is_set.store(true, Ordering::Release);
            self.served.get_or_init(|| served);
        }
    }

    /// Returns where it was accepted.
    pub(crate) fn accepted(&self) -> Option<Served> {
        self.served.get().copied()
    }

    /// Returns where it was accepted, or listens.
    pub(crate) fn served(&self) -> Option<Served> {
        let serves = *self.serves();
        serves.filter(|served| served.is_for_tls).or_else(|| self.accepted()).or(serves)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many bytes may be received before a server's session.
    pub(crate) fn hello_room(&self) -> usize {
        UNVERIFIED_MAX.saturating_sub(self.heard().received)
    }

    /// Notes bytes that were received where a session may be a server's. Returns false if they are
    /// no records of TLS.
    pub(crate) fn hear(&self, bytes: &[u8]) -> bool {
        let Some(served) = self.accepted() else { return true };
        let mut heard = self.heard();
        if !served.is_for_tls && heard.head.len() == HEAD {
            return true;
        }
        extend_head(&mut heard.head, bytes);
        heard.received = heard.received.saturating_add(bytes.len());
        heard.records.follow(bytes)
    }

    /// Recognises a server's session that the guest has fed with the first bytes of this connection,
    /// and binds it if only TLS may move bytes. Returns false if the session was fed others.
    pub(crate) fn recognise(&self, tls: &Arc<SharedTls>) -> bool {
        let is_free = self.only_to().is_none() && !self.has_session();
        let Some(served) = self.accepted().filter(|_| is_free) else { return false };
        {
            let (mut heard, mut tls) = (self.heard(), tls.lock());
            if heard.head != tls.head {
                return false;
            }
            tls.served = Some(served);
            if !served.is_for_tls {
                return true;
            }
            (tls.received, tls.records) = (heard.received, std::mem::take(&mut heard.records));
        }
        self.set(tls, Place::Bound).is_ok()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<SharedTls>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many plain bytes may move before a session.
    pub(crate) fn preamble_room(&self, way: Way) -> usize {
        PREAMBLE_MAX.saturating_sub(self.preamble[way as usize].load(Ordering::Relaxed))
    }

    /// Notes plain bytes that have moved before a session.
    pub(crate) fn note_preamble(&self, way: Way, count: usize) {
        self.preamble[way as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Returns whether there is a session, attached or bound.
    pub(crate) fn has_session(&self) -> bool {
        self.slot().is_some()
    }

    /// Returns the server's name that the session of a client asks for.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.slot().as_ref()?.lock().asked.name.clone()
    }

    /// Attaches or binds a session. EISCONN if there is one.
    pub(crate) fn set(&self, tls: &Arc<SharedTls>, place: Place) -> Result<(), Errno> {
        let mut slot = self.slot();
        if slot.is_some() {
            return Err(Errno::ISCONN);
        }
        tls.lock().place = place;
        self.is_set.store(true, Ordering::Release);
        self.is_attached.store(place == Place::Attached, Ordering::Release);
        *slot = Some(Arc::clone(tls));
        Ok(())
    }

    /// Attaches a session whose handshake the embedder has made, and that has not taken these bytes
    /// yet. EISCONN if there is one.
    pub(crate) fn set_terminated(&self, session: Session, incoming: Vec<u8>) -> Result<(), Errno> {
        let mut tls = Tls::new(session, Asked::default(), None);
        tls.incoming = incoming;
        // What is left must show as readable.
        tls.feed();
        self.set(&SharedTls::new(tls), Place::Attached)?;
        self.is_terminated.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends the stream of bytes to the peer with close_notify, for a guest that does not know of the
    /// session. A guest that does ends it by itself.
    pub(crate) fn end(&self, fd: BorrowedFd<'_>) {
        if self.is_terminated.load(Ordering::Acquire)
            && let Ok(tls) = self.attached()
        {
            tls.lock().end(fd);
        }
    }

    /// Takes the attached session away. The description moves plain bytes again.
    pub(crate) fn detach(&self) {
        self.is_attached.store(false, Ordering::Release);
        if let Some(tls) = self.slot().take() {
            tls.lock().place = Place::Detached;
        }
    }

    /// Returns whether this is the description's session.
    pub(crate) fn has(&self, tls: &Arc<SharedTls>) -> bool {
        self.slot().as_ref().is_some_and(|one| Arc::ptr_eq(one, tls))
    }

    /// Returns whether a session is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Acquire)
    }

    /// Returns the attached session. ENOTCONN if there is none.
    pub(crate) fn attached(&self) -> Result<Arc<SharedTls>, Errno> {
        let tls = if self.is_attached() { self.slot().clone() } else { None };
        tls.ok_or(Errno::NOTCONN)
    }

    /// Returns the bound session. None if there is none, or an attached one.
    pub(crate) fn bound(&self) -> Option<Arc<SharedTls>> {
        if !self.is_for_tls() || self.is_attached() { None } else { self.slot().clone() }
    }

    /// Ends the waits for [`readable`](Self::readable) that are under way.
    pub(crate) fn wake_readers(&self) {
        self.left.notify_waiters();
    }

    /// Waits until a receive returns at once, without a byte from the kernel.
    pub(crate) async fn readable(&self) {
        loop {
            let left = self.left.notified();
            if self.is_readable() {
                return;
            }
            left.await;
        }
    }

    /// Returns which of these events there are because the session has plain bytes. The kernel knows
    /// nothing of them.
    pub(crate) fn leftover(&self, events: PollFlags) -> PollFlags {
        let input = events & (PollFlags::IN | PollFlags::RDNORM);
        if !input.is_empty() && self.is_readable() { input } else { PollFlags::empty() }
    }

    /// Returns whether the session has bytes that the kernel has not taken yet. A step of it goes on
    /// when the kernel takes them.
    pub(crate) fn has_unsent(&self) -> bool {
        self.attached().is_ok_and(|tls| tls.lock().session.has_bytes())
    }

    /// Returns whether a receive returns at once, without a byte from the kernel.
    pub(crate) fn is_readable(&self) -> bool {
        self.attached().is_ok_and(|tls| {
            let mut tls = tls.lock();
            !tls.session.is_handshaking() && tls.session.is_readable()
        })
    }
}

/// Where a session's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the guest takes them.
    Free,
    /// Through a description, by the host.
    Attached,
    /// Through a description, by the guest, and nowhere else.
    Bound,
    /// Nowhere any more.
    Detached,
}

/// Which certificates of the peer a session asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The server's name that a client asks for.
    pub(crate) name: Option<String>,
    /// Whether the embedder's roots have to prove the peer, and a server its name.
    pub(crate) by_embedder: bool,
    /// The guest's own roots, which are counted as long as a session uses them.
    pub(crate) roots: Option<Arc<Roots>>,
}

/// A session, and the bytes between it and the kernel.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) session: Session,
    pub(crate) asked: Asked,
    place: Place,
    /// Where the connection of a server's session was accepted.
    pub(crate) served: Option<Served>,
    /// The first bytes that a server's session was fed.
    head: Vec<u8>,
    /// Bytes of the kernel, of which the session has not taken all yet. They are empty afterwards.
    incoming: Vec<u8>,
    /// How many of them it has taken.
    fed: usize,
    /// The last byte of a send whose record is not yet with the kernel. The guest was told that the
    /// byte before was sent, so it sends this byte again.
    owed: Option<u8>,
    /// Bytes that a guest has drained and not sent. None if the session can't be bound any more.
    drained: Option<VecDeque<u8>>,
    /// The records that were received.
    records: Records,
    /// The bytes that a bound session's socket has received.
    received: usize,
    /// Whether bytes have moved since the last wait.
    has_moved: bool,
    /// Why the budget lets no byte move.
    held: HeldBack,
    /// Its place in the guest's limit of sessions. The embedder's sessions have none.
    _counted: Option<Reservation>,
}

/// Follows the records of a stream by their headers. RFC 8446, section 5.1.
#[derive(Debug, Default)]
struct Records {
    header: [u8; 5],
    /// The bytes of the header that are there.
    known: usize,
    /// The bytes of the record that are missing.
    missing: usize,
}

impl Records {
    /// Follows these bytes. Returns false if they are no records of TLS.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(&first) = bytes.first() {
            if self.missing > 0 {
                let count = self.missing.min(bytes.len());
                self.missing -= count;
                bytes = &bytes[count..];
                continue;
            }
            self.header[self.known] = first;
            self.known += 1;
            bytes = &bytes[1..];
            // change_cipher_spec, alert, handshake, application_data, and a version 3.x.
            let fits = match self.known {
                1 => (20..=23).contains(&first),
                2 => first == 3,
                _ => true,
            };
            if !fits {
                return false;
            }
            if self.known == self.header.len() {
                self.known = 0;
                self.missing = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                // RFC 5246, section 6.2.3: 2^14 + 2048. TLS 1.3 has less.
                if self.missing > (1 << 14) + 2048 {
                    return false;
                }
            }
        }
        true
    }

    /// Returns the bytes up to the end of the record, or of its header.
    fn next(&self) -> usize {
        if self.missing > 0 { self.missing } else { self.header.len() - self.known }
    }

    fn is_between(&self) -> bool {
        self.missing == 0 && self.known == 0
    }
}

/// Adds bytes to those by which a session is recognised, up to their number.
fn extend_head(head: &mut Vec<u8>, bytes: &[u8]) {
    let missing = HEAD - head.len();
    head.extend(&bytes[..bytes.len().min(missing)]);
}

/// What a step of a call has come to.
pub(crate) enum Step<T> {
    /// The call is done.
    Done(T),
    /// The kernel has no bytes.
    NeedsInput,
    /// The kernel takes no bytes.
    NeedsOutput,
}

impl Tls {
    pub(crate) fn new(session: Session, asked: Asked, counted: Option<Reservation>) -> Self {
        Self {
            session,
            asked,
            place: Place::Free,
            served: None,
            head: Vec::new(),
            incoming: Vec::new(),
            fed: 0,
            owed: None,
            drained: Some(VecDeque::new()),
            records: Records::default(),
            received: 0,
            has_moved: false,
            held: None,
            _counted: counted,
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Returns whether no byte has moved, so that it can be attached.
    pub(crate) fn is_new(&self) -> bool {
        !self.session.is_fed() && self.drained.as_ref().is_some_and(VecDeque::is_empty)
    }

    /// Gives a session bytes that the guest moves. `failure` has what goes wrong. Returns how many it
    /// takes, and whether they are the last ones by which a server's session is recognised. It can't
    /// have chosen before them.
    pub(crate) fn feed_from_guest(&mut self, bytes: &[u8]) -> (usize, bool) {
        let taken = self.session.feed(bytes).unwrap_or(bytes.len());
        let is_open =
            !self.session.is_client() && self.place == Place::Free && self.head.len() < HEAD;
        if is_open {
            extend_head(&mut self.head, &bytes[..taken]);
        }
        (taken, is_open && self.head.len() == HEAD)
    }

    /// Takes bytes to send for the guest to move. ENOBUFS if too many of a bound session are not
    /// sent.
    pub(crate) fn drain(&mut self, most: usize) -> Result<Vec<u8>, Errno> {
        let is_bound = self.place == Place::Bound;
        let mut most = most;
        if let (true, Some(kept)) = (is_bound, &self.drained) {
            most = most.min(UNSENT_MAX.saturating_sub(kept.len()));
            if most == 0 && self.session.has_bytes() {
                return Err(Errno::NOBUFS);
            }
        }
        let bytes = self.session.drain(most);
        if let Some(kept) = &mut self.drained {
            kept.extend(&bytes);
            let is_late = self.session.is_fed() && !bytes.is_empty();
            if !is_bound && (kept.len() > UNBOUND_MAX || is_late) {
                self.drained = None;
            }
        }
        Ok(bytes)
    }

    /// Returns whether these bytes are the first that the guest has drained, at least as many as
    /// show that they are this session's.
    pub(crate) fn begins_with(&self, bytes: &[u8]) -> bool {
        let is_free = self.place == Place::Free && !self.session.is_fed();
        is_free && bytes.len() >= HEAD && self.has_drained(bytes)
    }

    fn has_drained(&self, bytes: &[u8]) -> bool {
        self.drained.as_ref().is_some_and(|kept| {
            kept.len() >= bytes.len() && kept.iter().zip(bytes).all(|(a, b)| a == b)
        })
    }

    /// Sends bytes that the guest has drained from a bound session. None if they are others than
    /// the next ones.
    pub(crate) fn send_drained(
        &mut self,
        bytes: &[u8],
        send: impl FnOnce(&[u8]) -> Result<usize, Errno>,
    ) -> Option<Result<usize, Errno>> {
        if !self.has_drained(bytes) {
            return None;
        }
        let result = send(bytes);
        if let (Ok(count), Some(kept)) = (&result, &mut self.drained) {
            kept.drain(..(*count).min(kept.len()));
        }
        Some(result)
    }

    /// Returns how many bytes a bound session's socket may receive now. 0 if it received too many
    /// without a verified handshake, or if the session failed.
    pub(crate) fn receivable(&self) -> usize {
        if self.session.failure().is_some() {
            0
        } else if self.session.is_handshaking() {
            UNVERIFIED_MAX.saturating_sub(self.received)
        } else {
            usize::MAX
        }
    }

    /// Notes bytes that a bound session's socket has received. Returns false if they are no records
    /// of TLS.
    pub(crate) fn note_received(&mut self, bytes: &[u8]) -> bool {
        self.received = self.received.saturating_add(bytes.len());
        self.records.follow(bytes)
    }

    /// Returns whether both sides have ended, and where the peer's records do.
    pub(crate) fn check_ended(&self) -> Result<(), Errno> {
        if !self.session.has_closed() || !self.session.has_peer_closed() || self.session.has_bytes()
        {
            return Err(Errno::BUSY);
        }
        let is_between = self.incoming.is_empty() && self.records.is_between();
        if is_between { Ok(()) } else { Err(Errno::PROTO) }
    }

    /// Tells a server's session what it offers, and of which protocols it has to agree on one.
    /// EINVAL if it does not wait for it.
    pub(crate) fn choose(&mut self, server: &Server, required: &[Vec<u8>]) -> Result<(), Errno> {
        if self.session.require(required) && self.session.choose(server) {
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    /// Returns why the budget let no byte move in the last step.
    pub(crate) fn take_held(&mut self) -> HeldBack {
        self.held.take()
    }

    /// Returns whether bytes have moved since the last time.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Gives the kernel all bytes of the session. Returns false if it does not take all.
    fn flush(&mut self, handle: &Handle, buffers: &Buffers) -> Result<bool, Errno> {
        let mut outlet = Outlet { handle, buffers, held: &mut self.held };
        while self.session.has_bytes() {
            match self.session.drain_to(&mut outlet) {
                Ok(_) => self.has_moved = true,
                Err(error) => match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
                    Errno::INTR => {}
                    Errno::AGAIN => return Ok(false),
                    errno => return Err(errno),
                },
            }
        }
        Ok(true)
    }

    /// Gives the session bytes of the kernel. Returns false if there are none.
    fn fill(&mut self, handle: &Handle, buffers: &Buffers) -> Result<bool, Errno> {
        while self.incoming.is_empty() {
            // After close_notify of this side, what follows the peer's may be plain bytes.
            let most = if self.session.has_closed() { self.records.next() } else { PIECE };
            let Some((most, taken)) = take(handle, most, &mut self.held) else { return Ok(false) };
            match sys::receive(handle.fd(), most, libc::MSG_DONTWAIT) {
                Ok((bytes, _)) if bytes.is_empty() => {
                    self.session.feed_end();
                    return Ok(true);
                }
                Ok((bytes, count)) => {
                    buffers.received(count);
                    self.has_moved = true;
                    if let Some(taken) = taken {
                        taken.moved(count);
                    }
                    // The session finds out by itself what is wrong with them.
                    self.records.follow(&bytes);
                    self.incoming = bytes;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        // A session that waits for bytes takes some.
        if self.feed() { Ok(true) } else { Err(Errno::PROTO) }
    }

    /// Gives the session the bytes that it takes. Returns false if it takes none. A failed session
    /// needs none.
    fn feed(&mut self) -> bool {
        let (taken, takes) = match self.session.feed(&self.incoming[self.fed..]) {
            Ok(count) => (self.fed + count, count > 0),
            Err(_) => (self.incoming.len(), true),
        };
        self.fed = taken;
        if taken == self.incoming.len() {
            // An idle connection keeps no memory for them.
            (self.incoming, self.fed) = (Vec::new(), 0);
        }
        takes
    }

    /// Sends the alert of a failed session as far as the kernel takes it, and returns the errno for
    /// the failure.
    fn failed(&mut self, failure: &Failure, handle: &Handle, buffers: &Buffers) -> Errno {
        // The failure comes before the error of the alert.
        let _ = self.flush(handle, buffers);
        match failure {
            Failure::Truncated => Errno::CONNABORTED,
            Failure::Certificate(_)
            | Failure::Alert(..)
            | Failure::Incompatible(_)
            | Failure::Protocol(_)
            | Failure::Refused(_) => Errno::PROTO,
        }
    }

    /// Makes the handshake go on.
    pub(crate) fn handshake(
        &mut self,
        handle: &Handle,
        buffers: &Buffers,
    ) -> Result<Step<()>, Errno> {
        loop {
            if let Some(failure) = self.session.failure().cloned() {
                return Err(self.failed(&failure, handle, buffers));
            }
            if !self.flush(handle, buffers)? {
                return Ok(Step::NeedsOutput);
            }
            if !self.session.is_handshaking() {
                return Ok(Step::Done(()));
            }
            if self.session.hello().is_some() {
                return Err(Errno::INPROGRESS);
            }
            // What came with the client's hello is not taken until the choice.
            if !self.incoming.is_empty() && self.feed() {
                continue;
            }
            if !self.fill(handle, buffers)? {
                return Ok(Step::NeedsInput);
            }
        }
    }

    /// Sends bytes, and returns how many. It does not return 0 unless there are none.
    pub(crate) fn send(
        &mut self,
        bytes: &[u8],
        handle: &Handle,
        buffers: &Buffers,
    ) -> Result<Step<usize>, Errno> {
        if self.session.is_handshaking() {
            return Err(Errno::NOTCONN);
        }
        if !self.flush(handle, buffers)? {
            return Ok(Step::NeedsOutput);
        }
        if let Some(failure) = self.session.failure().cloned() {
            return Err(self.failed(&failure, handle, buffers));
        }
        if self.session.has_closed() {
            return Err(Errno::PIPE);
        }
        let Some(&first) = bytes.first() else { return Ok(Step::Done(0)) };
        match self.owed.take() {
            // The peer has this byte now.
            Some(owed) if owed == first => return Ok(Step::Done(1)),
            // Another byte can't take its place any more.
            Some(_) => return Err(Errno::PROTO),
            None => {}
        }
        let taken = match self.session.write(&bytes[..bytes.len().min(PIECE)]) {
            Ok(taken) => taken,
            Err(failure) => return Err(self.failed(&failure, handle, buffers)),
        };
        if self.flush(handle, buffers)? {
            return Ok(Step::Done(taken));
        }
        // A guest whose bytes are all sent would not wait until the kernel takes the rest.
        self.owed = taken.checked_sub(1).map(|last| bytes[last]);
        match taken {
            0 | 1 => Ok(Step::NeedsOutput),
            taken => Ok(Step::Done(taken - 1)),
        }
    }

    /// Receives at most `most` bytes, which is at least 1. No bytes are the end.
    pub(crate) fn receive(
        &mut self,
        most: usize,
        handle: &Handle,
        buffers: &Buffers,
    ) -> Result<Step<Vec<u8>>, Errno> {
        if self.session.is_handshaking() && self.session.failure().is_none() {
            return Err(Errno::NOTCONN);
        }
        let mut received = Vec::with_capacity(most.min(PIECE));
        let mut pieces = 0;
        loop {
            let room = most - received.len();
            match self.session.read_to(&mut received, room) {
                Ok(Some(1..)) => {
                    // What is left here must show as readable.
                    self.feed();
                    if received.len() == most {
                        return Ok(Step::Done(received));
                    }
                }
                Ok(None) if !self.incoming.is_empty() => {
                    if !self.feed() {
                        return Err(Errno::PROTO);
                    }
                }
                Ok(_) | Err(_) if !received.is_empty() => return Ok(Step::Done(received)),
                Ok(None) => {
                    // The session may have to answer, for example a new key.
                    self.flush(handle, buffers)?;
                    // A peer can send tickets without end. The wait lets others run.
                    if pieces == PIECES_MAX || !self.fill(handle, buffers)? {
                        return Ok(Step::NeedsInput);
                    }
                    pieces += 1;
                }
                Ok(Some(0)) => return Ok(Step::Done(received)),
                Err(failure) => return Err(self.failed(&failure, handle, buffers)),
            }
        }
    }

    /// Ends this side with close_notify, as far as the kernel takes it. The guest has given all of
    /// its bytes to the kernel, so one record is left.
    fn end(&mut self, fd: BorrowedFd<'_>) {
        if self.session.has_closed() || self.session.failure().is_some() {
            return;
        }
        self.session.close();
        // Without it the peer sees a cut, as if the guest's process had ended.
        let _ = sys::send(fd, &self.session.drain(PIECE), FLAGS);
    }

    /// Ends this side with close_notify.
    pub(crate) fn close(&mut self, handle: &Handle, buffers: &Buffers) -> Result<Step<()>, Errno> {
        self.session.close();
        match self.flush(handle, buffers)? {
            true => Ok(Step::Done(())),
            false => Ok(Step::NeedsOutput),
        }
    }
}

/// Why a budget lets no byte move.
type HeldBack = Option<(Arc<Account>, Shortage)>;

/// Takes bytes of the budget that counts the description's, and returns how many. None if the budget
/// lets none move: `held` says why.
fn take(handle: &Handle, wanted: usize, held: &mut HeldBack) -> Option<(usize, Option<Taken>)> {
    let Some(account) = handle.open.spending.connection() else { return Some((wanted, None)) };
    match account.take(wanted) {
        Ok(taken) => Some((taken.count().min(wanted), Some(taken))),
        Err(shortage) => {
            *held = Some((account, shortage));
            None
        }
    }
}

/// Gives the kernel a session's records, as far as the limits and the budget let them. The error is
/// `WouldBlock` if they let none. The records go from the session's memory to the kernel without a
/// copy in between.
struct Outlet<'a> {
    handle: &'a Handle,
    buffers: &'a Buffers,
    held: &'a mut HeldBack,
}

impl Write for Outlet<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(record)])
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted: usize = records.iter().map(|record| record.len()).sum();
        let room = self.buffers.room_on(self.handle, wanted);
        if room == 0 {
            return Err(Errno::AGAIN.into());
        }
        let Some((room, taken)) = take(self.handle, room, self.held) else {
            return Err(Errno::AGAIN.into());
        };
        let fd = self.handle.fd();
        let count = match records {
            [record] => sys::send(fd, &record[..room], FLAGS)?,
            records if room == wanted => sys::send_pieces(fd, records, FLAGS)?,
            records => sys::send_pieces(fd, &first(records, room), FLAGS)?,
        };
        if let Some(taken) = taken {
            taken.moved(count);
        }
        self.buffers.sent(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the first bytes of records.
fn first<'a>(records: &'a [IoSlice<'_>], mut count: usize) -> Vec<IoSlice<'a>> {
    let mut parts = Vec::new();
    for record in records {
        let part = &record[..record.len().min(count)];
        count -= part.len();
        parts.push(IoSlice::new(part));
    }
    parts
}
