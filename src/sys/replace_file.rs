//! Replaces a file as a whole: readers see the old content or the new one, and a crash leaves one of the two.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::errno::Errno;

/// Everybody may read it and its owner write it, as far as the process's mask allows.
const MODE: u32 = 0o644;

/// Why a file was not replaced; the old one is as it was, unless only the folder could not be forced to disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{errno}")]
pub struct ReplaceError {
    /// Set where the new file could not even be begun.
    pub not_created: bool,
    /// What the system said.
    pub errno: Errno,
}

/// Writes `content` beside `path`, forces it to disk and puts it in the place of `path`. One process replaces one file at a
/// time: what lies under the name beside it is of an earlier one that was stopped.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), ReplaceError> {
    let failed = |not_created: bool| move |error: io::Error| ReplaceError { not_created, errno: error.into() };
    let mut beside = OsString::from(path);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = Path::new(&beside);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(beside);
    let mut file = file.map_err(failed(true))?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(beside, path));
    drop(file);
    if let Err(error) = written {
        let _ = fs::remove_file(beside);
        return Err(failed(false)(error));
    }
    sync_folder(path).map_err(failed(false))
}

/// Without this the old name may come back after a power failure.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_or_left() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("users.acl");
        replace_file(&path, b"one").expect("a new file");
        replace_file(&path, b"two").expect("an old file");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        let error = replace_file(&folder.path().join("none").join("users.acl"), b"three").expect_err("no such folder");
        assert!(error.not_created);
        let into_folder = folder.path().join("folder");
        fs::create_dir(&into_folder).expect("a folder");
        assert!(!replace_file(&into_folder, b"four").expect_err("a folder stays").not_created);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left beside it");
    }
}
