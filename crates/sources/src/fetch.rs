//! The download engine: pinned files from their sources into the store.
//!
//! Requests and bodies are on the caller's runtime, writing and hashing on its blocking threads; between them are bounded
//! queues. A connection takes one file while there are as many files as connections, and stretches of files otherwise.
//! Bytes are written at their place in a partial file, once; the hash follows the part that has no gap. A file becomes a
//! blob when its digest is right, and gets its receipt then.

mod engine;
mod file;
mod hashing;
mod lane;
mod outcome;
mod plan;
mod progress;
mod speed;

use crate::{Source, SourceError, Wanted};
use engine::Engine;
use file::{File, blocking, lock};
use progress::Progress;
use sovai_core::{Event, EventKind, FilePin, NullReporter, RelPath, Reporter, Sha256, Step};
use sovai_http::Retry;
use sovai_store::Store;
use sovai_verifier::{Cancel, Stored, VerifyError, check_stored};
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What others are told who find a file busy.
const HOLDER: &str = "sovai, fetching";
/// Free space that is left over for journals and small files, in bytes.
const SPARE: u64 = 16 << 20;
/// One request of a file that several connections share, in bytes.
const SEGMENT: u64 = 32 << 20;
/// The least that two connections share of a stretch that one of them began. What is cut off was on its way already and
/// is lost: some megabytes on a fast line.
const LEAST_SHARE: u64 = 8 << 20;
/// How soon a stop is seen, and how often somebody looks whether another process has finished a file.
const LOOK: Duration = Duration::from_millis(100);
/// How long a file is waited for that another process fetches, once nothing else is left to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// Receipts of what arrived are written so often, at most.
const RECORD: Duration = Duration::from_secs(2);

/// One file that is to be in the store.
#[derive(Debug, Clone)]
pub struct Job {
    /// How events and errors name it.
    pub subject: String,
    /// The file; its size and its SHA-256 must be there.
    pub wanted: Wanted,
    /// Where it may come from, the first first. None is believed: bytes count by their digest.
    pub from: Vec<Arc<dyn Source>>,
}

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Requests that are under way at once, over all files.
    pub connections: NonZeroUsize,
    /// How often a file is tried in a row without a byte in between, and the waits between.
    pub retry: Retry,
    /// The most bytes a second, over all connections.
    pub limit_rate: Option<NonZeroU64>,
    /// Tries the sources of a file with a small request first, and takes the quickest first.
    pub by_speed: bool,
    /// Stops the run; what arrived stays for the next one.
    pub cancel: Cancel,
    /// Files that are hashed at once.
    pub threads: NonZeroUsize,
}

impl FetchOptions {
    /// Eight connections, the usual tries, no limit, sources in their order, and so many files hashed at once.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self {
            connections: NonZeroUsize::MIN.saturating_add(7),
            retry: Retry::default(),
            limit_rate: None,
            by_speed: false,
            cancel: Cancel::default(),
            threads,
        }
    }
}

/// What came of a fetch: one entry for each job, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The files.
    pub files: Vec<FetchedFile>,
}

/// What came of one job. Jobs of one digest share the work: the second one's bytes were all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// As the job names it.
    pub subject: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// The sources that gave bytes, as the manifest writes them, each once. Empty when nothing was asked for.
    pub from: Vec<String>,
    /// Bytes that came over the network, those of thrown-away tries included.
    pub fetched: u64,
    /// Bytes that were there before: the whole blob, or what an earlier run had got.
    pub there: u64,
    /// Requests that were made for it.
    pub tries: u32,
}

