//! The log: one DSSE envelope a line, each with the digest of the line before.
//!
//! `evidence/log.jsonl` holds the lines, `evidence/head.json` the number and digest of the last one, so that a log whose
//! end was cut off is told from a whole one. The digest of a line is the SHA-256 of its bytes without the line break.

mod tail;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

pub use walk::{Entry, Flaw, Problem, Walked};

use crate::error::EvidenceError;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_signing::PrivateKey;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{self, Statement};
use sovai_store::{Store, StoreError, StoreLock, atomic, read_bounded};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// Longest line that is written or read, in bytes: a witnessed list of 50,000 files has some 12 MiB.
pub(crate) const MAX_LINE: u64 = 16 << 20;
/// How much of the log is read at once when it is compared with its digest, in bytes.
const BLOCK: usize = 256 << 10;
/// Largest `head.json` that is read, in bytes.
pub(crate) const MAX_HEAD: u64 = 4 << 10;
/// How often, and how long apart, the lock is asked for: whoever holds it appends one line.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The evidence log of a store.
#[derive(Debug, Clone)]
pub struct Log {
    store: Store,
}

/// A line that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its number, from 1.
    pub seq: u64,
    /// SHA-256 of the line.
    pub digest: Sha256,
    /// What was found half-written at the end of the log and kept aside.
    pub mended: Option<Mended>,
}

/// The half of a line that a killed process left, which was moved to a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Sha256,
    /// Where it lies now.
    pub kept: PathBuf,
}

/// Number and digest of the last line, and what the log was when it was written; `head.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) sha256: Sha256,
    /// Length and digest of the whole log: one read tells whether it is still what was written. A head of before this
    /// was kept has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<Whole>,
}

/// Length and SHA-256 of the log up to the line break of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whole {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// Number and digest of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    seq: u64,
    sha256: Sha256,
}

impl Log {
    /// The log of a store. Touches nothing: the file is made by the first line.
    pub fn open(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The log's file.
    pub fn path(&self) -> PathBuf {
        self.store.evidence().join("log.jsonl")
    }

    fn head_path(&self) -> PathBuf {
        self.store.evidence().join("head.json")
    }

    /// Appends a statement, signed by `key`; it is on the disk when this returns.
    ///
    /// The predicate gets the members `seq` and `previous`; it must be an object that has neither. Waits up to two seconds
    /// for others who append, then it is busy. A log that is not what was written is left alone: it is read through and compared
    /// with the digest that was kept of it, without looking at signatures, which [`Log::verify`] does.
    pub fn append(&self, statement: &Statement, key: &PrivateKey) -> Result<Appended, EvidenceError> {
        let _lock = self.lock()?;
        let path = self.path();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| StoreError::io("open", &path, error))?;
        let mut file = File::from(fd);
        let io = |action, error| EvidenceError::from(StoreError::io(action, &path, error));
        if !file.metadata().map_err(|error| io("look at", error))?.is_file() {
            let reason = "it is not a regular file".to_owned();
            return Err(StoreError::Corrupt { path: path.clone(), reason }.into());
        }
        let head = self.head()?;
        let mended = self.mend(&mut file)?;
        let last = self.last(&mut file, head)?;
        let mut whole = self.whole(&mut file, head)?;
        // A line whose writer was killed before it wrote the head: the head follows now, as it may be one line behind
        // and never two.
        if let Some(last) = last.filter(|last| head.is_none_or(|head| head.seq != last.seq)) {
            file.sync_all().map_err(|error| io("write", error))?;
            let bytes = file.metadata().map_err(|error| io("look at", error))?.len();
            let log = Some(Whole { bytes, sha256: finished(&whole) });
            self.write_head(Head { seq: last.seq, sha256: last.sha256, log })?;
        }
        let seq = last.map_or(1, |head| head.seq.saturating_add(1));
        let line = numbered(statement, seq, last.map(|head| head.sha256), mended.as_ref(), key)?;
        let digest = sha256(&line);
        let end = file.seek(SeekFrom::End(0)).map_err(|error| io("read", error))?;
        let mut broken = line;
        broken.push(b'\n');
        whole.update(&broken);
        if let Err(error) = file.write_all(&broken).and_then(|()| file.sync_all()) {
            // Best effort: what is left half-written now is mended by the next one who appends.
            drop(file.set_len(end));
            return Err(io("write", error));
        }
        let bytes = end.saturating_add(broken.len() as u64);
        self.write_head(Head { seq, sha256: digest, log: Some(Whole { bytes, sha256: finished(&whole) }) })?;
        Ok(Appended { seq, digest, mended })
    }

