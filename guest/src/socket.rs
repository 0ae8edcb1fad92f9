//! The socket object: its descriptor, its timeout and its close. The files below have its
//! operations.

mod connect;
mod options;
mod read_write;
mod receive;
mod send;

pub use options::OptionValue;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandsock_abi::errno;

use crate::{
    Error, ErrorKind, Family, Result, SocketType, fds, interrupt,
    raw::{
        descriptors::{self, Descriptor},
        syscalls,
        types::{self, DescriptorKind, SocketKind, Wait},
    },
    timeout::{self, Timeout, Waiting},
    warning,
};

/// The most that one call moves of a stream. The host cuts there as well.
const CHUNK: usize = 1 << 20;

/// Longer than any message can be. A longer message is EMSGSIZE without a call, because a host ends
/// a guest that passes too much data at once.
const MESSAGE_LIMIT: usize = 64 << 20;

/// The most buffers of one call: UIO_MAXIOV (man 2 writev).
const BUFFERS: usize = 1024;

/// A socket, with the behaviour of Python's `socket.socket`.
///
/// It waits by its timeout ([`settimeout`](Self::settimeout)):
/// * none: as Linux blocks, and with the host's `SO_RCVTIMEO` and `SO_SNDTIMEO`;
/// * zero: never; what would wait is `BlockingIOError` (EAGAIN; EINPROGRESS for `connect`);
/// * more: so long for the whole call, then `TimeoutError`.
///
/// [`close`](Self::close) ends it, and so does dropping it. Once closed every call is EBADF, but
/// for those that say otherwise. All methods take `&self`: a socket may be used where an interrupt
/// handler uses it too.
///
/// [`Read`] and [`Write`] are `recv_into` and `send`.
#[doc(alias = "SocketType")]
pub struct Socket {
    shared: Arc<Shared>,
    /// Whether its drop closes: a file's reference does not.
    owner: bool,
}

/// What a socket has in common with the files that were made of it ([`Socket::makefile`]).
struct Shared {
    /// The descriptor's number; -1 once closed.
    fd: AtomicI32,
    family: Family,
    kind: SocketType,
    proto: i32,
    /// A [`Timeout`].
    timeout: AtomicI64,
    /// The files that are open.
    files: AtomicUsize,
    /// Whether the socket was closed: the descriptor is, once no file is open.
    closed: AtomicBool,
}

impl Socket {
    /// Makes a socket: socket(2).
    ///
    /// `kind` may hold [`SocketType::NONBLOCK`]: its timeout is then 0. Otherwise it is the default
    /// timeout ([`setdefaulttimeout`](crate::setdefaulttimeout)). -1 stands for AF_INET,
    /// SOCK_STREAM and 0. Python: `socket.socket(family, type, proto)`.
    ///
    /// # Errors
    /// The errors of socket(2) (EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE), and `PermissionError` where
    /// no grant names the family and type; streams and datagrams of INET, INET6 and UNIX need none,
    /// but what is done with them does.
    pub fn new(
        family: impl Into<Family>,
        kind: impl Into<SocketType>,
        protocol: i32,
    ) -> Result<Self> {
        let or = |number: i32, default: i32| if number == -1 { default } else { number };
        let family = Family(or(family.into().0, Family::INET.0));
        let kind = SocketType(or(kind.into().0, SocketType::STREAM.0));
        let proto = or(protocol, 0);
        let descriptor = syscalls::socket(family.0, kind.0, proto)?;
        Self::made(descriptor, family, kind, proto)
    }

    /// Takes over a descriptor by its number. What is none is asked of the kernel; what is given
    /// wins and is not compared.
    ///
    /// Its timeout is the default timeout. Python: `socket.socket(family, type, proto,
    /// fileno=fileno)`.
    ///
    /// ```no_run
    /// use sandsock::Socket;
    ///
    /// // Descriptor 3 was handed over (`inherit=fd:3`).
    /// let listener = Socket::with_fileno(3, None, None, None)?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// `ValueError` for a negative number; EBADF if there is no such descriptor, ENOTSOCK if it is
    /// no socket. The descriptor then stays as it was.
    pub fn with_fileno(
        fileno: i32,
        family: impl Into<Option<Family>>,
        kind: impl Into<Option<SocketType>>,
        protocol: impl Into<Option<i32>>,
    ) -> Result<Self> {
        if fileno < 0 {
            return Err(Error::text(ErrorKind::Value, "negative file descriptor"));
        }
        let descriptor = fds::get(fileno)?;
        let DescriptorKind::Socket(SocketKind {
            family: real_family,
            type_: real_kind,
            protocol: real_protocol,
        }) = descriptors::kind(&descriptor)?
        else {
            return Err(Error::from_errno(errno::ENOTSOCK));
        };
        drop(descriptor);
        let family = family.into().unwrap_or(Family(real_family));
        let kind = kind.into().unwrap_or(SocketType(real_kind));
        let proto = protocol.into().unwrap_or(real_protocol);
        let socket = Self::from_number(fileno, family, kind, proto);
        socket.apply_default_timeout().inspect_err(|_| {
            socket.detach();
        })?;
        Ok(socket)
    }

