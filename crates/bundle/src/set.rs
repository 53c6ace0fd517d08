//! Volumes of one bundle, as they lie before us: some or all, in any order, whole or not.

mod choose;
mod envelopes;
mod finding;
pub(crate) mod folder;
mod gather;

pub use envelopes::{Found, MAX_ENVELOPE};
pub use finding::{SetError, SetFinding, Weight};
pub use folder::FolderError;

use crate::chunk::ChunkTable;
use crate::index::{Index, Item, Part};
use crate::signed::{check_statement, is_signed_by};
use crate::volume::{VolumeId, names};
use envelopes::Envelopes;
use folder::Folder;
use sovai_core::Sha256;
use sovai_signing::PublicKey;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Largest table of chunks, in bytes: 2^18 lines.
pub(crate) const MAX_TABLE: u64 = 32 << 20;
/// Largest file that [`VolumeSet::read_item`] reads, in bytes.
pub const MAX_SMALL: u64 = 16 << 20;

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    use sha2::Digest as _;
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Volumes of one bundle. Nothing of the payloads was read yet; no file is held open.
#[derive(Debug)]
pub struct VolumeSet {
    index: Index,
    index_bytes: Vec<u8>,
    digest: Sha256,
    table: Option<ChunkTable>,
    present: BTreeMap<VolumeId, VolumeDir>,
    signatures: Vec<Found>,
    decisions: Vec<Found>,
    findings: Vec<SetFinding>,
}

/// One volume, as it lies before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDir {
    /// Which one it is, by the name of its payload or else of its folder.
    pub id: VolumeId,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of its payload, as the file system says; nothing when it is not there, or is no regular file.
    pub size: Option<u64>,
    payload: String,
}

impl VolumeDir {
    /// Opens its payload. No link is followed, and nothing blocks.
    pub fn open_payload(&self) -> Result<File, FolderError> {
        self.open(&self.payload).map(|(file, _)| file)
    }

    /// Path of its payload, for people.
    pub fn payload_path(&self) -> PathBuf {
        self.path.join(&self.payload)
    }

    /// Opens a regular file of the volume by its plain name, and says how long it is.
    pub fn open(&self, name: &str) -> Result<(File, u64), FolderError> {
        let found = Folder::open(&self.path)?.file(name)?;
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    /// The bytes of a regular file of the volume, at most `limit`; nothing when there is none.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FolderError> {
        Folder::open(&self.path)?.read(name, limit)
    }

    /// Its folder of decisions, made when it is not there. A link in its place is an error: what is written there stays on the
    /// volume.
    pub fn decisions_folder(&self) -> Result<PathBuf, FolderError> {
        let volume = Folder::open(&self.path)?;
        let path = self.path.join(names::DECISIONS);
        if volume.child(names::DECISIONS)?.is_none() {
            fs_err::create_dir(&path)?;
        }
        Ok(path)
    }

    /// The names in its folder, sorted.
    pub fn entries(&self) -> Result<Vec<std::ffi::OsString>, FolderError> {
        Ok(Folder::open(&self.path)?.entries()?.into_iter().map(|(name, _)| name).collect())
    }
}

impl VolumeSet {
    /// Opens volumes: their folders, a payload or another file in one, or one folder that holds several. `signatures` and
    /// `decisions` are further envelopes, beside those on the volumes.
    ///
    /// What is wrong with a single volume is a finding. An error is that there is no bundle to speak of: nothing there, no
    /// index that can be read, two bundles, a volume twice.
    pub fn open(paths: &[PathBuf], signatures: &[PathBuf], decisions: &[PathBuf]) -> Result<Self, SetError> {
        let folders = gather::folders(paths)?;
        let mut findings = Vec::new();
        let mut given = Envelopes::new("signature");
        for folder in &folders {
            given.add_folder(folder, None, names::SIGNATURES, &mut Vec::new())?;
        }
        for path in signatures {
            given.add_file(path, &mut Vec::new())?;
        }
        let chosen = choose::index(&folders, &given)?;
        let (index, digest) = (chosen.index, chosen.digest);

        let mut present: BTreeMap<VolumeId, VolumeDir> = BTreeMap::new();
        let mut signed = Envelopes::new("signature");
        let mut decided = Envelopes::new("decision");
        let mut table = None;
        for (at, folder) in folders.iter().enumerate() {
            let volume = gather::identify(folder, &index, &mut findings);
            let id = volume.as_ref().map(|volume| volume.id);
            if let Some(flaw) = chosen.flaws.get(&at) {
                findings.push(SetFinding { volume: id, ..flaw.clone() });
            }
            let Some(volume) = volume else { continue };
            read_table(folder, &index, volume.id, &mut table, &mut findings);
            signed.add_folder(folder, id, names::SIGNATURES, &mut findings)?;
            decided.add_folder(folder, id, names::DECISIONS, &mut findings)?;
            if let Some(first) = present.get(&volume.id) {
                let (volume, first, second) = (volume.id, first.path.clone(), volume.path);
                return Err(SetError::Twice { volume, first, second });
            }
            present.insert(volume.id, volume);
        }
        for path in signatures {
            signed.add_file(path, &mut findings)?;
        }
        for path in decisions {
            decided.add_file(path, &mut findings)?;
        }
        let signatures = signed.finish(|envelope| check_statement(envelope, &index, digest), &mut findings);
        let decisions = decided.finish(|envelope| crate::decision::check(envelope, digest), &mut findings);
        let index_bytes = chosen.bytes;
        Ok(Self { index, index_bytes, digest, table, present, signatures, decisions, findings })
    }

