//! The gateway's log: JSON lines on standard output, written by a thread of their own.
//!
//! Requests never wait for the log: when its reader does not keep up, lines are dropped and counted.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Printer;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sovai_gateway::Record;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines that wait to be written; about a quarter of a megabyte.
const WAITING: usize = 1024;
/// For how long lines are gathered before they are written together. Waking this thread and writing for each line took
/// more than a quarter of the time on a core that a small answer costs. 50,000 lines a second still fit into what may wait.
const GATHER: Duration = Duration::from_millis(10);

/// The serving side.
pub(super) struct Log {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// The writing side.
pub(super) struct Writer(JoinHandle<()>);

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a Record,
}

/// Starts the writing thread.
pub(super) fn start(out: Printer) -> Result<(Log, Writer), CliError> {
    let (lines, waiting) = sync_channel::<String>(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let lost = Arc::clone(&dropped);
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        while let Ok(mut lines) = waiting.recv() {
            std::thread::sleep(GATHER);
            for line in waiting.try_iter() {
                lines.push_str(&line);
            }
            // A log that nobody takes must not stop the gateway.
            drop(out.data(lines.as_bytes()));
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                drop(out.json_line(&json!({ "time": now(), "type": "log-dropped", "lines": lost })));
            }
        }
    });
    let thread = thread.map_err(|error| {
        CliError::new(Exit::Internal, "the thread of the log cannot start").source(&error)
    })?;
    Ok((Log { lines, dropped }, Writer(thread)))
}

impl Log {
    /// Takes one record; never blocks.
    pub(super) fn record(&self, record: &Record) {
        let Ok(mut line) = serde_json::to_string(&Line { time: now(), record }) else { return };
        line.push('\n');
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until all is written; the serving side must be gone.
    pub(super) fn finish(self) {
        // A panic of the thread has been shown already.
        drop(self.0.join());
    }
}

fn now() -> String {
    crate::report::time(Timestamp::now())
}
