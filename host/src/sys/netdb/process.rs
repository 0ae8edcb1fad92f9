//! A process that looks names up, so that the asking process needs no sockets, files and libraries
//! for it.
//!
//! A question is one message, with the writing end of a pipe for its answer. So several questions
//! can be open at once, and a process that has ended closes the pipes of all of them. The process
//! ends when the other end of its socket is closed.
#![allow(unsafe_code, reason = "fork(2), signal(2) and close_range(2) have no safe wrapper")]

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, setsid, waitpid};

use super::question::{Ask, Question, ResolverError};

/// The longest question in bytes. Names have at most 253 characters.
const QUESTION_MAX: usize = 8 << 10;

/// The longest answer in bytes. glibc's largest entry is 1 MiB.
const ANSWER_MAX: u64 = 16 << 20;

/// The most questions at once. The pools of threads that ask allow fewer.
const MOST: usize = 1024;

/// What the process sends when it is ready. Any other text is its error.
const READY: &[u8] = b"ready";

/// A process that looks names up for contexts. It ends with this value, and with this process.
///
/// An embedder who restricts the own process starts it first
/// ([`SandsockCtxBuilder::look_up_in`](crate::SandsockCtxBuilder::look_up_in)): look-ups open
/// sockets and files, and may load libraries (man 5 nsswitch.conf).
#[derive(Debug)]
pub struct LookUpProcess {
    requests: Option<OwnedFd>,
    process: Pid,
    /// Whether its end was reported.
    reported: AtomicBool,
}

impl LookUpProcess {
    /// Starts the process as a copy of this one, which must have one thread. `prepare` runs there
    /// before the first question, for example to restrict it.
    ///
    /// # Errors
    ///
    /// There are more threads, no process or descriptor is free, or `prepare` failed.
    pub fn start(prepare: impl FnOnce() -> Result<(), String>) -> io::Result<Self> {
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let Some(process) = fork()? else { child(&other, prepare) };
        drop(other);
        let mut text = [0; 1024];
        // A process that ended sends nothing.
        let length = recv(&own, &mut text, RecvFlags::empty())?.1;
        let started = Self { requests: Some(own), process, reported: AtomicBool::new(false) };
        match text.get(..length) {
            Some(READY) => Ok(started),
            Some(b"") | None => Err(io::Error::other("the process ended")),
            Some(error) => Err(io::Error::other(String::from_utf8_lossy(error).into_owned())),
        }
    }

    /// Returns the number of the process.
    pub fn id(&self) -> u32 {
        self.process.as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<Q: Ask>(&self, question: Q) -> Result<Q::Found, ResolverError> {
        let sent = self.exchange(&question.into()).map_err(ResolverError::System)?;
        let found = sent.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        found.unwrap_or_else(|| {
            if !self.reported.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "a look-up got no answer; if their process has ended, all look-ups fail"
                );
            }
            Err(Q::NOBODY)
        })
    }

    /// Sends a question and reads its answer. None if the process has ended.
    fn exchange(&self, question: &Question) -> Result<Option<Vec<u8>>, Errno> {
        let Some(requests) = &self.requests else { return Ok(None) };
        let bytes = serde_json::to_vec(question).map_err(|_| Errno::INVAL)?;
        if bytes.len() > QUESTION_MAX {
            return Err(Errno::MSGSIZE);
        }
        let (answer, give) = pipe_with(PipeFlags::CLOEXEC)?;
        let given = [give.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&given));
        let parts = [IoSlice::new(&bytes)];
        match sendmsg(requests, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Ok(None),
            Err(errno) => return Err(errno),
        }
        drop(give);
        let mut bytes = Vec::new();
        let read = File::from(answer).take(ANSWER_MAX).read_to_end(&mut bytes);
        Ok(read.is_ok().then_some(bytes))
    }
}

impl Drop for LookUpProcess {
    fn drop(&mut self) {
        drop(self.requests.take());
        // A process that restricted itself may send no signal. The other process then ends by
        // itself, and init takes it over.
        let options = match kill_process(self.process, Signal::KILL) {
            Ok(()) => WaitOptions::empty(),
            Err(_) => WaitOptions::NOHANG,
        };
        let _ = waitpid(Some(self.process), options);
    }
}

/// fork(2) of a process with one thread. None in the new process.
fn fork() -> io::Result<Option<Pid>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        let text = format!("this process has {threads} threads already, and must have one");
        return Err(io::Error::other(text));
    }
    // SAFETY: no other thread can hold a lock or be in the middle of a change, because there is
    // none. So the copy is whole, and may do all that this process may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        number => Ok(Pid::from_raw(number)),
    }
}

/// The life of the process. It never returns to the code of its parent.
fn child(requests: &OwnedFd, prepare: impl FnOnce() -> Result<(), String>) -> ! {
    let life = AssertUnwindSafe(|| {
        let requests = alone(requests.as_fd())?;
        let ready = prepare();
        let text = ready.as_ref().map_or_else(|error| error.as_bytes(), |()| READY);
        send(&requests, &text[..text.len().min(1000)], SendFlags::NOSIGNAL)?;
        if ready.is_ok() { answer_all(&requests) } else { Ok(()) }
    });
    let _ = catch_unwind(life);
    // SAFETY: it ends the process without the parent's handlers and buffers.
    unsafe { libc::_exit(0) }
}

/// Parts the process from the parent's terminal, signals and descriptors, all but one.
fn alone(requests: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Ctrl-C and a service manager's SIGTERM are for the parent, which may go on for a while.
    setsid()?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE, libc::SIGQUIT] {
        // SAFETY: SIG_IGN is no function.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    rustix::thread::set_name(c"sandsock-names")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    let own = rustix::io::fcntl_dupfd_cloexec(requests, 3)?;
    let number = own.as_raw_fd().unsigned_abs();
    for (first, last) in [(3, number - 1), (number + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: the descriptors belong to values of the parent's code, which never runs here
            // again.
            if unsafe { libc::close_range(first, last, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(own)
}

/// Answers questions, each on a thread of its own, until nobody can ask any more.
fn answer_all(requests: &OwnedFd) -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut bytes = vec![0; QUESTION_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let length = match recvmsg(requests, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received.bytes,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if length == 0 {
            return Ok(());
        }
        bytes.truncate(length);
        let mut to = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                to = descriptors.into_iter().next();
            }
        }
        let Some(to) = to.map(File::from) else { continue };
        if open.fetch_add(1, Ordering::Relaxed) >= MOST {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let place = Place(Arc::clone(&open));
        let answer = move || {
            let _place = place;
            let mut to = to;
            if let Ok(question) = serde_json::from_slice::<Question>(&bytes)
                && let Ok(reply) = question.reply()
            {
                // The asking thread may be gone.
                let _ = to.write_all(&reply);
            }
        };
        // Without a thread, the pipe is closed and the question fails.
        let _ = std::thread::Builder::new().spawn(answer);
    }
}

/// Counts an open question.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
