//! The socket object.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandsock_abi::{
    constants::{
        ALG_SET_AEAD_ASSOCLEN, ALG_SET_IV, ALG_SET_OP, BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM,
        BTPROTO_SCO, SOL_ALG,
    },
    errno,
};

#[cfg(all(target_family = "wasm", not(test)))]
use crate::raw::landing;
use crate::{
    Address, AddressArgument, Ancillary, Error, ErrorKind, Family, Flags, Received, Result,
    SocketType, ToAddress,
    address::{decode, encode_for},
    ancillary::{cmsg_len, control_room, incoming, outgoing},
    fds, foreign, interrupt,
    raw::{
        connections,
        descriptors::{self, Descriptor},
        syscalls, transfers,
        types::{self, DescriptorKind, SocketKind, Wait},
    },
    timeout::{self, Timeout, Waiting},
    warning,
};

/// The most that one call moves of a stream. The host cuts there as well.
const CHUNK: usize = 1 << 20;

/// More than any message can be. What is longer is EMSGSIZE without asking: a host ends a guest
/// that hands over too much.
const MESSAGE_LIMIT: usize = 64 << 20;

/// The most buffers of one call: UIO_MAXIOV (man 2 writev).
const BUFFERS: usize = 1024;

/// The backlog that Python gives a listener: the smaller of SOMAXCONN and 128.
const BACKLOG: i32 = 128;

/// The longest value of an option that a host takes.
const OPTION_LIMIT: usize = 64 << 10;

/// The longest argument of an ioctl that a host takes.
const ARGUMENT_LIMIT: usize = 4096;

/// The longest buffer of `getsockopt`, by Python's rule.
const OPTION_BUFFER: usize = 1024;

