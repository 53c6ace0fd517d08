use super::*;
use serde_json::json;

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    Place { store, _dir: dir }
}

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

impl Place {
    /// A model of files, all in the store.
    fn model(&self, files: &[(&str, &str)]) -> (Sha256, Vec<FilePin>) {
        let pins: Vec<_> = files
            .iter()
            .map(|(path, content)| FilePin {
                path: RelPath::new(path).unwrap(),
                size: content.len() as u64,
                sha256: self.store.put(content.as_bytes()).unwrap(),
            })
            .collect();
        let artifact = ModelArtifact::new(&pins);
        self.store.put(&artifact.config).unwrap();
        self.store.put(&artifact.manifest).unwrap();
        let lock = self.store.lock("a test").unwrap();
        self.store.add_to_index(&lock, &artifact.descriptor()).unwrap();
        self.store.make_tree(&lock, &artifact.digest, &pins).unwrap();
        (artifact.digest, pins)
    }

    fn blob(&self, text: &str) -> Value {
        let digest = self.store.put(text.as_bytes()).unwrap();
        json!({ "mediaType": "x", "digest": digest, "size": text.len() })
    }

    /// An image for two platforms, of which the store has one: digests of index, manifest, config.
    fn image(&self) -> (Sha256, Sha256, Sha256) {
        let config = self.blob(r#"{"os":"linux"}"#);
        let manifest = json!({ "config": config, "layers": [self.blob("a layer")] }).to_string();
        let other = json!({ "mediaType": "x", "digest": digest(7), "size": 3 });
        let index = json!({ "manifests": [self.blob(&manifest), other] }).to_string();
        let digest = self.store.put(index.as_bytes()).unwrap();
        let entry: Descriptor = serde_json::from_value(json!({
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": index.len(),
            "annotations": { REF_NAME: "engine:1" },
        }))
        .unwrap();
        self.store.add_to_index(&self.store.lock("a test").unwrap(), &entry).unwrap();
        let config = config["digest"].as_str().unwrap().parse().unwrap();
        (digest, model::sha256(manifest.as_bytes()), config)
    }
}

fn wanting(names: impl IntoIterator<Item = Sha256>) -> Wanted {
    Wanted { names: names.into_iter().collect(), ..Wanted::default() }
}

#[test]
fn what_nothing_names_goes_and_what_is_shared_stays() {
    let place = place();
    let (kept, _) = place.model(&[("a", "alpha"), ("s", "shared")]);
    let (gone, _) = place.model(&[("b", "beta"), ("s", "shared")]);
    let marked = place.store.mark(&wanting([kept])).unwrap();
    assert_eq!(marked.entries, BTreeSet::from([gone]));
    assert_eq!(marked.trees, BTreeSet::from([gone]));
    let beta = model::sha256(b"beta");
    assert_eq!(marked.blobs.get(&beta), Some(&4));
    assert!(!marked.blobs.contains_key(&model::sha256(b"shared")));
    assert_eq!(marked.blobs.len(), 3, "beta, config and manifest: {marked:?}");
    let all = place.store.mark(&wanting([kept, gone])).unwrap();
    assert!(all.is_empty(), "{all:?}");
}

#[test]
fn an_image_stays_by_its_index_its_manifest_or_its_config() {
    let place = place();
    let (index, manifest, config) = place.image();
    for name in [index, manifest, config] {
        assert!(place.store.mark(&wanting([name])).unwrap().is_empty(), "{name}");
    }
    let marked = place.store.mark(&Wanted::default()).unwrap();
    assert_eq!((marked.entries.len(), marked.blobs.len()), (1, 4), "{marked:?}");
    let artifact = place.store.artifacts().unwrap().remove(0);
    assert_eq!((artifact.content, artifact.layers, artifact.configs.len()), (Content::Image, 1, 1));
    assert_eq!(artifact.absent, BTreeSet::from([digest(7)]), "another platform's");
    assert_eq!(artifact.refs, BTreeSet::from(["engine:1".to_owned()]));
    assert!(artifact.broken.is_empty());
}

#[test]
fn a_pull_that_was_cut_off_keeps_what_its_manifest_leads_to() {
    let place = place();
    let file = place.store.put(b"the first file").unwrap();
    let pin = |path: &str, sha256| FilePin { path: RelPath::new(path).unwrap(), size: 14, sha256 };
    let artifact = ModelArtifact::new(&[pin("a", file), pin("b", digest(1))]);
    place.store.put(&artifact.manifest).unwrap();
    assert!(place.store.mark(&wanting([artifact.digest])).unwrap().is_empty());
    // Without the manifest the digest leads nowhere; the pins do.
    place.store.remove_blob(&place.store.lock("a test").unwrap(), &artifact.digest).unwrap();
    assert_eq!(place.store.mark(&wanting([artifact.digest])).unwrap().blobs.len(), 1);
    let mut wanted = Wanted::default();
    wanted.model(&[pin("a", file), pin("b", digest(1))]);
    assert!(place.store.mark(&wanted).unwrap().is_empty());
}

#[test]
fn a_manifest_that_cannot_be_read_stops_the_marking_unless_the_pins_are_known() {
    let place = place();
    let (model, pins) = place.model(&[("a", "alpha")]);
    let path = place.store.blob(&model);
    crate::atomic::write(&path, b"{}", 0o444).unwrap();
    let error = place.store.mark(&wanting([model])).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { path: found, .. } if *found == path), "{error}");
    let mut wanted = Wanted::default();
    assert_eq!(wanted.model(&pins), model);
    assert!(place.store.mark(&wanted).unwrap().is_empty());
    assert_eq!(place.store.mark(&Wanted::default()).unwrap().entries.len(), 1, "nobody's: it goes");
    // An image may be named by what its manifest would say.
    let (index, ..) = place.image();
    crate::atomic::write(&place.store.blob(&index), b"{}x", 0o444).unwrap();
    place.store.mark(&wanted).unwrap_err();
}

