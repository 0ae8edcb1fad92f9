//! Makes the calls that a list of bytes names, in hexadecimal as the first argument. No call waits for
//! longer than a millisecond. Whatever comes of a call, the next one is made.

use sandsock::constants::*;
use sandsock::raw::descriptors::{self, Descriptor};
use sandsock::raw::polling::{self, PollEntry, Poller, Trigger};
use sandsock::raw::transfers::{BatchEntry, ControlIn, ControlOut};
use sandsock::raw::types::{
    Address, AddressHints, ControlMessage, Inet6Address, InetAddress, OptionValue, UnixAddress,
    Wait,
};
use sandsock::raw::{connections, interrupts, netdb, rights, syscalls, transfers};

/// The most descriptors that are kept.
const KEPT: usize = 24;

/// The bytes, of which each choice takes some. There are zeros behind the end.
struct Bytes(Vec<u8>);

impl Bytes {
    fn one(&mut self) -> u8 {
        self.0.pop().unwrap_or(0)
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[usize::from(self.one()) % list.len()].clone()
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes([self.one(), self.one(), self.one(), self.one()])
    }

    fn some(&mut self) -> Vec<u8> {
        (0..self.one() % 40).map(|_| self.one()).collect()
    }

    fn wait(&mut self) -> Wait {
        match self.one() % 4 {
            0 => Wait::Within(1_000_000),
            1 => Wait::Until(u64::from(self.one())),
            _ => Wait::None,
        }
    }

    fn port(&mut self, known: &[u16]) -> u16 {
        match self.one() % 4 {
            0 => 0,
            1 => self.number() as u16,
            _ if known.is_empty() => 1,
            _ => self.pick(known),
        }
    }

    fn address(&mut self, known: &[u16]) -> Address {
        let port = self.port(known);
        match self.one() % 8 {
            0 => Address::Unspec,
            1 => Address::Inet(InetAddress { address: (0, 0, 0, 0), port }),
            2 => Address::Inet6(Inet6Address {
                address: (0, 0, 0, 0, 0, 0, 0, 1),
                port,
                flow_info: self.number(),
                scope_id: u32::from(self.one()),
            }),
            3 => Address::Inet6(Inet6Address {
                address: (0, 0, 0, 0, 0, 0xffff, 0x7f00, 1),
                port,
                flow_info: 0,
                scope_id: 0,
            }),
            4 => Address::Unix(UnixAddress::Abstract(
                format!("sandsock-random-{}", self.one() % 4).into_bytes(),
            )),
            5 => Address::Unix(UnixAddress::Unnamed),
            _ => Address::Inet(InetAddress { address: (127, 0, 0, 1), port }),
        }
    }
}

struct State {
    kept: Vec<Descriptor>,
    pollers: Vec<Poller>,
    ports: Vec<u16>,
}

impl State {
    fn keep(&mut self, descriptor: Descriptor) {
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push(descriptor);
    }

    fn keep_control(&mut self, control: Vec<ControlIn>) {
        for item in control {
            match item {
                ControlIn::Rights(list) => list.into_iter().for_each(|one| self.keep(one)),
                ControlIn::Pidfd(one) => self.keep(one),
                ControlIn::Message(_) => {}
            }
        }
    }

