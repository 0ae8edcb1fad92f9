//! AF_UNIX: paths, abstract names, pairs; what is granted of them, and what the kernel says.

use std::fmt::Display;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sandsock_tests::{Guest, both_ways, programs};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

/// A directory of the test's own, and its real path.
fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("it is there");
    (directory, path)
}

/// A word that no other test of this machine uses for a name.
fn tag() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A test waits no longer than this for what must come.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// An argument for `attempts.rs`.
fn attempt(verb: &str, expected: impl Display, path: impl AsRef<Path>) -> String {
    format!("{verb} {expected} {}", path.as_ref().display())
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|data| data.file_type().is_socket())
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = directory
        .read_dir()
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// Returns whether this listener had no connection.
fn is_untouched(listener: &UnixListener) -> bool {
    listener.set_nonblocking(true).expect("it can be set");
    matches!(listener.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
pub(crate) fn unix_stream_served() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (path, own) = (dir.join("server"), dir.join("client"));
        let guest = Guest::new(programs::unix_stream_served, way)
            .allow(format!("unix-bind={}", path.display()))
            .arg(path.display())
            .start();
        guest.lines(1);
        assert!(is_socket(&path));
        let named = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        named.bind(&SockAddr::unix(&own).expect("a path")).expect("binds");
        let echo = |mut client: UnixStream| {
            client.set_read_timeout(PATIENCE).expect("it can be set");
            client.write_all(b"hello").expect("sends");
            let mut back = String::new();
            client.read_to_string(&mut back).expect("receives");
            assert_eq!(back, "hello");
        };
        echo(UnixStream::connect(&path).expect("connects"));
        named.connect(&SockAddr::unix(&path).expect("a path")).expect("connects");
        echo(UnixStream::from(OwnedFd::from(named)));
        let told = guest.join().success();
        assert_eq!(told, format!("listening\n''\n'{}'\n", own.display()));
    });
}

#[test]
pub(crate) fn unix_stream_connected() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (path, own) = (dir.join("server"), dir.join("client"));
        let listener = UnixListener::bind(&path).expect("binds");
        let guest = Guest::new(programs::unix_stream_connected, way)
            .allow(format!("unix-connect={}", path.display()))
            .allow(format!("unix-bind={}", own.display()))
            .arg(path.display())
            .arg(own.display())
            .start();
        for expected in [None, Some(own.as_path())] {
            let (mut peer, address) = listener.accept().expect("accepts");
            assert_eq!(address.as_pathname(), expected);
            let mut data = [0; 5];
            peer.read_exact(&mut data).expect("receives");
            assert_eq!(&data, b"hello");
            peer.write_all(b"world").expect("sends");
        }
        guest.join().success();
        assert!(is_socket(&own), "the guest's name stays, as every bound name does");
    });
}

#[test]
pub(crate) fn unix_datagram_exchanged() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (path, own) = (dir.join("guest"), dir.join("native"));
        let native = UnixDatagram::bind(&own).expect("binds");
        native.set_read_timeout(PATIENCE).expect("it can be set");
        let guest = Guest::new(programs::unix_datagram_exchanged, way)
            .allow(format!("unix-bind={}", path.display()))
            .allow(format!("unix-connect={}", own.display()))
            .arg(path.display())
            .arg(own.display())
            .start();
        guest.lines(1);
        native.send_to(b"named", &path).expect("sends");
        let mut data = [0; 100];
        let (length, from) = native.recv_from(&mut data).expect("receives");
        assert_eq!(
            (&data[..length], from.as_pathname()),
            (&b"to the sender"[..], Some(path.as_path()))
        );
        UnixDatagram::unbound().expect("a socket").send_to(b"unnamed", &path).expect("sends");
        let name = [b"\xffsandsock\0", path.as_os_str().as_encoded_bytes()].concat();
        let name = SocketAddr::from_abstract_name(name).expect("a name");
        let named = UnixDatagram::bind_addr(&name).expect("binds");
        named.send_to(b"abstract", &path).expect("sends");
        named.send_to(b"cut here", &path).expect("sends");
        named.send_to(b"cut there", &path).expect("sends");
        let (length, from) = native.recv_from(&mut data).expect("receives");
        assert_eq!(
            (&data[..length], from.as_pathname()),
            (&b"connected"[..], Some(path.as_path()))
        );
        guest.join().success();
    });
}

