//! What the store remembers of a bundle that is not whole: `stacks/NAME/bundles/SEQUENCE.partial/`.
//!
//! `bundle.json` says what is to come (and keeps it from being pruned), `signatures/` and `decisions/` what was gathered from
//! the volumes so far, `hashes.json` how far files are hashed. Which bytes are in stands in the journals of the partial files.

use super::{HOLDER, ImportError};
use crate::index::{Index, MAX_INDEX};
use crate::volume::names;
use sha2::Digest as _;
use sovai_core::{Name, Sha256};
use sovai_store::{Store, StoreAlone, StoreError, StoreLock};
use sovai_verifier::SavedHasher;
use std::collections::{BTreeMap, BTreeSet};

/// Folder of a stack's bundles.
pub(super) const BUNDLES: &str = "bundles";
const HASHES: &str = "hashes.json";
/// Which blobs were not in the store before.
const BROUGHT: &str = "brought.json";
const PARTIAL: &str = ".partial";

/// The folder of a bundle that is not whole, in the stack's.
pub(super) fn partial_folder(sequence: u64) -> String {
    format!("{BUNDLES}/{sequence}{PARTIAL}")
}

/// Digest of an index as it is written.
pub(super) fn digest(text: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(text).into())
}

/// A bundle that is not whole in the store yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The stack.
    pub stack: Name,
    /// Its number.
    pub sequence: u64,
    /// Digest of its index.
    pub digest: Sha256,
}

impl Unfinished {
    /// The folder of the one with this number, in the stack's.
    pub fn folder(sequence: u64) -> String {
        partial_folder(sequence)
    }
}

/// The bundles of a stack that are not whole, sorted by number.
pub fn unfinished(store: &Store, stack: &Name) -> Result<Vec<Unfinished>, StoreError> {
    let folder = store.stack(stack);
    let mut found = Vec::new();
    for name in folder.list(BUNDLES)? {
        let Some(sequence) = name.strip_suffix(PARTIAL).and_then(|number| number.parse().ok()) else {
            continue;
        };
        let index = folder.get(&format!("{BUNDLES}/{name}/{}", names::INDEX), MAX_INDEX as u64)?;
        if let Some(text) = index {
            found.push(Unfinished { stack: stack.clone(), sequence, digest: digest(&text) });
        }
    }
    found.sort_unstable_by_key(|bundle| bundle.sequence);
    Ok(found)
}

/// An error when another bundle with this number is half brought in.
pub(super) fn refuse_other(store: &Store, index: &Index, text: &[u8]) -> Result<(), ImportError> {
    let name = format!("{}/{}", partial_folder(index.sequence), names::INDEX);
    match store.stack(&index.stack).get(&name, MAX_INDEX as u64)? {
        Some(found) if found != text => Err(ImportError::Other {
            stack: index.stack.clone(),
            sequence: index.sequence,
            expected: digest(text),
            found: digest(&found),
        }),
        _ => Ok(()),
    }
}

/// Whether an earlier run began it.
pub(super) fn is_begun(store: &Store, index: &Index) -> Result<bool, StoreError> {
    let name = format!("{}/{}", partial_folder(index.sequence), names::INDEX);
    Ok(store.stack(&index.stack).get(&name, MAX_INDEX as u64)?.is_some())
}

/// Writes down what is to come.
pub(super) fn begin(store: &Store, index: &Index, text: &[u8]) -> Result<(), ImportError> {
    let (stack, folder) = (store.stack(&index.stack), partial_folder(index.sequence));
    // Before the index: with it there, what is not in this list was there before.
    let brought = format!("{folder}/{BROUGHT}");
    if stack.read::<BTreeSet<Sha256>>(&brought)?.is_none() {
        let missing: BTreeSet<Sha256> =
            index.items.iter().map(|item| item.sha256).filter(|digest| !store.has_blob(digest)).collect();
        stack.write(&brought, &missing)?;
    }
    stack.put(&format!("{folder}/{}", names::INDEX), text, 0o444)?;
    Ok(())
}

/// How far files are hashed; nothing when nobody says so.
pub(super) fn load(store: &Store, index: &Index) -> BTreeMap<Sha256, SavedHasher> {
    let name = format!("{}/{HASHES}", partial_folder(index.sequence));
    store.stack(&index.stack).read(&name).ok().flatten().unwrap_or_default()
}

pub(super) fn save(
    store: &Store,
    index: &Index,
    saved: &BTreeMap<Sha256, SavedHasher>,
) -> Result<(), StoreError> {
    if *saved == load(store, index) {
        return Ok(());
    }
    store.stack(&index.stack).write(&format!("{}/{HASHES}", partial_folder(index.sequence)), saved)
}

/// Takes away what is only for a bundle that is not whole.
pub(super) fn end(store: &Store, index: &Index) -> Result<(), StoreError> {
    let (stack, folder) = (store.stack(&index.stack), partial_folder(index.sequence));
    for name in [HASHES, BROUGHT] {
        stack.remove(&format!("{folder}/{name}"))?;
    }
    Ok(())
}

/// What a bundle that is forgotten has brought into the store.
#[derive(Debug)]
pub struct Brought {
    blobs: BTreeSet<Sha256>,
    /// Bytes that were freed.
    bytes: u64,
}

/// Forgets a bundle that is not whole: its partial files and its folder. From then on nothing of it is named; what is done with
/// its blobs is up to [`Brought::remove`], or else to the next prune.
pub fn forget(store: &Store, _stack: &StoreLock, bundle: &Unfinished) -> Result<Brought, StoreError> {
    let (folder, name) = (store.stack(&bundle.stack), partial_folder(bundle.sequence));
    let text = folder.get(&format!("{name}/{}", names::INDEX), MAX_INDEX as u64)?.unwrap_or_default();
    let index = Index::parse(&text).ok();
    let blobs: BTreeSet<Sha256> = folder.read(&format!("{name}/{BROUGHT}"))?.unwrap_or_default();
    let mut bytes = 0_u64;
    for item in index.iter().flat_map(|index| &index.items) {
        bytes = bytes.saturating_add(store.partial_bytes(&item.sha256, item.size));
        store.remove_partial(&item.sha256)?;
    }
    folder.remove(&name)?;
    Ok(Brought { blobs, bytes })
}

impl Brought {
    /// Removes its blobs but those that something else names. Gives how many bytes are free now.
    pub fn remove(
        self,
        store: &Store,
        _alone: &StoreAlone,
        kept: &BTreeSet<Sha256>,
    ) -> Result<u64, StoreError> {
        let mut bytes = self.bytes;
        let lock = store.lock_unswept(HOLDER)?;
        for digest in self.blobs.difference(kept).filter(|digest| store.has_blob(digest)) {
            let length = fs_err::symlink_metadata(store.blob(digest)).map_or(0, |meta| meta.len());
            store.remove_blob(&lock, digest)?;
            bytes = bytes.saturating_add(length);
        }
        Ok(bytes)
    }
}
