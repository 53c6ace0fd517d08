//! Manifests and locks as files: reading them within bounds, and showing what is wrong with them.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::{Printer, safe_line};
use serde_json::{Value, json};
use sovai_core::{FilePin, Name, Sha256};
use sovai_manifest::{Color, Diagnostic, Lock, MAX_BYTES, MAX_LOCK_BYTES, Manifest, Severity, Source};
use sovai_store::model_manifest;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A manifest with the file it came from.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    /// The file as it was named.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) manifest: Manifest,
    /// SHA-256 of its bytes.
    pub(crate) sha256: Sha256,
}

/// Bytes of a manifest, cut just after the largest size that is looked at.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    read_bounded(path, MAX_BYTES, "manifest")
}

impl ManifestFile {
    /// Reads and parses a manifest; every problem is in the error. Warnings are said on standard error.
    pub(crate) fn load(path: &Path, out: Printer) -> Result<Self, CliError> {
        let bytes = read(path)?;
        let parsed = sovai_manifest::parse(&bytes);
        match parsed.manifest {
            Some(manifest) => {
                if !parsed.diagnostics.is_empty() {
                    out.say(render(&parsed.diagnostics, path, &bytes).trim_end());
                }
                Ok(Self { path: path.to_owned(), manifest, sha256: crate::judge::digest(&bytes) })
            }
            None if is_lock_name(path) || Lock::parse(&bytes).0.is_some() => Err(not_a_manifest(path)),
            None => Err(invalid("manifest", path, &parsed.diagnostics, &bytes)),
        }
    }

    /// The lock beside the manifest; `None` when it is not there.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, CliError> {
        let path = self.lock_path()?;
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        let bytes = read_bounded(&path, MAX_LOCK_BYTES, "lock")?;
        match Lock::parse(&bytes) {
            (Some(lock), _) => Ok(Some(lock)),
            (None, diagnostics) => Err(invalid("lock", &path, &diagnostics, &bytes).hint(format!(
                "make it again: rm {}; sovai lock {}",
                safe_line(&path.display().to_string()),
                safe_line(&self.path.display().to_string())
            ))),
        }
    }

    /// `DIR/NAME.lock.yaml` of `DIR/NAME.yaml`.
    pub(crate) fn lock_path(&self) -> Result<PathBuf, CliError> {
        let stem = self.path.file_stem().unwrap_or_default();
        if stem.is_empty() || is_lock_name(&self.path) {
            return Err(not_a_manifest(&self.path));
        }
        let mut name = stem.to_owned();
        name.push(".lock.yaml");
        Ok(self.path.with_file_name(name))
    }

    /// A path that the manifest names: relative ones start at its folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Where a model's bytes are to be read on this host: its `file:` source, else the store's copy (`store` is the store's
    /// folder), which `sovai pull` and an import make.
    pub(crate) fn place(
        &self,
        name: &Name,
        pins: &[FilePin],
        store: Option<&Path>,
    ) -> Result<PathBuf, CliError> {
        let tree = store.map(|store| sovai_store::tree_path(store, &model_manifest(pins).1));
        let tree = tree.filter(|tree| tree.is_dir());
        if let Some(Source::File(path)) = self.manifest.models.get(name).map(|model| &model.source) {
            let source = self.resolve(path);
            return Ok(if is_there(&source) { source } else { tree.unwrap_or(source) });
        }
        tree.ok_or_else(|| self.not_pulled(name))
    }

    /// The error of a model whose source is not on this host, and which the store lacks.
    pub(crate) fn not_pulled(&self, name: &Name) -> CliError {
        let source = self.manifest.models.get(name).map(|model| model.source.to_string()).unwrap_or_default();
        let manifest = safe_line(&self.path.display().to_string());
        CliError::new(
            Exit::Unreachable,
            format!("model {name} from {} is not in the store", safe_line(&source)),
        )
        .hint(format!("bring it in: sovai pull {manifest}"))
    }

    /// Where a model's bytes are, of a `file:` source.
    pub(crate) fn local_source(&self, name: &Name) -> Result<PathBuf, CliError> {
        match self.manifest.models.get(name).map(|model| &model.source) {
            Some(Source::File(path)) => Ok(self.resolve(path)),
            Some(Source::Remote { .. }) => Err(self.not_pulled(name)),
            None => Err(CliError::new(Exit::Internal, format!("model {name} is not in the manifest"))),
        }
    }
}

/// Whether anything bears this name, or may: only what surely is not there is not.
pub(crate) fn is_there(path: &Path) -> bool {
    !matches!(fs_err::symlink_metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Whether a file is called as a lock is.
fn is_lock_name(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| Path::new(stem).extension() == Some(OsStr::new("lock")))
}

/// A lock was named where a manifest is wanted. The manifest is named, where it lies beside the lock.
fn not_a_manifest(path: &Path) -> CliError {
    let shown = |path: &Path| safe_line(&path.display().to_string());
    let error = CliError::new(Exit::Usage, format!("{} is a lock, not a manifest", shown(path)));
    let stem = path.file_stem().filter(|_| is_lock_name(path)).map(Path::new).and_then(Path::file_stem);
    let beside = stem.into_iter().flat_map(|stem| {
        ["yaml", "yml"].map(|extension| path.with_file_name(stem).with_added_extension(extension))
    });
    match beside.into_iter().find(|manifest| manifest.is_file()) {
        Some(manifest) => error.hint(format!("give its manifest: {}", shown(&manifest))),
        None => error.hint("give the manifest that it was made from"),
    }
}

/// Diagnostics for a terminal. Colours are taken away again where the stream shows none.
pub(crate) fn render(diagnostics: &[Diagnostic], path: &Path, bytes: &[u8]) -> String {
    let name = safe_line(&path.display().to_string());
    let mut text = sovai_manifest::render(diagnostics, &name, bytes, Color::Always);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Diagnostics as findings.
pub(crate) fn findings(diagnostics: &[Diagnostic], path: &Path) -> Vec<Value> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "type": "diagnostic",
                "code": diagnostic.code,
                "severity": diagnostic.severity,
                "message": diagnostic.message,
                "file": path.display().to_string(),
                "line": diagnostic.span.map(|span| span.line),
                "column": diagnostic.span.map(|span| span.column),
                "hint": diagnostic.hint,
            })
        })
        .collect()
}

/// `2 errors, 1 warning`.
pub(crate) fn tally(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let parts = [(errors, "error"), (diagnostics.len() - errors, "warning")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)).collect();
    parts.join(", ")
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The error of a file that broke rules, with all of them.
pub(crate) fn invalid(what: &str, path: &Path, diagnostics: &[Diagnostic], bytes: &[u8]) -> CliError {
    let shown = safe_line(&path.display().to_string());
    CliError::new(Exit::Invalid, format!("{what} {shown} is invalid: {}", tally(diagnostics)))
        .with_details(render(diagnostics, path, bytes))
        .with_findings(findings(diagnostics, path))
}
