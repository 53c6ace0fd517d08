//! `store`: what lies in the store, who names it, and what can go.

use crate::env::{FLIPPED, OTHER, TestEnv, WEIGHTS};
use serde_json::{Value, json};
use sovai_core::{FilePin, Name, NullReporter, RelPath, Sha256};
use sovai_store::{Descriptor, ModelArtifact, Root, Store};
use sovai_verifier::Options;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

fn sha256(bytes: &[u8]) -> Sha256 {
    use sha2::Digest as _;
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
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
    pub(crate) fn stack(&self, file: &str, files: &[(&str, &[u8])]) -> Sha256 {
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
            let (size, sha256) = (pin.size, pin.sha256.hex());
            let _ = write!(lines, "\n        - {{ path: {path}, size: {size}, sha256: {sha256} }}");
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

    /// Verifies the source again, as the next deploy does; says how many bytes were read.
    pub(crate) fn admit_again(&self, name: &str, files: &[(&str, &[u8])]) -> u64 {
        let pins: Vec<_> = files
            .iter()
            .map(|(path, bytes)| FilePin {
                path: RelPath::new(path).unwrap(),
                size: bytes.len() as u64,
                sha256: sha256(bytes),
            })
            .collect();
        let options = Options::new(NonZeroUsize::MIN);
        let model = Name::new("llm").unwrap();
        let source = self.env.path(name);
        let done =
            sovai_verifier::admit(&model, &source, &pins, &self.store, &options, &NullReporter).unwrap();
        assert!(done.receipt.is_some());
        done.report.hashed
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
fn the_list_of_blobs_is_what_lies_in_the_store() {
    let place = Place::new();
    place.stack("a", &[("one.txt", b"one"), ("two.txt", b"two")]);
    let body = place.env.json("store export-list --out blobs.txt");
    let text = fs_err::read(place.env.path("blobs.txt")).unwrap();
    assert_eq!((body["blobs"].as_u64(), body["digest"].clone()), (Some(4), json!(sha256(&text))));
    let text = String::from_utf8(text).unwrap();
    for line in [format!("{} 3", sha256(b"one")), format!("{} 3", sha256(b"two"))] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    let list = sovai_bundle::delta::BlobList::parse(&text).unwrap();
    assert_eq!(list.blobs, place.store.blobs().unwrap());
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

/// The bytes that a command said it freed.
fn freed(value: &Value) -> u64 {
    value["bytes"].as_u64().unwrap()
}

#[test]
fn a_prune_removes_what_nothing_names_and_nothing_else() {
    let place = Place::new();
    let kept = place.stack("one", &[("m.gguf", WEIGHTS), ("shared", b"shared")]);
    let (orphan, _) = place.model("two", &[("m.gguf", OTHER), ("shared", b"shared")]);
    let (manifest, _) = place.image("engine:1");
    for folder in ["stacks/demo", "trust", "evidence"] {
        fs_err::create_dir_all(place.store.root().join(folder)).unwrap();
        fs_err::write(place.store.root().join(folder).join("kept"), "x").unwrap();
    }
    fs_err::write(place.store.root().join("blobs/sha256/README"), "somebody's").unwrap();
    let before = place.env.everything_below("store").len();
    let dry = place.env.json("store prune --dry-run");
    assert_eq!((&dry["models"], &dry["images"]), (&json!([orphan]), &json!([manifest])));
    assert_eq!(place.env.everything_below("store").len(), before, "a dry run changes nothing");
    let value = place.env.json("store prune");
    assert_eq!((&value["models"], &value["images"]), (&dry["models"], &dry["images"]));
    assert_eq!((freed(&value), &value["blobs"]), (freed(&dry), &dry["blobs"]));
    assert!(freed(&value) > 0 && value["blobs"] == json!(6), "{value}");
    let left = place.env.json("store list");
    assert_eq!(left["models"].as_array().unwrap().len(), 1);
    assert_eq!((&left["models"][0]["digest"], &left["models"][0]["state"]), (&json!(kept), &json!("whole")));
    assert_eq!((&left["images"], &left["unnamed"]["blobs"]), (&json!([]), &json!(0)));
    for path in ["stacks/demo/kept", "trust/kept", "evidence/kept", "blobs/sha256/README"] {
        assert!(place.store.root().join(path).exists(), "{path}");
    }
    assert_eq!(freed(&place.env.json("store prune")), 0);
    // The shared blob lost a link: its receipt was written anew, and nothing is read again.
    assert_eq!(place.admit_again("one", &[("m.gguf", WEIGHTS), ("shared", b"shared")]), 0);
}

#[test]
fn what_a_changed_lock_names_counts_and_what_was_pulled_last() {
    let place = Place::new();
    let old = place.stack("one", &[("m.gguf", WEIGHTS)]);
    let (new, text) = place.model("two", &[("m.gguf", OTHER)]);
    place.env.write("one.yaml", text.replace("name: two", "name: one").replace("./two", "./one"));
    assert_eq!(place.env.json("store prune")["models"], json!([]));
    assert_eq!(place.env.json("store list")["models"].as_array().unwrap().len(), 2);
    // Pulled: the old one is named by nothing now.
    place.root("one", new);
    assert_eq!(place.env.json("store prune")["models"], json!([old]));
}

#[test]
fn what_a_stack_serves_stays_without_manifest_and_lock() {
    let place = Place::new();
    let (model, _) = place.model("two", &[("m.gguf", OTHER)]);
    let (_, config) = place.image("engine:1");
    let stack = place.store.stack(&Name::new("demo").unwrap());
    let record = json!({ "generation": 1, "models": { "llm": model }, "images": { "e": config } });
    stack.write("current.json", &record).unwrap();
    assert_eq!(freed(&place.env.json("store prune")), 0);
    assert_eq!(place.env.run("store path demo/llm").code, 0);
    stack.remove("current.json").unwrap();
    stack.write("generations/1.json", &record).unwrap();
    assert_eq!(freed(&place.env.json("store prune")), 0);
    fs_err::write(stack.path().join("generations/1.json"), "{").unwrap();
    let ran = place.env.run("store prune");
    assert_eq!(ran.code, 4, "{ran}");
    stack.remove("generations").unwrap();
    assert!(freed(&place.env.json("store prune")) > 0);
}

#[test]
fn a_broken_lock_or_manifest_stops_a_prune() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    place.model("two", &[("m.gguf", OTHER)]);
    let before = place.env.everything_below("store").len();
    let good = place.env.read("one.yaml");
    place.env.write("one.lock.yaml", "kind: [");
    for line in ["store prune", "store prune --dry-run", "store prune --partial"] {
        let ran = place.env.run(line);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(
            ran.stderr.contains("one.lock.yaml") && ran.stderr.contains("--forget [ROOT]/work/one.yaml"),
            "{ran}"
        );
    }
    fs_err::remove_file(place.env.path("one.lock.yaml")).unwrap();
    place.env.write("one.yaml", good.replace("kind: Stack", "kind: Stick"));
    assert_eq!(place.env.run("store prune").code, 3);
    fs_err::remove_file(place.env.path("one.yaml")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.env.path("one.yaml"), rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(place.env.run("store prune").code, 3, "a pipe is not waited for");
    assert_eq!(place.env.everything_below("store").len(), before);
    assert_eq!(place.env.run("store prune --forget other.yaml").code, 2);
    let value = place.env.json("store prune --forget one.yaml");
    assert_eq!((value["models"].as_array().unwrap().len(), names(&value["forgotten"]).len()), (2, 1));
    assert!(place.store.roots().unwrap().is_empty());
}

#[test]
fn a_manifest_that_is_gone_counts_no_longer_unless_its_folder_is_out_of_sight() {
    let place = Place::new();
    let model = place.stack("one", &[("m.gguf", WEIGHTS)]);
    // A disk that is not mounted: the folder is gone, or empty.
    let (work, away) = (place.env.path(""), place.env.root().join("away"));
    for mount_point in [false, true] {
        fs_err::rename(&work, &away).unwrap();
        let command = |line: &str| {
            if mount_point {
                fs_err::create_dir_all(&work).unwrap();
            }
            let words: Vec<&str> = line.split(' ').collect();
            let mut command = place.env.command(&words);
            place.env.finish(command.current_dir(place.env.root()))
        };
        let ran = command("store prune");
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.stdout.contains("out of sight") && ran.stdout.contains("freed: 0 B"), "{ran}");
        assert!(command("store list").stdout.contains("one/llm"));
        if mount_point {
            fs_err::remove_dir(&work).unwrap();
        }
        fs_err::rename(&away, &work).unwrap();
    }
    // Its lock alone still counts.
    let lock = format!(
        "apiVersion: sovai/v1\nkind: Lock\nmodels:\n  llm:\n    files:\n      - path: m.gguf\n        size: 24\n        sha256: {}\n        source: file:./x\n",
        crate::env::WEIGHTS_SHA256
    );
    place.env.write("one.lock.yaml", lock);
    fs_err::remove_file(place.env.path("one.yaml")).unwrap();
    assert_eq!(freed(&place.env.json("store prune")), 0);
    fs_err::remove_file(place.env.path("one.lock.yaml")).unwrap();
    let value = place.env.json("store prune");
    assert_eq!((&value["models"], names(&value["forgotten"]).len()), (&json!([model]), 1));
}

#[test]
fn nothing_is_pruned_while_somebody_brings_blobs_in() {
    let place = Place::new();
    place.model("two", &[("m.gguf", OTHER)]);
    let hold = place.store.hold("sovai pull stack.yaml").unwrap();
    let ran = place.env.run("store prune");
    assert_eq!(ran.code, 11, "{ran}");
    assert!(ran.stderr.contains("(sovai pull stack.yaml)"), "{ran}");
    assert_eq!(place.env.run("store prune --dry-run").code, 0);
    assert_eq!(place.env.run("store verify").code, 0);
    drop(hold);
    let alone = place.store.hold_alone("sovai store prune").unwrap();
    assert_eq!(place.env.run("store verify").code, 11);
    drop(alone);
    assert!(freed(&place.env.json("store prune")) > 0);
}

#[test]
fn unfinished_downloads_go_unless_a_lock_names_them() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    place.store.remove_blob(&place.store.lock("x").unwrap(), &weights()).unwrap();
    for digest in [weights(), digest(1)] {
        place.store.partial(&digest, 24, "sovai pull").unwrap().write(0, &[b"GGUF"]).unwrap();
    }
    let left = || place.store.partial_files().unwrap().into_iter().map(|it| it.sha256).collect::<Vec<_>>();
    assert_eq!(place.env.json("store prune --dry-run")["partials"], json!(1));
    assert_eq!(place.env.json("store prune")["partials"], json!(1));
    assert_eq!(left(), [weights()]);
    assert_eq!(place.env.json("store prune --partial")["partials"], json!(1));
    assert!(left().is_empty());
}

fn weights() -> Sha256 {
    Sha256::from_hex(crate::env::WEIGHTS_SHA256).unwrap()
}

fn kinds(value: &Value) -> Vec<&str> {
    value["findings"].as_array().unwrap().iter().map(|finding| finding["type"].as_str().unwrap()).collect()
}

#[test]
fn a_verification_reads_every_blob_again_and_says_who_uses_what_is_damaged() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    place.image("engine:1");
    let ran = place.env.run("store verify");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("read 6 blobs") && ran.stdout.contains("1 tree: all is right"), "{ran}");
    // A byte flips without a trace: same inode, same length, and the receipt still fits as far as mtime goes.
    let blob = place.store.blob(&weights());
    overwrite(&blob, FLIPPED);
    let value = place.env.json("store verify");
    assert_eq!((&value["exitCode"], kinds(&value)), (&json!(4), vec!["blob-damaged"]));
    let finding = &value["findings"][0];
    assert_eq!((names(&finding["usedBy"]), &finding["digest"]), (vec!["model one/llm"], &json!(weights())));
    assert!(names(&finding["manifests"])[0].ends_with("work/one.yaml"), "{value}");
    let ran = place.env.run("store verify");
    assert!(
        ran.stdout.contains("model one/llm") && ran.stdout.contains("sovai pull [ROOT]/work/one.yaml"),
        "{ran}"
    );
    assert!(blob.exists(), "it is not removed unasked");
    let value = place.env.json("store verify --remove-damaged");
    assert_eq!((&value["removed"], &value["exitCode"]), (&json!([weights()]), &json!(4)));
    assert!(!blob.exists());
    assert_eq!(kinds(&place.env.json("store verify")), ["blob-missing", "tree"]);
    // Brought again from the source, everything is right.
    place.admit_again("one", &[("m.gguf", WEIGHTS)]);
    assert_eq!(place.env.run("store verify").code, 0);
}

