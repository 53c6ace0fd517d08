//! One read of a model, all digests.

use super::{GitBlobId, MAX_GIT_BLOB, Passport, PassportFile, chunk_size_for};
use crate::Options;
use crate::error::VerifyError;
use crate::finding::Finding;
use crate::hash::{Outcome, Progress, Reading, pieces, pool};
use crate::identity::{Identity, settle};
use crate::receipts::SourceReceipts;
use crate::run::{largest_entries, steady, walk_fit, wrong_blob};
use crate::tree::{Blake3, ChunkValue, TreeHasher};
use crate::verity::VerityHasher;
use crate::walk::{Entry, Source};
use sha2::Digest as _;
use sovai_core::{FilePin, RelPath, Reporter, Sha256};
use sovai_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Which digests a read gives besides SHA-256. Each costs CPU time. Measured over 2 GiB in the page cache on one core with
/// SHA instructions and AVX-512, best of three: SHA-256 alone 1.15 s, with BLAKE3 1.38 s (1.2 times), all digests 2.47 s (2.15
/// times). With AVX2, BLAKE3 costs about twice as much; fs-verity is SHA-256 a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3, and the values of its chunks.
    pub blake3: bool,
    /// The git blob ID, of files of at most [`MAX_GIT_BLOB`] bytes.
    pub git_blob: bool,
    /// The fs-verity digest.
    pub fsverity: bool,
}

impl Digests {
    /// All of them, as a passport has them.
    pub const ALL: Self = Self { blake3: true, git_blob: true, fsverity: true };
}

/// The digests of one file, those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigests {
    /// Where it lies in the model.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// BLAKE3 of its bytes, and the values of its chunks.
    pub blake3: Option<(Blake3, Vec<ChunkValue>)>,
    /// The git blob ID, of a short file.
    pub git_blob: Option<GitBlobId>,
    /// The fs-verity digest.
    pub fsverity: Option<Sha256>,
}

/// Reads every file of a source once and makes its passport. With a store, receipts of the files are written there.
///
/// What could not be verified later (links, special files, bad or colliding names) is [`VerifyError::Unfit`].
pub fn make_passport(
    source: &Path,
    options: &Options,
    store: Option<&Store>,
    reporter: &dyn Reporter,
) -> Result<Passport, VerifyError> {
    let (digests, chunk_size) = read_all(source, Digests::ALL, options, store, reporter)?;
    let files = digests.into_iter().filter_map(passport_file).collect();
    Ok(Passport::new(chunk_size, files).fits()?)
}

/// Nothing when a digest is missing, which [`Digests::ALL`] rules out.
fn passport_file(file: FileDigests) -> Option<PassportFile> {
    let (blake3, chunks) = file.blake3?;
    let FileDigests { path, size, sha256, git_blob, .. } = file;
    Some(PassportFile { path, size, sha256, blake3, chunks, git_blob, fsverity: file.fsverity? })
}

