//! Bytes that the other side has already: blobs of the base, checked before anything is applied.

use super::{Import, ImportError, ImportOptions, pin};
use crate::index::{Index, Part};
use rustix::fs::{Mode, OFlags};
use sovai_core::{FilePin, Reporter, Sha256};
use sovai_store::{Store, StoreError};
use sovai_verifier::{Stored, check_stored};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Bytes that are copied at once.
const BUFFER: usize = 1 << 20;

/// An error when a blob of the base is needed and not there as it should be.
pub(super) fn check(
    store: &Store,
    index: &Index,
    stored: &BTreeMap<Sha256, Stored>,
    options: &ImportOptions,
    reporter: &dyn Reporter,
) -> Result<(), ImportError> {
    let Some(base) = &index.base else { return Ok(()) };
    let lacking = index.items.iter().filter(|item| stored.get(&item.sha256) != Some(&Stored::Good));
    let mut needed: Vec<Sha256> = lacking
        .flat_map(|item| &item.parts)
        .filter_map(|part| match part {
            Part::Based { base, .. } => Some(*base),
            Part::Carried { .. } => None,
        })
        .collect();
    needed.sort_unstable();
    needed.dedup();
    let size = |digest: &Sha256| {
        let at = base.blobs.binary_search_by_key(digest, |blob| blob.digest).ok()?;
        base.blobs.get(at).map(|blob| blob.size)
    };
    let pins: Vec<FilePin> = needed.iter().filter_map(|digest| pin(*digest, size(digest)?)).collect();
    let found = check_stored(store, &pins, &options.verify(), reporter)?;
    let missing: Vec<Sha256> =
        needed.into_iter().filter(|digest| found.get(digest) != Some(&Stored::Good)).collect();
    if missing.is_empty() { Ok(()) } else { Err(ImportError::Base { missing }) }
}

/// Copies what files have of the base.
pub(super) fn copy(import: &Import<'_>) -> Result<(), ImportError> {
    let mut buffer = Vec::new();
    for target in import.targets.iter().filter(|target| !target.is_done()) {
        let mut within = 0_u64;
        for part in &target.parts {
            if let Part::Based { base, offset, length } = *part
                && target.lacks(import.store, &(within..within + length))
            {
                if import.options.cancel.is_cancelled() {
                    return Err(ImportError::Cancelled);
                }
                buffer.resize(BUFFER, 0);
                let partial = target.open(import.store)?;
                let file = open(import.store, &base)?;
                let mut done = 0;
                while done < length {
                    let rest = usize::try_from(length - done).unwrap_or(usize::MAX).min(BUFFER);
                    let Some(piece) = buffer.get_mut(..rest) else { break };
                    file.read_exact_at(piece, offset + done)
                        .map_err(|error| StoreError::io("read", import.store.blob(&base), error))?;
                    partial.write(within + done, &[&*piece])?;
                    target.hash(within + done, piece);
                    done += rest as u64;
                }
            }
            within += part.length();
        }
        // Many files may have bytes of the base: not all of them are open at once.
        if !target.parts.is_empty() {
            target.rest()?;
        }
    }
    Ok(())
}

fn open(store: &Store, digest: &Sha256) -> Result<File, StoreError> {
    let path = store.blob(digest);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| StoreError::io("open", path, error))
}
