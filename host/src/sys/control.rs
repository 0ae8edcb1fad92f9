//! Control messages in the kernel's layout (man 3 cmsg). A `cmsghdr` is a length, a level and a type.
//! Each message is padded to the size of a word.

const WORD: usize = size_of::<usize>();
/// The header's size: 16 on 64-bit hosts.
const HEADER: usize = WORD + 8;

/// SCM_PIDFD (linux/socket.h), which libc does not name everywhere.
pub(crate) const SCM_PIDFD: i32 = 0x04;

/// One control message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cmsg<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
    /// False if the header promises more data than the buffer holds.
    pub(crate) whole: bool,
}

fn align(length: usize) -> usize {
    length.next_multiple_of(WORD)
}

/// CMSG_LEN. None above the kernel's 31 bits.
pub(crate) fn length(data: u32) -> Option<u32> {
    u32::try_from(HEADER as u64 + u64::from(data)).ok().filter(|&length| length <= i32::MAX as u32)
}

/// CMSG_SPACE. None above the kernel's 31 bits.
pub(crate) fn space(data: u32) -> Option<u32> {
    let padded = u64::from(data).next_multiple_of(WORD as u64);
    u32::try_from(HEADER as u64 + padded).ok().filter(|&length| length <= i32::MAX as u32)
}

/// Adds one message to control data for sendmsg(2).
pub(crate) fn push(encoded: &mut Vec<u8>, level: i32, kind: i32, data: &[u8]) {
    encoded.extend((HEADER + data.len()).to_ne_bytes());
    encoded.extend(level.to_ne_bytes());
    encoded.extend(kind.to_ne_bytes());
    encoded.extend(data);
    encoded.resize(align(encoded.len()), 0);
}

/// Iterates over received control data. A header that does not fit ends the iteration. Data that
/// does not fit is cut and marked.
pub(crate) fn split(mut rest: &[u8]) -> impl Iterator<Item = Cmsg<'_>> {
    std::iter::from_fn(move || {
        let header = rest.get(..HEADER)?;
        let length = usize::from_ne_bytes(header[..WORD].try_into().ok()?);
        let number = |at: usize| header[at..at + 4].try_into().map(i32::from_ne_bytes).ok();
        let (level, kind) = (number(WORD)?, number(WORD + 4)?);
        if length < HEADER {
            rest = &[];
            return None;
        }
        let end = length.min(rest.len());
        let item = Cmsg { level, kind, data: &rest[HEADER..end], whole: length <= rest.len() };
        rest =
            length.checked_next_multiple_of(WORD).and_then(|next| rest.get(next..)).unwrap_or(&[]);
        Some(item)
    })
}

/// Whether descriptors are among the messages.
pub(crate) fn has_rights(bytes: &[u8]) -> bool {
    split(bytes).any(|item| (item.level, item.kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS))
}

/// A buffer for control data as the kernel fills it (net/core/scm.c: `put_cmsg`, `scm_detach_fds`).
pub(crate) struct Room(usize);

impl Room {
    pub(crate) fn new(size: usize) -> Self {
        Self(size)
    }

    /// The number of bytes of a message's data that fit. None if not even its header fits.
    pub(crate) fn take_data(&mut self, data: usize) -> Option<usize> {
        let fits = self.0.checked_sub(HEADER)?.min(data);
        self.0 -= align(HEADER + data).min(self.0);
        Some(fits)
    }

    /// The number of descriptors that fit. If it is 0, the kernel writes no message, neither for
    /// SCM_RIGHTS nor for SCM_PIDFD.
    pub(crate) fn take_rights(&mut self, count: usize) -> usize {
        let fits = (self.0.saturating_sub(HEADER) / size_of::<i32>()).min(count);
        if fits > 0 {
            self.0 -= align(HEADER + fits * size_of::<i32>()).min(self.0);
        }
        fits
    }
}

/// Whether control data ends with bytes that are no message. CPython calls this malformed.
pub(crate) fn is_malformed(bytes: &[u8]) -> bool {
    let used: usize = split(bytes).map(|item| align(HEADER + item.data.len())).sum();
    bytes.len().saturating_sub(used) > 0 && bytes.get(used..).is_some_and(|rest| !rest.is_empty())
}

/// The ids of this process, as SCM_CREDENTIALS carries them.
pub(crate) fn own_credentials() -> Vec<u8> {
    let ids: [u32; 3] = [
        std::process::id(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    ];
    ids.iter().flat_map(|id| id.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_the_kernels() {
        assert_eq!(length(4), Some(20));
        assert_eq!(space(4), Some(24));
        // SEMANTICS of CPython: the greatest arguments that 31 bits allow.
        assert_eq!(length(0x7fff_ffef), Some(0x7fff_ffff));
        assert_eq!(length(0x7fff_fff0), None);
        assert_eq!(space(0x7fff_ffe8), Some(0x7fff_fff8));
        assert_eq!(space(0x7fff_ffff), None);
    }

    #[test]
    fn cut_data_is_marked() {
        let mut encoded = Vec::new();
        push(&mut encoded, 1, 2, &[1, 2, 3, 4]);
        let items: Vec<_> = split(&encoded[..HEADER + 2]).collect();
        assert_eq!(items, [Cmsg { level: 1, kind: 2, data: &[1, 2], whole: false }]);
    }

    #[test]
    fn a_short_room_is_filled_as_the_kernel_does() {
        // A message of 12 bytes takes 32.
        for (size, data, fits, left) in [
            (0, 12, None, 0),
            (15, 12, None, 15),
            (16, 12, Some(0), 0),
            (20, 12, Some(4), 0),
            (28, 12, Some(12), 0),
            (40, 12, Some(12), 8),
        ] {
            let mut room = Room::new(size);
            assert_eq!((room.take_data(data), room.0), (fits, left), "{size}");
        }
        for (size, count, fits, left) in [
            (0, 2, 0, 0),
            (16, 2, 0, 16),
            (20, 2, 1, 0),
            (24, 2, 2, 0),
            (40, 3, 3, 8),
            (19, 1, 0, 19),
        ] {
            let mut room = Room::new(size);
            assert_eq!((room.take_rights(count), room.0), (fits, left), "{size}");
        }
    }

    proptest! {
        #[test]
        fn messages_come_back(items in prop::collection::vec((any::<i32>(), any::<i32>(), any::<Vec<u8>>()), 0..8)) {
            let mut encoded = Vec::new();
            for (level, kind, data) in &items {
                push(&mut encoded, *level, *kind, data);
            }
            let back: Vec<_> = split(&encoded).map(|item| (item.level, item.kind, item.data.to_vec())).collect();
            prop_assert_eq!(back, items);
            prop_assert!(!is_malformed(&encoded));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let total: usize = split(&bytes).map(|item| item.data.len()).sum();
            prop_assert!(total <= bytes.len());
            let _ = is_malformed(&bytes);
        }
    }
}
