//! A socket as a file: Python's `makefile`.
//!
//! CPython stacks up to three objects: the raw file (`raw`), whose calls are system calls; the
//! buffers (`reader`, `writer`, and `binary`, which joins them to the raw file); and the text
//! (`text`). Each call takes, keeps and loses the same bytes as CPython's, and makes the same
//! system calls. `docs/files.md` describes them.

mod binary;
mod raw;
mod reader;
mod text;
mod writer;

use std::fmt;
use std::io::{self, Read, Write};

use self::binary::Binary;
use self::raw::Raw;
use self::text::TextFile;
use crate::codec::{Encoding, Handler, Newline};
use crate::{Error, ErrorKind, Result, Socket};

/// The default size of the buffer: Python's `io.DEFAULT_BUFFER_SIZE` before CPython 3.14, which
/// raised it to 131,072.
const BUFFER: usize = 8192;

/// The arguments of [`Socket::makefile`] after the mode: Python's keyword arguments, with Python's
/// defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOptions<'a> {
    /// The size of the buffer. None or a negative number is 8,192 bytes. 0 is no buffer, which only
    /// a binary file can have.
    pub buffering: Option<i64>,
    /// The encoding of a text, by any of Python's names for it; None is `utf-8`.
    ///
    /// `utf-8`, `utf-8-sig`, `ascii` and `latin-1` are always known. The crate's feature `codecs`,
    /// which is on by default, adds `utf-7`, `utf-16` and `utf-32` (each with a byte order mark, or
    /// with `-le` or `-be`), and the single-byte encodings, such as `iso8859-15`, `cp1252`,
    /// `cp437`, `koi8-r`, `mac-roman` and those of EBCDIC. Encodings of several bytes for a
    /// character (`gb18030`, `shift_jis`, `euc-kr`) are not known.
    ///
    /// Like Python, a socket's file writes `utf-16` and `utf-32` little-endian and without a mark.
    pub encoding: Option<&'a str>,
    /// The error handler for bytes that are not text, and for text that has no bytes: `strict` (the
    /// default), `ignore`, `replace`, `backslashreplace` or, for writing, `xmlcharrefreplace`.
    ///
    /// `surrogateescape` and `surrogatepass` act like `strict`, because a `str` of Rust can't hold
    /// lone surrogates. `namereplace` is not known here: it would need the names of all characters.
    pub errors: Option<&'a str>,
    /// How a text's lines end. None: `\n`, `\r` or `\r\n`, all read as `\n`. `""`: the same, read
    /// as they are. Otherwise exactly `\n`, `\r` or `\r\n`.
    pub newline: Option<&'a str>,
}

/// A socket as a file, like the result of Python's `socket.makefile`. It holds bytes or text, with
/// or without a buffer.
///
/// The file keeps the descriptor open until the file is closed, even if the socket is closed
/// earlier. Dropping the file closes it. Its calls wait by the socket's timeout. After a read that
/// timed out every later read fails, because bytes may have been lost.
///
/// Each call makes the same system calls as CPython's, with the same bytes. `docs/files.md`
/// describes them.
///
/// A binary file implements [`Read`] and [`Write`] too.
pub struct SocketFile {
    mode: String,
    layers: Layers,
}

enum Layers {
    Binary(Binary),
    Text(Box<TextFile>),
}

fn value_error(text: impl Into<String>) -> Error {
    Error::text(ErrorKind::Value, text.into())
}

fn unsupported(text: &str) -> Error {
    Error::exception("UnsupportedOperation", text)
}

fn closed_file() -> Error {
    value_error("I/O operation on closed file.")
}

/// The error for a size that there is no memory for.
fn no_memory<E>(_: E) -> Error {
    Error::text(ErrorKind::Memory, "")
}

