//! Making lost or damaged volumes whole again, where they lie or in another folder.
//!
//! What is missing is computed from the volumes that are left and from parity, or taken from a patch that the other side sent.
//! Nothing is believed: every chunk is compared with the table of chunks before it takes its place, and every payload with its
//! SHA-256 at the end. A payload that is there is mended where it is bad, so that a full disk can be mended too; of such a chunk
//! the bytes are computed twice, and written only when the first time gave what the table says. One that is not there is made
//! under another name and renamed at the end. Whoever is killed is followed by a run that finds what was done.

mod chunks;
mod finish;
mod needs;
mod patch;
mod payload;
mod small;

pub use needs::{Lost, lost_chunks, still_lost};
pub use patch::{Patch, PatchError, find_patches, patch_name};
pub use small::{can_restore, readme_again};

use crate::parity::ParityError;
use crate::progress::Progress;
use crate::set::VolumeSet;
use crate::verify::{BundleReport, Repair, VerifyOptions};
use crate::volume::VolumeId;
use serde::Serialize;
use sovai_core::{Reporter, Step};
use sovai_store::StoreError;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where what is made again goes, and what it may be made of besides the volumes.
#[derive(Debug)]
pub struct RepairOptions<'a> {
    /// Threads, and the switch that stops the run.
    pub verify: VerifyOptions,
    /// Folder of the volumes: a volume that is not there at all gets its folder here.
    pub folder: &'a Path,
    /// Another folder into which every volume that is not whole is written instead; the volumes stay as they are.
    pub out: Option<&'a Path>,
    /// Chunks that the other side sent.
    pub patches: &'a [Patch],
    /// A copy of the program: taken if it is the one that the index names.
    pub program: Option<&'a Path>,
}

/// What was made whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairedVolume {
    /// The volume.
    pub volume: VolumeId,
    /// Its folder.
    pub path: PathBuf,
    /// Chunks that were computed.
    pub computed: u64,
    /// Chunks that were taken from a patch.
    pub received: u64,
    /// Small files that were written again, sorted.
    pub files: Vec<String>,
    /// Small files that are still not what the index says: nothing here has them.
    pub lacking: Vec<String>,
}

/// What repairing came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    /// The volumes that something was done about.
    pub volumes: Vec<RepairedVolume>,
}

/// Why volumes could not be made whole.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// More is lost than parity and patches make good.
    #[error("more is lost than can be made again")]
    NotEnough {
        /// What parity can do.
        repair: Repair,
        /// What is lost where too much is lost, by volume.
        lost: BTreeMap<VolumeId, Lost>,
    },
    /// No volume has a whole table of chunks, so that what is computed could not be checked.
    #[error("no volume has a whole chunks.txt")]
    NoTable,
    /// What was computed is not what the index says: parity was not made of this data, or a disk lies.
    #[error("{volume}: what was made of the other volumes is not what the index says, {place}")]
    Contradiction {
        /// The volume.
        volume: VolumeId,
        /// Where, in words.
        place: String,
    },
    /// The folder, or the disk, cannot be written to.
    #[error("`{}` cannot be written to", .path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("`{}`: the disk is full", .path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file system failed; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A small file could not be written, or another process is at work here.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Parity could not be computed.
    #[error(transparent)]
    Parity(ParityError),
    /// It was stopped; the same command goes on.
    #[error("interrupted")]
    Cancelled,
}

impl From<ParityError> for RepairError {
    fn from(error: ParityError) -> Self {
        match error {
            ParityError::Io(error) => Self::Io(error),
            ParityError::Cancelled => Self::Cancelled,
            other => Self::Parity(other),
        }
    }
}

impl RepairError {
    /// An error of the file system at a path, told apart by what a person can do about it.
    fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, source }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, source },
            _ => Self::Io(source),
        }
    }
}

/// Makes whole what is missing or bad. `report` is what checking the volumes came to, just now.
///
/// Volumes that are whole are only read. When nothing is wrong, nothing is written. When too much is lost, nothing is written
/// either.
pub fn repair(
    set: &VolumeSet,
    report: &BundleReport,
    options: &RepairOptions<'_>,
    reporter: &dyn Reporter,
) -> Result<Repaired, RepairError> {
    let lost = lost_chunks(set.index(), &report.missing, &report.bad);
    let open = still_lost(set.index(), &lost, options.patches);
    if !open.beyond.is_empty() {
        return Err(RepairError::NotEnough { repair: report.repair.clone(), lost: open.beyond });
    }
    let broken = needs::broken(set, report);
    if broken.is_empty() {
        return Ok(Repaired::default());
    }
    let table = match set.table() {
        Some(table) => table,
        None if lost.is_empty() => &crate::chunk::ChunkTable::default(),
        None => return Err(RepairError::NoTable),
    };
    let _hold = hold(options.out.unwrap_or(options.folder))?;
    let mut payloads = payload::open(set, table, &broken, &lost, options)?;
    let total = payload::work_bytes(set.index(), &payloads);
    let progress = Progress::new(reporter, Step::Bundle, total);
    let work = chunks::Work { set, payloads: &payloads, options, progress: &progress };
    work.reuse()?;
    let received = work.take_patches()?;
    let computed = work.compute()?;
    for payload in &mut payloads {
        payload.finish(options, &progress)?;
    }
    let mut repaired = Repaired::default();
    for id in broken {
        let Some(folder) = payload::folder(set, options, id) else { continue };
        let (files, lacking) = small::restore(set, id, &folder, options)?;
        let count = |of: &BTreeMap<VolumeId, u64>| of.get(&id).copied().unwrap_or(0);
        repaired.volumes.push(RepairedVolume {
            volume: id,
            path: folder,
            computed: count(&computed),
            received: count(&received),
            files,
            lacking,
        });
    }
    progress.finish(&set.index().name());
    Ok(repaired)
}

/// So that two runs do not mend the same volume at once.
fn hold(folder: &Path) -> Result<sovai_store::StoreLock, RepairError> {
    fs_err::create_dir_all(folder).map_err(|error| RepairError::at(folder, error))?;
    let holder = format!("process {}, bundle repair", std::process::id());
    match sovai_store::StoreLock::take_passing(&folder.join(".sovai-repair.lock"), &holder) {
        Err(StoreError::NotWritable { path, source, .. }) => Err(RepairError::ReadOnly { path, source }),
        taken => Ok(taken?),
    }
}
