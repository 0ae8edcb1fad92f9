//! The interface `sockets`. Each function calls the crate.

use std::{
    collections::BTreeMap,
    io::IoSlice,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sandsock::raw::types::{HostEntry, IoctlResult, NetworkInterface};
use sandsock::{Ancillary, Connecting, Family, SocketType, ToAddress};

use crate::Provider;
use crate::address::outcome;
use crate::bindings::exports::sandsock::socket::sockets as wit;
use crate::contract::sockets::{
    Address, AddressInfo, Ancillary as ControlMessage, ConnectionTimeout, Error, Guest,
    GuestSocket, OptionValue, Progress, Received, ReceivedFds, Service, SocketBorrow,
};
use crate::error::{value_error, waiting};

/// The resource `socket`.
pub(crate) struct Socket(pub(crate) sandsock::Socket);

impl Socket {
    fn own(socket: sandsock::Socket) -> wit::Socket {
        wit::Socket::new(Self(socket))
    }
}

/// The attempts of `create-connection` that an interrupt ended, by their marks.
static ATTEMPTS: Mutex<BTreeMap<u64, Connecting<'static>>> = Mutex::new(BTreeMap::new());

/// The last mark that was returned. 0 stands for none.
static MARK: AtomicU64 = AtomicU64::new(0);

fn take_attempt(mark: u64) -> Option<Connecting<'static>> {
    ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner).remove(&mark)
}

/// Converts a size that Python takes as a C ssize_t. A size beyond this memory becomes the largest
/// one.
fn size(size: i64, negative: &str) -> Result<usize, Error> {
    if size < 0 {
        return Err(value_error(negative));
    }
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// Converts a length for CMSG_LEN and CMSG_SPACE. An impossible one becomes longer than any
/// message.
fn length(length: i64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn wide(number: usize) -> u64 {
    number as u64
}

fn some_number<T: From<i32>>(number: i32) -> Option<T> {
    (number != -1).then(|| number.into())
}

fn service(service: Option<&Service>) -> sandsock::Service<'_> {
    match service {
        None => sandsock::Service::None,
        Some(Service::Number(number)) => sandsock::Service::Number(*number),
        Some(Service::Name(name)) => sandsock::Service::Name(name),
    }
}

fn outgoing(messages: Vec<ControlMessage>) -> Vec<Ancillary> {
    messages.into_iter().map(|(level, kind, data)| Ancillary { level, kind, data }).collect()
}

fn incoming(messages: Vec<Ancillary>) -> Vec<ControlMessage> {
    messages.into_iter().map(|Ancillary { level, kind, data }| (level, kind, data)).collect()
}

fn entry(entry: sandsock::HostEntry) -> HostEntry {
    let sandsock::HostEntry { name, aliases, addresses } = entry;
    HostEntry { name, aliases, addresses }
}

fn named(constants: &[(&str, i64)]) -> Vec<(String, i64)> {
    constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
}

fn slices(buffers: &[Vec<u8>]) -> Vec<IoSlice<'_>> {
    buffers.iter().map(|buffer| IoSlice::new(buffer)).collect()
}

impl GuestSocket for Socket {
    fn create(family: i32, type_: i32, proto: i32) -> Result<wit::Socket, Error> {
        Ok(Self::own(sandsock::Socket::new(family, type_, proto)?))
    }

    fn from_fileno(fileno: i32, family: i32, type_: i32, proto: i32) -> Result<wit::Socket, Error> {
        let (family, kind) = (some_number::<Family>(family), some_number::<SocketType>(type_));
        Ok(Self::own(sandsock::Socket::with_fileno(
            fileno,
            family,
            kind,
            some_number::<i32>(proto),
        )?))
    }

    fn from_state(state: Vec<u8>) -> Result<wit::Socket, Error> {
        Ok(Self::own(sandsock::Socket::from_state(&state)?))
    }

    fn state(&self) -> Vec<u8> {
        self.0.state()
    }

