//! The two streams of a TCP connection, as `wasi:io` has them.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::calls::wasi::connection::{Connection, Received, Stop, Taken};
use crate::calls::wasi::error::ErrorCode;
use crate::observe::StreamFunctions;
use crate::wait::background::{self, Background};
use crate::wait::polled::{Attempt, PolledWait};

/// The most bytes that one write takes. The host keeps the bytes that the kernel does not take yet.
const WRITE_MOST: usize = 64 * 1024;

/// How long the host goes on with what a guest has left. The peer may take nothing.
const LEFT_TIME: Duration = Duration::from_secs(10);

/// The functions of the streams, as observers know them.
pub(super) const FUNCTIONS: StreamFunctions =
    StreamFunctions { read: "[method]input-stream.read", write: "[method]output-stream.write" };

/// A failed operation, after which the stream is closed.
fn failed(errno: Errno) -> StreamError {
    StreamError::LastOperationFailed(ErrorCode::from(errno).into())
}

/// The socket's own hold on its streams, to shut them.
pub(super) struct Streams {
    receiver: Arc<Receiver>,
    sender: Arc<Sender>,
}

impl Streams {
    /// The streams of a connection, and the socket's hold on them.
    pub(super) fn new(connection: Arc<Connection>) -> (Self, TcpInput, TcpOutput) {
        let receiver = Arc::new(Receiver {
            connection: Arc::clone(&connection),
            ended: AtomicBool::new(false),
        });
        let sender = Arc::new(Sender { connection, state: Mutex::default() });
        let own = Self { receiver: Arc::clone(&receiver), sender: Arc::clone(&sender) };
        let wait = receiver.connection.polled_wait(PollFlags::IN);
        (own, TcpInput { receiver, wait }, TcpOutput(sender))
    }

    /// Ends one direction, or both. A second time it does nothing.
    pub(super) fn shutdown(&self, receive: bool, send: bool) {
        if receive {
            self.receiver.shutdown();
        }
        if send {
            self.sender.shutdown();
        }
    }
}

/// The receiving direction.
struct Receiver {
    connection: Arc<Connection>,
    /// Nothing more comes: the peer or the guest has ended the direction, or it failed.
    ended: AtomicBool,
}

impl Receiver {
    fn shutdown(&self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.connection.shutdown(libc::SHUT_RD);
        }
    }

    fn read(&self, size: usize) -> StreamResult<Bytes> {
        if self.ended.load(Ordering::Relaxed) {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        match self.attempt(size) {
            Attempt::Done(result) => result.unwrap_or_else(|errno| Err(failed(errno))),
            Attempt::Drained(result) => result,
            Attempt::NotReady | Attempt::Pause(_) => Ok(Bytes::new()),
        }
    }

    /// Makes one attempt to read, of a stream that has not ended.
    fn attempt(&self, size: usize) -> Attempt<StreamResult<Bytes>> {
        let error = match self.connection.receive(size) {
            Ok(Received { value, .. }) if value.is_empty() => StreamError::Closed,
            Ok(Received { value, is_drained: true }) => return Attempt::Drained(Ok(value.into())),
            Ok(Received { value, .. }) => return Attempt::Done(Ok(Ok(value.into()))),
            Err(Stop::Os(Errno::AGAIN)) => return Attempt::NotReady,
            Err(Stop::Held(time)) => return Attempt::Pause(time),
            Err(Stop::Os(errno)) => failed(errno),
        };
        self.ended.store(true, Ordering::Relaxed);
        Attempt::Done(Ok(Err(error)))
    }
}

/// The resource `input-stream` of a connection. Its drop ends the direction.
pub(super) struct TcpInput {
    receiver: Arc<Receiver>,
    wait: PolledWait,
}

impl Drop for TcpInput {
    fn drop(&mut self) {
        self.receiver.shutdown();
    }
}

#[async_trait]
impl Pollable for TcpInput {
    async fn ready(&mut self) {
        if !self.receiver.ended.load(Ordering::Relaxed) {
            let connection = &self.receiver.connection;
            // An interrupt ends the wait. The guest then finds nothing to read.
            let _ = connection.waits.during(connection.readable()).await;
        }
    }
}

