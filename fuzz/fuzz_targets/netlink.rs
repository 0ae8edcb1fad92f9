//! Any bytes as a datagram to the kernel, and as its answer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sandsock_host::fuzzing::netlink(data));
