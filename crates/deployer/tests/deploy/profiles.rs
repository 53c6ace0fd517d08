//! What each engine profile comes to: the container that would be made, whole.

use crate::fixture::{Fixture, MANIFEST};
use sovai_deployer::What;

/// The container of service `engine`, as the plan shows it, with this run's paths and digests taken out.
async fn container(text: &str) -> String {
    let fixture = Fixture::new();
    let plan = fixture.plan(text).await.unwrap();
    let spec = plan.actions.iter().find_map(|action| match &action.what {
        What::CreateContainer { spec, .. } if spec.hostname == "engine" => Some(spec),
        _ => None,
    });
    let json = serde_json::to_string_pretty(&spec.unwrap()).unwrap();
    let json = tidy(&json, fixture.store.root().to_str().unwrap());
    json.lines().filter(|line| !line.contains("sovai.spec")).collect::<Vec<_>>().join("\n")
}

/// Puts `STORE` in the place of the store and cuts digests in paths down.
fn tidy(json: &str, store: &str) -> String {
    json.replace(store, "STORE")
        .split("trees/")
        .enumerate()
        .map(|(n, part)| if n == 0 { part.to_owned() } else { format!("trees/DIGEST{}", &part[64..]) })
        .collect()
}

/// Two accelerators and a folder of safetensors.
fn with_engine(engine: &str) -> String {
    let folder = MANIFEST.replace("file:./model.gguf", "file:./model").replace(
        "path: model.gguf, size: 7, sha256: WEIGHTS }",
        "path: config.json, size: 7, sha256: WEIGHTS }, { path: model.safetensors, size: 7, sha256: WEIGHTS }",
    );
    folder.replace("engine: llama.cpp", &format!("engine: {engine}")).replace(
        "model: assistant\n",
        "model: assistant\n      context: 8192\n      parallelism: { tensor: 2, sequences: 16 }\n      accelerators: { vendor: nvidia, count: 2 }\n",
    )
}

#[tokio::test]
async fn llama_cpp() {
    insta::assert_snapshot!(container(MANIFEST).await);
}

#[tokio::test]
async fn vllm() {
    insta::assert_snapshot!(container(&with_engine("vllm")).await);
}

#[tokio::test]
async fn sglang() {
    insta::assert_snapshot!(container(&with_engine("sglang")).await);
}

#[tokio::test]
async fn a_volume_that_an_image_declares_becomes_memory() {
    let two = MANIFEST.replace(&"1".repeat(64), &"2".repeat(64));
    let text = container(&two).await;
    assert!(text.contains("\"/data\": \"rw,noexec"), "{text}");
}