    /// Moves a half-written last line to a file of its own, on the disk before the log is cut.
    fn mend(&self, file: &mut File) -> Result<Option<Mended>, EvidenceError> {
        let path = self.path();
        let Some(torn) = tail::torn(file, &path)? else { return Ok(None) };
        let digest = sha256(&torn.bytes);
        let kept = self.store.evidence().join(format!("torn-{}", digest.hex()));
        atomic::write(&kept, &torn.bytes, 0o600)?;
        file.set_len(torn.start)
            .and_then(|()| file.sync_all())
            .map_err(|error| StoreError::io("write", &path, error))?;
        Ok(Some(Mended { bytes: torn.bytes.len() as u64, digest, kept }))
    }

    /// Number and digest of the last line, compared with what `head.json` says; nothing when the log is empty.
    fn last(&self, file: &mut File, head: Option<Head>) -> Result<Option<Last>, EvidenceError> {
        let path = self.path();
        let damaged = |line: u64, reason: &str| self.damaged(line, reason.to_owned());
        let Some(line) = tail::last_line(file, &path)? else {
            return match head {
                None => Ok(None),
                Some(head) => Err(damaged(1, &format!("it is empty, expected {} lines", head.seq))),
            };
        };
        let at = head.map_or(1, |head| head.seq);
        let (seq, previous) = walk::chain(&line).map_err(|flaw| damaged(at, &flaw.to_string()))?;
        let last = Last { seq, sha256: sha256(&line) };
        match head {
            Some(head) if (head.seq, head.sha256) == (last.seq, last.sha256) => Ok(Some(last)),
            // The one who wrote the line was killed before it wrote the head.
            Some(head) if head.seq.checked_add(1) == Some(seq) && previous == Some(head.sha256) => {
                Ok(Some(last))
            }
            None if seq == 1 && previous.is_none() => Ok(Some(last)),
            Some(head) => Err(damaged(
                at,
                &format!("it ends with line {seq}, which does not follow line {} that was written", head.seq),
            )),
            None => Err(damaged(at, "head.json, which names its last line, is gone")),
        }
    }

    /// Reads the log through: it must begin with what `head` says that it was. Gives the digest of the whole of it so far.
    fn whole(&self, file: &mut File, head: Option<Head>) -> Result<sha2::Sha256, EvidenceError> {
        let path = self.path();
        let io = |error| EvidenceError::from(StoreError::io("read", &path, error));
        let kept = head.and_then(|head| head.log);
        let mut digest = sha2::Sha256::new();
        let mut same = true;
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        file.rewind().map_err(io)?;
        if let Some(kept) = kept {
            absorb((&mut *file).take(kept.bytes), &mut digest).map_err(io)?;
            same = finished(&digest) == kept.sha256 && length >= kept.bytes;
        }
        let after = absorb(&mut *file, &mut digest).map_err(io)?;
        // Behind it there can be one line, whose writer was killed before it wrote the head; its link has been looked at.
        let one_line = match (kept, tail::last_line(file, &path)?) {
            (None, _) => true,
            (Some(_), _) if after == 0 => true,
            (Some(_), line) => line.is_some_and(|line| line.len() as u64 + 1 == after),
        };
        if kept.is_some() && same && one_line {
            return Ok(digest);
        }
        // The chain says which line; of a log of before whole digests were kept it alone tells.
        file.rewind().map_err(io)?;
        let walked = walk::lines(&path, file, length, None, |_| {})?;
        match walked.problems.into_iter().find(|problem| !problem.flaw.harmless()) {
            Some(problem) => Err(self.damaged(problem.line, problem.flaw.to_string())),
            None if kept.is_none() => Ok(digest),
            None => Err(self.damaged(walked.lines, "its bytes are not those that were written".to_owned())),
        }
    }

