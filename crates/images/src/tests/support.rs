//! Images and archives for the tests.

use crate::{ImageError, StagedImage, Wanted, read_archive};
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_store::{Store, StoredImage};
use std::io::Write as _;
use std::path::Path;

pub(super) fn sha(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

/// One entry of an archive.
pub(super) enum Entry {
    File(String, Vec<u8>),
    Link(String, String),
    Other(String, tar::EntryType),
}

pub(super) fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Entry {
    Entry::File(name.to_owned(), bytes.into())
}

/// A name as it is, also one that `tar` would not write.
fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

pub(super) fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        match entry {
            Entry::File(name, bytes) => {
                let mut header = header(name, tar::EntryType::Regular, bytes.len() as u64);
                header.set_cksum();
                builder.append(&header, bytes.as_slice()).unwrap();
            }
            Entry::Link(name, target) => {
                let mut header = header(name, tar::EntryType::Symlink, 0);
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                header.set_cksum();
                builder.append(&header, std::io::empty()).unwrap();
            }
            Entry::Other(name, kind) => {
                let mut header = header(name, *kind, 0);
                header.set_cksum();
                builder.append(&header, std::io::empty()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// A layer with one file.
pub(super) fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    archive(&[file(name, content)])
}

pub(super) fn config(architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| sha(layer)).collect();
    let text = json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/a"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": layers.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
    });
    // Not as a serialiser would write it: the bytes are to be kept, not the meaning.
    format!(" {text}\n").into_bytes()
}

/// The old form of `docker save`, `manifest.json` last.
pub(super) fn docker(tag: &str, layers: &[&[u8]]) -> Vec<Entry> {
    let config = config("amd64", layers);
    docker_with(tag, &config, layers)
}

pub(super) fn docker_with(tag: &str, config: &[u8], layers: &[&[u8]]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut paths = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let folder = format!("{number:064x}");
        entries.push(Entry::Other(format!("{folder}/"), tar::EntryType::Directory));
        entries.push(file(&format!("{folder}/VERSION"), "1.0"));
        entries.push(file(&format!("{folder}/json"), "{}"));
        entries.push(file(&format!("{folder}/layer.tar"), *layer));
        paths.push(format!("{folder}/layer.tar"));
    }
    let name = format!("{}.json", sha(config).hex());
    entries.push(file(&name, config));
    let saved = json!([{"Config": name, "RepoTags": [tag], "Layers": paths}]);
    entries.push(file("manifest.json", saved.to_string()));
    entries.push(file("repositories", "{}"));
    entries
}

pub(super) fn read(store: &Store, entries: &[Entry]) -> Result<StagedImage, ImageError> {
    read_archive(store, archive(entries).as_slice(), &Wanted::default())
}

pub(super) fn commit(store: &Store, image: StagedImage, name: &str) -> StoredImage {
    let lock = store.lock("test").unwrap();
    image.commit(store, &lock, Some(name)).unwrap()
}

pub(super) fn wanted(name: &str) -> Wanted {
    Wanted { name: Some(name.to_owned()), platform: None }
}

/// Nothing is in the store, and nothing is on its way.
pub(super) fn assert_empty(store: &Store) {
    for folder in ["blobs/sha256", "tmp"] {
        let left: Vec<_> = fs_err::read_dir(store.root().join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
    assert_eq!(store.index().unwrap(), []);
}

/// Writes an OCI layout; `images` are (name, platform, layers as they lie there, layers not compressed).
pub(super) fn layout(folder: &Path, blobs: &[&[u8]], index: &Value) {
    let at = folder.join("blobs/sha256");
    fs_err::create_dir_all(&at).unwrap();
    fs_err::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for blob in blobs {
        fs_err::write(at.join(sha(blob).hex()), blob).unwrap();
    }
    fs_err::write(folder.join("index.json"), index.to_string()).unwrap();
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha(bytes), "size": bytes.len()})
}
