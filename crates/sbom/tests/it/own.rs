use crate::{json, property};
use sovai_core::Sha256;
use sovai_sbom::{Tool, linked, own_bom};
use std::collections::BTreeSet;

#[test]
fn sovai_lists_what_is_linked_into_it() {
    let digest = Sha256::from_bytes([7; 32]);
    let tool = Tool { version: "1.2.3", digest: Some(digest) };
    let bom = json(&own_bom(&tool, None));
    let root = &bom["metadata"]["component"];
    assert_eq!((&root["name"], &root["version"]), (&"sovai".into(), &"1.2.3".into()));
    assert_eq!(root["hashes"][0]["content"], digest.hex());
    assert_eq!(property(root, "sovai:claim:components"), Some("declared"));
    assert_eq!(property(root, "sovai:claim:hashes"), Some("verified"));
    assert!(bom["metadata"].get("timestamp").is_none());

    let components = bom["components"].as_array().unwrap();
    assert!(components.len() > 100, "{}", components.len());
    let serde = components.iter().find(|one| one["name"] == "serde_json").unwrap();
    assert!(serde["purl"].as_str().unwrap().starts_with("pkg:cargo/serde_json@1."));
    assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(serde["hashes"][0]["alg"], "SHA-256");
    let ours = components.iter().find(|one| one["name"] == "sovai-store").unwrap();
    assert!(ours.get("purl").is_none() && ours.get("hashes").is_none());
}

#[test]
fn every_crate_of_the_list_is_whole_and_has_a_licence() {
    let all: BTreeSet<String> = linked().map(|one| format!("{}@{}", one.name, one.version)).collect();
    for one in linked() {
        assert!(!one.license.is_empty(), "{}", one.name);
        assert!(
            sovai_catalog::license(one.license) == sovai_catalog::LicenseCheck::Spdx,
            "{}: {}",
            one.name,
            one.license
        );
        assert!(one.checksum.is_some() || one.name.starts_with("sovai"), "{}", one.name);
        for need in &one.needs {
            assert!(all.contains(*need), "{} needs {need}, which is not listed", one.name);
        }
    }
}
