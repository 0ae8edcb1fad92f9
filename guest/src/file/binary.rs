//! A binary file: the socket and the buffers on top of it. Together they are CPython's `SocketIO`,
//! `BufferedReader`, `BufferedWriter` or `BufferedRWPair`.

use super::raw::Raw;
use super::reader::Reader;
use super::writer::Writer;
use super::{closed_file, unsupported, value_error};
use crate::{Error, ErrorKind, Result};

/// A binary file.
pub(super) struct Binary {
    /// None after `detach`.
    raw: Option<Raw>,
    buffers: Buffers,
}

/// Which of CPython's classes the file is.
enum Buffers {
    /// `SocketIO`.
    None,
    /// `BufferedReader`.
    Reader(Reader),
    /// `BufferedWriter`.
    Writer(Writer),
    /// `BufferedRWPair`: a reader and a writer that do not share state.
    Pair(Reader, Writer),
}

/// Returns the error for a detached file.
fn detached() -> Error {
    value_error("raw stream has been detached")
}

/// Borrows the raw file, or returns the error for a detached file. This is a macro, because the
/// buffers are borrowed at the same time.
macro_rules! raw {
    ($self:ident) => {
        $self.raw.as_mut().ok_or_else(detached)?
    };
}

impl Binary {
    /// Makes a file. With `size` 0 it has no buffers.
    pub(super) fn new(raw: Raw, reading: bool, writing: bool, size: usize) -> Self {
        let buffers = match (size, reading, writing) {
            (0, ..) => Buffers::None,
            (_, true, true) => Buffers::Pair(Reader::new(size), Writer::new(size)),
            (_, false, true) => Buffers::Writer(Writer::new(size)),
            (_, _, false) => Buffers::Reader(Reader::new(size)),
        };
        Self { raw: Some(raw), buffers }
    }

    pub(super) fn name(&self) -> i32 {
        self.raw.as_ref().map_or(-1, Raw::name)
    }

