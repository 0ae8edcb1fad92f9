//! The socket object: its descriptor, its timeout and its close. The submodules have its
//! operations.

mod by_number;
mod connect;
mod options;
mod read_write;
mod receive;
mod send;

pub use by_number::{get_blocking, ioctl, read, set_blocking, write};
pub use options::OptionValue;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandsock_abi::errno;

use crate::{
    Error, ErrorKind, Family, Flags, Result, SocketType, fds, interrupt,
    raw::{
        descriptors::{self, Descriptor},
        syscalls,
        types::{self, DescriptorKind, SocketKind, Wait},
    },
    timeout::{self, Timeout, Waiting},
    warning,
};

/// The most bytes of a stream that one call moves. The host has the same limit.
const CHUNK: usize = 1 << 20;

/// Longer than any message can be. A longer message is EMSGSIZE without a call, because a host ends
/// a guest that passes too much data.
const MESSAGE_LIMIT: usize = 64 << 20;

/// The most buffers of one call: UIO_MAXIOV (man 2 writev).
const BUFFERS: usize = 1024;

/// A socket, with the behaviour of Python's `socket.socket`.
///
/// How it waits depends on its timeout ([`settimeout`](Self::settimeout)):
/// * None: a call blocks as on Linux, with the host's `SO_RCVTIMEO` and `SO_SNDTIMEO`.
/// * Zero: a call never waits. If it would wait, it fails with `BlockingIOError` (EAGAIN;
///   EINPROGRESS for `connect`).
/// * More: the whole call waits at most that long, and then fails with `TimeoutError`.
///
/// [`close`](Self::close) closes it, and so does dropping it. On a closed socket every call is
/// EBADF, unless its documentation says otherwise. All methods take `&self`, so an interrupt
/// handler can use a socket that a call is using.
///
/// [`Read`] and [`Write`] call `recv_into` and `send`.
#[doc(alias = "SocketType")]
pub struct Socket {
    shared: Arc<Shared>,
    /// Whether dropping this value closes the socket. That of a file does not.
    owner: bool,
}

/// The state that a socket shares with its files ([`Socket::makefile`]).
struct Shared {
    /// The descriptor's number, or -1 after it is closed.
    fd: AtomicI32,
    family: Family,
    kind: SocketType,
    proto: i32,
    /// A [`Timeout`].
    timeout: AtomicI64,
    /// The number of open files.
    files: AtomicUsize,
    /// Whether the socket is closed. The descriptor stays open while a file is open.
    closed: AtomicBool,
    /// The name of the host that it was last connected to. None for an address.
    peer_name: Mutex<Option<Box<str>>>,
}

impl Socket {
    /// Makes a socket: socket(2).
    ///
    /// If `kind` has [`SocketType::NONBLOCK`], the timeout is 0. Otherwise it is the default
    /// timeout ([`setdefaulttimeout`](crate::setdefaulttimeout)). -1 stands for AF_INET,
    /// SOCK_STREAM and 0. Python: `socket.socket(family, type, proto)`.
    ///
    /// # Errors
    /// The errors of socket(2) (EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE), and `PermissionError` if no
    /// grant names the family and type. Stream and datagram sockets of INET, INET6 and UNIX need no
    /// grant to be made, but their acts do.
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

    /// Takes over a descriptor by its number. The kernel supplies the arguments that are None. The
    /// others are not checked.
    ///
    /// Its timeout is the default timeout. Python: `socket.socket(family, type, proto,
    /// fileno=fileno)`.
    ///
    /// ```no_run
    /// use sandsock::Socket;
    ///
    /// // The policy has `inherit=fd:3`.
    /// let listener = Socket::with_fileno(3, None, None, None)?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// `ValueError` for a negative number; EBADF if there is no such descriptor, ENOTSOCK if it is
    /// not a socket. The descriptor then stays as it was.
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

    /// Returns a socket without a descriptor: closed, with 0 for family, type and protocol.
    ///
    /// It is the object of Python's `socket.__new__` before `__init__`.
    #[must_use]
    pub fn unopened() -> Self {
        Self::with_timeout(-1, Family(0), SocketType(0), 0, Timeout::NONE)
    }

