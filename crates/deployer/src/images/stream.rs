//! Between archives that are read and written by threads, and the engine's streams.

use crate::engine::ArchiveStream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use sovai_images::{ImageError, Tags, write_docker_archive};
use sovai_store::{Store, StoredImage};
use sovai_verifier::Cancel;
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Pieces under way at once, and the length of one: 1 MiB of memory in all.
const PIECES: usize = 4;
const PIECE: usize = 256 << 10;

/// A docker archive of an image of the store, written by a thread as fast as it is taken; `done` counts bytes. The handle
/// says how the writing ended; where it failed, the stream ends with an error.
pub(super) fn archive(
    store: Store,
    image: StoredImage,
    tags: Tags,
    cancel: Cancel,
    done: Arc<AtomicU64>,
) -> (ArchiveStream, JoinHandle<Result<(), ImageError>>) {
    let (sender, receiver) = channel(PIECES);
    let writing = tokio::task::spawn_blocking(move || {
        let mut out = Pieces { sender, cancel, done, buffer: Vec::with_capacity(PIECE) };
        let written = write_docker_archive(&store, &image, &tags, &mut out);
        if written.is_err() {
            // An archive that just ended would be taken for a whole one by a lenient reader.
            drop(out.sender.blocking_send(Err(io::ErrorKind::InvalidData.into())));
        }
        written
    });
    (Box::pin(futures_util::stream::unfold(receiver, next)), writing)
}

async fn next(
    mut receiver: Receiver<io::Result<Bytes>>,
) -> Option<(io::Result<Bytes>, Receiver<io::Result<Bytes>>)> {
    receiver.recv().await.map(|piece| (piece, receiver))
}

/// Cuts what is written into pieces and sends them.
struct Pieces {
    sender: Sender<io::Result<Bytes>>,
    cancel: Cancel,
    done: Arc<AtomicU64>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        if self.buffer.len() == PIECE {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let length = piece.len() as u64;
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.done.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }
}

/// A reader for a thread, and the future that feeds it; it ends when the stream does, or when the reader is gone.
pub(super) fn reader(mut archive: ArchiveStream) -> (impl Read + Send + 'static, impl Future<Output = ()>) {
    let (sender, receiver) = channel(PIECES);
    let feeding = async move {
        while let Some(piece) = archive.next().await {
            if sender.send(piece).await.is_err() {
                break;
            }
        }
    };
    (Taken { receiver, piece: Bytes::new() }, feeding)
}

struct Taken {
    receiver: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Taken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
