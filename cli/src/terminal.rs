//! The terminal: questions to the person at it, and what a guest writes to it and reads from it
//! meanwhile.
//!
//! A question is asked through /dev/tty, whatever the guest's streams are. Under `--ask` the guest
//! must not be able to fake a question, to change what one says, or to answer it. So its output to
//! a terminal is made visible character by character, it waits while a question is open, and so
//! does the guest's input.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, tcflush, tcgetattr,
    tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::io::AsyncWriteExt as _;
use wasmtime_wasi::cli::{AsyncStdinStream, IsTerminal, StdinStream};
use wasmtime_wasi::p2::InputStream;

use crate::text::printable;

/// Ends what another program may have left the terminal in: an unfinished control string, colours,
/// a scroll region, another character set, a hidden cursor (DECSTR), the alternate screen, and
/// reports of the mouse, of focus and of pasted text.
const RESET: &str = "\x18\x1b\\\x1b[!p\x1b[0m\x1b(B\x0f\x1b[?7h\x1b[?25h\x1b[?1047l\x1b[?47l\
                     \x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\r\n";

/// The longest answer that is read, in bytes. The rest of a longer line is not read.
const ANSWER_MAX: usize = 64;

/// Held by whoever uses the terminal: a question, or a guest's output or input.
static IN_USE: Mutex<()> = Mutex::new(());

/// Waits until no question is open, and keeps questions away.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal that controls this process.
pub(crate) struct Terminal {
    tty: File,
    /// Gets a byte at each signal that ends a question. None if such a signal ends the process.
    interrupts: Option<PipeReader>,
    /// After such a signal no further question is asked.
    is_last: bool,
}

impl Terminal {
    /// Opens the terminal. None if there is none.
    pub(crate) fn open() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
        Some(Self { tty: tty.into(), interrupts: None, is_last: false })
    }

    /// Lets Ctrl-C end a question. Somebody else handles the signal.
    ///
    /// # Errors
    /// The signal can't be watched.
    pub(crate) fn watch_interrupts(&mut self) -> anyhow::Result<()> {
        self.watch(&[SIGINT])
    }

    /// Lets Ctrl-C and SIGTERM end a question, and all later ones. Somebody else handles the signals.
    ///
    /// # Errors
    /// A signal can't be watched.
    pub(crate) fn watch_end(&mut self) -> anyhow::Result<()> {
        self.is_last = true;
        self.watch(&[SIGINT, SIGTERM])
    }

    fn watch(&mut self, signals: &[c_int]) -> anyhow::Result<()> {
        const FAILED: &str = "can't watch for signals";
        let (reader, writer) = io::pipe().context(FAILED)?;
        rustix::io::ioctl_fionbio(&reader, true).context(FAILED)?;
        for signal in signals {
            let writer = writer.try_clone().context(FAILED)?;
            signal_hook::low_level::pipe::register(*signal, writer).context(FAILED)?;
        }
        self.interrupts = Some(reader);
        Ok(())
    }

    /// Asks a question, and returns the answer without its newline. None if there is no answer: the
    /// line was ended by Ctrl-C, by the end of the input, or is too long, this process is in the
    /// background, or a signal has ended it. What was typed before the question is discarded. The question's lines are
    /// printed as they are, so the caller has escaped what comes from a guest.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        let _held = hold();
        self.ask_alone(question).ok().flatten()
    }

    fn ask_alone(&self, question: &str) -> Result<Option<String>, Errno> {
        // man 2 TIOCSPGRP: a process in the background is stopped when it reads.
        if tcgetpgrp(&self.tty)? != getpgrp() || self.has_ended() {
            return Ok(None);
        }
        let before = tcgetattr(&self.tty)?;
        let mut usual = before.clone();
        usual.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        usual.local_modes -= LocalModes::NOFLSH;
        usual.input_modes |= InputModes::ICRNL;
        usual.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        // This waits until the output is written, and discards the input.
        tcsetattr(&self.tty, OptionalActions::Flush, &usual)?;
        // An answer to the last line counts, and nothing that was typed before it.
        let last = question.rfind('\n').map_or(0, |newline| newline + 1);
        let answer = self.write(&format!("{RESET}{}", &question[..last])).and_then(|()| {
            tcflush(&self.tty, QueueSelector::IFlush)?;
            self.write(&question[last..])?;
            self.read_line()
        });
        tcflush(&self.tty, QueueSelector::IFlush)?;
        tcsetattr(&self.tty, OptionalActions::Drain, &before)?;
        if !matches!(answer, Ok(Some(_))) {
            self.write("\n")?;
        }
        answer
    }

    fn write(&self, text: &str) -> Result<(), Errno> {
        let written = (&self.tty).write_all(text.as_bytes());
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Reads a line. None if there is none.
    fn read_line(&self) -> Result<Option<String>, Errno> {
        self.forget_interrupts();
        let mut line = Vec::new();
        loop {
            let mut fds = vec![PollFd::new(&self.tty, PollFlags::IN)];
            fds.extend(self.interrupts.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            if fds.get(1).is_some_and(|pipe| !pipe.revents().is_empty()) {
                return Ok(None);
            }
            if fds[0].revents().is_empty() {
                continue;
            }
            let mut bytes = [0; ANSWER_MAX];
            let count = rustix::io::read(&self.tty, &mut bytes)?;
            line.extend_from_slice(&bytes[..count]);
            match line.iter().position(|byte| *byte == b'\n') {
                Some(end) => return Ok(String::from_utf8(line[..end].to_vec()).ok()),
                // The input has ended, or the line is no answer.
                None if count == 0 || line.len() >= ANSWER_MAX => return Ok(None),
                None => {}
            }
        }
    }

    /// Returns whether a signal has ended the last question.
    fn has_ended(&self) -> bool {
        let Some(pipe) = self.interrupts.as_ref().filter(|_| self.is_last) else { return false };
        poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    }

    fn forget_interrupts(&self) {
        if let Some(mut pipe) = self.interrupts.as_ref().filter(|_| !self.is_last) {
            while pipe.read(&mut [0; 16]).is_ok_and(|count| count > 0) {}
        }
    }
}

/// Makes a guest's output visible: control characters, characters that are invisible or change the
/// direction of text, and bytes that are no UTF-8. Newlines and tabs stay.
#[derive(Default)]
pub(crate) struct Visible {
    /// The beginning of a character whose other bytes have not come yet.
    begun: Vec<u8>,
}

impl Visible {
    /// Returns how these bytes are shown.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut shown = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for piece in chunk.valid().split_inclusive(['\n', '\t']) {
                let text = piece.trim_end_matches(['\n', '\t']);
                shown.push_str(&printable(text));
                shown.push_str(&piece[text.len()..]);
            }
            if chunks.peek().is_none() && is_beginning(chunk.invalid()) {
                self.begun = chunk.invalid().to_vec();
            } else {
                shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
            }
        }
        shown.into_bytes()
    }
}

