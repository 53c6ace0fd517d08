use crate::env::{FILES, IMAGE_PIN, TestEnv, manifest};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const HEAD: &str = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: ours }\n";

/// A GGUF file without tensors, with a chat template in its header.
fn gguf() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let pair = |key: &str, value: &str| [&text(key)[..], &8u32.to_le_bytes(), &text(value)].concat();
    let mut bytes = [&b"GGUF"[..], &3u32.to_le_bytes(), &1u64.to_le_bytes(), &2u64.to_le_bytes()].concat();
    bytes.extend(pair("general.architecture", "llama"));
    bytes.extend(pair("tokenizer.chat_template", "{{ messages[0].content }}"));
    // One tensor: name, dimensions, type F32, offset 0.
    bytes.extend(text("token_embd.weight"));
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(32u64.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend([0; 128]);
    bytes
}

/// A pickle of protocol 4: a dictionary with one key.
const PICKLE: &[u8] = b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.";

fn codes(value: &serde_json::Value, severity: &str) -> Vec<String> {
    let findings = value["findings"].as_array().unwrap();
    let wanted = findings.iter().filter(|found| found["severity"] == severity);
    wanted.map(|found| found["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_built_in_policy_is_explained_and_is_what_holds() {
    let env = TestEnv::new();
    let ran = env.run("policy explain");
    assert_eq!(ran.code, 0, "{ran}");
    env.write("built-in.yaml", &ran.stdout);
    let checked = env.json("policy check --policy built-in.yaml");
    assert_eq!(checked["kind"], "PolicyResult");
    assert_eq!(checked["policy"]["rules"], env.json("policy check")["policy"]["rules"]);
    insta::assert_snapshot!(env.run("policy check --policy built-in.yaml"), @"
    exit 0
    --- stdout
    valid: policy built-in (built-in.yaml)
    --- stderr
    ");
}

#[test]
fn rules_of_every_kind_are_explained() {
    let env = TestEnv::new();
    for code in ["SOV0020", "SOV0110", "SOV1013", "SOV2001", "SOV3101", "sov1070"] {
        let value = env.json(&format!("policy explain {code}"));
        assert_eq!(value["rule"]["code"], code.to_uppercase());
        assert!(value["rule"]["explanation"].as_str().unwrap().len() > 20, "{value}");
    }
    let ran = env.run("policy explain SOV1O11");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.contains("hint: sovai policy explain SOV1011"), "{ran}");
    assert_eq!(env.run("policy explain \x1b[31m").code, 2);
}

#[test]
fn a_broken_policy_is_exit_3_with_its_lines() {
    let env = TestEnv::new();
    env.write("p.yaml", format!("{HEAD}spec:\n  licences: {{ allow: [MIT] }}\n  remoteCode: never\n"));
    insta::assert_snapshot!(env.run("policy check --policy p.yaml"), @"
    exit 3
    --- stdout
    --- stderr
    error[SOV0020]: unknown key `licences` in `spec`
     --> p.yaml:5:3
      |
    5 |   licences: { allow: [MIT] }
      |   ^^^^^^^^
      |
      = hint: did you mean `licenses`?

    error[SOV0024]: unknown value `never`
     --> p.yaml:6:15
      |
    6 |   remoteCode: never
      |               ^^^^^
      |
      = hint: known: `refuse`, `pinned`

    error: policy p.yaml is invalid: 2 errors
    ");
    assert_eq!(env.run("policy check --policy none.yaml").code, 2);
    assert_eq!(env.run("policy check none").code, 2);
    let mut bomb = format!("{HEAD}spec: {{}}\nx-0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let _ = writeln!(bomb, "x-{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    let hostile = [
        bomb,
        format!("{HEAD}spec: {{ remoteCode: refuse, remoteCode: pinned }}\n"),
        format!("{HEAD}spec: {{}}\nx: {}\n", "[".repeat(100_000)),
        format!("{HEAD}spec: {{ licenses: {{ deny: [{}] }} }}\n", "MIT, ".repeat(100_000)),
        "\0".repeat(2000),
    ];
    for text in hostile {
        env.write("p.yaml", &text);
        let start = Instant::now();
        let ran = env.run("policy check --policy p.yaml");
        assert_eq!(ran.code, 3, "{ran}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn a_pinned_gguf_file_with_a_template_passes_and_its_trail_says_why() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", gguf()).write("stack.yaml", manifest("", FILES, IMAGE_PIN));
    insta::assert_snapshot!(env.run("policy check stack.yaml"), @r"
    exit 0
    --- stdout
    model assistant: allowed
      allowed SOV1001 the trust level is digest, at least digest is wanted: every file is pinned; `sovai verify` compares the bytes (trust.minimum, built in)
      allowed SOV1012 the declared licence `Apache-2.0` is not denied (licenses.deny, built in)
      allowed SOV1030 files are gguf (formats.allow, built in)
      allowed SOV1033 no file breaks the rules of its format (formats.problems, built in)
      allowed SOV1041 the source `file:./weights/m.gguf` is not denied (origins.sources.deny, built in)
      allowed SOV1070 the model brings no code (remoteCode, built in)
      allowed SOV1071 chat templates: 1, all in files that are pinned (templates, built in)
    image example/engine:1: allowed
      allowed SOV1060 its name is not denied (images.registries.deny, built in)

    allowed by the built-in policy
    --- stderr
    ");
    let value = env.json("policy check stack.yaml");
    assert_eq!(codes(&value, "refuse"), [""; 0]);
    assert_eq!(value["targetKind"], "manifest");
    assert!(value["allowed"].as_array().unwrap().iter().any(|held| held["code"] == "SOV1071"), "{value}");
}

#[test]
fn a_pickle_is_refused_under_any_name() {
    let env = TestEnv::new();
    for name in ["model.safetensors", "m.gguf", "readme.txt"] {
        let folder = format!("model-{}", name.replace('.', "-"));
        env.write(&format!("{folder}/{name}"), PICKLE);
        let value = env.json(&format!("policy check {folder}"));
        assert_eq!(value["exitCode"], 5, "{value}");
        assert!(codes(&value, "refuse").contains(&"SOV1030".to_owned()), "{name}: {value}");
    }
}

#[test]
fn code_is_refused_and_taken_where_it_is_pinned() {
    let env = TestEnv::new();
    env.write("model/m.gguf", gguf())
        .write("model/config.json", r#"{"auto_map": {"AutoModel": "modeling_x.XModel"}}"#)
        .write("model/modeling_x.py", "import os\n\n\nclass XModel:\n    pass\n");
    let refused = env.json("policy check model");
    assert_eq!(refused["exitCode"], 5);
    assert_eq!(codes(&refused, "refuse"), ["SOV1070", "SOV1070"]);
    env.write("p.yaml", format!("{HEAD}spec: {{ remoteCode: pinned }}\n"));
    let taken = env.json("policy check --policy p.yaml model");
    assert_eq!((&taken["exitCode"], codes(&taken, "refuse")), (&0.into(), vec![]), "{taken}");
    // The same folder in a manifest that does not pin it.
    let stack = manifest("", "", IMAGE_PIN).replace("file:./weights/m.gguf", "file:./model/");
    env.write("stack.yaml", stack);
    let unpinned = env.json("policy check --policy p.yaml stack.yaml");
    assert_eq!(codes(&unpinned, "refuse"), ["SOV1001", "SOV1070", "SOV1070", "SOV1071"], "{unpinned}");
}

#[test]
fn the_licence_text_counts_and_not_the_label() {
    let env = TestEnv::new();
    env.write("model/m.gguf", gguf())
        .write("model/README.md", "---\nlicense: mit\n---\n# A model\n")
        .write("model/LICENSE", "Non-commercial use only. Commercial use needs a written permission.\n");
    let value = env.json("policy check model");
    assert_eq!(codes(&value, "refuse"), ["SOV1014"], "{value}");
    let hint = value["findings"].as_array().unwrap().iter().find(|found| found["code"] == "SOV1013").unwrap();
    let (_, digest) = hint["hint"].as_str().unwrap().split_once("sha256: ").unwrap();
    let pin = format!("texts: [{{ id: LicenseRef-Theirs, sha256: {} }}]", &digest[..64]);
    env.write("p.yaml", format!("{HEAD}spec:\n  licenses: {{ deny: [LicenseRef-Theirs], {pin} }}\n"));
    let value = env.json("policy check --policy p.yaml model");
    assert_eq!(codes(&value, "refuse"), ["SOV1012", "SOV1014"], "{value}");
    assert_eq!(value["findings"][1]["line"], 5);
}

#[test]
fn a_manifests_own_policy_holds_and_the_command_lines_beats_it() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", gguf());
    env.write(
        "deep/strict.yaml",
        format!("{HEAD}spec: {{ origins: {{ sources: {{ deny: ['file:*'] }} }} }}\n"),
    );
    env.write("lax.yaml", format!("{HEAD}spec: {{}}\n"));
    let stack = manifest("", FILES, IMAGE_PIN).replace("spec:\n", "spec:\n  policy: deep/strict.yaml\n");
    env.write("stack.yaml", stack);
    let own = env.json("policy check stack.yaml");
    assert_eq!(codes(&own, "refuse"), ["SOV1041"], "{own}");
    assert_eq!(own["policy"]["file"], "deep/strict.yaml");
    assert_eq!(env.json("policy check --policy lax.yaml stack.yaml")["exitCode"], 0);
}

#[test]
fn hostile_names_cannot_move_the_cursor() {
    let env = TestEnv::new();
    env.write("model/\u{1b}[2Jm.bin", PICKLE);
    let ran = env.run("policy check model");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(!ran.stdout.contains("\u{1b}[2J"), "{ran}");
}

#[test]
fn the_policys_schema_is_printed() {
    let env = TestEnv::new();
    let value = env.json("schema --policy");
    assert_eq!(value["schema"]["title"], "sovai policy");
    assert_eq!(env.json("schema")["schema"]["title"], "sovai manifest");
}

#[test]
fn example_policies_are_valid() {
    let env = TestEnv::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/policies");
    let mut seen = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        env.write("p.yaml", fs_err::read(entry.path()).unwrap());
        assert_eq!(env.run("policy check --policy p.yaml").code, 0, "{:?}", entry.path());
        seen += 1;
    }
    assert!(seen >= 2);
}
