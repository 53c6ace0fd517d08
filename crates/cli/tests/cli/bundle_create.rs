//! `bundle create` and `sign bundle` at the command line.

use crate::env::{TestEnv, WEIGHTS, WEIGHTS_SHA256};
use crate::push::layout;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A manifest in a folder of its own, with a policy above it, a model and an image; both are in the store, a key is made.
/// Besides the small file the model has one of `size` bytes.
pub(crate) fn ready(size: usize) -> TestEnv {
    let env = TestEnv::new();
    // Text, since a policy refuses files of no known kind.
    let letter = |at: u64| b'a' + (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as u8;
    let bytes: Vec<u8> = (0..size as u64).map(letter).collect();
    let digest = sovai_core::Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()).hex();
    env.write("deploy/weights/m.gguf", WEIGHTS).write("deploy/weights/notes.txt", &bytes);
    let text = format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: demo }}
spec:
  policy: ../rules/site.yaml
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
      image: {{ name: example/engine:1, source: oci-layout:../layout }}
      model: assistant
"
    );
    let policy = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: site }\nspec: {}\n";
    env.write("deploy/stack.yaml", text).write("rules/site.yaml", policy);
    layout(&env, "layout");
    env.write("program", "#!/bin/sh\n");
    for line in ["lock deploy/stack.yaml", "pull deploy/stack.yaml", "keys generate --out k"] {
        let ran = env.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran}");
    }
    env
}

/// A small program, so that the tests need not copy the one under test again and again.
const CREATE: &str = "bundle create deploy/stack.yaml --key k --program program --out out";

/// Files below a folder with the digests of their bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        let Ok(entries) = fs_err::read_dir(at) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let digest = sha2::Sha256::digest(fs_err::read(&path).unwrap()).to_vec();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), digest);
            }
        }
    }
    found
}

