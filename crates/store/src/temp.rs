//! Temporary files and folders that die with their maker.
//!
//! Each one is held by an exclusive `flock`. The kernel lets go of it when the process ends, however it ends; so whoever
//! can take that lock knows that the maker is dead, and sweeps. Process IDs would not do: they are reused, and differ
//! between PID namespaces.

use crate::error::{Context as _, StoreError};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How the name of every temporary file and folder begins.
pub(crate) const PREFIX: &str = ".tmp-";

/// How often a new name is tried; once is the rule, twice when a sweeper comes between.
const TRIES: u32 = 100;

/// A temporary file or folder; removed when it is dropped before it was given its real name.
#[derive(Debug)]
pub(crate) struct Temp {
    path: PathBuf,
    /// Holds the lock; for a file, also what is written to.
    file: File,
    persisted: bool,
}

impl Temp {
    /// Makes a file in `folder`, readable and writable by the owner only.
    pub(crate) fn file(folder: &Path) -> Result<Self, StoreError> {
        Self::make(folder, |path| {
            rustix::fs::open(
                path,
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::RUSR | Mode::WUSR,
            )
        })
    }

    /// Makes an empty folder in `folder`, with mode 0700.
    pub(crate) fn folder(folder: &Path) -> Result<Self, StoreError> {
        Self::make(folder, |path| {
            rustix::fs::mkdir(path, Mode::RWXU)?;
            rustix::fs::open(
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
        })
    }

    fn make(folder: &Path, open: impl Fn(&Path) -> Result<OwnedFd, Errno>) -> Result<Self, StoreError> {
        for _ in 0..TRIES {
            let path = folder.join(format!("{PREFIX}{}", random_hex::<8>()?));
            let fd = match open(&path) {
                // Taken (by chance), or swept between its making and its opening.
                Err(Errno::EXIST | Errno::NOENT) if folder.is_dir() => continue,
                opened => opened.context("create", &path)?,
            };
            match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // A sweeper came between, and removes it.
                Err(Errno::WOULDBLOCK) => continue,
                Err(error) => {
                    drop(remove_any(&path));
                    return Err(StoreError::io("lock", path, error));
                }
            }
            // The sweeper may have done so before the lock was taken.
            if rustix::fs::stat(&path).is_ok_and(|named| same_file(&fd, named.st_dev, named.st_ino)) {
                return Ok(Self { path, file: File::from(fd), persisted: false });
            }
        }
        Err(StoreError::io("create a temporary file in", folder, Errno::EXIST))
    }

    /// Where it lies now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, or folder.
    pub(crate) const fn handle(&self) -> &File {
        &self.file
    }

    /// The open file, to write to.
    pub(crate) const fn handle_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its real name, in place of what has that name, and lasts: the bytes and the name are on the disk when
    /// this returns. Both names must lie in the same file system.
    pub(crate) fn persist(mut self, target: &Path, mode: Mode) -> Result<(), StoreError> {
        self.settle(mode)?;
        rustix::fs::rename(&self.path, target).context("rename into place", target)?;
        self.persisted = true;
        sync_parent(target)
    }

    /// Like [`Temp::persist`], for a file, but leaves what has that name already; says whether the name was free.
    pub(crate) fn persist_new(self, target: &Path, mode: Mode) -> Result<bool, StoreError> {
        self.settle(mode)?;
        // A link never replaces; the temporary name goes when `self` is dropped.
        match rustix::fs::linkat(CWD, &self.path, CWD, target, AtFlags::empty()) {
            Ok(()) => sync_parent(target).map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(StoreError::io("link into place", target, error)),
        }
    }

    /// Puts a temporary folder in the place of a folder: both names are exchanged in one step, then the old folder goes.
    pub(crate) fn exchange(self, target: &Path, mode: Mode) -> Result<(), StoreError> {
        self.settle(mode)?;
        rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE)
            .context("exchange", target)?;
        sync_parent(target)
        // Dropping `self` removes what now has the temporary name: the old folder.
    }

    fn settle(&self, mode: Mode) -> Result<(), StoreError> {
        rustix::fs::fchmod(&self.file, mode).context("set the mode of", &self.path)?;
        self.file.sync_all().context("write to the disk", &self.path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.persisted {
            // Nothing to be done about a failure here; the next sweep tries again.
            drop(remove_any(&self.path));
        }
    }
}

/// Removes the temporary files and folders in `folder` whose makers are dead. Says how many.
pub(crate) fn sweep(folder: &Path) -> Result<usize, StoreError> {
    let mut swept = 0;
    for entry in fs_err::read_dir(folder).context("read the folder", folder)? {
        let entry = entry.context("read the folder", folder)?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(fd) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove_any(&path)?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Removes a file or a whole folder, also a read-only one; links in it are removed, not followed. Fine when not there.
pub(crate) fn remove_any(path: &Path) -> Result<(), StoreError> {
    let stat = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat.context("look at", path)?,
    };
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory {
        return match rustix::fs::unlink(path) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(StoreError::io("remove", path, error)),
        };
    }
    // Removing entries needs a writable folder, unless the owner is root.
    rustix::fs::chmod(path, Mode::RWXU).context("set the mode of", path)?;
    for entry in fs_err::read_dir(path).context("read the folder", path)? {
        remove_any(&entry.context("read the folder", path)?.path())?;
    }
    rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR).context("remove", path)
}

/// Makes the names in the folder of `path` last.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        // A bare name lies in the working folder.
        Some(parent) if parent == Path::new("") => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let file = fs_err::File::open(folder).context("open", folder)?;
    file.sync_all().context("write to the disk", folder)
}

/// `N` random bytes from the system, as `2 * N` lower-case hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> Result<String, StoreError> {
    use std::fmt::Write as _;
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
        action: "read random bytes from",
        path: PathBuf::from("getrandom"),
        source: std::io::Error::other(error.to_string()),
    })?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn same_file(fd: &OwnedFd, dev: u64, ino: u64) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_dev == dev && stat.st_ino == ino)
}
