//! Reading a file once to hash it; the bytes are not kept.

use super::{Basis, ResolvedFile};
use crate::{ByteRange, ListedFile, Source, SourceError, Wanted};
use futures_util::StreamExt as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use sovai_core::{Event, EventKind, FilePin, Reporter, Sha256, Step, format_bytes};
use sovai_http::Retry;
use sovai_listing::GitBlob;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes between two events of progress.
const REPORT_EVERY: u64 = 8 << 20;
/// Most bytes of a file whose length nobody states: one that never ends must end. The largest files of models have some
/// 50 GiB, and every hub and bucket states them.
pub(super) const MOST_UNSTATED: u64 = 64 << 30;
/// Shorter waits are not worth a word.
const WORTH_A_NOTE: Duration = Duration::from_secs(1);

/// Tells how much of all files was read.
pub(super) struct Progress<'a> {
    origin: &'a str,
    reporter: &'a dyn Reporter,
    done: AtomicU64,
    total: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(origin: &'a str, reporter: &'a dyn Reporter, files: &[&ListedFile]) -> Self {
        let total = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size.unwrap_or(0)));
        Self { origin, reporter, done: AtomicU64::new(0), total }
    }

    /// Says that it waits, and why.
    fn note(&self, error: &SourceError, wait: Duration) {
        if wait >= WORTH_A_NOTE {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let message = format!("{error}{cause}; tried again in {:.0} s", wait.as_secs_f64());
            self.reporter.report(Event::new(EventKind::Note, Step::Lock, self.origin).message(message));
        }
    }

    fn add(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        let done = before.saturating_add(bytes);
        if before / REPORT_EVERY != done / REPORT_EVERY {
            let total = self.total.max(done);
            self.reporter.report(Event::progress(Step::Lock, self.origin, done, total));
        }
    }
}

/// A file while it is read.
struct Reading<'a> {
    origin: &'a str,
    file: &'a ListedFile,
    /// Its length, as far as its source says.
    size: Option<u64>,
    /// The most that is read where nobody says.
    most_unstated: u64,
    sha256: Sha256Hasher,
    /// Git's id; starts when the length is known, which stands in front of the bytes.
    git: Option<Sha1>,
    done: u64,
}

/// Reads a file and hashes it. What breaks off goes on where it was; the count of failures starts again whenever bytes came,
/// but for those of a server that drips. At most `most_unstated` bytes are read of a file whose length nobody states.
pub(super) async fn hash_file(
    source: &dyn Source,
    file: &ListedFile,
    revision: Option<&str>,
    retry: Retry,
    most_unstated: u64,
    progress: &Progress<'_>,
) -> Result<ResolvedFile, SourceError> {
    let wanted = Wanted {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256,
        revision: revision.map(ToOwned::to_owned),
    };
    let mut reading = Reading {
        origin: source.origin(),
        file,
        size: file.size,
        most_unstated,
        sha256: Sha256Hasher::new(),
        git: None,
        done: 0,
    };
    let mut failures = 0;
    loop {
        let before = reading.done;
        let error = match reading.go_on(source, &wanted, progress).await {
            Ok(()) if reading.is_whole() => return reading.finish(),
            // The end came too early.
            Ok(()) => reading.mismatch(
                format!("{} bytes", reading.size.unwrap_or_default()),
                format!("{} bytes", reading.done),
            ),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        failures = if reading.done > before && !error.is_slow() { 1 } else { failures + 1 };
        let Some(wait) = retry.wait(failures, error.retry_after()) else { return Err(error) };
        progress.note(&error, wait);
        tokio::time::sleep(wait).await;
    }
}

impl Reading<'_> {
    fn is_whole(&self) -> bool {
        self.size.is_none_or(|size| size == self.done)
    }

    async fn go_on(
        &mut self,
        source: &dyn Source,
        wanted: &Wanted,
        progress: &Progress<'_>,
    ) -> Result<(), SourceError> {
        let range = match self.size {
            Some(end) if self.done > 0 => Some(ByteRange { start: self.done, end }),
            _ => None,
        };
        let mut body = source.open(wanted, range).await?;
        self.learn_size(body.total)?;
        if body.start > self.done {
            return Err(self.malformed("other bytes came than those that were asked for"));
        }
        // A server without ranges starts again from the front.
        let mut skip = self.done - body.start;
        while let Some(piece) = body.stream.next().await {
            let piece = piece?;
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= passed as u64;
            let piece = &piece[passed..];
            self.done += piece.len() as u64;
            if let Some(size) = self.size.filter(|size| self.done > *size) {
                return Err(self.mismatch(format!("{size} bytes"), "more".to_owned()));
            }
            if self.size.is_none() && self.done > self.most_unstated {
                let most = format_bytes(self.most_unstated);
                return Err(self.malformed(&format!(
                    "more than {most} came, and neither its list nor its answer says how long the file is"
                )));
            }
            self.sha256.update(piece);
            if let Some(git) = &mut self.git {
                git.update(piece);
            }
            progress.add(piece.len() as u64);
        }
        Ok(())
    }

    /// Takes the length that an answer states, and begins git's id with it.
    fn learn_size(&mut self, stated: Option<u64>) -> Result<(), SourceError> {
        match (self.size, stated) {
            (Some(size), Some(stated)) if size != stated => {
                return Err(self.mismatch(format!("{size} bytes"), format!("{stated} bytes")));
            }
            (None, Some(_)) if self.done == 0 => self.size = stated,
            _ => {}
        }
        if self.done == 0 && self.file.git_blob.is_some() && self.git.is_none() {
            let Some(size) = self.size else {
                return Err(self.malformed("neither its list nor its answer says how long the file is"));
            };
            self.git = Some(Sha1::new_with_prefix(format!("blob {size}\0")));
        }
        Ok(())
    }

    fn finish(self) -> Result<ResolvedFile, SourceError> {
        let sha256 = Sha256::from_bytes(self.sha256.clone().finalize().into());
        if let Some(listed) = self.file.sha256.filter(|listed| *listed != sha256) {
            return Err(self.mismatch(listed.to_string(), sha256.to_string()));
        }
        let basis = match (self.file.git_blob, self.git.clone()) {
            (Some(listed), Some(git)) => {
                let found: [u8; 20] = git.finalize().into();
                if found != listed {
                    let id = |bytes| format!("git blob {}", GitBlob::from_bytes(bytes));
                    return Err(self.mismatch(id(listed), id(found)));
                }
                Basis::HashedAsGitSays
            }
            _ => Basis::Hashed,
        };
        let pin = FilePin { path: self.file.path.clone(), size: self.done, sha256 };
        Ok(ResolvedFile { pin, basis })
    }

    fn mismatch(&self, expected: String, found: String) -> SourceError {
        let (origin, path) = (self.origin.to_owned(), self.file.path.to_string());
        SourceError::Mismatch { origin, path, expected, found }
    }

    fn malformed(&self, reason: &str) -> SourceError {
        let reason = format!("`{}`: {reason}", self.file.path);
        SourceError::Malformed { origin: self.origin.to_owned(), reason }
    }
}
