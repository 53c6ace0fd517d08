//! The answer to a request: a patch, with exactly the chunks that are wanted.

use super::Request;
use crate::repair::patch_name;
use crate::set::folder::BUFFER;
use crate::set::{VolumeSet, sha256};
use crate::tar::{padding, tar_header};
use crate::verify::read_range;
use crate::volume::{VolumeId, names};
use fs_err::File;
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_store::StoreError;
use sovai_verifier::Cancel;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Highest number of a patch.
const MAX_NUMBER: u16 = 999;

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is about another bundle.
    #[error("the request is for {expected}; found {found}")]
    Other {
        /// The bundle of the request.
        expected: String,
        /// The bundle that is here.
        found: String,
    },
    /// It names a volume or chunk that the bundle does not have.
    #[error("the bundle has no {what}")]
    Unknown {
        /// What it names.
        what: String,
    },
    /// What is wanted is not here, or is damaged here too.
    #[error("{what} is not here, or not as the index says")]
    Lacking {
        /// What is wanted.
        what: String,
    },
    /// There are as many patches as there are numbers.
    #[error("`{}` holds {MAX_NUMBER} patches of this bundle", .folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
    },
    /// The file system failed; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A small file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was stopped; the same command begins again.
    #[error("interrupted")]
    Cancelled,
}

/// A patch that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its folder.
    pub folder: PathBuf,
    /// How many chunks it has.
    pub chunks: u64,
    /// Bytes of its archive.
    pub bytes: u64,
}

/// Writes a patch with what a request wants into `out`, as a folder `STACK-SEQUENCE.r001` or the next number that is free.
/// Every chunk is compared with the table of chunks on the way.
pub fn answer(
    set: &VolumeSet,
    request: &Request,
    out: &Path,
    cancel: &Cancel,
) -> Result<Answered, AnswerError> {
    let index = set.index();
    let (expected, found) = (
        format!("{}-{} with index {}", request.stack, request.sequence, request.index),
        format!("{} with index {}", index.name(), set.digest().short()),
    );
    if (&request.stack, request.sequence) != (&index.stack, index.sequence)
        || !set.digest().hex().starts_with(&request.index)
    {
        return Err(AnswerError::Other { expected, found });
    }
    let bundle = index.name();
    let free = |number: &u16| fs_err::symlink_metadata(out.join(patch_name(&bundle, *number))).is_err();
    let number = (1..=MAX_NUMBER).find(free).ok_or_else(|| AnswerError::Full { folder: out.to_owned() })?;
    let name = patch_name(&bundle, number);
    let partial = out.join(format!(".{name}.partial"));
    // What an earlier run left behind.
    if fs_err::symlink_metadata(&partial).is_ok() {
        fs_err::remove_dir_all(&partial)?;
    }
    fs_err::create_dir_all(&partial)?;
    let archive = format!("{name}.tar");
    let written = write(set, request, &partial, &archive, cancel);
    if written.is_err() {
        // The error that ended it is the one to tell.
        drop(fs_err::remove_dir_all(&partial));
    }
    let (chunks, bytes) = written?;
    let folder = out.join(&name);
    fs_err::rename(&partial, &folder)?;
    File::open(out)?.sync_all()?;
    Ok(Answered { folder, chunks, bytes })
}

/// Writes what lies in the folder of a patch; how many chunks it has, and how many bytes its archive.
fn write(
    set: &VolumeSet,
    request: &Request,
    partial: &Path,
    archive: &str,
    cancel: &Cancel,
) -> Result<(u64, u64), AnswerError> {
    let index = set.index();
    let mut writer =
        Archive { file: File::create(partial.join(archive))?, sha256: sha2::Sha256::new(), bytes: 0 };
    writer.entry("request.txt", request.to_text().as_bytes())?;
    writer.entry(names::INDEX, set.index_bytes())?;
    let lacks_table = || AnswerError::Lacking { what: names::CHUNKS.to_owned() };
    let table = set.table().ok_or_else(lacks_table)?;
    writer.entry(names::CHUNKS, table.to_text().as_bytes())?;
    for found in set.signatures().iter().filter(|found| found.fit.is_ok()) {
        let path = format!("{}/{}", names::SIGNATURES, found.name);
        if path.len() < 100 && path.is_ascii() {
            writer.entry(&path, &found.bytes)?;
        }
    }
    let mut chunks = 0;
    for (id, wanted) in &request.volumes {
        let unknown = |what: String| AnswerError::Unknown { what };
        let volume = index.volume(*id).ok_or_else(|| unknown(format!("volume {id}")))?;
        if wanted.files {
            for (name, file) in &volume.files {
                writer.small(set, *id, name, file.size, file.sha256)?;
            }
        }
        let count = index.chunk_count(&volume.payload);
        for number in wanted.numbers(count) {
            if cancel.is_cancelled() {
                return Err(AnswerError::Cancelled);
            }
            if number > count {
                return Err(unknown(format!("chunk {number} of {id}")));
            }
            let size = u64::from(index.chunk_size);
            let start = (number - 1) * size;
            let length = size.min(volume.payload.size - start);
            let value = usize::try_from(number - 1).ok().and_then(|at| table.of(*id).get(at).copied());
            writer.chunk(set, *id, number, (start, length), value)?;
            chunks += 1;
        }
    }
    let (bytes, digest) = writer.end()?;
    let readme = readme(&index.name(), archive);
    let sums =
        format!("{}  {}\n{}  {archive}\n", sha256(readme.as_bytes()).hex(), names::README, digest.hex());
    sovai_store::atomic::write(&partial.join(names::README), readme.as_bytes(), 0o644)?;
    sovai_store::atomic::write(&partial.join(names::SUMS), sums.as_bytes(), 0o644)?;
    Ok((chunks, bytes))
}