/// Returns whether more bytes can make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The terminal as a guest's standard input. A thread reads it while no question is open.
pub(crate) struct GuestInput(AsyncStdinStream);

/// The most bytes that are read before the guest wants them.
const READ_AHEAD: usize = 4096;

impl GuestInput {
    /// Starts to read standard input. None if it is no terminal.
    ///
    /// # Errors
    /// The thread or tokio can't be started.
    pub(crate) fn new() -> anyhow::Result<Option<Self>> {
        if !rustix::termios::isatty(io::stdin()) {
            return Ok(None);
        }
        let (reader, mut writer) = tokio::io::simplex(READ_AHEAD);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.context("can't start tokio")?;
        let pump = move || {
            let stdin = io::stdin();
            loop {
                if poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None).is_err() {
                    continue;
                }
                let held = hold();
                // A question may have taken the line.
                let mut now = [PollFd::new(&stdin, PollFlags::IN)];
                if poll(&mut now, Some(&Timespec::default())) != Ok(1) {
                    continue;
                }
                let mut bytes = [0; READ_AHEAD];
                let read = rustix::io::read(stdin.as_fd(), &mut bytes);
                drop(held);
                match read {
                    Ok(count @ 1..) => {
                        if runtime.block_on(writer.write_all(&bytes[..count])).is_err() {
                            return;
                        }
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    // man 3 termios: after Ctrl-D a read returns nothing.
                    Ok(_) | Err(_) => {
                        let _ = runtime.block_on(writer.shutdown());
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(pump)
            .context("can't read standard input")?;
        Ok(Some(Self(AsyncStdinStream::new(reader))))
    }
}

impl StdinStream for GuestInput {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        self.0.p2_stream()
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncRead + Send + Sync> {
        self.0.async_stream()
    }
}

impl IsTerminal for GuestInput {
    fn is_terminal(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(pieces: &[&[u8]]) -> String {
        let mut visible = Visible::default();
        let shown = pieces.iter().flat_map(|piece| visible.show(piece)).collect();
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn visible_shows_what_steers_a_terminal() {
        for (pieces, shown) in [
            (&[&b"plain \xc3\xbc\ttext\n"[..]][..], "plain ü\ttext\n"),
            (&[b"\x1b[2J\x1b]0;title\x07"], "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            // C1 controls as one byte, as UTF-8, and in two pieces.
            (&[b"\x9b2J"], "\\x9b2J"),
            (&[b"\xc2\x9b2J"], "\\u{9b}2J"),
            (&[b"\xc2", b"\x9b2J"], "\\u{9b}2J"),
            (&[b"a\xe2\x80", b"\xaeb"], "a\\u{202e}b"),
            (&[b"over\rwritten\x08"], "over\\rwritten\\u{8}"),
            (&[b"\xff\xfe", b"x"], "\\xff\\xfex"),
            (&[b"\xc3", b"\xc3\xbc"], "\\xc3ü"),
        ] {
            assert_eq!(show(pieces), shown);
        }
    }
}