    /// Makes an object for a socket of another instance of this process, from the
    /// [`state`](Self::state) there. It is for programs whose threads are instances. Both instances
    /// then have the number, and one of them must give it up with [`detach`](Self::detach). This
    /// makes no system call.
    ///
    /// # Errors
    /// `ValueError` for bytes that are not a state of this version.
    pub fn from_state(state: &[u8]) -> Result<Self> {
        let State { family, kind, proto, timeout, fd } = State::decode(state)?;
        Ok(Self::with_timeout(fd, Family(family), SocketType(kind), proto, Timeout(timeout)))
    }

    /// Returns the state with which another instance of this process can use the same socket
    /// ([`from_state`](Self::from_state)). A closed socket has a state too.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let (fd, timeout) = (self.fileno(), self.timeout().0);
        State { family: self.family().0, kind: self.kind().0, proto: self.proto(), timeout, fd }
            .encode()
    }

    /// Returns the object of a new socket.
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
            peer_name: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), owner: true }
    }

    /// Applies the default timeout. If there is none, the blocking mode stays: a new description
    /// blocks, and one that was taken over keeps its mode.
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

    /// Returns the name of the host that the socket was last connected to. None for an address.
    pub(crate) fn peer_name(&self) -> Option<Box<str>> {
        self.shared.peer_name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_peer_name(&self, name: Option<Box<str>>) {
        *self.shared.peer_name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    #[inline]
    pub(crate) fn timeout(&self) -> Timeout {
        Timeout(self.shared.timeout.load(Ordering::Relaxed))
    }

    /// Makes one call, which waits by the timeout, for one of POLLIN and POLLOUT. It repeats the
    /// call after an interrupt, if the handler allows it. `flags` are the call's MSG_* bits.
    #[inline]
    pub(crate) fn attempt<T>(
        &self,
        waiting: &mut Waiting,
        (events, flags): (i32, Flags),
        mut call: impl FnMut(&Descriptor, Wait) -> Result<T, types::Error>,
    ) -> Result<T> {
        interrupt::handle_pending(waiting.progress())?;
        loop {
            let descriptor = self.descriptor()?;
            let error = match call(&descriptor, waiting.wait()) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = waiting.again(error, (&descriptor, events, flags));
            // An interrupt handler can close the socket.
            drop(descriptor);
            again.or_else(|error| waiting.failed(error))?;
        }
    }

    /// Returns the family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.shared.family
    }

    /// Returns the type, without SOCK_NONBLOCK and SOCK_CLOEXEC. Python: `socket.type`.
    #[must_use]
    #[doc(alias = "type")]
    pub fn kind(&self) -> SocketType {
        self.shared.kind
    }

    /// Returns the protocol.
    #[must_use]
    pub fn proto(&self) -> i32 {
        self.shared.proto
    }

    /// Returns the descriptor's number, or -1 on a closed socket.
    #[must_use]
    pub fn fileno(&self) -> i32 {
        self.shared.fd.load(Ordering::Relaxed)
    }

    /// Closes the socket: close(2). On a closed socket it does nothing.
    ///
    /// The socket is closed even if the call fails. While a file of it is open
    /// ([`makefile`](Self::makefile)), the descriptor stays open, and the last file closes it. With
    /// SO_LINGER the call waits until the data is sent. ECONNRESET is not an error.
    ///
    /// # Errors
    /// The errors of close(2).
    pub fn close(&self) -> Result<()> {
        self.shared.closed.store(true, Ordering::Relaxed);
        if self.shared.files.load(Ordering::Relaxed) > 0 { Ok(()) } else { self.close_descriptor() }
    }

    /// Returns a reference for a file, which keeps the descriptor open.
    pub(crate) fn file_reference(&self) -> Self {
        self.shared.files.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), owner: false }
    }

    /// Releases a file's reference.
    pub(crate) fn release_file(&self) -> Result<()> {
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

    /// Gives up the descriptor without closing it, and returns its number, or -1 if it was closed.
    /// The socket is closed afterwards.
    pub fn detach(&self) -> i32 {
        self.shared.closed.store(true, Ordering::Relaxed);
        let fd = self.shared.fd.swap(-1, Ordering::Relaxed);
        if fd != -1 {
            fds::revoke_aliases(fd);
        }
        fd
    }

    /// Makes another socket with the same open file description: dup(2). It is not inheritable.
    ///
    /// Both share the blocking mode, which is set again by this socket's timeout. Each has a
    /// timeout of its own.
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
        socket.set_peer_name(self.peer_name());
        socket.set_timeout(timeout)?;
        Ok(socket)
    }

    /// Returns a handle on the socket's descriptor that only the raw layer's transfers can use
    /// ([`raw::descriptors::alias`](crate::raw::descriptors)). It ends when the socket is closed or
    /// detached. A provider gives it to the app that it serves.
    ///
    /// # Errors
    /// EBADF on a closed socket, EMFILE if there are too many descriptors.
    pub fn alias(&self) -> Result<Descriptor> {
        fds::alias(self.fileno())
    }

    /// Returns how long the next transfer through an [`alias`](Self::alias) may wait, by the
    /// timeout. `whole` is for a call whose deadline spans several transfers (`sendall`). `resume`
    /// is the progress of the call.
    ///
    /// # Errors
    /// EBADF on a closed socket; `TimeoutError` if the deadline in `resume` is over.
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

    /// Whether the socket waits. It does not if its timeout is 0.
    #[must_use]
    pub fn getblocking(&self) -> bool {
        !self.timeout().is_zero()
    }

    /// Sets the timeout to None (true) or to 0 (false).
    ///
    /// # Errors
    /// EBADF on a closed socket, whose timeout is set all the same.
    pub fn setblocking(&self, blocking: bool) -> Result<()> {
        self.set_timeout(if blocking { Timeout::NONE } else { Timeout::ZERO })
    }

    /// Returns the timeout. None is no limit.
    #[must_use]
    pub fn gettimeout(&self) -> Option<Duration> {
        self.timeout().duration()
    }

    /// Returns the timeout in seconds.
    #[must_use]
    pub fn gettimeout_f64(&self) -> Option<f64> {
        self.timeout().seconds()
    }

    /// Sets the timeout. None is no limit.
    ///
    /// The timeout belongs to this object. Each call also sets the mode of the open file
    /// description, which all its duplicates share: blocking for None, non-blocking for any other
    /// timeout.
    ///
    /// # Errors
    /// `OverflowError` for more than 63 bits of nanoseconds; EBADF on a closed socket, whose
    /// timeout is set all the same.
    pub fn settimeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.set_timeout(Timeout::from_duration(timeout)?)
    }

    /// Sets the timeout in seconds. The number is checked as in Python, and rounded away from zero
    /// to whole nanoseconds.
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

/// The part of a socket beside its open file description, which one instance of a process passes to
/// another.
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

/// Copies the bytes that fit, and returns how many these are.
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
        // CPython: `_closed`. The descriptor can still be open for a file.
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
        // A drop can't return the error.
        let _ = self.close();
    }
}

/// Makes two connected sockets: socketpair(2). Their timeout is that of [`Socket::new`].
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

/// Makes a socket from a duplicate of a descriptor. Both share the open file description.
///
/// Its timeout is the default timeout. Python: `socket.fromfd(fd, family, type, proto)`.
///
/// # Errors
/// EBADF if there is no such descriptor, ENOTSOCK if it is not a socket, EMFILE if there are too
/// many.
pub fn fromfd(
    fd: i32,
    family: impl Into<Family>,
    kind: impl Into<SocketType>,
    protocol: i32,
) -> Result<Socket> {
    let duplicate = fds::dup(fd)?;
    Socket::with_fileno(duplicate, family.into(), kind.into(), protocol).inspect_err(|_| {
        // The call returns the first error.
        let _ = fds::close(duplicate);
    })
}
