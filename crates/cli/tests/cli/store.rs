//! `store`: what lies in the store, who names it, and what can go.

use crate::env::{FLIPPED, OTHER, TestEnv, WEIGHTS};
use serde_json::{Value, json};
use sovai_core::{FilePin, Name, NullReporter, RelPath, Sha256};
use sovai_store::{Descriptor, ModelArtifact, Root, Store};
use sovai_verifier::Options;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

/// A store with models that were verified, as `deploy` brings them in.
pub(crate) struct Place {
    pub(crate) env: TestEnv,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let env = TestEnv::new();
        let store = Store::open(&env.root().join("store")).unwrap();
        Self { env, store }
    }

    /// A manifest `FILE.yaml` of stack FILE with one model `llm` of these files, pinned in it, in the store, and its root.
    fn stack(&self, file: &str, files: &[(&str, &[u8])]) -> Sha256 {
        let (digest, text) = self.model(file, files);
        self.env.write(&format!("{file}.yaml"), text);
        self.root(file, digest);
        digest
    }

    /// Brings a model in, and says what a manifest that pins it looks like.
    fn model(&self, name: &str, files: &[(&str, &[u8])]) -> (Sha256, String) {
        let mut pins = Vec::new();
        let mut lines = String::new();
        for (path, bytes) in files {
            self.env.write(&format!("{name}/{path}"), bytes);
            let pin = FilePin {
                path: RelPath::new(path).unwrap(),
                size: bytes.len() as u64,
                sha256: self.store.put(bytes).unwrap(),
            };
            lines.push_str(&format!(
                "\n        - {{ path: {path}, size: {}, sha256: {} }}",
                pin.size,
                pin.sha256.hex()
            ));
            pins.push(pin);
        }
        let source = self.env.path(name);
        let options = Options::new(NonZeroUsize::MIN);
        let model = Name::new("llm").unwrap();
        let done =
            sovai_verifier::admit(&model, &source, &pins, &self.store, &options, &NullReporter).unwrap();
        assert!(done.receipt.is_some());
        let pinned = format!("\n      files:{lines}");
        let text = crate::env::manifest("", &pinned, crate::env::IMAGE_PIN)
            .replace("./weights/m.gguf", &format!("./{name}"))
            .replace("assistant", "llm")
            .replace("name: demo", &format!("name: {name}"));
        (ModelArtifact::new(&pins).digest, text)
    }

    fn root(&self, file: &str, model: Sha256) {
        let manifest = self.env.path(&format!("{file}.yaml"));
        let root = Root::stack(
            &manifest,
            &self.env.path(&format!("{file}.lock.yaml")),
            Name::new(file).unwrap(),
            BTreeMap::from([(Name::new("llm").unwrap(), model)]),
            BTreeMap::new(),
        )
        .unwrap();
        self.store.record_root(&self.store.hold("a test").unwrap(), &root).unwrap();
    }

    /// An image of one layer under a name, as a registry has it: digests of manifest and config.
    fn image(&self, name: &str) -> (Sha256, Sha256) {
        let put = |text: &str| {
            let digest = self.store.put(text.as_bytes()).unwrap();
            (digest, json!({ "mediaType": "application/x", "digest": digest, "size": text.len() }))
        };
        let (config, config_entry) = put(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#);
        let manifest = json!({ "schemaVersion": 2, "config": config_entry, "layers": [put("a layer").1] });
        let (manifest, mut entry) = put(&manifest.to_string());
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        let entry: Descriptor = serde_json::from_value(entry).unwrap();
        self.store.add_to_index(&self.store.lock("a test").unwrap(), &entry).unwrap();
        (manifest, config)
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn looking_makes_no_store() {
    let env = TestEnv::new();
    for line in ["store list", "store path llm"] {
        let ran = env.run(line);
        assert_eq!(ran.code, 2, "{ran}");
        assert!(
            ran.stderr.contains("there is no store in [ROOT]/store") && ran.stderr.contains("hint:"),
            "{ran}"
        );
    }
    assert!(!env.root().join("store").exists());
}

#[test]
fn a_list_has_models_images_and_what_nothing_names() {
    let place = Place::new();
    let model = place.stack("one", &[("m.gguf", WEIGHTS), ("config.json", b"{}")]);
    let (manifest, config) = place.image("engine:1");
    let (orphan, _) = place.model("two", &[("m.gguf", OTHER)]);
    let value = place.env.json("store list");
    let models = value["models"].as_array().unwrap();
    assert_eq!(models.len(), 2, "{value}");
    let of = |digest: Sha256| models.iter().find(|model| model["digest"] == json!(digest)).unwrap();
    assert_eq!(
        *of(model),
        json!({ "digest": model, "names": ["one/llm"], "files": 2, "bytes": 26, "state": "whole" })
    );
    assert_eq!(of(orphan)["names"], json!([]));
    let image = &value["images"][0];
    assert_eq!(
        (&image["digest"], &image["ids"], &image["references"]),
        (&json!(manifest), &json!([config]), &json!(["engine:1"]))
    );
    assert_eq!((names(&image["platforms"]), &image["state"]), (vec!["linux/arm64/v8"], &json!("whole")));
    let unnamed = &value["unnamed"];
    assert_eq!(
        (&unnamed["models"], &unnamed["images"], &unnamed["blobs"]),
        (&json!(1), &json!(1), &json!(6))
    );
    let text = place.env.run("store list").stdout;
    assert!(text.contains(&format!("model {}  one/llm  2 files, 26 B\n", model.short())), "{text}");
    assert!(
        text.contains("  engine:1  linux/arm64/v8  ID ") && text.contains("named by nothing: 6 blobs"),
        "{text}"
    );
    // A blob that is gone, one that is cut short.
    fs_err::remove_file(place.store.blob(&config)).unwrap();
    sovai_store::atomic::write(
        &place.store.blob(&Sha256::from_hex(crate::env::WEIGHTS_SHA256).unwrap()),
        b"GGUF",
        0o444,
    )
    .unwrap();
    let value = place.env.json("store list");
    let states: Vec<_> = ["models", "images"]
        .into_iter()
        .flat_map(|what| value[what].as_array().unwrap())
        .filter(|it| it["digest"] != json!(orphan))
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["incomplete", "incomplete"]);
}

#[test]
fn the_path_of_a_model_is_found_by_its_names_and_its_digest() {
    let place = Place::new();
    let model = place.stack("one", &[("m.gguf", WEIGHTS)]);
    let tree = "[ROOT]/store/trees/".to_owned() + &model.hex() + "\n";
    for name in ["one/llm", "llm", &model.to_string(), &model.hex(), &model.hex()[..8]] {
        let ran = place.env.run(&format!("store path {name}"));
        assert_eq!((ran.code, &ran.stdout), (0, &tree), "{name}: {ran}");
    }
    assert_eq!(place.env.json("store path llm")["digest"], json!(model));
    for (name, word) in [
        ("on/llm", "did you mean `one/llm`?"),
        ("zzzzzzzz", "sovai store list"),
        (&model.hex()[..7], "no model"),
    ] {
        let ran = place.env.run(&format!("store path {name}"));
        assert_eq!(ran.code, 2, "{ran}");
        assert!(ran.stderr.contains(word), "{ran}");
    }
    // The same bytes in another stack are the same model; others are not.
    place.stack("two", &[("m.gguf", WEIGHTS)]);
    assert_eq!(place.env.run("store path llm").code, 0);
    let other = place.stack("three", &[("m.gguf", OTHER)]);
    let ran = place.env.run("store path llm");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.contains("means more than one") && ran.stderr.contains(&other.to_string()), "{ran}");
    assert_eq!(place.env.run("store path three/llm").code, 0);
}

