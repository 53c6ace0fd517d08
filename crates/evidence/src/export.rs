//! A folder for an auditor: the log, what it tells as JSON, and one page.
//!
//! ```text
//! log.jsonl          the whole log, line for line
//! head.json          number and digest of its last line, length and digest of the whole
//! site.pub           the site's public key; keys of before as site-KEYID.pub
//! reports/KIND.json  every statement of one kind, decoded: a list, one statement a line
//! index.html         the page
//! SHA256SUMS         digests of all of them
//! export.dsse.json   a signed statement that names them all, SHA256SUMS too; written last
//! ```
//!
//! The same log gives the same bytes. A folder without `export.dsse.json` is one whose making was cut off: the same command
//! completes it.

#[cfg(test)]
mod tests;

use crate::error::EvidenceError;
use crate::log::walk::{self, Entry};
use crate::log::{Head, Log, Walked, Whole};
use crate::page::{self, Frame};
use crate::site::{site_key, site_public};
use crate::story::{Story, Told};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_core::{Name, Sha256};
use sovai_signing::PublicKey;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{self, Statement, Subject};
use sovai_store::Store;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Predicate type of the statement that names the files of an export.
pub(crate) const PREDICATE_TYPE: &str = "https://sovai.dev/evidence-export/v1";
/// Files of an export.
pub(crate) const LOG: &str = "log.jsonl";
pub(crate) const HEAD: &str = "head.json";
pub(crate) const KEY: &str = "site.pub";
pub(crate) const PAGE: &str = "index.html";
pub(crate) const SUMS: &str = "SHA256SUMS";
pub(crate) const SEAL: &str = "export.dsse.json";
pub(crate) const REPORTS: &str = "reports";
/// How much of the log is copied at once, in bytes.
const BLOCK: usize = 128 << 10;
/// How the name of a file begins that is not whole yet.
const PART: &str = ".part-";

/// An export that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Lines of the log.
    pub lines: u64,
    /// Digest of the last one.
    pub last: Option<Sha256>,
    /// Statements in the reports: fewer than lines, where they are of one stack.
    pub told: u64,
    /// The files, by name, with length and digest.
    pub files: BTreeMap<String, (u64, Sha256)>,
    /// The key that signed it.
    pub key: PublicKey,
}

/// Writes the folder `out`: it must not be there, be empty, or be one whose making was cut off. `keys` are those that may
/// have signed lines, the site's own apart; `version` is that of sovai.
///
/// With `stack`, reports and page are about that stack alone; the log is whole all the same, or nobody could check it. A
/// damaged log is not exported.
pub fn export(
    store: &Store,
    out: &Path,
    stack: Option<&Name>,
    keys: &[PublicKey],
    version: &str,
) -> Result<Exported, EvidenceError> {
    let log = Log::open(store);
    let missing = || EvidenceError::NoLog { path: log.path() };
    let own = site_public(store)?.ok_or_else(missing)?;
    let (source, length, _) = log.snapshot()?.ok_or_else(missing)?;
    prepare(out)?;
    let mut files = Files::new(Some(out));
    let length = copy(&source, length, &mut files, &log.path())?;
    drop(source);
    let at = out.join(LOG);
    let copied = open(&at)?;
    let mut all: Vec<PublicKey> = vec![own.clone()];
    all.extend(keys.iter().filter(|key| key.id() != own.id()).cloned());
    let made = Making { stack, own: &own, keys: &all }.run(&at, &copied, length, &mut files);
    let walked = match made {
        Ok(walked) if walked.intact() => walked,
        other => {
            // What was copied of a log that is not whole is nothing to leave lying about.
            drop(clear(out));
            let walked = other?;
            let first = walked.problems.into_iter().find(|problem| !problem.flaw.harmless());
            let (line, reason) = first.map_or((0, String::new()), |one| (one.line, one.flaw.to_string()));
            return Err(EvidenceError::Damaged { path: log.path(), line, reason });
        }
    };
    let told = files.told;
    let seal = seal(&files.done, stack, version, &walked);
    let envelope = Envelope::sign(statement::PAYLOAD_TYPE, seal.to_json().into_bytes(), &[&site_key(store)?]);
    files.write(SEAL, format!("{}\n", envelope.to_json()).as_bytes())?;
    files.settle()?;
    let Walked { lines, last, .. } = walked;
    Ok(Exported { lines, last, told, files: files.done, key: own })
}

