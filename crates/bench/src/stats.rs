//! Medians, percentiles, and the one place where counts become floating-point numbers.

use std::time::Duration;

/// A count as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "counts and bytes here are far below 2^53")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// The length of a collection as a floating-point number.
pub(crate) const fn length(len: usize) -> f64 {
    float(len as u64)
}

/// Milliseconds.
pub(crate) const fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle value; the mean of the two middle ones when their number is even; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(&high), 0) => f64::midpoint(sorted[middle - 1], high),
        (Some(&value), _) => value,
    }
}

/// Ratio of each pair, in order.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(a, b)| a / b).collect()
}

/// Difference of each pair, in order.
pub(crate) fn differences(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(a, b)| a - b).collect()
}

/// Delays of one run, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delays(Vec<u64>);

impl Delays {
    /// Takes one delay.
    pub(crate) fn push(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// Takes those of another part of the same run.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The nearest-rank percentile (`per_mille` of 1000) in milliseconds: the smallest delay that is not exceeded by
    /// that share of all. NaN of nothing.
    pub(crate) fn percentile(&self, per_mille: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille.min(1000)).div_ceil(1000).max(1);
        sorted.get(rank - 1).map_or(f64::NAN, |&nanos| float(nanos) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert!(same(median(&[9.0, 1.0, 5.0]), 5.0));
        assert!(same(median(&[4.0, 1.0, 3.0, 2.0]), 2.5));
        assert!(same(median(&[7.0]), 7.0));
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert!(same(median(&[1.0, 1.0, 1.0, 1.0, 1e9]), 1.0));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut delays = Delays::default();
        for ms in (1..=200).rev() {
            delays.push(ms * 1_000_000);
        }
        assert!(same(delays.percentile(500), 100.0));
        assert!(same(delays.percentile(990), 198.0));
        assert!(same(delays.percentile(1000), 200.0));
        assert!(same(delays.percentile(0), 1.0));
        assert!(Delays::default().percentile(990).is_nan());
    }

    #[test]
    fn a_single_delay_is_every_percentile() {
        let mut delays = Delays::default();
        delays.push(3_000_000);
        assert!(same(delays.percentile(1), 3.0) && same(delays.percentile(990), 3.0));
    }

    #[test]
    fn parts_of_a_run_count_together() {
        let (mut a, mut b) = (Delays::default(), Delays::default());
        a.push(1);
        b.push(2);
        a.append(b);
        assert_eq!(a.len(), 2);
    }

    #[test]
    fn pairs_are_compared_in_order() {
        assert!(same(ratios(&[2.0, 9.0], &[1.0, 3.0])[1], 3.0));
        assert!(same(differences(&[2.0, 9.0], &[1.0, 3.0])[1], 6.0));
    }
}
