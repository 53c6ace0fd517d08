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

    /// The model that it is about.
    pub(super) const fn model(&self) -> &Name {
        match self {
            Self::Moved { model, .. } | Self::Contradicted { model, .. } => model,
        }
    }

    /// A line for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Moved { model, expected, found } => {
                let (expected, found) = (safe_line(expected), safe_line(found));
                format!("moved models.{model}: locked at {expected}, upstream is at {found}")
            }
            Self::Contradicted { model, revision, path, expected, found } => format!(
                "contradicted models.{model}.files.{}: revision {} cannot change, expected {expected}, found {found}",
                safe_line(path.as_str()),
                safe_line(revision)
            ),
        }
    }
}

/// Compares a locked model with what its source says now, and with what it says of the locked commit (`at_locked`; nothing
/// where that is the commit of `now`).
pub(super) fn compare(
    model: &Name,
    old: &LockedModel,
    now: &ResolvedModel,
    at_locked: Option<&ResolvedModel>,
    selection: &Selection,
) -> Vec<Upstream> {
    let pins: Vec<FilePin> = old
        .files
        .iter()
        .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
        .collect();
    let files = at_locked.unwrap_or(now).pins();
    let found = drift(old.revision.as_deref(), &pins, &Now { head: now.revision.as_deref(), files: &files });
    let mut all = Vec::new();
    if let Some(moved) = found.moved {
        all.push(Upstream::Moved { model: model.clone(), expected: moved.from, found: moved.to });
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
