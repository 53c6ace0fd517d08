//! A source against a passport: parallel inside files, and damage is named to the chunk.

use super::{Passport, PassportFile, damage};
use crate::Options;
use crate::compare::{Checked, Work, checked, compare, largest_first};
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::{Progress, Reading, pool_with};
use crate::identity::{FsId, Identity, settle, unchanged};
use crate::input::{ALIGN, Buffer, Input};
use crate::receipts::SourceReceipts;
use crate::run::{Opened, Report, open_steady, paths};
use crate::tree::{ChunkHasher, chunk_count};
use crate::walk::Source;
use rustix::fs::Stat;
use sovai_core::{FilePin, Reporter};
use sovai_store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

/// A passport whose origin the caller has judged, by its signature or because it made it. It is believed that each
/// BLAKE3 in it belongs to the SHA-256 beside it, so that a receipt, which is for a SHA-256, may be written after a
/// BLAKE3 was compared.
#[derive(Debug, Clone, Copy)]
pub struct TrustedPassport<'a>(&'a Passport);

impl<'a> TrustedPassport<'a> {
    /// Says that the caller has judged it; nothing is checked here.
    pub const fn judged_by_caller(passport: &'a Passport) -> Self {
        Self(passport)
    }

    /// The passport.
    pub const fn passport(self) -> &'a Passport {
        self.0
    }
}

/// Verifies a source against a passport, with all rules of [`crate::verify`]; reads every byte, and BLAKE3 alone.
///
/// Findings are in the report ([`Finding::Damaged`] takes the place of [`Finding::Digest`]); an error means that the check
/// could not be done.
pub fn verify_against(
    source: &Path,
    passport: &Passport,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Report, VerifyError> {
    run(source, passport, options, None, reporter)
}

/// As [`verify_against`]; with a store, files that did not change since they were verified are not read again (see
/// [`crate::Reread`]), and receipts of those that were are written there.
pub fn verify_against_trusted(
    source: &Path,
    passport: TrustedPassport<'_>,
    options: &Options,
    store: Option<&Store>,
    reporter: &dyn Reporter,
) -> Result<Report, VerifyError> {
    let receipts = store.map(|store| SourceReceipts::load(store, source));
    run(source, passport.0, options, receipts, reporter)
}

fn run(
    source: &Path,
    passport: &Passport,
    options: &Options,
    mut receipts: Option<SourceReceipts>,
    reporter: &dyn Reporter,
) -> Result<Report, VerifyError> {
    let start = Instant::now();
    let pins = checked(source, &passport.pins())?;
    let opened = Source::open(source)?;
    let Checked { mut findings, work, notes, remainder } = compare(&opened, &pins, options)?;
    for note in notes {
        reporter.report(note);
    }
    let by_path: BTreeMap<&str, &PassportFile> =
        passport.files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut todo: Vec<&Work<'_>> = work
        .iter()
        .filter(|work| !receipts.as_ref().is_some_and(|receipts| work.is_answered(receipts, options)))
        .collect();
    largest_first(&mut todo, |work| work.pin);
    if receipts.is_some() {
        settle(todo.iter().filter_map(|work| work.state.as_ref()));
    }
    let jobs: Vec<Job<'_>> = todo
        .iter()
        .filter_map(|work| by_path.get(work.pin.path.as_str()))
        .map(|file| Job::new(file, passport.chunk_size))
        .collect();
    let chunks: Vec<(usize, u64)> = jobs
        .iter()
        .enumerate()
        .flat_map(|(at, job)| (0..job.chunks.max(1)).map(move |chunk| (at, chunk)))
        .collect();
    let progress = Progress::new(reporter, FilePin::total(todo.iter().map(|work| work.pin)));
    let run =
        Run { source: &opened, jobs: &jobs, chunk_size: passport.chunk_size, options, progress: &progress };
    pool_with(
        &chunks,
        options,
        || Worker { buffer: Buffer::new(options), open: None },
        |&(job, chunk), worker| run.chunk(job, chunk, worker),
    )?;
    progress.finish(&source.to_string_lossy());
    for job in jobs {
        let path = job.file.path.as_str();
        let Ending { state, found } = job.end(&opened, passport.chunk_size);
        if let Some(receipts) = &mut receipts {
            receipts.note(path, state.filter(|_| found.is_empty()), job.file.sha256);
        }
        findings.extend(found);
    }
    if let Some(receipts) = receipts {
        receipts.save_if_writable(&paths(&pins))?;
    }
    Ok(Report::new(findings, &pins, progress.done(), start, remainder))
}

/// A file, whose chunks are compared by several threads.
struct Job<'a> {
    file: &'a PassportFile,
    /// How many chunk values it has; 0 when it is one chunk.
    chunks: u64,
    /// Its state before the first of its bytes was read.
    before: OnceLock<Before>,
    /// Chunks that are not done yet.
    rest: AtomicU64,
    seen: Mutex<Seen>,
}

struct Before {
    stat: Stat,
    now: SystemTime,
    fs: Option<FsId>,
}

#[derive(Default)]
struct Seen {
    /// Why the rest of the file is not looked at.
    stop: Option<Finding>,
    damaged: Vec<u64>,
    /// Whether the file was in its first state after the last of its bytes was read.
    is_steady: bool,
}

