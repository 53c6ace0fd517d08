//! `sovai doctor`: is this host able to do it. Looks only; makes nothing, not even the store.

mod engine;
mod host;

use crate::args::DoctorArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line, style};
use serde::Serialize;
use std::fmt::Write as _;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// As it should be.
    Ok,
    /// Something to know; commands may fail later.
    Warn,
    /// Commands will fail.
    Fail,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The exit code when this check fails.
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into(), hint: None, exit: Exit::Resources }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Runs the command.
pub(crate) fn run(_args: &DoctorArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut checks = engine::checks(ctx)?;
    checks.extend(host::checks(ctx));
    let failed: Vec<&Check> = checks.iter().filter(|check| check.status == Status::Fail).collect();
    let warned = checks.iter().filter(|check| check.status == Status::Warn).count();
    // What cannot be reached comes before what is too small: codes grow less telling in that order.
    let exit = failed.iter().map(|check| check.exit).min().unwrap_or(Exit::Done);

    let mut text = String::new();
    for check in &checks {
        let (color, word) = match check.status {
            Status::Ok => (style::OK, "ok"),
            Status::Warn => (style::WARNING, "warn"),
            Status::Fail => (style::ERROR, "FAIL"),
        };
        let detail = safe_line(&check.detail);
        let _ = writeln!(text, "{color}{word:<4}{}  {:<14}{detail}", style::RESET, check.name);
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "{:20}{}hint:{} {}", "", style::HINT, style::RESET, safe_line(hint));
        }
    }
    let summary = match (failed.len(), warned) {
        (0, 0) => "this host is able to run sovai".to_owned(),
        (0, warned) => format!("this host is able to run sovai; {}", count(warned, "warning")),
        (failed, _) => format!("this host is not able to run sovai: {} failed", count(failed, "check")),
    };
    let _ = writeln!(text, "\n{summary}");
    let findings = failed.iter().filter_map(|check| {
        let mut value = serde_json::to_value(check).ok()?;
        value.as_object_mut()?.insert("type".to_owned(), "check".into());
        Some(value)
    });
    let findings = findings.collect();
    ctx.finish(Outcome { exit, findings, body: serde_json::json!({ "checks": checks }), text })
}
