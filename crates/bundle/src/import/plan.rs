//! What of a payload goes where.

use super::target::Targets;
use crate::index::{Index, Part};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run of bytes of a payload that belongs to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it begins in the payload.
    pub(super) at: u64,
    /// How many bytes.
    pub(super) length: u64,
    /// Which file.
    pub(super) target: usize,
    /// Where it begins in the file.
    pub(super) within: u64,
}

impl Segment {
    pub(super) const fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }

    /// Its bytes in the file.
    pub(super) const fn range(&self) -> Range<u64> {
        self.within..self.within.saturating_add(self.length)
    }

    /// What of it lies in a stretch of the payload.
    fn cut(&self, payload: &Range<u64>) -> Option<Self> {
        let (start, end) = (self.at.max(payload.start), self.end().min(payload.end));
        let within = self.within.saturating_add(start.saturating_sub(self.at));
        (start < end).then(|| Self { at: start, length: end - start, within, ..*self })
    }
}

/// A payload: its files' bytes in order, without a byte that belongs to two.
#[derive(Debug)]
pub(super) struct VolumePlan {
    /// Which volume, from 1.
    pub(super) volume: u16,
    /// Bytes of its payload.
    pub(super) size: u64,
    /// Sorted by place.
    pub(super) segments: Vec<Segment>,
}

impl VolumePlan {
    /// The segments that lie in a stretch of the payload, cut to it.
    pub(super) fn within(&self, payload: Range<u64>) -> impl Iterator<Item = Segment> + '_ {
        let first = self.segments.partition_point(|segment| segment.end() <= payload.start);
        let rest = self.segments.get(first..).unwrap_or_default();
        rest.iter().map_while(move |segment| segment.cut(&payload))
    }
}

/// The plans of all volumes of data, in order.
pub(super) fn plans(index: &Index, targets: &Targets) -> Vec<VolumePlan> {
    let mut segments: BTreeMap<u16, Vec<Segment>> = BTreeMap::new();
    for (number, target) in targets.iter().enumerate() {
        let mut within = 0;
        for part in &target.parts {
            if let Part::Carried { volume, offset, length } = *part {
                let segment = Segment { at: offset, length, target: number, within };
                segments.entry(volume).or_default().push(segment);
            }
            within += part.length();
        }
    }
    (1..)
        .zip(&index.volumes)
        .map(|(volume, of)| {
            let mut segments = segments.remove(&volume).unwrap_or_default();
            segments.sort_unstable_by_key(|segment| segment.at);
            VolumePlan { volume, size: of.payload.size, segments }
        })
        .collect()
}
