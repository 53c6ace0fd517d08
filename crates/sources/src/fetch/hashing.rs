//! One file's hash, which follows its contiguous prefix: each byte is hashed once.

use bytes::Bytes;
use sovai_store::{Partial, StoreError};
use sovai_verifier::{Cancel, Hashed, Hasher};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// Bytes that wait in memory to be hashed, of one file. What is beyond is read back, from the system's cache mostly.
const MOST_WAITING: u64 = 2 << 20;
/// Bytes that are read back at once.
const BACK: usize = 256 << 10;

/// The hash of one file.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    hasher: Hasher,
    /// What waits in memory, in order and without a gap.
    waiting: VecDeque<Vec<Bytes>>,
    /// Bytes up to here are hashed, or are being hashed, or wait.
    taken: u64,
    /// Bytes up to here are hashed.
    hashed: u64,
    running: bool,
    failed: Option<StoreError>,
}

/// What the work is done with.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// Files that are hashed at once.
    pub(super) permits: Arc<Semaphore>,
    pub(super) stop: Cancel,
}

/// What is hashed next.
enum Next {
    Memory(Vec<Bytes>),
    /// From the file: so many bytes from here.
    Back(u64, usize),
}

impl Hashing {
    /// Pieces were written at `at`. Those that continue what was taken are hashed from memory.
    pub(super) fn offer(self: &Arc<Self>, partial: &Arc<Partial>, at: u64, pieces: Vec<Bytes>, pool: &Pool) {
        let mut state = self.state();
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let waiting = state.taken.saturating_sub(state.hashed);
        if at == state.taken && waiting + length <= MOST_WAITING {
            state.taken += length;
            state.waiting.push_back(pieces);
        }
        self.start(&mut state, partial, pool);
    }

    /// Hashes what is there already.
    pub(super) fn resume(self: &Arc<Self>, partial: &Arc<Partial>, pool: &Pool) {
        self.start(&mut self.state(), partial, pool);
    }

    fn start(self: &Arc<Self>, state: &mut State, partial: &Arc<Partial>, pool: &Pool) {
        let has_work = !state.waiting.is_empty() || partial.reach(state.taken) > state.taken;
        if state.running || !has_work || state.failed.is_some() {
            return;
        }
        state.running = true;
        let (this, partial, pool) = (Arc::clone(self), Arc::clone(partial), pool.clone());
        drop(tokio::spawn(async move {
            let permit = Arc::clone(&pool.permits).acquire_owned().await;
            let work = tokio::task::spawn_blocking(move || this.work(&partial, &pool.stop));
            // It only ends early when the whole program does.
            drop(work.await);
            drop(permit);
        }));
    }

    fn work(&self, partial: &Partial, stop: &Cancel) {
        // The hasher is out of the state while it works, so that nobody waits for it.
        let mut hasher = std::mem::take(&mut self.state().hasher);
        let mut buffer = Vec::new();
        let mut at = hasher.bytes();
        loop {
            let next = {
                let mut state = self.state();
                state.hashed = at;
                let next = if stop.is_cancelled() { None } else { state.next(partial, at) };
                if next.is_none() {
                    state.hasher = std::mem::take(&mut hasher);
                    if stop.is_cancelled() {
                        state.waiting.clear();
                        state.taken = at;
                    }
                    state.running = false;
                    self.changed.notify_waiters();
                }
                next
            };
            match next {
                None => return,
                Some(Next::Memory(pieces)) => pieces.iter().for_each(|piece| hasher.update(piece)),
                Some(Next::Back(from, length)) => {
                    buffer.resize(length, 0);
                    if let Err(error) = partial.read(from, &mut buffer) {
                        let mut state = self.state();
                        state.failed = Some(error);
                        state.running = false;
                        self.changed.notify_waiters();
                        return;
                    }
                    hasher.update(&buffer);
                }
            }
            at = hasher.bytes();
        }
    }

    /// Waits until the whole file is hashed.
    pub(super) async fn finish(&self, size: u64) -> Result<Hashed, StoreError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                if !state.running && state.hasher.bytes() == size {
                    return Ok(std::mem::take(&mut *state).hasher.finish());
                }
            }
            changed.await;
        }
    }

    /// Waits until nobody works on it, and forgets all bytes. The caller sees to it that nothing is offered meanwhile.
    pub(super) async fn reset(&self) {
        self.idle().await;
        *self.state() = State::default();
    }

    /// Waits until nobody works on it.
    pub(super) async fn idle(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if !self.state().running {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, partial: &Partial, at: u64) -> Option<Next> {
        if let Some(pieces) = self.waiting.pop_front() {
            return Some(Next::Memory(pieces));
        }
        let length = usize::try_from(partial.reach(at) - at).unwrap_or(usize::MAX).min(BACK);
        self.taken = at + length as u64;
        (length > 0).then_some(Next::Back(at, length))
    }
}