    fn family(&self) -> i32 {
        self.0.family().0
    }

    fn type_(&self) -> i32 {
        self.0.kind().0
    }

    fn proto(&self) -> i32 {
        self.0.proto()
    }

    fn repr(&self) -> String {
        format!("{:?}", self.0)
    }

    fn accept(&self, resume: Option<Progress>) -> Result<(wit::Socket, Option<Address>), Error> {
        let (socket, address) = waiting(resume, || self.0.accept())?;
        Ok((Self::own(socket), outcome(address)))
    }

    fn bind(&self, address: Address) -> Result<(), Error> {
        waiting(None, || self.0.bind(&address))
    }

    fn close(&self) -> Result<(), Error> {
        Ok(self.0.close()?)
    }

    fn connect(&self, address: Address, resume: Option<Progress>) -> Result<(), Error> {
        waiting(resume, || self.0.connect(&address))
    }

    fn connect_ex(&self, address: Address, resume: Option<Progress>) -> Result<i32, Error> {
        waiting(resume, || self.0.connect_ex(&address))
    }

    fn detach(&self) -> i32 {
        self.0.detach()
    }

    fn dup(&self) -> Result<wit::Socket, Error> {
        Ok(Self::own(self.0.dup()?))
    }

    fn fileno(&self) -> i32 {
        self.0.fileno()
    }

    fn get_inheritable(&self) -> Result<bool, Error> {
        Ok(self.0.get_inheritable()?)
    }

    fn set_inheritable(&self, inheritable: bool) -> Result<(), Error> {
        Ok(self.0.set_inheritable(inheritable)?)
    }

    fn getblocking(&self) -> bool {
        self.0.getblocking()
    }

    fn setblocking(&self, blocking: bool) -> Result<(), Error> {
        Ok(self.0.setblocking(blocking)?)
    }

    fn gettimeout(&self) -> Option<f64> {
        self.0.gettimeout_f64()
    }

    fn settimeout(&self, seconds: Option<f64>) -> Result<(), Error> {
        Ok(self.0.settimeout_f64(seconds)?)
    }

    fn getpeername(&self) -> Result<Option<Address>, Error> {
        Ok(outcome(self.0.getpeername()?))
    }

    fn getsockname(&self) -> Result<Option<Address>, Error> {
        Ok(outcome(self.0.getsockname()?))
    }

    fn getsockopt(&self, level: i32, name: i32) -> Result<i64, Error> {
        if self.0.family() == Family::VSOCK {
            // All 64 bits, which Python shows without a sign.
            return Ok(self.0.getsockopt_u64(level, name)?.cast_signed());
        }
        Ok(self.0.getsockopt(level, name)?.into())
    }

    fn getsockopt_bytes(&self, level: i32, name: i32, buflen: i64) -> Result<Vec<u8>, Error> {
        // A length beyond this memory is out of range as well.
        Ok(self.0.getsockopt_bytes(level, name, length(buflen))?)
    }

    fn setsockopt(&self, level: i32, name: i32, value: OptionValue) -> Result<(), Error> {
        match value {
            OptionValue::Integer(number) => self.0.setsockopt(level, name, number)?,
            OptionValue::Bytes(bytes) => self.0.setsockopt(level, name, bytes.as_slice())?,
            OptionValue::Null(length) => {
                self.0.setsockopt(level, name, sandsock::OptionValue::Null(length))?
            }
        }
        Ok(())
    }

    fn ioctl(&self, control: u32, argument: Vec<u8>) -> Result<IoctlResult, Error> {
        let (value, argument) = self.0.ioctl(control, &argument)?;
        Ok(IoctlResult { value, argument })
    }

    fn listen(&self, backlog: Option<i32>) -> Result<(), Error> {
        Ok(self.0.listen(backlog)?)
    }

