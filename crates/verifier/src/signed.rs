//! A source against the list of files that a signature of OpenSSF Model Signing v1.0 speaks for.

use crate::Options;
use crate::compare::{Work, note};
use crate::error::VerifyError;
use crate::finding::{ByteRange, Finding, Kind};
use crate::hash::{Outcome, Progress, Reading, pieces, pool};
use crate::identity::{Identity, settle};
use crate::layout::is_hub_metadata;
use crate::receipts::SourceReceipts;
use crate::remainder::{Reason, Remainder, Remainders};
use crate::run::{Report, judge, steady};
use crate::walk::{Entry, Links, Source, Walked};
use blake2::Blake2b512;
use sha2::Digest as _;
use sovai_core::{FilePin, RelPath, Reporter, Sha256};
use sovai_signing::oms::{DEFAULT_IGNORES, Digest, HashAlgorithm, Method, Piece, Resource, Signed};
use sovai_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

/// Most wrong pieces that are told of one file.
const MAX_WRONG: usize = 20;

/// What a source is compared with.
#[derive(Debug, Clone, Copy)]
pub struct SignedList<'a> {
    /// What a good signature says.
    pub signed: &'a Signed,
    /// The signature's own file, wherever it lies: inside the source it is no file of the model.
    pub signature: Option<&'a Path>,
    /// What the operator allows. Links are followed only where the signature allows it too.
    pub links: Links,
}

/// What came of comparing a source with a signed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReport {
    /// Findings, counts, and the whole remainder. `files` are those listed; `bytes` those that were found of them.
    pub report: Report,
    /// Files that lie in the source and that the signature does not speak for ([`Reason::is_unsigned`]), at most
    /// [`crate::MAX_LISTED`] for each reason. If there is one, a strict caller refuses, although nothing is *wrong*.
    pub unsigned: Vec<Remainder>,
    /// Paths of the listed files that are there with all their listed bytes.
    pub covered: BTreeSet<String>,
}

/// Verifies a source against the files that a signature lists; reads only.
///
/// - A file that is not listed is [`Finding::Extra`], unless the signature says to ignore it: then it is in
///   [`SignedReport::unsigned`]. What is ignored is ignored exactly or as a folder, by name, without patterns.
/// - Pieces of files are compared one by one; a file must end where its last piece ends.
/// - With a store, receipts are used and written as by [`crate::verify`] for files whose listed digest is the SHA-256 of
///   the whole file. Files with other digests are read each time.
/// - Special files, bad names, and links that may not be followed are findings also under ignored paths.
pub fn verify_signed(
    source: &Path,
    list: &SignedList<'_>,
    options: &Options,
    store: Option<&Store>,
    reporter: &dyn Reporter,
) -> Result<SignedReport, VerifyError> {
    let start = Instant::now();
    let links = if list.signed.allow_symlinks { list.links } else { Links::Refuse };
    let opened = Source::open_with(source, links)?;
    if let Some(commit) = opened.commit() {
        reporter
            .report(note(&source.to_string_lossy(), format!("a hub's cache; its snapshot {commit} is read")));
    }
    let Compared { mut findings, whole, by_piece, remainder, bytes } = compare(&opened, list, options)?;

    let mut receipts = store.map(|store| SourceReceipts::load(store, source));
    let answered = |work: &Work<'_>| receipts.as_ref().is_some_and(|r| work.is_answered(r, options));
    let mut jobs: Vec<Job<'_>> = whole
        .iter()
        .map(|(pin, state)| Work { pin, state: *state })
        .filter(|work| !answered(work))
        .map(Job::Whole)
        .chain(by_piece.iter().map(|(entry, resource)| Job::Pieces(entry, resource)))
        .collect();
    // Largest first: a large one begun last would run alone at the end.
    jobs.sort_by(|a, b| b.size().cmp(&a.size()).then_with(|| a.path().cmp(b.path())));
    if receipts.is_some() {
        settle(jobs.iter().filter_map(|job| match job {
            Job::Whole(work) => work.state.as_ref(),
            Job::Pieces(..) => None,
        }));
    }
    let total = jobs.iter().fold(0, |sum: u64, job| sum.saturating_add(job.size()));
    let progress = Progress::new(reporter, total);
    let results = pool(&jobs, options, |job, buffer| {
        let reading = Reading { options, progress: &progress, subject: job.path().as_str() };
        Ok(match job {
            Job::Whole(work) => {
                let read = steady(&opened, job.path(), job.size(), |file| {
                    crate::hash::hash(file, job.size(), None, buffer, reading)
                })?;
                Done::Whole(work.pin, read)
            }
            Job::Pieces(entry, resource) => {
                let read = steady(&opened, job.path(), job.size(), |file| {
                    wrong_pieces(file, entry, resource, buffer, reading)
                })?;
                Done::Pieces(match read {
                    Ok((wrong, _)) => wrong,
                    Err(finding) => vec![finding],
                })
            }
        })
    })?;
    progress.finish(&source.to_string_lossy());
    for done in results {
        match done {
            Done::Whole(pin, read) => findings.extend(judge(pin, read, receipts.as_mut())),
            Done::Pieces(wrong) => findings.extend(wrong),
        }
    }
    if let Some(receipts) = receipts {
        receipts.save_if_writable(&whole.iter().map(|(pin, _)| pin.path.as_str()).collect())?;
    }
    findings.sort_by(|a, b| a.subject().cmp(b.subject()));
    let listed = whole.iter().map(|(pin, _)| &pin.path).chain(by_piece.iter().map(|(entry, _)| &entry.path));
    let mut covered: BTreeSet<String> = listed.map(|path| path.as_str().to_owned()).collect();
    for finding in &findings {
        covered.remove(finding.subject());
    }
    let unsigned = remainder.items.iter().filter(|item| item.reason.is_unsigned()).cloned().collect();
    let report = Report {
        findings,
        files: list.signed.resources.len() as u64,
        bytes,
        hashed: progress.done(),
        elapsed: start.elapsed(),
        remainder,
    };
    Ok(SignedReport { report, unsigned, covered })
}

