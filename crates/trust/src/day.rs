//! Days in UTC, for the expiry of keys.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A day, `YYYY-MM-DD`, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a day is written as 2026-01-31, found `{}`", .0.escape_debug())]
pub struct DayError(String);

impl Day {
    /// The day of a time, which is given in seconds since 1970.
    pub fn of(seconds: u64) -> Self {
        let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self(Offset::UTC.to_datetime(time.unwrap_or(Timestamp::MAX)).date())
    }

    /// Whether this day has passed at `seconds` since 1970: the day itself is the last good one.
    pub fn has_passed(self, seconds: u64) -> bool {
        Self::of(seconds) > self
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DayError(text.chars().take(40).collect());
        if text.len() != 10 {
            return Err(error());
        }
        let day = Self(text.parse().map_err(|_| error())?);
        // The reader of dates takes other forms too.
        if day.to_string() == text { Ok(day) } else { Err(error()) }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_still_good_to_its_last_second() {
        let day: Day = "2025-11-25".parse().unwrap();
        let midnight = 1_764_028_800;
        assert_eq!(Day::of(midnight), day);
        assert!(!day.has_passed(midnight - 1));
        assert!(!day.has_passed(midnight + 86_399));
        assert!(day.has_passed(midnight + 86_400));
        assert!(day.has_passed(u64::MAX));
    }

    #[test]
    fn only_whole_days_are_read() {
        for text in
            ["", "2025-11-5", "20251125", "2025-11-31", "2025-11-25T00:00:00Z", "25-11-2025", "２025-11-2"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
