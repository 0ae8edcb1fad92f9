//! A socket as a file: Python's `makefile`.

use std::{
    fmt,
    io::{self, Read, Write},
};

use sandsock_abi::errno;

use crate::{
    Error, ErrorKind, Flags, Result, Socket,
    codec::{Decoder, Encoder, Encoding, Handler, Newline},
};

/// The buffer's size where none is asked for: Python's `io.DEFAULT_BUFFER_SIZE`.
const BUFFER: usize = 8192;

/// What [`Socket::makefile`] may be told beside the mode: Python's keyword arguments, with Python's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOptions<'a> {
    /// The size of the buffer; none or below 0 is 8,192 bytes, 0 is no buffer, which takes a binary mode.
    pub buffering: Option<i64>,
    /// The encoding of a text, under any of Python's names for it: `utf-8` (the default), `utf-8-sig`, `utf-7`, `utf-16` and
    /// `utf-32` (with a byte order mark, or with `-le` and `-be`), and all that have one byte a character: `ascii`, `latin-1`,
    /// `iso8859-15`, `cp1252`, `cp437`, `koi8-r`, `mac-roman`, EBCDIC's and others. Those of several bytes (`gb18030`,
    /// `shift_jis`, `euc-kr`) are unknown here.
    ///
    /// To a socket `utf-16` and `utf-32` are written without a mark, little end first, as Python does.
    pub encoding: Option<&'a str>,
    /// What is done where bytes are no text, or text has no bytes: `strict` (the default), `ignore`, `replace`,
    /// `backslashreplace` or, for writing, `xmlcharrefreplace`.
    ///
    /// `surrogateescape` and `surrogatepass` are as `strict`: a text of Rust has no place for what they make. `namereplace`,
    /// which would take the names of all characters, is unknown here.
    pub errors: Option<&'a str>,
    /// How a text's lines end: none (every way, read as `\n`), `""` (every way, read as it is), `\n`, `\r` or `\r\n`.
    pub newline: Option<&'a str>,
}

/// A socket as a file, as Python's `socket.makefile` gives it: of bytes or of text, buffered or not.
///
/// It holds the socket's descriptor open until it is closed, whatever becomes of the socket. Dropping it closes it. Its verbs
/// wait by the socket's timeout. After a read that timed out every later read fails: nobody knows what was lost.
///
/// One for bytes is [`Read`] and [`Write`] too.
pub struct SocketFile {
    raw: Raw,
    mode: String,
    /// The buffers' size; 0 is none.
    size: usize,
    /// Bytes that were read and not asked for yet.
    ahead: Vec<u8>,
    /// Bytes that were not written yet.
    behind: Vec<u8>,
    text: Option<Text>,
}

/// Python's `SocketIO`.
struct Raw {
    /// None once it is closed.
    socket: Option<Socket>,
    reading: bool,
    writing: bool,
    timed_out: bool,
}

/// What a text file has beside a binary one.
struct Text {
    newline: Newline,
    decoder: Decoder,
    encoder: Encoder,
    /// Text that was read and not asked for yet.
    ahead: String,
    /// A `\r` that waits for what follows it.
    held: bool,
}

fn value_error(text: impl Into<String>) -> Error {
    Error::text(ErrorKind::Value, text.into())
}

fn unsupported(text: &str) -> Error {
    Error::exception("UnsupportedOperation", text)
}

impl Raw {
    /// The socket of an open file.
    fn socket(&self) -> Result<&Socket> {
        self.socket.as_ref().ok_or_else(|| value_error("I/O operation on closed file."))
    }

    /// Reads into a buffer; none where it would block.
    fn read_into(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let socket = self.socket()?;
        if !self.reading {
            return Err(unsupported("File or stream is not readable."));
        }
        if self.timed_out {
            return Err(Error::text(ErrorKind::Os, "cannot read from timed out object"));
        }
        let result = socket.recv_into(buffer, Flags::NONE);
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
            self.timed_out = true;
        }
        unless_blocked(result)
    }

    /// Writes some of the bytes; none where it would block.
    fn write(&self, data: &[u8]) -> Result<Option<usize>> {
        let socket = self.socket()?;
        if !self.writing {
            return Err(unsupported("File or stream is not writable."));
        }
        unless_blocked(socket.send(data, Flags::NONE))
    }

    fn close(&mut self) -> Result<()> {
        self.socket.take().map_or(Ok(()), |socket| socket.give_back())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = self.close();
    }
}

