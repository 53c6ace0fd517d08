//! Which bytes of one file are asked for next, and by whom.

use sovai_store::Ranges;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is still to come of one file. A lane is one stretch of it that one connection works on.
#[derive(Debug)]
pub(super) struct Plan {
    size: u64,
    /// Bytes that are missing and in nobody's lane.
    gaps: Ranges,
    lanes: BTreeMap<u64, Stretch>,
    next: u64,
    /// The file comes in one stream without a range.
    whole: bool,
    /// Another one makes lanes of an older one stop.
    generation: u64,
}

/// Where a lane is.
#[derive(Debug)]
struct Stretch {
    /// What is before this is written. What came and is not written yet is still the lane's, so that nobody else asks
    /// for it.
    written: u64,
    /// What is before this came.
    at: u64,
    end: u64,
}

/// What one connection is to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    id: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Asked for without a range, from the first byte; what is there already is skipped.
    pub(super) whole: bool,
    generation: u64,
}

impl Plan {
    pub(super) fn new(size: u64, have: &Ranges) -> Self {
        Self { size, gaps: have.gaps(0..size), lanes: BTreeMap::new(), next: 0, whole: false, generation: 0 }
    }

    /// Begins anew with what is there: one stream when `whole`. Lanes that are under way stop.
    pub(super) fn again(&mut self, have: &Ranges, whole: bool) {
        self.gaps = have.gaps(0..self.size);
        self.whole = whole;
        self.stop_lanes();
    }

    /// Lets every lane stop soon; each gives back what it did not get.
    pub(super) fn stop_lanes(&mut self) {
        self.generation += 1;
    }

    /// Another source: asked for ranges, or in one stream. What is under way stops.
    pub(super) fn set_ranged(&mut self, ranged: bool) {
        self.whole = !ranged;
        self.stop_lanes();
    }

