//! The chunks of the payloads that are made whole: found again, taken from a patch, or computed.

use super::payload::{Target, Work as Payload};
use super::{RepairError, RepairOptions, still_lost};
use crate::parity::{Column, ParityError, Rebuilt, Run, rebuild};
use crate::progress::Progress;
use crate::set::VolumeSet;
use crate::set::folder::BUFFER;
use crate::threads;
use crate::verify::{read_range, repairable};
use crate::volume::VolumeId;
use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// All that is at hand.
pub(super) struct Work<'a> {
    pub(super) set: &'a VolumeSet,
    pub(super) payloads: &'a [Payload],
    pub(super) options: &'a RepairOptions<'a>,
    pub(super) progress: &'a Progress<'a>,
}

impl Work<'_> {
    fn each<T: Sync>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<(), RepairError> + Sync,
    ) -> Result<(), RepairError> {
        threads::each(items, self.options.verify.threads, |item| {
            if self.options.verify.cancel.is_cancelled() { Err(RepairError::Cancelled) } else { work(item) }
        })
    }

    /// Chunks of payloads in new files: those that an earlier run made, then those that are good in the old file.
    pub(super) fn reuse(&self) -> Result<(), RepairError> {
        let mut all = Vec::new();
        for payload in self.payloads {
            let Some(target) = payload.target.as_ref().filter(|target| !target.in_place) else { continue };
            let there = target.file.metadata()?.len();
            all.extend((0..payload.count()).map(|at| (payload, target, at, there)));
        }
        self.each(&all, |(payload, target, at, there)| {
            let (start, length) = (at * payload.chunk_size, payload.length(*at));
            let value = value(payload, *at);
            if start < *there && hash(&target.file, start, length) == value {
                target.set_good(*at);
                return Ok(());
            }
            let good = usize::try_from(*at).is_ok_and(|at| payload.old_good.get(at) == Some(&true));
            if let Some(old) = payload.old.as_ref().filter(|_| good)
                && copy(old, start, target, start, length)? == value
            {
                target.set_good(*at);
            }
            Ok(())
        })
    }

    /// Chunks that the other side sent, by how many of each volume.
    pub(super) fn take_patches(&self) -> Result<BTreeMap<VolumeId, u64>, RepairError> {
        let mut all = Vec::new();
        for payload in self.payloads {
            let Some(target) = &payload.target else { continue };
            for at in (0..payload.count()).filter(|at| payload.source(*at).is_none()) {
                all.push((payload, target, at));
            }
        }
        let taken: Mutex<BTreeMap<VolumeId, u64>> = Mutex::new(BTreeMap::new());
        self.each(&all, |(payload, target, at)| {
            for patch in self.options.patches {
                let Some((file, from, length)) = patch.chunk(payload.id, at + 1) else { continue };
                // In place nothing is overwritten by what was not looked at first.
                let value = value(payload, *at);
                if length != payload.length(*at) || hash(file, from, length) != value {
                    continue;
                }
                if copy(file, from, target, at * payload.chunk_size, length)? == value {
                    target.set_good(*at);
                    *taken.lock().unwrap_or_else(PoisonError::into_inner).entry(payload.id).or_default() += 1;
                    break;
                }
            }
            Ok(())
        })?;
        Ok(taken.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Chunks that are computed, by how many of each volume.
    pub(super) fn compute(&self) -> Result<BTreeMap<VolumeId, u64>, RepairError> {
        let most = self.payloads.iter().map(Payload::count).max().unwrap_or(0);
        let is_lost = |at: u64| {
            let lacks = |payload: &Payload| at < payload.count() && payload.source(at).is_none();
            self.payloads.iter().any(lacks)
        };
        let columns: Vec<u64> = (0..most).filter(|at| is_lost(*at)).collect();
        self.refuse_too_many(&columns)?;
        let computed: Mutex<BTreeMap<VolumeId, u64>> = Mutex::new(BTreeMap::new());
        self.each(&columns, |at| {
            for id in self.column(*at)? {
                *computed.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
            }
            Ok(())
        })?;
        Ok(computed.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A patch may have promised a chunk and not have it.
    fn refuse_too_many(&self, columns: &[u64]) -> Result<(), RepairError> {
        let mut lost: BTreeMap<VolumeId, BTreeSet<u64>> = BTreeMap::new();
        for at in columns {
            for payload in self.payloads.iter().filter(|payload| *at < payload.count()) {
                if payload.source(*at).is_none() {
                    lost.entry(payload.id).or_default().insert(at + 1);
                }
            }
        }
        let open = still_lost(self.set.index(), &lost, &[]);
        if open.beyond.is_empty() {
            return Ok(());
        }
        let bad = lost.into_iter().map(|(id, numbers)| (id, numbers.into_iter().collect())).collect();
        Err(RepairError::NotEnough { repair: repairable(self.set.index(), &[], &bad), lost: open.beyond })
    }

    /// Computes what is lost of one column; says of which volumes.
    fn column(&self, at: u64) -> Result<Vec<VolumeId>, RepairError> {
        let size = u64::from(self.set.index().chunk_size);
        let (parity, data): (Vec<&Payload>, Vec<_>) =
            self.payloads.iter().partition(|payload| payload.id.is_parity());
        let sizes: Vec<u64> = data.iter().map(|payload| payload.payload.size).collect();
        // Of what is lost, these are to be made; parity that nothing is to be done about is computed for nothing.
        let lost: Vec<(Rebuilt, &Payload, &Target)> = data
            .iter()
            .enumerate()
            .map(|(place, payload)| (Rebuilt::Data(place), *payload))
            .chain(parity.iter().enumerate().map(|(place, payload)| (Rebuilt::Parity(place), *payload)))
            .filter(|(_, payload)| at < payload.count() && payload.source(at).is_none())
            .filter_map(|(which, payload)| Some((which, payload, payload.target.as_ref()?)))
            .collect();
        let column = Column {
            sizes: &sizes,
            range: at * size..(at + 1) * size,
            data: data.iter().map(|payload| payload.source(at)).collect(),
            parity: parity.iter().map(|payload| payload.source(at)).collect(),
        };
        let run = Run {
            threads: self.options.verify.threads,
            cancel: &self.options.verify.cancel,
            progress: &|bytes| self.progress.add(&self.set.index().name(), bytes),
        };
        let pass = |in_place: bool| -> Result<(), RepairError> {
            let mut hashers: Vec<blake3::Hasher> = lost.iter().map(|_| blake3::Hasher::new()).collect();
            rebuild(&column, &run, &mut |which, offset, bytes| {
                let found = lost.iter().zip(&mut hashers).find(|((lost, ..), _)| *lost == which);
                let Some(((_, _, target), hasher)) = found else { return Ok(()) };
                hasher.update(bytes);
                if target.in_place == in_place {
                    target.file.write_all_at(bytes, offset)?;
                }
                Ok(())
            })
            .map_err(|error| named(error, &lost))?;
            for ((_, payload, _), hasher) in lost.iter().zip(&hashers) {
                if Some(*hasher.finalize().as_bytes()) != value(payload, at) {
                    let place = format!("chunk {}", at + 1);
                    return Err(RepairError::Contradiction { volume: payload.id, place });
                }
            }
            Ok(())
        };
        // New files take what is computed at once: they are looked at as a whole at the end.
        pass(false)?;
        if lost.iter().any(|(_, _, target)| target.in_place) {
            pass(true)?;
        }
        for (_, _, target) in &lost {
            target.set_good(at);
        }
        Ok(lost.iter().map(|(_, payload, _)| payload.id).collect())
    }
}

/// A full disk is told as such.
fn named(error: ParityError, lost: &[(Rebuilt, &Payload, &Target)]) -> RepairError {
    match (error, lost) {
        (ParityError::Io(error), [(_, _, target), ..]) if error.kind() == std::io::ErrorKind::StorageFull => {
            RepairError::at(target.path(), error)
        }
        (error, _) => error.into(),
    }
}

/// BLAKE3 that a chunk must have.
fn value(payload: &Payload, at: u64) -> Option<[u8; 32]> {
    payload.values.get(usize::try_from(at).ok()?).copied()
}

/// BLAKE3 of a range of a file; nothing when it cannot be read.
fn hash(file: &File, start: u64, length: u64) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let done = read_range(file.file(), start, length, &mut buffer, |bytes| {
        hasher.update(bytes);
        true
    });
    (done.ok()? == length).then(|| *hasher.finalize().as_bytes())
}

/// Copies a range; gives BLAKE3 of what was copied, or nothing when it cannot be read.
fn copy(
    from: &File,
    start: u64,
    to: &Target,
    place: u64,
    length: u64,
) -> Result<Option<[u8; 32]>, RepairError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut failed = None;
    let mut written = place;
    let done = read_range(from.file(), start, length, &mut buffer, |bytes| {
        hasher.update(bytes);
        match to.file.write_all_at(bytes, written) {
            Ok(()) => written += bytes.len() as u64,
            Err(error) => failed = Some(RepairError::at(to.path(), error)),
        }
        failed.is_none()
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(done.is_ok_and(|done| done == length).then(|| *hasher.finalize().as_bytes())),
    }
}
