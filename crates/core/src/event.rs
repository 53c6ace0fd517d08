//! The one stream of events that feeds the human view, the JSON lines and the report.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Mutex;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A step begins.
    Started,
    /// A step is under way: `done` of `total`.
    Progress,
    /// A step is over and did its work.
    Done,
    /// A step found nothing to do.
    Skipped,
    /// A step failed; the command's result says why.
    Failed,
    /// Something a person should know that is no step of its own.
    Note,
}

/// The steps of a run, in the words that events use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the words of the commands' documentation")]
pub enum Step {
    Lock,
    Pull,
    Push,
    Import,
    Verify,
    Store,
    Preflight,
    GatewayImage,
    LoadImage,
    StoreCheck,
    CreateNetwork,
    CreateContainer,
    StopContainer,
    StartContainer,
    WaitReady,
    Ask,
    RemoveContainer,
    RemoveNetwork,
    RemoveImage,
    Record,
    Undo,
    Bundle,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lock => "lock",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Import => "import",
            Self::Verify => "verify",
            Self::Store => "store",
            Self::Preflight => "preflight",
            Self::GatewayImage => "gateway-image",
            Self::LoadImage => "load-image",
            Self::StoreCheck => "store-check",
            Self::CreateNetwork => "create-network",
            Self::CreateContainer => "create-container",
            Self::StopContainer => "stop-container",
            Self::StartContainer => "start-container",
            Self::WaitReady => "wait-ready",
            Self::Ask => "ask",
            Self::RemoveContainer => "remove-container",
            Self::RemoveNetwork => "remove-network",
            Self::RemoveImage => "remove-image",
            Self::Record => "record",
            Self::Undo => "undo",
            Self::Bundle => "bundle",
        })
    }
}

/// One thing that happened. Sequence number and time are added where the stream is written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// In which step.
    pub step: Step,
    /// To what: a file, a container, a network.
    pub subject: String,
    /// How much of `total` is done; bytes in `pull`, `push`, `verify`, `store` and `load-image`, milliseconds waited in `wait-ready`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub done: Option<u64>,
    /// How much there is in all, in the unit of `done`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// A short sentence for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

impl Event {
    /// An event without numbers or message.
    pub fn new(kind: EventKind, step: Step, subject: impl Into<String>) -> Self {
        Self { kind, step, subject: subject.into(), done: None, total: None, message: None }
    }

    /// A progress event: `done` of `total`.
    pub fn progress(step: Step, subject: impl Into<String>, done: u64, total: u64) -> Self {
        Self { done: Some(done), total: Some(total), ..Self::new(EventKind::Progress, step, subject) }
    }

    /// Adds a sentence for people.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// Takes events. Called from several threads; must not block for long.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullReporter;

impl Reporter for NullReporter {
    fn report(&self, _event: Event) {}
}

/// Keeps every event, for tests and reports.
#[derive(Debug, Default)]
pub struct RecordingReporter(Mutex<Vec<Event>>);

impl RecordingReporter {
    /// What was reported so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Reporter for RecordingReporter {
    fn report(&self, event: Event) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }
}
