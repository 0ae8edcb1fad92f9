//! POSIX threads for the CPython that runs in the sandbox, on the threads of the Component Model.
//!
//! wasi-libc has only stubs of these functions. When the component is linked, libpython's imports of
//! the stubs are replaced by the functions of this library, `sandsock_` and the stub's name
//! (`cli/src/python/threads.rs`).
//!
//! One thread of a component runs at a time, and it runs until it waits or yields. So the state of
//! this library needs no lock. The places where another thread may run are the calls in `others`.
//!
//! The state of a mutex is compatible with that of the stubs, because some are initialised while the
//! interpreter's snapshot is made.

mod host;
mod mutex;
mod state;
mod thread;
mod time;

/// Returns the address of the word by which the host asks the running thread to give way.
#[unsafe(no_mangle)]
pub extern "C" fn sandsock_preemption_flag() -> *mut u32 {
    state::preemption_flag()
}

/// Returns the number of the running thread, which is 0 for the first one.
#[unsafe(no_mangle)]
pub extern "C" fn sandsock_thread_number() -> u32 {
    thread::number()
}

/// Sets the function that is called when an interrupt has ended a wait of the first thread, or when
/// the host reports one. It must not wait.
#[unsafe(no_mangle)]
pub extern "C" fn sandsock_on_interrupt(function: extern "C" fn()) {
    state::with(|state| state.on_interrupt = Some(function));
}

/// Sets the function that is called before each start of a thread. It must not wait.
#[unsafe(no_mangle)]
pub extern "C" fn sandsock_before_start(function: extern "C" fn()) {
    state::with(|state| state.before_start = Some(function));
}

/// Says where the interpreter's lock is: the address of the word that says whether it is locked.
#[unsafe(no_mangle)]
pub extern "C" fn sandsock_interpreter_lock(address: usize) {
    state::with(|state| state.interpreter_lock = address);
}

/// libc.so needs this function, and no other library has it. So the linker instantiates this library
/// before libc.so, and before libpython, which needs libc.so. No program calls it.
#[unsafe(no_mangle)]
pub extern "C" fn __main_argc_argv(_: i32, _: *const *const u8) -> i32 {
    0
}
