//! Findings of the verifier, for people and as data.

use crate::output::{safe_line, style};
use serde_json::Value;
use sovai_core::{FilePin, Name};
use sovai_verifier::Finding;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

/// More findings than this for one model are counted, not listed; the JSON result has them all.
const MAX_LISTED: usize = 20;

/// Each finding: what, where, expected, found.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().take(MAX_LISTED) {
        let (what, expected, found) = parts(finding);
        let subject = safe_line(finding.subject());
        let _ = writeln!(text, "  {}{what}{}: {subject}", style::ERROR, style::RESET);
        for (label, value) in [("expected", expected), ("found", found)] {
            if let Some(value) = value {
                let _ = writeln!(text, "    {label:<9} {}", safe_line(&value));
            }
        }
    }
    if findings.len() > MAX_LISTED {
        let _ = writeln!(text, "  and {} more; -o json lists all", findings.len() - MAX_LISTED);
    }
    text
}

/// What is missing of a model that is one file and whose source is not there: that file, as it would be in a folder.
/// Nothing for a model of several files: then it is the source that cannot be reached.
pub(crate) fn missing_single(source: &Path, pins: &[FilePin]) -> Option<Finding> {
    match pins {
        [only] if source.file_name() == Some(OsStr::new(only.path.as_str())) => {
            Some(Finding::Missing { path: only.path.as_str().to_owned() })
        }
        _ => None,
    }
}

/// The model's name as a member of each finding.
pub(crate) fn of_model(name: &Name, findings: Vec<Value>) -> Vec<Value> {
    let with_model = |mut finding: Value| {
        if let Value::Object(members) = &mut finding {
            members.insert("model".to_owned(), name.as_str().into());
        }
        finding
    };
    findings.into_iter().map(with_model).collect()
}

/// What it is, in a few words.
pub(crate) fn what(finding: &Finding) -> String {
    parts(finding).0.to_owned()
}

/// What it is, what was expected, what was found.
fn parts(finding: &Finding) -> (&'static str, Option<String>, Option<String>) {
    let bytes = |n: &u64| Some(format!("{n} bytes"));
    let a_file = || Some("a regular file".to_owned());
    match finding {
        Finding::Missing { .. } => {
            ("missing file", Some("a pinned file".to_owned()), Some("nothing".to_owned()))
        }
        Finding::Extra { .. } => {
            ("file that is not pinned", Some("nothing".to_owned()), Some("a file".to_owned()))
        }
        Finding::Size { expected, found, .. } if found < expected => {
            ("truncated file", bytes(expected), bytes(found))
        }
        Finding::Size { expected, found, .. } => ("file that is too long", bytes(expected), bytes(found)),
        Finding::Digest { expected, found, .. } => {
            ("wrong bytes", Some(expected.to_string()), Some(found.to_string()))
        }
        Finding::Damaged { .. } => ("damaged file", None, finding.damage()),
        Finding::Symlink { target, .. } => {
            ("symbolic link", a_file(), Some(format!("a symbolic link to {target}")))
        }
        Finding::Piece { expected, found, .. } => {
            ("wrong bytes in a piece", Some(expected.clone()), Some(found.clone()))
        }
        Finding::Mount { .. } => ("mount inside the source", a_file(), Some("a mount".to_owned())),
        Finding::BlobName { expected, found, .. } => {
            ("not what the hub named it", Some(expected.clone()), Some(found.clone()))
        }
        Finding::NotRegular { found, .. } => ("not a regular file", a_file(), Some(found.to_string())),
        Finding::BadName { reason, .. } => ("invalid name", None, Some(reason.clone())),
        Finding::Collision { with, .. } => {
            ("names that collide", None, Some(format!("the same name as {with}")))
        }
        Finding::ChangedDuringRead { .. } => ("file that changed while it was read", None, None),
        Finding::Unreadable { error, .. } => ("unreadable", None, Some(error.clone())),
        Finding::TooDeep { limit, .. } => ("nested too deep", Some(format!("at most {limit} folders")), None),
        Finding::TooMany { limit, .. } => ("too many files", Some(format!("at most {limit}")), None),
        Finding::StoredDamaged { expected, found, .. } => (
            "damaged copy in the store",
            Some(expected.to_string()),
            Some(found.map_or_else(|| "unreadable".to_owned(), |found| found.to_string())),
        ),
    }
}
