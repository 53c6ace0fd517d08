//! An archive of images as a stream: what `docker save` writes (the old form, and since version 25 an OCI layout with a
//! `manifest.json` beside it), and an OCI layout in a tar.
//!
//! `manifest.json` comes last in a stream of `docker save`, so that every file is taken in first and chosen afterwards.
//! What was not chosen is gone when the reading ends.

use crate::Wanted;
use crate::error::{EntryFault, ImageError};
use crate::gate::{Gate, MAX_HEADER};
use crate::layer::{self, Form};
use crate::layout::check_version;
use crate::oci::{self, Blobs, Candidate};
use crate::piece::{Intake, Piece};
use crate::staged::StagedImage;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sovai_core::{RelPath, Sha256};
use sovai_store::image::{ImageConfig, ImageFault, ImageManifest};
use sovai_store::{Descriptor, Store};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

/// Most entries of an archive. An image of 127 layers has some 500 in the old form.
const MAX_ENTRIES: usize = 4096;
/// Most files that are kept open while the archive is read: each long one is. A process may open 1024 by default.
const MAX_FILES: usize = 600;

/// One image of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// Reads one image of an archive into the store's temporary folder; the archive may be compressed with gzip.
///
/// One pass, in constant memory. An image that comes with its manifest keeps it; for the old form of `docker save`, which
/// has none, one is made: the same image always gets the same one.
pub fn read_archive(store: &Store, input: impl Read, wanted: &Wanted) -> Result<StagedImage, ImageError> {
    let allowance = Rc::new(Cell::new(MAX_HEADER));
    let mut contents = Contents { pieces: BTreeMap::new(), files: BTreeMap::new(), links: BTreeMap::new() };
    let mut intake = Intake::new(store);
    let gate = Gate { inner: plain(input)?, allowance: Rc::clone(&allowance) };
    let broken = |error| ImageError::read("the archive", error);
    let mut archive = tar::Archive::new(gate);
    let mut entries = archive.entries().map_err(broken)?;
    for number in 0.. {
        // Names of any length would be read into memory before anybody could look at them.
        allowance.set(MAX_HEADER);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(broken)?;
        allowance.set(u64::MAX);
        let bytes = entry.path_bytes().into_owned();
        let refused = |fault| ImageError::Entry { name: String::from_utf8_lossy(&bytes).into_owned(), fault };
        if number >= MAX_ENTRIES {
            return Err(refused(EntryFault::TooMany(MAX_ENTRIES)));
        }
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = plain_name(&bytes).map_err(refused)?;
        let Some(name) = name else { continue };
        if kind.is_dir() {
            continue;
        }
        if contents.files.contains_key(&name) || contents.links.contains_key(&name) {
            return Err(refused(EntryFault::Twice));
        }
        if kind.is_symlink() {
            let target = entry.link_name_bytes().map(Cow::into_owned).unwrap_or_default();
            let target = String::from_utf8(target).map_err(|_| refused(EntryFault::NotText))?;
            let resolved = resolve(&name, &target).ok_or_else(|| refused(EntryFault::Link(target)))?;
            contents.links.insert(name, resolved);
        } else if !kind.is_file() {
            return Err(refused(EntryFault::Kind));
        } else if is_of_use(&name) {
            if contents.pieces.len() >= MAX_FILES {
                return Err(refused(EntryFault::TooMany(MAX_FILES)));
            }
            let size = entry.size();
            let piece = intake.take(&format!("the archive's `{name}`"), &mut entry, size)?;
            contents.files.insert(name, piece.digest);
            contents.pieces.entry(piece.digest).or_insert(piece);
        }
    }
    let candidates = contents.candidates(wanted)?;
    oci::stage(oci::choose(candidates, wanted)?, &mut contents)
}

/// The name of an entry; nothing for the root of the archive.
fn plain_name(bytes: &[u8]) -> Result<Option<String>, EntryFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| EntryFault::NotText)?;
    // `tar` writes `./name`, and folders with a slash at the end.
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() || text == "." {
        return Ok(None);
    }
    RelPath::new(text).map(|path| Some(path.as_str().to_owned())).map_err(EntryFault::Name)
}