/// The statement over the files.
fn seal(
    files: &BTreeMap<String, (u64, Sha256)>,
    stack: Option<&Name>,
    version: &str,
    walked: &Walked,
) -> Statement {
    let subject = |(name, (_, digest)): (&String, &(u64, Sha256))| Subject {
        name: name.clone(),
        digest: [("sha256".to_owned(), digest.hex())].into(),
    };
    Statement {
        subject: files.iter().map(subject).collect(),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: json!({
            "version": version,
            "stack": stack,
            "lines": walked.lines,
            "head": walked.last.map(|digest| digest.to_string()),
        }),
    }
}

pub(crate) fn folder(action: &'static str, path: &Path, source: io::Error) -> EvidenceError {
    EvidenceError::Folder { action, path: path.to_owned(), source }
}

/// A file or folder of our own, without following a link.
fn open(path: &Path) -> Result<File, EvidenceError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| folder("open", path, error.into()))?;
    Ok(File::from(fd))
}

/// Makes the folder, or sees that what is in it may be written anew.
fn prepare(out: &Path) -> Result<(), EvidenceError> {
    match fs_err::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(out).map_err(|error| folder("create", out, error))?;
        }
        Err(error) => return Err(folder("look at", out, error)),
        Ok(_) => {
            let whole = out.join(SEAL).exists();
            for name in names(out)? {
                let ours = [LOG, HEAD, PAGE, SUMS, REPORTS].contains(&name.as_str())
                    || is_key(&name)
                    || name.starts_with(PART);
                if whole || !ours {
                    return Err(EvidenceError::Occupied { path: out.to_owned(), found: name });
                }
            }
            clear(out)?;
        }
    }
    let reports = out.join(REPORTS);
    fs_err::create_dir_all(&reports).map_err(|error| folder("create", &reports, error))
}

/// `site.pub`, and `site-KEYID.pub`.
pub(crate) fn is_key(name: &str) -> bool {
    name == KEY || name.strip_prefix("site-").and_then(|rest| rest.strip_suffix(".pub")).is_some()
}

/// Names in a folder, sorted; one that is no text is shown as well as it can be.
pub(crate) fn names(of: &Path) -> Result<Vec<String>, EvidenceError> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(of).map_err(|error| folder("read", of, error))? {
        let entry = entry.map_err(|error| folder("read", of, error))?;
        all.push(entry.file_name().to_string_lossy().into_owned());
    }
    all.sort_unstable();
    Ok(all)
}

/// Removes what a run that was cut off has left.
fn clear(out: &Path) -> Result<(), EvidenceError> {
    for place in [out.join(REPORTS), out.to_owned()] {
        if !place.is_dir() {
            continue;
        }
        for name in names(&place)? {
            let path = place.join(&name);
            let is_file = fs_err::symlink_metadata(&path).is_ok_and(|meta| !meta.is_dir());
            if is_file {
                fs_err::remove_file(&path).map_err(|error| folder("remove", &path, error))?;
            }
        }
    }
    let reports = out.join(REPORTS);
    if reports.is_dir() {
        fs_err::remove_dir(&reports).map_err(|error| folder("remove", &reports, error))?;
    }
    Ok(())
}

