//! What is different between a lock and what its manifest resolves to now.

use crate::output::safe_line;
use serde::Serialize;
use sovai_manifest::{Lock, LockedImage, LockedModel};
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

/// Every difference, sorted by subject. Without a lock, all there is was added.
pub(super) fn compare(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let old = old.map(flatten).unwrap_or_default();
    let new = flatten(new);
    let subjects: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    subjects
        .into_iter()
        .filter_map(|subject| match (old.get(subject), new.get(subject)) {
            (None, Some(found)) => Some(Change::Added { subject: subject.clone(), found: found.clone() }),
            (Some(expected), None) => {
                Some(Change::Removed { subject: subject.clone(), expected: expected.clone() })
            }
            (Some(expected), Some(found)) if expected != found => Some(Change::Changed {
                subject: subject.clone(),
                expected: expected.clone(),
                found: found.clone(),
            }),
            _ => None,
        })
        .collect()
}

/// A lock as a list of facts.
fn flatten(lock: &Lock) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for (name, model) in &lock.models {
        flatten_model(&format!("models.{name}"), model, &mut facts);
    }
    for (name, image) in &lock.images {
        flatten_image(&format!("images.{name}"), image, &mut facts);
    }
    facts
}

fn flatten_model(at: &str, model: &LockedModel, facts: &mut BTreeMap<String, String>) {
    for (key, value) in [("revision", &model.revision), ("license", &model.license)] {
        if let Some(value) = value {
            facts.insert(format!("{at}.{key}"), value.clone());
        }
    }
    for file in &model.files {
        let fact = format!("{} bytes, {}, from {}", file.size, file.sha256, file.source);
        facts.insert(format!("{at}.files.{}", file.path), fact);
    }
}

fn flatten_image(at: &str, image: &LockedImage, facts: &mut BTreeMap<String, String>) {
    facts.insert(format!("{at}.platform"), image.platform.clone());
    facts.insert(format!("{at}.config"), image.config.to_string());
    if let Some(manifest) = image.manifest {
        facts.insert(format!("{at}.manifest"), manifest.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::{ImageId, Name, RelPath, Sha256};
    use sovai_manifest::LockedFile;

    fn lock(digest: u8, image: u8) -> Lock {
        let file = LockedFile {
            path: RelPath::new("a.gguf").unwrap(),
            size: 1,
            sha256: Sha256::from_bytes([digest; 32]),
            source: "file:a.gguf".to_owned(),
        };
        let model = LockedModel { revision: None, license: Some("MIT".to_owned()), files: vec![file] };
        let image = LockedImage {
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
        let changed = subjects(compare(Some(&lock(1, 1)), &lock(2, 1)));
        assert_eq!(changed.len(), 1);
        assert!(
            changed[0].starts_with("changed models.m.files.a.gguf: expected 1 bytes, sha256:0101"),
            "{changed:?}"
        );
        assert!(subjects(compare(Some(&lock(1, 1)), &lock(1, 2)))[0].starts_with("changed images.i.config"));
        assert_eq!(compare(None, &lock(1, 1)).len(), 4);
        let gone = compare(Some(&lock(1, 1)), &Lock { models: BTreeMap::new(), images: BTreeMap::new() });
        assert!(matches!(&gone[0], Change::Removed { subject, .. } if subject == "images.i.config"));
    }
}
