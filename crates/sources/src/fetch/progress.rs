//! Progress over all files.

use sovai_core::{Event, EventKind, Reporter, Step};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Least time between two progress events.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes that are there, of all files, and reports them at most ten times a second.
///
/// What is shown never runs backwards: when a file is thrown away, it stands until the bytes that come again have made up
/// for it.
pub(super) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    shown: u64,
    last: Option<Instant>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(reporter: &'a dyn Reporter, total: u64, done: u64) -> Self {
        let state = State { done, shown: done, last: None };
        let progress = Self { reporter, total, state: Mutex::new(state) };
        progress.add("", 0);
        progress
    }

    /// More bytes are there.
    pub(super) fn add(&self, subject: &str, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_add(bytes).min(self.total);
        state.shown = state.shown.max(state.done);
        if state.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            state.last = Some(Instant::now());
            // Told under the lock, so that events are in order.
            self.reporter.report(Event::progress(Step::Pull, subject, state.shown, self.total));
        }
    }

    /// Bytes were thrown away.
    pub(super) fn lose(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_sub(bytes);
    }

    /// Reports the last state.
    pub(super) fn finish(&self, subject: &str) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.reporter.report(Event::progress(Step::Pull, subject, state.shown, self.total));
    }

    /// Tells a person something about a file.
    pub(super) fn note(&self, subject: &str, text: impl Into<String>) {
        self.reporter.report(Event::new(EventKind::Note, Step::Pull, subject).message(text));
    }
}
