//! `bundle import` at the command line: what `bundle create` wrote, into another store.

use crate::env::{Ran, TestEnv, WEIGHTS, WEIGHTS_SHA256};
use crate::push::layout;
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

/// A bundle in `out/`, signed by `k`, of a model and an image. The store of who made it is not used again.
fn made(size: usize, more: &str) -> TestEnv {
    let env = TestEnv::new();
    let letter = |at: u64| b'a' + (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as u8;
    let bytes: Vec<u8> = (0..size as u64).map(letter).collect();
    let digest = sovai_core::Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()).hex();
    env.write("from/weights/m.gguf", WEIGHTS).write("from/weights/notes.txt", &bytes);
    let text = format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: demo }}
spec:
{more}
  models:
    assistant:
      source: file:./weights
      license: Apache-2.0
      files:
        - {{ path: m.gguf, size: 24, sha256: {WEIGHTS_SHA256} }}
        - {{ path: notes.txt, size: {size}, sha256: {digest} }}
  services:
    engine:
      engine: llama.cpp
      image: {{ name: example/engine:1, source: oci-layout:./layout }}
      model: assistant
"
    );
    let policy = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: site }\nspec: { trust: { roles: { bundle: { threshold: 2 } } } }\n";
    env.write("from/stack.yaml", text).write("from/strict.yaml", policy);
    layout(&env, "from/layout");
    for line in [
        "lock from/stack.yaml",
        "pull from/stack.yaml",
        "keys generate --out k",
        "keys generate --out second --algorithm p256",
    ] {
        let ran = env.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran}");
    }
    create(&env, 7, "out");
    // Nothing of it is on the other side.
    fs_err::rename(env.path("from"), env.path("gone")).unwrap();
    env
}

fn create(env: &TestEnv, sequence: u64, out: &str) {
    let line = format!("bundle create from/stack.yaml --key k --sequence {sequence} --out {out}");
    let ran = env.run(&line);
    assert_eq!(ran.code, 0, "{ran}");
}

/// On the other side.
fn other(env: &TestEnv, line: &str) -> Ran {
    env.run(&format!("--store other {line}"))
}

fn trust(env: &TestEnv) {
    assert_eq!(other(env, "trust add k.pub --role bundle").code, 0);
}

fn volumes(env: &TestEnv) -> Vec<String> {
    let names = fs_err::read_dir(env.path("out")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| format!("out/{}", entry.unwrap().file_name().into_string().unwrap())).collect();
    names.retain(|name| name.contains(".v"));
    names.sort();
    assert!(!names.is_empty(), "{names:?}");
    names
}

/// Files of the other store that hold a bundle's bytes.
fn held(env: &TestEnv) -> BTreeSet<String> {
    let all = ["blobs/sha256", "partial", "stacks", "trees"];
    let files = all.iter().flat_map(|folder| env.everything_below(&format!("work/other/{folder}")));
    files
        .filter(|path| path.is_file() && !path.ends_with("lock"))
        .map(|path| path.display().to_string())
        .collect()
}

const MANIFEST: &str = "other/stacks/demo/bundles/7/stack/stack.yaml";

#[test]
fn a_bundle_comes_in_volume_by_volume_and_can_be_used_once_it_is_whole() {
    let env = made(2_500_000, "");
    let ran = other(&env, "bundle import out");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stderr.contains("SOV1100") && ran.stderr.contains("trust add"), "{ran}");
    assert!(!env.path("other").exists(), "not even a store");
    trust(&env);
    let mut volumes = volumes(&env);
    volumes.reverse();
    let last = volumes.pop().unwrap();
    for volume in &volumes {
        // One disk at a time: the others are not there.
        fs_err::rename(env.path("out"), env.path("drawer")).unwrap();
        fs_err::create_dir(env.path("out")).unwrap();
        fs_err::rename(env.path(&volume.replace("out/", "drawer/")), env.path(volume)).unwrap();
        let value = env.json(&format!("--store other bundle import {volume}"));
        assert_eq!((&value["exitCode"], &value["whole"]), (&7.into(), &false.into()), "{value}");
        assert!(value["missing"].as_array().unwrap().contains(&"v001".into()), "{value}");
        assert_eq!(other(&env, &format!("verify {MANIFEST}")).code, 2, "nothing to deploy yet");
        fs_err::rename(env.path(volume), env.path(&volume.replace("out/", "drawer/"))).unwrap();
        fs_err::remove_dir(env.path("out")).unwrap();
        fs_err::rename(env.path("drawer"), env.path("out")).unwrap();
    }
    let value = env.json(&format!("--store other bundle import {last} --out here"));
    assert_eq!((&value["exitCode"], &value["whole"]), (&0.into(), &true.into()), "{value}");
    assert!(value["manifest"].as_str().unwrap().ends_with(MANIFEST), "{value}");
    assert_eq!(value["signers"].as_array().unwrap().len(), 1, "{value}");
    assert!(env.path("here/stack/stack.yaml").is_file());
    // The same once more, quickly: nothing is read.
    let value = env.json("--store other bundle import out");
    assert_eq!((&value["exitCode"], &value["unchanged"]), (&0.into(), &true.into()), "{value}");
    assert_eq!(value["volumes"], serde_json::json!([]), "{value}");
    let ran = other(&env, "store verify");
    assert_eq!(ran.code, 0, "{ran}");
    let ran = other(&env, "store prune");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("0 blobs"), "{ran}");
}

