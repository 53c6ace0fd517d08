//! Folders as model hubs leave them on disk.
//!
//! Source of both layouts: `huggingface_hub` (`file_download.py`, `_local_folder.py`), and the guide "Understand caching"
//! of its documentation.
//!
//! - The cache: `models--ORG--NAME/` with `refs/REV` (the text of a commit), `snapshots/COMMIT/PATH` (links), and
//!   `blobs/ETAG`, where the bytes lie. A link is `../../blobs/ETAG`, with one more `..` for each folder of PATH. The
//!   name of a blob is what the hub said that it is: the SHA-256 of a large file, the git blob ID of a small one. The
//!   hub's tools compare neither with the bytes.
//! - A folder made with `--local-dir`: files, and `.cache/huggingface/` with what the hub said about them.

use crate::beneath::{self, FILE_FLAGS, FOLDER_FLAGS, Mounts};
use crate::error::VerifyError;
use crate::identity::FsId;
use rustix::fs::{Dir, Mode, Stat};
use rustix::io::Errno;
use sha1::{Digest as _, Sha1};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How the folder of a model's repository begins.
const REPOSITORY: &str = "models--";
const SNAPSHOTS: &str = "snapshots";
const BLOBS: &str = "blobs";
/// The reference whose snapshot is taken when none is named.
const MAIN: &str = "refs/main";
/// Most bytes of a reference: a SHA-256 in hex and a line's end.
const MAX_REFERENCE: u64 = 65;
/// Most snapshots that are listed.
const MAX_SNAPSHOTS: usize = 100;
/// Largest file whose git blob ID is compared. What hubs list by that ID is text; large files have a SHA-256.
pub(crate) const MAX_GIT_BLOB: u64 = 10 << 20;
/// Where `--local-dir` keeps its notes.
const METADATA: &str = ".cache/huggingface/";

/// A snapshot in a hub's cache.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The snapshot's own folder.
    pub(crate) root: OwnedFd,
    /// Its name, a commit of the hub.
    pub(crate) commit: String,
    /// The snapshot's folder, its real path.
    pub(crate) path: PathBuf,
    blobs: Option<Blobs>,
}

#[derive(Debug)]
struct Blobs {
    folder: OwnedFd,
    fs: Option<FsId>,
}