/// A socket, with the behaviour of Python's `socket.socket`.
///
/// It waits by its timeout ([`settimeout`](Self::settimeout)):
/// * none: as Linux blocks, and with the host's `SO_RCVTIMEO` and `SO_SNDTIMEO`;
/// * zero: never; what would wait is `BlockingIOError` (EAGAIN; EINPROGRESS for `connect`);
/// * more: so long for the whole verb, then `TimeoutError`.
///
/// [`close`](Self::close) ends it, and so does dropping it. Once closed every verb is EBADF, but
/// for those that say otherwise. All verbs take `&self`: a socket may be used where an interrupt
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
    /// What socket(2) says (EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE), and `PermissionError` where no
    /// grant names the family and type; streams and datagrams of INET, INET6 and UNIX need none,
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
    /// `ValueError` for a negative number; EBADF where there is no such descriptor, ENOTSOCK where
    /// it is no socket. The descriptor then stays as it was.
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

    /// Takes the first waiting connection: accept(2). Gives its socket and the peer's address.
    ///
    /// The new socket has the default timeout; where that is none it blocks, whatever this one's
    /// timeout is.
    ///
    /// # Errors
    /// What accept(2) says; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn accept(&self) -> Result<(Self, Address)> {
        let mut waiting = Waiting::new(self.timeout());
        self.check_named()?;
        let accepted = self.attempt(&mut waiting, connections::accept)?;
        // Its description blocks, as Linux makes them: nothing is to be set where the default
        // timeout is none.
        let socket = Self::made(
            accepted.descriptor,
            self.shared.family,
            self.shared.kind,
            self.shared.proto,
        )?;
        let address = decode(&*socket.descriptor()?, accepted.address);
        Ok((socket, address))
    }

    /// Gives the socket its local address: bind(2).
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)), what bind(2) says (EADDRINUSE,
    /// EADDRNOTAVAIL), and `PermissionError` where no grant names the address.
    pub fn bind(&self, address: impl ToAddress) -> Result<()> {
        let address = encode_for(self, "bind", address.to_address())?;
        Ok(syscalls::bind(&*self.descriptor()?, &address)?)
    }

    /// Closes the socket: close(2). On a closed socket it does nothing.
    ///
    /// It is closed whatever the result is, but while a file of it is open
    /// ([`makefile`](Self::makefile)): then it goes on, and the last file closes it. With SO_LINGER
    /// it waits until the data is gone. ECONNRESET is no error.
    ///
    /// # Errors
    /// What close(2) says.
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

    /// Connects the socket, or sets a datagram socket's peer: connect(2).
    ///
    /// With a timeout it waits so long; the connection goes on after that. An AF_UNIX listener's
    /// full backlog is waited for without a timeout alone.
    ///
    /// # Errors
    /// Those of an address, which come before the socket is looked at: `gaierror` where there is no
    /// such host, `TypeError` for an address of another family's form, `OverflowError` for numbers
    /// out of range, `OSError` without an errno for an AF_UNIX name that is too long. Then what
    /// connect(2) says (ECONNREFUSED, EINPROGRESS), `TimeoutError`, and `PermissionError` where no
    /// grant names the address.
    pub fn connect(&self, address: impl ToAddress) -> Result<()> {
        self.establish("connect", address.to_address())?
    }

    /// As [`connect`](Self::connect), but gives the errno in place of what the kernel or the policy
    /// said: 0 when it is connected, EINPROGRESS where it does not wait, EAGAIN when the time is
    /// over, EACCES for a denial, EBADF on a closed socket.
    ///
    /// # Errors
    /// Those of an address, and that of an interrupt.
    pub fn connect_ex(&self, address: impl ToAddress) -> Result<i32> {
        Ok(match self.establish("connect_ex", address.to_address())? {
            Ok(()) => 0,
            // Only the time that is over has no errno here.
            Err(error) => error.errno().unwrap_or(errno::EAGAIN),
        })
    }

    /// Connects. The inner result is what the kernel or the policy said, the outer one what went
    /// wrong elsewhere.
    fn establish(&self, verb: &str, address: AddressArgument<'_>) -> Result<Result<()>> {
        let mut waiting = Waiting::new(self.timeout());
        let address = encode_for(self, verb, address)?;
        interrupt::settle(waiting.progress())?;
        loop {
            let descriptor = match self.descriptor() {
                Ok(descriptor) => descriptor,
                Err(error) => return Ok(Err(error)),
            };
            let result = if waiting.done == 0 {
                connections::connect(&descriptor, &address, waiting.wait())
            } else {
                match connections::finish_connect(&descriptor, waiting.wait()) {
                    Err(types::Error::Os(errno::EISCONN)) => Ok(()),
                    result => result,
                }
            };
            drop(descriptor);
            match result {
                Ok(()) => return Ok(Ok(())),
                Err(types::Error::Os(errno::EINTR)) => {
                    // A UNIX socket that waited for the backlog has not begun to connect; others
                    // have.
                    if self.shared.family != Family::UNIX {
                        waiting.done = 1;
                    }
                    interrupt::handle(waiting.progress())?;
                    if self.timeout().is_zero() {
                        return Ok(Err(Error::from_errno(errno::EINTR)));
                    }
                }
                // A UNIX socket's EAGAIN is a full backlog, which no timeout waits for.
                Err(types::Error::Os(errno::EAGAIN))
                    if waiting.is_timed() && self.shared.family != Family::UNIX =>
                {
                    return Ok(Err(Error::timed_out()));
                }
                Err(error) => return Ok(Err(error.into())),
            }
        }
    }

    /// Lets go of the descriptor without closing it, and gives its number; -1 if it was closed. The
    /// socket is closed from then on.
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
    /// What dup(2) says (EMFILE).
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
    /// `whole` is for a verb whose one deadline spans several transfers (`sendall`); `resume` is
    /// how far the verb has come.
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

    /// [`settimeout`](Self::settimeout) in seconds, judged as Python does, and rounded away from
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

    /// Whether Python knows how long this family's addresses are.
    fn check_named(&self) -> Result<()> {
        has_addresses(self.family(), self.proto())
    }

    /// The peer's address: getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN where there is none; `OSError` without an errno for a family that Python does not
    /// know.
    pub fn getpeername(&self) -> Result<Address> {
        self.check_named()?;
        let descriptor = self.descriptor()?;
        Ok(decode(&descriptor, syscalls::peer_address(&descriptor)?))
    }

    /// The socket's own address: getsockname(2).
    ///
    /// # Errors
    /// EBADF on a closed socket; `OSError` without an errno for a family that Python does not know.
    pub fn getsockname(&self) -> Result<Address> {
        self.check_named()?;
        let descriptor = self.descriptor()?;
        Ok(decode(&descriptor, syscalls::local_address(&descriptor)?))
    }

    /// Reads an option as an integer: getsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT where there is no such option; `PermissionError` for one that needs a grant of
    /// its own; on an AF_VSOCK socket `OverflowError` for a value that takes
    /// [`getsockopt_u64`](Self::getsockopt_u64).
    pub fn getsockopt(&self, level: i32, name: i32) -> Result<i32> {
        if self.family() == Family::VSOCK {
            let value = self.getsockopt_u64(level, name)?;
            return i32::try_from(value).map_err(|_| {
                Error::text(ErrorKind::Overflow, "Python int too large to convert to C int")
            });
        }
        Ok(syscalls::get_option(&*self.descriptor()?, level, name)?)
    }

    /// Reads an option as an unsigned integer of 8 bytes, as those of AF_VSOCK are. On other
    /// sockets it is of 4 bytes.
    ///
    /// # Errors
    /// Those of [`getsockopt`](Self::getsockopt).
    pub fn getsockopt_u64(&self, level: i32, name: i32) -> Result<u64> {
        if self.family() != Family::VSOCK {
            return Ok(u64::from(self.getsockopt(level, name)?.cast_unsigned()));
        }
        let mut value = [0; 8];
        fill(&mut value, &syscalls::get_option_bytes(&*self.descriptor()?, level, name, 8)?);
        Ok(u64::from_ne_bytes(value))
    }

    /// Reads an option as bytes, at most `buflen` (1 to 1024), cut to what the kernel filled in.
    ///
    /// # Errors
    /// `OSError` without an errno for another length and on an AF_VSOCK socket, and those of
    /// [`getsockopt`](Self::getsockopt).
    pub fn getsockopt_bytes(&self, level: i32, name: i32, buflen: usize) -> Result<Vec<u8>> {
        if self.family() == Family::VSOCK {
            return Err(Error::text(ErrorKind::Os, "getsockopt string buffer not allowed"));
        }
        if !(1..=OPTION_BUFFER).contains(&buflen) {
            return Err(Error::text(ErrorKind::Os, "getsockopt buflen out of range"));
        }
        Ok(syscalls::get_option_bytes(&*self.descriptor()?, level, name, buflen as u32)?)
    }

    /// Sets an option: setsockopt(2).
    ///
    /// ```no_run
    /// use sandsock::{OptionValue, constants::*};
    ///
    /// # let socket = sandsock::Socket::new(AF_INET, SOCK_STREAM, 0)?;
    /// socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    /// socket.setsockopt(SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0, 5, 0, 0, 0])?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// ENOPROTOOPT where there is no such option, EINVAL for a value of the wrong size or range;
    /// `TypeError` for a long that does not fit into 4 bytes, and for what is no integer on an
    /// AF_VSOCK socket; `PermissionError` for an option that needs a grant of its own.
    pub fn setsockopt<'a>(
        &self,
        level: i32,
        name: i32,
        value: impl Into<OptionValue<'a>>,
    ) -> Result<()> {
        let value = value.into();
        if self.family() == Family::VSOCK {
            // CPython: whatever the level and the name are, the value has 8 bytes.
            let value = match value {
                OptionValue::Integer(value) => value.into(),
                OptionValue::Long(value) => value,
                OptionValue::Bytes(_) => {
                    return Err(Error::text(
                        ErrorKind::Type,
                        "setsockopt() argument 3 must be int, not bytes",
                    ));
                }
                OptionValue::Null(_) => {
                    return Err(Error::text(
                        ErrorKind::Type,
                        "setsockopt() takes exactly 3 arguments (4 given)",
                    ));
                }
            };
            let value = types::OptionValue::Bytes(&value.to_ne_bytes());
            return Ok(syscalls::set_option(&*self.descriptor()?, level, name, value)?);
        }
        let value = match value {
            // CPython: the last form tried is that of a buffer.
            OptionValue::Long(value) => {
                types::OptionValue::Integer(i32::try_from(value).map_err(|_| {
                    Error::text(ErrorKind::Type, "a bytes-like object is required, not 'int'")
                })?)
            }
            OptionValue::Integer(value) => types::OptionValue::Integer(value),
            OptionValue::Bytes(value) if value.len() > OPTION_LIMIT => {
                return Err(Error::from_errno(errno::EINVAL));
            }
            OptionValue::Bytes(value) => types::OptionValue::Bytes(value),
            OptionValue::Null(length) => types::OptionValue::Null(length),
        };
        Ok(syscalls::set_option(&*self.descriptor()?, level, name, value)?)
    }

    /// Asks the socket's device or protocol: ioctl(2). Gives the call's value, and the argument
    /// after the call.
    ///
    /// The argument is what the kernel reads and writes, at most 4096 bytes in the host's layout.
    /// Python has `socket.ioctl` on Windows alone; on Linux it is what `fcntl.ioctl` does there.
    ///
    /// # Errors
    /// ENOTTY for a request that nobody knows, EOPNOTSUPP for one of Windows (`SIO_*`), EINVAL for
    /// an argument of the wrong size; `PermissionError` for a request that needs a grant of its
    /// own.
    pub fn ioctl(&self, request: u32, argument: &[u8]) -> Result<(i32, Vec<u8>)> {
        if foreign::is_foreign_request(request) {
            return Err(Error::from_errno(errno::EOPNOTSUPP));
        }
        let descriptor = self.descriptor()?;
        if argument.len() > ARGUMENT_LIMIT {
            return Err(Error::from_errno(errno::EINVAL));
        }
        let types::IoctlResult { value, argument } =
            syscalls::ioctl(&descriptor, request, argument)?;
        Ok((value, argument))
    }

    /// Makes the socket accept connections: listen(2). Without a backlog it is 128; a negative one
    /// is 0.
    ///
    /// # Errors
    /// What listen(2) says, and `PermissionError` where no grant names the local address.
    pub fn listen(&self, backlog: impl Into<Option<i32>>) -> Result<()> {
        let backlog = backlog.into().unwrap_or(BACKLOG).max(0);
        Ok(syscalls::listen(&*self.descriptor()?, backlog)?)
    }

    /// Shuts one or both directions: shutdown(2). `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
    ///
    /// # Errors
    /// ENOTCONN where it is not connected, EINVAL for another number.
    pub fn shutdown(&self, how: i32) -> Result<()> {
        Ok(syscalls::shutdown(&*self.descriptor()?, how)?)
    }

    /// Receives at most so many bytes: recv(2). No bytes are the end of a stream, or an empty
    /// message.
    ///
    /// To ask for 0 bytes asks nobody, on a closed socket too.
    ///
    /// # Errors
    /// What recv(2) says; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn recv(&self, bufsize: usize, flags: impl Into<Flags>) -> Result<Vec<u8>> {
        let mut waiting = Waiting::new(self.timeout());
        if bufsize == 0 {
            return Ok(Vec::new());
        }
        let flags = flags.into();
        let data = self.attempt(&mut waiting, |d, wait| {
            transfers::receive(d, bufsize as u64, flags.0, wait)
        })?;
        self.gather(data, bufsize, flags)
    }

    /// [`recv`](Self::recv) into a buffer. Gives how many bytes there are, which with
    /// [`Flags::TRUNC`] may be more than the buffer holds.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_into(&self, buffer: &mut [u8], flags: impl Into<Flags>) -> Result<usize> {
        let flags = flags.into();
        if flags.contains(Flags::TRUNC) && !buffer.is_empty() {
            return Ok(self.recvmsg_into(&mut [IoSliceMut::new(buffer)], 0, flags)?.data);
        }
        #[cfg(all(target_family = "wasm", not(test)))]
        // What MSG_WAITALL gathers comes in parts.
        if !buffer.is_empty() && !flags.contains(Flags::WAITALL) {
            let mut waiting = Waiting::new(self.timeout());
            return self
                .attempt(&mut waiting, |d, wait| landing::receive_into(d, buffer, flags.0, wait));
        }
        Ok(fill(buffer, &self.recv(buffer.len(), flags)?))
    }

    /// Receives bytes and the sender's address: recvfrom(2). The address is [`Address::None`] on a
    /// connected stream.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recvfrom(&self, bufsize: usize, flags: impl Into<Flags>) -> Result<(Vec<u8>, Address)> {
        let mut waiting = Waiting::new(self.timeout());
        let flags = flags.into();
        self.check_named()?;
        let datagram = self.attempt(&mut waiting, |d, wait| {
            transfers::receive_from(d, bufsize as u64, flags.0, wait)
        })?;
        let data = self.gather(datagram.data, bufsize, flags)?;
        Ok((data, decode(&*self.descriptor()?, datagram.address)))
    }

    /// [`recvfrom`](Self::recvfrom) into a buffer; the number is as that of
    /// [`recv_into`](Self::recv_into).
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recvfrom_into(
        &self,
        buffer: &mut [u8],
        flags: impl Into<Flags>,
    ) -> Result<(usize, Address)> {
        let flags = flags.into();
        if flags.contains(Flags::TRUNC) {
            let received = self.recvmsg_into(&mut [IoSliceMut::new(buffer)], 0, flags)?;
            return Ok((received.data, received.address));
        }
        let (data, address) = self.recvfrom(buffer.len(), flags)?;
        Ok((fill(buffer, &data), address))
    }

    /// Receives bytes, control messages and the sender's address: recvmsg(2).
    ///
    /// `ancbufsize` is the room for control messages, in sums of [`cmsg_space`](crate::cmsg_space),
    /// 0 for none.
    ///
    /// # Errors
    /// `ValueError` for an `ancbufsize` of 2 GiB or more, and those of [`recv`](Self::recv).
    pub fn recvmsg(
        &self,
        bufsize: usize,
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<Vec<u8>>> {
        let (received, _) = self.receive_message(bufsize, ancbufsize, flags.into())?;
        Ok(received)
    }

    /// [`recvmsg`](Self::recvmsg) into buffers, which are filled in turn. `data` is how many bytes
    /// there are, which with [`Flags::TRUNC`] may be more than the buffers hold.
    ///
    /// # Errors
    /// EMSGSIZE for more than 1,024 buffers, and those of [`recvmsg`](Self::recvmsg).
    pub fn recvmsg_into(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<usize>> {
        let flags = flags.into();
        if buffers.len() > BUFFERS {
            self.descriptor()?;
            return Err(Error::from_errno(errno::EMSGSIZE));
        }
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        let (received, length) = self.receive_message(room, ancbufsize, flags)?;
        let mut data = received.data.as_slice();
        for buffer in buffers {
            let length = fill(buffer, data);
            data = data.get(length..).unwrap_or_default();
        }
        Ok(Received {
            data: if flags.contains(Flags::TRUNC) { length } else { received.data.len() },
            ancillary: received.ancillary,
            flags: received.flags,
            address: received.address,
            warnings: received.warnings,
        })
    }

    /// A message, and its own length.
    fn receive_message(
        &self,
        size: usize,
        room: usize,
        flags: Flags,
    ) -> Result<(Received<Vec<u8>>, usize)> {
        let mut waiting = Waiting::new(self.timeout());
        let room = control_room(room)?;
        self.check_named()?;
        let got = self.attempt(&mut waiting, |d, wait| {
            transfers::receive_message(d, size as u64, room, flags.0, wait)
        })?;
        let cut = got.data.len();
        let data = self.gather(got.data, size, flags)?;
        let more = data.len().saturating_sub(cut);
        let received = Received {
            data,
            ancillary: incoming(got.control, flags),
            flags: Flags(got.flags),
            address: decode(&*self.descriptor()?, got.address),
            warnings: got.warnings,
        };
        // An error that a warning's handler makes of it closes what was received: the descriptors
        // are in `received`.
        if let Err(error) = received.warnings.iter().copied().try_for_each(warning::ancillary) {
            received.fds().into_iter().for_each(|fd| drop(fds::close(fd)));
            return Err(error);
        }
        let length = usize::try_from(got.length).unwrap_or(usize::MAX);
        Ok((received, length.saturating_add(more)))
    }

    /// The rest of a receive with MSG_WAITALL that the host has cut, where the socket blocks: the
    /// kernel would have gone on. An error after the first part is not told.
    fn gather(&self, mut data: Vec<u8>, size: usize, flags: Flags) -> Result<Vec<u8>> {
        let whole = flags.contains(Flags::WAITALL) && !flags.contains(Flags::PEEK);
        if !whole || self.shared.kind != SocketType::STREAM || !self.timeout().is_none() {
            return Ok(data);
        }
        let mut last = data.len();
        while last >= CHUNK && data.len() < size {
            let rest = size.saturating_sub(data.len()) as u64;
            let Ok(descriptor) = self.descriptor() else {
                break;
            };
            match transfers::receive(&descriptor, rest, flags.0, Wait::Forever) {
                Ok(part) => {
                    last = part.len();
                    data.extend(part);
                }
                Err(types::Error::Os(errno::EINTR)) => {
                    interrupt::pend();
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(data)
    }

    /// Receives bytes, and at most so many descriptors ([`Received::fds`]), on an AF_UNIX socket.
    /// They are the caller's to close.
    ///
    /// Python: `socket.recv_fds(sock, bufsize, maxfds)`; its flags argument is not used there
    /// either.
    ///
    /// # Errors
    /// `OverflowError` for more descriptors than a control message can tell, and those of
    /// [`recvmsg`](Self::recvmsg).
    pub fn recv_fds(&self, bufsize: usize, maxfds: usize) -> Result<Received<Vec<u8>>> {
        let room = cmsg_len(maxfds.saturating_mul(size_of::<i32>()))?;
        self.recvmsg(bufsize, room, Flags::NONE)
    }

    /// Sends bytes, and gives how many were taken: send(2).
    ///
    /// Without a timeout a stream takes all of them. SIGPIPE never comes: EPIPE does.
    ///
    /// # Errors
    /// What send(2) says (EPIPE, ECONNRESET, EMSGSIZE, ENOTCONN); `TimeoutError` and
    /// `BlockingIOError` by the timeout.
    pub fn send(&self, data: &[u8], flags: impl Into<Flags>) -> Result<usize> {
        self.transfer(data.len(), flags.into(), |d, part, flags, wait| {
            transfers::send(d, data.get(part).unwrap_or_default(), flags.0, wait)
        })
    }

    /// Sends all the bytes, in the time that the timeout gives for the whole. No bytes are one send
    /// as well.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). How many bytes were sent before it failed is not known, but
    /// for an interrupt ([`Error::progress`]).
    pub fn sendall(&self, data: &[u8], flags: impl Into<Flags>) -> Result<()> {
        let flags = flags.into();
        let mut waiting = Waiting::spanning(self.timeout());
        let mut rest = usize::try_from(waiting.done)
            .ok()
            .and_then(|done| data.get(done..))
            .unwrap_or_default();
        let mut first = true;
        loop {
            if !first {
                waiting.check()?;
            }
            first = false;
            let (part, flags) = self.part(0..rest.len(), flags)?;
            let chunk = rest.get(part).unwrap_or_default();
            let sent = self.attempt(&mut waiting, |d, wait| {
                transfers::send(d, chunk, flags.0, self.opening(flags, wait))
            })?;
            waiting.done = waiting.done.saturating_add(sent);
            rest = usize::try_from(sent).ok().and_then(|sent| rest.get(sent..)).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends a message to an address, and gives how many bytes were taken: sendto(2).
    ///
    /// With [`Flags::FASTOPEN`] it connects as well. Without a timeout it waits for that, otherwise
    /// EINPROGRESS says that nothing was sent and the connection is under way.
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)) and of [`send`](Self::send); EISCONN
    /// where the socket takes no address; `PermissionError` where no grant names it.
    pub fn sendto(
        &self,
        data: &[u8],
        flags: impl Into<Flags>,
        address: impl ToAddress,
    ) -> Result<usize> {
        let address = encode_for(self, "sendto", address.to_address())?;
        self.transfer(data.len(), flags.into(), |d, part, flags, wait| {
            transfers::send_to(d, data.get(part).unwrap_or_default(), flags.0, &address, wait)
        })
    }

    /// Sends several buffers as one, with control messages, and gives how many bytes were taken:
    /// sendmsg(2).
    ///
    /// Descriptors are passed by their numbers ([`Ancillary::rights`]). Without an address it goes
    /// to the peer.
    ///
    /// ```no_run
    /// use std::io::IoSlice;
    ///
    /// use sandsock::{Ancillary, Flags, constants::*, socketpair};
    ///
    /// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    /// a.sendmsg(&[IoSlice::new(b"take "), IoSlice::new(b"this")], &[Ancillary::rights(&[0])], Flags::NONE, None)?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)) and of [`send`](Self::send); EMSGSIZE
    /// for more than 1,024 buffers, EBADF for a number that is no descriptor; `PermissionError`
    /// where the address or a message needs a grant.
    pub fn sendmsg(
        &self,
        buffers: &[IoSlice<'_>],
        ancillary: &[Ancillary],
        flags: impl Into<Flags>,
        address: Option<&dyn ToAddress>,
    ) -> Result<usize> {
        let address =
            address.map(|address| encode_for(self, "sendmsg", address.to_address())).transpose()?;
        self.descriptor()?;
        if buffers.len() > BUFFERS {
            return Err(Error::from_errno(errno::EMSGSIZE));
        }
        let length = buffers.iter().map(|buffer| buffer.len()).fold(0, usize::saturating_add);
        outgoing(ancillary, |control| {
            self.transfer(length, flags.into(), |d, part, flags, wait| {
                // Control messages go with the first byte.
                let control = if part.start == 0 { control } else { &[] };
                let buffers = cut(buffers, part);
                transfers::send_message(d, &buffers, control, flags.0, address.as_ref(), wait)
            })
        })
    }

    /// Sends buffers to an AF_ALG socket, with the operation (`ALG_OP_*`), the initial vector and
    /// the length of the associated data as control messages, and gives how many bytes were taken.
    ///
    /// Python: `socket.sendmsg_afalg(buffers, op=..., iv=..., assoclen=..., flags=...)`.
    ///
    /// # Errors
    /// `OSError` without an errno on a socket of another family, `TypeError` for an operation or a
    /// length below 0, and those of [`sendmsg`](Self::sendmsg).
    pub fn sendmsg_afalg(
        &self,
        buffers: &[IoSlice<'_>],
        op: i32,
        iv: Option<&[u8]>,
        assoclen: Option<i32>,
        flags: impl Into<Flags>,
    ) -> Result<usize> {
        if self.family() != Family::ALG {
            return Err(Error::text(ErrorKind::Os, "algset is only supported for AF_ALG"));
        }
        if op < 0 {
            return Err(Error::text(ErrorKind::Type, "Invalid or missing argument 'op'"));
        }
        if assoclen.is_some_and(|length| length < 0) {
            return Err(Error::text(ErrorKind::Type, "assoclen must be positive"));
        }
        let message = |kind: i32, data: Vec<u8>| Ancillary { level: SOL_ALG, kind, data };
        let mut control = vec![message(ALG_SET_OP, op.to_ne_bytes().into())];
        if let Some(iv) = iv {
            // `struct af_alg_iv`: the length, then the vector.
            let length = u32::try_from(iv.len()).map_err(|_| Error::from_errno(errno::EINVAL))?;
            control.push(message(ALG_SET_IV, [&length.to_ne_bytes(), iv].concat()));
        }
        if let Some(length) = assoclen {
            control.push(message(ALG_SET_AEAD_ASSOCLEN, length.to_ne_bytes().into()));
        }
        self.sendmsg(buffers, &control, flags, None)
    }

    /// Sends buffers and descriptors on an AF_UNIX socket, and gives how many bytes were taken.
    ///
    /// Python: `socket.send_fds(sock, buffers, fds)`; its flags and address arguments are not used
    /// there either.
    ///
    /// # Errors
    /// Those of [`sendmsg`](Self::sendmsg).
    pub fn send_fds(&self, buffers: &[IoSlice<'_>], fds: &[i32]) -> Result<usize> {
        self.sendmsg(buffers, &[Ancillary::rights(fds)], Flags::NONE, None)
    }

    /// What of the bytes that are left one call may take, and with which flags.
    #[inline]
    fn part(&self, rest: Range<usize>, flags: Flags) -> Result<(Range<usize>, Flags)> {
        if self.shared.kind != SocketType::STREAM {
            return if rest.len() > MESSAGE_LIMIT {
                Err(Error::from_errno(errno::EMSGSIZE))
            } else {
                Ok((rest, flags))
            };
        }
        if rest.len() <= CHUNK {
            return Ok((rest, flags));
        }
        // Of several parts the last one holds the byte that is urgent.
        Ok((rest.start..rest.start.saturating_add(CHUNK), flags & !Flags::OOB))
    }

    /// The wait of a send that may open the connection itself. Under a timeout CPython waits for
    /// room first, which a new socket has, and then sends once: EINPROGRESS where the kernel has no
    /// cookie of the server.
    #[inline]
    fn opening(&self, flags: Flags, wait: Wait) -> Wait {
        let opens = flags.contains(Flags::FASTOPEN)
            && matches!(self.shared.family, Family::INET | Family::INET6)
            && self.shared.kind == SocketType::STREAM;
        if opens && !self.timeout().is_none() { Wait::None } else { wait }
    }

    /// One send of any form, of `length` bytes. What the host would cut is sent in parts, the way
    /// the kernel queues it: the first part waits, the others only where the socket blocks, and an
    /// error after the first is not told.
    fn transfer(
        &self,
        length: usize,
        flags: Flags,
        mut call: impl FnMut(&Descriptor, Range<usize>, Flags, Wait) -> Result<u64, types::Error>,
    ) -> Result<usize> {
        let mut waiting = Waiting::new(self.timeout());
        let mut sent = 0;
        loop {
            // The first part opens the connection, if any does: on one that is there MSG_FASTOPEN
            // is EISCONN.
            let flags = if sent == 0 { flags } else { flags & !Flags::FASTOPEN };
            let (part, part_flags) = self.part(sent..length, flags)?;
            let size = part.len();
            let result = if sent == 0 {
                self.attempt(&mut waiting, |d, wait| {
                    call(d, part.clone(), part_flags, self.opening(part_flags, wait))
                })
            } else {
                let wait = if self.timeout().is_none() { Wait::Forever } else { Wait::None };
                match self.descriptor().map(|d| call(&d, part, part_flags, wait)) {
                    Ok(Err(types::Error::Os(errno::EINTR))) => {
                        interrupt::pend();
                        return Ok(sent);
                    }
                    Ok(Ok(taken)) => Ok(taken),
                    Ok(Err(_)) | Err(_) => return Ok(sent),
                }
            };
            let taken = usize::try_from(result?).unwrap_or(usize::MAX).min(size);
            sent = sent.saturating_add(taken);
            if taken < size || sent >= length {
                return Ok(sent);
            }
        }
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

/// Copies what fits, and gives how much that was.
fn fill(buffer: &mut [u8], data: &[u8]) -> usize {
    let length = buffer.len().min(data.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..length), data.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

/// The part of buffers that a range of their bytes, as if they were one, names.
fn cut<'a>(buffers: &'a [IoSlice<'_>], range: Range<usize>) -> Vec<&'a [u8]> {
    let mut skip = range.start;
    let mut left = range.len();
    let mut parts = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let start = skip.min(buffer.len());
        let length = left.min(buffer.len() - start);
        skip -= start;
        left -= length;
        // An empty buffer counts among the 1,024; one before or behind the range does not.
        if length > 0 || buffer.is_empty() {
            parts.push(buffer.get(start..start + length).unwrap_or_default());
        }
    }
    parts
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

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_into(buffer, Flags::NONE)?)
    }
}

impl Write for &Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.send(data, Flags::NONE)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The value of an option, in Python's three forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionValue<'a> {
    /// An integer of 4 bytes; on an AF_VSOCK socket of 8.
    Integer(i32),
    /// An integer that must fit into 4 bytes, but on an AF_VSOCK socket, where all 64 bits are the
    /// value's.
    Long(i64),
    /// Bytes in the option's own layout: the host's.
    Bytes(&'a [u8]),
    /// No value (a null pointer) of this length.
    Null(u32),
}

impl From<i32> for OptionValue<'_> {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<i64> for OptionValue<'_> {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<bool> for OptionValue<'_> {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl<'a> From<&'a [u8]> for OptionValue<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for OptionValue<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(value)
    }
}

/// Whether Python knows how long the addresses of a family are.
fn has_addresses(family: Family, protocol: i32) -> Result<()> {
    let text = match family {
        Family::UNIX
        | Family::INET
        | Family::INET6
        | Family::NETLINK
        | Family::PACKET
        | Family::CAN
        | Family::TIPC => None,
        Family::ALG | Family::VSOCK | Family::RDS | Family::QIPCRTR => None,
        Family::BLUETOOTH
            if matches!(protocol, BTPROTO_L2CAP | BTPROTO_RFCOMM | BTPROTO_HCI | BTPROTO_SCO) =>
        {
            None
        }
        Family::BLUETOOTH => Some("getsockaddrlen: unknown BT protocol"),
        _ => Some("getsockaddrlen: bad family"),
    };
    text.map_or(Ok(()), |text| Err(Error::text(ErrorKind::Os, text)))
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
/// EBADF where there is no such descriptor, ENOTSOCK where it is no socket, EMFILE when there are
/// too many.
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
