//! Any bytes as control data of a received message.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sandsock_host::fuzzing::control_messages(data));
