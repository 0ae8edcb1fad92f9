//! The type `_socket.socket`: everything but transfers.

use std::ffi::CStr;
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat};
use sandsock::constants::{SO_ERROR, SOL_SOCKET};
use sandsock::errno::{EBADF, ENOTSOCK};
use sandsock::{Error, Family, OptionValue, Socket, SocketType};

use crate::address::{argument, result};
use crate::errno;
use crate::error::{OrRaise, with_text};
use crate::ffi::{
    self, Answer, Buffer, Format, Keywords, Names, NoneOnly, Object, OfSocket, Result, This, Typed,
    none, object, parse,
};
use crate::transfer::{
    recv, recv_into, recvfrom, recvfrom_into, recvmsg, recvmsg_into, send, sendall, sendmsg,
    sendmsg_afalg, sendto,
};

ffi::methods! {
    pub(crate) static METHODS: OfSocket {
        no_arguments accept c"_accept"
            c"_accept() -> (number, address)\n\nWaits for a connection, and returns the descriptor's number of its socket and the peer's address."
        one bind c"bind"
            c"bind(address)\n\nBinds the socket to a local address."
        no_arguments close c"close"
            c"close($self, /)\n--\n\nCloses the socket. It can't be used afterwards."
        one connect c"connect"
            c"connect(address)\n\nConnects the socket to an address."
        one connect_ex c"connect_ex"
            c"connect_ex(address) -> errno\n\nConnects the socket to an address, and returns the errno of an error in place of raising it."
        no_arguments detach c"detach"
            c"detach()\n\nGives up the descriptor without closing it, and returns its number. The socket is closed afterwards."
        no_arguments fileno c"fileno"
            c"fileno() -> number\n\nReturns the descriptor's number, or -1 on a closed socket."
        no_arguments getpeername c"getpeername"
            c"getpeername() -> address\n\nReturns the peer's address."
        no_arguments getsockname c"getsockname"
            c"getsockname() -> address\n\nReturns the socket's own address."
        positional getsockopt c"getsockopt"
            c"getsockopt(level, option[, buffersize]) -> value\n\nReturns an option as an integer, or with a buffer's size as bytes."
        positional listen c"listen"
            c"listen([backlog])\n\nMakes the socket accept connections. A negative backlog is 0."
        fast recv c"recv"
            c"recv(buffersize[, flags]) -> data\n\nReceives at most buffersize bytes. No bytes are the end of a stream."
        fast_keywords recv_into c"recv_into"
            c"recv_into(buffer, [nbytes[, flags]]) -> count\n\nReceives into a buffer, at most nbytes if that is given and not 0."
        positional recvfrom c"recvfrom"
            c"recvfrom(buffersize[, flags]) -> (data, address)\n\nReceives as recv does, and returns the sender's address too."
        keywords recvfrom_into c"recvfrom_into"
            c"recvfrom_into(buffer[, nbytes[, flags]]) -> (count, address)\n\nReceives as recv_into does, and returns the sender's address too."
        fast send c"send"
            c"send(data[, flags]) -> count\n\nSends bytes, and returns how many were taken."
        fast sendall c"sendall"
            c"sendall(data[, flags])\n\nSends all bytes. After an error it is not known how many were sent."
        positional sendto c"sendto"
            c"sendto(data[, flags], address) -> count\n\nSends bytes to an address, and returns how many were taken."
        one setblocking c"setblocking"
            c"setblocking(flag)\n\nSets the timeout to None (true) or to 0 (false)."
        no_arguments getblocking c"getblocking"
            c"getblocking()\n\nReturns whether the socket waits. It does not if its timeout is 0."
        one settimeout c"settimeout"
            c"settimeout(timeout)\n\nSets the timeout in seconds. None is no limit, and 0 is never to wait."
        no_arguments gettimeout c"gettimeout"
            c"gettimeout() -> timeout\n\nReturns the timeout in seconds. None is no limit."
        positional setsockopt c"setsockopt"
            c"setsockopt(level, option, value: int)\nsetsockopt(level, option, value: buffer)\nsetsockopt(level, option, None, optlen: int)\n\nSets an option to an integer, to bytes, or to no value of a length."
        one shutdown c"shutdown"
            c"shutdown(how)\n\nShuts the socket for receiving (SHUT_RD), for sending (SHUT_WR) or for both (SHUT_RDWR)."
        positional recvmsg c"recvmsg"
            c"recvmsg(bufsize[, ancbufsize[, flags]]) -> (data, ancdata, msg_flags, address)\n\nReceives bytes and control messages. ancbufsize is the room for control messages."
        positional recvmsg_into c"recvmsg_into"
            c"recvmsg_into(buffers[, ancbufsize[, flags]]) -> (count, ancdata, msg_flags, address)\n\nReceives as recvmsg does, into buffers that are filled in turn."
        positional sendmsg c"sendmsg"
            c"sendmsg(buffers[, ancdata[, flags[, address]]]) -> count\n\nSends buffers as one, with control messages (level, type, data)."
        keywords sendmsg_afalg c"sendmsg_afalg"
            c"sendmsg_afalg([msg], *, op[, iv[, assoclen[, flags=MSG_MORE]]])\n\nSends buffers to an AF_ALG socket, with the operation, the initial vector and the length of the associated data."
    }
}

