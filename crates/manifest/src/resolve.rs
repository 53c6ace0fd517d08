//! Puts a manifest and its lock together: which files and images are pinned to what.

use crate::{ImagePin, Lock, LockedModel, Manifest, Model};
use serde::Serialize;
use sovai_core::{FilePin, Name};
use std::collections::BTreeMap;
use std::fmt;

/// Every file and image of a manifest with its pin, and what has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resolved {
    /// Pinned files of each model, sorted by path. A model that is not here stands in `unpinned`.
    pub models: BTreeMap<Name, Vec<FilePin>>,
    /// Pin of each image, by its name as the manifest writes it. An image that is not here stands in `unpinned`.
    pub images: BTreeMap<String, ResolvedImage>,
    /// What is pinned nowhere, stale in the lock, or pinned to two different things.
    pub unpinned: Vec<Unpinned>,
}

/// An image with its pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResolvedImage {
    /// What it is pinned to.
    pub pin: ImagePin,
    /// `linux/amd64`, when it is known.
    pub platform: Option<String>,
}

/// Something without a pin that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpinned {
    /// Model or image.
    pub kind: UnpinnedKind,
    /// Name of the model, or of the image as the manifest writes it.
    pub name: String,
    /// Why.
    pub why: Why,
}

/// What is not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnpinnedKind {
    /// A model's files.
    Model,
    /// An image.
    Image,
}

/// Why something has no pin that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Why {
    /// Neither the manifest nor the lock pins it.
    Nowhere,
    /// The lock's entry was made for something else.
    Stale {
        /// What the lock's entry was made for.
        locked: String,
        /// What the manifest says now.
        wanted: String,
    },
    /// The manifest and the lock pin it to different things, or two services pin one image differently.
    Conflict {
        /// What differs.
        what: String,
    },
}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            UnpinnedKind::Model => "model",
            UnpinnedKind::Image => "image",
        };
        match &self.why {
            Why::Nowhere => {
                write!(f, "{kind} `{}` is pinned neither in the manifest nor in its lock", self.name)
            }
            Why::Stale { locked, wanted } => {
                write!(
                    f,
                    "the lock is stale for {kind} `{}`: it was made for {locked}, the manifest has {wanted}",
                    self.name
                )
            }
            Why::Conflict { what } => write!(f, "{kind} `{}` is pinned to two things: {what}", self.name),
        }
    }
}

/// Puts a manifest and its lock together. Pins in the manifest win; where both pin and disagree, nothing is resolved.
pub fn resolve(manifest: &Manifest, lock: Option<&Lock>) -> Resolved {
    let mut resolved = Resolved { models: BTreeMap::new(), images: BTreeMap::new(), unpinned: Vec::new() };
    for (name, model) in &manifest.models {
        match resolve_model(model, lock.and_then(|lock| lock.models.get(name))) {
            Ok(files) => {
                resolved.models.insert(name.clone(), files);
            }
            Err(why) => {
                resolved.unpinned.push(Unpinned { kind: UnpinnedKind::Model, name: name.to_string(), why });
            }
        }
    }
    resolve_images(manifest, lock, &mut resolved);
    resolved
}

fn resolve_model(model: &Model, locked: Option<&LockedModel>) -> Result<Vec<FilePin>, Why> {
    let Some(locked) = locked else {
        return if model.files.is_empty() { Err(Why::Nowhere) } else { Ok(model.files.clone()) };
    };
    if let Some(why) = stale(model, locked) {
        // A stale entry is of no use, and of no harm where the manifest itself pins everything.
        return if model.files.is_empty() { Err(why) } else { Ok(model.files.clone()) };
    }
    let mut files: Vec<FilePin> = locked
        .files
        .iter()
        .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
        .collect();
    files.sort();
    if model.files.is_empty() {
        return if files.is_empty() { Err(Why::Nowhere) } else { Ok(files) };
    }
    match first_difference(&model.files, &files) {
        None => Ok(model.files.clone()),
        Some(what) => Err(Why::Conflict { what }),
    }
}

