//! Replaces a file as a whole: readers see the old content or the new one, and a crash leaves one of the two.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `content` beside `path`, forces it to disk and puts it in the place of `path`.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".tmp-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_new(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
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
        replace_file(&folder.path().join("none").join("users.acl"), b"three").expect_err("no such folder");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }
}
