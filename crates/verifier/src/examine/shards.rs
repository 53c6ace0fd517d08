//! Files that belong together: shards with their index, parts of split files.

use super::file::read_whole;
use super::{Examination, FormatFinding};
use crate::Options;
use crate::error::VerifyError;
use crate::run::open_steady;
use crate::walk::{Entry, Source};
use sovai_formats::index::{Check, Index, MAX_INDEX, missing_parts, numbered};
use sovai_formats::{ContentError, FormatError, GgufError, TensorMap};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Most indexes of one model that are looked at. Pipelines of several models have one for each.
const MAX_INDEXES: usize = 64;

/// A GGUF file by its path, and which part of how many its header says that it is.
pub(super) type Part = (String, Option<(u64, u64)>);

/// The indexes of a model.
#[derive(Default)]
pub(super) struct Indexes {
    /// By folder (with a `/` at its end, or nothing for the root): indexes and their comparisons.
    checks: BTreeMap<String, Vec<(String, Mutex<Check>)>>,
    /// Every file that is an index.
    paths: BTreeSet<String>,
}

impl Indexes {
    /// Reads every index of a source.
    pub(super) fn read(
        source: &Source,
        entries: &[Entry],
        options: &Options,
        result: &mut Examination,
    ) -> Result<Self, VerifyError> {
        let mut indexes = Self::default();
        let named =
            entries.iter().filter(|entry| entry.path.file_name().ends_with(".safetensors.index.json"));
        for (number, entry) in named.enumerate() {
            options.cancel.check()?;
            let path = entry.path.as_str();
            indexes.paths.insert(path.to_owned());
            let checked = if number >= MAX_INDEXES {
                let (limit, found) = (MAX_INDEXES as u64, number as u64 + 1);
                Err(ContentError::TooLarge { what: "the number of indexes", limit, found }.into())
            } else {
                check(source, entry)
            };
            match checked {
                Ok(check) => {
                    let checks = indexes.checks.entry(folder(path).to_owned()).or_default();
                    checks.push((path.to_owned(), Mutex::new(check)));
                }
                Err(error) => result.problems.push(FormatFinding::new(path, &error)),
            }
        }
        Ok(indexes)
    }

    /// Whether a file is an index.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Compares a shard with the indexes of its folder.
    pub(super) fn shard(&self, path: &str, tensors: &TensorMap) {
        let folder = folder(path);
        for (_, check) in self.checks.get(folder).into_iter().flatten() {
            let mut check = check.lock().unwrap_or_else(PoisonError::into_inner);
            check.shard(path.get(folder.len()..).unwrap_or_default(), tensors);
        }
    }

    /// Says what does not fit, once every shard was given. `result.files` is sorted by path.
    pub(super) fn finish(self, result: &mut Examination) {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for file in &result.files {
            let folder = folder(&file.path);
            let name = file.path.get(folder.len()..).unwrap_or_default();
            if self.checks.contains_key(folder) || numbered(name).is_some() {
                names.entry(folder).or_default().push(name);
            }
        }
        let mut problems = Vec::new();
        for (folder, checks) in self.checks {
            let files = names.get(folder.as_str()).map(Vec::as_slice).unwrap_or_default();
            for (path, check) in checks {
                let check = check.into_inner().unwrap_or_else(PoisonError::into_inner);
                let stem =
                    path.get(folder.len()..).and_then(|name| name.strip_suffix(".safetensors.index.json"));
                let stem = stem.unwrap_or_default();
                // One that is there and was not given has a problem of its own, if its name promises what it must be.
                let there = |name: &str| name.ends_with(".safetensors") && files.contains(&name);
                let orphans = files.iter().copied().filter(|name| is_shard_of(stem, name));
                for error in check.finish(there, orphans) {
                    problems.push(FormatFinding::new(&path, &error));
                }
            }
        }
        for (folder, files) in names {
            for error in missing_parts(files.iter().copied()) {
                problems.push(FormatFinding::new(
                    if folder.is_empty() { "." } else { folder.trim_end_matches('/') },
                    &error,
                ));
            }
        }
        result.problems.extend(problems);
    }
}

/// Whether a name is one that a shard of an index has: `model.safetensors.index.json` has `model-00001-of-00002` and
/// `model.safetensors`. Other sets of weights may lie beside it.
fn is_shard_of(stem: &str, name: &str) -> bool {
    let Some(name) = name.strip_suffix(".safetensors") else { return false };
    name == stem || name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-'))
}

/// The folder of a path, with a `/` at its end; nothing for the root.
fn folder(path: &str) -> &str {
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default()
}

fn check(source: &Source, entry: &Entry) -> Result<Check, FormatError> {
    let unreadable = |error: String| FormatError::from(ContentError::Unreadable { error });
    if entry.size > MAX_INDEX {
        let (limit, found) = (MAX_INDEX, entry.size);
        return Err(ContentError::TooLarge { what: "an index of shards", limit, found }.into());
    }
    let opened = open_steady(source, &entry.path, entry.size);
    let opened = opened.map_err(|finding| unreadable(finding.to_string()))?;
    let bytes = read_whole(&opened.file, MAX_INDEX).map_err(|error| unreadable(error.to_string()))?;
    Check::new(Index::parse(&bytes)?)
}

/// Compares the names of GGUF parts with what their headers say: by path, and which part of how many.
pub(super) fn check_splits(parts: &[Part], result: &mut Examination) {
    for (path, split) in parts {
        let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
        let by_name = numbered(name).map(|(_, number, count, _)| (number, count));
        // Headers count from 0 and names from 1.
        let by_header = split.map(|(no, count)| (no.saturating_add(1), count));
        if by_name == by_header {
            continue;
        }
        let told = |part: Option<(u64, u64)>| match part {
            Some((number, count)) => format!("{number} of {count}"),
            None => "1 of 1".to_owned(),
        };
        let error = GgufError::SplitName { by_name: told(by_name), by_header: told(by_header) };
        result.problems.push(FormatFinding::new(path, &error.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_an_index_go_by_its_stem() {
        assert!(is_shard_of("model", "model-00001-of-00002.safetensors"));
        assert!(is_shard_of("model", "model.safetensors"));
        assert!(!is_shard_of("model", "consolidated.safetensors"));
        assert!(!is_shard_of("model", "model-00001-of-00002.gguf"));
        assert_eq!([folder("a/b/c"), folder("c")], ["a/b/", ""]);
    }
}