#[test]
fn an_older_bundle_is_refused_and_another_one_with_the_same_number_too() {
    let env = made(2_000_000, "");
    trust(&env);
    assert_eq!(other(&env, "bundle import out").code, 0);
    fs_err::rename(env.path("gone"), env.path("from")).unwrap();
    create(&env, 6, "older");
    env.write("from/weights/m.gguf", WEIGHTS);
    let ran = other(&env, "bundle import older");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stderr.contains("SOV1102") && ran.stderr.contains("demo-7"), "{ran}");
    env.write("back.yaml", "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: back }\nspec: { bundle: { rollback: allow } }\n");
    let ran = other(&env, "bundle import older --policy back.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    // What was the newest is remembered, also without its folder.
    fs_err::remove_dir_all(env.path("other/stacks/demo/bundles/7")).unwrap();
    fs_err::remove_dir_all(env.path("other/stacks/demo/bundles/6")).unwrap();
    assert_eq!(other(&env, "bundle import older").code, 5);
}

#[test]
fn the_policy_asks_for_a_second_signature_and_for_the_border() {
    let env = made(2_000_000, "  policy: strict.yaml");
    trust(&env);
    // The bundle's own policy wants two.
    let ran = other(&env, "bundle import out");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stderr.contains("1 of 2 signatures"), "{ran}");
    assert!(held(&env).is_empty(), "{:?}", held(&env));
    let ran = env.run("sign bundle out --key second --out second.dsse.json");
    assert_eq!(ran.code, 0, "{ran}");
    let with = "bundle import out --signature second.dsse.json";
    assert_eq!(other(&env, with).code, 5, "by nobody that this store knows");
    assert_eq!(other(&env, "trust add second.pub --role bundle").code, 0);
    env.write("border.yaml", "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: b }\nspec: { bundle: { approval: required } }\n");
    let ran = other(&env, &format!("{with} --policy border.yaml"));
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stderr.contains("SOV1101"), "{ran}");
    assert!(held(&env).is_empty(), "{:?}", held(&env));
    // The store's own policy holds where none is named.
    fs_err::copy(env.path("border.yaml"), env.path("other/trust/policy.yaml")).unwrap();
    assert_eq!(other(&env, with).code, 5);
    fs_err::remove_file(env.path("other/trust/policy.yaml")).unwrap();
    let ran = other(&env, with);
    assert_eq!(ran.code, 0, "{ran}");
    // A revoked key counts no longer.
    assert_eq!(other(&env, "trust revoke k.pub --reason lost").code, 0);
    assert_eq!(other(&env, with).code, 5);
}

#[test]
fn a_damaged_volume_is_named_and_mended_and_what_is_aborted_is_gone() {
    let env = made(2_500_000, "");
    trust(&env);
    let before = held(&env);
    let volume = volumes(&env).remove(0);
    let payload = format!("{volume}/{}.tar", volume.trim_start_matches("out/"));
    let mut bytes = fs_err::read(env.path(&payload)).unwrap();
    bytes[300_000] ^= 1;
    env.write(&payload, &bytes);
    let value = env.json("--store other bundle import out");
    assert_eq!((&value["exitCode"], &value["whole"]), (&4.into(), &false.into()), "{value}");
    let finding = &value["findings"][0];
    assert_eq!(
        (&finding["type"], &finding["volume"], &finding["chunk"]),
        (&"chunk-damaged".into(), &"v001".into(), &1.into())
    );
    assert_eq!(value["missing"], serde_json::json!(["v001"]));
    assert!(!held(&env).is_empty());
    let ran = other(&env, "bundle import out --abort");
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(held(&env), before, "nothing is left");
    assert_eq!(other(&env, "bundle import out").code, 4);
    bytes[300_000] ^= 1;
    env.write(&payload, &bytes);
    let value = env.json(&format!("--store other bundle import {volume}"));
    assert_eq!((&value["exitCode"], &value["whole"]), (&0.into(), &true.into()), "{value}");
    assert_eq!(other(&env, "store verify").code, 0);
}

/// How often an import is killed; `SOVAI_SOAK` makes it fifty.
fn kills() -> u64 {
    if std::env::var_os("SOVAI_SOAK").is_some_and(|value| !value.is_empty()) { 50 } else { 5 }
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_same_command() {
    let env = made(24_000_000, "");
    trust(&env);
    for round in 0..kills() {
        let program = env!("CARGO_BIN_EXE_sovai");
        let mut child = env
            .process(program, &["--store", "other", "bundle", "import", "out"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(10 + (round * 37) % 180));
        child.kill().unwrap();
        child.wait().unwrap();
        for path in env.everything_below("work/other/blobs/sha256") {
            let digest =
                sovai_core::Sha256::from_bytes(sha2::Sha256::digest(fs_err::read(&path).unwrap()).into());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.starts_with(".tmp-") || name == digest.hex(), "{name}");
        }
    }
    let mut value = env.json("--store other bundle import out");
    // Known fault, said in the changelog: one that was killed at its very end may need to be begun anew.
    if value["exitCode"] == 7 && value["missing"] == serde_json::json!([]) {
        assert_eq!(other(&env, "bundle import out --abort").code, 0);
        value = env.json("--store other bundle import out");
    }
    assert_eq!((&value["exitCode"], &value["whole"]), (&0.into(), &true.into()), "{value}");
    assert_eq!(other(&env, "store verify").code, 0);
}

#[test]
fn two_imports_at_once_are_busy() {
    let env = made(2_000_000, "");
    trust(&env);
    fs_err::create_dir_all(env.path("other/stacks/demo")).unwrap();
    let mut holder = env.process("flock", &["other/stacks/demo/lock", "sleep", "60"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let ran = other(&env, "bundle import out");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(ran.code, 11, "{ran}");
    assert_eq!(other(&env, "trust revoke k.pub --reason lost").code, 0);
}
