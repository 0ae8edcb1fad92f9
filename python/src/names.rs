//! The functions of the module `_socket`.

use pyo3::exceptions::{PyOSError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use sandsock::constants::{AF_UNIX, EAI_NONAME, SOCK_STREAM};
use sandsock::{AddressArgument, ErrorKind, HostEntry, Service};

use crate::address::{idna, result};
use crate::error::{OrRaise, address_info, with_text};
use crate::ffi::{
    self, Answer, Buffer, FileSystemName, Format, Keywords, Name, Names, Object, OfModule, Result,
    Size, Text, none, object, parse,
};
use crate::socket::{self, Timeout, timeout};

/// The module, on which its functions are called.
type Module<'a, 'py> = Borrowed<'a, 'py, PyAny>;

ffi::methods! {
    pub(crate) static FUNCTIONS: OfModule {
        positional gethostbyname c"gethostbyname"
            c"gethostbyname(host) -> address\n\nReturns an IPv4 address of a host."
        positional gethostbyname_ex c"gethostbyname_ex"
            c"gethostbyname_ex(host) -> (name, aliases, addresses)\n\nReturns the name, the aliases and the IPv4 addresses of a host."
        positional gethostbyaddr c"gethostbyaddr"
            c"gethostbyaddr(host) -> (name, aliases, addresses)\n\nReturns the name, the aliases and the addresses of a host, by one of its addresses or names."
        no_arguments gethostname c"gethostname"
            c"gethostname() -> name\n\nReturns this host's name."
        positional sethostname c"sethostname"
            c"sethostname(name)\n\nSets this host's name."
        positional getservbyname c"getservbyname"
            c"getservbyname(servicename[, protocolname]) -> port\n\nReturns the port of a service."
        positional getservbyport c"getservbyport"
            c"getservbyport(port[, protocolname]) -> name\n\nReturns the name of a service."
        positional getprotobyname c"getprotobyname"
            c"getprotobyname(name) -> number\n\nReturns the number of a protocol."
        one close c"close"
            c"close(number)\n\nCloses a descriptor by its number."
        one dup c"dup"
            c"dup(number) -> number\n\nDuplicates a descriptor by its number."
        positional socketpair c"socketpair"
            c"socketpair([family[, type[, proto]]]) -> (socket, socket)\n\nMakes two connected sockets, of AF_UNIX if no family is given."
        one ntohs c"ntohs"
            c"ntohs($module, integer, /)\n--\n\nConverts 16 bits from network to host byte order."
        one ntohl c"ntohl"
            c"ntohl($module, integer, /)\n--\n\nConverts 32 bits from network to host byte order."
        one htons c"htons"
            c"htons($module, integer, /)\n--\n\nConverts 16 bits from host to network byte order."
        one htonl c"htonl"
            c"htonl($module, integer, /)\n--\n\nConverts 32 bits from host to network byte order."
        one inet_aton c"inet_aton"
            c"inet_aton($module, ip_addr, /)\n--\n\nReturns the four bytes of an IPv4 address."
        one inet_ntoa c"inet_ntoa"
            c"inet_ntoa($module, packed_ip, /)\n--\n\nReturns the text of four bytes of an IPv4 address."
        positional inet_pton c"inet_pton"
            c"inet_pton(family, text) -> bytes\n\nReturns the bytes of a numeric address."
        positional inet_ntop c"inet_ntop"
            c"inet_ntop(family, bytes) -> text\n\nReturns the text of a numeric address."
        keywords getaddrinfo c"getaddrinfo"
            c"getaddrinfo(host, port [, family, type, proto, flags])\n    -> list of (family, type, proto, canonname, address)\n\nReturns the addresses of a host and a service."
        positional getnameinfo c"getnameinfo"
            c"getnameinfo(address, flags) -> (host, port)\n\nReturns the name of an address and the service of its port."
        no_arguments getdefaulttimeout c"getdefaulttimeout"
            c"getdefaulttimeout() -> timeout\n\nReturns the timeout of new sockets in seconds. None is no limit."
        one setdefaulttimeout c"setdefaulttimeout"
            c"setdefaulttimeout(timeout)\n\nSets the timeout of new sockets in seconds. None is no limit."
        no_arguments if_nameindex c"if_nameindex"
            c"if_nameindex() -> list of (index, name)\n\nReturns the network interfaces."
        one if_nametoindex c"if_nametoindex"
            c"if_nametoindex($module, oname, /)\n--\n\nReturns the index of an interface."
        one if_indextoname c"if_indextoname"
            c"if_indextoname($module, if_index, /)\n--\n\nReturns the name of an interface."
        positional cmsg_len c"CMSG_LEN"
            c"CMSG_LEN(length) -> length\n\nReturns the length of a control message with this much data."
        positional cmsg_space c"CMSG_SPACE"
            c"CMSG_SPACE(length) -> size\n\nReturns the room that a control message with this much data takes."
    }
}

/// Reads the host of a look-up. It is ASCII, or bytes that the caller gave as they are.
fn name<'py>(
    arguments: &Bound<'py, PyAny>,
    format: &Format<(Name,)>,
    event: &std::ffi::CStr,
) -> Result<String> {
    let py = arguments.py();
    let mut values = (Name::default(),);
    parse(arguments, format, &mut values)?;
    ffi::audit(event, &(arguments,).into_pyobject(py)?)?;
    // No host has another name.
    match str::from_utf8(values.0.get()) {
        Ok(name) if name.is_ascii() => Ok(name.to_owned()),
        _ => Err(address_info(py, EAI_NONAME)),
    }
}

