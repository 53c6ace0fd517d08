//! Policies as files, and judgements for people and as data.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::{ManifestFile, invalid, render};
use crate::output::{Printer, safe_line, style};
use serde_json::Value;
use sovai_core::Sha256;
use sovai_manifest::{BUILT_IN_POLICY, MAX_BYTES, Policy, parse_policy};
use sovai_policy::{Allowed, Decision, Judgement, Severity, Subject};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A policy with the file it came from.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    /// The file as it was named; `None` is the built-in policy.
    pub(crate) path: Option<PathBuf>,
    /// What it says.
    pub(crate) policy: Cow<'static, Policy>,
    /// SHA-256 of its text.
    pub(crate) sha256: Sha256,
}

impl PolicyFile {
    /// The policy that holds where none is named.
    pub(crate) fn built_in() -> Self {
        let sha256 = crate::judge::digest(BUILT_IN_POLICY.as_bytes());
        Self { path: None, policy: Cow::Borrowed(Policy::built_in()), sha256 }
    }

    /// Reads and parses a policy; every problem is in the error. Warnings are said on standard error.
    pub(crate) fn load(path: &Path, out: Printer) -> Result<Self, CliError> {
        let bytes = read_bounded(path, MAX_BYTES, "policy")?;
        match parse_policy(&bytes) {
            (Some(policy), diagnostics) => {
                if !diagnostics.is_empty() {
                    out.say(render(&diagnostics, path, &bytes).trim_end());
                }
                let sha256 = crate::judge::digest(&bytes);
                Ok(Self { path: Some(path.to_owned()), policy: Cow::Owned(policy), sha256 })
            }
            (None, diagnostics) => Err(invalid("policy", path, &diagnostics, &bytes)),
        }
    }

    /// The policy that holds for a manifest: the one of the command line, else the one that the manifest names, else the
    /// built-in one.
    pub(crate) fn of(
        manifest: Option<&ManifestFile>,
        flag: Option<&Path>,
        out: Printer,
    ) -> Result<Self, CliError> {
        let named = manifest.and_then(|file| file.manifest.policy.as_deref().map(|path| file.resolve(path)));
        match (flag, named) {
            (Some(path), _) => Self::load(path, out),
            // A manifest that names a file which cannot be read is as wrong as the file would be.
            (None, Some(path)) => Self::load(&path, out).map_err(|error| error.into_exit(Exit::Invalid)),
            (None, None) => Ok(Self::built_in()),
        }
    }

    /// `policy ministry (manifests/ministry.yaml)`, or that it is the built-in one.
    pub(crate) fn shown(&self) -> String {
        match &self.path {
            Some(path) => format!("policy {} ({})", self.policy.name, safe_line(&path.display().to_string())),
            None => "the built-in policy".to_owned(),
        }
    }

    /// Where the policy says so, in brackets: the key with `ministry.yaml:12`, or with `built in` where the file leaves it
    /// out. Nothing for what no key steers.
    fn place(&self, key: &str, line: Option<u32>) -> String {
        let Some(key) = key.strip_prefix("spec.") else { return String::new() };
        match (&self.path, line) {
            (Some(path), Some(line)) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                format!(" ({key}, {}:{line})", safe_line(&name.to_string_lossy()))
            }
            _ => format!(" ({key}, built in)"),
        }
    }
}

/// A judgement for people, each line made safe: what is refused first, and what was taken last when `trail` is set.
pub(crate) fn text(judgement: &Judgement, file: &PolicyFile, trail: bool) -> String {
    let mut subjects: Vec<&Subject> = Vec::new();
    let of_decisions = judgement.decisions.iter().map(|made| &made.subject);
    for subject in of_decisions.chain(judgement.allowed.iter().map(|held| &held.subject)) {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects.sort();
    let mut text = String::new();
    for subject in subjects {
        let mut made: Vec<&Decision> =
            judgement.decisions.iter().filter(|made| made.subject == *subject).collect();
        let refused = made.iter().any(|made| made.severity == Severity::Refuse);
        let (color, word) = if refused { (style::ERROR, "refused") } else { (style::OK, "allowed") };
        let _ = writeln!(text, "{}: {color}{word}{}", safe_line(&subject.to_string()), style::RESET);
        made.sort_by_key(|made| made.severity);
        for made in made {
            decision(made, file, &mut text);
        }
        if trail {
            for held in judgement.allowed.iter().filter(|held| held.subject == *subject) {
                allowed(held, file, &mut text);
            }
        }
    }
    text
}

fn decision(made: &Decision, file: &PolicyFile, text: &mut String) {
    let (color, word) = match made.severity {
        Severity::Refuse => (style::ERROR, "refused"),
        Severity::Warn => (style::WARNING, "warning"),
        Severity::Note => (style::BOLD, "note   "),
    };
    let place = file.place(made.key, made.line);
    let message = safe_line(&made.message);
    let _ = writeln!(text, "  {color}{word}{} {} {message}{place}", style::RESET, made.code);
    if let Some(hint) = &made.hint {
        let _ = writeln!(text, "          {}hint:{} {}", style::HINT, style::RESET, safe_line(hint));
    }
}

fn allowed(held: &Allowed, file: &PolicyFile, text: &mut String) {
    let place = file.place(held.key, held.line);
    let message = safe_line(&held.message);
    let _ = writeln!(text, "  {}allowed{} {} {message}{place}", style::OK, style::RESET, held.code);
}

/// Decisions as findings: `type: decision` with the members of [`Decision`].
pub(crate) fn data(judgement: &Judgement) -> Vec<Value> {
    let with_type = |made: &Decision| {
        let mut value = serde_json::to_value(made).unwrap_or_default();
        if let Value::Object(members) = &mut value {
            members.insert("type".to_owned(), "decision".into());
        }
        value
    };
    judgement.decisions.iter().map(with_type).collect()
}