/// Reads every file of a source once and gives the digests that are asked for; sorted by path. Errors as those of
/// [`make_passport`].
pub fn digest_files(
    source: &Path,
    digests: Digests,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Vec<FileDigests>, VerifyError> {
    Ok(read_all(source, digests, options, None, reporter)?.0)
}

/// Git blob IDs of the pinned files of at most [`MAX_GIT_BLOB`] bytes, from a read that also shows that their bytes are
/// the pinned ones: files of which they are not are left out, and so are those that are not there.
pub fn git_blobs(
    source: &Path,
    pins: &[FilePin],
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<RelPath, GitBlobId>, VerifyError> {
    let wanted: BTreeMap<&str, &FilePin> =
        pins.iter().filter(|pin| pin.size <= MAX_GIT_BLOB).map(|pin| (pin.path.as_str(), pin)).collect();
    let opened = Source::open(source)?;
    let mut files: Vec<Entry> = opened.walk(&options.cancel)?.files.into_values().collect();
    files.retain(|entry| wanted.get(entry.path.as_str()).is_some_and(|pin| pin.size == entry.size));
    let jobs = largest_entries(&files);
    let digests = Digests { blake3: false, git_blob: true, fsverity: false };
    let progress = Progress::new(reporter, jobs.iter().fold(0, |sum, entry| sum.saturating_add(entry.size)));
    let read = pool(&jobs, options, |entry, buffer| {
        read_one(&opened, entry, digests, u64::MAX, buffer, options, &progress)
    })?;
    let ids = read.into_iter().filter_map(|file| {
        let (file, _) = file.ok()?;
        let pin = wanted.get(file.path.as_str())?;
        Some((file.path, file.git_blob.filter(|_| file.sha256 == pin.sha256)?))
    });
    Ok(ids.collect())
}

fn read_all(
    source: &Path,
    digests: Digests,
    options: &Options,
    store: Option<&Store>,
    reporter: &dyn Reporter,
) -> Result<(Vec<FileDigests>, u64), VerifyError> {
    let opened = Source::open(source)?;
    let files = walk_fit(&opened, source, options)?;
    let jobs = largest_entries(&files);
    let total = jobs.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
    let chunk = chunk_size_for(total);
    let mut receipts = store.map(|store| SourceReceipts::load(store, source));
    if receipts.is_some() {
        settle(jobs.iter().filter_map(|entry| entry.identity.as_ref()));
    }
    let progress = Progress::new(reporter, total);
    let results = pool(&jobs, options, |entry, buffer| {
        let read = read_one(&opened, entry, digests, chunk, buffer, options, &progress)?;
        Ok(read.and_then(|(file, state)| match wrong_blob(&opened, entry, file.sha256) {
            Some(finding) => Err(finding),
            None => Ok((file, state)),
        }))
    })?;
    progress.finish(&source.to_string_lossy());
    let (mut done, mut findings) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok((file, state)) => {
                if let Some(receipts) = &mut receipts {
                    receipts.note(file.path.as_str(), state, file.sha256);
                }
                done.push(file);
            }
            Err(finding) => findings.push(finding),
        }
    }
    if !findings.is_empty() {
        return Err(VerifyError::Unfit { path: source.to_owned(), findings });
    }
    done.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(receipts) = receipts {
        let paths: BTreeSet<&str> = done.iter().map(|file| file.path.as_str()).collect();
        receipts.save_if_writable(&paths)?;
    }
    Ok((done, chunk))
}

fn read_one(
    source: &Source,
    entry: &Entry,
    digests: Digests,
    chunk: u64,
    buffer: &mut [u8],
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Result<(FileDigests, Option<Identity>), Finding>, VerifyError> {
    let Entry { path, size, .. } = entry;
    let size = *size;
    let reading = Reading { options, progress, subject: path.as_str() };
    steady(source, path, size, |file| {
        let mut sha256 = sha2::Sha256::new();
        let mut blake3 = digests.blake3.then(|| TreeHasher::new(size, chunk));
        let mut git = (digests.git_blob && size <= MAX_GIT_BLOB).then(|| {
            let mut sha1 = sha1::Sha1::new();
            sha1.update(format!("blob {size}\0").as_bytes());
            sha1
        });
        let mut verity = digests.fsverity.then(VerityHasher::default);
        let outcome = pieces(file, size, buffer, reading, |bytes| {
            sha256.update(bytes);
            if let Some(blake3) = &mut blake3 {
                blake3.update(bytes);
            }
            if let Some(git) = &mut git {
                git.update(bytes);
            }
            if let Some(verity) = &mut verity {
                verity.update(bytes);
            }
            Ok(())
        })?;
        Ok(match outcome {
            Outcome::Digest(()) => Outcome::Digest(FileDigests {
                path: path.clone(),
                size,
                sha256: Sha256::from_bytes(sha256.finalize().into()),
                blake3: blake3.map(TreeHasher::finish),
                git_blob: git.map(|sha1| GitBlobId(sha1.finalize().into())),
                fsverity: verity.map(VerityHasher::finish),
            }),
            Outcome::OtherLength => Outcome::OtherLength,
            Outcome::Failed(error) => Outcome::Failed(error),
        })
    })
}