/// Runs a line of shell in a folder; what it prints.
fn sh(env: &TestEnv, folder: &str, line: &str) -> String {
    let done = env.process("sh", &["-ec", line]).current_dir(env.path(folder)).output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_bundle_has_all_that_a_stack_needs_and_is_the_same_for_two_people() {
    let env = ready(300_000);
    let value = env.json(&format!("{CREATE} --sequence 7 --dry-run"));
    assert_eq!((&value["exitCode"], &value["sequence"]), (&0.into(), &7.into()), "{value}");
    assert!(!env.path("out").exists(), "{value}");

    let mut trees = Vec::new();
    for out in ["out", "again"] {
        let line = CREATE.replace("--out out", &format!("--out {out} --sequence 7"));
        let words: Vec<&str> = line.split(' ').collect();
        let ran = env.finish(env.command(&words).env("SOURCE_DATE_EPOCH", "1700000000"));
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.stderr.contains("media: 1 x"), "{ran}");
        trees.push(tree(&env.path(out)));
    }
    assert_eq!(trees[0], trees[1]);

    let index: serde_json::Value = serde_json::from_str(&env.read("out/demo-7.v001/bundle.json")).unwrap();
    assert_eq!(index["created"], 1_700_000_000);
    assert_eq!(index["manifest"], "stack/deploy/stack.yaml");
    assert_eq!(index["models"]["assistant"]["trust"], "digest");
    assert_eq!(index["images"]["example/engine:1"]["id"].as_str().map(str::len), Some(71));
    let paths: Vec<&str> =
        index["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
    for path in [
        "stack/deploy/stack.lock.yaml",
        "stack/rules/site.yaml",
        "docs/CONTENTS.txt",
        "docs/bundle-format.md",
        "docs/bundle-format.html",
        "index.json",
        &format!("blobs/sha256/{WEIGHTS_SHA256}"),
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    // Nothing is left in the store that would keep blobs for ever.
    let roots = env.everything_below("store/roots");
    assert_eq!(roots.len(), 1, "{roots:?}");
    // What is unpacked is a stack that reads itself, and a layout that others read.
    fs_err::create_dir(env.path("flat")).unwrap();
    sh(&env, "out/demo-7.v001", "sha256sum --strict -c SHA256SUMS && tar -xf *.tar -C ../../flat");
    assert_eq!(env.run("validate flat/stack/deploy/stack.yaml").code, 0);
    assert_eq!(env.run("policy check flat/stack/deploy/stack.yaml").code, 0);
    sh(
        &env,
        "",
        "skopeo inspect oci:flat:example/engine:1 > inspected && cmp layout/blobs/sha256/* flat/blobs/sha256 2>/dev/null || grep -q Layers inspected",
    );
    assert_eq!(sh(&env, "flat/blobs/sha256", &format!("cat {WEIGHTS_SHA256}")).as_bytes(), WEIGHTS);
}

#[test]
fn who_signed_is_seen_with_openssl_and_a_second_person_signs_later() {
    let env = ready(3000);
    for key in ["second --algorithm p256", "third"] {
        assert_eq!(env.run(&format!("keys generate --out {key}")).code, 0);
    }
    assert_eq!(env.run(&format!("{CREATE} --sequence 7")).code, 0);
    let before = tree(&env.path("out"));
    let value = env.json("sign bundle out --key second");
    assert_eq!((&value["exitCode"], &value["before"]), (&0.into(), &1.into()), "{value}");
    assert_eq!(env.run("sign bundle out/demo-7.v001 --key third --out third.json").code, 0);
    let after = tree(&env.path("out"));
    assert_eq!(after.len(), before.len() + 1, "one file more");
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "and nothing rewritten");

    // As the README of the volume says it.
    let check = |file: &str, verify: &str| {
        let script = format!(
            "f={file}
sed 's/.*\"payload\":\"\\([^\"]*\\)\".*/\\1/' $f | base64 -d > payload
sed 's/.*\"sig\":\"\\([^\"]*\\)\".*/\\1/' $f | base64 -d > sig
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(wc -c < payload) | cat - payload > signed
{verify}
grep -c \"$(sha256sum out/demo-7.v001/bundle.json | cut -d' ' -f1)\" payload"
        );
        sh(&env, "", &script)
    };
    let ed25519 =
        |key: &str| format!("openssl pkeyutl -verify -pubin -inkey {key}.pub -rawin -in signed -sigfile sig");
    assert!(check("third.json", &ed25519("third")).ends_with("1\n"));
    let own = env.json("trust fingerprint k.pub");
    let id = own["keyId"]
        .as_str()
        .or(own["id"].as_str())
        .unwrap_or_default()
        .trim_start_matches("sha256:")
        .to_owned();
    if !id.is_empty() {
        check(&format!("out/demo-7.v001/signatures/{}.dsse.json", &id[..16]), &ed25519("k"));
    }
    let second = after.keys().find(|path| !before.contains_key(*path)).unwrap();
    let p256 = "openssl dgst -sha256 -verify second.pub -signature sig signed";
    check(&format!("out/{}", second.display()), p256);

    // What does not agree with its index is not signed.
    for (file, from, to) in [("SHA256SUMS", "a", "b"), ("chunks.txt", "v001 1 ", "v001 1 0")] {
        let path = format!("out/demo-7.v001/{file}");
        let text = env.read(&path);
        env.write(&path, text.replacen(from, to, 1));
        let ran = env.run("sign bundle out --key second");
        assert_eq!(ran.code, 4, "{file}: {ran}");
        env.write(&path, text);
    }
    assert_eq!(env.run("sign bundle out --key second").code, 0);
}

#[test]
fn what_cannot_be_bundled_is_refused_before_a_byte_is_written() {
    let env = ready(3000);
    let refused = |line: &str, code: i32, says: &str| {
        let ran = env.run(line);
        assert_eq!(ran.code, code, "{line}: {ran}");
        assert!(ran.stderr.contains(says), "{line}: {ran}");
        let volumes = env.everything_below("work/out");
        assert!(volumes.is_empty(), "{line}: {volumes:?}");
    };
    refused(&format!("{CREATE} --volume-size floppy"), 2, "bd100");
    refused(&format!("{CREATE} --volume-size 200kB"), 2, "--volume-size");
    refused(&CREATE.replace("--key k", "--key none"), 2, "private key");
    refused(&format!("{CREATE} --attach deploy/stack.yaml"), 2, "no passport");
    let manifest = env.read("deploy/stack.yaml");
    env.write(
        "deploy/stack.yaml",
        manifest.replace("../rules/site.yaml", &env.path("rules/site.yaml").display().to_string()),
    );
    refused(CREATE, 3, "absolute");
    env.write("deploy/stack.yaml", &manifest);
    let policy = env.read("rules/site.yaml");
    env.write("rules/site.yaml", policy.replace("{}", "{ trust: { minimum: publisher } }"));
    refused(CREATE, 5, "refused");
    env.write("rules/site.yaml", policy);
    let lock = env.read("deploy/stack.lock.yaml");
    fs_err::remove_file(env.path("deploy/stack.lock.yaml")).unwrap();
    refused(CREATE, 5, "sovai lock");
    env.write("deploy/stack.lock.yaml", lock);
    fs_err::write(env.root().join("store/index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    refused(CREATE, 6, "sovai pull");
    assert_eq!(env.run("pull deploy/stack.yaml").code, 0);
    let ran = env.run(&format!("{CREATE} --sequence 7"));
    assert_eq!(ran.code, 0, "{ran}");
    let ran = env.run(&format!("{CREATE} --sequence 7"));
    assert_eq!((ran.code, ran.stderr.contains("is there already")), (2, true), "{ran}");
}

#[test]
fn a_blob_that_rotted_is_named_and_nothing_signed_is_left() {
    let env = ready(3000);
    // The layer of the image: no receipt speaks of it.
    let blob = env
        .everything_below("store/blobs")
        .into_iter()
        .find(|path| fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == 10240))
        .unwrap();
    let mut bytes = fs_err::read(&blob).unwrap();
    bytes[10_000] ^= 1;
    fs_err::remove_file(&blob).unwrap();
    fs_err::write(&blob, bytes).unwrap();
    let ran = env.run(CREATE);
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stderr.contains(blob.file_name().unwrap().to_str().unwrap()), "{ran}");
    assert!(env.everything_below("work/out").is_empty());
    assert_eq!(env.everything_below("store/roots").len(), 1);
}

#[test]
fn a_run_that_is_killed_is_completed_by_the_same_command() {
    let env = ready(40 << 20);
    let args: Vec<&str> = CREATE.split(' ').chain(["--volume-size", "16MB"]).collect();
    let mut sequences = Vec::new();
    for pause in [60, 110, 160, 210, 260] {
        let mut command = env.process(env!("CARGO_BIN_EXE_sovai"), &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        if let Ok(text) = fs_err::read_to_string(env.path("out/.sovai-create/journal")) {
            let first: serde_json::Value =
                serde_json::from_str(text.lines().next().unwrap_or("{}")).unwrap_or_default();
            sequences.push(first["begun"]["sequence"].clone());
        }
    }
    let finished = fs_err::read_dir(env.path("out")).map_or(0, |entries| {
        entries
            .filter(|entry| {
                entry.as_ref().is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            })
            .count()
    });
    let value = env.json(&format!("{CREATE} --volume-size 16MB"));
    assert_eq!(value["exitCode"], 0, "{value}");
    if finished == 0 {
        // The number of the first run holds.
        let numbers: Vec<_> = sequences.iter().filter(|number| number.is_u64()).collect();
        assert!(numbers.iter().all(|number| **number == value["sequence"]), "{numbers:?} {value}");
    }
    for volume in value["volumes"].as_array().unwrap() {
        let folder = volume["folder"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        sh(&env, &format!("out/{folder}"), "sha256sum --strict -c SHA256SUMS");
    }
    assert!(!env.path("out/.sovai-create").exists() && !env.path("out/.sovai-create.lock").exists());
    assert_eq!(env.everything_below("store/roots").len(), 1);
}

#[test]
fn a_full_disk_is_told_and_the_same_command_goes_on() {
    let env = ready(30 << 20);
    fs_err::create_dir(env.path("out")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=60m none out
\"$0\" {CREATE} & pid=$!
sleep 0.1; dd if=/dev/zero of=out/filler bs=1M count=58 2> /dev/null || true
code=0; wait $pid || code=$?
test $code = 7 -o $code = 0
rm out/filler
test $code = 0 || \"$0\" {CREATE}
cd out/demo-*.v001 && sha256sum --strict -c SHA256SUMS
echo first $code"
    );
    let ran =
        env.process("unshare", &["-m", "sh", "-ec", &script, env!("CARGO_BIN_EXE_sovai")]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    // A disk on which there is no room from the start.
    let script = format!("mount -t tmpfs -o size=20m none out && exec \"$0\" {CREATE}");
    let ran =
        env.process("unshare", &["-m", "sh", "-ec", &script, env!("CARGO_BIN_EXE_sovai")]).output().unwrap();
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
}

#[test]
fn a_folder_takes_one_bundle_at_a_time() {
    let env = ready(3000);
    fs_err::create_dir(env.path("out")).unwrap();
    let script = format!("exec 9> out/.sovai-create.lock; flock 9; \"$0\" {CREATE}");
    let ran = env.process("sh", &["-ec", &script, env!("CARGO_BIN_EXE_sovai")]).output().unwrap();
    assert_eq!(ran.status.code(), Some(11), "{ran:?}");
}
