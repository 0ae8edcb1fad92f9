//! A file of text: CPython's `TextIOWrapper`. `docs/files.md` describes its states.

use super::binary::Binary;
use super::{closed_file, unsupported, value_error};
use crate::codec::{Decoder, Encoder, Encoding, Handler, Newline};
use crate::{Error, Result};

/// The least size of a read, and the most pending bytes. CPython: `_CHUNK_SIZE`.
const CHUNK: usize = 8192;

/// A text file on top of a binary file.
pub(super) struct TextFile {
    /// None after `detach`.
    buffer: Option<Binary>,
    newline: Newline,
    /// None if the file is only for writing.
    decoder: Option<Decoder>,
    /// None if the file is only for reading.
    encoder: Option<Encoder>,
    /// The text of the last read, and how many of its bytes were returned.
    decoded: String,
    given: usize,
    /// Whether a `\r` waits for the next text.
    held: bool,
    /// The bytes for each character of the last read.
    ratio: f64,
    /// Encoded text that was not written to the buffer yet.
    pending: Vec<u8>,
}

fn detached() -> Error {
    value_error("underlying buffer has been detached")
}

/// Returns where the first `count` characters of a text end, and how many the text has of them.
fn prefix(text: &str, count: usize) -> (usize, usize) {
    match text.char_indices().nth(count) {
        Some((end, _)) => (end, count),
        None => (text.len(), text.chars().count()),
    }
}

impl TextFile {
    pub(super) fn new(
        buffer: Binary,
        (reading, writing): (bool, bool),
        (encoding, handler, newline): (Encoding, Handler, Newline),
    ) -> Self {
        Self {
            buffer: Some(buffer),
            newline,
            decoder: reading.then(|| Decoder::new(encoding.clone(), handler.clone())),
            encoder: writing.then(|| Encoder::new(encoding, handler)),
            decoded: String::new(),
            given: 0,
            held: false,
            ratio: 0.0,
            pending: Vec::new(),
        }
    }

    pub(super) fn buffer(&self) -> Result<&Binary> {
        self.buffer.as_ref().ok_or_else(detached)
    }

    fn buffer_mut(&mut self) -> Result<&mut Binary> {
        self.buffer.as_mut().ok_or_else(detached)
    }

    pub(super) fn check_closed(&self) -> Result<()> {
        if self.buffer()?.is_closed() { Err(closed_file()) } else { Ok(()) }
    }

    /// Writes the pending bytes to the buffer. CPython: bytes that the buffer does not take are
    /// lost.
    fn write_pending(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.buffer_mut()?.write(&pending).map(|_| ())
    }

    /// Moves at most `count` characters of the last read to the end of `text`, and returns how many
    /// it moved.
    fn take(&mut self, count: usize, text: &mut String) -> usize {
        let rest = self.decoded.get(self.given..).unwrap_or_default();
        let (end, count) = prefix(rest, count);
        text.push_str(rest.get(..end).unwrap_or_default());
        self.given += end;
        count
    }

    fn set_decoded(&mut self, text: String) {
        self.decoded = text;
        self.given = 0;
    }

    fn decode(&mut self, data: &[u8], last: bool) -> Result<String> {
        let decoder = self.decoder.as_mut().ok_or_else(|| unsupported("not readable"))?;
        let text = decoder.decode(data, last)?;
        Ok(self.newline.read(text, &mut self.held, last))
    }

    /// Reads and decodes the next bytes. `hint` is the number of characters that the caller wants.
    /// Returns false at the end.
    ///
    /// CPython: a read that would block counts as the end too.
    fn read_chunk(&mut self, hint: usize) -> Result<bool> {
        if self.decoder.is_none() {
            return Err(unsupported("not readable"));
        }
        let hint = (self.ratio.max(1.0) * hint as f64) as usize;
        let data = self.buffer_mut()?.read1(Some(hint.max(CHUNK)))?;
        let text = self.decode(&data, data.is_empty())?;
        let count = text.chars().count();
        self.ratio = if count > 0 { data.len() as f64 / count as f64 } else { 0.0 };
        self.set_decoded(text);
        Ok(count > 0 || !data.is_empty())
    }

