//! Why a check could not be done. What a check finds is a [`crate::Finding`].

use crate::finding::Finding;
use crate::passport::PassportError;
use sovai_core::{FilePin, Name};
use sovai_store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a verification could not be done, or was stopped.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The source is not there.
    #[error("the source `{}` is not there", .path.display())]
    SourceMissing {
        /// The folder or file.
        path: PathBuf,
    },
    /// The source cannot be opened.
    #[error("cannot open the source `{}`", .path.display())]
    Source {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The source is a model's folder in a hub's cache, and none of its snapshots can be chosen.
    #[error("no snapshot of `{}` can be chosen: {reason}; found {}", .path.display(), listed(.found))]
    Snapshot {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// The snapshots that are there, sorted; their folders may be named instead.
        found: Vec<String>,
    },
    /// The source holds what no model may hold, so that there is nothing to pin.
    #[error("the source `{}` cannot be pinned: {}", .path.display(), first(.findings))]
    Unfit {
        /// The folder or file.
        path: PathBuf,
        /// What was found, at least one.
        findings: Vec<Finding>,
    },
    /// The pins contradict one another, or do not fit the source.
    #[error("the pins of `{}` do not fit: {reason}", .path.display())]
    Pins {
        /// The folder or file.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// The disk has not enough room for the bytes that must be brought into the store.
    #[error("`{}` needs {} of free space and has {}", .path.display(), sovai_core::format_bytes(*.needed), sovai_core::format_bytes(*.free))]
    NoSpace {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The store.
        path: PathBuf,
    },
    /// Files of a model that has no source on this host are not in the store.
    #[error("{} of model `{model}` are not in the store: {}", files(.missing.len()), some(.missing))]
    NotStored {
        /// The model's name in the manifest.
        model: Name,
        /// What lacks, at least one, sorted by path.
        missing: Vec<FilePin>,
    },
    /// The model makes no passport, or the passport is none.
    #[error("the passport cannot be used")]
    Passport(#[from] PassportError),
    /// It was stopped.
    #[error("the verification was stopped")]
    Cancelled,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn first(findings: &[Finding]) -> String {
    match findings {
        [] => "nothing was found".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// The first three, and how long all are.
fn some(missing: &[FilePin]) -> String {
    let mut text: Vec<String> = missing.iter().take(3).map(|pin| format!("`{}`", pin.path)).collect();
    if missing.len() > text.len() {
        text.push(format!("{} more", missing.len() - text.len()));
    }
    format!("{} ({})", text.join(", "), sovai_core::format_bytes(FilePin::total(missing)))
}