#[test]
pub(crate) fn unix_seqpacket_exchanged() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (path, own) = (dir.join("guest"), dir.join("native"));
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("a socket");
        listener.bind(&SockAddr::unix(&own).expect("a path")).expect("binds");
        listener.listen(1).expect("listens");
        let guest = Guest::new(programs::unix_seqpacket_exchanged, way)
            .allow(format!("unix-bind={}", path.display()))
            .allow(format!("unix-connect={}", own.display()))
            .arg(path.display())
            .arg(own.display())
            .start();
        guest.lines(1);
        let client = Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("a socket");
        client.connect(&SockAddr::unix(&path).expect("a path")).expect("connects");
        let exchange = |socket: &Socket| {
            for message in ["one", "two", "three", "four", "five"] {
                assert_eq!(socket.send(message.as_bytes()).expect("sends"), message.len());
            }
            socket.set_read_timeout(PATIENCE).expect("it can be set");
            for expected in [&b"a"[..], b"bc"] {
                let mut data = [MaybeUninit::uninit(); 100];
                assert_eq!(socket.recv(&mut data).expect("receives"), expected.len());
            }
            socket.shutdown(std::net::Shutdown::Write).expect("ends");
        };
        exchange(&client);
        exchange(&listener.accept().expect("accepts").0);
        guest.join().success();
    });
}

