//! What the files of a model are, beyond their digests: kinds, headers, what can run, licences.

mod file;
mod shards;

use crate::Options;
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::pool;
use crate::run::{Opened, open_steady};
use crate::walk::Source;
use file::{Looked, Looker};
use serde::Serialize;
use shards::Indexes;
use sovai_core::{RelPath, Sha256};
use sovai_formats::{
    ContentType, FormatError, Severity, SurfaceItem, Template, TensorMap, gguf, rule, safetensors,
};
use std::path::Path;

/// A file and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFact {
    /// Its path, relative to the model.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it is, by its bytes.
    pub content: ContentType,
    /// What its header says, of safetensors and GGUF files that are whole.
    pub weights: Option<Weights>,
}

/// What the header of a file of weights says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// How many tensors it has.
    pub tensors: u64,
    /// Bytes of all its tensors, without padding.
    pub bytes: u64,
    /// Bytes of its header.
    pub header: u64,
    /// Types and how many tensors have each, by name of the type.
    pub types: std::collections::BTreeMap<&'static str, u64>,
    /// `general.architecture` of a GGUF file.
    pub architecture: Option<String>,
}

/// A file that breaks a rule of its format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatFinding {
    /// The rule: see [`sovai_formats::rules`].
    pub code: &'static str,
    /// How much it weighs where no policy says otherwise.
    pub severity: Severity,
    /// The file, relative to the model.
    pub path: String,
    /// What is wrong; names in it are escaped.
    pub message: String,
}

/// A text that says under which conditions the model may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenseText {
    /// The file, relative to the model.
    pub path: String,
    /// Digest of the whole file.
    pub sha256: Sha256,
    /// Its text where it is UTF-8, the first MiB of it; raw.
    pub text: String,
}

/// What an examination found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Every regular file, by path.
    pub files: Vec<FileFact>,
    /// Links, special files, bad names and what could not be read: none of it was looked at.
    pub findings: Vec<Finding>,
    /// Broken rules, by path.
    pub problems: Vec<FormatFinding>,
    /// All that can run, by path.
    pub surface: Vec<SurfaceItem>,
    /// Chat templates, by path.
    pub templates: Vec<Template>,
    /// Licence texts and notices, by path.
    pub licenses: Vec<LicenseText>,
}

impl FormatFinding {
    /// A broken rule of a file.
    pub(crate) fn new(path: &str, error: &FormatError) -> Self {
        let code = error.code();
        let severity = rule(code).map_or(Severity::Error, |rule| rule.severity);
        Self { code, severity, path: path.to_owned(), message: error.to_string() }
    }
}

impl Examination {
    /// Whether something in it is an error where no policy says otherwise.
    pub fn has_errors(&self) -> bool {
        !self.findings.is_empty() || self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Looks at every file of a folder, or at one file: what it is, whether its header is sound, and what in it can run.
///
/// Reads the beginnings of files, headers, and small text files, on as many threads as the options say; no tensor.
/// Follows no link but those that a walk follows. Headers above 4 MiB are read one at a time, so that memory stays
/// below 256 MiB whatever the files say.
///
/// # Errors
///
/// Where the source is not there or cannot be opened, or when the run is stopped. What files are is never an error.
pub fn examine(source: &Path, options: &Options) -> Result<Examination, VerifyError> {
    let opened = Source::open(source)?;
    let walked = opened.walk(&options.cancel)?;
    let mut result = Examination { findings: walked.findings, ..Examination::default() };
    let entries: Vec<_> = walked.files.into_values().collect();
    let indexes = Indexes::read(&opened, &entries, options, &mut result)?;
    let looker = Looker::new(&opened, &indexes);
    let seen = pool(&entries, options, |entry, buffer| {
        options.cancel.check()?;
        Ok(looker.look(entry, buffer))
    })?;
    let mut parts = Vec::new();
    for Looked { fact, finding, problems, surface, templates, license, part } in seen {
        parts.extend(part);
        result.files.extend(fact);
        result.findings.extend(finding);
        result.problems.extend(problems);
        result.surface.extend(surface);
        result.templates.extend(templates);
        result.licenses.extend(license);
    }
    result.files.sort_by(|a, b| a.path.cmp(&b.path));
    indexes.finish(&mut result);
    shards::check_splits(&parts, &mut result);
    result.problems.sort_by(|a, b| (&a.path, a.code, &a.message).cmp(&(&b.path, b.code, &b.message)));
    result.surface.sort();
    result.templates.sort_by(|a, b| (&a.path, a.place, &a.name).cmp(&(&b.path, b.place, &b.name)));
    result.licenses.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(result)
}

/// Why the tensors of a file cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// The source cannot be opened.
    #[error(transparent)]
    Source(#[from] VerifyError),
    /// The file cannot be opened, or is none.
    #[error("the tensors of `{path}` cannot be read: {finding}")]
    File {
        /// The file, relative to the source.
        path: RelPath,
        /// What was found.
        finding: Box<Finding>,
    },
    /// The file breaks a rule of its format.
    #[error("`{path}` is refused by {code}")]
    Format {
        /// The file, relative to the source.
        path: RelPath,
        /// The rule.
        code: &'static str,
        /// In what way.
        #[source]
        source: FormatError,
    },
    /// The file is no kind of weights whose tensors are known.
    #[error("`{path}` is {content}, and has no tensors that can be told")]
    NoTensors {
        /// The file, relative to the source.
        path: RelPath,
        /// What it is.
        content: ContentType,
    },
}

/// Where the tensors of a safetensors or GGUF file of a source lie. `path` is relative to the source; of a source that is
/// one file, its name.
pub fn tensors(source: &Path, path: &RelPath) -> Result<TensorMap, TensorsError> {
    let opened = Source::open(source)?;
    let failed = |finding| TensorsError::File { path: path.clone(), finding: Box::new(finding) };
    let size = opened.open_file(path).ok().and_then(|file| rustix::fs::fstat(&file).ok());
    let size = size.map_or(0, |stat| crate::identity::size(&stat));
    let Opened { file, .. } = open_steady(&opened, path, size).map_err(failed)?;
    let mut head = vec![0; sovai_formats::HEAD];
    let head = file::head(&file, &mut head).map_err(|error| {
        failed(Finding::Unreadable { path: path.as_str().to_owned(), error: error.to_string() })
    })?;
    let parsed = match sovai_formats::sniff(head, size, path.file_name()) {
        ContentType::Safetensors => safetensors::read(&file, size).map(|parsed| parsed.tensors),
        ContentType::Gguf => gguf::parse(&mut &file, size).map(|parsed| parsed.tensors),
        content => return Err(TensorsError::NoTensors { path: path.clone(), content }),
    };
    parsed.map_err(|source| TensorsError::Format { path: path.clone(), code: source.code(), source })
}
