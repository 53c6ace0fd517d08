use super::*;
use sovai_store::Descriptor;
use std::collections::BTreeMap;

fn stored(platform: &str, digit: &str) -> StoredImage {
    let descriptor = |first: &str| Descriptor {
        media_type: String::new(),
        artifact_type: None,
        digest: Sha256::from_hex(&format!("{first}{}", digit.repeat(63))).unwrap(),
        size: 1,
        annotations: BTreeMap::new(),
    };
    StoredImage {
        names: Vec::new(),
        platform: platform.parse().unwrap(),
        volumes: Vec::new(),
        indexes: Vec::new(),
        manifest: descriptor("a"),
        config: descriptor("c"),
        layers: Vec::new(),
    }
}

fn known(digit: &str) -> ImageInfo {
    ImageInfo {
        id: ImageId(Sha256::from_hex(&digit.repeat(64)).unwrap()),
        tags: Vec::new(),
        repo_digests: Vec::new(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        labels: BTreeMap::new(),
        volumes: Vec::new(),
        size: 0,
    }
}

#[test]
fn the_engine_comes_first_then_what_it_knows_by_id_then_the_store() {
    let host: Platform = "linux/amd64".parse().unwrap();
    let (amd, arm) = (stored("linux/amd64", "1"), stored("linux/arm64", "2"));
    let of = |found, stored| origin(found, stored, &host);
    assert_eq!(
        of(Some(known("1")), vec![(amd.clone(), Some(known("2")))]),
        Origin::Engine(Box::new(known("1")))
    );
    assert_eq!(of(None, vec![(amd.clone(), Some(known("2")))]), Origin::Engine(Box::new(known("2"))));
    assert_eq!(of(None, vec![(arm.clone(), None), (amd.clone(), None)]), Origin::Store(Box::new(amd)));
    // What the engine has for another platform is no reason to take that.
    assert_eq!(of(None, vec![(arm.clone(), Some(known("3")))]), Origin::Elsewhere(arm.platform));
    assert_eq!(of(None, Vec::new()), Origin::Nowhere);
}

#[test]
fn of_two_that_fit_the_newer_variant_is_taken() {
    let host: Platform = "linux/amd64/v3".parse().unwrap();
    let (old, new) = (stored("linux/amd64", "1"), stored("linux/amd64/v2", "2"));
    for list in [vec![old.clone(), new.clone()], vec![new.clone(), old]] {
        let list = list.into_iter().map(|image| (image, None)).collect();
        assert_eq!(origin(None, list, &host), Origin::Store(Box::new(new.clone())));
    }
}
