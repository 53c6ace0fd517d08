//! safetensors: headers, by all rules of the format.
//!
//! A file is 8 bytes of header length N (little-endian), N bytes of JSON, then the tensors. Source of the rules: the
//! safetensors crate 0.8.0, `src/tensor.rs`. Stricter than it: keys that stand twice, unknown members of a tensor, a
//! header that does not start with `{`, and more than [`MAX_RANK`] dimensions are refused.

mod header;

pub(crate) use header::short;

use crate::data::dtypes;
use crate::error::{FormatError, Quoted, SafetensorsError};
use crate::tensors::{Family, TensorMap};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest header in bytes; the reference's limit.
pub const MAX_HEADER: u64 = 100_000_000;
/// Most dimensions of a tensor. `PyTorch` and `NumPy` allow 64.
pub const MAX_RANK: usize = 64;
/// Metadata that is kept, in bytes; the rest is checked and dropped.
const MAX_METADATA: usize = 1 << 20;

/// What a safetensors header says, once it is sure that it fits the file.
#[derive(Debug, Clone)]
pub struct Safetensors {
    /// Where the tensors lie.
    pub tensors: TensorMap,
    /// The `__metadata__` map, the first MiB of it.
    pub metadata: BTreeMap<String, String>,
}

/// Length of the header that the first 8 bytes of a file of `file_len` bytes announce, without those 8 bytes.
pub fn header_len(first: &[u8], file_len: u64) -> Result<u64, FormatError> {
    let Some(bytes) = first.first_chunk::<8>().filter(|_| file_len >= 8) else {
        return Err(SafetensorsError::TooShort { len: file_len.min(first.len() as u64) }.into());
    };
    let len = u64::from_le_bytes(*bytes);
    if len > MAX_HEADER {
        return Err(SafetensorsError::HeaderTooLong { len, limit: MAX_HEADER }.into());
    }
    let end = len + 8;
    if end > file_len {
        return Err(SafetensorsError::HeaderPastEnd { end, len: file_len }.into());
    }
    Ok(len)
}

/// Reads the header of a file of `file_len` bytes from its beginning; reads no byte of a tensor.
///
/// Memory: at most 100 MB for the header's bytes and as much again for what is kept of it.
pub fn read(mut reader: impl Read, file_len: u64) -> Result<Safetensors, FormatError> {
    let failed = |error: &io::Error| FormatError::from(SafetensorsError::Read { error: error.to_string() });
    let mut first = [0u8; 8];
    if file_len >= 8 {
        reader.read_exact(&mut first).map_err(|error| failed(&error))?;
    }
    let len = header_len(&first, file_len)?;
    let mut header = Vec::new();
    reader.take(len).read_to_end(&mut header).map_err(|error| failed(&error))?;
    if header.len() as u64 != len {
        return Err(SafetensorsError::HeaderPastEnd { end: len + 8, len: header.len() as u64 + 8 }.into());
    }
    parse_json(&header, file_len)
}

/// Parses the beginning of a file of `file_len` bytes: at least its header, with the 8 bytes before it.
pub fn parse(bytes: &[u8], file_len: u64) -> Result<Safetensors, FormatError> {
    let len = header_len(bytes, file_len)?;
    let header = usize::try_from(len).ok().and_then(|len| bytes.get(8..8 + len));
    let Some(header) = header else {
        return Err(SafetensorsError::HeaderPastEnd { end: len + 8, len: bytes.len() as u64 }.into());
    };
    parse_json(header, file_len)
}

fn parse_json(json: &[u8], file_len: u64) -> Result<Safetensors, FormatError> {
    let header_end = json.len() as u64 + 8;
    let mut parsed = header::parse(json)?;
    let map = &mut parsed.tensors;
    if let Some(name) = map.duplicate() {
        return Err(SafetensorsError::Duplicate { name }.into());
    }
    map.sort();
    let mut end = 0u64;
    let mut before = "";
    for tensor in map.iter() {
        let (name, range) = (tensor.name(), tensor.range());
        if range.start > end {
            let bytes = range.start - end;
            return Err(SafetensorsError::Gap { name: name.into(), from: end, bytes }.into());
        }
        if range.start < end {
            return Err(SafetensorsError::Overlap { name: name.into(), with: before.into() }.into());
        }
        (end, before) = (range.end, name);
    }
    let overflow = || SafetensorsError::Overflow { name: Quoted::new(before) };
    let expected = end.checked_add(header_end).ok_or_else(overflow)?;
    if expected > file_len {
        return Err(SafetensorsError::Truncated { expected, found: file_len }.into());
    }
    if expected < file_len {
        return Err(SafetensorsError::Trailing { expected, found: file_len }.into());
    }
    // Every range ends within `expected`, so this cannot fail.
    map.place(header_end, header_end).ok_or(SafetensorsError::Truncated { expected, found: file_len })?;
    Ok(parsed)
}

/// Checks a tensor's type, shape and range against one another. Gives the index of its type.
fn check_tensor(
    name: &str,
    dtype: &str,
    shape: &[u64],
    begin: u64,
    end: u64,
) -> Result<u8, SafetensorsError> {
    let index =
        dtypes().iter().position(|entry| entry.name == dtype).and_then(|at| Some((at, dtypes().get(at)?)));
    let Some((index, entry)) = index else {
        return Err(SafetensorsError::Dtype { name: name.into(), dtype: dtype.into() });
    };
    let overflow = || SafetensorsError::Overflow { name: name.into() };
    let mut bits = entry.bits;
    // The elements first, as the reference does: a zero at the end does not excuse an overflow before it.
    let elements =
        shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side)).ok_or_else(overflow)?;
    bits = bits.checked_mul(elements).ok_or_else(overflow)?;
    if !bits.is_multiple_of(8) {
        return Err(SafetensorsError::Bits { name: name.into(), bits });
    }
    let found = end.checked_sub(begin);
    let found = found.ok_or_else(|| SafetensorsError::Backwards { name: name.into(), begin, end })?;
    if found != bits / 8 {
        return Err(SafetensorsError::Size { name: name.into(), expected: bits / 8, found });
    }
    u8::try_from(index).map_err(|_| overflow())
}

impl Safetensors {
    const fn new() -> Self {
        Self { tensors: TensorMap::new(Family::Safetensors), metadata: BTreeMap::new() }
    }
}
