//! Several processes of the program on one store.

use crate::env::TestEnv;
use crate::lock_remote::{repo, stack};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sovai_test_hub::{Content, Fault, Hub};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const SIZE: u64 = 16 << 20;
const PULL: [&str; 4] = ["pull", "stack.yaml", "--model", "assistant"];

/// A locked model of [`SIZE`] bytes at a slow hub.
fn slow() -> (TestEnv, Hub) {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', Content::pattern(7, SIZE)).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    hub.forget();
    hub.fault("**", Fault::Throttle(4 << 20));
    (env, hub)
}

fn start(env: &TestEnv, hub: &Hub) -> Child {
    let mut command = env.process(env!("CARGO_BIN_EXE_sovai"), &PULL);
    command.env("HF_ENDPOINT", hub.url()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until the list shows a download of the weights that has begun.
fn begun(env: &TestEnv) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if env.root().join("store/partial").exists() {
            let list = env.json("store list");
            let seen =
                list["partial"].as_array().unwrap().iter().find(|it| it["have"].as_u64() > Some(1 << 20));
            if let Some(partial) = seen {
                return partial.clone();
            }
        }
        assert!(Instant::now() < deadline, "no download began");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_list_shows_downloads_and_who_holds_them_and_a_prune_leaves_them() {
    let (env, hub) = slow();
    let mut child = start(&env, &hub);
    let partial = begun(&env);
    assert_eq!(partial["names"], serde_json::json!(["demo/assistant/model.gguf"]), "{partial}");
    assert_eq!(partial["size"], SIZE, "{partial}");
    let held = partial["heldBy"].as_str().unwrap_or_else(|| panic!("{partial}"));
    assert!(held.starts_with(&format!("process {} ", child.id())), "{partial}");
    let text = env.run("store list").stdout;
    assert!(text.contains("  demo/assistant/model.gguf  ") && text.contains("  held by process "), "{text}");
    assert_eq!(env.run("store prune").code, 11);
    assert_eq!(env.run("store prune --partial").code, 11);
    child.kill().unwrap();
    child.wait().unwrap();
    let left = begun(&env);
    assert_eq!(left["heldBy"], Value::Null, "{left}");
    assert_eq!(env.run("store prune").code, 0);
    assert!(begun(&env)["have"].as_u64() >= partial["have"].as_u64(), "what a lock names stays");
    hub.clear_faults();
    assert_eq!(env.at(&hub, &PULL.join(" ")).code, 0);
    assert_eq!(env.json("store list")["partial"], serde_json::json!([]));
    assert_eq!(env.run("store verify").code, 0);
}

#[test]
fn two_pulls_at_once_bring_each_byte_once() {
    let (env, hub) = slow();
    let mut children = [start(&env, &hub), start(&env, &hub)];
    for child in &mut children {
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 11)), "{code:?}");
    }
    assert_eq!(env.run("store verify").code, 0);
    assert_eq!(env.json("store list")["models"][0]["state"], "whole");
    assert!(hub.bytes_sent() < SIZE + SIZE / 4, "{} bytes were sent for {SIZE}", hub.bytes_sent());
}

#[test]
fn a_mirror_that_stands_in_for_the_hub_is_named() {
    let (env, hub) = slow();
    hub.clear_faults();
    assert_eq!(env.at(&hub, &PULL.join(" ")).code, 0);
    let text = env.run("verify stack.yaml").stdout;
    let host = hub.url().replace("http://", "");
    assert!(text.contains(&format!(" at Hugging Face through {host}")), "{text}");
    let value = env.json("verify stack.yaml");
    crate::verify_schema::assert_schema(&value);
    let level = &value["models"][0]["level"];
    assert_eq!(level["sources"][0]["behind"], "hub:huggingface", "{level}");
    // The mirror is no second source beside its hub. Small files that the hub lists by git's id alone were hashed by `lock`.
    let lock = env.read("stack.lock.yaml");
    let field = |key: &str| -> Vec<String> {
        let lines = lock.lines().filter(|line| line.contains(key));
        lines.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    };
    let sums: Vec<String> = field("- path:")
        .iter()
        .zip(field("sha256:"))
        .skip(1)
        .map(|(path, sha256)| format!("{sha256}  {path}\n"))
        .collect();
    env.write("SHA256SUMS", sums.concat());
    let at_hub = format!("trust witness SHA256SUMS --at hf:acme/tiny@{}", "a".repeat(40));
    assert_eq!(env.run(&at_hub).code, 0);
    let level = env.json("verify stack.yaml")["models"][0]["level"].clone();
    assert_eq!(level["sources"].as_array().unwrap().len(), 2, "{level}");
    assert_eq!(env.json("verify stack.yaml")["models"][0]["trust"], "hub-pinned", "{level}");
    assert_eq!(env.run("trust witness SHA256SUMS --at modelscope:acme/tiny@master").code, 0);
    assert_eq!(env.json("verify stack.yaml")["models"][0]["trust"], "corroborated");
}

#[test]
fn a_mirror_that_lies_is_passed_over_and_a_token_is_written_nowhere() {
    const TOKEN: &str = "hf_canary_5d1c";
    let (env, hub) = (TestEnv::new(), Hub::start());
    let weights = vec![7_u8; 100_000];
    hub.add(repo('a', weights.clone()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", "\n      mirrors: [file:./mirror]"));
    env.write("mirror/config.json", "{}").write("mirror/LICENSE", "Apache License\n");
    let at = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = env.command(&words);
        command.env("HF_ENDPOINT", hub.url()).env("HF_TOKEN", TOKEN);
        let ran = env.finish(&mut command);
        assert!(!format!("{ran}").contains(TOKEN), "{ran}");
        ran
    };
    assert_eq!(at("-v lock stack.yaml").code, 0);
    assert!(hub.requests().iter().any(|seen| seen.authorization.is_some()), "the token was sent");
    hub.fault("model.gguf", Fault::Corrupt);
    env.write("mirror/model.gguf", vec![8_u8; 100_000]);
    let ran = at("-v -o json pull stack.yaml --model assistant");
    assert_eq!(ran.code, 4, "all lie: {ran}");
    let weights_left = env.everything_below("store").into_iter().filter(|path| {
        path.parent().is_some_and(|parent| parent.ends_with("partial"))
            || path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 100_000)
    });
    assert_eq!(weights_left.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    env.write("mirror/model.gguf", weights);
    let ran = at("-v -o json pull stack.yaml --model assistant");
    assert_eq!(ran.code, 0, "{ran}");
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let from = value["models"][0]["files"][2]["from"].to_string();
    assert!(from.contains("mirror"), "{value}");
    for path in env.everything_below("store").into_iter().filter(|path| path.is_file()) {
        let bytes = fs_err::read(&path).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{}", path.display());
    }
    // Statements stand in the evidence log as base64.
    let log = fs_err::read_to_string(env.root().join("store/evidence/log.jsonl")).unwrap();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let statement = String::from_utf8(payload).unwrap();
        assert!(!statement.contains(TOKEN), "{statement}");
    }
}
