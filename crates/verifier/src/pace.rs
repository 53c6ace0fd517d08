//! How much of a machine a run may take: bytes a second, and its place among other processes.

use crate::Cancel;
use crate::error::VerifyError;
use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest sleep before somebody who waits looks whether the run was stopped.
const NAP: Duration = Duration::from_millis(50);
/// Time that was not used is forgotten beyond this: a run that paused must not catch up in one burst.
const CREDIT: Duration = Duration::from_millis(100);

/// For practical purposes.
const NEVER: Duration = Duration::from_hours(1000 * 24);

/// A limit of the bytes a second over all threads of all runs that share it; clones are the same limit.
///
/// The average over time is exact; at any moment the run is ahead of it by at most one read of each thread and by what
/// a tenth of a second allows.
#[derive(Debug, Clone, Default)]
pub struct Pace(Option<Arc<Bucket>>);

#[derive(Debug)]
struct Bucket {
    rate: NonZeroU64,
    state: Mutex<State>,
}

/// Bytes that were given out since `since`; so the next are due at `since + taken / rate`, without rounding that adds up.
#[derive(Debug)]
struct State {
    since: Option<Instant>,
    taken: u64,
}

impl Pace {
    /// At most so many bytes a second.
    pub fn limited(rate: NonZeroU64) -> Self {
        Self(Some(Arc::new(Bucket { rate, state: Mutex::new(State { since: None, taken: 0 }) })))
    }

    /// As fast as it goes.
    pub const fn unlimited() -> Self {
        Self(None)
    }

    /// Whether there is a limit.
    pub const fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Counts so many bytes and gives the moment from which they may be read, for who waits in another way than by sleeping;
    /// nothing without a limit.
    pub fn reserve(&self, bytes: u64) -> Option<Instant> {
        self.0.as_ref().map(|bucket| bucket.reserve(bytes, Instant::now()))
    }

    /// Waits until so many more bytes may be read. Ends early, with an error, when the run is stopped.
    pub(crate) fn take(&self, bytes: u64, cancel: &Cancel) -> Result<(), VerifyError> {
        let Some(bucket) = &self.0 else { return Ok(()) };
        let due = bucket.reserve(bytes, Instant::now());
        loop {
            cancel.check()?;
            let rest = due.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(NAP));
        }
    }
}

impl Bucket {
    /// When the bytes may be read.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *state.since.get_or_insert(now);
        // Out of the clock's range is later than anybody waits.
        let due = since.checked_add(self.time(state.taken)).unwrap_or(now + NEVER);
        if now.saturating_duration_since(due) > CREDIT || state.taken > u64::MAX / 2 {
            // Long unused: the account begins anew.
            let since = now.checked_sub(CREDIT).unwrap_or(now);
            *state = State { since: Some(since), taken: bytes };
            return now;
        }
        state.taken = state.taken.saturating_add(bytes);
        due
    }

    /// How long so many bytes take.
    fn time(&self, bytes: u64) -> Duration {
        let rate = self.rate.get();
        let nanos = u128::from(bytes % rate) * 1_000_000_000 / u128::from(rate);
        Duration::new(bytes / rate, u32::try_from(nanos).unwrap_or(0))
    }
}

/// Lowers the priority of the calling thread, and of all threads that it starts from then on, by `by` steps of 19; other
/// work on the machine then goes first. It cannot be taken back without privileges.
///
/// On Linux a priority belongs to a thread: call it before any other thread is started (`nice(2)`, "C library/kernel
/// differences").
pub fn lower_priority(by: u8) -> Result<(), io::Error> {
    rustix::process::nice(i32::from(by.min(19)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bucket(rate: u64) -> Bucket {
        let rate = NonZeroU64::new(rate).unwrap();
        Bucket { rate, state: Mutex::new(State { since: None, taken: 0 }) }
    }

    #[test]
    fn the_average_is_exact_also_when_the_rate_divides_nothing() {
        let bucket = bucket(3_333_333);
        let now = Instant::now();
        let mut due = now;
        for _ in 0..100_000 {
            due = bucket.reserve(128 << 10, now);
        }
        let expected = Duration::from_nanos(99_999 * (128 << 10) * 1_000_000_000 / 3_333_333);
        assert_eq!(due - now, expected);
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let bucket = bucket(MIB);
        let start = Instant::now();
        assert_eq!(bucket.reserve(MIB, start), start);
        let later = start + Duration::from_hours(1);
        assert_eq!(bucket.reserve(MIB, later), later);
        let next = bucket.reserve(MIB, later);
        assert_eq!(next - later, Duration::from_millis(900));
    }

    #[test]
    fn a_wait_ends_when_the_run_is_stopped() {
        let pace = Pace::limited(NonZeroU64::MIN);
        let cancel = Cancel::default();
        pace.take(1 << 40, &cancel).unwrap();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                cancel.cancel();
            });
            assert!(matches!(pace.take(1, &cancel), Err(VerifyError::Cancelled)));
        });
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