#[test]
fn records_of_stacks_name_every_digest_in_them() {
    let place = place();
    let stack = place.store.stack(&sovai_core::Name::new("demo").unwrap());
    let current =
        json!({ "generation": 2, "models": { "m": digest(1) }, "images": { "e": digest(2).hex() } });
    stack.write("current.json", &current).unwrap();
    stack.write("generations/1.json", &json!({ "trees": { digest(3).hex(): [1, null, true] } })).unwrap();
    let named = place.store.named_by_stacks().unwrap();
    assert_eq!(named.keys().copied().collect::<Vec<_>>(), [digest(1), digest(2), digest(3)]);
    assert_eq!(named[&digest(1)], BTreeSet::from(["demo".to_owned()]));
    fs_err::write(stack.path().join("generations/1.json"), "{").unwrap();
    assert!(matches!(place.store.named_by_stacks(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn foreign_names_are_left_alone_and_odd_things_with_a_digests_name_go() {
    let place = place();
    let blobs = place.store.root().join("blobs/sha256");
    for name in ["README", &digest(1).hex().to_uppercase(), &digest(2).hex()[1..]] {
        fs_err::write(blobs.join(name), "x").unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", blobs.join(digest(3).hex())).unwrap();
    fs_err::create_dir(blobs.join(digest(4).hex())).unwrap();
    let marked = place.store.mark(&Wanted::default()).unwrap();
    assert_eq!(marked.foreign.len(), 2, "upper-case 01 is 01: {marked:?}");
    assert_eq!(marked.blobs.keys().copied().collect::<Vec<_>>(), [digest(1), digest(3), digest(4)]);
    assert_eq!(marked.bytes(), 1);
}

#[test]
fn of_a_bundle_the_index_names_and_its_other_files_are_nobodys_record() {
    let place = place();
    let stack = place.store.stack(&sovai_core::Name::new("demo").unwrap());
    let (named, other) = (digest(1), digest(2));
    stack
        .put("bundles/7/bundle.json", json!({ "sha256": named.hex() }).to_string().as_bytes(), 0o444)
        .unwrap();
    stack.put("bundles/8.partial/bundle.json", json!([digest(3)]).to_string().as_bytes(), 0o444).unwrap();
    stack.put("bundles/7/stack/notes.json", b"not JSON at all", 0o444).unwrap();
    stack.put("bundles/7/sbom/demo.json", json!(other).to_string().as_bytes(), 0o444).unwrap();
    stack.put("bundles/notes", b"no folder", 0o444).unwrap();
    let found = place.store.named_by_stacks().unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [named, digest(3)]);
    // An index that cannot be read may name anything.
    stack.put("bundles/7/bundle.json", b"{", 0o444).unwrap();
    assert!(matches!(place.store.named_by_stacks(), Err(StoreError::Corrupt { .. })));
}