/// Brings files into the store and writes down that they were verified.
///
/// Blobs that the store has are not asked for; those without a receipt are read first. Afterwards each file is a blob
/// whose digest was computed from its bytes here, or there is an error. What arrived stays for the next run also after an
/// error and when it is stopped; only a file that was wrong again and again is thrown away. Needs a tokio runtime with its
/// clock and its network enabled.
pub async fn fetch(
    jobs: &[Job],
    store: &Store,
    options: &FetchOptions,
    reporter: &dyn Reporter,
) -> Result<Fetched, SourceError> {
    let hold = store.hold(HOLDER)?;
    let mut files = group(jobs)?;
    let stored = look_at_store(&files, store, options).await?;
    let (mut there, mut needed) = (0u64, 0u64);
    for file in &files {
        if stored.get(&file.sha256) == Some(&Stored::Good) {
            there = there.saturating_add(file.size);
            file.tally.there.store(file.size, Ordering::Relaxed);
            // Of a run that died between the last two steps. Somebody who holds it will see to it.
            drop(store.remove_partial(&file.sha256));
        } else {
            if file.sources.is_empty() {
                let reason = "it has no source and is not in the store".to_owned();
                return Err(SourceError::Invalid { origin: file.subject.clone(), reason });
            }
            let partial = store.partial_bytes(&file.sha256, file.size).min(file.size);
            there = there.saturating_add(partial);
            needed = needed.saturating_add(file.size - partial);
            if stored.get(&file.sha256) == Some(&Stored::Damaged) {
                let note = "the store's copy is damaged and is fetched again";
                reporter.report(Event::new(EventKind::Note, Step::Pull, &file.subject).message(note));
            }
        }
    }
    if needed > 0 {
        let (needed, free) = (needed.saturating_add(SPARE), store.free_bytes()?);
        if needed > free {
            return Err(SourceError::NoSpace { needed, free, path: store.root().to_owned() });
        }
    }
    let is_missing = |file: &File| stored.get(&file.sha256) != Some(&Stored::Good);
    if options.by_speed {
        speed::sort(files.iter_mut().filter(|file| is_missing(file)), &options.cancel).await;
    }
    let files: Vec<Arc<File>> = files.into_iter().map(Arc::new).collect();
    let mut missing: Vec<Arc<File>> = files.iter().filter(|file| is_missing(file)).cloned().collect();
    // The largest first: begun last, it would run alone at the end.
    missing.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.sha256.cmp(&b.sha256)));
    let total = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    if !missing.is_empty() {
        let progress = Progress::new(reporter, total, there);
        let (engine, completed) = Engine::new(missing, store, options, progress);
        engine.go(completed).await?;
    }
    drop(hold);
    Ok(report(jobs, &files))
}

/// A source, and how it knows the file.
type From = (Arc<dyn Source>, Wanted);

/// One file for each digest, with the sources of all its jobs.
fn group(jobs: &[Job]) -> Result<Vec<File>, SourceError> {
    let mut groups: BTreeMap<Sha256, (String, u64, Vec<From>)> = BTreeMap::new();
    for job in jobs {
        let origin = || job.from.first().map_or_else(|| job.subject.clone(), |from| from.origin().to_owned());
        let invalid = |reason: String| SourceError::Invalid { origin: origin(), reason };
        let (Some(size), Some(sha256)) = (job.wanted.size, job.wanted.sha256) else {
            return Err(invalid(format!("`{}` has no pinned size and digest", job.subject)));
        };
        let (first, known, sources) =
            groups.entry(sha256).or_insert_with(|| (job.subject.clone(), size, Vec::new()));
        if *known != size {
            return Err(invalid(format!("`{first}` and `{}` have one digest and two sizes", job.subject)));
        }
        for from in &job.from {
            let is_known = |(source, wanted): &From| Arc::ptr_eq(source, from) && *wanted == job.wanted;
            if !sources.iter().any(is_known) {
                sources.push((Arc::clone(from), job.wanted.clone()));
            }
        }
    }
    Ok(groups
        .into_iter()
        .map(|(sha256, (subject, size, sources))| File::new(subject, sha256, size, sources))
        .collect())
}

async fn look_at_store(
    files: &[File],
    store: &Store,
    options: &FetchOptions,
) -> Result<BTreeMap<Sha256, Stored>, SourceError> {
    let pins: Vec<FilePin> = files
        .iter()
        .filter_map(|file| {
            let path = file.sources.first().map(|(_, wanted)| wanted.path.clone());
            let path = path.or_else(|| RelPath::new(&file.sha256.hex()).ok())?;
            Some(FilePin { path, size: file.size, sha256: file.sha256 })
        })
        .collect();
    let (store, mut verify) = (store.clone(), sovai_verifier::Options::new(options.threads));
    verify.cancel = options.cancel.clone();
    let work = move || check_stored(&store, &pins, &verify, &NullReporter);
    match blocking(work).await {
        Err(SourceError::Verify(VerifyError::Cancelled)) => Err(SourceError::Cancelled),
        found => found,
    }
}

fn report(jobs: &[Job], files: &[Arc<File>]) -> Fetched {
    let mut told = BTreeSet::new();
    let files = jobs.iter().filter_map(|job| {
        let sha256 = job.wanted.sha256?;
        let file = files.iter().find(|file| file.sha256 == sha256)?;
        let is_first = told.insert(sha256);
        let tally = &file.tally;
        let from = lock(&tally.from).iter().map(|source| file.origin(*source)).collect();
        Some(FetchedFile {
            subject: job.subject.clone(),
            sha256,
            size: file.size,
            from: if is_first { from } else { Vec::new() },
            fetched: if is_first { tally.fetched.load(Ordering::Relaxed) } else { 0 },
            there: if is_first { tally.there.load(Ordering::Relaxed) } else { file.size },
            tries: if is_first { tally.tries.load(Ordering::Relaxed) } else { 0 },
        })
    });
    Fetched { files: files.collect() }
}
