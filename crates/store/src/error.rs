//! What can go wrong with a store.

use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something that must be a folder is not one.
    #[error("`{}` is not a folder", .path.display())]
    NotAFolder {
        /// The path that was looked at.
        path: PathBuf,
    },
    /// A folder that was named as the store holds something else.
    #[error("`{}` is not empty and is no store: it has `{}`", .path.display(), .found.escape_debug())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the names in it.
        found: String,
    },
    /// A file or folder of the store belongs to somebody else.
    #[error("`{}` belongs to user {found}, not to user {expected} who runs this command", .path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// User ID of this process.
        expected: u32,
        /// User ID of the owner.
        found: u32,
    },
    /// The store cannot be written to: permissions, or a read-only file system.
    #[error("cannot {action} `{}`: the store is not writable", .path.display())]
    NotWritable {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk, or the quota, is full.
    #[error("cannot {action} `{}`: the disk is full", .path.display())]
    NoSpace {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("`{}` is held by {holder}", .path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// Process ID and command of the holder, as it wrote them down.
        holder: String,
    },
    /// A file of the store does not hold what it must hold.
    #[error("`{}` is damaged: {reason}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that were to be committed under a digest hash to another one.
    #[error("the bytes to be stored as {expected} hash to {found}")]
    Digest {
        /// The digest that was asked for.
        expected: sovai_core::Sha256,
        /// The digest of the bytes.
        found: sovai_core::Sha256,
    },
    /// A blob that something refers to is not there, or has another length.
    #[error("{what} is not in the store as it should be: {digest}")]
    NoBlob {
        /// The blob.
        digest: sovai_core::Sha256,
        /// What it is.
        what: &'static str,
    },
    /// A container image that cannot be one.
    #[error("the image cannot be used: {what} is refused")]
    Image {
        /// Which part of it.
        what: &'static str,
        /// Why.
        #[source]
        fault: crate::image::ImageFault,
    },
    /// A name of a state file that is not a relative path.
    #[error("`{}` cannot name a file of a stack", .name.escape_debug())]
    BadName {
        /// The name that was given.
        name: String,
        /// Which rule it breaks.
        #[source]
        source: sovai_core::PathError,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts an error of the file system into the variant that a person can act upon.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        // fs_err wraps the error of the system and keeps its kind only.
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { action, path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { action, path, source }
            }
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { action, path, source },
        }
    }
}

/// Shortens `.map_err(|error| StoreError::io(action, path, error))`.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for Result<T, io::Error> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(action, path, error))
    }
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(action, path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_become_what_a_person_can_act_upon() {
        let of = |errno: Errno| StoreError::io("write", "/x", errno);
        assert!(matches!(of(Errno::NOSPC), StoreError::NoSpace { .. }));
        assert!(matches!(of(Errno::DQUOT), StoreError::NoSpace { .. }));
        assert!(matches!(of(Errno::ROFS), StoreError::NotWritable { .. }));
        assert!(matches!(of(Errno::ACCESS), StoreError::NotWritable { .. }));
        assert!(matches!(of(Errno::NOTDIR), StoreError::NotAFolder { .. }));
        assert!(matches!(of(Errno::IO), StoreError::Io { .. }));
        assert_eq!(of(Errno::NOSPC).to_string(), "cannot write `/x`: the disk is full");
    }
}