    fn recv(&self, bufsize: i64, flags: i32, resume: Option<Progress>) -> Result<Vec<u8>, Error> {
        let bufsize = size(bufsize, "negative buffersize in recv")?;
        waiting(resume, || self.0.recv(bufsize, flags))
    }

    fn recvfrom(
        &self,
        bufsize: i64,
        flags: i32,
        resume: Option<Progress>,
    ) -> Result<(Vec<u8>, Option<Address>), Error> {
        let bufsize = size(bufsize, "negative buffersize in recvfrom")?;
        let (data, address) = waiting(resume, || self.0.recvfrom(bufsize, flags))?;
        Ok((data, outcome(address)))
    }

    fn recvmsg(
        &self,
        bufsize: i64,
        ancbufsize: i64,
        flags: i32,
        resume: Option<Progress>,
    ) -> Result<Received, Error> {
        let bufsize = size(bufsize, "negative buffer size in recvmsg()")?;
        let room = size(ancbufsize, "invalid ancillary data buffer length")?;
        let got = waiting(resume, || self.0.recvmsg(bufsize, room, flags))?;
        Ok(Received {
            data: got.data,
            ancillary: incoming(got.ancillary),
            flags: got.flags.0,
            address: outcome(got.address),
            warnings: got.warnings,
        })
    }

    fn send(&self, data: Vec<u8>, flags: i32, resume: Option<Progress>) -> Result<u64, Error> {
        waiting(resume, || self.0.send(&data, flags)).map(wide)
    }

    fn sendall(&self, data: Vec<u8>, flags: i32, resume: Option<Progress>) -> Result<(), Error> {
        waiting(resume, || self.0.sendall(&data, flags))
    }

    fn sendto(
        &self,
        data: Vec<u8>,
        flags: i32,
        address: Address,
        resume: Option<Progress>,
    ) -> Result<u64, Error> {
        waiting(resume, || self.0.sendto(&data, flags, &address)).map(wide)
    }

    fn sendmsg(
        &self,
        buffers: Vec<Vec<u8>>,
        ancillary: Vec<ControlMessage>,
        flags: i32,
        address: Option<Address>,
        resume: Option<Progress>,
    ) -> Result<u64, Error> {
        let address = address.as_ref().map(|address| address as &dyn ToAddress);
        let ancillary = outgoing(ancillary);
        waiting(resume, || self.0.sendmsg(&slices(&buffers), &ancillary, flags, address)).map(wide)
    }

    fn sendmsg_afalg(
        &self,
        buffers: Vec<Vec<u8>>,
        op: i32,
        iv: Option<Vec<u8>>,
        assoclen: Option<i32>,
        flags: i32,
        resume: Option<Progress>,
    ) -> Result<u64, Error> {
        waiting(resume, || {
            self.0.sendmsg_afalg(&slices(&buffers), op, iv.as_deref(), assoclen, flags)
        })
        .map(wide)
    }

    fn share(&self, process_id: u32) -> Result<Vec<u8>, Error> {
        Ok(self.0.share(process_id)?)
    }

    fn shutdown(&self, how: i32) -> Result<(), Error> {
        Ok(self.0.shutdown(how)?)
    }
}

impl Guest for Provider {
    type Socket = Socket;

    fn socketpair(
        family: Option<i32>,
        type_: i32,
        proto: i32,
    ) -> Result<(wit::Socket, wit::Socket), Error> {
        let family = family.map_or(Family::UNIX, Family);
        let (a, b) = sandsock::socketpair(family, type_, proto)?;
        Ok((Socket::own(a), Socket::own(b)))
    }

