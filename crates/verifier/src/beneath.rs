//! Opening what lies in a folder without being led out of it.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

pub(crate) const FOLDER_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A FIFO that took the place of a file since it was looked at does not block.
pub(crate) const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// For looking and not for reading: opens nothing, so that no device is woken.
pub(crate) const LOOK_FLAGS: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often the kernel may answer that a folder was renamed meanwhile.
const RETRIES: usize = 16;

/// Whether what is opened may lie on another mount than the folder it is opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounts {
    Refuse,
    /// For a single file that the operator named: containers get files as mounts of their own.
    Cross,
}

/// Opens a path below `root`, following no link in any of its parts. The path's parts are plain names.
///
/// `Errno::LOOP` is a link, `Errno::XDEV` a mount. Kernels before 5.6, and
/// sandboxes that do not know `openat2`, walk folder by folder and do not see mounts.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mounts: Mounts,
) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if mounts == Mounts::Refuse {
        resolve |= ResolveFlags::NO_XDEV;
    }
    for _ in 0..RETRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Old sandboxes forbid what they do not know, instead of saying that it is not there.
            Err(Errno::NOSYS | Errno::PERM) => return open_by_parts(root, path, flags),
            other => return other.map_err(|error| true_cause(root, path, error)),
        }
    }
    Err(Errno::AGAIN)
}

/// The same without `openat2`: each part is opened from its folder.
fn open_by_parts(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    let (parents, name) = match path.rsplit_once('/') {
        Some((parents, name)) => (Some(parents), name),
        None => (None, path),
    };
    for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
        let at = folder.as_ref().map_or(root, |folder| folder.as_fd());
        let opened = rustix::fs::openat(at, part, FOLDER_FLAGS, Mode::empty());
        folder = Some(opened.map_err(|error| true_cause(at, part, error))?);
    }
    let at = folder.as_ref().map_or(root, |folder| folder.as_fd());
    rustix::fs::openat(at, name, flags, Mode::empty()).map_err(|error| true_cause(at, name, error))
}

/// A link that was to be opened as a folder and not followed is told as "no folder" by the kernel.
fn true_cause(at: BorrowedFd<'_>, path: &str, error: Errno) -> Errno {
    match error {
        Errno::NOTDIR if rustix::fs::readlinkat(at, path, Vec::new()).is_ok() => Errno::LOOP,
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn folder(path: &Path) -> OwnedFd {
        rustix::fs::open(path, FOLDER_FLAGS, Mode::empty()).unwrap()
    }

    #[test]
    fn both_ways_follow_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("root/sub")).unwrap();
        fs_err::write(dir.path().join("root/sub/file"), b"").unwrap();
        std::os::unix::fs::symlink("sub", dir.path().join("root/folder")).unwrap();
        std::os::unix::fs::symlink("sub/file", dir.path().join("root/link")).unwrap();
        let root = folder(&dir.path().join("root"));
        let root = root.as_fd();
        let new = |path| open(root, path, FILE_FLAGS, Mounts::Refuse).map(drop);
        let old = |path| open_by_parts(root, path, FILE_FLAGS).map(drop);
        assert_eq!((new("sub/file"), old("sub/file")), (Ok(()), Ok(())));
        assert_eq!((new("link"), old("link")), (Err(Errno::LOOP), Err(Errno::LOOP)));
        assert_eq!((new("folder/file"), old("folder/file")), (Err(Errno::LOOP), Err(Errno::LOOP)));
        assert_eq!((new("sub/file/x"), old("sub/file/x")), (Err(Errno::NOTDIR), Err(Errno::NOTDIR)));
        let folder = |path| open(root, path, FOLDER_FLAGS, Mounts::Refuse).map(drop);
        assert_eq!((folder("sub"), folder("folder")), (Ok(()), Err(Errno::LOOP)));
        assert_eq!((new("sub/none"), old("sub/none")), (Err(Errno::NOENT), Err(Errno::NOENT)));
        assert_eq!(new("../root/sub/file"), Err(Errno::XDEV), "out of the root and in again");
    }

    #[test]
    fn a_mount_is_crossed_only_where_the_operator_named_it() {
        // `/proc` is a mount of its own on every Linux.
        let root = folder(Path::new("/"));
        let open = |mounts| open(root.as_fd(), "proc/version", FILE_FLAGS, mounts).map(drop);
        assert_eq!(open(Mounts::Refuse), Err(Errno::XDEV));
        assert_eq!(open(Mounts::Cross), Ok(()));
    }
}
