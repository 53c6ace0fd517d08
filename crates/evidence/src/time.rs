//! Times in statements: seconds since 1970, written as RFC 3339 in UTC.

use jiff::Timestamp;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 2026-01-31T12:00:00Z (RFC 3339, UTC, whole seconds), found `{}`", .0.escape_debug())]
pub struct TimeError(String);

/// Latest time that is written: the last that jiff has, a day before RFC 3339 runs out of digits.
const MAX: u64 = 253_402_207_200;

/// `2026-01-31T12:00:00Z`. Later times than 9999-12-30T22:00:00Z are written as that.
pub fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds.min(MAX)).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Reads exactly what [`rfc3339`] writes: UTC, whole seconds, nothing before 1970.
pub fn parse_rfc3339(text: &str) -> Result<u64, TimeError> {
    let error = || TimeError(text.chars().take(40).collect());
    if text.len() != 20 {
        return Err(error());
    }
    let time: Timestamp = text.parse().map_err(|_| error())?;
    let seconds = u64::try_from(time.as_second()).map_err(|_| error())?;
    if rfc3339(seconds) == text { Ok(seconds) } else { Err(error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_a_round_trip_and_other_forms_are_refused() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_764_028_800, "2025-11-25T00:00:00Z"),
            (MAX, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(parse_rfc3339(text), Ok(seconds));
        }
        assert_eq!(rfc3339(u64::MAX), "9999-12-30T22:00:00Z");
        for text in [
            "",
            "2025-11-25",
            "2025-11-25T00:00:00+00:00",
            "2025-11-25t00:00:00Z",
            "2025-11-25T00:00:00.5Z",
            "1969-12-31T23:59:59Z",
            "2025-13-25T00:00:00Z",
            "2025-11-25 00:00:00Z",
            "+025-11-25T00:00:00Z",
        ] {
            assert!(parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
