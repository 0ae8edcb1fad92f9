//! Standard error: messages of this command, the log, and the output of observers.
//!
//! By default it is written directly. After [`share`] it is an [`Outlet`]: if its reader does not
//! read, lines are dropped and counted, and nobody waits.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::time::Instant;

use tracing_subscriber::fmt::MakeWriter;

use super::outlet::Outlet;
use super::text::printable;

static SHARED: OnceLock<Outlet> = OnceLock::new();

/// Makes standard error an [`Outlet`] for the rest of the process.
///
/// # Errors
/// Standard error is closed, or the thread can't be started.
pub(super) fn share() -> io::Result<Outlet> {
    let outlet = Outlet::of(io::stderr().as_fd())?;
    Ok(SHARED.get_or_init(|| outlet).clone())
}

/// Waits until everything is written, at most until `until`.
pub(super) fn finish(until: Instant) {
    if let Some(outlet) = SHARED.get() {
        tell_lost(outlet);
        let _ = outlet.drain(until);
    }
}

fn tell_lost(outlet: &Outlet) {
    let lost = outlet.take_lost();
    if lost > 0 {
        let _ = outlet.post(
            format!("sandsock: {lost} lines were lost here: nobody read them in time\n").as_bytes(),
        );
    }
}

/// Prints a message on one line. Errors are ignored: a closed standard error must not end the
/// command.
pub(super) fn say(words: std::fmt::Arguments<'_>) {
    let _ = Stderr.write_all(format!("sandsock: {}\n", printable(&words.to_string())).as_bytes());
}

/// Writes to standard error, direct or shared. Each write is one record.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match SHARED.get() {
            None => io::stderr().write_all(record)?,
            Some(outlet) => {
                tell_lost(outlet);
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
pub(super) struct Log;

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