fn readme(bundle: &str, archive: &str) -> String {
    format!(
        "Patch for bundle {bundle}\n\n\
         This folder holds pieces of the bundle {bundle} that were asked for again, in {archive}:\n\
         chunks/VOLUME/NUMBER are the chunks by their numbers in chunks.txt, each with its BLAKE3 there.\n\n\
         Check it with: sha256sum -c SHA256SUMS\n\
         Put this folder beside the folders of the volumes, then: sovai bundle repair FOLDER\n"
    )
}

/// An archive that is hashed while it is written.
struct Archive {
    file: File,
    sha256: sha2::Sha256,
    bytes: u64,
}

impl Archive {
    fn put(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        self.file.write_all(bytes)?;
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, length: u64) -> Result<(), AnswerError> {
        let zeros = [0; 512];
        let length = usize::try_from(padding(length)).unwrap_or(0);
        self.put(zeros.get(..length).unwrap_or_default())
    }

    fn entry(&mut self, path: &str, bytes: &[u8]) -> Result<(), AnswerError> {
        self.put(&tar_header(path, bytes.len() as u64))?;
        self.put(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn chunk(
        &mut self,
        set: &VolumeSet,
        id: VolumeId,
        number: u64,
        (start, length): (u64, u64),
        value: Option<[u8; 32]>,
    ) -> Result<(), AnswerError> {
        let lacking = || AnswerError::Lacking { what: format!("chunk {number} of {id}") };
        let file = set.volume(id).and_then(|here| here.open_payload().ok()).ok_or_else(lacking)?;
        let mut hasher = blake3::Hasher::new();
        self.put(&tar_header(&format!("chunks/{id}/{number:06}"), length))?;
        self.copy(&file, start, length, |bytes| {
            hasher.update(bytes);
        })?
        .then_some(())
        .ok_or_else(lacking)?;
        if Some(*hasher.finalize().as_bytes()) != value {
            return Err(lacking());
        }
        Ok(())
    }

    fn small(
        &mut self,
        set: &VolumeSet,
        id: VolumeId,
        name: &str,
        size: u64,
        digest: Sha256,
    ) -> Result<(), AnswerError> {
        let lacking = || AnswerError::Lacking { what: format!("{name} of {id}") };
        let opened = set.volume(id).and_then(|here| here.open(name).ok());
        let (file, _) = opened.ok_or_else(lacking)?;
        let mut hasher = sha2::Sha256::new();
        self.put(&tar_header(&format!("files/{id}/{name}"), size))?;
        self.copy(&file, 0, size, |bytes| hasher.update(bytes))?.then_some(()).ok_or_else(lacking)?;
        if Sha256::from_bytes(hasher.finalize().into()) != digest {
            return Err(lacking());
        }
        Ok(())
    }

    /// Copies a range and pads it; whether all of it was there.
    fn copy(
        &mut self,
        from: &std::fs::File,
        start: u64,
        length: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<bool, AnswerError> {
        let mut buffer = vec![0; BUFFER];
        let mut failed = None;
        let done = read_range(from, start, length, &mut buffer, |bytes| {
            each(bytes);
            failed = self.put(bytes).err();
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        self.pad(length)?;
        Ok(done.is_ok_and(|done| done == length))
    }

    fn end(mut self) -> Result<(u64, Sha256), AnswerError> {
        self.put(&[0; 1024])?;
        self.file.sync_all()?;
        Ok((self.bytes, Sha256::from_bytes(self.sha256.finalize().into())))
    }
}
