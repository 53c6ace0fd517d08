//! The fs-verity digest of a file, computed here: what `fsverity digest FILE` prints and `FS_IOC_MEASURE_VERITY` gives.
//!
//! Linux `Documentation/filesystems/fsverity.rst`, "Merkle tree" and "fs-verity descriptor": SHA-256, blocks of 4096
//! bytes, no salt. Each block is padded with zeros and hashed; 128 digests make a block of the next level; the one digest
//! of the last level is the root (of an empty file: zeros). The file's digest is SHA-256 over the descriptor.

pub(crate) mod kernel;

use sha2::Digest as _;
use sovai_core::Sha256;

const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Takes a file's bytes in order; memory is one block a level, and there are at most seven.
#[derive(Debug, Default)]
pub(crate) struct VerityHasher {
    size: u64,
    /// The block that is not full yet.
    block: Vec<u8>,
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    /// Digests that make no full block yet.
    block: Vec<u8>,
    /// How many there were in all.
    count: u64,
}

impl VerityHasher {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if !self.block.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() < BLOCK {
                return;
            }
            let digest = sha2::Sha256::digest(&self.block);
            self.block.clear();
            self.push(0, &digest);
        }
        let mut blocks = bytes.chunks_exact(BLOCK);
        for block in &mut blocks {
            let digest = sha2::Sha256::digest(block);
            self.push(0, &digest);
        }
        self.block.extend_from_slice(blocks.remainder());
    }

    fn push(&mut self, mut level: usize, digest: &[u8]) {
        let mut digest: [u8; 32] = digest.try_into().unwrap_or_default();
        loop {
            if self.levels.len() <= level {
                self.levels.push(Level::default());
            }
            let here = &mut self.levels[level];
            here.block.extend_from_slice(&digest);
            here.count += 1;
            if here.block.len() < BLOCK {
                return;
            }
            digest = sha2::Sha256::digest(&here.block).into();
            here.block.clear();
            level += 1;
        }
    }

    /// The digest of all bytes that were taken.
    pub(crate) fn finish(mut self) -> Sha256 {
        if !self.block.is_empty() {
            let digest = padded(&self.block);
            self.push(0, &digest);
        }
        let mut root = [0; 32];
        let mut level = 0;
        while let Some(here) = self.levels.get(level) {
            if here.count == 1 {
                root = here.block.as_slice().try_into().unwrap_or_default();
                break;
            }
            if !here.block.is_empty() {
                let digest = padded(&here.block);
                self.push(level + 1, &digest);
            }
            level += 1;
        }
        Sha256::from_bytes(sha2::Sha256::digest(descriptor(self.size, &root)).into())
    }
}

/// The digest of a block that is filled up with zeros.
fn padded(block: &[u8]) -> [u8; 32] {
    let mut hasher = sha2::Sha256::new();
    hasher.update(block);
    hasher.update(&ZEROS[block.len().min(BLOCK)..]);
    hasher.finalize().into()
}

/// `struct fsverity_descriptor` of Linux `fs/verity/fsverity_private.h`, 256 bytes: version 1, SHA-256 (1), log2 of the block
/// (12), no salt, the file's length, the root in the first half of its 64 bytes.
fn descriptor(size: u64, root: &[u8; 32]) -> [u8; 256] {
    let mut bytes = [0; 256];
    bytes[0] = 1;
    bytes[1] = 1;
    bytes[2] = 12;
    bytes[8..16].copy_from_slice(&size.to_le_bytes());
    bytes[16..48].copy_from_slice(root);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `fsverity digest FILE` of fsverity-utils 1.5, of files whose byte at `i` is `i * 7 % 251`: empty, around one block,
    /// and around one full block of digests.
    const VECTORS: [(u64, &str); 7] = [
        (0, "sha256:3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
        (1, "sha256:b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"),
        (4095, "sha256:f7c044deee0d5af15f6478c08b8a0c03931d9963beb30220eeca8bdd03e1c7e4"),
        (4096, "sha256:258b680fa93e3bfc1586d9b439d29a2172bd0db550fe7da1272fd8120d801182"),
        (4097, "sha256:0328cc6ed983dc0df3103b9651098ab305e4adfae46a1a5814b6602b0630293d"),
        (524_288, "sha256:e1389416027616e5a91f01961c0d159871f5c6afaf577d6e3b9d815f916fbde0"),
        (524_289, "sha256:00023924223dbf3c1f1095d9f0fb02546dc2d8ea7032445ad216eab168faa3bb"),
    ];

    #[test]
    fn the_digest_is_that_of_the_fsverity_program() {
        for (size, expected) in VECTORS {
            let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
            for step in [1 << 20, 4096, 1000] {
                let mut hasher = VerityHasher::default();
                for piece in bytes.chunks(step) {
                    hasher.update(piece);
                }
                assert_eq!(hasher.finish().to_string(), expected, "{size} bytes by {step}");
            }
        }
    }
}
