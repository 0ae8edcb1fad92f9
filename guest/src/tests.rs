//! Tests of the methods, with a scripted host.

use std::{
    io::{ErrorKind as IoKind, IoSlice, IoSliceMut, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use proptest::prelude::*;

use crate::{
    Address, AddressArgument, AddressInfoFlags, Ancillary, ConnectTimeout, Connecting, Error,
    Family, Flags, NameInfoFlags, OptionValue, Poll, ServerOptions, Socket, SocketType, ToAddress,
    Warning,
    address::{bluetooth, encode},
    close, cmsg_len, cmsg_space,
    constants::*,
    create_connection, create_server, dup, errno,
    fake::{
        Host,
        connections::Accepted,
        descriptors::Descriptor,
        transfers::{ControlIn, Datagram, Received},
    },
    fromfd, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, gethostbyname_ex, getnameinfo,
    getprotobyname, getservbyname, getservbyport, if_indextoname, if_nameindex, if_nametoindex,
    inet_aton, inet_ntoa, inet_ntop, inet_pton,
    raw::types::{self, DescriptorKind, NameError, SocketKind},
    resume, select, set_interrupt_handler, setdefaulttimeout, sethostname, socketpair,
};

type Answer<T> = Result<T, types::Error>;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn ok<T>(value: T) -> Answer<T> {
    Ok(value)
}

fn os(errno: i32) -> types::Error {
    types::Error::Os(errno)
}

fn inet(port: u16) -> types::Address {
    types::Address::Inet(types::InetAddress { address: (127, 0, 0, 1), port })
}

fn info(family: i32, address: types::Address) -> types::AddressInfo {
    types::AddressInfo { family, type_: 1, protocol: 6, canonical_name: None, address }
}

/// A stream socket of descriptor 1 with a timeout.
fn timed(host: &Host, timeout: Option<Duration>) -> Socket {
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect(&format!("set_nonblocking(1, {})", timeout.is_some()), ok(()));
    socket.settimeout(timeout).unwrap();
    socket
}

fn failure<T>(result: crate::Result<T>) -> (&'static str, String) {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(error) => (error.class(), error.to_string()),
    }
}

fn handled() -> crate::Result<()> {
    Ok(())
}

// The three modes.

#[test]
fn each_mode_has_its_wait() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect("receive(1, 10, 0, Wait::Forever)", ok(b"x".to_vec()));
    assert_eq!(socket.recv(10, 0).unwrap(), b"x");
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.setblocking(false).unwrap();
    assert!(!socket.getblocking());
    host.fail::<Vec<u8>>("receive(1, 10, 2, Wait::None)", errno::EAGAIN);
    assert_eq!(
        failure(socket.recv(10, Flags::PEEK)),
        ("BlockingIOError", "[Errno 11] Resource temporarily unavailable".into())
    );
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.settimeout_f64(Some(1.5)).unwrap();
    assert!(socket.getblocking());
    assert_eq!(socket.gettimeout(), Some(Duration::from_millis(1500)));
    // The clock is not read; MSG_DONTWAIT changes nothing.
    host.fail::<Vec<u8>>("receive(1, 10, 64, Wait::Within(1500000000))", errno::EAGAIN);
    let error = socket.recv(10, Flags::DONTWAIT).unwrap_err();
    assert_eq!(
        (error.class(), error.to_string().as_str(), error.errno()),
        ("TimeoutError", "timed out", None)
    );
}

#[test]
fn the_timeout_sticks_where_the_descriptor_is_bad() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    socket.close().unwrap();
    assert_eq!(socket.settimeout(SECOND).unwrap_err().errno(), Some(errno::EBADF));
    assert_eq!(socket.gettimeout(), SECOND);
    assert_eq!(host.log(), ["close(1)"]);
}

#[test]
fn a_bad_timeout_changes_nothing() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    assert_eq!(failure(socket.settimeout_f64(Some(-1e-10))).0, "ValueError");
    assert_eq!(failure(socket.settimeout(Some(Duration::MAX))).0, "OverflowError");
    assert_eq!(socket.gettimeout(), SECOND);
}

#[test]
fn the_default_timeout_is_inherited() {
    let host = Host::new();
    setdefaulttimeout(SECOND).unwrap();
    host.expect("socket(2, 1, 0)", ok(Descriptor(1)));
    host.expect("set_nonblocking(1, true)", ok(()));
    let listener = Socket::new(Family::INET, SocketType::STREAM, 0).unwrap();
    assert_eq!(listener.gettimeout(), SECOND);
    host.expect(
        "accept(1, Wait::Within(1000000000))",
        ok(Accepted { descriptor: Descriptor(2), address: Some(inet(5)) }),
    );
    host.expect("set_nonblocking(2, true)", ok(()));
    let (accepted, address) = listener.accept().unwrap();
    assert_eq!(address.to_string(), "('127.0.0.1', 5)");
    assert_eq!(accepted.gettimeout(), SECOND);
    // SOCK_NONBLOCK wins.
    host.expect("socket(2, 2049, 0)", ok(Descriptor(3)));
    host.expect("set_nonblocking(3, true)", ok(()));
    let socket = Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
    assert_eq!((socket.gettimeout(), socket.kind()), (Some(Duration::ZERO), SocketType::STREAM));
}

#[test]
fn an_accepted_socket_blocks_whatever_its_listener_does() {
    let host = Host::new();
    let listener = timed(&host, SECOND);
    host.expect(
        "accept(1, Wait::Within(1000000000))",
        ok(Accepted { descriptor: Descriptor(2), address: None }),
    );
    let (accepted, address) = listener.accept().unwrap();
    assert_eq!((accepted.gettimeout(), address), (None, Address::None));
}

#[test]
fn duplicates_set_the_shared_mode_anew() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.expect("duplicate(1)", ok(Descriptor(2)));
    host.expect("set_nonblocking(2, true)", ok(()));
    let copy = socket.dup().unwrap();
    assert_eq!(copy.gettimeout(), SECOND);
    assert_ne!(copy.fileno(), socket.fileno());
    // fromfd has the default timeout. If there is none, it keeps the blocking mode.
    host.expect("duplicate(1)", ok(Descriptor(3)));
    let stream = SocketKind { family: AF_INET, type_: SOCK_STREAM, protocol: 6 };
    host.expect("kind(3)", ok(DescriptorKind::Socket(stream)));
    let other = fromfd(socket.fileno(), AF_INET, SOCK_STREAM, 0).unwrap();
    assert_eq!((other.gettimeout(), other.proto()), (None, 0));
}

#[test]
fn socketpair_has_two() {
    let host = Host::new();
    host.expect("socketpair(1, 5, 0)", ok((Descriptor(1), Descriptor(2))));
    host.expect("set_nonblocking(1, true)", ok(()));
    host.expect("set_nonblocking(2, true)", ok(()));
    let (a, b) = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0).unwrap();
    assert_eq!((a.gettimeout(), b.kind()), (Some(Duration::ZERO), SocketType::SEQPACKET));
}

// Closed sockets.

#[test]
fn a_closed_socket_is_ebadf() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    socket.close().unwrap();
    socket.close().unwrap();
    assert_eq!((socket.fileno(), socket.detach(), socket.getblocking()), (-1, -1, true));
    assert_eq!(socket.recv(0, 0).unwrap(), b"");
    assert_eq!(socket.connect_ex(("127.0.0.1", 1)).unwrap(), errno::EBADF);
    assert_eq!(format!("{socket:?}"), "<socket.socket [closed] fd=-1, family=2, type=1, proto=0>");
    let one = &mut [0; 1];
    for error in [
        socket.accept().err(),
        socket.bind(("", 0)).err(),
        socket.connect(("", 0)).err(),
        socket.dup().err(),
        socket.get_inheritable().err(),
        socket.getpeername().err(),
        socket.getsockname().err(),
        socket.getsockopt(1, 2).err(),
        socket.getsockopt_bytes(1, 2, 4).err(),
        socket.listen(None).err(),
        socket.recv(1, 0).err(),
        socket.recv_into(one, 0).err(),
        socket.recvfrom(0, 0).err(),
        socket.recvmsg(1, 0, 0).err(),
        socket.send(b"", 0).err(),
        socket.sendall(b"", 0).err(),
        socket.sendto(b"", 0, ("", 0)).err(),
        socket.sendmsg(&[], &[], 0, None).err(),
        socket.set_inheritable(true).err(),
        socket.setblocking(true).err(),
        socket.setsockopt(1, 2, 1).err(),
        socket.shutdown(0).err(),
    ] {
        assert_eq!(error.unwrap().errno(), Some(errno::EBADF));
    }
    // Addresses and values are checked first.
    assert_eq!(failure(socket.bind("x")).0, "TypeError");
    assert_eq!(failure(socket.connect_ex(("", 65536))).0, "OverflowError");
    assert_eq!(failure(socket.getsockopt_bytes(1, 2, 1025)).1, "getsockopt buflen out of range");
}

#[test]
fn close_tells_errors_once_and_no_reset() {
    let host = Host::new();
    let reset = host.socket(104, AF_INET, SOCK_STREAM);
    reset.close().unwrap();
    let broken = host.socket(5, AF_INET, SOCK_STREAM);
    assert_eq!(broken.close().unwrap_err().errno(), Some(errno::EIO));
    broken.close().unwrap();
    drop(host.socket(1, AF_INET, SOCK_STREAM));
    assert_eq!(host.log(), ["close(104)", "close(5)", "close(1)"]);
}

