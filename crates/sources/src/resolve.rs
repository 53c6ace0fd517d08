//! What a source has at a revision, every file with size and SHA-256: what a lock is made of.

mod drift;
mod hash;

pub use drift::{Change, Changed, Drift, Moved, Now, Verdict, drift};

use crate::{ListedFile, Selection, Source, SourceError};
use futures_util::{StreamExt as _, TryStreamExt as _};
use globset::{GlobSet, GlobSetBuilder};
use hash::{MOST_UNSTATED, Progress, hash_file};
use sovai_core::{Event, EventKind, FilePin, RelPath, Reporter, Step};
use sovai_http::Retry;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

/// Names of files with a licence's text, in lower case, as globs over the file's name: those that the catalogue's models
/// have (`LICENSE`, `LICENSE-MODEL`, `LICENSE-CODE`, `MODEL_LICENSE`, `LICENSE.md`), and the customary ones.
const LICENSE_FILES: [&str; 9] = [
    "license",
    "license[-._]*",
    "licence",
    "licence[-._]*",
    "copying",
    "copying[-._]*",
    "unlicense",
    "*[-_]license",
    "*[-_]license.{txt,md,pdf}",
];

/// How to resolve.
#[derive(Debug, Clone, Copy)]
pub struct ResolveOptions {
    /// Files that are read at once to hash them.
    pub requests: NonZeroUsize,
    /// How often a file that breaks off is asked for again.
    pub retry: Retry,
}

/// A model as its source has it. The same source at the same revision gives the same value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedModel {
    /// The full commit at a hub, or the digest of the manifest in a registry; `None` where a source has no revisions.
    pub revision: Option<String>,
    /// The licence that the source states, as it states it.
    pub license: Option<String>,
    /// The files that the selection takes, sorted by path.
    pub files: Vec<ResolvedFile>,
    /// Of these the ones with a licence's text.
    pub license_files: Vec<FilePin>,
}

/// One file with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedFile {
    /// Path, size and SHA-256.
    pub pin: FilePin,
    /// Who says that this is the digest.
    pub basis: Basis,
}

/// Who says that a digest is that of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The source's list; the bytes were not read.
    Listed,
    /// The bytes that came were hashed here, and have the git blob id of the source's list.
    HashedAsGitSays,
    /// The bytes that came were hashed here; the source's list has no digest of them.
    Hashed,
}

impl ResolvedModel {
    /// Its files without who says so.
    pub fn pins(&self) -> Vec<FilePin> {
        self.files.iter().map(|file| file.pin.clone()).collect()
    }
}

/// Lists a source at a revision (a branch, a tag, a commit; `None`: what the source says itself, or its default) and hashes
/// what its list has no SHA-256 of, several files at once. Nothing is stored.
///
/// Stops as soon as the future is dropped. A file that differs from its own list in size or git blob id is
/// [`SourceError::Mismatch`].
pub async fn resolve(
    source: &dyn Source,
    revision: Option<&str>,
    selection: &Selection,
    options: &ResolveOptions,
    reporter: &dyn Reporter,
) -> Result<ResolvedModel, SourceError> {
    let origin = source.origin();
    reporter.report(Event::new(EventKind::Started, Step::Lock, origin));
    let listing = source.list(revision).await?;
    let listed = listing.files.len();
    let taken: Vec<ListedFile> =
        listing.files.into_iter().filter(|file| selection.takes(&file.path)).collect();
    if taken.is_empty() {
        let origin = origin.to_owned();
        let reason = match listed {
            0 => "it has no files".to_owned(),
            _ => format!("`include` and `exclude` take none of its {listed} files"),
        };
        return Err(SourceError::Invalid { origin, reason });
    }
    let unread: Vec<&ListedFile> = taken.iter().filter(|file| !is_known(file)).collect();
    let read = unread.len();
    let progress = Progress::new(origin, reporter, &unread);
    let mut hashed: Vec<(usize, ResolvedFile)> = futures_util::stream::iter(taken.iter().enumerate())
        .filter(|(_, file)| std::future::ready(!is_known(file)))
        .map(|(at, file)| {
            let (revision, progress) = (listing.revision.as_deref(), &progress);
            async move {
                let hashed =
                    hash_file(source, file, revision, options.retry, MOST_UNSTATED, progress).await?;
                Ok::<_, SourceError>((at, hashed))
            }
        })
        .buffer_unordered(options.requests.get())
        .try_collect()
        .await?;
    hashed.sort_unstable_by_key(|(at, _)| *at);
    let mut hashed = hashed.into_iter().map(|(_, file)| file);
    let mut files = Vec::with_capacity(taken.len());
    for file in taken {
        files.push(match (file.size, file.sha256) {
            (Some(size), Some(sha256)) => {
                ResolvedFile { pin: FilePin { path: file.path, size, sha256 }, basis: Basis::Listed }
            }
            _ => match hashed.next() {
                Some(resolved) => resolved,
                None => continue,
            },
        });
    }
    let license_files =
        files.iter().filter(|file| is_license_file(&file.pin.path)).map(|file| file.pin.clone()).collect();
    let message = match read {
        0 => format!("{} files, all with a digest of the source", files.len()),
        _ => format!("{} files, {read} of them hashed here", files.len()),
    };
    reporter.report(Event::new(EventKind::Done, Step::Lock, origin).message(message));
    Ok(ResolvedModel { revision: listing.revision, license: listing.license, files, license_files })
}

/// Whether the list says all that a lock needs.
const fn is_known(file: &ListedFile) -> bool {
    file.size.is_some() && file.sha256.is_some()
}

/// Whether a file bears a licence's text, by its name.
pub fn is_license_file(path: &RelPath) -> bool {
    static NAMES: LazyLock<GlobSet> = LazyLock::new(license_names);
    NAMES.is_match(path.file_name().to_lowercase())
}

fn license_names() -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in LICENSE_FILES {
        // The table's globs are right; a test looks at each.
        if let Ok(glob) = globset::Glob::new(glob) {
            builder.add(glob);
        }
    }
    builder.build().unwrap_or_default()
}

#[cfg(test)]
mod tests;
