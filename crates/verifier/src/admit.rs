//! Admission: a model's bytes are verified and brought into the store in one read.

use crate::Options;
use crate::arrival::hash_steady;
use crate::compare::{Checked, Work, checked, compare, largest_first};
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::{Progress, pool};
use crate::identity::settle;
use crate::receipts::{BlobReceipts, SourceReceipts};
use crate::remainder::Remainders;
use crate::run::{Read, Report, judge, paths, read_file};
use crate::verity::kernel::SealError;
use crate::walk::Source;
use sovai_core::{Event, EventKind, FilePin, Name, Reporter, Sha256, Step};
use sovai_store::{ModelArtifact, Store, StoreError, StoreLock};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Free space that is left over for the small files of an admission, in bytes.
const SPARE: u64 = 4 << 20;
/// How often the blobs are looked at again that another process linked, mended or brought in meanwhile.
const ROUNDS: u32 = 4;
/// How long blobs are sealed in one turn of the store's lock.
const SEAL_TURN: Duration = Duration::from_secs(1);

/// What came of an admission.
#[derive(Debug)]
pub struct Admission {
    /// What was found.
    pub report: Report,
    /// There exactly when the report has no findings.
    pub receipt: Option<Receipt>,
}

/// Proof that the bytes of a model were verified and lie in the store. Only this crate makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    model: Name,
    model_digest: Sha256,
    tree: PathBuf,
    files: Vec<FilePin>,
}

impl Receipt {
    /// The model's name in the manifest.
    pub const fn model(&self) -> &Name {
        &self.model
    }

    /// The digest of the model's manifest in the store.
    pub const fn model_digest(&self) -> Sha256 {
        self.model_digest
    }

    /// The read-only folder to mount, an absolute path.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The files that were verified, sorted by path.
    pub fn files(&self) -> &[FilePin] {
        &self.files
    }
}

