//! Checks a folder that [`crate::export`] wrote: whatever was changed, removed or moved in it is found.
//!
//! The log proves itself: it is walked from its first line. What follows from it is made again and compared byte for byte, and
//! the seal says that the folder is the one that the site wrote, and not another of before.

use crate::error::EvidenceError;
use crate::export::{
    Files, HEAD, KEY, LOG, Making, PREDICATE_TYPE, REPORTS, SEAL, SUMS, folder, is_key, names,
};
use crate::log::walk::{self, Flaw};
use crate::log::{Head, MAX_HEAD};
use rustix::fs::{Mode, OFlags};
use sha2::Digest as _;
use sovai_core::{Name, Sha256};
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{self, Statement};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::read_bounded;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// Largest key, and largest seal, that is read, in bytes.
const MAX_KEY: u64 = 16 << 10;
const MAX_SEAL: u64 = 256 << 10;
/// Most files that are looked at, and most troubles that are told.
const MAX_FILES: usize = 200;
const MAX_TROUBLES: usize = 50;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The file, and of the log the line.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// Whether it is a key or a signature, and not bytes.
    pub signature: bool,
}

/// What checking a folder, or a log, came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Lines of the log.
    pub lines: u64,
    /// Digest of the last one: to compare with what was kept elsewhere.
    pub last: Option<Sha256>,
    /// The stack that the folder is about; `None`: all.
    pub stack: Option<String>,
    /// The site's key, as the folder has it.
    pub key: Option<KeyId>,
    /// Whether that key was given by the caller. Where not, the folder only agrees with itself.
    pub known: bool,
    /// The other version of sovai that wrote it, where reports and page could not be made again: the seal alone speaks for
    /// them.
    pub by_other: Option<String>,
    /// What is wrong, in the order in which it was found; at most 50.
    pub troubles: Vec<Trouble>,
}

impl Checked {
    /// Whether it is what was written.
    pub fn intact(&self) -> bool {
        self.troubles.is_empty()
    }

    /// Whether bytes differ, or lines, and not signatures alone.
    pub fn is_changed(&self) -> bool {
        self.troubles.iter().any(|trouble| !trouble.signature)
    }

    fn wrong(&mut self, place: impl Into<String>, what: impl Into<String>, signature: bool) {
        if self.troubles.len() < MAX_TROUBLES {
            self.troubles.push(Trouble { place: place.into(), what: what.into(), signature });
        }
    }

    /// Takes over what a walk over a log found.
    pub fn of_walk(walked: &crate::log::Walked) -> Self {
        let mut checked = Self { lines: walked.lines, last: walked.last, ..Self::default() };
        for problem in walked.problems.iter().filter(|problem| !problem.flaw.harmless()) {
            let is_signature = problem.flaw == Flaw::Signature;
            checked.wrong(format!("{LOG}, line {}", problem.line), problem.flaw.to_string(), is_signature);
        }
        checked
    }
}

/// Checks the folder. `keys` are those of the site, got another way than with it; without any the folder's own is taken, and
/// [`Checked::known`] says so. `version` is that of sovai.
///
/// Errors are those of reading; everything else is in the result. Memory is bounded by the longest line.
pub fn check(at: &Path, keys: &[PublicKey], version: &str) -> Result<Checked, EvidenceError> {
    let own = public(&at.join(KEY))?;
    let given = !keys.is_empty();
    let all: Vec<PublicKey> = if given { keys.to_vec() } else { folder_keys(at, own.as_ref())? };
    let path = at.join(LOG);
    let mut checked = if let Some((file, length)) = open(&path)? {
        let head = head(&at.join(HEAD))?;
        let walked = walk::whole(&path, &file, length, head.clone().ok().flatten(), &all, |_| {})?;
        let mut checked = Checked::of_walk(&walked);
        if walked.problems.iter().any(|problem| problem.flaw.harmless()) {
            checked.wrong(LOG, "bytes stand after the last line", false);
        }
        match head {
            Err(why) => checked.wrong(HEAD, why, false),
            // A log of one line, or of none, is also whole without; a folder always has it.
            Ok(None) if walked.lines > 0 => checked.wrong(HEAD, "it is not there", false),
            Ok(Some(head)) if head.seq != walked.lines => {
                checked.wrong(
                    HEAD,
                    format!("it names line {}, found {} lines", head.seq, walked.lines),
                    false,
                );
            }
            Ok(_) => {}
        }
        checked
    } else {
        let mut checked = Checked::default();
        checked.wrong(LOG, "it is not there", false);
        checked
    };
    checked.key = own.as_ref().map(PublicKey::id);
    checked.known = given;
    match &own {
        None => checked.wrong(KEY, "it is not there, or no public key", false),
        Some(own) if given && !all.iter().any(|key| key.id() == own.id()) => {
            checked.wrong(KEY, format!("it is key {}, which is not the one that was named", own.id()), true);
        }
        Some(_) => {}
    }
    let sealed = seal(at, &all, &mut checked)?;
    let found = files(at, &mut checked)?;
    let Some(sealed) = sealed else { return Ok(checked) };
    compare(&sealed, &found, &mut checked);
    if !checked.intact() {
        return Ok(checked);
    }
    let Some(own) = own else { return Ok(checked) };
    again(at, &sealed, &own, &all, version, &found, &mut checked)?;
    Ok(checked)
}

