//! One file on its way: its sources, its bytes, its plan.

use super::hashing::{Hashing, Pool};
use super::plan::Plan;
use crate::{Source, SourceError, Wanted};
use bytes::Bytes;
use sovai_core::Sha256;
use sovai_store::{Partial, Ranges, Store, StoreError};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes after which, and time after which, what was written is brought to the disk, so that a power cut costs no more.
const SYNC_BYTES: u64 = 128 << 20;
const SYNC_TIME: Duration = Duration::from_secs(5);

/// A file of a run.
#[derive(Debug)]
pub(super) struct File {
    pub(super) subject: String,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) sources: Vec<(Arc<dyn Source>, Wanted)>,
    pub(super) plan: Mutex<Plan>,
    pub(super) choice: Mutex<Choice>,
    pub(super) hashing: Arc<Hashing>,
    partial: Mutex<Option<Arc<Partial>>>,
    pub(super) tally: Tally,
    syncing: Arc<AtomicBool>,
    synced: Mutex<(Instant, u64)>,
}

/// What a file cost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bytes that came over the network.
    pub(super) fetched: AtomicU64,
    /// Of these, the ones that were not there yet.
    pub(super) new: AtomicU64,
    /// Bytes that were there before.
    pub(super) there: AtomicU64,
    /// Requests.
    pub(super) tries: AtomicU32,
    /// Sources that gave bytes, in that order.
    pub(super) from: Mutex<Vec<usize>>,
}

/// Which source is asked.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) current: usize,
    /// Why a source is not asked any more.
    given_up: Vec<Option<SourceError>>,
    /// Sources that ignore ranges.
    unranged: Vec<bool>,
    /// Times that the assembled file had another digest.
    pub(super) wrong: u32,
}

impl Choice {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            current: 0,
            given_up: std::iter::repeat_with(|| None).take(sources).collect(),
            unranged: vec![false; sources],
            wrong: 0,
        }
    }

    /// Notes that the current source ignores ranges.
    pub(super) fn ignores_ranges(&mut self) {
        if let Some(unranged) = self.unranged.get_mut(self.current) {
            *unranged = true;
        }
    }

    /// Whether the current source can be asked for ranges.
    pub(super) fn may_range(&self) -> bool {
        self.wrong == 0 && !self.unranged.get(self.current).copied().unwrap_or_default()
    }

    /// Gives a source up and goes on to the next one; says whether there is one. Two lanes may fail at the same source: the
    /// second one's loss was told already.
    pub(super) fn give_up(&mut self, source: usize, error: SourceError) -> bool {
        if let Some(slot) = self.given_up.get_mut(source)
            && slot.is_none()
        {
            *slot = Some(error);
        }
        self.given_up.get(self.current).is_some_and(Option::is_none) || self.turn()
    }

    /// After bytes that were wrong: the next source, also one that could not be reached before.
    pub(super) fn next_after_wrong(&mut self) {
        for slot in &mut self.given_up {
            if slot.as_ref().is_some_and(may_pass) {
                *slot = None;
            }
        }
        // The only one left is asked again.
        self.turn();
    }

    /// The next source that was not given up, the current one last.
    fn turn(&mut self) -> bool {
        let count = self.given_up.len();
        let next = (1..=count)
            .map(|step| (self.current + step) % count)
            .find(|at| self.given_up.get(*at).is_some_and(Option::is_none));
        self.current = next.unwrap_or(self.current);
        next.is_some()
    }

    /// Why there is no file: what the first source said, it is the one that the manifest names.
    pub(super) fn take_error(&mut self) -> Option<SourceError> {
        self.given_up.iter_mut().find_map(Option::take)
    }
}

/// Whether another try at the same source may help. An answer that makes no sense may be a passing fault of something in
/// between; what was refused stays refused.
pub(super) fn may_pass(error: &SourceError) -> bool {
    match error {
        SourceError::GivenUp { last, .. } => may_pass(last),
        SourceError::Malformed { .. } | SourceError::Mismatch { .. } => true,
        error => error.is_transient(),
    }
}