#[test]
fn detach_lets_go() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect("alias(1)", ok(Descriptor(9)));
    std::mem::forget(socket.alias().unwrap());
    let fd = socket.detach();
    drop(socket);
    assert_eq!(host.log(), ["revoke_aliases(1)"]);
    let stream = SocketKind { family: AF_INET, type_: SOCK_STREAM, protocol: 6 };
    host.expect("kind(1)", ok(DescriptorKind::Socket(stream)));
    let socket = Socket::with_fileno(fd, None, None, None).unwrap();
    assert_eq!((socket.fileno(), socket.proto()), (fd, 6));
    // Closed by its number, it is gone for the object too.
    close(fd).unwrap();
    assert_eq!(socket.listen(5).unwrap_err().errno(), Some(errno::EBADF));
    assert_eq!(close(fd).unwrap_err().errno(), Some(errno::EBADF));
    assert_eq!(host.log(), ["close(1)"]);
}

#[test]
fn inherited_descriptors_have_their_numbers() {
    let host = Host::new();
    host.expect("inherit(0)", ok(Descriptor(7)));
    host.expect("duplicate(7)", ok(Descriptor(8)));
    let copy = dup(0).unwrap();
    assert!(copy >= 1024);
    host.expect("kind(7)", ok(DescriptorKind::CharacterDevice));
    assert_eq!(
        Socket::with_fileno(0, None, None, None).unwrap_err().errno(),
        Some(errno::ENOTSOCK)
    );
    close(0).unwrap();
    // It is not inherited again.
    assert_eq!(dup(0).unwrap_err().errno(), Some(errno::EBADF));
    close(copy).unwrap();
    assert_eq!(host.log(), ["close(7)", "close(8)"]);
    assert_eq!(
        failure(Socket::with_fileno(-1, None, None, None)),
        ("ValueError", "negative file descriptor".into())
    );
    assert_eq!(dup(5).unwrap_err().errno(), Some(errno::EBADF));
}

// Sending.

#[test]
fn sendall_has_one_deadline() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.at(50);
    host.expect("send(1, 10, 0, Wait::Until(1000000050))", ok(4_u64));
    host.expect("send(1, 6, 0, Wait::Until(1000000050))", ok(6_u64));
    socket.sendall(b"0123456789", 0).unwrap();
    host.expect("send(1, 10, 0, Wait::Until(1000000050))", ok(4_u64));
    host.fail::<u64>("send(1, 6, 0, Wait::Until(1000000050))", errno::EAGAIN);
    assert_eq!(failure(socket.sendall(b"0123456789", 0)), ("TimeoutError", "timed out".into()));
    // No bytes are one send.
    host.expect("send(1, 0, 0, Wait::Until(1000000050))", ok(0_u64));
    socket.sendall(b"", 0).unwrap();
}

#[test]
fn sendall_looks_at_the_clock_before_each_round() {
    let host = Host::new();
    let socket = timed(&host, Some(Duration::from_nanos(1)));
    host.at(50);
    host.expect("send(1, 3, 0, Wait::Until(51))", ok(1_u64));
    // The clock moves while the second call waits.
    set_interrupt_handler(Some(|| {
        crate::fake::advance(60);
        Ok(())
    }));
    host.fail::<u64>("send(1, 2, 0, Wait::Until(51))", errno::EINTR);
    host.expect("send(1, 2, 0, Wait::Until(51))", ok(1_u64));
    assert_eq!(failure(socket.sendall(b"abc", 0)).0, "TimeoutError");
}

#[test]
fn sendall_without_waiting_is_blocking_io_error() {
    let host = Host::new();
    let socket = timed(&host, Some(Duration::ZERO));
    host.expect("send(1, 3, 0, Wait::None)", ok(1_u64));
    host.fail::<u64>("send(1, 2, 0, Wait::None)", errno::EAGAIN);
    assert_eq!(failure(socket.sendall(b"abc", 0)).0, "BlockingIOError");
}

#[test]
fn long_sends_are_cut() {
    let host = Host::new();
    let data = vec![0; (2 << 20) + 5];
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect("send(1, 1048576, 0, Wait::Forever)", ok(1_u64 << 20));
    host.expect("send(1, 1048576, 0, Wait::Forever)", ok(1_u64 << 20));
    host.expect("send(1, 5, 1, Wait::Forever)", ok(5_u64));
    assert_eq!(socket.send(&data, Flags::OOB).unwrap(), data.len());
    // An error after the first part is not reported.
    host.expect("send(1, 1048576, 0, Wait::Forever)", ok(1_u64 << 20));
    host.fail::<u64>("send(1, 1048576, 0, Wait::Forever)", errno::EPIPE);
    assert_eq!(socket.send(&data, 0).unwrap(), 1 << 20);
    // With a timeout the parts after the first do not wait.
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.settimeout(SECOND).unwrap();
    host.expect("send(1, 1048576, 0, Wait::Within(1000000000))", ok(1_u64 << 20));
    host.expect("send(1, 1048576, 0, Wait::None)", ok(7_u64));
    assert_eq!(socket.send(&data, 0).unwrap(), (1 << 20) + 7);
    // Each buffer is cut where the part ends; control messages go first.
    let message = Ancillary { level: 1, kind: 2, data: vec![9] };
    let control = r#"[Message(ControlMessage { level: 1, type: 2, data: [9] })]"#;
    host.expect(
        &format!("send_message(1, [1048570, 6], {control}, 0, None, Wait::Within(1000000000))"),
        ok(1_u64 << 20),
    );
    host.expect("send_message(1, [4], [], 0, None, Wait::None)", ok(4_u64));
    let buffers = [IoSlice::new(&data[..1_048_570]), IoSlice::new(&data[..10])];
    assert_eq!(socket.sendmsg(&buffers, &[message], 0, None).unwrap(), (1 << 20) + 4);
}

#[test]
fn long_receives_of_all_are_gathered() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    let part = |length: usize| ok(vec![7u8; length]);
    let size = (2 << 20) + 5;
    host.expect("receive(1, 2097157, 256, Wait::Forever)", part(1 << 20));
    host.expect("receive(1, 1048581, 256, Wait::Forever)", part(1 << 20));
    host.expect("receive(1, 5, 256, Wait::Forever)", part(5));
    assert_eq!(socket.recv(size, Flags::WAITALL).unwrap(), vec![7; size]);
    // The kernel ended a short receive: the peer closed, a timeout of the host ended it, or an
    // interrupt did.
    host.expect("receive(1, 2097157, 256, Wait::Forever)", part((1 << 20) - 1));
    assert_eq!(socket.recv(size, Flags::WAITALL).unwrap().len(), (1 << 20) - 1);
    host.expect("receive(1, 2097157, 256, Wait::Forever)", part(1 << 20));
    host.fail::<Vec<u8>>("receive(1, 1048581, 256, Wait::Forever)", errno::ECONNRESET);
    assert_eq!(socket.recv(size, Flags::WAITALL).unwrap().len(), 1 << 20);
    // Without the flag one part is enough.
    host.expect("receive(1, 2097157, 0, Wait::Forever)", part(1 << 20));
    assert_eq!(socket.recv(size, 0).unwrap().len(), 1 << 20);
}

#[test]
fn messages_are_never_cut() {
    let host = Host::new();
    let socket = host.socket(1, AF_UNIX, SOCK_DGRAM);
    host.expect("send(1, 3145728, 0, Wait::Forever)", ok(3_u64 << 20));
    assert_eq!(socket.send(&vec![0; 3 << 20], 0).unwrap(), 3 << 20);
    // Data that is too long for a message is not passed to the host.
    let data = vec![0; (64 << 20) + 1];
    assert_eq!(socket.send(&data, 0).unwrap_err().errno(), Some(errno::EMSGSIZE));
    assert_eq!(socket.sendall(&data, 0).unwrap_err().errno(), Some(errno::EMSGSIZE));
}

#[test]
fn sendto_looks_up_its_address() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_DGRAM);
    host.expect("send_to(1, 2, 4, ('127.0.0.1', 7), Wait::Forever)", ok(2_u64));
    assert_eq!(socket.sendto(b"hi", Flags::DONTROUTE, ("127.0.0.1", 7)).unwrap(), 2);
    let hints = "2, 0, 0, 0, Wait::Forever";
    host.expect(
        &format!("get_address_info(Some(\"a.example\"), None, {hints})"),
        Ok::<_, NameError>(vec![info(AF_INET, inet(0)), info(AF_INET, inet(1))]),
    );
    host.expect("send_to(1, 2, 0, ('127.0.0.1', 9), Wait::Forever)", ok(2_u64));
    assert_eq!(socket.sendto(b"hi", 0, ("a.example", 9)).unwrap(), 2);
    host.expect(
        &format!("get_address_info(Some(\"127.1\"), None, {hints})"),
        Err::<Vec<types::AddressInfo>, _>(NameError::AddressInfo(EAI_NONAME)),
    );
    let unknown = failure(socket.sendto(b"hi", 0, ("127.1", 70000)));
    assert_eq!(unknown, ("gaierror", "[Errno -2] Name or service not known".into()));
}

