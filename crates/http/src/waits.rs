//! Who hears of waits between two tries.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Shorter waits are not worth a word.
const WORTH_A_NOTE: Duration = Duration::from_secs(1);

/// Takes what failed and a sentence.
type Hear = dyn Fn(&str, String) + Send + Sync;

/// Who hears of waits between two tries; nobody by default.
#[derive(Clone, Default)]
pub struct Waits(Option<Arc<Hear>>);

impl Waits {
    /// Tells each wait of a second or more: what was asked, and why it waits for how long.
    pub fn told_to(hear: impl Fn(&str, String) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Something failed, and is tried again after `wait`.
    pub fn note(&self, subject: &str, error: &dyn Error, wait: Duration) {
        if let Some(hear) = self.0.as_ref().filter(|_| wait >= WORTH_A_NOTE) {
            hear(subject, format!("{}; tried again in {:.0} s", chain(error), wait.as_secs_f64()));
        }
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waits").field(&self.0.is_some()).finish()
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
