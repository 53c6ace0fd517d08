//! The gateway's image, made of one binary: an archive as `docker save` writes it.
//!
//! The same binary always gives the same bytes and so the same image ID. The archive is an OCI image layout with the
//! `manifest.json` of Docker beside it, as Docker writes it since version 25; older engines read the latter, engines
//! with the containerd store the former.

use crate::engine::ImageInfo;
use serde::Deserialize;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::{ImageId, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Path of the binary in the image, and its entrypoint.
pub const BINARY: &str = "/sovai";

/// Images of sovai's own making carry this label; its value says which.
pub const IMAGE_LABEL: &str = "sovai.image";

/// Who runs it: neither root nor a user of the host (the number of `nonroot` in distroless images).
pub const USER: &str = "65532:65532";

/// The one time in it; a real one would give each build another ID.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Block size of tar; an archive ends with two blocks of zeros.
const BLOCK: usize = 512;

/// Largest text file in an archive that [`read_image`] takes.
const MAX_JSON: u64 = 1 << 20;

/// The gateway's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayImage {
    /// What the engine loads.
    pub archive: Vec<u8>,
    /// The ID that engines give it: the digest of its configuration.
    pub id: ImageId,
    /// The ID on engines with the containerd store: the digest of its manifest.
    pub manifest_id: ImageId,
    /// `sovai/gateway:<first 12 digits of the ID>`.
    pub tag: String,
}

/// The parts of the image save the binary, which is large.
struct Parts {
    header: [u8; BLOCK],
    layer: Sha256,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Parts {
    fn new(binary: &[u8], arch: &str) -> Self {
        let header = entry(BINARY.trim_start_matches('/'), binary.len(), 0o555);
        let mut hasher = Hasher::new();
        hasher.update(header);
        hasher.update(binary);
        hasher.update(&[0u8; BLOCK][..padding(binary.len())]);
        hasher.update([0u8; 2 * BLOCK]);
        let layer = Sha256::from_bytes(hasher.finalize().into());
        let config = serde_json::json!({
            "architecture": arch,
            "config": {
                "Entrypoint": [BINARY],
                "Env": ["PATH=/"],
                "Labels": { IMAGE_LABEL: "gateway" },
                "User": USER,
                "WorkingDir": "/"
            },
            "created": CREATED,
            "history": [{ "created": CREATED, "created_by": "sovai" }],
            "os": "linux",
            "rootfs": { "diff_ids": [layer.to_string()], "type": "layers" }
        })
        .to_string()
        .into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(&config).to_string(),
                "size": config.len()
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.to_string(),
                "size": layer_size(binary.len())
            }]
        })
        .to_string()
        .into_bytes();
        Self { header, layer, config, manifest }
    }
}

/// The ID of the gateway's image for this binary, without making it. `arch` as image platforms name it: `amd64`.
pub fn gateway_id(binary: &[u8], arch: &str) -> ImageId {
    ImageId(digest(&Parts::new(binary, arch).config))
}

/// Makes the gateway's image. Takes as much memory again as the binary has.
pub fn gateway_archive(binary: &[u8], arch: &str) -> GatewayImage {
    let parts = Parts::new(binary, arch);
    let (config, manifest) = (digest(&parts.config), digest(&parts.manifest));
    let version = config.short();
    let tag = gateway_tag(ImageId(config));
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest.to_string(),
            "size": parts.manifest.len(),
            "annotations": {
                "io.containerd.image.name": format!("docker.io/{tag}"),
                "org.opencontainers.image.ref.name": version
            }
        }]
    })
    .to_string();
    let docker = serde_json::json!([{
        "Config": blob(&config),
        "RepoTags": [tag],
        "Layers": [blob(&parts.layer)]
    }])
    .to_string();
    let layer = layer_size(binary.len());
    let texts = [
        (blob(&config), parts.config.as_slice()),
        (blob(&manifest), parts.manifest.as_slice()),
        ("index.json".to_owned(), index.as_bytes()),
        ("manifest.json".to_owned(), docker.as_bytes()),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()),
    ];
    // Its size is known, so that it never grows by being copied.
    let size = texts.iter().map(|(_, text)| BLOCK + text.len() + padding(text.len())).sum::<usize>()
        + BLOCK
        + layer
        + padding(layer)
        + 2 * BLOCK;
    let mut archive = Vec::with_capacity(size);
    for (path, text) in &texts {
        archive.extend_from_slice(&entry(path, text.len(), 0o444));
        archive.extend_from_slice(text);
        pad(&mut archive);
    }
    archive.extend_from_slice(&entry(&blob(&parts.layer), layer, 0o444));
    archive.extend_from_slice(&parts.header);
    archive.extend_from_slice(binary);
    pad(&mut archive);
    archive.extend_from_slice(&[0; 2 * BLOCK]);
    archive.extend_from_slice(&[0; 2 * BLOCK]);
    GatewayImage { archive, id: ImageId(config), manifest_id: ImageId(manifest), tag }
}

