//! Reading through a buffer: CPython's `BufferedReader`. `docs/files.md` describes its states.

use super::raw::{AT_ONCE, Raw};
use super::{no_memory, value_error};
use crate::Result;

/// The buffer of a file that is read.
pub(super) struct Reader {
    /// Grows with the longest fill, up to `size`.
    buffer: Vec<u8>,
    /// The size of the buffer, at least 1.
    size: usize,
    /// The bytes from here to `end` were read from the socket and not returned yet.
    start: usize,
    end: usize,
}

impl Reader {
    pub(super) const fn new(size: usize) -> Self {
        Self { buffer: Vec::new(), size, start: 0, end: 0 }
    }

    /// Returns the bytes that were read ahead.
    pub(super) fn ahead(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops the bytes that were read ahead.
    pub(super) const fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Moves at most `count` bytes from the buffer to the end of `data`.
    fn take(&mut self, count: usize, data: &mut Vec<u8>) -> Result<()> {
        let count = count.min(self.ahead().len());
        data.try_reserve(count).map_err(no_memory)?;
        data.extend_from_slice(self.ahead().get(..count).unwrap_or_default());
        self.start += count;
        Ok(())
    }

    /// Moves bytes from the buffer into `place`, as many as fit, and returns how many.
    fn take_into(&mut self, place: &mut [u8]) -> usize {
        let count = place.len().min(self.ahead().len());
        for (place, &byte) in place.iter_mut().zip(self.ahead()) {
            *place = byte;
        }
        self.start += count;
        count
    }

    /// Fails on a closed file without bytes in its buffer. CPython: a closed file still returns the
    /// bytes in its buffer. Closing empties the buffer, except that of a pair.
    fn check_open(&self, raw: &Raw, text: &'static str) -> Result<()> {
        if raw.is_closed() && self.ahead().is_empty() { Err(value_error(text)) } else { Ok(()) }
    }

    /// Makes one read into the free room at the end of the buffer.
    fn fill(&mut self, raw: &mut Raw) -> Result<Option<usize>> {
        let until = self.end + self.size.saturating_sub(self.end).min(AT_ONCE);
        if let Some(more) = until.checked_sub(self.buffer.len()) {
            self.buffer.try_reserve_exact(more).map_err(no_memory)?;
            self.buffer.resize(until, 0);
        }
        let got = raw.readinto(self.buffer.get_mut(self.end..until).unwrap_or_default())?;
        self.end += got.unwrap_or(0);
        Ok(got)
    }

    /// Reads `size` bytes, or to the end. Returns fewer at the end, and when the next read would
    /// block.
    pub(super) fn read(&mut self, raw: &mut Raw, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        self.check_open(raw, "read of closed file")?;
        let mut data = Vec::new();
        let Some(size) = size else {
            self.take(usize::MAX, &mut data)?;
            self.reset();
            return Ok(match raw.read_all()? {
                Some(rest) => Some([data, rest].concat()),
                None => (!data.is_empty()).then_some(data),
            });
        };
        self.take(size, &mut data)?;
        if data.len() == size {
            return Ok(Some(data));
        }
        self.reset();
        // CPython: reads of whole blocks bypass the buffer. Only the rest is read through the
        // buffer, which keeps the bytes beyond it.
        loop {
            let rest = size - data.len();
            let got = match rest - rest % self.size {
                0 if rest == 0 || self.end >= self.size => return Ok(Some(data)),
                0 => {
                    let got = self.fill(raw)?;
                    self.take(rest, &mut data)?;
                    got
                }
                blocks => raw.read_onto(&mut data, blocks)?,
            };
            match got {
                Some(0) => return Ok(Some(data)),
                Some(_) => {}
                None => return Ok((!data.is_empty()).then_some(data)),
            }
        }
    }

    /// Reads at most `size` bytes by at most one read. If the buffer has bytes, it makes no read.
    pub(super) fn read1(&mut self, raw: &mut Raw, size: Option<usize>) -> Result<Vec<u8>> {
        self.check_open(raw, "read of closed file")?;
        let size = size.unwrap_or(self.size);
        let mut data = Vec::new();
        if size == 0 {
            return Ok(data);
        }
        self.take(size, &mut data)?;
        if data.is_empty() {
            self.reset();
            raw.read_onto(&mut data, size)?;
        }
        Ok(data)
    }

    /// Fills `place`. If `once`, with the bytes in the buffer and by at most one read.
    pub(super) fn readinto(
        &mut self,
        raw: &mut Raw,
        place: &mut [u8],
        once: bool,
    ) -> Result<Option<usize>> {
        self.check_open(raw, "readinto of closed file")?;
        let mut done = self.take_into(place);
        if done == place.len() {
            return Ok(Some(done));
        }
        self.reset();
        while let Some(rest) = place.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let got = if rest.len() > self.size {
                raw.readinto(rest)?
            } else if once && done > 0 {
                break;
            } else {
                self.fill(raw)?.map(|_| self.take_into(rest))
            };
            match got {
                Some(0) => break,
                None if done > 0 => break,
                None => return Ok(None),
                Some(count) => done += count,
            }
            if once {
                break;
            }
        }
        Ok(Some(done))
    }

    /// Reads as [`std::io::Read::read`] does: the bytes in the buffer, or else one read.
    pub(super) fn read_some(&mut self, raw: &mut Raw, place: &mut [u8]) -> Result<Option<usize>> {
        match self.take_into(place) {
            0 => self.readinto(raw, place, true),
            done => Ok(Some(done)),
        }
    }

    /// Returns the bytes in the buffer. If it is empty, one read fills it.
    pub(super) fn peek(&mut self, raw: &mut Raw) -> Result<&[u8]> {
        self.check_open(raw, "peek of closed file")?;
        if self.ahead().is_empty() {
            self.reset();
            self.fill(raw)?;
        }
        Ok(self.ahead())
    }

    /// Reads a line of at most `limit` bytes.
    pub(super) fn readline(&mut self, raw: &mut Raw, limit: Option<usize>) -> Result<Vec<u8>> {
        self.check_open(raw, "readline of closed file")?;
        let limit = limit.unwrap_or(usize::MAX);
        let mut line = Vec::new();
        loop {
            let rest = limit - line.len();
            let ahead = self.ahead();
            let end = ahead.iter().take(rest).position(|&byte| byte == b'\n').map(|at| at + 1);
            let enough = end.is_some() || ahead.len() >= rest;
            self.take(end.unwrap_or(rest), &mut line)?;
            if enough {
                return Ok(line);
            }
            self.reset();
            if matches!(self.fill(raw)?, None | Some(0)) {
                return Ok(line);
            }
        }
    }

    /// Fails on a closed file.
    pub(super) fn check_seek(&self, raw: &Raw) -> Result<()> {
        self.check_open(raw, "seek of closed file")
    }

    /// Fails on a closed file.
    pub(super) fn check_truncate(&self, raw: &Raw) -> Result<()> {
        self.check_open(raw, "truncate of closed file")
    }
}
