//! BLAKE3 as a tree: a file in chunks of one length, each with the chaining value of its subtree.
//!
//! BLAKE3 (`https://github.com/BLAKE3-team/BLAKE3-specs`, section 2.1) hashes 1 KiB leaves into a binary tree whose left
//! side is always full. So the bytes of an aligned chunk of a power of two are one subtree: its chaining value can be
//! computed alone, by any thread, and says whether that chunk is whole. The values of all chunks merge to the file's
//! BLAKE3, the same that `b3sum` prints.

use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use std::fmt;

/// A BLAKE3 digest of a whole file, with the default 32 bytes. Shown in lower-case hex, as `b3sum` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake3([u8; 32]);

impl Blake3 {
    /// Wraps the 32 bytes that the hash function gave.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        // The digits of 32 bytes are the same for every algorithm.
        sovai_core::Sha256::from_bytes(self.0).hex()
    }
}

impl fmt::Display for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.hex())
    }
}

impl fmt::Debug for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{self}")
    }
}

/// The chaining value of a chunk's subtree.
pub(crate) type ChunkValue = [u8; 32];

/// How many chunk values a file of this length has: none when it is one chunk or less, whose value is the BLAKE3 itself.
pub(crate) const fn chunk_count(size: u64, chunk: u64) -> u64 {
    if size <= chunk { 0 } else { size.div_ceil(chunk) }
}

/// Hashes one chunk of a file, which begins at `offset`. A file of one chunk is hashed to its BLAKE3, any other chunk to
/// its chaining value.
pub(crate) struct ChunkHasher {
    hasher: blake3::Hasher,
    is_root: bool,
}

impl ChunkHasher {
    /// `offset` is a multiple of the chunk's length; `chunks` is [`chunk_count`] of the file.
    pub(crate) fn new(offset: u64, chunks: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        if chunks > 0 {
            hasher.set_input_offset(offset);
        }
        Self { hasher, is_root: chunks == 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The value; a chunk of a larger file has at least one byte.
    pub(crate) fn finish(&self) -> ChunkValue {
        if self.is_root { *self.hasher.finalize().as_bytes() } else { self.hasher.finalize_non_root() }
    }
}

/// Hashes a whole file from its beginning, and keeps the value of each chunk.
pub(crate) struct TreeHasher {
    chunk: u64,
    size: u64,
    offset: u64,
    current: ChunkHasher,
    values: Vec<ChunkValue>,
}

impl TreeHasher {
    /// For a file of `size` bytes; `chunk` is a power of two, and at least 1 KiB.
    pub(crate) fn new(size: u64, chunk: u64) -> Self {
        let current = ChunkHasher::new(0, chunk_count(size, chunk));
        Self { chunk, size, offset: 0, current, values: Vec::new() }
    }

    /// Takes the next bytes, in order; never more than `size` in all.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let rest = self.chunk - self.offset % self.chunk;
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(rest).unwrap_or(usize::MAX)));
            self.current.update(now);
            self.offset += now.len() as u64;
            if self.offset < self.size && self.offset.is_multiple_of(self.chunk) {
                self.values.push(self.current.finish());
                self.current = ChunkHasher::new(self.offset, chunk_count(self.size, self.chunk));
            }
            bytes = later;
        }
    }

    /// The BLAKE3 of the file and the values of its chunks, once all bytes were taken.
    pub(crate) fn finish(mut self) -> (Blake3, Vec<ChunkValue>) {
        let last = self.current.finish();
        if chunk_count(self.size, self.chunk) == 0 {
            return (Blake3(last), Vec::new());
        }
        self.values.push(last);
        (root(&self.values, self.size, self.chunk), self.values)
    }
}

/// The BLAKE3 to which the values of a file's chunks merge; there are [`chunk_count`] of them, two or more.
pub(crate) fn root(values: &[ChunkValue], size: u64, chunk: u64) -> Blake3 {
    match halves(values, size, chunk) {
        Some(((left, left_size), (right, right_size))) => {
            let (left, right) = (merge(left, left_size, chunk), merge(right, right_size, chunk));
            Blake3(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
        }
        None => Blake3(values.first().copied().unwrap_or_default()),
    }
}

/// As deep as the number of chunks has binary digits.
fn merge(values: &[ChunkValue], size: u64, chunk: u64) -> ChunkValue {
    match halves(values, size, chunk) {
        Some(((left, left_size), (right, right_size))) => {
            let (left, right) = (merge(left, left_size, chunk), merge(right, right_size, chunk));
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
        None => values.first().copied().unwrap_or_default(),
    }
}

type Half<'a> = (&'a [ChunkValue], u64);

/// The two sides of a subtree; nothing when it is one chunk.
fn halves(values: &[ChunkValue], size: u64, chunk: u64) -> Option<(Half<'_>, Half<'_>)> {
    if values.len() < 2 {
        return None;
    }
    let left_size = left_subtree_len(size);
    let at = usize::try_from(left_size / chunk).unwrap_or(usize::MAX).min(values.len());
    let (left, right) = values.split_at(at);
    Some(((left, left_size), (right, size - left_size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 4096;

    fn bytes(len: u64) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn the_tree_gives_the_digest_that_blake3_gives() {
        for size in [0, 1, 1024, 4095, 4096, 4097, 8192, 8193, 12_288, 20_000, 65_536, 65_537, 100_001] {
            let bytes = bytes(size);
            for step in [1000, 4096, 131_072] {
                let mut tree = TreeHasher::new(size, CHUNK);
                for piece in bytes.chunks(step) {
                    tree.update(piece);
                }
                let (digest, values) = tree.finish();
                assert_eq!(digest.as_bytes(), blake3::hash(&bytes).as_bytes(), "{size} bytes by {step}");
                assert_eq!(values.len() as u64, chunk_count(size, CHUNK), "{size} bytes");
            }
        }
    }

    #[test]
    fn each_chunk_has_its_value_alone() {
        let bytes = bytes(20_000);
        let mut tree = TreeHasher::new(20_000, CHUNK);
        tree.update(&bytes);
        let (_, values) = tree.finish();
        for (at, (piece, value)) in bytes.chunks(4096).zip(&values).enumerate() {
            let mut alone = ChunkHasher::new(at as u64 * CHUNK, 5);
            alone.update(piece);
            assert_eq!(alone.finish(), *value, "chunk {at}");
        }
    }

    #[test]
    fn a_value_in_another_place_gives_another_digest() {
        let bytes = bytes(20_000);
        let mut tree = TreeHasher::new(20_000, CHUNK);
        tree.update(&bytes);
        let (digest, mut values) = tree.finish();
        assert_eq!(root(&values, 20_000, CHUNK), digest);
        values.swap(1, 2);
        assert_ne!(root(&values, 20_000, CHUNK), digest);
    }
}
