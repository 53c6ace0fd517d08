//! What must be sent again, as text that one person can read to another over a telephone.
//!
//! ```text
//! SOVAI REQUEST DEMO 7 1A2B3C4D CHECK TOPMOST ISTANBUL
//! V003 1204-1210 1300 CHECK ADULT PYRAMID
//! V005 ALL CHECK DROPPER GRAVITY
//! END CHECK SPINDLE MOSQUITO STAGEHAND BREAKAWAY
//! ```
//!
//! The first line names the bundle: stack, sequence number, and the first digits of the SHA-256 of its index. Each further line
//! names a volume and what of it is wanted: chunks by number, `ALL` of them, or the small `FILES` beside the payload. The words
//! behind `CHECK` are of the PGP word list; a line's two say whether it was heard right, the last four whether all were.
//! Capital letters, digits, spaces and `-` are all there is, so that a QR code of it is small.

mod answer;
mod text;

pub use answer::{AnswerError, Answered, answer};
pub use text::RequestError;

use crate::repair::{Lost, Patch, can_restore, lost_chunks, still_lost};
use crate::set::VolumeSet;
use crate::verify::BundleReport;
use crate::volume::VolumeId;
use serde::Serialize;
use sovai_core::Name;
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted again of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The stack.
    pub stack: Name,
    /// The bundle's sequence number.
    pub sequence: u64,
    /// The first eight digits of the SHA-256 of its index, in lower case.
    pub index: String,
    /// What is wanted of each volume.
    pub volumes: BTreeMap<VolumeId, Wanted>,
}

/// What is wanted of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// All chunks of its payload.
    pub all: bool,
    /// Runs of chunks, first and last, numbered from 1, in order; none when all are wanted.
    pub chunks: Vec<(u64, u64)>,
    /// The README and the program.
    pub files: bool,
}

impl Wanted {
    /// The numbers of the chunks, of a payload that has `count`.
    pub fn numbers(&self, count: u64) -> impl Iterator<Item = u64> {
        let runs = if self.all { vec![(1, count)] } else { self.chunks.clone() };
        runs.into_iter().flat_map(|(first, last)| first..=last)
    }
}

impl Request {
    /// The least that must be sent so that parity, and patches that are here already, make the rest good. Nothing is wanted of
    /// what can be made again here.
    pub fn of(set: &VolumeSet, report: &BundleReport, patches: &[Patch]) -> Self {
        let index = set.index();
        let lost = lost_chunks(index, &report.missing, &report.bad);
        let mut open = still_lost(index, &lost, patches);
        // Volumes of which most is lost come first: then few lines are to be read out.
        let mut order: Vec<(VolumeId, u64)> = open
            .beyond
            .iter()
            .map(|(id, lost)| {
                let all = index.volume(*id).map_or(0, |volume| index.chunk_count(&volume.payload));
                (
                    *id,
                    match lost {
                        Lost::All => all,
                        Lost::Some(numbers) => numbers.len() as u64,
                    },
                )
            })
            .collect();
        order.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        let mut volumes: BTreeMap<VolumeId, Wanted> = BTreeMap::new();
        for (id, _) in order {
            let all = index.volume(id).map_or(0, |volume| index.chunk_count(&volume.payload));
            let numbers: BTreeSet<u64> = match open.beyond.get(&id) {
                Some(Lost::All) => (1..=all).collect(),
                Some(Lost::Some(numbers)) => numbers.clone(),
                None => continue,
            };
            let mut wanted = BTreeSet::new();
            for number in numbers {
                if let Some(needed) = open.columns.get_mut(&number).filter(|needed| **needed > 0) {
                    *needed -= 1;
                    wanted.insert(number);
                }
            }
            if !wanted.is_empty() {
                let all = wanted.len() as u64 == all;
                let chunks = if all { Vec::new() } else { runs(&wanted) };
                volumes.insert(id, Wanted { all, chunks, files: false });
            }
        }
        for (id, volume) in index.all_volumes() {
            let is_absent = set.volume(id).is_none();
            let lacks = |name: &str| {
                let ends = format!("/{name}");
                let spoken = report.findings.iter().any(|finding| {
                    finding.volume == Some(id)
                        && matches!(finding.kind, "file-missing" | "file-damaged")
                        && finding.path.ends_with(&ends)
                });
                (is_absent || spoken) && !can_restore(set, id, name)
            };
            if volume.files.keys().any(|name| lacks(name)) {
                volumes.entry(id).or_default().files = true;
            }
        }
        let digits = set.digest().hex();
        Self {
            stack: index.stack.clone(),
            sequence: index.sequence,
            index: digits.get(..8).unwrap_or(&digits).to_owned(),
            volumes,
        }
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }
}

/// Numbers that follow each other in one.
fn runs(numbers: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
