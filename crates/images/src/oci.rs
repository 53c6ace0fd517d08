//! Choosing an image by `index.json`, in a folder or an archive.

use crate::Wanted;
use crate::error::ImageError;
use crate::layer;
use crate::piece::Piece;
use crate::staged::StagedImage;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::Descriptor;
use sovai_store::image::{
    DOCKER_INDEX, DOCKER_MANIFEST, ImageConfig, ImageFault, ImageManifest, IndexEntry, OCI_INDEX,
    OCI_MANIFEST, parse_index,
};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Indexes in indexes that are followed: that of the layout, and one of platforms in it, or one more.
const MAX_DEPTH: usize = 3;
/// Manifests that are read to find the wanted one.
const MAX_MANIFESTS: usize = 1024;
/// Annotations that name an image: those of the image specification, and of containerd.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// Where blobs come from.
pub(crate) trait Blobs {
    /// A small blob, not yet checked; [`None`] when it is not there.
    fn document(&mut self, digest: &Sha256) -> Result<Option<Vec<u8>>, ImageError>;
    /// A blob, taken in.
    fn piece(&mut self, what: &str, descriptor: &Descriptor) -> Result<Piece, ImageError>;
}

/// An image that an index names.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Names of its entry, or of the entry of the index that it stands in.
    pub(crate) names: BTreeSet<String>,
    /// The index by which it came; the layout's own does not count.
    pub(crate) index: Option<Vec<u8>>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) digest: Sha256,
    pub(crate) parsed: ImageManifest,
    pub(crate) config: ImageConfig,
}

impl Candidate {
    fn index_digest(&self) -> Option<Sha256> {
        self.index.as_deref().map(sha256)
    }

    /// For messages.
    pub(crate) fn label(&self) -> String {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        let name = if names.is_empty() { self.digest.to_string() } else { names.join(" = ") };
        format!("{name} ({})", self.config.platform)
    }

    fn is_wanted(&self, wanted: &Wanted) -> bool {
        wanted.name.is_none()
            || self.names.iter().any(|name| wanted.is_called(name))
            || [Some(self.digest), Some(self.parsed.config.digest), self.index_digest()]
                .iter()
                .flatten()
                .any(|digest| wanted.is_digest(digest))
    }
}

/// All images that `index.json` leads to and whose manifest is there.
pub(crate) fn candidates(index: &[u8], blobs: &mut impl Blobs) -> Result<Vec<Candidate>, ImageError> {
    let entries = parse_index(index)
        .map_err(|fault| ImageError::Document { what: "`index.json`".to_owned(), fault })?;
    let mut walk = Walk { blobs, found: Vec::new(), seen: 0 };
    for entry in entries {
        let names = names(&entry.descriptor);
        walk.entry(&entry, &names, None, 1)?;
    }
    Ok(walk.found)
}

fn names(descriptor: &Descriptor) -> BTreeSet<String> {
    NAMES.iter().filter_map(|key| descriptor.annotations.get(*key)).cloned().collect()
}

struct Walk<'a, B> {
    blobs: &'a mut B,
    found: Vec<Candidate>,
    seen: usize,
}

impl<B: Blobs> Walk<'_, B> {
    fn entry(
        &mut self,
        entry: &IndexEntry,
        names: &BTreeSet<String>,
        index: Option<&[u8]>,
        depth: usize,
    ) -> Result<(), ImageError> {
        let descriptor = &entry.descriptor;
        let is_index = [OCI_INDEX, DOCKER_INDEX].contains(&descriptor.media_type.as_str());
        let is_manifest = [OCI_MANIFEST, DOCKER_MANIFEST].contains(&descriptor.media_type.as_str());
        if !is_index && !is_manifest || descriptor.artifact_type.is_some() {
            return Ok(());
        }
        self.seen += 1;
        let what = format!("{} {}", if is_index { "the index" } else { "the manifest" }, descriptor.digest);
        let document = |fault| ImageError::Document { what: what.clone(), fault };
        if self.seen > MAX_MANIFESTS || depth > MAX_DEPTH {
            let fault = ImageFault::TooMany { what: "manifests", found: self.seen, limit: MAX_MANIFESTS };
            return Err(document(fault));
        }
        // Of an index of many platforms, often only one is there.
        let Some(bytes) = checked(self.blobs, &what, descriptor)? else { return Ok(()) };
        if is_index {
            for child in parse_index(&bytes).map_err(document)? {
                self.entry(&child, names, Some(&bytes), depth + 1)?;
            }
            return Ok(());
        }
        let parsed = match ImageManifest::parse(&bytes) {
            // A model, a signature, a build record.
            Err(ImageFault::Type { .. }) => return Ok(()),
            parsed => parsed.map_err(document)?,
        };
        let what = format!("the configuration {}", parsed.config.digest);
        let Some(config) = checked(self.blobs, &what, &parsed.config)? else { return Ok(()) };
        let config = match ImageConfig::parse(&config) {
            // A build record again, which calls itself an image.
            Err(ImageFault::Platform(_)) => return Ok(()),
            config => config.map_err(|fault| ImageError::Document { what, fault })?,
        };
        if let Some(known) = self.found.iter_mut().find(|known| known.digest == descriptor.digest) {
            known.names.extend(names.iter().cloned());
            return Ok(());
        }
        self.found.push(Candidate {
            names: names.clone(),
            index: index.map(<[u8]>::to_vec),
            manifest: bytes,
            digest: descriptor.digest,
            parsed,
            config,
        });
        Ok(())
    }
}