impl Socket {
    /// Makes a file of the socket.
    ///
    /// `mode` has `r`, `w` or both. With neither, the file is for reading. With `b` it is a binary
    /// file, without it a text file. The descriptor stays open while a file is open, even if the
    /// socket is closed. Python: `socket.makefile(mode, buffering, ...)`.
    ///
    /// ```no_run
    /// use sandsock::{FileOptions, Socket, constants::*};
    ///
    /// # let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    /// let mut file = socket.makefile("rw", FileOptions { newline: Some("\r\n"), ..FileOptions::default() })?;
    /// file.write_text("GET / HTTP/1.0\n\n")?;
    /// file.flush()?;
    /// println!("{}", file.readline_text(None)?);
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// `ValueError` for another mode or newline, and for a text file without a buffer;
    /// `LookupError` for an unknown encoding. An unknown error handler is a `LookupError` only when
    /// it is needed.
    pub fn makefile(&self, mode: &str, options: FileOptions<'_>) -> Result<SocketFile> {
        if !mode.chars().all(|c| "rwb".contains(c)) {
            return Err(value_error(format!("invalid mode '{mode}' (only r, w, b allowed)")));
        }
        let writing = mode.contains('w');
        let reading = mode.contains('r') || !writing;
        let is_binary = mode.contains('b');
        let size = match options.buffering {
            Some(size) if size >= 0 => usize::try_from(size).unwrap_or(usize::MAX),
            _ => BUFFER,
        };
        if size == 0 && !is_binary {
            return Err(value_error("unbuffered streams must be binary"));
        }
        let binary = || {
            let raw = Raw::new(self.file_reference(), reading, writing);
            Binary::new(raw, reading, writing, size)
        };
        if is_binary {
            let mode = Raw::mode(reading, writing).to_owned();
            return Ok(SocketFile { mode, layers: Layers::Binary(binary()) });
        }
        let newline = Newline::by_name(options.newline)?;
        let encoding = Encoding::by_name(options.encoding.unwrap_or("utf-8"))?;
        let handler = Handler::by_name(options.errors.unwrap_or("strict"))?;
        let text = TextFile::new(binary(), (reading, writing), (encoding, handler, newline));
        Ok(SocketFile { mode: mode.to_owned(), layers: Layers::Text(Box::new(text)) })
    }
}

impl SocketFile {
    /// Returns the mode: `rb`, `wb` or `rwb` for a binary file, and the argument of
    /// [`Socket::makefile`] for a text file.
    #[must_use]
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// Returns the binary file, which does the calls that a text file passes on.
    fn buffer(&self) -> Result<&Binary> {
        match &self.layers {
            Layers::Binary(binary) => Ok(binary),
            Layers::Text(text) => text.buffer(),
        }
    }

    /// Returns the binary file, for a call that a text file does not have.
    fn binary(&mut self, call: &str) -> Result<&mut Binary> {
        match &mut self.layers {
            Layers::Binary(binary) => Ok(binary),
            Layers::Text(_) if call == "write" => {
                Err(Error::text(ErrorKind::Type, "write() argument must be str, not bytes"))
            }
            Layers::Text(_) => Err(Error::text(
                ErrorKind::Type,
                format!("{call}() needs a binary file; add 'b' to the mode of makefile()"),
            )),
        }
    }

    fn text(&mut self) -> Result<&mut TextFile> {
        match &mut self.layers {
            Layers::Text(text) => Ok(text),
            Layers::Binary(_) => Err(Error::text(
                ErrorKind::Type,
                "this call needs a text file; remove 'b' from the mode of makefile()",
            )),
        }
    }

    /// Returns the descriptor's number, or -1 on a closed file. Python: `SocketIO.name`.
    #[must_use]
    pub fn name(&self) -> i32 {
        self.buffer().map_or(-1, Binary::name)
    }

    /// Returns the descriptor's number.
    ///
    /// # Errors
    /// `ValueError` on a closed file. `UnsupportedOperation` on a file with buffers for both
    /// reading and writing, because Python's `BufferedRWPair` has no `fileno`. [`name`](Self::name)
    /// returns the number there.
    pub fn fileno(&self) -> Result<i32> {
        self.buffer()?.fileno()
    }

