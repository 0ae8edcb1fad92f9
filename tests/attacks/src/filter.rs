//! Code of the guests that listen for datagrams without a grant: a socket on which everything waits
//! that can reveal a datagram.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{self, PollEntry, Poller};
use sandsock::raw::syscalls;
use sandsock::raw::transfers::{receive, receive_batch, receive_from, receive_message, send_to};
use sandsock::raw::types::{Address, Error, Inet6Address, InetAddress, ReadyEvent, Trigger, Wait};

const FIONREAD: u32 = 0x541b;

/// The raw layer's result, which must be a success.
#[track_caller]
pub fn done<T>(what: &str, result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// Checks for the kernel's errno.
#[track_caller]
pub fn fails<T: std::fmt::Debug>(what: &str, result: Result<T, Error>, errno: i32) {
    match result {
        Err(Error::Os(found)) => assert_eq!(found, errno, "{what}"),
        other => panic!("{what}: {other:?} instead of errno {errno}"),
    }
}

/// An address of the loopback of a family: 127.0.0.N or fd00::N.
pub fn host(family: i32, last: u8, port: u16) -> Address {
    if family == AF_INET {
        Address::Inet(InetAddress { address: (127, 0, 0, last), port })
    } else {
        Address::Inet6(Inet6Address {
            address: (0xfd00, 0, 0, 0, 0, 0, 0, last.into()),
            port,
            flow_info: 0,
            scope_id: 0,
        })
    }
}

/// The port that a socket is bound to.
pub fn port(d: &Descriptor) -> u16 {
    match done("getsockname", syscalls::local_address(d)) {
        Some(Address::Inet(address)) => address.port,
        Some(Address::Inet6(address)) => address.port,
        other => panic!("no port: {other:?}"),
    }
}

/// A socket and three pollers that wait for it, one in each way to be triggered.
pub struct Listener {
    /// The socket.
    pub d: Descriptor,
    pollers: [(Trigger, Poller); 3],
}

impl Listener {
    /// Makes the pollers for a socket.
    pub fn new(d: Descriptor) -> Self {
        let pollers = [Trigger::Level, Trigger::Edge, Trigger::OneShot].map(|trigger| {
            let poller = done("create-poller", polling::create_poller());
            done("add", poller.add(&d, 7, POLLIN as u16, trigger));
            (trigger, poller)
        });
        Self { d, pollers }
    }

    /// A datagram socket that is bound there.
    pub fn bound(family: i32, protocol: i32, address: &Address) -> Self {
        let d = done("socket", syscalls::socket(family, SOCK_DGRAM, protocol));
        done("bind", syscalls::bind(&d, address));
        Self::new(d)
    }

    /// poll(2) for POLLIN.
    pub fn poll(&self, wait: Wait) -> u16 {
        done(
            "poll",
            polling::poll(&[PollEntry { descriptor: &self.d, events: POLLIN as u16 }], wait),
        )[0]
    }

    /// FIONREAD. 0 if the kernel does not support it, as for ping sockets.
    pub fn queued(&self) -> i32 {
        match syscalls::ioctl(&self.d, FIONREAD, &[0; 4]) {
            Ok(answer) => i32::from_ne_bytes(answer.argument.try_into().expect("an integer")),
            Err(Error::Os(_)) => 0,
            Err(error) => panic!("FIONREAD: {error:?}"),
        }
    }

    fn wait(&self, at: usize, wait: Wait) -> Vec<ReadyEvent> {
        done("poller.wait", self.pollers[at].1.wait(8, wait))
    }

    /// Checks that nothing reveals the datagrams in the queue.
    #[track_caller]
    pub fn is_silent(&self, what: &str) {
        let moment = Wait::Within(20_000_000);
        let start = Instant::now();
        for (at, (trigger, _)) in self.pollers.iter().enumerate() {
            for wait in [Wait::None, moment] {
                assert_eq!(
                    self.wait(at, wait).len(),
                    0,
                    "{what}: the poller wakes up, {trigger:?}"
                );
            }
        }
        assert_eq!(self.poll(Wait::None), 0, "{what}: poll");
        assert_eq!(self.poll(moment), 0, "{what}: poll with a wait");
        assert_eq!(self.queued(), 0, "{what}: FIONREAD");
        let info =
            done("SO_MEMINFO", syscalls::get_option_bytes(&self.d, SOL_SOCKET, SO_MEMINFO, 36));
        // Bytes that wait to be received, and packets that were dropped (linux/sock_diag.h).
        assert_eq!((&info[..4], &info[32..]), (&[0; 4][..], &[0; 4][..]), "{what}: SO_MEMINFO");
        let millisecond = Wait::Within(1_000_000);
        for (length, flags) in
            [(100, 0), (100, MSG_PEEK), (0, MSG_PEEK | MSG_TRUNC), (1 << 20, MSG_PEEK | MSG_TRUNC)]
        {
            fails(what, receive(&self.d, length, flags, Wait::None), EAGAIN);
            fails(what, receive(&self.d, length, flags, millisecond), EAGAIN);
            fails(what, receive_from(&self.d, length, flags, millisecond).map(|_| ()), EAGAIN);
            fails(
                what,
                receive_message(&self.d, length, 100, flags, millisecond).map(|_| ()),
                EAGAIN,
            );
        }
        fails(what, receive_batch(&self.d, 8, 100, 100, 0, millisecond).map(|_| ()), EAGAIN);
        // All these waits are 0.1 s together; the machine may have much else to do.
        assert!(start.elapsed() < Duration::from_secs(5), "{what}: it took {:?}", start.elapsed());
    }

    /// Checks that everything reports a datagram at once, and receives it.
    #[track_caller]
    pub fn hears(&self, what: &str, datagram: &[u8]) {
        assert_eq!(self.heard(what), datagram, "{what}");
    }

    /// The same for an ICMP message. Its checksum is ignored, and it may come with its IPv4 header
    /// (man 7 raw).
    #[track_caller]
    pub fn hears_echo(&self, what: &str, message: &[u8]) {
        let mut packet = self.heard(what);
        if packet[0] >> 4 == 4 && packet.len() > message.len() {
            packet.drain(..usize::from(packet[0] & 15) * 4);
        }
        packet[2..4].fill(0);
        assert_eq!(packet, message, "{what}");
    }

    fn heard(&self, what: &str) -> Vec<u8> {
        let long = Wait::Within(10_000_000_000);
        for (at, (trigger, poller)) in self.pollers.iter().enumerate() {
            let events = self.wait(at, long);
            let ready: Vec<_> = events.iter().map(|event| (event.key, event.ready)).collect();
            assert_eq!(ready, [(7, POLLIN as u16)], "{what}: the poller, {trigger:?}");
            if *trigger == Trigger::OneShot {
                assert_eq!(
                    self.wait(at, Wait::None).len(),
                    0,
                    "{what}: a one-shot event comes once"
                );
                done("modify", poller.modify(7, POLLIN as u16, *trigger));
            }
        }
        assert_eq!(self.poll(long), POLLIN as u16, "{what}: poll");
        let seen = done(what, receive(&self.d, 1 << 20, MSG_PEEK | MSG_TRUNC, Wait::None));
        let queued = syscalls::ioctl(&self.d, FIONREAD, &[0; 4]);
        // Ping sockets do not answer it.
        if !matches!(queued, Err(Error::Os(_))) {
            assert_eq!(self.queued(), seen.len() as i32, "{what}: FIONREAD");
        }
        let message =
            done(what, receive_message(&self.d, 1 << 16, 100, 0, Wait::Within(1_000_000)));
        assert_eq!((&message.data, message.control.len(), message.flags), (&seen, 0, 0), "{what}");
        message.data
    }

    /// Checks by `hears` if this is the twin, and otherwise by `is_silent`.
    #[track_caller]
    pub fn hears_if(&self, twin: bool, what: &str, datagram: &[u8]) {
        if twin { self.hears(what, datagram) } else { self.is_silent(what) }
    }
}

/// A socket that sends to one port.
pub struct Sender(Descriptor, Address);

impl Sender {
    /// It is bound to this address, which is the one that others see.
    pub fn new(family: i32, protocol: i32, at: &Address, to: Address) -> Self {
        let d = done("socket", syscalls::socket(family, SOCK_DGRAM, protocol));
        done("bind", syscalls::bind(&d, at));
        Self(d, to)
    }

    /// Sends a datagram.
    pub fn send(&self, datagram: &[u8]) {
        done("sendto", send_to(&self.0, datagram, 0, &self.1, Wait::Forever));
    }
}
