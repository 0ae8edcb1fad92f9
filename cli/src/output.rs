//! Outputs that many guests share. Each output has a buffer and a thread, so that a reader that
//! does not read blocks no worker. If the buffer is full, a guest waits for room, and a record of
//! an observer or of the command is dropped and counted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal as IsGuestTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::terminal::{self, Visible};

/// The size of a buffer in bytes. A record or a guest's write that begins below it still fits.
const ROOM: usize = 1 << 20;

/// The most bytes of a buffer, even if many guests write at the same moment.
const MOST: usize = 16 << 20;

/// The most bytes that a guest may write at a time.
const PERMIT: usize = 8 * 1024;

/// How long the end of the command waits for a reader that takes nothing.
const READER: Duration = Duration::from_millis(500);

/// The most bytes of one write(2): the capacity of a pipe, so that progress can be seen.
const PIECE: usize = 64 * 1024;

/// An output. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedOutput(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when something has been written, or writing has failed.
    written: Condvar,
    /// The output is a regular file, which never waits for a reader: records wait for room in place
    /// of being dropped.
    patient: bool,
    terminal: bool,
    /// What is written is made visible, and waits while a question is open at the terminal.
    guarded: bool,
}

#[derive(Default)]
struct State {
    /// The bytes that the thread has not taken yet.
    buffer: Vec<u8>,
    /// The number of bytes that are not written yet, in the buffer and in the thread's hands.
    length: usize,
    /// Why writing has failed. Nothing is written after that.
    failed: Option<io::ErrorKind>,
    /// The streams of guests that wait for room, by number.
    waiting: HashMap<u64, Waker>,
    streams: u64,
    /// The number of records that were dropped.
    lost: u64,
}

impl State {
    fn has_room(&self) -> bool {
        self.failed.is_some() || self.length < ROOM
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.length < MOST {
            self.buffer.extend_from_slice(bytes);
            self.length += bytes.len();
        } else {
            self.lost += 1;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        condition.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the thread that writes, until writing fails.
    fn write_on(&self, mut to: File) {
        let mut piece = Vec::new();
        let mut visible = Visible::default();
        loop {
            {
                let mut state = self.state();
                while state.buffer.is_empty() {
                    state = self.wait(&self.filled, state);
                }
                std::mem::swap(&mut piece, &mut state.buffer);
            }
            for piece in piece.chunks(PIECE) {
                let result = if self.guarded {
                    let shown = visible.show(piece);
                    let _held = terminal::hold();
                    write_whole(&mut to, &shown)
                } else {
                    write_whole(&mut to, piece)
                };
                let mut state = self.state();
                state.length -= piece.len();
                if let Err(error) = &result {
                    state.failed = Some(error.kind());
                    state.length = 0;
                    state.buffer = Vec::new();
                }
                let woken = if state.has_room() {
                    std::mem::take(&mut state.waiting)
                } else {
                    HashMap::new()
                };
                drop(state);
                self.written.notify_all();
                woken.into_values().for_each(Waker::wake);
                if result.is_err() {
                    return;
                }
            }
            piece.clear();
        }
    }
}

/// Writes all bytes, even if another process has set O_NONBLOCK on the shared description.
fn write_whole(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl SharedOutput {
    /// Makes an output of a file, and starts its thread.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn new(to: File) -> io::Result<Self> {
        Self::start(to, false)
    }

    fn start(to: File, guarded: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            patient: to.metadata().is_ok_and(|there| there.is_file()),
            terminal: to.is_terminal(),
            guarded,
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("output".to_owned()).spawn(move || writer.write_on(to))?;
        Ok(Self(shared))
    }

    /// Makes an output of a duplicate of this descriptor.
    ///
    /// # Errors
    /// The descriptor is not open, or the thread can't be started.
    pub(crate) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        Self::new(File::from(descriptor.try_clone_to_owned()?))
    }

    /// As [`of`](Self::of), for a guest whose missing grants are asked about. If the output is a
    /// terminal, control characters are made visible, and nothing is written while a question is
    /// open.
    ///
    /// # Errors
    /// The descriptor is not open, or the thread can't be started.
    pub(crate) fn guarded(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let to = File::from(descriptor.try_clone_to_owned()?);
        let is_terminal = to.is_terminal();
        Self::start(to, is_terminal)
    }

    /// Writes a whole record. If there is no room, waits if the output is a regular file, and drops
    /// the record if not.
    ///
    /// # Errors
    /// Writing has failed before.
    pub(crate) fn post(&self, record: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        while self.0.patient && !state.has_room() {
            state = self.0.wait(&self.0.written, state);
        }
        match state.failed {
            Some(failed) => return Err(failed.into()),
            None if state.has_room() => state.push(record),
            None => state.lost += 1,
        }
        self.0.filled.notify_one();
        Ok(())
    }

    /// Returns and resets the number of dropped records, if there is room to report it. Otherwise
    /// returns 0.
    pub(crate) fn take_lost(&self) -> u64 {
        let mut state = self.0.state();
        if state.failed.is_none() && state.has_room() { std::mem::take(&mut state.lost) } else { 0 }
    }

    /// Waits until everything is written. Gives up at `until`, or if the reader takes nothing for
    /// half a second.
    ///
    /// # Errors
    /// Writing has failed.
    pub(crate) fn drain(&self, until: Instant) -> io::Result<()> {
        let mut state = self.0.state();
        while state.length > 0 {
            let left = until.saturating_duration_since(Instant::now());
            let length = state.length;
            let waited = self.0.written.wait_timeout(state, left.min(READER));
            let (later, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = later;
            if left.is_zero() || timeout.timed_out() && state.length >= length {
                break;
            }
        }
        state.failed.map_or(Ok(()), |failed| Err(failed.into()))
    }

    fn stream(&self) -> Stream {
        let mut state = self.0.state();
        state.streams += 1;
        Stream { outlet: self.clone(), number: state.streams, permit: 0 }
    }
}

impl IsGuestTerminal for SharedOutput {
    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

impl StdoutStream for SharedOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.stream())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.stream())
    }
}

