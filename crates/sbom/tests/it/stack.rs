use crate::{json, property};
use serde_json::{Value, json as value};
use sovai_core::{FilePin, Sha256, TrustLevel};
use sovai_manifest::{Lock, Manifest, resolve};
use sovai_sbom::{
    Bom, ImageFacts, ModelFacts, ModelSeen, Packages, PackagesRead, StackFacts, Tool, stack_bom,
};
use std::collections::BTreeMap;

const MANIFEST: &str = r#"
apiVersion: sovai/v1
kind: Stack
metadata: { name: ministry }
spec:
  models:
    assistant:
      source: hf:Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca
      license: Apache-2.0
      publisher: Qwen
      usage: ["not for medical advice"]
      lineage:
        base: { name: Qwen/Qwen3-0.6B-Base, claim: declared, notes: [{ date: "2026-11-01", text: "as its card says" }] }
        quantisedBy: { name: "somebody else", claim: proven }
    small:
      source: file:./weights/SmolLM2-135M-Instruct.Q4_1.gguf
      license: Apache-2.0 AND LicenseRef-Ours
      files:
        - path: SmolLM2-135M-Instruct.Q4_1.gguf
          size: 98362432
          sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
  services:
    engine:
      engine: llama.cpp
      image: ghcr.io/org/server:b1
      model: assistant
    second:
      engine: llama.cpp
      image: sovai/engine-llama-cpp:local
      model: small
"#;
const LOCK: &str = r#"
apiVersion: sovai/v1
kind: Lock
models:
  assistant:
    revision: c1899de289a04d12100db370d81485cdf75e47ca
    license: apache-2.0
    files:
      - path: config.json
        size: 10
        sha256: "1111111111111111111111111111111111111111111111111111111111111111"
        source: hf:Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca
      - path: model.safetensors
        size: 20
        sha256: "2222222222222222222222222222222222222222222222222222222222222222"
        source: hf:Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca
"#;

fn parsed() -> (Manifest, Lock) {
    let parsed = sovai_manifest::parse(MANIFEST.as_bytes());
    assert!(parsed.manifest.is_some(), "{:?}", parsed.diagnostics);
    let (lock, diagnostics) = Lock::parse(LOCK.as_bytes());
    assert!(lock.is_some(), "{diagnostics:?}");
    (parsed.manifest.unwrap(), lock.unwrap())
}

/// What was seen of both models.
fn seen(hashed: bool) -> BTreeMap<&'static str, ModelSeen> {
    let assistant = ModelSeen {
        hashed,
        architecture: None,
        contents: BTreeMap::from([("model.safetensors".to_owned(), "safetensors".to_owned())]),
        licenses: vec!["Apache-2.0".to_owned()],
        trust: Some(TrustLevel::HubPinned),
    };
    let small = ModelSeen { hashed, architecture: Some("llama".to_owned()), ..ModelSeen::default() };
    BTreeMap::from([("assistant", assistant), ("small", small)])
}

pub(crate) fn bom(hashed: bool, timestamp: Option<&str>) -> Bom {
    let (manifest, lock) = parsed();
    let resolved = resolve(&manifest, Some(&lock));
    let seen = seen(hashed);
    let models = resolved.models.iter().map(|(name, files)| ModelFacts {
        name,
        model: &manifest.models[name],
        locked: lock.models.get(name),
        files,
        digest: Sha256::from_bytes([9; 32]),
        seen: &seen[name.as_str()],
    });
    let status = "Package: adduser\nStatus: install ok installed\nArchitecture: all\nVersion: 3.152\n";
    let read = Packages::read([("var/lib/dpkg/status", Some(status.as_bytes()))]);
    let images = vec![
        ImageFacts {
            name: "ghcr.io/org/server:b1".to_owned(),
            platform: Some("linux/amd64".to_owned()),
            id: Some(Sha256::from_bytes([1; 32])),
            manifest: Some(Sha256::from_bytes([2; 32])),
            at_registry: true,
            layers: vec![Sha256::from_bytes([3; 32])],
            packages: PackagesRead::Read(read),
        },
        ImageFacts {
            name: "sovai/engine-llama-cpp:local".to_owned(),
            id: Some(Sha256::from_bytes([4; 32])),
            ..ImageFacts::default()
        },
    ];
    stack_bom(&StackFacts {
        manifest: &manifest,
        models: models.collect(),
        images,
        sequence: Some(7),
        timestamp: timestamp.map(str::to_owned),
        tool: Tool { version: "1.2.3", digest: None },
    })
}

fn component<'a>(bom: &'a Value, reference: &str) -> &'a Value {
    bom["components"].as_array().unwrap().iter().find(|one| one["bom-ref"] == reference).unwrap()
}