#[test]
pub(crate) fn unix_abstract_exchanged() {
    both_ways(|way| {
        let tag = tag();
        let name = |suffix: &str| {
            SocketAddr::from_abstract_name(format!("sandsock-{tag}{suffix}")).expect("a name")
        };
        let listener = UnixListener::bind_addr(&name("-peer")).expect("binds");
        let guest = Guest::new(programs::unix_abstract_exchanged, way)
            .allow(format!("unix-bind=@sandsock-{tag}*"))
            .allow(format!("unix-connect=@sandsock-{tag}*"))
            .arg(&tag)
            .start();
        guest.lines(1);
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        client
            .bind(&SockAddr::unix(format!("\0sandsock-{tag}-client")).expect("a name"))
            .expect("binds");
        client
            .connect(&SockAddr::unix(format!("\0sandsock-{tag}-stream")).expect("a name"))
            .expect("connects");
        for mut peer in
            [UnixStream::from(OwnedFd::from(client)), listener.accept().expect("accepts").0]
        {
            peer.set_read_timeout(PATIENCE).expect("it can be set");
            let mut data = [0; 5];
            peer.read_exact(&mut data).expect("receives");
            assert_eq!(&data, b"hello");
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn unix_abstract_denied() {
    both_ways(|way| {
        let tag = tag();
        let bound = |name: &str| {
            let name = SocketAddr::from_abstract_name(format!("{tag}-{name}")).expect("a name");
            UnixListener::bind_addr(&name).expect("binds")
        };
        let (_open, secret) = (bound("open"), bound("secret"));
        let other = bound("x-else");
        Guest::new(programs::unix_abstract_denied, way)
            .allow(format!("unix-connect=@{tag}-[*"))
            .allow(format!("unix-connect=@{tag}-open"))
            .allow(format!("unix-connect=@{tag}-s*"))
            .allow(format!("unix-bind=@{tag}-new*"))
            .deny(format!("unix-connect=@{tag}-secret"))
            .deny(format!("unix-bind=@{tag}-new-2"))
            .arg(attempt("connect", "ok", format!("@{tag}-open")))
            .arg(attempt("connect", "denied", format!("@{tag}-secret")))
            .arg(attempt("connect", libc::ECONNREFUSED, format!("@{tag}-secrets")))
            .arg(attempt(
                "connect",
                format!("needs:unix-connect=@{tag}-x-else"),
                format!("@{tag}-x-else"),
            ))
            .arg(attempt("send", "denied", format!("@{tag}-secret")))
            .arg(attempt("bind", "ok", format!("@{tag}-new-1")))
            .arg(attempt("bind", "denied", format!("@{tag}-new-2")))
            .arg(attempt("bind", format!("needs:unix-bind=@{tag}-open"), format!("@{tag}-open")))
            .run()
            .success();
        assert!(is_untouched(&secret) && is_untouched(&other));
    });
}

#[test]
pub(crate) fn unix_autobind_named() {
    both_ways(|way| {
        let guest = Guest::new(programs::unix_autobind_named, way).allow("unix-bind=@*").start();
        let digits = guest.lines(1)[0].clone();
        assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
        let name = SocketAddr::from_abstract_name(&digits).expect("a name");
        UnixDatagram::unbound().expect("a socket").send_to_addr(b"found", &name).expect("sends");
        guest.join().success();
    });
}

#[test]
pub(crate) fn unix_autobind_denied() {
    both_ways(|way| {
        Guest::new(programs::unix_autobind_denied, way)
            .allow("unix-bind=@sandsock-*")
            .run()
            .success();
        Guest::new(programs::unix_autobind_denied, way)
            .allow("unix-bind=@*")
            .deny("unix-bind=@0*")
            .run()
            .success();
        Guest::new(programs::unix_autobind_denied, way)
            .allow_all()
            .deny("unix-bind=@*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn unix_pair_unnamed() {
    both_ways(|way| {
        Guest::new(programs::unix_pair_unnamed, way).run().success();
    });
}

#[test]
pub(crate) fn unix_name_limits() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let tag = tag();
        Guest::new(programs::unix_name_limits, way)
            .allow(format!("unix-bind={}/*", dir.display()))
            .allow(format!("unix-connect={}/*", dir.display()))
            .allow("unix-bind=@*")
            .allow(format!("unix-connect=@{tag}*"))
            .arg(dir.display())
            .arg(&tag)
            .run()
            .success();
        let names = names_in(&dir);
        assert_eq!(names.len(), 1);
        assert_eq!(dir.join(&names[0]).as_os_str().len(), 107);
    });
}

#[test]
pub(crate) fn unix_bind_inuse() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        std::fs::write(dir.join("file"), "precious").expect("writes");
        std::fs::create_dir(dir.join("directory")).expect("makes");
        symlink("nowhere", dir.join("dangling")).expect("links");
        symlink("file", dir.join("link")).expect("links");
        let live = UnixListener::bind(dir.join("live")).expect("binds");
        drop(UnixListener::bind(dir.join("stale")).expect("binds"));
        let before = names_in(&dir);
        let mut guest = Guest::new(programs::unix_bind_inuse, way)
            .allow(format!("unix-bind={}/*", dir.display()));
        for name in &before {
            guest = guest.arg(attempt("bind", libc::EADDRINUSE, dir.join(name)));
        }
        guest.run().success();
        assert_eq!(names_in(&dir), before);
        assert_eq!(std::fs::read(dir.join("file")).expect("reads"), b"precious");
        assert_eq!(std::fs::read_link(dir.join("dangling")).expect("a link"), Path::new("nowhere"));
        assert_eq!(std::fs::read_link(dir.join("link")).expect("a link"), Path::new("file"));
        let _client = UnixStream::connect(dir.join("live")).expect("it still listens");
        live.accept().expect("accepts");
    });
}

#[test]
pub(crate) fn unix_connect_judged() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let _live = UnixListener::bind(dir.join("live")).expect("binds");
        let _datagram = UnixDatagram::bind(dir.join("datagram")).expect("binds");
        drop(UnixListener::bind(dir.join("stale")).expect("binds"));
        std::fs::write(dir.join("file"), "").expect("writes");
        std::fs::create_dir(dir.join("sub")).expect("makes");
        let other = UnixListener::bind(dir.join("other")).expect("binds");
        let mut guest = Guest::new(programs::unix_connect_judged, way)
            .allow(format!("unix-connect={}/sub/**", dir.display()));
        for name in ["live", "datagram", "stale", "file", "missing"] {
            guest = guest.allow(format!("unix-connect={}/{name}", dir.display()));
        }
        let needs = |name: &str| format!("needs:unix-connect={}/{name}", dir.display());
        guest
            .arg(attempt("connect", "ok", dir.join("live")))
            .arg(attempt("connect", libc::EPROTOTYPE, dir.join("datagram")))
            .arg(attempt("send", "ok", dir.join("datagram")))
            .arg(attempt("send", libc::EPROTOTYPE, dir.join("live")))
            .arg(attempt("connect", libc::ECONNREFUSED, dir.join("stale")))
            .arg(attempt("connect", libc::ECONNREFUSED, dir.join("file")))
            .arg(attempt("connect", libc::ENOENT, dir.join("missing")))
            .arg(attempt("connect", libc::ENOENT, dir.join("sub/missing")))
            .arg(attempt("connect", libc::ENOENT, dir.join("sub/missing/more")))
            // The denial of a path is the same whether the path exists or not.
            .arg(attempt("connect", needs("other"), dir.join("other")))
            .arg(attempt("send", needs("other"), dir.join("other")))
            .arg(attempt("connect", needs("absent"), dir.join("absent")))
            .arg(attempt("connect", needs("live/below"), dir.join("live/below")))
            .arg(attempt(
                "bind",
                format!("needs:unix-bind={}/live", dir.display()),
                dir.join("live"),
            ))
            .arg(attempt("bind", format!("needs:unix-bind={}/new", dir.display()), dir.join("new")))
            .run()
            .success();
        assert!(is_untouched(&other));
        assert!(!dir.join("new").exists());
    });
}

