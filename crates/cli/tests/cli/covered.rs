//! Only what somebody vouches for says anything of a model: notes of hubs and files that a signature ignores never do.

use crate::env::{IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;

const HEAD: &str = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: ours }\n";
const NOTE: &str = "m/.cache/huggingface/download/LICENSE.metadata";
const CARD: &str = "---\nlicense: mit\n---\n# A model\n";
const MIT: &str = "MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
";

/// A policy that wants a known, allowed licence; `text` is `text: required` or nothing.
fn policy(env: &TestEnv, text: &str, more: &str) {
    let licenses = format!("licenses: {{ allow: [MIT], unknown: refuse{text} }}");
    env.write("p.yaml", format!("{HEAD}spec:\n  {licenses}\n{more}"));
}

fn refusals(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().unwrap();
    let refused = findings.iter().filter(|finding| finding["severity"] == "refuse");
    refused.map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// A manifest over a source, pinned, without a licence.
fn stack(env: &TestEnv, source: &str) {
    let text = manifest("", "", IMAGE_PIN).replace("\n      license: Apache-2.0", "");
    env.write("stack.yaml", text.replace("./weights/m.gguf", source));
    let ran = env.run("lock stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
}

/// The folder `m`, signed by `k` into `s`.
fn signed(env: &TestEnv, options: &str) {
    assert_eq!(env.run("keys generate --algorithm p256 --out k").code, 0);
    assert_eq!(env.run(&format!("sign model m --key k --signature s {options}")).code, 0);
}

#[test]
fn a_hubs_note_is_no_licence_text_of_a_pinned_model() {
    let env = TestEnv::new();
    env.write("m/w.gguf", WEIGHTS);
    policy(&env, ", text: required", "");
    stack(&env, "./m/");
    for note in ["", MIT] {
        env.write(NOTE, note);
        for line in [
            "verify stack.yaml --policy p.yaml",
            "policy check stack.yaml --policy p.yaml",
            "verify m --pins stack.yaml --policy p.yaml",
            "verify m --policy p.yaml",
            "policy check m --policy p.yaml",
        ] {
            let value = env.json(line);
            assert_eq!((value["exitCode"].as_i64(), refusals(&value)[0]), (Some(5), "SOV1010"), "{line}");
            assert!(refusals(&value).contains(&"SOV1013"), "{line}: {value}");
        }
    }
    let value = env.json("verify stack.yaml --policy p.yaml");
    assert_eq!(value["models"][0]["examination"]["licenses"], serde_json::json!([]));
    let value = env.json("inspect m");
    assert_eq!((&value["licenses"], value["files"].as_array().unwrap().len()), (&serde_json::json!([]), 1));
}

#[test]
fn a_hubs_notes_do_not_speak_against_an_honest_folder() {
    let env = TestEnv::new();
    env.write("m/w.gguf", WEIGHTS).write("m/LICENSE", MIT);
    policy(&env, ", text: required", "");
    stack(&env, "./m/");
    env.write(NOTE, "a commit\nan etag\n")
        .write("m/.cache/huggingface/download/model.safetensors.incomplete", b"\x80\x04\x95cut")
        .write("m/.cache/huggingface/download/model-00001-of-00002.safetensors.lock", "");
    for line in ["verify stack.yaml --policy p.yaml", "policy check m --policy p.yaml"] {
        let value = env.json(line);
        assert_eq!((value["exitCode"].as_i64(), refusals(&value).len()), (Some(0), 0), "{line}: {value}");
    }
}

#[test]
fn what_a_signature_ignores_gives_no_licence_no_label_and_no_template() {
    for (options, folder) in [("", "m/.github"), ("--ignore extra", "m/extra")] {
        let env = TestEnv::new();
        env.write("m/w.gguf", WEIGHTS);
        signed(&env, options);
        env.write(&format!("{folder}/LICENSE"), MIT);
        env.write(&format!("{folder}/chat_template.jinja"), "{{ x }}");
        policy(&env, ", text: required", "  remainder: report\n");
        let value = env.json("verify m --signature s --key k.pub --policy p.yaml");
        let found = refusals(&value);
        assert!(found.contains(&"SOV1010") && found.contains(&"SOV1013"), "{folder}: {value}");
        // A template that nobody signed is no template of the model, and is refused as one that could be taken for it.
        assert!(found.contains(&"SOV1071"), "{folder}: {value}");
        let examined = &value["models"][0]["examination"];
        assert_eq!(examined["licenses"], serde_json::json!([]));
        assert_eq!(examined["templates"], serde_json::json!([]));
        assert_eq!(examined["contents"], serde_json::json!({ "gguf": 1 }));
    }
}

#[test]
fn an_ignored_model_card_has_no_label() {
    let env = TestEnv::new();
    env.write("m/w.gguf", WEIGHTS);
    signed(&env, "--ignore README.md");
    policy(&env, "", "  remainder: report\n");
    env.write("m/README.md", CARD);
    let line = "verify m --signature s --key k.pub --policy p.yaml";
    assert_eq!(refusals(&env.json(line)), ["SOV1010"]);
    // The same card, signed.
    assert_eq!(env.run("sign model m --key k --signature s2").code, 0);
    let value = env.json("verify m --signature s2 --key k.pub --policy p.yaml");
    assert_eq!(value["exitCode"], 0, "{value}");
    // A signature that does not hold vouches for nothing.
    assert_eq!(env.run("keys generate --algorithm p256 --out other").code, 0);
    let value = env.json("verify m --signature s2 --key other.pub --policy p.yaml");
    assert!(refusals(&value).contains(&"SOV1010"), "{value}");
}

#[test]
fn what_is_ignored_can_still_speak_against_a_model() {
    let env = TestEnv::new();
    env.write("m/w.gguf", WEIGHTS);
    signed(&env, "--ignore extra");
    env.write("p.yaml", format!("{HEAD}spec:\n  remainder: report\n  remoteCode: pinned\n"));
    let line = "verify m --signature s --key k.pub --policy p.yaml";
    assert_eq!(env.json(line)["exitCode"], 0);
    env.write("m/extra/modeling_x.py", "import os\n");
    assert_eq!(refusals(&env.json(line)), ["SOV1070"]);
    env.write("m/extra/modeling_x.py", b"\x80\x04\x95\x0c\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.");
    assert!(refusals(&env.json(line)).contains(&"SOV1030"));
}

#[test]
fn a_label_is_read_through_a_hubs_cache() {
    let env = TestEnv::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let root = "hub/models--a--b";
    env.write(&format!("{root}/blobs/card"), CARD).write(&format!("{root}/blobs/weights"), WEIGHTS);
    env.write(&format!("{root}/refs/main"), commit).write(&format!("{root}/snapshots/{commit}/x"), "x\n");
    policy(&env, "", "");
    let put_link = |target: &str, name: &str| {
        let place = env.path(&format!("{root}/snapshots/{commit}/{name}"));
        std::os::unix::fs::symlink(target, place).unwrap();
    };
    put_link("../../blobs/weights", "w.gguf");
    let line = format!("policy check {root} --policy p.yaml");
    assert_eq!(refusals(&env.json(&line)), ["SOV1010"]);
    put_link("../../blobs/card", "README.md");
    assert_eq!(env.json(&line)["exitCode"], 0);
}

#[test]
fn a_single_file_is_looked_at_alone() {
    let env = TestEnv::new();
    env.write("m/README.md", CARD).write("m/LICENSE", MIT).write("m/evil.py", "import os\n");
    let header = br#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let shard = [&(header.len() as u64).to_le_bytes()[..], header, b"x"].concat();
    env.write("m/w-00001-of-00003.safetensors", shard).write("m/w-00001-of-00003.gguf", WEIGHTS);
    policy(&env, "", "");
    let ran = env.run("inspect m/w-00001-of-00003.safetensors");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("part 1 of 3; the others were not looked at"), "{ran}");
    for line in ["verify", "policy check"] {
        let value = env.json(&format!("{line} m/w-00001-of-00003.safetensors --policy p.yaml"));
        let found = refusals(&value);
        assert!(found.contains(&"SOV1010"), "its neighbours say nothing for it: {value}");
        assert!(!found.contains(&"SOV1033") && !found.contains(&"SOV1070"), "{value}");
    }
    // An index without the shards beside it.
    env.write(
        "i/model.safetensors.index.json",
        r#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#,
    );
    assert_eq!(env.run("inspect i/model.safetensors.index.json").code, 0);
    assert_eq!(env.run("inspect i").code, 5, "the folder has none of them");
    // One part is no model.
    stack(&env, "./m/w-00001-of-00003.gguf");
    let value = env.json("verify stack.yaml");
    assert!(value.to_string().contains("breaks rule SOV2111: 2 of 3 numbered parts are missing"), "{value}");
}

#[test]
fn what_is_neither_folder_nor_file_is_exit_2() {
    let env = TestEnv::new();
    rustix::fs::mknodat(CWD, env.path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(env.path("socket")).unwrap();
    for (target, word) in [("pipe", "a named pipe"), ("socket", "a socket"), ("/dev/null", "a device")] {
        for line in ["verify", "inspect", "policy check"] {
            let ran = env.run(&format!("{line} {target}"));
            assert_eq!(ran.code, 2, "{line} {target}: {ran}");
            assert!(ran.stderr.contains(word) && ran.stderr.contains("hint: "), "{line} {target}: {ran}");
        }
    }
}

#[test]
fn a_result_that_compares_nothing_says_what_it_did_not_read() {
    let env = TestEnv::new();
    env.write("m/w.gguf", WEIGHTS).write(NOTE, "x");
    fs_err::create_dir(env.path("m/empty")).unwrap();
    let value = env.json("verify m");
    let model = &value["models"][0];
    assert_eq!((&model["files"], &model["bytes"], &model["hashed"]), (&1.into(), &24.into(), &24.into()));
    assert_eq!(model["pinned"], false);
    let left: Vec<&str> =
        model["remainder"]["items"].as_array().unwrap().iter().map(|i| i["path"].as_str().unwrap()).collect();
    assert_eq!(left, [&NOTE[2..], "empty"]);
    let ran = env.run("verify m");
    assert!(ran.stderr.contains("not covered: 1 x a note of a hub's tool; 1 x an empty folder"), "{ran}");
    assert!(env.run("-v verify m").stderr.contains("    empty: an empty folder"), "{ran}");
    assert!(ran.stderr.contains("never covered: owners and groups"), "{ran}");
}

#[test]
fn files_that_are_signed_by_another_hash_or_in_pieces_count_too() {
    let env = TestEnv::new();
    for (name, text) in
        [("a.txt", "x\n"), ("a/b", "hello\n"), ("config.json", "{}\n"), ("é:1.bin", "0123456789\n")]
    {
        env.write(&format!("m/{name}"), text);
    }
    env.write("m/empty", "").write("renamed.bin", "x\n");
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../signing/tests/vectors");
    // An empty file has no piece, so that no signature over pieces covers it.
    for (target, name, covered) in
        [("m", "blake2b", 5), ("m", "blake3", 5), ("m", "shards", 4), ("renamed.bin", "single", 1)]
    {
        let value = env.json(&format!(
            "verify {target} --compat --signature {vectors}/{name}.sig --key {vectors}/prime256v1.pub"
        ));
        let contents = value["models"][0]["examination"]["contents"].as_object().unwrap();
        let files: u64 = contents.values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!((value["exitCode"].as_i64(), files), (Some(0), covered), "{name}: {value}");
    }
}
