//! Where a file is cut.

use fastcdc::v2020::{Error as CdcError, StreamCDC};
use rustix::fs::{Advice, fadvise};
use sovai_formats::{ContentType, HEAD, TensorMap, gguf, safetensors, sniff};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// Smallest average of pieces in bytes: what is lost at the edge of a change is about as much.
const FINEST: u64 = 64 << 10;
/// Largest average that the crate takes, in bytes.
const COARSEST: u64 = 4 << 20;
/// About as many pieces are remembered at most; each takes some 80 bytes.
const PIECES: u64 = 1 << 18;

/// The average size of pieces in bytes, a power of two, for so many bytes of old files: from 64 KiB, and larger where there
/// would be too many pieces to remember.
pub fn average(bytes: u64) -> u32 {
    let mut size = FINEST;
    while size < COARSEST && bytes / size > PIECES {
        size *= 2;
    }
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// Where its tensors begin; a file whose tensors are not known is one piece.
    Tensors,
    /// Where its content says.
    Content,
    /// Where its tensors begin, and between those where its content says.
    Both,
}

/// Gives each piece of a file to `take`, in order: where it begins, and its bytes. With [`Cutting::Tensors`] a large tensor
/// is given in several calls; `last` says whether the piece ends with these bytes.
pub(super) fn cut(
    file: &File,
    size: u64,
    how: Cutting,
    average: u32,
    mut take: impl FnMut(u64, &[u8], bool) -> io::Result<()>,
) -> io::Result<()> {
    // Only a hint; a file system that has no use for it says so.
    let _ = fadvise(file, 0, None, Advice::Sequential);
    let mut edges = match how {
        Cutting::Content => Vec::new(),
        Cutting::Tensors | Cutting::Both => tensor_edges(file, size),
    };
    edges.push(size);
    let mut begin = 0;
    for end in edges {
        if end <= begin {
            continue;
        }
        let mut reader = file;
        reader.seek(SeekFrom::Start(begin))?;
        let mut reader = reader.take(end - begin);
        if how == Cutting::Tensors {
            whole(&mut reader, begin, end, &mut take)?;
        } else {
            let average = average as usize;
            let pieces = StreamCDC::new(reader, average / 4, average, average * 4);
            let mut at = begin;
            for piece in pieces {
                let piece = piece.map_err(|error| match error {
                    CdcError::IoError(error) => error,
                    other => io::Error::other(other.to_string()),
                })?;
                take(at, &piece.data, true)?;
                at += piece.data.len() as u64;
            }
            if at != end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        begin = end;
    }
    Ok(())
}

fn whole(
    reader: &mut impl Read,
    begin: u64,
    end: u64,
    take: &mut impl FnMut(u64, &[u8], bool) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    let mut at = begin;
    while at < end {
        let got = reader.read(&mut buffer)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += got as u64;
        take(at - got as u64, buffer.get(..got).unwrap_or_default(), at == end)?;
    }
    Ok(())
}

/// Where the tensors of a file begin, sorted. None for a file without tensors, or with a header that is not understood: then
/// it is cut in the other way, and verification has its own say about it.
fn tensor_edges(file: &File, size: u64) -> Vec<u64> {
    let mut head = vec![0; HEAD.min(usize::try_from(size).unwrap_or(HEAD))];
    if file.read_exact_at(&mut head, 0).is_err() {
        return Vec::new();
    }
    let mut reader = file;
    if reader.rewind().is_err() {
        return Vec::new();
    }
    let map: Option<TensorMap> = match sniff(&head, size, "") {
        ContentType::Safetensors => safetensors::read(file, size).ok().map(|parsed| parsed.tensors),
        ContentType::Gguf => gguf::parse(&mut reader, size).ok().map(|parsed| parsed.tensors),
        _ => None,
    };
    let mut edges: Vec<u64> =
        map.iter().flat_map(TensorMap::iter).map(|tensor| tensor.range().start).collect();
    edges.dedup();
    edges
}
