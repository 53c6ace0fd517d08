//! One file on its way into the store.

use super::{HOLDER, Import, ImportError, Shared};
use crate::index::Part;
use sovai_core::Sha256;
use sovai_store::{Store, StoreError};
use sovai_verifier::{Arrival, Hasher, SavedHasher, Stored};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a file that are read again at once.
const BUFFER: usize = 128 << 10;

/// A file that is to be a blob of the store.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) parts: Vec<Part>,
    done: AtomicBool,
    open: Mutex<Open>,
    /// How far it is hashed; only over bytes that are known to be right.
    hasher: Mutex<Hasher>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

#[derive(Debug, Default)]
struct Open {
    partial: Option<Shared>,
    /// From an earlier run; believed when the file is as it was then.
    saved: Option<SavedHasher>,
    /// Somebody gives it its name just now.
    finishing: bool,
}

/// All of them, in the order of their digests.
#[derive(Debug)]
pub(super) struct Targets {
    list: Vec<Target>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Targets {
    pub(super) fn new(
        items: Vec<(Sha256, u64, Vec<Part>)>,
        stored: &BTreeMap<Sha256, Stored>,
        mut saved: BTreeMap<Sha256, SavedHasher>,
    ) -> Self {
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let target = |(sha256, size, parts): (Sha256, u64, Vec<Part>)| Target {
            sha256,
            size,
            parts,
            done: AtomicBool::new(stored.get(&sha256) == Some(&Stored::Good)),
            open: Mutex::new(Open { saved: saved.remove(&sha256), ..Open::default() }),
            hasher: Mutex::default(),
            arrivals: Arc::clone(&arrivals),
        };
        Self { list: items.into_iter().map(target).collect(), arrivals }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Target> {
        self.list.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Target> {
        self.list.get(at)
    }

    pub(super) fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.arrivals))
    }
}

impl Target {
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Bytes that are not in the store yet.
    pub(super) fn lacking(&self, store: &Store) -> u64 {
        if self.is_done() {
            return 0;
        }
        let have = match &lock(&self.open).partial {
            Some(partial) => partial.have().total(),
            None => store.partial_bytes(&self.sha256, self.size),
        };
        self.size.saturating_sub(have)
    }

    /// Whether bytes of it are missing.
    pub(super) fn lacks(&self, store: &Store, range: &Range<u64>) -> bool {
        if self.is_done() {
            return false;
        }
        let reach = match &lock(&self.open).partial {
            Some(partial) => partial.reach(range.start),
            None => store.partial_have(&self.sha256, self.size).reach(range.start),
        };
        reach < range.end
    }

    /// Its partial file, opened or begun.
    pub(super) fn open(&self, store: &Store) -> Result<Shared, StoreError> {
        let mut open = lock(&self.open);
        if let Some(partial) = &open.partial {
            return Ok(Arc::clone(partial));
        }
        let partial = Arc::new(store.partial(&self.sha256, self.size, HOLDER)?);
        let saved = open.saved.take().filter(|saved| partial.reach(0) >= saved.bytes());
        let hasher = saved.and_then(|saved| Hasher::resume(&saved, partial.file()));
        self.set_hasher(hasher.unwrap_or_default());
        open.partial = Some(Arc::clone(&partial));
        Ok(partial)
    }

    /// The state of its hash.
    pub(super) fn hasher(&self) -> Hasher {
        lock(&self.hasher).clone()
    }

    pub(super) fn set_hasher(&self, hasher: Hasher) {
        *lock(&self.hasher) = hasher;
    }

    /// Hashes bytes of it, if they are the next ones.
    pub(super) fn hash(&self, within: u64, bytes: &[u8]) {
        let mut hasher = lock(&self.hasher);
        if hasher.bytes() == within {
            hasher.update(bytes);
        }
    }

    /// Whether all its bytes are there and hashed; says so once.
    pub(super) fn claim(&self) -> bool {
        let mut open = lock(&self.open);
        let is_ready = lock(&self.hasher).bytes() == self.size
            && open.partial.as_ref().is_some_and(|partial| partial.reach(0) == self.size);
        is_ready && !self.is_done() && !std::mem::replace(&mut open.finishing, true)
    }

