//! A verification from its pins to its report.

use crate::Options;
use crate::compare::{Checked, Work, checked, compare, largest_first};
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::{Outcome, Progress, Reading, hash, pool};
use crate::identity::{FsId, Identity, is_regular, settle, size, unchanged};
use crate::layout::{self, BlobName, MAX_GIT_BLOB, is_hub_metadata};
use crate::receipts::SourceReceipts;
use crate::remainder::Remainders;
use crate::walk::{Entry, Link, Source, Walked, open_finding};
use rustix::fs::Stat;
use rustix::io::Errno;
use sovai_core::{FilePin, PathSet, RelPath, Reporter, Sha256};
use sovai_store::{Stage, Store};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is not as it was pinned, sorted by path; empty when all is well.
    pub findings: Vec<Finding>,
    /// How many files are pinned.
    pub files: u64,
    /// How many bytes are pinned.
    pub bytes: u64,
    /// How many bytes were really read; 0 when receipts answered for every file.
    pub hashed: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What was not covered.
    pub remainder: Remainders,
}

impl Report {
    pub(crate) fn new(
        mut findings: Vec<Finding>,
        pins: &[FilePin],
        hashed: u64,
        start: Instant,
        remainder: Remainders,
    ) -> Self {
        findings.sort_by(|a, b| a.subject().cmp(b.subject()));
        Self {
            findings,
            files: pins.len() as u64,
            bytes: FilePin::total(pins),
            hashed,
            elapsed: start.elapsed(),
            remainder,
        }
    }
}

/// Verifies a source, a folder or a single file, against its pins; reads only.
///
/// With a store, files that did not change since they were verified are not read again (see [`crate::Reread`]), and receipts of
/// those that were are written there. Findings are in the report; an error means that the check could not be done.
pub fn verify(
    source: &Path,
    pins: &[FilePin],
    options: &Options,
    store: Option<&Store>,
    reporter: &dyn Reporter,
) -> Result<Report, VerifyError> {
    let start = Instant::now();
    let pins = checked(source, pins)?;
    let opened = Source::open(source)?;
    let Checked { mut findings, work, notes, remainder } = compare(&opened, &pins, options)?;
    for note in notes {
        reporter.report(note);
    }
    let mut receipts = store.map(|store| SourceReceipts::load(store, source));
    let mut jobs: Vec<&Work<'_>> = work
        .iter()
        .filter(|work| !receipts.as_ref().is_some_and(|receipts| work.is_answered(receipts, options)))
        .collect();
    largest_first(&mut jobs, |work| work.pin);
    if receipts.is_some() {
        settle(jobs.iter().filter_map(|work| work.state.as_ref()));
    }
    let progress = Progress::new(reporter, FilePin::total(jobs.iter().map(|work| work.pin)));
    let results = pool(&jobs, options, |work, buffer| {
        let path = &work.pin.path;
        let read = read_file(&opened, path, work.pin.size, None, buffer, options, &progress)?;
        Ok((work.pin, read))
    })?;
    progress.finish(&source.to_string_lossy());
    for (pin, read) in results {
        findings.extend(judge(pin, read, receipts.as_mut()));
    }
    if let Some(receipts) = receipts {
        receipts.save_if_writable(&paths(&pins))?;
    }
    Ok(Report::new(findings, &pins, progress.done(), start, remainder))
}

