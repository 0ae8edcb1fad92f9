//! Work that goes on while the guest does something else.

use std::sync::LazyLock;

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

/// Starts a task on the current runtime, or else on one of this process's own.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Option<Background> {
    let task = match Handle::try_current() {
        Ok(runtime) => runtime.spawn(task),
        Err(_) => RUNTIME.as_ref()?.spawn(task),
    };
    Some(Background(task))
}
