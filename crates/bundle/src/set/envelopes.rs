//! The signatures and decisions that lie in volumes or were named besides.

use super::finding::{SetError, SetFinding, Weight};
use super::folder::{Folder, FolderError};
use crate::signed::{ENVELOPE_SUFFIX, Unfit};
use crate::volume::VolumeId;
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest envelope of a signature or decision, in bytes.
pub const MAX_ENVELOPE: u64 = 256 << 10;
/// Most different envelopes of one kind.
pub(crate) const MAX_ENVELOPES: usize = 256;

/// An envelope that was found: read, and not yet judged.
#[derive(Debug, Clone)]
pub struct Found {
    /// Name of its file.
    pub name: String,
    /// Where it was found: every copy.
    pub paths: Vec<PathBuf>,
    /// The volumes that have it.
    pub volumes: Vec<VolumeId>,
    /// Its file's bytes, to be copied as they are.
    pub bytes: Vec<u8>,
    /// What it is.
    pub envelope: Envelope,
    /// Whether what it says is about this bundle, whoever signed it.
    pub fit: Result<(), Unfit>,
}

impl Found {
    /// What the signers call their keys. It proves nothing.
    pub fn hints(&self) -> Vec<String> {
        let hints = self.envelope.signatures.iter().filter_map(|signature| signature.keyid.as_deref());
        hints.map(|hint| hint.chars().take(80).collect()).collect()
    }
}

/// Collects the envelopes of one kind, each once.
#[derive(Debug)]
pub(crate) struct Envelopes {
    what: &'static str,
    all: BTreeMap<Sha256, Found>,
}

impl Envelopes {
    /// `what` is a word for people: `signature`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, all: BTreeMap::new() }
    }

    /// Those of a volume's folder.
    pub(crate) fn add_folder(
        &mut self,
        volume: &Folder,
        id: Option<VolumeId>,
        folder: &str,
        findings: &mut Vec<SetFinding>,
    ) -> Result<(), SetError> {
        let path = volume.path().join(folder);
        let opened = volume.child(folder).and_then(|child| {
            let Some(child) = child else { return Ok(None) };
            let entries = child.entries()?;
            Ok(Some((child, entries)))
        });
        let (child, entries) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(()),
            Err(error) => {
                let error = if matches!(error, FolderError::NotRegular) {
                    "it is not a folder".to_owned()
                } else {
                    error.to_string()
                };
                findings.push(SetFinding::new(Weight::Signature, "unreadable", id, path, error));
                return Ok(());
            }
        };
        for (name, _) in entries {
            let path = child.path().join(&name);
            // Some systems leave files of their own beside each file, with a stop in front.
            let Some(name) =
                name.to_str().filter(|name| name.ends_with(ENVELOPE_SUFFIX) && !name.starts_with('.'))
            else {
                findings.push(SetFinding::new(
                    Weight::Note,
                    "foreign",
                    id,
                    path,
                    "it is no file of the bundle",
                ));
                continue;
            };
            match child.read(name, MAX_ENVELOPE) {
                Ok(Some(bytes)) => self.add(name, path, id, bytes, findings)?,
                Ok(None) => {}
                Err(error) => {
                    findings.push(SetFinding::new(Weight::Signature, "unreadable", id, path, error));
                }
            }
        }
        Ok(())
    }

    /// One that the operator named.
    pub(crate) fn add_file(&mut self, path: &Path, findings: &mut Vec<SetFinding>) -> Result<(), SetError> {
        let read = || SetError::NotThere { path: path.to_owned() };
        let name = path.file_name().ok_or_else(read)?.to_string_lossy().into_owned();
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let bytes = match Folder::open(parent).and_then(|folder| folder.read(&name, MAX_ENVELOPE)) {
            Ok(bytes) => bytes.ok_or_else(read)?,
            Err(FolderError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return Err(read()),
            Err(source) => return Err(SetError::Read { path: path.to_owned(), source }),
        };
        self.add(&name, path.to_owned(), None, bytes, findings)
    }

    fn add(
        &mut self,
        name: &str,
        path: PathBuf,
        id: Option<VolumeId>,
        bytes: Vec<u8>,
        findings: &mut Vec<SetFinding>,
    ) -> Result<(), SetError> {
        let digest = super::sha256(&bytes);
        if let Some(found) = self.all.get_mut(&digest) {
            found.paths.push(path);
            found.volumes.extend(id);
            return Ok(());
        }
        match Envelope::parse(&bytes) {
            Err(error) => {
                findings.push(SetFinding::new(Weight::Signature, "malformed", id, path, error));
            }
            Ok(envelope) => {
                if self.all.len() == MAX_ENVELOPES {
                    return Err(SetError::TooMany {
                        what: format!("different {}s", self.what),
                        limit: MAX_ENVELOPES,
                    });
                }
                let found = Found {
                    name: name.to_owned(),
                    paths: vec![path],
                    volumes: id.into_iter().collect(),
                    bytes,
                    envelope,
                    fit: Ok(()),
                };
                self.all.insert(digest, found);
            }
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.all.values()
    }

    /// All of them, sorted by name, each judged by `judge`.
    pub(crate) fn finish(
        self,
        judge: impl Fn(&Envelope) -> Result<(), Unfit>,
        findings: &mut Vec<SetFinding>,
    ) -> Vec<Found> {
        let mut all: Vec<Found> = self.all.into_values().collect();
        all.sort_by(|a, b| (&a.name, &a.bytes).cmp(&(&b.name, &b.bytes)));
        for found in &mut all {
            found.fit = judge(&found.envelope);
            if let Err(error) = &found.fit {
                for (at, path) in found.paths.iter().enumerate() {
                    let volume = found.volumes.get(at).copied();
                    findings.push(SetFinding::new(Weight::Signature, "unfit", volume, path, error));
                }
            }
        }
        // A copy that was changed is still an envelope; without the signer's key only its twin on another volume tells.
        for pair in all.windows(2) {
            if let [first, second] = pair
                && first.name == second.name
            {
                let detail = format!(
                    "it is not the same as {}",
                    first.paths.first().map(|path| path.display().to_string()).unwrap_or_default()
                );
                let path = second.paths.first().cloned().unwrap_or_default();
                findings.push(SetFinding::new(
                    Weight::Signature,
                    "copies-differ",
                    second.volumes.first().copied(),
                    path,
                    detail,
                ));
            }
        }
        all
    }
}