    fn step(&mut self, bytes: &mut Bytes) -> Option<()> {
        let act = bytes.one() % 32;
        let families = [AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_ALG, AF_CAN, 99];
        let kinds = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW, SOCK_DGRAM | SOCK_NONBLOCK];
        if act < 5 || self.kept.is_empty() {
            let (family, kind) = (bytes.pick(&families), bytes.pick(&kinds));
            if bytes.one().is_multiple_of(3) {
                let (a, b) = syscalls::socketpair(AF_UNIX, kind, 0).ok()?;
                self.keep(a);
                self.keep(b);
            } else {
                let protocol = bytes.pick(&[0, 0, 0, 1, 6, 17, 58, 255, 132]);
                self.keep(syscalls::socket(family, kind, protocol).ok()?);
            }
            return Some(());
        }
        let at = usize::from(bytes.one()) % self.kept.len();
        let other = usize::from(bytes.one()) % self.kept.len();
        let address = bytes.address(&self.ports);
        let (wait, flags) =
            (bytes.wait(), bytes.pick(&[0, 0, 0, 2, 0x20, 0x40, 0x100, 0x2000, 0x8000, -1]));
        let d = &self.kept[at];
        match act {
            5 | 6 => {
                syscalls::bind(d, &address).ok()?;
                if let Ok(Some(Address::Inet(own))) = syscalls::local_address(d) {
                    self.ports.push(own.port);
                }
            }
            7 => syscalls::listen(d, bytes.number() as i32).ok()?,
            8..=10 => connections::connect(d, &address, wait).ok()?,
            11 | 12 => {
                let accepted = connections::accept(d, wait).ok()?;
                self.keep(accepted.descriptor);
            }
            13 | 14 => drop(transfers::send(d, &bytes.some(), flags, wait)),
            15 | 16 => drop(transfers::send_to(d, &bytes.some(), flags, &address, wait)),
            17 | 18 => {
                let data = bytes.some();
                let rights = [&self.kept[other]];
                let message = ControlMessage {
                    level: bytes.pick(&[0, 1, 41, 6]),
                    type_: i32::from(bytes.one()),
                    data: bytes.some(),
                };
                let control = match bytes.one() % 3 {
                    0 => vec![],
                    1 => vec![ControlOut::Rights(&rights)],
                    _ => vec![ControlOut::Message(&message)],
                };
                let to = (bytes.one().is_multiple_of(2)).then_some(&address);
                drop(transfers::send_message(d, &[&data], &control, flags, to, wait));
            }
            19 => drop(transfers::receive(d, bytes.number().into(), flags, wait)),
            20 => drop(transfers::receive_from(d, bytes.number().into(), flags, wait)),
            21 => {
                let (length, control) = (bytes.number(), bytes.number());
                let received =
                    transfers::receive_message(d, length.into(), control, flags, wait).ok()?;
                self.keep_control(received.control);
            }
            22 => {
                let data = bytes.some();
                let entry = BatchEntry {
                    length: u32::from(bytes.one()),
                    address: Some(&address),
                    control: &[],
                };
                drop(transfers::send_batch(d, &data, &[entry], flags, wait));
                drop(transfers::receive_batch(d, bytes.number(), bytes.number(), 9, flags, wait));
            }
            23 => {
                let level = bytes.pick(&[0, 1, 6, 17, 41, 58, 263, 270]);
                let name = i32::from(bytes.one());
                let (form, data) = (bytes.one() % 3, bytes.some());
                let value = match form {
                    0 => OptionValue::Integer(bytes.number() as i32),
                    1 => OptionValue::Bytes(&data),
                    _ => OptionValue::Null(u32::from(bytes.one())),
                };
                drop(syscalls::set_option(d, level, name, value));
                drop(syscalls::get_option_bytes(d, level, name, u32::from(bytes.one())));
            }
            24 => {
                let request = bytes.pick(&[0x541b, 0x5411, 0x8910, 0x8912, 0x8913, 0x8933, 0x5421]);
                drop(syscalls::ioctl(d, request, &bytes.some()));
            }
            25 => {
                let events = bytes.number() as u16;
                let entry = |at: usize| PollEntry { descriptor: &self.kept[at], events };
                drop(polling::poll(&[entry(at), entry(other)], wait));
            }
            26 => {
                if self.pollers.len() < 2 {
                    self.pollers.push(polling::create_poller().ok()?);
                }
                let poller = &self.pollers[usize::from(bytes.one()) % self.pollers.len()];
                let (key, events) = (u64::from(bytes.one() % 8), bytes.number() as u16);
                let trigger = bytes.pick(&[Trigger::Level, Trigger::Edge, Trigger::OneShot]);
                let other = &self.pollers[usize::from(bytes.one()) % self.pollers.len()];
                match bytes.one() % 6 {
                    0 => drop(poller.add(d, key, events, trigger)),
                    1 => drop(poller.modify(key, events, trigger)),
                    2 => drop(poller.remove(key)),
                    3 => drop(poller.add_poller(other, key, events, trigger)),
                    4 => drop(poller.set_timer(key, u64::from(bytes.number()), bytes.one().into())),
                    _ => drop(poller.wait(u32::from(bytes.one()), wait)),
                }
            }
            27 => {
                let copy = match bytes.one() % 3 {
                    0 => descriptors::duplicate(d),
                    1 => descriptors::alias(d),
                    _ => descriptors::inherit(bytes.number() as i32),
                };
                self.keep(copy.ok()?);
            }
            28 => {
                let closed = self.kept.remove(at);
                drop(connections::close(closed));
            }
            29 => match bytes.one() % 4 {
                0 => drop(syscalls::shutdown(d, i32::from(bytes.one() % 4))),
                1 => drop(descriptors::set_nonblocking(d, bytes.one().is_multiple_of(2))),
                2 => descriptors::revoke_aliases(d),
                _ => drop(connections::finish_connect(d, wait)),
            },
            30 => {
                let hints = AddressHints {
                    family: bytes.pick(&families),
                    type_: bytes.pick(&kinds),
                    protocol: 0,
                    flags: i32::from(bytes.one()),
                };
                let text = String::from_utf8_lossy(&bytes.some()).into_owned();
                drop(netdb::get_address_info(Some(&text), Some("1"), hints, wait));
                drop(netdb::get_name_info(&address, NI_NUMERICHOST | NI_NUMERICSERV, wait));
                interrupts::take();
            }
            _ => {
                // Seldom, because nothing comes back.
                if bytes.one() == 7 {
                    let rule =
                        bytes.pick(&["tcp-connect=127.0.0.1:*", "udp-send=*:*", "", "nothing"]);
                    drop(rights::restrict(&[rule]));
                }
            }
        }
        Some(())
    }
}

fn main() {
    let text = std::env::args().nth(1).unwrap_or_default();
    let digit = |at: usize| {
        text.as_bytes().get(at).map_or(0, |byte| (*byte as char).to_digit(16).unwrap_or(0))
    };
    let list = (0..text.len() / 2).rev().map(|at| (digit(2 * at) * 16 + digit(2 * at + 1)) as u8);
    let mut bytes = Bytes(list.collect());
    let mut state = State { kept: Vec::new(), pollers: Vec::new(), ports: Vec::new() };
    let mut steps = 0u32;
    while !bytes.0.is_empty() {
        // What came of it does not matter.
        let _ = state.step(&mut bytes);
        steps += 1;
    }
    println!("{steps} steps");
}
