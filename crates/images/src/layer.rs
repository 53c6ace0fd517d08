//! Layers: which form they have, and whether they are those that the configuration names.

use crate::error::ImageError;
use crate::piece::Piece;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::Descriptor;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// A layer that is not compressed (image-spec 1.1, `layer.md`).
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const TAR_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// What is compressed may grow to this in any case, and beyond it to [`GROWTH`] times its length: layers of program files
/// shrink to a third, and some hold a file of zeros.
const FLOOR: u64 = 1 << 30;
const GROWTH: u64 = 200;
/// All layers of an image together may grow to this in any case, and beyond it to [`IMAGE_GROWTH`] times what their lengths
/// add up to. Images of inference engines grow to three times, those with models in them hardly.
const IMAGE_FLOOR: u64 = 4 << 30;
const IMAGE_GROWTH: u64 = 50;

/// How the bytes of a layer are packed, by their first bytes. Media types are not asked: tools write wrong ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Form {
    /// By the first bytes of a layer: the magic numbers of RFC 1952 and RFC 8878.
    pub(crate) fn of(mut layer: impl Read) -> io::Result<Self> {
        let mut magic = Vec::new();
        layer.by_ref().take(4).read_to_end(&mut magic)?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::Plain,
        })
    }
}

/// Checks that layer `number` (from 1) is the one that the configuration names by `diff_id`, and gives its form.
///
/// A layer that is compressed with zstd is not decompressed: its own digest stands in the manifest, and an engine that
/// takes it checks the rest.
pub(crate) fn check(
    number: usize,
    layer: &Piece,
    diff_id: &Sha256,
    budget: &mut Budget,
) -> Result<Form, ImageError> {
    if layer.digest == *diff_id {
        return Ok(Form::Plain);
    }
    let what = format!("layer {number}");
    let form = Form::of(layer.reader()).map_err(|error| ImageError::read(&what, error))?;
    let found = match form {
        Form::Plain => layer.digest,
        Form::Zstd => return Ok(form),
        Form::Gzip => hash_gzip(&what, layer.reader(), limit(layer.size), budget)?,
    };
    if found == *diff_id {
        return Ok(form);
    }
    Err(ImageError::OtherLayer { number, expected: *diff_id, found })
}

/// To how many bytes so many compressed ones may grow.
pub(crate) fn limit(packed: u64) -> u64 {
    FLOOR.max(packed.saturating_mul(GROWTH))
}

/// What the layers of one image may still grow to, all together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    /// For layers of these lengths; each layer is named once.
    pub(crate) fn of(lengths: impl Iterator<Item = u64>) -> Self {
        let packed = lengths.fold(0, u64::saturating_add);
        Self::new(IMAGE_FLOOR.max(packed.saturating_mul(IMAGE_GROWTH)))
    }

    const fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    /// Bytes that are left.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Takes so many bytes of it.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), ImageError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| ImageError::TooLarge {
            what: "the image, all layers together,".to_owned(),
            limit: self.limit,
        })?;
        Ok(())
    }
}

fn hash_gzip(what: &str, layer: impl Read, limit: u64, budget: &mut Budget) -> Result<Sha256, ImageError> {
    let mut decoder = MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, layer));
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0u64;
    loop {
        let read = match decoder.read(&mut buffer) {
            Ok(0) => return Ok(Sha256::from_bytes(hasher.finalize().into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ImageError::Compression { what: what.to_owned(), source }),
        };
        size += read as u64;
        if size > limit {
            return Err(ImageError::TooLarge { what: what.to_owned(), limit });
        }
        budget.spend(read as u64)?;
        hasher.update(&buffer[..read]);
    }
}

/// How a manifest of sovai's making names a layer.
pub(crate) fn descriptor(layer: &Piece, form: Form) -> Descriptor {
    let media_type = match form {
        Form::Plain => TAR,
        Form::Gzip => TAR_GZIP,
        Form::Zstd => TAR_ZSTD,
    };
    Descriptor {
        media_type: media_type.to_owned(),
        artifact_type: None,
        digest: layer.digest,
        size: layer.size,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::gzip;

    #[test]
    fn what_is_compressed_may_not_grow_without_measure() {
        assert_eq!(limit(10), 1 << 30);
        assert_eq!(limit(1 << 30), 200 << 30);
        assert_eq!(limit(u64::MAX), u64::MAX);
        let packed = gzip(&vec![0; 100_000]);
        assert!(packed.len() < 1000);
        let hash = |limit| hash_gzip("x", packed.as_slice(), limit, &mut Budget::new(u64::MAX));
        hash(100_000).unwrap();
        let error = hash(99_999).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { limit: 99_999, .. }), "{error}");
    }

    #[test]
    fn all_layers_together_may_not_grow_without_measure() {
        assert_eq!(Budget::of([1, 2].into_iter()).left, 4 << 30);
        assert_eq!(Budget::of([1 << 30, 1 << 30].into_iter()).left, 100 << 30);
        assert_eq!(Budget::of([u64::MAX, 1].into_iter()).left, u64::MAX);
        // 512 layers of 1 MiB each, in less than 1 KiB of gzip.
        let mut budget = Budget::new(3_500_000);
        let packed = gzip(&vec![0; 1 << 20]);
        for _ in 0..3 {
            hash_gzip("x", packed.as_slice(), u64::MAX, &mut budget).unwrap();
        }
        let error = hash_gzip("x", packed.as_slice(), u64::MAX, &mut budget).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { limit: 3_500_000, .. }), "{error}");
    }

    #[test]
    fn the_form_follows_from_the_first_bytes() {
        let of = |bytes: &[u8]| Form::of(bytes).unwrap();
        assert_eq!(of(&gzip(b"x")), Form::Gzip);
        assert_eq!(of(&[0x28, 0xb5, 0x2f, 0xfd, 0]), Form::Zstd);
        for plain in [b"".as_slice(), b"\x1f", b"file name"] {
            assert_eq!(of(plain), Form::Plain);
        }
    }
}
