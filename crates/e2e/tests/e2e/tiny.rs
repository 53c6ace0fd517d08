//! Tiny models with random weights, one of each architecture of the models that sovai is for, in the real engine.
//!
//! It proves the path of an architecture through lock, verification, deployment, engine and gateway; it says nothing of
//! the quality, speed or size of the real models.

use crate::docker::inspect;
use crate::http::curl;
use crate::setup::{Setup, beside, say};
use crate::stack::{MANIFEST, Stack, sha256};
use serde_json::{Value, json};
use std::path::PathBuf;

/// As `scripts/tiny/architectures.toml` names them.
const ARCHITECTURES: [&str; 9] =
    ["deepseek2", "deepseek4", "glm4moe", "gpt-oss", "minimax-m2", "qwen3", "qwen35", "qwen3moe", "seed_oss"];
/// Tokens that each model is made to give.
const TOKENS: u64 = 16;

/// The name of an architecture in a manifest.
fn name(architecture: &str) -> String {
    architecture.replace('_', "-")
}

fn weights(setup: &Setup, architecture: &str) -> PathBuf {
    setup.shared.weights.join("tiny").join(format!("{architecture}.gguf"))
}

/// One stack with an engine for each architecture. No pins: they come from the lock.
fn manifest(setup: &Setup, stack: &Stack) -> Value {
    let mut manifest = stack.manifest();
    let spec = &mut manifest["spec"];
    for part in ["models", "services"] {
        spec[part] = json!({});
    }
    spec["gateway"]["routes"] = json!({});
    for architecture in ARCHITECTURES {
        let name = name(architecture);
        let file = weights(setup, architecture);
        assert!(file.is_file(), "{} is missing; scripts/tiny-models.sh makes it", file.display());
        spec["models"][&name] =
            json!({ "source": format!("file:{}", file.display()), "license": "Apache-2.0" });
        spec["services"][&name] = json!({
            "engine": "llama.cpp",
            "image": setup.shared.engine_image.0,
            "model": name,
            // More threads than there are idle cores wait for each other, for seconds.
            "args": ["--threads", "1"],
            "context": 512,
            "resources": { "memory": "256MiB", "pids": 64 },
        });
        spec["gateway"]["routes"][&name] = json!(name);
    }
    manifest
}

/// A completion with a fixed number of tokens: a random model may end its answer at once.
fn tokens(stack: &Stack, model: &str) -> Value {
    let body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Hello, my name is" }],
        "max_tokens": TOKENS,
        "temperature": 0,
        "ignore_eos": true,
    });
    let reply = curl(&[
        "--header",
        &stack.bearer(),
        "--header",
        "Content-Type: application/json",
        "--data",
        &body.to_string(),
        &stack.url("/v1/chat/completions"),
    ]);
    reply.expect(200).json()
}

#[test]
fn every_architecture_of_the_seed_models_answers_from_the_hardened_engine() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&manifest(&setup, &stack));

    stack.sovai(&["lock", MANIFEST]).expect(0);
    let first = fs_err::read(stack.path("stack.lock.yaml")).unwrap();
    stack.sovai(&["lock", MANIFEST]).expect(0);
    assert_eq!(fs_err::read(stack.path("stack.lock.yaml")).unwrap(), first, "the same lock twice");
    let pulled = stack.sovai(&["pull", MANIFEST]).expect(0);
    say(&format!("time: pull of {} tiny models: {:?}", ARCHITECTURES.len(), pulled.took));
    let locked = String::from_utf8(first).unwrap();
    for architecture in ARCHITECTURES {
        let bytes = fs_err::read(weights(&setup, architecture)).unwrap();
        let digest = sha256(&bytes);
        assert!(locked.contains(&digest), "{architecture}: {locked}");
        let blob = stack.store().join("blobs/sha256").join(&digest);
        assert!(fs_err::read(&blob).unwrap() == bytes, "{architecture}: {}", blob.display());
    }
    let verified = stack.sovai(&["verify", MANIFEST]).expect(0);
    say(&format!("time: verify of {} tiny models: {:?}", ARCHITECTURES.len(), verified.took));
    let deployed = stack.deploy().expect(0);
    say(&format!("time: deploy of {} tiny models: {:?}", ARCHITECTURES.len(), deployed.took));

    for architecture in ARCHITECTURES {
        let name = name(architecture);
        let engine = inspect("container", &stack.container(&name));
        assert_eq!(engine["HostConfig"]["ReadonlyRootfs"], true, "{architecture}");
        assert_eq!(engine["HostConfig"]["CapDrop"], json!(["ALL"]), "{architecture}");
        assert_eq!(engine["Config"]["User"], "65532:65532", "{architecture}");
        let answer = tokens(&stack, &name);
        assert_eq!(answer["usage"]["completion_tokens"], TOKENS, "{architecture}: {answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length", "{architecture}: {answer}");
        let text = answer["choices"][0]["message"]["content"].as_str();
        assert!(text.is_some_and(|text| !text.trim().is_empty()), "{architecture}: {answer}");
        assert_eq!(tokens(&stack, &name)["choices"][0]["message"], answer["choices"][0]["message"]);
    }

    stack.sovai(&["down", &stack.name]).expect(0);
    stack.gone();
}
