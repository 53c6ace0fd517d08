//! One file on its way in: hashed while it is written to the store's temporary folder, or kept in memory when it is small.

use crate::error::ImageError;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::image::MAX_DOCUMENT;
use sovai_store::{Stage, Store, StoreError};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;
/// Longest file that is kept in memory: documents, and layers of a few lines.
const SMALL: u64 = MAX_DOCUMENT;
/// Bytes of files that are kept in memory, all together.
const MEMORY: u64 = 32 << 20;

/// Where the bytes are.
#[derive(Debug)]
enum Body {
    Memory(Vec<u8>),
    Staged(Stage),
}

/// A file whose bytes were hashed.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) digest: Sha256,
    pub(crate) size: u64,
    body: Body,
}

/// Takes files in, with one budget of memory for all of them.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    pub(crate) store: &'a Store,
    memory: u64,
    buffer: Vec<u8>,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, memory: MEMORY, buffer: vec![0; BUFFER] }
    }

    /// Reads `size` bytes; fewer or more in `input` are an error.
    pub(crate) fn take(&mut self, what: &str, mut input: impl Read, size: u64) -> Result<Piece, ImageError> {
        let mut hasher = Hasher::new();
        let mut body = if size <= SMALL && size <= self.memory {
            self.memory -= size;
            Body::Memory(Vec::new())
        } else {
            Body::Staged(self.store.stage()?)
        };
        let mut found = 0u64;
        loop {
            let read = match input.read(&mut self.buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ImageError::read(what, error)),
            };
            found += read as u64;
            if found > size || (read == 0 && found < size) {
                return Err(ImageError::Size { what: what.to_owned(), expected: size, found });
            }
            let bytes = &self.buffer[..read];
            hasher.update(bytes);
            match &mut body {
                Body::Memory(kept) => kept.extend_from_slice(bytes),
                Body::Staged(stage) => {
                    stage.write_all(bytes).map_err(|error| stage.write_error(error))?;
                }
            }
            if read == 0 {
                return Ok(Piece { digest: Sha256::from_bytes(hasher.finalize().into()), size, body });
            }
        }
    }
}

impl Piece {
    /// The bytes of a document; [`None`] when it is too long for one.
    pub(crate) fn document(&self) -> Result<Option<Vec<u8>>, ImageError> {
        if self.size > MAX_DOCUMENT {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes).map_err(|error| ImageError::read("a staged file", error))?;
        Ok(Some(bytes))
    }

    /// Reads it from its start.
    pub(crate) fn reader(&self) -> Reader<'_> {
        match &self.body {
            Body::Memory(bytes) => Reader::Memory(bytes),
            Body::Staged(stage) => Reader::File(stage.file(), 0),
        }
    }

    /// Brings the bytes to the disk; the long part of a commit, done before the lock is taken.
    pub(crate) fn sync(&self) -> Result<(), ImageError> {
        match &self.body {
            Body::Memory(_) => Ok(()),
            Body::Staged(stage) => stage.file().sync_data().map_err(|error| stage.write_error(error).into()),
        }
    }

    /// Makes it a blob.
    pub(crate) fn commit(self, store: &Store) -> Result<(), StoreError> {
        match self.body {
            Body::Memory(bytes) => store.put(&bytes).map(drop),
            Body::Staged(stage) => stage.commit(&self.digest).map(drop),
        }
    }
}

/// A file or bytes, from the start. Does not move the file's own position.
pub(crate) enum Reader<'a> {
    Memory(&'a [u8]),
    File(&'a File, u64),
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::File(file, at) => {
                let read = file.read_at(buffer, *at)?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}