    /// Makes a second object of a socket that another instance of this process holds, from what
    /// [`state`](Self::state) gave there. For programs whose threads are instances: each then has
    /// the number, and one of the two lets go of it with [`detach`](Self::detach). Nothing is asked
    /// of the kernel.
    ///
    /// # Errors
    /// `ValueError` for bytes that are no state of this version.
    pub fn from_state(state: &[u8]) -> Result<Self> {
        let State { family, kind, proto, timeout, fd } = State::decode(state)?;
        Ok(Self::with_timeout(fd, Family(family), SocketType(kind), proto, Timeout(timeout)))
    }

    /// What another instance of this process needs to use the same socket
    /// ([`from_state`](Self::from_state)). A closed socket has a state too.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let (fd, timeout) = (self.fileno(), self.timeout().0);
        State { family: self.family().0, kind: self.kind().0, proto: self.proto(), timeout, fd }
            .encode()
    }

    /// A socket that was just made.
    fn made(descriptor: Descriptor, family: Family, kind: SocketType, proto: i32) -> Result<Self> {
        let socket = Self::from_number(fds::insert(descriptor, false), family, kind, proto);
        socket.apply_default_timeout()?;
        Ok(socket)
    }

    fn from_number(fd: i32, family: Family, kind: SocketType, proto: i32) -> Self {
        let timeout = if kind.is_nonblocking() { Timeout::ZERO } else { timeout::default() };
        Self::with_timeout(fd, family, kind, proto, timeout)
    }

    fn with_timeout(
        fd: i32,
        family: Family,
        kind: SocketType,
        proto: i32,
        timeout: Timeout,
    ) -> Self {
        let shared = Shared {
            fd: fd.into(),
            family,
            kind: kind.bare(),
            proto,
            timeout: timeout.0.into(),
            files: AtomicUsize::new(0),
            closed: AtomicBool::new(fd == -1),
        };
        Self { shared: Arc::new(shared), owner: true }
    }

    /// A new description blocks; one that was taken over stays as it is where the default is to
    /// have no timeout.
    fn apply_default_timeout(&self) -> Result<()> {
        match self.timeout() {
            timeout if timeout.is_none() => Ok(()),
            timeout => self.set_timeout(timeout),
        }
    }

    #[inline]
    pub(crate) fn descriptor(&self) -> Result<Arc<Descriptor>> {
        fds::get(self.fileno())
    }

    #[inline]
    pub(crate) fn timeout(&self) -> Timeout {
        Timeout(self.shared.timeout.load(Ordering::Relaxed))
    }

    /// Makes one call, waiting by the timeout, again after an interrupt whose handler lets it go
    /// on.
    #[inline]
    pub(crate) fn attempt<T>(
        &self,
        waiting: &mut Waiting,
        mut call: impl FnMut(&Descriptor, Wait) -> Result<T, types::Error>,
    ) -> Result<T> {
        interrupt::settle(waiting.progress())?;
        loop {
            let result = call(&*self.descriptor()?, waiting.wait());
            match result {
                Ok(value) => return Ok(value),
                Err(error) => waiting.failed(error)?,
            }
        }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.shared.family
    }

    /// The type, without SOCK_NONBLOCK and SOCK_CLOEXEC. Python: `socket.type`.
    #[must_use]
    #[doc(alias = "type")]
    pub fn kind(&self) -> SocketType {
        self.shared.kind
    }

    /// The protocol.
    #[must_use]
    pub fn proto(&self) -> i32 {
        self.shared.proto
    }

    /// The descriptor's number; -1 on a closed socket.
    #[must_use]
    pub fn fileno(&self) -> i32 {
        self.shared.fd.load(Ordering::Relaxed)
    }

    /// Closes the socket: close(2). On a closed socket it does nothing.
    ///
    /// It is closed whatever the result is, but while a file of it is open
    /// ([`makefile`](Self::makefile)): then it goes on, and the last file closes it. With SO_LINGER
    /// it waits until the data is gone. ECONNRESET is no error.
    ///
    /// # Errors
    /// The errors of close(2).
    pub fn close(&self) -> Result<()> {
        self.shared.closed.store(true, Ordering::Relaxed);
        if self.shared.files.load(Ordering::Relaxed) > 0 { Ok(()) } else { self.close_descriptor() }
    }

    /// One more reference, of a file: the descriptor stays open for it.
    pub(crate) fn lend(&self) -> Self {
        self.shared.files.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), owner: false }
    }

    /// A file lets go of its reference.
    pub(crate) fn give_back(&self) -> Result<()> {
        let last = self.shared.files.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && self.shared.closed.load(Ordering::Relaxed) {
            self.close_descriptor()
        } else {
            Ok(())
        }
    }

    fn close_descriptor(&self) -> Result<()> {
        match self.shared.fd.swap(-1, Ordering::Relaxed) {
            -1 => Ok(()),
            fd => fds::close(fd),
        }
    }

    /// Lets go of the descriptor without closing it, and returns its number; -1 if it was closed.
    /// The socket is closed from then on.
    pub fn detach(&self) -> i32 {
        self.shared.closed.store(true, Ordering::Relaxed);
        let fd = self.shared.fd.swap(-1, Ordering::Relaxed);
        if fd != -1 {
            fds::revoke_aliases(fd);
        }
        fd
    }

    /// Makes another socket of the same open file description: dup(2). It is not inheritable.
    ///
    /// The two share the blocking mode, which is set anew by this one's timeout; each has a timeout
    /// of its own.
    ///
    /// # Errors
    /// The errors of dup(2) (EMFILE).
    pub fn dup(&self) -> Result<Self> {
        let timeout = self.timeout();
        let socket = Self::from_number(
            fds::dup(self.fileno())?,
            self.shared.family,
            self.shared.kind,
            self.shared.proto,
        );
        socket.set_timeout(timeout)?;
        Ok(socket)
    }

    /// A handle on the socket's descriptor for the raw layer's transfers alone, which ends when the
    /// socket is closed or detached ([`raw::descriptors::alias`](crate::raw::descriptors)). What a
    /// provider gives to the component it serves.
    ///
    /// # Errors
    /// EBADF on a closed socket, EMFILE when there are too many descriptors.
    pub fn alias(&self) -> Result<Descriptor> {
        fds::alias(self.fileno())
    }

    /// How long the next transfer through an [`alias`](Self::alias) may wait, by the timeout.
    /// `whole` is for a call whose one deadline spans several transfers (`sendall`); `resume` is
    /// how far the call has come.
    ///
    /// # Errors
    /// EBADF on a closed socket; `TimeoutError` where the deadline in `resume` is over.
    pub fn plan(&self, whole: bool, resume: Option<interrupt::Progress>) -> Result<Wait> {
        if self.fileno() == -1 {
            return Err(Error::from_errno(errno::EBADF));
        }
        self.timeout().plan(whole, resume.and_then(|progress| progress.deadline))
    }

    /// Whether a child process would inherit the descriptor
    /// ([`get_inheritable`](crate::get_inheritable)).
    ///
    /// # Errors
    /// EBADF on a closed socket.
    pub fn get_inheritable(&self) -> Result<bool> {
        fds::get_inheritable(self.fileno())
    }

    /// Sets the flag that [`get_inheritable`](Self::get_inheritable) reads.
    ///
    /// # Errors
    /// EBADF on a closed socket.
    pub fn set_inheritable(&self, inheritable: bool) -> Result<()> {
        fds::set_inheritable(self.fileno(), inheritable)
    }

    /// Whether the socket waits: not when its timeout is 0.
    #[must_use]
    pub fn getblocking(&self) -> bool {
        !self.timeout().is_zero()
    }

    /// Sets the timeout to none (true) or to 0 (false).
    ///
    /// # Errors
    /// EBADF on a closed socket; the timeout is set all the same.
    pub fn setblocking(&self, blocking: bool) -> Result<()> {
        self.set_timeout(if blocking { Timeout::NONE } else { Timeout::ZERO })
    }

    /// The timeout; none is no end.
    #[must_use]
    pub fn gettimeout(&self) -> Option<Duration> {
        self.timeout().duration()
    }

    /// [`gettimeout`](Self::gettimeout) in seconds.
    #[must_use]
    pub fn gettimeout_f64(&self) -> Option<f64> {
        self.timeout().seconds()
    }

    /// Sets the timeout; none is no end.
    ///
    /// It is this object's own. The open file description is made blocking for none and
    /// non-blocking for any other, each time, for all its duplicates.
    ///
    /// # Errors
    /// `OverflowError` for more than 63 bits of nanoseconds; EBADF on a closed socket, whose
    /// timeout is set all the same.
    pub fn settimeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.set_timeout(Timeout::from_duration(timeout)?)
    }

    /// [`settimeout`](Self::settimeout) in seconds, checked as Python does, and rounded away from
    /// zero to whole nanoseconds.
    ///
    /// # Errors
    /// `ValueError` below 0 and for NaN, and those of [`settimeout`](Self::settimeout).
    pub fn settimeout_f64(&self, seconds: Option<f64>) -> Result<()> {
        self.set_timeout(Timeout::from_seconds(seconds)?)
    }

    fn set_timeout(&self, timeout: Timeout) -> Result<()> {
        self.shared.timeout.store(timeout.0, Ordering::Relaxed);
        Ok(descriptors::set_nonblocking(&*self.descriptor()?, !timeout.is_none())?)
    }
}