/// Makes a look-up. The interpreter's codec has judged a str. The guest crate judges bytes too,
/// which for CPython are only a name that is not found.
fn looked_up<T>(py: Python<'_>, answer: sandsock::Result<T>) -> Result<T> {
    match answer {
        Err(error) if error.kind() == ErrorKind::Unicode => Err(address_info(py, EAI_NONAME)),
        answer => answer.or_raise(py),
    }
}

fn gethostbyname<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let format = const { &Format::new(c"et:gethostbyname") };
    let host = name(arguments, format, c"socket.gethostbyname")?;
    object(py, looked_up(py, sandsock::gethostbyname(&host))?)
}

fn gethostbyname_ex<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let format = const { &Format::new(c"et:gethostbyname_ex") };
    let host = name(arguments, format, c"socket.gethostbyname")?;
    entry(py, looked_up(py, sandsock::gethostbyname_ex(&host))?)
}

fn gethostbyaddr<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let format = const { &Format::new(c"et:gethostbyaddr") };
    let host = name(arguments, format, c"socket.gethostbyaddr")?;
    entry(py, looked_up(py, sandsock::gethostbyaddr(&host))?)
}

fn entry(py: Python<'_>, entry: HostEntry) -> Answer<'_> {
    object(py, (entry.name, entry.aliases, entry.addresses))
}

fn gethostname<'py>(_: Module<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    ffi::audit(c"socket.gethostname", &PyTuple::empty(py))?;
    ffi::file_system_text(py, sandsock::gethostname().as_bytes())
}

fn sethostname<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (FileSystemName::default(),);
    let bytes = arguments.get_item(0).ok().filter(|name| name.is_instance_of::<PyBytes>());
    let bytes = match bytes {
        // CPython takes bytes as they are, with NULs.
        Some(bytes) if arguments.len()? == 1 => bytes,
        _ => {
            parse(arguments, const { &Format::new(c"O&:sethostname") }, &mut values)?;
            PyBytes::new(py, values.0.get()).into_any()
        }
    };
    ffi::audit(c"socket.sethostname", &(&bytes,).into_pyobject(py)?)?;
    sandsock::sethostname(Buffer::of(&bytes)?.get()).or_raise(py)?;
    none(py)
}

