//! What holds after the process has restricted itself: each measure is tried with an act that it
//! forbids, and a host that is made to open another family is stopped by the kernel.
//!
//! The measures are for a process with one thread, and can't be undone. So this program has no test
//! harness, and starts itself again for each case. A case prints what happened.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use sandsock_harden::{Access, Hardening};
use sandsock_host::policy::{Ceiling, Policy, PolicyBuilderExt as _};
use sandsock_host::{LookUpProcess, SandsockCtx};
use sandsock_tests::{State, command, programs};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Module, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::bindings::sync::Command as Guest;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

/// A case: its name, what it does, and what it prints.
type Case = (&'static str, fn(), &'static [&'static str]);

/// All cases.
const CASES: [Case; 6] = [
    ("acts", acts, ACTS),
    ("threads", threads, &["it has 2 threads already, and must have one"]),
    ("family", family, &["hardened: false, os error 97", "netlink again: EAFNOSUPPORT"]),
    ("twin", twin, &["not hardened: netlink opens"]),
    (
        "old-kernel",
        old_kernel,
        &[
            "seccomp: this kernel does not have it",
            "Landlock: this kernel does not have it",
            "the command runs: true",
            "and says so: true",
        ],
    ),
    ("look-ups", look_ups, &["ready", "forbidden files stay so: true", "late: 2 threads"]),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name] = words.as_slice()
        && word == "case"
    {
        let (_, case, _) = CASES.iter().find(|(case, ..)| case == name).expect("a case");
        return case();
    }
    // The arguments of cargo test: a filter, and options of a harness.
    if words.iter().any(|word| word == "--list") {
        return;
    }
    let filters: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    for (name, _, expected) in CASES {
        let whole = format!("harden_{name}");
        if !filters.is_empty() && !filters.iter().any(|filter| whole.contains(*filter)) {
            continue;
        }
        let own = std::env::current_exe().expect("a path");
        let output = Command::new(own).args(["case", name]).output().expect("it starts");
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.concat();
        assert!(output.status.success(), "{whole}:\n{text}");
        let landlock = Path::new("/proc/sys/kernel").exists() && has_landlock();
        for line in expected {
            let needs_landlock = line.starts_with("landlock: ");
            if needs_landlock && !landlock {
                sandsock_tests::skip(&whole, "this kernel has no Landlock");
                continue;
            }
            assert!(
                text.lines().any(|other| other == *line),
                "{whole}: {line} is missing in\n{text}"
            );
        }
        println!("test {whole} ... ok");
    }
}

/// Returns whether the kernel has Landlock with abstract names and signals (Linux 6.12).
fn has_landlock() -> bool {
    let own = std::env::current_exe().expect("a path");
    let output = Command::new(own).args(["case", "acts"]).output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).contains("Landlock (ABI ")
}

fn ceiling(rules: &[&str]) -> Ceiling {
    let mut builder = Policy::builder();
    for rule in rules {
        builder.allow(rule).expect("a rule");
    }
    Ceiling::of(&builder.build())
}

/// What the case `acts` prints beside the measures.
const ACTS: &[&str] = &[
    "allowed: a TCP socket, a UDP socket, a UNIX pair, a thread",
    "allowed: the listener of the granted port, its connection",
    "a netlink socket: EAFNOSUPPORT",
    "a packet socket: EAFNOSUPPORT",
    "a raw socket: EAFNOSUPPORT",
    "MPTCP: EAFNOSUPPORT",
    "a vsock pair: EAFNOSUPPORT",
    "a program: EPERM",
    "a namespace: EPERM",
    "a mount: EPERM",
    "a root folder: EPERM",
    "a host name: EPERM",
    "the clock: EPERM",
    "a device node: EPERM",
    "another process: EPERM",
    "its limits: EPERM",
    "its signals: EPERM",
    "typing at a terminal: EPERM",
    "the rights of a file: EPERM",
    "io_uring: ENOSYS",
    "shared memory: EPERM",
    "new code: refused",
    "capabilities: none",
    "no new privileges: true",
    "landlock: another port to bind: EACCES",
    "landlock: another port to connect to: EACCES",
    "landlock: an abstract name: EPERM",
    "landlock: a file to read: EACCES",
    "landlock: a file to write: EACCES",
    "allowed: the file in the granted folder",
    "landlock: a new file in the granted folder: EACCES",
];

