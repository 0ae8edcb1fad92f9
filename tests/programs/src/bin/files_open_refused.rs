//! A guest can open no file outside its folders, by any way, and nothing that is not a regular
//! file.

use sandsock::errno::{EINVAL, EISDIR, EMFILE, ENOENT, EPERM};
use sandsock::{File, Result};
use sandsock_test_programs::fails_with;

fn main() -> Result<()> {
    assert_eq!(File::open("/data/inside")?.read(9)?, b"inside");
    assert_eq!(File::open("data/./inside")?.read(9)?, b"inside");
    assert_eq!(File::open("/data/deep/../inside")?.read(9)?, b"inside");
    assert_eq!(File::open("/data/link-inside")?.read(9)?, b"inside");
    // The longer name is the folder's that counts.
    assert_eq!(File::open("/data/other/inside")?.read(9)?, b"other");
    for outside in [
        "/data/../secret",
        "/data/link-outside",
        "/data/link-absolute",
        "/data/link-folder/secret",
        "/data/deep/../..",
    ] {
        fails_with(File::open(outside), "PermissionError", EPERM);
    }
    for nowhere in
        ["", "/", "/secret", "/data/none", "/data2/inside", "/etc/passwd", "../data/inside"]
    {
        fails_with(File::open(nowhere), "FileNotFoundError", ENOENT);
    }
    fails_with(File::open("/data"), "IsADirectoryError", EISDIR);
    fails_with(File::open("/data/deep"), "IsADirectoryError", EISDIR);
    fails_with(File::open("/data/fifo"), "OSError", EINVAL);
    fails_with(File::open("/data/inside\0"), "OSError", EINVAL);
    // They count against the limit of descriptors, and a dropped one no more.
    let files: Vec<_> = (0..16).map_while(|_| File::open("/data/inside").ok()).collect();
    assert_eq!(files.len(), 8);
    fails_with(File::open("/data/inside"), "OSError", EMFILE);
    drop(files);
    File::open("/data/inside")?;
    Ok(())
}