// Receiving.

#[test]
fn buffers_are_filled() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_DGRAM);
    let mut buffer = [0; 4];
    host.expect("receive(1, 4, 0, Wait::Forever)", ok(b"ab".to_vec()));
    assert_eq!(socket.recv_into(&mut buffer, 0).unwrap(), 2);
    assert_eq!(&buffer, b"ab\0\0");
    host.expect(
        "receive_from(1, 4, 0, Wait::Forever)",
        ok(Datagram { data: b"xyz".to_vec(), address: Some(inet(3)) }),
    );
    let (length, address) = socket.recvfrom_into(&mut buffer, 0).unwrap();
    assert_eq!((length, address.port(), &buffer), (3, Some(3), b"xyz\0"));
    assert_eq!(socket.recv_into(&mut [], 0).unwrap(), 0);
}

fn received(data: &[u8], length: u64, control: Vec<ControlIn>) -> Answer<Received> {
    Ok(Received {
        data: data.to_vec(),
        length,
        control,
        flags: MSG_TRUNC,
        address: None,
        warnings: vec![Warning::TruncatedControlData],
    })
}

#[test]
fn truncated_messages_tell_their_length() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_DGRAM);
    host.expect("receive_message(1, 2, 0, 32, Wait::Forever)", received(b"ab", 9, Vec::new()));
    assert_eq!(socket.recv_into(&mut [0; 2], Flags::TRUNC).unwrap(), 9);
}

#[test]
fn recvmsg_into_fills_in_turn() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_DGRAM);
    let (mut a, mut b, mut c) = ([0; 2], [0; 3], [7; 2]);
    host.expect("receive_message(1, 7, 0, 0, Wait::Forever)", received(b"12345", 5, Vec::new()));
    let mut buffers = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b), IoSliceMut::new(&mut c)];
    let got = socket.recvmsg_into(&mut buffers, 0, 0).unwrap();
    assert_eq!((got.data, &got.warnings[..]), (5, &[Warning::TruncatedControlData][..]));
    assert_eq!((&a, &b, &c), (b"12", b"345", &[7, 7]));
    assert_eq!(failure(socket.recvmsg(1, 1 << 31, 0)).1, "invalid ancillary data buffer length");
    let mut storage = vec![[0_u8; 1]; 1025];
    let mut buffers: Vec<IoSliceMut<'_>> = storage.iter_mut().map(|b| IoSliceMut::new(b)).collect();
    assert_eq!(socket.recvmsg_into(&mut buffers, 0, 0).unwrap_err().errno(), Some(errno::EMSGSIZE));
}

#[test]
fn descriptors_are_passed_by_their_numbers() {
    let host = Host::new();
    let socket = host.socket(1, AF_UNIX, SOCK_STREAM);
    let other = host.socket(2, AF_INET, SOCK_STREAM);
    host.expect(
        "send_message(1, [1], [Rights([Descriptor(2), Descriptor(1)])], 0, None, Wait::Forever)",
        ok(1_u64),
    );
    assert_eq!(
        socket.send_fds(&[IoSlice::new(b"x")], &[other.fileno(), socket.fileno()]).unwrap(),
        1
    );
    assert_eq!(
        socket.send_fds(&[IoSlice::new(b"x")], &[-1]).unwrap_err().errno(),
        Some(errno::EBADF)
    );

    let control = vec![
        ControlIn::Rights(vec![Descriptor(3), Descriptor(4)]),
        ControlIn::Pidfd(Descriptor(6)),
        ControlIn::Message(types::ControlMessage { level: 1, type_: 2, data: vec![0; 12] }),
    ];
    host.expect("receive_message(1, 10, 24, 0, Wait::Forever)", received(b"x", 1, control));
    let got = socket.recv_fds(10, 2).unwrap();
    let fds = got.fds();
    assert_eq!(fds.len(), 2);
    assert_eq!(
        (got.ancillary[1].kind, got.ancillary[2].data.len(), got.flags),
        (4, 12, Flags::TRUNC)
    );
    assert!(crate::get_inheritable(fds[0]).unwrap());
    close(fds[0]).unwrap();
    close(fds[1]).unwrap();
    close(i32::from_ne_bytes(got.ancillary[1].data[..].try_into().unwrap())).unwrap();
    assert_eq!(host.log()[..3], ["close(3)", "close(4)", "close(6)"]);
    assert_eq!((cmsg_len(4).unwrap(), cmsg_space(4).unwrap()), (20, 24));
    assert_eq!(failure(cmsg_len(usize::MAX)).1, "CMSG_LEN() argument out of range");
}

// Connecting.

#[test]
fn connect_in_each_mode() {
    let host = Host::new();
    let there = ("127.0.0.1", 1);
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::Forever)", errno::ECONNREFUSED);
    assert_eq!(failure(socket.connect(there)).0, "ConnectionRefusedError");
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.setblocking(false).unwrap();
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::None)", errno::EINPROGRESS);
    assert_eq!(socket.connect_ex(there).unwrap(), 115);
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.settimeout(SECOND).unwrap();
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::Within(1000000000))", errno::EAGAIN);
    assert_eq!(socket.connect_ex(there).unwrap(), 11);
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::Within(1000000000))", errno::EAGAIN);
    assert_eq!(failure(socket.connect(there)), ("TimeoutError", "timed out".into()));
    let denial =
        types::Denial { grant: Some("tcp-connect=127.0.0.1:1".into()), reason: "no".into() };
    for _ in 0..2 {
        host.expect(
            "connect(1, ('127.0.0.1', 1), Wait::Within(1000000000))",
            Err::<(), _>(types::Error::Denied(denial.clone())),
        );
    }
    assert_eq!(socket.connect_ex(there).unwrap(), 13);
    assert_eq!(socket.connect(there).unwrap_err().grant(), Some("tcp-connect=127.0.0.1:1"));
}

#[test]
fn a_full_backlog_is_blocking_io_error() {
    let host = Host::new();
    let socket = host.socket(1, AF_UNIX, SOCK_STREAM);
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.settimeout(SECOND).unwrap();
    host.fail::<()>("connect(1, '/s', Wait::Within(1000000000))", errno::EAGAIN);
    assert_eq!(failure(socket.connect("/s")).0, "BlockingIOError");
}

// Interrupts.

#[test]
fn an_interrupt_without_a_handler_ends_the_verb() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Within(1000000000))", errno::EINTR);
    assert_eq!(
        failure(socket.recv(1, 0)),
        ("InterruptedError", "[Errno 4] Interrupted system call".into())
    );
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Within(1000000000))", errno::EINTR);
    let error = (&socket).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), IoKind::Interrupted);
}

#[test]
fn a_verb_goes_on_with_the_time_that_is_left() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.at(7);
    set_interrupt_handler(Some(handled));
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Until(1000000007))", errno::EINTR);
    host.expect("receive(1, 1, 0, Wait::Until(1000000007))", ok(b"x".to_vec()));
    assert_eq!(socket.recv(1, 0).unwrap(), b"x");
    set_interrupt_handler(Some(|| Err(Error::exception("KeyboardInterrupt", ""))));
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Until(1000000007))", errno::EINTR);
    assert_eq!(failure(socket.recv(1, 0)).0, "KeyboardInterrupt");
}

#[test]
fn a_handler_may_close_the_socket_that_waits() {
    static FD: Mutex<i32> = Mutex::new(-1);
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    *FD.lock().unwrap_or_else(PoisonError::into_inner) = socket.fileno();
    set_interrupt_handler(Some(|| close(*FD.lock().unwrap_or_else(PoisonError::into_inner))));
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Forever)", errno::EINTR);
    assert_eq!(socket.recv(1, 0).unwrap_err().errno(), Some(errno::EBADF));
    assert_eq!(host.log(), ["close(1)"]);
}

#[test]
fn an_interrupted_connect_goes_on() {
    let host = Host::new();
    let there = ("127.0.0.1", 1);
    set_interrupt_handler(Some(handled));
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::Forever)", errno::EINTR);
    host.fail::<()>("finish_connect(1, Wait::Forever)", errno::EINTR);
    host.fail::<()>("finish_connect(1, Wait::Forever)", errno::EISCONN);
    socket.connect(there).unwrap();
    // A socket that does not wait fails with EINTR.
    host.expect("set_nonblocking(1, true)", ok(()));
    socket.setblocking(false).unwrap();
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::None)", errno::EINTR);
    assert_eq!(failure(socket.connect(there)).0, "InterruptedError");
    // A UNIX socket makes the call again.
    let unix = host.socket(2, AF_UNIX, SOCK_STREAM);
    host.fail::<()>("connect(2, '/s', Wait::Forever)", errno::EINTR);
    host.expect("connect(2, '/s', Wait::Forever)", ok(()));
    unix.connect(Path::new("/s")).unwrap();
}

#[test]
fn an_interrupted_verb_can_be_resumed_from_outside() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.at(0);
    host.expect("send(1, 5, 0, Wait::Until(1000000000))", ok(2_u64));
    host.fail::<u64>("send(1, 3, 0, Wait::Until(1000000000))", errno::EINTR);
    let progress = socket.sendall(b"12345", 0).unwrap_err().progress().unwrap();
    assert_eq!((progress.deadline, progress.done), (Some(1_000_000_000), 2));
    host.at(500);
    host.expect("send(1, 3, 0, Wait::Until(1000000000))", ok(3_u64));
    resume(progress, || socket.sendall(b"12345", 0)).unwrap();
    // It holds for that call alone.
    host.expect("send(1, 5, 0, Wait::Until(1000000500))", ok(5_u64));
    socket.sendall(b"12345", 0).unwrap();
}

