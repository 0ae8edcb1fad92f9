//! Any bytes as an address of the kernel, for every family, and back.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sandsock_host::fuzzing::addresses(data));