#[test]
pub(crate) fn unix_connect_links() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (inside, outside) = (dir.join("inside"), dir.join("outside"));
        std::fs::create_dir_all(inside.join("sub/deep")).expect("makes");
        std::fs::create_dir(&outside).expect("makes");
        let secret = UnixListener::bind(outside.join("secret")).expect("binds");
        let datagrams = UnixDatagram::bind(outside.join("datagrams")).expect("binds");
        let _live = UnixListener::bind(inside.join("sub/live")).expect("binds");
        symlink("../outside/secret", inside.join("out")).expect("links");
        symlink(outside.join("secret"), inside.join("out-absolute")).expect("links");
        symlink("../outside/datagrams", inside.join("out-datagrams")).expect("links");
        symlink("../outside", inside.join("out-directory")).expect("links");
        symlink("out", inside.join("chain")).expect("links");
        symlink("sub/live", inside.join("within")).expect("links");
        symlink("../live", inside.join("sub/deep/up")).expect("links");
        symlink("sub", inside.join("within-directory")).expect("links");
        symlink("loop", inside.join("loop")).expect("links");
        symlink("sub/missing", inside.join("dangling")).expect("links");
        // Absolute ones that stay within, by the folder's own name and by another.
        symlink(&inside, dir.join("alias")).expect("links");
        symlink(inside.join("sub/live"), inside.join("within-absolute")).expect("links");
        symlink(inside.join("sub"), inside.join("within-absolute-directory")).expect("links");
        symlink(inside.join("within-absolute-directory/deep"), inside.join("within-twice"))
            .expect("links");
        symlink("within-absolute", inside.join("sub/relative-to-nothing")).expect("links");
        symlink(inside.join("sub/../../inside/sub/live"), inside.join("within-by-parents"))
            .expect("links");
        symlink(inside.join("../outside/secret"), inside.join("out-by-parents")).expect("links");
        symlink(dir.join("inside-not"), inside.join("out-by-prefix")).expect("links");
        symlink(inside.join("out"), inside.join("within-then-out")).expect("links");
        symlink(inside.join("loop-b"), inside.join("loop-a")).expect("links");
        symlink(inside.join("loop-a"), inside.join("loop-b")).expect("links");
        symlink("/proc/self/root", inside.join("root")).expect("links");
        let connect =
            |expected: &dyn Display, name: &str| attempt("connect", expected, inside.join(name));
        Guest::new(programs::unix_connect_links, way)
            .allow(format!("unix-connect={}/**", inside.display()))
            .arg(connect(&"ok", "sub/live"))
            .arg(connect(&"ok", "within"))
            .arg(connect(&"ok", "within-directory/live"))
            .arg(connect(&"ok", "sub/deep/up"))
            .arg(connect(&"ok", "./sub//live"))
            .arg(connect(&"ok", "within-absolute"))
            .arg(connect(&"ok", "within-absolute-directory/live"))
            .arg(connect(&"ok", "within-twice/up"))
            .arg(connect(&libc::ENOENT, "sub/relative-to-nothing"))
            .arg(connect(&"denied", "within-by-parents"))
            .arg(connect(&"denied", "out-by-parents"))
            .arg(connect(&"denied", "out-by-prefix"))
            .arg(connect(&"denied", "within-then-out"))
            .arg(connect(&libc::ELOOP, "loop-a"))
            .arg(connect(&"denied", "root/etc/passwd"))
            .arg(connect(&"denied", "out"))
            .arg(connect(&"denied", "out-absolute"))
            .arg(connect(&"denied", "out-directory/secret"))
            .arg(connect(&"denied", "chain"))
            .arg(connect(&"denied", "sub/../sub/live"))
            .arg(connect(&"denied", "../outside/secret"))
            .arg(connect(&"denied", "../inside/sub/live"))
            .arg(attempt("send", "denied", inside.join("out-datagrams")))
            .arg(attempt("send", "denied", inside.join("out-directory/datagrams")))
            .arg(attempt("send", "denied", inside.join("../outside/datagrams")))
            .arg(connect(&libc::ELOOP, "loop"))
            .arg(connect(&libc::ENOENT, "dangling"))
            .run()
            .success();
        // The same folder, granted by a name that is a link: both its names are within.
        let alias = dir.join("alias");
        symlink(alias.join("sub/live"), inside.join("within-alias")).expect("links");
        Guest::new(programs::unix_connect_links, way)
            .allow(format!("unix-connect={}/**", alias.display()))
            .arg(attempt("connect", "ok", alias.join("within-alias")))
            .arg(attempt("connect", "ok", alias.join("within-absolute")))
            .arg(attempt("connect", "denied", alias.join("out-absolute")))
            .run()
            .success();
        assert!(is_untouched(&secret));
        datagrams.set_nonblocking(true).expect("it can be set");
        assert!(datagrams.recv(&mut [0; 10]).is_err(), "nothing was sent out of the directory");
    });
}

