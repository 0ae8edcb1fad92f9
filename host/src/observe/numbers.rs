//! The descriptors of one instance as observers know them: their numbers, and what the kernel says
//! of their sockets.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Weak};

use wasmtime::component::{Resource, ResourceTable};

use super::Socket;
use super::address::SocketAddress;
use crate::authority::family;
use crate::bindings::sandsock::socket::types::{DescriptorKind, SocketKind};
use crate::descriptor::{Descriptor, Handle};
use crate::sys;

/// The lowest number that a descriptor gets. A program's first three are its standard ones.
const FIRST: i32 = 3;

/// How observers know a resource.
pub(crate) enum Identity {
    /// By a number, as the descriptor at this place of the store's table.
    Number(Place),
    /// By the name of its type. It gets no number, because its drop is not observed.
    Type(&'static str),
}

/// The first of the places that are not in the store's table. A socket gets one if its streams can
/// outlive its resource. No table has so many places.
pub(crate) const OWN_PLACES: u32 = 1 << 31;

/// A place in the store's table, which is the resource's own or that of the socket to which the
/// resource belongs, or a place from [`OWN_PLACES`] on. There is a handle if it is the place of a
/// descriptor.
pub(crate) struct Place {
    pub(crate) index: u32,
    pub(crate) handle: Option<Arc<Handle>>,
}

/// The type of a resource in the parameters or results of a function.
pub(crate) trait Identify: Sized + 'static {
    /// Returns how observers know the resource. By default it has a number and no handle.
    fn identify(resource: &Resource<Self>, _table: &ResourceTable) -> Identity {
        Identity::Number(Place { index: resource.rep(), handle: None })
    }
}

impl Identify for Descriptor {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        let descriptor = table.get(resource).ok();
        let handle = descriptor.and_then(Descriptor::observed);
        Identity::Number(Place { index: resource.rep(), handle })
    }
}

/// A descriptor that is open.
struct Numbered {
    socket: Socket,
    handle: Weak<Handle>,
}

/// Gives numbers to the descriptors of an instance. A `place` is an index of the store's table.
#[derive(Default)]
pub(crate) struct DescriptorNumbers {
    /// Whether the kernel is asked for both addresses of each socket.
    addresses: bool,
    /// Whether the guest sees the kernel's numbers, which are then used here too.
    real_numbers: bool,
    /// The descriptors that are open, by place.
    sockets: HashMap<u32, Numbered>,
    /// The numbers below `next` that are free.
    free: BTreeSet<i32>,
    next: i32,
    /// The number of descriptors that the instance ever had.
    serials: u64,
    /// By the address in memory of an open file description: its number here, and how many
    /// descriptors refer to it.
    descriptions: HashMap<usize, (u64, usize)>,
    /// The keys of `descriptions`, by the number of the description.
    keys: HashMap<u64, usize>,
    /// The place of the first descriptor that got its number in the call that is under way.
    made: Option<u32>,
    /// The sockets whose resource was dropped and whose streams go on.
    lingering: Vec<u32>,
}

impl DescriptorNumbers {
    pub(super) fn new(addresses: bool, real_numbers: bool) -> Self {
        Self { addresses, real_numbers, ..Self::default() }
    }

    /// Returns the descriptor at a place, if it has a number and is open.
    pub(super) fn get(&self, place: Option<u32>) -> Option<&Socket> {
        self.sockets.get(&place?).map(|numbered| &numbered.socket)
    }

    /// Returns the handle of the descriptor at a place, if it is open.
    pub(super) fn handle(&self, place: u32) -> Option<Arc<Handle>> {
        self.sockets.get(&place)?.handle.upgrade()
    }

    /// Returns the first descriptor that the call has made.
    pub(super) fn made(&self) -> Option<&Socket> {
        self.get(self.made)
    }

    /// Forgets which descriptors the last call has made.
    pub(super) fn begin_call(&mut self) {
        self.made = None;
    }