/// Hashes every file of a source, for a lock; sorted by path.
///
/// What could not be verified later (links, special files, bad or colliding names) is [`VerifyError::Unfit`], and so is a
/// file of a hub's cache whose bytes are not what the hub named its blob. What `--local-dir` notes about files is left out.
pub fn digest_source(
    source: &Path,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Vec<FilePin>, VerifyError> {
    digest_source_except(source, &[], options, reporter)
}

/// Opens one file of a source for reading, as a verification would: no link is followed out of the source, and nothing but
/// a regular file is opened. Of a source that is one file, `path` is its name.
pub fn open_file(source: &Path, path: &RelPath) -> Result<File, VerifyError> {
    let opened = Source::open(source)?;
    let whole = || source.join(path.as_path());
    if opened.single_name().is_some_and(|name| name != path.as_str()) {
        return Err(VerifyError::SourceMissing { path: whole() });
    }
    let failed = |error| match error {
        Errno::NOENT | Errno::NOTDIR => VerifyError::SourceMissing { path: whole() },
        error => VerifyError::Source { path: whole(), source: error.into() },
    };
    let file = opened.open_file(path).map_err(failed)?;
    let found = file.metadata().map_err(|source| VerifyError::Source { path: whole(), source })?;
    if found.is_file() {
        Ok(file)
    } else {
        Err(VerifyError::Source { path: whole(), source: io::Error::other("it is no regular file") })
    }
}

/// Like [`digest_source`], without the files that are, or lie under, one of `ignored`. These are not read; what could not
/// be verified later is refused among them too.
pub fn digest_source_except(
    source: &Path,
    ignored: &[RelPath],
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Vec<FilePin>, VerifyError> {
    let opened = Source::open(source)?;
    let mut files = walk_fit(&opened, source, options)?;
    let ignored: BTreeSet<&str> = ignored.iter().map(RelPath::as_str).collect();
    files.retain(|entry| {
        let path = entry.path.as_str();
        let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        !ignored.contains(path) && !folders.any(|folder| ignored.contains(folder))
    });
    let jobs = largest_entries(&files);
    let progress = Progress::new(reporter, jobs.iter().fold(0, |sum, entry| sum.saturating_add(entry.size)));
    let results = pool(&jobs, options, |entry, buffer| {
        let read = read_file(&opened, &entry.path, entry.size, None, buffer, options, &progress)?;
        Ok(read.and_then(|(sha256, _)| match wrong_blob(&opened, entry, sha256) {
            Some(finding) => Err(finding),
            None => Ok(FilePin { path: entry.path.clone(), size: entry.size, sha256 }),
        }))
    })?;
    progress.finish(&source.to_string_lossy());
    let (mut pins, mut findings) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(pin) => pins.push(pin),
            Err(finding) => findings.push(finding),
        }
    }
    if !findings.is_empty() {
        return Err(VerifyError::Unfit { path: source.to_owned(), findings });
    }
    pins.sort();
    Ok(pins)
}

/// Without pins, the name of a blob is all that says what the hub meant to send: other bytes are a finding.
pub(crate) fn wrong_blob(source: &Source, entry: &Entry, sha256: Sha256) -> Option<Finding> {
    let Some(Link::Blob(name)) = entry.link.as_deref() else { return None };
    let found = match BlobName::of(name) {
        Some(BlobName::Sha256) => sha256.hex(),
        Some(BlobName::Git) if entry.size <= MAX_GIT_BLOB => match git_blob(source, entry) {
            Ok(id) => id,
            Err(error) => {
                return Some(Finding::Unreadable {
                    path: entry.path.as_str().to_owned(),
                    error: error.to_string(),
                });
            }
        },
        _ => return None,
    };
    (found != *name).then(|| Finding::BlobName {
        path: entry.path.as_str().to_owned(),
        expected: name.clone(),
        found,
    })
}

/// The git blob ID of a file of a source, at most [`MAX_GIT_BLOB`] bytes of it.
fn git_blob(source: &Source, entry: &Entry) -> std::io::Result<String> {
    let file = source.open_file(&entry.path)?;
    layout::git_blob(file, entry.size)
}

/// The files of a source that is to be pinned, without a hub's notes about them: nothing else may be there.
pub(crate) fn walk_fit(opened: &Source, source: &Path, options: &Options) -> Result<Vec<Entry>, VerifyError> {
    let Walked { files, mut findings, .. } = opened.walk(&options.cancel)?;
    let files: Vec<Entry> =
        files.into_values().filter(|entry| !is_hub_metadata(entry.path.as_str())).collect();
    let mut set = PathSet::default();
    for entry in &files {
        if let Err(with) = set.insert(&entry.path) {
            findings.push(Finding::Collision { path: entry.path.as_str().to_owned(), with });
        }
    }
    if findings.is_empty() {
        Ok(files)
    } else {
        Err(VerifyError::Unfit { path: source.to_owned(), findings })
    }
}

/// Largest file first.
pub(crate) fn largest_entries(files: &[Entry]) -> Vec<&Entry> {
    let mut jobs: Vec<&Entry> = files.iter().collect();
    jobs.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    jobs
}

