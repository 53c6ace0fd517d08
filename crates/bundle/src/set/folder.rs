//! A folder on somebody else's disk: what is opened in it is a regular file that lies in it, and nothing else.

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Most entries of a folder that are looked at.
pub(crate) const MAX_ENTRIES: usize = 10_000;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A FIFO does not block, and a terminal does not become ours.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Why something in a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A link, a pipe, a device, a folder.
    #[error("it is not a regular file")]
    NotRegular,
    /// Longer than what is read of such a file.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// More files than a volume can have.
    #[error("the folder has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// The disk or its file system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for FolderError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder that the operator named: the last part may be a link, as mount points sometimes are.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a folder in this one; a link is not followed. Nothing when there is none.
    pub(crate) fn child(&self, name: &str) -> Result<Option<Self>, FolderError> {
        match rustix::fs::openat(&self.fd, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(FolderError::NotRegular),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells it from other folders, however it was named.
    pub(crate) fn identity(&self) -> Result<(u64, u64), FolderError> {
        let file = File::from(self.fd.try_clone()?);
        let metadata = file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The names in it, sorted, with whether the file system says that they are folders.
    pub(crate) fn entries(&self) -> Result<Vec<(OsString, bool)>, FolderError> {
        let mut all = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if [b".".as_slice(), b".."].contains(&name) {
                continue;
            }
            if all.len() == MAX_ENTRIES {
                return Err(FolderError::TooMany);
            }
            let is_folder = match entry.file_type() {
                rustix::fs::FileType::Directory => true,
                // Some file systems do not say.
                rustix::fs::FileType::Unknown => {
                    let look = rustix::fs::statat(
                        &self.fd,
                        entry.file_name(),
                        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                    )?;
                    rustix::fs::FileType::from_raw_mode(look.st_mode) == rustix::fs::FileType::Directory
                }
                _ => false,
            };
            all.push((OsString::from_vec(name.to_vec()), is_folder));
        }
        all.sort();
        Ok(all)
    }

    /// Opens a regular file in it and says how long it is; nothing when there is none. No link is followed, and nothing
    /// blocks. `name` is a plain name.
    pub(crate) fn file(&self, name: &str) -> Result<Option<(File, u64)>, FolderError> {
        let fd = match rustix::fs::openat(&self.fd, name, FILE, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            // A link, a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(FolderError::NotRegular),
            Err(error) => return Err(error.into()),
        };
        let file = File::from(fd);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(FolderError::NotRegular);
        }
        Ok(Some((file, metadata.len())))
    }

    /// All bytes of a regular file in it, at most `limit`; nothing when there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FolderError> {
        let Some((file, size)) = self.file(name)? else { return Ok(None) };
        if size > limit {
            return Err(FolderError::TooLong(limit));
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(FolderError::TooLong(limit));
        }
        Ok(Some(bytes))
    }

    /// SHA-256 of a regular file in it of at most `limit` bytes, and how many there are; nothing when there is none.
    pub(crate) fn digest(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<(sovai_core::Sha256, u64)>, FolderError> {
        use sha2::Digest as _;
        let Some((file, size)) = self.file(name)? else { return Ok(None) };
        if size > limit {
            return Err(FolderError::TooLong(limit));
        }
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; BUFFER];
        let mut bytes = 0_u64;
        let mut file = file.take(limit.saturating_add(1));
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            hasher.update(buffer.get(..count).unwrap_or_default());
            bytes += count as u64;
        }
        if bytes > limit {
            return Err(FolderError::TooLong(limit));
        }
        Ok(Some((sovai_core::Sha256::from_bytes(hasher.finalize().into()), bytes)))
    }
}

/// Bytes read at once; see `sovai_verifier`, where it was measured.
pub(crate) const BUFFER: usize = 128 << 10;