#[test]
pub(crate) fn unix_bind_links() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (inside, outside) = (dir.join("inside"), dir.join("outside"));
        std::fs::create_dir_all(inside.join("sub")).expect("makes");
        std::fs::create_dir(&outside).expect("makes");
        symlink("../outside", inside.join("out")).expect("links");
        symlink(&outside, inside.join("out-absolute")).expect("links");
        symlink("sub", inside.join("within")).expect("links");
        symlink("../outside/planted", inside.join("planted")).expect("links");
        let bind =
            |expected: &dyn Display, name: &str| attempt("bind", expected, inside.join(name));
        Guest::new(programs::unix_bind_links, way)
            .allow(format!("unix-bind={}/**", inside.display()))
            .arg(bind(&"ok", "direct"))
            .arg(bind(&"ok", "sub/below"))
            .arg(bind(&"ok", "within/linked"))
            .arg(bind(&"denied", "out/a"))
            .arg(bind(&"denied", "out-absolute/a"))
            .arg(bind(&"denied", "../outside/a"))
            .arg(bind(&"denied", "sub/../a"))
            .arg(bind(&libc::EADDRINUSE, "planted"))
            .arg(bind(&libc::ENOENT, "missing/a"))
            .arg(bind(&libc::ENOTDIR, "direct/a"))
            .run()
            .success();
        assert_eq!(names_in(&outside), [""; 0]);
        assert_eq!(names_in(&inside.join("sub")), ["below", "linked"]);
        assert!(
            ["direct", "sub/below", "sub/linked"].iter().all(|name| is_socket(&inside.join(name)))
        );
    });
}

