//! The chain, walked from the first line to the last.

use super::{Head, Log, MAX_LINE, sha256};
use crate::error::EvidenceError;
use rustix::fs::{Mode, OFlags};
use serde_json::Value;
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{self, Statement};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::StoreError;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Most problems that are listed.
const MAX_PROBLEMS: usize = 20;

/// One good line of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// SHA-256 of the line.
    pub digest: Sha256,
    /// Which of the given keys signed it; never empty.
    pub signers: BTreeSet<KeyId>,
    /// What it says.
    pub statement: Statement,
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Number of the line as it stands in the file, from 1.
    pub line: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a line, or with the log's end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Flaw {
    #[error("the line has more than {MAX_LINE} bytes")]
    TooLong,
    #[error("it is no envelope with a statement: {0}")]
    Malformed(String),
    #[error("none of the keys that may sign evidence signed it")]
    Signature,
    #[error("it has number {found}, expected {expected}: a line was removed, added or moved")]
    Number { expected: u64, found: u64 },
    #[error("it names {} as the line before, expected {}: that line was changed, removed or moved", shown(.found.as_ref()), shown(.expected.as_ref()))]
    Previous { expected: Option<Sha256>, found: Option<Sha256> },
    #[error("the log ends here, but {expected} lines were written")]
    CutOff { expected: u64 },
    #[error("the last line is not the one that was written: expected {expected}, found {found}")]
    LastLine { expected: Sha256, found: Sha256 },
    #[error("head.json, which names the last line, is gone")]
    NoHead,
    #[error(
        "{0} bytes of a half-written line stand at the end; the next line that is written moves them aside"
    )]
    Torn(u64),
}

fn shown(digest: Option<&Sha256>) -> String {
    digest.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl Flaw {
    /// Whether it is what a killed process leaves, and not a sign that something was changed.
    pub const fn harmless(&self) -> bool {
        matches!(self, Self::Torn(_))
    }
}

/// What a walk over the log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walked {
    /// Lines, whole ones.
    pub lines: u64,
    /// Digest of the last one: who keeps it elsewhere can tell later whether the log was cut and written anew.
    pub last: Option<Sha256>,
    /// What is wrong, in the order of the lines; at most 20.
    pub problems: Vec<Problem>,
}

impl Walked {
    /// Whether the log is what was written.
    pub fn intact(&self) -> bool {
        self.problems.iter().all(|problem| problem.flaw.harmless())
    }

    fn add(&mut self, line: u64, flaw: Flaw) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { line, flaw });
        }
    }
}

impl Log {
    /// Walks the whole log: every line must be signed by one of `keys`, follow the one before, and be there.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Walked, EvidenceError> {
        self.walk(keys, |_| {})
    }

    /// Like [`Log::verify`], and hands each good line to `visit`.
    ///
    /// Lines that come while this runs are not looked at. Memory is bounded by the longest line.
    pub fn walk(&self, keys: &[PublicKey], visit: impl FnMut(Entry)) -> Result<Walked, EvidenceError> {
        let Some((file, length, head)) = self.snapshot()? else { return Ok(Walked::default()) };
        whole(&self.path(), &file, length, head, keys, visit)
    }

    /// The log and its head as they are at one moment; nothing when neither is there.
    pub(crate) fn snapshot(&self) -> Result<Option<(File, u64, Option<Head>)>, EvidenceError> {
        let path = self.path();
        let _lock = match self.lock() {
            Ok(lock) => Some(lock),
            // Who cannot write cannot lock either, and may read all the same.
            Err(StoreError::NotWritable { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let head = self.head()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) if head.is_none() => return Ok(None),
            Err(rustix::io::Errno::NOENT) => {
                return Err(StoreError::Corrupt { path, reason: "it is gone".to_owned() }.into());
            }
            Err(error) => return Err(StoreError::io("open", path, error).into()),
        };
        let meta = file.metadata().map_err(|error| StoreError::io("look at", &path, error))?;
        if !meta.is_file() {
            let reason = "it is not a regular file".to_owned();
            return Err(StoreError::Corrupt { path, reason }.into());
        }
        Ok(Some((file, meta.len(), head)))
    }
}

/// Walks a whole log that is open, wherever it lies; `head` is what names its last line.
pub(crate) fn whole(
    path: &Path,
    file: &File,
    length: u64,
    head: Option<Head>,
    keys: &[PublicKey],
    visit: impl FnMut(Entry),
) -> Result<Walked, EvidenceError> {
    let mut walked = lines(path, file, length, Some(keys), visit)?;
    if walked.problems.last().is_none_or(|problem| problem.flaw != Flaw::TooLong) {
        judge_end(&mut walked, head);
    }
    Ok(walked)
}