/// A document with the length and digest that its descriptor says.
fn checked(
    blobs: &mut impl Blobs,
    what: &str,
    descriptor: &Descriptor,
) -> Result<Option<Vec<u8>>, ImageError> {
    let Some(bytes) = blobs.document(&descriptor.digest)? else { return Ok(None) };
    let (what, found) = (what.to_owned(), bytes.len() as u64);
    if found != descriptor.size {
        return Err(ImageError::Size { what, expected: descriptor.size, found });
    }
    let found = sha256(&bytes);
    if found != descriptor.digest {
        return Err(ImageError::Digest { what, expected: descriptor.digest, found });
    }
    Ok(Some(bytes))
}

/// The one that is wanted.
pub(crate) fn choose(candidates: Vec<Candidate>, wanted: &Wanted) -> Result<Candidate, ImageError> {
    let all: Vec<_> = candidates.iter().map(Candidate::label).collect();
    let named: Vec<_> = candidates.into_iter().filter(|candidate| candidate.is_wanted(wanted)).collect();
    let rank = |candidate: &Candidate| match &wanted.platform {
        Some(platform) => candidate.config.platform.serves(platform),
        None => Some(0),
    };
    let best = named.iter().filter_map(rank).min();
    let mut fitting: Vec<_> =
        named.into_iter().filter(|candidate| best.is_some() && rank(candidate) == best).collect();
    match (fitting.pop(), fitting.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(one), false) => {
            fitting.push(one);
            Err(ImageError::Several { found: fitting.iter().map(Candidate::label).collect() })
        }
        (None, _) => Err(no_image(wanted, all)),
    }
}

/// The error when nothing fits.
pub(crate) fn no_image(wanted: &Wanted, found: Vec<String>) -> ImageError {
    let name = wanted.name.as_ref().map(|name| format!("`{}`", name.escape_debug()));
    let platform = wanted.platform.as_ref().map(|platform| format!("for {platform}"));
    let wanted: Vec<_> = name.into_iter().chain(platform).collect();
    ImageError::NoImage { wanted: wanted.join(" "), found }
}

/// Takes in configuration and layers of an image, and checks each.
pub(crate) fn stage(candidate: Candidate, blobs: &mut impl Blobs) -> Result<StagedImage, ImageError> {
    let Candidate { names, index, manifest, digest, parsed, config } = candidate;
    let (layers, diff_ids) = (parsed.layers.len(), config.diff_ids.len());
    if layers != diff_ids {
        let what = format!("the manifest {digest}");
        return Err(ImageError::Document { what, fault: ImageFault::Layers { layers, diff_ids } });
    }
    let mut pieces = BTreeMap::new();
    let piece = blobs.piece("the configuration", &parsed.config)?;
    pieces.insert(piece.digest, piece);
    // A layer may be named many times; once is enough to unpack it.
    let mut checked = BTreeSet::new();
    let lengths: BTreeMap<Sha256, u64> =
        parsed.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    let mut budget = layer::Budget::of(lengths.into_values());
    for (number, (layer, diff_id)) in (1..).zip(parsed.layers.iter().zip(&config.diff_ids)) {
        let piece = match pieces.entry(layer.digest) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(blobs.piece(&format!("layer {number}"), layer)?),
        };
        if checked.insert((layer.digest, *diff_id)) {
            layer::check(number, piece, diff_id, &mut budget)?;
        }
    }
    StagedImage::new(names, index, manifest, parsed, config, pieces)
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(Hasher::digest(bytes).into())
}
