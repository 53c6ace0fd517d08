//! Trust levels, signatures and what was not covered, for people. All that came from outside is escaped.

use super::Verdict;
use crate::manifest::count;
use crate::output::{Talk, safe_line, style};
use sovai_evidence::rfc3339;
use sovai_trust::Level;
use sovai_verifier::Remainders;
use std::fmt::Write as _;

/// How many uncovered things are named, unless more is asked for.
const FEW: usize = 5;

/// Which level, why, who vouches and when, what is missing for the next.
pub(crate) fn level_text(level: &Level, talk: Talk) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label}{}", safe_line(value));
    };
    for why in &level.why {
        line("why: ", why);
    }
    for voucher in &level.vouchers {
        let role = voucher.role.map(|role| format!(", {role}")).unwrap_or_default();
        let when = match (voucher.when, voucher.role) {
            (Some(when), _) => format!(", {}", rfc3339(when)),
            (None, Some(_)) => ", time unknown".to_owned(),
            (None, None) => String::new(),
        };
        line("vouched for by: ", &format!("{}{role}, {}{when}", voucher.name, voucher.whereabouts));
    }
    for missing in &level.missing {
        line("missing ", missing);
    }
    for note in &level.notes {
        line("note: ", note);
    }
    if let Some(known) = level.revocations
        && (talk >= Talk::Verbose || !level.vouchers.is_empty())
    {
        line(
            "revocations: ",
            &format!("list {} of {}, {} days old", known.number, rfc3339(known.issued), known.age / 86_400),
        );
    }
    text
}

/// A signature that holds: by whom, how many files, when. One that does not is told as a finding.
pub(crate) fn signature_text(verdict: &Verdict) -> String {
    let mut text = String::new();
    let file = safe_line(&verdict.file);
    if verdict.refused().is_some() {
        let _ = writeln!(text, "  signature {file}: {}does not count{}", style::ERROR, style::RESET);
        return text;
    }
    for by in verdict.by() {
        let files = count(verdict.files(), "file");
        let _ = match &by.certificate {
            None => {
                writeln!(
                    text,
                    "  signature {file}: {}holds{}, {files}, by key {}",
                    style::OK,
                    style::RESET,
                    by.key
                )
            }
            Some(of) => writeln!(
                text,
                "  signature {file}: {}holds{}, {files}, by the certificate of {}",
                style::OK,
                style::RESET,
                safe_line(&of.subject)
            ),
        };
        let Some(of) = &by.certificate else { continue };
        let from = match (of.time_from, &of.authority) {
            ("timestamp", Some(authority)) => format!("time stamp of {authority}"),
            ("stated", _) => "as stated, not proven".to_owned(),
            _ => "now: nothing says when it was signed".to_owned(),
        };
        let mut lines = vec![format!("judged at {} ({from})", of.judged_at)];
        if let (Some(stated), "timestamp") = (&of.stated, of.time_from) {
            lines.push(format!("stated time {stated}"));
        }
        if let Some(from) = &of.revocations_from {
            lines.push(format!("revocation lists from {from}"));
        }
        lines.extend(of.notes.iter().cloned());
        for line in lines {
            let _ = writeln!(text, "    {}", safe_line(&line));
        }
    }
    for one in verdict.tolerated() {
        let _ = writeln!(
            text,
            "    {}tolerated{} ({}): {}",
            style::WARNING,
            style::RESET,
            one.code,
            safe_line(&one.text)
        );
    }
    text
}

/// What was not covered: counts by reason, the first few, and what never is.
pub(crate) fn remainder_text(remainder: &Remainders, talk: Talk) -> String {
    let mut text = String::new();
    if !remainder.counts.is_empty() {
        let counts: Vec<String> =
            remainder.counts.iter().map(|(reason, n)| format!("{n} x {reason}")).collect();
        let _ = writeln!(text, "  not covered: {}", counts.join("; "));
        let most = if talk >= Talk::Verbose { remainder.items.len() } else { FEW };
        for item in remainder.items.iter().take(most) {
            let detail = item.detail.as_deref().map(|d| format!(" ({})", safe_line(d))).unwrap_or_default();
            let _ = writeln!(text, "    {}: {}{detail}", safe_line(&item.path), item.reason);
        }
        if remainder.items.len() > most {
            let _ = writeln!(text, "    and more; -v lists them");
        }
    }
    let _ = writeln!(text, "  never covered: {}", remainder.general.join(", "));
    text
}
