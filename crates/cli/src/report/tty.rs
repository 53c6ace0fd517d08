//! Bars on a terminal: bytes, rate and time to go; a bar for each step that is under way.

use super::meter::{Meter, about};
use super::{counts_bytes, ending, words};
use crate::output::safe_line;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sovai_core::{Event, EventKind, Reporter, Step, format_bytes};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Redraws a second, at most.
const RATE: u8 = 10;
/// What is over sooner is never drawn.
const DELAY: Duration = Duration::from_millis(250);
/// More bars than this would push the rest off a small terminal.
const MAX_BARS: usize = 8;
/// Time between two turns of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// Draws events as bars on standard error; clears them when it is dropped.
pub(super) struct TtyReporter {
    bars: MultiProgress,
    state: Mutex<HashMap<(Step, String), Entry>>,
    delay: Duration,
}

struct Entry {
    since: Instant,
    bar: Option<ProgressBar>,
    /// The rate that the other views show too: indicatif's own counts what was done before the bar was there.
    meter: Meter,
}

impl TtyReporter {
    /// Draws on standard error.
    pub(super) fn stderr() -> Self {
        Self::new(ProgressDrawTarget::stderr_with_hz(RATE), DELAY)
    }

    fn new(target: ProgressDrawTarget, delay: Duration) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), state: Mutex::default(), delay }
    }

    fn advance(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = state.values().filter(|entry| entry.bar.is_some()).count();
        let entry = state.entry(key(event)).or_insert_with(|| Entry {
            since: Instant::now(),
            bar: None,
            meter: Meter::default(),
        });
        // Also before there is a bar: the rate counts from the first byte.
        let bytes = counts_bytes(event.step).then(|| bytes_line(&mut entry.meter, event));
        if entry.bar.is_none() && shown < MAX_BARS && entry.since.elapsed() >= self.delay {
            let bar = self.bars.add(ProgressBar::no_length());
            bar.set_style(look(event.step));
            if counts_bytes(event.step) {
                bar.set_prefix(words(event.step));
            } else {
                bar.set_prefix(format!("{} {}", words(event.step), safe_line(&event.subject)));
                bar.enable_steady_tick(TICK);
            }
            entry.bar = Some(bar);
        }
        let Some(bar) = &entry.bar else { return };
        if let Some(line) = bytes {
            bar.set_message(line);
            // Another run over bytes: the next model.
            if bar.length().zip(event.total).is_some_and(|(before, total)| before != total) {
                bar.reset();
            }
        }
        if let Some(total) = event.total {
            bar.set_length(total);
        }
        if let Some(done) = event.done {
            // Never backwards: threads report out of order.
            bar.set_position(done.max(bar.position()));
        }
        if let Some(message) = &event.message {
            bar.set_message(safe_line(message));
        }
    }

    fn end(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = state.remove(&key(event)).and_then(|entry| entry.bar);
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// A line that stays, above the bars.
    fn keep(&self, event: &Event) {
        let mut line = format!("{} {}", words(event.step), safe_line(&event.subject));
        for more in [ending(event.kind), event.message.as_deref().unwrap_or_default()] {
            if !more.is_empty() {
                line = format!("{line}: {}", safe_line(more));
            }
        }
        // A terminal that is gone shows nothing.
        drop(self.bars.println(line));
    }
}

impl Reporter for TtyReporter {
    fn report(&self, event: Event) {
        match event.kind {
            // Steps over bytes tell their end by their numbers.
            EventKind::Progress if counts_bytes(event.step) && event.done == event.total => self.end(&event),
            EventKind::Started | EventKind::Progress => self.advance(&event),
            EventKind::Done | EventKind::Skipped => {
                self.end(&event);
                if event.kind == EventKind::Done && !counts_bytes(event.step) {
                    self.keep(&event);
                }
            }
            EventKind::Failed => {
                self.end(&event);
                self.keep(&event);
            }
            EventKind::Note => self.keep(&event),
        }
    }
}

impl Drop for TtyReporter {
    fn drop(&mut self) {
        // A terminal that is gone needs no clearing.
        drop(self.bars.clear());
    }
}

/// What has a bar of its own: a step over bytes as a whole, any other step for each of its subjects.
fn key(event: &Event) -> (Step, String) {
    (event.step, if counts_bytes(event.step) { String::new() } else { event.subject.clone() })
}

/// `30% of 4.0 GiB, 104.9 MiB/s, 35 s to go  m.gguf`: short, so that the name stays in sight on 80 columns.
fn bytes_line(meter: &mut Meter, event: &Event) -> String {
    let speed = event.done.and_then(|done| meter.see(Instant::now(), done, event.total));
    let mut parts = Vec::new();
    match (event.done, event.total) {
        (Some(done), Some(total)) if total > 0 => {
            let percent = u128::from(done.min(total)) * 100 / u128::from(total);
            parts.push(format!("{percent}% of {}", format_bytes(total)));
        }
        (Some(done), None) => parts.push(format_bytes(done)),
        _ => {}
    }
    if let Some(speed) = speed {
        parts.push(format!("{}/s", format_bytes(speed.rate)));
        parts.extend(speed.eta.map(|eta| format!("{} to go", about(eta))));
    }
    let figures = parts.join(", ");
    let gap = if figures.is_empty() { "" } else { "  " };
    format!("{figures}{gap}{}", safe_line(&event.subject))
}

fn look(step: Step) -> ProgressStyle {
    // A wide message ends with the row: never a second one.
    let template = if counts_bytes(step) {
        "{prefix:.bold} [{bar:8}] {wide_msg}"
    } else {
        "{spinner} {prefix:.bold} {elapsed} {msg}"
    };
    // The templates above are right: a test draws each of them.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
#[path = "tty/tests.rs"]
mod tests;