/// What a socket is beside its open file description, as it travels between instances of one
/// process.
struct State {
    family: i32,
    kind: i32,
    proto: i32,
    timeout: i64,
    fd: i32,
}

impl State {
    /// The version of this layout.
    const VERSION: u8 = 1;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        for number in [self.family, self.kind, self.proto, self.fd] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.timeout.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let numbers = match bytes.split_first() {
            Some((&Self::VERSION, rest)) => rest.split_last_chunk(),
            _ => None,
        };
        let decoded = numbers.and_then(|(numbers, timeout)| {
            let timeout = i64::from_le_bytes(*timeout);
            let (&[family, kind, proto, fd], []) = numbers.as_chunks() else {
                return None;
            };
            let [family, kind, proto, fd] = [family, kind, proto, fd].map(i32::from_le_bytes);
            Some(Self {
                family,
                kind,
                proto,
                timeout: timeout.max(Timeout::NONE.0),
                fd: fd.max(-1),
            })
        });
        decoded.ok_or_else(|| Error::text(ErrorKind::Value, "not the state of a socket"))
    }
}

/// Copies what fits, and returns how much that was.
fn fill(buffer: &mut [u8], data: &[u8]) -> usize {
    let length = buffer.len().min(data.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..length), data.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

/// As Python's `repr`.
impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.fileno();
        // CPython: `_closed`, which is not the descriptor's state while a file is open.
        let closed = self.shared.closed.load(Ordering::Relaxed);
        f.write_str(if closed { "<socket.socket [closed]" } else { "<socket.socket" })?;
        write!(
            f,
            " fd={fd}, family={}, type={}, proto={}",
            self.shared.family.0, self.shared.kind.0, self.shared.proto
        )?;
        if !closed {
            for (name, address) in [("laddr", self.getsockname()), ("raddr", self.getpeername())] {
                if let Ok(address) = address
                    && address.is_some()
                {
                    write!(f, ", {name}={address}")?;
                }
            }
        }
        f.write_str(">")
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.owner {
            return;
        }
        if self.fileno() != -1 && !self.shared.closed.load(Ordering::Relaxed) {
            warning::unclosed(self);
        }
        // Nobody is there to be told.
        let _ = self.close();
    }
}

