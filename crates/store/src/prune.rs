//! Removing what nothing names.

use crate::error::{Context as _, StoreError};
use crate::layout::{MODEL_LOCK, Store};
use crate::lock::{StoreAlone, StoreLock};
use crate::named::Marked;
use crate::{atomic, temp};
use serde_json::Value;
use sovai_core::Sha256;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Entries of the index.
    pub entries: usize,
    /// Trees of models.
    pub trees: usize,
    /// Blobs.
    pub blobs: usize,
    /// Unfinished downloads.
    pub partials: usize,
    /// Bytes that nothing takes any more.
    pub bytes: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl Store {
    /// Removes what nothing names. First the entries of the index, then the trees, then the blobs, each step on the disk
    /// before the next begins: whoever is killed in the middle leaves no entry and no tree without its blobs.
    ///
    /// `stop` is asked again and again; when it says so, the rest stays. `stacks`, `trust` and `evidence` are not touched.
    /// Changes the link counts, and so the change times, of blobs that stay.
    pub fn remove_marked(
        &self,
        _alone: &StoreAlone,
        _lock: &StoreLock,
        marked: &Marked,
        stop: &dyn Fn() -> bool,
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed { entries: self.remove_entries(&marked.entries)?, ..Removed::default() };
        for tree in &marked.trees {
            if stop() {
                removed.stopped = true;
                return Ok(removed);
            }
            self.remove_tree(tree)?;
            removed.trees += 1;
        }
        temp::sync_folder(&self.root().join("trees"))?;
        self.remove_model_locks()?;
        let folder = self.root().join("blobs/sha256");
        for digest in marked.blobs.keys() {
            if stop() {
                removed.stopped = true;
                break;
            }
            let path = self.blob(digest);
            let Ok(meta) = fs_err::symlink_metadata(&path) else { continue };
            temp::remove_any(&path)?;
            removed.blobs += 1;
            // One that somebody linked to from elsewhere still takes its place.
            if meta.is_file() && meta.nlink() == 1 {
                removed.bytes = removed.bytes.saturating_add(meta.len());
            }
        }
        temp::sync_folder(&folder)?;
        Ok(removed)
    }

    /// Removes unfinished downloads: all of them, or those of blobs that are not `kept`. One that is being written stays.
    pub fn remove_partials(
        &self,
        _alone: &StoreAlone,
        kept: &BTreeSet<Sha256>,
        all: bool,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        for (digest, bytes) in self.all_partials()? {
            if !all && kept.contains(&digest) {
                continue;
            }
            match self.remove_partial(&digest) {
                Ok(()) => {
                    removed.partials += 1;
                    removed.bytes = removed.bytes.saturating_add(bytes);
                }
                Err(StoreError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Unfinished downloads that are not `kept`, with the bytes that they take on the disk.
    pub fn unnamed_partials(&self, kept: &BTreeSet<Sha256>) -> Result<Vec<(Sha256, u64)>, StoreError> {
        Ok(self.all_partials()?.into_iter().filter(|(digest, _)| !kept.contains(digest)).collect())
    }

    /// Also journals whose bytes are gone.
    fn all_partials(&self) -> Result<Vec<(Sha256, u64)>, StoreError> {
        let folder = self.root().join("partial");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut found: Vec<_> =
            self.partial_files()?.into_iter().map(|partial| (partial.sha256, partial.bytes)).collect();
        let known: BTreeSet<Sha256> = found.iter().map(|(digest, _)| *digest).collect();
        for entry in fs_err::read_dir(&folder).context("read the folder", &folder)? {
            let name = entry.context("read the folder", &folder)?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(".journal")).map(Sha256::from_hex);
            if let Some(Ok(digest)) = digest
                && !known.contains(&digest)
            {
                found.push((digest, 0));
            }
        }
        Ok(found)
    }

    /// Nobody has one: who takes one has a hold.
    fn remove_model_locks(&self) -> Result<(), StoreError> {
        let folder = self.root().join("tmp");
        for entry in fs_err::read_dir(&folder).context("read the folder", &folder)? {
            let path = entry.context("read the folder", &folder)?.path();
            if path.to_string_lossy().ends_with(MODEL_LOCK) {
                temp::remove_any(&path)?;
            }
        }
        Ok(())
    }

    fn remove_entries(&self, entries: &BTreeSet<Sha256>) -> Result<usize, StoreError> {
        if entries.is_empty() {
            return Ok(0);
        }
        let path = self.root().join("index.json");
        let mut value = self.read_index()?;
        let Some(list) = value.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(StoreError::Corrupt { path, reason: "it has no list `manifests`".to_owned() });
        };
        let before = list.len();
        list.retain(|entry| {
            let digest = entry.get("digest").and_then(Value::as_str).map(str::parse::<Sha256>);
            // Entries that are not named by a SHA-256 digest are another tool's.
            !matches!(digest, Some(Ok(digest)) if entries.contains(&digest))
        });
        let removed = before - list.len();
        atomic::write(&path, value.to_string().as_bytes(), 0o644)?;
        Ok(removed)
    }

    /// In one step it is gone by its name; what is left of it then, the next sweep takes.
    fn remove_tree(&self, model: &Sha256) -> Result<(), StoreError> {
        let path = self.tree(model);
        let aside = path.with_file_name(format!("{}{}", temp::PREFIX, temp::random_hex::<8>()?));
        rustix::fs::rename(&path, &aside).context("rename", &path)?;
        temp::remove_any(&aside)
    }
}

#[cfg(test)]
mod tests;
