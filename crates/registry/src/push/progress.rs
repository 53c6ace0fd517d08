//! How far a push is, over all blobs, and how fast it may be.

use sovai_core::{Event, EventKind, Reporter, Step};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two events of progress.
const PAUSE: Duration = Duration::from_millis(200);

/// The progress of all blobs.
pub(super) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    subject: &'a str,
    total: u64,
    /// How far each blob is.
    blobs: Vec<Arc<AtomicU64>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(reporter: &'a dyn Reporter, subject: &'a str, total: u64, blobs: usize) -> Self {
        Self { reporter, subject, total, blobs: (0..blobs).map(|_| Arc::default()).collect() }
    }

    /// What counts the bytes of one blob.
    pub(super) fn of(&self, number: usize) -> Arc<AtomicU64> {
        self.blobs.get(number).cloned().unwrap_or_default()
    }

    /// Tells how far it is, for ever. Bytes that a registry lost are sent again, and are not taken back from people.
    pub(super) async fn tell(&self) -> Infallible {
        let mut told = 0;
        loop {
            tokio::time::sleep(PAUSE).await;
            let done =
                self.blobs.iter().map(|blob| blob.load(Ordering::Relaxed)).fold(0, u64::saturating_add);
            if done > told {
                told = done;
                self.reporter.report(Event::progress(
                    Step::Push,
                    self.subject,
                    done.min(self.total),
                    self.total,
                ));
            }
        }
    }

    /// Something that a person should know.
    pub(super) fn note(&self, message: String) {
        self.reporter.report(Event::new(EventKind::Note, Step::Push, self.subject).message(message));
    }
}

/// Shares out bytes a second among all that send.
pub(super) struct Pace {
    rate: u64,
    /// When the next byte may go.
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits until so many bytes may go.
    pub(super) async fn take(&self, bytes: u64) {
        let start = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let start = (*next).max(Instant::now());
            let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
            *next = start + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            start
        };
        tokio::time::sleep_until(start.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_share_one_rate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pace = Pace::new(1_000_000);
            let start = Instant::now();
            // The first goes at once; each of the others waits for those before it.
            futures_util::future::join_all((0..5).map(|_| pace.take(10_000))).await;
            assert!(start.elapsed() >= Duration::from_millis(40));
        });
    }
}