#[test]
fn a_model_has_licence_hashes_origin_lineage_and_card() {
    let bom = json(&bom(true, Some("2026-11-30T00:00:00Z")));
    assert_eq!(bom["specVersion"], "1.6");
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-30T00:00:00Z");
    let model = component(&bom, "model:assistant");
    assert_eq!(model["type"], "machine-learning-model");
    assert_eq!(model["purl"], "pkg:huggingface/Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca");
    assert_eq!(
        model["licenses"],
        value!([{"license": {"id": "Apache-2.0", "acknowledgement": "concluded"}}])
    );
    assert_eq!(
        model["externalReferences"][0]["url"],
        "https://huggingface.co/Qwen/Qwen3-0.6B/tree/c1899de289a04d12100db370d81485cdf75e47ca"
    );
    let files = model["components"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!((&files[1]["type"], &files[1]["name"]), (&value!("file"), &value!("model.safetensors")));
    assert_eq!(files[1]["hashes"], value!([{"alg": "SHA-256", "content": "2".repeat(64)}]));
    assert_eq!(property(&files[1], "sovai:content"), Some("safetensors"));
    let ancestor = &model["pedigree"]["ancestors"][0];
    assert_eq!(ancestor["name"], "Qwen/Qwen3-0.6B-Base");
    assert_eq!(property(ancestor, "sovai:lineage:base"), Some("declared"));
    assert_eq!(property(ancestor, "sovai:lineage:base:note"), Some("2026-11-01: as its card says"));
    assert_eq!(property(model, "sovai:lineage:quantised-by"), Some("proven"));
    assert_eq!(property(model, "sovai:claim:lineage:quantised-by"), Some("declared"));
    assert_eq!(
        model["modelCard"]["considerations"]["technicalLimitations"],
        value!(["not for medical advice"])
    );
    for (what, claim) in [
        ("hashes", "verified"),
        ("license", "verified"),
        ("origin", "declared"),
        ("publisher", "declared"),
        ("trust-level", "verified"),
    ] {
        assert_eq!(property(model, &format!("sovai:claim:{what}")), Some(claim), "{what}");
        assert!(property(model, &format!("sovai:source:{what}")).is_some(), "{what}");
    }
}

#[test]
fn what_the_catalogue_knows_has_its_source_and_what_the_file_says_is_verified() {
    let bom = json(&bom(true, None));
    let model = component(&bom, "model:small");
    assert!(property(model, "sovai:catalog").unwrap().starts_with("smollm2-135m"));
    assert_eq!(
        model["hashes"][0]["content"],
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    );
    assert_eq!(model["licenses"][0]["expression"], "Apache-2.0 AND LicenseRef-Ours");
    assert!(model.get("externalReferences").is_none(), "a path on somebody's disk is no address");
    let card = &model["modelCard"];
    assert_eq!(card["modelParameters"]["modelArchitecture"], "llama");
    assert_eq!(property(card, "sovai:claim:architecture"), Some("verified"));
    assert_eq!(property(card, "sovai:claim:context"), Some("declared"));
    let source = property(card, "sovai:source:context").unwrap();
    assert!(source.contains("20"), "no date: {source}");
    assert!(property(card, "sovai:context").unwrap().parse::<u32>().is_ok());
}

#[test]
fn what_was_not_hashed_is_declared() {
    let bom = json(&bom(false, None));
    let model = component(&bom, "model:assistant");
    assert_eq!(property(model, "sovai:claim:hashes"), Some("declared"));
    assert_eq!(property(&model["components"][0], "sovai:claim:hashes"), Some("declared"));
}

#[test]
fn an_image_has_its_pins_and_packages() {
    let bom = json(&bom(true, None));
    let image = component(&bom, "image:ghcr.io/org/server:b1");
    assert_eq!((&image["type"], &image["name"]), (&value!("container"), &value!("ghcr.io/org/server")));
    assert_eq!(
        image["purl"],
        format!(
            "pkg:oci/server@sha256:{}?arch=amd64&repository_url=ghcr.io/org/server&tag=b1",
            "02".repeat(32)
        )
    );
    assert_eq!(image["components"][0]["purl"], "pkg:deb/debian/adduser@3.152?arch=all");
    assert_eq!(property(image, "sovai:claim:packages"), Some("declared"));
    assert_eq!(property(image, "sovai:claim:hashes"), Some("verified"));
    let local = component(&bom, "image:sovai/engine-llama-cpp:local");
    assert!(local.get("purl").is_none());
    assert_eq!(property(local, "sovai:packages"), Some("not read: the image is not in the store"));
    assert_eq!(property(local, "sovai:claim:hashes"), Some("declared"));
    let whole = &bom["compositions"];
    assert_eq!(whole[0], value!({"aggregate": "complete", "assemblies": ["model:assistant", "model:small"]}));
    assert_eq!(whole[1]["aggregate"], "incomplete");
    assert_eq!(whole[2]["aggregate"], "unknown");
    let needs = bom["dependencies"].as_array().unwrap();
    let engine = needs.iter().find(|one| one["ref"] == "image:ghcr.io/org/server:b1").unwrap();
    assert_eq!(engine["dependsOn"], value!(["model:assistant"]));
}

#[test]
fn the_serial_number_follows_from_the_rest() {
    let serial = |bom: &Bom| json(bom)["serialNumber"].as_str().unwrap().to_owned();
    let one = serial(&bom(true, None));
    assert_eq!(one, serial(&bom(true, None)));
    assert_ne!(one, serial(&bom(false, None)));
    assert_ne!(one, serial(&bom(true, Some("2026-11-30T00:00:00Z"))));
}

#[test]
fn files_of_one_model_are_total() {
    // `FilePin::total` is what `sovai:model:bytes` shows.
    let bom = json(&bom(true, None));
    let (manifest, lock) = parsed();
    let resolved = resolve(&manifest, Some(&lock));
    for (name, files) in &resolved.models {
        let model = component(&bom, &format!("model:{name}"));
        assert_eq!(property(model, "sovai:model:bytes"), Some(FilePin::total(files).to_string().as_str()));
    }
}
