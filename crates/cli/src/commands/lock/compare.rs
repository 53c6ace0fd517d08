//! What is different between a lock and what its manifest resolves to now.

use crate::output::safe_line;
use serde::Serialize;
use sovai_manifest::{Lock, LockedModel};
use std::collections::{BTreeMap, BTreeSet};

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Change {
    /// There now, not in the lock.
    Added {
        /// Path of keys in the lock.
        subject: String,
        /// What it is now.
        found: String,
    },
    /// In the lock, not there any more.
    Removed {
        /// Path of keys in the lock.
        subject: String,
        /// What it was.
        expected: String,
    },
    /// Different from the lock.
    Changed {
        /// Path of keys in the lock.
        subject: String,
        /// What it was.
        expected: String,
        /// What it is now.
        found: String,
    },
}

impl Change {
    /// A line for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Added { subject, found } => format!("added {}: {}", safe_line(subject), safe_line(found)),
            Self::Removed { subject, expected } => {
                format!("removed {}: was {}", safe_line(subject), safe_line(expected))
            }
            Self::Changed { subject, expected, found } => format!(
                "changed {}: expected {}, found {}",
                safe_line(subject),
                safe_line(expected),
                safe_line(found)
            ),
        }
    }
}

/// What is known of one subject, each fact in words.
type Facts = Vec<String>;

/// Every difference, sorted by subject. Without a lock, all there is was added.
pub(super) fn compare(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let old = old.map(flatten).unwrap_or_default();
    let new = flatten(new);
    let subjects: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    subjects
        .into_iter()
        .filter_map(|subject| {
            let change = match (old.get(subject), new.get(subject)) {
                (None, Some(found)) => Change::Added { subject: subject.clone(), found: found.join(", ") },
                (Some(expected), None) => {
                    Change::Removed { subject: subject.clone(), expected: expected.join(", ") }
                }
                (Some(expected), Some(found)) if expected != found => Change::Changed {
                    subject: subject.clone(),
                    expected: only_here(expected, found),
                    found: only_here(found, expected),
                },
                _ => return None,
            };
            Some(change)
        })
        .collect()
}

/// The facts that the other list does not have.
fn only_here(facts: &Facts, other: &Facts) -> String {
    let only: Vec<&str> = facts.iter().filter(|fact| !other.contains(fact)).map(String::as_str).collect();
    if only.is_empty() { "nothing".to_owned() } else { only.join(", ") }
}

/// A lock as facts about models, files and images.
fn flatten(lock: &Lock) -> BTreeMap<String, Facts> {
    let mut facts = BTreeMap::new();
    for (name, model) in &lock.models {
        flatten_model(&format!("models.{name}"), model, &mut facts);
    }
    for (name, image) in &lock.images {
        let mut known = vec![image.config.to_string(), image.platform.clone()];
        known.extend(image.manifest.map(|manifest| format!("manifest {manifest}")));
        known.extend(image.index.map(|index| format!("index {index}")));
        facts.insert(format!("images.{name}"), known);
    }
    facts
}

fn flatten_model(at: &str, model: &LockedModel, facts: &mut BTreeMap<String, Facts>) {
    for (key, value) in [("revision", &model.revision), ("license", &model.license)] {
        if let Some(value) = value {
            facts.insert(format!("{at}.{key}"), vec![value.clone()]);
        }
    }
    for file in &model.license_files {
        facts.insert(format!("{at}.licenseFiles.{}", file.path), vec![file.sha256.to_string()]);
    }
    for file in &model.files {
        let known =
            vec![format!("{} bytes", file.size), file.sha256.to_string(), format!("from {}", file.source)];
        facts.insert(format!("{at}.files.{}", file.path), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::{ImageId, Name, RelPath, Sha256};
    use sovai_manifest::{LockedFile, LockedImage};

    fn lock(digest: u8, image: u8) -> Lock {
        let file = LockedFile {
            path: RelPath::new("a.gguf").unwrap(),
            size: 1,
            sha256: Sha256::from_bytes([digest; 32]),
            source: "file:a.gguf".to_owned(),
        };
        let model = LockedModel {
            revision: None,
            license: Some("MIT".to_owned()),
            files: vec![file],
            ..LockedModel::default()
        };
        let image = LockedImage {
            index: None,
            platform: "linux/amd64".to_owned(),
            manifest: None,
            config: ImageId(Sha256::from_bytes([image; 32])),
        };
        Lock {
            models: BTreeMap::from([(Name::new("m").unwrap(), model)]),
            images: BTreeMap::from([("i".to_owned(), image)]),
        }
    }

    #[test]
    fn each_difference_is_named_once() {
        assert_eq!(compare(Some(&lock(1, 1)), &lock(1, 1)), []);
        let subjects = |changes: Vec<Change>| changes.iter().map(Change::text).collect::<Vec<_>>();
        let digest = |byte: &str| format!("sha256:{}", byte.repeat(32));
        assert_eq!(
            subjects(compare(Some(&lock(1, 1)), &lock(2, 1))),
            [format!("changed models.m.files.a.gguf: expected {}, found {}", digest("01"), digest("02"))]
        );
        assert_eq!(
            subjects(compare(Some(&lock(1, 1)), &lock(1, 2))),
            [format!("changed images.i: expected {}, found {}", digest("01"), digest("02"))]
        );
        assert_eq!(
            subjects(compare(None, &lock(1, 1))),
            [
                format!("added images.i: {}, linux/amd64", digest("01")),
                format!("added models.m.files.a.gguf: 1 bytes, {}, from file:a.gguf", digest("01")),
                "added models.m.license: MIT".to_owned(),
            ]
        );
        let gone = compare(Some(&lock(1, 1)), &Lock { models: BTreeMap::new(), images: BTreeMap::new() });
        assert!(matches!(&gone[0], Change::Removed { subject, .. } if subject == "images.i"));
    }
}
