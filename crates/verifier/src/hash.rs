//! Hashing files on several threads, in constant memory.

use crate::Options;
use crate::error::VerifyError;
use crate::input::{Buffer, Input};
use sha2::Digest as _;
use sovai_core::{Event, EventKind, Reporter, Sha256, Step};
use sovai_store::Stage;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Least time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes and reports them, at most ten times a second over all threads.
pub(crate) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    total: u64,
    done: AtomicU64,
    last: Mutex<Option<Instant>>,
    noted: AtomicBool,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter, total: u64) -> Self {
        Self {
            reporter,
            total,
            done: AtomicU64::new(0),
            last: Mutex::new(None),
            noted: AtomicBool::new(false),
        }
    }

    /// Counts bytes that were read before.
    pub(crate) fn begin_at(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }

    /// Says, once in a run, that what was asked for cannot be had.
    pub(crate) fn note_once(&self, subject: &str, message: &str) {
        if !self.noted.swap(true, Ordering::Relaxed) {
            self.reporter.report(Event::new(EventKind::Note, Step::Verify, subject).message(message));
        }
    }

    pub(crate) fn add(&self, subject: &str, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Whoever does not get the lock has nothing to say that the holder does not say just now.
        let Ok(mut last) = self.last.try_lock() else { return };
        if last.is_none_or(|last| last.elapsed() >= PROGRESS_PAUSE) {
            *last = Some(Instant::now());
            self.reporter.report(Event::progress(Step::Verify, subject, done, self.total));
        }
    }

    /// Reports the last state.
    pub(crate) fn finish(&self, subject: &str) {
        let done = self.done();
        self.reporter.report(Event::progress(Step::Verify, subject, done, self.total));
    }

    /// Bytes that were read.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// What came of reading a file.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// It was read to its end, and was as long as expected.
    Digest(T),
    /// It ended early, or went on.
    OtherLength,
    /// The system gave an error.
    Failed(io::Error),
}

/// What every read of a run goes by.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a Progress<'a>,
    /// The file, for events.
    pub(crate) subject: &'a str,
}

/// Reads a file of `size` bytes to its end and hands the pieces to `each`, in order.
pub(crate) fn pieces(
    file: &File,
    size: u64,
    buffer: &mut [u8],
    reading: Reading<'_>,
    mut each: impl FnMut(&[u8]) -> Result<(), VerifyError>,
) -> Result<Outcome<()>, VerifyError> {
    let mut input = Input::new(file, reading);
    let mut read = 0u64;
    loop {
        let bytes = match input.read(buffer, read, size)? {
            Ok([]) => break,
            Ok(bytes) => bytes,
            Err(error) => return Ok(Outcome::Failed(error)),
        };
        read = read.saturating_add(bytes.len() as u64);
        if read > size {
            return Ok(Outcome::OtherLength);
        }
        each(bytes)?;
        reading.progress.add(reading.subject, bytes.len() as u64);
    }
    Ok(if read == size { Outcome::Digest(()) } else { Outcome::OtherLength })
}

/// Reads a file of `size` bytes to its end and hashes it; what is hashed also goes into `sink`, in the same step.
pub(crate) fn hash(
    file: &File,
    size: u64,
    mut sink: Option<&mut Stage>,
    buffer: &mut [u8],
    reading: Reading<'_>,
) -> Result<Outcome<Sha256>, VerifyError> {
    let mut hasher = sha2::Sha256::new();
    let outcome = pieces(file, size, buffer, reading, |bytes| {
        hasher.update(bytes);
        match sink.as_deref_mut().map(|stage| (stage.write_all(bytes), stage)) {
            Some((Err(error), stage)) => Err(stage.write_error(error).into()),
            _ => Ok(()),
        }
    })?;
    Ok(match outcome {
        Outcome::Digest(()) => Outcome::Digest(Sha256::from_bytes(hasher.finalize().into())),
        Outcome::OtherLength => Outcome::OtherLength,
        Outcome::Failed(error) => Outcome::Failed(error),
    })
}

/// Does `work` on every item, in order, on as many threads as the options say. Stops at the first error.
pub(crate) fn pool<T: Sync, R: Send>(
    items: &[T],
    options: &Options,
    work: impl Fn(&T, &mut [u8]) -> Result<R, VerifyError> + Sync,
) -> Result<Vec<R>, VerifyError> {
    pool_with(items, options, || Buffer::new(options), |item, buffer| work(item, buffer.bytes()))
}

/// As [`pool`], with something that each thread keeps from one item to the next.
pub(crate) fn pool_with<T: Sync, R: Send, S>(
    items: &[T],
    options: &Options,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&T, &mut S) -> Result<R, VerifyError> + Sync,
) -> Result<Vec<R>, VerifyError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let lock_failed = || failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..options.threads.get().min(items.len()) {
            scope.spawn(|| {
                let mut kept = begin();
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if lock_failed().is_some() {
                        break;
                    }
                    match work(item, &mut kept) {
                        Ok(result) => {
                            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                        }
                        Err(error) => {
                            lock_failed().get_or_insert(error);
                            break;
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.map_or(Ok(results), Err)
}