#[test]
pub(crate) fn unix_swap_contained() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (granted, outside) = (dir.join("granted"), dir.join("outside"));
        let real = granted.join("here");
        std::fs::create_dir_all(&real).expect("makes");
        std::fs::create_dir(&outside).expect("makes");
        let inner = UnixListener::bind(real.join("listener")).expect("binds");
        let outer = UnixListener::bind(outside.join("listener")).expect("binds");
        let other = granted.join("there");
        symlink("../outside", &other).expect("links");
        let over = AtomicBool::new(false);
        let guest = Guest::new(programs::unix_swap_contained, way)
            .allow(format!("unix-bind={}/**", granted.display()))
            .allow(format!("unix-connect={}/**", granted.display()))
            .arg(real.display())
            .arg(real.join("listener").display())
            .start();
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &real, CWD, &other, RenameFlags::EXCHANGE)
                        .expect("they change places");
                }
            });
            inner.set_nonblocking(true).expect("it can be set");
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match inner.accept() {
                        Ok((mut peer, _)) => peer.write_all(b"inside").expect("sends"),
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
            let ended = guest.join();
            over.store(true, Ordering::Relaxed);
            ended
        });
        let told = ended.success();
        assert!(is_untouched(&outer), "no connection led out of the directory");
        let inside =
            if real.symlink_metadata().expect("it is there").is_dir() { real } else { other };
        for name in told.lines() {
            assert!(is_socket(&inside.join(name)), "{name} was made elsewhere, and not denied");
        }
    });
}

#[test]
pub(crate) fn unix_relative_based() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        std::fs::create_dir(dir.join("sub")).expect("makes");
        let _live = UnixListener::bind(dir.join("live")).expect("binds");
        let _below = UnixListener::bind(dir.join("sub/below")).expect("binds");
        let (_elsewhere, elsewhere) = directory();
        let other = UnixListener::bind(elsewhere.join("live")).expect("binds");
        Guest::new(programs::unix_relative_based, way)
            .base(&dir)
            .allow("unix-connect=live")
            .allow(format!("unix-connect={}/sub/*", dir.display()))
            .allow("unix-bind=sub/new")
            .arg(attempt("connect", "ok", "live"))
            .arg(attempt("connect", "ok", "./live"))
            .arg(attempt("connect", "ok", dir.join("live")))
            .arg(attempt("connect", "ok", "sub/below"))
            .arg(attempt("connect", "ok", dir.join("sub/below")))
            .arg(attempt("bind", "ok", "sub/new"))
            .arg(attempt("connect", format!("needs:unix-connect={}/sub", dir.display()), "sub"))
            .arg(attempt(
                "connect",
                format!("needs:unix-connect={}/live", elsewhere.display()),
                elsewhere.join("live"),
            ))
            .arg(attempt("connect", "denied", "../live"))
            .arg(attempt("bind", format!("needs:unix-bind={}/new", dir.display()), "new"))
            .run()
            .success();
        assert!(is_socket(&dir.join("sub/new")));
        assert!(is_untouched(&other));
    });
}

