//! A recorded run of tests: strace(1) shows the permits among the system calls.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::LazyLock;

use tracing_subscriber::EnvFilter;

/// The variable of a run that is recorded.
pub const RECORD: &str = "SANDSOCK_TESTS_RECORD";

/// The name of each thread on which guests run.
pub const GUEST_THREAD: &str = "guest";

/// Writes with pwrite(2), which nothing else in a test does.
struct Shown;

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        static NULL: LazyLock<File> = LazyLock::new(|| {
            File::options().write(true).open("/dev/null").expect("/dev/null is there")
        });
        NULL.write_at(bytes, 0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows strace each permit that the host issues from now on, if the run is recorded.
pub(crate) fn begin() {
    if std::env::var_os(RECORD).is_some() {
        // Only the first call begins.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("sandsock::permit=trace"))
            .with_ansi(false)
            .with_target(false)
            .with_writer(|| Shown)
            .try_init();
    }
}