#[test]
fn a_handler_that_gives_up_keeps_the_deadline() {
    let host = Host::new();
    let socket = timed(&host, SECOND);
    host.at(3);
    set_interrupt_handler(Some(|| Err(Error::from_errno(errno::EINTR))));
    host.fail::<Vec<u8>>("receive(1, 1, 0, Wait::Until(1000000003))", errno::EINTR);
    let progress = socket.recv(1, 0).unwrap_err().progress().unwrap();
    host.at(9);
    host.expect("receive(1, 1, 0, Wait::Until(1000000003))", ok(b"x".to_vec()));
    assert_eq!(resume(progress, || socket.recv(1, 0)).unwrap(), b"x");
}

#[test]
fn an_interrupt_in_the_middle_of_a_long_send_tells_what_was_sent() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    set_interrupt_handler(Some(handled));
    host.expect("send(1, 1048576, 0, Wait::Forever)", ok(1_u64 << 20));
    host.fail::<u64>("send(1, 1048576, 0, Wait::Forever)", errno::EINTR);
    assert_eq!((&socket).write(&vec![0; 2 << 20]).unwrap(), 1 << 20);
}

// Addresses.

fn encoded(family: i32, address: impl ToAddress) -> crate::Result<String> {
    encode(Family(family), "bind", address.to_address())
        .map(|address| Address::from(address).to_string())
}

#[test]
fn inet_addresses() {
    let _host = Host::new();
    assert_eq!(encoded(AF_INET, ("", 0)).unwrap(), "('0.0.0.0', 0)");
    assert_eq!(encoded(AF_INET, (b"<broadcast>", 9)).unwrap(), "('255.255.255.255', 9)");
    assert_eq!(
        encoded(AF_INET, (String::from("10.0.0.1"), 65535_u16)).unwrap(),
        "('10.0.0.1', 65535)"
    );
    for port in [-1, 65536, i64::MIN, i64::MAX] {
        assert_eq!(
            failure(encoded(AF_INET, ("", port))),
            ("OverflowError", "bind(): port must be 0-65535.".into())
        );
    }
    for (address, text) in [
        (failure(encoded(AF_INET, "x")), "bind(): AF_INET address must be tuple, not str"),
        (failure(encoded(AF_INET, ("", 0, 0))), "AF_INET address must be a pair (host, port)"),
        (failure(encoded(AF_INET, ("a\0b", 0))), "host name must not contain null character"),
        (
            failure(encoded(AF_INET, Address::None)),
            "bind(): AF_INET address must be tuple, not NoneType",
        ),
        (
            failure(encoded(AF_UNIX, Address::None)),
            "a bytes-like object is required, not 'NoneType'",
        ),
    ] {
        assert_eq!(address, ("TypeError", text.to_owned()));
    }
    assert_eq!(failure(encoded(AF_UNSPEC, ("", 0))), ("OSError", "bind(): bad family".into()));
    let known: SocketAddr = "[::1]:80".parse().unwrap();
    assert_eq!(encoded(AF_INET6, known).unwrap(), "('::1', 80, 0, 0)");
}

#[test]
fn addresses_of_other_families() {
    let _host = Host::new();
    let alg = |kind: &str, name: &str| {
        Address::Other(types::Address::Alg(types::AlgAddress {
            kind: kind.into(),
            name: name.into(),
            feature: 0,
            mask: 1,
        }))
    };
    assert_eq!(encoded(AF_ALG, alg("hash", "sha256")).unwrap(), "('hash', 'sha256', 0, 1)");
    assert!(encoded(AF_ALG, alg(&"k".repeat(13), &"n".repeat(63))).is_ok());
    for (address, text) in [
        (alg(&"k".repeat(14), "sha256"), "AF_ALG type too long."),
        (alg("hash", &"n".repeat(64)), "AF_ALG name too long."),
    ] {
        assert_eq!(failure(encoded(AF_ALG, address)), ("ValueError", text.to_owned()));
    }
    let tipc = |address_type| {
        Address::Other(types::Address::Tipc(types::TipcAddress {
            address_type,
            scope: 2,
            v1: 1,
            v2: 2,
            v3: 3,
        }))
    };
    assert_eq!(encoded(AF_TIPC, tipc(1)).unwrap(), "(1, 1, 2, 3, 2)");
    for address_type in [0, 4] {
        assert_eq!(failure(encoded(AF_TIPC, tipc(address_type))).0, "TypeError");
    }
    assert_eq!(encoded(AF_RDS, ("127.0.0.1", 7)).unwrap(), "('127.0.0.1', 7)");
    assert_eq!(failure(encoded(AF_RDS, ("127.0.0.1", 65536))).0, "OverflowError");
    assert_eq!(failure(encoded(AF_INET, ("lo",))).1, "AF_INET address must be a pair (host, port)");
    assert_eq!(failure(encoded(AF_ALG, "x")).1, "bind(): AF_ALG address must be tuple, not str");
    assert_eq!(encoded(AF_VSOCK, Address::Vsock(VMADDR_CID_ANY, 5)).unwrap(), "(4294967295, 5)");
    assert_eq!(encoded(AF_QIPCRTR, Address::Qipcrtr(1, 5)).unwrap(), "(1, 5)");
    for (family, name) in [(AF_VSOCK, "AF_VSOCK"), (AF_QIPCRTR, "AF_QIPCRTR")] {
        let text = format!("getsockaddrarg: {name} address must be tuple, not str");
        assert_eq!(failure(encoded(family, "x")), ("TypeError", text));
        let text = "getsockaddrarg() takes exactly 2 arguments (3 given)";
        assert_eq!(failure(encoded(family, ("x", 1, 2))), ("TypeError", text.into()));
        assert_eq!(
            failure(encoded(family, ("x", 1))).1,
            "'str' object cannot be interpreted as an integer"
        );
    }
}

#[test]
fn addresses_of_another_family_are_their_tuples() {
    let _host = Host::new();
    let raw = |address| Address::Other(address);
    let inet4 = || "1.2.3.4:80".parse::<SocketAddr>().unwrap();
    let inet6 = || "[::1]:80".parse::<SocketAddr>().unwrap();
    let vsock = || raw(types::Address::Vsock(types::VsockAddress { cid: 3, port: 4 }));
    let alg = || {
        let (kind, name) = ("hash".to_owned(), "sha256".to_owned());
        raw(types::Address::Alg(types::AlgAddress { kind, name, feature: 0, mask: 0 }))
    };
    let tipc = || {
        raw(types::Address::Tipc(types::TipcAddress {
            address_type: 1,
            scope: 4,
            v1: 2,
            v2: 3,
            v3: 4,
        }))
    };
    let path = || raw(types::Address::Unix(types::UnixAddress::Path(b"/x".to_vec())));
    // A path is a text, and a pair of numbers is any family's.
    assert_eq!(encoded(AF_UNIX, path()).unwrap(), "'/x'");
    assert_eq!(encoded(AF_VSOCK, Address::Netlink(1, 2)).unwrap(), "(1, 2)");
    assert_eq!(encoded(AF_NETLINK, vsock()).unwrap(), "(3, 4)");
    assert_eq!(encoded(AF_RDS, inet4()).unwrap(), "('1.2.3.4', 80)");
    let pair = "AF_INET address must be a pair (host, port)";
    let no_host = "str, bytes or bytearray expected, not int";
    let no_number = "'str' object cannot be interpreted as an integer";
    for (result, text) in [
        (encoded(AF_INET, path()), "bind(): AF_INET address must be tuple, not str"),
        (encoded(AF_INET, inet6()), pair),
        (encoded(AF_INET, alg()), pair),
        (encoded(AF_INET, tipc()), pair),
        (encoded(AF_INET, vsock()), no_host),
        (encoded(AF_INET, Address::Netlink(1, 2)), no_host),
        (encoded(AF_INET6, alg()), no_number),
        (
            encoded(AF_INET6, tipc()),
            "AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])",
        ),
        (encoded(AF_UNIX, inet4()), "a bytes-like object is required, not 'tuple'"),
        (encoded(AF_UNIX, vsock()), "a bytes-like object is required, not 'tuple'"),
        (encoded(AF_NETLINK, inet4()), no_number),
        (encoded(AF_NETLINK, ("x", 1)), no_number),
        (encoded(AF_NETLINK, inet6()), "AF_NETLINK address must be a pair (pid, groups)"),
        (encoded(AF_PACKET, vsock()), "AF_PACKET address must be a tuple of two to five elements"),
        (encoded(AF_PACKET, alg()), no_number),
        (
            encoded(AF_TIPC, inet4()),
            "AF_TIPC address must be a tuple (addr_type, v1, v2, v3[, scope])",
        ),
        (encoded(AF_TIPC, alg()), no_number),
        (encoded(AF_ALG, inet4()), "AF_ALG address must be a tuple (type, name[, feat[, mask]])"),
        (encoded(AF_VSOCK, inet4()), no_number),
        (encoded(AF_VSOCK, inet6()), "getsockaddrarg() takes exactly 2 arguments (4 given)"),
        (encoded(AF_VSOCK, "x"), "getsockaddrarg: AF_VSOCK address must be tuple, not str"),
        (encoded(AF_RDS, "x"), "bind(): AF_INET address must be tuple, not str"),
    ] {
        assert_eq!(failure(result), ("TypeError", text.to_owned()));
    }
    // An address of bytes belongs to the raw layer, and goes to the host unchecked.
    let bytes = types::Address::Other(types::OtherAddress { family: 2, data: vec![0; 14] });
    assert_eq!(
        encode(Family::INET6, "bind", AddressArgument::Known(bytes.clone())).unwrap(),
        bytes
    );
}

