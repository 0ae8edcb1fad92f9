//! An async function's call, which gives the store back while it waits.

use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut as _, StoreContextMut};

use crate::ctx::{SandsockView, StoreView as _};
use crate::observe::{self, Suspended};
use crate::wait::polled::Interrupts;

/// A call of an async function. The guest can make other calls while this one waits, and it can
/// cancel this one, which drops it.
pub(crate) struct AsyncCall<'a, T: 'static> {
    accessor: &'a Accessor<T>,
    /// The call as observers know it, while it has no store.
    suspended: Option<Suspended>,
    /// Whether an interrupt ends its waits.
    interruptible: bool,
}

impl<'a, T: SandsockView + 'static> AsyncCall<'a, T> {
    pub(crate) fn new(accessor: &'a Accessor<T>) -> Self {
        Self { accessor, suspended: None, interruptible: true }
    }

    /// Sets whether an interrupt ends the waits of this call. It does by default.
    pub(crate) fn interruptible(&mut self, interruptible: bool) {
        self.interruptible = interruptible;
    }

    /// Makes a step of the call, which needs the store and does not wait.
    pub(crate) fn with<R>(&mut self, step: impl FnOnce(&mut StoreContextMut<'_, T>) -> R) -> R {
        let suspended = &mut self.suspended;
        self.accessor.with(|mut access| {
            let store = &mut access.as_context_mut();
            if let Some(suspended) = suspended.take() {
                suspended.resume();
            }
            let result = step(store);
            *suspended = observe::suspend(store);
            result
        })
    }

    /// Whether observers know the call.
    pub(crate) fn is_observed(&self) -> bool {
        self.suspended.is_some()
    }

    /// Waits for a future, without the store.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn wait<R>(&mut self, future: impl Future<Output = R>) -> Result<R, Errno> {
        let waiter = self.with(|store| Arc::clone(&store.view().ctx.pollables));
        let since = self.suspended.as_mut().map(|suspended| {
            suspended.wait_begins();
            Instant::now()
        });
        let result = if self.interruptible {
            let _waiting = waiter.begin();
            Interrupts::new(&waiter).unless_interrupted(future).await
        } else {
            Ok(future.await)
        };
        if let (Some(suspended), Some(since)) = (&mut self.suspended, since) {
            suspended.wait_ended(since.elapsed());
        }
        result
    }
}
