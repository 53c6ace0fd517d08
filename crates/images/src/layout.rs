//! An OCI image layout: a folder with `oci-layout`, `index.json` and `blobs/` (image-spec 1.1, `image-layout.md`).

use crate::Wanted;
use crate::error::ImageError;
use crate::oci::{self, Blobs};
use crate::piece::{Intake, Piece};
use crate::staged::StagedImage;
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use sovai_core::Sha256;
use sovai_store::image::MAX_DOCUMENT;
use sovai_store::{Descriptor, Store, read_bounded};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

/// Reads one image of the OCI layout in `folder` into the store's temporary folder.
///
/// Every file is hashed while it is copied, also when the store has it already. Links among them are not followed.
pub fn read_layout(store: &Store, folder: &Path, wanted: &Wanted) -> Result<StagedImage, ImageError> {
    let (index, mut blobs) = open(store, folder)?;
    let candidates = oci::candidates(&index, &mut blobs)?;
    oci::stage(oci::choose(candidates, wanted)?, &mut blobs)
}

/// The bytes of `index.json`, and the folder's blobs.
fn open<'a>(store: &'a Store, folder: &Path) -> Result<(Vec<u8>, Folder<'a>), ImageError> {
    let not = |reason: &str| ImageError::NotALayout { path: folder.to_owned(), reason: reason.to_owned() };
    let version = read_bounded(&folder.join("oci-layout"), MAX_DOCUMENT)?;
    let version = version.ok_or_else(|| not("it has no file `oci-layout`"))?;
    let version: Version = serde_json::from_slice(&version).map_err(|_| not("`oci-layout` is not JSON"))?;
    check_version(&version.image_layout_version).map_err(|()| not("its version is not 1"))?;
    let index = read_bounded(&folder.join("index.json"), MAX_DOCUMENT)?;
    let index = index.ok_or_else(|| not("it has no file `index.json`"))?;
    Ok((index, Folder { intake: Intake::new(store), folder: folder.join("blobs/sha256") }))
}

/// Bytes of the layers of one image of the OCI layout in `folder`, each once, as its manifest has them; no layer is read.
pub fn size_in_layout(store: &Store, folder: &Path, wanted: &Wanted) -> Result<u64, ImageError> {
    let (index, mut blobs) = open(store, folder)?;
    let image = oci::choose(oci::candidates(&index, &mut blobs)?, wanted)?;
    let layers: BTreeMap<Sha256, u64> =
        image.parsed.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    Ok(layers.values().fold(0, |sum, size| sum.saturating_add(*size)))
}

/// Versions of the layout are `1.0.0` so far.
pub(crate) fn check_version(version: &str) -> Result<(), ()> {
    if version.split('.').next() == Some("1") { Ok(()) } else { Err(()) }
}

struct Folder<'a> {
    intake: Intake<'a>,
    folder: PathBuf,
}

impl Blobs for Folder<'_> {
    fn document(&mut self, digest: &Sha256) -> Result<Option<Vec<u8>>, ImageError> {
        Ok(read_bounded(&self.folder.join(digest.hex()), MAX_DOCUMENT)?)
    }

    fn piece(&mut self, what: &str, descriptor: &Descriptor) -> Result<Piece, ImageError> {
        let path = self.folder.join(descriptor.digest.hex());
        let name = format!("{what}, `{}`", path.display());
        // A FIFO would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Err(ImageError::missing(name)),
            Err(error) => return Err(ImageError::read(name, error.into())),
        };
        let metadata = file.metadata().map_err(|error| ImageError::read(&name, error))?;
        if !metadata.is_file() {
            return Err(ImageError::missing(name));
        }
        if metadata.len() != descriptor.size {
            let (expected, found) = (descriptor.size, metadata.len());
            return Err(ImageError::Size { what: name, expected, found });
        }
        let piece = self.intake.take(&name, &file, descriptor.size)?;
        if piece.digest != descriptor.digest {
            let (expected, found) = (descriptor.digest, piece.digest);
            return Err(ImageError::Digest { what: name, expected, found });
        }
        Ok(piece)
    }
}
