//! Looking at a source without ever leaving it: nothing but folders is opened, and no link is followed but those of a
//! hub's cache to its own blobs and, where the caller asks for it, those that stay inside the source.

use crate::Cancel;
use crate::beneath::{self, FILE_FLAGS, FOLDER_FLAGS, LOOK_FLAGS, Mounts};
use crate::error::VerifyError;
use crate::finding::{Finding, Kind};
use crate::identity::{FsId, Identity, is_regular, size};
use crate::layout::{Snapshot, resolve};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sovai_core::RelPath;
use sovai_store::Store;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Deepest nesting of folders that is looked at. Models have two or three levels.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most files and folders that are looked at. Models have some hundreds; sets of small files go far beyond that. Measured:
/// a million, each of them a finding, took 433 MiB; this many stay below 256 MiB, pins aside.
pub(crate) const MAX_ENTRIES: usize = 500_000;
/// Most bytes that the paths of these may have together: long names must not cost what many short ones may not.
pub(crate) const MAX_TEXT: usize = 32 << 20;
/// After how many entries of one folder it is asked whether to stop.
const CANCEL_EVERY: usize = 1024;
/// Most links that are followed from a file's name to its bytes.
const MAX_LINKS: usize = 8;

/// Whether symbolic links to files are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Every link is a finding, but for those of a hub's cache into its own blobs.
    #[default]
    Refuse,
    /// A relative link that leads to a regular file inside the source is that file, under the link's name. Links that
    /// lead elsewhere, over a folder that is a link, or to a folder are findings.
    InsideRoot,
}

/// An open source: a folder, or one file in a folder.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    root: OwnedFd,
    /// Of a single file: its name in `root`.
    single: Option<CString>,
    /// Of a hub's cache: the snapshot that is the source.
    snapshot: Option<Snapshot>,
    links: Links,
}

/// A regular file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: RelPath,
    pub(crate) size: u64,
    /// Nothing where the file system cannot vouch for it.
    pub(crate) identity: Option<Identity>,
    /// Permission bits, with set-user-ID, set-group-ID and the sticky bit.
    pub(crate) mode: u16,
    /// Of a file with more than one name: device and inode. Nothing where all the names are the store's own.
    pub(crate) shared: Option<(u64, u64)>,
    /// Of a file that was reached over a link: where that led.
    pub(crate) link: Option<Box<Link>>,
}

/// Where a link led that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// To a blob of a hub's cache, whose name is this.
    Blob(String),
    /// To a file inside the source; this is the text of the link.
    Inside(String),
}

/// Files, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<Entry>);

impl Files {
    pub(crate) fn values(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    pub(crate) fn into_values(self) -> std::vec::IntoIter<Entry> {
        self.0.into_iter()
    }
}

/// What a walk found: valid regular files by path, and all that should not be there.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) files: Files,
    pub(crate) folders: BTreeSet<String>,
    pub(crate) findings: Vec<Finding>,
}

impl Source {
    /// Opens a source. The path itself was named by the operator, so a link to a folder is followed here, and only here.
    /// In a hub's cache, the source is a snapshot; see [`Snapshot::recognise`].
    pub(crate) fn open(path: &Path) -> Result<Self, VerifyError> {
        Self::open_with(path, Links::Refuse)
    }

    /// [`Self::open`], with a choice about links.
    pub(crate) fn open_with(path: &Path, links: Links) -> Result<Self, VerifyError> {
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
        let path = path.to_owned();
        if is_folder {
            if let Some(snapshot) = Snapshot::recognise(&path)? {
                let root = rustix::io::fcntl_dupfd_cloexec(&snapshot.root, 0).map_err(failed)?;
                return Ok(Self { path, root, single: None, snapshot: Some(snapshot), links });
            }
            let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(failed)?;
            return Ok(Self { path, root, single: None, snapshot: None, links });
        }
        let name = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
        let Some(name) = name else { return Err(failed(Errno::NOENT)) };
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let root = rustix::fs::open(parent, flags, Mode::empty()).map_err(failed)?;
        Ok(Self { path, root, single: Some(name), snapshot: None, links })
    }

    /// The path as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of a source that is one file.
    pub(crate) fn single_name(&self) -> Option<String> {
        self.single.as_ref().map(|name| name.to_string_lossy().into_owned())
    }

    /// The real path of the folder that paths of the source start at; nothing where it is gone.
    pub(crate) fn real(&self) -> Option<PathBuf> {
        match (&self.snapshot, &self.single) {
            (Some(snapshot), _) => Some(snapshot.path.clone()),
            (None, None) => fs_err::canonicalize(&self.path).ok(),
            (None, Some(_)) => {
                let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
                fs_err::canonicalize(parent.unwrap_or(Path::new("."))).ok()
            }
        }
    }

