//! `skopeo` and `podman` read what is in a store, and what they write is read here. They are not asked to be there by a
//! switch: a test whose peer is missing fails.

use super::support::{commit, docker, layer, read, sha, store, wanted};
use crate::{ImageError, Tags, Wanted, read_archive, read_layout, write_docker_archive};
use serde_json::Value;
use sovai_core::{FilePin, RelPath};
use sovai_store::{ModelArtifact, Store, StoredImage};
use std::path::Path;
use std::process::{Command, Output};

const NAME: &str = "registry.example/engine:1";

fn try_run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("`{program}` must be installed for this test: {error}"))
}

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = try_run(program, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    output.stdout
}

fn skopeo(args: &[&str]) -> Vec<u8> {
    run("skopeo", &[&["--insecure-policy"], args].concat())
}

fn engine(store: &Store) -> StoredImage {
    let layers = [layer("a", b"one"), layer("b", b"two")];
    let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
    commit(store, read(store, &docker(NAME, &layers)).unwrap(), NAME)
}

/// `TRANSPORT:PATH:NAME`
fn at(transport: &str, path: &Path, name: &str) -> String {
    format!("{transport}:{}:{name}", path.display())
}

#[test]
fn skopeo_sees_an_image_of_the_store_with_its_digests() {
    let (_dir, store) = store();
    let image = engine(&store);
    let place = at("oci", store.root(), NAME);
    let seen: Value = serde_json::from_slice(&skopeo(&["inspect", &place])).unwrap();
    assert_eq!(seen["Digest"], image.manifest.digest.to_string());
    assert_eq!(seen["Architecture"], "amd64");
    let layers: Vec<_> = image.layers.iter().map(|layer| layer.digest.to_string()).collect();
    assert_eq!(seen["Layers"], serde_json::json!(layers));
    assert_eq!(sha(&skopeo(&["inspect", "--raw", &place])), image.manifest.digest);
    assert_eq!(sha(&skopeo(&["inspect", "--raw", "--config", &place])), image.config.digest);
}

#[test]
fn podman_pulls_an_image_of_the_store_and_gives_it_the_same_id() {
    // Podman names the image after the folder, and takes no capital letters there.
    let prefix = format!("sovai-images-{}", std::process::id());
    let dir = tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let image = engine(&store);
    let [root, run_root] = ["root", "run"].map(|name| {
        let path = dir.path().join(name);
        fs_err::create_dir(&path).unwrap();
        path.display().to_string()
    });
    let podman = |args: &[&str]| {
        // Storage of its own, in the form that needs no rights.
        let own = ["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"];
        run("podman", &[&own, ["--cgroup-manager=cgroupfs"].as_slice(), args].concat())
    };
    let id = String::from_utf8(podman(&["pull", "--quiet", &at("oci", store.root(), NAME)])).unwrap();
    assert_eq!(id.trim(), image.config.digest.hex());
    // And from the archive that engines get.
    let archive = dir.path().join("archive.tar");
    let mut file = fs_err::File::create(&archive).unwrap();
    write_docker_archive(&store, &image, &Tags::of([NAME]), &mut file).unwrap();
    podman(&["rmi", "--force", id.trim()]);
    podman(&["load", "--quiet", "--input", &archive.display().to_string()]);
    let loaded = podman(&["image", "inspect", "--format", "{{.Id}}", NAME]);
    assert_eq!(String::from_utf8(loaded).unwrap().trim(), image.config.digest.hex());
    podman(&["rmi", "--force", id.trim()]);
}

