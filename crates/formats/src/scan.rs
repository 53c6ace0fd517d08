//! Looking into tensors while a file is read: pages of zeros, NaN and infinite values, constant tensors.
//!
//! All of it is a hint and no proof: models have zero and constant tensors for good reasons. Only types whose elements
//! are plain floating-point numbers are counted; quantised ones are looked at for zeros alone.

mod elements;

use crate::data::Plain;
use crate::tensors::TensorMap;
use elements::Elements;
use serde::Serialize;
use std::ops::Range;

/// A page: what file systems and downloads lose at once.
pub const PAGE: u64 = 4096;
/// Most tensors that are named in a report, of each kind.
pub const MAX_NAMED: usize = 1000;
/// Elements from which on a constant tensor is told. Small ones are scales and biases.
const MIN_CONSTANT: u64 = 256;

/// Values of one tensor that are no numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OddValues {
    /// The tensor, raw.
    pub name: String,
    /// Its type.
    pub dtype: &'static str,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
}

/// What a scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanReport {
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Pages of zeros, at whole multiples of 4 KiB of the file.
    pub zero_pages: u64,
    /// The longest run of such pages, as bytes of the file.
    pub longest_zeros: Option<Range<u64>>,
    /// Tensors that the longest run touches, raw; at most 10.
    pub longest_in: Vec<String>,
    /// Tensors with NaN or infinite values, at most [`MAX_NAMED`].
    pub odd: Vec<OddValues>,
    /// Tensors whose elements are all the same, raw; at most [`MAX_NAMED`].
    pub constant: Vec<String>,
}

impl ScanReport {
    /// What is to be looked at, as codes of [`crate::rules`] and messages in which names are escaped.
    pub fn warnings(&self, tensors: &TensorMap) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        if let Some(run) = &self.longest_zeros {
            warnings.push((
                "SOV2401",
                format!(
                    "{} pages of zeros (4 KiB each); the longest run is bytes {}-{}, in {}",
                    self.zero_pages,
                    run.start,
                    run.end,
                    tensors.describe(run.clone(), 3)
                ),
            ));
        }
        for odd in &self.odd {
            let name = crate::error::Quoted::new(&odd.name);
            if odd.nan > 0 {
                warnings
                    .push(("SOV2402", format!("tensor {name} ({}) has {} NaN values", odd.dtype, odd.nan)));
            }
            if odd.infinite > 0 {
                let count = odd.infinite;
                warnings
                    .push(("SOV2403", format!("tensor {name} ({}) has {count} infinite values", odd.dtype)));
            }
        }
        for name in &self.constant {
            let name = crate::error::Quoted::new(name);
            warnings.push(("SOV2404", format!("tensor {name} has the same value everywhere")));
        }
        warnings
    }
}

/// Takes the bytes of one file in their order, in pieces of any size.
#[derive(Debug)]
pub struct Scan<'a> {
    tensors: &'a TensorMap,
    /// The tensor that comes next, or is being read.
    next: usize,
    current: Option<Elements>,
    /// The byte that comes next.
    at: u64,
    /// Whether the page that is being read has been zeros so far, from its beginning.
    page_zero: bool,
    /// Where the run of zero pages began that is going on.
    run: Option<u64>,
    report: ScanReport,
}

impl<'a> Scan<'a> {
    /// Begins at the beginning of a file.
    pub fn new(tensors: &'a TensorMap) -> Self {
        Self {
            tensors,
            next: 0,
            current: None,
            at: 0,
            page_zero: true,
            run: None,
            report: ScanReport::default(),
        }
    }

    /// Takes the bytes from `offset` on. Bytes that were given before are passed over; after a gap, the page and the
    /// tensor in which it ends are not judged.
    pub fn update(&mut self, offset: u64, bytes: &[u8]) {
        let mut bytes = bytes;
        if offset < self.at {
            let known = usize::try_from(self.at - offset).unwrap_or(usize::MAX);
            bytes = bytes.get(known..).unwrap_or_default();
        } else if offset > self.at {
            self.end_run();
            self.at = offset;
            self.page_zero = offset.is_multiple_of(PAGE);
            self.current = None;
            self.next = self.tensors.first_from(offset);
        }
        if bytes.is_empty() {
            return;
        }
        self.report.bytes = self.report.bytes.saturating_add(bytes.len() as u64);
        self.zeros(bytes);
        self.values(bytes);
        self.at = self.at.saturating_add(bytes.len() as u64);
    }

