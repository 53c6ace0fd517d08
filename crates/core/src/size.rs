//! Sizes in bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A number of bytes, read from `512MiB`, `2GB`, `1024`; decimal (`kB MB GB TB`) and binary (`KiB MiB GiB TiB`) units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No whole number at its start.
    #[error("a size starts with a whole number, as in `512MiB`")]
    Number,
    /// Unknown unit.
    #[error("unknown unit `{0}`: use KiB, MiB, GiB, TiB, kB, MB, GB or TB")]
    Unit(String),
    /// More than `u64::MAX` bytes.
    #[error("a size is less than 16 EiB")]
    TooLarge,
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        if digits.is_empty() {
            return Err(SizeError::Number);
        }
        let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            _ => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor)
                .ok_or_else(|| SizeError::Unit(unit.to_owned()))?,
        };
        number.checked_mul(factor).map(Self).ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_bytes(self.0))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

/// Bytes for people: binary units, at most one decimal (`93.8 MiB`).
pub fn format_bytes(bytes: u64) -> String {
    const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit in integers: a float would round 1023.99 MiB up to 1024.0 MiB.
    let mut index = 0;
    let mut scale: u128 = 1 << 10;
    while index + 1 < NAMES.len() && u128::from(bytes) >= scale << 10 {
        scale <<= 10;
        index += 1;
    }
    let tenths = u128::from(bytes) * 10 / scale;
    format!("{}.{} {}", tenths / 10, tenths % 10, NAMES[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!("512MiB".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("2 GB".parse(), Ok(ByteSize(2_000_000_000)));
        assert_eq!("7".parse(), Ok(ByteSize(7)));
        assert_eq!("GiB".parse::<ByteSize>(), Err(SizeError::Number));
        assert_eq!("-1".parse::<ByteSize>(), Err(SizeError::Number));
        assert_eq!("4gib".parse::<ByteSize>(), Err(SizeError::Unit("gib".into())));
        assert_eq!("99999999999999999999".parse::<ByteSize>(), Err(SizeError::TooLarge));
        assert_eq!("99999999TiB".parse::<ByteSize>(), Err(SizeError::TooLarge));
        assert_eq!(format_bytes(1023), "1023 B");
        assert_eq!(format_bytes(98_362_432), "93.8 MiB");
        assert_eq!(format_bytes(1 << 40), "1.0 TiB");
        assert_eq!(format_bytes(u64::MAX), "15.9 EiB");
    }
}
