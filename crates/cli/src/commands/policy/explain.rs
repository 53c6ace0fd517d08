//! `sovai policy explain`: a rule by its code, or the built-in policy.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::judge;
use crate::output::{Outcome, safe_line, style};
use serde::Serialize;
use serde_json::json;
use sovai_catalog::suggest;
use sovai_manifest::{BUILT_IN_POLICY, Policy};
use sovai_trust::codes;
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
            None => error.hint("codes look like SOV1001; `docs/manifest.md`, `docs/policy.md`, `docs/formats.md` and `docs/trust.md` list them"),
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
    let trust = TRUST.iter().map(|(code, title, explanation, fix)| Rule {
        code,
        title,
        explanation,
        fix: Some(fix),
        source: Some("docs/trust.md"),
    });
    // The codes of trust levels have their own words above.
    let signatures =
        judge::rules::RULES.iter().filter(|rule| rule.code < codes::MODEL_REVOKED).map(|rule| Rule {
            code: rule.code,
            title: rule.title,
            explanation: rule.explanation,
            fix: some(rule.fix),
            source: Some("docs/verification.md"),
        });
    manifest.chain(policy).chain(formats).chain(signatures).chain(trust).collect()
}

/// What the judgement of a trust level says besides the level: code, title, explanation, what to do.
const TRUST: [(&str, &str, &str, &str); 9] = [
    (
        codes::MODEL_REVOKED,
        "The model is not revoked",
        "The newest signed list of revocations names this model, or one of its files, by its digest. Somebody whom this store trusts with that withdrew it.",
        "Use another version of the model.",
    ),
    (
        codes::KEY_UNKNOWN,
        "The signing key is trusted here",
        "A signature holds, but its key is not in this store, or not in a role that vouches for models. It raises no trust level.",
        "Compare the key's fingerprint over another channel, then `sovai trust add FILE.pub`.",
    ),
    (
        codes::KEY_REVOKED,
        "The signing key is not revoked",
        "Whoever has a revoked key can sign anything with any date. It counts for nothing and never comes back.",
        "Have the model signed with another key.",
    ),
    (
        codes::KEY_EXPIRED,
        "The signing key has not expired",
        "Its last day has passed, by the later of the clock and the newest signed time ever seen here.",
        "Bring the publisher's new key, and a signature by it.",
    ),
    (
        codes::KEY_OF_OTHER_PUBLISHER,
        "The signing key is the named publisher's",
        "The manifest names one publisher, and the key was trusted as another one's.",
        "Correct `publisher` in the manifest, or see who signed this model and why.",
    ),
    (
        codes::CLOCK_BEHIND,
        "The clock is not behind what was signed",
        "The host's clock shows a time before one that is signed and known here. Expiry is judged by the later one.",
        "Set the clock.",
    ),
    (
        codes::TIME_AHEAD,
        "No signed time is far ahead",
        "A signed time lies more than a day ahead of all that is known; believing it would let every key expire.",
        "Set the clock, or ask the signer about theirs.",
    ),
    (
        codes::SOURCE_DIFFERS,
        "All sources show the same digests",
        "A source was seen to have other bytes than the pinned ones: one of the two was changed.",
        "Compare with the publisher before you use either.",
    ),
    (
        codes::EVIDENCE_DAMAGED,
        "The evidence log is whole",
        "Its lines are chained by digest, and the chain is broken. Nothing that it says about other sources counts.",
        "Restore it from a copy, or record the sources again.",
    ),
];