#[test]
fn the_path_of_what_is_not_whole_is_not_told() {
    let place = Place::new();
    let model = place.stack("one", &[("m.gguf", WEIGHTS)]);
    // Somebody put another file in the place of one that is served.
    let tree = place.store.tree(&model);
    sovai_store::atomic::write(&tree.join("m.gguf"), FLIPPED, 0o444).unwrap();
    let ran = place.env.run("store path llm");
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran}");
    assert!(ran.stderr.contains("sovai pull [ROOT]/work/one.yaml"), "{ran}");
    // Named, and never brought in.
    let text = place.env.read("one.yaml").replace(crate::env::WEIGHTS_SHA256, &digest(1).hex());
    place.env.write("new.yaml", text.replace("name: one", "name: new"));
    place.root("new", digest(2));
    let ran = place.env.run(&format!("store path {}", digest(2)));
    assert_eq!(ran.code, 6, "{ran}");
    assert!(
        ran.stderr.contains("is not in the store") && ran.stderr.contains("sovai pull [ROOT]/work/new.yaml"),
        "{ran}"
    );
}

#[test]
fn the_path_of_an_image_is_what_other_tools_take() {
    let place = Place::new();
    let (manifest, config) = place.image("engine:1");
    for name in ["engine:1".to_owned(), manifest.to_string(), config.to_string()] {
        let ran = place.env.run(&format!("store path {name}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "oci:[ROOT]/store:engine:1\n"), "{ran}");
    }
    fs_err::remove_file(place.store.blob(&config)).unwrap();
    let ran = place.env.run("store path engine:1");
    assert_eq!(ran.code, 4, "{ran}");
}

#[test]
fn an_index_or_a_root_that_cannot_be_read_is_told_and_left() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    let index = place.store.root().join("index.json");
    let good = fs_err::read(&index).unwrap();
    for bad in ["", "{", "[]", r#"{"manifests":3}"#] {
        fs_err::write(&index, bad).unwrap();
        for line in ["store list", "store path llm"] {
            let ran = place.env.run(line);
            assert_eq!(ran.code, 4, "{bad}: {ran}");
            assert!(ran.stderr.contains("[ROOT]/store/index.json"), "{ran}");
        }
    }
    fs_err::write(&index, good).unwrap();
    let root = place.store.roots().unwrap().remove(0).file;
    fs_err::write(&root, "{").unwrap();
    assert_eq!(place.env.run("store list").code, 4);
    assert_eq!(fs_err::read_to_string(root).unwrap(), "{");
}

#[test]
fn a_manifest_that_cannot_be_read_leaves_the_list_and_says_so() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    place.env.write("one.yaml", "apiVersion: [");
    let value = place.env.json("store list");
    assert_eq!((&value["unnamed"], &value["roots"][0]["state"]), (&Value::Null, &json!("broken")));
    assert!(place.env.run("store list").stderr.contains("what nothing names is not known"), "{value}");
    let value = place.env.json("store list");
    assert_eq!(names(&value["models"][0]["names"]), ["one/llm"]);
}