    fn create_connection(
        host: Option<String>,
        port: Option<Service>,
        timeout: ConnectionTimeout,
        source_address: Option<Address>,
        all_errors: bool,
        resume: Option<Progress>,
    ) -> Result<wit::Socket, Error> {
        let timeout = match timeout {
            ConnectionTimeout::Default => sandsock::ConnectTimeout::Default,
            ConnectionTimeout::None => sandsock::ConnectTimeout::None,
            ConnectionTimeout::Seconds(seconds) => sandsock::ConnectTimeout::Seconds(seconds),
        };
        let kept = resume.and_then(|progress| take_attempt(progress.done));
        let mut attempt = match kept {
            Some(attempt) => attempt,
            None => {
                let source =
                    source_address.as_ref().map(|address| address.to_address().into_owned());
                let address = (host.as_deref(), service(port.as_ref()));
                waiting(None, || Connecting::new(address, timeout, source, all_errors))?
            }
        };
        match waiting(None, || attempt.connect()) {
            Ok(socket) => Ok(Socket::own(socket)),
            Err(Error::Interrupted(progress)) => {
                let mark = MARK.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, attempt);
                Err(Error::Interrupted(Progress { deadline: progress.deadline, done: mark }))
            }
            Err(error) => Err(error),
        }
    }

    fn abandon_connection(progress: Progress) {
        drop(take_attempt(progress.done));
    }

    fn create_server(
        address: Address,
        family: i32,
        backlog: Option<i32>,
        reuse_port: bool,
        dualstack_ipv6: bool,
    ) -> Result<wit::Socket, Error> {
        let options =
            sandsock::ServerOptions { family: Family(family), backlog, reuse_port, dualstack_ipv6 };
        waiting(None, || sandsock::create_server(&address, options)).map(Socket::own)
    }

    fn has_dualstack_ipv6() -> bool {
        sandsock::has_dualstack_ipv6()
    }

    fn has_ipv6() -> bool {
        sandsock::constants::HAS_IPV6
    }

    fn fromfd(fd: i32, family: i32, type_: i32, proto: i32) -> Result<wit::Socket, Error> {
        Ok(Socket::own(sandsock::fromfd(fd, family, type_, proto)?))
    }

    fn fromshare(info: Vec<u8>) -> Result<wit::Socket, Error> {
        Ok(Socket::own(sandsock::fromshare(&info)?))
    }

    fn close(fd: i32) -> Result<(), Error> {
        Ok(sandsock::close(fd)?)
    }

    fn dup(fd: i32) -> Result<i32, Error> {
        Ok(sandsock::dup(fd)?)
    }

    fn send_fds(
        s: SocketBorrow<'_>,
        buffers: Vec<Vec<u8>>,
        fds: Vec<i32>,
        resume: Option<Progress>,
    ) -> Result<u64, Error> {
        waiting(resume, || s.get::<Socket>().0.send_fds(&slices(&buffers), &fds)).map(wide)
    }

    fn recv_fds(
        s: SocketBorrow<'_>,
        bufsize: i64,
        maxfds: i64,
        resume: Option<Progress>,
    ) -> Result<ReceivedFds, Error> {
        let bufsize = size(bufsize, "negative buffer size in recvmsg()")?;
        let got = waiting(resume, || s.get::<Socket>().0.recv_fds(bufsize, length(maxfds)))?;
        let fds = got.fds();
        Ok(ReceivedFds { data: got.data, fds, flags: got.flags.0, address: outcome(got.address) })
    }

    fn getaddrinfo(
        host: Option<String>,
        port: Option<Service>,
        family: i32,
        type_: i32,
        proto: i32,
        flags: i32,
    ) -> Result<Vec<AddressInfo>, Error> {
        let service = service(port.as_ref());
        let answers = waiting(None, || {
            sandsock::getaddrinfo(host.as_deref(), service, family, type_, proto, flags)
        })?;
        let answer = |info: sandsock::AddressInfo| {
            Some(AddressInfo {
                family: info.family.0,
                type_: info.kind.0,
                proto: info.protocol,
                canonname: info.canonical_name,
                address: outcome(info.address)?,
            })
        };
        Ok(answers.into_iter().filter_map(answer).collect())
    }

    fn getfqdn(name: String) -> Result<String, Error> {
        waiting(None, || sandsock::getfqdn(&name))
    }

    fn gethostbyname(hostname: String) -> Result<String, Error> {
        waiting(None, || sandsock::gethostbyname(&hostname))
    }

    fn gethostbyname_ex(hostname: String) -> Result<HostEntry, Error> {
        waiting(None, || sandsock::gethostbyname_ex(&hostname)).map(entry)
    }

    fn gethostbyaddr(address: String) -> Result<HostEntry, Error> {
        waiting(None, || sandsock::gethostbyaddr(&address)).map(entry)
    }

    fn gethostname() -> String {
        sandsock::gethostname()
    }

    fn sethostname(name: Vec<u8>) -> Result<(), Error> {
        Ok(sandsock::sethostname(name)?)
    }

    fn getnameinfo(address: Address, flags: i32) -> Result<(String, String), Error> {
        waiting(None, || sandsock::getnameinfo(&address, flags))
    }

    fn getprotobyname(name: String) -> Result<i32, Error> {
        Ok(sandsock::getprotobyname(&name)?)
    }

    fn getservbyname(name: String, proto: Option<String>) -> Result<i32, Error> {
        Ok(sandsock::getservbyname(&name, proto.as_deref())?.into())
    }

    fn getservbyport(port: i64, proto: Option<String>) -> Result<String, Error> {
        Ok(sandsock::getservbyport(port, proto.as_deref())?)
    }

    fn if_nameindex() -> Result<Vec<NetworkInterface>, Error> {
        let interfaces = sandsock::if_nameindex()?;
        Ok(interfaces.into_iter().map(|(index, name)| NetworkInterface { index, name }).collect())
    }

    fn if_nametoindex(name: String) -> Result<u32, Error> {
        Ok(sandsock::if_nametoindex(name)?)
    }

    fn if_indextoname(index: i64) -> Result<String, Error> {
        Ok(sandsock::if_indextoname(index)?)
    }

    fn inet_aton(text: String) -> Result<Vec<u8>, Error> {
        Ok(sandsock::inet_aton(&text)?.to_vec())
    }

    fn inet_ntoa(packed: Vec<u8>) -> Result<String, Error> {
        Ok(sandsock::inet_ntoa(&packed)?)
    }

    fn inet_pton(family: i32, text: String) -> Result<Vec<u8>, Error> {
        Ok(sandsock::inet_pton(family, &text)?)
    }

    fn inet_ntop(family: i32, packed: Vec<u8>) -> Result<String, Error> {
        Ok(sandsock::inet_ntop(family, &packed)?)
    }

    fn ntohs(value: i64) -> Result<u16, Error> {
        Ok(sandsock::ntohs(value)?)
    }

    fn ntohl(value: i64) -> Result<u32, Error> {
        Ok(sandsock::ntohl(value)?)
    }

    fn htons(value: i64) -> Result<u16, Error> {
        Ok(sandsock::htons(value)?)
    }

    fn htonl(value: i64) -> Result<u32, Error> {
        Ok(sandsock::htonl(value)?)
    }

    fn cmsg_len(bytes: i64) -> Result<i64, Error> {
        Ok(sandsock::cmsg_len(length(bytes))? as i64)
    }

    fn cmsg_space(bytes: i64) -> Result<i64, Error> {
        Ok(sandsock::cmsg_space(length(bytes))? as i64)
    }

    fn getdefaulttimeout() -> Option<f64> {
        sandsock::getdefaulttimeout_f64()
    }

    fn setdefaulttimeout(seconds: Option<f64>) -> Result<(), Error> {
        Ok(sandsock::setdefaulttimeout_f64(seconds)?)
    }

    fn constants() -> Vec<(String, i64)> {
        named(sandsock::constants::SOCKET_MODULE)
    }

    fn text_constants() -> Vec<(String, String)> {
        sandsock::constants::STRINGS
            .iter()
            .map(|&(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    fn foreign_constants() -> Vec<(String, i64)> {
        named(sandsock::constants::FOREIGN)
    }
}