/// What lies in a source and is not covered by a signed list; reads no file. [`verify_signed`] says the same.
///
/// Errors are those of [`verify_signed`].
pub fn uncovered(source: &Path, list: &SignedList<'_>, options: &Options) -> Result<Remainders, VerifyError> {
    let links = if list.signed.allow_symlinks { list.links } else { Links::Refuse };
    Ok(compare(&Source::open_with(source, links)?, list, options)?.remainder)
}

/// A file that must be read.
enum Job<'a> {
    Whole(Work<'a>),
    Pieces(&'a Entry, &'a Resource),
}

impl Job<'_> {
    fn path(&self) -> &RelPath {
        match self {
            Self::Whole(work) => &work.pin.path,
            Self::Pieces(entry, _) => &entry.path,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Whole(work) => work.pin.size,
            Self::Pieces(entry, _) => entry.size,
        }
    }
}

/// A file that was read.
enum Done<'a> {
    Whole(&'a FilePin, crate::run::Read),
    Pieces(Vec<Finding>),
}

/// What a walk and a list have to say about one another, before a file is read.
struct Compared<'a> {
    findings: Vec<Finding>,
    /// Files whose listed digest is the SHA-256 of the whole, with their length as it is.
    whole: Vec<(FilePin, Option<Identity>)>,
    by_piece: Vec<(Entry, &'a Resource)>,
    remainder: Remainders,
    bytes: u64,
}

fn compare<'a>(
    source: &Source,
    list: &SignedList<'a>,
    options: &Options,
) -> Result<Compared<'a>, VerifyError> {
    let signed = list.signed;
    let walked = source.walk(&options.cancel)?;
    let mut listed: BTreeMap<&str, &Resource> =
        signed.resources.iter().map(|resource| (resource.name.as_str(), resource)).collect();
    // A signature of one file that says nothing about its name is good for that file whatever it is called now.
    let single = source.single_name().filter(|_| signed.single_file);
    if let (Some(name), [only]) = (&single, &signed.resources[..]) {
        listed = BTreeMap::from([(name.as_str(), only)]);
    }
    let ignored = Ignored::new(signed, source, list.signature);
    let remainder = Remainders::of(&walked, |entry| {
        let is_listed = listed.contains_key(entry.path.as_str());
        if is_listed { None } else { ignored.reason(entry, signed.method) }
    });
    let Walked { files, folders, mut findings } = walked;
    let told: BTreeSet<String> = findings.iter().map(|finding| finding.subject().to_owned()).collect();
    let (mut whole, mut by_piece, mut bytes) = (Vec::new(), Vec::new(), 0u64);
    for entry in files.into_values() {
        let path = entry.path.as_str().to_owned();
        let Some(resource) = listed.remove(path.as_str()) else {
            if !ignored.is_signature(&path) && ignored.reason(&entry, signed.method).is_none() {
                findings.push(Finding::Extra { path });
            }
            continue;
        };
        bytes = bytes.saturating_add(entry.size);
        let end = resource.pieces.last().and_then(|piece| piece.end);
        match (end, whole_digest(resource)) {
            (Some(expected), _) if expected != entry.size => {
                findings.push(Finding::Size { path, expected, found: entry.size });
            }
            (_, Some(sha256)) => {
                whole.push((FilePin { path: entry.path, size: entry.size, sha256 }, entry.identity));
            }
            (_, None) => by_piece.push((entry, resource)),
        }
    }
    for path in listed.into_keys() {
        if folders.contains(path) {
            findings.push(Finding::NotRegular { path: path.to_owned(), found: Kind::Folder });
        } else if !told.contains(path) {
            findings.push(Finding::Missing { path: path.to_owned() });
        }
    }
    Ok(Compared { findings, whole, by_piece, remainder, bytes })
}

