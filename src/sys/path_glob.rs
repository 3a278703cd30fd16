//! File names that match a shell pattern. Any thread.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The existing paths that match, sorted; none where the pattern cannot be one.
pub fn glob(pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(pattern) = CString::new(pattern) else { return Vec::new() };
    let mut found = MaybeUninit::<libc::glob_t>::zeroed();
    // SAFETY: the pattern ends with NUL, no error callback is given, and `found` is ours to fill.
    let rc = unsafe { libc::glob(pattern.as_ptr(), 0, None, found.as_mut_ptr()) };
    // SAFETY: all zeros is an empty result, and glob has made no other kind.
    let mut found = unsafe { found.assume_init() };
    let mut paths = Vec::new();
    if rc == 0 {
        for index in 0..found.gl_pathc {
            // SAFETY: gl_pathv has gl_pathc entries.
            let entry = unsafe { found.gl_pathv.add(index) };
            // SAFETY: the entry is within the array, which lives until globfree.
            let entry = unsafe { *entry };
            // SAFETY: every entry is a string of the C library that lives until globfree.
            let name = unsafe { CStr::from_ptr(entry) };
            paths.push(PathBuf::from(OsStr::from_bytes(name.to_bytes())));
        }
    }
    // SAFETY: `found` came from glob, or is empty.
    unsafe { libc::globfree(&raw mut found) };
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_paths_are_found() {
        assert_eq!(glob(b"/pro[c]"), [PathBuf::from("/proc")]);
        assert_eq!(glob(b"/no-such-*"), Vec::<PathBuf>::new());
        assert_eq!(glob(b"/pro\0c*"), Vec::<PathBuf>::new());
    }
}
