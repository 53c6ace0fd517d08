//! What is lost, and whether it can be made again.

use super::patch::Patch;
use crate::index::Index;
use crate::set::{VolumeSet, Weight};
use crate::verify::BundleReport;
use crate::volume::VolumeId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Chunks of a payload that are lost, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Lost {
    /// All of them.
    All,
    /// These.
    Some(BTreeSet<u64>),
}

/// The chunks that are lost, by volume: all of a volume that is missing, those that are bad of one that is here.
pub fn lost_chunks(
    index: &Index,
    missing: &[VolumeId],
    bad: &BTreeMap<VolumeId, Vec<u64>>,
) -> BTreeMap<VolumeId, BTreeSet<u64>> {
    let mut lost: BTreeMap<VolumeId, BTreeSet<u64>> = BTreeMap::new();
    for (id, numbers) in bad {
        lost.insert(*id, numbers.iter().copied().collect());
    }
    for id in missing {
        let all = index.volume(*id).map_or(0, |volume| index.chunk_count(&volume.payload));
        lost.insert(*id, (1..=all).collect());
    }
    lost
}

/// What is lost when patches are taken into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Lost chunks that stand in columns with more of them than parity makes good.
    pub beyond: BTreeMap<VolumeId, Lost>,
    /// The columns, numbered from 1, with how many chunks of each must be sent so that parity does the rest.
    pub columns: BTreeMap<u64, usize>,
}

/// What cannot be made again from parity and from patches.
pub fn still_lost(index: &Index, lost: &BTreeMap<VolumeId, BTreeSet<u64>>, patches: &[Patch]) -> Open {
    let parity = index.parity.as_ref().map_or(0, |parity| parity.volumes.len());
    let is_sent = |id: VolumeId, number: u64| patches.iter().any(|patch| patch.has_chunk(id, number));
    let mut columns: BTreeMap<u64, usize> = BTreeMap::new();
    for (id, numbers) in lost {
        for number in numbers.iter().filter(|number| !is_sent(*id, **number)) {
            *columns.entry(*number).or_default() += 1;
        }
    }
    columns.retain(|_, count| {
        *count = count.saturating_sub(parity);
        *count > 0
    });
    let mut beyond = BTreeMap::new();
    for (id, numbers) in lost {
        let all = index.volume(*id).map_or(0, |volume| index.chunk_count(&volume.payload));
        let own: BTreeSet<u64> = numbers
            .iter()
            .copied()
            .filter(|number| columns.contains_key(number) && !is_sent(*id, *number))
            .collect();
        if own.len() as u64 == all && all > 0 {
            beyond.insert(*id, Lost::All);
        } else if !own.is_empty() {
            beyond.insert(*id, Lost::Some(own));
        }
    }
    Open { beyond, columns }
}

/// The volumes that are not whole: missing, or with anything on them that is not what the index says.
pub(super) fn broken(set: &VolumeSet, report: &BundleReport) -> BTreeSet<VolumeId> {
    let spoken = report.findings.iter().filter(|finding| {
        matches!(finding.weight, Weight::Bytes | Weight::Missing) && finding.kind != "not-in-index"
    });
    let mut broken: BTreeSet<VolumeId> = spoken.filter_map(|finding| finding.volume).collect();
    broken.extend(&report.missing);
    broken.extend(report.bad.keys());
    broken.retain(|id| set.index().volume(*id).is_some());
    broken
}