/// The name under which the gateway's image is loaded: `sovai/gateway:<first 12 digits of the ID>`.
pub fn gateway_tag(id: ImageId) -> String {
    format!("sovai/gateway:{}", id.0.short())
}

/// Bytes of the layer: header, binary, padding, end.
const fn layer_size(binary: usize) -> usize {
    BLOCK + binary + padding(binary) + 2 * BLOCK
}

/// Bytes of zeros up to the next block.
const fn padding(size: usize) -> usize {
    size.next_multiple_of(BLOCK) - size
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

/// A header with nothing in it that differs between two builds.
fn entry(path: &str, size: usize, mode: u32) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    // Paths here are of ASCII and shorter than the 100 bytes that the field holds.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    *header.as_bytes()
}

fn blob(digest: &Sha256) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(Hasher::digest(bytes).into())
}

/// One entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct SavedConfig {
    architecture: String,
    os: String,
    #[serde(default)]
    config: RunConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig {
    labels: Option<BTreeMap<String, String>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
}

/// What an engine would know of the one image in an archive; for the fake one.
pub(crate) fn read_image(archive: &[u8]) -> io::Result<ImageInfo> {
    let mut texts = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        if entry.header().size()? <= MAX_JSON {
            let path = entry.path()?.to_string_lossy().into_owned();
            let mut text = Vec::new();
            entry.take(MAX_JSON).read_to_end(&mut text)?;
            texts.insert(path, text);
        }
    }
    let missing =
        |path: &str| io::Error::new(io::ErrorKind::NotFound, format!("{path} is not in the archive"));
    let list = texts.get("manifest.json").ok_or_else(|| missing("manifest.json"))?;
    let mut list: Vec<SavedImage> = serde_json::from_slice(list)?;
    let saved = list.pop().filter(|_| list.is_empty()).ok_or_else(|| missing("exactly one image"))?;
    let bytes = texts.get(&saved.config).ok_or_else(|| missing(&saved.config))?;
    let config: SavedConfig = serde_json::from_slice(bytes)?;
    Ok(ImageInfo {
        id: ImageId(digest(bytes)),
        tags: saved.repo_tags.unwrap_or_default(),
        repo_digests: Vec::new(),
        os: config.os,
        arch: config.architecture,
        labels: config.config.labels.unwrap_or_default(),
        volumes: config.config.volumes.unwrap_or_default().into_keys().collect(),
        size: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_bytes_and_another_one_another_id() {
        let one = gateway_archive(b"binary", "amd64");
        assert_eq!(one, gateway_archive(b"binary", "amd64"));
        assert_eq!(one.id, gateway_id(b"binary", "amd64"));
        assert_ne!(one.id, gateway_id(b"binarx", "amd64"));
        assert_ne!(one.id, gateway_id(b"binary", "arm64"));
        assert_eq!(one.tag, format!("sovai/gateway:{}", one.id.0.short()));
        assert_eq!(one.archive.len(), one.archive.capacity());
    }

    #[test]
    fn every_digest_in_it_is_that_of_what_it_names() {
        for size in [0, 1, 511, 512, 513, 70_000] {
            let binary = vec![7; size];
            let image = gateway_archive(&binary, "amd64");
            let mut names = Vec::new();
            for entry in tar::Archive::new(image.archive.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                if let Some(hex) = name.strip_prefix("blobs/sha256/") {
                    assert_eq!(digest(&bytes).hex(), hex);
                }
                names.push((name, bytes));
            }
            assert_eq!(names.len(), 6);
            assert!(names.iter().any(|(name, _)| *name == blob(&image.id.0)));
            assert!(names.iter().any(|(name, _)| *name == blob(&image.manifest_id.0)));
            let layer = &names[5].1;
            let mut files = tar::Archive::new(layer.as_slice());
            let mut entries = files.entries().unwrap();
            let mut file = entries.next().unwrap().unwrap();
            assert_eq!(file.path().unwrap().to_str(), Some("sovai"));
            assert_eq!(file.header().mode().unwrap(), 0o555);
            assert_eq!(file.header().mtime().unwrap(), 0);
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert_eq!(content, binary);
            assert!(entries.next().is_none());
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let image = gateway_archive(b"binary", "arm64");
        let read = read_image(&image.archive).unwrap();
        assert_eq!(read.id, image.id);
        assert_eq!(read.tags, [image.tag]);
        assert_eq!((read.os.as_str(), read.arch.as_str()), ("linux", "arm64"));
        assert_eq!(read.labels[IMAGE_LABEL], "gateway");
        assert!(read_image(b"").is_err());
        assert!(read_image(&image.archive[..4000]).is_err());
    }
}