#[test]
pub(crate) fn unix_relative_named() {
    // The folder is so deep that a path from the root is longer than an address may be.
    let (_keep, dir) = directory();
    let deep = dir.join("a-folder-with-a-long-name/".repeat(6));
    std::fs::create_dir_all(deep.join("sub")).expect("makes");
    assert!(deep.as_os_str().len() > 108);
    // Absolute, by a short link to there: the path as given is short enough.
    let short = dir.join("s");
    symlink(&deep, &short).expect("links");
    let paths = ["new", "./other", "sub//new", "sub/./other"];
    let clear = || {
        for name in
            paths.iter().flat_map(|path| ["", "-to", "-from"].map(|end| format!("{path}{end}")))
        {
            assert!(is_socket(&deep.join(&name)), "{name} is not where it belongs");
            std::fs::remove_file(deep.join(&name)).expect("removes");
        }
    };
    both_ways(|way| {
        let mut guest = Guest::new(programs::unix_relative_named, way).base(&deep);
        for path in paths {
            guest = guest.arg(path);
        }
        guest.allow("unix-bind=**").allow("unix-connect=**").run().success();
        clear();
        let there = short.join("absolute");
        let grants =
            ["unix-bind", "unix-connect"].map(|verb| format!("{verb}={}/*", short.display()));
        Guest::new(programs::unix_relative_named, way)
            .allow(&grants[0])
            .allow(&grants[1])
            .arg(there.display())
            .run()
            .success();
        for end in ["", "-to", "-from"] {
            std::fs::remove_file(deep.join(format!("absolute{end}"))).expect("it is there");
        }
    });
    // The command's own folder is where relative paths start.
    let command = || {
        let mut command = std::process::Command::new(sandsock_tests::command());
        command.current_dir(&deep).arg("run");
        command
    };
    let guest = programs::unix_relative_named.path().canonicalize().expect("it is built");
    let grants = ["--allow", "unix-bind=**", "--allow", "unix-connect=**"];
    let output = command().args(grants).arg(&guest).args(paths).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    clear();
}

#[test]
pub(crate) fn unix_unlink_own() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let (path, other) = (dir.join("own"), dir.join("other"));
        let _listener = UnixListener::bind(&other).expect("binds");
        let guest = || {
            let guest = Guest::new(programs::unix_unlink_own, way)
                .allow(format!("unix-bind={}/o*", dir.display()))
                .allow(format!("unix-connect={}", path.display()));
            guest.arg(path.display()).arg(other.display()).arg(dir.join("denied").display())
        };
        guest().run().success();
        assert_eq!(names_in(&dir), ["other"]);
        // What another program has put there, or has changed, stays.
        let moved = dir.join("moved");
        for changed in [true, false] {
            let running = guest().arg("changed").start();
            running.lines(1);
            let there = if changed {
                std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("chmod");
                &path
            } else {
                std::fs::rename(&path, &moved).expect("moves");
                drop(UnixListener::bind(&path).expect("binds"));
                &moved
            };
            UnixStream::connect(there).expect("connects");
            running.join().success();
            assert!(is_socket(&path));
            std::fs::remove_file(&path).expect("removes");
        }
        assert_eq!(names_in(&dir), ["moved", "other"]);
    });
}

#[test]
pub(crate) fn unix_pattern_matched() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        std::fs::create_dir(dir.join("sub")).expect("makes");
        let _good = UnixListener::bind(dir.join("a.sock")).expect("binds");
        let others: Vec<_> = ["a.sock.bak", "asock", "sub/a.sock", "admin"]
            .iter()
            .map(|name| UnixListener::bind(dir.join(name)).expect("binds"))
            .collect();
        symlink("admin", dir.join("link.sock")).expect("links");
        symlink("a.sock", dir.join("again.sock")).expect("links");
        symlink("a.sock", dir.join("plain")).expect("links");
        let needs = |name: &str| format!("needs:unix-connect={}/{name}", dir.display());
        Guest::new(programs::unix_pattern_matched, way)
            .allow(format!("unix-connect={}/*.sock", dir.display()))
            .allow(format!("unix-bind={}/n?", dir.display()))
            .arg(attempt("connect", "ok", dir.join("a.sock")))
            .arg(attempt("connect", "ok", dir.join("again.sock")))
            .arg(attempt("connect", libc::ENOENT, dir.join("b.sock")))
            .arg(attempt("connect", needs("a.sock.bak"), dir.join("a.sock.bak")))
            .arg(attempt("connect", needs("asock"), dir.join("asock")))
            .arg(attempt("connect", needs("sub/a.sock"), dir.join("sub/a.sock")))
            // The name matches, what it leads to does not; and the other way round.
            .arg(attempt("connect", needs("admin"), dir.join("link.sock")))
            .arg(attempt("connect", needs("plain"), dir.join("plain")))
            .arg(attempt("bind", "ok", dir.join("n1")))
            .arg(attempt("bind", format!("needs:unix-bind={}/n12", dir.display()), dir.join("n12")))
            .run()
            .success();
        assert!(others.iter().all(is_untouched));
        assert!(is_socket(&dir.join("n1")) && !dir.join("n12").exists());
    });
}

