//! What is new at a model's source since it was locked.

use crate::output::safe_line;
use serde::Serialize;
use sovai_core::{FilePin, Name, RelPath};
use sovai_manifest::LockedModel;
use sovai_sources::{Change, Now, ResolvedModel, Selection, drift};

/// One thing that is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Upstream {
    /// The branch or tag leads to another commit. The locked one still holds.
    Moved {
        /// The model.
        model: Name,
        /// The locked commit.
        expected: String,
        /// The commit now.
        found: String,
    },
    /// The locked commit is not at the source any more: nobody can fetch it from there again.
    Gone {
        /// The model.
        model: Name,
        /// The locked commit.
        revision: String,
    },
    /// A file has other bytes, or is gone, under the locked revision, which cannot change.
    Contradicted {
        /// The model.
        model: Name,
        /// The locked revision.
        revision: String,
        /// The file.
        path: RelPath,
        /// What the lock says.
        expected: String,
        /// What the source says now.
        found: String,
    },
}

impl Upstream {
    /// Whether the source says other things than it did of a revision that cannot change.
    pub(super) const fn is_contradiction(&self) -> bool {
        matches!(self, Self::Contradicted { .. })
    }

    /// Whether the locked commit is gone.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// The model that it is about.
    pub(super) const fn model(&self) -> &Name {
        match self {
            Self::Moved { model, .. } | Self::Gone { model, .. } | Self::Contradicted { model, .. } => model,
        }
    }

    /// A line for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Moved { model, expected, found } => {
                let (expected, found) = (safe_line(expected), safe_line(found));
                format!("moved models.{model}: locked at {expected}, upstream is at {found}")
            }
            Self::Gone { model, revision } => format!(
                "gone models.{model}: its source has no commit {} any more: the lock is stale",
                safe_line(revision)
            ),
            Self::Contradicted { model, revision, path, expected, found } => format!(
                "contradicted models.{model}.files.{}: revision {} cannot change, expected {expected}, found {found}",
                safe_line(path.as_str()),
                safe_line(revision)
            ),
        }
    }
}

/// What a source says of the locked commit.
#[derive(Debug)]
pub(super) enum AtLocked {
    /// It is the commit of now, or there is none.
    Same,
    /// These files.
    Found(ResolvedModel),
    /// It is not there any more.
    Gone,
}

/// Compares a locked model with what its source says now, and with what it says of the locked commit.
pub(super) fn compare(
    model: &Name,
    old: &LockedModel,
    now: &ResolvedModel,
    at_locked: &AtLocked,
    selection: &Selection,
) -> Vec<Upstream> {
    let pins: Vec<FilePin> = old
        .files
        .iter()
        .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
        .collect();
    let files = match at_locked {
        AtLocked::Same => now.pins(),
        AtLocked::Found(found) => found.pins(),
        // Nothing is said of its files.
        AtLocked::Gone => pins.clone(),
    };
    let found = drift(old.revision.as_deref(), &pins, &Now { head: now.revision.as_deref(), files: &files });
    let mut all = Vec::new();
    if let Some(moved) = found.moved {
        all.push(Upstream::Moved { model: model.clone(), expected: moved.from, found: moved.to });
    }
    if let (AtLocked::Gone, Some(revision)) = (at_locked, &old.revision) {
        all.push(Upstream::Gone { model: model.clone(), revision: revision.clone() });
    }
    // Without revisions another file is something newer, which the comparison of the locks shows.
    let Some(revision) = old.revision.clone().filter(|_| found.is_pinned) else { return all };
    for changed in found.changed {
        let (expected, found) = match changed.change {
            Change::Bytes { locked, now } => (shown(&locked), shown(&now)),
            // A file that the manifest's patterns leave out now is no news of the source's.
            Change::Missing if selection.takes(&changed.path) => {
                ("the file".to_owned(), "nothing".to_owned())
            }
            Change::Missing | Change::Added => continue,
        };
        let (model, revision, path) = (model.clone(), revision.clone(), changed.path);
        all.push(Upstream::Contradicted { model, revision, path, expected, found });
    }
    all
}

fn shown(pin: &FilePin) -> String {
    format!("{} bytes, {}", pin.size, pin.sha256)
}
