//! How often and after which wait something is tried again.

use std::time::Duration;

/// The most that a server's `Retry-After` is heeded.
const LONGEST_PATIENCE: Duration = Duration::from_mins(5);

/// How often and after which wait something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries in a row without success before it is given up, at least 1.
    pub tries: u32,
    /// The wait before the second try; it doubles with each.
    pub first: Duration,
    /// The longest wait of our own.
    pub most: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 10, first: Duration::from_millis(200), most: Duration::from_secs(5) }
    }
}

impl Retry {
    /// One try only.
    pub const ONCE: Self = Self { tries: 1, first: Duration::ZERO, most: Duration::ZERO };

    /// How long to wait after so many failures in a row (1 after the first); `None`: given up. What the server asks for is
    /// heeded up to five minutes.
    pub fn wait(&self, failures: u32, asked: Option<Duration>) -> Option<Duration> {
        if failures >= self.tries {
            return None;
        }
        let doubled =
            self.first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.most);
        Some(asked.map_or(own, |asked| asked.min(LONGEST_PATIENCE).max(own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry::default();
        let waits: Vec<_> =
            (1..=10).map(|failures| retry.wait(failures, None).map(|w| w.as_millis())).collect();
        let expected = [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000].map(Some);
        assert_eq!(waits[..9], expected);
        assert_eq!(waits[9], None);
    }

    #[test]
    fn a_server_is_heeded_but_not_for_ever() {
        let retry = Retry::default();
        assert_eq!(retry.wait(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(retry.wait(1, Some(Duration::ZERO)), Some(Duration::from_millis(200)));
        assert_eq!(retry.wait(1, Some(Duration::from_hours(24))), Some(LONGEST_PATIENCE));
    }
}