/// Copies the whole lines of the log; gives their length.
fn copy(source: &File, length: u64, files: &mut Files<'_>, path: &Path) -> Result<u64, EvidenceError> {
    // What stands after the last line break is half a line, which the next writer moves aside.
    let torn = crate::log::torn_at(source, length, path)?;
    let mut piece = files.begin(LOG)?;
    let mut left = source.take(torn);
    let mut buffer = vec![0; BLOCK];
    loop {
        let read = match left.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(folder("read", path, error)),
        };
        piece.put(buffer.get(..read).unwrap_or_default())?;
    }
    let bytes = piece.bytes;
    files.end(piece)?;
    Ok(bytes)
}

/// What an export is made of, besides the log.
pub(crate) struct Making<'a> {
    pub(crate) stack: Option<&'a Name>,
    pub(crate) own: &'a PublicKey,
    /// Every key that may have signed lines, the own among them.
    pub(crate) keys: &'a [PublicKey],
}

impl Making<'_> {
    /// Walks a log that was copied, and makes all files that follow from it: everything but the log itself and the seal.
    /// Where the log is not whole, nothing but reports has been written.
    pub(crate) fn run(
        &self,
        path: &Path,
        log: &File,
        length: u64,
        files: &mut Files<'_>,
    ) -> Result<Walked, EvidenceError> {
        let (mut story, mut reports) = (Story::default(), BTreeMap::<&str, Piece>::new());
        let mut failed = None;
        let mut bytes = log;
        let whole = digest_of(&mut bytes, length).map_err(|error| folder("read", path, error))?;
        let again = open(path)?;
        let mut visit = |entry: Entry| {
            if failed.is_none() {
                failed = self.tell(&entry, &mut story, &mut reports, files).err();
            }
        };
        // The head is written anew, so the end is not judged here.
        let walked = walk::lines(path, &again, length, Some(self.keys), &mut visit)?;
        if let Some(error) = failed {
            return Err(error);
        }
        for (_, mut report) in reports {
            report.put(b"\n]\n")?;
            files.end(report)?;
        }
        if !walked.intact() {
            return Ok(walked);
        }
        let head = walked.last.map(|sha256| Head {
            seq: walked.lines,
            sha256,
            log: Some(Whole { bytes: length, sha256: whole }),
        });
        let head = serde_json::to_vec(&head)
            .map_err(|error| EvidenceError::Statement { reason: error.to_string() })?;
        files.write(HEAD, &head)?;
        files.write(KEY, self.own.to_pem().as_bytes())?;
        for key in self.keys.iter().filter(|key| key.id() != self.own.id()) {
            if story.signers.contains_key(&key.id()) {
                let name = format!("site-{}.pub", key.id().0.hex().chars().take(16).collect::<String>());
                files.write(&name, key.to_pem().as_bytes())?;
            }
        }
        let frame = Frame { stack: self.stack.map(Name::as_str), key: self.own.id(), last: walked.last };
        files.write(PAGE, page::write(&story, &frame).as_bytes())?;
        let mut sums = String::new();
        for (name, (_, digest)) in &files.done {
            let _ = writeln!(sums, "{}  {name}", digest.hex());
        }
        files.write(SUMS, sums.as_bytes())?;
        Ok(walked)
    }

    /// One line of the log, into its report and the story.
    fn tell(
        &self,
        entry: &Entry,
        story: &mut Story,
        reports: &mut BTreeMap<&'static str, Piece>,
        files: &mut Files<'_>,
    ) -> Result<(), EvidenceError> {
        let told = Told::of(entry);
        let wanted = self.stack.is_none_or(|stack| told.stack() == Some(stack.as_str()));
        if wanted {
            files.told += 1;
            let name = told.kind.name();
            let line = serde_json::to_vec(&report(entry))
                .map_err(|error| EvidenceError::Statement { reason: error.to_string() })?;
            let piece = match reports.entry(name) {
                std::collections::btree_map::Entry::Occupied(open) => {
                    let piece = open.into_mut();
                    piece.put(b",\n")?;
                    piece
                }
                std::collections::btree_map::Entry::Vacant(new) => {
                    let piece = new.insert(files.begin(&format!("{REPORTS}/{name}.json"))?);
                    piece.put(b"[\n")?;
                    piece
                }
            };
            piece.put(&line)?;
        }
        story.add(entry, told, wanted);
        Ok(())
    }
}