/// The SHA-256 of the whole file, if that is what is listed. The length is that of the file as it is: two files of one
/// SHA-256 have one length.
fn whole_digest(resource: &Resource) -> Option<Sha256> {
    match &resource.pieces[..] {
        [Piece { start: 0, digest, .. }] => digest.sha256(),
        _ => None,
    }
}

/// What a signature says to ignore.
struct Ignored<'a> {
    paths: BTreeSet<&'a str>,
    /// Path of the signature's own file in the source.
    signature: Option<String>,
}

impl<'a> Ignored<'a> {
    fn new(signed: &'a Signed, source: &Source, signature: Option<&Path>) -> Self {
        let signature = signature.and_then(|path| {
            let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            let real = fs_err::canonicalize(parent).ok()?.join(path.file_name()?);
            Some(real.strip_prefix(source.real()?).ok()?.to_str()?.to_owned())
        });
        Self { paths: signed.ignore_paths.iter().map(String::as_str).collect(), signature }
    }

    fn is_signature(&self, path: &str) -> bool {
        self.signature.as_deref() == Some(path)
    }

    /// Why an unlisted file is not covered; nothing for one that has no business to be there, and for the signature
    /// itself where it says to ignore itself.
    fn reason(&self, entry: &Entry, method: Method) -> Option<Reason> {
        let path = entry.path.as_str();
        let root = path.split('/').next().unwrap_or(path);
        let is_ignored = self.paths.contains(path)
            || path.match_indices('/').any(|(at, _)| self.paths.contains(&path[..at]));
        if self.is_signature(path) {
            (!is_ignored).then_some(Reason::Signature)
        } else if DEFAULT_IGNORES.contains(&root) {
            Some(Reason::Vcs)
        } else if is_hub_metadata(path) {
            Some(Reason::HubMetadata)
        } else if is_ignored {
            Some(Reason::Ignored)
        } else if matches!(method, Method::Shards { .. }) && entry.size == 0 {
            Some(Reason::EmptyFile)
        } else {
            None
        }
    }
}

/// One of the hash functions that a signature may use.
enum Hasher {
    Sha256(sha2::Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Blake2b => Self::Blake2b(Box::default()),
            HashAlgorithm::Blake3 => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

/// Reads a file once and compares each of its pieces; gives the first [`MAX_WRONG`] that have other bytes.
fn wrong_pieces(
    file: &File,
    entry: &Entry,
    resource: &Resource,
    buffer: &mut [u8],
    reading: Reading<'_>,
) -> Result<Outcome<Vec<Finding>>, VerifyError> {
    let mut wrong = Vec::new();
    let mut compare = |piece: &Piece, hasher: Hasher| {
        let found = Digest { algorithm: piece.digest.algorithm, bytes: hasher.finish() };
        if found != piece.digest && wrong.len() < MAX_WRONG {
            wrong.push(Finding::Piece {
                path: entry.path.as_str().to_owned(),
                range: ByteRange { start: piece.start, end: piece.end.unwrap_or(entry.size) },
                expected: piece.digest.to_string(),
                found: found.to_string(),
            });
        }
    };
    let mut rest = resource.pieces.iter();
    let mut current = rest.next().map(|piece| (piece, Hasher::new(piece.digest.algorithm)));
    let mut at = 0u64;
    let outcome = pieces(file, entry.size, buffer, reading, |mut bytes| {
        while !bytes.is_empty()
            && let Some((piece, mut hasher)) = current.take()
        {
            let end = piece.end.unwrap_or(entry.size);
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            hasher.update(now);
            at = at.saturating_add(now.len() as u64);
            bytes = later;
            current = if at < end {
                Some((piece, hasher))
            } else {
                compare(piece, hasher);
                rest.next().map(|piece| (piece, Hasher::new(piece.digest.algorithm)))
            };
        }
        Ok(())
    })?;
    // An empty file ends before its one piece was looked at.
    for (piece, hasher) in current.into_iter().chain(rest.map(|p| (p, Hasher::new(p.digest.algorithm)))) {
        compare(piece, hasher);
    }
    Ok(match outcome {
        Outcome::Digest(()) => Outcome::Digest(wrong),
        Outcome::OtherLength => Outcome::OtherLength,
        Outcome::Failed(error) => Outcome::Failed(error),
    })
}
