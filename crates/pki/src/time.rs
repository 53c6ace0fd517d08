//! Times for people and from DER.

use der::DateTime;
use std::fmt;
use std::time::Duration;

/// Shows seconds since 1970 as `2026-11-24T12:00:00Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.0)) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} s after 1970", self.0),
        }
    }
}

/// `GeneralizedTime` as RFC 3161 has it: to the second or finer, always UTC. Fractions are cut off.
pub(crate) fn generalized(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| whole.get(range)?.parse::<u8>().ok();
    let year = whole.get(0..4)?.parse().ok()?;
    let time =
        DateTime::new(year, part(4..6)?, part(6..8)?, part(8..10)?, part(10..12)?, part(12..14)?).ok()?;
    Some(time.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_strictly() {
        assert_eq!(generalized(b"20261124120000Z"), Some(1_795_521_600));
        assert_eq!(generalized(b"20261124120000.75Z"), Some(1_795_521_600));
        for wrong in [
            "20261124120000",
            "20261124120000+0100",
            "20261324120000Z",
            "2026112412Z",
            "20261124120000.Z",
            "",
        ] {
            assert_eq!(generalized(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Moment(1_795_521_600).to_string(), "2026-11-24T12:00:00Z");
    }
}
