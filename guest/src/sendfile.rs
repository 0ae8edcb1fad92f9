//! Sends files. The kernel sends a file of the host, and a loop sends any other.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use sandsock_abi::constants::POLLOUT;

use crate::{
    Error, ErrorKind, Flags, Result, Socket,
    raw::files,
    timeout::{Timeout, Waiting},
};

/// The most bytes of one call: Python's 1 GiB.
const BLOCK: u64 = 1 << 30;

/// The size of the pieces of a file that is not the host's: Python's 8 KiB.
const COPIED: usize = 8192;

/// A file of the host in a folder that the guest was given, open for reading. The kernel can send
/// it ([`Socket::sendfile`]).
///
/// It implements [`Read`] and [`Seek`].
pub struct File(files::File);

impl File {
    /// Opens a regular file by the guest's name for it, in one of the guest's folders (`--dir`).
    ///
    /// # Errors
    /// ENOENT if there is no such file or folder, EPERM if it is outside of the folder, EISDIR for
    /// a folder, EINVAL for a file that is not regular, EMFILE if there are too many.
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self(files::open(path)?))
    }

    /// Returns the size in bytes.
    ///
    /// # Errors
    /// The errors of fstat(2).
    pub fn size(&self) -> Result<u64> {
        Ok(self.0.size()?)
    }

    /// Reads at most `size` bytes at the position, and at most 1 MiB. Returns no bytes at the end.
    ///
    /// # Errors
    /// The errors of read(2).
    pub fn read(&self, size: usize) -> Result<Vec<u8>> {
        Ok(self.0.read(size as u64)?)
    }

    /// Sets the position, counted from the beginning.
    ///
    /// # Errors
    /// EINVAL beyond 63 bits.
    pub fn seek(&self, position: u64) -> Result<()> {
        Ok(self.0.seek(position)?)
    }

    /// Returns the position.
    ///
    /// # Errors
    /// The errors of the host.
    pub fn tell(&self) -> Result<u64> {
        Ok(self.0.position()?)
    }
}

impl From<files::File> for File {
    fn from(file: files::File) -> Self {
        Self(file)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let data = Self::read(self, buffer.len())?;
        for (place, byte) in buffer.iter_mut().zip(&data) {
            *place = *byte;
        }
        Ok(data.len())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(by) => (self.tell()?, by),
            SeekFrom::End(by) => (self.size()?, by),
        };
        let position = base.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Self::seek(self, position)?;
        Ok(position)
    }
}

impl Socket {
    /// Sends a file from an offset: `count` bytes, or all to its end. The kernel does it, and the
    /// bytes never enter the guest. On a socket with a session of TLS, the host encrypts them. Returns
    /// how many bytes were sent.
    ///
    /// The timeout limits each piece. Afterwards the file's position is behind the last byte sent,
    /// also if the call fails. If no byte was sent, the position stays. Python:
    /// `socket.sendfile(file, offset, count)`.
    ///
    /// ```no_run
    /// use sandsock::{File, Socket, constants::*};
    ///
    /// # let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    /// let sent = socket.sendfile(&File::open("/data/page.html")?, 0, None)?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// `ValueError` on a socket that is not a stream or whose timeout is 0, and for a count of 0;
    /// those of [`send`](Self::send). The error of an interrupt has the number of bytes sent
    /// ([`Error::progress`]).
    pub fn sendfile(&self, file: &File, offset: u64, count: Option<u64>) -> Result<u64> {
        self.sendfile_raw(&file.0, offset, count)
    }

    /// Sends as [`sendfile`](Self::sendfile) does, for a file of the raw layer, which another
    /// component can open and lend.
    ///
    /// # Errors
    /// Those of [`sendfile`](Self::sendfile).
    pub fn sendfile_raw(&self, file: &files::File, offset: u64, count: Option<u64>) -> Result<u64> {
        self.check_sendfile(count)?;
        if file.size()? == 0 {
            return Ok(0);
        }
        self.check_waiting()?;
        let mut waiting = Waiting::new(self.timeout());
        let result = loop {
            let left = count.map_or(BLOCK, |count| count.saturating_sub(waiting.done).min(BLOCK));
            if left == 0 {
                break Ok(());
            }
            let from = offset.saturating_add(waiting.done);
            match self.attempt(&mut waiting, (POLLOUT, Flags::NONE), |d, wait| {
                files::send_file(d, file, from, left, wait)
            }) {
                Ok(0) => break Ok(()),
                Ok(sent) => waiting.next_piece(sent),
                Err(error) => break Err(error),
            }
        };
        if waiting.done > 0 {
            file.seek(offset.saturating_add(waiting.done))?;
        }
        result.map(|()| waiting.done)
    }

    /// Sends as [`sendfile`](Self::sendfile) does, for a file that is not the host's. It reads and
    /// sends pieces of 8 KiB.
    ///
    /// # Errors
    /// Those of [`sendfile`](Self::sendfile), and the file's errors of reading and seeking.
    pub fn sendfile_from(
        &self,
        file: &mut (impl Read + Seek),
        offset: u64,
        count: Option<u64>,
    ) -> Result<u64> {
        self.check_sendfile(count)?;
        self.check_waiting()?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(file_error)?;
        }
        let mut total = 0;
        let result = self.send_pieces(file, count, &mut total);
        if total > 0 {
            file.seek(SeekFrom::Start(offset.saturating_add(total))).map_err(file_error)?;
        }
        result.map(|()| total)
    }

    fn send_pieces(&self, file: &mut impl Read, count: Option<u64>, total: &mut u64) -> Result<()> {
        let mut buffer = [0; COPIED];
        loop {
            let left = count.map_or(u64::MAX, |count| count.saturating_sub(*total));
            let size = usize::try_from(left).unwrap_or(COPIED).min(COPIED);
            let piece = buffer.get_mut(..size).unwrap_or_default();
            let length = match piece {
                [] => 0,
                piece => file.read(piece).map_err(file_error)?,
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while !rest.is_empty() {
                let sent = self.send(rest, Flags::NONE)?;
                *total = total.saturating_add(sent as u64);
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
    }

    fn check_sendfile(&self, count: Option<u64>) -> Result<()> {
        // CPython checks the lowest bit, which SOCK_RAW and SOCK_SEQPACKET have too.
        if self.kind().0 & 1 == 0 {
            return Err(value_error("only SOCK_STREAM type sockets are supported"));
        }
        match count {
            Some(0) => Err(value_error("count must be a positive integer (got 0)")),
            _ => Ok(()),
        }
    }

    fn check_waiting(&self) -> Result<()> {
        if self.timeout() == Timeout::ZERO {
            Err(value_error("non-blocking sockets are not supported"))
        } else {
            Ok(())
        }
    }
}

fn value_error(text: &'static str) -> Error {
    Error::text(ErrorKind::Value, text)
}

/// Converts an error of the file.
fn file_error(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::text(ErrorKind::Os, error.to_string()),
    }
}
