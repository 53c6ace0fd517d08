//! GGUF: headers of versions 2 and 3, of either byte order.
//!
//! A file is the magic `GGUF`, a version, the counts of tensors and of keys, the keys with their values, the tensors'
//! names, dimensions, types and offsets, padding, then the tensors in the order of the header. Source: ggml
//! `docs/gguf.md`; limits are our own where it has none. Stricter than common readers: nothing may lie between tensors
//! but padding, nothing after them, and no name or key stands twice.
//!
//! Values of arrays are passed over, not kept. Memory: at most 256 MiB for the largest header, some 100 bytes for each
//! tensor of an ordinary one.

mod reader;
mod value;

use crate::data::{GgmlType, ggml_types};
use crate::error::{FormatError, GgufError, Quoted};
use crate::template::{Template, TemplatePlace};
use crate::tensors::{Family, TensorMap};
use reader::Reader;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
pub use value::Value;
use value::Values;

/// Most keys.
pub const MAX_KEYS: u64 = 100_000;
/// Most tensors.
pub const MAX_TENSORS: u64 = 1_000_000;
/// Longest text in bytes: chat templates are the long ones.
pub const MAX_STRING: u64 = 16 << 20;
/// Longest key in bytes; the format's own limit.
pub const MAX_KEY: u64 = 65_535;
/// All keys together, in bytes.
pub const MAX_KEY_BYTES: u64 = 16 << 20;
/// Longest name of a tensor in bytes: ggml has 64, forks that make images have 128.
pub const MAX_NAME: u64 = 128;
/// Most elements of one array, and of all arrays of texts together.
pub const MAX_ARRAY: u64 = 16_000_000;
/// Deepest nesting of arrays.
pub const MAX_NESTING: usize = 4;
/// Most dimensions of a tensor.
pub const MAX_DIMENSIONS: u32 = 4;
/// Largest alignment in bytes.
pub const MAX_ALIGNMENT: u64 = 64 << 10;
/// Longest header in bytes. Those of models with large vocabularies have some 20 MiB.
pub const MAX_HEADER: u64 = 512 << 20;
/// Alignment where the file does not say one.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a GGUF header says, once it is sure that it fits the file.
#[derive(Debug, Clone)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// Whether numbers are big-endian.
    pub big_endian: bool,
    /// Alignment of tensors in bytes.
    pub alignment: u64,
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// Numbers, short texts and the lengths of arrays, by key; at most 4 MiB of them.
    pub metadata: BTreeMap<String, Value>,
    /// Chat templates; their path is empty.
    pub templates: Vec<Template>,
    /// `split.no` and `split.count`: which part of how many this file is, counted from 0.
    pub split: Option<(u64, u64)>,
    /// Where the tensors lie.
    pub tensors: TensorMap,
}

/// Reads the header of a file of `file_len` bytes, from the beginning of `reader`; reads no byte of a tensor.
pub fn parse(reader: &mut (impl Read + Seek), file_len: u64) -> Result<Gguf, FormatError> {
    let mut reader = Reader::new(reader, file_len);
    if reader.bytes::<4>()? != *b"GGUF" {
        return Err(GgufError::Magic.into());
    }
    // The version is a small number: read the wrong way round it is a large one.
    let version = u32::from_le_bytes(reader.bytes::<4>()?);
    let version = if version.trailing_zeros() >= 16 {
        reader.big_endian = true;
        version.swap_bytes()
    } else {
        version
    };
    if !(2..=3).contains(&version) {
        return Err(GgufError::Version { version }.into());
    }
    let tensors = reader.u64()?;
    let keys = reader.u64()?;
    at_most("tensors", MAX_TENSORS, tensors)?;
    at_most("keys", MAX_KEYS, keys)?;
    let values = Values::read(&mut reader, keys)?;
    let alignment = values.alignment()?;
    let mut map = infos(&mut reader, tensors)?;
    if let Some(name) = map.duplicate() {
        return Err(GgufError::Duplicate { what: "tensor", name }.into());
    }
    layout(&mut map, reader.position(), alignment, file_len)?;
    Ok(Gguf {
        version,
        big_endian: reader.big_endian,
        alignment,
        architecture: values.text("general.architecture")?,
        split: values.split()?,
        templates: values.templates,
        metadata: values.kept,
        tensors: map,
    })
}

fn at_most(what: &'static str, limit: u64, found: u64) -> Result<(), GgufError> {
    if found > limit { Err(GgufError::TooMany { what, limit, found }) } else { Ok(()) }
}

