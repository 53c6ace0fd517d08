//! `file:PATH`: a folder or a file on this host, as a mirror of models whose bytes are pinned.
//!
//! Files are found and opened as the verifier finds them: no link is followed out of the folder, and nothing but regular
//! files is read.

use super::Surroundings;
use crate::SourceError;
use crate::remote::boxed;
use crate::source::{Body, BoxFuture, ByteRange, ListedFile, Listing, Source, Wanted};
use bytes::Bytes;
use futures_util::stream;
use sovai_core::NullReporter;
use sovai_verifier::{Cancel, Options, VerifyError};
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;
/// Files that are hashed at once for a list.
const AT_ONCE: usize = 2;

#[derive(Debug)]
struct Local {
    origin: String,
    path: PathBuf,
}

/// Makes a source of a path; a relative one starts at the working folder, so that callers make it absolute.
pub(super) fn open(
    origin: &str,
    rest: &str,
    _surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    if rest.is_empty() || rest.contains('\0') {
        let reason = "expected a path".to_owned();
        return Err(SourceError::Invalid { origin: origin.to_owned(), reason });
    }
    Ok(Arc::new(Local { origin: origin.to_owned(), path: PathBuf::from(rest) }))
}

/// Stops the hashing of a list when the list is no longer awaited.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Local {
    async fn list_now(&self) -> Result<Listing, SourceError> {
        let options = Options::new(NonZeroUsize::new(AT_ONCE).unwrap_or(NonZeroUsize::MIN));
        let _stop = CancelOnDrop(options.cancel.clone());
        let path = self.path.clone();
        let hashed = blocking(&self.origin, move || {
            sovai_verifier::digest_source(&path, &options, &NullReporter)
        });
        let files = hashed.await??.into_iter().map(|pin| ListedFile {
            path: pin.path,
            size: Some(pin.size),
            sha256: Some(pin.sha256),
            git_blob: None,
        });
        Ok(Listing { revision: None, license: None, files: files.collect() })
    }

    async fn open_now(&self, wanted: &Wanted, range: Option<ByteRange>) -> Result<Body, SourceError> {
        let (path, name) = (self.path.clone(), wanted.path.clone());
        let open = move || {
            let file = sovai_verifier::open_file(&path, &name)?;
            let unreadable = |source| VerifyError::Source { path: path.clone(), source };
            let total = file.metadata().map_err(unreadable)?.len();
            Ok::<_, VerifyError>((file, total))
        };
        let (file, total) = blocking(&self.origin, open).await??;
        let (start, end) = match range {
            Some(range) => (range.start.min(total), range.end.min(total)),
            None => (0, total),
        };
        let path = self.path.join(wanted.path.as_path());
        let reading = Reading { origin: self.origin.clone(), path, file: Arc::new(file), at: start, end };
        let stream = stream::try_unfold(reading, Reading::next);
        Ok(Body { start, length: Some(end.saturating_sub(start)), total: Some(total), stream: Box::pin(stream) })
    }
}

/// A file on its way.
struct Reading {
    origin: String,
    path: PathBuf,
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, SourceError> {
        let left = self.end.saturating_sub(self.at).min(PIECE);
        if left == 0 {
            return Ok(None);
        }
        let (file, at, path) = (Arc::clone(&self.file), self.at, self.path.clone());
        let read = blocking(&self.origin, move || read_at(&file, at, left, &path)).await??;
        if read.is_empty() {
            // It became shorter: the end came too early.
            return Ok(None);
        }
        self.at += read.len() as u64;
        Ok(Some((read, self)))
    }
}

fn read_at(file: &File, at: u64, most: u64, path: &Path) -> Result<Bytes, VerifyError> {
    let mut buffer = vec![0; usize::try_from(most).unwrap_or(0)];
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer.into());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(VerifyError::Source { path: path.to_owned(), source }),
        }
    }
}

/// Does something that waits for a disk away from the other tasks.
async fn blocking<T: Send + 'static>(
    origin: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SourceError::Malformed {
        origin: origin.to_owned(),
        reason: "reading it broke off".to_owned(),
    })
}

impl Source for Local {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn list<'a>(&'a self, _revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        boxed(self.list_now())
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        boxed(self.open_now(file, range))
    }
}
