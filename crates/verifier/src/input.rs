//! How bytes come from a file: in pieces of a measured size, at a limited rate, and round the system's cache if so asked.

use crate::Options;
use crate::error::VerifyError;
use crate::hash::Reading;
use rustix::fs::{Advice, OFlags, fadvise, fcntl_getfl, fcntl_setfl};
use std::borrow::Borrow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes a thread reads at once. Measured on two cores with SHA instructions, 2 GiB in the page cache, CPU seconds of
/// user and system together, best of three: 64 KiB 1.42, 128 KiB 1.41, 256 KiB 1.47, 1 MiB 1.48. Beyond 128 KiB the
/// bytes leave the core's second-level cache between reading and hashing.
pub(crate) const BUFFER: usize = 128 << 10;
/// The same for reads from the disk itself: there is no read-ahead, and the disk is slower than the core.
const DIRECT_BUFFER: usize = 1 << 20;
/// Alignment that `O_DIRECT` needs of a buffer: no disk has larger logical blocks (`open(2)`).
pub(crate) const ALIGN: usize = 4096;

/// The buffer of one thread, aligned as reads from the disk need it.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(options: &Options) -> Self {
        // A limited rate is kept in small steps.
        let len = if options.from_disk && !options.pace.is_limited() { DIRECT_BUFFER } else { BUFFER };
        let bytes = vec![0; len + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start, len }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// An open file that is read at given places.
pub(crate) struct Input<'a, F: Borrow<File>> {
    file: F,
    reading: Reading<'a>,
    /// Whether the kernel reads from the disk for us.
    direct: bool,
}

impl<'a, F: Borrow<File>> Input<'a, F> {
    pub(crate) fn new(file: F, reading: Reading<'a>) -> Self {
        let mut input = Self { file, reading, direct: false };
        if reading.options.from_disk {
            match set_direct(input.file(), true) {
                Ok(()) => input.direct = true,
                Err(_) => input.go_without(),
            }
        } else {
            // Advice only: a file system that does not take it is as good.
            let _ = fadvise(input.file(), 0, None, Advice::Sequential);
        }
        input
    }

    pub(crate) fn file(&self) -> &File {
        self.file.borrow()
    }

    /// The next bytes at `at`, none at the end of the file, which is expected at `size`. `buffer` is aligned, and so is
    /// `at` but at the end.
    pub(crate) fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
        at: u64,
        size: u64,
    ) -> Result<io::Result<&'b [u8]>, VerifyError> {
        let Reading { options, .. } = self.reading;
        let wanted = size.saturating_sub(at).min(buffer.len() as u64);
        options.pace.take(wanted, &options.cancel)?;
        if self.direct && wanted == 0 {
            // Whether the file goes on is asked without the alignment that a direct read wants.
            self.buffered();
        }
        loop {
            options.cancel.check()?;
            match self.file().read_at(buffer, at) {
                Ok(count) => return Ok(Ok(&buffer[..count])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some file systems take the flag and refuse the read.
                Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                    self.buffered();
                    self.go_without();
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn buffered(&mut self) {
        self.direct = false;
        // A flag that cannot be taken off fails again at the next read, and is told there.
        let _ = set_direct(self.file(), false);
    }

    /// What the cache has of the file is written out and dropped, so that the disk is read all the same, as far as the
    /// kernel follows advice.
    fn go_without(&self) {
        let _ = rustix::fs::fdatasync(self.file());
        let _ = fadvise(self.file(), 0, None, Advice::DontNeed);
        self.reading.progress.note_once(
            self.reading.subject,
            "the file system cannot read round its cache; the cache was dropped as far as the system does that",
        );
    }
}

fn set_direct(file: &File, direct: bool) -> rustix::io::Result<()> {
    let flags = fcntl_getfl(file)?;
    fcntl_setfl(file, if direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn buffers_are_aligned() {
        for from_disk in [false, true] {
            let options = Options { from_disk, ..Options::new(NonZeroUsize::MIN) };
            let mut buffer = Buffer::new(&options);
            assert_eq!(buffer.bytes().as_ptr().addr() % ALIGN, 0);
            assert_eq!(buffer.bytes().len(), if from_disk { DIRECT_BUFFER } else { BUFFER });
        }
    }
}