    /// Of a hub's cache: the commit whose snapshot is the source.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.snapshot.as_ref().map(|snapshot| snapshot.commit.as_str())
    }

    /// Looks at every file and folder. Reads no file.
    pub(crate) fn walk(&self, cancel: &Cancel) -> Result<Walked, VerifyError> {
        self.walk_up_to(MAX_ENTRIES, MAX_TEXT, cancel)
    }

    fn walk_up_to(&self, limit: usize, text: usize, cancel: &Cancel) -> Result<Walked, VerifyError> {
        let mut walk = Walk { source: self, walked: Walked::default(), entries: 0, limit, text, cancel };
        let root = self.root.as_fd();
        match &self.single {
            None => walk.folder(root, "", 0)?,
            Some(name) => match stat_at(root, name) {
                Ok(stat) => walk.entry(&Folder::of(root), "", name, &stat, 0)?,
                Err(_) => return Err(VerifyError::SourceMissing { path: self.path.clone() }),
            },
        }
        // Folders were looked into as they came, which is another order than that of paths: `a.b` comes before `a/b`.
        walk.walked.files.0.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.forgive_own_names(&mut walk.walked.files);
        Ok(walk.walked)
    }

    /// Files of a store's tree are links to its blobs, which nobody else can write: those names are none to speak of. One that
    /// has a further name outside the store keeps all.
    fn forgive_own_names(&self, files: &mut Files) {
        let shared: BTreeSet<(u64, u64)> = files.0.iter().filter_map(|entry| entry.shared).collect();
        if shared.is_empty() {
            return;
        }
        let Some(store) = self.store() else { return };
        let known = store.known_by_all_names(shared);
        for entry in &mut files.0 {
            entry.shared = entry.shared.filter(|file| !known.contains(file));
        }
    }

    /// The store in whose trees the source lies, if it is one of this user's.
    fn store(&self) -> Option<Store> {
        let real = self.real()?;
        let mut folders = real.ancestors();
        let trees = folders.find(|folder| folder.file_name().is_some_and(|name| name == "trees"))?;
        Store::look(trees.parent()?).ok().flatten()
    }

    /// Opens a file of the source for reading. Only those links are followed that a walk follows.
    pub(crate) fn open_file(&self, path: &RelPath) -> Result<File, Errno> {
        let mounts = if self.single.is_some() { Mounts::Cross } else { Mounts::Refuse };
        match beneath::open(self.root.as_fd(), path.as_str(), FILE_FLAGS, mounts) {
            Err(Errno::LOOP) => self.open_link(path),
            opened => opened,
        }
        .map(File::from)
    }

    fn open_link(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        if self.links == Links::Refuse && self.snapshot.is_none() {
            return Err(Errno::LOOP);
        }
        let folder = match path.as_str().rsplit_once('/') {
            Some((parents, _)) => {
                Some(beneath::open(self.root.as_fd(), parents, FOLDER_FLAGS, Mounts::Refuse)?)
            }
            None => None,
        };
        let folder = folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
        let name = CString::new(path.file_name()).map_err(|_| Errno::INVAL)?;
        let target = rustix::fs::readlinkat(folder, &name, Vec::new())?;
        match self.follow(path, &target).ok_or(Errno::LOOP)?.place {
            Place::Blob(name) => self.snapshot.as_ref().ok_or(Errno::LOOP)?.open(&name),
            Place::Inside(end) => beneath::open(self.root.as_fd(), &end, FILE_FLAGS, Mounts::Refuse),
        }
    }

    /// Follows the link at `path`, if it is one that is followed and leads to a regular file.
    fn follow(&self, path: &RelPath, target: &CString) -> Option<Followed> {
        let parts: Vec<&str> = path.parts().collect();
        let parents = parts.get(..parts.len().checked_sub(1)?)?;
        if let Some(snapshot) = &self.snapshot
            && let Some(name) = snapshot.blob(parents, target)
        {
            let (stat, fs) = snapshot.look(&name)?;
            return Some(Followed { stat, fs, place: Place::Blob(name) });
        }
        if self.links == Links::Refuse || self.single.is_some() {
            return None;
        }
        let mut end = resolve(parents, target)?;
        for _ in 0..MAX_LINKS {
            let place = end.join("/");
            let found = beneath::open(self.root.as_fd(), &place, LOOK_FLAGS, Mounts::Refuse).ok()?;
            let stat = rustix::fs::fstat(&found).ok()?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    return Some(Followed { stat, fs: FsId::of(&found), place: Place::Inside(place) });
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&found, "", Vec::new()).ok()?;
                    end.pop();
                    let parents: Vec<&str> = end.iter().map(String::as_str).collect();
                    end = resolve(&parents, &target)?;
                }
                _ => return None,
            }
        }
        None
    }
}

/// The end of a link.
struct Followed {
    stat: Stat,
    fs: Option<FsId>,
    place: Place,
}

enum Place {
    /// A blob of this name.
    Blob(String),
    /// A path in the source.
    Inside(String),
}

/// An open folder that is walked.
struct Folder<'a> {
    fd: BorrowedFd<'a>,
    fs: Option<FsId>,
    device: Option<u64>,
}

impl<'a> Folder<'a> {
    fn of(fd: BorrowedFd<'a>) -> Self {
        Self { fd, fs: FsId::of(fd), device: rustix::fs::fstat(fd).ok().map(|stat| stat.st_dev) }
    }