impl File {
    pub(super) fn new(
        subject: String,
        sha256: Sha256,
        size: u64,
        sources: Vec<(Arc<dyn Source>, Wanted)>,
    ) -> Self {
        Self {
            subject,
            sha256,
            size,
            plan: Mutex::new(Plan::new(size, &Ranges::new())),
            choice: Mutex::new(Choice::new(sources.len())),
            sources,
            hashing: Arc::default(),
            partial: Mutex::default(),
            tally: Tally::default(),
            syncing: Arc::default(),
            synced: Mutex::new((Instant::now(), 0)),
        }
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    pub(super) fn choice(&self) -> MutexGuard<'_, Choice> {
        lock(&self.choice)
    }

    /// The partial file, while it is open.
    pub(super) fn partial(&self) -> Option<Arc<Partial>> {
        lock(&self.partial).clone()
    }

    pub(super) fn set_partial(&self, partial: Option<Arc<Partial>>) {
        *lock(&self.partial) = partial;
    }

    pub(super) fn have(&self) -> Ranges {
        self.partial().map(|partial| partial.have()).unwrap_or_default()
    }

    /// Opens the partial file and plans what it lacks. Gives how many bytes were there.
    pub(super) async fn open(&self, store: &Store, pool: &Pool) -> Result<u64, SourceError> {
        let (store, sha256, size) = (store.clone(), self.sha256, self.size);
        let partial = Arc::new(blocking(move || store.partial(&sha256, size, super::HOLDER)).await?);
        let have = partial.have();
        let there = have.total();
        self.tally.there.store(there, Ordering::Relaxed);
        *self.plan() = Plan::new(self.size, &have);
        self.hashing.resume(&partial, pool);
        self.set_partial(Some(partial));
        Ok(there)
    }

    /// Throws all bytes away; the file comes again in one stream. No lane may be under way.
    pub(super) async fn restart(&self) -> Result<(), SourceError> {
        self.hashing.reset().await;
        if let Some(partial) = self.partial() {
            blocking(move || partial.restart()).await?;
        }
        self.plan().again(&Ranges::new(), true);
        Ok(())
    }

    /// Writes pieces at their place, and hands them to the hash. Gives how many bytes are new. Called on a blocking thread.
    pub(super) fn write(
        partial: &Arc<Partial>,
        hashing: &Arc<Hashing>,
        at: u64,
        pieces: Vec<Bytes>,
        pool: &Pool,
    ) -> Result<u64, StoreError> {
        let new = partial.write(at, &pieces)?;
        hashing.offer(partial, at, pieces, pool);
        Ok(new)
    }

    /// Brings to the disk what was written, in the background, when there is enough of it.
    pub(super) fn sync_now_and_then(&self, written: u64) {
        let due = {
            let mut synced = lock(&self.synced);
            synced.1 = synced.1.saturating_add(written);
            let due = synced.1 >= SYNC_BYTES || (synced.1 > 0 && synced.0.elapsed() >= SYNC_TIME);
            if due && !self.syncing.swap(true, Ordering::AcqRel) {
                *synced = (Instant::now(), 0);
                true
            } else {
                false
            }
        };
        let Some(partial) = self.partial().filter(|_| due) else { return };
        let syncing = Arc::clone(&self.syncing);
        drop(tokio::task::spawn_blocking(move || {
            // A failure shows again at the end, when the whole file is brought to the disk.
            drop(partial.sync());
            syncing.store(false, Ordering::Release);
        }));
    }

    /// Notes bytes that came from a source.
    pub(super) fn came(&self, source: usize, bytes: u64) {
        self.tally.fetched.fetch_add(bytes, Ordering::Relaxed);
        let mut from = lock(&self.tally.from);
        if !from.contains(&source) {
            from.push(source);
        }
    }

    /// How sources are named in errors.
    pub(super) fn origin(&self, source: usize) -> String {
        self.sources.get(source).map(|(source, _)| source.origin().to_owned()).unwrap_or_default()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static, E: Into<SourceError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down.
            Err(_) => Err(SourceError::Cancelled),
        },
    }
}
