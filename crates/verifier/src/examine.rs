//! What the files of a model are, beyond their digests: kinds, headers, what can run, licences.

mod file;
mod shards;

use crate::Options;
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::pool;
use crate::identity::is_regular;
use crate::layout::is_hub_metadata;
use crate::run::{Opened, open_steady};
use crate::walk::{Entry, Source};
use file::{Looked, Looker, read_whole};
use serde::Serialize;
use shards::Indexes;
use sovai_core::{RelPath, Sha256};
use sovai_formats::{
    ContentType, FormatError, Severity, SurfaceItem, Template, TensorMap, gguf, rule, safetensors,
};
use std::collections::BTreeSet;
use std::path::Path;

/// The file that hubs show as a model's card.
pub const CARD: &str = "README.md";

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

/// Which files of a source an examination believes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Paths of the files that somebody pinned or signed. `None`: every file but the notes of a hub's tool, as
    /// [`crate::digest_source`] reads them.
    pub covered: Option<&'a BTreeSet<String>>,
    /// Whether a source of one file is a whole model, so that it is a problem if it is one of several parts. Otherwise
    /// it is looked at alone.
    pub is_model: bool,
}

impl Scope<'_> {
    /// Whether what a file says counts. Notes that are pinned or signed are files like any other.
    fn covers(&self, path: &str) -> bool {
        self.covered.map_or_else(|| !is_hub_metadata(path), |covered| covered.contains(path))
    }
}

/// What an examination found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Every covered file, by path.
    pub files: Vec<FileFact>,
    /// Files that are there and not covered, without the notes of a hub's tool, by path: nothing that they say counts for
    /// the model, but what is wrong with them and what in them can run is among `problems` and `surface`.
    pub outside: Vec<FileFact>,
    /// Chat templates in those files. They are none of the model's, and an engine could take one all the same.
    pub outside_templates: Vec<Template>,
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

/// Looks at every file of a folder but the notes of a hub's tool, or at one file alone: [`examine_scope`] with the
/// default scope.
///
/// # Errors
///
/// Those of [`examine_scope`].
pub fn examine(source: &Path, options: &Options) -> Result<Examination, VerifyError> {
    examine_scope(source, Scope::default(), options)
}

/// Looks at the files of a folder, or at one file: what they are, whether their headers are sound, and what in them can
/// run.
///
/// Licences, templates and what indexes say come from covered files alone. Files outside are looked at one by one, and
/// can only speak against the model. The notes of a hub's tool are not opened, unless they are covered.
///
/// Reads the beginnings of files, headers, and small text files, on as many threads as the options say; no tensor.
/// Follows no link but those that a walk follows. Headers above 4 MiB are read one at a time, so that memory stays
/// below 256 MiB whatever the files say.
///
/// # Errors
///
/// Where the source is not there or cannot be opened, or when the run is stopped. What files are is never an error.
pub fn examine_scope(source: &Path, scope: Scope<'_>, options: &Options) -> Result<Examination, VerifyError> {
    let opened = Source::open(source)?;
    let walked = opened.walk(&options.cancel)?;
    let mut result = Examination { findings: walked.findings, ..Examination::default() };
    let mut entries: Vec<Entry> = walked.files.into_values().collect();
    let outside = entries.extract_if(.., |entry| !scope.covers(entry.path.as_str())).collect();
    let is_alone = opened.single_name().is_some() && !scope.is_model;
    let indexes = Indexes::read(&opened, &entries, options, &mut result)?;
    let looker = Looker::new(&opened, &indexes);
    let mut parts = Vec::new();
    let seen = look(&looker, &entries, options)?;
    drop(entries);
    for looked in seen {
        result.files.extend(looked.fact);
        result.findings.extend(looked.finding);
        result.problems.extend(looked.problems);
        result.surface.extend(looked.surface);
        result.templates.extend(looked.templates);
        result.licenses.extend(looked.license);
        parts.extend(looked.part);
    }
    result.files.sort_by(|a, b| a.path.cmp(&b.path));
    if !is_alone {
        indexes.finish(&mut result);
    }
    shards::check_splits(&parts, &mut result);
    look_outside(&opened, outside, options, &mut result)?;
    result.problems.sort_by(|a, b| (&a.path, a.code, &a.message).cmp(&(&b.path, b.code, &b.message)));
    result.surface.sort();
    result.templates.sort_by(|a, b| (&a.path, a.place, &a.name).cmp(&(&b.path, b.place, &b.name)));
    result.licenses.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(result)
}

fn look(looker: &Looker<'_>, entries: &[Entry], options: &Options) -> Result<Vec<Looked>, VerifyError> {
    pool(entries, options, |entry, buffer| {
        options.cancel.check()?;
        Ok(looker.look(entry, buffer))
    })
}

/// Looks at files that are not covered: what speaks against them is kept, what they say is not. They complete no set of
/// shards either.
fn look_outside(
    source: &Source,
    mut entries: Vec<Entry>,
    options: &Options,
    result: &mut Examination,
) -> Result<(), VerifyError> {
    entries.retain(|entry| !is_hub_metadata(entry.path.as_str()));
    let none = Indexes::default();
    for looked in look(&Looker::new(source, &none), &entries, options)? {
        let Looked { fact, finding, problems, surface, templates, license: _, part: _ } = looked;
        result.outside.extend(fact);
        result.outside_templates.extend(templates);
        result.findings.extend(finding);
        result.problems.extend(problems);
        result.surface.extend(surface);
    }
    result.outside.sort_by(|a, b| a.path.cmp(&b.path));
    result.outside_templates.sort_by(|a, b| (&a.path, a.place, &a.name).cmp(&(&b.path, b.place, &b.name)));
    Ok(())
}

/// Longest model card in bytes that is looked at.
const MAX_CARD: u64 = 1 << 20;

/// The text of a model card, the file `README.md` of a source; raw, the first MiB of it. Nothing where there is none, and
/// of a source that is another file. No link is followed but those that a walk follows.
pub fn model_card(source: &Path) -> Option<String> {
    let opened = Source::open(source).ok()?;
    if opened.single_name().is_some_and(|name| name != CARD) {
        return None;
    }
    let file = opened.open_file(&RelPath::new(CARD).ok()?).ok()?;
    let is_file = rustix::fs::fstat(&file).is_ok_and(|stat| is_regular(&stat));
    let bytes = is_file.then(|| read_whole(&file, MAX_CARD).ok()).flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
