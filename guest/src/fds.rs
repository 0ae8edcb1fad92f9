//! Descriptors as small integers: the table between a guest's numbers and the host's handles.
//!
//! A host that gives real numbers keeps its process's descriptors itself, for all instances: each
//! use adopts the number anew, and no table is kept here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandsock_abi::errno;

use crate::{
    Error, Result,
    raw::{
        connections,
        descriptors::{self, Descriptor},
        types,
    },
};

/// The first number of the guest's own; those below are inherited ones, by the numbers that they
/// were handed over with.
const FIRST: i32 = 1024;

struct Entry {
    descriptor: Arc<Descriptor>,
    inheritable: bool,
    /// Whether somebody else was given an alias of it.
    aliased: bool,
}

/// The entries by their numbers. The guest's own follow one another, and are found without a
/// search.
struct Entries {
    own: Vec<Option<Entry>>,
    others: BTreeMap<i32, Entry>,
}

impl Entries {
    /// How many places may stay empty before the next one that is taken.
    const GAP: usize = 64;

    const fn new() -> Self {
        Self { own: Vec::new(), others: BTreeMap::new() }
    }

    /// Where an own number is, if it is one.
    #[inline]
    fn place(number: i32) -> usize {
        // Those below are beyond every place.
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
    /// Every number from [`FIRST`] up to this one is taken.
    lowest: i32,
    /// The numbers that were handed over at the start and not taken up yet; none before anybody
    /// asked.
    inherited: Option<BTreeSet<i32>>,
    /// Whether the host gives real numbers; it always does or never.
    numbered: Option<bool>,
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { entries: Entries::new(), lowest: FIRST, inherited: None, numbered: None });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// The lowest number that is free, as POSIX gives them.
    fn free(&mut self) -> i32 {
        let mut number = self.lowest;
        while self.entries.get(number).is_some() || self.inherited().contains(&number) {
            // 2^31 descriptors are more than a host gives.
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

/// Returns a new descriptor its number.
pub(crate) fn insert(descriptor: Descriptor, inheritable: bool) -> i32 {
    let numbered = table().numbered;
    let number = match numbered {
        Some(false) => None,
        _ => descriptors::number(&descriptor),
    };
    let mut table = table();
    table.numbered = Some(number.is_some());
    match number {
        // The process keeps it under this number.
        Some(number) => number,
        None => {
            let number = table.free();
            table.put(number, descriptor, inheritable);
            number
        }
    }
}

/// The descriptor of a number, which may be one that was handed over at the start.
#[inline]
pub(crate) fn get(number: i32) -> Result<Arc<Descriptor>> {
    // The table is free again before it is taken for more.
    let known = table().entries.get(number).map(|entry| Arc::clone(&entry.descriptor));
    known.map_or_else(|| take_up(number), Ok)
}

/// The descriptor of a number that is not in the table: one that was handed over, or the process's.
fn take_up(number: i32) -> Result<Arc<Descriptor>> {
    if number < 0 {
        return Err(bad());
    }
    let mut table = table();
    if table.numbered == Some(false) || table.inherited().contains(&number) {
        if !table.inherited().contains(&number) {
            return Err(bad());
        }
        let descriptor = descriptors::inherit(number)?;
        // Once it is closed it is gone, as it would be natively.
        table.inherited().remove(&number);
        // Whoever handed it over let it be inherited.
        return Ok(table.put(number, descriptor, true));
    }
    let descriptor = descriptors::adopt(number)?;
    table.numbered = Some(true);
    Ok(Arc::new(descriptor))
}

/// Closes a descriptor by its number. ECONNRESET is no error.
///
/// Python: `socket.close(fd)`.
///
/// # Errors
/// EBADF for a number that is no descriptor, and what close(2) says.
pub fn close(fd: i32) -> Result<()> {
    // One that was handed over and never used is there as well.
    let descriptor = get(fd)?;
    let (descriptor, aliased) = match table().take(fd) {
        Some(entry) => {
            drop(descriptor);
            (entry.descriptor, entry.aliased)
        }
        // Real numbers are in no table.
        None => (descriptor, false),
    };
    match Arc::try_unwrap(descriptor) {
        Ok(descriptor) => match connections::close(descriptor) {
            // The peer's reset is not this caller's concern.
            Ok(()) | Err(types::Error::Os(errno::ECONNRESET)) => Ok(()),
            Err(error) => Err(error.into()),
        },
        // A call is at work on it: the last one closes it.
        Err(descriptor) => {
            if aliased {
                descriptors::revoke_aliases(&descriptor);
            }
            Ok(())
        }
    }
}

/// Duplicates a descriptor, of whatever kind of file, and returns the new number, which is not
/// inheritable.
///
/// Python: `os.dup(fd)`.
///
/// # Errors
/// EBADF for a number that is no descriptor, EMFILE when there are too many.
pub fn dup(fd: i32) -> Result<i32> {
    let descriptor = get(fd)?;
    Ok(insert(descriptors::duplicate(&descriptor)?, false))
}

/// Whether a child process would inherit a descriptor. A guest has no children: the flag is kept
/// here, for programs that ask.
///
/// Python: `os.get_inheritable(fd)`.
///
/// # Errors
/// EBADF for a number that is no descriptor.
pub fn get_inheritable(fd: i32) -> Result<bool> {
    get(fd)?;
    Ok(table().entries.get(fd).is_some_and(|entry| entry.inheritable))
}

/// Sets the flag that [`get_inheritable`] reads.
///
/// Python: `os.set_inheritable(fd, inheritable)`.
///
/// # Errors
/// EBADF for a number that is no descriptor.
pub fn set_inheritable(fd: i32, inheritable: bool) -> Result<()> {
    get(fd)?;
    // Where numbers are real, the flag is the process's own, and none is kept here.
    if let Some(entry) = table().entries.get_mut(fd) {
        entry.inheritable = inheritable;
    }
    Ok(())
}

/// A weak second handle on a descriptor, for transfers alone.
pub(crate) fn alias(number: i32) -> Result<Descriptor> {
    let descriptor = get(number)?;
    let alias = descriptors::alias(&descriptor)?;
    if let Some(entry) = table().entries.get_mut(number) {
        entry.aliased = true;
    }
    Ok(alias)
}

/// Ends the aliases of a descriptor that stays open.
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