    /// What was found.
    pub fn finish(mut self) -> ScanReport {
        // A page that the file's end cuts is no page.
        self.end_run();
        self.end_tensor();
        if let Some(run) = self.report.longest_zeros.clone() {
            self.report.longest_in =
                self.tensors.at(run).take(10).map(|tensor| tensor.name().to_owned()).collect();
        }
        self.report
    }

    fn zeros(&mut self, bytes: &[u8]) {
        let (mut at, mut rest) = (self.at, bytes);
        while !rest.is_empty() {
            let left = PAGE - at % PAGE;
            let count = usize::try_from(left).unwrap_or(rest.len()).min(rest.len());
            let (now, later) = rest.split_at(count);
            self.page_zero = self.page_zero && is_zero(now);
            at = at.saturating_add(count as u64);
            rest = later;
            if at.is_multiple_of(PAGE) {
                if self.page_zero && at - PAGE >= self.tensors.header().end {
                    self.report.zero_pages += 1;
                    self.run.get_or_insert(at - PAGE);
                    self.extend_run(at);
                } else {
                    self.run = None;
                }
                self.page_zero = true;
            }
        }
    }

    fn extend_run(&mut self, end: u64) {
        let Some(start) = self.run else { return };
        let longest = self.report.longest_zeros.as_ref().map_or(0, |run| run.end - run.start);
        if end - start > longest {
            self.report.longest_zeros = Some(start..end);
        }
    }

    fn end_run(&mut self) {
        self.run = None;
    }

    fn values(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len() as u64);
        let mut at = self.at;
        while let Some(tensor) = self.tensors.get(self.next) {
            let range = tensor.range();
            if range.start >= end {
                return;
            }
            let from = range.start.max(at);
            let to = range.end.min(end);
            if from <= range.start && self.current.is_none() {
                self.current = tensor.plain().map(Elements::new);
            }
            let slice = |from: u64| usize::try_from(from.saturating_sub(self.at)).unwrap_or(usize::MAX);
            if let Some(elements) = &mut self.current {
                elements.update(bytes.get(slice(from)..slice(to)).unwrap_or_default());
            }
            at = to.max(at);
            if range.end > end {
                return;
            }
            self.end_tensor();
            self.next += 1;
        }
    }

    /// Judges the tensor that was being read, where all of it was.
    fn end_tensor(&mut self) {
        let (Some(elements), Some(tensor)) = (self.current.take(), self.tensors.get(self.next)) else {
            return;
        };
        if elements.bytes() != tensor.range().end - tensor.range().start {
            return;
        }
        let (nan, infinite) = elements.odd();
        if (nan > 0 || infinite > 0) && self.report.odd.len() < MAX_NAMED {
            let (name, dtype) = (tensor.name().to_owned(), tensor.dtype());
            self.report.odd.push(OddValues { name, dtype, nan, infinite });
        }
        // Norms begin as ones and biases as zeros: those have one dimension.
        let wide =
            elements.count() >= MIN_CONSTANT && tensor.shape().iter().filter(|&&side| side > 1).count() > 1;
        if wide && elements.is_constant() && self.report.constant.len() < MAX_NAMED {
            self.report.constant.push(tensor.name().to_owned());
        }
    }
}

/// Whether all bytes are zero; eight at a time, without a branch for each.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(256).all(|chunk| chunk.iter().fold(0u8, |sum, &byte| sum | byte) == 0)
}

/// Bytes of one element.
const fn width(plain: Plain) -> usize {
    match plain {
        Plain::F64 => 8,
        Plain::F32 => 4,
        Plain::F16 | Plain::Bf16 => 2,
        Plain::F8E4M3 | Plain::F8E5M2 => 1,
    }
}

#[cfg(test)]
mod tests;
