//! Plain lines, for logs and terminals that draw nothing.

use super::meter::{Meter, Speed, about};
use super::{counts_bytes, ending, words};
use crate::output::{safe_line, to_stderr};
use sovai_core::{Event, EventKind, Reporter, Step, format_bytes};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two progress lines of one step; also how long a step runs before its first one.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes a line for each step that begins, and a progress line now and then.
pub(super) struct PlainReporter {
    interval: Duration,
    last: Mutex<HashMap<Step, Instant>>,
    meters: Mutex<HashMap<Step, Meter>>,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

impl PlainReporter {
    /// Writes to standard error.
    pub(super) fn stderr() -> Self {
        Self::new(INTERVAL, to_stderr)
    }

    fn new(interval: Duration, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { interval, last: Mutex::default(), meters: Mutex::default(), write: Box::new(write) }
    }

    /// The rate of a step over bytes.
    fn speed(&self, event: &Event) -> Option<Speed> {
        let done = event.done.filter(|_| event.kind == EventKind::Progress && counts_bytes(event.step))?;
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.entry(event.step).or_default().see(Instant::now(), done, event.total)
    }

    /// Whether it is time for a line about the progress of a step.
    fn due(&self, step: Step) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.entry(step).or_insert(now);
        let due = now.duration_since(*before) >= self.interval;
        if due {
            *before = now;
        }
        due
    }
}

impl Reporter for PlainReporter {
    fn report(&self, event: Event) {
        let speed = self.speed(&event);
        let wanted = match event.kind {
            EventKind::Failed | EventKind::Note => true,
            EventKind::Progress => self.due(event.step),
            EventKind::Started => {
                // Starts the step's clock, so that the first progress line comes an interval later.
                !counts_bytes(event.step) && {
                    self.last
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(event.step, Instant::now());
                    true
                }
            }
            EventKind::Skipped => !counts_bytes(event.step),
            EventKind::Done => false,
        };
        if wanted {
            (self.write)(&line(&event, speed));
        }
    }
}

/// One event as a line.
fn line(event: &Event, speed: Option<Speed>) -> String {
    let mut line = format!("{} {}", words(event.step), safe_line(&event.subject));
    let ending = ending(event.kind);
    if !ending.is_empty() {
        line = format!("{line}: {ending}");
    }
    if let (EventKind::Progress, Some(done)) = (event.kind, event.done) {
        line = format!("{line}: {}", amount(event.step, done, event.total));
        if let Some(Speed { rate, eta }) = speed {
            line = format!("{line}, {}/s", format_bytes(rate));
            if let Some(eta) = eta {
                line = format!("{line}, about {} to go", about(eta));
            }
        }
    }
    // Why a step is taken stands in the plan and in the JSON lines.
    if let Some(message) = event.message.as_ref().filter(|_| event.kind != EventKind::Started) {
        line = format!("{line}: {}", safe_line(message));
    }
    line.push('\n');
    line
}

/// `1.2 GiB of 3.0 GiB (40%)`, `10 s of 60 s`.
fn amount(step: Step, done: u64, total: Option<u64>) -> String {
    let unit = |n: u64| if counts_bytes(step) { format_bytes(n) } else { format!("{} s", n / 1000) };
    let Some(total) = total else { return unit(done) };
    let mut text = format!("{} of {}", unit(done), unit(total));
    if counts_bytes(step) && total > 0 {
        let percent = u128::from(done.min(total)) * 100 / u128::from(total);
        text = format!("{text} ({percent}%)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn replay(interval: Duration, events: impl IntoIterator<Item = Event>) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let reporter = PlainReporter::new(interval, move |line| sink.lock().unwrap().push_str(line));
        for event in events {
            reporter.report(event);
        }
        text.lock().unwrap().clone()
    }

    fn deploy() -> Vec<Event> {
        let mut waiting = Event::progress(Step::WaitReady, "engine", 10_500, 60_000);
        waiting.message = Some("503 Loading model".to_owned());
        vec![
            Event::new(EventKind::Started, Step::Verify, "assistant"),
            Event::progress(Step::Verify, "a\nb\x1b[2J.gguf", 3 << 30, 4 << 30),
            Event::new(EventKind::Done, Step::Verify, "assistant"),
            Event::new(EventKind::Skipped, Step::CreateNetwork, "sovai-x-g1"),
            Event::new(EventKind::Started, Step::WaitReady, "engine"),
            waiting,
            Event::new(EventKind::Done, Step::WaitReady, "engine"),
            Event::new(EventKind::Failed, Step::Ask, "assistant").message("no answer"),
        ]
    }

    #[test]
    fn steps_and_failures_have_their_line() {
        insta::assert_snapshot!(replay(Duration::from_hours(1), deploy()), @r"
        creating network sovai-x-g1: unchanged
        waiting until ready: engine
        asking model assistant: failed: no answer
        ");
    }

    #[test]
    fn progress_names_what_is_done_and_what_there_is() {
        insta::assert_snapshot!(replay(Duration::ZERO, deploy()), @r"
        verifying a\nb\u{1b}[2J.gguf: 3.0 GiB of 4.0 GiB (75%)
        creating network sovai-x-g1: unchanged
        waiting until ready: engine
        waiting until ready: engine: 10 s of 60 s: 503 Loading model
        asking model assistant: failed: no answer
        ");
    }

    #[test]
    fn a_line_about_bytes_has_the_rate_and_the_time_to_go() {
        let event = Event::progress(Step::Verify, "a.gguf", 1 << 30, 4 << 30);
        assert_eq!(
            line(&event, Some(Speed { rate: 64 << 20, eta: Some(48) })),
            "verifying a.gguf: 1.0 GiB of 4.0 GiB (25%), 64.0 MiB/s, about 50 s to go\n"
        );
        assert_eq!(
            line(&event, Some(Speed { rate: 0, eta: None })),
            "verifying a.gguf: 1.0 GiB of 4.0 GiB (25%), 0 B/s\n"
        );
    }

    #[test]
    fn a_thousand_files_are_not_a_thousand_lines() {
        let events = (0..1000).flat_map(|n| {
            let file = format!("{n}.bin");
            [
                Event::new(EventKind::Started, Step::Verify, &*file),
                Event::progress(Step::Verify, &*file, 1, 1),
                Event::new(EventKind::Done, Step::Verify, &*file),
            ]
        });
        assert_eq!(replay(Duration::from_hours(1), events), "");
    }
}