/// Makes a system call that no crate has a function for.
#[allow(unsafe_code, reason = "syscall(2)")]
fn called(call: libc::c_long, arguments: &[i64]) -> io::Result<libc::c_long> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    // SAFETY: a null pointer is the only address among the arguments, and the calls refuse it.
    match unsafe { libc::syscall(call, argument(0), argument(1), argument(2)) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Prints an act and its errno.
fn tried<T: Debug>(act: &str, result: Result<T, impl Into<io::Error>>) {
    match result {
        Ok(value) => println!("{act}: allowed {value:?}"),
        Err(error) => {
            let error = error.into();
            match Errno::from_io_error(&error) {
                Some(Errno::AFNOSUPPORT) => println!("{act}: EAFNOSUPPORT"),
                Some(Errno::PERM) => println!("{act}: EPERM"),
                Some(Errno::NOSYS) => println!("{act}: ENOSYS"),
                Some(Errno::ACCESS) => println!("{act}: EACCES"),
                _ => println!("{act}: {error}"),
            }
        }
    }
}

fn acts() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "text").expect("is written");
    let name = format!("sandsock-harden-{}", std::process::id());
    let name = SocketAddr::from_abstract_name(name).expect("a name");
    let _outside = UnixListener::bind_addr(&name).expect("is free");
    // It must not be in a table of the runtime's own when the program ends: nothing may be removed.
    let kept = folder.keep();

    let rules = [format!("tcp-listen=127.0.0.1:{port}"), format!("tcp-connect=127.0.0.1:{port}")];
    let mut hardening = Hardening::of(&ceiling(&rules.each_ref().map(String::as_str)));
    let applied = hardening.file(&kept, Access::Read).apply().expect("one thread");
    applied.lines().iter().for_each(|line| println!("{line}"));

    let pair = UnixStream::pair().is_ok();
    let udp = UdpSocket::bind("127.0.0.1:0").is_ok();
    let tcp = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None).is_ok();
    let thread = std::thread::spawn(|| true).join().expect("a thread");
    if pair && udp && tcp && thread {
        println!("allowed: a TCP socket, a UDP socket, a UNIX pair, a thread");
    }
    let listener = TcpListener::bind(("127.0.0.1", port));
    if listener.is_ok() && TcpStream::connect(("127.0.0.1", port)).is_ok() {
        println!("allowed: the listener of the granted port, its connection");
    }
    let socket = |family, kind| rustix::net::socket(family, kind, None);
    tried("a netlink socket", socket(AddressFamily::NETLINK, SocketType::RAW));
    tried("a packet socket", socket(AddressFamily::PACKET, SocketType::RAW));
    let icmp = Some(rustix::net::ipproto::ICMP);
    tried("a raw socket", rustix::net::socket(AddressFamily::INET, SocketType::RAW, icmp));
    let mptcp = Some(rustix::net::ipproto::MPTCP);
    tried("MPTCP", rustix::net::socket(AddressFamily::INET, SocketType::STREAM, mptcp));
    let flags = rustix::net::SocketFlags::empty();
    let vsock = AddressFamily::from_raw(40);
    tried("a vsock pair", rustix::net::socketpair(vsock, SocketType::STREAM, flags, None));
    tried("a program", Command::new("/bin/true").status());
    let null = File::open("/dev/null").expect("is kept");
    tried("a namespace", rustix::thread::move_into_link_name_space(null.as_fd(), None));
    let mount = rustix::mount::MountFlags::BIND;
    tried("a mount", rustix::mount::mount("/", "/", c"none", mount, None));
    tried("a root folder", rustix::process::chroot("/"));
    tried("a host name", rustix::system::sethostname(b"other"));
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    tried("the clock", rustix::time::clock_settime(rustix::time::ClockId::Realtime, now));
    let device = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::RUSR;
    tried("a device node", rustix::fs::mknodat(rustix::fs::CWD, "/tmp/x", device, mode, 0));
    let parent = rustix::process::getppid().expect("a parent");
    let options = rustix::process::PidfdFlags::empty();
    tried("another process", rustix::process::pidfd_open(parent, options));
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    tried("its limits", rustix::process::prlimit(Some(parent), resource, limit).map(drop));
    let urgent = rustix::process::Signal::URG;
    tried("its signals", rustix::process::kill_process(parent, urgent));
    tried("typing at a terminal", called(libc::SYS_ioctl, &[0, libc::TIOCSTI.cast_signed(), 0]));
    tried("the rights of a file", rustix::fs::chmod("/etc/passwd", rustix::fs::Mode::RUSR));
    tried("io_uring", called(libc::SYS_io_uring_setup, &[1, 0]));
    tried("shared memory", called(libc::SYS_shmget, &[1, 4096, 0]));
    // wasmtime maps what it compiles.
    let code = Module::new(&engine(), "(module (func (export \"f\")))");
    println!("new code: {}", if code.is_err() { "refused" } else { "allowed" });
    let sets = rustix::thread::capabilities(None).expect("the kernel has them");
    let none = sets.effective.is_empty()
        || sets.effective == rustix::thread::CapabilitySet::DAC_READ_SEARCH;
    println!("capabilities: {}", if none { "none".to_owned() } else { format!("{sets:?}") });
    println!("no new privileges: {}", rustix::thread::no_new_privs().expect("the kernel has it"));
    tried("landlock: another port to bind", TcpListener::bind("127.0.0.1:9"));
    let there = other.local_addr().expect("an address");
    tried("landlock: another port to connect to", TcpStream::connect(there));
    // The name was bound before, so its socket belongs to nobody in here.
    tried("landlock: an abstract name", UnixStream::connect_addr(&name));
    tried("landlock: a file to read", File::open("/etc/passwd"));
    tried("landlock: a file to write", File::create("/tmp/sandsock-harden-file"));
    if std::fs::read_to_string(kept.join("file")).is_ok_and(|text| text == "text") {
        println!("allowed: the file in the granted folder");
    }
    tried("landlock: a new file in the granted folder", File::create(kept.join("new")));
}

