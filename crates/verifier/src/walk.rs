//! Looking at a source without ever leaving it: no link is followed, nothing but folders is opened.

use crate::Cancel;
use crate::error::VerifyError;
use crate::finding::{Finding, Kind};
use crate::identity::{FsId, Identity, size};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sovai_core::RelPath;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Deepest nesting of folders that is looked at. Models have two or three levels.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most files and folders that are looked at: the largest open models have a few hundred; this bounds memory to some
/// tens of megabytes.
pub(crate) const MAX_ENTRIES: usize = 100_000;

const FOLDER_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A FIFO that took the place of a file since it was looked at does not block.
const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// An open source: a folder, or one file in a folder.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    root: OwnedFd,
    /// Of a single file: its name in `root`.
    single: Option<CString>,
}

/// A regular file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: RelPath,
    pub(crate) size: u64,
    /// Nothing where the file system cannot vouch for it.
    pub(crate) identity: Option<Identity>,
}

/// What a walk found: valid regular files by path, and all that should not be there.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) files: BTreeMap<String, Entry>,
    pub(crate) folders: BTreeSet<String>,
    pub(crate) findings: Vec<Finding>,
}

impl Source {
    /// Opens a source. The path itself was named by the operator, so a link to a folder is followed here, and only here.
    pub(crate) fn open(path: &Path) -> Result<Self, VerifyError> {
        let failed = |error: Errno| match error {
            Errno::NOENT | Errno::NOTDIR => VerifyError::SourceMissing { path: path.to_owned() },
            error => VerifyError::Source { path: path.to_owned(), source: error.into() },
        };
        let is_folder = match rustix::fs::stat(path) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            // A link that leads nowhere, or in circles, is there, and is a finding.
            Err(Errno::NOENT | Errno::LOOP) => rustix::fs::lstat(path).map(|_| false).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        let flags = FOLDER_FLAGS.difference(OFlags::NOFOLLOW);
        if is_folder {
            let root = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
            return Ok(Self { path: path.to_owned(), root, single: None });
        }
        let name = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
        let Some(name) = name else { return Err(failed(Errno::NOENT)) };
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let root = rustix::fs::open(parent, flags, Mode::empty()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), root, single: Some(name) })
    }

    /// The path as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of a source that is one file.
    pub(crate) fn single_name(&self) -> Option<String> {
        self.single.as_ref().map(|name| name.to_string_lossy().into_owned())
    }

    /// Looks at every file and folder. Reads no file.
    pub(crate) fn walk(&self, cancel: &Cancel) -> Result<Walked, VerifyError> {
        self.walk_up_to(MAX_ENTRIES, cancel)
    }

    fn walk_up_to(&self, limit: usize, cancel: &Cancel) -> Result<Walked, VerifyError> {
        let mut walk = Walk { walked: Walked::default(), entries: 0, limit, cancel };
        match &self.single {
            None => walk.folder(self.root.as_fd(), "", 0)?,
            Some(name) => match stat_at(self.root.as_fd(), name) {
                Ok(stat) => walk.entry(self.root.as_fd(), FsId::of(&self.root), "", name, &stat, 0)?,
                Err(_) => return Err(VerifyError::SourceMissing { path: self.path.clone() }),
            },
        }
        Ok(walk.walked)
    }

    /// Opens a file of the source for reading, folder by folder, following no link.
    pub(crate) fn open_file(&self, path: &RelPath) -> Result<File, Errno> {
        let mut folder: Option<OwnedFd> = None;
        let (parents, name) = match path.as_str().rsplit_once('/') {
            Some((parents, name)) => (Some(parents), name),
            None => (None, path.as_str()),
        };
        for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
            let at = folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            folder = Some(rustix::fs::openat(at, part, FOLDER_FLAGS, Mode::empty())?);
        }
        let at = folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
        rustix::fs::openat(at, name, FILE_FLAGS, Mode::empty()).map(File::from)
    }
}

