//! A docker archive, streamed from the blobs of the store.

use crate::error::ImageError;
use crate::has_tag;
use crate::layer::Form;
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::{Descriptor, Store, StoredImage};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};

/// Block size of tar.
const BLOCK: usize = 512;
const BUFFER: usize = 128 << 10;

/// Under which names an engine gets an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(Vec<String>);

impl Tags {
    /// The tags of references: one without a tag is `latest`, one with a digest is none, for no tag leads to it.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        let tags = references.into_iter().filter(|reference| !reference.contains('@')).map(|reference| {
            if has_tag(reference) { reference.to_owned() } else { format!("{reference}:latest") }
        });
        Self(tags.collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// Writes an image of the store as a docker archive, in one pass and constant memory: what `docker load` takes since
/// version 1.10, and with the manifest beside it what engines with the containerd store take.
///
/// Layers go as they are; compressed with gzip they are taken by `docker load`, with zstd they are not: an
/// [`ImageError::Zstd`], before the first byte. All bytes are hashed on their way: when one is wrong, this fails before
/// the archive is complete, and the engine loads nothing.
pub fn write_docker_archive(
    store: &Store,
    image: &StoredImage,
    tags: &Tags,
    mut out: impl Write,
) -> Result<(), ImageError> {
    for (number, layer) in (1..).zip(&image.layers) {
        let form = Form::of(open(store, &layer.digest)?);
        if form.map_err(|error| ImageError::read(format!("layer {number}"), error))? == Form::Zstd {
            return Err(ImageError::Zstd { number });
        }
    }
    let config = store.document(&image.config.digest)?;
    let manifest = store.document(&image.manifest.digest)?;
    let entries: Vec<_> = entries(image, tags);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    });
    let layers: Vec<_> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
    let saved = json!([{ "Config": path(&image.config.digest), "RepoTags": tags.0, "Layers": layers }]);
    let texts = [
        (path(&image.config.digest), config.as_slice()),
        (path(&image.manifest.digest), manifest.as_slice()),
        ("index.json".to_owned(), index.to_string().as_bytes()),
        ("manifest.json".to_owned(), saved.to_string().as_bytes()),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()),
    ]
    .map(|(path, text)| (path, text.to_vec()));
    for (path, text) in texts {
        header(&path, text.len() as u64, &mut out)?;
        out.write_all(&text).map_err(ImageError::Write)?;
        pad(text.len() as u64, &mut out)?;
    }
    let mut written = BTreeSet::from([image.config.digest, image.manifest.digest]);
    for (number, layer) in (1..).zip(&image.layers) {
        if written.insert(layer.digest) {
            copy(store, number, layer, &mut out)?;
        }
    }
    out.write_all(&[0; 2 * BLOCK]).and_then(|()| out.flush()).map_err(ImageError::Write)
}

/// The entries of `index.json`: one a name, as Docker writes them.
fn entries(image: &StoredImage, tags: &Tags) -> Vec<serde_json::Value> {
    let entry = |tag: Option<&String>| {
        let mut entry = json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.size,
        });
        if let Some(tag) = tag {
            let short = tag.rsplit(':').next().unwrap_or(tag);
            entry["annotations"] = json!({
                "io.containerd.image.name": tag,
                "org.opencontainers.image.ref.name": short,
            });
        }
        entry
    };
    if tags.0.is_empty() { vec![entry(None)] } else { tags.0.iter().map(|tag| entry(Some(tag))).collect() }
}

fn copy(store: &Store, number: usize, layer: &Descriptor, out: &mut impl Write) -> Result<(), ImageError> {
    let what = format!("layer {number}, `{}`", store.blob(&layer.digest).display());
    let mut input = open(store, &layer.digest)?.take(layer.size.saturating_add(1));
    header(&path(&layer.digest), layer.size, out)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut found = 0u64;
    loop {
        let read = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| ImageError::read(&what, error))?,
        };
        found += read as u64;
        if found > layer.size || (read == 0 && found < layer.size) {
            return Err(ImageError::Size { what, expected: layer.size, found });
        }
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read]).map_err(ImageError::Write)?;
    }
    let digest = Sha256::from_bytes(hasher.finalize().into());
    if digest != layer.digest {
        return Err(ImageError::Digest { what, expected: layer.digest, found: digest });
    }
    pad(layer.size, out)
}

pub(crate) fn open(store: &Store, digest: &Sha256) -> Result<File, ImageError> {
    let path = store.blob(digest);
    let what = format!("`{}`", path.display());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(rustix::io::Errno::NOENT) => Err(ImageError::missing(what)),
        Err(error) => Err(ImageError::read(what, error.into())),
    }
}

fn path(digest: &Sha256) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The header of a file; nothing in it differs between two writings of one image.
fn header(path: &str, size: u64, out: &mut impl Write) -> Result<(), ImageError> {
    // Not the older form: a length of 8 GiB and more does not fit into that.
    let mut header = tar::Header::new_gnu();
    header.set_path(path).map_err(ImageError::Write)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o444);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    out.write_all(header.as_bytes()).map_err(ImageError::Write)
}

/// Zeros up to the next block.
fn pad(size: u64, out: &mut impl Write) -> Result<(), ImageError> {
    let zeros = [0; BLOCK];
    let length = usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or(0);
    out.write_all(&zeros[..length]).map_err(ImageError::Write)
}
