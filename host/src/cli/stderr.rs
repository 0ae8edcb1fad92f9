//! Standard error: this command's own words, the log, and what observers write there.
//!
//! With one guest it is written at once. Where many guests share it (`share`), it is an [`Outlet`]: a reader who does not read makes
//! lines be lost, and holds up nobody.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::time::Instant;

use tracing_subscriber::fmt::MakeWriter;

use super::outlet::Outlet;
use super::text::printable;

static SHARED: OnceLock<Outlet> = OnceLock::new();

/// Gives standard error a thread of its own, for the rest of the process.
///
/// # Errors
/// It is closed, or the thread can't be started.
pub(super) fn share() -> io::Result<Outlet> {
    let outlet = Outlet::of(io::stderr().as_fd())?;
    Ok(SHARED.get_or_init(|| outlet).clone())
}

/// Waits for what is still to be written, as long as somebody reads it, and no longer than `until`.
pub(super) fn finish(until: Instant) {
    if let Some(outlet) = SHARED.get() {
        tell_lost(outlet);
        outlet.drain(until);
    }
}

fn tell_lost(outlet: &Outlet) {
    let lost = outlet.take_lost();
    if lost > 0 {
        let _ = outlet.post(format!("sandsock: {lost} lines were lost here: nobody read them in time\n").as_bytes());
    }
}

/// Says something, on one line. That nobody reads it any more is no reason to fail.
pub(super) fn say(words: std::fmt::Arguments<'_>) {
    let _ = Stderr.write_all(format!("sandsock: {}\n", printable(&words.to_string())).as_bytes());
}

/// Standard error as it is now: each write is one record.
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

/// The log's lines, which may hold what a guest or a file's name says.
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
