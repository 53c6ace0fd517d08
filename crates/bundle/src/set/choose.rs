//! Which of the copies of the index is the bundle's.
//!
//! One damaged copy among good ones is no more than a finding about its volume. Nothing here says who made the bundle: the
//! copy that is chosen is judged by its signatures like any other.

use super::envelopes::Envelopes;
use super::finding::{SetError, SetFinding, Weight};
use super::folder::Folder;
use crate::index::{Index, MAX_INDEX};
use crate::signed::{BUNDLE_PREDICATE, statement_of};
use crate::volume::names;
use sovai_core::Sha256;
use std::collections::{BTreeMap, BTreeSet};

/// The index that was chosen.
pub(super) struct Chosen {
    pub(super) index: Index,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Sha256,
    /// What is wrong with the other copies, by the place of their folders; the volume is not known yet.
    pub(super) flaws: BTreeMap<usize, SetFinding>,
}

/// A copy, or several that are the same.
struct Copy {
    digest: Sha256,
    folders: Vec<usize>,
    /// Whether a signature, by whomever, speaks of it.
    is_spoken_of: bool,
}

pub(super) fn index(folders: &[Folder], signatures: &Envelopes) -> Result<Chosen, SetError> {
    let spoken: BTreeSet<String> = signatures
        .iter()
        .filter_map(|found| statement_of(&found.envelope).ok())
        .filter(|(statement, _)| statement.predicate_type == BUNDLE_PREDICATE)
        .map(|(_, subject)| subject)
        .collect();
    let mut flaws = BTreeMap::new();
    let mut reasons = Vec::new();
    let mut copies: BTreeMap<Sha256, Vec<usize>> = BTreeMap::new();
    for (at, folder) in folders.iter().enumerate() {
        let path = folder.path().join(names::INDEX);
        let mut say = |kind, detail: String| {
            if reasons.len() < 4 {
                reasons.push(format!("{}: {detail}", path.display()));
            }
            flaws.insert(at, SetFinding::new(Weight::Bytes, kind, None, &path, detail));
        };
        match folder.digest(names::INDEX, MAX_INDEX as u64) {
            Ok(Some((digest, _))) => copies.entry(digest).or_default().push(at),
            Ok(None) => say("file-missing", "it is not there".to_owned()),
            Err(error) => say("unreadable", error.to_string()),
        }
    }
    let mut copies: Vec<Copy> = copies
        .into_iter()
        .map(|(digest, folders)| Copy { digest, folders, is_spoken_of: spoken.contains(&digest.hex()) })
        .collect();
    copies.sort_by_key(|copy| std::cmp::Reverse((copy.is_spoken_of, copy.folders.len())));

    let mut best: Option<(Index, Vec<u8>, Copy)> = None;
    let mut others: Vec<(String, Copy)> = Vec::new();
    for copy in copies {
        let read = copy.folders.iter().find_map(|at| {
            let bytes = folders.get(*at)?.read(names::INDEX, MAX_INDEX as u64).ok()??;
            (super::sha256(&bytes) == copy.digest).then_some(bytes)
        });
        let parsed = match read {
            Some(bytes) => {
                Index::parse(&bytes).map(|index| (index, bytes)).map_err(|error| error.to_string())
            }
            None => Err("it changed while it was read".to_owned()),
        };
        match parsed {
            Err(detail) => {
                for at in copy.folders {
                    let Some(folder) = folders.get(at) else { continue };
                    let path = folder.path().join(names::INDEX);
                    if reasons.len() < 4 {
                        reasons.push(format!("{}: {detail}", path.display()));
                    }
                    flaws.insert(at, SetFinding::new(Weight::Bytes, "index-damaged", None, path, &detail));
                }
            }
            Ok((index, bytes)) if best.is_none() => best = Some((index, bytes, copy)),
            Ok((index, _)) => others.push((index.name(), copy)),
        }
    }
    let Some((index, bytes, copy)) = best else { return Err(SetError::NoIndex { reasons }) };
    let outweighs = |name: &str, other: &Copy| {
        if copy.is_spoken_of != other.is_spoken_of {
            return copy.is_spoken_of;
        }
        name == index.name() && copy.folders.len() > other.folders.len()
    };
    if others.iter().any(|(name, other)| !outweighs(name, other)) {
        let path = |at: &usize| folders.get(*at).map(|folder| folder.path().to_owned());
        let all = std::iter::once((index.name(), &copy))
            .chain(others.iter().map(|(name, copy)| (name.clone(), copy)));
        let bundles =
            all.map(|(name, copy)| (name, copy.digest, copy.folders.iter().filter_map(path).collect()));
        return Err(SetError::Mixed { bundles: bundles.collect() });
    }
    for (name, other) in others {
        let said = if copy.is_spoken_of {
            "the one that a signature speaks of"
        } else {
            "that of the other volumes"
        };
        for at in other.folders {
            let Some(folder) = folders.get(at) else { continue };
            let detail =
                format!("it is another index ({name}, {}) than {said} ({})", other.digest, copy.digest);
            let path = folder.path().join(names::INDEX);
            flaws.insert(at, SetFinding::new(Weight::Bytes, "index-differs", None, path, detail));
        }
    }
    Ok(Chosen { index, bytes, digest: copy.digest, flaws })
}
