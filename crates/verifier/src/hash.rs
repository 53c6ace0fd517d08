//! Hashing files on several threads, in constant memory.

use crate::error::VerifyError;
use crate::{Cancel, Options};
use rustix::fs::Advice;
use sha2::Digest as _;
use sovai_core::{Event, Reporter, Sha256, Step};
use sovai_store::Stage;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes a thread reads at once. Measured on two cores with SHA instructions, 2 GiB in the page cache, CPU seconds of
/// user and system together, best of three: 64 KiB 1.42, 128 KiB 1.41, 256 KiB 1.47, 1 MiB 1.48. Beyond 128 KiB the
/// bytes leave the core's second-level cache between reading and hashing.
pub(crate) const BUFFER: usize = 128 << 10;

/// Least time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes and reports them, at most ten times a second over all threads.
pub(crate) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    total: u64,
    done: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter, total: u64) -> Self {
        Self { reporter, total, done: AtomicU64::new(0), last: Mutex::new(None) }
    }

    /// Counts bytes that were read before.
    pub(crate) fn begin_at(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }

    fn add(&self, subject: &str, bytes: u64) {
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
pub(crate) enum Outcome {
    /// It was read to its end, and was as long as expected.
    Digest(Sha256),
    /// It ended early, or went on.
    OtherLength,
    /// The system gave an error.
    Failed(io::Error),
}

/// Reads a file of `size` bytes to its end and hashes it; what is hashed also goes into `sink`, in the same step.
pub(crate) fn hash(
    mut file: &File,
    size: u64,
    mut sink: Option<&mut Stage>,
    subject: &str,
    buffer: &mut [u8],
    cancel: &Cancel,
    progress: &Progress<'_>,
) -> Result<Outcome, VerifyError> {
    // Advice only: a file system that does not take it is as good.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
    let mut hasher = sha2::Sha256::new();
    let mut read = 0u64;
    loop {
        cancel.check()?;
        let bytes = match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Outcome::Failed(error)),
        };
        read = read.saturating_add(bytes.len() as u64);
        if read > size {
            return Ok(Outcome::OtherLength);
        }
        hasher.update(bytes);
        if let Some(stage) = sink.as_deref_mut()
            && let Err(error) = stage.write_all(bytes)
        {
            return Err(stage.write_error(error).into());
        }
        progress.add(subject, bytes.len() as u64);
    }
    if read != size {
        return Ok(Outcome::OtherLength);
    }
    Ok(Outcome::Digest(Sha256::from_bytes(hasher.finalize().into())))
}

/// Does `work` on every item, in order, on as many threads as the options say. Stops at the first error.
pub(crate) fn pool<T: Sync, R: Send>(
    items: &[T],
    options: &Options,
    work: impl Fn(&T, &mut [u8]) -> Result<R, VerifyError> + Sync,
) -> Result<Vec<R>, VerifyError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let lock_failed = || failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..options.threads.get().min(items.len()) {
            scope.spawn(|| {
                let mut buffer = vec![0; BUFFER];
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if lock_failed().is_some() {
                        break;
                    }
                    match work(item, &mut buffer) {
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