/// Reads names, dimensions, types and offsets.
fn infos<R: Read + Seek>(reader: &mut Reader<'_, R>, count: u64) -> Result<TensorMap, GgufError> {
    let mut map = TensorMap::new(Family::Ggml);
    for _ in 0..count {
        let name = reader.text("the name of a tensor", MAX_NAME)?;
        let overflow = || GgufError::Overflow { name: name.as_str().into() };
        let rank = reader.u32()?;
        if rank > MAX_DIMENSIONS {
            let limit = MAX_DIMENSIONS;
            return Err(GgufError::Dimensions { name: name.as_str().into(), found: rank, limit });
        }
        let shape = map.shape_place().ok_or_else(overflow)?;
        let mut sides = [1u64; MAX_DIMENSIONS as usize];
        for side in sides.iter_mut().take(rank as usize) {
            *side = reader.u64()?;
            map.push_dimension(*side);
        }
        let kind = reader.u32()?;
        let types = ggml_types();
        let Some((index, entry)) = types.iter().enumerate().find(|(_, entry)| entry.id == kind) else {
            return Err(GgufError::Type { name: name.as_str().into(), kind });
        };
        let size = size(entry, &sides, &name)?;
        let offset = reader.u64()?;
        let end = offset.checked_add(size).ok_or_else(overflow)?;
        let place = map.push_name(&name).ok_or_else(overflow)?;
        let index = u8::try_from(index).map_err(|_| overflow())?;
        map.push(place, (shape, u8::try_from(rank).unwrap_or_default()), index, offset..end);
    }
    Ok(map)
}

/// Bytes of a tensor by its type and dimensions.
fn size(entry: &GgmlType, sides: &[u64], name: &str) -> Result<u64, GgufError> {
    let overflow = || GgufError::Overflow { name: name.into() };
    let row = sides.first().copied().unwrap_or(1);
    if !row.is_multiple_of(entry.block) {
        return Err(GgufError::Block { name: name.into(), row, block: entry.block });
    }
    // Readers count elements with signed numbers of 64 bits.
    let elements = sides.iter().try_fold(1u64, |product, &side| product.checked_mul(side));
    let elements = elements.filter(|&elements| i64::try_from(elements).is_ok()).ok_or_else(overflow)?;
    (elements / entry.block).checked_mul(entry.bytes).ok_or_else(overflow)
}

/// Checks where the tensors lie, and makes their ranges absolute.
fn layout(map: &mut TensorMap, header: u64, alignment: u64, file_len: u64) -> Result<(), GgufError> {
    for tensor in map.iter() {
        let offset = tensor.range().start;
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Unaligned { name: tensor.name().into(), offset, alignment });
        }
    }
    let far = |name: &str| GgufError::Overflow { name: name.into() };
    let data = header.checked_next_multiple_of(alignment).ok_or_else(|| far(""))?;
    map.sort();
    let (mut end, mut before) = (0u64, "");
    for tensor in map.iter() {
        let (name, range) = (tensor.name(), tensor.range());
        if range.start < end {
            return Err(GgufError::Overlap { name: name.into(), with: before.into() });
        }
        let padded = end.checked_next_multiple_of(alignment).ok_or_else(|| far(name))?;
        if range.start > padded {
            let from = data.checked_add(padded).ok_or_else(|| far(name))?;
            return Err(GgufError::Gap { name: name.into(), from, bytes: range.start - padded });
        }
        (end, before) = (range.end, name);
    }
    let last = Quoted::new(before);
    let overflow = || GgufError::Overflow { name: last.clone() };
    let padded = end.checked_next_multiple_of(alignment).and_then(|end| end.checked_add(data));
    let padded = padded.ok_or_else(overflow)?;
    // A file without tensors may end with its header.
    let expected = if map.is_empty() { header } else { data.checked_add(end).ok_or_else(overflow)? };
    if expected > file_len {
        return Err(GgufError::Truncated { expected, found: file_len });
    }
    if file_len > padded {
        return Err(GgufError::Trailing { expected: padded, found: file_len });
    }
    map.place(header, data).ok_or_else(overflow)
}

/// The name of the chat template that a key holds, empty for the one without a name: `tokenizer.chat_template` and
/// `tokenizer.chat_template.NAME`.
fn template_name(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("tokenizer.chat_template")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// A template of a GGUF file.
fn template(name: &str, text: String) -> Template {
    Template::new("", TemplatePlace::Gguf, Some(name).filter(|name| !name.is_empty()), text)
}