fn unless_blocked(result: Result<usize>) -> Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.errno() == Some(errno::EAGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Socket {
    /// Makes a file of the socket.
    ///
    /// `mode` holds `r` and `w`, or neither for reading, and `b` for bytes; without it the file is of text. While a file is
    /// open the socket's descriptor is too, even if the socket is closed. Python: `socket.makefile(mode, buffering, ...)`.
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
    /// `ValueError` for another mode or newline, and for a text without a buffer; `LookupError` for an unknown encoding.
    /// For an unknown error handler it comes where one is needed.
    pub fn makefile(&self, mode: &str, options: FileOptions<'_>) -> Result<SocketFile> {
        if !mode.chars().all(|c| "rwb".contains(c)) {
            return Err(value_error(format!("invalid mode '{mode}' (only r, w, b allowed)")));
        }
        let writing = mode.contains('w');
        let reading = mode.contains('r') || !writing;
        let binary = mode.contains('b');
        let size = match options.buffering {
            Some(size) if size >= 0 => usize::try_from(size).unwrap_or(usize::MAX),
            _ => BUFFER,
        };
        if size == 0 && !binary {
            return Err(value_error("unbuffered streams must be binary"));
        }
        let text = if binary {
            None
        } else {
            let encoding = Encoding::by_name(options.encoding.unwrap_or("utf-8"))?;
            let handler = Handler::by_name(options.errors.unwrap_or("strict"))?;
            let newline = Newline::by_name(options.newline)?;
            let (decoder, encoder) = (Decoder::new(encoding, handler.clone()), Encoder::new(encoding, handler));
            Some(Text { newline, decoder, encoder, ahead: String::new(), held: false })
        };
        let mode = match (binary, reading, writing) {
            (false, ..) => mode,
            (true, true, false) => "rb",
            (true, false, _) => "wb",
            (true, true, true) => "rwb",
        };
        let raw = Raw { socket: Some(self.lend()), reading, writing, timed_out: false };
        Ok(SocketFile { raw, mode: mode.to_owned(), size, ahead: Vec::new(), behind: Vec::new(), text })
    }
}

impl SocketFile {
    /// The mode: `rb`, `wb` or `rwb` of a binary file, and that of [`Socket::makefile`] of one of text.
    #[must_use]
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// The descriptor's number; -1 on a closed file. Python: `SocketIO.name`.
    #[must_use]
    pub fn name(&self) -> i32 {
        self.raw.socket.as_ref().map_or(-1, Socket::fileno)
    }

    /// The descriptor's number.
    ///
    /// # Errors
    /// `ValueError` on a closed file.
    pub fn fileno(&self) -> Result<i32> {
        Ok(self.raw.socket()?.fileno())
    }

    /// Whether the file was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.raw.socket.is_none()
    }

    fn open(&self) -> Result<()> {
        if self.is_closed() { Err(value_error("I/O operation on closed socket.")) } else { Ok(()) }
    }

    /// Whether it can be read.
    ///
    /// # Errors
    /// `ValueError` on a closed file.
    pub fn readable(&self) -> Result<bool> {
        self.open().map(|()| self.raw.reading)
    }

    /// Whether it can be written.
    ///
    /// # Errors
    /// `ValueError` on a closed file.
    pub fn writable(&self) -> Result<bool> {
        self.open().map(|()| self.raw.writing)
    }

    /// Whether it has a position: never.
    ///
    /// # Errors
    /// `ValueError` on a closed file.
    pub fn seekable(&self) -> Result<bool> {
        self.open().map(|()| false)
    }

    /// A verb of reading bytes begins.
    fn begin_read(&self, verb: &str) -> Result<()> {
        if self.text.is_some() {
            return Err(Error::text(ErrorKind::Type, format!("{verb}() gives bytes, and this file is of text")));
        }
        match (self.is_closed(), self.raw.reading, self.size) {
            (true, _, 0) => Err(value_error("I/O operation on closed file.")),
            (false, false, 0) => Err(unsupported("File or stream is not readable.")),
            // CPython: its class has no way to read, be it closed or not; all but this one come to `read`.
            (_, false, _) => Err(unsupported(if verb == "read1" { verb } else { "read" })),
            (true, true, _) => Err(value_error(format!("{verb} of closed file"))),
            (false, true, _) => Ok(()),
        }
    }

    /// Fills the empty buffer by one read. None where it would block, 0 at the end.
    fn fill(&mut self) -> Result<Option<usize>> {
        self.fill_with(self.size.clamp(1, 1 << 20))
    }

    fn fill_with(&mut self, size: usize) -> Result<Option<usize>> {
        let mut buffer = vec![0; size];
        let got = self.raw.read_into(&mut buffer)?;
        buffer.truncate(got.unwrap_or(0));
        self.ahead = buffer;
        Ok(got)
    }

    /// Reads so many bytes, or to the end. Fewer come at the end and where it would block; none where it would block at once.
    /// Without a buffer it is one read.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for writing, `OSError` after a read that timed out;
    /// `MemoryError`; those of [`Socket::recv`], after which what was read in this call is lost.
    pub fn read(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        self.begin_read("read")?;
        if let (0, Some(size)) = (self.size, size) {
            let mut buffer = room(size)?;
            let got = self.raw.read_into(&mut buffer)?;
            return Ok(got.map(|count| {
                buffer.truncate(count);
                buffer
            }));
        }
        self.gather(size)
    }

    fn gather(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        let wanted = size.unwrap_or(usize::MAX);
        let mut data = Vec::new();
        loop {
            let count = self.ahead.len().min(wanted.saturating_sub(data.len()));
            data.try_reserve(count).map_err(|_| no_memory())?;
            data.extend(self.ahead.drain(..count));
            if data.len() >= wanted {
                return Ok(Some(data));
            }
            match self.fill()? {
                Some(0) => return Ok(Some(data)),
                None if data.is_empty() => return Ok(None),
                None => return Ok(Some(data)),
                Some(_) => {}
            }
        }
    }

    /// Reads at most so many bytes by at most one read; what is in the buffer takes none. Nothing comes at the end, and where it
    /// would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); `UnsupportedOperation` on a file without a buffer.
    pub fn read1(&mut self, size: Option<usize>) -> Result<Vec<u8>> {
        self.begin_read("read1")?;
        if self.size == 0 {
            return Err(unsupported("read1"));
        }
        let size = size.unwrap_or(self.size);
        if self.ahead.is_empty() && size > 0 {
            self.fill()?;
        }
        Ok(self.ahead.drain(..size.min(self.ahead.len())).collect())
    }

    /// Reads into a buffer until it is full, the stream ends or it would block; without a buffer of its own by one read. None
    /// where it would block at once.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn readinto(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.begin_read("readinto")?;
        if self.size == 0 {
            return self.raw.read_into(buffer);
        }
        let Some(data) = self.gather(Some(buffer.len()))? else { return Ok(None) };
        if let Some(place) = buffer.get_mut(..data.len()) {
            place.copy_from_slice(&data);
        }
        Ok(Some(data.len()))
    }

    /// What is in the buffer, which one read fills if it is empty. Nothing is taken out.
    ///
    /// # Errors
    /// Those of [`read1`](Self::read1).
    pub fn peek(&mut self) -> Result<&[u8]> {
        self.begin_read("peek")?;
        if self.size == 0 {
            return Err(unsupported("peek"));
        }
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(&self.ahead)
    }

    /// Reads a line, its `\n` included, of at most so many bytes. Without it the stream has ended, or would block.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn readline(&mut self, limit: Option<usize>) -> Result<Vec<u8>> {
        self.begin_read("readline")?;
        let limit = limit.unwrap_or(usize::MAX);
        let mut line = Vec::new();
        while line.len() < limit {
            if self.ahead.is_empty() && matches!(self.fill()?, None | Some(0)) {
                break;
            }
            let newline = self.ahead.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let count = newline.unwrap_or(self.ahead.len()).min(limit - line.len());
            line.extend(self.ahead.drain(..count));
            if newline == Some(count) {
                break;
            }
        }
        Ok(line)
    }

    /// The lines that are left, as [`readline`](Self::readline) gives them; with a hint no more once they have more bytes.
    ///
    /// # Errors
    /// Those of [`readline`](Self::readline).
    pub fn readlines(&mut self, hint: Option<usize>) -> Result<Vec<Vec<u8>>> {
        lines(hint, || self.readline(None), Vec::len)
    }

    /// A verb of reading text begins.
    fn begin_text(&mut self) -> Result<()> {
        if self.text.is_none() {
            return Err(Error::text(ErrorKind::Type, "this file is of bytes"));
        }
        self.raw.socket()?;
        if !self.raw.reading {
            return Err(unsupported("not readable"));
        }
        self.flush_buffer()
    }

    /// Decodes bytes; none are the end.
    fn decode(&mut self, data: &[u8], last: bool) -> Result<String> {
        let Some(text) = &mut self.text else { return Ok(String::new()) };
        let decoded = text.decoder.decode(data, last)?;
        Ok(text.newline.read(decoded, &mut text.held, last))
    }

    /// The text of one more read, and whether the stream has ended.
    fn more_text(&mut self) -> Result<(String, bool)> {
        if self.ahead.is_empty() {
            // CPython: a text takes its pieces past the buffer, whose size does not matter then.
            self.fill_with(BUFFER)?;
        }
        let data = std::mem::take(&mut self.ahead);
        let ended = data.is_empty();
        Ok((self.decode(&data, ended)?, ended))
    }

    /// Takes out the text that was read ahead.
    fn take_text(&mut self) -> String {
        self.text.as_mut().map(|text| std::mem::take(&mut text.ahead)).unwrap_or_default()
    }

    /// Puts back what is behind the end of an answer.
    fn cut_text(&mut self, mut answer: String, end: usize) -> String {
        let rest = answer.split_off(end);
        if let Some(text) = &mut self.text {
            text.ahead = rest;
        }
        answer
    }

    /// Reads so many characters, or to the end.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for writing, `TypeError` on one of bytes, `OSError` after a
    /// read that timed out; `UnicodeDecodeError`; those of [`Socket::recv`], after which what this call had taken is lost.
    pub fn read_text(&mut self, size: Option<usize>) -> Result<String> {
        self.begin_text()?;
        let Some(size) = size else {
            let data = self.gather(None)?.unwrap_or_default();
            let rest = self.decode(&data, true)?;
            return Ok(self.take_text() + &rest);
        };
        let mut answer = self.take_text();
        loop {
            let end = answer.char_indices().map(|(at, _)| at).nth(size);
            if let Some(end) = end {
                return Ok(self.cut_text(answer, end));
            }
            if answer.chars().count() == size {
                return Ok(answer);
            }
            let (more, ended) = self.more_text()?;
            answer.push_str(&more);
            if ended {
                let end = answer.char_indices().map(|(at, _)| at).nth(size).unwrap_or(answer.len());
                return Ok(self.cut_text(answer, end));
            }
        }
    }

    /// Reads a line of text, its end included, of at most so many characters. Without its end the stream has ended.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readline_text(&mut self, limit: Option<usize>) -> Result<String> {
        self.begin_text()?;
        let newline = self.text.as_ref().map_or(Newline::Translated, |text| text.newline);
        let mut line = self.take_text();
        loop {
            let limit = limit.and_then(|limit| line.char_indices().map(|(at, _)| at).nth(limit));
            if let Some(end) = newline.end(&line).into_iter().chain(limit).min() {
                return Ok(self.cut_text(line, end));
            }
            let (more, ended) = self.more_text()?;
            line.push_str(&more);
            if ended {
                // What waited for what follows it is there now.
                let end = newline.end(&line).unwrap_or(line.len());
                return Ok(self.cut_text(line, end));
            }
        }
    }

    /// The lines of text that are left; with a hint no more once they have more characters.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn readlines_text(&mut self, hint: Option<usize>) -> Result<Vec<String>> {
        lines(hint, || self.readline_text(None), |line| line.chars().count())
    }

    /// A verb of writing begins.
    fn begin_write(&self) -> Result<()> {
        match (self.is_closed(), self.raw.writing, self.size) {
            (true, _, 0) => Err(value_error("I/O operation on closed file.")),
            (false, false, 0) => Err(unsupported("File or stream is not writable.")),
            (_, false, _) => Err(unsupported("write")),
            (true, true, _) => Err(value_error("write to closed file")),
            (false, true, _) => Ok(()),
        }
    }

    /// Writes bytes, and gives how many were taken: all of them into the buffer, or without a buffer what one send took, none
    /// where it would block.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for reading, `TypeError` on one of text;
    /// `BlockingIOError` where the buffer is full and its bytes would block; those of [`Socket::send`].
    pub fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        if self.text.is_some() {
            return Err(Error::text(ErrorKind::Type, "write() argument must be str, not bytes"));
        }
        self.begin_write()?;
        if self.size == 0 {
            return self.raw.write(data);
        }
        self.put(data).map(|()| Some(data.len()))
    }

    /// Puts bytes into the buffer, which is written when it is full.
    fn put(&mut self, data: &[u8]) -> Result<()> {
        if self.behind.len().saturating_add(data.len()) > self.size {
            self.flush_buffer()?;
        }
        self.behind.extend_from_slice(data);
        if self.behind.len() > self.size { self.flush_buffer() } else { Ok(()) }
    }

    /// Writes each of several pieces.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn writelines<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        for piece in pieces {
            let mut rest = piece;
            while let Some(count) = self.write(rest)? {
                rest = rest.get(count..).unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes text, and gives how many characters it has.
    ///
    /// # Errors
    /// `ValueError` on a closed file, `UnsupportedOperation` on one for reading, `TypeError` on one of bytes;
    /// `UnicodeEncodeError`; those of [`write`](Self::write).
    pub fn write_text(&mut self, text: &str) -> Result<usize> {
        let Some(Text { encoder, newline, .. }) = &mut self.text else {
            return Err(Error::text(ErrorKind::Type, "a bytes-like object is required, not 'str'"));
        };
        self.raw.socket()?;
        if !self.raw.writing {
            return Err(unsupported("not writable"));
        }
        let data = encoder.encode(&newline.write(text))?;
        self.put(&data)?;
        Ok(text.chars().count())
    }

    /// Sends what is in the buffer.
    ///
    /// # Errors
    /// `ValueError` on a closed file; `BlockingIOError` where it would block, and the rest stays; those of [`Socket::send`].
    pub fn flush(&mut self) -> Result<()> {
        if self.is_closed() {
            return Err(value_error(match (&self.text, self.raw.writing && self.size > 0) {
                (None, true) => "flush of closed file",
                _ => "I/O operation on closed file.",
            }));
        }
        self.flush_buffer()
    }

    fn flush_buffer(&mut self) -> Result<()> {
        while !self.behind.is_empty() {
            match self.raw.write(&self.behind)? {
                Some(count) => drop(self.behind.drain(..count.min(self.behind.len()))),
                None => {
                    return Err(
                        Error::from_errno(errno::EAGAIN).with_text("write could not complete without blocking".to_owned())
                    );
                }
            }
        }
        Ok(())
    }

    /// Sends what is in the buffer and closes the file; if the socket was closed and this is its last file, the descriptor too.
    /// On a closed file it does nothing. The file is closed whatever the result is.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush) and [`Socket::close`].
    pub fn close(&mut self) -> Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let flushed = self.flush_buffer();
        flushed.and(self.raw.close())
    }
}

