//! Media that volumes are written for: a table of data, `data/media.toml`, and plain sizes.

use serde::Deserialize;
use sovai_core::ByteSize;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Largest file of FAT32, in bytes. A volume with a larger one needs another file system.
const FAT32_FILE: u64 = (1 << 32) - 1;

/// The bound of a whole volume: its folder with all that lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSize {
    bytes: u64,
    /// Largest file; `None` where only the whole is bounded.
    file: Option<u64>,
    /// How a person calls it: `DVD (4.7 GB)`, `2TB`.
    shown: String,
    /// Whether it is an entry of the table, and not a plain size.
    is_medium: bool,
}

/// A text that is neither a medium nor a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither a size, as in 4GiB or 2TB, nor a medium: {}", .0.escape_debug(), names())]
pub struct VolumeSizeError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    version: u32,
    medium: Vec<Medium>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Medium {
    name: String,
    shown: String,
    bytes: u64,
    #[serde(default)]
    file: Option<u64>,
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    source: String,
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    date: String,
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    tested: String,
}

fn table() -> &'static [Medium] {
    static TABLE: OnceLock<Table> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    let table = TABLE.get_or_init(|| {
        toml::from_str(include_str!("../data/media.toml")).expect("data/media.toml is valid")
    });
    &table.medium
}

/// The media's names, for a message: `cd, dvd, ...`.
fn names() -> String {
    table().iter().map(|medium| medium.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl VolumeSize {
    /// A plain bound in bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, file: None, shown: ByteSize(bytes).to_string(), is_medium: false }
    }

    /// Most bytes of a volume.
    pub const fn limit(&self) -> u64 {
        self.bytes
    }

    /// Most bytes of one file.
    pub fn file_limit(&self) -> u64 {
        self.file.unwrap_or(u64::MAX)
    }

    /// What so many volumes need, for people, told before a byte is written: `3 x 2TB exFAT`, `2 x DVD (4.7 GB)`.
    /// `largest` is the largest file in bytes.
    pub fn media(&self, volumes: usize, largest: u64) -> String {
        let system = match (self.is_medium, largest > FAT32_FILE) {
            (true, _) => "",
            (false, true) => " exFAT (FAT32 ends at 4 GiB a file)",
            (false, false) => " exFAT or FAT32",
        };
        format!("{volumes} x {}{system}", self.shown)
    }
}

/// What one volume without a bound needs, for people.
pub(crate) fn unbounded(bytes: u64, largest: u64) -> String {
    let system = if largest > FAT32_FILE { "exFAT (FAT32 ends at 4 GiB a file)" } else { "exFAT or FAT32" };
    format!("1 x {} {system}", ByteSize(bytes))
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for VolumeSize {
    type Err = VolumeSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(medium) = table().iter().find(|medium| medium.name == text) {
            let shown = medium.shown.clone();
            return Ok(Self { bytes: medium.bytes, file: medium.file, shown, is_medium: true });
        }
        let size: ByteSize = text.parse().map_err(|_| VolumeSizeError(text.chars().take(40).collect()))?;
        Ok(Self { bytes: size.0, file: None, shown: text.to_owned(), is_medium: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_media_or_numbers() {
        let size = |text: &str| text.parse::<VolumeSize>().unwrap();
        assert_eq!(size("4GiB").limit(), 4 << 30);
        assert_eq!(size("2TB").limit(), 2_000_000_000_000);
        assert!(size("dvd").limit() < 4_700_372_992);
        assert_eq!(size("fat32").file_limit(), u64::from(u32::MAX));
        assert_eq!(size("bd25").file_limit(), u64::MAX);
        let error = "floppy".parse::<VolumeSize>().unwrap_err().to_string();
        assert!(error.contains("cd, dvd, dvd-dl, bd25, bd50, bd100, fat32"), "{error}");
        for medium in table() {
            assert!(medium.bytes > 100_000_000, "{}", medium.name);
        }
    }

    #[test]
    fn the_plan_of_media_names_a_file_system_that_can_hold_the_files() {
        let size = |text: &str| text.parse::<VolumeSize>().unwrap();
        assert_eq!(size("2TB").media(3, 1 << 40), "3 x 2TB exFAT (FAT32 ends at 4 GiB a file)");
        assert_eq!(size("4GB").media(3, 3 << 30), "3 x 4GB exFAT or FAT32");
        assert_eq!(size("dvd").media(2, 3 << 30), "2 x DVD (4.7 GB)");
        assert_eq!(unbounded(93 << 20, 93 << 20), "1 x 93.0 MiB exFAT or FAT32");
    }
}
