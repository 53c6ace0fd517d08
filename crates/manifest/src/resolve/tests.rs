use super::*;
use crate::{LockedFile, LockedImage, parse};
use sovai_core::{ImageId, RelPath, Sha256};

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

/// A stack with one model and one image; `files` and `pin` as the manifest has them.
fn manifest(files: &[(&str, u8)], image: &str, more: &str) -> Manifest {
    let entry = |(path, byte): &(&str, u8)| {
        format!("        - {{ path: {path}, size: 1, sha256: \"{}\" }}\n", digest(*byte).hex())
    };
    let mut list = files.iter().map(entry).collect::<Vec<_>>().concat();
    if !list.is_empty() {
        list.insert_str(0, "      files:\n");
    }
    let text = format!(
        "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{ name: a }}\nspec:\n  models:\n    m:\n      source: hf:org/name\n{more}{list}  services:\n    s: {{ engine: vllm, image: {image}, model: m }}\n"
    );
    let parsed = parse(text.as_bytes());
    parsed.manifest.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn lock(files: &[(&str, u8)], config: u8, registry: Option<u8>) -> Lock {
    let files = files
        .iter()
        .map(|(path, byte)| LockedFile {
            path: RelPath::new(path).unwrap(),
            size: 1,
            sha256: digest(*byte),
            source: "hf:org/name".into(),
        })
        .collect();
    let model = LockedModel { revision: Some("c".repeat(40)), files, ..LockedModel::default() };
    let image = LockedImage {
        platform: "linux/amd64".into(),
        index: registry.map(|byte| digest(byte + 100)),
        manifest: registry.map(digest),
        config: ImageId(digest(config)),
    };
    Lock { models: [(Name::new("m").unwrap(), model)].into(), images: [("web:1".into(), image)].into() }
}

fn why(resolved: &Resolved) -> Vec<String> {
    resolved.unpinned.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_pinned_nowhere_is_named() {
    let resolved = resolve(&manifest(&[], "web:1", ""), None);
    assert_eq!(
        why(&resolved),
        [
            "model `m` is pinned neither in the manifest nor in its lock",
            "image `web:1` is pinned neither in the manifest nor in its lock"
        ]
    );
    assert!(resolved.models.is_empty() && resolved.images.is_empty());
    let empty = lock(&[], 1, None);
    assert_eq!(resolve(&manifest(&[], "web:1", ""), Some(&empty)).unpinned.len(), 1, "no files are no pin");
}

#[test]
fn the_lock_pins_what_the_manifest_does_not() {
    let locked = lock(&[("b", 2), ("a", 1)], 9, Some(8));
    let resolved = resolve(&manifest(&[], "web:1", ""), Some(&locked));
    assert_eq!(why(&resolved), [""; 0]);
    let files = &resolved.models["m"];
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b"], "sorted");
    let image = &resolved.images["web:1"];
    assert_eq!(image.pin, ImagePin::Id(ImageId(digest(9))));
    assert_eq!(image.platform.as_deref(), Some("linux/amd64"));
}

#[test]
fn pins_in_the_manifest_win_and_must_agree() {
    let pinned = format!("\"web:1@{}\"", digest(8));
    let ours = manifest(&[("a", 1), ("b", 2)], &pinned, "");
    let resolved = resolve(&ours, None);
    assert_eq!(why(&resolved), [""; 0]);
    assert_eq!(resolved.images["web:1"].pin, ImagePin::Digest(digest(8)));
    let resolved = resolve(&ours, Some(&lock(&[("b", 2), ("a", 1)], 9, Some(8))));
    assert_eq!(why(&resolved), [""; 0]);
    assert_eq!(resolved.images["web:1"].pin, ImagePin::Digest(digest(8)));
    for (files, what) in [
        (&[("a", 1), ("b", 3)][..], "`b` is sha256:0202"),
        (&[("a", 1)], "`b` is in the manifest, not in the lock"),
        (&[("a", 1), ("b", 2), ("c", 3)], "`c` is in the lock, not in the manifest"),
    ] {
        let resolved = resolve(&ours, Some(&lock(files, 9, Some(8))));
        assert!(why(&resolved)[0].contains(what), "{:?}", why(&resolved));
        assert!(resolved.models.is_empty());
    }
    let resolved = resolve(&ours, Some(&lock(&[("a", 1), ("b", 2)], 9, Some(7))));
    assert!(
        why(&resolved)[0].starts_with("image `web:1` is pinned to two things: sha256:0808"),
        "{:?}",
        why(&resolved)
    );
    let by_id = manifest(&[("a", 1)], &format!("{{ name: \"web:1\", id: \"{}\" }}", digest(5)), "");
    let resolved = resolve(&by_id, Some(&lock(&[("a", 1)], 9, None)));
    assert_eq!(resolved.unpinned.len(), 1, "another ID in the lock");
    assert_eq!(resolve(&by_id, Some(&lock(&[("a", 1)], 5, None))).unpinned, []);
}

#[test]
fn a_digest_in_the_manifest_may_name_the_index() {
    let pinned = |byte| manifest(&[("a", 1)], &format!("\"web:1@{}\"", digest(byte)), "");
    let locked = lock(&[("a", 1)], 9, Some(8));
    for byte in [8, 108] {
        let resolved = resolve(&pinned(byte), Some(&locked));
        assert_eq!(why(&resolved), [""; 0]);
        assert_eq!(resolved.images["web:1"].pin, ImagePin::Digest(digest(byte)));
    }
    assert_eq!(resolve(&pinned(7), Some(&locked)).unpinned.len(), 1);
}

#[test]
fn a_lock_is_stale_when_source_revision_reference_or_platform_changed() {
    let mut locked = lock(&[("a", 1)], 9, None);
    let resolved = resolve(&manifest(&[], "web:2", ""), Some(&locked));
    assert_eq!(why(&resolved), ["image `web:2` is pinned neither in the manifest nor in its lock"]);
    let other = format!("      revision: {}\n", "d".repeat(40));
    let resolved = resolve(&manifest(&[], "web:1", &other), Some(&locked));
    assert!(why(&resolved)[0].contains("stale"), "{:?}", why(&resolved));
    let branch = resolve(&manifest(&[], "web:1", "      revision: main\n"), Some(&locked));
    assert_eq!(branch.unpinned, [], "a branch says nothing about commits");
    let platform = resolve(&manifest(&[], "{ name: \"web:1\", platform: linux/arm64 }", ""), Some(&locked));
    assert!(why(&platform)[0].contains("`linux/arm64`"), "{:?}", why(&platform));
    for file in &mut locked.models.values_mut().next().unwrap().files {
        file.source = "hf:org/other".into();
    }
    let resolved = resolve(&manifest(&[], "web:1", ""), Some(&locked));
    assert_eq!(
        why(&resolved),
        ["the lock is stale for model `m`: it was made for `hf:org/other`, the manifest has `hf:org/name`"]
    );
    let pinned = resolve(&manifest(&[("a", 1)], "web:1", ""), Some(&locked));
    assert_eq!(pinned.unpinned, [], "the manifest itself pins it");
}

#[test]
fn services_that_pin_one_image_differently_resolve_to_none() {
    let text = format!(
        "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{ name: a }}\nspec:\n  services:\n    a: {{ image: \"web@{}\" }}\n    b: {{ image: \"web@{}\" }}\n",
        digest(1),
        digest(2)
    );
    let resolved = resolve(&parse(text.as_bytes()).manifest.unwrap(), None);
    assert_eq!(why(&resolved), ["image `web` is pinned to two things: two services pin it differently"]);
    assert!(resolved.images.is_empty());
}
