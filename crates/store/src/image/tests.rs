use super::*;

struct Made {
    manifest: Vec<u8>,
    digest: Sha256,
    config: Sha256,
    layer: Sha256,
}

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        artifact_type: None,
        digest: sha256(bytes),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
    }
}

fn config(architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
    json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

/// Puts an image's blobs there, not yet its manifest.
fn make(store: &Store, layer: &[u8]) -> Made {
    let config = config("amd64", &[layer]);
    let layers = [descriptor("application/vnd.oci.image.layer.v1.tar", layer)];
    let manifest = ImageManifest::write(&descriptor(OCI_CONFIG, &config), &layers);
    store.put(layer).unwrap();
    let config = store.put(&config).unwrap();
    Made { digest: sha256(&manifest), manifest, config, layer: layers[0].digest }
}

fn add(store: &Store, made: &Made, name: Option<&str>) -> StoredImage {
    let lock = store.lock("test").unwrap();
    store.add_image(&lock, &NewImage { name, index: None, manifest: &made.manifest }).unwrap()
}

fn entries(store: &Store) -> Vec<Value> {
    store.read_index().unwrap()["manifests"].as_array().unwrap().clone()
}

#[test]
fn an_image_is_found_by_each_of_its_digests() {
    let (_dir, store) = open();
    let made = make(&store, b"layer");
    let index =
        json!({"schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST, &made.manifest)]}).to_string();
    let new = NewImage { name: Some("a/b:1"), index: Some(index.as_bytes()), manifest: &made.manifest };
    let image = store.add_image(&store.lock("test").unwrap(), &new).unwrap();
    assert_eq!(image.names, ["a/b:1"]);
    assert_eq!(image.platform.to_string(), "linux/amd64");
    let index = sha256(index.as_bytes());
    for digest in [made.digest, made.config, index] {
        assert_eq!(store.image_by(&digest).unwrap().as_ref(), Some(&image));
    }
    assert_eq!(store.image_by(&made.layer).unwrap(), None);
    // Who prunes knows all of it too.
    let artifact = store.artifacts().unwrap().remove(0);
    assert!([made.digest, made.config, index].iter().all(|digest| artifact.names.contains(digest)));
    assert!(image.blobs().eq([made.digest, made.config, index, made.layer]));
    assert!(image.blobs().all(|digest| artifact.blobs.contains_key(&digest)));
    let blobs: Vec<_> = image.blobs().collect();
    assert_eq!(blobs, [made.digest, made.config, index, made.layer]);
    assert!(blobs.iter().all(|digest| store.has_blob(digest)));
    assert_eq!(entries(&store)[0]["platform"], json!({"os": "linux", "architecture": "amd64"}));
    // Again changes nothing, and without its index keeps what is known.
    let before = entries(&store);
    assert_eq!(add(&store, &made, Some("a/b:1")), image);
    assert_eq!(add(&store, &made, None), image);
    assert_eq!(entries(&store), before);
}

#[test]
fn a_name_follows_the_last_pull_and_the_old_image_stays() {
    let (_dir, store) = open();
    let (one, two) = (make(&store, b"one"), make(&store, b"two"));
    add(&store, &one, Some("a:1"));
    add(&store, &one, Some("b:1"));
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(store.image_by(&one.digest).unwrap().unwrap().names, ["a:1", "b:1"]);
    add(&store, &two, Some("a:1"));
    assert_eq!(store.image_by(&one.digest).unwrap().unwrap().names, ["b:1"]);
    assert_eq!(store.image_by(&two.digest).unwrap().unwrap().names, ["a:1"]);
    add(&store, &two, Some("b:1"));
    let old = store.image_by(&one.config).unwrap().unwrap();
    assert!(old.names.is_empty());
    // And back: the names are there once, and the entries are as many as names and nameless images.
    add(&store, &one, Some("a:1"));
    add(&store, &one, Some("b:1"));
    assert_eq!(store.image_by(&one.digest).unwrap().unwrap().names, ["a:1", "b:1"]);
    assert!(store.image_by(&two.digest).unwrap().unwrap().names.is_empty());
    assert!(entries(&store).len() <= 4, "{:?}", entries(&store));
}

#[test]
fn models_and_entries_of_others_stay_and_are_no_images() {
    let (_dir, store) = open();
    let lock = store.lock("test").unwrap();
    let model = crate::ModelArtifact::new(&[]);
    store.put(&model.manifest).unwrap();
    store.add_to_index(&lock, &model.descriptor()).unwrap();
    // The same without the type in its entry, as another tool may write it.
    let other = crate::ModelArtifact::new(&[sovai_core::FilePin {
        path: sovai_core::RelPath::new("a").unwrap(),
        size: 1,
        sha256: model.digest,
    }]);
    store.put(&other.manifest).unwrap();
    let bare = Descriptor { artifact_type: None, ..other.descriptor() };
    store.add_to_index(&lock, &bare).unwrap();
    drop(lock);
    let before = entries(&store);
    assert_eq!(store.images().unwrap(), []);
    let made = make(&store, b"layer");
    add(&store, &made, Some("a:1"));
    assert_eq!(entries(&store)[..2], before[..]);
    assert_eq!(store.images().unwrap().len(), 1);
}

#[test]
fn what_is_missing_or_does_not_fit_is_refused_and_nothing_is_entered() {
    let (_dir, store) = open();
    let lock = store.lock("test").unwrap();
    let made = make(&store, b"layer");
    let refused = |name: Option<&str>, index: Option<&[u8]>, manifest: &[u8]| {
        let error = store.add_image(&lock, &NewImage { name, index, manifest }).unwrap_err();
        assert_eq!(store.index().unwrap(), []);
        error
    };
    let good = &made.manifest;
    for name in ["", "a b", "a\nb", &"a".repeat(513), &made.digest.hex()] {
        let error = refused(Some(name), None, good);
        assert!(matches!(error, StoreError::Image { fault: ImageFault::Name(_), .. }), "{error}");
    }
    let foreign = json!({"schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST, b"other")]}).to_string();
    let error = refused(None, Some(foreign.as_bytes()), good);
    assert!(matches!(error, StoreError::Image { fault: ImageFault::NotInIndex(_), .. }), "{error}");
    // Two layers where the configuration names one.
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", b"layer");
    let text = config("amd64", &[b"layer"]);
    let two = ImageManifest::write(&descriptor(OCI_CONFIG, &text), &[layer.clone(), layer.clone()]);
    let error = refused(None, None, &two);
    assert!(matches!(error, StoreError::Image { fault: ImageFault::Layers { .. }, .. }), "{error}");
    // A layer of another length, and one that is not there.
    for layer in [Descriptor { size: 6, ..layer }, descriptor("x", b"gone")] {
        let manifest = ImageManifest::write(&descriptor(OCI_CONFIG, &text), &[layer]);
        assert!(matches!(refused(None, None, &manifest), StoreError::NoBlob { .. }));
    }
    // A flipped byte in the configuration.
    let path = store.blob(&made.config);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[0] ^= 1;
    crate::atomic::write(&path, &bytes, 0o444).unwrap();
    assert!(matches!(refused(None, None, good), StoreError::Corrupt { .. }));
}

#[test]
fn a_damaged_image_is_told_and_does_not_hide_the_others() {
    let (_dir, store) = open();
    let (one, two) = (make(&store, b"one"), make(&store, b"two"));
    add(&store, &one, Some("a:1"));
    add(&store, &two, Some("b:1"));
    let lock = store.lock("test").unwrap();
    store.remove_blob(&lock, &one.config).unwrap();
    assert!(matches!(store.images(), Err(StoreError::NoBlob { .. })));
    assert!(store.image_by(&one.digest).unwrap().is_none());
    assert!(store.image_by(&two.digest).unwrap().is_some());
    let told = store.image_entries().unwrap();
    assert_eq!(told.iter().filter(|(_, image)| image.is_err()).count(), 1);
}

#[test]
fn documents_from_outside_are_bounded_and_unambiguous() {
    let config = descriptor(OCI_CONFIG, b"{}");
    let parse = |value: &Value| ImageManifest::parse(value.to_string().as_bytes());
    let ok = json!({"schemaVersion": 2, "config": config, "layers": []});
    assert_eq!(parse(&ok).unwrap().media_type, OCI_MANIFEST);
    let with = |key: &str, value: Value| {
        let mut text = ok.clone();
        text[key] = value;
        parse(&text).unwrap_err()
    };
    assert!(matches!(with("manifests", json!([])), ImageFault::Ambiguous));
    assert!(matches!(with("mediaType", json!(OCI_INDEX)), ImageFault::Type { .. }));
    assert!(matches!(with("schemaVersion", json!(1)), ImageFault::Type { .. }));
    assert!(matches!(with("artifactType", json!("x/y")), ImageFault::Type { .. }));
    assert!(matches!(with("layers", json!(vec![&config; 513])), ImageFault::TooMany { .. }));
    assert!(matches!(with("config", json!({"digest": "sha512:00"})), ImageFault::Json(_)));
    let long = vec![b' '; 4 << 20 | 1];
    assert!(matches!(ImageManifest::parse(&long), Err(ImageFault::TooLong(_))));
    assert!(matches!(ImageManifest::parse(&b"[".repeat(100_000)), Err(ImageFault::Json(_))));
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": config.digest, "size": 2, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"mediaType": OCI_MANIFEST, "digest": config.digest, "size": 2, "platform": {"os": "unknown", "architecture": "unknown"}},
    ]});
    let entries = parse_index(index.to_string().as_bytes()).unwrap();
    let platforms: Vec<_> = entries.iter().map(|e| e.platform.as_ref().map(ToString::to_string)).collect();
    assert_eq!(platforms, [Some("linux/arm64".to_owned()), None]);
    assert!(matches!(parse_index(ok.to_string().as_bytes()), Err(ImageFault::Type { .. })));
}
