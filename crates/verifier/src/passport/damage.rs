//! Damage as people need it: which bytes, which tensors.

use super::PassportFile;
use crate::finding::{ByteRange, Finding};
use crate::hash::Outcome;
use crate::run::steady;
use crate::walk::Source;
use sovai_formats::{gguf, safetensors};
use std::io::{BufReader, Read as _, Seek as _};

/// Most ranges of one file that a finding names.
const MAX_RANGES: usize = 1000;
/// Most tensors of one file that a finding names.
const MAX_TENSORS: usize = 1000;
/// Longest name of a tensor that a finding repeats, in characters.
const MAX_NAME: usize = 256;

/// The finding of a file with these damaged chunks, which are sorted and at least one.
pub(super) fn finding(source: &Source, file: &PassportFile, damaged: &[u64], chunk_size: u64) -> Finding {
    let mut all = ranges(damaged, chunk_size, file.size);
    let bytes = all.iter().map(|range| range.end - range.start).sum();
    let (tensors, more_tensors) = tensors(source, file, &all);
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

/// The tensors that lie in damaged ranges, in the order of the file, and how many are
/// left out. None of a file whose header is damaged too: then
/// nothing says where they lie.
fn tensors(source: &Source, file: &PassportFile, ranges: &[ByteRange]) -> (Vec<String>, u64) {
    let none = (Vec::new(), 0);
    let read = steady(source, &file.path, file.size, |mut input| {
        let mut magic = [0; 4];
        let is_gguf = input.read_exact(&mut magic).is_ok() && magic == *b"GGUF";
        if input.rewind().is_err() {
            return Ok(Outcome::OtherLength);
        }
        let mut reader = BufReader::new(input);
        let map = if is_gguf {
            gguf::parse(&mut reader, file.size).map(|header| header.tensors)
        } else {
            safetensors::read(&mut reader, file.size).map(|header| header.tensors)
        };
        // What is neither, or breaks a rule, has no tensors that could be named.
        Ok(map.map_or(Outcome::OtherLength, Outcome::Digest))
    });
    let Ok(Ok((map, _))) = read else { return none };
    if ranges.first().is_none_or(|first| first.start < map.header().end) {
        return none;
    }
    let (mut names, mut more) = none;
    let mut last = None;
    for range in ranges {
        for tensor in map.at(range.start..range.end) {
            // A tensor that reaches from one range into the next is one tensor.
            if last == Some(tensor.range()) {
                continue;
            }
            last = Some(tensor.range());
            if names.len() < MAX_TENSORS {
                names.push(tensor.name().chars().take(MAX_NAME).collect());
            } else {
                more += 1;
            }
        }
    }
    (names, more)
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
