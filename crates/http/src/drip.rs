//! A body that brings next to nothing is given up, though it never falls silent.

use crate::error::HttpError;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The slowest that a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowest {
    /// So many bytes at least,
    pub bytes: u64,
    /// in this time of waiting for them. What the reader does with them in between does not count.
    pub within: Duration,
}

impl Default for Slowest {
    fn default() -> Self {
        Self { bytes: 4 << 10, within: Duration::from_mins(1) }
    }
}

/// A body's pieces, until it gets too slow.
pub(crate) struct Watched<S> {
    pieces: Pin<Box<S>>,
    url: String,
    slowest: Slowest,
    /// Bytes of this stretch, and how long they were waited for.
    came: u64,
    waited: Duration,
    /// Since when there is nothing to read.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(pieces: S, url: String, slowest: Slowest) -> Self {
        let (pieces, waited) = (Box::pin(pieces), Duration::ZERO);
        Self { pieces, url, slowest, came: 0, waited, since: None, timer: None, is_over: false }
    }

    /// Something came: the wait for it is over.
    fn seen(&mut self, bytes: u64) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
        self.came = self.came.saturating_add(bytes);
        if self.came >= self.slowest.bytes {
            (self.came, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Nothing is there: `Ready` once that was so for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.since.is_none() {
            let now = Instant::now();
            let until = now + self.slowest.within.saturating_sub(self.waited);
            self.since = Some(now);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(until),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(context))
    }
}

impl<S: Stream<Item = Result<Bytes, HttpError>>> Stream for Watched<S> {
    type Item = Result<Bytes, HttpError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(piece) = this.pieces.as_mut().poll_next(context) {
            this.seen(match &piece {
                Some(Ok(piece)) => piece.len() as u64,
                _ => 0,
            });
            return Poll::Ready(piece);
        }
        if this.wait(context).is_pending() {
            return Poll::Pending;
        }
        this.is_over = true;
        let Slowest { bytes, within } = this.slowest;
        Poll::Ready(Some(Err(HttpError::Slow { url: this.url.clone(), bytes, within })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    const SLOWEST: Slowest = Slowest { bytes: 100, within: Duration::from_millis(600) };

    /// So many pieces of so many bytes, each after its wait.
    fn body(count: usize, length: usize, wait: u64) -> Watched<impl Stream<Item = Result<Bytes, HttpError>>> {
        let pieces = futures_util::stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            Ok(Bytes::from(vec![0; length]))
        });
        Watched::new(pieces, "https://hub.example/x".to_owned(), SLOWEST)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_drip_ends_once_it_was_waited_for_long_enough() {
        let start = std::time::Instant::now();
        let all: Vec<_> = block_on(body(90, 1, 20).collect());
        let (took, last) = (start.elapsed(), all.last().unwrap());
        assert!(all.len() > 1 && all.len() < 90 && took >= SLOWEST.within, "{} {took:?}", all.len());
        let Err(error) = last else { panic!("{last:?}") };
        assert!(error.is_slow() && error.is_transient(), "{error:?}");
        assert_eq!(error.to_string(), "https://hub.example/x: less than 100 bytes came in 0.6 s of waiting");
    }

    #[test]
    fn enough_bytes_begin_the_count_anew() {
        let all: Vec<_> = block_on(body(10, 100, 100).collect());
        assert!(all.len() == 10 && all.iter().all(Result::is_ok), "{all:?}");
    }

    #[test]
    fn a_reader_that_takes_its_time_costs_the_server_nothing() {
        let mut pieces = body(10, 1, 1);
        let seen = block_on(async {
            let mut seen = 0;
            while let Some(piece) = pieces.next().await {
                piece.unwrap();
                seen += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            seen
        });
        assert_eq!(seen, 10);
    }
}