/// Where a link leads inside the archive.
fn resolve(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') || target.contains('\0') {
        return None;
    }
    let mut parts: Vec<_> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Docker 1.9 and older read these; nothing in them counts today.
fn is_of_use(name: &str) -> bool {
    name != "repositories" && !name.ends_with("/VERSION") && !name.ends_with("/json")
}

/// What was read of an archive.
struct Contents {
    pieces: BTreeMap<Sha256, Piece>,
    files: BTreeMap<String, Sha256>,
    links: BTreeMap<String, String>,
}

impl Contents {
    /// The file of a name, through at most one link.
    fn piece_of(&self, name: &str) -> Result<&Piece, ImageError> {
        let name = name.strip_prefix("./").unwrap_or(name);
        let digest = match self.links.get(name) {
            Some(target) => self.files.get(target).ok_or_else(|| ImageError::Entry {
                name: name.to_owned(),
                fault: EntryFault::Link(target.clone()),
            })?,
            None => self.files.get(name).ok_or_else(|| missing(name))?,
        };
        self.pieces.get(digest).ok_or_else(|| missing(name))
    }

    /// A document of the archive by name, when it is there.
    fn text(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        if !self.files.contains_key(name) {
            return Ok(None);
        }
        let piece = self.piece_of(name)?;
        let what = format!("the archive's `{name}`");
        let long = || ImageError::Document { what, fault: ImageFault::TooLong(piece.size) };
        piece.document()?.ok_or_else(long).map(Some)
    }

    /// The images of the archive; those of the old form only when they may be wanted.
    fn candidates(&mut self, wanted: &Wanted) -> Result<Vec<Candidate>, ImageError> {
        let saved = self.text("manifest.json")?;
        let layout = self.text("oci-layout")?;
        let mut found = match (layout, self.text("index.json")?) {
            (Some(layout), Some(index)) => {
                let layout: Layout = parse("`oci-layout`", &layout)?;
                check_version(&layout.image_layout_version).map_err(|()| ImageError::Document {
                    what: "`oci-layout`".to_owned(),
                    fault: ImageFault::Type { found: layout.image_layout_version, expected: "version 1" },
                })?;
                oci::candidates(&index, self)?
            }
            _ if saved.is_some() => Vec::new(),
            _ => return Err(missing("manifest.json")),
        };
        let Some(saved) = saved else { return Ok(found) };
        let saved: Vec<Saved> = parse("`manifest.json`", &saved)?;
        if saved.len() > MAX_FILES {
            let fault = ImageFault::TooMany { what: "images", found: saved.len(), limit: MAX_FILES };
            return Err(ImageError::Document { what: "`manifest.json`".to_owned(), fault });
        }
        for image in saved {
            let config = self.piece_of(&image.config)?.digest;
            let tags = image.repo_tags.clone().unwrap_or_default();
            let mut is_known = false;
            for known in found.iter_mut().filter(|known| known.parsed.config.digest == config) {
                known.names.extend(tags.iter().cloned());
                is_known = true;
            }
            let is_called = wanted.name.is_none() || tags.iter().any(|tag| wanted.is_called(tag));
            if !is_known && (is_called || wanted.is_digest(&config)) {
                found.push(self.candidate(&image)?);
            }
        }
        if found.is_empty() && wanted.name.is_some() {
            return Err(oci::no_image(wanted, self.tags()?));
        }
        Ok(found)
    }

    /// All names in `manifest.json`, for a message.
    fn tags(&self) -> Result<Vec<String>, ImageError> {
        let Some(saved) = self.text("manifest.json")? else { return Ok(Vec::new()) };
        let saved: Vec<Saved> = parse("`manifest.json`", &saved)?;
        Ok(saved.into_iter().flat_map(|image| image.repo_tags.unwrap_or(vec![image.config])).collect())
    }