    /// The identity of a file in the folder. One that is a mount of its own belongs to a file system that was not asked.
    fn identity(&self, stat: &Stat) -> Option<Identity> {
        let fs = self.fs.filter(|_| self.device == Some(stat.st_dev))?;
        Some(Identity::new(fs, stat))
    }
}

struct Walk<'a> {
    source: &'a Source,
    walked: Walked,
    /// How many were looked at, and how many may be.
    entries: usize,
    limit: usize,
    /// How many bytes of paths may still come.
    text: usize,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    /// Looks into an open folder; `prefix` is its path with a `/` at the end, or nothing for the root.
    fn folder(&mut self, fd: BorrowedFd<'_>, prefix: &str, depth: usize) -> Result<(), VerifyError> {
        self.cancel.check()?;
        let own = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
        let mut names = Vec::new();
        let mut text = self.text;
        let listed = Dir::read_from(fd).and_then(|folder| {
            for entry in folder {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                text = text.saturating_sub(prefix.len() + name.to_bytes().len());
                names.push(name.to_owned());
                if self.entries + names.len() > self.limit || text == 0 {
                    break;
                }
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.walked.findings.push(Finding::Unreadable { path: own.to_owned(), error: error.to_string() });
        }
        names.sort_unstable();
        let folder = Folder::of(fd);
        for (at, name) in names.into_iter().enumerate() {
            if at % CANCEL_EVERY == 0 {
                self.cancel.check()?;
            }
            self.text = self.text.saturating_sub(prefix.len() + name.to_bytes().len());
            if self.entries >= self.limit || self.text == 0 {
                let (path, limit) = (own.to_owned(), self.limit as u64);
                if !matches!(self.walked.findings.last(), Some(Finding::TooMany { .. })) {
                    self.walked.findings.push(Finding::TooMany { path, limit });
                }
                return Ok(());
            }
            self.entries += 1;
            match stat_at(fd, &name) {
                Ok(stat) => self.entry(&folder, prefix, &name, &stat, depth)?,
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
        folder: &Folder<'_>,
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
            FileType::RegularFile => self.file(path, stat, folder.identity(stat), None),
            FileType::Directory => return self.subfolder(folder.fd, &path, depth),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder.fd, name, Vec::new()).unwrap_or_default();
                match self.source.follow(&path, &target) {
                    Some(Followed { stat, fs, place }) => {
                        let link = match place {
                            Place::Blob(name) => Link::Blob(name),
                            Place::Inside(_) => Link::Inside(printable(&target)),
                        };
                        let identity = fs.map(|fs| Identity::new(fs, &stat));
                        self.file(path, &stat, identity, Some(Box::new(link)));
                    }
                    None => self.walked.findings.push(Finding::Symlink {
                        path: path.as_str().to_owned(),
                        target: printable(&target),
                    }),
                }
            }
            other => self
                .walked
                .findings
                .push(Finding::NotRegular { path: path.as_str().to_owned(), found: kind(other) }),
        }
        Ok(())
    }

    fn file(&mut self, path: RelPath, stat: &Stat, identity: Option<Identity>, link: Option<Box<Link>>) {
        debug_assert!(is_regular(stat), "only regular files are entries");
        let mode = u16::try_from(stat.st_mode & 0o7777).unwrap_or(0o7777);
        let shared = (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino));
        let entry = Entry { size: size(stat), identity, mode, shared, link, path };
        self.walked.files.0.push(entry);
    }

    fn subfolder(&mut self, fd: BorrowedFd<'_>, path: &RelPath, depth: usize) -> Result<(), VerifyError> {
        let text = path.as_str().to_owned();
        self.walked.folders.insert(text.clone());
        if depth + 1 > MAX_DEPTH {
            self.walked.findings.push(Finding::TooDeep { path: text, limit: MAX_DEPTH as u64 });
            return Ok(());
        }
        match beneath::open(fd, path.file_name(), FOLDER_FLAGS, Mounts::Refuse) {
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
        Errno::XDEV => Finding::Mount { path },
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
        let walk = |limit| source.walk_up_to(limit, MAX_TEXT, &Cancel::default()).unwrap();
        assert_eq!((walk(22).files.0.len(), walk(22).findings), (20, Vec::new()));
        let stopped = walk(15);
        assert_eq!(stopped.files.0.len(), 13);
        assert_eq!(stopped.findings, [Finding::TooMany { path: "b".to_owned(), limit: 15 }]);
        // 2 bytes of folders and 60 bytes of files.
        let walk = |text| source.walk_up_to(100, text, &Cancel::default()).unwrap();
        assert_eq!((walk(63).files.0.len(), walk(63).findings), (20, Vec::new()));
        assert_eq!(walk(62).findings, [Finding::TooMany { path: "b".to_owned(), limit: 100 }]);
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
        assert_eq!(open("folder/file"), Err(Errno::LOOP));
        assert_eq!(open("sub/none"), Err(Errno::NOENT));
    }
}
