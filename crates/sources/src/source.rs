//! What every kind of source can do.

use crate::SourceError;
use bytes::Bytes;
use futures_util::Stream;
use sovai_core::{RelPath, Sha256};
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future on the heap: sources are used as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// One place that has a model's files. Small on purpose: retries, ranges, digests and files on disk are not its business.
pub trait Source: Send + Sync + fmt::Debug {
    /// The source as the manifest writes it.
    fn origin(&self) -> &str;

    /// Lists the files at a revision (a branch, a tag, a commit; `None`: what the source's own text says, else its default).
    /// Retries by itself what may help.
    fn list<'a>(&'a self, revision: Option<&'a str>) -> BoxFuture<'a, Listing>;

    /// Opens bytes of one file; `None`: all of them, in one unranged stream. One try: who fetches decides on more.
    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body>;
}

/// What a source has at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The full commit at a hub, or the digest of the manifest in a registry (`sha256:...`).
    pub revision: Option<String>,
    /// The licence that the source states, as it states it.
    pub license: Option<String>,
    /// The files, sorted by path, no path twice.
    pub files: Vec<ListedFile>,
}

/// A file as its source lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedFile {
    /// Path in the model.
    pub path: RelPath,
    /// Length in bytes.
    pub size: Option<u64>,
    /// SHA-256 of the bytes.
    pub sha256: Option<Sha256>,
    /// Git blob id: SHA-1 of `blob LENGTH\0` and the bytes. Only where there is no SHA-256.
    pub git_blob: Option<[u8; 20]>,
}

/// A file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path in the model.
    pub path: RelPath,
    /// Exact length in bytes; `None` while a lock is made of a source that does not say.
    pub size: Option<u64>,
    /// SHA-256; `None` while a lock is made.
    pub sha256: Option<Sha256>,
    /// The commit it was pinned at, for sources that have revisions.
    pub revision: Option<String>,
}

/// Bytes `start` to `end` of a file, `end` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// After the last byte.
    pub end: u64,
}

/// Bytes on their way.
pub struct Body {
    /// Where in the file they begin: 0 when the source gave no range although one was asked for.
    pub start: u64,
    /// How many will come, as far as the source says.
    pub length: Option<u64>,
    /// Length of the whole file, as far as the source says.
    pub total: Option<u64>,
    /// The bytes in pieces. An error ends them; an end that comes too early is no error here.
    pub stream: Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("start", &self.start)
            .field("length", &self.length)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