#[test]
fn bluetooth_addresses() {
    let _host = Host::new();
    fn encoded(protocol: i32, argument: AddressArgument<'_>) -> crate::Result<String> {
        bluetooth(protocol, "bind", argument).map(|address| Address::from(address).to_string())
    }
    let to = "1:23:45:67:89:aB";
    assert_eq!(encoded(BTPROTO_L2CAP, (to, 1).to_address()).unwrap(), "('01:23:45:67:89:AB', 1)");
    assert_eq!(
        encoded(BTPROTO_L2CAP, (to, 65537, 4).to_address()).unwrap(),
        "('01:23:45:67:89:AB', 1, 4)"
    );
    assert_eq!(
        encoded(BTPROTO_L2CAP, (to, 1, 0, 2).to_address()).unwrap(),
        "('01:23:45:67:89:AB', 1, 0, 2)"
    );
    assert_eq!(
        encoded(BTPROTO_RFCOMM, (to, 30).to_address()).unwrap(),
        "('01:23:45:67:89:AB', 30)"
    );
    assert_eq!(encoded(BTPROTO_SCO, to.to_address()).unwrap(), "'01:23:45:67:89:AB'");
    for (channel, text) in [(0, "5"), (2, "(5, 2)")] {
        let hci = types::BluetoothAddress::Hci(types::HciAddress { adapter: 5, channel });
        let address = Address::Other(types::Address::Bluetooth(hci));
        assert_eq!(encoded(BTPROTO_HCI, address.to_address()).unwrap(), text);
    }
    for (protocol, argument) in [
        (BTPROTO_L2CAP, to.to_address()),
        (BTPROTO_RFCOMM, (to, 1, 2).to_address().into_owned()),
        (BTPROTO_SCO, (to, 1).to_address().into_owned()),
        (BTPROTO_HCI, (to, 1).to_address().into_owned()),
    ] {
        assert_eq!(
            failure(encoded(protocol, argument)),
            ("OSError", "bind(): wrong format".into())
        );
    }
    for text in [
        "",
        "1:2:3:4:5",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:100",
        "1:2:3:4:5:g",
        "1:2:3:4:5:",
        "1:2:3:4:5:6x",
        "1:2:3:4:5:++6",
    ] {
        assert_eq!(
            failure(encoded(BTPROTO_SCO, text.to_address())),
            ("OSError", "bad bluetooth address".into()),
            "{text}"
        );
    }
    assert_eq!(failure(encoded(9, (to, 1).to_address())).1, "bind(): unknown Bluetooth protocol");
}

#[test]
fn inet6_addresses() {
    let host = Host::new();
    assert_eq!(encoded(AF_INET6, ("", 1)).unwrap(), "('::', 1, 0, 0)");
    assert_eq!(encoded(AF_INET6, ("::1", 1, 2)).unwrap(), "('::1', 1, 2, 0)");
    assert_eq!(
        encoded(AF_INET6, ("::1.2.3.4", 1, 0xf_ffff, -1)).unwrap(),
        "('::1.2.3.4', 1, 1048575, 4294967295)"
    );
    for flow in [-1, 0x10_0000] {
        assert_eq!(
            failure(encoded(AF_INET6, ("::1", 1, flow))),
            ("OverflowError", "bind(): flowinfo must be 0-1048575.".into())
        );
    }
    assert_eq!(encoded(AF_INET6, ("::1", 1, 1_i64 << 32)).unwrap(), "('::1', 1, 0, 0)");
    assert_eq!(
        failure(encoded(AF_INET6, ("<broadcast>", 0))),
        ("OSError", "address family mismatched".into())
    );
    assert_eq!(
        failure(encoded(AF_INET6, "x")).1,
        "bind(): AF_INET6 address must be tuple, not str"
    );
    // The zone is looked up, and the scope id of the tuple replaces it.
    let zone = types::Inet6Address {
        address: (0xfe80, 0, 0, 0, 0, 0, 0, 1),
        port: 0,
        flow_info: 0,
        scope_id: 7,
    };
    for (address, text) in [
        (("fe80::1%eth0", 5, 0, 3), "('fe80::1', 5, 0, 3)"),
        (("fe80::1%eth0", 5, 0, 0), "('fe80::1', 5, 0, 0)"),
    ] {
        host.expect(
            "get_address_info(Some(\"fe80::1%eth0\"), None, 10, 0, 0, 0, Wait::Forever)",
            Ok::<_, NameError>(vec![info(AF_INET6, types::Address::Inet6(zone))]),
        );
        assert_eq!(encoded(AF_INET6, address).unwrap(), text);
    }
}