/// What the seal says.
struct Sealed {
    files: BTreeMap<String, String>,
    stack: Option<String>,
    version: String,
}

/// Reads the seal and judges its signature, and what it says of the log.
fn seal(at: &Path, keys: &[PublicKey], checked: &mut Checked) -> Result<Option<Sealed>, EvidenceError> {
    let Some(bytes) = read_bounded(&at.join(SEAL), MAX_SEAL)? else {
        checked.wrong(SEAL, "it is not there: the export was cut off, or it was removed", false);
        return Ok(None);
    };
    let parsed = Envelope::parse(&bytes).map_err(|error| error.to_string()).and_then(|envelope| {
        let payload = envelope.payload_of(statement::PAYLOAD_TYPE).map_err(|error| error.to_string())?;
        let statement = Statement::parse(payload).map_err(|error| error.to_string())?;
        // Of one form alone, so that not even a blank can be changed.
        if format!("{}\n", envelope.to_json()).as_bytes() != bytes {
            return Err("it is not written as an export writes it".to_owned());
        }
        let is_signed = !envelope.verified_by(keys).is_empty();
        Ok((statement, is_signed))
    });
    let (statement, is_signed) = match parsed {
        Ok(parsed) => parsed,
        Err(why) => {
            checked.wrong(SEAL, why, false);
            return Ok(None);
        }
    };
    if statement.predicate_type != PREDICATE_TYPE {
        checked.wrong(SEAL, "it is not the statement about an export", false);
        return Ok(None);
    }
    if !is_signed {
        checked.wrong(SEAL, "no key of the site signed it", true);
    }
    let predicate = &statement.predicate;
    let last = checked.last.map(|digest| digest.to_string());
    if predicate["lines"].as_u64() != Some(checked.lines) || predicate["head"].as_str() != last.as_deref() {
        let (lines, head) = (&predicate["lines"], predicate["head"].as_str().unwrap_or("none"));
        checked.wrong(
            LOG,
            format!("it ends with another line than the {lines} that were written, the last of them {head}"),
            false,
        );
    }
    let text = |name: &str| predicate[name].as_str().map(ToOwned::to_owned);
    checked.stack = text("stack");
    let hex = |subject: &sovai_signing::statement::Subject| {
        subject.digest.get("sha256").cloned().unwrap_or_default()
    };
    let files = statement.subject.iter().map(|subject| (subject.name.clone(), hex(subject))).collect();
    Ok(Some(Sealed { files, stack: text("stack"), version: text("version").unwrap_or_default() }))
}

