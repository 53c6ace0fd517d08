//! Receipts on disk: which file, in which state, had which digest.
//!
//! Two kinds, both in the store's `receipts/`, mode 0600: one file for each source, and one for all blobs of the store.
//! A receipt file that cannot be read, belongs to somebody else or does not parse counts as not there: then everything
//! is read again.

use crate::identity::{FsId, Identity};
use crate::verity::kernel::{SealError, measure, seal};
use crate::walk::identity_at;
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_store::{Store, StoreError, atomic};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const API_VERSION: &str = "sovai/v1";
/// Largest receipt file that is read. A receipt takes some 200 bytes, so this is for about a million files.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum DocumentKind {
    SourceReceipts,
    BlobReceipts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document<T: Ord> {
    api_version: String,
    kind: DocumentKind,
    /// The source, for people; the key is the file's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    source: Option<String>,
    entries: BTreeMap<T, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: Sha256,
    state: Identity,
    /// Of a blob that the kernel holds unchangeable: the fs-verity digest that it must have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    verity: Option<Sha256>,
}

/// The receipts of one source, by path in it.
#[derive(Debug)]
pub(crate) struct SourceReceipts {
    file: PathBuf,
    source: String,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

impl SourceReceipts {
    pub(crate) fn load(store: &Store, source: &Path) -> Self {
        let real = fs_err::canonicalize(source).unwrap_or_else(|_| source.to_owned());
        let key = Sha256::from_bytes(sha2::Sha256::digest(real.as_os_str().as_bytes()).into()).hex();
        let file = store.receipts().join(format!("source-{}.json", &key[..32]));
        let entries = load(&file, DocumentKind::SourceReceipts).unwrap_or_default();
        Self { file, source: real.to_string_lossy().into_owned(), entries, changed: false }
    }

    /// The digest of a file, if its state is that of its receipt.
    pub(crate) fn digest(&self, path: &str, state: Option<&Identity>) -> Option<Sha256> {
        let entry = self.entries.get(path)?;
        (Some(&entry.state) == state).then_some(entry.sha256)
    }

    fn set(&mut self, path: &str, state: Identity, sha256: Sha256) {
        let entry = Entry { sha256, state, verity: None };
        self.changed |= self.entries.insert(path.to_owned(), entry) != Some(entry);
    }

    fn remove(&mut self, path: &str) {
        self.changed |= self.entries.remove(path).is_some();
    }

    /// The file was read in this state and had the digest; without a state, nothing is known of it any more.
    pub(crate) fn note(&mut self, path: &str, state: Option<Identity>, sha256: Sha256) {
        match state {
            Some(state) => self.set(path, state, sha256),
            None => self.remove(path),
        }
    }

    /// As [`SourceReceipts::save`], for who only reads the source: a store that cannot be written, or is full, costs the
    /// next run its speed, and this one nothing.
    pub(crate) fn save_if_writable(self, paths: &BTreeSet<&str>) -> Result<(), StoreError> {
        match self.save(paths) {
            Err(StoreError::NotWritable { .. } | StoreError::NoSpace { .. }) => Ok(()),
            saved => saved,
        }
    }

    /// Writes them down, if there is news. `paths` is what is pinned now; the rest is dropped.
    pub(crate) fn save(mut self, paths: &BTreeSet<&str>) -> Result<(), StoreError> {
        let before = self.entries.len();
        self.entries.retain(|path, _| paths.contains(path.as_str()));
        if !self.changed && self.entries.len() == before {
            return Ok(());
        }
        save(&self.file, DocumentKind::SourceReceipts, Some(self.source), self.entries)
    }
}

/// The receipts of the store's own blobs.
#[derive(Debug)]
pub(crate) struct BlobReceipts<'a> {
    store: &'a Store,
    /// Nothing where the store's file system cannot vouch for its files: then there are no receipts.
    fs: Option<FsId>,
    on_disk: BTreeMap<Sha256, (Identity, Option<Sha256>)>,
    /// Blobs that have fs-verity, and the digest that the kernel measured then.
    sealed: BTreeMap<Sha256, Sha256>,
    /// Blobs that are known to be good, in the state in which they are.
    known: BTreeMap<Sha256, Option<Identity>>,
    /// Blobs that were found damaged, in the state in which they were: a receipt of that state is wrong, whoever wrote it.
    damaged: BTreeMap<Sha256, Option<Identity>>,
}

impl<'a> BlobReceipts<'a> {
    /// Takes those whose blob is still in the state of its receipt.
    pub(crate) fn load(store: &'a Store) -> Self {
        let fs = open_folder(store.root()).and_then(FsId::of);
        let entries: BTreeMap<Sha256, Entry> =
            load(&store.receipts().join("blobs.json"), DocumentKind::BlobReceipts).unwrap_or_default();
        let on_disk: BTreeMap<_, _> = entries
            .iter()
            .filter(|(digest, entry)| **digest == entry.sha256)
            .map(|(digest, entry)| (*digest, (entry.state, entry.verity)))
            .collect();
        let (sealed, known, damaged) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut loaded = Self { store, fs, on_disk, sealed, known, damaged };
        for (digest, (state, verity)) in &loaded.on_disk {
            let is_sealed = verity.is_none_or(|verity| measure(&store.blob(digest)) == Some(verity));
            if is_sealed && loaded.state(digest).as_ref() == Some(state) {
                loaded.known.insert(*digest, Some(*state));
                loaded.sealed.extend(verity.map(|verity| (*digest, verity)));
            }
        }
        loaded
    }