/// A guest's stream to an output, for WASI 0.2 and 0.3. While there is no room the guest waits on
/// its fiber.
struct Stream {
    outlet: SharedOutput,
    number: u64,
    /// The bytes that the last check-write allowed and that are not written yet.
    permit: usize,
}

impl Stream {
    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<(), io::ErrorKind>> {
        let mut state = self.outlet.0.state();
        match state.failed {
            Some(failed) => Poll::Ready(Err(failed)),
            None if state.has_room() => Poll::Ready(Ok(())),
            None => {
                state.waiting.insert(self.number, context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn push(&self, bytes: &[u8]) {
        self.outlet.0.state().push(bytes);
        self.outlet.0.filled.notify_one();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outlet.0.state().waiting.remove(&self.number);
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        let _ = std::future::poll_fn(|context| self.poll_room(context)).await;
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.permit = match self.permit.checked_sub(bytes.len()) {
            Some(permit) => permit,
            None => return Err(StreamError::trap("more is written than check-write allowed")),
        };
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.outlet.0.state();
        self.permit = match state.failed {
            Some(io::ErrorKind::BrokenPipe) => return Err(StreamError::Closed),
            Some(failed) => {
                return Err(StreamError::LastOperationFailed(io::Error::from(failed).into()));
            }
            None if state.has_room() => PERMIT,
            None => 0,
        };
        Ok(self.permit)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_room(context).map(|room| {
            room?;
            let bytes = &bytes[..bytes.len().min(PERMIT)];
            self.push(bytes);
            Ok(bytes.len())
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn pipe() -> (io::PipeReader, SharedOutput) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, SharedOutput::new(File::from(std::os::fd::OwnedFd::from(writer))).unwrap())
    }

    #[test]
    fn outlet_loses_whole_records_and_counts_them() {
        let (mut reader, outlet) = pipe();
        let record = [b'x'; 1000];
        let all = 3 * ROOM / record.len();
        (0..all).for_each(|_| outlet.post(&record).unwrap());
        let lost = outlet.0.state().lost as usize;
        assert!(lost > 0 && lost < all, "{lost} of {all}");
        // There is no reader yet: the wait is short.
        let start = Instant::now();
        outlet.drain(start + 20 * READER).unwrap();
        assert!(start.elapsed() < 10 * READER, "{:?}", start.elapsed());
        let mut read = vec![0; (all - lost) * record.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(outlet.take_lost() as usize, lost);
        outlet.post(b"again").unwrap();
        outlet.drain(Instant::now() + 20 * READER).unwrap();
        read.resize(5, 0);
        reader.read_exact(&mut read).unwrap();
        assert_eq!((read.as_slice(), outlet.take_lost()), (&b"again"[..], 0));
    }

    #[test]
    fn outlet_has_guests_wait_for_room() {
        let (mut reader, outlet) = pipe();
        let (mut one, mut other) = (outlet.stream(), outlet.stream());
        assert!(one.write(Bytes::from_static(b"x")).is_err(), "nobody allowed it");
        let mut count = 0;
        while let Ok(room @ 1..) = one.check_write() {
            one.write(vec![7; room].into()).unwrap();
            count += room;
            assert!(count < MOST);
        }
        assert_eq!(other.check_write().unwrap(), 0);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut other).poll_write(&mut context, b"x").is_pending());
        assert_eq!(outlet.0.state().waiting.len(), 1);
        let mut read = vec![0; count];
        reader.read_exact(&mut read).unwrap();
        outlet.drain(Instant::now() + 20 * READER).unwrap();
        assert!(read.iter().all(|byte| *byte == 7) && outlet.0.state().waiting.is_empty());
        assert!(matches!(Pin::new(&mut other).poll_write(&mut context, b"x"), Poll::Ready(Ok(1))));
        // The reader is gone: the guest gets EPIPE.
        drop(reader);
        for _ in 0..1000 {
            if matches!(one.check_write(), Err(StreamError::Closed)) {
                assert!(outlet.post(b"lost").is_err());
                return;
            }
            let _ = one.write(Bytes::from_static(b"x"));
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the end of the reader is not seen");
    }
}
