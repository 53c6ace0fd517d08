//! The download engine: pinned files from their sources into the store.

use crate::{Source, SourceError, Wanted};
use sovai_core::{Reporter, Sha256};
use sovai_http::Retry;
use sovai_store::Store;
use sovai_verifier::Cancel;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

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
/// whose digest was computed from its bytes here, or there is an error. Needs a tokio runtime with its clock and its
/// network enabled.
pub async fn fetch(
    jobs: &[Job],
    _store: &Store,
    _options: &FetchOptions,
    _reporter: &dyn Reporter,
) -> Result<Fetched, SourceError> {
    match jobs.first() {
        None => Ok(Fetched::default()),
        Some(job) => Err(SourceError::Invalid {
            origin: job.subject.clone(),
            reason: "fetching is not written yet".to_owned(),
        }),
    }
}
