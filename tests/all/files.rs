//! Files that the kernel sends.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use sandsock_tests::{Guest, both_ways, programs};

use crate::inet::{listener, pattern};

const LARGE: usize = 64 << 20;

/// A folder with a large, a small and an empty file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file =
        |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("writes");
    file("large", &pattern(LARGE));
    file("small", b"0123456789");
    file("empty", b"");
    folder
}

#[test]
pub(crate) fn files_sendfile_whole() {
    let folder = folder();
    let content = pattern(LARGE);
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let guest = Guest::new(programs::files_sendfile_whole, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .dir(folder.path(), "/data")
            .arg(port)
            .start();
        let parts = [0..LARGE, 1_000_003..21_000_003, LARGE - 10..LARGE];
        let total: usize = parts.iter().map(|part| part.len()).sum();
        for part in parts {
            let mut data = Vec::with_capacity(LARGE);
            listener.accept().expect("accepts").0.read_to_end(&mut data).expect("receives");
            assert!(data == content[part.clone()], "{part:?}: {} bytes", data.len());
        }
        let ended = guest.join();
        assert_eq!(ended.by_kernel, total as u64, "each byte was sent by sendfile(2)");
        ended.success();
    });
}

#[test]
pub(crate) fn files_sendfile_judged() {
    let folder = folder();
    both_ways(|way| {
        Guest::new(programs::files_sendfile_judged, way)
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-listen=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:9")
            .dir(folder.path(), "/data")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn files_shared_copied() {
    let folder = folder();
    both_ways(|way| {
        let ended = Guest::new(programs::files_shared_copied, way)
            .allow("ancillary=rights:send")
            .allow("ancillary=rights:receive,any")
            .dir(folder.path(), "/data")
            .run();
        assert_eq!(ended.by_kernel, 0, "sendfile(2) might have blocked");
        ended.success();
    });
}

#[test]
pub(crate) fn files_open_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |path: &str| root.path().join(path);
    fs::create_dir_all(at("data/deep")).expect("makes");
    fs::create_dir_all(at("data/other")).expect("makes");
    fs::create_dir_all(at("elsewhere")).expect("makes");
    fs::write(at("secret"), "secret").expect("writes");
    fs::write(at("data/inside"), "inside").expect("writes");
    fs::write(at("elsewhere/inside"), "other").expect("writes");
    let link = |to: &Path, name: &str| symlink(to, at("data").join(name)).expect("links");
    link(Path::new("inside"), "link-inside");
    link(Path::new("../secret"), "link-outside");
    link(&at("secret"), "link-absolute");
    link(Path::new(".."), "link-folder");
    let fifo =
        std::process::Command::new("mkfifo").arg(at("data/fifo")).status().expect("mkfifo runs");
    assert!(fifo.success());
    both_ways(|way| {
        Guest::new(programs::files_open_refused, way)
            .dir(&at("data"), "/data")
            .dir(&at("elsewhere"), "/data/other")
            .limit("descriptors=8")
            .run()
            .success();
    });
}

/// Without a folder there is no file; without sockets a file is of no use, but it is no hole
/// either.
#[test]
fn files_need_a_folder() {
    let ended = Guest::new(programs::files_open_refused, sandsock_tests::Way::Thread).run();
    assert!(ended.stderr.contains("No such file or directory"), "{}", ended.stderr);
    assert!(!matches!(ended.result, Ok(Ok(()))));
}