/// Lines until there is none, or they are as long as the hint.
fn lines<T>(hint: Option<usize>, mut next: impl FnMut() -> Result<T>, length: impl Fn(&T) -> usize) -> Result<Vec<T>> {
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

fn no_memory() -> Error {
    Error::text(ErrorKind::Memory, "")
}

/// A buffer of zeros, if there is memory for it.
fn room(size: usize) -> Result<Vec<u8>> {
    // More than a host gives at once stays empty.
    let size = size.min(1 << 20);
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(size).map_err(|_| no_memory())?;
    buffer.resize(size, 0);
    Ok(buffer)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = self.close();
    }
}

impl fmt::Debug for SocketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketFile").field("mode", &self.mode).field("name", &self.name()).finish_non_exhaustive()
    }
}

/// For bytes. What would block is `WouldBlock`.
impl Read for SocketFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begin_read("read")?;
        if self.ahead.is_empty() && !buffer.is_empty() {
            self.fill()?.ok_or(io::ErrorKind::WouldBlock)?;
        }
        let count = buffer.len().min(self.ahead.len());
        for (place, byte) in buffer.iter_mut().zip(self.ahead.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

/// For bytes. What would block is `WouldBlock`.
impl Write for SocketFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(Self::write(self, data)?.ok_or(io::ErrorKind::WouldBlock)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(Self::flush(self)?)
    }
}
