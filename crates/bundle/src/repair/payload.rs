//! The payloads while they are made whole: where good bytes are read, and where new ones are written.

use super::{RepairError, RepairOptions};
use crate::chunk::ChunkTable;
use crate::index::{Index, Payload};
use crate::set::VolumeSet;
use crate::volume::VolumeId;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use rustix::fs::OFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// One payload of the bundle.
pub(super) struct Work {
    pub(super) id: VolumeId,
    pub(super) payload: Payload,
    pub(super) chunk_size: u64,
    /// BLAKE3 of each chunk, as the table says.
    pub(super) values: Vec<[u8; 32]>,
    /// As it lies there.
    pub(super) old: Option<File>,
    /// Which of its chunks are good there.
    pub(super) old_good: Vec<bool>,
    /// Where it is made whole; none when it is whole.
    pub(super) target: Option<Target>,
}

/// A payload that is made whole.
pub(super) struct Target {
    pub(super) file: File,
    /// Where it is written.
    path: PathBuf,
    /// Its name when it is whole.
    pub(super) last: PathBuf,
    /// Whether bad chunks are overwritten where they lie.
    pub(super) in_place: bool,
    /// Which of its chunks are known to be good.
    pub(super) good: Vec<AtomicBool>,
}

impl Work {
    /// How many chunks it has.
    pub(super) fn count(&self) -> u64 {
        self.payload.size.div_ceil(self.chunk_size)
    }

    /// Bytes of a chunk, by its place from 0.
    pub(super) fn length(&self, at: u64) -> u64 {
        self.payload.size.saturating_sub(at * self.chunk_size).min(self.chunk_size)
    }

    /// A file that has a chunk, by its place from 0, as the table says.
    pub(super) fn source(&self, at: u64) -> Option<&File> {
        let at = usize::try_from(at).ok()?;
        match &self.target {
            Some(target) if target.is_good(at) => Some(&target.file),
            _ if self.old_good.get(at) == Some(&true) => self.old.as_ref(),
            _ => None,
        }
    }
}

impl Target {
    pub(super) fn is_good(&self, at: usize) -> bool {
        self.good.get(at).is_some_and(|good| good.load(Ordering::Acquire))
    }

    pub(super) fn set_good(&self, at: u64) {
        if let Some(good) = usize::try_from(at).ok().and_then(|at| self.good.get(at)) {
            good.store(true, Ordering::Release);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder that a volume is made whole in.
pub(super) fn folder(set: &VolumeSet, options: &RepairOptions<'_>, id: VolumeId) -> Option<PathBuf> {
    let index = set.index();
    index.volume(id)?;
    let name = id.folder(&index.stack, index.sequence);
    Some(match (options.out, set.volume(id)) {
        (Some(out), _) => out.join(name),
        (None, Some(here)) => here.path.clone(),
        (None, None) => options.folder.join(name),
    })
}

/// Opens all payloads, and for those that are not whole the files that they are made whole in.
pub(super) fn open(
    set: &VolumeSet,
    table: &ChunkTable,
    broken: &BTreeSet<VolumeId>,
    lost: &BTreeMap<VolumeId, BTreeSet<u64>>,
    options: &RepairOptions<'_>,
) -> Result<Vec<Work>, RepairError> {
    let index = set.index();
    let mut all = Vec::new();
    for (id, volume) in index.all_volumes() {
        let lost = lost.get(&id);
        let count = usize::try_from(index.chunk_count(&volume.payload)).unwrap_or(0);
        let here = set.volume(id).filter(|here| here.size.is_some());
        let old = here.and_then(|here| {
            let file = here.open_payload().ok()?;
            Some(File::from_parts(file, here.payload_path()))
        });
        let mut old_good = vec![old.is_some(); count];
        for number in lost.into_iter().flatten() {
            let at = usize::try_from(number.saturating_sub(1)).ok();
            if let Some(good) = at.and_then(|at| old_good.get_mut(at)) {
                *good = false;
            }
        }
        let mut work = Work {
            id,
            payload: volume.payload,
            chunk_size: u64::from(index.chunk_size.max(1)),
            values: table.of(id).to_vec(),
            old,
            old_good,
            target: None,
        };
        let is_long = here.and_then(|here| here.size).is_some_and(|size| size != volume.payload.size);
        let to_other = options.out.is_some() && broken.contains(&id);
        if lost.is_some_and(|lost| !lost.is_empty()) || is_long || to_other {
            let folder = folder(set, options, id).unwrap_or_default();
            let name = id.payload(&index.stack, index.sequence);
            work.target = Some(target(&work, &folder, &name, options)?);
        }
        all.push(work);
    }
    Ok(all)
}

/// The file that a payload is made whole in: itself, if most of it is there and it is nobody else's; else a new one.
fn target(
    work: &Work,
    folder: &Path,
    name: &str,
    options: &RepairOptions<'_>,
) -> Result<Target, RepairError> {
    let last = folder.join(name);
    let has_good = work.old_good.contains(&true);
    if options.out.is_none()
        && has_good
        && let Some(file) = open_to_mend(&last)?
    {
        let good = work.old_good.iter().map(|good| AtomicBool::new(*good)).collect();
        return Ok(Target { file, path: last.clone(), last, in_place: true, good });
    }
    fs_err::create_dir_all(folder).map_err(|error| RepairError::at(folder, error))?;
    let path = folder.join(format!(".{name}.partial"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags())
        .open(&path)
        .map_err(|error| RepairError::at(&path, error))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("`{}` is not a regular file", path.display())).into());
    }
    let good = work.old_good.iter().map(|_| AtomicBool::new(false)).collect();
    Ok(Target { file, path, last, in_place: false, good })
}

/// Neither a link is followed nor a pipe waited for.
fn flags() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0)
}

/// Opens a payload for reading and writing; nothing when it has another name elsewhere, whose bytes would change too.
fn open_to_mend(path: &Path) -> Result<Option<File>, RepairError> {
    let open = || OpenOptions::new().read(true).write(true).custom_flags(flags()).open(path);
    let look = fs_err::symlink_metadata(path)?;
    if !look.is_file() || look.nlink() > 1 {
        return Ok(None);
    }
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Its owner may have taken the right to write away; it is given for the moment of opening.
            let mode = look.permissions().mode() & 0o7777;
            let set = |mode| fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode));
            set(mode | 0o200).map_err(|_| RepairError::at(path, error))?;
            let opened = open();
            set(mode)?;
            opened.map(Some).map_err(|error| RepairError::at(path, error))
        }
        opened => opened.map(Some).map_err(|error| RepairError::at(path, error)),
    }
}

/// Bytes that are about to be read, for the view of progress.
pub(super) fn work_bytes(index: &Index, payloads: &[Work]) -> u64 {
    let mut columns = BTreeSet::new();
    let mut whole = 0_u64;
    for payload in payloads {
        let Some(target) = &payload.target else { continue };
        whole = whole.saturating_add(payload.payload.size);
        let bad = (0..payload.count()).filter(|at| usize::try_from(*at).is_ok_and(|at| !target.is_good(at)));
        columns.extend(bad);
    }
    let of_column = |at: &u64| {
        let sizes = index.volumes.iter().map(|volume| volume.payload.size);
        let start = at * u64::from(index.chunk_size);
        sizes.map(|size| size.saturating_sub(start).min(u64::from(index.chunk_size))).sum::<u64>()
    };
    columns.iter().map(of_column).fold(whole, u64::saturating_add)
}