    /// Whether a path is what [`VolumeSet::open`] takes: a volume, a file that only volumes have, or a folder of volumes.
    /// Nothing but names is looked at.
    pub fn is_volume(path: &Path) -> bool {
        gather::is_meant(path)
    }

    /// What the bundle holds, as the index says.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The bytes of the index.
    pub fn index_bytes(&self) -> &[u8] {
        &self.index_bytes
    }

    /// SHA-256 of the bytes of the index: what signatures speak of.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The table of chunks, which is the one of the index and has as many chunks of each volume as the index says; nothing
    /// when no volume has a whole copy.
    pub fn table(&self) -> Option<&ChunkTable> {
        self.table.as_ref()
    }

    /// The volumes that are here, also those whose payload is not.
    pub fn present(&self) -> impl Iterator<Item = &VolumeDir> {
        self.present.values()
    }

    /// A volume that is here.
    pub fn volume(&self, id: VolumeId) -> Option<&VolumeDir> {
        self.present.get(&id)
    }

    /// The volumes of the index whose payload is not here, those of data first.
    pub fn missing(&self) -> Vec<VolumeId> {
        let is_here = |id: &VolumeId| self.present.get(id).is_some_and(|volume| volume.size.is_some());
        self.index.all_volumes().map(|(id, _)| id).filter(|id| !is_here(id)).collect()
    }

    /// The envelopes over the index that were found, each once.
    pub fn signatures(&self) -> &[Found] {
        &self.signatures
    }

    /// The decisions of border officers that were found, each once.
    pub fn decisions(&self) -> &[Found] {
        &self.decisions
    }

    /// What was found while the volumes were opened.
    pub fn findings(&self) -> &[SetFinding] {
        &self.findings
    }

    /// Whether an envelope is a signature over this bundle by this key.
    pub fn is_signed_by(&self, found: &Found, key: &PublicKey) -> bool {
        is_signed_by(&found.envelope, &self.index, self.digest, key)
    }

    /// Which of these keys signed this bundle, with any of its envelopes.
    pub fn signed_by(&self, keys: &[PublicKey]) -> std::collections::BTreeSet<sovai_signing::KeyId> {
        let fit = self.signatures.iter().filter(|found| found.fit.is_ok());
        fit.flat_map(|found| found.envelope.verified_by(keys)).collect()
    }

    /// The bytes of a small file of the bundle, compared with its digest. Nothing when a volume that it lies on is not here,
    /// when a part lies in the base, when it is longer than [`MAX_SMALL`], or when its bytes are not what the index says.
    pub fn read_item(&self, item: &Item) -> Option<Vec<u8>> {
        if item.size > MAX_SMALL {
            return None;
        }
        let mut bytes = Vec::new();
        for part in &item.parts {
            let Part::Carried { volume, offset, length } = *part else { return None };
            let file = self.volume(VolumeId::Data(volume))?.open_payload().ok()?;
            let mut piece = vec![0; usize::try_from(length).ok()?];
            file.read_exact_at(&mut piece, offset).ok()?;
            bytes.append(&mut piece);
        }
        (sha256(&bytes) == item.sha256).then_some(bytes)
    }
}

/// Reads a volume's table of chunks, and keeps the first that is the one of the index.
fn read_table(
    folder: &Folder,
    index: &Index,
    id: VolumeId,
    table: &mut Option<ChunkTable>,
    findings: &mut Vec<SetFinding>,
) {
    let path = folder.path().join(names::CHUNKS);
    let mut say = |weight, kind, detail: String| {
        findings.push(SetFinding::new(weight, kind, Some(id), &path, detail));
    };
    match folder.digest(names::CHUNKS, MAX_TABLE) {
        Ok(Some((found, _))) if found == index.chunks => {}
        Ok(Some((found, _))) => {
            return say(Weight::Bytes, "table-damaged", format!("expected {}, found {found}", index.chunks));
        }
        Ok(None) => return say(Weight::Bytes, "file-missing", "it is not there".to_owned()),
        Err(error) => return say(Weight::Bytes, "unreadable", error.to_string()),
    }
    if table.is_some() {
        return;
    }
    let read = folder.read(names::CHUNKS, MAX_TABLE).ok().flatten();
    let text =
        read.filter(|bytes| sha256(bytes) == index.chunks).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = text else {
        return say(Weight::Bytes, "unreadable", "it changed while it was read".to_owned());
    };
    match ChunkTable::parse(&text) {
        Ok(read) => match check_table(&read, index) {
            Ok(()) => *table = Some(read),
            Err(why) => say(Weight::Bytes, "table-contradicts", why),
        },
        Err(error) => say(Weight::Bytes, "table-malformed", error.to_string()),
    }
}

/// Whether a table has the chunks that the index speaks of.
pub fn check_table(table: &ChunkTable, index: &Index) -> Result<(), String> {
    let mut all = 0;
    for (id, volume) in index.all_volumes() {
        let (expected, found) = (index.chunk_count(&volume.payload), table.of(id).len() as u64);
        if expected != found {
            return Err(format!("it has {found} chunks of {id}; the index says {expected}"));
        }
        all += expected;
    }
    if table.len() == all {
        Ok(())
    } else {
        Err("it has chunks of volumes that the index does not have".to_owned())
    }
}

/// The folder of a path that names a file in one.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}
