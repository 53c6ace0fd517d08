//! Checking volumes: every chunk of every payload that is here, and everything else in their folders.
//!
//! Nothing is written and nothing staged. What is read is each payload once, in pieces of 128 KiB, on all threads; memory is
//! one such piece a thread, and the table of chunks.

mod chunks;
mod gaps;
mod repairable;
mod small;

pub(crate) use chunks::read as read_range;
pub use repairable::{Repair, repairable};

use crate::index::Index;
use crate::progress::Progress;
use crate::set::{SetFinding, VolumeSet, Weight};
use crate::tar::{Entry, entries};
use crate::volume::VolumeId;
use serde::Serialize;
use sovai_core::{Reporter, Step};
use sovai_verifier::Cancel;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Most files that are named of one run of bad chunks.
const MAX_NAMED: usize = 8;

/// How volumes are checked.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// Stops the run.
    pub cancel: Cancel,
}

/// The run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the check of the volumes was stopped")]
pub struct Stopped;

/// What checking came to.
#[derive(Debug)]
pub struct BundleReport {
    /// Every volume of the bundle, those of data first.
    pub volumes: Vec<VolumeReport>,
    /// Everything that is to be said besides bad chunks, in the order of the volumes.
    pub findings: Vec<SetFinding>,
    /// Volumes whose payload is not here.
    pub missing: Vec<VolumeId>,
    /// Bad chunks by volume, numbered from 1, sorted. A volume that was checked without the table of chunks and is bad has all.
    pub bad: BTreeMap<VolumeId, Vec<u64>>,
    /// Whether parity can make whole what is missing or bad.
    pub repair: Repair,
    /// Bytes of payloads that were read.
    pub bytes: u64,
}

impl BundleReport {
    /// The greatest weight of anything that was found; nothing when there is nothing.
    pub fn weight(&self) -> Option<Weight> {
        let chunks = (!self.bad.is_empty()).then_some(Weight::Bytes);
        let missing = (!self.missing.is_empty()).then_some(Weight::Missing);
        self.findings.iter().map(|finding| finding.weight).chain(chunks).chain(missing).max()
    }
}

/// What came of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeReport {
    /// Which one.
    pub volume: VolumeId,
    /// How it is.
    pub state: VolumeState,
    /// Its folder, where it is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Bytes that its payload should have.
    pub bytes: u64,
    /// Chunks that its payload should have.
    pub chunks: u64,
    /// Its bad chunks, next to each other in one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<BadChunks>,
}

/// How a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// Everything on it is what the index says.
    Whole,
    /// Something on it is not.
    Damaged,
    /// It is not here.
    Missing,
}

/// Bad chunks of a payload that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BadChunks {
    /// Number of the first, from 1.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// Where the first begins in the payload, in bytes.
    pub offset: u64,
    /// Bytes of all of them.
    pub length: u64,
    /// What is wrong: they are not what the table says, the payload ends before them, or the disk gave an error.
    pub reason: String,
    /// Paths of the first few files that lie in them.
    pub files: Vec<String>,
    /// How many files lie in them.
    pub file_count: usize,
}

/// Checks everything that is here.
pub fn verify_bundle(
    set: &VolumeSet,
    options: &VerifyOptions,
    reporter: &dyn Reporter,
) -> Result<BundleReport, Stopped> {
    let index = set.index();
    let total = set.present().filter_map(|volume| volume.size).fold(0, u64::saturating_add);
    let progress = Progress::new(reporter, Step::Verify, total);
    let places = entries(index);
    let mut findings = set.findings().to_vec();
    let mut volumes = Vec::new();
    let mut all_bad = BTreeMap::new();
    for (id, volume) in index.all_volumes() {
        let (bytes, chunks) = (volume.payload.size, index.chunk_count(&volume.payload));
        let mut report = VolumeReport {
            volume: id,
            state: VolumeState::Missing,
            path: None,
            bytes,
            chunks,
            bad: Vec::new(),
        };
        if let Some(here) = set.volume(id) {
            report.path = Some(here.path.clone());
            small::check(set, here, &mut findings);
            if here.size.is_some() {
                let found = chunks::check(set, here, options, &progress, &mut findings)?;
                let entries = if id.is_parity() {
                    &[][..]
                } else {
                    places.get(&id.number()).map_or(&[][..], Vec::as_slice)
                };
                report.bad = runs(index, &found, entries, bytes);
                let numbers: Vec<u64> = found.into_iter().map(|(number, _)| number).collect();
                if !id.is_parity() {
                    gaps::check(set, here, entries, &numbers, &mut findings);
                }
                let is_bad =
                    |finding: &SetFinding| finding.volume == Some(id) && finding.weight == Weight::Bytes;
                report.state = if numbers.is_empty() && !findings.iter().any(is_bad) {
                    VolumeState::Whole
                } else {
                    VolumeState::Damaged
                };
                if !numbers.is_empty() {
                    all_bad.insert(id, numbers);
                }
            }
        }
        volumes.push(report);
    }
    findings.sort_by_key(|finding| finding.volume);
    let missing = set.missing();
    let repair = repairable(index, &missing, &all_bad);
    let bytes = progress.finish(&index.name());
    Ok(BundleReport { volumes, findings, missing, bad: all_bad, repair, bytes })
}

/// Bad chunks that follow each other for the same reason, in one.
fn runs(index: &Index, bad: &[(u64, String)], entries: &[Entry<'_>], size: u64) -> Vec<BadChunks> {
    let chunk = u64::from(index.chunk_size);
    let mut runs: Vec<BadChunks> = Vec::new();
    for (number, reason) in bad {
        match runs.last_mut() {
            Some(run) if run.last + 1 == *number && run.reason == *reason => run.last = *number,
            _ => runs.push(BadChunks {
                first: *number,
                last: *number,
                offset: (number - 1) * chunk,
                length: 0,
                reason: reason.clone(),
                files: Vec::new(),
                file_count: 0,
            }),
        }
    }
    for run in &mut runs {
        let end = run.last.saturating_mul(chunk).min(size);
        run.length = end.saturating_sub(run.offset);
        let hit =
            entries.iter().filter(|entry| entry.offset < end && entry.offset + entry.length > run.offset);
        for entry in hit {
            run.file_count += 1;
            if run.files.len() < MAX_NAMED {
                run.files.push(entry.item.path.as_str().to_owned());
            }
        }
    }
    runs
}