#[async_trait]
impl InputStream for TcpInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.receiver.read(size)
    }

    /// Waits only if nothing is there. After an interrupt it returns no bytes.
    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let Self { receiver, wait } = self;
        let connection = &receiver.connection;
        if receiver.ended.load(Ordering::Relaxed) || size == 0 {
            if !receiver.ended.load(Ordering::Relaxed) {
                let _ = connection.waits.during(connection.readable()).await;
            }
            return receiver.read(0);
        }
        let handle = connection.handle();
        let own = (handle.fd(), &handle.registration);
        let mut waiting = None;
        let read = poll_fn(|cx| {
            let poll = wait.poll(cx, own, || {
                // Before the attempt, whose call reports it.
                waiting = None;
                receiver.attempt(size)
            });
            if poll.is_pending() && waiting.is_none() {
                waiting = connection.waits.begin();
            }
            poll
        });
        // EINTR at an interrupt, or the kernel's error if the socket can't be registered.
        match read.await {
            Ok(result) => result,
            Err(Errno::INTR) => Ok(Bytes::new()),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// The sending direction.
struct Sender {
    connection: Arc<Connection>,
    state: Mutex<SendState>,
}

#[derive(Default)]
struct SendState {
    /// The bytes that the last `check-write` allowed.
    permit: usize,
    /// The bytes that the kernel has not taken yet.
    rest: Bytes,
    /// The length of `rest` as the limit of buffers counts it.
    counted: usize,
    /// The kernel did not take all bytes of the last send.
    is_full: bool,
    /// An error that was not reported to the guest yet.
    error: Option<Errno>,
    /// The guest can't write any more.
    is_closed: bool,
    /// The sending side is shut down.
    is_shut: bool,
    /// Sends `rest` while the guest does something else.
    background: Option<Background>,
}

impl SendState {
    /// Returns the error that is still to be reported, or that the direction is closed.
    fn check(&mut self) -> StreamResult<()> {
        match self.error.take() {
            Some(Errno::PIPE) => Err(StreamError::Closed),
            Some(errno) => Err(failed(errno)),
            None if self.is_closed => Err(StreamError::Closed),
            None => Ok(()),
        }
    }

    /// Sends as much of `rest` as the kernel takes.
    fn send_rest(&mut self, connection: &Connection) {
        while !self.rest.is_empty() {
            match connection.send(&self.rest) {
                Ok(Taken { count, is_full }) => {
                    drop(self.rest.split_to(count));
                    if is_full {
                        self.is_full = true;
                        return;
                    }
                }
                Err(Stop::Held(_) | Stop::Os(Errno::AGAIN)) => {
                    self.is_full = true;
                    break;
                }
                Err(Stop::Os(errno)) => {
                    self.rest = Bytes::new();
                    if !self.is_closed {
                        self.error = Some(errno);
                        self.is_closed = true;
                    }
                }
            }
        }
        self.count(connection);
        if self.rest.is_empty() && self.is_closed {
            self.shut(connection);
        }
    }

    /// Counts `rest` against the limit of buffers.
    fn count(&mut self, connection: &Connection) {
        let now = self.rest.len();
        if now != self.counted {
            connection.holds(self.counted, now);
            self.counted = now;
        }
    }

    /// Gives up what was not sent, and ends the direction.
    fn give_up(&mut self, connection: &Connection) {
        self.rest = Bytes::new();
        self.count(connection);
        self.shut(connection);
    }

    fn shut(&mut self, connection: &Connection) {
        if !std::mem::replace(&mut self.is_shut, true) {
            connection.shutdown(libc::SHUT_WR);
        }
    }
}

impl Sender {
    fn state(&self) -> MutexGuard<'_, SendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shutdown(&self) {
        let state = &mut *self.state();
        state.is_closed = true;
        if state.rest.is_empty() {
            state.shut(&self.connection);
        }
    }

    fn check_write(&self) -> StreamResult<usize> {
        let state = &mut *self.state();
        state.check()?;
        if !state.rest.is_empty() {
            state.send_rest(&self.connection);
            state.check()?;
        }
        if !state.rest.is_empty() {
            return Ok(0);
        }
        if state.is_full {
            if !self.connection.is_writable() {
                return Ok(0);
            }
            state.is_full = false;
        }
        let most = WRITE_MOST.min(self.connection.transfer_limit);
        state.permit = self.connection.room(most);
        state.is_full = state.permit == 0;
        Ok(state.permit)
    }

    fn write(self: &Arc<Self>, bytes: Bytes) -> StreamResult<()> {
        let state = &mut *self.state();
        state.check()?;
        if bytes.len() > state.permit || !state.rest.is_empty() {
            return Err(StreamError::Trap(wasmtime::Error::msg(
                "a write of more bytes than check-write allowed",
            )));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        state.permit = 0;
        state.rest = bytes;
        state.send_rest(&self.connection);
        state.check()?;
        if !state.rest.is_empty() {
            state.background = background::spawn(Arc::clone(self).send_in_background());
        }
        Ok(())
    }

    async fn send_in_background(self: Arc<Self>) {
        while !self.state().rest.is_empty() {
            self.connection.writable_in_background().await;
            if !self.sends_more() {
                Connection::pause_in_background().await;
            }
        }
    }

    /// Sends what a guest has left that ended without closing the stream.
    async fn send_left(self: Arc<Self>) {
        let end = Instant::now() + LEFT_TIME;
        while !self.state().rest.is_empty() && Instant::now() < end {
            Connection::pause_in_background().await;
            self.sends_more();
        }
        self.state().give_up(&self.connection);
    }

    /// Sends more of `rest`, and returns whether that made progress. Under memory pressure the
    /// kernel takes nothing although poll(2) reports room.
    fn sends_more(&self) -> bool {
        let state = &mut *self.state();
        let before = state.rest.len();
        state.is_full = false;
        state.send_rest(&self.connection);
        state.rest.is_empty() || state.rest.len() < before
    }

    /// Waits until there is room, and sends more of `rest`. Without progress it waits longer, so
    /// that no caller's loop spins.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    async fn wait_for_room(&self) -> Result<(), Errno> {
        self.connection.writable().await?;
        if self.sends_more() { Ok(()) } else { self.connection.pause().await }
    }

    /// Whether `check-write` has something to say.
    fn is_ready(&self) -> bool {
        let state = &mut *self.state();
        if !state.rest.is_empty() {
            state.send_rest(&self.connection);
        }
        state.is_closed || (state.rest.is_empty() && !state.is_full)
    }

    /// Waits until `check-write` has something to say.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    async fn ready(&self) -> Result<(), Errno> {
        while !self.is_ready() {
            self.connection.waits.during(self.wait_for_room()).await?;
        }
        Ok(())
    }

    /// Waits until the kernel has all bytes that were written.
    async fn finish(&self) {
        while !self.state().rest.is_empty() {
            if self.connection.waits.during(self.wait_for_room()).await.is_err() {
                return;
            }
        }
    }
}

/// The resource `output-stream` of a connection. Its drop ends the direction.
pub(super) struct TcpOutput(Arc<Sender>);

impl Drop for TcpOutput {
    fn drop(&mut self) {
        let state = &mut *self.0.state();
        state.background = None;
        state.is_closed = true;
        // What is left now is left by a guest that has ended without closing the stream, or whose
        // wait was interrupted. The kernel sends what such a program leaves, and so does the host.
        if state.rest.is_empty() || !background::leave(Arc::clone(&self.0).send_left()) {
            state.give_up(&self.0.connection);
        }
    }
}

#[async_trait]
impl Pollable for TcpOutput {
    async fn ready(&mut self) {
        // An interrupt ends the wait. The guest then finds that it may write nothing.
        let _ = self.0.ready().await;
    }
}

#[async_trait]
impl OutputStream for TcpOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        // Every write is sent at once, or in the background.
        self.0.state().check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        loop {
            self.0.ready().await.map_err(failed)?;
            let permit = self.0.check_write()?;
            if permit > 0 {
                return Ok(permit);
            }
        }
    }

    /// Waits for the bytes that were written, so that a drop loses none.
    async fn cancel(&mut self) {
        self.0.finish().await;
    }
}