/// Whether the lock's entry was made for another source or another commit.
fn stale(model: &Model, locked: &LockedModel) -> Option<Why> {
    let wanted = model.source.to_string();
    if let Some(other) = locked.files.iter().find(|file| file.source != wanted) {
        return Some(Why::Stale { locked: format!("`{}`", other.source), wanted: format!("`{wanted}`") });
    }
    // A branch or tag says nothing about the commit it was resolved to; a commit does.
    match (model.wanted_revision(), &locked.revision) {
        (Some(wanted), Some(found)) if is_commit(wanted) && wanted != found => {
            Some(Why::Stale { locked: format!("revision `{found}`"), wanted: format!("revision `{wanted}`") })
        }
        _ => None,
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first file that two sorted lists of pins do not agree on, in words.
fn first_difference(manifest: &[FilePin], lock: &[FilePin]) -> Option<String> {
    let by_path = |files: &[FilePin]| -> BTreeMap<String, FilePin> {
        files.iter().map(|file| (file.path.to_string(), file.clone())).collect()
    };
    let (ours, theirs) = (by_path(manifest), by_path(lock));
    for (path, file) in &ours {
        match theirs.get(path) {
            None => return Some(format!("`{path}` is in the manifest, not in the lock")),
            Some(other) if other.size != file.size => {
                return Some(format!(
                    "`{path}` has {} bytes in the manifest, {} in the lock",
                    file.size, other.size
                ));
            }
            Some(other) if other.sha256 != file.sha256 => {
                return Some(format!(
                    "`{path}` is {} in the manifest, {} in the lock",
                    file.sha256, other.sha256
                ));
            }
            Some(_) => {}
        }
    }
    let extra = theirs.keys().find(|path| !ours.contains_key(*path))?;
    Some(format!("`{extra}` is in the lock, not in the manifest"))
}

fn resolve_images(manifest: &Manifest, lock: Option<&Lock>, resolved: &mut Resolved) {
    for image in manifest.services.values().map(|service| &service.image) {
        let locked = lock.and_then(|lock| lock.images.get(&image.name));
        let outcome = match (image.pin, locked) {
            (None, None) => Err(Why::Nowhere),
            (Some(pin), None) => Ok(ResolvedImage { pin, platform: image.platform.clone() }),
            (pin, Some(locked)) => {
                let held = match pin {
                    // A reference by digest names a platform's manifest, or the index that lists it.
                    Some(ImagePin::Digest(digest)) => locked
                        .manifest
                        .filter(|manifest| *manifest != digest && locked.index != Some(digest))
                        .map(|manifest| format!("{digest} in the manifest, {manifest} in the lock")),
                    Some(ImagePin::Id(id)) => (id != locked.config)
                        .then(|| format!("{id} in the manifest, {} in the lock", locked.config)),
                    None => None,
                };
                let platform = image.platform.clone();
                match (held, platform) {
                    (Some(what), _) => Err(Why::Conflict { what }),
                    (None, Some(wanted)) if wanted != locked.platform => Err(Why::Stale {
                        locked: format!("platform `{}`", locked.platform),
                        wanted: format!("platform `{wanted}`"),
                    }),
                    (None, _) => Ok(ResolvedImage {
                        pin: pin.unwrap_or(ImagePin::Id(locked.config)),
                        platform: Some(locked.platform.clone()),
                    }),
                }
            }
        };
        let outcome = match (outcome, resolved.images.get(&image.name)) {
            (Ok(new), Some(old)) if new != *old => {
                Err(Why::Conflict { what: "two services pin it differently".to_owned() })
            }
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(found) => {
                resolved.images.insert(image.name.clone(), found);
            }
            Err(why) => {
                let entry = Unpinned { kind: UnpinnedKind::Image, name: image.name.clone(), why };
                if !resolved.unpinned.contains(&entry) {
                    resolved.unpinned.push(entry);
                }
            }
        }
    }
    // An image that one service leaves without a usable pin is resolved for none.
    for entry in resolved.unpinned.iter().filter(|entry| entry.kind == UnpinnedKind::Image) {
        resolved.images.remove(&entry.name);
    }
}

#[cfg(test)]
mod tests;
