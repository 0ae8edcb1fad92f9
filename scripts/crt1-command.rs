//! The entry point of a wasm program. It replaces the one of Debian's wasi-libc.
//!
//! Debian's entry point relies on wrappers to call the constructors. The linker makes no wrappers if
//! something else (wit-bindgen's runtime) calls `__wasm_call_ctors` by name. libc then does not
//! learn of the granted folders, and every file access fails.
#![no_std]

unsafe extern "C" {
    fn __wasm_call_ctors();
    fn __main_void() -> i32;
    fn __wasm_call_dtors();
    fn exit(code: i32) -> !;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    unsafe {
        __wasm_call_ctors();
        let code = __main_void();
        if code != 0 {
            exit(code);
        }
        __wasm_call_dtors();
    }
}