#[test]
fn skopeo_copies_a_model_of_the_store() {
    let (dir, store) = store();
    let files = [("model.gguf", b"weights".as_slice()), ("sub/config.json", b"{}"), ("LICENSE", b"free")];
    let pins = files.map(|(path, bytes)| FilePin {
        path: RelPath::new(path).unwrap(),
        size: bytes.len() as u64,
        sha256: store.put(bytes).unwrap(),
    });
    let model = ModelArtifact::new(&pins);
    store.put(&model.manifest).unwrap();
    store.put(&model.config).unwrap();
    store.add_to_index(&store.lock("test").unwrap(), &model.descriptor()).unwrap();
    engine(&store);
    let place = at("oci", store.root(), &model.digest.hex());
    assert_eq!(skopeo(&["inspect", "--raw", &place]), model.manifest);
    let copy = dir.path().join("copy");
    skopeo(&["copy", "--quiet", &place, &format!("dir:{}", copy.display())]);
    assert_eq!(sha(&fs_err::read(copy.join("manifest.json")).unwrap()), model.digest);
    for (_, bytes) in files {
        assert_eq!(fs_err::read(copy.join(sha(bytes).hex())).unwrap(), bytes);
    }
}

#[test]
fn what_skopeo_writes_is_read() {
    let (dir, store) = store();
    let image = engine(&store);
    let source = at("oci", store.root(), NAME);
    let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.digest).collect();
    let config = |store: &Store, staged: crate::StagedImage| {
        let stored = commit(store, staged, "copy:1");
        let bytes = store.document(&stored.config.digest).unwrap();
        (stored, sovai_store::image::ImageConfig::parse(&bytes).unwrap())
    };
    // The old form, with links in it.
    let archive = dir.path().join("docker.tar");
    skopeo(&["copy", "--quiet", &source, &at("docker-archive", &archive, "copy:1")]);
    let (_dir, other) = super::support::store();
    let bytes = fs_err::read(&archive).unwrap();
    let (_, read) = config(&other, read_archive(&other, bytes.as_slice(), &wanted("copy:1")).unwrap());
    assert_eq!(read.diff_ids, diff_ids);
    // A layout in a tar keeps all digests, and so does one in a folder.
    let archive = dir.path().join("oci.tar");
    skopeo(&["copy", "--quiet", &source, &at("oci-archive", &archive, "copy:1")]);
    let (_dir, other) = super::support::store();
    let bytes = fs_err::read(&archive).unwrap();
    let (stored, _) = config(&other, read_archive(&other, bytes.as_slice(), &wanted("copy:1")).unwrap());
    assert_eq!(stored.config.digest, image.config.digest);
    // Compressed on the way: other layers and another manifest, the same ID.
    let folder = dir.path().join("layout");
    skopeo(&["copy", "--quiet", "--dest-compress", &source, &at("oci", &folder, "copy:1")]);
    let (_dir, other) = super::support::store();
    let staged = read_layout(&other, &folder, &wanted("copy:1")).unwrap();
    let (stored, read) = config(&other, staged);
    assert_eq!((stored.config.digest, read.diff_ids), (image.config.digest, diff_ids));
    // And back: what we write of it is what skopeo reads.
    let archive = dir.path().join("ours.tar");
    let mut file = fs_err::File::create(&archive).unwrap();
    write_docker_archive(&other, &stored, &Tags::of(["copy:1"]), &mut file).unwrap();
    let place = at("docker-archive", &archive, "copy:1");
    assert_eq!(sha(&skopeo(&["inspect", "--raw", "--config", &place])), image.config.digest);
}

#[test]
fn a_flipped_byte_in_a_layer_is_seen_by_both() {
    let (dir, store) = store();
    let image = engine(&store);
    let path = store.blob(&image.layers[1].digest);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[513] ^= 1;
    sovai_store::atomic::write(&path, &bytes, 0o444).unwrap();
    let (_dir, other) = super::support::store();
    let error = read_layout(&other, store.root(), &Wanted::default()).unwrap_err();
    assert!(matches!(error, ImageError::Digest { .. }), "{error}");
    let copy = format!("dir:{}", dir.path().join("copy").display());
    let args = ["--insecure-policy", "copy", "--quiet", &at("oci", store.root(), NAME), &copy];
    assert!(!try_run("skopeo", &args).status.success());
}
