//! Docker archives, good and hostile.

use super::support::{
    Entry, archive, assert_empty, commit, config, docker, docker_with, file, gzip, layer, read, sha, store,
    wanted,
};
use crate::{EntryFault, ImageError, Tags, Wanted, read_archive, write_docker_archive};
use serde_json::json;

#[test]
fn an_archive_of_docker_becomes_an_image_with_the_same_id() {
    let (_dir, store) = store();
    let layers = [layer("a", b"one"), layer("b", &vec![7; 6 << 20])];
    let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
    let id = sha(&config("amd64", &layers));
    let staged = read(&store, &docker("engine:1", &layers)).unwrap();
    assert_eq!(staged.config(), id);
    assert_eq!(staged.names().iter().collect::<Vec<_>>(), ["engine:1"]);
    let (manifest, index) = (staged.manifest(), staged.index());
    assert_eq!(index, None);
    let image = commit(&store, staged, "engine:1");
    assert_eq!((image.config.digest, image.manifest.digest), (id, manifest));
    assert_eq!(store.document(&id).unwrap(), config("amd64", &layers));
    for (found, layer) in image.layers.iter().zip(&layers) {
        assert_eq!(found.digest, sha(layer));
        assert_eq!(found.media_type, "application/vnd.oci.image.layer.v1.tar");
        assert_eq!(fs_err::read(store.blob(&found.digest)).unwrap(), *layer);
    }
    assert_eq!(fs_err::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    // The same image gives the same manifest again, also from a compressed archive in another order.
    let mut entries = docker("other:1", &layers);
    entries.reverse();
    let packed = gzip(&archive(&entries));
    let again = read_archive(&store, packed.as_slice(), &Wanted::default()).unwrap();
    assert_eq!(again.manifest(), manifest);
}

#[test]
fn what_is_written_is_read_again_with_the_same_digests() {
    let (_dir, one) = store();
    let same = layer("a", b"one");
    let image = read(&one, &docker("engine:1", &[&same, &layer("b", b"two"), &same])).unwrap();
    let image = commit(&one, image, "registry.example/engine:1");
    assert_eq!(image.layers.len(), 3);
    let write = || {
        let mut bytes = Vec::new();
        let tags = Tags::of(image.names.iter().map(String::as_str));
        write_docker_archive(&one, &image, &tags, &mut bytes).unwrap();
        bytes
    };
    let bytes = write();
    assert_eq!(bytes, write());
    let (_dir, two) = store();
    let read = read_archive(&two, bytes.as_slice(), &wanted("engine:1")).unwrap();
    assert_eq!(read.names().iter().collect::<Vec<_>>(), ["1", "registry.example/engine:1"]);
    let copy = commit(&two, read, "registry.example/engine:1");
    assert_eq!(copy, image);
}

#[test]
fn a_flipped_byte_in_the_store_is_found_before_the_archive_ends() {
    let (_dir, store) = store();
    let image = read(&store, &docker("engine:1", &[&layer("a", b"one")])).unwrap();
    let image = commit(&store, image, "engine:1");
    let mut whole = Vec::new();
    write_docker_archive(&store, &image, &Tags::default(), &mut whole).unwrap();
    let path = store.blob(&image.layers[0].digest);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[600] ^= 1;
    sovai_store::atomic::write(&path, &bytes, 0o444).unwrap();
    let mut out = Vec::new();
    let error = write_docker_archive(&store, &image, &Tags::default(), &mut out).unwrap_err();
    assert!(matches!(error, ImageError::Digest { .. }), "{error}");
    assert!(out.len() < whole.len() && whole.ends_with(&[0; 1024]));
    sovai_store::atomic::write(&path, &bytes[1..], 0o444).unwrap();
    let error = write_docker_archive(&store, &image, &Tags::default(), Vec::new()).unwrap_err();
    assert!(matches!(error, ImageError::Size { .. }), "{error}");
    fs_err::remove_file(&path).unwrap();
    let error = write_docker_archive(&store, &image, &Tags::default(), Vec::new()).unwrap_err();
    assert!(matches!(error, ImageError::Missing { .. }), "{error}");
}

#[test]
fn tags_are_what_an_engine_takes() {
    let (_dir, store) = store();
    let image = read(&store, &docker("engine:1", &[&layer("a", b"one")])).unwrap();
    let image = commit(&store, image, "engine:1");
    let digest = format!("b@{}", image.manifest.digest);
    let tags = Tags::of(["registry.example:5000/a", &digest, "c:2"]);
    let mut bytes = Vec::new();
    write_docker_archive(&store, &image, &tags, &mut bytes).unwrap();
    let staged = read_archive(&store, bytes.as_slice(), &wanted("c:2")).unwrap();
    let names: Vec<_> = staged.names().iter().map(String::as_str).collect();
    assert_eq!(names, ["2", "c:2", "latest", "registry.example:5000/a:latest"]);
}

#[test]
fn links_inside_the_archive_are_followed_once() {
    let (_dir, store) = store();
    let layer = layer("a", b"one");
    let config = config("amd64", &[&layer, &layer]);
    let entries = |target: &str| {
        let saved =
            json!([{"Config": "c.json", "RepoTags": null, "Layers": ["one/layer.tar", "two/layer.tar"]}]);
        vec![
            Entry::Link("two/layer.tar".to_owned(), target.to_owned()),
            file("./one/layer.tar", layer.as_slice()),
            file("c.json", config.as_slice()),
            Entry::Link("three".to_owned(), "one/layer.tar".to_owned()),
            file("manifest.json", saved.to_string()),
        ]
    };
    let image = read(&store, &entries("../one/layer.tar")).unwrap();
    assert_eq!(commit(&store, image, "a:1").layers.len(), 2);
    for (_dir, store, target) in
        ["../../one/layer.tar", "/one/layer.tar", "../three", "../none", ""].map(|target| {
            let (dir, store) = super::support::store();
            (dir, store, target)
        })
    {
        let error = read(&store, &entries(target)).unwrap_err();
        assert!(matches!(error, ImageError::Entry { fault: EntryFault::Link(_), .. }), "{target}: {error}");
        assert_empty(&store);
    }
}

fn fault(entries: &[Entry]) -> ImageError {
    let (_dir, store) = store();
    let error = read(&store, entries).unwrap_err();
    assert_empty(&store);
    error
}

#[test]
fn hostile_entries_are_refused_and_nothing_stays() {
    let layer = layer("a", &vec![1; 5 << 20]);
    let with = |entry: Entry| {
        let mut entries = docker("a:1", &[&layer]);
        entries.insert(4, entry);
        match fault(&entries) {
            ImageError::Entry { fault, .. } => fault,
            other => panic!("{other:?}"),
        }
    };
    for name in ["../x", "/etc/passwd", "a/../b", "a//b", "a/./b", "a\\b", "a\u{202e}b"] {
        assert!(matches!(with(file(name, "x")), EntryFault::Name(_)), "{name}");
    }
    assert_eq!(with(file("manifest.json", "[]")), EntryFault::Twice);
    assert_eq!(with(file("./manifest.json", "[]")), EntryFault::Twice);
    for kind in [
        tar::EntryType::Link,
        tar::EntryType::Block,
        tar::EntryType::Char,
        tar::EntryType::Fifo,
        tar::EntryType::new(b'V'),
    ] {
        assert_eq!(with(Entry::Other("x".to_owned(), kind)), EntryFault::Kind);
    }
    let many: Vec<_> = (0..700).map(|number| file(&format!("{number}"), format!("{number}"))).collect();
    assert!(matches!(fault(&many), ImageError::Entry { fault: EntryFault::TooMany(600), .. }));
    let many: Vec<_> =
        (0..4200).map(|number| Entry::Other(format!("{number}"), tar::EntryType::Directory)).collect();
    assert!(matches!(fault(&many), ImageError::Entry { fault: EntryFault::TooMany(4096), .. }));
}

#[test]
fn an_archive_that_ends_early_is_refused_at_every_block() {
    let whole = archive(&docker("a:1", &[&layer("a", b"one")]));
    for length in (0..whole.len() - 3 * 512).step_by(512).chain([1, 700, 1000]) {
        let (_dir, store) = store();
        let error = read_archive(&store, &whole[..length], &Wanted::default());
        // The last entry is one that nobody needs.
        if let Ok(image) = error {
            assert_eq!(image.names().len(), 1);
            assert!(length > whole.len() - 8 * 512, "{length} of {}", whole.len());
        } else {
            assert_empty(&store);
        }
    }
}

#[test]
fn a_name_without_end_is_not_read_into_memory() {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..4].copy_from_slice(b"././");
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let (_dir, store) = store();
    let endless = header.as_bytes().as_slice();
    let input = std::io::Read::chain(endless, std::io::repeat(b'a'));
    let error = read_archive(&store, input, &Wanted::default()).unwrap_err();
    assert!(format!("{error:?}").contains("header of an entry is too long"), "{error:?}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (one, two) = (layer("a", b"one"), layer("b", b"two"));
    // The configuration names another layer, or more of them.
    let error = fault(&docker_with("a:1", &config("amd64", &[&two]), &[&one]));
    assert!(matches!(error, ImageError::OtherLayer { number: 1, .. }), "{error}");
    let error = fault(&docker_with("a:1", &config("amd64", &[&gzip(&one)]), &[&gzip(&two)]));
    assert!(matches!(error, ImageError::OtherLayer { number: 1, .. }), "{error}");
    let error = fault(&docker_with("a:1", &config("amd64", &[&one, &two]), &[&one]));
    assert!(matches!(error, ImageError::Document { .. }), "{error}");
    // A layer, the configuration, the manifest are missing.
    for gone in ["layer.tar", ".json", "manifest.json"] {
        let mut entries = docker("a:1", &[&one]);
        entries.retain(|entry| !matches!(entry, Entry::File(name, _) if name.ends_with(gone)));
        let error = fault(&entries);
        assert!(matches!(error, ImageError::Missing { .. }), "{gone}: {error}");
    }
    // No JSON, no image, JSON without end.
    for text in ["", "[", "[{}]", "{}", &"[".repeat(100_000)] {
        let error = fault(&[file("manifest.json", text)]);
        assert!(matches!(error, ImageError::Document { .. }), "{error}");
    }
    assert!(matches!(fault(&[file("manifest.json", "[]")]), ImageError::NoImage { .. }));
    let long = vec![b' '; 5 << 20];
    assert!(matches!(fault(&[file("manifest.json", long)]), ImageError::Document { .. }));
    // Compressed, and cut off.
    let mut cut = gzip(&two);
    cut.truncate(cut.len() - 20);
    let error = fault(&docker_with("a:1", &config("amd64", &[&two]), &[&cut]));
    assert!(matches!(error, ImageError::Compression { .. }), "{error}");
}

#[test]
fn of_several_images_the_named_one_is_taken() {
    let (one, two) = (layer("a", b"one"), layer("b", b"two"));
    let (config_one, config_two) = (config("amd64", &[&one]), config("arm64", &[&two]));
    let saved = json!([
        {"Config": "1.json", "RepoTags": ["one:1", "shared/name:latest"], "Layers": ["1.tar"]},
        {"Config": "2.json", "RepoTags": ["two:1"], "Layers": ["2.tar"]},
    ]);
    let bytes = archive(&[
        file("1.tar", one.as_slice()),
        file("2.tar", gzip(&two)),
        file("1.json", config_one.as_slice()),
        file("2.json", config_two.as_slice()),
        file("manifest.json", saved.to_string()),
    ]);
    let (_dir, store) = store();
    let read = |wanted: &Wanted| read_archive(&store, bytes.as_slice(), wanted);
    assert!(
        matches!(read(&Wanted::default()).unwrap_err(), ImageError::Several { found } if found.len() == 2)
    );
    for name in
        ["one:1", "name", "shared/name:latest", &sha(&config_one).to_string(), &sha(&config_one).hex()]
    {
        assert_eq!(read(&wanted(name)).unwrap().config(), sha(&config_one), "{name}");
    }
    let error = read(&wanted("three:1")).unwrap_err();
    assert!(error.to_string().contains("two:1"), "{error}");
    assert!(matches!(error, ImageError::NoImage { .. }));
    // By platform alone, and a name that has none for it.
    let arm = Wanted { name: None, platform: Some("linux/arm64".parse().unwrap()) };
    let image = read(&arm).unwrap();
    assert_eq!(image.config(), sha(&config_two));
    assert_eq!(
        commit(&store, image, "two:1").layers[0].media_type,
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let error = read(&Wanted { name: Some("one:1".to_owned()), ..arm }).unwrap_err();
    assert!(error.to_string().contains("linux/arm64"), "{error}");
    assert_eq!(fs_err::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_flipped_byte_anywhere_is_refused_or_changes_nothing_of_the_image() {
    let layers = [layer("a", b"one")];
    let good = archive(&docker("a:1", &[&layers[0]]));
    let (_dir, store) = store();
    let expected = read(&store, &docker("a:1", &[&layers[0]])).unwrap();
    let (mut refused, mut taken) = (0, 0);
    for at in 0..good.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            match read_archive(&store, bytes.as_slice(), &Wanted::default()) {
                // Padding, times, owners, the name of a tag.
                Ok(image) => {
                    assert_eq!((image.config(), image.manifest()), (expected.config(), expected.manifest()));
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1000 && taken > 1000, "{refused} {taken}");
    assert_empty(&store);
}

#[test]
fn a_configuration_that_is_named_by_a_digest_has_it() {
    let one = layer("a", b"one");
    let mut entries = docker("a:1", &[&one]);
    let other = config("arm64", &[&one]);
    for entry in &mut entries {
        if let Entry::File(name, bytes) = entry
            && name.len() == 64 + ".json".len()
        {
            bytes.clone_from(&other);
        }
    }
    let error = fault(&entries);
    assert!(matches!(error, ImageError::Digest { found, .. } if found == sha(&other)), "{error}");
}
