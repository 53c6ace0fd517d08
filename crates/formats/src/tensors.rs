//! Where the tensors of a file lie.

use crate::data::{Plain, dtypes, ggml_types};
use crate::error::Quoted;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// Which table a type's index belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Safetensors,
    Ggml,
}

/// The tensors of one file by their place in it.
///
/// Takes 32 bytes for each tensor, and what its name and shape need. Ranges do not overlap, and are sorted.
#[derive(Debug, Clone)]
pub struct TensorMap {
    family: Family,
    /// End of the header: nothing before it belongs to a tensor.
    header: u64,
    /// All names, one after the other, in the order of the header.
    names: String,
    /// All shapes as LEB128 numbers, in the order of the header.
    shapes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
    /// Place of the name in `names`.
    name: u32,
    name_len: u32,
    /// Place of the shape in `shapes`.
    shape: u32,
    rank: u8,
    dtype: u8,
}

/// One tensor of a [`TensorMap`].
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    map: &'a TensorMap,
    span: Span,
}

impl TensorMap {
    pub(crate) const fn new(family: Family) -> Self {
        Self { family, header: 0, names: String::new(), shapes: Vec::new(), spans: Vec::new() }
    }

    /// Adds a name; gives its place. At most 4 GiB of names: parsers bound them far lower.
    pub(crate) fn push_name(&mut self, name: &str) -> Option<(u32, u32)> {
        let at = u32::try_from(self.names.len()).ok()?;
        let len = u32::try_from(name.len()).ok()?;
        at.checked_add(len)?;
        self.names.push_str(name);
        Some((at, len))
    }

    pub(crate) fn shape_place(&self) -> Option<u32> {
        u32::try_from(self.shapes.len()).ok()
    }

    pub(crate) fn push_dimension(&mut self, mut dimension: u64) {
        while dimension >= 0x80 {
            self.shapes.push(u8::try_from(dimension & 0x7f).unwrap_or_default() | 0x80);
            dimension >>= 7;
        }
        self.shapes.push(u8::try_from(dimension).unwrap_or_default());
    }

    /// Adds a tensor; `range` may be relative until [`Self::place`] is called.
    pub(crate) fn push(&mut self, name: (u32, u32), shape: (u32, u8), dtype: u8, range: Range<u64>) {
        self.spans.push(Span {
            start: range.start,
            end: range.end,
            name: name.0,
            name_len: name.1,
            shape: shape.0,
            rank: shape.1,
            dtype,
        });
    }

    pub(crate) fn name_at(&self, place: (u32, u32)) -> &str {
        let start = place.0 as usize;
        self.names.get(start..start + place.1 as usize).unwrap_or_default()
    }

    /// Sorts by place. Tensors without bytes come before the one that starts where they do.
    pub(crate) fn sort(&mut self) {
        self.spans.sort_unstable_by_key(|span| (span.start, span.end));
    }

    /// Makes the ranges absolute: the data starts at `header`. Nothing where a range would not fit into 64 bits.
    pub(crate) fn place(&mut self, header: u64, data: u64) -> Option<()> {
        self.header = header;
        for span in &mut self.spans {
            span.start = span.start.checked_add(data)?;
            span.end = span.end.checked_add(data)?;
        }
        Some(())
    }

    /// A name that two tensors have.
    pub(crate) fn duplicate(&self) -> Option<Quoted> {
        let state = RandomState::new();
        let mut hashes: Vec<(u64, u32)> = (0u32..)
            .zip(&self.spans)
            .map(|(index, span)| (state.hash_one(self.name_at((span.name, span.name_len))), index))
            .collect();
        hashes.sort_unstable();
        let name = |index: u32| {
            self.spans
                .get(index as usize)
                .map(|span| self.name_at((span.name, span.name_len)))
                .unwrap_or_default()
        };
        // Equal hashes of different names are so rare that comparing neighbours within a run is enough work.
        hashes.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1).find_map(|run| {
            let mut names: Vec<&str> = run.iter().map(|&(_, index)| name(index)).collect();
            names.sort_unstable();
            names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| Quoted::new(pair[0]))
        })
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The bytes of the file that are header: everything before them is no tensor's.
    pub fn header(&self) -> Range<u64> {
        0..self.header
    }

    /// Bytes of all tensors together, without padding.
    pub fn bytes(&self) -> u64 {
        self.spans.iter().fold(0, |sum, span| sum.saturating_add(span.end.saturating_sub(span.start)))
    }

    /// Every tensor, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TensorRef<'_>> {
        self.spans.iter().map(|&span| TensorRef { map: self, span })
    }

    /// A tensor by its place in the order of the file.
    pub fn get(&self, index: usize) -> Option<TensorRef<'_>> {
        self.spans.get(index).map(|&span| TensorRef { map: self, span })
    }

    /// Index of the first tensor that ends after a byte.
    pub(crate) fn first_from(&self, at: u64) -> usize {
        self.spans.partition_point(|span| span.end <= at)
    }

    /// The tensors that a range of bytes of the file touches, in their order. Takes the logarithm of their number.
    ///
    /// Tensors without bytes are never touched.
    pub fn at(&self, range: Range<u64>) -> impl Iterator<Item = TensorRef<'_>> {
        let first = self.first_from(range.start);
        let end = if range.is_empty() { 0 } else { range.end };
        self.spans
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |span| span.start < end)
            .filter(|span| span.start < span.end)
            .map(|&span| TensorRef { map: self, span })
    }

    /// What a range of bytes of the file touches, for people: at most `most` names, then how many more, or the header.
    /// Names are escaped.
    pub fn describe(&self, range: Range<u64>, most: usize) -> String {
        let mut parts = Vec::new();
        if range.start < self.header {
            parts.push("the header".to_owned());
        }
        let mut more = 0usize;
        for tensor in self.at(range) {
            if parts.len() < most.max(1) {
                parts.push(Quoted::new(tensor.name()).to_string());
            } else {
                more += 1;
            }
        }
        if more > 0 {
            parts.push(format!("{more} more"));
        }
        if parts.is_empty() { "padding".to_owned() } else { parts.join(", ") }
    }
}

