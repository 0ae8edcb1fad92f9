//! Writing through a buffer: CPython's `BufferedWriter`. `docs/files.md` describes its states.

use super::raw::Raw;
use super::{no_memory, value_error};
use crate::{Error, Result};

/// The buffer of a file that is written.
pub(super) struct Writer {
    /// Bytes that were taken. Some of them may be sent.
    buffer: Vec<u8>,
    /// How many bytes at the beginning of the buffer were sent. CPython frees their room only when
    /// the buffer is empty, or when a write that needs room would block.
    sent: usize,
    /// The size of the buffer, at least 1. The buffer is never longer.
    size: usize,
}

impl Writer {
    pub(super) const fn new(size: usize) -> Self {
        Self { buffer: Vec::new(), sent: 0, size }
    }

    fn keep(&mut self, data: &[u8]) -> Result<()> {
        self.buffer.try_reserve(data.len()).map_err(no_memory)?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Drops the contents of the buffer.
    pub(super) fn reset(&mut self) {
        self.buffer = Vec::new();
        self.sent = 0;
    }

    /// Sends the contents of the buffer. Returns false if it would block, and the rest stays.
    ///
    /// The rest stays after any other error too. The next write or flush begins with it.
    fn drain(&mut self, raw: &Raw) -> Result<bool> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match raw.write(rest)? {
                Some(count) => self.sent += count,
                None => return Ok(false),
            }
        }
        self.buffer.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Takes all bytes and returns how many these are, or fails.
    pub(super) fn write(&mut self, raw: &Raw, data: &[u8]) -> Result<usize> {
        if raw.is_closed() {
            return Err(value_error("write to closed file"));
        }
        // CPython 3.13: data of exactly the buffer's size is sent at once. Earlier versions sent
        // only longer data at once.
        if data.len() <= self.size - self.buffer.len() && data.len() < self.size {
            self.keep(data)?;
            return Ok(data.len());
        }
        if !self.drain(raw)? {
            self.buffer.drain(..self.sent);
            self.sent = 0;
            let room = data.len().min(self.size - self.buffer.len());
            self.keep(data.get(..room).unwrap_or_default())?;
            return if room == data.len() { Ok(room) } else { Err(Error::blocked(room)) };
        }
        // The buffer is empty. Data that does not fit into it bypasses it.
        let mut rest = data;
        while rest.len() >= self.size {
            match raw.write(rest)? {
                Some(count) => rest = rest.get(count..).unwrap_or_default(),
                None => {
                    self.keep(rest.get(..self.size).unwrap_or_default())?;
                    let taken = data.len() - rest.len() + self.size;
                    return if taken == data.len() {
                        Ok(taken)
                    } else {
                        Err(Error::blocked(taken))
                    };
                }
            }
        }
        self.keep(rest)?;
        Ok(data.len())
    }

    /// Sends the contents of the buffer.
    pub(super) fn flush(&mut self, raw: &Raw) -> Result<()> {
        if raw.is_closed() {
            return Err(value_error("flush of closed file"));
        }
        if self.drain(raw)? { Ok(()) } else { Err(Error::blocked(0)) }
    }

    /// Sends the contents of the buffer. The caller then fails, because a socket has no size.
    pub(super) fn truncate(&mut self, raw: &Raw) -> Result<()> {
        if raw.is_closed() {
            return Err(value_error("truncate of closed file"));
        }
        self.flush(raw)
    }

    /// Fails on a closed file.
    pub(super) fn check_seek(&self, raw: &Raw) -> Result<()> {
        if raw.is_closed() { Err(value_error("seek of closed file")) } else { Ok(()) }
    }
}
