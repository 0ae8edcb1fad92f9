//! A file system of the test's own, spoken raw (linux/fuse.h): one file, about which it answers
//! when the test likes.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

const FORGET: u32 = 2;
const LOOKUP: u32 = 1;
/// fstat(2)'s request.
pub const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const RELEASE: u32 = 18;
/// close(2)'s request.
pub const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
/// poll(2)'s request.
pub const POLL: u32 = 40;
const BATCH_FORGET: u32 = 42;

/// The longest request: a write of 128 KiB, which no test makes, and its header.
const REQUEST_MAX: usize = 256 * 1024;

/// A mounted file system, gone on drop.
///
/// A process that ends while it waits for its own answer would wait for ever, and so would every
/// program that lists the processes. So the file system ends after this time, even if the process
/// does not.
#[derive(Debug)]
pub struct Fuse {
    directory: TempDir,
    device: Arc<File>,
    held: Arc<Mutex<Held>>,
    /// Ends the file system when its time is over.
    watchdog: Child,
}

/// How long a file system may live, in seconds.
const LIFETIME: &str = "90";

/// A request: its kind, the number that the answer repeats, and the file that it is about.
#[derive(Debug, Clone, Copy)]
struct Asked {
    kind: u32,
    unique: u64,
    node: u64,
}

#[derive(Debug, Default)]
struct Held {
    kinds: BTreeSet<u32>,
    /// The requests without an answer.
    waiting: Vec<Asked>,
}

impl Fuse {
    /// Mounts one.
    ///
    /// # Errors
    /// Why there can be none here, as the reason of a skipped test.
    pub fn new() -> Result<Self, String> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| format!("/dev/fuse can't be opened: {error}"))?;
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        fcntl_setfd(&device, FdFlags::empty()).map_err(|errno| errno.to_string())?;
        let options = format!("fd={},rootmode=040000,user_id=0,group_id=0", device.as_raw_fd());
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", &options, "sandsock"])
            .arg(directory.path())
            .output();
        fcntl_setfd(&device, FdFlags::CLOEXEC).map_err(|errno| errno.to_string())?;
        let mounted = mounted.map_err(|error| format!("there is no mount command: {error}"))?;
        if !mounted.status.success() {
            return Err(format!(
                "FUSE can't be mounted: {}",
                String::from_utf8_lossy(&mounted.stderr).trim()
            ));
        }
        let watchdog = Command::new("sh")
            .args(["-c", "sleep \"$1\"; umount -f \"$0\""])
            .arg(directory.path())
            .arg(LIFETIME)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let fuse = Self { directory, device: Arc::new(device), held: Arc::default(), watchdog };
        let (device, held) = (Arc::clone(&fuse.device), Arc::clone(&fuse.held));
        // It ends when the file system is unmounted.
        std::thread::spawn(move || serve(&device, &held));
        Ok(fuse)
    }

    /// Where its file is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    /// Opens its file, which must not be closed while FLUSH is held.
    #[track_caller]
    pub fn open(&self) -> File {
        File::open(self.path()).expect("it opens")
    }

    /// Leaves such requests without an answer from now on.
    pub fn hold(&self, kinds: &[u32]) {
        self.held().kinds.extend(kinds);
    }

    /// How many requests of this kind wait for their answer.
    pub fn waiting(&self, kind: u32) -> usize {
        self.held().waiting.iter().filter(|asked| asked.kind == kind).count()
    }

    /// Answers what waits, and all that comes.
    pub fn release(&self) {
        let waiting = {
            let mut held = self.held();
            held.kinds.clear();
            std::mem::take(&mut held.waiting)
        };
        for asked in waiting {
            answer(&self.device, asked, b"file\0");
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.release();
        let _ = Command::new("umount").arg("-l").arg(self.directory.path()).output();
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

fn serve(device: &File, held: &Mutex<Held>) {
    let mut request = vec![0; REQUEST_MAX];
    // ENODEV: it is unmounted.
    while let Ok(length) = (&*device).read(&mut request) {
        let (header, body) = request[..length].split_at(40);
        let number =
            |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let kind = u32::from_ne_bytes(header[4..8].try_into().expect("4 bytes"));
        let asked = Asked { kind, unique: number(8), node: number(16) };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.kinds.contains(&kind) {
            held.waiting.push(asked);
        } else {
            drop(held);
            answer(device, asked, body);
        }
    }
}

/// struct fuse_attr of the folder, or of the file.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, links) = if node == 1 { (0o040_755u32, 2u32) } else { (0o100_644, 1) };
    let mut all = [node, 0, 0, 0, 0, 0].map(u64::to_ne_bytes).concat();
    all.extend([0, 0, 0, mode, links, 0, 0, 0, 4096, 0].map(u32::to_ne_bytes).concat());
    all
}

fn answer(mut device: &File, Asked { kind, unique, node }: Asked, body: &[u8]) {
    let mut data = Vec::new();
    let mut errno = 0;
    match kind {
        FORGET | BATCH_FORGET | INTERRUPT => return,
        INIT => {
            // struct fuse_init_out: version 7.31, without any flag.
            data.extend([7, 31, 0, 0, 0, 4096, 1].map(u32::to_ne_bytes).concat());
            data.resize(64, 0);
        }
        LOOKUP if body == b"file\0" => {
            // struct fuse_entry_out. The kernel may cache nothing, so each fstat(2) asks again.
            data.extend([2u64, 0, 0, 0, 0].map(u64::to_ne_bytes).concat());
            data.extend(attributes(2));
        }
        LOOKUP => errno = libc::ENOENT,
        GETATTR => {
            // struct fuse_attr_out. The kernel may cache nothing.
            data.extend([0u64, 0].map(u64::to_ne_bytes).concat());
            data.extend(attributes(node));
        }
        OPEN => data.extend([1u64, 0].map(u64::to_ne_bytes).concat()),
        POLL => data.extend(0u64.to_ne_bytes()),
        FLUSH | RELEASE => {}
        _ => errno = libc::ENOSYS,
    }
    let length = u32::try_from(16 + data.len()).expect("a short answer");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend((-errno).to_ne_bytes());
    message.extend(unique.to_ne_bytes());
    message.extend(data);
    // ENOENT: who asked is gone.
    let _ = device.write(&message);
}