impl Snapshot {
    /// Opens the snapshot that a folder is, or holds; nothing for a folder that is no part of a hub's cache.
    pub(crate) fn recognise(path: &Path) -> Result<Option<Self>, VerifyError> {
        // Links on the way to the source were named by the operator; the layout is that of the real place.
        let Ok(real) = fs_err::canonicalize(path) else { return Ok(None) };
        let is_repository = |folder: &Path| {
            let name = folder.file_name().and_then(|name| name.to_str());
            let is_folder =
                |name| fs_err::symlink_metadata(folder.join(name)).is_ok_and(|meta| meta.is_dir());
            name.is_some_and(|name| name.starts_with(REPOSITORY)) && is_folder(SNAPSHOTS)
        };
        let name = real.file_name().and_then(|name| name.to_str());
        let (folder, commit) = match (real.parent(), name) {
            _ if is_repository(&real) => (real.as_path(), None),
            (Some(parent), Some(name)) if parent.file_name().is_some_and(|name| name == SNAPSHOTS) => {
                match parent.parent() {
                    Some(folder) if is_repository(folder) => (folder, Some(name.to_owned())),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let failed = |error: Errno| VerifyError::Source { path: path.to_owned(), source: error.into() };
        let repository = rustix::fs::open(folder, FOLDER_FLAGS, Mode::empty()).map_err(failed)?;
        let repository = repository.as_fd();
        let commit = match commit {
            Some(commit) => commit,
            None => choose(path, repository)?,
        };
        let open = |name: &str| beneath::open(repository, name, FOLDER_FLAGS, Mounts::Refuse);
        let root = open(&format!("{SNAPSHOTS}/{commit}")).map_err(failed)?;
        let blobs = match open(BLOBS) {
            Ok(folder) => Some(Blobs { fs: FsId::of(&folder), folder }),
            // Where links cannot be made, the hub's tools put the files themselves into the snapshot.
            Err(Errno::NOENT) => None,
            Err(error) => return Err(failed(error)),
        };
        let path = folder.join(SNAPSHOTS).join(&commit);
        Ok(Some(Self { root, commit, path, blobs }))
    }

    /// The name of the blob that a link in the snapshot's folder `parents` leads to; nothing for any other link.
    pub(crate) fn blob(&self, parents: &[&str], target: &CStr) -> Option<String> {
        let place: Vec<&str> = [SNAPSHOTS, &self.commit].into_iter().chain(parents.iter().copied()).collect();
        let end = resolve(&place, target)?;
        match <[String; 2]>::try_from(end) {
            Ok([folder, name]) if folder == BLOBS => Some(name),
            _ => None,
        }
    }

    /// The state of a blob, if it is a regular file; no link is followed.
    pub(crate) fn look(&self, name: &str) -> Option<(Stat, Option<FsId>)> {
        let blobs = self.blobs.as_ref()?;
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(&blobs.folder, name, flags).ok()?;
        crate::identity::is_regular(&stat).then_some((stat, blobs.fs))
    }

    /// Opens a blob for reading.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, Errno> {
        let blobs = self.blobs.as_ref().ok_or(Errno::LOOP)?;
        beneath::open(blobs.folder.as_fd(), name, FILE_FLAGS, Mounts::Refuse)
    }
}

/// Where a relative link in the folder `place` leads, by its text alone: first up, then down by plain names. Nothing for
/// an absolute link, for one that leads above the first part of `place`, and for any other form.
pub(crate) fn resolve(place: &[&str], target: &CStr) -> Option<Vec<String>> {
    let mut end: Vec<String> = place.iter().map(|&part| part.to_owned()).collect();
    let mut is_down = false;
    for part in target.to_str().ok()?.split('/') {
        match part {
            ".." if !is_down => drop(end.pop()?),
            "" | "." | ".." => return None,
            name => {
                is_down = true;
                end.push(name.to_owned());
            }
        }
    }
    is_down.then_some(end)
}

/// The snapshot of a repository that is meant when none is named: that of `refs/main`, or the only one.
fn choose(path: &Path, repository: BorrowedFd<'_>) -> Result<String, VerifyError> {
    let found = snapshots(repository);
    let wrong =
        |reason: String| Err(VerifyError::Snapshot { path: path.to_owned(), reason, found: found.clone() });
    match reference(repository) {
        Ok(Some(commit)) if found.contains(&commit) => Ok(commit),
        Ok(Some(commit)) => wrong(format!("`{MAIN}` names `{commit}`, which is not there")),
        Ok(None) => match &found[..] {
            [only] => Ok(only.clone()),
            [] => wrong(format!("`{SNAPSHOTS}` has none")),
            _ => wrong(format!("there is no `{MAIN}`, and more than one")),
        },
        Err(reason) => wrong(reason),
    }
}

/// The commit that `refs/main` names; nothing where there is no such file.
fn reference(repository: BorrowedFd<'_>) -> Result<Option<String>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("`{MAIN}` cannot be read: {error}");
    let file = match beneath::open(repository, MAIN, FILE_FLAGS, Mounts::Refuse) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    if !file.metadata().map_err(|error| unreadable(&error))?.is_file() {
        return Err(unreadable(&"it is no regular file"));
    }
    let mut text = String::new();
    file.take(MAX_REFERENCE + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    let commit = text.strip_suffix('\n').unwrap_or(&text);
    match commit.len() {
        40 | 64 if is_hex(commit) => Ok(Some(commit.to_owned())),
        _ => Err(format!("`{MAIN}` is no commit in lower-case hex")),
    }
}

/// The snapshots of a repository whose names are plain, sorted.
fn snapshots(repository: BorrowedFd<'_>) -> Vec<String> {
    let Ok(folder) = beneath::open(repository, SNAPSHOTS, FOLDER_FLAGS, Mounts::Refuse) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::read_from(&folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(MAX_SNAPSHOTS)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'))
        .collect();
    names.sort_unstable();
    names
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the name of a blob says that its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobName {
    /// Their SHA-256.
    Sha256,
    /// Their git blob ID.
    Git,
}

impl BlobName {
    /// Nothing for a name that says nothing.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name.len() {
            64 if is_hex(name) => Some(Self::Sha256),
            40 if is_hex(name) => Some(Self::Git),
            _ => None,
        }
    }
}

/// The ID that git gives to a file's bytes: SHA-1 of `blob LENGTH`, a zero byte, and the bytes (git, `gitformat-pack`).
/// At most `size` bytes are read; a file that is longer or shorter by now has another ID.
pub(crate) fn git_blob(file: File, size: u64) -> std::io::Result<String> {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {size}\0"));
    let mut file = file.take(size.saturating_add(1));
    let mut buffer = vec![0; crate::input::BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Whether a file of a folder is a note that `--local-dir` keeps about the others. Nobody should believe what it says;
/// it is no part of the model.
pub(crate) fn is_hub_metadata(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(METADATA) else { return false };
    match rest.strip_prefix("download/") {
        Some(file) => {
            let end = Path::new(file).extension().and_then(|end| end.to_str());
            matches!(end, Some("metadata" | "lock" | "incomplete"))
        }
        None => matches!(rest, ".gitignore" | "CACHEDIR.TAG"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn a_link_leads_first_up_and_then_down() {
        let end = |place: &[&str], target: &str| {
            resolve(place, &CString::new(target).unwrap()).map(|parts| parts.join("/"))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(end(&["snapshots", "c"], "../../blobs/x"), some("blobs/x"));
        assert_eq!(end(&["snapshots", "c", "a"], "../../../blobs/x"), some("blobs/x"));
        assert_eq!(end(&["a", "b"], "x"), some("a/b/x"));
        assert_eq!(end(&["a", "b"], "../x/y"), some("a/x/y"));
        for target in [
            "",
            "/etc/passwd",
            ".",
            "..",
            "../..",
            "../../../x",
            "x/..",
            "x/../y",
            "./x",
            "../../blobs//x",
            "../../blobs/x/",
            "../../blobs/../blobs/x",
        ] {
            assert_eq!(end(&["a", "b"], target), None, "{target}");
        }
        assert_eq!(resolve(&["a"], &CString::new(b"\xff".to_vec()).unwrap()), None);
    }

    #[test]
    fn only_what_the_hub_writes_is_its_metadata() {
        for path in ["download/a.json.metadata", "download/x/y.lock", "download/a.incomplete", ".gitignore"] {
            assert!(is_hub_metadata(&format!(".cache/huggingface/{path}")), "{path}");
        }
        for path in [
            ".cache/huggingface/evil.py",
            ".cache/huggingface/download/evil.py",
            ".cache/huggingface/download/metadata",
            ".cache/other.metadata",
            "sub/.cache/huggingface/download/a.metadata",
            "download/a.metadata",
        ] {
            assert!(!is_hub_metadata(path), "{path}");
        }
    }
}