    /// Whether the file is closed, or lost its socket by [`detach`](Self::detach).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.layers {
            Layers::Binary(binary) => binary.is_closed(),
            Layers::Text(text) => text.buffer().map_or(true, Binary::is_closed),
        }
    }

    /// Whether the file can be read.
    ///
    /// # Errors
    /// `ValueError` on a closed file, except one with a buffer that is only for writing.
    pub fn readable(&self) -> Result<bool> {
        self.buffer()?.readable()
    }

    /// Whether the file can be written.
    ///
    /// # Errors
    /// `ValueError` on a closed file, except one with a buffer that is only for reading.
    pub fn writable(&self) -> Result<bool> {
        self.buffer()?.writable()
    }

    /// Returns false, because a socket has no position.
    ///
    /// # Errors
    /// `ValueError` on a closed file, except one with buffers for both reading and writing.
    pub fn seekable(&self) -> Result<bool> {
        self.buffer()?.seekable()
    }

    /// Fails, because a socket has no position. The method exists for the errors of Python's
    /// `seek`.
    ///
    /// # Errors
    /// `UnsupportedOperation`; `ValueError` on a closed file with a buffer, and for a `whence` that
    /// is not 0 to 4.
    pub fn seek(&mut self, offset: i64, whence: i32) -> Result<u64> {
        let _ = offset;
        Err(match &mut self.layers {
            Layers::Binary(binary) => binary.seek(whence),
            Layers::Text(text) => text.seek(),
        })
    }

    /// Fails, because a socket has no position. The method exists for the errors of Python's
    /// `tell`.
    ///
    /// # Errors
    /// `UnsupportedOperation`; `ValueError` on a closed file of text.
    pub fn tell(&self) -> Result<u64> {
        Err(match &self.layers {
            Layers::Binary(binary) => binary.tell(),
            Layers::Text(text) => text.seek(),
        })
    }

    /// Fails, because a socket has no size. First it sends the contents of the buffer, if the file
    /// is a text file or only for writing. The method exists for the errors of Python's `truncate`.
    ///
    /// # Errors
    /// `UnsupportedOperation`; `ValueError` on a closed file with a buffer; those of
    /// [`flush`](Self::flush).
    pub fn truncate(&mut self) -> Result<u64> {
        Err(match &mut self.layers {
            Layers::Binary(binary) => binary.truncate(),
            Layers::Text(text) => text.truncate(),
        })
    }

    /// Flushes the top layer and takes it off. Returns the file below it: of a text file the binary
    /// file, and of a binary file the file without a buffer. Bytes that the layer has read ahead
    /// are lost. Every later call of this file fails with `ValueError`.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on a file with buffers for both
    /// reading and writing, `AttributeError` on a file without a buffer; those of
    /// [`flush`](Self::flush), which leave the file as it was.
    pub fn detach(&mut self) -> Result<Self> {
        let binary = match &mut self.layers {
            Layers::Binary(binary) => binary.detach()?,
            Layers::Text(text) => text.detach()?,
        };
        Ok(Self { mode: binary.mode().to_owned(), layers: Layers::Binary(binary) })
    }

    /// Reads `size` bytes, or to the end. Returns fewer bytes at the end of the stream, and when
    /// the next read would block. Returns None if the first read would block. A file without a
    /// buffer makes one read for a size, and reads to the end without one.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on a file that is only for writing,
    /// `OSError` after a read that timed out; `MemoryError`; those of [`Socket::recv`], which lose
    /// the bytes that this call had read.
    pub fn read(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        self.binary("read")?.read(size)
    }

    /// Reads at most `size` bytes, or the size of the buffer, by at most one read. If the buffer
    /// has bytes, the call makes no read. Returns no bytes at the end, and if the read would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); `UnsupportedOperation` on a file without a buffer.
    pub fn read1(&mut self, size: Option<usize>) -> Result<Vec<u8>> {
        self.binary("read1")?.read1(size)
    }

    /// Fills `buffer` until it is full, the stream ends or the next read would block. A file
    /// without a buffer of its own makes one read. Returns None if the first read would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn readinto(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.binary("readinto")?.readinto(buffer, false)
    }

    /// Fills `buffer` with the bytes in the file's own buffer, and by at most one read. As in
    /// CPython, the call makes that read even after it took bytes from the file's own buffer, if
    /// there is room for more than that buffer's size.
    ///
    /// # Errors
    /// Those of [`read1`](Self::read1).
    pub fn readinto1(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.binary("readinto1")?.readinto(buffer, true)
    }

    /// Returns the bytes in the buffer, and leaves them there. If the buffer is empty, one read
    /// fills it.
    ///
    /// # Errors
    /// Those of [`read1`](Self::read1).
    pub fn peek(&mut self) -> Result<&[u8]> {
        self.binary("peek")?.peek()
    }

    /// Reads a line, including its `\n`, of at most `limit` bytes. A line without `\n` means that
    /// the stream ended or would block.
    ///
    /// On a file for both reading and writing the limit counts from zero at each read, as in
    /// CPython. So a line that arrives in pieces can be longer. A file without a buffer reads each
    /// byte by a read of its own.
    ///
    /// # Errors
    /// Those of [`read`](Self::read). `OSError` if the call would block on a file without a buffer,
    /// or on one for both reading and writing.
    pub fn readline(&mut self, limit: Option<usize>) -> Result<Vec<u8>> {
        self.binary("readline")?.readline(limit)
    }

    /// Returns the remaining lines, each as [`readline`](Self::readline) returns it. With a hint,
    /// it stops after the line with which they have more bytes than the hint.
    ///
    /// # Errors
    /// Those of [`readline`](Self::readline).
    pub fn readlines(&mut self, hint: Option<usize>) -> Result<Vec<Vec<u8>>> {
        let binary = self.binary("readlines")?;
        binary.check_closed()?;
        lines(hint, || binary.readline(None), Vec::len)
    }

    /// Reads `size` characters, or to the end. Returns fewer at the end of the stream, and when the
    /// next read would block.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on a file that is only for writing,
    /// `TypeError` on a binary file, `OSError` after a read that timed out; `BlockingIOError` if a
    /// read to the end would block at once; `UnicodeDecodeError`; those of [`flush`](Self::flush)
    /// for text that was written before; those of [`Socket::recv`], which lose the text that this
    /// call had taken.
    pub fn read_text(&mut self, size: Option<usize>) -> Result<String> {
        self.text()?.read(size)
    }

    /// Reads a line of text, including its end, of at most `limit` characters. A line without an
    /// end means that the stream ended or would block.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readline_text(&mut self, limit: Option<usize>) -> Result<String> {
        self.text()?.readline(limit)
    }

    /// Returns the remaining lines of text. With a hint, it stops after the line with which they
    /// have more characters than the hint.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readlines_text(&mut self, hint: Option<usize>) -> Result<Vec<String>> {
        let text = self.text()?;
        text.check_closed()?;
        lines(hint, || text.readline(None), |line| line.chars().count())
    }

    /// Writes bytes, and returns how many were taken. A buffer takes all of them. Without a buffer
    /// the call makes one send, and returns None if that would block.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on a file that is only for reading,
    /// `TypeError` on a text file; `BlockingIOError` if the buffer is full and sending it would
    /// block, with the number of bytes that the buffer took ([`Error::characters_written`]); those
    /// of [`Socket::send`], which keep the earlier contents of the buffer but none of these bytes.
    pub fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        self.binary("write")?.write(data)
    }

    /// Writes several pieces, each by one [`write`](Self::write). As in CPython, a file without a
    /// buffer drops the rest of a piece that a send takes only in part.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn writelines<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let binary = self.binary("write")?;
        binary.check_closed()?;
        pieces.into_iter().try_for_each(|piece| binary.write(piece).map(|_| ()))
    }

    /// Writes text, and returns its number of characters. The text goes to the buffer when 8,192
    /// bytes are pending, and before each read.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on a file that is only for reading,
    /// `TypeError` on a binary file; `UnicodeEncodeError`; those of [`write`](Self::write). As in
    /// CPython, text that the buffer does not take is lost.
    pub fn write_text(&mut self, text: &str) -> Result<usize> {
        match &mut self.layers {
            Layers::Text(file) => file.write(text),
            Layers::Binary(_) => {
                Err(Error::text(ErrorKind::Type, "a bytes-like object is required, not 'str'"))
            }
        }
    }

    /// Sends the contents of the buffer.
    ///
    /// # Errors
    /// `ValueError` on a closed file; `BlockingIOError` if sending would block, and the rest stays
    /// in the buffer; those of [`Socket::send`].
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.layers {
            Layers::Binary(binary) => binary.flush(),
            Layers::Text(text) => text.flush(),
        }
    }

    /// Sends the contents of the buffer and closes the file. If the socket is closed and this is
    /// its last file, this closes the descriptor too. On a closed file it does nothing. The file is
    /// closed even if the call fails.
    ///
    /// As in CPython, a text file tries twice to send its buffer, if the first time fails.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush) and [`Socket::close`]; `ValueError` on a detached file.
    pub fn close(&mut self) -> Result<()> {
        match &mut self.layers {
            Layers::Binary(binary) => binary.close(),
            Layers::Text(text) => text.close(),
        }
    }
}

