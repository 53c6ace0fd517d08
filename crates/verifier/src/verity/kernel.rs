//! fs-verity by the kernel: a file's bytes can no longer be changed, and each read of the disk is checked.
//!
//! Written from `Documentation/filesystems/fsverity.rst`, and not tried: no kernel was at hand that has it. Where it is not
//! there, all goes on as without it, which is tested.

use composefs_ioctls::fsverity::{
    EnableVerityError, MeasureVerityError, fs_ioc_enable_verity, fs_ioc_measure_verity,
};
use rustix::fs::{Mode, OFlags};
use sovai_core::Sha256;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// `FS_VERITY_HASH_ALG_SHA256`.
const SHA256: u8 = 1;
const BLOCK: u32 = 4096;

/// Why a file has no fs-verity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The kernel or the file system has none, or not for this file system as it was made (ext4: `-O verity`).
    #[error("the file system has no fs-verity")]
    Unsupported,
    /// It could not be enabled or measured.
    #[error("fs-verity cannot be enabled: {0}")]
    Failed(String),
}

/// Enables fs-verity on a file that nobody has open for writing, and gives its digest. The kernel reads the whole file.
/// One that has it already keeps it.
pub(crate) fn seal(path: &Path) -> Result<Sha256, SealError> {
    let failed = |error: &dyn ToString| SealError::Failed(error.to_string());
    let file = open(path).map_err(|error| failed(&error))?;
    match fs_ioc_enable_verity(&file, SHA256, BLOCK) {
        Ok(()) | Err(EnableVerityError::AlreadyEnabled) => measured(&file).map_err(|error| failed(&error)),
        Err(EnableVerityError::FilesystemNotSupported) => Err(SealError::Unsupported),
        Err(error) => Err(failed(&error)),
    }
}

/// The digest that the kernel has for a file, at once; nothing when it has none.
pub(crate) fn measure(path: &Path) -> Option<Sha256> {
    measured(&open(path).ok()?).ok()
}

fn measured(file: &OwnedFd) -> Result<Sha256, MeasureVerityError> {
    fs_ioc_measure_verity::<32>(file, SHA256).map(Sha256::from_bytes)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_has_no_verity_and_says_so() {
        let path = Path::new("/proc/self/status");
        assert!(matches!(seal(path), Err(SealError::Unsupported)));
        assert_eq!(measure(path), None);
    }

    #[test]
    fn a_sealed_file_has_the_digest_that_is_computed_here() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs_err::write(&path, b"bytes").unwrap();
        let mut hasher = super::super::VerityHasher::default();
        hasher.update(b"bytes");
        let computed = hasher.finish();
        // Whether it can be sealed depends on where the test runs; both answers have a rule.
        match seal(&path) {
            Ok(digest) => {
                assert_eq!((digest, measure(&path)), (computed, Some(computed)));
                assert!(fs_err::OpenOptions::new().write(true).open(&path).is_err());
            }
            Err(error) => {
                assert!(matches!(error, SealError::Unsupported), "{error}");
                assert_eq!(measure(&path), None);
                fs_err::write(&path, b"other").unwrap();
            }
        }
    }
}
