//! An image that the container engine has lost is loaded from the store: the same one, or none.

use crate::docker::{docker, everything, inspect, new_since, try_docker};
use crate::setup::{alone, import_as};
use crate::stack::{MANIFEST, Stack};
use serde_json::{Value, json};
use sovai_test_hub::Registry;
use std::path::PathBuf;

const NOTHING: [String; 0] = [];

/// An image of this test; it leaves the engine with this.
struct Own {
    names: Vec<String>,
    id: String,
}

impl Own {
    /// Takes it out of the engine, with all of its names.
    fn remove(&self) {
        for name in self.names.iter().chain([&self.id]) {
            let _not_there = try_docker(&["image", "rm", name]);
        }
    }

    #[track_caller]
    fn is_in_engine(&self) -> bool {
        try_docker(&["image", "inspect", &self.id]).code == Some(0)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Writes a manifest whose image is named and not pinned.
fn write(stack: &Stack, image: &str) {
    let mut manifest = stack.manifest();
    manifest["spec"]["services"]["engine"]["image"] = json!(image);
    stack.write(&manifest);
}

/// The file of the only layer of an image whose manifest has this digest.
fn layer(stack: &Stack, manifest: &Value) -> PathBuf {
    let blob = |digest: &Value| {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        stack.store().join("blobs/sha256").join(hex)
    };
    let bytes = fs_err::read(blob(manifest)).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1, "{manifest}");
    blob(&manifest["layers"][0]["digest"])
}

/// Flips a bit in the middle of a file that may not be written.
fn flip(path: &PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut bytes = fs_err::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn an_image_that_the_engine_lost_comes_back_from_the_store_or_not_at_all() {
    let Some(setup) = alone() else { return };
    let before = everything();
    let name = format!("sovai-e2e/stored:{}", std::process::id());
    let id = import_as(&setup.shared.stub, &[], &name);
    let image = Own { names: vec![name], id };
    let stack = Stack::new(&setup);
    write(&stack, &image.names[0]);

    stack.sovai(&["lock", MANIFEST]).expect(0);
    let lock = fs_err::read_to_string(stack.path("stack.lock.yaml")).unwrap();
    assert!(lock.contains(&image.id), "{lock}");
    let pulled = stack.sovai(&["pull", MANIFEST, "-o", "json"]).expect(0).json();
    assert_eq!(pulled["images"][0]["id"], image.id.as_str(), "{pulled}");
    assert_eq!(pulled["fetched"], 0, "{pulled}");
    image.remove();
    assert!(!image.is_in_engine());

    let plan = stack.sovai(&["plan", MANIFEST]).expect(0);
    let line = format!("image {} from the store", image.names[0]);
    assert!(plan.stdout.contains(&line), "{plan}");
    assert!(!image.is_in_engine(), "a plan loads nothing");
    stack.deploy().expect(0);
    stack.answers();
    assert_eq!(inspect("container", &stack.container("engine"))["Image"], image.id.as_str());
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &image.names[0]]), image.id);
    stack.sovai(&["down", &stack.name]).expect(0);
    stack.gone();
    assert!(image.is_in_engine(), "`down` leaves an image that is unused");

    // The same again, with a layer that is damaged.
    image.remove();
    flip(&layer(&stack, &pulled["images"][0]["manifest"]));
    stack.deploy().expect(4);
    stack.gone();
    assert!(!image.is_in_engine());
    assert_eq!(new_since(&before), NOTHING);
}

#[test]
fn an_image_of_a_registry_is_deployed_after_the_registry_is_gone() {
    let Some(setup) = alone() else { return };
    let before = everything();
    let stack = Stack::new(&setup);
    let registry = Registry::start();
    let local = format!("sovai-e2e/pushed:{}", std::process::id());
    let name = format!("{}/e2e/stub:v1", registry.host());
    let id = import_as(&setup.shared.stub, &[], &local);
    let image = Own { names: vec![name, local], id };
    docker(&["tag", &image.names[1], &image.names[0]]);
    docker(&["push", "--quiet", &image.names[0]]);
    image.remove();
    assert!(!image.is_in_engine());
    write(&stack, &image.names[0]);

    stack.sovai(&["lock", MANIFEST]).expect(0);
    let lock = fs_err::read_to_string(stack.path("stack.lock.yaml")).unwrap();
    assert!(lock.contains(&image.id), "the ID is the digest of the configuration: {lock}");
    let pulled = stack.sovai(&["pull", MANIFEST, "-o", "json"]).expect(0).json();
    let manifest = pulled["images"][0]["manifest"].as_str().unwrap();
    assert!(lock.contains(manifest), "{lock} {pulled}");
    assert!(pulled["fetched"].as_u64().unwrap() > 1 << 19, "the layer came over the network: {pulled}");
    drop(registry);

    stack.deploy().expect(0);
    stack.answers();
    assert_eq!(inspect("container", &stack.container("engine"))["Image"], image.id.as_str());
    stack.sovai(&["down", &stack.name]).expect(0);
    stack.gone();
    image.remove();
    assert_eq!(new_since(&before), NOTHING);
}
