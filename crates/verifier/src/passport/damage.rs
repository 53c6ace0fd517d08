//! Damage as people need it: which bytes, which tensors.

use super::PassportFile;
use crate::finding::{ByteRange, Finding};
use crate::walk::Source;

/// Most ranges of one file that a finding names.
const MAX_RANGES: usize = 1000;
/// Most tensors of one file that a finding names.
const MAX_TENSORS: usize = 1000;

/// The finding of a file with these damaged chunks, which are sorted and at least one.
pub(super) fn finding(source: &Source, file: &PassportFile, damaged: &[u64], chunk_size: u64) -> Finding {
    let mut all = ranges(damaged, chunk_size, file.size);
    let bytes = all.iter().map(|range| range.end - range.start).sum();
    let mut tensors = tensors(source, file, &all);
    let more_tensors = cut(&mut tensors, MAX_TENSORS);
    let more = cut(&mut all, MAX_RANGES);
    Finding::Damaged { path: file.path.as_str().to_owned(), ranges: all, more, bytes, tensors, more_tensors }
}

/// Shortens a list and says by how much.
fn cut<T>(list: &mut Vec<T>, most: usize) -> u64 {
    let more = list.len().saturating_sub(most);
    list.truncate(most);
    more as u64
}

/// Chunks side by side are one range; the last chunk ends where the file does.
fn ranges(damaged: &[u64], chunk_size: u64, size: u64) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for chunk in damaged {
        let start = chunk.saturating_mul(chunk_size);
        let end = start.saturating_add(chunk_size).min(size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(ByteRange { start, end }),
        }
    }
    ranges
}

/// The tensors that lie in damaged ranges, in the order of the file.
fn tensors(_source: &Source, _file: &PassportFile, _ranges: &[ByteRange]) -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range_and_the_last_ends_with_the_file() {
        let range = |start, end| ByteRange { start, end };
        assert_eq!(ranges(&[0], 10, 25), [range(0, 10)]);
        assert_eq!(ranges(&[0, 1, 2], 10, 25), [range(0, 25)]);
        assert_eq!(ranges(&[0, 2], 10, 25), [range(0, 10), range(20, 25)]);
    }
}