    pub(super) fn mode(&self) -> &'static str {
        self.raw.as_ref().map_or("", Raw::own_mode)
    }

    /// Whether the file is closed or detached.
    pub(super) fn is_closed(&self) -> bool {
        self.raw.as_ref().is_none_or(Raw::is_closed)
    }

    /// Fails on a closed file. CPython's `IOBase` checks this before it reads or writes lines.
    pub(super) fn check_closed(&self) -> Result<()> {
        let raw = self.raw.as_ref().ok_or_else(detached)?;
        if raw.is_closed() { Err(closed_file()) } else { Ok(()) }
    }

    pub(super) fn fileno(&self) -> Result<i32> {
        if let Buffers::Pair(..) = self.buffers {
            return Err(unsupported("fileno"));
        }
        Ok(self.raw.as_ref().ok_or_else(detached)?.socket()?.fileno())
    }

    pub(super) fn readable(&self) -> Result<bool> {
        match self.buffers {
            Buffers::Writer(_) => Ok(false),
            _ => self.raw.as_ref().ok_or_else(detached)?.readable(),
        }
    }

    pub(super) fn writable(&self) -> Result<bool> {
        match self.buffers {
            Buffers::Reader(_) => Ok(false),
            _ => self.raw.as_ref().ok_or_else(detached)?.writable(),
        }
    }

    pub(super) fn seekable(&self) -> Result<bool> {
        match self.buffers {
            Buffers::Pair(..) => Ok(false),
            _ => self.raw.as_ref().ok_or_else(detached)?.seekable(),
        }
    }

    pub(super) fn read(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        match &mut self.buffers {
            Buffers::None => raw!(self).read(size),
            Buffers::Reader(reader) | Buffers::Pair(reader, _) => reader.read(raw!(self), size),
            Buffers::Writer(_) => Err(unsupported("read")),
        }
    }

    pub(super) fn read1(&mut self, size: Option<usize>) -> Result<Vec<u8>> {
        match &mut self.buffers {
            Buffers::Reader(reader) | Buffers::Pair(reader, _) => reader.read1(raw!(self), size),
            Buffers::None | Buffers::Writer(_) => Err(unsupported("read1")),
        }
    }

    /// Fills `place`. If `once`, by at most one read.
    pub(super) fn readinto(&mut self, place: &mut [u8], once: bool) -> Result<Option<usize>> {
        match &mut self.buffers {
            Buffers::None => raw!(self).readinto(place),
            Buffers::Reader(reader) | Buffers::Pair(reader, _) => {
                reader.readinto(raw!(self), place, once)
            }
            // CPython: the base class calls `read` or `read1`, so the error names these.
            Buffers::Writer(_) => Err(unsupported(if once { "read1" } else { "read" })),
        }
    }

    /// Reads as [`std::io::Read::read`] does.
    pub(super) fn read_some(&mut self, place: &mut [u8]) -> Result<Option<usize>> {
        match &mut self.buffers {
            Buffers::Reader(reader) | Buffers::Pair(reader, _) => {
                reader.read_some(raw!(self), place)
            }
            Buffers::None | Buffers::Writer(_) => self.readinto(place, false),
        }
    }

    pub(super) fn peek(&mut self) -> Result<&[u8]> {
        match &mut self.buffers {
            Buffers::Reader(reader) | Buffers::Pair(reader, _) => reader.peek(raw!(self)),
            Buffers::None | Buffers::Writer(_) => Err(unsupported("peek")),
        }
    }

    pub(super) fn readline(&mut self, limit: Option<usize>) -> Result<Vec<u8>> {
        match &mut self.buffers {
            Buffers::Reader(reader) => reader.readline(raw!(self), limit),
            _ => self.line_of_parts(limit),
        }
    }

    /// Reads a line as CPython's `IOBase` does, for classes without a `readline`: by the bytes that
    /// `peek` shows, or else byte by byte.
    ///
    /// Each read is at most `limit` bytes long, and the loop ends after the read with which the
    /// line reaches the limit. So the line can be longer than the limit.
    fn line_of_parts(&mut self, limit: Option<usize>) -> Result<Vec<u8>> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut line = Vec::new();
        while line.len() < limit {
            let mut count = 1;
            if let Buffers::Pair(reader, _) = &mut self.buffers {
                let ahead = reader.peek(raw!(self))?;
                let end =
                    ahead.iter().position(|&byte| byte == b'\n').map_or(ahead.len(), |at| at + 1);
                count = end.clamp(1, limit);
            }
            let Some(part) = self.read(Some(count))? else {
                let text = "read() should have returned a bytes object, not 'NoneType'";
                return Err(Error::text(ErrorKind::Os, text));
            };
            if part.is_empty() {
                break;
            }
            line.extend(part);
            if line.ends_with(b"\n") {
                break;
            }
        }
        Ok(line)
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        match &mut self.buffers {
            Buffers::None => raw!(self).write(data),
            Buffers::Writer(writer) | Buffers::Pair(_, writer) => {
                writer.write(raw!(self), data).map(Some)
            }
            Buffers::Reader(_) => Err(unsupported("write")),
        }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let raw = raw!(self);
        match &mut self.buffers {
            Buffers::None | Buffers::Reader(_) => raw.socket().map(|_| ()),
            Buffers::Writer(writer) | Buffers::Pair(_, writer) => writer.flush(raw),
        }
    }

    pub(super) fn close(&mut self) -> Result<()> {
        let raw = raw!(self);
        if raw.is_closed() {
            return Ok(());
        }
        let mut flushed = Ok(());
        match &mut self.buffers {
            Buffers::None => {}
            Buffers::Reader(reader) => reader.reset(),
            // The reader of a pair keeps its bytes, because CPython finds the socket closed when it
            // comes to it.
            Buffers::Writer(writer) | Buffers::Pair(_, writer) => {
                flushed = writer.flush(raw);
                writer.reset();
            }
        }
        // CPython: if both fail, the later error is raised.
        raw.close().and(flushed)
    }

    /// Flushes, and returns a file of the socket without buffers.
    pub(super) fn detach(&mut self) -> Result<Self> {
        match self.buffers {
            Buffers::None => {
                return Err(Error::exception(
                    "AttributeError",
                    "'SocketIO' object has no attribute 'detach'",
                ));
            }
            Buffers::Pair(..) => return Err(unsupported("detach")),
            Buffers::Reader(_) | Buffers::Writer(_) => self.flush()?,
        }
        Ok(Self { raw: Some(self.raw.take().ok_or_else(detached)?), buffers: Buffers::None })
    }

    /// Fails: a socket has no position.
    pub(super) fn seek(&mut self, whence: i32) -> Error {
        let result = match (&self.buffers, &self.raw) {
            (Buffers::None | Buffers::Pair(..), _) => return unsupported("seek"),
            (_, None) => return detached(),
            _ if !(0..=4).contains(&whence) => {
                return value_error(format!("whence value {whence} unsupported"));
            }
            (Buffers::Reader(reader), Some(raw)) => reader.check_seek(raw),
            (Buffers::Writer(writer), Some(raw)) => writer.check_seek(raw),
        };
        result.err().unwrap_or_else(|| unsupported("File or stream is not seekable."))
    }

    /// Fails: a socket has no position.
    pub(super) fn tell(&self) -> Error {
        match (&self.buffers, &self.raw) {
            (Buffers::Reader(_) | Buffers::Writer(_), None) => detached(),
            _ => unsupported("seek"),
        }
    }

    /// Sends the contents of the buffer, and returns the error for a call that needs a size, which
    /// a socket does not have.
    pub(super) fn truncate(&mut self) -> Error {
        let result = match (&mut self.buffers, &self.raw) {
            (Buffers::None | Buffers::Pair(..), _) => Ok(()),
            (_, None) => return detached(),
            (Buffers::Reader(reader), Some(raw)) => reader.check_truncate(raw),
            (Buffers::Writer(writer), Some(raw)) => writer.truncate(raw),
        };
        result.err().unwrap_or_else(|| unsupported("truncate"))
    }
}