/// The lines of an open log, from where it stands: each must follow the one before. Without `keys` signatures are not
/// looked at, and no line is visited.
pub(crate) fn lines(
    path: &Path,
    file: &File,
    length: u64,
    keys: Option<&[PublicKey]>,
    mut visit: impl FnMut(Entry),
) -> Result<Walked, EvidenceError> {
    let mut walked = Walked::default();
    let mut reader = BufReader::with_capacity(64 << 10, file).take(length);
    let (mut previous, mut expected) = (None, 1u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| StoreError::io("read", path, error))?;
        if read == 0 {
            break;
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            if line.len() as u64 > MAX_LINE {
                walked.add(walked.lines + 1, Flaw::TooLong);
                // Without line breaks there is nothing more to be told apart.
                return Ok(walked);
            }
            walked.add(walked.lines + 1, Flaw::Torn(line.len() as u64));
            break;
        }
        walked.lines += 1;
        let digest = sha256(&line);
        match judge(&line, keys.unwrap_or_default()) {
            Ok((seq, named, signers, statement)) => {
                if seq != expected {
                    walked.add(walked.lines, Flaw::Number { expected, found: seq });
                } else if named != previous {
                    walked.add(walked.lines, Flaw::Previous { expected: previous, found: named });
                } else if keys.is_some() && signers.is_empty() {
                    walked.add(walked.lines, Flaw::Signature);
                } else if keys.is_some() {
                    visit(Entry { seq, digest, signers, statement });
                }
                expected = seq.saturating_add(1);
            }
            Err(flaw) => {
                walked.add(walked.lines, flaw);
                expected = expected.saturating_add(1);
            }
        }
        previous = Some(digest);
    }
    walked.last = previous;
    Ok(walked)
}

fn judge_end(walked: &mut Walked, head: Option<Head>) {
    let lines = walked.lines;
    match (head, walked.last) {
        (None, None) => {}
        // The one who wrote the first line was killed before it wrote the head.
        (None, Some(_)) if lines == 1 => {}
        (None, Some(_)) => walked.add(lines, Flaw::NoHead),
        (Some(head), _) if head.seq > lines => walked.add(lines, Flaw::CutOff { expected: head.seq }),
        (Some(head), Some(found)) if head.seq == lines && head.sha256 != found => {
            walked.add(lines, Flaw::LastLine { expected: head.sha256, found });
        }
        // One line more: its writer was killed before it wrote the head; the chain has been walked.
        (Some(head), _) if head.seq == lines || head.seq.checked_add(1) == Some(lines) => {}
        (Some(head), _) => walked.add(lines, Flaw::Number { expected: head.seq, found: lines }),
    }
}

type Judged = (u64, Option<Sha256>, BTreeSet<KeyId>, Statement);

fn judge(line: &[u8], keys: &[PublicKey]) -> Result<Judged, Flaw> {
    let malformed = |error: &dyn std::fmt::Display| Flaw::Malformed(error.to_string());
    let envelope = Envelope::parse(line).map_err(|error| malformed(&error))?;
    if envelope.payload_type != statement::PAYLOAD_TYPE {
        return Err(malformed(&"its payload is no in-toto statement"));
    }
    let statement = Statement::parse(&envelope.payload).map_err(|error| malformed(&error))?;
    let (seq, previous) = links(&statement)?;
    Ok((seq, previous, envelope.verified_by(keys), statement))
}

/// Number of a line, and the digest of the line before as it names it.
pub(super) fn chain(line: &[u8]) -> Result<(u64, Option<Sha256>), Flaw> {
    judge(line, &[]).map(|(seq, previous, ..)| (seq, previous))
}

fn links(statement: &Statement) -> Result<(u64, Option<Sha256>), Flaw> {
    let missing = |what: &str| Flaw::Malformed(format!("its predicate has no {what}"));
    let seq =
        statement.predicate.get("seq").and_then(Value::as_u64).ok_or_else(|| missing("number `seq`"))?;
    let previous = match statement.predicate.get("previous") {
        Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.parse().map_err(|_| missing("digest `previous`"))?),
        _ => return Err(missing("digest `previous`")),
    };
    Ok((seq, previous))
}
