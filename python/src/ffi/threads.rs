//! Threads: the interpreter's lock is released around each wait, and a thread that computes gives
//! way when the host asks it to.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use sandsock::WaitHook;
use sandsock::raw::scheduler;

// The library `threads/`.
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn sandsock_stack_pointer() -> usize;
    fn sandsock_set_stack_pointer(pointer: usize);
    fn sandsock_thread_number() -> u32;
    fn sandsock_preemption_flag() -> *mut u32;
    fn sandsock_on_interrupt(function: extern "C" fn());
    fn sandsock_before_start(function: extern "C" fn());
    fn sandsock_interpreter_lock(address: usize);
}

// The slice that the bindings take can't begin at address 0.
#[link(wasm_import_module = "sandsock:socket/scheduler@0.1.0")]
unsafe extern "C" {
    #[link_name = "show-memory"]
    fn import_show_memory(start: usize, length: usize);
}

unsafe extern "C" {
    /// CPython: it begins with `_Py_DebugOffsets`, which debuggers of other processes read.
    static _PyRuntime: [u8; DEBUG_OFFSETS];
}

/// The bytes of `_Py_DebugOffsets` that are looked at.
const DEBUG_OFFSETS: usize = 160;

/// Where `_Py_DebugOffsets` has `cookie`, `version`, and in `interpreter_state`
/// `gil_runtime_state_locked` and `gil_runtime_state_holder`.
const COOKIE: &[u8; 8] = b"xdebugpy";
const VERSION: usize = 8;
const GIL_LOCKED: usize = 144;
const GIL_HOLDER: usize = 152;

/// CPython 3.14, in the upper half of its version number.
const SUPPORTED: u64 = 0x030e;

/// Where `PyThreadState` has `eval_breaker`, behind three pointers.
const EVAL_BREAKER: u32 = 12;

const SIGINT: c_int = 2;

/// Lets the program start threads, if the host allows some. Returns whether it does.
///
/// # Errors
/// `RuntimeError` for an interpreter whose layout is not known.
#[pyfunction]
pub(crate) fn start_threads() -> PyResult<bool> {
    if scheduler::limit() == 0 {
        return Ok(false);
    }
    let Some((holder, locked)) = gil() else {
        return Err(PyRuntimeError::new_err("sandsock does not know this version of CPython"));
    };
    // SAFETY: the functions take and return numbers and a function that does not wait.
    let flag = unsafe {
        sandsock_on_interrupt(on_interrupt);
        sandsock_before_start(show_memory);
        sandsock_interpreter_lock(locked as usize);
        sandsock_preemption_flag()
    };
    show_memory();
    sandsock::set_wait_hook(WaitHook { wait: without_lock, thread: number });
    scheduler::preempt(holder, locked, EVAL_BREAKER, flag.addr() as u32);
    Ok(true)
}

/// Returns the addresses of the words that have the last holder of the interpreter's lock, and
/// whether it is locked.
fn gil() -> Option<(u32, u32)> {
    let start = &raw const _PyRuntime;
    let number = |offset: usize| {
        // SAFETY: the structure is longer than each offset used here.
        unsafe { start.cast::<u8>().add(offset).cast::<u64>().read_unaligned() }
    };
    if number(0).to_le_bytes() != *COOKIE || number(VERSION) >> 16 != SUPPORTED {
        return None;
    }
    // SAFETY: the thread is attached.
    let (interpreter, thread) =
        unsafe { (ffi::PyInterpreterState_Get().addr(), ffi::PyThreadState_Get().addr()) };
    let place = |offset: usize| {
        let offset = usize::try_from(number(offset)).ok()?;
        interpreter.checked_add(offset).filter(|place| place % 4 == 0)
    };
    let (holder, locked) = (place(GIL_HOLDER)?, place(GIL_LOCKED)?);
    let word = |place: usize| {
        // SAFETY: the interpreter says that its state has a word there.
        unsafe { std::ptr::with_exposed_provenance::<u32>(place).read() }
    };
    // The running thread must be the holder that is found, or the layout is another one.
    (word(holder) as usize == thread && word(locked) == 1).then_some((holder as u32, locked as u32))
}

/// Shows the host the memory that there is by now. The interpreter's state of a new thread may be in
/// new memory, and the host writes only into memory that it was shown.
extern "C" fn show_memory() {
    /// WIT: a part has at most 64 MiB.
    const PART: usize = 64 << 20;
    const PAGE: usize = 64 << 10;
    /// The pages that were shown.
    static SHOWN: AtomicUsize = AtomicUsize::new(0);
    let pages = core::arch::wasm32::memory_size(0);
    let shown = SHOWN.swap(pages, Ordering::Relaxed);
    if shown == pages {
        return;
    }
    // The last part is shown again, because it has grown.
    let mut first = shown - shown % (PART / PAGE);
    while first < pages {
        let count = (pages - first).min(PART / PAGE);
        // SAFETY: the host keeps the place of the bytes, which are there for as long as the memory.
        unsafe { import_show_memory(first * PAGE, count * PAGE) };
        first += count;
    }
}

/// Returns the number of the running thread.
fn number() -> u32 {
    // SAFETY: it has no requirements.
    unsafe { sandsock_thread_number() }
}

/// CPython's handlers run on the main thread, when it next looks for signals.
extern "C" fn on_interrupt() {
    // SAFETY: a handler of signals may call it, at any time.
    unsafe { ffi::PyErr_SetInterruptEx(SIGINT) };
}

/// Makes a call without the interpreter's lock.
fn without_lock(call: &mut dyn FnMut()) {
    // SAFETY: the crate waits only within calls of the interpreter, whose thread is attached.
    unsafe {
        let thread = __real_PyEval_SaveThread();
        suspended(call);
        __real_PyEval_RestoreThread(thread);
    }
}

// The linker gives the interpreter's functions these names (`--wrap`, scripts/python.sh).
unsafe extern "C" {
    fn __real_PyEval_SaveThread() -> *mut ffi::PyThreadState;
    fn __real_PyEval_RestoreThread(thread: *mut ffi::PyThreadState);
}

/// What PyO3 calls to give the interpreter's lock away. It keeps the lock.
///
/// PyO3 has one count of nested calls for all threads of a component. Calls only add to it and
/// subtract from it, in any order. But where PyO3 gives the lock away, it sets the count to 0, and
/// afterwards to what it was, which is wrong if other threads have entered or left a call meanwhile.
/// PyO3 does that only around short initialisations, in which no other thread has to run.
#[unsafe(no_mangle)]
extern "C" fn __wrap_PyEval_SaveThread() -> *mut ffi::PyThreadState {
    // SAFETY: PyO3's thread is attached.
    unsafe { ffi::PyThreadState_Get() }
}

/// The counterpart of [`__wrap_PyEval_SaveThread`].
#[unsafe(no_mangle)]
extern "C" fn __wrap_PyEval_RestoreThread(_: *mut ffi::PyThreadState) {}

/// Makes a call during which other threads run. They leave their own stack pointers behind.
#[inline(never)]
fn suspended(call: &mut dyn FnMut()) {
    // SAFETY: the pointer is that of this frame, which is the top frame again after the call.
    unsafe {
        let pointer = sandsock_stack_pointer();
        call();
        sandsock_set_stack_pointer(pointer);
    }
}
