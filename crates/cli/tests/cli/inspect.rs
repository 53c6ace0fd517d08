//! `sovai inspect`.

use crate::env::TestEnv;
use serde_json::Value;

/// A safetensors file of two tensors, 8 bytes of data.
fn weights() -> Vec<u8> {
    let header = br#"{"a\u001b[31m":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([1; 8]);
    bytes
}

#[test]
fn a_sound_folder_is_told_and_nothing_is_written() {
    let env = TestEnv::new();
    env.write("m/model.safetensors", weights())
        .write("m/config.json", r#"{"auto_map": {"AutoModel": "x.M\u001b[2J"}}"#)
        .write("m/chat_template.jinja", "a\nb\u{1b}[1m\nc\n")
        .write("base/chat_template.jinja", "a\nx\nc\n")
        .write("m/LICENSE", "MIT\n");
    let ran = env.run("inspect m --tensors --base base");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for wanted in [
        "m: folder, 4 files",
        "model.safetensors: safetensors, ",
        "2 tensors (1 F16, 1 U8)",
        "auto_map: config.json  sha256:",
        "AutoModel=x.M\\u{1b}[2J",
        "F16 [2]  a\\u{1b}[31m",
        "differs from chat_template.jinja of the base",
        "| -x",
        "| +b\\u{1b}[1m",
        "licence text: LICENSE  sha256:",
        "headers are sound",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert!(!env.path("../home/.local").exists());
    let equal = env.run("inspect m --base m/chat_template.jinja");
    assert!(equal.stdout.contains("equal to chat_template.jinja of the base"), "{}", equal.stdout);
}

#[test]
fn broken_rules_are_exit_5_with_their_codes() {
    let env = TestEnv::new();
    let mut cut = weights();
    cut.pop();
    env.write("m/model.safetensors", cut).write("m/other.gguf", b"\x80\x02]q\0.");
    let ran = env.run("inspect m -o json");
    assert_eq!(ran.code, 5);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&value["kind"], &value["targetKind"]), (&"InspectResult".into(), &"folder".into()));
    let codes: Vec<_> =
        value["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["SOV2013", "SOV2301"]);
    assert_eq!(value["findings"][0]["type"], "format");
    assert_eq!(value["surface"][0]["kind"], "pickle");
    let text = env.run("inspect m/model.safetensors");
    assert_eq!(text.code, 5);
    assert!(
        text.stdout.contains("error[SOV2013]: model.safetensors: the file is truncated"),
        "{}",
        text.stdout
    );
    assert_eq!(env.run("inspect none").code, 2);
}

#[test]
fn signatures_and_passports_are_told_apart() {
    let env = TestEnv::new();
    env.write("m/a.txt", "hello\n")
        .write("broken.sig", r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#);
    let ran = env.run("inspect broken.sig");
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("broken.sig is no signature that can be read"), "{}", ran.stderr);
    env.write("broken.passport", r#"{"apiVersion":"sovai/v1","kind":"Passport"}"#);
    let ran = env.run("inspect broken.passport");
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("is no passport that can be read"), "{}", ran.stderr);
}
