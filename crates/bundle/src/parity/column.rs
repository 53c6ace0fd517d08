//! Computes what is bad in one column of chunks from what is good in it.

use super::encode::work_shards;
use super::{ParityError, Run, check_counts, parity_size, read_padded, slice_bytes};
use fs_err::File;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::ops::Range;

/// Work space of a decoder in bytes. Each round has a cost of its own, whatever it decodes: slices are longer than an
/// encoder's.
const WORK: usize = 4 << 20;
/// Longest slice in bytes.
const MAX_SLICE: usize = 1 << 20;

/// A payload that is read.
#[derive(Debug, Clone, Copy)]
pub struct Shard<'a> {
    /// The payload.
    pub file: &'a File,
    /// Its bytes; what would follow is zeros.
    pub size: u64,
}

/// One column of chunks: the same range of bytes of every payload.
#[derive(Debug)]
pub struct Column<'a> {
    /// Sizes of all payloads of data, in order.
    pub sizes: &'a [u64],
    /// The range of bytes; it begins at a multiple of 64.
    pub range: Range<u64>,
    /// Payloads of data, in order; those whose chunk here is bad are none.
    pub data: Vec<Option<&'a File>>,
    /// Payloads of parity, in order; those whose chunk here is bad are none.
    pub parity: Vec<Option<&'a File>>,
}

/// Takes bytes that were computed: of which payload, from which place in it on.
pub type Write<'a> = dyn FnMut(Rebuilt, u64, &[u8]) -> Result<(), ParityError> + 'a;

/// Which payload a computed run of bytes belongs to, by its place among its kind from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuilt {
    /// A payload of data.
    Data(usize),
    /// A payload of parity.
    Parity(usize),
}

/// Computes the bad chunks of a column. `write` is given their bytes in slices, each payload's in order, with the place in
/// the payload; never what lies beyond a payload's end.
pub fn rebuild(column: &Column<'_>, run: &Run<'_>, write: &mut Write<'_>) -> Result<(), ParityError> {
    let (data, parity) = (column.data.len(), column.parity.len());
    check_counts(data, parity)?;
    let width = parity_size(column.sizes.iter().copied());
    // A shard that ends before the column is known: it is zeros.
    let starts_here = |at: usize| column.sizes.get(at).is_some_and(|size| *size > column.range.start);
    let bad_data: Vec<_> = (0..data)
        .filter(|at| starts_here(*at) && column.data.get(*at).copied().flatten().is_none())
        .collect();
    let bad_parity: Vec<_> =
        (0..parity).filter(|at| column.parity.get(*at).copied().flatten().is_none()).collect();
    let bad = bad_data.len() + bad_parity.len();
    if bad > parity {
        return Err(ParityError::TooMany { bad, parity });
    }
    let shards = work_shards(data, parity).next_power_of_two();
    let slice = slice_bytes(shards, WORK, MAX_SLICE);
    let end = column.range.end.min(width).next_multiple_of(super::BLOCK);
    let mut start = column.range.start;
    while start < end {
        if run.cancel.is_cancelled() {
            return Err(ParityError::Cancelled);
        }
        let length = usize::try_from(end - start).unwrap_or(usize::MAX).min(slice);
        let round = Round { column, start, length };
        let lost = round.decode(&bad_data, run)?;
        for (at, bytes) in bad_data.iter().zip(&lost) {
            let real = column.sizes.get(*at).map_or(0, |size| size.saturating_sub(start));
            let real = usize::try_from(real).unwrap_or(usize::MAX).min(length);
            if real > 0 {
                write(Rebuilt::Data(*at), start, bytes.get(..real).unwrap_or_default())?;
            }
        }
        if !bad_parity.is_empty() {
            round.encode(&bad_data, &lost, &bad_parity, run, write)?;
        }
        start += length as u64;
    }
    Ok(())
}

/// One slice of a column.
struct Round<'a> {
    column: &'a Column<'a>,
    start: u64,
    length: usize,
}

impl Round<'_> {
    /// A shard of data as it is on its disk.
    fn read_data(&self, at: usize, buffer: &mut [u8], run: &Run<'_>) -> Result<(), ParityError> {
        let size = self.column.sizes.get(at).copied().unwrap_or(0);
        match self.column.data.get(at).copied().flatten() {
            Some(file) => (run.progress)(read_padded(file, size, self.start, buffer)?),
            None => buffer.fill(0),
        }
        Ok(())
    }

    /// The shards of data that are bad.
    fn decode(&self, bad: &[usize], run: &Run<'_>) -> Result<Vec<Vec<u8>>, ParityError> {
        if bad.is_empty() {
            return Ok(Vec::new());
        }
        let (data, parity) = (self.column.data.len(), self.column.parity.len());
        let mut decoder = ReedSolomonDecoder::new(data, parity, self.length)?;
        let mut buffer = vec![0; self.length];
        for at in (0..data).filter(|at| !bad.contains(at)) {
            self.read_data(at, &mut buffer, run)?;
            decoder.add_original_shard(at, &buffer)?;
        }
        let good = self.column.parity.iter().enumerate().filter_map(|(at, file)| Some((at, (*file)?)));
        for (at, file) in good.take(bad.len()) {
            // A payload of parity has whole blocks: no part of it lies beyond its end.
            (run.progress)(read_padded(file, u64::MAX, self.start, &mut buffer)?);
            decoder.add_recovery_shard(at, &buffer)?;
        }
        let result = decoder.decode()?;
        let lost = |at: &usize| result.restored_original(*at).map(<[u8]>::to_vec).unwrap_or_default();
        Ok(bad.iter().map(lost).collect())
    }

    /// The shards of parity that are bad, from those of data.
    fn encode(
        &self,
        bad_data: &[usize],
        lost: &[Vec<u8>],
        bad_parity: &[usize],
        run: &Run<'_>,
        write: &mut Write<'_>,
    ) -> Result<(), ParityError> {
        let (data, parity) = (self.column.data.len(), self.column.parity.len());
        let mut encoder = ReedSolomonEncoder::new(data, parity, self.length)?;
        let mut buffer = vec![0; self.length];
        for at in 0..data {
            let place = bad_data.iter().position(|bad| *bad == at);
            if let Some(bytes) = place.and_then(|place| lost.get(place)) {
                encoder.add_original_shard(bytes)?;
            } else {
                self.read_data(at, &mut buffer, run)?;
                encoder.add_original_shard(&buffer)?;
            }
        }
        let result = encoder.encode()?;
        for at in bad_parity {
            write(Rebuilt::Parity(*at), self.start, result.recovery(*at).unwrap_or_default())?;
        }
        Ok(())
    }
}