#[test]
fn unix_addresses() {
    let _host = Host::new();
    let unix = |name: &[u8]| encode(Family::UNIX, "bind", name.to_address());
    assert_eq!(unix(b"").unwrap(), types::Address::Unix(types::UnixAddress::Unnamed));
    assert_eq!(
        unix(b"\0").unwrap(),
        types::Address::Unix(types::UnixAddress::Abstract(Vec::new()))
    );
    assert_eq!(
        unix(b"a\0b").unwrap(),
        types::Address::Unix(types::UnixAddress::Path(b"a".to_vec()))
    );
    assert_eq!(
        unix(&[b'a'; 107]).unwrap(),
        types::Address::Unix(types::UnixAddress::Path(vec![b'a'; 107]))
    );
    assert_eq!(
        unix(&[0; 108]).unwrap(),
        types::Address::Unix(types::UnixAddress::Abstract(vec![0; 107]))
    );
    for long in [&[b'a'; 108][..], &[0; 109]] {
        assert_eq!(failure(unix(long)), ("OSError", "AF_UNIX path too long".into()));
    }
    assert_eq!(
        failure(encoded(AF_UNIX, ("", 1))).1,
        "a bytes-like object is required, not 'tuple'"
    );
    for (name, text) in [
        ("/run/x", "'/run/x'"),
        ("", "''"),
        ("\0name\x01'", r#"b"\x00name\x01'""#),
        ("it's \"x\"\n", r#"'it\'s "x"\n'"#),
        ("é", "'é'"),
    ] {
        assert_eq!(encoded(AF_UNIX, name).unwrap(), text);
    }
    assert_eq!(encoded(AF_UNIX, b"\xff").unwrap(), r"'\udcff'");
}

#[test]
fn known_addresses_come_back_as_they_were() {
    for address in [
        inet(80),
        types::Address::Unix(types::UnixAddress::Path(b"x".to_vec())),
        types::Address::Unix(types::UnixAddress::Abstract(b"x".to_vec())),
        types::Address::Unix(types::UnixAddress::Unnamed),
        types::Address::Vsock(types::VsockAddress { cid: 1, port: 2 }),
    ] {
        let family = match address {
            types::Address::Unix(_) => Family::UNIX,
            types::Address::Vsock(_) => Family::VSOCK,
            _ => Family::INET,
        };
        let result = Address::from(address.clone());
        assert_eq!(encode(family, "bind", result.to_address()).unwrap(), address);
    }
}

#[test]
fn old_forms_of_ipv4() {
    for (text, bytes) in [
        ("127.0.0.1", [127, 0, 0, 1]),
        ("127.1", [127, 0, 0, 1]),
        ("0x7f.0377.258", [127, 255, 1, 2]),
        ("4294967295", [255; 4]),
        ("1.2.3.4 junk", [1, 2, 3, 4]),
        ("0", [0; 4]),
    ] {
        assert_eq!(inet_aton(text).unwrap(), bytes);
    }
    for text in [
        "",
        " 1.2.3.4",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.256",
        "4294967296",
        "08",
        "0x",
        "+1",
        "1..2",
        "1.2.3.4a",
    ] {
        assert_eq!(
            failure(inet_aton(text)).1,
            "illegal IP address string passed to inet_aton",
            "{text}"
        );
    }
    assert_eq!(inet_ntoa(&[1, 2, 3, 4]).unwrap(), "1.2.3.4");
    assert_eq!(failure(inet_ntoa(&[1])).1, "packed IP wrong length for inet_ntoa");
}

#[test]
fn numeric_addresses() {
    assert_eq!(
        inet_pton(AF_INET6, "::1.2.3.4").unwrap(),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    );
    for text in ["01.2.3.4", "1.2.3", "1.2.3.4 ", "::1"] {
        assert_eq!(
            failure(inet_pton(AF_INET, text)).1,
            "illegal IP address string passed to inet_pton"
        );
    }
    for text in ["fe80::1%lo", ":::", "1::2::3", "12345::", "::1.2.3.04"] {
        assert_eq!(failure(inet_pton(AF_INET6, text)).0, "OSError", "{text}");
    }
    assert_eq!(inet_pton(AF_UNIX, "x").unwrap_err().errno(), Some(errno::EAFNOSUPPORT));
    assert_eq!(failure(inet_ntop(AF_INET, b"x")).1, "invalid length of packed IP address string");
    assert_eq!(failure(inet_ntop(AF_PACKET, b"x")).1, "unknown address family 17");
}

// Names.

#[test]
fn getaddrinfo_passes_all_on() {
    let host = Host::new();
    host.expect(
        "get_address_info(Some(\"h\"), Some(\"80\"), 10, 1, 6, 2, Wait::Forever)",
        Ok::<_, NameError>(vec![types::AddressInfo {
            canonical_name: Some("c".into()),
            ..info(2, inet(80))
        }]),
    );
    let answers =
        getaddrinfo("h", 80, Family::INET6, SOCK_STREAM, 6, AddressInfoFlags::CANONNAME).unwrap();
    assert_eq!((answers[0].canonical_name.as_str(), answers[0].protocol), ("c", 6));
    host.expect(
        "get_address_info(None, None, 0, 0, 0, 0, Wait::Forever)",
        Err::<Vec<types::AddressInfo>, _>(NameError::AddressInfo(EAI_NONAME)),
    );
    assert_eq!(getaddrinfo(None, (), 0, 0, 0, 0).unwrap_err().errno(), Some(-2));
    host.expect(
        "get_address_info(Some(\"x\"), None, 0, 0, 0, 0, Wait::Forever)",
        Err::<Vec<types::AddressInfo>, _>(NameError::Other(os(errno::EINTR))),
    );
    assert_eq!(failure(getaddrinfo("x", (), 0, 0, 0, 0)).0, "InterruptedError");
}

#[test]
fn labels_are_checked_before_the_look_up() {
    let host = Host::new();
    let long = "a".repeat(64);
    for (name, text) in [
        ("a..b", "'idna' codec can't encode character '\\x2e' in position 2: label empty"),
        (".", "'idna' codec can't encode character '\\x2e' in position 0: label empty"),
        ("é..a", "'idna' codec can't encode character '\\x2e' in position 2: label empty"),
        (
            "é\u{3002}\u{3002}a",
            "'idna' codec can't encode character '\\u3002' in position 2: label empty",
        ),
        (
            &*format!("{long}.x"),
            "'idna' codec can't encode characters in position 0-63: label too long",
        ),
        (
            &*format!("x.{long}"),
            "'idna' codec can't encode characters in position 2-65: label too long",
        ),
        (&*"é".repeat(70), "'idna' codec can't encode characters in position 0-69: label too long"),
    ] {
        let expected = ("UnicodeError", text.to_owned());
        assert_eq!(failure(getaddrinfo(name, 80, 0, 0, 0, 0)), expected, "{name}");
        assert_eq!(failure(gethostbyname(name)), expected, "{name}");
        assert_eq!(failure(gethostbyname_ex(name)), expected, "{name}");
        assert_eq!(failure(gethostbyaddr(name)), expected, "{name}");
        assert_eq!(failure(getfqdn(name)), expected, "{name}");
    }
    // 63 letters and a last dot are a name.
    let name = format!("{}.", "a".repeat(63));
    host.expect(
        &format!("get_address_info(Some({name:?}), None, 2, 0, 0, 0, Wait::Forever)"),
        Ok::<_, NameError>(vec![info(AF_INET, inet(0))]),
    );
    assert_eq!(gethostbyname(&name).unwrap(), "127.0.0.1");
    for (method, result) in [
        ("gethostbyname", failure(gethostbyname("a\0b"))),
        ("gethostbyname_ex", failure(gethostbyname_ex("a\0b"))),
        ("gethostbyaddr", failure(gethostbyaddr("a\0b"))),
    ] {
        let text =
            format!("{method}() argument 1 must be encoded string without null bytes, not str");
        assert_eq!(result, ("TypeError", text));
    }
}

#[test]
fn gethostbyname_knows_numbers_and_the_wildcard() {
    let _host = Host::new();
    for (name, address) in [
        ("", "0.0.0.0"),
        ("<broadcast>", "255.255.255.255"),
        ("255.255.255.255", "255.255.255.255"),
        ("192.0.2.7", "192.0.2.7"),
    ] {
        assert_eq!(gethostbyname(name).unwrap(), address);
    }
}

fn entry(name: &str, aliases: &[&str], addresses: &[&str]) -> Result<types::HostEntry, NameError> {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Ok(types::HostEntry {
        name: name.to_owned(),
        aliases: texts(aliases),
        addresses: texts(addresses),
    })
}

fn no_entry(code: i32) -> Result<types::HostEntry, NameError> {
    Err(NameError::Host(code))
}

#[test]
fn gethostbyname_ex_asks_for_an_address_and_then_for_the_entry() {
    let host = Host::new();
    let found = || {
        host.expect(
            "get_address_info(Some(\"h\"), None, 2, 0, 0, 0, Wait::Forever)",
            Ok::<_, NameError>(vec![info(AF_INET, inet(0))]),
        );
    };
    found();
    host.expect(
        "get_host_by_name(\"h\", 2, Wait::Forever)",
        entry("h.example", &["h"], &["192.0.2.1", "192.0.2.2"]),
    );
    let answer = gethostbyname_ex("h").unwrap();
    assert_eq!(
        (answer.name.as_str(), answer.aliases, answer.addresses.len()),
        ("h.example", vec!["h".to_owned()], 2)
    );
    for (code, text) in
        [(1, "[Errno 1] Unknown host"), (4, "[Errno 4] No address associated with name")]
    {
        found();
        host.expect("get_host_by_name(\"h\", 2, Wait::Forever)", no_entry(code));
        assert_eq!(failure(gethostbyname_ex("h")), ("herror", text.into()));
    }
    host.expect(
        "get_address_info(Some(\"h\"), None, 2, 0, 0, 0, Wait::Forever)",
        Err::<Vec<types::AddressInfo>, _>(NameError::AddressInfo(EAI_NONAME)),
    );
    assert_eq!(failure(gethostbyname_ex("h")).0, "gaierror");
}

#[test]
fn gethostbyaddr_takes_addresses_and_names_of_both_families() {
    let host = Host::new();
    assert_eq!(
        failure(gethostbyaddr("")),
        ("OSError", "wildcard resolved to multiple address".into())
    );
    host.expect(
        "get_host_by_address(('::1', 0, 0, 0), Wait::Forever)",
        entry("localhost", &[], &["::1"]),
    );
    assert_eq!(gethostbyaddr("::1").unwrap().name, "localhost");
    host.expect("get_host_by_address(('255.255.255.255', 0), Wait::Forever)", no_entry(1));
    assert_eq!(failure(gethostbyaddr("<broadcast>")), ("herror", "[Errno 1] Unknown host".into()));
    host.expect(
        "get_address_info(Some(\"h\"), None, 0, 0, 0, 0, Wait::Forever)",
        Ok::<_, NameError>(vec![info(AF_INET, inet(0))]),
    );
    host.expect(
        "get_host_by_address(('127.0.0.1', 0), Wait::Forever)",
        entry("localhost", &[], &["127.0.0.1"]),
    );
    assert_eq!(gethostbyaddr("h").unwrap().addresses, ["127.0.0.1"]);
    // A resolver that returns the IPv4 address inside of an IPv6 address.
    host.expect(
        "get_host_by_address(('::ffff:127.0.0.1', 0, 0, 0), Wait::Forever)",
        entry("x", &[], &["127.0.0.1"]),
    );
    let error = gethostbyaddr("::ffff:127.0.0.1").unwrap_err();
    assert_eq!(error.errno(), Some(errno::EAFNOSUPPORT));
}

#[test]
fn getfqdn_is_the_first_name_with_a_dot() {
    let host = Host::new();
    let answers = |name: &str, aliases: &[&str]| {
        host.expect(
            "get_host_by_address(('192.0.2.1', 0), Wait::Forever)",
            entry(name, aliases, &["192.0.2.1"]),
        );
    };
    for (name, aliases, full) in [
        ("a.example", &["b.example"][..], "a.example"),
        ("a", &["b", "a.example", "b.example"], "a.example"),
        ("a", &["b"], "a"),
    ] {
        answers(name, aliases);
        assert_eq!(getfqdn(" 192.0.2.1\n").unwrap(), full);
    }
    host.expect("get_host_by_address(('192.0.2.1', 0), Wait::Forever)", no_entry(1));
    assert_eq!(getfqdn(" 192.0.2.1 ").unwrap(), "192.0.2.1");
    // This host: a denial leaves the name as it is.
    for own in ["", "0.0.0.0", " :: "] {
        host.expect("get_host_name()", "sandbox".to_owned());
        host.expect(
            "get_address_info(Some(\"sandbox\"), None, 0, 0, 0, 0, Wait::Forever)",
            Err::<Vec<types::AddressInfo>, _>(NameError::Other(types::Error::Denied(
                types::Denial { grant: None, reason: "no".into() },
            ))),
        );
        assert_eq!(getfqdn(own).unwrap(), "sandbox");
    }
    // An interrupt is not a failed look-up.
    host.expect(
        "get_host_by_address(('192.0.2.1', 0), Wait::Forever)",
        Err::<types::HostEntry, _>(NameError::Other(os(errno::EINTR))),
    );
    assert_eq!(failure(getfqdn("192.0.2.1")).0, "InterruptedError");
}

#[test]
fn getnameinfo_reads_its_tuple_as_python_does() {
    let host = Host::new();
    let number = |text: &str, port: &str, address: types::Address| {
        host.expect(
            &format!("get_address_info(Some({text:?}), Some({port:?}), 0, 2, 0, 4, Wait::Forever)"),
            Ok::<_, NameError>(vec![info(0, address)]),
        );
    };
    let answer = || Ok::<_, NameError>(("host".to_owned(), "service".to_owned()));
    let v6 = types::Inet6Address {
        address: (0xfe80, 0, 0, 0, 0, 0, 0, 1),
        port: 80,
        flow_info: 0,
        scope_id: 9,
    };
    number("127.0.0.1", "80", inet(80));
    host.expect("get_name_info(('127.0.0.1', 80), 8, Wait::Forever)", answer());
    assert_eq!(
        getnameinfo(("127.0.0.1", 80), NameInfoFlags::NAMEREQD).unwrap(),
        ("host".into(), "service".into())
    );
    // The scope id of the tuple replaces that of the zone, also if it is left out.
    for (scope, shown) in [(None, "('fe80::1', 80, 5, 0)"), (Some(3), "('fe80::1', 80, 5, 3)")] {
        number("fe80::1%lo", "80", types::Address::Inet6(v6));
        host.expect(&format!("get_name_info({shown}, 3, Wait::Forever)"), answer());
        match scope {
            None => getnameinfo(("fe80::1%lo", 80, 5), 3).unwrap(),
            Some(scope) => getnameinfo(("fe80::1%lo", 80, 5, scope), 3).unwrap(),
        };
    }
    // An address that a call returned.
    host.expect("get_name_info(('127.0.0.1', 7), 0, Wait::Forever)", answer());
    getnameinfo(Address::Inet(Ipv4Addr::LOCALHOST, 7), 0).unwrap();
    number("127.0.0.1", "80", inet(80));
    let four = getnameinfo(("127.0.0.1", 80, 0, 1), 0);
    assert_eq!(failure(four), ("OSError", "IPv4 sockaddr must be 2 tuple".into()));
    for flow in [-1, 0x10_0000] {
        let text = "getnameinfo(): flowinfo must be 0-1048575.";
        assert_eq!(failure(getnameinfo(("::1", 80, flow), 0)), ("OverflowError", text.into()));
    }
    for (port, text) in [
        (1_i64 << 31, "signed integer is greater than maximum"),
        (-1 << 40, "signed integer is less than minimum"),
    ] {
        assert_eq!(failure(getnameinfo(("::1", port), 0)), ("OverflowError", text.into()));
    }
    assert_eq!(
        failure(getnameinfo(("::1\0", 80), 0)),
        ("ValueError", "embedded null character".into())
    );
    assert_eq!(
        failure(getnameinfo("text", 0)),
        ("TypeError", "getnameinfo() argument 1 must be a tuple".into())
    );
    host.expect(
        "get_address_info(Some(\"name\"), Some(\"80\"), 0, 2, 0, 4, Wait::Forever)",
        Err::<Vec<types::AddressInfo>, _>(NameError::AddressInfo(EAI_NONAME)),
    );
    assert_eq!(
        failure(getnameinfo(("name", 80), 0)),
        ("gaierror", "[Errno -2] Name or service not known".into())
    );
}

#[test]
fn services_and_protocols_have_pythons_texts() {
    let host = Host::new();
    host.expect("get_service_by_name(\"http\", Some(\"tcp\"))", ok(80_u16));
    assert_eq!(getservbyname("http", "tcp").unwrap(), 80);
    host.expect("get_service_by_port(80, None)", ok("http".to_owned()));
    assert_eq!(getservbyport(80, None).unwrap(), "http");
    host.expect("get_protocol_by_name(\"tcp\")", ok(6));
    assert_eq!(getprotobyname("tcp").unwrap(), 6);
    host.fail::<u16>("get_service_by_name(\"x\", None)", errno::ENOENT);
    assert_eq!(failure(getservbyname("x", None)), ("OSError", "service/proto not found".into()));
    host.fail::<String>("get_service_by_port(1, Some(\"x\"))", errno::ENOENT);
    assert_eq!(failure(getservbyport(1, "x")), ("OSError", "port/proto not found".into()));
    host.fail::<i32>("get_protocol_by_name(\"x\")", errno::ENOENT);
    assert_eq!(failure(getprotobyname("x")), ("OSError", "protocol not found".into()));
    for port in [-1, 65536] {
        let text = "getservbyport: port must be 0-65535.";
        assert_eq!(failure(getservbyport(port, None)), ("OverflowError", text.into()));
    }
    assert_eq!(
        failure(getservbyport(1_i64 << 40, None)).1,
        "signed integer is greater than maximum"
    );
    for error in [
        failure(getservbyname("a\0", None)),
        failure(getservbyname("a", "\0")),
        failure(getprotobyname("\0")),
    ] {
        assert_eq!(error, ("ValueError", "embedded null character".into()));
    }
    // More than a host would take.
    let long = "x".repeat(100_000);
    assert_eq!(failure(getservbyname(&long, None)).1, "service/proto not found");
    assert_eq!(failure(getprotobyname(&long)).1, "protocol not found");
    // An interrupt whose handler lets it go on.
    set_interrupt_handler(Some(handled));
    host.fail::<i32>("get_protocol_by_name(\"udp\")", errno::EINTR);
    host.expect("get_protocol_by_name(\"udp\")", ok(17));
    assert_eq!(getprotobyname("udp").unwrap(), 17);
}

#[test]
fn interfaces_have_pythons_texts() {
    let host = Host::new();
    host.expect("interfaces()", ok(vec![types::NetworkInterface { index: 1, name: "lo".into() }]));
    assert_eq!(if_nameindex().unwrap(), [(1, "lo".to_owned())]);
    host.expect("interface_index(\"lo\")", ok(1_u32));
    assert_eq!(if_nametoindex(b"lo").unwrap(), 1);
    for name in [&b"nope"[..], b"\xff", b"sixteen-letters-"] {
        let asked = str::from_utf8(name).ok().filter(|name| name.len() < 16).unwrap_or_default();
        host.fail::<u32>(&format!("interface_index({asked:?})"), errno::ENODEV);
        assert_eq!(
            failure(if_nametoindex(name)),
            ("OSError", "no interface with this name".into())
        );
    }
    assert_eq!(failure(if_nametoindex("lo\0")), ("ValueError", "embedded null byte".into()));
    host.fail::<String>("interface_name(4294967295)", errno::ENXIO);
    assert_eq!(
        failure(if_indextoname(0xffff_ffff_u32)),
        ("OSError", "[Errno 6] No such device or address".into())
    );
    assert_eq!(failure(if_indextoname(-1)), ("ValueError", "value must be positive".into()));
    assert_eq!(failure(if_indextoname(1_i64 << 32)).0, "OverflowError");
}

#[test]
fn sethostname_takes_bytes() {
    let host = Host::new();
    host.expect("set_host_name([104, 255])", ok(()));
    sethostname(b"h\xff").unwrap();
    host.fail::<()>("set_host_name([120])", errno::EPERM);
    assert_eq!(
        failure(sethostname("x")),
        ("PermissionError", "[Errno 1] Operation not permitted".into())
    );
}

fn two_addresses(host: &Host) {
    host.expect(
        "get_address_info(Some(\"h\"), Some(\"1\"), 0, 1, 0, 0, Wait::Forever)",
        Ok::<_, NameError>(vec![info(AF_INET, inet(1)), info(AF_INET, inet(2))]),
    );
}

#[test]
fn create_connection_tries_all() {
    let host = Host::new();
    let timeout = ConnectTimeout::After(Duration::from_secs(1));
    for all_errors in [false, true] {
        two_addresses(&host);
        for (id, port, errno) in [(1, 1, errno::ECONNREFUSED), (2, 2, errno::EAGAIN)] {
            host.expect("socket(2, 1, 6)", ok(Descriptor(id)));
            host.expect(&format!("set_nonblocking({id}, true)"), ok(()));
            host.expect(&format!("bind({id}, ('0.0.0.0', 9))"), ok(()));
            host.fail::<()>(
                &format!("connect({id}, ('127.0.0.1', {port}), Wait::Within(1000000000))"),
                errno,
            );
        }
        let error = create_connection(("h", 1), timeout, Some(&("", 9)), all_errors).unwrap_err();
        if all_errors {
            assert_eq!(error.class(), "ExceptionGroup");
            let classes: Vec<_> = error.errors().iter().map(Error::class).collect();
            assert_eq!(classes, ["ConnectionRefusedError", "TimeoutError"]);
        } else {
            assert_eq!(error.to_string(), "timed out");
        }
        assert_eq!(host.log(), ["close(1)", "close(2)"]);
    }
    two_addresses(&host);
    host.fail::<Descriptor>("socket(2, 1, 6)", errno::EMFILE);
    host.expect("socket(2, 1, 6)", ok(Descriptor(2)));
    host.expect("connect(2, ('127.0.0.1', 2), Wait::Forever)", ok(()));
    create_connection(("h", 1), ConnectTimeout::Default, None, false).unwrap();
}

#[test]
fn create_connection_goes_on_after_an_interrupt() {
    let host = Host::new();
    two_addresses(&host);
    let mut connecting = Connecting::new(("h", "1"), ConnectTimeout::Default, None, false).unwrap();
    host.expect("socket(2, 1, 6)", ok(Descriptor(1)));
    host.fail::<()>("connect(1, ('127.0.0.1', 1), Wait::Forever)", errno::EINTR);
    assert_eq!(connecting.connect().unwrap_err().progress().unwrap().done, 1);
    host.expect("finish_connect(1, Wait::Forever)", ok(()));
    connecting.connect().unwrap();
}

#[test]
fn create_server_names_the_address_it_could_not_have() {
    let host = Host::new();
    host.expect("socket(10, 1, 0)", ok(Descriptor(1)));
    host.fail::<()>("set_option(1, 1, 2, OptionValue::Integer(1))", errno::EACCES);
    host.expect("set_option(1, 41, 26, OptionValue::Integer(1))", ok(()));
    host.fail::<()>("bind(1, ('::1', 80, 0, 0))", errno::EADDRINUSE);
    let options = ServerOptions { family: Family::INET6, ..ServerOptions::default() };
    assert_eq!(
        failure(create_server(("::1", 80), options)).1,
        "[Errno 98] Address already in use (while attempting to bind on address ('::1', 80))"
    );
    assert_eq!(host.log(), ["close(1)"]);
}

// Options, listening.

#[test]
fn options_have_three_forms() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect("set_option(1, 1, 2, OptionValue::Integer(1))", ok(()));
    socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, true).unwrap();
    host.expect("set_option(1, 1, 13, OptionValue::Bytes([1, 2]))", ok(()));
    socket.setsockopt(SOL_SOCKET, SO_LINGER, b"\x01\x02").unwrap();
    host.expect("set_option(1, 279, 1, OptionValue::Null(7))", ok(()));
    socket.setsockopt(279, 1, OptionValue::Null(7)).unwrap();
    host.expect("get_option(1, 1, 2)", ok(1_i32));
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_REUSEADDR).unwrap(), 1);
    host.expect("get_option_bytes(1, 1, 2, 1024)", ok(vec![1_u8, 0, 0, 0]));
    assert_eq!(socket.getsockopt_bytes(SOL_SOCKET, SO_REUSEADDR, 1024).unwrap().len(), 4);
    assert_eq!(failure(socket.getsockopt_bytes(1, 2, 0)).0, "OSError");
    for (backlog, asked) in [(None, 128), (Some(-5), 0), (Some(7), 7)] {
        host.expect(&format!("listen(1, {asked})"), ok(()));
        socket.listen(backlog).unwrap();
    }
}

