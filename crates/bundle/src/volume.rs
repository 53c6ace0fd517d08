//! How volumes are called, and what lies in one.

use serde::{Deserialize, Serialize};
use sovai_core::Name;
use std::fmt;
use std::str::FromStr;

/// Most volumes of one kind: the number has three digits.
pub(crate) const MAX_VOLUMES: u16 = 999;

/// Names of what lies in a volume's folder, beside its payload.
pub mod names {
    /// What a stranger reads first.
    pub const README: &str = "README.txt";
    /// SHA-256 of all other files of the folder but the signatures, as `sha256sum -c` reads them.
    pub const SUMS: &str = "SHA256SUMS";
    /// The index: what the bundle holds and where. The same bytes on each volume.
    pub const INDEX: &str = "bundle.json";
    /// BLAKE3 of each chunk of each payload. The same bytes on each volume.
    pub const CHUNKS: &str = "chunks.txt";
    /// Folder of the detached signatures over the index, one DSSE envelope a file.
    pub const SIGNATURES: &str = "signatures";
    /// Folder of the signed decisions of border officers, one DSSE envelope a file.
    pub const DECISIONS: &str = "decisions";
    /// The program, on the first volume and on each of parity.
    pub const PROGRAM: &str = "sovai";
}

/// A volume by its kind and number: `v001`, or `p001` of parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum VolumeId {
    /// A volume of data, from 1.
    Data(u16),
    /// A volume of parity, from 1.
    Parity(u16),
}

/// A text that names no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no volume: expected `v` or `p` and three digits from 001, as in v001", .0.escape_debug())]
pub struct VolumeIdError(String);

impl VolumeId {
    /// The number, from 1.
    pub const fn number(self) -> u16 {
        match self {
            Self::Data(number) | Self::Parity(number) => number,
        }
    }

    /// Whether it is one of parity.
    pub const fn is_parity(self) -> bool {
        matches!(self, Self::Parity(_))
    }

    /// Name of the volume's folder: `STACK-SEQUENCE.v001`.
    pub fn folder(self, stack: &Name, sequence: u64) -> String {
        format!("{stack}-{sequence}.{self}")
    }

    /// Name of the volume's payload in its folder: `STACK-SEQUENCE.v001.tar`, of parity `STACK-SEQUENCE.p001.parity`.
    pub fn payload(self, stack: &Name, sequence: u64) -> String {
        let kind = if self.is_parity() { "parity" } else { "tar" };
        format!("{}.{kind}", self.folder(stack, sequence))
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_parity() { 'p' } else { 'v' };
        write!(f, "{kind}{:03}", self.number())
    }
}

impl FromStr for VolumeId {
    type Err = VolumeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VolumeIdError(text.chars().take(40).collect());
        let (kind, digits) = text.split_at_checked(1).ok_or_else(error)?;
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let number = digits.parse().ok().filter(|number| (1..=MAX_VOLUMES).contains(number));
        match (kind, number) {
            ("v", Some(number)) => Ok(Self::Data(number)),
            ("p", Some(number)) => Ok(Self::Parity(number)),
            _ => Err(error()),
        }
    }
}

impl From<VolumeId> for String {
    fn from(id: VolumeId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for VolumeId {
    type Error = VolumeIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_one_way_to_be_written() {
        for id in [VolumeId::Data(1), VolumeId::Data(999), VolumeId::Parity(12)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in ["", "v", "v1", "v000", "v1000", "V001", "q001", "v00a", "v+01", "é01"] {
            assert!(bad.parse::<VolumeId>().is_err(), "{bad}");
        }
        let stack = Name::new("demo").unwrap();
        assert_eq!(VolumeId::Data(2).folder(&stack, 7), "demo-7.v002");
        assert_eq!(VolumeId::Data(2).payload(&stack, 7), "demo-7.v002.tar");
        assert_eq!(VolumeId::Parity(1).payload(&stack, 7), "demo-7.p001.parity");
    }
}