/// What the type does beside its methods.
pub(crate) struct Type;

impl ffi::SocketType for Type {
    const DOC: &'static CStr = c"socket(family=AF_INET, type=SOCK_STREAM, proto=0) -> socket object\nsocket(family=-1, type=-1, proto=-1, fileno=None) -> socket object\n\nMakes a socket, or takes over the descriptor of a number. The kernel supplies what is left out then.";

    fn init(this: This<'_, '_>, arguments: &Keywords<'_, '_>) -> Result<()> {
        static NAMES: Names<5> = Names::new([c"family", c"type", c"proto", c"fileno", c""]);
        let py = this.object().py();
        let mut values =
            (Object::default(), Object::default(), Object::default(), Object::default());
        arguments.parse(const { &Format::new(c"|OOOO:socket") }, &NAMES, &mut values)?;
        let number =
            |object: &Object<'_>| object.get(py).map_or(Ok(-1), |object| ffi::int(&object));
        let (family, kind, proto) = (number(&values.0)?, number(&values.1)?, number(&values.2)?);
        let audited = (this.object(), family, kind, proto).into_pyobject(py)?;
        ffi::audit(c"socket.__new__", &audited)?;
        let socket = match values.3.get(py).filter(|fileno| !fileno.is_none()) {
            Some(fileno) => {
                let given = |number: i32| (number != -1).then_some(number);
                let (family, kind) = (given(family).map(Family), given(kind).map(SocketType));
                adopt(fd(&fileno)?, family, kind, given(proto))
            }
            None => Socket::new(family, kind, proto),
        };
        this.set_socket(socket.or_raise(py)?);
        Ok(())
    }

    fn repr<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
        let socket = this.socket();
        let (fd, family, kind) = (socket.fileno(), socket.family().0, socket.kind().0);
        let proto = socket.proto();
        let text = format!("<socket object, fd={fd}, family={family}, type={kind}, proto={proto}>");
        object(py, text)
    }

    fn timeout<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
        gettimeout(this, py)
    }
}

/// Takes over a descriptor. The C library's files are not the guest crate's, and are no sockets.
fn adopt(
    fd: i32,
    family: Option<Family>,
    kind: Option<SocketType>,
    proto: Option<i32>,
) -> sandsock::Result<Socket> {
    Socket::with_fileno(fd, family, kind, proto).map_err(|error| match error.errno() {
        Some(EBADF) if ffi::is_file(fd) => Error::from_errno(ENOTSOCK),
        _ => error,
    })
}

/// Reads a descriptor's number. CPython drops the high bits of a C `long`.
pub(crate) fn fd(object: &Bound<'_, PyAny>) -> Result<i32> {
    Ok(ffi::long(object)? as i32)
}

fn accept<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    let (socket, address) = this.socket().accept().or_raise(py)?;
    // If the address can't be converted, the new socket is dropped, which closes it.
    let address = result(py, &address)?;
    let pair = (socket.fileno(), address).into_pyobject(py)?;
    socket.detach();
    Ok(pair.into_any())
}

fn bind<'py>(this: This<'_, 'py>, address: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = address.py();
    let socket = this.socket();
    let converted = argument(&socket, "bind", address)?;
    ffi::audit_pair(c"socket.bind", this.object(), address)?;
    socket.bind(converted).or_raise(py)?;
    none(py)
}

fn close<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    this.socket().close().or_raise(py)?;
    none(py)
}

fn connect<'py>(this: This<'_, 'py>, address: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = address.py();
    let socket = this.socket();
    let converted = argument(&socket, "connect", address)?;
    ffi::audit_pair(c"socket.connect", this.object(), address)?;
    socket.connect(converted).or_raise(py)?;
    none(py)
}

fn connect_ex<'py>(this: This<'_, 'py>, address: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = address.py();
    let socket = this.socket();
    let converted = argument(&socket, "connect_ex", address)?;
    ffi::audit_pair(c"socket.connect", this.object(), address)?;
    match socket.connect_ex(converted).or_raise(py)? {
        0 => object(py, 0),
        code => object(py, errno::to_wasi(code)),
    }
}

fn detach<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    object(py, this.socket().detach())
}

fn fileno<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    object(py, this.socket().fileno())
}

fn getpeername<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    result(py, &this.socket().getpeername().or_raise(py)?)
}

fn getsockname<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    result(py, &this.socket().getsockname().or_raise(py)?)
}