#[test]
fn a_socket_shows_itself() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    host.expect("local_address(1)", ok(Some(inet(80))));
    host.fail::<Option<types::Address>>("peer_address(1)", 107);
    let fd = socket.fileno();
    assert_eq!(
        format!("{socket:?}"),
        format!("<socket.socket fd={fd}, family=2, type=1, proto=0, laddr=('127.0.0.1', 80)>")
    );
}

// Waiting for many descriptors.

#[test]
fn select_sorts_out_what_is_ready() {
    let host = Host::new();
    let (a, b) = (host.socket(1, AF_INET, SOCK_STREAM), host.socket(2, AF_INET, SOCK_STREAM));
    host.expect("poll([(1, 5), (2, 3)], Wait::Within(1000000000))", ok(vec![0x10_u16, 0]));
    let (read, write, exceptional) = select(&[&a, &b], &[&a], &[&b], SECOND).unwrap();
    assert_eq!((read.len(), write.len(), exceptional.len()), (1, 0, 0));
    assert_eq!(read[0].fileno(), a.fileno());
    host.expect("poll([], Wait::None)", ok(Vec::<u16>::new()));
    assert_eq!(failure(select(&[987_654], &[], &[], None)).0, "OSError");
    b.close().unwrap();
    assert_eq!(
        failure(select(&[&b], &[], &[], None)),
        ("ValueError", "file descriptor cannot be a negative integer (-1)".into())
    );
}

