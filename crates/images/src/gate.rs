//! Bounds what a reader of archives takes in before anybody can look at it: it reads names of any length into memory.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Longest name of an entry with all that describes it, in bytes.
pub(crate) const MAX_HEADER: u64 = 1 << 20;

/// Lets so many bytes through.
pub(crate) struct Gate<R> {
    pub(crate) inner: R,
    pub(crate) allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Gate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.allowance.get()).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the header of an entry is too long"));
        }
        let length = buffer.len().min(left);
        let read = self.inner.read(&mut buffer[..length])?;
        self.allowance.set(self.allowance.get() - read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Gate<R> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.inner.seek(place)
    }
}
