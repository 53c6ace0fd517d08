//! Whether parity can make whole what is missing or bad.

use crate::index::Index;
use crate::volume::VolumeId;
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether parity can make whole what is missing or bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Repair {
    /// Nothing is missing and no chunk is bad.
    #[serde(rename = "not-needed")]
    NotNeeded,
    /// The bundle has no parity.
    #[serde(rename = "no-parity")]
    NoParity,
    /// Everything can be made again from what is here.
    #[serde(rename = "possible")]
    Possible {
        /// Volumes of parity that the bundle has: as many chunks of each column may be lost.
        parity: usize,
        /// The most that are lost in one column.
        lost: usize,
    },
    /// More is lost than parity makes good.
    #[serde(rename = "impossible")]
    Impossible {
        /// Volumes of parity that the bundle has.
        parity: usize,
        /// The most that are lost in one column.
        lost: usize,
        /// Numbers, from 1, of the columns of chunks in which too many are lost: the first few.
        columns: Vec<u64>,
        /// How many there are.
        column_count: u64,
    },
}

/// Most columns that are named.
const MAX_COLUMNS: usize = 16;

/// Whether parity can make whole what is missing or bad. A column is what has the same chunk number in all volumes; in each, as
/// many chunks may be lost as there are volumes of parity. Beyond its end a shorter volume has zeros, which cannot be lost.
pub fn repairable(index: &Index, missing: &[VolumeId], bad: &BTreeMap<VolumeId, Vec<u64>>) -> Repair {
    if missing.is_empty() && bad.is_empty() {
        return Repair::NotNeeded;
    }
    let Some(parity) = index.parity.as_ref().map(|parity| parity.volumes.len()) else {
        return Repair::NoParity;
    };
    let columns =
        index.all_volumes().map(|(_, volume)| index.chunk_count(&volume.payload)).max().unwrap_or(0);
    let mut lost = vec![0_usize; usize::try_from(columns).unwrap_or(0)];
    for id in missing {
        let own = index.volume(*id).map_or(0, |volume| index.chunk_count(&volume.payload));
        lost.iter_mut().take(usize::try_from(own).unwrap_or(usize::MAX)).for_each(|count| *count += 1);
    }
    for number in bad.iter().filter(|(id, _)| !missing.contains(id)).flat_map(|(_, numbers)| numbers) {
        let at = usize::try_from(number.saturating_sub(1)).ok();
        if let Some(count) = at.and_then(|at| lost.get_mut(at)) {
            *count += 1;
        }
    }
    let most = lost.iter().copied().max().unwrap_or(0);
    if most <= parity {
        return Repair::Possible { parity, lost: most };
    }
    let beyond = || (1_u64..).zip(&lost).filter(|(_, count)| **count > parity).map(|(number, _)| number);
    Repair::Impossible {
        parity,
        lost: most,
        columns: beyond().take(MAX_COLUMNS).collect(),
        column_count: beyond().count() as u64,
    }
}