struct Walk<'a> {
    walked: Walked,
    /// How many were looked at, and how many may be.
    entries: usize,
    limit: usize,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    /// Looks into an open folder; `prefix` is its path with a `/` at the end, or nothing for the root.
    fn folder(&mut self, fd: BorrowedFd<'_>, prefix: &str, depth: usize) -> Result<(), VerifyError> {
        self.cancel.check()?;
        let unreadable = |error: Errno| Finding::Unreadable {
            path: if prefix.is_empty() { ".".to_owned() } else { prefix.trim_end_matches('/').to_owned() },
            error: error.to_string(),
        };
        let mut names = Vec::new();
        let listed = Dir::read_from(fd).and_then(|folder| {
            for entry in folder {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push(entry.file_name().to_owned());
                }
                if self.entries + names.len() > self.limit {
                    break;
                }
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.walked.findings.push(unreadable(error));
        }
        names.sort_unstable();
        let fs = FsId::of(fd);
        for name in names {
            if self.entries >= self.limit {
                let path = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
                let limit = self.limit as u64;
                if !matches!(self.walked.findings.last(), Some(Finding::TooMany { .. })) {
                    self.walked.findings.push(Finding::TooMany { path: path.to_owned(), limit });
                }
                return Ok(());
            }
            self.entries += 1;
            match stat_at(fd, &name) {
                Ok(stat) => self.entry(fd, fs, prefix, &name, &stat, depth)?,
                // Gone since the folder was listed: if it was pinned, it is found missing.
                Err(Errno::NOENT) => {}
                Err(error) => self.walked.findings.push(Finding::Unreadable {
                    path: format!("{prefix}{}", printable(&name)),
                    error: error.to_string(),
                }),
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        fd: BorrowedFd<'_>,
        fs: Option<FsId>,
        prefix: &str,
        name: &CString,
        stat: &Stat,
        depth: usize,
    ) -> Result<(), VerifyError> {
        let valid = match name.to_str() {
            Err(_) => Err("it is not UTF-8".to_owned()),
            Ok(name) => RelPath::new(&format!("{prefix}{name}")).map_err(|error| error.to_string()),
        };
        let path = match valid {
            Ok(path) => path,
            Err(reason) => {
                let path = format!("{prefix}{}", printable(name));
                self.walked.findings.push(Finding::BadName { path, reason });
                return Ok(());
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                // A file that is a mount of its own belongs to a file system that was not asked.
                let same_fs = rustix::fs::fstat(fd).is_ok_and(|folder| folder.st_dev == stat.st_dev);
                let identity = fs.filter(|_| same_fs).map(|fs| Identity::new(fs, stat));
                let entry = Entry { size: size(stat), identity, path };
                self.walked.files.insert(entry.path.as_str().to_owned(), entry);
            }
            FileType::Directory => return self.subfolder(fd, name, &path, depth),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(fd, name, Vec::new());
                let target = target.map(|target| printable(&target)).unwrap_or_default();
                self.walked.findings.push(Finding::Symlink { path: path.as_str().to_owned(), target });
            }
            other => self
                .walked
                .findings
                .push(Finding::NotRegular { path: path.as_str().to_owned(), found: kind(other) }),
        }
        Ok(())
    }

    fn subfolder(
        &mut self,
        fd: BorrowedFd<'_>,
        name: &CString,
        path: &RelPath,
        depth: usize,
    ) -> Result<(), VerifyError> {
        let text = path.as_str().to_owned();
        self.walked.folders.insert(text.clone());
        if depth + 1 > MAX_DEPTH {
            self.walked.findings.push(Finding::TooDeep { path: text, limit: MAX_DEPTH as u64 });
            return Ok(());
        }
        match rustix::fs::openat(fd, name, FOLDER_FLAGS, Mode::empty()) {
            Ok(folder) => self.folder(folder.as_fd(), &format!("{text}/"), depth + 1),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                self.walked.findings.push(open_finding(&text, error));
                Ok(())
            }
        }
    }
}

/// What it means that a file or folder that was seen a moment ago cannot be opened.
pub(crate) fn open_finding(path: &str, error: Errno) -> Finding {
    let path = path.to_owned();
    match error {
        Errno::NOENT | Errno::NOTDIR => Finding::Missing { path },
        Errno::LOOP => Finding::Symlink { path, target: String::new() },
        Errno::NXIO => Finding::NotRegular { path, found: Kind::Socket },
        error => Finding::Unreadable { path, error: error.to_string() },
    }
}

pub(crate) fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::Unknown => Kind::Unknown,
    }
}

/// A name from the file system for people: what is not printable ASCII or a letter is escaped.
fn printable(name: &CString) -> String {
    let mut text = String::new();
    for chunk in name.to_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic() {
                text.push(c);
            } else {
                text.extend(c.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn stat_at(fd: BorrowedFd<'_>, name: &CString) -> Result<Stat, Errno> {
    rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The identity of the file at a path of the store, which is ours; no link is followed.
pub(crate) fn identity_at(path: &Path, fs: FsId) -> Option<Identity> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    crate::identity::is_regular(&stat).then(|| Identity::new(fs, &stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_entries_are_looked_at_than_allowed() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "b"] {
            fs_err::create_dir(dir.path().join(folder)).unwrap();
            for file in 0..10 {
                fs_err::write(dir.path().join(format!("{folder}/{file}")), b"").unwrap();
            }
        }
        let source = Source::open(dir.path()).unwrap();
        let walk = |limit| source.walk_up_to(limit, &Cancel::default()).unwrap();
        assert_eq!((walk(22).files.len(), walk(22).findings), (20, Vec::new()));
        let stopped = walk(15);
        assert_eq!(stopped.files.len(), 13);
        assert_eq!(stopped.findings, [Finding::TooMany { path: "b".to_owned(), limit: 15 }]);
    }

    #[test]
    fn a_file_is_opened_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("root/sub")).unwrap();
        fs_err::write(dir.path().join("root/sub/file"), b"").unwrap();
        std::os::unix::fs::symlink("sub", dir.path().join("root/folder")).unwrap();
        std::os::unix::fs::symlink("sub/file", dir.path().join("root/link")).unwrap();
        let source = Source::open(&dir.path().join("root")).unwrap();
        let open = |path: &str| source.open_file(&RelPath::new(path).unwrap()).map(|_| ());
        assert_eq!(open("sub/file"), Ok(()));
        assert_eq!(open("link"), Err(Errno::LOOP));
        assert_eq!(open("folder/file"), Err(Errno::NOTDIR));
        assert_eq!(open("sub/none"), Err(Errno::NOENT));
    }
}
