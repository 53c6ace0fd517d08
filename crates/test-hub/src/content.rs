//! What a file holds, and how its bytes are made at any offset.

use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that a pattern repeats, with the number of the block in its first eight bytes.
const BLOCK: usize = 64 << 10;

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Content {
    kind: Kind,
    size: u64,
    sha256: String,
    /// Git's name of a blob with these bytes; that of the LFS pointer for a file in LFS.
    git: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Bytes(Bytes),
    File(PathBuf),
    Pattern { base: Arc<[u8]>, seed: u64 },
    Listed,
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
            git: git_blob(bytes.len() as u64, std::iter::once(bytes.clone())),
            kind: Kind::Bytes(bytes),
        }
    }

    /// A file on disk, read when it is asked for. It must not change while it is served.
    ///
    /// # Errors
    /// When it cannot be read: its digests are computed here.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let size = fs_err::metadata(&path)?.len();
        let mut file = fs_err::File::open(&path)?;
        let mut digests = Digests::new(size);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => digests.update(buffer.get(..count).unwrap_or_default()),
            }
        }
        let (sha256, git) = digests.finish();
        Ok(Self { kind: Kind::File(path), size, sha256, git })
    }

    /// `size` bytes made from `seed`: the same for the same seed, different at every offset, made when asked for.
    /// Its digests are computed here, at the speed of SHA-256.
    pub fn pattern(seed: u64, size: u64) -> Self {
        let mut state = seed.wrapping_add(1);
        let base: Vec<u8> = (0..BLOCK / 8).flat_map(|_| splitmix(&mut state).to_le_bytes()).collect();
        let mut content = Self {
            kind: Kind::Pattern { base: base.into(), seed },
            size,
            sha256: String::new(),
            git: String::new(),
        };
        let mut digests = Digests::new(size);
        let mut offset = 0;
        while offset < size {
            let piece = content.read(offset, BLOCK).unwrap_or_default();
            digests.update(&piece);
            offset += piece.len() as u64;
        }
        (content.sha256, content.git) = digests.finish();
        content
    }

    /// A file that is only listed: asking for its bytes is answered with status 500.
    pub fn listed(size: u64, sha256: impl Into<String>) -> Self {
        let sha256 = sha256.into();
        let git = git_blob(sha256.len() as u64, std::iter::once(Bytes::from(sha256.clone())));
        Self { kind: Kind::Listed, size, sha256, git }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of the bytes, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The SHA-1 by which git names a blob with these bytes, in lower-case hex.
    pub fn git_blob(&self) -> &str {
        &self.git
    }

    /// Up to `limit` bytes from `offset`; fewer where a piece of the content ends, none at its end.
    ///
    /// # Errors
    /// When the file behind it cannot be read or the content is only listed.
    pub fn read(&self, offset: u64, limit: usize) -> io::Result<Bytes> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = limit.min(rest);
        match &self.kind {
            Kind::Bytes(bytes) => {
                let start = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
                Ok(bytes.slice(start..start + count))
            }
            Kind::File(path) => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                let mut buffer = vec![0; count];
                file.read_exact(&mut buffer)?;
                Ok(buffer.into())
            }
            Kind::Pattern { base, seed } => {
                let number = offset / BLOCK as u64;
                let within = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
                let mut block = base.to_vec();
                for (byte, mark) in block.iter_mut().zip((number ^ seed).to_le_bytes()) {
                    *byte = mark;
                }
                Ok(Bytes::from(block).slice(within..BLOCK.min(within + count)))
            }
            Kind::Listed => Err(io::Error::new(io::ErrorKind::Unsupported, "this content is only listed")),
        }
    }

    /// All bytes at once, for a test that compares.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while (all.len() as u64) < self.size {
            all.extend_from_slice(&self.read(all.len() as u64, 1 << 20)?);
        }
        Ok(all)
    }

    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.kind, Kind::Listed)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Content {
    fn from(bytes: &[u8; N]) -> Self {
        Self::bytes(bytes.to_vec())
    }
}

/// Both digests in one pass.
struct Digests {
    sha256: Sha256,
    git: Sha1,
}

impl Digests {
    fn new(size: u64) -> Self {
        let mut git = Sha1::new();
        git.update(format!("blob {size}\0"));
        Self { sha256: Sha256::new(), git }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.git.update(bytes);
    }

    fn finish(self) -> (String, String) {
        (hex(&self.sha256.finalize()), hex(&self.git.finalize()))
    }
}

/// Git's name of a blob: SHA-1 over `blob`, a space, the length in decimal, a zero byte and the bytes.
pub(crate) fn git_blob(size: u64, pieces: impl Iterator<Item = Bytes>) -> String {
    let mut digests = Digests::new(size);
    for piece in pieces {
        digests.update(&piece);
    }
    digests.finish().1
}

/// The next of a sequence of well-mixed numbers (`SplitMix64`).
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
