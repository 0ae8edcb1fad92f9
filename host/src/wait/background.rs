//! Work that goes on while the guest does something else.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// For guests that run outside of any runtime. None if the process can start no thread.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("sandsock-background").enable_io().enable_time();
    builder.build().ok()
});

/// A task in the background. Its drop aborts it.
pub(crate) struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The most tasks that outlive their guests.
const LEFT_MOST: usize = 256;

/// The tasks that outlive their guests.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Starts a task that outlives its guest, and its guest's runtime. Returns false if there are too
/// many of them, or the process can start no thread.
pub(crate) fn leave(task: impl Future<Output = ()> + Send + 'static) -> bool {
    /// Counts the task until its end.
    struct Counted;

    impl Drop for Counted {
        fn drop(&mut self) {
            LEFT.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let Some(runtime) = RUNTIME.as_ref() else { return false };
    if LEFT.fetch_add(1, Ordering::Relaxed) >= LEFT_MOST {
        drop(Counted);
        return false;
    }
    let counted = Counted;
    runtime.spawn(async move {
        task.await;
        drop(counted);
    });
    true
}

/// Waits until all bytes are sent that guests of `wasi:sockets` 0.2 have written and left unsent,
/// but at most some seconds. Without this call they are lost if the process ends.
pub fn finish_sends() {
    while LEFT.load(Ordering::Relaxed) > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a task on the current runtime, or else on one of this process's own.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Option<Background> {
    let task = match Handle::try_current() {
        Ok(runtime) => runtime.spawn(task),
        Err(_) => RUNTIME.as_ref()?.spawn(task),
    };
    Some(Background(task))
}
