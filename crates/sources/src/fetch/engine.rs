//! Who does what: connections, and the files between them.

use super::file::{File, lock};
use super::hashing::Pool;
use super::plan::Lane;
use super::progress::Progress;
use super::{FetchOptions, LEAST_SHARE, LOOK, SEGMENT};
use crate::SourceError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sovai_store::{Store, StoreError};
use sovai_verifier::{Arrival, Cancel, Pace};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

/// One run.
pub(super) struct Engine<'a> {
    pub(super) store: &'a Store,
    pub(super) options: &'a FetchOptions,
    pub(super) progress: Progress<'a>,
    pub(super) pool: Pool,
    pub(super) pace: Pace,
    pub(super) board: Mutex<Board>,
    /// There may be something to do for who had nothing.
    pub(super) changed: Notify,
    pub(super) stop: Cancel,
    stopping: watch::Sender<bool>,
    complete: mpsc::UnboundedSender<Arc<File>>,
    pub(super) arrivals: Mutex<(Vec<Arrival>, Instant)>,
}

/// Where the files are.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) waiting: VecDeque<Arc<File>>,
    /// Being opened just now.
    pub(super) opening: usize,
    pub(super) open: Vec<Arc<File>>,
    /// All bytes are there; hashed, and given their name.
    pub(super) finishing: Vec<Arc<File>>,
    /// Another process fetches them.
    pub(super) held: Vec<(Arc<File>, StoreError)>,
}

/// What a connection does next.
enum Next {
    Open(Arc<File>),
    Work(Arc<File>, Lane),
    Wait,
    End,
}

/// What the engine's parts are.
type Task<'t> = std::pin::Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send + 't>>;

impl<'a> Engine<'a> {
    pub(super) fn new(
        files: Vec<Arc<File>>,
        store: &'a Store,
        options: &'a FetchOptions,
        progress: Progress<'a>,
    ) -> (Self, mpsc::UnboundedReceiver<Arc<File>>) {
        let stop = Cancel::default();
        let (complete, completed) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(options.threads.get().min(Semaphore::MAX_PERMITS)));
        let engine = Self {
            store,
            options,
            progress,
            pool: Pool { permits, stop: stop.clone() },
            pace: options.limit_rate.map_or_else(Pace::unlimited, Pace::limited),
            board: Mutex::new(Board { waiting: files.into(), ..Board::default() }),
            changed: Notify::new(),
            stop,
            stopping: watch::Sender::new(false),
            complete,
            arrivals: Mutex::new((Vec::new(), Instant::now())),
        };
        (engine, completed)
    }

    pub(super) async fn go(
        &self,
        mut completed: mpsc::UnboundedReceiver<Arc<File>>,
    ) -> Result<(), SourceError> {
        let mut tasks: FuturesUnordered<Task<'_>> = FuturesUnordered::new();
        for _ in 0..self.options.connections.get() {
            tasks.push(Box::pin(self.work()));
        }
        tasks.push(Box::pin(self.look_after_others()));
        let mut failed = None;
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                ended = tasks.next() => match ended {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        // What the stop makes of others is no news.
                        failed.get_or_insert(error);
                        self.halt();
                    }
                },
                Some(file) = completed.recv() => tasks.push(Box::pin(self.finish(file))),
                _ = look.tick() => if self.options.cancel.is_cancelled() { self.halt() },
            }
        }
        for file in self.open_files() {
            file.hashing.idle().await;
        }
        self.record(true).await;
        if let Some(error) = failed {
            return Err(error);
        }
        if self.options.cancel.is_cancelled() && !self.is_over() {
            return Err(SourceError::Cancelled);
        }
        self.progress.finish(&self.store.root().to_string_lossy());
        Ok(())
    }

    /// Lets everybody write what is in memory, and end.
    fn halt(&self) {
        self.stop.cancel();
        self.stopping.send_replace(true);
        self.changed.notify_waiters();
    }

    /// Ends when the run is to stop.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`.
        drop(self.stopping.subscribe().wait_for(|stop| *stop).await);
    }

    /// Waits, but not longer than the run goes on.
    pub(super) async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stopped() => {}
        }
    }

    /// One connection: takes what is to be done, until nothing is left.
    async fn work(&self) -> Result<(), SourceError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.next() {
                Next::End => return Ok(()),
                Next::Work(file, lane) => {
                    self.run(&file, lane).await?;
                    self.changed.notify_waiters();
                }
                Next::Open(file) => {
                    let opened = self.open(&file).await;
                    lock(&self.board).opening -= 1;
                    self.changed.notify_waiters();
                    opened?;
                }
                Next::Wait => changed.await,
            }
        }
    }

    fn next(&self) -> Next {
        let mut board = lock(&self.board);
        if self.stop.is_cancelled() || board.is_over() {
            return Next::End;
        }
        // One connection for each file first, the files that are begun before others.
        let is_shared = board.waiting.len() + board.open.len() < self.options.connections.get();
        let segment = is_shared.then_some(SEGMENT);
        for file in &board.open {
            let mut plan = file.plan();
            if plan.is_idle()
                && let Some(lane) = plan.take(segment)
            {
                drop(plan);
                return Next::Work(Arc::clone(file), lane);
            }
        }
        if let Some(file) = board.waiting.pop_front() {
            board.opening += 1;
            return Next::Open(file);
        }
        for file in &board.open {
            if let Some(lane) = file.plan().take(segment) {
                return Next::Work(Arc::clone(file), lane);
            }
        }
        for file in &board.open {
            if let Some(lane) = file.plan().steal(LEAST_SHARE, SEGMENT) {
                return Next::Work(Arc::clone(file), lane);
            }
        }
        Next::Wait
    }

    async fn open(&self, file: &Arc<File>) -> Result<(), SourceError> {
        match file.open(self.store, &self.pool).await {
            // Another process may have finished it since it was looked for.
            Ok(there) if self.store.has_blob(&file.sha256) => return self.opened(file, there).await,
            Ok(_) => {}
            Err(SourceError::Store(error @ StoreError::Busy { .. })) => {
                lock(&self.board).held.push((Arc::clone(file), error));
                return Ok(());
            }
            Err(error) => return Err(self.full(error)),
        }
        lock(&self.board).open.push(Arc::clone(file));
        self.look(file);
        Ok(())
    }

    /// Hands a file on when all its bytes are there.
    pub(super) fn look(&self, file: &Arc<File>) {
        let mut board = lock(&self.board);
        if let Some(at) = board.open.iter().position(|open| Arc::ptr_eq(open, file))
            && file.plan().is_done()
        {
            let file = board.open.swap_remove(at);
            board.finishing.push(Arc::clone(&file));
            // The receiver lives as long as the run.
            drop(self.complete.send(file));
        }
    }

    fn open_files(&self) -> Vec<Arc<File>> {
        let board = lock(&self.board);
        board.open.iter().chain(&board.finishing).cloned().collect()
    }

    fn is_over(&self) -> bool {
        lock(&self.board).is_over()
    }
}

impl Board {
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty()
            && self.opening == 0
            && self.open.is_empty()
            && self.finishing.is_empty()
            && self.held.is_empty()
    }
}
