//! A few small files of an image, as a container would see them, read from its layers in the store.

use crate::error::ImageError;
use crate::gate::{Gate, MAX_HEADER};
use crate::layer::{self, Form};
use crate::write::open;
use flate2::read::MultiGzDecoder;
use sovai_core::Sha256;
use sovai_store::{Store, StoredImage};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek as _};
use std::ops::Bound;
use std::rc::Rc;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Most bytes of all files of an image together.
const MAX_TOTAL: u64 = 24 << 20;
/// Most files that are told of.
const MAX_FILES: usize = 8192;
/// Most entries of all layers of an image. Large ones have some 200,000.
const MAX_ENTRIES: usize = 8_000_000;
/// Longest path of a file that is told of, in bytes.
const MAX_PATH: usize = 4096;

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is there, and was not read: longer than 16 MiB, beyond 24 MiB for all together, or no ordinary file.
    NotRead,
}

/// Reads the files of an image whose paths (`etc/os-release`) are `wanted`, by path.
///
/// Upper layers override lower ones, whiteouts (image-spec 1.1, `layer.md`) take away what lies below. Layers are not
/// hashed again: that was done when they came into the store. Memory is bounded by 24 MiB of files; a plain layer costs
/// its headers only, one that is compressed with gzip has to be decompressed, and one with zstd is an
/// [`ImageError::Zstd`].
pub fn read_files(
    store: &Store,
    image: &StoredImage,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Seen>, ImageError> {
    let mut looker = Looker { wanted, files: BTreeMap::new(), total: 0, entries: 0 };
    let lengths: BTreeMap<Sha256, u64> =
        image.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    let mut budget = layer::Budget::of(lengths.into_values());
    for (number, layer) in (1..).zip(&image.layers) {
        let what = format!("layer {number}");
        let broken = |error| ImageError::read(&what, error);
        let file = open(store, &layer.digest)?;
        let allowance = Rc::new(Cell::new(MAX_HEADER));
        match Form::of(&file).map_err(broken)? {
            Form::Plain => {
                let mut file = file;
                file.rewind().map_err(broken)?;
                let mut archive = tar::Archive::new(Gate { inner: file, allowance: Rc::clone(&allowance) });
                let entries = archive.entries_with_seek().map_err(broken)?;
                looker.layer(entries, &allowance, false).map_err(broken)?;
            }
            Form::Gzip => {
                let mut file = file;
                file.rewind().map_err(broken)?;
                let unpacked = MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, file));
                let allowed = layer::limit(layer.size).min(budget.left());
                let inner = unpacked.take(allowed);
                let mut archive = tar::Archive::new(Gate { inner, allowance: Rc::clone(&allowance) });
                let entries = archive.entries().map_err(broken)?;
                let seen = looker.layer(entries, &allowance, true);
                // An archive that is cut off may look as if it had ended.
                let left = archive.into_inner().inner.limit();
                if left == 0 {
                    return Err(ImageError::TooLarge { what: what.clone(), limit: allowed });
                }
                seen.map_err(broken)?;
                budget.spend(allowed - left)?;
            }
            Form::Zstd => return Err(ImageError::Zstd { number }),
        }
    }
    Ok(looker.files)
}

struct Looker<'a> {
    wanted: &'a dyn Fn(&str) -> bool,
    files: BTreeMap<String, Seen>,
    total: u64,
    entries: usize,
}

impl Looker<'_> {
    /// Takes in one layer. `drain`: what is left of an entry has to be read to get to the next one.
    fn layer<R: Read>(
        &mut self,
        mut entries: tar::Entries<'_, R>,
        allowance: &Cell<u64>,
        drain: bool,
    ) -> io::Result<()> {
        let mut added = BTreeMap::new();
        let (mut gone, mut emptied) = (BTreeSet::new(), BTreeSet::new());
        loop {
            allowance.set(MAX_HEADER);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry?;
            allowance.set(u64::MAX);
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(invalid(format!("the image has more than {MAX_ENTRIES} entries")));
            }
            if let Some(path) = plain(&entry.path_bytes()) {
                let kind = entry.header().entry_type();
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
                if name == ".wh..wh..opq" {
                    self.note(&mut emptied, folder)?;
                } else if let Some(hidden) = name.strip_prefix(".wh.") {
                    let path =
                        if folder.is_empty() { hidden.to_owned() } else { format!("{folder}/{hidden}") };
                    self.note(&mut gone, &path)?;
                } else if !kind.is_dir() {
                    // Whatever lay at this place or below it is no more.
                    self.note(&mut gone, &path)?;
                    under(&mut added, &path);
                    if (self.wanted)(&path) {
                        if self.files.len() + added.len() >= MAX_FILES {
                            return Err(invalid(format!("it has more than {MAX_FILES} files to read")));
                        }
                        let seen = self.read(&mut entry, kind.is_file())?;
                        added.insert(path, seen);
                    }
                }
            }
            if drain {
                io::copy(&mut entry, &mut io::sink())?;
            }
        }
        for folder in &emptied {
            under(&mut self.files, folder);
        }
        for path in &gone {
            self.files.remove(path);
            under(&mut self.files, path);
        }
        self.files.extend(added);
        Ok(())
    }

    /// Notes a path that hides something, where that can matter: a file that is known lies there or below.
    fn note(&self, noted: &mut BTreeSet<String>, path: &str) -> io::Result<()> {
        let hides =
            path.is_empty() || self.files.contains_key(path) || below(&self.files, path).next().is_some();
        if hides && noted.insert(path.to_owned()) && noted.len() > MAX_FILES {
            return Err(invalid(format!("it hides more than {MAX_FILES} files")));
        }
        Ok(())
    }

    fn read(&mut self, entry: &mut impl Read, is_file: bool) -> io::Result<Seen> {
        if !is_file {
            return Ok(Seen::NotRead);
        }
        let most = MAX_FILE.min(MAX_TOTAL - self.total);
        let mut bytes = Vec::new();
        entry.by_ref().take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Ok(Seen::NotRead);
        }
        self.total += bytes.len() as u64;
        Ok(Seen::Bytes(bytes))
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The files below a folder; of the root all of them.
fn below<'a>(files: &'a BTreeMap<String, Seen>, folder: &str) -> impl Iterator<Item = &'a String> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    files
        .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
        .map(|(path, _)| path)
        .take_while({
            let prefix = prefix.clone();
            move |path| path.starts_with(&prefix)
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// Takes away what lies below a folder.
fn under(files: &mut BTreeMap<String, Seen>, folder: &str) {
    let gone: Vec<String> = below(files, folder).cloned().collect();
    for path in gone {
        files.remove(&path);
    }
}

/// The path of an entry without `./` and slashes at its ends; `None` of what can be no file that is asked for.
fn plain(bytes: &[u8]) -> Option<String> {
    if bytes.len() > MAX_PATH {
        return None;
    }
    let parts = std::str::from_utf8(bytes).ok()?.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut path = String::new();
    for part in parts {
        if part == ".." {
            return None;
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    (!path.is_empty()).then_some(path)
}
