//! What becomes of a file: a blob, another try, or an error.

use super::engine::Engine;
use super::file::{File, blocking, lock};
use super::{LOOK, PATIENCE, RECORD};
use crate::SourceError;
use sovai_core::{FilePin, NullReporter, RelPath, Sha256};
use sovai_http::Retry;
use sovai_store::StoreError;
use sovai_verifier::{Arrival, Stored, VerifyError, check_stored, record_arrivals};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Engine<'_> {
    /// Waits for the hash of a file whose bytes are all there; makes it a blob, or begins again.
    pub(super) async fn finish(&self, file: Arc<File>) -> Result<(), SourceError> {
        let hashed = tokio::select! {
            hashed = file.hashing.finish(file.size) => hashed?,
            () = self.stopped() => return Ok(()),
        };
        let Some(partial) = file.partial() else { return Ok(()) };
        if hashed.sha256() != file.sha256 {
            return self.wrong(&file, hashed.sha256()).await;
        }
        let store = self.store.clone();
        let arrival = blocking(move || {
            partial.commit()?;
            Ok::<_, StoreError>(Arrival::new(&store, &hashed))
        });
        let arrival = arrival.await.map_err(|error| self.full(error))?;
        file.set_partial(None);
        lock(&self.arrivals).0.push(arrival);
        lock(&self.board).finishing.retain(|other| !Arc::ptr_eq(other, &file));
        self.changed.notify_waiters();
        self.record(false).await;
        Ok(())
    }

    /// The file has another digest: it is thrown away and comes again in one stream, from the next source.
    async fn wrong(&self, file: &Arc<File>, found: Sha256) -> Result<(), SourceError> {
        let (error, is_last, count) = {
            let mut choice = file.choice();
            let origins = lock(&file.tally.from).clone();
            // The stream that was wrong as a whole is the current one's; before the first of these, they were mixed.
            let origin = if choice.wrong == 0 && !origins.is_empty() {
                origins.iter().map(|source| file.origin(*source)).collect::<Vec<_>>().join(", ")
            } else {
                file.origin(choice.current)
            };
            choice.wrong += 1;
            let most =
                usize::try_from(self.options.retry.tries).unwrap_or(usize::MAX).max(file.sources.len());
            let error = SourceError::Mismatch {
                origin,
                path: file.subject.clone(),
                expected: file.sha256.to_string(),
                found: found.to_string(),
            };
            let is_last = choice.wrong as usize > most;
            choice.next_after_wrong();
            (error, is_last, choice.wrong)
        };
        if is_last {
            if let Some(partial) = file.partial() {
                blocking(move || partial.discard()).await?;
            }
            file.set_partial(None);
            return Err(error);
        }
        self.progress.note(&file.subject, format!("{error}; thrown away and fetched again as a whole"));
        self.progress.lose(file.size);
        // Thrown away first: whoever stops the run in the wait leaves nothing wrong behind.
        file.restart().await?;
        let wait = Retry { tries: u32::MAX, ..self.options.retry }.wait(count, None);
        self.pause(wait.unwrap_or_default()).await;
        let mut board = lock(&self.board);
        board.finishing.retain(|other| !Arc::ptr_eq(other, file));
        board.open.push(Arc::clone(file));
        drop(board);
        self.changed.notify_waiters();
        self.look(file);
        Ok(())
    }

    /// A source of a file was given up: the next one is asked, or there is no file.
    pub(super) async fn leave(
        &self,
        file: &Arc<File>,
        source: usize,
        error: SourceError,
    ) -> Result<(), SourceError> {
        let said = error.to_string();
        let (is_left, is_first) = {
            let mut choice = file.choice();
            let is_first = choice.current == source;
            (choice.give_up(source, error), is_first)
        };
        if !is_left {
            let error = file.choice().take_error();
            if error.as_ref().is_some_and(|error| matches!(error, SourceError::Mismatch { .. }))
                && let Some(partial) = file.partial()
            {
                // Its source has another file: nothing of it is of use.
                blocking(move || partial.discard()).await?;
            }
            return Err(error.unwrap_or(SourceError::Cancelled));
        }
        if !is_first {
            return Ok(());
        }
        let (next, is_pure, may_range) = {
            let choice = file.choice();
            (file.origin(choice.current), choice.wrong > 0, choice.may_range())
        };
        self.progress.note(&file.subject, format!("{said}; `{next}` is asked"));
        if is_pure {
            // One stream of one source, so that it is known whose bytes were wrong.
            self.progress.lose(file.have().total());
            file.restart().await?;
        } else {
            file.plan().set_ranged(may_range);
        }
        Ok(())
    }

    /// Looks after files that other processes fetch.
    pub(super) async fn look_after_others(&self) -> Result<(), SourceError> {
        let mut idle_since = None;
        loop {
            self.pause(LOOK).await;
            let (held, is_idle) = {
                let board = lock(&self.board);
                if self.stop.is_cancelled() || board.is_over() {
                    return Ok(());
                }
                let others = board.waiting.len() + board.open.len() + board.opening + board.finishing.len();
                (board.held.first().map(|(file, _)| Arc::clone(file)), others == 0)
            };
            let Some(file) = held else { continue };
            if let Some(error) = self.try_again(&file).await? {
                let since = *idle_since.get_or_insert_with(Instant::now);
                if is_idle && since.elapsed() >= PATIENCE {
                    return Err(error.into());
                }
                if !is_idle {
                    idle_since = None;
                }
            } else {
                idle_since = None;
                self.changed.notify_waiters();
            }
        }
    }

    /// Whether another process has finished a file, or given it up. Gives the error when it is still busy.
    async fn try_again(&self, file: &Arc<File>) -> Result<Option<StoreError>, SourceError> {
        let opened = file.open(self.store, &self.pool).await;
        match opened {
            Ok(there) => self.opened(file, there).await.map(|()| None),
            Err(SourceError::Store(error @ StoreError::Busy { .. })) => Ok(Some(error)),
            Err(error) => Err(self.full(error)),
        }
    }

    /// A file whose partial file was opened: it has just become a blob, by another process, or is ours to fetch.
    pub(super) async fn opened(&self, file: &Arc<File>, there: u64) -> Result<(), SourceError> {
        let store = self.store.clone();
        let pin = FilePin {
            path: RelPath::new(&file.sha256.hex()).map_err(|error| SourceError::Invalid {
                origin: file.subject.clone(),
                reason: error.to_string(),
            })?,
            size: file.size,
            sha256: file.sha256,
        };
        // Whoever has the lock may look: it has just become a blob, or is ours to fetch.
        let mut verify = sovai_verifier::Options::new(self.options.threads);
        verify.cancel = self.stop.clone();
        let sha256 = file.sha256;
        let is_stored = blocking(move || {
            let found = check_stored(&store, &[pin], &verify, &NullReporter)?;
            Ok::<_, VerifyError>(found.get(&sha256) == Some(&Stored::Good))
        });
        let is_stored = match is_stored.await {
            Err(SourceError::Verify(VerifyError::Cancelled)) => return Ok(()),
            is_stored => is_stored?,
        };
        lock(&self.board).held.retain(|(other, _)| !Arc::ptr_eq(other, file));
        if !is_stored {
            lock(&self.board).open.push(Arc::clone(file));
            self.look(file);
            return Ok(());
        }
        file.tally.there.store(file.size, Ordering::Relaxed);
        self.progress.add(&file.subject, file.size - there.min(file.size));
        if let Some(partial) = file.partial() {
            file.hashing.idle().await;
            blocking(move || partial.discard()).await?;
            file.set_partial(None);
        }
        Ok(())
    }

    /// Writes receipts of what arrived; at the end until it is done, else now and then.
    pub(super) async fn record(&self, at_end: bool) {
        let tries = if at_end { 20 } else { 1 };
        for _ in 0..tries {
            let arrivals = {
                let mut arrivals = lock(&self.arrivals);
                if arrivals.0.is_empty() || (!at_end && arrivals.1.elapsed() < RECORD) {
                    return;
                }
                arrivals.1 = Instant::now();
                std::mem::take(&mut arrivals.0)
            };
            let store = self.store.clone();
            let recorded = blocking(move || {
                let recorded = record_arrivals(&store, &arrivals);
                Ok::<_, VerifyError>(recorded.err().map(|_| arrivals))
            });
            // Without a receipt a later run reads them once more; that is no reason to fail.
            let Ok(Some(again)) = recorded.await else { continue };
            lock(&self.arrivals).0.extend(again);
            if at_end {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// A disk that became full is told with what is needed.
    pub(super) fn full(&self, error: SourceError) -> SourceError {
        match (error, self.store.free_bytes()) {
            (SourceError::Store(StoreError::NoSpace { .. }), Ok(free)) => {
                let board = lock(&self.board);
                let files = board.waiting.iter().chain(&board.open).chain(&board.finishing);
                let needed = files.map(|file| file.size - file.have().total().min(file.size)).sum();
                SourceError::NoSpace { needed, free, path: self.store.root().to_owned() }
            }
            (error, _) => error,
        }
    }
}