/// Changes the bytes of a file in place, as a bad disk does.
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::OpenOptions::new().write(true).open(path).unwrap().write_all(bytes).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

#[test]
fn what_has_a_blobs_name_and_is_none_is_found_and_waited_for_by_nobody() {
    let place = Place::new();
    place.stack("one", &[("m.gguf", WEIGHTS)]);
    let blobs = place.store.root().join("blobs/sha256");
    std::os::unix::fs::symlink("/etc/hostname", blobs.join(digest(1).hex())).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, blobs.join(digest(2).hex()), rustix::fs::Mode::RUSR).unwrap();
    fs_err::create_dir(blobs.join(digest(3).hex())).unwrap();
    fs_err::write(blobs.join("not-hex"), "somebody's").unwrap();
    fs_err::create_dir(place.store.root().join("trees/odd")).unwrap();
    let value = place.env.json("store verify");
    assert_eq!(kinds(&value), ["blob-kind"; 3], "{value}");
    assert_eq!(names(&value["foreign"]), ["blobs/sha256/not-hex", "trees/odd"]);
    let value = place.env.json("store verify --remove-damaged");
    assert_eq!(value["removed"].as_array().unwrap().len(), 3);
    assert_eq!(place.env.run("store verify").code, 0);
    assert!(blobs.join("not-hex").exists() && std::path::Path::new("/etc/hostname").exists());
}

