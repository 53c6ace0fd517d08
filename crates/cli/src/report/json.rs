//! One JSON object a line: the event stream for programs. The format is documented in `docs/events.md`.

use super::counts_bytes;
use super::meter::Meter;
use crate::output::{safe_json, to_stderr};
use jiff::{Timestamp, Unit};
use serde::Serialize;
use sovai_core::{Event, EventKind, Reporter, Step};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Version of the lines.
const VERSION: u32 = 1;
/// Shortest time between two progress lines of one step.
const INTERVAL: Duration = Duration::from_millis(100);

/// Writes each event as a line.
pub(super) struct JsonReporter {
    state: Mutex<State>,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Default)]
struct State {
    seq: u64,
    last: HashMap<Step, Instant>,
    meters: HashMap<Step, Meter>,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    time: String,
    #[serde(rename = "type")]
    kind: EventKind,
    step: Step,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Bytes a second, smoothed.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    /// Seconds to go at that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<u64>,
}

impl JsonReporter {
    /// Writes to standard error.
    pub(super) fn stderr() -> Self {
        Self::new(to_stderr)
    }

    fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), write: Box::new(write) }
    }
}

impl Reporter for JsonReporter {
    fn report(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if event.kind == EventKind::Progress && event.done != event.total {
            let now = Instant::now();
            if state.last.get(&event.step).is_some_and(|last| now.duration_since(*last) < INTERVAL) {
                return;
            }
            state.last.insert(event.step, now);
        }
        let done = event.done.filter(|_| event.kind == EventKind::Progress && counts_bytes(event.step));
        let speed = done.and_then(|done| {
            state.meters.entry(event.step).or_default().see(Instant::now(), done, event.total)
        });
        let line = Line {
            v: VERSION,
            seq: state.seq,
            time: time(Timestamp::now()),
            kind: event.kind,
            step: event.step,
            subject: &event.subject,
            done: event.done,
            total: event.total,
            message: event.message.as_deref(),
            rate: speed.map(|speed| speed.rate),
            eta: speed.and_then(|speed| speed.eta),
        };
        if let Ok(text) = serde_json::to_string(&line) {
            let mut text = safe_json(&text);
            text.push('\n');
            state.seq += 1;
            // Written under the lock: lines stand in the order of their numbers.
            (self.write)(&text);
        }
    }
}

/// UTC with milliseconds (RFC 3339).
pub(crate) fn time(now: Timestamp) -> String {
    let now = now.round(Unit::Millisecond).unwrap_or(now);
    format!("{now:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn lines_are_numbered_and_progress_is_thinned() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reporter = JsonReporter::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        reporter.report(Event::new(EventKind::Started, Step::Verify, "a\x1b"));
        for done in 0..=1000 {
            reporter.report(Event::progress(Step::Verify, "a\x1b", done, 1000));
        }
        reporter.report(Event::new(EventKind::Done, Step::Verify, "a\x1b").message("fine"));
        let lines = lines.lock().unwrap();
        let values: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (seq, value) in values.iter().enumerate() {
            assert_eq!(value["v"], 1);
            assert_eq!(value["seq"], seq);
            assert_eq!(value["subject"], "a\x1b");
        }
        assert_eq!(values.first().unwrap()["type"], "started");
        assert_eq!(values.last().unwrap()["message"], "fine");
        assert!(values.len() < 500, "progress is written at most ten times a second, found {}", values.len());
        assert!(values.iter().any(|value| value["done"] == 1000), "the last progress is always written");
        assert!(lines.iter().all(|line| !line.contains('\x1b') && line.ends_with('\n')));
    }

    #[test]
    fn time_is_utc_with_milliseconds() {
        let instant: Timestamp = "2026-01-02T03:04:05.6789Z".parse().unwrap();
        assert_eq!(time(instant), "2026-01-02T03:04:05.679Z");
    }
}
