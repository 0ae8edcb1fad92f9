//! A socket as a file: Python's `makefile`.
//!
//! CPython puts up to three objects over each other: the raw file (`raw`), whose calls are system
//! calls; the buffers (`reader`, `writer`, and `binary`, which joins them to the raw file); and the
//! text (`text`). Which bytes each call takes, keeps and loses, and how often it calls the system,
//! is theirs. `docs/files.md` describes it.

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

/// The buffer's size where none is asked for: Python's `io.DEFAULT_BUFFER_SIZE`, which CPython 3.14
/// has made 131,072.
const BUFFER: usize = 8192;

/// The arguments of [`Socket::makefile`] beside the mode: Python's keyword arguments, with Python's
/// defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOptions<'a> {
    /// The size of the buffer; none or below 0 is 8,192 bytes, 0 is no buffer, which takes a binary
    /// mode.
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
    /// What is done where bytes are no text, or text has no bytes: `strict` (the default),
    /// `ignore`, `replace`, `backslashreplace` or, for writing, `xmlcharrefreplace`.
    ///
    /// `surrogateescape` and `surrogatepass` are as `strict`: a text of Rust has no place for what
    /// they make. `namereplace`, which would take the names of all characters, is unknown here.
    pub errors: Option<&'a str>,
    /// How a text's lines end: none (every way, read as `\n`), `""` (every way, read as it is),
    /// `\n`, `\r` or `\r\n`.
    pub newline: Option<&'a str>,
}

/// A socket as a file, as Python's `socket.makefile` gives it: of bytes or of text, buffered or
/// not.
///
/// It holds the socket's descriptor open until it is closed, whatever becomes of the socket.
/// Dropping it closes it. Its calls wait by the socket's timeout. After a read that timed out every
/// later read fails, because bytes may have been lost.
///
/// Each call makes the system calls that CPython's makes, with the same bytes. `docs/files.md`
/// describes them.
///
/// A file of bytes is [`Read`] and [`Write`] too.
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

/// No memory for what was asked for.
fn no_memory<E>(_: E) -> Error {
    Error::text(ErrorKind::Memory, "")
}

impl Socket {
    /// Makes a file of the socket.
    ///
    /// `mode` holds `r` and `w`, or neither for reading, and `b` for bytes; without it the file is
    /// of text. While a file is open the socket's descriptor is too, even if the socket is closed.
    /// Python: `socket.makefile(mode, buffering, ...)`.
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
    /// `ValueError` for another mode or newline, and for a text without a buffer; `LookupError` for
    /// an unknown encoding. For an unknown error handler it comes where one is needed.
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
            let raw = Raw::new(self.lend(), reading, writing);
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
    /// The mode: `rb`, `wb` or `rwb` of a file of bytes, and that of [`Socket::makefile`] of one of
    /// text.
    #[must_use]
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// The file of bytes, for those calls that a file of text passes on.
    fn buffer(&self) -> Result<&Binary> {
        match &self.layers {
            Layers::Binary(binary) => Ok(binary),
            Layers::Text(text) => text.buffer(),
        }
    }

    /// The file of bytes, for a call that text has not.
    fn binary(&mut self, call: &str) -> Result<&mut Binary> {
        match &mut self.layers {
            Layers::Binary(binary) => Ok(binary),
            Layers::Text(_) if call == "write" => {
                Err(Error::text(ErrorKind::Type, "write() argument must be str, not bytes"))
            }
            Layers::Text(_) => Err(Error::text(
                ErrorKind::Type,
                format!("{call}() gives bytes, and this file is of text"),
            )),
        }
    }

    fn text(&mut self) -> Result<&mut TextFile> {
        match &mut self.layers {
            Layers::Text(text) => Ok(text),
            Layers::Binary(_) => Err(Error::text(ErrorKind::Type, "this file is of bytes")),
        }
    }

    /// The descriptor's number; -1 on a closed file. Python: `SocketIO.name`.
    #[must_use]
    pub fn name(&self) -> i32 {
        self.buffer().map_or(-1, Binary::name)
    }

    /// The descriptor's number.
    ///
    /// # Errors
    /// `ValueError` on a closed file. `UnsupportedOperation` on a file for both reading and writing
    /// that has buffers: Python's `BufferedRWPair` has none. [`name`](Self::name) gives it.
    pub fn fileno(&self) -> Result<i32> {
        self.buffer()?.fileno()
    }

