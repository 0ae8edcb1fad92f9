//! The entry point of a wasm program, in place of the one in Debian's wasi-libc.
//!
//! That one leaves the constructors to wrappers which the linker no longer makes once something
//! else (wit-bindgen's runtime) calls `__wasm_call_ctors` by name. libc then never learns of the
//! granted folders, and every file access fails.
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
