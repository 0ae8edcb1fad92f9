//! Lists whose elements have one list in common, which the canonical ABI lets a guest write by
//! hand. Their size together can exceed the guest's memory. Prints a line and waits for one, so
//! that the test can measure the host's memory.

#![allow(unsafe_code)]

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{ioctl, set_option, socketpair};
use sandsock::raw::transfers::{BatchEntry, send, send_batch};
use sandsock::raw::types::{AddressHints, OptionValue, Wait};
use sandsock::raw::{netdb, syscalls};
use sandsock_attacks::is_twin;

/// WIT `control-message`, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    level: i32,
    kind: i32,
    data: *const u8,
    length: usize,
}

/// WIT `control-out`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ControlOut {
    case: u32,
    control: Control,
}

/// WIT `batch-entry`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Entry {
    length: u32,
    has_address: u64,
    family: u64,
    unix_case: u32,
    path: *const u8,
    path_length: usize,
    rest: [u32; 5],
    control: *const Control,
    controls: usize,
}

/// `list<u8>`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    start: *const u8,
    length: usize,
}

/// The parameters of `send-message`, which are too many to be flat.
#[repr(C, align(8))]
struct Message {
    descriptor: u32,
    buffers: *const Buffer,
    buffers_length: usize,
    control: *const ControlOut,
    controls: usize,
    flags: i32,
    has_address: u64,
    address: [u64; 5],
    wait: u64,
    time: u64,
}

#[cfg(target_arch = "wasm32")]
const _: () = assert!(
    size_of::<Entry>() == 64 && size_of::<ControlOut>() == 20 && size_of::<Message>() == 88
);

/// `result<_, error>`: whether it is an error, whether that is a denial, and the value or errno.
#[repr(C, align(8))]
#[derive(Default, Debug)]
struct Answer([u32; 8]);

impl Answer {
    fn value(&self) -> Result<u32, i32> {
        match (self.0[0] as u8, self.0[1] as u8) {
            (0, _) => Ok(self.0[1]),
            (_, 0) => Err(self.0[2] as i32),
            _ => Err(EACCES),
        }
    }
}

const EACCES: i32 = 13;
const ENOBUFS: i32 = 105;

#[link(wasm_import_module = "sandsock:socket/transfers@0.1.0")]
unsafe extern "C" {
    #[link_name = "send-batch"]
    fn import_send_batch(
        descriptor: u32,
        data: *const u8,
        length: usize,
        messages: *const Entry,
        count: usize,
        flags: i32,
        wait: i32,
        time: i64,
        answer: *mut Answer,
    );
    #[link_name = "send-message"]
    fn import_send_message(message: *const Message, answer: *mut Answer);
}

fn batch(d: &Descriptor, entries: &[Entry], within: i64) -> Result<u32, i32> {
    let mut answer = Answer::default();
    // SAFETY: the lists lie where the entries say, and the answer has the room that its type takes.
    unsafe {
        let (data, count) = (std::ptr::dangling(), entries.len());
        import_send_batch(
            d.handle(),
            data,
            0,
            entries.as_ptr(),
            count,
            0,
            2,
            within,
            &raw mut answer,
        );
    }
    answer.value()
}

fn message(d: &Descriptor, buffers: &[Buffer], control: &[ControlOut]) -> Result<u32, i32> {
    let message = Message {
        descriptor: d.handle(),
        buffers: buffers.as_ptr(),
        buffers_length: buffers.len(),
        control: control.as_ptr(),
        controls: control.len(),
        flags: 0,
        has_address: 0,
        address: [0; 5],
        wait: 0,
        time: 0,
    };
    let mut answer = Answer::default();
    // SAFETY: as in `batch`.
    unsafe { import_send_message(&raw const message, &raw mut answer) };
    // The value is a u64, at the payload's place of 8 bytes; the errno lies behind the error's
    // case.
    match (answer.0[0] as u8, answer.0[2] as u8) {
        (0, _) => Ok(answer.0[2]),
        (_, 0) => Err(answer.0[3] as i32),
        _ => Err(EACCES),
    }
}