    /// Whether the file was closed, or has lost its socket by [`detach`](Self::detach).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.layers {
            Layers::Binary(binary) => binary.is_closed(),
            Layers::Text(text) => text.buffer().map_or(true, Binary::is_closed),
        }
    }

    /// Whether it can be read.
    ///
    /// # Errors
    /// `ValueError` on a closed file, but for one with a buffer that is only written.
    pub fn readable(&self) -> Result<bool> {
        self.buffer()?.readable()
    }

    /// Whether it can be written.
    ///
    /// # Errors
    /// `ValueError` on a closed file, but for one with a buffer that is only read.
    pub fn writable(&self) -> Result<bool> {
        self.buffer()?.writable()
    }

    /// Whether it has a position: never.
    ///
    /// # Errors
    /// `ValueError` on a closed file, but for one with buffers for both ways.
    pub fn seekable(&self) -> Result<bool> {
        self.buffer()?.seekable()
    }

    /// Fails, because a socket has no position. It is here for the errors of Python's `seek`.
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

    /// Fails, because a socket has no position. It is here for the errors of Python's `tell`.
    ///
    /// # Errors
    /// `UnsupportedOperation`; `ValueError` on a closed file of text.
    pub fn tell(&self) -> Result<u64> {
        Err(match &self.layers {
            Layers::Binary(binary) => binary.tell(),
            Layers::Text(text) => text.seek(),
        })
    }

    /// Fails, because a socket has no size, but sends first what is in the buffer of a file that is
    /// only written, or is of text. It is here for the errors of Python's `truncate`.
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

    /// Takes off the uppermost layer, which is flushed before, and returns the file beneath it: of
    /// a text the file of bytes, of this the one without a buffer. What the layer has read ahead is
    /// lost. Every call of this file then fails with `ValueError`.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one with buffers for both ways,
    /// `AttributeError` on one without a buffer; those of [`flush`](Self::flush), after which the
    /// file is as it was.
    pub fn detach(&mut self) -> Result<Self> {
        let binary = match &mut self.layers {
            Layers::Binary(binary) => binary.detach()?,
            Layers::Text(text) => text.detach()?,
        };
        Ok(Self { mode: binary.mode().to_owned(), layers: Layers::Binary(binary) })
    }

    /// Reads `size` bytes, or to the end. Fewer come at the end, and where the next read would
    /// block. None if the first one would. Without a buffer it is one read, but to the end.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for writing, `OSError` after a
    /// read that timed out; `MemoryError`; those of [`Socket::recv`], after which what this call
    /// had read is lost.
    pub fn read(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        self.binary("read")?.read(size)
    }

    /// Reads at most `size` bytes, or as many as the buffer holds, by at most one read; what is in
    /// the buffer takes none. Nothing comes at the end, and if it would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); `UnsupportedOperation` on a file without a buffer.
    pub fn read1(&mut self, size: Option<usize>) -> Result<Vec<u8>> {
        self.binary("read1")?.read1(size)
    }

    /// Reads into a buffer until it is full, the stream ends or the next read would block; without
    /// a buffer of its own by one read. None if the first read would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn readinto(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.binary("readinto")?.readinto(buffer, false)
    }

    /// Reads into a buffer: what this file's own buffer has, and by at most one read. As in CPython
    /// that read is made even where its own buffer had something, if there is room for more than
    /// its size.
    ///
    /// # Errors
    /// Those of [`read1`](Self::read1).
    pub fn readinto1(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.binary("readinto1")?.readinto(buffer, true)
    }

    /// The bytes in the buffer, which one read fills if it is empty. Nothing is taken out.
    ///
    /// # Errors
    /// Those of [`read1`](Self::read1).
    pub fn peek(&mut self) -> Result<&[u8]> {
        self.binary("peek")?.peek()
    }

    /// Reads a line, its `\n` included, of at most `limit` bytes. Without its end the stream has
    /// ended, or would block.
    ///
    /// On a file for both ways the limit counts anew at each read, as in CPython, so that a line
    /// that came in pieces may be longer. Without a buffer each byte is a read.
    ///
    /// # Errors
    /// Those of [`read`](Self::read). `OSError` if it would block on a file for both ways or
    /// without a buffer.
    pub fn readline(&mut self, limit: Option<usize>) -> Result<Vec<u8>> {
        self.binary("readline")?.readline(limit)
    }

    /// The lines that are left, as [`readline`](Self::readline) gives them; with a hint no more
    /// once they have more bytes.
    ///
    /// # Errors
    /// Those of [`readline`](Self::readline).
    pub fn readlines(&mut self, hint: Option<usize>) -> Result<Vec<Vec<u8>>> {
        let binary = self.binary("readlines")?;
        binary.check_closed()?;
        lines(hint, || binary.readline(None), Vec::len)
    }

    /// Reads `size` characters, or to the end. Fewer come at the end, and where the next read would
    /// block.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for writing, `TypeError` on one
    /// of bytes, `OSError` after a read that timed out; `BlockingIOError` if it is to read to the
    /// end and would block at once; `UnicodeDecodeError`; those of [`flush`](Self::flush) for what
    /// was written before; those of [`Socket::recv`], after which what this call had taken is lost.
    pub fn read_text(&mut self, size: Option<usize>) -> Result<String> {
        self.text()?.read(size)
    }

    /// Reads a line of text, its end included, of at most `limit` characters. Without its end the
    /// stream has ended, or would block.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readline_text(&mut self, limit: Option<usize>) -> Result<String> {
        self.text()?.readline(limit)
    }

    /// The lines of text that are left; with a hint no more once they have more characters.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readlines_text(&mut self, hint: Option<usize>) -> Result<Vec<String>> {
        let text = self.text()?;
        text.check_closed()?;
        lines(hint, || text.readline(None), |line| line.chars().count())
    }

    /// Writes bytes, and returns how many were taken: all of them into the buffer, or without a
    /// buffer what one send took, and none if it would block.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for reading, `TypeError` on one
    /// of text; `BlockingIOError` where the buffer is full and would block, with the number of
    /// bytes that it took ([`Error::characters_written`]); those of [`Socket::send`]. After these
    /// what was in the buffer before is there still, and of these bytes nothing is kept.
    pub fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        self.binary("write")?.write(data)
    }

    /// Writes each of several pieces, by one [`write`](Self::write) each. As in CPython what a file
    /// without a buffer does not take of a piece is not written.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn writelines<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let binary = self.binary("write")?;
        binary.check_closed()?;
        pieces.into_iter().try_for_each(|piece| binary.write(piece).map(|_| ()))
    }

    /// Writes text, and returns how many characters it has. It goes to the buffer once there are
    /// 8,192 bytes of it, and before each read.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for reading, `TypeError` on one
    /// of bytes; `UnicodeEncodeError`; those of [`write`](Self::write). As in CPython text that the
    /// buffer does not take is lost.
    pub fn write_text(&mut self, text: &str) -> Result<usize> {
        match &mut self.layers {
            Layers::Text(file) => file.write(text),
            Layers::Binary(_) => {
                Err(Error::text(ErrorKind::Type, "a bytes-like object is required, not 'str'"))
            }
        }
    }

    /// Sends what is in the buffer.
    ///
    /// # Errors
    /// `ValueError` on a closed file; `BlockingIOError` if it would block, and the rest stays;
    /// those of [`Socket::send`].
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.layers {
            Layers::Binary(binary) => binary.flush(),
            Layers::Text(text) => text.flush(),
        }
    }

    /// Sends what is in the buffer and closes the file; if the socket was closed and this is its
    /// last file, the descriptor too. On a closed file it does nothing. The file is closed whatever
    /// the result is.
    ///
    /// As in CPython a file of text tries twice to send what is in its buffer, if the first time
    /// fails.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush) and [`Socket::close`]; `ValueError` on a file whose socket
    /// was taken out.
    pub fn close(&mut self) -> Result<()> {
        match &mut self.layers {
            Layers::Binary(binary) => binary.close(),
            Layers::Text(text) => text.close(),
        }
    }
}

/// Lines until there is none, or they are longer than the hint.
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
        // Nobody is there to get the error.
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

/// For bytes: what is in the buffer, or else one read. If that would block, the error is
/// `WouldBlock`.
impl Read for SocketFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.binary("read")?.read_some(buffer)?.ok_or(io::ErrorKind::WouldBlock)?)
    }
}

/// For bytes. If it would block and nothing was taken, the error is `WouldBlock`.
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
