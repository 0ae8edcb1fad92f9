//! The host's part of threads, with guests that misuse it. Each guest is a component with threads by
//! its one canonical function for them.

use std::path::PathBuf;

use sandsock_tests::command;

/// Writes a component whose core function `run` has this body, and returns its file. It returns 0 if
/// all is well.
fn guest(folder: &tempfile::TempDir, body: &str) -> PathBuf {
    let text = format!(
        r#"(component
  (import "sandsock:socket/scheduler@0.1.0" (instance $scheduler
    (export "limit" (func (result u32)))
    (export "unpark" (func (param "token" u32)))
    (export "show-memory" (func (param "part" (list u8))))
    (export "preempt" (func (param "holder" u32) (param "locked" u32) (param "offset" u32) (param "flag" u32)))))
  (import "sandsock:socket/clock@0.1.0" (instance $clock (export "now" (func (result u64)))))
  (core module $library (memory (export "memory") 2) (table (export "table") 1 funcref))
  (core instance $library (instantiate $library))
  (alias core export $library "memory" (core memory $memory))
  (alias core export $library "table" (core table $table))
  (core type $start (func (param i32)))
  (core func $new (canon thread.new-indirect $start $table))
  (core func $limit (canon lower (func $scheduler "limit")))
  (core func $unpark (canon lower (func $scheduler "unpark")))
  (core func $show (canon lower (func $scheduler "show-memory") (memory $memory)))
  (core func $preempt (canon lower (func $scheduler "preempt")))
  (core func $now (canon lower (func $clock "now")))
  (core module $main
    (import "" "memory" (memory 2))
    (import "" "limit" (func $limit (result i32)))
    (import "" "unpark" (func $unpark (param i32)))
    (import "" "show" (func $show (param i32 i32)))
    (import "" "preempt" (func $preempt (param i32 i32 i32 i32)))
    (import "" "now" (func $now (result i64)))
    (func $compute (param $nanoseconds i64) (local $end i64)
      (local.set $end (i64.add (call $now) (local.get $nanoseconds)))
      (loop $again (br_if $again (i64.lt_u (call $now) (local.get $end)))))
    (func (export "run") (result i32)
      {body}))
  (core instance $main (instantiate $main (with "" (instance
    (export "memory" (memory $memory))
    (export "limit" (func $limit)) (export "unpark" (func $unpark)) (export "show" (func $show))
    (export "preempt" (func $preempt)) (export "now" (func $now))))))
  (func $run async (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $exported)))"#
    );
    let path = folder.path().join("guest.wat");
    std::fs::write(&path, text).expect("writes");
    path
}

#[track_caller]
fn succeeds(body: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = assert_cmd::Command::new(command());
    run.args(["run", "--limit", "threads=7"]).arg(guest(&folder, body));
    run.timeout(std::time::Duration::from_secs(60)).assert().success();
}

#[test]
fn threads_preemption_writes_the_named_words() {
    // The holder's state is at 64, and its word at 76. The words between stay as they are.
    succeeds(
        "(call $show (i32.const 0) (i32.const 65536))
         (i32.store (i32.const 16) (i32.const 1))
         (i32.store (i32.const 20) (i32.const 64))
         (i32.store (i32.const 76) (i32.const 6))
         (call $preempt (i32.const 20) (i32.const 16) (i32.const 12) (i32.const 24))
         (call $compute (i64.const 200000000))
         (i32.eqz (i32.and
           (i32.and (i32.eq (i32.load (i32.const 24)) (i32.const 1)) (i32.eq (i32.load (i32.const 76)) (i32.const 7)))
           (i32.and (i32.eq (i32.load (i32.const 20)) (i32.const 64)) (i32.eqz (i32.load (i32.const 28))))))",
    );
}

#[test]
fn threads_preemption_needs_the_lock() {
    succeeds(
        "(call $show (i32.const 0) (i32.const 65536))
         (i32.store (i32.const 20) (i32.const 64))
         (call $preempt (i32.const 20) (i32.const 16) (i32.const 12) (i32.const 24))
         (call $compute (i64.const 100000000))
         (i32.or (i32.load (i32.const 24)) (i32.load (i32.const 76)))",
    );
}

#[test]
fn threads_addresses_outside_the_shown_memory_are_ignored() {
    // The second page was not shown, and the others do not exist.
    for address in ["65534", "65536", "131068", "131072", "0x7ffffffe", "0xfffffffe", "0xffffffff"]
    {
        for place in 0..3 {
            let word =
                |own: usize, known: &str| if own == place { address } else { known }.to_owned();
            let (locked, holder, flag) = (word(0, "16"), word(1, "20"), word(2, "24"));
            succeeds(&format!(
                "(call $show (i32.const 0) (i32.const 65536))
                 (i32.store (i32.const 16) (i32.const 1))
                 (i32.store (i32.const 20) (i32.const {address}))
                 (call $preempt (i32.const {holder}) (i32.const {locked}) (i32.const 12) (i32.const {flag}))
                 (call $compute (i64.const 30000000))
                 (i32.load (i32.const 65536))"
            ));
        }
    }
}

#[test]
fn threads_parts_of_memory_in_any_order_are_harmless() {
    // A part that begins nowhere, one that overlaps, an empty one, and the whole again.
    succeeds(
        "(call $show (i32.const 4096) (i32.const 4096))
         (call $show (i32.const 0) (i32.const 0))
         (call $show (i32.const 100) (i32.const 100))
         (call $show (i32.const 0) (i32.const 131072))
         (i32.store (i32.const 16) (i32.const 1))
         (call $preempt (i32.const 20) (i32.const 16) (i32.const 0xffffffff) (i32.const 24))
         (call $compute (i64.const 50000000))
         (i32.const 0)",
    );
}

#[test]
fn threads_tokens_take_no_memory() {
    succeeds(
        "(local $token i32)
         (loop $again
           (call $unpark (local.get $token))
           (local.set $token (i32.add (local.get $token) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $token) (i32.const 1000000))))
         (i32.ne (call $limit) (i32.const 7))",
    );
}