/// With a second thread, nothing is restricted, and the error says so.
fn threads() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    println!("{}", Hardening::closed().apply().expect_err("a second thread"));
    drop(stop);
    let _ = thread.join().expect("ends");
    assert!(File::open("/etc/passwd").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok());
}

/// An engine that compiles on the thread that asks.
fn engine() -> Engine {
    let mut config = Config::new();
    config.concurrency_support(false).parallel_compilation(false);
    Engine::new(&config).expect("an engine")
}

/// Runs a guest that opens a netlink socket, under a policy that allows everything. It is how a host
/// whose checks are broken would act.
fn guest_with_everything(before: impl FnOnce(), patience: Option<Duration>) -> (bool, String) {
    let engine = engine();
    let component =
        Component::from_file(&engine, programs::netlink_route_ok.path()).expect("it is built");
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("is new");
    sandsock_host::add_to_linker_sync(&mut linker).expect("is new");
    before();
    let mut builder = Policy::builder();
    builder.allow_all();
    let sandsock = SandsockCtx::builder(Arc::new(builder.build())).build().expect("a context");
    let interrupter = sandsock.interrupter();
    let stderr = MemoryOutputPipe::new(1 << 20);
    let wasi =
        WasiCtx::builder().args(&["guest", "no-such-interface"]).stderr(stderr.clone()).build();
    let mut store = Store::new(&engine, State::new(wasi, sandsock));
    let guest = Guest::instantiate(&mut store, &component, &linker).expect("it fits");
    // The guest waits for an interface that never comes.
    if let Some(patience) = patience {
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(patience);
                interrupter.interrupt();
            }
        });
    }
    let ended = guest.wasi_cli_run().call_run(&mut store);
    (
        ended.is_ok_and(|ended| ended.is_ok()),
        String::from_utf8_lossy(&stderr.contents()).into_owned(),
    )
}

fn family() {
    let restrict = || {
        drop(Hardening::of(&ceiling(&["tcp-connect=127.0.0.1:80"])).apply().expect("one thread"))
    };
    let (ok, text) = guest_with_everything(restrict, None);
    let error = if text.contains("97") || text.contains("EAFNOSUPPORT") {
        "os error 97"
    } else {
        text.as_str()
    };
    println!("hardened: {ok}, {error}");
    tried("netlink again", rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None));
}

fn twin() {
    let (_, text) = guest_with_everything(|| (), Some(Duration::from_secs(1)));
    assert!(!text.contains("EAFNOSUPPORT") && !text.contains("os error 97"), "{text}");
    println!("not hardened: netlink opens");
}

/// In a kernel without Landlock and seccomp, the other measures hold, and the command runs. A filter
/// plays that kernel.
fn old_kernel() {
    let missing = [libc::SYS_seccomp, libc::SYS_landlock_create_ruleset];
    let missing = missing.map(|call| (call, Vec::new())).into();
    let errno = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().expect("a known one");
    let filter = SeccompFilter::new(missing, SeccompAction::Allow, errno, arch).expect("a filter");
    let filter: BpfProgram = filter.try_into().expect("a filter");
    seccompiler::apply_filter(&filter).expect("it is new");
    let output = Command::new(command())
        .args(["run", "-v"])
        .arg(programs::cli_end_ok.path())
        .arg("ok")
        .output()
        .expect("it starts");
    println!("the command runs: {}", output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    let says = ["seccomp", "Landlock"]
        .iter()
        .all(|measure| text.contains(&format!("INFO {measure}: this kernel does not have it")));
    println!("and says so: {says}");
    let applied = Hardening::closed().apply().expect("one thread");
    applied.lines().iter().for_each(|line| println!("{line}"));
    assert!(rustix::thread::capabilities(None).expect("the kernel has them").effective.is_empty());
}

/// The process for look-ups is started first, restricts itself, and is refused with a second thread.
fn look_ups() {
    let prepare = || {
        Hardening::look_ups().apply().map(drop).map_err(|error| error.to_string())?;
        match File::create("/tmp/sandsock-harden-look-ups") {
            Err(error) if error.raw_os_error() == Some(13) => Ok(()),
            Err(_) if !Path::new("/sys/kernel/security").exists() => Ok(()),
            other => Err(format!("a file: {other:?}")),
        }
    };
    let process = LookUpProcess::start(prepare);
    println!("{}", if process.is_ok() { "ready".to_owned() } else { format!("{process:?}") });
    let failed = LookUpProcess::start(|| Err("as a test".to_owned())).expect_err("it fails");
    println!("forbidden files stay so: {}", failed.to_string() == "as a test");
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let late = LookUpProcess::start(|| Ok(())).expect_err("a second thread");
    println!("late: {}", if late.to_string().contains("2 threads") { "2 threads" } else { "?" });
    drop(stop);
    let _ = thread.join().expect("ends");
}