#[test]
fn poll_keeps_what_was_registered() {
    let host = Host::new();
    let socket = host.socket(1, AF_INET, SOCK_STREAM);
    let mut poll = Poll::new();
    assert_eq!(poll.modify(&socket, POLLIN).unwrap_err().errno(), Some(errno::ENOENT));
    assert_eq!(failure(poll.unregister(&5)), ("KeyError", "5".into()));
    assert_eq!(failure(poll.register(&-1, None)).0, "ValueError");
    assert_eq!(failure(poll.register(&socket, 65536)).0, "OverflowError");
    poll.register(&socket, None).unwrap();
    host.at(0);
    set_interrupt_handler(Some(handled));
    host.fail::<Vec<u16>>("poll([(1, 7)], Wait::Until(1000000000))", errno::EINTR);
    host.expect("poll([(1, 7)], Wait::Until(1000000000))", ok(vec![4_u16]));
    assert_eq!(poll.poll(SECOND).unwrap(), [(socket.fileno(), POLLOUT)]);
    // The time is over; the socket is gone.
    host.expect("poll([(1, 7)], Wait::None)", ok(vec![0_u16]));
    assert_eq!(poll.poll(Some(Duration::ZERO)).unwrap(), []);
    let fd = socket.fileno();
    socket.close().unwrap();
    host.expect("poll([], Wait::None)", ok(Vec::<u16>::new()));
    assert_eq!(poll.poll(None).unwrap(), [(fd, POLLNVAL)]);
}

#[test]
fn what_no_host_takes_is_refused_at_once() {
    let host = Host::new();
    let socket = host.socket(1, AF_UNIX, SOCK_STREAM);
    let buffers = [IoSlice::new(b"x"); 1025];
    assert_eq!(socket.sendmsg(&buffers, &[], 0, None).unwrap_err().errno(), Some(errno::EMSGSIZE));
    let long = Ancillary { level: 1, kind: 99, data: vec![0; 300_000] };
    assert_eq!(socket.sendmsg(&[], &[long], 0, None).unwrap_err().errno(), Some(errno::ENOBUFS));
    assert_eq!(
        socket.setsockopt(1, 2, &vec![0; 70_000][..]).unwrap_err().errno(),
        Some(errno::EINVAL)
    );
    assert_eq!(failure(encoded(AF_INET, ("a".repeat(70_000), 0))).0, "gaierror");
    assert_eq!(failure(encoded(AF_INET, (b"\xff", 0))).0, "gaierror");
}

#[test]
fn sockets_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Socket>();
    shared::<Error>();
}

proptest! {
    #[test]
    fn an_ipv4_text_comes_back(bytes: [u8; 4]) {
        let text = inet_ntop(AF_INET, &bytes).unwrap();
        prop_assert_eq!(inet_pton(AF_INET, &text).unwrap(), bytes);
        prop_assert_eq!(inet_aton(&text).unwrap(), bytes);
        prop_assert_eq!(encoded(AF_INET, (text.as_str(), 1)).unwrap(), format!("('{text}', 1)"));
    }

    #[test]
    fn an_ipv6_text_comes_back(groups: [u16; 8], zero: [bool; 8]) {
        let bytes: Vec<u8> =
            groups.iter().zip(zero).flat_map(|(group, zero)| if zero { [0; 2] } else { group.to_be_bytes() }).collect();
        let text = inet_ntop(AF_INET6, &bytes).unwrap();
        prop_assert_eq!(inet_pton(AF_INET6, &text).unwrap(), bytes);
        prop_assert_eq!(encoded(AF_INET6, (text.as_str(), 1)).unwrap(), format!("('{text}', 1, 0, 0)"));
    }

    #[test]
    fn any_text_has_a_result(text: String, family: i32) {
        let _ = (inet_pton(AF_INET, &text), inet_pton(AF_INET6, &text), inet_aton(&text));
        let _ = inet_ntop(family, text.as_bytes());
    }

    #[test]
    fn any_unix_name_has_a_result(name in proptest::collection::vec(any::<u8>(), 0..120)) {
        match encode(Family::UNIX, "bind", name.to_address()) {
            Ok(address) => {
                let result = Address::from(address.clone());
                prop_assert!(!result.to_string().is_empty());
                prop_assert_eq!(encode(Family::UNIX, "bind", result.to_address()).unwrap(), address);
            }
            Err(error) => {
                prop_assert!(name.len() >= 108);
                prop_assert_eq!(error.to_string(), "AF_UNIX path too long");
            }
        }
    }

    #[test]
    fn any_numbers_have_a_result(port: i64, flow: i64, scope: i64) {
        match encoded(AF_INET6, ("::1", port, flow, scope)) {
            Ok(text) => prop_assert_eq!(text, format!("('::1', {port}, {}, {})", flow as u32, scope as u32)),
            Err(error) => prop_assert_eq!(error.class(), "OverflowError"),
        }
    }

    #[test]
    fn descriptors_numbers_come_back(fds: Vec<i32>, extra in 0..4_usize) {
        let mut rights = Ancillary::rights(&fds);
        rights.data.extend(vec![0; extra]);
        prop_assert_eq!(rights.fds(), fds);
    }
}
