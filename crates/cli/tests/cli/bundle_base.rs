//! `bundle create --base`: what the other side has is not carried.

use crate::env::TestEnv;
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_bundle::{Index, Part};
use sovai_core::{Name, RelPath, Sha256};
use sovai_manifest::{Lock, LockedFile, LockedModel};
use sovai_store::{NewImage, Store};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const TENSORS: usize = 40;
const LENGTH: usize = 100_000;

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Bytes that look like weights: the same number always gives the same.
fn noise(mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(LENGTH).collect()
}

/// A safetensors file of which some tensors are of another revision.
fn weights(changed: &[usize]) -> Vec<u8> {
    let entry = |n: usize| {
        let (begin, end) = (n * LENGTH, (n + 1) * LENGTH);
        format!(r#""layer.{n}":{{"dtype":"U8","shape":[{LENGTH}],"data_offsets":[{begin},{end}]}}"#)
    };
    let entries: Vec<String> = (0..TENSORS).map(entry).collect();
    // Metadata of another length: all that follows moves.
    let note = "changed ".repeat(changed.len());
    let header = format!(r#"{{"__metadata__":{{"note":"{note}"}},{}}}"#, entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    for n in 0..TENSORS {
        bytes.extend(noise(n as u64 + if changed.contains(&n) { 1000 } else { 0 }));
    }
    bytes
}

/// Two revisions of a stack on one preparer's side, and a bundle of the first.
struct Side {
    env: TestEnv,
    store: Store,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Side {
    fn new() -> Self {
        let env = TestEnv::new();
        let store = Store::open(&env.root().join("store")).unwrap();
        let image = image(&store);
        let (old, new) = (weights(&[]), weights(&[7, 30]));
        for (name, bytes) in [("old", &old), ("new", &new)] {
            env.write(&format!("{name}/model.safetensors"), bytes)
                .write(&format!("{name}/config.json"), "{}");
            let pin = |path: &str, bytes: &[u8]| {
                let (size, sha256) = (bytes.len(), sha256(bytes).hex());
                format!("        - {{ path: {path}, size: {size}, sha256: {sha256} }}\n")
            };
            let pins = pin("config.json", b"{}") + &pin("model.safetensors", bytes);
            let manifest = crate::env::manifest("", &format!("\n      files:\n{pins}"), "")
                .replace(
                    "image: example/engine:1",
                    &format!("image: {{ name: example/engine:1, id: {image} }}"),
                )
                .replace("engine: llama.cpp", "engine: vllm")
                .replace("./weights/m.gguf", &format!("./{name}"));
            env.write(&format!("{name}.yaml"), manifest);
        }
        assert_eq!(env.run("keys generate --out k").code, 0);
        let made = env.run("bundle create old.yaml --out first --sequence 1 --key k");
        assert_eq!(made.code, 0, "{made}");
        Self { env, store, old, new }
    }

    /// What would be written against a base.
    fn dry(&self, base: &str) -> Value {
        let line =
            format!("bundle create new.yaml --out second --sequence 2 --key k --dry-run --base {base}");
        let value = self.env.json(&line);
        assert_eq!(value["exitCode"], 0, "{value}");
        value
    }
}

/// An image of one layer, as it lies in a store; its ID.
fn image(store: &Store) -> Sha256 {
    let put = |kind: &str, text: &str| {
        let digest = store.put(text.as_bytes()).unwrap();
        let media = format!("application/vnd.oci.image.{kind}");
        (digest, json!({ "mediaType": media, "digest": digest, "size": text.len() }))
    };
    let layer = put("layer.v1.tar", "a layer");
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [layer.0] }
    });
    let config = put("config.v1+json", &config.to_string());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.1, "layers": [layer.1]
    });
    let manifest = manifest.to_string();
    let new = NewImage { name: Some("example/engine:1"), index: None, manifest: manifest.as_bytes() };
    store.add_image(&store.lock("a test").unwrap(), &new).unwrap();
    config.0
}

fn folder(env: &TestEnv, out: &str, name: &str) -> PathBuf {
    env.path(out).join(format!("demo-{name}.v001"))
}

/// The bytes of a file of a bundle of one volume, from its payload and from old blobs.
fn rebuilt(index: &Index, volume: &Path, digest: &Sha256, old: &[&[u8]]) -> Vec<u8> {
    let payload = volume.join(format!("{}.tar", volume.file_name().unwrap().to_str().unwrap()));
    let payload = fs_err::File::open(payload).unwrap().into_parts().0;
    let item = index.item(&format!("blobs/sha256/{}", digest.hex())).unwrap();
    let mut bytes = Vec::new();
    for part in &item.parts {
        let mut run = vec![0; usize::try_from(part.length()).unwrap()];
        match part {
            Part::Carried { offset, .. } => payload.read_exact_at(&mut run, *offset).unwrap(),
            Part::Based { base, offset, .. } => {
                let old = old.iter().find(|old| sha256(old) == *base).unwrap();
                let at = usize::try_from(*offset).unwrap();
                let length = run.len();
                run.copy_from_slice(&old[at..at + length]);
            }
        }
        bytes.extend(run);
    }
    bytes
}