#[test]
fn a_tree_that_is_half_removed_is_found_and_a_prune_takes_it_where_nothing_names_it() {
    let place = Place::new();
    let model = place.stack("one", &[("a/m.gguf", WEIGHTS), ("b", b"b")]);
    fs_err::remove_file(place.store.tree(&model).join("b")).unwrap();
    let value = place.env.json("store verify");
    assert_eq!(
        (kinds(&value), names(&value["findings"][0]["usedBy"])),
        (vec!["tree"], vec!["model one/llm"])
    );
    fs_err::create_dir(place.store.tree(&digest(1))).unwrap();
    assert_eq!(kinds(&place.env.json("store verify")), ["tree", "tree"]);
    assert_eq!(place.env.json("store prune")["trees"], json!(1));
    assert!(!place.store.tree(&digest(1)).exists());
}

#[test]
fn an_index_that_leads_nowhere_is_found() {
    let place = Place::new();
    let (_, config) = place.image("engine:1");
    fs_err::remove_file(place.store.blob(&config)).unwrap();
    let value = place.env.json("store verify");
    assert_eq!(
        (kinds(&value), names(&value["findings"][0]["usedBy"])),
        (vec!["blob-missing"], vec!["image engine:1"])
    );
    fs_err::write(place.store.root().join("index.json"), "{").unwrap();
    for line in ["store verify", "store prune"] {
        let ran = place.env.run(line);
        assert_eq!(ran.code, 4, "{ran}");
    }
}
