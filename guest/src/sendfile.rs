//! Sending files. The kernel sends a file that the host has; a loop sends any other.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use crate::{
    Error, ErrorKind, Flags, Result, Socket,
    raw::files,
    timeout::{Timeout, Waiting},
};

/// The most that is asked for at once: Python's 1 GiB.
const BLOCK: u64 = 1 << 30;

/// How much of a file that is not the host's is sent at once: Python's 8 KiB.
const COPIED: usize = 8192;

/// A file of the host under a folder that the guest was given, open for reading, which the kernel
/// itself can send ([`Socket::sendfile`]).
///
/// It is [`Read`] and [`Seek`] too.
pub struct File(files::File);

impl File {
    /// Opens a regular file by the guest's name for it, in one of the folders that it was given
    /// (`--dir`).
    ///
    /// # Errors
    /// ENOENT if there is no such file or folder, EPERM where it lies outside of the folder, EISDIR
    /// for a folder, EINVAL for what is no regular file, EMFILE when there are too many.
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self(files::open(path)?))
    }

    /// The size in bytes.
    ///
    /// # Errors
    /// The errors of fstat(2).
    pub fn size(&self) -> Result<u64> {
        Ok(self.0.size()?)
    }

    /// Reads at most so many bytes at the position, and at most 1 MiB. None are the end.
    ///
    /// # Errors
    /// The errors of read(2).
    pub fn read(&self, size: usize) -> Result<Vec<u8>> {
        Ok(self.0.read(size as u64)?)
    }

    /// Moves the position to a byte from the beginning.
    ///
    /// # Errors
    /// EINVAL beyond 63 bits.
    pub fn seek(&self, position: u64) -> Result<()> {
        Ok(self.0.seek(position)?)
    }

    /// The position.
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
    /// Sends a file from an offset, so many bytes or to its end, by the kernel: its bytes never
    /// come into the guest. Returns how many were sent.
    ///
    /// The timeout holds for each piece. The file's position ends behind the last byte sent, after
    /// an error too, and stays if it was if none was sent. Python: `socket.sendfile(file, offset,
    /// count)`.
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
    /// `ValueError` on a socket that is no stream or whose timeout is 0, and for a count of 0;
    /// those of [`send`](Self::send). An interrupt tells the bytes sent ([`Error::progress`]).
    pub fn sendfile(&self, file: &File, offset: u64, count: Option<u64>) -> Result<u64> {
        self.sendfile_raw(&file.0, offset, count)
    }

    /// [`sendfile`](Self::sendfile) for a file as the raw layer has it: one that somebody else
    /// opened, and lends.
    ///
    /// # Errors
    /// Those of [`sendfile`](Self::sendfile).
    pub fn sendfile_raw(&self, file: &files::File, offset: u64, count: Option<u64>) -> Result<u64> {
        self.judge_sendfile(count)?;
        if file.size()? == 0 {
            return Ok(0);
        }
        self.judge_waiting()?;
        let mut waiting = Waiting::new(self.timeout());
        let result = loop {
            let left = count.map_or(BLOCK, |count| count.saturating_sub(waiting.done).min(BLOCK));
            if left == 0 {
                break Ok(());
            }
            let from = offset.saturating_add(waiting.done);
            match self.attempt(&mut waiting, |d, wait| files::send_file(d, file, from, left, wait))
            {
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

    /// [`sendfile`](Self::sendfile) for a file that is not the host's: it is read and sent in
    /// pieces of 8 KiB.
    ///
    /// # Errors
    /// Those of [`sendfile`](Self::sendfile), and what reading and seeking says.
    pub fn sendfile_from(
        &self,
        file: &mut (impl Read + Seek),
        offset: u64,
        count: Option<u64>,
    ) -> Result<u64> {
        self.judge_sendfile(count)?;
        self.judge_waiting()?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(of_file)?;
        }
        let mut total = 0;
        let result = self.send_pieces(file, count, &mut total);
        if total > 0 {
            file.seek(SeekFrom::Start(offset.saturating_add(total))).map_err(of_file)?;
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
                piece => file.read(piece).map_err(of_file)?,
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

    fn judge_sendfile(&self, count: Option<u64>) -> Result<()> {
        // CPython: the lowest bit, which SOCK_RAW and SOCK_SEQPACKET have too.
        if self.kind().0 & 1 == 0 {
            return Err(value_error("only SOCK_STREAM type sockets are supported"));
        }
        match count {
            Some(0) => Err(value_error("count must be a positive integer (got 0)")),
            _ => Ok(()),
        }
    }

    fn judge_waiting(&self) -> Result<()> {
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

/// What the file said.
fn of_file(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::text(ErrorKind::Os, error.to_string()),
    }
}