/// Reads lines until none is left, or until they are longer than the hint.
fn lines<T>(
    hint: Option<usize>,
    mut next: impl FnMut() -> Result<T>,
    length: impl Fn(&T) -> usize,
) -> Result<Vec<T>> {
    let (mut all, mut total) = (Vec::new(), 0_usize);
    loop {
        let line = next()?;
        let count = length(&line);
        if count == 0 {
            return Ok(all);
        }
        all.push(line);
        total = total.saturating_add(count);
        if hint.is_some_and(|hint| hint > 0 && total > hint) {
            return Ok(all);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A drop can't return the error.
        let _ = self.close();
    }
}

impl fmt::Debug for SocketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketFile")
            .field("mode", &self.mode)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Reads from a binary file: the bytes in the buffer, or else one read. If that would block, the
/// error is `WouldBlock`.
impl Read for SocketFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.binary("read")?.read_some(buffer)?.ok_or(io::ErrorKind::WouldBlock)?)
    }
}

/// Writes to a binary file. If the write would block and took nothing, the error is `WouldBlock`.
impl Write for SocketFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match Self::write(self, data) {
            Ok(taken) => Ok(taken.ok_or(io::ErrorKind::WouldBlock)?),
            Err(error) => match error.characters_written() {
                Some(taken @ 1..) => Ok(taken),
                _ => Err(error.into()),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(Self::flush(self)?)
    }
}
