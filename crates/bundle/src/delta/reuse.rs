//! Pieces of old files, and which of them a new file has.

use super::cut::{Cutting, cut};
use crate::index::BaseBlob;
use sha2::Digest as _;
use sovai_core::Sha256;
use std::collections::HashMap;
use std::fs::File;
use std::io;

/// About as many segments has one file at most: each is a part in the index.
const MAX_SEGMENTS: usize = 2048;
/// A run shorter than this is carried: its part in the index and its place in the payload cost as much, in bytes.
const SHORTEST: u64 = 4 << 10;

/// A run of bytes of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Is carried.
    Carried {
        /// Where it begins in the new file, in bytes.
        from: u64,
        /// How many bytes.
        length: u64,
    },
    /// Lies in an old file.
    Based {
        /// The old file.
        base: Sha256,
        /// Where it begins there, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// Why files could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// A file could not be read.
    #[error("cannot read blob {digest}")]
    Read {
        /// The file.
        digest: Sha256,
        /// Why.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("blob {expected} has other bytes: their digest is {found}")]
    Changed {
        /// What it is called.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
}

/// The pieces of old files.
#[derive(Debug)]
pub struct Reuse {
    how: Cutting,
    average: u32,
    bases: Vec<Sha256>,
    pieces: HashMap<[u8; 32], Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    base: u32,
    offset: u64,
    length: u64,
}

impl Reuse {
    /// Nothing yet. `average` is the average size of pieces in bytes, see [`super::average`].
    pub fn new(how: Cutting, average: u32) -> Self {
        Self { how, average, bases: Vec::new(), pieces: HashMap::new() }
    }

    /// Takes an old file: reads it once, and looks that it is what its name says.
    pub fn add(&mut self, blob: BaseBlob, file: &File) -> Result<(), DeltaError> {
        let base = u32::try_from(self.bases.len()).unwrap_or(u32::MAX);
        self.bases.push(blob.digest);
        let pieces = &mut self.pieces;
        pieces_of(file, blob, self.how, self.average, |value, offset, length| {
            // The first place wins, so that the same files in the same order always give the same bundle.
            pieces.entry(value).or_insert(Place { base, offset, length });
        })
    }

    /// Whether there is anything to be found.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What a new file is made of: reads it once, and looks that it is what its name says. The segments are as long as they
    /// can be, and together they are the file.
    pub fn split(&self, blob: BaseBlob, file: &File) -> Result<Vec<Segment>, DeltaError> {
        let mut segments: Vec<Segment> = Vec::new();
        pieces_of(file, blob, self.how, self.average, |value, from, length| {
            let segment = match self.pieces.get(&value).and_then(|place| Some((place, self.base(place)?))) {
                Some((place, base)) => Segment::Based { base, offset: place.offset, length: place.length },
                None => Segment::Carried { from, length },
            };
            push(&mut segments, segment);
        })?;
        Ok(simplify(segments))
    }

    fn base(&self, place: &Place) -> Option<Sha256> {
        self.bases.get(place.base as usize).copied()
    }
}

/// Bytes of the segments that are carried.
pub fn carried(segments: &[Segment]) -> u64 {
    let length = |segment: &Segment| match segment {
        Segment::Carried { length, .. } => *length,
        Segment::Based { .. } => 0,
    };
    segments.iter().map(length).fold(0, u64::saturating_add)
}

/// Reads a file and gives BLAKE3, place and length of each piece.
fn pieces_of(
    file: &File,
    blob: BaseBlob,
    how: Cutting,
    average: u32,
    mut give: impl FnMut([u8; 32], u64, u64),
) -> Result<(), DeltaError> {
    let mut whole = sha2::Sha256::new();
    let mut piece = blake3::Hasher::new();
    let mut begin = 0;
    let read = cut(file, blob.size, how, average, |at, bytes, last| {
        whole.update(bytes);
        piece.update(bytes);
        if last {
            let end = at + bytes.len() as u64;
            give(*piece.finalize().as_bytes(), begin, end - begin);
            piece.reset();
            begin = end;
        }
        Ok(())
    });
    read.map_err(|source| DeltaError::Read { digest: blob.digest, source })?;
    let found = Sha256::from_bytes(whole.finalize().into());
    if found == blob.digest { Ok(()) } else { Err(DeltaError::Changed { expected: blob.digest, found }) }
}

/// Adds a segment, as part of the last one where it goes on from there.
fn push(segments: &mut Vec<Segment>, next: Segment) {
    match (segments.last_mut(), next) {
        (Some(Segment::Carried { length, .. }), Segment::Carried { length: more, .. }) => *length += more,
        (
            Some(Segment::Based { base, offset, length }),
            Segment::Based { base: next_base, offset: next_offset, length: more },
        ) if *base == next_base && *offset + *length == next_offset => *length += more,
        (_, next) => segments.push(next),
    }
}

/// Carries runs that are not worth a part, and the shortest where there are too many.
fn simplify(segments: Vec<Segment>) -> Vec<Segment> {
    let worth = |segment: &Segment| match segment {
        Segment::Based { length, .. } => Some(*length).filter(|length| *length >= SHORTEST),
        Segment::Carried { .. } => None,
    };
    // Between two runs that are kept there is at most one that is carried.
    let mut lengths: Vec<u64> = segments.iter().filter_map(worth).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let most = MAX_SEGMENTS / 2;
    let shortest = lengths.get(most).map_or(SHORTEST, |first_left_out| first_left_out + 1);
    let mut kept = Vec::with_capacity(segments.len().min(MAX_SEGMENTS));
    let mut at = 0;
    for segment in segments {
        let (Segment::Carried { length, .. } | Segment::Based { length, .. }) = segment;
        let is_kept = worth(&segment).is_some_and(|length| length >= shortest);
        push(&mut kept, if is_kept { segment } else { Segment::Carried { from: at, length } });
        at += length;
    }
    kept
}

#[cfg(test)]
mod tests;
