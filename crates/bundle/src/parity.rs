//! Parity: what lets lost bytes be computed from those that are left.
//!
//! The code is Reed-Solomon over GF(2^16) in the form of Leopard, as the crate `reed-solomon-simd` computes it;
//! docs/bundle-format.md says it in a few formulas. Byte column `x` of the payloads of parity depends on byte column `x` of
//! the payloads of data alone (more exactly: on the 64 bytes that it lies in), so that columns are computed in slices, by as
//! many threads as there are, in memory that does not grow with the number of volumes.

mod column;
mod encode;
mod lanes;

pub use column::{Column, Rebuilt, Shard, Write, rebuild};
pub use encode::{Encoded, encode};

use fs_err::os::unix::fs::FileExt as _;
use sovai_verifier::Cancel;
use std::io;
use std::num::NonZeroUsize;

/// Name of the code in the index.
pub const CODE: &str = "reed-solomon-leopard-gf16";
/// Most volumes of parity.
pub const MAX_PARITY: u16 = 255;
/// Payloads of parity are whole blocks of so many bytes.
pub const BLOCK: u64 = 64;

/// Work space of an encoder or decoder in bytes. A slice's shards take part in two passes over this memory: more than a
/// core's own cache slows it down.
const WORK: usize = 2 << 20;
/// Longest slice of a column's bytes that is read at once.
const MAX_SLICE: usize = 128 << 10;

/// How to compute.
pub struct Run<'a> {
    /// How many slices are computed at once.
    pub threads: NonZeroUsize,
    /// Stops it from outside.
    pub cancel: &'a Cancel,
    /// Told of each further run of bytes of data that was read; called from several threads.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Why parity could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// A payload cannot be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The numbers of volumes are out of bounds.
    #[error("no parity can be computed for {data} volumes of data and {parity} of parity")]
    Counts {
        /// Volumes of data.
        data: usize,
        /// Volumes of parity.
        parity: usize,
    },
    /// More shards of one column are bad than there is parity.
    #[error(
        "{bad} of the volumes are bad in the same place; with {parity} of parity as many can be repaired"
    )]
    TooMany {
        /// Bad shards.
        bad: usize,
        /// Volumes of parity.
        parity: usize,
    },
    /// A defect of this program or of the library.
    #[error("the Reed-Solomon code failed")]
    Code(#[source] reed_solomon_simd::Error),
    /// It was stopped from outside.
    #[error("interrupted")]
    Cancelled,
}

impl From<reed_solomon_simd::Error> for ParityError {
    fn from(error: reed_solomon_simd::Error) -> Self {
        Self::Code(error)
    }
}

/// Bytes of a payload of parity over payloads of these sizes: the largest, rounded up to [`BLOCK`].
pub fn parity_size(data: impl IntoIterator<Item = u64>) -> u64 {
    data.into_iter().max().unwrap_or(0).next_multiple_of(BLOCK)
}

/// Longest slice when `shards` of them are worked on at once: a multiple of [`BLOCK`].
fn slice_bytes(shards: usize, work: usize, most: usize) -> usize {
    let fits = work / shards.max(1);
    let aligned = if fits >= 4096 { fits / 4096 * 4096 } else { fits / 64 * 64 };
    aligned.clamp(64, most)
}

/// Refuses counts that no bundle has.
fn check_counts(data: usize, parity: usize) -> Result<(), ParityError> {
    let fine = (1..=usize::from(crate::volume::MAX_VOLUMES)).contains(&data)
        && (1..=usize::from(MAX_PARITY)).contains(&parity)
        && reed_solomon_simd::ReedSolomonEncoder::supports(data, parity);
    if fine { Ok(()) } else { Err(ParityError::Counts { data, parity }) }
}

/// Fills `buffer` with the bytes of a payload of `size` bytes from `offset` on; beyond its end are zeros.
fn read_padded(file: &fs_err::File, size: u64, offset: u64, buffer: &mut [u8]) -> Result<u64, ParityError> {
    let left = size.saturating_sub(offset);
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    let (real, beyond) = buffer.split_at_mut(length);
    file.read_exact_at(real, offset)?;
    beyond.fill(0);
    Ok(length as u64)
}

#[cfg(test)]
mod tests;