#[test]
pub(crate) fn unix_deny_wins() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        std::fs::create_dir(dir.join("private")).expect("makes");
        let _live = UnixListener::bind(dir.join("live")).expect("binds");
        let secret = UnixListener::bind(dir.join("secret")).expect("binds");
        let private = UnixListener::bind(dir.join("private/live")).expect("binds");
        symlink("secret", dir.join("alias")).expect("links");
        symlink("private", dir.join("open")).expect("links");
        let guest = |all: bool| {
            let guest = Guest::new(programs::unix_deny_wins, way);
            let rule = |verb: &str| format!("{verb}={}/**", dir.display());
            if all {
                guest.allow_all()
            } else {
                guest.allow(rule("unix-connect")).allow(rule("unix-bind"))
            }
        };
        for all in [false, true] {
            guest(all)
                .deny(format!("unix-connect={}/secret", dir.display()))
                // By the link's name: what it leads to is meant.
                .deny(format!("unix-connect={}/open/*", dir.display()))
                .deny(format!("unix-bind={}/private/*", dir.display()))
                .arg(attempt("connect", "ok", dir.join("live")))
                .arg(attempt("connect", "denied", dir.join("secret")))
                .arg(attempt("connect", "denied", dir.join("alias")))
                .arg(attempt("connect", "denied", dir.join("open/live")))
                .arg(attempt("connect", "denied", dir.join("private/live")))
                .arg(attempt("send", "denied", dir.join("alias")))
                .arg(attempt("bind", "denied", dir.join("private/new")))
                .arg(attempt("bind", "denied", dir.join("open/new")))
                .arg(attempt("bind", "ok", dir.join(format!("new-{all}"))))
                .run()
                .success();
        }
        assert!(is_untouched(&secret) && is_untouched(&private));
        assert_eq!(names_in(&dir.join("private")), ["live"]);
    });
}

#[test]
pub(crate) fn unix_unspec_dissolved() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let path = dir.join("peer");
        let peer = UnixDatagram::bind(&path).expect("binds");
        Guest::new(programs::unix_unspec_dissolved, way)
            .allow(format!("unix-connect={}", path.display()))
            .arg(path.display())
            .run()
            .success();
        peer.set_nonblocking(true).expect("it can be set");
        for expected in ["before", "between", "after"] {
            let mut data = [0; 20];
            let length = peer.recv(&mut data).expect("receives");
            assert_eq!(&data[..length], expected.as_bytes());
        }
        assert!(peer.recv(&mut [0; 20]).is_err(), "nothing more");
    });
}

#[test]
pub(crate) fn unix_family_mismatched() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let listener = UnixListener::bind(dir.join("a")).expect("binds");
        Guest::new(programs::unix_family_mismatched, way)
            .allow_all()
            .arg(dir.join("a").display())
            .run()
            .success();
        assert!(is_untouched(&listener));
    });
}

#[test]
pub(crate) fn unix_datagram_whole() {
    both_ways(|way| {
        let (_keep, dir) = directory();
        let path = dir.join("guest");
        let guest = Guest::new(programs::unix_datagram_whole, way)
            .allow(format!("unix-bind={}", path.display()))
            .arg(path.display())
            .start();
        guest.lines(1);
        let sender = Socket::new(Domain::UNIX, Type::DGRAM, None).expect("a socket");
        sender.set_send_buffer_size(1 << 20).expect("it can be set");
        sender.connect(&SockAddr::unix(&path).expect("a path")).expect("connects");
        let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        for _ in 0..4 {
            assert_eq!(sender.send(&whole).expect("sends"), 300_000);
        }
        sender.send(b"last").expect("sends");
        guest.join().success();
    });
}