/// Everything in the folder but the seal, with its digest. What is no regular file is a trouble.
fn files(at: &Path, checked: &mut Checked) -> Result<BTreeMap<String, Sha256>, EvidenceError> {
    let mut all = names(at)?;
    if at.join(REPORTS).is_dir() {
        all.retain(|name| name != REPORTS);
        all.extend(names(&at.join(REPORTS))?.into_iter().map(|name| format!("{REPORTS}/{name}")));
    }
    let mut found = BTreeMap::new();
    for name in all.into_iter().filter(|name| name != SEAL) {
        if found.len() >= MAX_FILES {
            checked.wrong(name, format!("there are more than {MAX_FILES} files"), false);
            break;
        }
        let path = at.join(&name);
        match open(&path) {
            Ok(Some((mut file, _))) => {
                let mut digest = sha2::Sha256::new();
                crate::log::absorb(&mut file, &mut digest).map_err(|error| folder("read", &path, error))?;
                found.insert(name, Sha256::from_bytes(digest.finalize().into()));
            }
            Ok(None) => {}
            Err(EvidenceError::Folder { action: "look at", .. }) => {
                checked.wrong(name, "it is no regular file", false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What is there against what was sealed.
fn compare(sealed: &Sealed, found: &BTreeMap<String, Sha256>, checked: &mut Checked) {
    for (name, expected) in &sealed.files {
        match found.get(name) {
            None => checked.wrong(name, "it is not there", false),
            Some(digest) if digest.hex() != *expected => {
                let what = format!("its bytes were changed: expected sha256:{expected}, found {digest}");
                checked.wrong(name, what, false);
            }
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !sealed.files.contains_key(*name)) {
        checked.wrong(name, "it is no part of the export", false);
    }
}

/// Makes everything again from the log. The list of digests is compared too, and so is what it lists.
fn again(
    at: &Path,
    sealed: &Sealed,
    own: &PublicKey,
    keys: &[PublicKey],
    version: &str,
    found: &BTreeMap<String, Sha256>,
    checked: &mut Checked,
) -> Result<(), EvidenceError> {
    if sealed.version != version {
        checked.by_other = Some(sealed.version.clone());
        return Ok(());
    }
    let stack = match sealed.stack.as_deref().map(Name::new).transpose() {
        Ok(stack) => stack,
        Err(error) => {
            checked.wrong(SEAL, error.to_string(), false);
            return Ok(());
        }
    };
    let path = at.join(LOG);
    let Some((file, length)) = open(&path)? else { return Ok(()) };
    let mut files = Files::new(None);
    if let Some(log) = found.get(LOG) {
        files.done.insert(LOG.to_owned(), (length, *log));
    }
    Making { stack: stack.as_ref(), own, keys }.run(&path, &file, length, &mut files)?;
    let expected: BTreeMap<&String, Sha256> =
        files.done.iter().map(|(name, (_, digest))| (name, *digest)).collect();
    let names: BTreeSet<&String> = expected.keys().copied().chain(found.keys()).collect();
    for name in names {
        if expected.get(name) != found.get(name) {
            let what = if *name == SUMS {
                "it does not list what is there"
            } else {
                "it does not say what the log says"
            };
            checked.wrong(name.clone(), what, false);
        }
    }
    Ok(())
}

/// The keys that lie in the folder.
fn folder_keys(at: &Path, own: Option<&PublicKey>) -> Result<Vec<PublicKey>, EvidenceError> {
    let mut all: Vec<PublicKey> = own.cloned().into_iter().collect();
    for name in names(at)?.iter().filter(|name| is_key(name) && *name != KEY).take(MAX_FILES) {
        all.extend(public(&at.join(name))?);
    }
    Ok(all)
}

fn public(path: &Path) -> Result<Option<PublicKey>, EvidenceError> {
    Ok(read_bounded(path, MAX_KEY)?.and_then(|bytes| PublicKey::from_pem(&bytes).ok()))
}

fn head(path: &Path) -> Result<Result<Option<Head>, String>, EvidenceError> {
    let Some(bytes) = read_bounded(path, MAX_HEAD)? else { return Ok(Ok(None)) };
    Ok(serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
}

/// A regular file, opened without following a link or waiting for a pipe; nothing when it is not there.
fn open(path: &Path) -> Result<Option<(File, u64)>, EvidenceError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
            return Err(folder("look at", path, std::io::Error::other("it is no regular file")));
        }
        Err(error) => return Err(folder("open", path, error.into())),
    };
    let meta = file.metadata().map_err(|error| folder("look at", path, error))?;
    if !meta.is_file() {
        return Err(folder("look at", path, std::io::Error::other("it is no regular file")));
    }
    Ok(Some((file, meta.len())))
}
