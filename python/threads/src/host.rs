//! The imports: the host's functions, those of the Component Model, and those of other libraries.

/// How long `park` waits, as the canonical ABI flattens the variant `wait`.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    Forever,
    Within(u64),
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    Unparked,
    TimedOut,
    Interrupted,
}

mod raw {
    #[link(wasm_import_module = "sandsock:socket/waits@0.1.0")]
    unsafe extern "C" {
        pub(super) fn park(token: u32, wait: i32, time: i64, interruptible: i32) -> i32;
    }

    #[link(wasm_import_module = "sandsock:socket/scheduler@0.1.0")]
    unsafe extern "C" {
        pub(super) fn limit() -> u32;
        pub(super) fn unpark(token: u32);
    }

    #[link(wasm_import_module = "sandsock:socket/thread-builtins@0.1.0")]
    unsafe extern "C" {
        #[link_name = "new-indirect"]
        pub(super) fn new_indirect(start: usize, context: usize) -> u32;
        pub(super) fn index() -> u32;
        #[link_name = "resume-later"]
        pub(super) fn resume_later(thread: u32);
        #[link_name = "yield"]
        pub(super) fn yield_() -> u32;
    }

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn sandsock_stack_pointer() -> usize;
        pub(super) fn sandsock_set_stack_pointer(pointer: usize);
    }
}

/// Returns the most threads beside the first one.
pub(crate) fn limit() -> u32 {
    // SAFETY: the host's function takes and returns numbers.
    unsafe { raw::limit() }
}

/// Ends the wait of a parked thread, or its next one.
pub(crate) fn unpark(token: u32) {
    // SAFETY: as `limit`.
    unsafe { raw::unpark(token) }
}

/// Returns the index of the running thread.
pub(crate) fn index() -> u32 {
    // SAFETY: as `limit`.
    unsafe { raw::index() }
}

/// Makes a suspended thread. `start` gets `context` on the new thread.
pub(crate) fn new_thread(start: extern "C" fn(usize), context: usize) -> u32 {
    // SAFETY: a function's address is its index in the table, and the function has the type that the
    // linker's patch names.
    unsafe { raw::new_indirect(start as *const () as usize, context) }
}

/// Lets a suspended thread run later.
pub(crate) fn resume_later(thread: u32) {
    // SAFETY: as `limit`.
    unsafe { raw::resume_later(thread) }
}

/// Sets the stack pointer.
///
/// # Safety
/// The pointer is the end of memory that is free for a stack, and the caller has no frame.
#[inline(always)]
pub(crate) unsafe fn set_stack_pointer(pointer: usize) {
    // SAFETY: the caller's.
    unsafe { raw::sandsock_set_stack_pointer(pointer) }
}

/// Makes a call in which other threads may run. They leave their own stack pointers behind.
#[inline(never)]
fn others<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: the pointer is that of this frame, which is the caller's top frame again.
    unsafe {
        let pointer = raw::sandsock_stack_pointer();
        let result = call();
        raw::sandsock_set_stack_pointer(pointer);
        result
    }
}

/// Waits until another thread unparks the token, or until the time is over.
pub(crate) fn park(token: u32, wait: Wait, interruptible: bool) -> Parked {
    let (case, time) = match wait {
        Wait::Forever => (1, 0),
        Wait::Within(nanoseconds) => (2, nanoseconds.cast_signed()),
    };
    // SAFETY: as `limit`.
    match others(|| unsafe { raw::park(token, case, time, interruptible.into()) }) {
        0 => Parked::Unparked,
        1 => Parked::TimedOut,
        _ => Parked::Interrupted,
    }
}

/// Lets the threads run that can.
pub(crate) fn give_way() {
    // SAFETY: as `limit`.
    others(|| unsafe { raw::yield_() });
}
