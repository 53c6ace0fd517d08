//! The ready manifests of real models, planned on a host that has their accelerators, with pins that are made up.

use crate::fixture::image;
use sovai_core::{ByteSize, FilePin, RelPath, Sha256};
use sovai_deployer::{Blueprint, GatewayImageRef, ImageRef, ModelRef, Observed, Plan, SpecError, What, plan};
use sovai_manifest::{Lock, LockedFile, LockedImage, LockedModel, Manifest};
use sovai_store::{model_manifest, tree_path};
use std::collections::BTreeMap;
use std::path::Path;

fn manifest(name: &str) -> Manifest {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests").join(name);
    let parsed = sovai_manifest::parse(&fs_err::read(path).unwrap());
    assert_eq!(parsed.diagnostics, [], "{name}");
    parsed.manifest.unwrap()
}

/// A lock as `sovai lock` could have made it, read back from its text.
fn lock(manifest: &Manifest) -> Lock {
    let models = manifest.models.iter().map(|(name, model)| {
        let file = |path: &str, size, digit| LockedFile {
            path: RelPath::new(path).unwrap(),
            size,
            sha256: Sha256::from_bytes([digit; 32]),
            source: model.source.to_string(),
        };
        let files =
            vec![file("config.json", 1_000, 1), file("model-00001-of-00002.safetensors", 40 << 30, 2)];
        let locked = LockedModel { revision: Some("1".repeat(40)), files, ..LockedModel::default() };
        (name.clone(), locked)
    });
    let images = manifest.services.values().map(|service| {
        let locked = LockedImage {
            platform: "linux/amd64".into(),
            index: None,
            manifest: Some(Sha256::from_bytes([3; 32])),
            config: image('1'),
        };
        (service.image.name.clone(), locked)
    });
    let made = Lock { models: models.collect(), images: images.collect() };
    let (read, diagnostics) = Lock::parse(made.to_yaml().as_bytes());
    assert_eq!(diagnostics, []);
    read.unwrap()
}

/// The plan on a host without any stack, with 2 TiB of memory.
fn planned(manifest: &Manifest) -> Result<Plan, SpecError> {
    let resolved = sovai_manifest::resolve(manifest, Some(&lock(manifest)));
    assert_eq!(resolved.unpinned, [], "the lock pins everything");
    let models = resolved.models.iter().map(|(name, files)| {
        let digest = model_manifest(files).1;
        (
            name.clone(),
            ModelRef { digest, tree: tree_path(Path::new("/store"), &digest), files: files.clone() },
        )
    });
    let images = manifest
        .services
        .keys()
        .map(|name| (name.clone(), ImageRef { id: image('1'), volumes: Vec::new(), load: None }));
    let blueprint = Blueprint {
        manifest,
        models: models.collect(),
        images: images.collect(),
        gateway_image: GatewayImageRef { id: image('9'), tag: "sovai/gateway:test".into() },
        tls: None,
        secrets: BTreeMap::new(),
        stack_dir: "/store/stacks/test".into(),
        host_memory: 2 << 40,
        host_cpus: 64,
        ready_deadline_s: None,
    };
    plan(&blueprint, &Observed::default())
}

#[test]
fn on_nvidia_each_is_planned_with_its_accelerators() {
    for (name, devices, tensor) in [
        ("deepseek-v4-flash-h200.yaml", 8, "8"),
        ("deepseek-v4-pro.yaml", 8, "8"),
        ("gpt-oss-20b.yaml", 1, "1"),
        ("kimi-k2.6.yaml", 8, "8"),
        ("qwen3.6-27b.yaml", 1, "1"),
        ("seed-oss-36b.yaml", 8, "8"),
    ] {
        let manifest = manifest(name);
        let plan = planned(&manifest).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let engine = plan.actions.iter().find_map(|action| match &action.what {
            What::CreateContainer { spec, .. } if spec.hostname == "engine" => Some(spec),
            _ => None,
        });
        let spec = engine.unwrap_or_else(|| panic!("{name}: no engine"));
        let json = serde_json::to_value(spec).unwrap();
        let text = json.to_string();
        assert!(text.contains(&format!("\"--tensor-parallel-size\",\"{tensor}\"")), "{name}: {text}");
        assert!(
            text.contains(&format!("\"count\":{devices}")) && text.contains("\"nvidia\""),
            "{name}: {text}"
        );
        assert!(text.contains("HF_HUB_OFFLINE"), "{name}");
        for word in manifest.services.values().flat_map(|service| &service.args) {
            assert!(text.contains(&serde_json::to_string(word).unwrap()), "{name}: {word}");
        }
        let pinned: u64 = plan.models.values().map(|model| FilePin::total(&model.files)).sum();
        assert_eq!(ByteSize(pinned), ByteSize((40 << 30) + 1_000), "{name}");
    }
}

/// The container engine hands out no Ascend devices by itself, and sovai does not yet: the plan says so instead of making a
/// container without them.
#[test]
fn on_ascend_the_plan_is_refused_for_its_accelerators() {
    let error = planned(&manifest("deepseek-v4-flash-ascend-a3.yaml")).unwrap_err();
    let SpecError::Accelerator { vendor, .. } = &error else { panic!("{error:?}") };
    assert_eq!(vendor, "ascend");
}