/// Digest and state of a file that was read whole, or what was found instead. The state is there if a later change is
/// sure to show in it.
pub(crate) type Read = Result<(Sha256, Option<Identity>), Finding>;

/// Reads and hashes a file of a source; what is hashed also goes into `sink`.
pub(crate) fn read_file(
    source: &Source,
    path: &RelPath,
    expected: u64,
    sink: Option<&mut Stage>,
    buffer: &mut [u8],
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Read, VerifyError> {
    let reading = Reading { options, progress, subject: path.as_str() };
    steady(source, path, expected, |file| match sink {
        // A reflink copies nothing and can no longer be changed through the source: then it is the clone that is hashed.
        Some(stage) if rustix::fs::ioctl_ficlone(stage.file(), file).is_ok() => {
            hash(stage.file(), expected, None, buffer, reading)
        }
        sink => hash(file, expected, sink, buffer, reading),
    })
}

/// What `read` gave for a file and the state of the file, or what was found instead: it is opened without following a
/// link, must be a regular file of the `expected` size, and must not change while `read` reads it. The state is there if
/// a later change is sure to show in it.
pub(crate) fn steady<T>(
    source: &Source,
    path: &RelPath,
    expected: u64,
    read: impl FnOnce(&File) -> Result<Outcome<T>, VerifyError>,
) -> Result<Result<(T, Option<Identity>), Finding>, VerifyError> {
    let text = path.as_str();
    let unreadable = |error: String| Ok(Err(Finding::Unreadable { path: text.to_owned(), error }));
    let changed = || Ok(Err(Finding::ChangedDuringRead { path: text.to_owned() }));
    let Opened { file, before, now } = match open_steady(source, path, expected) {
        Ok(opened) => opened,
        Err(finding) => return Ok(Err(finding)),
    };
    let value = match read(&file)? {
        Outcome::Digest(value) => value,
        Outcome::OtherLength => return changed(),
        Outcome::Failed(error) => return unreadable(error.to_string()),
    };
    let after = rustix::fs::fstat(&file);
    if !after.is_ok_and(|after| unchanged(&before, &after)) {
        return changed();
    }
    let state = FsId::of(&file).map(|fs| Identity::new(fs, &before)).filter(|state| state.is_settled(now));
    Ok(Ok((value, state)))
}

/// A regular file of the expected size, and its state before it is read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) before: Stat,
    pub(crate) now: SystemTime,
}

/// Opens a file of a source; no link is followed.
pub(crate) fn open_steady(source: &Source, path: &RelPath, expected: u64) -> Result<Opened, Finding> {
    let text = path.as_str();
    let file = source.open_file(path).map_err(|error| open_finding(text, error))?;
    let now = SystemTime::now();
    let before = rustix::fs::fstat(&file)
        .map_err(|error| Finding::Unreadable { path: text.to_owned(), error: error.to_string() })?;
    if !is_regular(&before) {
        let found = crate::walk::kind(rustix::fs::FileType::from_raw_mode(before.st_mode));
        return Err(Finding::NotRegular { path: text.to_owned(), found });
    }
    if size(&before) != expected {
        return Err(Finding::ChangedDuringRead { path: text.to_owned() });
    }
    Ok(Opened { file, before, now })
}

/// Compares what was read with the pin, and keeps the receipts in step.
pub(crate) fn judge(pin: &FilePin, read: Read, receipts: Option<&mut SourceReceipts>) -> Option<Finding> {
    let path = pin.path.as_str();
    let (state, finding) = match read {
        Ok((digest, state)) if digest == pin.sha256 => (state, None),
        Ok((found, _)) => {
            (None, Some(Finding::Digest { path: path.to_owned(), expected: pin.sha256, found }))
        }
        Err(finding) => (None, Some(finding)),
    };
    if let Some(receipts) = receipts {
        receipts.note(path, state, pin.sha256);
    }
    finding
}

/// The paths of pins, as receipts want them.
pub(crate) fn paths(pins: &[FilePin]) -> BTreeSet<&str> {
    pins.iter().map(|pin| pin.path.as_str()).collect()
}
