//! The folders of the caches of compiled code. wasmtime runs the files there as native code, without
//! a check. So a cache is used only if no other user can have written to it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::path_walk::PathWalk;

/// man 7 inode: the group and others may write. In a sticky folder they can't rename what is not
/// theirs.
const WRITTEN_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// man 7 inode: all rights of the group and of others.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// The name of the folder for components.
pub(crate) const COMPILED: &str = "compiled";

/// Returns the folder of a cache, which may not exist yet: in `XDG_CACHE_HOME`, or in `.cache` of
/// the home folder.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    // The XDG base directory specification: relative paths are ignored.
    let given =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given
        .or_else(|| Some(std::env::home_dir().filter(|home| home.is_absolute())?.join(".cache")))?;
    Some(base.join("sandsock").join(name))
}

/// Checks that only this user can have written into a folder, and that nobody else can replace it.
pub(crate) fn proven(folder: &Path) -> Result<(), String> {
    let own = geteuid().as_raw();
    let look =
        |path: &Path| path.metadata().map_err(|error| format!("{}: {error}", path.display()));
    let way = PathWalk::of(folder);
    let there = look(&way.end)?;
    let end = way.end.display();
    if there.uid() != own {
        return Err(format!(
            "{end} belongs to user {} and not to {own}, the user who runs this; remove it",
            there.uid()
        ));
    }
    if there.mode() & RIGHTS_OF_OTHERS != 0 {
        let mode = there.mode() & 0o7777;
        return Err(format!(
            "{end} is open to others (mode {mode:04o}), who may have written into it; remove it"
        ));
    }
    for above in &way.folders {
        let (there, shown) = (look(above)?, above.display());
        if there.uid() != own && there.uid() != 0 {
            return Err(format!(
                "{shown} belongs to user {}, who could put another folder in place of {end}",
                there.uid()
            ));
        }
        if there.mode() & WRITTEN_BY_OTHERS != 0 && there.mode() & STICKY == 0 {
            let mode = there.mode() & 0o7777;
            return Err(format!(
                "others may write in {shown} (mode {mode:04o}) and could put another folder in place of {end}; chmod go-w {shown}, or \
                 set XDG_CACHE_HOME"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, create_dir_all, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn cache_is_used_where_only_this_user_writes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mode =
            |path: &Path, mode: u32| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (above, cache) = (root.join("above"), root.join("above/cache"));
        create_dir_all(&cache).unwrap();
        for (upper, lower, right) in [
            (0o755, 0o700, true),
            (0o755, 0o755, false),
            (0o755, 0o720, false),
            (0o775, 0o700, false),
            (0o757, 0o700, false),
            (0o1777, 0o700, true),
        ] {
            mode(&above, upper);
            mode(&cache, lower);
            assert_eq!(proven(&cache).is_ok(), right, "{upper:o} {lower:o}: {:?}", proven(&cache));
        }
        // Every folder on the way counts, not only the end.
        create_dir(root.join("open")).unwrap();
        symlink(&cache, root.join("open/link")).unwrap();
        assert_eq!(proven(&root.join("open/link")), Ok(()));
        mode(&root.join("open"), 0o777);
        let why = proven(&root.join("open/link")).unwrap_err();
        assert!(why.contains("chmod go-w"), "{why}");
        if geteuid().is_root() {
            std::os::unix::fs::chown(&cache, Some(12345), None).unwrap();
            let why = proven(&cache).unwrap_err();
            assert!(why.contains("belongs to user 12345 and not to 0"), "{why}");
        }
    }
}
