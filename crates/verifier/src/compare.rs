//! What is there against what is pinned, before a file is read.

use crate::Options;
use crate::error::VerifyError;
use crate::finding::{Finding, Kind};
use crate::identity::Identity;
use crate::layout::{BlobName, is_hub_metadata};
use crate::receipts::SourceReceipts;
use crate::remainder::{Reason, Remainders};
use crate::walk::{Link, Source, Walked};
use sovai_core::{Event, EventKind, FilePin, PathSet, RelPath, Sha256, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The pins, sorted, once it is sure that they do not contradict one another.
pub(crate) fn checked(source: &Path, pins: &[FilePin]) -> Result<Vec<FilePin>, VerifyError> {
    let mut set = PathSet::default();
    for pin in pins {
        set.insert(&pin.path).map_err(|with| VerifyError::Pins {
            path: source.to_owned(),
            reason: format!("`{}` collides with `{with}`", pin.path),
        })?;
    }
    let mut sizes: BTreeMap<Sha256, &FilePin> = BTreeMap::new();
    for pin in pins {
        let other = *sizes.entry(pin.sha256).or_insert(pin);
        if other.size != pin.size {
            return Err(VerifyError::Pins {
                path: source.to_owned(),
                reason: format!("`{}` and `{}` have one digest and two sizes", other.path, pin.path),
            });
        }
    }
    let mut pins = pins.to_vec();
    pins.sort();
    Ok(pins)
}

/// A pinned file that is there, as long as it should be.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) pin: &'a FilePin,
    pub(crate) state: Option<Identity>,
}

impl Work<'_> {
    /// Whether a receipt says that the file has its pinned digest.
    pub(crate) fn is_answered(&self, receipts: &SourceReceipts, options: &Options) -> bool {
        options.uses_receipts()
            && receipts.digest(self.pin.path.as_str(), self.state.as_ref()) == Some(self.pin.sha256)
    }
}

#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) findings: Vec<Finding>,
    pub(crate) work: Vec<Work<'a>>,
    /// What a person should know that is no fault.
    pub(crate) notes: Vec<Event>,
    pub(crate) remainder: Remainders,
}

/// Walks the source and compares what is there with what is pinned; reads no file.
pub(crate) fn compare<'a>(
    source: &Source,
    pins: &'a [FilePin],
    options: &Options,
) -> Result<Checked<'a>, VerifyError> {
    if let Some(name) = source.single_name()
        && (pins.len() != 1 || pins[0].path.as_str() != name)
    {
        let found: Vec<String> = pins.iter().take(3).map(|pin| format!("`{}`", pin.path)).collect();
        return Err(VerifyError::Pins {
            path: source.path().to_owned(),
            reason: format!(
                "a source of one file has one pin, `{name}`; found {} ({})",
                pins.len(),
                found.join(", ")
            ),
        });
    }
    let walked = source.walk(&options.cancel)?;
    let remainder = Remainders::of(&walked, |entry| {
        let is_note = is_hub_metadata(entry.path.as_str()) && !is_pinned(pins, &entry.path);
        is_note.then_some(Reason::HubMetadata)
    });
    let Walked { files, folders, mut findings } = walked;
    let told: BTreeSet<String> = findings.iter().map(|finding| finding.subject().to_owned()).collect();
    let mut notes = Vec::new();
    if let Some(commit) = source.commit() {
        notes.push(note(
            &source.path().to_string_lossy(),
            format!("a hub's cache; its snapshot {commit} is read"),
        ));
    }
    // Both are sorted by path.
    let mut files = files.into_values().peekable();
    let (mut work, mut unpinned) = (Vec::with_capacity(pins.len()), Vec::new());
    for pin in pins {
        let path = pin.path.as_str();
        unpinned.extend(std::iter::from_fn(|| files.next_if(|entry| entry.path < pin.path)));
        if let Some(entry) = files.next_if(|entry| entry.path == pin.path) {
            if let Some(Link::Blob(name)) = entry.link.as_deref()
                && BlobName::of(name) == Some(BlobName::Sha256)
                && pin.sha256.hex() != *name
            {
                notes.push(note(path, format!("the hub named its blob {name}, and it is pinned otherwise")));
            }
            if entry.size == pin.size {
                work.push(Work { pin, state: entry.identity });
            } else {
                findings.push(Finding::Size { path: path.to_owned(), expected: pin.size, found: entry.size });
            }
        } else if folders.contains(path) {
            findings.push(Finding::NotRegular { path: path.to_owned(), found: Kind::Folder });
        } else if !told.contains(path) {
            findings.push(Finding::Missing { path: path.to_owned() });
        }
    }
    unpinned.extend(files);
    unpinned.retain(|entry| !is_hub_metadata(entry.path.as_str()));
    let known = if unpinned.is_empty() { &[] } else { pins };
    let mut folds: BTreeMap<String, &RelPath> =
        known.iter().map(|pin| (pin.path.fold(), &pin.path)).collect();
    for entry in &unpinned {
        let path = entry.path.as_str().to_owned();
        findings.push(match folds.insert(entry.path.fold(), &entry.path) {
            Some(with) => Finding::Collision { path, with: with.as_str().to_owned() },
            None => Finding::Extra { path },
        });
    }
    Ok(Checked { findings, work, notes, remainder })
}

/// Whether a path is in pins that are sorted.
fn is_pinned(pins: &[FilePin], path: &RelPath) -> bool {
    pins.binary_search_by(|pin| pin.path.cmp(path)).is_ok()
}

pub(crate) fn note(subject: &str, message: String) -> Event {
    Event::new(EventKind::Note, Step::Verify, subject).message(message)
}

/// Largest file first: a large one begun last would run alone at the end.
pub(crate) fn largest_first<T>(jobs: &mut [T], pin: impl Fn(&T) -> &FilePin) {
    jobs.sort_by(|a, b| {
        let (a, b) = (pin(a), pin(b));
        b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path))
    });
}
