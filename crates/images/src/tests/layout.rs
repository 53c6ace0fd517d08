//! OCI layouts in folders, good and hostile.

use super::support::{assert_empty, commit, config, descriptor, gzip, layer, layout, sha, store, wanted};
use crate::{ImageError, Wanted, read_layout};
use serde_json::{Value, json};
use std::path::Path;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Manifest, configuration and layer of an image.
struct Made {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

fn made(architecture: &str, content: &[u8]) -> Made {
    let plain = layer("a", content);
    let (config, layer) = (config(architecture, &[&plain]), gzip(&plain));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config), "layers": [descriptor(LAYER, &layer)],
        "annotations": {"kept": "as it is"},
    });
    Made { manifest: format!("{manifest:#}").into_bytes(), config, layer }
}

impl Made {
    fn blobs(&self) -> [&[u8]; 3] {
        [&self.manifest, &self.config, &self.layer]
    }
}

fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "manifests": manifests})
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

#[test]
fn an_image_keeps_all_its_digests() {
    let (dir, store) = store();
    let image = made("amd64", b"content");
    let folder = dir.path().join("layout");
    layout(&folder, &image.blobs(), &index(&[named(descriptor(MANIFEST, &image.manifest), "a/b:1")]));
    for wanted in [Wanted::default(), wanted("a/b:1"), wanted(&sha(&image.config).to_string())] {
        let staged = read_layout(&store, &folder, &wanted).unwrap();
        assert_eq!(staged.manifest(), sha(&image.manifest));
        let stored = commit(&store, staged, "a/b:1");
        assert_eq!(stored.layers[0].media_type, LAYER);
        assert!(image.blobs().iter().all(|blob| fs_err::read(store.blob(&sha(blob))).unwrap() == *blob));
    }
    // And our own store is a layout, from which another takes it.
    let (_dir, other) = super::support::store();
    let copy = read_layout(&other, store.root(), &wanted("a/b:1")).unwrap();
    assert_eq!(commit(&other, copy, "a/b:1"), store.images().unwrap()[0]);
}

#[test]
fn of_an_index_of_platforms_the_one_that_runs_is_taken_and_the_index_kept() {
    let (dir, store) = store();
    let (amd, arm) = (made("amd64", b"amd"), made("arm64", b"arm"));
    let nested = index(&[
        descriptor(MANIFEST, &amd.manifest),
        descriptor(MANIFEST, &arm.manifest),
        // A build record, and a platform that was not copied.
        json!({"mediaType": MANIFEST, "digest": sha(b"gone"), "size": 4, "platform": {"os": "linux", "architecture": "s390x"}}),
    ])
    .to_string()
    .into_bytes();
    let folder = dir.path().join("layout");
    let blobs: Vec<&[u8]> = amd.blobs().into_iter().chain(arm.blobs()).chain([nested.as_slice()]).collect();
    layout(&folder, &blobs, &index(&[named(descriptor(INDEX, &nested), "a:1")]));
    let platform =
        |text: &str| Wanted { name: Some("a:1".to_owned()), platform: Some(text.parse().unwrap()) };
    let staged = read_layout(&store, &folder, &platform("linux/arm64/v8")).unwrap();
    assert_eq!((staged.config(), staged.index()), (sha(&arm.config), Some(sha(&nested))));
    let stored = commit(&store, staged, "a:1");
    assert_eq!(stored.indexes, [sha(&nested)]);
    assert_eq!(store.image_by(&sha(&nested)).unwrap(), Some(stored));
    let error = read_layout(&store, &folder, &platform("linux/s390x")).unwrap_err();
    assert!(matches!(&error, ImageError::NoImage { found, .. } if found.len() == 2), "{error}");
    let error = read_layout(&store, &folder, &wanted("a:1")).unwrap_err();
    assert!(matches!(error, ImageError::Several { .. }), "{error}");
}

fn refused(folder: &Path) -> ImageError {
    let (_dir, store) = store();
    let error = read_layout(&store, folder, &Wanted::default()).unwrap_err();
    assert_empty(&store);
    error
}

