//! Sets of byte ranges of a file.

use std::ops::Range;

/// Byte ranges of one file: sorted, none empty, none touching the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// All bytes of a file of this length.
    pub fn whole(size: u64) -> Self {
        Self::of(0..size)
    }

    /// These bytes alone.
    pub fn of(range: Range<u64>) -> Self {
        let mut all = Self::new();
        all.insert(range);
        all
    }

    /// Adds bytes; those that are in it already stay once. Gives how many are new.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let before = self.total();
        // The first that touches it, and the first after those.
        let first = self.0.partition_point(|have| have.end < range.start);
        let last = self.0.partition_point(|have| have.start <= range.end);
        let start = self.0.get(first).map_or(range.start, |have| have.start.min(range.start));
        let end = last
            .checked_sub(1)
            .and_then(|last| self.0.get(last))
            .map_or(range.end, |have| have.end.max(range.end));
        let joined = if first < last { start..end } else { range };
        drop(self.0.splice(first..last, [joined]));
        self.total() - before
    }

    /// Takes bytes out of it.
    pub fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        for have in self.0.drain(..) {
            let (before, after) =
                (have.start..have.end.min(range.start), have.start.max(range.end)..have.end);
            rest.extend([before, after].into_iter().filter(|part| !part.is_empty()));
        }
        self.0 = rest;
    }

    /// How many bytes.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether it has no byte.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// What of `within` it has not, sorted.
    #[must_use]
    pub fn gaps(&self, within: Range<u64>) -> Self {
        let mut gaps = Self::new();
        gaps.insert(within);
        for have in &self.0 {
            gaps.remove(have);
        }
        gaps
    }

    /// How far the bytes from `at` on are there without a gap; `at` itself when they are not.
    pub fn reach(&self, at: u64) -> u64 {
        let first = self.0.partition_point(|have| have.end <= at);
        self.0.get(first).filter(|have| have.start <= at).map_or(at, |have| have.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn ranges_are_sets_of_bytes(steps in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 0..40)) {
            let (mut ranges, mut expected) = (Ranges::new(), BTreeSet::new());
            for (add, start, length) in steps {
                let range = start..start + length;
                if add {
                    let before = expected.len();
                    expected.extend(range.clone());
                    prop_assert_eq!(ranges.insert(range), (expected.len() - before) as u64);
                } else {
                    ranges.remove(&range);
                    expected.retain(|byte| !range.contains(byte));
                }
                prop_assert_eq!(&set(&ranges), &expected);
                prop_assert_eq!(ranges.total(), expected.len() as u64);
                // Sorted, none empty, none touching.
                let list: Vec<_> = ranges.iter().collect();
                prop_assert!(list.iter().all(|range| !range.is_empty()));
                prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
                let gaps: BTreeSet<u64> = (0..80).filter(|byte| !expected.contains(byte)).collect();
                prop_assert_eq!(set(&ranges.gaps(0..80)), gaps);
                for at in 0..80 {
                    let reach = (at..200).find(|byte| !expected.contains(byte)).unwrap();
                    prop_assert_eq!(ranges.reach(at), reach);
                }
            }
        }
    }
}
