//! How fast bytes go by, and how long the rest takes: smoothed, so that the figures do not jump.
//!
//! The time to go that is shown never grows. Where the rest takes longer than was said, the figure stands until the truth has
//! come down to it; where it takes more than twice as long, nothing is said rather than something wrong.

use std::time::{Duration, Instant};

/// How much longer ago a rate counts for a third (1/e) of what it counts now.
const MEMORY: Duration = Duration::from_secs(10);
/// Before this, nothing is said: the first reads say little.
const FIRST: Duration = Duration::from_secs(1);
/// Shortest time between two looks; what comes sooner is counted with the next.
const LEAST: Duration = Duration::from_millis(50);

/// What a meter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speed {
    /// Bytes a second.
    pub(super) rate: u64,
    /// Seconds to go, where the total is known; in one run never more than before.
    pub(super) eta: Option<u64>,
}

/// Watches one step over bytes: an average of rates that weighs the last ten seconds most.
#[derive(Debug, Default)]
pub(super) struct Meter {
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    total: Option<u64>,
    start: Instant,
    last: Instant,
    done: u64,
    /// Sum of rates, each by its weight; the weights come to `1 - e^(-age / MEMORY)`.
    sum: f64,
    /// The seconds to go that were said last.
    said: Option<u64>,
}

impl Meter {
    /// Takes `done` of `total` at a time. Another total is another run.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn see(&mut self, now: Instant, done: u64, total: Option<u64>) -> Option<Speed> {
        let run = match &mut self.run {
            Some(run) if run.total == total => run,
            // What was done before this run's first event was done at an unknown rate.
            slot => slot.insert(Run { total, start: now, last: now, done, sum: 0.0, said: None }),
        };
        let passed = now.saturating_duration_since(run.last);
        // Never backwards: threads report out of order.
        if passed >= LEAST && done >= run.done {
            let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            run.sum += weight * ((done - run.done) as f64 / passed.as_secs_f64() - run.sum);
            (run.last, run.done) = (now, done);
        }
        let age = run.last.saturating_duration_since(run.start);
        if age < FIRST {
            return None;
        }
        let rate = run.sum / (1.0 - (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp());
        let eta = total.map(|total| total.saturating_sub(done) as f64 / rate).filter(|eta| eta.is_finite());
        let eta = eta.map(|eta| whole(eta.ceil())).and_then(|eta| run.say(eta));
        Some(Speed { rate: whole(rate), eta })
    }
}

impl Run {
    /// What is said of so many seconds to go.
    fn say(&mut self, eta: u64) -> Option<u64> {
        match self.said {
            Some(said) if eta > said => (eta / 2 <= said).then_some(said),
            _ => {
                self.said = Some(eta);
                Some(eta)
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// A time for people, no finer than it is known: `40 s`, `3 min`, `2 h 10 min`.
pub(super) fn about(seconds: u64) -> String {
    match seconds {
        0..=10 => format!("{seconds} s"),
        11..=90 => format!("{} s", seconds.div_ceil(5) * 5),
        91..=3600 => format!("{} min", seconds.div_ceil(60)),
        _ => {
            let minutes = seconds.div_ceil(600) * 10;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_told_exactly_and_one_jump_does_not_shake_it() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let mut see =
            |tenths: u64, done| meter.see(start + Duration::from_millis(tenths * 100), done, Some(100_000));
        assert_eq!(see(0, 0), None);
        assert_eq!(see(5, 500), None);
        for tenth in 6..=200 {
            let speed = see(tenth, tenth * 100);
            if tenth >= 10 {
                let Speed { rate, eta } = speed.unwrap();
                assert!((999..=1001).contains(&rate), "{rate}");
                assert!(eta.unwrap().abs_diff(100 - tenth / 10) <= 1, "{eta:?}");
            }
        }
        // A tenth of a second at ten times the rate: the average moves by a tenth.
        let Speed { rate, .. } = see(201, 21_000).unwrap();
        assert!((1001..=1150).contains(&rate), "{rate}");
    }

    #[test]
    fn a_run_that_stands_has_no_end_and_another_total_begins_anew() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let mut see =
            |seconds, done, total| meter.see(start + Duration::from_secs(seconds), done, Some(total));
        see(0, 0, 10);
        assert_eq!(see(2, 0, 10), Some(Speed { rate: 0, eta: None }));
        assert_eq!(see(3, 1, 20), None);
        assert_eq!(see(3, 0, 20), None);
    }

    #[test]
    fn the_time_to_go_never_grows_and_is_not_said_when_it_is_far_off() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let (mut done, mut last, mut silent) = (0, u64::MAX, 0);
        for second in 0..2000 {
            // Quick at first, then slow, then quick again.
            done += match second {
                0..20 => 1000,
                20..400 => 50,
                _ => 300,
            };
            let speed = meter.see(start + Duration::from_secs(second), done.min(100_000), Some(100_000));
            match speed.and_then(|speed| speed.eta) {
                Some(eta) => {
                    assert!(eta <= last, "{eta} after {last} at {second}");
                    last = eta;
                }
                None => silent += 1,
            }
        }
        assert_eq!(last, 0);
        assert!((100..1000).contains(&silent), "{silent}");
    }

    #[test]
    fn times_are_no_finer_than_they_are_known() {
        let shown: Vec<String> = [0, 9, 11, 90, 91, 3600, 3601, 7801].into_iter().map(about).collect();
        assert_eq!(shown, ["0 s", "9 s", "15 s", "90 s", "2 min", "60 min", "1 h 10 min", "2 h 20 min"]);
    }
}