    /// Gives it its name, if its digest is right. Whoever calls this has claimed it.
    pub(super) fn commit(&self, store: &Store) -> Result<(), ImportError> {
        let mut open = lock(&self.open);
        let Some(partial) = open.partial.take() else { return Ok(()) };
        let hashed = std::mem::take(&mut *lock(&self.hasher)).finish();
        open.finishing = false;
        drop(open);
        if hashed.sha256() != self.sha256 {
            partial.discard()?;
            return Err(self.contradiction(hashed.sha256()));
        }
        partial.commit()?;
        lock(&self.arrivals).push(Arrival::new(store, &hashed));
        self.done.store(true, Ordering::Release);
        Ok(())
    }

    /// A small file in one piece.
    pub(super) fn put(&self, store: &Store, bytes: &[u8]) -> Result<(), ImportError> {
        let mut all = Hasher::new();
        all.update(bytes);
        let hashed = all.finish();
        if hashed.sha256() != self.sha256 {
            return Err(self.contradiction(hashed.sha256()));
        }
        store.put(bytes)?;
        lock(&self.arrivals).push(Arrival::new(store, &hashed));
        self.done.store(true, Ordering::Release);
        Ok(())
    }

    /// Every byte was what the table of chunks says, and the file is not what the index says: it was signed so.
    fn contradiction(&self, found: Sha256) -> ImportError {
        let what =
            format!("a file is to be {}, and its bytes as the bundle has them are {found}", self.sha256);
        ImportError::Contradiction(what)
    }

    /// Reads what is there and was not hashed, and hashes it; whether it is ready then.
    fn catch_up(&self, import: &Import<'_>) -> Result<bool, ImportError> {
        let Some(partial) = lock(&self.open).partial.clone() else { return Ok(false) };
        let mut hasher = self.hasher();
        let mut buffer = vec![0; BUFFER];
        while hasher.bytes() < self.size && !import.options.cancel.is_cancelled() {
            let rest = usize::try_from(self.size - hasher.bytes()).unwrap_or(usize::MAX).min(BUFFER);
            let Some(piece) = buffer.get_mut(..rest) else { break };
            partial.read(hasher.bytes(), piece)?;
            hasher.update(piece);
        }
        self.set_hasher(hasher);
        Ok(self.claim())
    }

    /// Whether all its bytes are there, and it has no name yet.
    fn is_full(&self) -> bool {
        let open = lock(&self.open);
        open.partial.as_ref().is_some_and(|partial| partial.reach(0) == self.size) && !self.is_done()
    }

    /// Brings it to the disk and lets it go, until more of it comes; gives how far it is hashed.
    pub(super) fn rest(&self) -> Result<Option<SavedHasher>, StoreError> {
        let mut open = lock(&self.open);
        // Not opened in this run: what an earlier one said holds on.
        let Some(partial) = open.partial.take() else { return Ok(open.saved.clone()) };
        open.finishing = false;
        let hasher = std::mem::take(&mut *lock(&self.hasher));
        partial.sync()?;
        open.saved = if hasher.bytes() > 0 { hasher.save(partial.file()) } else { None };
        Ok(open.saved.clone())
    }
}

/// Reads once more what came out of order, and gives names to what is ready.
pub(super) fn finish_all(import: &Import<'_>) -> Result<(), ImportError> {
    let ready: Vec<&Target> = import.targets.iter().filter(|target| target.is_full()).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some(target) = ready.get(next.fetch_add(1, Ordering::Relaxed)) {
            let finished = match target.catch_up(import) {
                Ok(true) => target.commit(import.store),
                caught_up => caught_up.map(drop),
            };
            if let Err(error) = finished {
                lock(&failed).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..import.options.threads.get().min(ready.len()) {
            scope.spawn(work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None if import.options.cancel.is_cancelled() => Err(ImportError::Cancelled),
        None => Ok(()),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