struct Ending {
    /// There if a later change is sure to show in it.
    state: Option<Identity>,
    found: Vec<Finding>,
}

impl<'a> Job<'a> {
    fn new(file: &'a PassportFile, chunk_size: u64) -> Self {
        let chunks = chunk_count(file.size, chunk_size);
        Self {
            file,
            chunks,
            before: OnceLock::new(),
            rest: AtomicU64::new(chunks.max(1)),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, finding: Finding) {
        self.seen().stop.get_or_insert(finding);
    }

    fn changed(&self) -> Finding {
        Finding::ChangedDuringRead { path: self.file.path.as_str().to_owned() }
    }

    fn end(&self, source: &Source, chunk_size: u64) -> Ending {
        let Seen { stop, mut damaged, is_steady } = std::mem::take(&mut *self.seen());
        let mut found: Vec<Finding> = stop.into_iter().collect();
        if found.is_empty() && !is_steady {
            found.push(self.changed());
        }
        damaged.sort_unstable();
        // Of a file that changed, what was read says nothing.
        if !damaged.is_empty() && !matches!(found.as_slice(), [Finding::ChangedDuringRead { .. }]) {
            found.push(damage::finding(source, self.file, &damaged, chunk_size));
        }
        let state = self.before.get().and_then(|before| {
            let state = Identity::new(before.fs?, &before.stat);
            state.is_settled(before.now).then_some(state)
        });
        Ending { state, found }
    }
}

/// What a thread keeps from one chunk to the next.
struct Worker<'a> {
    buffer: Buffer,
    /// The file of its last chunk; each thread has its own, so that the kernel reads ahead for each.
    open: Option<(usize, Input<'a, File>)>,
}

struct Run<'a> {
    source: &'a Source,
    jobs: &'a [Job<'a>],
    chunk_size: u64,
    options: &'a Options,
    progress: &'a Progress<'a>,
}

impl<'a> Run<'a> {
    fn chunk(&self, at: usize, chunk: u64, worker: &mut Worker<'a>) -> Result<(), VerifyError> {
        let job = &self.jobs[at];
        if job.seen().stop.is_none() {
            match self.compare(at, chunk, worker)? {
                Ok(true) => {}
                Ok(false) => job.seen().damaged.push(chunk),
                Err(finding) => job.stop(finding),
            }
        }
        if job.rest.fetch_sub(1, Ordering::AcqRel) == 1 {
            let after = worker.open.as_ref().filter(|(open, _)| *open == at);
            let after = after.and_then(|(_, input)| rustix::fs::fstat(input.file()).ok());
            let is_steady = match (job.before.get(), after) {
                (Some(before), Some(after)) => unchanged(&before.stat, &after),
                _ => false,
            };
            job.seen().is_steady = is_steady;
            worker.open = None;
        }
        Ok(())
    }

    /// Whether the chunk has its value, or why that could not be found out.
    fn compare(
        &self,
        at: usize,
        chunk: u64,
        worker: &mut Worker<'a>,
    ) -> Result<Result<bool, Finding>, VerifyError> {
        let job = &self.jobs[at];
        let input = match &mut worker.open {
            Some((open, input)) if *open == at => input,
            _ => match self.open(job) {
                Ok(input) => &mut worker.open.insert((at, input)).1,
                Err(finding) => return Ok(Err(finding)),
            },
        };
        let size = job.file.size;
        let mut place = chunk.saturating_mul(self.chunk_size);
        let end = place.saturating_add(self.chunk_size).min(size);
        let mut hasher = ChunkHasher::new(place, job.chunks);
        while place < end {
            let buffer = worker.buffer.bytes();
            // What is read from the disk itself is whole blocks, also at the end.
            let rest = usize::try_from(end - place).unwrap_or(usize::MAX).min(buffer.len());
            let wanted = rest.next_multiple_of(ALIGN).min(buffer.len());
            let bytes = match input.read(&mut buffer[..wanted], place, size)? {
                Ok(bytes) => bytes,
                Err(error) => {
                    let path = job.file.path.as_str().to_owned();
                    return Ok(Err(Finding::Unreadable { path, error: error.to_string() }));
                }
            };
            if bytes.is_empty() || bytes.len() > rest {
                return Ok(Err(job.changed()));
            }
            hasher.update(bytes);
            place += bytes.len() as u64;
            self.progress.add(job.file.path.as_str(), bytes.len() as u64);
        }
        let expected = match usize::try_from(chunk).ok().and_then(|chunk| job.file.chunks.get(chunk)) {
            Some(value) if job.chunks > 0 => value,
            _ => job.file.blake3.as_bytes(),
        };
        Ok(Ok(hasher.finish() == *expected))
    }

    /// Opens the file for one thread; all threads must have opened the same one, in the same state.
    fn open(&self, job: &Job<'a>) -> Result<Input<'a, File>, Finding> {
        let Opened { file, before, now } = open_steady(self.source, &job.file.path, job.file.size)?;
        let first = job.before.get_or_init(|| Before { stat: before, now, fs: FsId::of(&file) });
        if !unchanged(&first.stat, &before) {
            return Err(job.changed());
        }
        let reading =
            Reading { options: self.options, progress: self.progress, subject: job.file.path.as_str() };
        Ok(Input::new(file, reading))
    }
}