fn getsockopt<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (0, 0, 0);
    parse(arguments, const { &Format::new(c"ii|i:getsockopt") }, &mut values)?;
    let (level, name, length): (i32, i32, i32) = values;
    let socket = this.socket();
    let is_errno = (level, name) == (SOL_SOCKET, SO_ERROR);
    if length != 0 {
        // A negative length is out of range, and so is this one.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = socket.getsockopt_bytes(level, name, length).or_raise(py)?;
        if let (true, Ok(linux)) = (is_errno, <[u8; 4]>::try_from(bytes.as_slice())) {
            bytes = own_errno(i32::from_ne_bytes(linux)).to_ne_bytes().into();
        }
        return Ok(PyBytes::new(py, &bytes).into_any());
    }
    if socket.family() == Family::VSOCK {
        return object(py, socket.getsockopt_u64(level, name).or_raise(py)?);
    }
    let value = socket.getsockopt(level, name).or_raise(py)?;
    object(py, if is_errno { own_errno(value) } else { value })
}

/// Returns the errno of a pending error. 0 is none.
fn own_errno(linux: i32) -> i32 {
    if linux == 0 { 0 } else { errno::to_wasi(linux) }
}

fn setsockopt<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let socket = this.socket();
    if socket.family() == Family::VSOCK {
        let mut values = (0, 0, 0);
        parse(arguments, const { &Format::new(c"iiK:setsockopt") }, &mut values)?;
        let (level, name, value): (i32, i32, u64) = values;
        let value = OptionValue::Long(value.cast_signed());
        socket.setsockopt(level, name, value).or_raise(py)?;
        return none(py);
    }
    // CPython tries the forms in this order. The error is that of the last one.
    let mut values = (0, 0, 0);
    match parse(arguments, const { &Format::new(c"iii:setsockopt") }, &mut values) {
        Ok(()) => {
            let (level, name, value): (i32, i32, i32) = values;
            socket.setsockopt(level, name, value).or_raise(py)?;
            return none(py);
        }
        Err(raised) => ffi::clear(raised),
    }
    let mut values = (0, 0, Typed::<NoneOnly>::default(), 0);
    match parse(arguments, const { &Format::new(c"iiO!I:setsockopt") }, &mut values) {
        Ok(()) => {
            let (level, name, _, length): (i32, i32, _, u32) = values;
            socket.setsockopt(level, name, OptionValue::Null(length)).or_raise(py)?;
            return none(py);
        }
        Err(raised) => ffi::clear(raised),
    }
    let mut values = (0, 0, Buffer::<false>::default());
    parse(arguments, const { &Format::new(c"iiy*:setsockopt") }, &mut values)?;
    let (level, name, value): (i32, i32, _) = values;
    socket.setsockopt(level, name, OptionValue::Bytes(value.get())).or_raise(py)?;
    none(py)
}

fn listen<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    /// CPython: the smaller of SOMAXCONN and 128.
    const BACKLOG: i32 = 128;
    let py = arguments.py();
    let mut values = (BACKLOG,);
    parse(arguments, const { &Format::new(c"|i:listen") }, &mut values)?;
    this.socket().listen(values.0).or_raise(py)?;
    none(py)
}

fn shutdown<'py>(this: This<'_, 'py>, how: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = how.py();
    let how = ffi::int(how)?;
    this.socket().shutdown(how).or_raise(py)?;
    none(py)
}

fn setblocking<'py>(this: This<'_, 'py>, flag: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = flag.py();
    let blocking = flag.is_truthy()?;
    this.socket().setblocking(blocking).or_raise(py)?;
    none(py)
}

fn getblocking<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    object(py, this.socket().getblocking())
}

fn settimeout<'py>(this: This<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = value.py();
    let socket = this.socket();
    match timeout(value)? {
        Timeout::Seconds(seconds) => socket.settimeout_f64(seconds),
        Timeout::Whole(seconds) => socket.settimeout(Some(seconds)),
    }
    .or_raise(py)?;
    none(py)
}

fn gettimeout<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    object(py, this.socket().gettimeout_f64())
}

/// A timeout as an argument.
pub(crate) enum Timeout {
    /// Seconds, which the guest crate checks and rounds. None is no limit.
    Seconds(Option<f64>),
    /// Whole seconds.
    Whole(Duration),
}

/// Reads a timeout.
pub(crate) fn timeout(value: &Bound<'_, PyAny>) -> Result<Timeout> {
    let py = value.py();
    if value.is_none() {
        return Ok(Timeout::Seconds(None));
    }
    if let Ok(seconds) = value.cast::<PyFloat>() {
        return Ok(Timeout::Seconds(Some(seconds.extract()?)));
    }
    let too_large =
        || with_text::<PyOverflowError>(py, "timestamp too large to convert to C PyTime_t");
    let seconds = ffi::long_long(value)
        .map_err(|raised| if ffi::is_overflow(py) { too_large() } else { raised })?;
    let nanoseconds = seconds.checked_mul(1_000_000_000).ok_or_else(too_large)?;
    let nanoseconds = u64::try_from(nanoseconds)
        .map_err(|_| with_text::<PyValueError>(py, "Timeout value out of range"))?;
    Ok(Timeout::Whole(Duration::from_nanos(nanoseconds)))
}