/// Returns the text of an argument that is a str.
fn text<'a>(text: &Text<'a>) -> Option<&'a str> {
    text.get().map(|text| str::from_utf8(text).unwrap_or_default())
}

fn getservbyname<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Text::default(), Text::default());
    parse(arguments, const { &Format::new(c"s|s:getservbyname") }, &mut values)?;
    let (name, protocol) = (text(&values.0).unwrap_or_default(), text(&values.1));
    ffi::audit(c"socket.getservbyname", &(name, protocol).into_pyobject(py)?)?;
    object(py, sandsock::getservbyname(name, protocol).or_raise(py)?)
}

fn getservbyport<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (0, Text::default());
    parse(arguments, const { &Format::new(c"i|s:getservbyport") }, &mut values)?;
    let (port, protocol): (i32, _) = (values.0, text(&values.1));
    if u16::try_from(port).is_err() {
        let text = "getservbyport: port must be 0-65535.";
        return Err(with_text::<PyOverflowError>(py, text));
    }
    ffi::audit(c"socket.getservbyport", &(port, protocol).into_pyobject(py)?)?;
    object(py, sandsock::getservbyport(port, protocol).or_raise(py)?)
}

fn getprotobyname<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Text::default(),);
    parse(arguments, const { &Format::new(c"s:getprotobyname") }, &mut values)?;
    let name = text(&values.0).unwrap_or_default();
    object(py, sandsock::getprotobyname(name).or_raise(py)?)
}

fn close<'py>(_: Module<'_, 'py>, fd: &Bound<'py, PyAny>) -> Answer<'py> {
    sandsock::close(socket::fd(fd)?).or_raise(fd.py())?;
    none(fd.py())
}

fn dup<'py>(_: Module<'_, 'py>, fd: &Bound<'py, PyAny>) -> Answer<'py> {
    object(fd.py(), sandsock::dup(socket::fd(fd)?).or_raise(fd.py())?)
}

fn socketpair<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (AF_UNIX, SOCK_STREAM, 0);
    parse(arguments, const { &Format::new(c"|iii:socketpair") }, &mut values)?;
    let (family, kind, proto): (i32, i32, i32) = values;
    let (first, second) = sandsock::socketpair(family, kind, proto).or_raise(py)?;
    object(py, (ffi::new_socket(py, first)?, ffi::new_socket(py, second)?))
}

fn ntohs<'py>(_: Module<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    object(value.py(), u16::from_be(ffi::uint16(value)?))
}

fn ntohl<'py>(_: Module<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    object(value.py(), u32::from_be(ffi::uint32(value)?))
}

fn htons<'py>(_: Module<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    object(value.py(), ffi::uint16(value)?.to_be())
}

fn htonl<'py>(_: Module<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    object(value.py(), ffi::uint32(value)?.to_be())
}

fn inet_aton<'py>(_: Module<'_, 'py>, address: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = address.py();
    let Ok(address) = address.cast::<PyString>() else {
        let found = if address.is_none() { "None".to_owned() } else { ffi::type_name(address) };
        let text = format!("inet_aton() argument must be str, not {found}");
        return Err(with_text::<PyTypeError>(py, &text));
    };
    let address = sandsock::inet_aton(address.to_str()?).or_raise(py)?;
    Ok(PyBytes::new(py, &address).into_any())
}

fn inet_ntoa<'py>(_: Module<'_, 'py>, packed: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = packed.py();
    object(py, sandsock::inet_ntoa(Buffer::of(packed)?.get()).or_raise(py)?)
}

fn inet_pton<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (0, Text::default());
    parse(arguments, const { &Format::new(c"is:inet_pton") }, &mut values)?;
    let (family, address): (i32, _) = (values.0, text(&values.1).unwrap_or_default());
    let packed = sandsock::inet_pton(family, address).or_raise(py)?;
    Ok(PyBytes::new(py, &packed).into_any())
}

