//! A socket as a raw file, CPython's `SocketIO`. Each call makes one system call.

use sandsock_abi::errno;

use super::{closed_file, no_memory, unsupported, value_error};
use crate::{Error, ErrorKind, Flags, Result, Socket};

/// The most bytes that one read asks for if it has to allocate the room. A host returns no more in
/// one call by default.
pub(super) const AT_ONCE: usize = 1 << 20;

/// The size of each system call of a read to the end, for every buffer size. CPython:
/// `RawIOBase.readall`.
const READ_ALL: usize = 8192;

/// A socket as a raw file.
///
/// Reads and writes return None if they would block.
pub(super) struct Raw {
    /// None after `close`.
    socket: Option<Socket>,
    reading: bool,
    writing: bool,
    /// Whether a read has timed out. CPython: every later read fails, because bytes may have been
    /// lost.
    timed_out: bool,
}

impl Raw {
    pub(super) const fn new(socket: Socket, reading: bool, writing: bool) -> Self {
        Self { socket: Some(socket), reading, writing, timed_out: false }
    }

    /// The socket of an open file.
    pub(super) fn socket(&self) -> Result<&Socket> {
        self.socket.as_ref().ok_or_else(closed_file)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.socket.is_none()
    }

    pub(super) fn name(&self) -> i32 {
        self.socket.as_ref().map_or(-1, Socket::fileno)
    }

    /// The mode of a raw file. CPython: `SocketIO.mode`.
    pub(super) const fn mode(reading: bool, writing: bool) -> &'static str {
        match (reading, writing) {
            (true, true) => "rwb",
            (false, true) => "wb",
            (_, false) => "rb",
        }
    }

    fn open(&self) -> Result<()> {
        if self.is_closed() { Err(value_error("I/O operation on closed socket.")) } else { Ok(()) }
    }

    /// See [`mode`](Self::mode).
    pub(super) const fn own_mode(&self) -> &'static str {
        Self::mode(self.reading, self.writing)
    }

    pub(super) fn readable(&self) -> Result<bool> {
        self.open().map(|()| self.reading)
    }

    pub(super) fn writable(&self) -> Result<bool> {
        self.open().map(|()| self.writing)
    }

    pub(super) fn seekable(&self) -> Result<bool> {
        self.open().map(|()| false)
    }

    /// Reads into a buffer. Returns 0 at the end, and for an empty datagram.
    pub(super) fn readinto(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
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

    /// Reads at most `length` bytes to the end of `data`.
    pub(super) fn read_onto(&mut self, data: &mut Vec<u8>, length: usize) -> Result<Option<usize>> {
        let (start, length) = (data.len(), length.min(AT_ONCE));
        data.try_reserve(length).map_err(no_memory)?;
        data.resize(start + length, 0);
        let got = self.readinto(data.get_mut(start..).unwrap_or_default());
        data.truncate(start + got.as_ref().map_or(0, |got| got.unwrap_or(0)));
        got
    }

    /// Reads at most `size` bytes, or to the end.
    pub(super) fn read(&mut self, size: Option<usize>) -> Result<Option<Vec<u8>>> {
        let Some(size) = size else { return self.read_all() };
        let mut data = Vec::new();
        Ok(self.read_onto(&mut data, size)?.map(|_| data))
    }

    /// Reads to the end, or until a read would block.
    pub(super) fn read_all(&mut self) -> Result<Option<Vec<u8>>> {
        let mut data = Vec::new();
        loop {
            match self.read_onto(&mut data, READ_ALL)? {
                Some(0) => return Ok(Some(data)),
                Some(_) => {}
                None => return Ok((!data.is_empty()).then_some(data)),
            }
        }
    }

    /// Writes some of the bytes.
    pub(super) fn write(&self, data: &[u8]) -> Result<Option<usize>> {
        let socket = self.socket()?;
        if !self.writing {
            return Err(unsupported("File or stream is not writable."));
        }
        unless_blocked(socket.send(data, Flags::NONE).map(|count| count.min(data.len())))
    }

    pub(super) fn close(&mut self) -> Result<()> {
        self.socket.take().map_or(Ok(()), |socket| socket.release_file())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A drop can't return the error.
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
