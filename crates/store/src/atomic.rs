//! Files that are either the old ones or the new ones, never something between.

use crate::error::{Context as _, StoreError};
use crate::temp::Temp;
use rustix::fs::Mode;
use std::io::Write as _;
use std::path::Path;

/// Writes a file in one step: temporary file beside it, `fsync`, rename, `fsync` of the folder.
///
/// `mode` is the permission bits, for example `0o600`. The folder must exist.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    filled(path, bytes)?.persist(path, Mode::from_raw_mode(mode))
}

/// Like [`write`], but leaves a file that is there already as it is; says whether it wrote one.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, StoreError> {
    filled(path, bytes)?.persist_new(path, Mode::from_raw_mode(mode))
}

fn filled(path: &Path, bytes: &[u8]) -> Result<Temp, StoreError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut temp = Temp::file(folder)?;
    temp.handle_mut().write_all(bytes).context("write", path)?;
    Ok(temp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_file_is_replaced_whole_and_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"first, and longer", 0o644).unwrap();
        let reader = fs_err::read(&path).unwrap();
        let old = fs_err::File::open(&path).unwrap();
        write(&path, b"second", 0o600).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"second");
        assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            std::io::read_to_string(old).unwrap().as_bytes(),
            reader,
            "who had it open reads the old one"
        );
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(write_new(&path, b"first", 0o600).unwrap());
        assert!(!write_new(&path, b"second", 0o600).unwrap());
        assert_eq!(fs_err::read(&path).unwrap(), b"first");
        assert_eq!(fs_err::metadata(&path).unwrap().nlink(), 1);
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_writers_at_once_one_is_first_and_the_file_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (new, replaced) = (dir.path().join("new"), dir.path().join("replaced"));
        let firsts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0u8..8)
                .map(|number| {
                    let (new, replaced) = (&new, &replaced);
                    scope.spawn(move || {
                        write(replaced, &[number; 10_000], 0o600).unwrap();
                        write_new(new, &[number; 10_000], 0o600).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|first| *first).count()
        });
        assert_eq!(firsts, 1);
        for path in [new, replaced] {
            let bytes = fs_err::read(path).unwrap();
            assert!(bytes.len() == 10_000 && bytes.iter().all(|byte| *byte == bytes[0]));
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&dir.path().join("none/file"), b"", 0o600).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert!(error.to_string().contains("none"), "{error}");
    }
}