    fn damaged(&self, line: u64, reason: String) -> EvidenceError {
        EvidenceError::Damaged { path: self.path(), line, reason }
    }

    fn head(&self) -> Result<Option<Head>, EvidenceError> {
        let path = self.head_path();
        let Some(bytes) = read_bounded(&path, MAX_HEAD)? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(head) => Ok(Some(head)),
            Err(error) => Err(StoreError::Corrupt { path, reason: error.to_string() }.into()),
        }
    }

    /// Also makes the names in the folder last, the log's own when it is new.
    fn write_head(&self, head: Head) -> Result<(), EvidenceError> {
        let bytes = serde_json::to_vec(&head)
            .map_err(|error| EvidenceError::Statement { reason: error.to_string() })?;
        Ok(atomic::write(&self.head_path(), &bytes, 0o600)?)
    }

    fn lock(&self) -> Result<StoreLock, StoreError> {
        let mut tries = 0;
        loop {
            match self.store.lock_evidence("evidence") {
                Err(StoreError::Busy { .. }) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                taken => return taken,
            }
        }
    }
}

/// The line of a statement: its envelope as JSON, which has no line break.
fn numbered(
    statement: &Statement,
    seq: u64,
    previous: Option<Sha256>,
    mended: Option<&Mended>,
    key: &PrivateKey,
) -> Result<Vec<u8>, EvidenceError> {
    let refuse = |reason: &str| EvidenceError::Statement { reason: reason.to_owned() };
    let mut statement = statement.clone();
    let Value::Object(predicate) = &mut statement.predicate else {
        return Err(refuse("its predicate is not an object"));
    };
    for member in ["seq", "previous", "mended"] {
        if predicate.contains_key(member) {
            return Err(refuse(&format!("its predicate has `{member}`, which the log writes itself")));
        }
    }
    predicate.insert("seq".to_owned(), seq.into());
    predicate.insert("previous".to_owned(), previous.map_or(Value::Null, |digest| digest.to_string().into()));
    if let Some(mended) = mended {
        predicate.insert(
            "mended".to_owned(),
            serde_json::json!({ "bytes": mended.bytes, "sha256": mended.digest.to_string() }),
        );
    }
    let payload = statement.to_json().into_bytes();
    // What could not be read again is not written.
    Statement::parse(&payload).map_err(|error| refuse(&error.to_string()))?;
    let line = Envelope::sign(statement::PAYLOAD_TYPE, payload, &[key]).to_json().into_bytes();
    if line.contains(&b'\n') {
        return Err(refuse("its envelope has a line break"));
    }
    if line.len() as u64 > MAX_LINE {
        return Err(refuse(&format!("it has {} bytes, expected at most {MAX_LINE}", line.len())));
    }
    Ok(line)
}

/// Where the half of a line begins that stands at the end of the first `length` bytes; `length` where there is none.
pub(crate) fn torn_at(file: &File, length: u64, path: &std::path::Path) -> Result<u64, EvidenceError> {
    tail::line_start(file, path, length)
}

/// Hashes the rest of `from`; gives its length.
pub(crate) fn absorb(mut from: impl Read, digest: &mut sha2::Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; BLOCK];
    let mut bytes = 0u64;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(buffer.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(read as u64);
    }
}

fn finished(digest: &sha2::Sha256) -> Sha256 {
    Sha256::from_bytes(digest.clone().finalize().into())
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