/// A statement as a report has it. What would move a cursor or hide text is escaped by whoever prints it.
fn report(entry: &Entry) -> Value {
    let subject: Vec<Value> = entry
        .statement
        .subject
        .iter()
        .map(|subject| json!({ "name": subject.name, "digest": subject.digest }))
        .collect();
    json!({
        "line": entry.seq,
        "sha256": entry.digest.to_string(),
        "signedBy": entry.signers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "predicateType": entry.statement.predicate_type,
        "subject": subject,
        "predicate": entry.statement.predicate,
    })
}

fn digest_of(from: &mut impl io::Read, length: u64) -> io::Result<Sha256> {
    let mut digest = sha2::Sha256::new();
    crate::log::absorb(from.take(length), &mut digest)?;
    Ok(Sha256::from_bytes(digest.finalize().into()))
}

/// Files that are being written, or, without a folder, only hashed: what an export would be.
pub(crate) struct Files<'a> {
    folder: Option<&'a Path>,
    /// What is done, by name.
    pub(crate) done: BTreeMap<String, (u64, Sha256)>,
    /// Statements in the reports.
    pub(crate) told: u64,
}

/// One of them.
pub(crate) struct Piece {
    name: String,
    path: Option<(PathBuf, PathBuf)>,
    file: Option<BufWriter<File>>,
    digest: sha2::Sha256,
    bytes: u64,
}

impl Piece {
    fn put(&mut self, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        match (&mut self.file, &self.path) {
            (Some(file), Some((part, _))) => {
                file.write_all(bytes).map_err(|error| folder("write", part, error))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Files<'a> {
    pub(crate) const fn new(folder: Option<&'a Path>) -> Self {
        Self { folder, done: BTreeMap::new(), told: 0 }
    }

    fn begin(&self, name: &str) -> Result<Piece, EvidenceError> {
        let mut piece =
            Piece { name: name.to_owned(), path: None, file: None, digest: sha2::Sha256::new(), bytes: 0 };
        if let Some(out) = self.folder {
            let path = out.join(name);
            let base = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let part = path.with_file_name(format!("{PART}{base}"));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(0o644);
            let fd = rustix::fs::open(&part, flags, mode)
                .map_err(|error| folder("create", &part, error.into()))?;
            piece.file = Some(BufWriter::with_capacity(64 << 10, File::from(fd)));
            piece.path = Some((part, path));
        }
        Ok(piece)
    }

    fn end(&mut self, mut piece: Piece) -> Result<(), EvidenceError> {
        if let (Some(file), Some((part, path))) = (piece.file.take(), &piece.path) {
            let file = file.into_inner().map_err(|error| folder("write", part, error.into_error()))?;
            file.sync_all().map_err(|error| folder("write", part, error))?;
            fs_err::rename(part, path).map_err(|error| folder("rename", path, error))?;
        }
        let digest = Sha256::from_bytes(piece.digest.finalize().into());
        self.done.insert(piece.name, (piece.bytes, digest));
        Ok(())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), EvidenceError> {
        let mut piece = self.begin(name)?;
        if name == SEAL {
            // It says that the others are there, so their names last before it has its own.
            self.settle()?;
        }
        piece.put(bytes)?;
        self.end(piece)
    }

    /// Makes the names last.
    fn settle(&self) -> Result<(), EvidenceError> {
        let Some(out) = self.folder else { return Ok(()) };
        for place in [out.join(REPORTS), out.to_owned()] {
            open(&place)?.sync_all().map_err(|error| folder("write", &place, error))?;
        }
        Ok(())
    }
}