    /// An image of the old form, with a manifest of our making.
    fn candidate(&self, image: &Saved) -> Result<Candidate, ImageError> {
        let what = format!("the archive's `{}`", image.config.escape_debug());
        let document = |fault| ImageError::Document { what: what.clone(), fault };
        let piece = self.piece_of(&image.config)?;
        // Docker names this file by its digest: then that is held to.
        let name = image.config.rsplit('/').next().unwrap_or_default();
        if let Ok(expected) = Sha256::from_hex(name.strip_suffix(".json").unwrap_or(name))
            && expected != piece.digest
        {
            return Err(ImageError::Digest { what, expected, found: piece.digest });
        }
        let long = || document(ImageFault::TooLong(piece.size));
        let config = ImageConfig::parse(&piece.document()?.ok_or_else(long)?).map_err(document)?;
        let paths = image.layers.as_deref().unwrap_or_default();
        if paths.len() != config.diff_ids.len() {
            let (layers, diff_ids) = (paths.len(), config.diff_ids.len());
            return Err(document(ImageFault::Layers { layers, diff_ids }));
        }
        let mut layers = Vec::new();
        for path in paths {
            let layer = self.piece_of(path)?;
            let form = Form::of(layer.reader()).map_err(|error| ImageError::read(path.as_str(), error))?;
            layers.push(layer::descriptor(layer, form));
        }
        let descriptor = Descriptor {
            media_type: sovai_store::image::OCI_CONFIG.to_owned(),
            artifact_type: None,
            digest: piece.digest,
            size: piece.size,
            annotations: BTreeMap::new(),
        };
        let manifest = ImageManifest::write(&descriptor, &layers);
        let parsed = ImageManifest::parse(&manifest).map_err(document)?;
        Ok(Candidate {
            names: image.repo_tags.iter().flatten().cloned().collect(),
            index: None,
            digest: oci::sha256(&manifest),
            manifest,
            parsed,
            config,
        })
    }
}

impl Blobs for Contents {
    fn document(&mut self, digest: &Sha256) -> Result<Option<Vec<u8>>, ImageError> {
        let piece = self.pieces.get(digest).or_else(|| {
            // Under this name, but with other bytes: the caller hashes and tells.
            self.files.get(&blob_path(digest)).and_then(|found| self.pieces.get(found))
        });
        match piece {
            Some(piece) => piece.document(),
            None => Ok(None),
        }
    }

    fn piece(&mut self, what: &str, descriptor: &Descriptor) -> Result<Piece, ImageError> {
        let expected = descriptor.digest;
        let Some(piece) = self.pieces.remove(&expected) else {
            return Err(match self.files.get(&blob_path(&expected)) {
                Some(found) => ImageError::Digest { what: what.to_owned(), expected, found: *found },
                None => ImageError::missing(format!("{what} ({expected})")),
            });
        };
        if piece.size != descriptor.size {
            let what = what.to_owned();
            return Err(ImageError::Size { what, expected: descriptor.size, found: piece.size });
        }
        Ok(piece)
    }
}

fn blob_path(digest: &Sha256) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn missing(name: &str) -> ImageError {
    ImageError::missing(format!("the archive's `{}`", name.escape_debug()))
}

fn parse<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Document { what: what.to_owned(), fault: ImageFault::Json(error) })
}

/// The archive without the compression that it may have.
fn plain<'a>(mut input: impl Read + 'a) -> Result<Box<dyn Read + 'a>, ImageError> {
    let mut magic = Vec::new();
    let read = input.by_ref().take(2).read_to_end(&mut magic);
    read.map_err(|error| ImageError::read("the archive", error))?;
    let is_gzip = magic == [0x1f, 0x8b];
    let whole = io::Cursor::new(magic).chain(input);
    if !is_gzip {
        return Ok(Box::new(whole));
    }
    let packed = Rc::new(Cell::new(0));
    let counted = Counted { inner: whole, count: Rc::clone(&packed) };
    let decoder = MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, counted));
    Ok(Box::new(Unpacked { inner: decoder, packed, size: 0 }))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Ends when a compressed archive grows beyond all measure.
struct Unpacked<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    size: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.size += read as u64;
        if self.size > layer::limit(self.packed.get()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it grows too much when it is decompressed",
            ));
        }
        Ok(read)
    }
}
