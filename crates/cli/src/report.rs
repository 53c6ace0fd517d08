//! Views of the event stream, all on standard error.

mod human;
mod json;
mod meter;
mod tty;

pub(crate) use json::time;

use crate::args::ProgressMode;
use crate::output::Talk;
use sovai_core::{EventKind, NullReporter, Reporter, Step};
use std::io::IsTerminal as _;

/// The view that `--progress` names; `auto` draws bars on a terminal, writes lines elsewhere and nothing with `-q`.
pub(crate) fn reporter(mode: ProgressMode, talk: Talk) -> Box<dyn Reporter> {
    let terminal =
        || std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    match mode {
        ProgressMode::None => Box::new(NullReporter),
        ProgressMode::Json => Box::new(json::JsonReporter::stderr()),
        ProgressMode::Auto if talk == Talk::Quiet => Box::new(NullReporter),
        ProgressMode::Tty => Box::new(tty::TtyReporter::stderr()),
        ProgressMode::Auto if terminal() => Box::new(tty::TtyReporter::stderr()),
        ProgressMode::Plain | ProgressMode::Auto => Box::new(human::PlainReporter::stderr()),
    }
}

/// Steps that go over bytes, perhaps of thousands of files: each file alone is not worth a line.
fn counts_bytes(step: Step) -> bool {
    matches!(
        step,
        Step::Lock
            | Step::Pull
            | Step::Push
            | Step::Import
            | Step::Verify
            | Step::Store
            | Step::LoadImage
            | Step::Bundle
    )
}

/// What a step does, in words for people.
fn words(step: Step) -> &'static str {
    match step {
        Step::Lock => "hashing",
        Step::Pull => "pulling",
        Step::Push => "pushing",
        Step::Import => "bringing in",
        Step::Verify => "verifying",
        Step::Store => "storing",
        Step::Preflight => "checking the host",
        Step::GatewayImage | Step::LoadImage => "loading image",
        Step::StoreCheck => "checking that the engine sees the",
        Step::CreateNetwork => "creating network",
        Step::CreateContainer => "creating container",
        Step::StopContainer => "stopping",
        Step::StartContainer => "starting",
        Step::WaitReady => "waiting until ready:",
        Step::Ask => "asking model",
        Step::RemoveContainer => "removing container",
        Step::RemoveNetwork => "removing network",
        Step::RemoveImage => "removing image",
        Step::Record => "recording",
        Step::Undo => "undoing",
        Step::Bundle => "writing",
    }
}

/// How an event ended, as a word after the subject; nothing for a beginning.
fn ending(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started | EventKind::Progress | EventKind::Note => "",
        EventKind::Done => "done",
        EventKind::Skipped => "unchanged",
        EventKind::Failed => "failed",
    }
}
