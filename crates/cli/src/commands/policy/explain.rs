//! `sovai policy explain`: a rule by its code, or the built-in policy.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line, style};
use serde::Serialize;
use serde_json::json;
use sovai_catalog::suggest;
use sovai_manifest::{BUILT_IN_POLICY, Policy};
use std::fmt::Write as _;

/// A rule of any crate.
#[derive(Debug, Clone, Serialize)]
struct Rule {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
    /// Keys that steer it, or where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
}

/// Runs the command.
pub(super) fn run(code: Option<&str>, ctx: &Ctx) -> Result<Exit, CliError> {
    let Some(code) = code else {
        return ctx.finish(Outcome {
            exit: Exit::Done,
            findings: Vec::new(),
            body: json!({ "policy": { "name": Policy::built_in().name, "text": BUILT_IN_POLICY, "rules": Policy::built_in() } }),
            text: BUILT_IN_POLICY.to_owned(),
        });
    };
    let rules = rules();
    let wanted = code.to_uppercase();
    let Some(rule) = rules.iter().find(|rule| rule.code == wanted) else {
        let error = CliError::new(Exit::Usage, format!("there is no rule `{}`", safe_line(code)));
        return Err(match suggest(&wanted, rules.iter().map(|rule| rule.code)) {
            Some(near) => error.hint(format!("sovai policy explain {near}")),
            None => error.hint("codes look like SOV1001; docs/policy.md and docs/manifest.md list them"),
        });
    };
    let mut text =
        format!("{}{}{} {}\n\n{}\n", style::BOLD, rule.code, style::RESET, rule.title, rule.explanation);
    if let Some(fix) = rule.fix {
        let _ = write!(text, "\n{}What to do:{} {fix}\n", style::HINT, style::RESET);
    }
    if let Some(source) = rule.source {
        let _ = write!(text, "\nSee: {source}\n");
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body: json!({ "rule": rule }), text })
}

/// The rules of all crates.
fn rules() -> Vec<Rule> {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let manifest = sovai_manifest::rules().iter().map(|rule| Rule {
        code: rule.code,
        title: rule.title,
        explanation: rule.explanation,
        fix: None,
        source: Some("docs/manifest.md"),
    });
    let policy = sovai_policy::rules().iter().map(|rule| Rule {
        code: rule.code,
        title: rule.title,
        explanation: rule.explanation,
        fix: some(rule.fix),
        source: some(rule.source),
    });
    let formats = sovai_formats::rules().iter().map(|rule| Rule {
        code: rule.code,
        title: rule.title,
        explanation: rule.explanation,
        fix: None,
        source: some(rule.source),
    });
    manifest.chain(policy).chain(formats).collect()
}