fn inet_ntop<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (0, Buffer::<false>::default());
    parse(arguments, const { &Format::new(c"iy*:inet_ntop") }, &mut values)?;
    let (family, packed): (i32, _) = values;
    object(py, sandsock::inet_ntop(family, packed.get()).or_raise(py)?)
}

fn getaddrinfo<'py>(module: Module<'_, 'py>, arguments: &Keywords<'_, 'py>) -> Answer<'py> {
    static NAMES: Names<7> =
        Names::new([c"host", c"port", c"family", c"type", c"proto", c"flags", c""]);
    let py = module.py();
    let mut values = (Object::default(), Object::default(), 0, 0, 0, 0);
    arguments.parse(const { &Format::new(c"OO|iiii:getaddrinfo") }, &NAMES, &mut values)?;
    let (host, port, family, kind, proto, flags): (_, _, i32, i32, i32, i32) = values;
    let none = || py.None().into_bound(py);
    let (host, port) = (host.get(py).unwrap_or_else(none), port.get(py).unwrap_or_else(none));
    let name = host_name(&host)?;
    let service = service(&port)?;
    let audited = (&host, &port, family, kind, proto).into_pyobject(py)?;
    ffi::audit(c"socket.getaddrinfo", &audited)?;
    let name = match &name {
        // No host has another name.
        Some(name) if !name.is_ascii() => return Err(address_info(py, EAI_NONAME)),
        Some(name) => Some(str::from_utf8(name).unwrap_or_default()),
        None => None,
    };
    let service = service.as_deref().map_or(Service::None, Service::Name);
    let answers = looked_up(py, sandsock::getaddrinfo(name, service, family, kind, proto, flags))?;
    let list = PyList::empty(py);
    for answer in answers {
        let address = result(py, &answer.address)?;
        let (family, kind) = (answer.family.0, answer.kind.0);
        list.append((family, kind, answer.protocol, answer.canonical_name, address))?;
    }
    Ok(list.into_any())
}

/// Reads the host of getaddrinfo, up to its first NUL, where C's strings end.
fn host_name(host: &Bound<'_, PyAny>) -> Result<Option<Vec<u8>>> {
    /// RFC 1034: the longest label.
    const LABEL: usize = 63;
    if host.is_none() {
        return Ok(None);
    }
    let name = if let Ok(text) = host.cast::<PyString>() {
        // The codec returns such a name as it is.
        let labels = |name: &str| {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.split('.').all(|label| (1..=LABEL).contains(&label.len()))
        };
        match text.to_str() {
            Ok(name) if name.is_ascii() && (name.is_empty() || labels(name)) => {
                name.as_bytes().to_vec()
            }
            _ => idna(host)?,
        }
    } else if let Ok(bytes) = host.cast::<PyBytes>() {
        bytes.as_bytes().to_vec()
    } else {
        let text = "getaddrinfo() argument 1 must be string or None";
        return Err(with_text::<PyTypeError>(host.py(), text));
    };
    Ok(Some(c_text(&name).to_vec()))
}

/// Reads the service of getaddrinfo. An integer becomes its decimal digits.
fn service(port: &Bound<'_, PyAny>) -> Result<Option<String>> {
    if ffi::is_index(port) {
        return Ok(Some(ffi::index(port)?.str()?.to_str()?.to_owned()));
    }
    if let Ok(text) = port.cast::<PyString>() {
        let text = text.to_str()?;
        return Ok(Some(text.split('\0').next().unwrap_or_default().to_owned()));
    }
    if let Ok(bytes) = port.cast::<PyBytes>() {
        return Ok(Some(String::from_utf8_lossy(c_text(bytes.as_bytes())).into_owned()));
    }
    if port.is_none() {
        return Ok(None);
    }
    Err(with_text::<PyOSError>(port.py(), "Int or String expected"))
}

