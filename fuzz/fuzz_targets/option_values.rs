//! Any bytes as the value of each option and ioctl that the host reads.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sandsock_host::fuzzing::option_values(data));
