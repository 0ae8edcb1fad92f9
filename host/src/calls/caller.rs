//! A call that can wait, whether it keeps the store or gives it back in the meantime.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use crate::calls::async_call::AsyncCall;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::wait::registration::RegistrationCell;
use crate::wait::{self, WaitOutcome};

/// What a look-up or a close needs of the call that makes it.
pub(crate) trait Caller: Send {
    /// Makes a step that needs the context and does not wait.
    fn step<R>(&mut self, step: impl FnOnce(&mut SandsockCtxView<'_>) -> R) -> R;

    /// Waits until `fd` can be read, or until the deadline. EINTR at an interrupt.
    fn readable(
        &mut self,
        fd: BorrowedFd<'_>,
        deadline: Option<u64>,
    ) -> impl Future<Output = Result<WaitOutcome, Errno>> + Send;

    /// Sleeps until this instant. EINTR at an interrupt.
    fn sleep(&mut self, until: u64) -> impl Future<Output = Result<(), Errno>> + Send;
}

/// The guest waits with the call.
impl<T: SandsockView + 'static> Caller for StoreContextMut<'_, T> {
    fn step<R>(&mut self, step: impl FnOnce(&mut SandsockCtxView<'_>) -> R) -> R {
        step(&mut self.view())
    }

    async fn readable(
        &mut self,
        fd: BorrowedFd<'_>,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        self.view().ctx.waiter.ready(fd, None, PollFlags::IN, deadline).await
    }

    async fn sleep(&mut self, until: u64) -> Result<(), Errno> {
        self.view().ctx.waiter.sleep(Some(until)).await
    }
}

/// Other threads of the guest run while the call waits.
impl<T: SandsockView + 'static> Caller for AsyncCall<'_, T> {
    fn step<R>(&mut self, step: impl FnOnce(&mut SandsockCtxView<'_>) -> R) -> R {
        self.with(|store| step(&mut store.view()))
    }

    async fn readable(
        &mut self,
        fd: BorrowedFd<'_>,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        let cell = RegistrationCell::default();
        self.wait(wait::ready_until(fd, &cell, PollFlags::IN, deadline)).await?
    }

    async fn sleep(&mut self, until: u64) -> Result<(), Errno> {
        self.wait(wait::sleep_until(Some(until))).await
    }
}
