//! `sovai store verify`.

use super::named::{self, Named};
use crate::args::ReadingArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use serde_json::{Value, json};
use sovai_core::{Sha256, format_bytes};
use sovai_store::StoreError;
use sovai_verifier::{StoreFinding, StoreReport, remove_damaged, verify_store};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Who holds the store meanwhile.
const HOLDER: &str = "sovai store verify";
/// More findings than this are counted, not listed; the JSON result has them all.
const MAX_LISTED: usize = 50;

#[derive(Serialize)]
struct Body {
    action: &'static str,
    store: String,
    blobs: usize,
    bytes: u64,
    trees: usize,
    /// Names that are not sovai's.
    foreign: BTreeSet<String>,
    /// Damaged blobs that were removed.
    removed: BTreeSet<Sha256>,
}

/// Runs the command.
pub(super) fn run(reading: &ReadingArgs, remove: bool, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = named::open(ctx)?;
    let hold = match store.hold(HOLDER) {
        // Where nobody can write, nobody prunes.
        Err(StoreError::NotWritable { .. }) if !remove => {
            ctx.out.warn("the store cannot be written: what is found right is not written down");
            None
        }
        hold => Some(hold?),
    };
    let options = reading.options(ctx)?;
    let reporter = ctx.reporter();
    let report = verify_store(&store, hold.as_ref(), &options, &*reporter);
    drop(reporter);
    let report = report?;
    drop(hold);
    let removed = if remove && report.findings.iter().any(StoreFinding::is_damaged_blob) {
        remove_damaged(&store, &store.hold_alone(HOLDER)?, &report)?
    } else {
        BTreeSet::new()
    };
    // Names are for people: that a record cannot be read is one more finding.
    let (named, unread) = match named::look(&store, &[]) {
        Ok(named) => (Some(named), None),
        Err(error) => (None, Some(error)),
    };
    let mut findings: Vec<Value> =
        report.findings.iter().map(|it| as_data(it, &report, named.as_ref())).collect();
    if let Some(error) = &unread {
        findings.push(json!({ "type": "record", "message": error.message(), "causes": error.causes() }));
    }
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Mismatch };
    let text = text(&report, named.as_ref(), unread.as_ref(), &removed, &ctx.settings.store_flag());
    let body = Body {
        action: "verify",
        store: store.root().display().to_string(),
        blobs: report.blobs,
        bytes: report.bytes,
        trees: report.trees,
        foreign: report.foreign,
        removed,
    };
    ctx.finish(Outcome { exit, findings, body, text })
}

/// The models and images that a finding hits, and the manifests that bring them again.
fn users(
    finding: &StoreFinding,
    report: &StoreReport,
    named: Option<&Named>,
) -> (Vec<String>, BTreeSet<String>) {
    let Some(named) = named else { return (Vec::new(), BTreeSet::new()) };
    let digest = finding.digest();
    let hit = report.artifacts.iter().filter(|it| it.digest == digest || it.blobs.contains_key(&digest));
    let (mut called, mut manifests) = (Vec::new(), BTreeSet::new());
    for artifact in hit {
        called.push(named.called(artifact));
        manifests
            .extend(artifact.names.iter().filter_map(|name| named.manifests.get(name)).flatten().cloned());
    }
    (called, manifests)
}

fn as_data(finding: &StoreFinding, report: &StoreReport, named: Option<&Named>) -> Value {
    let (used_by, manifests) = users(finding, report, named);
    // Strings and numbers alone: that cannot fail.
    let mut value = serde_json::to_value(finding).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("usedBy".to_owned(), used_by.into());
        object.insert("manifests".to_owned(), manifests.into_iter().collect());
    }
    value
}

fn words(finding: &StoreFinding) -> String {
    match finding {
        StoreFinding::BlobDamaged { digest, found } => format!("blob {digest} has other bytes: {found}"),
        StoreFinding::BlobUnreadable { digest, error } => {
            format!("blob {digest} cannot be read: {}", safe_line(error))
        }
        StoreFinding::BlobKind { digest } => format!("blob {digest} is no regular file"),
        StoreFinding::BlobMissing { digest } => format!("blob {digest} is not there"),
        StoreFinding::BlobSize { digest, expected, found } => {
            format!("blob {digest} has {found} bytes, a manifest says {expected}")
        }
        StoreFinding::Manifest { digest, reason } => {
            format!("blob {digest} is no manifest: {}", safe_line(reason))
        }
        StoreFinding::NoPlatform { digest } => format!("index {digest}: none of its images is there"),
        StoreFinding::Tree { digest } => format!("tree {} is not what its model says", digest.hex()),
    }
}

fn text(
    report: &StoreReport,
    named: Option<&Named>,
    unread: Option<&CliError>,
    removed: &BTreeSet<Sha256>,
    store_flag: &str,
) -> String {
    let mut text = String::new();
    let (mut manifests, mut trees) = (BTreeSet::new(), false);
    for finding in report.findings.iter().take(MAX_LISTED) {
        let (used_by, from) = users(finding, report, named);
        let used = if used_by.is_empty() { "used by nothing".to_owned() } else { used_by.join("; ") };
        let gone = if removed.contains(&finding.digest()) { "; removed" } else { "" };
        let _ = writeln!(text, "{}wrong:{} {}\n  {used}{gone}", style::ERROR, style::RESET, words(finding));
        manifests.extend(from);
        trees |= matches!(finding, StoreFinding::Tree { .. });
    }
    if let Some(more) = report.findings.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more");
    }
    if let Some(error) = unread {
        let _ = writeln!(text, "{}wrong:{} {}", style::ERROR, style::RESET, safe_line(error.message()));
    }
    let _ = writeln!(
        text,
        "read {}, {}; looked at {}: {}",
        count(report.blobs, "blob"),
        format_bytes(report.bytes),
        count(report.trees, "tree"),
        if report.findings.is_empty() && unread.is_none() { "all is right" } else { "not all is right" }
    );
    for name in report.foreign.iter().take(MAX_LISTED) {
        let _ = writeln!(text, "not sovai's: {}", safe_line(name));
    }
    let is_damaged = report.findings.iter().any(|it| it.is_damaged_blob() && !removed.contains(&it.digest()));
    if is_damaged {
        text.push_str(&hint_line(&format!(
            "`sovai store verify --remove-damaged{store_flag}` removes what is damaged; then pull again"
        )));
    }
    for manifest in manifests {
        let from = named.and_then(|named| named.pulled_from(&manifest));
        let from = from.map(|from| format!(" --from {}", safe_line(from))).unwrap_or_default();
        text.push_str(&hint_line(&format!("sovai pull {}{from}{store_flag}", safe_line(&manifest))));
    }
    if trees {
        text.push_str(&hint_line(&format!(
            "the next `sovai deploy MANIFEST{store_flag}` of a model makes its tree anew"
        )));
    }
    text
}
