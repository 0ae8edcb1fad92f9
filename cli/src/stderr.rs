//! Standard error: messages of this command, the log, and the output of observers.
//!
//! By default it is written directly. After [`share`] it is a [`SharedOutput`]: if its reader does not
//! read, lines are dropped and counted, and nobody waits.

use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use crate::output::SharedOutput;
use crate::terminal;
use crate::text::printable;

/// How long the command waits at its end for the readers of its outputs.
pub(crate) const LAST_LINES: Duration = Duration::from_secs(2);

static SHARED: OnceLock<SharedOutput> = OnceLock::new();

/// Makes standard error a [`SharedOutput`] for the rest of the process, opened by `open`.
///
/// # Errors
/// Standard error is closed, or the thread can't be started.
pub(crate) fn share(
    open: fn(BorrowedFd<'_>) -> io::Result<SharedOutput>,
) -> io::Result<SharedOutput> {
    let outlet = open(io::stderr().as_fd())?;
    Ok(SHARED.get_or_init(|| outlet).clone())
}

/// Waits until everything is written, at most until `until`.
pub(crate) fn finish(until: Instant) {
    if let Some(outlet) = SHARED.get() {
        report_lost(outlet);
        let _ = outlet.drain(until);
    }
}

fn report_lost(outlet: &SharedOutput) {
    let lost = outlet.take_lost();
    if lost > 0 {
        let _ = outlet.post(
            format!("sandsock: {lost} lines were lost here, because nobody read them in time\n")
                .as_bytes(),
        );
    }
}

/// Prints a message on one line. Errors are ignored: a closed standard error must not end the
/// command.
pub(crate) fn say(words: std::fmt::Arguments<'_>) {
    let _ = Stderr.write_all(format!("sandsock: {}\n", printable(&words.to_string())).as_bytes());
}

/// Writes to standard error, direct or shared. Each write is one record.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match SHARED.get() {
            None => {
                let _held = terminal::hold();
                io::stderr().write_all(record)?;
            }
            Some(outlet) => {
                report_lost(outlet);
                outlet.post(record)?;
            }
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines of the log, escaped: they may hold text of a guest or the name of a file.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = printable(text.strip_suffix('\n').unwrap_or(&text)) + "\n";
        Stderr.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