#[test]
fn a_flipped_byte_anywhere_is_refused_and_nothing_stays() {
    let dir = tempfile::tempdir().unwrap();
    let image = made("amd64", b"content");
    layout(dir.path(), &image.blobs(), &index(&[descriptor(MANIFEST, &image.manifest)]));
    for blob in image.blobs() {
        let path = dir.path().join("blobs/sha256").join(sha(blob).hex());
        for at in [0, blob.len() / 2, blob.len() - 1] {
            let mut bytes = blob.to_vec();
            bytes[at] ^= 1;
            fs_err::write(&path, &bytes).unwrap();
            assert!(matches!(refused(dir.path()), ImageError::Digest { .. }), "{at}");
        }
        fs_err::write(&path, &blob[1..]).unwrap();
        assert!(matches!(refused(dir.path()), ImageError::Size { .. }));
        fs_err::write(&path, [blob, b"x"].concat()).unwrap();
        assert!(matches!(refused(dir.path()), ImageError::Size { .. }));
        fs_err::write(&path, blob).unwrap();
    }
    let (_dir, store) = store();
    read_layout(&store, dir.path(), &Wanted::default()).unwrap();
}

#[test]
fn links_and_special_files_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let image = made("amd64", b"content");
    layout(dir.path(), &image.blobs(), &index(&[descriptor(MANIFEST, &image.manifest)]));
    let path = dir.path().join("blobs/sha256").join(sha(&image.layer).hex());
    let outside = dir.path().join("outside");
    fs_err::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert!(matches!(refused(dir.path()), ImageError::Read { .. }));
    fs_err::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(matches!(refused(dir.path()), ImageError::Missing { .. }));
    fs_err::remove_file(&path).unwrap();
    assert!(matches!(refused(dir.path()), ImageError::Missing { .. }));
}

#[test]
fn what_is_no_layout_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refused(dir.path()), ImageError::NotALayout { .. }));
    layout(dir.path(), &[], &index(&[]));
    assert!(matches!(refused(dir.path()), ImageError::NoImage { .. }));
    for version in [r#"{"imageLayoutVersion":"2.0.0"}"#, "", "{}"] {
        fs_err::write(dir.path().join("oci-layout"), version).unwrap();
        assert!(matches!(refused(dir.path()), ImageError::NotALayout { .. }), "{version}");
    }
    // An index that leads to itself cannot be; one in one in one is deep enough.
    let mut text = index(&[]).to_string().into_bytes();
    let mut blobs = Vec::new();
    for _ in 0..10 {
        let next = index(&[descriptor(INDEX, &text)]).to_string().into_bytes();
        blobs.push(std::mem::replace(&mut text, next));
    }
    let blobs: Vec<_> = blobs.iter().map(Vec::as_slice).collect();
    layout(dir.path(), &blobs, &serde_json::from_slice(&text).unwrap());
    assert!(matches!(refused(dir.path()), ImageError::Document { .. }));
}

#[test]
fn models_and_signatures_beside_an_image_are_no_images() {
    let dir = tempfile::tempdir().unwrap();
    let image = made("amd64", b"content");
    let empty = b"{}".as_slice();
    let other = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("application/vnd.oci.empty.v1+json", empty), "layers": [],
    })
    .to_string()
    .into_bytes();
    let blobs: Vec<&[u8]> = image.blobs().into_iter().chain([other.as_slice(), empty]).collect();
    layout(
        dir.path(),
        &blobs,
        &index(&[descriptor(MANIFEST, &other), descriptor(MANIFEST, &image.manifest)]),
    );
    let (_dir, store) = store();
    let staged = read_layout(&store, dir.path(), &Wanted::default()).unwrap();
    assert_eq!(staged.config(), sha(&image.config));
}

#[test]
fn an_image_in_dockers_own_words_is_kept_as_it_is() {
    let (dir, store) = store();
    let plain = layer("a", b"content");
    let (config, packed) = (config("amd64", &[&plain]), gzip(&plain));
    let manifest_type = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &packed)],
    })
    .to_string()
    .into_bytes();
    let list = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [descriptor(manifest_type, &manifest)],
    })
    .to_string()
    .into_bytes();
    let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    let folder = dir.path().join("layout");
    layout(
        &folder,
        &[&manifest, &config, &packed, &list],
        &index(&[named(descriptor(list_type, &list), "a:1")]),
    );
    let staged = read_layout(&store, &folder, &wanted("a:1")).unwrap();
    let stored = commit(&store, staged, "a:1");
    assert_eq!((stored.manifest.digest, stored.config.digest), (sha(&manifest), sha(&config)));
    assert_eq!(
        (stored.manifest.media_type.as_str(), stored.indexes.as_slice()),
        (manifest_type, [sha(&list)].as_slice())
    );
    let mut archive = Vec::new();
    crate::write_docker_archive(&store, &stored, &crate::Tags::of(["a:1"]), &mut archive).unwrap();
    let (_dir, other) = super::support::store();
    let read = crate::read_archive(&other, archive.as_slice(), &wanted("a:1")).unwrap();
    assert_eq!((read.manifest(), read.config()), (sha(&manifest), sha(&config)));
}
