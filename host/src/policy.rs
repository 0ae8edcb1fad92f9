//! [`sandsock_policy`], and the parts of making a policy that need the file system.
//!
//! The policy's own crate decides without any I/O. Here its policy files are read, and the real
//! places of the directories that its rules name are found.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

pub use sandsock_policy::*;

/// The longest policy file, in bytes. 100,000 rules fit, and a device without end is refused.
const LONGEST_FILE: u64 = 16 << 20;

/// Makes policies with the help of this host's file system.
pub trait PolicyBuilderExt: Sized {
    /// Adds what a policy file says. If the file has a fault, nothing is added. A file of `include`
    /// is read too, relative to the folder of the file that includes it.
    ///
    /// # Errors
    ///
    /// The file can't be read, or says something that no policy can. The error of the latter has
    /// the file, the line and the column.
    fn file(&mut self, path: &Path) -> Result<&mut Self, PolicyFileError>;

    /// Makes the policy. The directories that rules about UNIX paths spell out are looked up now:
    /// a deny rule also holds for the real place of its directory, and a directory that becomes a
    /// link later is refused.
    fn build(self) -> Policy;
}

impl PolicyBuilderExt for PolicyBuilder {
    fn file(&mut self, path: &Path) -> Result<&mut Self, PolicyFileError> {
        self.file_with(path, &read)
    }

    fn build(self) -> Policy {
        self.build_with(&|path| path.canonicalize())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 16 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_from_disk_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let mut builder = Policy::builder();
        let missing = builder.file(&path).unwrap_err();
        assert!(
            matches!(missing, PolicyFileError::Read { .. })
                && missing.to_string().contains("policy.toml: ")
        );
        std::fs::write(&path, "include = ['more.toml']\nallow = ['resolve=*']").unwrap();
        std::fs::write(folder.path().join("more.toml"), "deny = ['resolve=a']").unwrap();
        builder.file(&path).unwrap();
        let policy = builder.build();
        assert_eq!((policy.allowed().len(), policy.denied().len()), (1, 1));
        assert_eq!(policy.files(), [path, folder.path().join("more.toml")]);
        assert!(Policy::builder().file(Path::new("/dev/zero")).is_err());
    }
}
