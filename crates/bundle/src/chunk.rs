//! The table of chunks: BLAKE3 of each piece of each payload, so that damage has a place.

use crate::volume::VolumeId;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Smallest chunk in bytes.
const SMALLEST: u32 = 4 << 20;
/// Largest chunk in bytes.
pub(crate) const LARGEST: u32 = 1 << 30;
/// Most chunks of a bundle, all volumes together.
pub(crate) const MAX_CHUNKS: u64 = 1 << 18;

/// The chunk size in bytes of a bundle with so many bytes of payload: the smallest power of two, from 4 MiB, by which there
/// are at most 2^17 chunks of data. (As many again are left for parity and for the ends of volumes.)
pub fn chunk_size(bytes: u64) -> u32 {
    let mut size = SMALLEST;
    while bytes.div_ceil(u64::from(size)) > MAX_CHUNKS / 2 && size < LARGEST {
        size *= 2;
    }
    size
}

/// The BLAKE3 values of all chunks of all volumes. Takes 32 bytes a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkTable {
    volumes: BTreeMap<VolumeId, Vec<[u8; 32]>>,
}

/// Why a text is no table of chunks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A line that is not the one that must stand there.
    #[error("line {line} of the table of chunks is not as expected: {expected}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What must stand there.
        expected: &'static str,
    },
    /// More lines than a bundle has chunks.
    #[error("the table has more than {MAX_CHUNKS} chunks")]
    TooMany,
}

impl ChunkTable {
    /// Adds a volume's chunks, in their order.
    pub fn insert(&mut self, volume: VolumeId, chunks: Vec<[u8; 32]>) {
        self.volumes.insert(volume, chunks);
    }

    /// The chunks of a volume; empty when it has none, or is not of the bundle.
    pub fn of(&self, volume: VolumeId) -> &[[u8; 32]] {
        self.volumes.get(&volume).map_or(&[], Vec::as_slice)
    }

    /// How many chunks there are.
    pub fn len(&self) -> u64 {
        self.volumes.values().map(|chunks| chunks.len() as u64).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table as text: one line a chunk, volumes of data first, each with the chunks in order, numbered from 1:
    ///
    /// ```text
    /// v001 1 af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262
    /// ```
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.volumes.values().map(|chunks| chunks.len() * 80).sum());
        for (volume, chunks) in &self.volumes {
            for (number, value) in (1_u64..).zip(chunks) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{volume} {number} {}", hex(value));
            }
        }
        text
    }

    /// Reads a table: exactly the text that [`Self::to_text`] writes. That it has the right number of chunks of each volume is
    /// for the caller to compare with the index.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let mut table = Self::default();
        let mut last: Option<(VolumeId, u64)> = None;
        if !text.is_empty() && !text.ends_with('\n') {
            let expected = "a line break at the end";
            return Err(TableError::Line { line: text.lines().count(), expected });
        }
        for (line, row) in (1..).zip(text.split_terminator('\n')) {
            if line as u64 > MAX_CHUNKS {
                return Err(TableError::TooMany);
            }
            let wrong = |expected| TableError::Line { line, expected };
            let mut words = row.split(' ');
            let volume: VolumeId =
                words.next().and_then(|word| word.parse().ok()).ok_or_else(|| wrong("a volume, as v001"))?;
            let number = match last {
                Some((before, number)) if before == volume => number + 1,
                Some((before, _)) if before > volume => return Err(wrong("the volumes in order")),
                _ => 1,
            };
            if words.next() != Some(number.to_string().as_str()) {
                return Err(wrong("the number of the next chunk"));
            }
            let value = words.next().and_then(unhex).ok_or_else(|| wrong("64 lower-case hex digits"))?;
            if words.next().is_some() {
                return Err(wrong("nothing after the digits"));
            }
            table.volumes.entry(volume).or_default().push(value);
            last = Some((volume, number));
        }
        Ok(table)
    }
}

fn hex(value: &[u8; 32]) -> String {
    sovai_core::Sha256::from_bytes(*value).hex()
}

/// 32 bytes of strict lower-case hex.
fn unhex(text: &str) -> Option<[u8; 32]> {
    // The same form as a SHA-256 has; only the digits are taken from it.
    sovai_core::Sha256::from_hex(text).ok().map(|digest| *digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written_and_in_no_other_form() {
        let mut table = ChunkTable::default();
        table.insert(VolumeId::Parity(1), vec![[9; 32]]);
        table.insert(VolumeId::Data(1), vec![[1; 32], [2; 32]]);
        table.insert(VolumeId::Data(2), vec![[0xab; 32]]);
        let text = table.to_text();
        assert!(text.starts_with(&format!("v001 1 {}\nv001 2 ", "01".repeat(32))));
        assert_eq!(ChunkTable::parse(&text).as_ref(), Ok(&table));
        assert_eq!(table.len(), 4);
        let bad = [
            text.trim_end().to_owned(),
            text.replace("v001 1", "v001 2"),
            text.replace("abab", "ABAB"),
            text.replace("v002", "v000"),
            text.replace("p001", "v001"),
            text.replace("v002 1", "v002  1"),
            format!("{text}\n"),
            text.replace('\n', "\r\n"),
        ];
        for text in bad {
            assert!(ChunkTable::parse(&text).is_err(), "{text}");
        }
        assert_eq!(ChunkTable::parse(""), Ok(ChunkTable::default()));
    }

    #[test]
    fn chunks_grow_with_the_bundle() {
        assert_eq!(chunk_size(0), 4 << 20);
        assert_eq!(chunk_size(512 << 30), 4 << 20);
        assert_eq!(chunk_size((512 << 30) + 1), 8 << 20);
        assert_eq!(chunk_size(u64::MAX), 1 << 30);
    }
}