/// Makes two connected sockets: socketpair(2). Their timeout is as that of [`Socket::new`].
///
/// # Errors
/// EOPNOTSUPP for a family that has no pairs, and those of [`Socket::new`].
pub fn socketpair(
    family: impl Into<Family>,
    kind: impl Into<SocketType>,
    protocol: i32,
) -> Result<(Socket, Socket)> {
    let (family, kind) = (family.into(), kind.into());
    let (a, b) = syscalls::socketpair(family.0, kind.bare().0, protocol)?;
    Ok((Socket::made(a, family, kind, protocol)?, Socket::made(b, family, kind, protocol)?))
}

/// Makes a socket of a duplicate of a descriptor: the two share the open file description.
///
/// Its timeout is the default timeout. Python: `socket.fromfd(fd, family, type, proto)`.
///
/// # Errors
/// EBADF if there is no such descriptor, ENOTSOCK if it is no socket, EMFILE when there are too
/// many.
pub fn fromfd(
    fd: i32,
    family: impl Into<Family>,
    kind: impl Into<SocketType>,
    protocol: i32,
) -> Result<Socket> {
    let duplicate = fds::dup(fd)?;
    Socket::with_fileno(duplicate, family.into(), kind.into(), protocol).inspect_err(|_| {
        // The error to tell is the first one.
        let _ = fds::close(duplicate);
    })
}