/// Returns bytes up to the first NUL.
fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn getnameinfo<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Object::default(), 0);
    parse(arguments, const { &Format::new(c"Oi:getnameinfo") }, &mut values)?;
    let (address, flags): (_, i32) = values;
    let address = address.get(py).filter(|address| address.is_instance_of::<PyTuple>());
    let Some(address) = address else {
        let text = "getnameinfo() argument 1 must be a tuple";
        return Err(with_text::<PyTypeError>(py, text));
    };
    let mut values = (Text::<false>::default(), 0, 0, 0);
    let format = const { &Format::new(c"si|II;getnameinfo(): illegal sockaddr argument") };
    parse(&address, format, &mut values)?;
    let (host, port, flow_info, scope_id): (_, i32, u32, u32) = values;
    if flow_info > 0xf_ffff {
        let text = "getnameinfo(): flowinfo must be 0-1048575.";
        return Err(with_text::<PyOverflowError>(py, text));
    }
    ffi::audit(c"socket.getnameinfo", &(&address,).into_pyobject(py)?)?;
    let is_pair = address.len()? == 2;
    let more = |number: u32| (!is_pair).then_some(i64::from(number));
    let converted = AddressArgument::Host {
        host: host.get().unwrap_or_default().into(),
        port: i64::from(port),
        flow_info: more(flow_info),
        scope_id: more(scope_id),
    };
    object(py, sandsock::getnameinfo(converted, flags).or_raise(py)?)
}

fn getdefaulttimeout<'py>(_: Module<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    object(py, sandsock::getdefaulttimeout_f64())
}

fn setdefaulttimeout<'py>(_: Module<'_, 'py>, value: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = value.py();
    match timeout(value)? {
        Timeout::Seconds(seconds) => sandsock::setdefaulttimeout_f64(seconds),
        Timeout::Whole(seconds) => sandsock::setdefaulttimeout(Some(seconds)),
    }
    .or_raise(py)?;
    none(py)
}

fn if_nameindex<'py>(_: Module<'_, 'py>, py: Python<'py>) -> Answer<'py> {
    let list = PyList::empty(py);
    for (index, name) in sandsock::if_nameindex().or_raise(py)? {
        list.append((index, ffi::file_system_text(py, name.as_bytes())?))?;
    }
    Ok(list.into_any())
}

fn if_nametoindex<'py>(_: Module<'_, 'py>, name: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = name.py();
    let mut values = (FileSystemName::default(),);
    ffi::parse_one(name, const { &Format::new(c"O&") }, &mut values)?;
    object(py, sandsock::if_nametoindex(values.0.get()).or_raise(py)?)
}

fn if_indextoname<'py>(_: Module<'_, 'py>, index: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = index.py();
    let name = sandsock::if_indextoname(ffi::unsigned_int(index)?).or_raise(py)?;
    ffi::file_system_text(py, name.as_bytes())
}

/// Reads the length of a control message's data.
fn length(arguments: &Bound<'_, PyAny>, format: &Format<(Size,)>, text: &str) -> Result<usize> {
    let mut values = (Size(0),);
    parse(arguments, format, &mut values)?;
    u32::try_from(values.0.0)
        .map(|length| length as usize)
        .map_err(|_| with_text::<PyOverflowError>(arguments.py(), text))
}

fn cmsg_len<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let format = const { &Format::new(c"n:CMSG_LEN") };
    let length = length(arguments, format, "CMSG_LEN() argument out of range")?;
    object(py, sandsock::cmsg_len(length).or_raise(py)?)
}

fn cmsg_space<'py>(_: Module<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let format = const { &Format::new(c"n:CMSG_SPACE") };
    let length = length(arguments, format, "CMSG_SPACE() argument out of range")?;
    object(py, sandsock::cmsg_space(length).or_raise(py)?)
}
