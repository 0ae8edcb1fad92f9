//! The host's part of threads, with guests that misuse it. Each guest is a component with threads by
//! its one canonical function for them.

use std::io::Read as _;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sandsock_tests::command;

use crate::serve::{PATIENCE, Serving};

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

/// What a wait with `waits.ready` answers, beside Linux's errnos.
const READY: i32 = 0;
const DENIED: i32 = 1000;

/// Writes a component that makes a descriptor by `make`, waits for input on it for 300 ms, and succeeds
/// if the answer is `expected`. Returns its file.
fn waiter(folder: &tempfile::TempDir, make: &str, expected: i32) -> PathBuf {
    let text = format!(
        r#"(component
  (import "sandsock:socket/types@0.1.0" (instance $types
    (type $plain-denial (record (field "grant" (option string)) (field "reason" string)))
    (export "denial" (type $denial (eq $plain-denial)))
    (type $plain-error (variant (case "os" s32) (case "denied" $denial)))
    (export "error" (type (eq $plain-error)))
    (type $plain-wait (variant (case "none") (case "forever") (case "within" u64) (case "until" u64)))
    (export "wait" (type (eq $plain-wait)))))
  (alias export $types "error" (type $error))
  (alias export $types "wait" (type $wait))
  (import "sandsock:socket/descriptors@0.1.0" (instance $descriptors
    (alias outer 1 $error (type $error))
    (export "descriptor" (type $descriptor (sub resource)))
    (export "inherit" (func (param "number" s32) (result (result (own $descriptor) (error $error)))))))
  (alias export $descriptors "descriptor" (type $descriptor))
  (import "sandsock:socket/syscalls@0.1.0" (instance $syscalls
    (alias outer 1 $error (type $error))
    (alias outer 1 $descriptor (type $descriptor))
    (export "socket" (func (param "family" s32) (param "type" s32) (param "protocol" s32)
      (result (result (own $descriptor) (error $error)))))))
  (import "sandsock:socket/waits@0.1.0" (instance $waits
    (alias outer 1 $error (type $error))
    (alias outer 1 $wait (type $wait))
    (alias outer 1 $descriptor (type $descriptor))
    (export "ready" (func async (param "d" (borrow $descriptor)) (param "events" u16) (param "wait" $wait)
      (param "interruptible" bool) (result (result (error $error)))))))
  (core module $library
    (memory (export "memory") 2)
    (table (export "table") 1 funcref)
    (global $free (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $free)
      (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8)))))
  (core instance $library (instantiate $library))
  (alias core export $library "memory" (core memory $memory))
  (alias core export $library "table" (core table $table))
  (alias core export $library "realloc" (core func $realloc))
  (core type $start (func (param i32)))
  (core func $new (canon thread.new-indirect $start $table))
  (core func $inherit (canon lower (func $descriptors "inherit") (memory $memory) (realloc (core func $realloc))))
  (core func $socket (canon lower (func $syscalls "socket") (memory $memory) (realloc (core func $realloc))))
  (core func $ready (canon lower (func $waits "ready") (memory $memory) (realloc (core func $realloc))))
  (core module $main
    (import "" "memory" (memory 2))
    (import "" "inherit" (func $inherit (param i32 i32)))
    (import "" "socket" (func $socket (param i32 i32 i32 i32)))
    (import "" "ready" (func $ready (param i32 i32 i32 i64 i32 i32)))
    (func (export "run") (result i32)
      {make}
      (if (i32.load8_u (i32.const 0)) (then unreachable))
      (call $ready (i32.load (i32.const 4)) (i32.const 1) (i32.const 2) (i64.const 300000000) (i32.const 0) (i32.const 64))
      (if (i32.eqz (i32.load8_u (i32.const 64))) (then (return (i32.ne (i32.const {READY}) (i32.const {expected})))))
      (if (i32.load8_u (i32.const 68)) (then (return (i32.ne (i32.const {DENIED}) (i32.const {expected})))))
      (i32.ne (i32.load (i32.const 72)) (i32.const {expected}))))
  (core instance $main (instantiate $main (with "" (instance
    (export "memory" (memory $memory)) (export "inherit" (func $inherit)) (export "socket" (func $socket))
    (export "ready" (func $ready))))))
  (func $run async (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $exported)))"#
    );
    let path = folder.path().join("waiter.wat");
    std::fs::write(&path, text).expect("writes");
    path
}

/// Waits for input on an unbound UDP socket.
const OWN: &str = "(call $socket (i32.const 2) (i32.const 2) (i32.const 0) (i32.const 0))";
/// Waits for input on the socket that is handed over as standard input.
const HANDED: &str = "(call $inherit (i32.const 0) (i32.const 0))";

#[track_caller]
fn waits(make: &str, options: &[&str], stdin: Option<&UdpSocket>, expected: i32) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Command::new(command());
    run.arg("run").args(options).arg(waiter(&folder, make, expected));
    run.stdin(stdin.map_or_else(Stdio::null, |socket| {
        Stdio::from(OwnedFd::from(socket.try_clone().expect("copies")))
    }));
    let output = run.output().expect("runs");
    assert!(output.status.success(), "{expected}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn threads_wait_for_input_needs_what_a_receive_needs() {
    // The socket can be made without a grant, and used for nothing.
    waits(OWN, &[], None, DENIED);
    waits(OWN, &["--allow", "udp-receive=127.0.0.1:9"], None, libc::EAGAIN);
}

#[test]
fn threads_wait_is_not_ended_by_a_hidden_datagram() {
    let [socket, stranger] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("binds"));
    let address = socket.local_addr().expect("an address");
    let port = stranger.local_addr().expect("an address").port();
    // The description is this process's, so it has no filter, and the kernel reports the datagram.
    let other = format!("udp-receive=127.0.0.1:{}", port ^ 1);
    stranger.send_to(b"unasked", address).expect("sends");
    waits(HANDED, &["--inherit", "stdin", "--allow", &other], Some(&socket), libc::EAGAIN);
    let grant = format!("udp-receive=127.0.0.1:{port}");
    stranger.send_to(b"asked", address).expect("sends");
    waits(HANDED, &["--inherit", "stdin", "--allow", &grant], Some(&socket), READY);
}

#[test]
fn threads_guest_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Command::new(command());
    serve.args(["serve", "--listen", "127.0.0.1:0"]).arg(guest(&folder, "(i32.const 0)"));
    let serving = Serving::spawn(serve);
    let mut stream = TcpStream::connect(&serving.address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("is set");
    // The instance ends, which closes its connection.
    assert_eq!(stream.read_to_end(&mut Vec::new()).expect("reads"), 0);
    assert!(!serving.output().contains("trapped"), "{}", serving.output());
}