    /// Returns the number of a resource. A resource that has no number yet gets one.
    pub(super) fn number(&mut self, place: Place) -> i32 {
        let Place { index: place, handle } = place;
        if let Some(numbered) = self.sockets.get(&place) {
            return numbered.socket.number;
        }
        let number = match &handle {
            Some(handle) if self.real_numbers => handle.fd().as_raw_fd(),
            _ => self.free.pop_first().unwrap_or_else(|| {
                self.next = self.next.max(FIRST).saturating_add(1);
                self.next - 1
            }),
        };
        self.serials += 1;
        let mut socket = Socket { number, serial: self.serials, ..Socket::default() };
        if let Some(handle) = &handle {
            socket.kind = match handle.open.kind {
                DescriptorKind::Socket(SocketKind { family, type_, protocol }) => {
                    Some((family, type_, protocol))
                }
                _ => None,
            };
            let key = Arc::as_ptr(&handle.open).addr();
            let (description, count) = self.descriptions.entry(key).or_insert((self.serials, 0));
            *count += 1;
            socket.description = *description;
            self.keys.insert(*description, key);
        }
        let handle = handle.map_or_else(Weak::new, |handle| Arc::downgrade(&handle));
        self.sockets.insert(place, Numbered { socket, handle });
        self.made.get_or_insert(place);
        self.refresh(place);
        number
    }

    /// Asks the kernel for what may have changed.
    pub(super) fn refresh(&mut self, place: u32) {
        if !self.addresses {
            return;
        }
        let Some(Numbered { socket, handle }) = self.sockets.get_mut(&place) else { return };
        let Some(handle) = handle.upgrade() else { return };
        let Some((family, type_, protocol)) = socket.kind else { return };
        if type_ == libc::SOCK_STREAM && socket.peer.is_some() {
            // The addresses of a connection do not change.
            return;
        }
        let kind = SocketKind { family, type_, protocol };
        let address = |raw| family::decode(&raw, kind).as_ref().map(SocketAddress::from);
        // If the kernel gives no address any more, the last one stays.
        socket.local =
            sys::local_address(handle.fd()).ok().and_then(address).or_else(|| socket.local.take());
        let peer = sys::peer_address(handle.fd()).ok().and_then(address);
        // Only a datagram socket can lose its peer and go on.
        if peer.is_some() || type_ == libc::SOCK_DGRAM {
            socket.peer = peer;
        }
        if type_ == libc::SOCK_DGRAM && matches!(family, libc::AF_INET | libc::AF_INET6) {
            let option = |name| sys::own_option(handle.fd(), libc::IPPROTO_UDP, name).unwrap_or(0);
            socket.segment = u16::try_from(option(libc::UDP_SEGMENT)).unwrap_or(0);
            socket.corked = option(libc::UDP_CORK) != 0;
        }
    }

    /// Returns whether the resource of a place is there, or the socket of a place of its own.
    pub(super) fn is_open(&self, place: u32, table: &mut ResourceTable) -> bool {
        if place >= OWN_PLACES {
            return self.handle(place).is_some();
        }
        table.get_any_mut(place).is_ok()
    }

    /// The resource of this socket was dropped, and its streams go on.
    pub(super) fn linger(&mut self, place: u32) {
        self.lingering.push(place);
    }

    /// Frees the numbers of the lingering sockets whose last stream has ended.
    pub(super) fn release_lingering(&mut self) -> Vec<(Socket, bool)> {
        if self.lingering.is_empty() {
            return Vec::new();
        }
        let (open, gone): (Vec<u32>, Vec<u32>) =
            self.lingering.iter().partition(|&&place| self.handle(place).is_some());
        self.lingering = open;
        gone.into_iter().filter_map(|place| self.release(place)).collect()
    }

    /// Frees the number of a closed descriptor. Returns the descriptor, and whether it was the last
    /// one of its open file description.
    pub(super) fn release(&mut self, place: u32) -> Option<(Socket, bool)> {
        let Numbered { socket, .. } = self.sockets.remove(&place)?;
        if !self.real_numbers {
            self.free.insert(socket.number);
        }
        let key = self.keys.get(&socket.description);
        let Some((_, count)) = key.and_then(|key| self.descriptions.get_mut(key)) else {
            return Some((socket, true));
        };
        *count -= 1;
        let last = *count == 0;
        if last && let Some(key) = self.keys.remove(&socket.description) {
            self.descriptions.remove(&key);
        }
        Some((socket, last))
    }

    /// Frees all numbers. Returns what `release` would, in the order of the descriptors' making.
    pub(super) fn release_all(&mut self) -> Vec<(Socket, bool)> {
        let mut places: Vec<(u64, u32)> =
            self.sockets.iter().map(|(place, one)| (one.socket.serial, *place)).collect();
        places.sort_unstable();
        places.into_iter().filter_map(|(_, place)| self.release(place)).collect()
    }
}
