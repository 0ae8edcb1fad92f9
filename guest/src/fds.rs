//! Descriptors as small integers: the table from a guest's numbers to the host's handles.
//!
//! A host with real numbers uses the descriptors of its process, which all instances share. Each
//! use then adopts the number again, and this table stays empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandsock_abi::errno;

use crate::{
    Error, Result,
    raw::{
        descriptors::{self, Descriptor},
        types,
    },
    waits,
};
#[cfg(all(feature = "threads", not(test)))]
use crate::{Progress, interrupt};

/// The first of the guest's own numbers. Inherited descriptors have lower numbers.
const FIRST: i32 = 1024;

struct Entry {
    descriptor: Arc<Descriptor>,
    inheritable: bool,
    /// Whether the descriptor has an alias.
    aliased: bool,
}

/// The entries by their numbers. Most of the guest's own numbers are consecutive, and are found
/// without a search.
struct Entries {
    own: Vec<Option<Entry>>,
    others: BTreeMap<i32, Entry>,
}

impl Entries {
    /// The most places that may stay empty before a new entry.
    const GAP: usize = 64;

    const fn new() -> Self {
        Self { own: Vec::new(), others: BTreeMap::new() }
    }

    /// Returns the place of one of the guest's own numbers. For any other number it is beyond all
    /// places.
    #[inline]
    fn place(number: i32) -> usize {
        // A number below FIRST wraps around.
        number.wrapping_sub(FIRST).cast_unsigned() as usize
    }

    #[inline]
    fn get(&self, number: i32) -> Option<&Entry> {
        match self.own.get(Self::place(number)) {
            Some(Some(entry)) => Some(entry),
            _ => self.others.get(&number),
        }
    }

    fn get_mut(&mut self, number: i32) -> Option<&mut Entry> {
        match self.own.get_mut(Self::place(number)) {
            Some(Some(entry)) => Some(entry),
            _ => self.others.get_mut(&number),
        }
    }

    fn insert(&mut self, number: i32, entry: Entry) {
        let place = Self::place(number);
        if place >= self.own.len().saturating_add(Self::GAP) {
            self.others.insert(number, entry);
            return;
        }
        if place >= self.own.len() {
            self.own.resize_with(place + 1, || None);
        }
        if let Some(free) = self.own.get_mut(place) {
            *free = Some(entry);
        }
    }

    fn remove(&mut self, number: i32) -> Option<Entry> {
        let own = self.own.get_mut(Self::place(number)).and_then(Option::take);
        own.or_else(|| self.others.remove(&number))
    }
}

struct Table {
    entries: Entries,
    /// No number from [`FIRST`] up to this one is free.
    lowest: i32,
    /// The inherited numbers that were not used yet. None before the first look at them.
    inherited: Option<BTreeSet<i32>>,
    /// Whether the host has real numbers. None while that is not known. It never changes.
    numbered: Option<bool>,
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { entries: Entries::new(), lowest: FIRST, inherited: None, numbered: None });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// Returns the lowest free number, as POSIX asks for.
    fn free(&mut self) -> i32 {
        let mut number = self.lowest;
        while self.entries.get(number).is_some() || self.inherited().contains(&number) {
            // A host never has 2^31 descriptors.
            number = number.saturating_add(1);
        }
        self.lowest = number;
        number
    }

    fn inherited(&mut self) -> &mut BTreeSet<i32> {
        self.inherited.get_or_insert_with(|| descriptors::inherited().into_iter().collect())
    }

    fn put(&mut self, number: i32, descriptor: Descriptor, inheritable: bool) -> Arc<Descriptor> {
        let descriptor = Arc::new(descriptor);
        let entry = Entry { descriptor: Arc::clone(&descriptor), inheritable, aliased: false };
        self.entries.insert(number, entry);
        descriptor
    }

    fn take(&mut self, number: i32) -> Option<Entry> {
        let entry = self.entries.remove(number)?;
        if number >= FIRST {
            self.lowest = self.lowest.min(number);
        }
        Some(entry)
    }
}

const fn bad() -> Error {
    Error::from_errno(errno::EBADF)
}

/// Gives a new descriptor a number, and returns the number.
pub(crate) fn insert(descriptor: Descriptor, inheritable: bool) -> i32 {
    let numbered = table().numbered;
    let number = match numbered {
        Some(false) => None,
        _ => descriptors::number(&descriptor),
    };
    let mut table = table();
    table.numbered = Some(number.is_some());
    match number {
        // The host's process keeps the descriptor under this number.
        Some(number) => number,
        None => {
            let number = table.free();
            table.put(number, descriptor, inheritable);
            number
        }
    }
}

/// Returns the descriptor of a number. The number can be an inherited one.
#[inline]
pub(crate) fn get(number: i32) -> Result<Arc<Descriptor>> {
    // This lock of the table ends before `inherit_or_adopt` locks it.
    let known = table().entries.get(number).map(|entry| Arc::clone(&entry.descriptor));
    known.map_or_else(|| inherit_or_adopt(number), Ok)
}

