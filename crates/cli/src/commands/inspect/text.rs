//! What was found, for people.

use super::TensorsBody;
use crate::findings;
use crate::manifest::count;
use crate::output::{safe_line, style};
use sovai_core::format_bytes;
use sovai_formats::{ContentType, Severity, SurfaceKind};
use sovai_verifier::{Examination, FileFact};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// More lines of one kind than this are counted, not listed; the JSON result has them all.
const MAX_LISTED: usize = 100;
/// Names that are shown of one item.
const MAX_NAMES: usize = 8;

/// Files, licences and what can run.
pub(super) fn render(target: &Path, kind: &str, found: &Examination) -> String {
    let mut text = String::new();
    let bytes = found.files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    let _ = writeln!(
        text,
        "{}{}{}: {kind}, {}, {}",
        style::BOLD,
        safe_line(&target.display().to_string()),
        style::RESET,
        count(found.files.len(), "file"),
        format_bytes(bytes)
    );
    let (weights, others): (Vec<&FileFact>, Vec<_>) =
        found.files.iter().partition(|file| file.weights.is_some());
    list(&mut text, &weights, |text, file| weights_line(text, file));
    let mut kinds = BTreeMap::<ContentType, usize>::new();
    for file in &others {
        *kinds.entry(file.content).or_default() += 1;
    }
    if !kinds.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ =
            writeln!(text, "  {}: {}", if weights.is_empty() { "files" } else { "others" }, kinds.join(", "));
    }
    list(&mut text, &found.licenses, |text, license| {
        let _ = writeln!(text, "  licence text: {}  {}", safe_line(&license.path), license.sha256);
    });
    // Templates have a part of their own.
    let runs: Vec<_> =
        found.surface.iter().filter(|item| !matches!(item.kind, SurfaceKind::ChatTemplate { .. })).collect();
    if !runs.is_empty() {
        let _ = writeln!(text, "\n{}can run, or says what shall run{}", style::BOLD, style::RESET);
        list(&mut text, &runs, |text, item| {
            let digest = item.sha256.map(|sha256| format!("  {sha256}")).unwrap_or_default();
            let _ = writeln!(text, "  {}: {}{digest}", item.kind.words(), safe_line(&item.path));
            let names = item.kind.names();
            for name in names.iter().take(MAX_NAMES) {
                let _ = writeln!(text, "    {}", safe_line(name));
            }
            if names.len() > MAX_NAMES {
                let _ = writeln!(text, "    and {} more", names.len() - MAX_NAMES);
            }
        });
    }
    text
}

fn weights_line(text: &mut String, file: &FileFact) {
    let Some(weights) = &file.weights else { return };
    let types: Vec<String> = weights.types.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
    let architecture = weights.architecture.as_deref();
    let architecture = architecture.map(|name| format!(", {}", safe_line(name))).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {}: {}, {}{architecture}, {}{types}",
        safe_line(&file.path),
        file.content,
        format_bytes(file.size),
        count(usize::try_from(weights.tensors).unwrap_or(usize::MAX), "tensor"),
    );
}

fn list<T>(text: &mut String, items: &[T], mut line: impl FnMut(&mut String, &T)) {
    for item in items.iter().take(MAX_LISTED) {
        line(text, item);
    }
    if items.len() > MAX_LISTED {
        let _ = writeln!(text, "  and {} more; -o json lists all", items.len() - MAX_LISTED);
    }
}

/// Every tensor: bytes in the file, type, shape, name.
pub(super) fn tensors(files: &[TensorsBody]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "\n{}tensors of {}{}", style::BOLD, safe_line(&file.path), style::RESET);
        for tensor in &file.tensors {
            let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
            let _ = writeln!(
                text,
                "  {}-{}  {} [{}]  {}",
                tensor.start,
                tensor.end,
                tensor.dtype,
                shape.join(", "),
                safe_line(&tensor.name)
            );
        }
    }
    text
}

/// Findings and broken rules, and the last line.
pub(super) fn verdict(found: &Examination) -> String {
    let mut text = String::from("\n");
    text.push_str(&findings::text(&found.findings));
    list(&mut text, &found.problems, |text, problem| {
        let (color, word) = match problem.severity {
            Severity::Error => (style::ERROR, "error"),
            Severity::Warning => (style::WARNING, "warning"),
        };
        let (path, message) = (safe_line(&problem.path), safe_line(&problem.message));
        let _ = writeln!(text, "  {color}{word}[{}]{}: {path}: {message}", problem.code, style::RESET);
    });
    let problems = found.findings.len() + found.problems.len();
    let _ = match (found.has_errors(), problems) {
        (true, _) => writeln!(text, "refused: {}", count(problems, "finding")),
        (false, 0) => writeln!(text, "headers are sound; no digest and no signature was checked"),
        (false, _) => writeln!(
            text,
            "headers are sound, {}; no digest and no signature was checked",
            count(problems, "warning")
        ),
    };
    text
}
