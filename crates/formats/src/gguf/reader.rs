//! Reading numbers and texts of a header, never beyond its bounds.

use super::MAX_HEADER;
use crate::error::GgufError;
use std::io::{Read, Seek, SeekFrom};

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// A reader that counts, knows where the file ends, and passes over what nobody wants.
pub(super) struct Reader<'a, R> {
    inner: &'a mut R,
    buffer: Vec<u8>,
    /// What of the buffer has been used.
    used: usize,
    /// Bytes of the file before the buffer's end.
    read: u64,
    /// No byte from here on is read.
    limit: u64,
    pub(super) big_endian: bool,
}

impl<'a, R: Read + Seek> Reader<'a, R> {
    pub(super) fn new(inner: &'a mut R, file_len: u64) -> Self {
        let limit = file_len.min(MAX_HEADER);
        Self { inner, buffer: Vec::new(), used: 0, read: 0, limit, big_endian: false }
    }

    /// Bytes that were used.
    pub(super) fn position(&self) -> u64 {
        self.read.saturating_sub((self.buffer.len() - self.used) as u64)
    }

    fn left(&self) -> u64 {
        self.limit.saturating_sub(self.position())
    }

    fn need(&self, needed: u64) -> Result<(), GgufError> {
        if needed <= self.left() {
            return Ok(());
        }
        if self.limit == MAX_HEADER {
            let found = self.position().saturating_add(needed);
            return Err(GgufError::TooLong { what: "a GGUF header", limit: MAX_HEADER, found });
        }
        Err(GgufError::HeaderPastEnd { at: self.position(), needed, left: self.left() })
    }

    fn fill(&mut self) -> Result<(), GgufError> {
        let want = usize::try_from(self.limit.saturating_sub(self.read)).unwrap_or(BUFFER).min(BUFFER);
        self.buffer.clear();
        self.used = 0;
        let read = self.inner.by_ref().take(want as u64).read_to_end(&mut self.buffer);
        read.map_err(|error| GgufError::Read { error: error.to_string() })?;
        if self.buffer.is_empty() {
            return Err(GgufError::HeaderPastEnd { at: self.read, needed: 1, left: 0 });
        }
        self.read = self.read.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    /// Takes the next bytes into `out`; the caller has asked [`Self::need`].
    fn take(&mut self, mut out: &mut [u8]) -> Result<(), GgufError> {
        while !out.is_empty() {
            if self.used == self.buffer.len() {
                self.fill()?;
            }
            let there = self.buffer.get(self.used..).unwrap_or_default();
            let count = there.len().min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&there[..count]);
            self.used += count;
            out = later;
        }
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0u8; N];
        if let Some(there) = self.buffer.get(self.used..).and_then(|there| there.first_chunk::<N>()) {
            bytes = *there;
            self.used += N;
            return Ok(bytes);
        }
        self.need(N as u64)?;
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over bytes without reading more of them than the buffer holds.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), GgufError> {
        let buffered = (self.buffer.len() - self.used) as u64;
        if count <= buffered {
            self.used += usize::try_from(count).unwrap_or_default();
            return Ok(());
        }
        self.need(count)?;
        let to = self.position().saturating_add(count);
        let there = self.inner.seek(SeekFrom::Start(to));
        there.map_err(|error| GgufError::Read { error: error.to_string() })?;
        self.buffer.clear();
        self.used = 0;
        self.read = to;
        Ok(())
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        let bytes = self.bytes()?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        let bytes = self.bytes()?;
        Ok(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// Length of the text that comes next.
    pub(super) fn length(&mut self, what: &'static str, limit: u64) -> Result<u64, GgufError> {
        let found = self.u64()?;
        if found > limit {
            return Err(GgufError::TooLong { what, limit, found });
        }
        self.need(found)?;
        Ok(found)
    }

    /// So many bytes, of which [`Self::length`] said that they are there and are few enough.
    pub(super) fn raw(&mut self, len: u64) -> Result<Vec<u8>, GgufError> {
        let mut bytes = vec![0u8; usize::try_from(len).unwrap_or_default()];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// The text that comes next.
    pub(super) fn text(&mut self, what: &'static str, limit: u64) -> Result<String, GgufError> {
        let len = self.length(what, limit)?;
        let at = self.position();
        String::from_utf8(self.raw(len)?).map_err(|error| {
            let at = at.saturating_add(error.utf8_error().valid_up_to() as u64);
            GgufError::Utf8 { what, at }
        })
    }
}
