//! The high-water clock: the newest signed time that this store has ever seen.
//!
//! A host's clock that was set back makes expired keys look good. So expiry is judged by the later of the system's clock
//! and the newest time that somebody trusted has signed. Only such times count; a store's own statements carry its own
//! clock and prove nothing about it. A signed time more than a day ahead of all that is known does not move the mark,
//! or one mistaken signer could make every key expire: it is kept as a doubt, said in warnings, and taken when the clock
//! comes within a day of it.

use crate::document::{optional_time, read, time, write};
use serde::{Deserialize, Serialize};
use sovai_store::StoreError;
use std::path::Path;

/// How far ahead of all that is known a signed time may lie, in seconds.
pub(crate) const MAX_AHEAD: u64 = 86_400;

/// A signed time that lies too far ahead to be believed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doubt {
    /// The time, in seconds since 1970.
    #[serde(with = "time")]
    pub time: u64,
    /// What carries it.
    pub from: String,
}

/// What time it is, as far as that can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// What the system's clock says, in seconds since 1970.
    pub system: u64,
    /// The newest signed time.
    pub high_water: Option<u64>,
    /// By which expiry is judged: the later of the two.
    pub effective: u64,
    /// Seconds by which the system's clock is behind the newest signed time; 0 when it is not.
    pub behind: u64,
    /// A signed time that lies more than a day ahead: either this host's clock is behind, or the signer's was ahead.
    pub doubt: Option<Doubt>,
}

/// `trust/clock.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Clock {
    #[serde(with = "optional_time", skip_serializing_if = "Option::is_none", default)]
    high_water: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    doubt: Option<Doubt>,
}

impl Clock {
    pub(crate) fn read(path: &Path) -> Result<Self, StoreError> {
        Ok(read(path)?.unwrap_or_default())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), StoreError> {
        write(path, self)
    }

    pub(crate) fn now(&self, system: u64) -> Now {
        let mut clock = self.clone();
        clock.settle(system);
        let effective = clock.high_water.map_or(system, |mark| mark.max(system));
        Now {
            system,
            high_water: clock.high_water,
            effective,
            behind: effective - system,
            doubt: clock.doubt,
        }
    }

    /// Takes in a time that somebody trusted has signed; whether anything changed.
    pub(crate) fn saw(&mut self, signed: u64, from: &str, system: u64) -> bool {
        let before = self.clone();
        self.settle(system);
        if self.believes(signed, system) {
            self.raise(signed, from.to_owned());
        } else if self.doubt.as_ref().is_none_or(|doubt| doubt.time > signed) {
            // The least of those in doubt is the first that can be believed.
            self.doubt = Some(Doubt { time: signed, from: from.to_owned() });
        }
        *self != before
    }

    /// Believes a doubt to which the clock has come near.
    fn settle(&mut self, system: u64) {
        if let Some(doubt) = self
            .doubt
            .take_if(|doubt| doubt.time <= self.high_water.unwrap_or(0).max(system).saturating_add(MAX_AHEAD))
        {
            self.raise(doubt.time, doubt.from);
        }
    }

    fn believes(&self, signed: u64, system: u64) -> bool {
        signed <= self.high_water.unwrap_or(0).max(system).saturating_add(MAX_AHEAD)
    }

    fn raise(&mut self, time: u64, from: String) {
        if self.high_water.is_none_or(|mark| mark < time) {
            self.high_water = Some(time);
            self.from = Some(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_clock_that_was_set_back_is_behind_the_mark() {
        let mut clock = Clock::default();
        assert_eq!(clock.now(100 * DAY).effective, 100 * DAY);
        assert!(clock.saw(99 * DAY, "list 1", 100 * DAY));
        assert_eq!(clock.now(100 * DAY).behind, 0);
        let now = clock.now(10 * DAY);
        assert_eq!((now.effective, now.behind, now.high_water), (99 * DAY, 89 * DAY, Some(99 * DAY)));
        assert!(!clock.saw(98 * DAY, "list 0", 100 * DAY), "an older time never lowers it");
    }

    #[test]
    fn a_time_far_ahead_does_not_poison_the_mark() {
        let mut clock = Clock::default();
        assert!(clock.saw(100 * DAY + DAY, "list 1", 100 * DAY), "a day ahead is believed");
        assert_eq!(clock.now(100 * DAY).behind, DAY);
        clock.saw(9000 * DAY, "list 2", 100 * DAY);
        let now = clock.now(100 * DAY);
        assert_eq!(now.effective, 101 * DAY);
        assert_eq!(now.doubt, Some(Doubt { time: 9000 * DAY, from: "list 2".to_owned() }));
        clock.saw(200 * DAY, "list 3", 100 * DAY);
        assert_eq!(clock.now(100 * DAY).doubt.unwrap().from, "list 3");
        // Time goes on: what was in doubt is believed, and holds when the clock is then set back.
        assert_eq!(clock.now(199 * DAY).effective, 200 * DAY);
        clock.saw(150 * DAY, "x", 199 * DAY);
        assert_eq!(clock.now(0).effective, 200 * DAY);
        assert_eq!(clock.now(u64::MAX).effective, u64::MAX);
    }
}