#[test]
fn a_delta_carries_what_changed_and_gives_the_same_bytes() {
    let side = Side::new();
    assert_eq!(side.env.run("store export-list --out blobs.txt").code, 0);
    let line = "bundle create new.yaml --out second --sequence 2 --key k --base first";
    let made = side.env.json(line);
    assert_eq!(made["exitCode"], 0, "{made}");
    let volume = folder(&side.env, "second", "2");
    let index = Index::parse(&fs_err::read(volume.join("bundle.json")).unwrap()).unwrap();
    let base = index.base.as_ref().unwrap();
    let first = fs_err::read(folder(&side.env, "first", "1").join("bundle.json")).unwrap();
    assert_eq!((base.kind.as_str(), base.digest), ("bundle", sha256(&first)));
    let found = rebuilt(&index, &volume, &sha256(&side.new), &[&side.old]);
    assert!(found == side.new, "not the same bytes");
    // Two of forty tensors, and the header.
    let item = index.item(&format!("blobs/sha256/{}", sha256(&side.new).hex())).unwrap();
    let carried: u64 =
        item.parts.iter().filter(|part| matches!(part, Part::Carried { .. })).map(Part::length).sum();
    assert!(carried * 100 < 8 * side.new.len() as u64, "{carried}");
    // What did not change at all is carried neither: the other file, the image.
    let config = index.item(&format!("blobs/sha256/{}", sha256(b"{}").hex())).unwrap();
    assert!(matches!(config.parts[..], [Part::Based { .. }]), "{config:?}");
    assert!(base.blobs.iter().any(|blob| blob.digest == sha256(b"a layer")));
    let readme = fs_err::read_to_string(volume.join("README.txt")).unwrap();
    assert!(readme.contains("base"), "{readme}");
    // The list of before says the same.
    let listed = side.dry("blobs.txt");
    assert_eq!((&listed["base"]["kind"], &listed["base"]["saved"]), (&json!("list"), &made["base"]["saved"]));
}

#[test]
fn a_base_that_is_not_here_saves_whole_files_alone() {
    let side = Side::new();
    let file = |path: &str, bytes: &[u8]| LockedFile {
        path: RelPath::new(path).unwrap(),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        source: "file:./old".to_owned(),
    };
    let files = vec![file("config.json", b"{}"), file("model.safetensors", &side.old)];
    let model = LockedModel { files, ..LockedModel::default() };
    let models = BTreeMap::from([(Name::new("assistant").unwrap(), model)]);
    side.env.write("old.lock.yaml", Lock { models, images: BTreeMap::new() }.to_yaml());
    // What is not in the store is not compared before it comes in.
    let unread = side.dry("old.lock.yaml");
    assert_eq!(unread["base"]["saved"], 2, "{unread}");
    let near = side.env.json("bundle create new.yaml --out other --sequence 2 --key k --base old.lock.yaml");
    assert_eq!(near["exitCode"], 0, "{near}");
    assert_eq!(near["base"]["kind"], "lock");
    let saved = near["base"]["saved"].as_u64().unwrap();
    assert!(saved * 100 > 92 * side.new.len() as u64, "{near}");
    // Without the old bytes nothing is known of their pieces.
    let blob = side.store.blob(&sha256(&side.old));
    fs_err::remove_file(&blob).unwrap();
    let far = side.dry("old.lock.yaml");
    let saved = far["base"]["saved"].as_u64().unwrap();
    assert!((2..100_000).contains(&saved), "{far}");
    // Old bytes that are not what they are called are not built upon.
    let mut rotten = side.old.clone();
    rotten[2_000_000] ^= 1;
    fs_err::write(&blob, rotten).unwrap();
    let ran = side.env.run("bundle create new.yaml --out second --key k --dry-run --base old.lock.yaml");
    assert!(ran.code == 4 && ran.stderr.contains(&sha256(&side.old).to_string()), "{ran}");
    for (what, text) in [("nonsense", "hello"), ("cut", "sovai-blobs/1\nsha256:00"), ("json", "{}")] {
        side.env.write("bad", text);
        let ran = side.env.run("bundle create new.yaml --out second --key k --base bad");
        assert!(
            ran.code == 2 && ran.stderr.contains("hint:") && !side.env.path("second").exists(),
            "{what}: {ran}"
        );
    }
}
