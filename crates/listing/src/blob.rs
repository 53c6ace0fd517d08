//! Git's id of a file.

use std::fmt;

/// Git's id of a file's bytes: SHA-1 of `blob LENGTH\0` and the bytes. Hubs give it alone for files that are not in LFS.
///
/// SHA-1 is broken for collisions: whoever made both files can give them one id. It counts as a witness of a file only
/// next to a SHA-256 pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitBlob([u8; 20]);

impl GitBlob {
    /// Wraps the 20 bytes that SHA-1 gave.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    pub const fn bytes(self) -> [u8; 20] {
        self.0
    }

    /// Reads 40 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let good = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 40 || !text.as_bytes().iter().all(good) {
            return None;
        }
        let mut bytes = [0u8; 20];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for GitBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
