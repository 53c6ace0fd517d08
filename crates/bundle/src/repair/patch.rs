//! Patches: the chunks that the other side sent again. Everything in one is compared with the index before it is used.

use crate::chunk::MAX_CHUNKS;
use crate::index::Index;
use crate::set::{SetError, folder};
use crate::volume::{VolumeId, names};
use fs_err::File;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Most patches of one repair.
const MAX_PATCHES: usize = 999;
/// Most entries beside chunks: the index, the table, signatures, small files of each volume.
const MAX_OTHERS: u64 = 8192;

/// A patch that was opened: where in its archive the chunks and small files lie. Nothing of it was checked yet.
#[derive(Debug)]
pub struct Patch {
    path: PathBuf,
    file: File,
    chunks: BTreeMap<(VolumeId, u64), (u64, u64)>,
    files: BTreeMap<(VolumeId, String), (u64, u64)>,
}

/// Why a file is no patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It cannot be read, or is no archive.
    #[error("`{}` cannot be read as an archive", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More than a patch has.
    #[error("`{}` has more entries than a patch can have", .path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
    /// It is of another bundle.
    #[error("`{}` was made for another bundle than {expected}", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The bundle that is repaired.
        expected: String,
    },
}

/// Name of the folder of a patch, `STACK-SEQUENCE.r001`; its archive lies in it, with `.tar` at the end.
pub fn patch_name(bundle: &str, number: u16) -> String {
    format!("{bundle}.r{number:03}")
}

/// Archives of patches for a bundle among the folders of `folder`.
pub fn find_patches(folder: &Path, bundle: &str) -> Result<Vec<PathBuf>, SetError> {
    let read = |source| SetError::Read { path: folder.to_owned(), source };
    let opened = folder::Folder::open(folder).map_err(read)?;
    let mut found = Vec::new();
    for (name, is_folder) in opened.entries().map_err(read)? {
        let Some(name) = name.to_str().filter(|_| is_folder) else { continue };
        let Some(number) = name.strip_prefix(bundle).and_then(|rest| rest.strip_prefix(".r")) else {
            continue;
        };
        if number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()) {
            let archive = folder.join(name).join(format!("{name}.tar"));
            if archive.is_file() {
                found.push(archive);
            }
        }
    }
    found.truncate(MAX_PATCHES);
    Ok(found)
}

impl Patch {
    /// Opens a patch: its archive, or the folder that this lies in. `digest` is that of the index of the bundle that it is for.
    pub fn open(path: &Path, index: &Index, index_bytes: &[u8]) -> Result<Self, PatchError> {
        let path = if path.is_dir() {
            let name = fs_err::canonicalize(path).ok().and_then(|path| Some(path.file_name()?.to_owned()));
            let mut name = name.unwrap_or_default();
            name.push(".tar");
            path.join(name)
        } else {
            path.to_owned()
        };
        let io = |source| PatchError::Io { path: path.clone(), source };
        let folder = folder::Folder::open(crate::set::parent(&path)).map_err(|error| io(plain(error)))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let file = folder.file(name).map_err(|error| io(plain(error)))?;
        let (file, _) = file.ok_or_else(|| io(io::ErrorKind::NotFound.into()))?;
        let file = File::from_parts(file, &path);
        let mut opened = Self { path: path.clone(), file, chunks: BTreeMap::new(), files: BTreeMap::new() };
        let mut is_ours = false;
        let mut others = 0;
        let again = opened.file.try_clone().map_err(io)?;
        let mut archive = ::tar::Archive::new(again);
        for entry in archive.entries_with_seek().map_err(io)? {
            let entry = entry.map_err(io)?;
            let place = (entry.raw_file_position(), entry.header().size().map_err(io)?);
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match name.split('/').collect::<Vec<_>>().as_slice() {
                ["chunks", volume, number] if opened.chunks.len() as u64 <= MAX_CHUNKS => {
                    if let (Ok(volume), Ok(number)) = (volume.parse(), number.parse()) {
                        opened.chunks.insert((volume, number), place);
                    }
                }
                ["files", volume, file] if others < MAX_OTHERS => {
                    others += 1;
                    if let Ok(volume) = volume.parse() {
                        opened.files.insert((volume, (*file).to_owned()), place);
                    }
                }
                [names::INDEX] if place.1 == index_bytes.len() as u64 => {
                    is_ours = opened.bytes(place).is_ok_and(|bytes| bytes == index_bytes);
                }
                _ if others < MAX_OTHERS => others += 1,
                _ => return Err(PatchError::TooMany { path }),
            }
        }
        if is_ours { Ok(opened) } else { Err(PatchError::Other { path, expected: index.name() }) }
    }

    /// Its archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it says that it has a chunk, by its number from 1.
    pub fn has_chunk(&self, volume: VolumeId, number: u64) -> bool {
        self.chunks.contains_key(&(volume, number))
    }

    /// Where a chunk lies: the file, from which byte on, how many.
    pub(super) fn chunk(&self, volume: VolumeId, number: u64) -> Option<(&File, u64, u64)> {
        let (start, length) = self.chunks.get(&(volume, number))?;
        Some((&self.file, *start, *length))
    }

    /// Where a small file of a volume lies.
    pub(super) fn file(&self, volume: VolumeId, name: &str) -> Option<(&File, u64, u64)> {
        let (start, length) = self.files.get(&(volume, name.to_owned()))?;
        Some((&self.file, *start, *length))
    }

    /// Bytes of an entry; the caller has bounded its length.
    fn bytes(&self, (start, length): (u64, u64)) -> io::Result<Vec<u8>> {
        use fs_err::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

fn plain(error: folder::FolderError) -> io::Error {
    match error {
        folder::FolderError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