    pub(super) fn read(&mut self, size: Option<usize>) -> Result<String> {
        self.check_closed()?;
        if self.decoder.is_none() {
            return Err(unsupported("not readable"));
        }
        self.write_pending()?;
        let mut answer = String::new();
        let Some(size) = size else {
            // CPython 3.14. Earlier versions raise a TypeError.
            let none = || Error::exception("BlockingIOError", "Read returned None.");
            let data = self.buffer_mut()?.read(None)?.ok_or_else(none)?;
            let rest = self.decode(&data, true)?;
            self.take(usize::MAX, &mut answer);
            return Ok(answer + &rest);
        };
        let mut wanted = size;
        loop {
            wanted -= self.take(wanted, &mut answer);
            if wanted == 0 || !self.read_chunk(wanted)? {
                return Ok(answer);
            }
        }
    }

    pub(super) fn readline(&mut self, limit: Option<usize>) -> Result<String> {
        self.check_closed()?;
        self.write_pending()?;
        let limit = limit.unwrap_or(usize::MAX);
        // `count` is the number of characters in the line. `begun` is the end of the earlier text,
        // which may begin the line's end.
        let (mut line, mut count) = (String::new(), 0);
        let mut begun = String::new();
        loop {
            while self.decoded.is_empty() {
                if !self.read_chunk(0)? {
                    self.set_decoded(String::new());
                    return Ok(line + &begun);
                }
            }
            if !begun.is_empty() {
                // `decoded` is a new text of which nothing was returned, so `begun` can go before
                // it.
                begun.push_str(&self.decoded);
                self.set_decoded(std::mem::take(&mut begun));
            }
            let rest = self.decoded.get(self.given..).unwrap_or_default();
            let end = self.newline.end(rest);
            let usable = end.unwrap_or_else(|| self.newline.usable(rest));
            let (cut, characters) = prefix(rest.get(..usable).unwrap_or_default(), limit - count);
            line.push_str(rest.get(..cut).unwrap_or_default());
            self.given += cut;
            count += characters;
            if end.is_some() || count >= limit {
                return Ok(line);
            }
            begun = self.decoded.get(self.given..).unwrap_or_default().to_owned();
            self.set_decoded(String::new());
        }
    }

    pub(super) fn write(&mut self, text: &str) -> Result<usize> {
        self.check_closed()?;
        let encoder = self.encoder.as_mut().ok_or_else(|| unsupported("not writable"))?;
        let data = encoder.encode(&self.newline.write(text))?;
        // CPython: a long text does not join the pending bytes.
        if data.len() >= CHUNK {
            self.write_pending()?;
        }
        self.pending.extend_from_slice(&data);
        if self.pending.len() >= CHUNK {
            self.write_pending()?;
        }
        // CPython 3.13: the text of the last read stays. Earlier versions lost it. Both lose an
        // incomplete character.
        if let Some(decoder) = &mut self.decoder {
            decoder.reset();
            self.held = false;
        }
        Ok(text.chars().count())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.check_closed()?;
        self.write_pending()?;
        self.buffer_mut()?.flush()
    }

    pub(super) fn close(&mut self) -> Result<()> {
        if self.buffer()?.is_closed() {
            return Ok(());
        }
        let flushed = self.flush();
        // CPython: if both fail, the later error is raised.
        self.buffer_mut()?.close().and(flushed)
    }

    /// Flushes, and returns the binary file.
    pub(super) fn detach(&mut self) -> Result<Binary> {
        self.flush()?;
        self.buffer.take().ok_or_else(detached)
    }

    /// Returns the error for a call that needs a position, which a socket does not have.
    pub(super) fn seek(&self) -> Error {
        self.check_closed()
            .err()
            .unwrap_or_else(|| unsupported("underlying stream is not seekable"))
    }

    /// Flushes, and returns the error for a call that needs a size, which a socket does not have.
    pub(super) fn truncate(&mut self) -> Error {
        match self.flush().and_then(|()| Ok(self.buffer_mut()?.truncate())) {
            Ok(error) | Err(error) => error,
        }
    }
}