impl<'a> TensorRef<'a> {
    /// Its name, as it stands in the file: not escaped.
    pub fn name(&self) -> &'a str {
        self.map.name_at((self.span.name, self.span.name_len))
    }

    /// Its bytes, counted from the beginning of the file.
    pub fn range(&self) -> Range<u64> {
        self.span.start..self.span.end
    }

    /// Name of its type: `BF16`, `Q4_K`.
    pub fn dtype(&self) -> &'static str {
        let index = usize::from(self.span.dtype);
        match self.map.family {
            Family::Safetensors => dtypes().get(index).map_or("", |entry| entry.name.as_str()),
            Family::Ggml => ggml_types().get(index).map_or("", |entry| entry.name.as_str()),
        }
    }

    /// The floating-point form of its elements, where they can be looked at one by one.
    pub fn plain(&self) -> Option<Plain> {
        let index = usize::from(self.span.dtype);
        match self.map.family {
            Family::Safetensors => dtypes().get(index)?.plain,
            Family::Ggml => ggml_types().get(index)?.plain,
        }
    }

    /// Its dimensions, in the order of the file: safetensors has the slowest first, GGUF the fastest.
    pub fn shape(&self) -> Vec<u64> {
        let mut shape = Vec::with_capacity(usize::from(self.span.rank));
        let mut bytes = self.map.shapes.get(self.span.shape as usize..).unwrap_or_default().iter();
        for _ in 0..self.span.rank {
            let (mut value, mut shift) = (0u64, 0u32);
            for byte in bytes.by_ref() {
                value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            shape.push(value);
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> TensorMap {
        let mut map = TensorMap::new(Family::Safetensors);
        for (name, range) in [("b", 10..20), ("none", 10..10), ("a", 0..10), ("c", 20..u64::from(u32::MAX))] {
            let name = map.push_name(name).unwrap();
            let shape = map.shape_place().unwrap();
            for dimension in [0, 127, 128, u64::MAX] {
                map.push_dimension(dimension);
            }
            map.push(name, (shape, 4), 0, range);
        }
        map.sort();
        map.place(8, 8).unwrap();
        map
    }

    #[test]
    fn a_range_names_the_tensors_that_it_touches() {
        let map = map();
        let at = |range| map.at(range).map(|tensor| tensor.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(at(0..8), [""; 0]);
        assert_eq!(at(0..9), ["a"]);
        assert_eq!(at(17..19), ["a", "b"]);
        assert_eq!(at(18..28), ["b"]);
        assert_eq!(at(27..u64::MAX), ["b", "c"]);
        assert_eq!(at(u64::MAX - 1..u64::MAX), [""; 0]);
        #[expect(clippy::reversed_empty_ranges, reason = "nonsense must touch nothing and not panic")]
        let nothing = [at(30..10), at(25..25)].concat();
        assert_eq!(nothing, [""; 0]);
        assert_eq!(map.describe(0..u64::MAX, 2), "the header, `a`, 2 more");
        assert_eq!(map.describe(u64::MAX - 1..u64::MAX, 2), "padding");
    }

    #[test]
    fn shapes_and_types_survive() {
        let map = map();
        let first = map.iter().next().unwrap();
        assert_eq!(
            (first.shape(), first.dtype(), first.range()),
            (vec![0, 127, 128, u64::MAX], "BOOL", 8..18)
        );
        assert_eq!(map.duplicate(), None);
        assert_eq!(size_of::<Span>(), 32);
    }
}