/// Verifies a source, brings its bytes into the store while it hashes them, makes the model's tree, and gives a receipt.
///
/// - If nothing changed since the last admission, no byte of a file is read and nothing is written or locked.
/// - Otherwise other processes may use the store meanwhile, and bring in other models. Whoever brings in the same one, or
///   prunes, makes it [`StoreError::Busy`]. The store's lock is held for moments, and waited for ([`Options::patience`]).
/// - If the source is gone and the store has every blob, the store's copies are verified instead.
/// - A damaged blob or tree of the store is replaced from the source.
/// - With findings, with an error, and when stopped, no tree is made. Blobs whose bytes were right stay, each under its
///   digest, so that the next admission need not read them again.
pub fn admit(
    model: &Name,
    source: &Path,
    pins: &[FilePin],
    store: &Store,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Admission, VerifyError> {
    let pins = checked(source, pins)?;
    let opened = match Source::open(source) {
        Ok(opened) => Some(opened),
        Err(VerifyError::SourceMissing { .. }) if is_stored(store, &pins) => None,
        Err(error) => return Err(error),
    };
    admit_opened(model, source, opened.as_ref(), &pins, store, options, reporter)
}

/// As [`admit`], for a model that has no source on this host: its blobs were brought into the store before, by a pull or an
/// import. Those without a receipt are read. A blob that is not there is [`VerifyError::NotStored`], which names all that
/// lack; a damaged one is a finding.
pub fn admit_stored(
    model: &Name,
    pins: &[FilePin],
    store: &Store,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Admission, VerifyError> {
    let pins = checked(store.root(), pins)?;
    let missing: Vec<FilePin> = pins.iter().filter(|pin| !store.has_blob(&pin.sha256)).cloned().collect();
    if !missing.is_empty() {
        return Err(VerifyError::NotStored { model: model.clone(), missing });
    }
    admit_opened(model, store.root(), None, &pins, store, options, reporter)
}

/// Admits from a source that is open, or from the store alone. `source` names the place in errors and events.
fn admit_opened(
    model: &Name,
    source: &Path,
    opened: Option<&Source>,
    pins: &[FilePin],
    store: &Store,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Admission, VerifyError> {
    let start = Instant::now();
    let run = Run { artifact: ModelArtifact::new(pins), pins, source, opened, store, options, reporter };
    let receipt = || Receipt {
        model: model.clone(),
        model_digest: run.artifact.digest,
        tree: store.tree(&run.artifact.digest),
        files: pins.to_vec(),
    };
    if options.uses_receipts()
        && let Some(remainder) = run.is_unchanged()?
    {
        let report = Report::new(Vec::new(), pins, 0, start, remainder);
        return Ok(Admission { report, receipt: Some(receipt()) });
    }
    let holder = format!("sovai, bringing in model {model}");
    let hold = store.hold(&holder)?;
    let _lock = store.lock_model(&hold, &run.artifact.digest, &holder)?;
    let Brought { findings, hashed, remainder } = run.bring_in(&holder)?;
    let receipt = findings.is_empty().then(receipt);
    Ok(Admission { report: Report::new(findings, pins, hashed, start, remainder), receipt })
}

/// Whether the store has something under the name of every blob. A model of no files must have been admitted before.
fn is_stored(store: &Store, pins: &[FilePin]) -> bool {
    match pins {
        [] => store.has_blob(&ModelArtifact::new(pins).digest),
        pins => pins.iter().all(|pin| store.has_blob(&pin.sha256)),
    }
}

/// What came of bringing a model in.
struct Brought {
    findings: Vec<Finding>,
    /// Bytes that were read.
    hashed: u64,
    remainder: Remainders,
}

struct Run<'a> {
    artifact: ModelArtifact,
    pins: &'a [FilePin],
    source: &'a Path,
    /// Nothing when the source is gone.
    opened: Option<&'a Source>,
    store: &'a Store,
    options: &'a Options,
    reporter: &'a dyn Reporter,
}

impl Run<'_> {
    /// What is not covered, if receipts answer for every file of the source and of the store. Takes no lock and writes nothing: what
    /// changes in the meantime shows as a receipt that does not fit, and then the careful way is taken.
    fn is_unchanged(&self) -> Result<Option<Remainders>, VerifyError> {
        let mut uncovered = Remainders::default();
        if let Some(opened) = self.opened {
            let Checked { findings, work, remainder, .. } = compare(opened, self.pins, self.options)?;
            let receipts = SourceReceipts::load(self.store, self.source);
            if !findings.is_empty() || !work.iter().all(|work| work.is_answered(&receipts, self.options)) {
                return Ok(None);
            }
            uncovered = remainder;
        }
        let blobs = BlobReceipts::load(self.store);
        let is_good = self.digests().iter().all(|digest| blobs.is_good(digest))
            && self.store.tree_is_whole(&self.artifact.digest, self.pins)
            && self.store.index()?.iter().any(|entry| entry.digest == self.artifact.digest);
        Ok(is_good.then_some(uncovered))
    }

    /// Every blob of the model: its files, its config, its manifest.
    fn digests(&self) -> BTreeSet<Sha256> {
        let own = [self.artifact.digest, self.artifact.config_digest];
        self.pins.iter().map(|pin| pin.sha256).chain(own).collect()
    }

    fn bring_in(&self, holder: &str) -> Result<Brought, VerifyError> {
        let mut blobs = {
            let lock = self.store.lock_patiently(holder, self.options.patience)?;
            let mut blobs = BlobReceipts::load(self.store);
            // Half-made trees of the dead have links to blobs.
            if blobs.across(|_| self.store.sweep(&lock))? > 0 {
                blobs.save()?;
            }
            BlobReceipts::load(self.store)
        };
        let mut receipts = SourceReceipts::load(self.store, self.source);
        let mut hashed = 0;
        for round in 1.. {
            let steps = self.steps(&mut blobs, &mut receipts, hashed);
            let done = match steps {
                Ok(done) => done,
                Err(error) => {
                    // What was verified need not be read again; that this fails too is not the news.
                    if let Ok(_lock) = self.store.lock_patiently(holder, self.options.patience) {
                        blobs.refresh();
                        drop(blobs.save());
                    }
                    self.save_receipts(receipts).ok();
                    return Err(error);
                }
            };
            hashed = done.hashed;
            let mut unsealed = Vec::new();
            let (made, saved) = {
                let lock = self.store.lock_patiently(holder, self.options.patience)?;
                blobs.refresh();
                let made = if done.findings.is_empty() {
                    self.make_model(&lock, &mut blobs, &mut unsealed)
                } else {
                    Ok(Vec::new())
                };
                (made, blobs.save())
            };
            let lost = made?;
            saved?;
            // Somebody linked or mended a blob since it was hashed, or brought it in first: one more look at it.
            if !lost.is_empty() && round < ROUNDS {
                blobs = BlobReceipts::load(self.store);
                continue;
            }
            self.seal_rest(holder, unsealed)?;
            self.save_receipts(receipts)?;
            let findings = if lost.is_empty() { done.findings } else { lost };
            return Ok(Brought { findings, ..done });
        }
        Err(VerifyError::Cancelled)
    }

    fn save_receipts(&self, receipts: SourceReceipts) -> Result<(), StoreError> {
        match self.opened {
            Some(_) => receipts.save(&paths(self.pins)),
            None => Ok(()),
        }
    }

    /// Compares and reads; brings in what the store lacks. `before` is how many bytes were read in an earlier round.
    fn steps(
        &self,
        blobs: &mut BlobReceipts<'_>,
        receipts: &mut SourceReceipts,
        before: u64,
    ) -> Result<Brought, VerifyError> {
        let Checked { mut findings, work, notes, remainder } = match self.opened {
            Some(opened) => compare(opened, self.pins, self.options)?,
            None => Checked {
                findings: self.stored_sizes(),
                work: Vec::new(),
                notes: Vec::new(),
                remainder: Remainders::default(),
            },
        };
        for note in notes {
            self.reporter.report(note);
        }
        // A source that lacks a file or has one too many gives no model: then nothing is copied, only read.
        let may_copy = findings.is_empty();

        // First the store's own copies that nobody vouches for.
        let unanswered = work.iter().filter(|work| !work.is_answered(receipts, self.options));
        let to_come = FilePin::total(unanswered.map(|work| work.pin));
        let mut hashed = self.check_stored(blobs, &mut findings, to_come)?;

        // Then the source; the first file of each digest that the store lacks is copied while it is hashed.
        let mut wanted: BTreeSet<Sha256> = BTreeSet::new();
        let mut jobs: Vec<(&Work<'_>, bool)> = Vec::new();
        for work in &work {
            let copy = may_copy && !blobs.is_good(&work.pin.sha256) && wanted.insert(work.pin.sha256);
            if copy || !work.is_answered(receipts, self.options) {
                jobs.push((work, copy));
            }
        }
        largest_first(&mut jobs, |(work, _)| work.pin);
        self.check_space(FilePin::total(jobs.iter().filter(|(_, copy)| *copy).map(|(work, _)| work.pin)))?;
        settle(jobs.iter().filter_map(|(work, _)| work.state.as_ref()));
        let total = FilePin::total(jobs.iter().map(|(work, _)| work.pin));
        let progress = Progress::new(self.reporter, total.saturating_add(hashed));
        progress.begin_at(hashed);
        let results = pool(&jobs, self.options, |(work, copy), buffer| {
            let copy = copy.then(|| self.is_wrong(blobs, &work.pin.sha256));
            let (read, is_stored) = self.read(work, copy, buffer, &progress)?;
            // Looked at now and not later, so that no change in the meantime is taken for the state that was written.
            let stored = is_stored.then(|| blobs.state(&work.pin.sha256));
            Ok((work.pin, read, stored))
        });
        hashed = progress.done();
        let results = results.map_err(|error| self.with_space(error, &jobs))?;
        progress.finish(&self.source.to_string_lossy());
        for (pin, read, stored) in results {
            if let Some(state) = stored {
                blobs.set_good(&pin.sha256, state);
            }
            findings.extend(judge(pin, read, Some(receipts)));
        }
        Ok(Brought { findings, hashed: before.saturating_add(hashed), remainder })
    }

    /// Hashes those blobs of the model that are there and have no receipt, or all of them in a full run. One that is
    /// damaged will be replaced from the source; without a source it is a finding. Gives the number of bytes read;
    /// `to_come` is how many will be read after it.
    fn check_stored(
        &self,
        blobs: &mut BlobReceipts<'_>,
        findings: &mut Vec<Finding>,
        to_come: u64,
    ) -> Result<u64, VerifyError> {
        let full = !self.options.uses_receipts();
        let by_digest: BTreeMap<Sha256, &FilePin> = self.pins.iter().map(|pin| (pin.sha256, pin)).collect();
        let mut jobs: Vec<&FilePin> = by_digest
            .into_values()
            .filter(|pin| (full || !blobs.is_good(&pin.sha256)) && self.store.has_blob(&pin.sha256))
            .collect();
        largest_first(&mut jobs, |pin| pin);
        let total = FilePin::total(jobs.iter().copied()).saturating_add(to_come);
        let progress = Progress::new(self.reporter, total);
        let results = pool(&jobs, self.options, |pin, buffer| {
            let (found, state) = hash_steady(blobs, self.store, pin, buffer, self.options, &progress)?;
            Ok((*pin, found, state))
        })?;
        for (pin, found, state) in results {
            if found == Some(pin.sha256) {
                blobs.set_good(&pin.sha256, state);
                continue;
            }
            blobs.forget(&pin.sha256, state);
            if self.opened.is_none() {
                let path = pin.path.as_str().to_owned();
                findings.push(Finding::StoredDamaged { path, expected: pin.sha256, found });
            } else {
                let note = Event::new(EventKind::Note, Step::Store, pin.path.as_str())
                    .message("the store's copy is damaged and is replaced from the source");
                self.reporter.report(note);
            }
        }
        Ok(progress.done())
    }

    /// The findings about the lengths of the store's blobs, for a source that is gone.
    fn stored_sizes(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for pin in self.pins {
            let found = fs_err::symlink_metadata(self.store.blob(&pin.sha256)).map_or(0, |meta| meta.len());
            if found != pin.size {
                let path = pin.path.as_str().to_owned();
                findings.push(Finding::Size { path, expected: pin.size, found });
            }
        }
        findings
    }

    /// Whether what has the blob's name helps nobody: it is damaged, or no file.
    fn is_wrong(&self, blobs: &BlobReceipts<'_>, digest: &Sha256) -> bool {
        blobs.is_damaged(digest)
            || fs_err::symlink_metadata(self.store.blob(digest)).is_ok_and(|meta| !meta.is_file())
    }

    /// Reads a file of the source; says whether its bytes are in the store now. `copy` is nothing for a file that is only
    /// read, else whether a damaged blob is to be replaced.
    fn read(
        &self,
        work: &Work<'_>,
        copy: Option<bool>,
        buffer: &mut [u8],
        progress: &Progress<'_>,
    ) -> Result<(Read, bool), VerifyError> {
        let Some(opened) = self.opened else {
            return Err(VerifyError::SourceMissing { path: self.source.to_owned() });
        };
        let (path, size, options) = (&work.pin.path, work.pin.size, self.options);
        let Some(replaces) = copy else {
            return Ok((read_file(opened, path, size, None, buffer, options, progress)?, false));
        };
        let mut stage = self.store.stage()?;
        let read = read_file(opened, path, size, Some(&mut stage), buffer, options, progress)?;
        let right = matches!(&read, Ok((digest, _)) if *digest == work.pin.sha256);
        let is_stored = if right && replaces {
            stage.commit(&work.pin.sha256)?;
            true
        } else {
            // Another process may have brought it in since; its blob is looked at in the next round.
            right && stage.commit_new(&work.pin.sha256)?
        };
        Ok((read, is_stored))
    }

    fn check_space(&self, needed: u64) -> Result<(), VerifyError> {
        if needed == 0 {
            return Ok(());
        }
        let (needed, free) = (needed.saturating_add(SPARE), self.store.free_bytes()?);
        if needed > free {
            return Err(VerifyError::NoSpace { needed, free, path: self.store.root().to_owned() });
        }
        Ok(())
    }

    /// A disk that another one filled in the meantime is told like one that was full from the start.
    fn with_space(&self, error: VerifyError, jobs: &[(&Work<'_>, bool)]) -> VerifyError {
        match (error, self.store.free_bytes()) {
            (VerifyError::Store(StoreError::NoSpace { .. }), Ok(free)) => VerifyError::NoSpace {
                needed: FilePin::total(jobs.iter().filter(|(_, copy)| *copy).map(|(work, _)| work.pin)),
                free,
                path: self.store.root().to_owned(),
            },
            (error, _) => error,
        }
    }

    /// Writes manifest and config, refers to them from the index, and makes the tree.
    fn make_model(
        &self,
        lock: &StoreLock,
        blobs: &mut BlobReceipts<'_>,
        unsealed: &mut Vec<Sha256>,
    ) -> Result<Vec<Finding>, VerifyError> {
        for bytes in [&self.artifact.config, &self.artifact.manifest] {
            let digest = self.store.put(bytes)?;
            blobs.set_good(&digest, blobs.state(&digest));
        }
        self.store.add_to_index(lock, &self.artifact.descriptor())?;
        blobs.across(|blobs| {
            // Those that changed since they were hashed were forgotten just now.
            let lost: Vec<Finding> = self
                .pins
                .iter()
                .filter(|pin| !blobs.is_good(&pin.sha256))
                .map(|pin| Finding::StoredDamaged {
                    path: pin.path.as_str().to_owned(),
                    expected: pin.sha256,
                    found: None,
                })
                .collect();
            if lost.is_empty() {
                self.store.make_tree(lock, &self.artifact.digest, self.pins)?;
                unsealed.extend(self.digests());
                self.seal(blobs, unsealed)?;
            }
            Ok(lost)
        })
    }

    /// Where the store's file system has fs-verity, the kernel holds the model's blobs unchangeable from now on. Without it
    /// nothing is lost but that, so it is no error. The kernel reads a blob for it, so after a moment the rest is left for
    /// another turn of the lock.
    fn seal(&self, blobs: &mut BlobReceipts<'_>, unsealed: &mut Vec<Sha256>) -> Result<(), VerifyError> {
        let start = Instant::now();
        while start.elapsed() < SEAL_TURN
            && let Some(digest) = unsealed.pop()
        {
            self.options.cancel.check()?;
            let (kind, error) = match blobs.seal(&digest) {
                Ok(()) => continue,
                Err(error @ SealError::Unsupported) => (EventKind::Skipped, error),
                Err(error) => (EventKind::Note, error),
            };
            unsealed.clear();
            let event = Event::new(kind, Step::Store, self.artifact.digest.hex());
            self.reporter
                .report(event.message(format!("{error}; receipts alone tell that blobs did not change")));
        }
        Ok(())
    }

    /// Seals what is left, so that others get the lock in between.
    fn seal_rest(&self, holder: &str, mut unsealed: Vec<Sha256>) -> Result<(), VerifyError> {
        while !unsealed.is_empty() {
            let _lock = self.store.lock_patiently(holder, self.options.patience)?;
            let mut blobs = BlobReceipts::load(self.store);
            let sealed = blobs.across(|blobs| self.seal(blobs, &mut unsealed));
            blobs.save()?;
            sealed?;
        }
        Ok(())
    }
}
