//! Bytes that are done, told as events.

use sovai_core::{Event, Reporter, Step};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two events.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes and reports them, at most ten times a second over all threads.
pub(crate) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    step: Step,
    total: u64,
    done: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter, step: Step, total: u64) -> Self {
        Self { reporter, step, total, done: AtomicU64::new(0), last: Mutex::new(None) }
    }

    pub(crate) fn add(&self, subject: &str, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Whoever does not get the lock has nothing to say that the holder does not say just now.
        let Ok(mut last) = self.last.try_lock() else { return };
        if last.is_none_or(|last| last.elapsed() >= PAUSE) {
            *last = Some(Instant::now());
            self.reporter.report(Event::progress(self.step, subject, done, self.total));
        }
    }

    /// Reports the last state, and gives back how many bytes it was.
    pub(crate) fn finish(&self, subject: &str) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        self.reporter.report(Event::progress(self.step, subject, done, self.total));
        done
    }
}
