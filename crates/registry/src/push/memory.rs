//! Where an upload that is not finished lies in the registry: kept in the store, so that it goes on after `kill -9`.
//!
//! One small file an upload, `partial/push-<SHA-256 of what goes where>.json`, held by `flock` of the one who sends. It is
//! written in place: one that is torn cannot be read, and then the upload starts anew, as it does where the registry does
//! not know it any more.

use super::upload::Blob;
use crate::document::sha256;
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sovai_store::Store;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Longest file that is read; addresses of uploads have a signed state in them.
const MAX_FILE: u64 = 16 << 10;
/// After this time registries have cleaned up (`uploadpurging.age` of distribution: 168 hours).
const OLD: Duration = Duration::from_hours(24 * 7);
const PREFIX: &str = "push-";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    repository: String,
    digest: String,
    location: String,
}

/// The memory of one upload. It can do nothing where another process sends the same blob: then nothing is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    held: Option<(File, PathBuf)>,
    repository: String,
    digest: String,
}

impl Memory {
    /// Opens it; `repository` with its registry.
    pub(super) fn open(store: &Store, repository: String, blob: &Blob) -> Self {
        let digest = blob.digest.to_string();
        let name = sha256(format!("{repository}@{digest}").as_bytes()).hex();
        let path = store.root().join("partial").join(format!("{PREFIX}{name}.json"));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map(File::from).ok();
        let locked = opened
            .filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))
            .filter(|file| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok())
            // Whoever had it before may have removed it.
            .filter(|file| is_named(file, &path));
        Self { held: locked.map(|file| (file, path)), repository, digest }
    }

    /// The address that was kept, if it is of this blob and repository.
    pub(super) fn recall(&self) -> Option<String> {
        let (file, _) = self.held.as_ref()?;
        let mut text = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut text).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let same =
            record.version == 1 && record.repository == self.repository && record.digest == self.digest;
        same.then_some(record.location)
    }

    /// Keeps an address. A failure is none: without it the upload starts anew after a crash.
    pub(super) fn keep(&self, location: &str) {
        let Some((file, _)) = &self.held else { return };
        let record = Record {
            version: 1,
            repository: self.repository.clone(),
            digest: self.digest.clone(),
            location: location.to_owned(),
        };
        if let Ok(text) = serde_json::to_vec(&record)
            && text.len() as u64 <= MAX_FILE
        {
            // Shorter first: of an old record's end a new one must not be made.
            drop(file.set_len(0).and_then(|()| file.write_all_at(&text, 0)));
        }
    }

    /// Empties it: the upload is gone.
    pub(super) fn forget(&self) {
        if let Some((file, _)) = &self.held {
            drop(file.set_len(0));
        }
    }
}

/// What is empty is removed; an address stays for the next run.
impl Drop for Memory {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.held
            && file.metadata().is_ok_and(|meta| meta.len() == 0)
            && is_named(file, path)
        {
            drop(fs_err::remove_file(path));
        }
    }
}

fn is_named(file: &File, path: &std::path::Path) -> bool {
    match (file.metadata(), fs_err::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => held.dev() == named.dev() && held.ino() == named.ino(),
        _ => false,
    }
}

/// Removes what is too old to be of use. Failures are left to the next time.
pub(super) fn forget_old(store: &Store) {
    let Ok(entries) = fs_err::read_dir(store.root().join("partial")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let age = entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = age.and_then(|time| SystemTime::now().duration_since(time).ok());
        if name.starts_with(PREFIX) && name.ends_with(".json") && age.is_some_and(|age| age > OLD) {
            drop(fs_err::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::Sha256;

    fn blob() -> Blob {
        Blob { digest: Sha256::from_bytes([1; 32]), size: 1, bytes: None }
    }

    fn files(store: &Store) -> Vec<PathBuf> {
        fs_err::read_dir(store.root().join("partial")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn an_address_outlives_its_process_and_only_for_its_blob_and_repository() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let open = || Memory::open(&store, "registry.example/a".to_owned(), &blob());
        let memory = open();
        assert_eq!(memory.recall(), None);
        memory.keep("https://registry.example/a-long-address");
        memory.keep("https://registry.example/x");
        let second = open();
        assert_eq!(second.recall(), None, "another one sends it now");
        second.keep("https://registry.example/other");
        drop(second);
        drop(memory);
        assert_eq!(open().recall().as_deref(), Some("https://registry.example/x"));
        assert_eq!(Memory::open(&store, "registry.example/b".to_owned(), &blob()).recall(), None);
        let path = files(&store).pop().unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // Torn.
        let text = fs_err::read(&path).unwrap();
        fs_err::write(&path, &text[..text.len() - 1]).unwrap();
        assert_eq!(open().recall(), None);
        fs_err::write(&path, &text).unwrap();
        let memory = open();
        memory.forget();
        drop(memory);
        assert!(files(&store).is_empty(), "what is empty goes");
    }

    #[test]
    fn what_is_a_week_old_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let folder = store.root().join("partial");
        let old = SystemTime::now() - OLD - Duration::from_mins(1);
        for (name, is_old) in [("push-a.json", true), ("push-b.json", false), ("aa.journal", true)] {
            fs_err::write(folder.join(name), "x").unwrap();
            if is_old {
                let file = fs_err::File::options().write(true).open(folder.join(name)).unwrap();
                file.set_modified(old).unwrap();
            }
        }
        forget_old(&store);
        let mut names: Vec<_> =
            files(&store).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["aa.journal", "push-b.json"]);
    }
}