fn main() {
    let (a, _b) = socketpair(AF_UNIX, SOCK_DGRAM, 0).expect("a pair");
    let (stream, _other) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
    if is_twin() {
        // The same functions with lists of their own.
        let entries = [3u32, 4].map(|length| BatchEntry { length, address: None, control: &[] });
        assert_eq!(send_batch(&a, b"onetwo!", &entries, 0, Wait::None), Ok(2));
        let bytes = b"message";
        assert_eq!(
            message(&a, &[3, 4].map(|length| Buffer { start: bytes.as_ptr(), length }), &[]),
            Ok(7)
        );
        return;
    }
    let plain = Entry {
        length: 0,
        has_address: 0,
        family: 0,
        unix_case: 0,
        path: std::ptr::null(),
        path_length: 0,
        rest: [0; 5],
        control: std::ptr::dangling(),
        controls: 0,
    };
    let bytes = vec![b'x'; 16 << 20];

    // Control messages: 4,096 in one list, which a thousand messages have.
    let control = Control { level: SOL_SOCKET, kind: 999, data: bytes.as_ptr(), length: 0 };
    let controls = vec![control; 4096];
    let shared = Entry { control: controls.as_ptr(), controls: controls.len(), ..plain };
    let mut entries = vec![plain; 1024];
    entries.extend(vec![shared; 1000]);
    assert!(
        batch(&a, &entries, 0).is_ok_and(|count| count > 0),
        "the messages without control data go"
    );
    // The queue is full now, and the call waits with its lists.
    for _ in 0..3 {
        assert_eq!(batch(&a, &entries, 300_000_000), Err(11));
    }
    entries.reverse();
    assert_eq!(batch(&a, &entries, 0), Err(ENOBUFS));
    let big = vec![Control { length: 1 << 20, ..control }; 4096];
    assert_eq!(
        batch(&a, &[Entry { control: big.as_ptr(), controls: big.len(), ..plain }], 0),
        Err(ENOBUFS)
    );

    // Addresses: a path that is no path, in every message.
    let path = Entry {
        has_address: 1,
        family: 3,
        unix_case: 1,
        path: bytes.as_ptr(),
        path_length: bytes.len(),
        ..plain
    };
    assert!(batch(&a, &vec![path; 1024], 0).is_err());
    let path = Entry { path_length: 3000, ..path };
    assert!(batch(&a, &vec![path; 1024], 0).is_err());

    // A message's control data and its buffers.
    let out = ControlOut { case: 1, control: Control { length: 16 << 10, ..control } };
    assert_eq!(message(&a, &[], &vec![out; 7000]), Err(ENOBUFS));
    let out = ControlOut { case: 1, control: Control { length: 0, ..control } };
    assert_eq!(message(&a, &[], &vec![out; 500_000]), Err(ENOBUFS));
    let buffers = vec![Buffer { start: bytes.as_ptr(), length: 64 << 10 }; 1024];
    assert!(message(&a, &buffers, &[]).is_err());
    assert!(message(&stream, &buffers, &[]).is_ok_and(|count| count > 0));
    let buffers = vec![Buffer { start: bytes.as_ptr(), length: 0 }; 1_000_000];
    assert!(message(&a, &buffers, &[]).is_err());

    // Single long lists, of which nothing is kept.
    let text = String::from_utf8(bytes).expect("is ASCII");
    let hints = AddressHints { family: 0, type_: 0, protocol: 0, flags: 0 };
    for _ in 0..3 {
        assert!(
            set_option(&a, SOL_SOCKET, SO_RCVBUF, OptionValue::Bytes(text.as_bytes())).is_err()
        );
        assert!(ioctl(&a, 0x541b, text.as_bytes()).is_err());
        assert!(netdb::get_address_info(Some(&text), None, hints, Wait::Within(1)).is_err());
        assert!(
            netdb::get_address_info(Some("127.0.0.1"), Some(&text), hints, Wait::Within(1))
                .is_err()
        );
        assert!(netdb::get_host_by_name(&text, AF_INET, Wait::Within(1)).is_err());
        assert!(netdb::get_service_by_name(&text, Some(&text)).is_err());
        assert!(netdb::get_protocol_by_name(&text).is_err());
        assert!(netdb::interface_index(&text).is_err());
        assert!(netdb::set_host_name(text.as_bytes()).is_err());
        assert!(send(&a, text.as_bytes(), 0, Wait::None).is_err());
        assert!(syscalls::bind(&a, &sandsock::raw::types::Address::Unix(unix(&text))).is_err());
    }
    println!("done");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn unix(text: &str) -> sandsock::raw::types::UnixAddress {
    sandsock::raw::types::UnixAddress::Path(text.as_bytes().to_vec())
}