    /// Takes in what others have written down since this was loaded. Called under the store's lock, before
    /// [`Self::across`] and [`Self::save`]: what is saved replaces what is on the disk.
    pub(crate) fn refresh(&mut self) {
        let mut newer = Self::load(self.store);
        newer.damaged = std::mem::take(&mut self.damaged);
        for (digest, state) in &newer.damaged {
            if newer.known.get(digest) == Some(state) {
                newer.known.remove(digest);
                newer.sealed.remove(digest);
            }
        }
        for (digest, state) in std::mem::take(&mut self.known) {
            if newer.store.has_blob(&digest) && newer.state(&digest) == state {
                newer.known.entry(digest).or_insert(state);
                if let Some(verity) = self.sealed.get(&digest) {
                    newer.sealed.insert(digest, *verity);
                }
            }
        }
        *self = newer;
    }

    /// The state in which the blob is now.
    pub(crate) fn state(&self, digest: &Sha256) -> Option<Identity> {
        identity_at(&self.store.blob(digest), self.fs?)
    }

    /// Whether the blob is known to be good.
    pub(crate) fn is_good(&self, digest: &Sha256) -> bool {
        self.known.contains_key(digest)
    }

    /// Whether the blob was found damaged, and not mended since.
    pub(crate) fn is_damaged(&self, digest: &Sha256) -> bool {
        self.damaged.contains_key(digest)
    }

    /// The blob was hashed, or committed, in this state.
    pub(crate) fn set_good(&mut self, digest: &Sha256, state: Option<Identity>) {
        self.damaged.remove(digest);
        self.known.insert(*digest, state);
    }

    /// Lets the kernel hold a good blob unchangeable, where the file system can. Called inside [`Self::across`]: it may
    /// change ctime.
    pub(crate) fn seal(&mut self, digest: &Sha256) -> Result<(), SealError> {
        if self.is_good(digest) && !self.sealed.contains_key(digest) {
            let verity = seal(&self.store.blob(digest))?;
            self.sealed.insert(*digest, verity);
        }
        Ok(())
    }

    /// The blob has other bytes than its name says, in this state: nothing good is known of it any more.
    pub(crate) fn forget(&mut self, digest: &Sha256, state: Option<Identity>) {
        self.damaged.insert(*digest, state);
        self.sealed.remove(digest);
        self.known.remove(digest);
    }

    /// Does something under the store's lock that links or unlinks blobs, which changes their ctime. Blobs that were in
    /// their known state before it are known in their new state after it; others are forgotten.
    pub(crate) fn across<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let mut before = std::mem::take(&mut self.known);
        before.retain(|digest, state| self.state(digest) == *state && self.store.has_blob(digest));
        self.known = before;
        let result = work(self);
        let before = std::mem::take(&mut self.known);
        self.known = before
            .into_iter()
            .filter_map(|(digest, old)| match (old, self.state(&digest)) {
                (Some(old), Some(new)) => old.same_but_links(&new).then_some((digest, Some(new))),
                (None, None) => self.store.has_blob(&digest).then_some((digest, None)),
                _ => None,
            })
            .collect();
        result
    }

    /// Writes them down, if there is news; waits until the files have settled, so that no later change can hide.
    pub(crate) fn save(mut self) -> Result<(), StoreError> {
        let sealed = std::mem::take(&mut self.sealed);
        let states = |known: &BTreeMap<Sha256, Option<Identity>>| -> BTreeMap<_, _> {
            known
                .iter()
                .filter_map(|(digest, state)| Some((*digest, ((*state)?, sealed.get(digest).copied()))))
                .collect()
        };
        if states(&self.known) == self.on_disk {
            return Ok(());
        }
        crate::identity::settle(self.known.values().flatten());
        let now = std::time::SystemTime::now();
        let mut known = std::mem::take(&mut self.known);
        known
            .retain(|digest, state| state.is_some_and(|s| s.is_settled(now)) && self.state(digest) == *state);
        let entries = states(&known)
            .into_iter()
            .map(|(digest, (state, verity))| (digest, Entry { sha256: digest, state, verity }))
            .collect();
        save(&self.store.receipts().join("blobs.json"), DocumentKind::BlobReceipts, None, entries)
    }
}

/// The state in which a blob is now; nothing where the store's file system cannot vouch for its files.
pub(crate) fn blob_state(store: &Store, digest: &Sha256) -> Option<Identity> {
    identity_at(&store.blob(digest), open_folder(store.root()).and_then(FsId::of)?)
}

/// Opens a folder to ask about its file system.
fn open_folder(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

fn load<T: DeserializeOwned + Ord>(path: &Path, kind: DocumentKind) -> Option<BTreeMap<T, Entry>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    let ours =
        meta.uid() == rustix::process::geteuid().as_raw() && (meta.mode() & 0o777) == (meta.mode() & 0o700);
    if !meta.is_file() || !ours || meta.len() > MAX_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let document: Document<T> = serde_json::from_slice(&bytes).ok()?;
    (document.api_version == API_VERSION && document.kind == kind).then_some(document.entries)
}

fn save<T: Serialize + Ord>(
    path: &Path,
    kind: DocumentKind,
    source: Option<String>,
    entries: BTreeMap<T, Entry>,
) -> Result<(), StoreError> {
    let document = Document { api_version: API_VERSION.to_owned(), kind, source, entries };
    let bytes = serde_json::to_vec(&document)
        .map_err(|error| StoreError::io("write", path, std::io::Error::from(error)))?;
    atomic::write(path, &bytes, 0o600)
}