/// Returns the descriptor of a number that is not in the table: an inherited one, or one of the
/// host's process.
fn inherit_or_adopt(number: i32) -> Result<Arc<Descriptor>> {
    if number < 0 {
        return Err(bad());
    }
    let mut table = table();
    if table.numbered == Some(false) || table.inherited().contains(&number) {
        if !table.inherited().contains(&number) {
            return Err(bad());
        }
        let descriptor = descriptors::inherit(number)?;
        // A closed number can't be inherited again, as on Linux.
        table.inherited().remove(&number);
        // An inherited descriptor was inheritable.
        return Ok(table.put(number, descriptor, true));
    }
    let descriptor = descriptors::adopt(number)?;
    table.numbered = Some(true);
    Ok(Arc::new(descriptor))
}

/// Closes a descriptor by its number. As in Python, ECONNRESET is not an error.
///
/// Python: `socket.close(fd)`.
///
/// # Errors
/// EBADF for a number without a descriptor, and the errors of close(2).
pub fn close(fd: i32) -> Result<()> {
    // An inherited descriptor that was never used can be closed too.
    let descriptor = get(fd)?;
    let (descriptor, aliased) = match table().take(fd) {
        Some(entry) => {
            drop(descriptor);
            (entry.descriptor, entry.aliased)
        }
        // Real numbers are not in the table.
        None => (descriptor, false),
    };
    match Arc::try_unwrap(descriptor) {
        Ok(descriptor) => match waits::close(descriptor) {
            // CPython ignores the peer's reset.
            Ok(()) | Err(types::Error::Os(errno::ECONNRESET)) => Ok(()),
            Err(error) => Err(error.into()),
        },
        // A call still uses the descriptor. The last such call closes it.
        Err(descriptor) => {
            if aliased {
                descriptors::revoke_aliases(&descriptor);
            }
            Ok(())
        }
    }
}

/// Duplicates a descriptor of any kind of file. Returns the new number, which is not inheritable.
///
/// Python: `os.dup(fd)`.
///
/// # Errors
/// EBADF for a number without a descriptor, EMFILE if there are too many.
pub fn dup(fd: i32) -> Result<i32> {
    let descriptor = get(fd)?;
    Ok(insert(descriptors::duplicate(&descriptor)?, false))
}

/// Duplicates a descriptor to a number, and closes the descriptor that had the number before.
///
/// Python: `os.dup2(fd, fd2, inheritable)`.
///
/// # Errors
/// EBADF for a number without a descriptor, and for a target that can't be one of the guest's own
/// numbers; EMFILE if there are too many; EOPNOTSUPP on a host with real numbers.
pub fn dup2(fd: i32, target: i32, inheritable: bool) -> Result<i32> {
    let descriptor = get(fd)?;
    if target < FIRST {
        return Err(bad());
    }
    if fd == target {
        return Ok(target);
    }
    let copy = descriptors::duplicate(&descriptor)?;
    let old = {
        let mut table = table();
        if table.numbered == Some(true) {
            return Err(Error::from_errno(errno::EOPNOTSUPP));
        }
        table.inherited().remove(&target);
        let old = table.entries.remove(target);
        table.put(target, copy, inheritable);
        old
    };
    // Its last use closes the descriptor, after the table is unlocked.
    if let Some(old) = old.filter(|old| old.aliased) {
        descriptors::revoke_aliases(&old.descriptor);
    }
    Ok(target)
}

/// Whether a child process would inherit a descriptor. A guest has no child processes. The flag is
/// kept for programs that read it.
///
/// Python: `os.get_inheritable(fd)`.
///
/// # Errors
/// EBADF for a number without a descriptor.
pub fn get_inheritable(fd: i32) -> Result<bool> {
    get(fd)?;
    Ok(table().entries.get(fd).is_some_and(|entry| entry.inheritable))
}

/// Sets the flag that [`get_inheritable`] reads.
///
/// Python: `os.set_inheritable(fd, inheritable)`.
///
/// # Errors
/// EBADF for a number without a descriptor.
pub fn set_inheritable(fd: i32, inheritable: bool) -> Result<()> {
    get(fd)?;
    // With real numbers, the flag belongs to the host's process, and is not kept here.
    if let Some(entry) = table().entries.get_mut(fd) {
        entry.inheritable = inheritable;
    }
    Ok(())
}

/// Returns an alias of a descriptor, which only transfers can use.
pub(crate) fn alias(number: i32) -> Result<Descriptor> {
    let descriptor = get(number)?;
    let alias = descriptors::alias(&descriptor)?;
    if let Some(entry) = table().entries.get_mut(number) {
        entry.aliased = true;
    }
    Ok(alias)
}

/// Revokes the aliases of a descriptor that stays open.
pub(crate) fn revoke_aliases(number: i32) {
    let aliased = {
        let mut table = table();
        table.entries.get_mut(number).filter(|entry| entry.aliased).map(|entry| {
            entry.aliased = false;
            Arc::clone(&entry.descriptor)
        })
    };
    if let Some(descriptor) = aliased {
        descriptors::revoke_aliases(&descriptor);
    }
}

/// Waits until a read of WASI's standard input returns at once, while other threads run. Without a
/// hook ([`set_wait_hook`](crate::set_wait_hook)) it returns at once, and the read waits.
///
/// # Errors
/// The error of the interrupt handler, or `InterruptedError` (EINTR) if there is none.
#[cfg(all(feature = "threads", not(test)))]
pub fn wait_for_stdin() -> Result<()> {
    while waits::is_hooked() {
        match waits::stdin_ready() {
            Err(types::Error::Os(errno::EINTR)) => interrupt::handle(Progress::default())?,
            result => return Ok(result?),
        }
    }
    Ok(())
}