    pub(super) fn set_whole(&mut self) {
        self.whole = true;
        self.stop_lanes();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether nothing is missing and nobody is at work.
    pub(super) fn is_done(&self) -> bool {
        self.lanes.is_empty() && self.gaps.is_empty()
    }

    /// The next stretch that nobody works on; at most `segment` bytes of it.
    pub(super) fn take(&mut self, segment: Option<u64>) -> Option<Lane> {
        let gap = self.gaps.iter().next()?;
        if self.whole {
            if !self.lanes.is_empty() {
                return None;
            }
            self.gaps = Ranges::new();
            return Some(self.lane(0..self.size));
        }
        let end = segment.map_or(gap.end, |segment| gap.end.min(gap.start.saturating_add(segment)));
        let taken = gap.start..end;
        self.gaps.remove(&taken);
        Some(self.lane(taken))
    }

    /// Takes the second half of the longest lane, where at least `least` bytes are left for both; at most `segment` bytes.
    pub(super) fn steal(&mut self, least: u64, segment: u64) -> Option<Lane> {
        if self.whole {
            return None;
        }
        let longest = self.lanes.values_mut().max_by_key(|lane| lane.end - lane.at)?;
        let rest = longest.end - longest.at;
        if rest < least.saturating_mul(2) {
            return None;
        }
        let half = longest.at + rest / 2..longest.end;
        longest.end = half.start;
        self.gaps.insert(half.clone());
        let taken = half.start..half.end.min(half.start.saturating_add(segment));
        self.gaps.remove(&taken);
        Some(self.lane(taken))
    }

    fn lane(&mut self, range: Range<u64>) -> Lane {
        self.next += 1;
        let stretch = Stretch { written: range.start, at: range.start, end: range.end };
        self.lanes.insert(self.next, stretch);
        Lane {
            id: self.next,
            start: range.start,
            end: range.end,
            whole: self.whole,
            generation: self.generation,
        }
    }

    /// Whether a lane may go on.
    pub(super) const fn is_current(&self, lane: &Lane) -> bool {
        lane.generation == self.generation
    }

    /// The lane got the bytes up to `at`. Gives where it must end: earlier than before when another took its rest.
    pub(super) fn advance(&mut self, lane: &Lane, at: u64) -> u64 {
        match self.lanes.get_mut(&lane.id) {
            Some(stretch) => {
                stretch.at = at.min(stretch.end);
                stretch.end
            }
            None => lane.end,
        }
    }

    /// The lane's bytes up to `to` are written.
    pub(super) fn written(&mut self, lane: &Lane, to: u64) {
        if let Some(stretch) = self.lanes.get_mut(&lane.id) {
            stretch.written = to.min(stretch.end);
        }
    }

    /// The lane is over; `have` is what is there now. What it did not get is missing again.
    pub(super) fn give_back(&mut self, lane: &Lane, have: &Ranges) {
        self.lanes.remove(&lane.id);
        let mut gaps = have.gaps(0..self.size);
        for other in self.lanes.values() {
            gaps.remove(&(other.written..other.end));
        }
        self.gaps = gaps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(ranges: &[(u64, u64)]) -> Ranges {
        let mut all = Ranges::new();
        for (start, end) in ranges {
            all.insert(*start..*end);
        }
        all
    }

    fn range(lane: &Lane) -> (u64, u64) {
        (lane.start, lane.end)
    }

    #[test]
    fn gaps_are_taken_in_order_and_in_segments() {
        let mut plan = Plan::new(100, &have(&[(10, 20)]));
        assert_eq!(range(&plan.take(Some(30)).unwrap()), (0, 10));
        assert_eq!(range(&plan.take(Some(30)).unwrap()), (20, 50));
        assert_eq!(range(&plan.take(None).unwrap()), (50, 100));
        assert_eq!(plan.take(None), None);
        assert!(!plan.is_done());
    }

    #[test]
    fn the_longest_lane_gives_its_second_half() {
        let mut plan = Plan::new(100, &have(&[]));
        let first = plan.take(None).unwrap();
        assert_eq!(plan.advance(&first, 20), 100);
        let second = plan.steal(10, 15).unwrap();
        assert_eq!(range(&second), (60, 75));
        assert_eq!(plan.advance(&first, 30), 60);
        assert_eq!(range(&plan.take(None).unwrap()), (75, 100));
        assert_eq!(range(&plan.steal(10, 100).unwrap()), (45, 60));
        assert_eq!(plan.steal(10, 100).map(|lane| range(&lane)), Some((87, 100)));
        assert_eq!(plan.steal(10, 100), None, "too little is left for two");
    }

    #[test]
    fn what_a_lane_did_not_get_is_missing_again() {
        let mut plan = Plan::new(100, &have(&[]));
        let first = plan.take(Some(50)).unwrap();
        let second = plan.take(Some(50)).unwrap();
        plan.advance(&first, 30);
        // Of what came of the second, some is not written yet.
        plan.advance(&second, 70);
        plan.written(&second, 60);
        plan.give_back(&first, &have(&[(0, 30), (50, 60)]));
        assert_eq!(range(&plan.take(None).unwrap()), (30, 50));
        plan.give_back(&second, &have(&[(0, 30), (50, 100)]));
        assert_eq!(plan.take(None), None);
        assert!(!plan.is_idle());
    }

    #[test]
    fn one_stream_is_alone() {
        let mut plan = Plan::new(100, &have(&[(0, 10)]));
        let ranged = plan.take(Some(20)).unwrap();
        plan.set_whole();
        assert!(!plan.is_current(&ranged));
        assert_eq!(plan.take(None), None, "the other lane has not stopped yet");
        plan.give_back(&ranged, &have(&[(0, 10)]));
        let lane = plan.take(Some(5)).unwrap();
        assert!(lane.whole && plan.is_current(&lane));
        assert_eq!(range(&lane), (0, 100));
        assert_eq!((plan.take(None), plan.steal(1, 100)), (None, None));
        plan.give_back(&lane, &have(&[(0, 100)]));
        assert!(plan.is_done());
    }
}
