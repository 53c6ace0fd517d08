//! `init`, and the ready manifests that it made.

use crate::env::TestEnv;
use std::path::{Path, PathBuf};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests");
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");

fn parsed(path: &Path) -> sovai_manifest::Manifest {
    let parsed = sovai_manifest::parse(&fs_err::read(path).unwrap());
    assert_eq!(parsed.diagnostics, [], "{}", path.display());
    parsed.manifest.unwrap()
}

#[test]
fn a_manifest_of_a_model_is_whole_and_valid() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("init kimi.yaml --model Kimi-K2.6 --accelerators 8xH200"), @r"
    exit 0
    --- stdout
    written: kimi.yaml
    next: read it, then `sovai lock kimi.yaml`
    hint: image vllm/vllm-openai:v0.25.0 names no registry: load it into the container engine, or say `sovai lock kimi.yaml --registry HOST` (SOVAI_REGISTRY, `registry` in sovai.toml)
    --- stderr
    ");
    insta::assert_snapshot!("init_kimi", env.read("kimi.yaml"));
    assert_eq!(env.run("validate kimi.yaml").code, 0);
    let value = env.json("init --model gpt-oss-20b --accelerators 3xl40s -q other.yaml");
    assert_eq!((&value["kind"], &value["exitCode"]), (&"InitResult".into(), &0.into()));
    assert_eq!((&value["model"], &value["variant"]), (&"gpt-oss-20b".into(), &"mxfp4".into()));
    assert_eq!((&value["accelerators"], &value["knownToWork"]), (&"3xl40s".into(), &false.into()));
    assert!(
        value["warnings"][0]
            .as_str()
            .unwrap()
            .starts_with("no source says that gpt-oss-20b was run on 3xl40s")
    );
    assert!(env.read("other.yaml").contains("# WARNING: no source says that gpt-oss-20b was run on 3xl40s"));
}

#[test]
fn without_a_model_a_skeleton_is_written() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("init"), @r"
    exit 0
    --- stdout
    written: manifest.yaml
    next: read it, then `sovai lock manifest.yaml`
    --- stderr
    ");
    insta::assert_snapshot!(env.run("validate manifest.yaml"), @r"
    exit 0
    --- stdout
    valid: stack my-stack, 1 model, 1 service
    --- stderr
    ");
    assert!(env.read("manifest.yaml").lines().filter(|line| line.contains('#')).count() > 15);
}

#[test]
fn a_file_that_is_there_stays_unless_forced() {
    let env = TestEnv::new();
    env.write("manifest.yaml", "mine\n");
    insta::assert_snapshot!(env.run("init"), @r"
    exit 2
    --- stdout
    --- stderr
    error: manifest.yaml is there, and is not overwritten

    hint: name another file, or say --force
    ");
    assert_eq!(env.read("manifest.yaml"), "mine\n");
    assert_eq!(env.run("init --force").code, 0);
    assert!(env.read("manifest.yaml").starts_with("# A model behind a gateway."));
    fs_err::create_dir(env.path("folder.yaml")).unwrap();
    assert_eq!(env.run("init folder.yaml --force").code, 2);
    assert_eq!(env.run("init no-such-folder/a.yaml").code, 2);
}

#[test]
fn what_is_known_to_fail_is_refused_and_nothing_is_written() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("init a.yaml --model deepseek-v4-pro --accelerators 8xMI300X"), @r"
    exit 7
    --- stdout
    --- stderr
    error: DeepSeek-V4-Pro is known not to work on 8xmi300x
      caused by: DeepSeek-V4-Pro (0813) with vllm: the recipe marks mi300x as unsupported (https://github.com/vllm-project/recipes/blob/8959cf6/models/deepseek-ai/DeepSeek-V4-Pro.yaml)

    hint: instead: h200, b200, gb200, b300, gb300 or mi355x; or DeepSeek-V4-Flash
    hint: sovai catalog show deepseek-v4-pro
    ");
    insta::assert_snapshot!(env.run("init a.yaml --model kimi-k2.6 --accelerators 8xmi300x --engine sglang"), @r"
    exit 7
    --- stdout
    --- stderr
    error: Kimi-K2.6 is known not to work on 8xmi300x
      caused by: Kimi-K2.6 (int4) with sglang: with SGLang on AMD the tensor parallel size is at most 4: its AITER kernels need a multiple of 16 heads a rank, and the model has 64 (https://github.com/sgl-project/sgl-cookbook/tree/7b5bd9c)

    hint: instead: 4xmi300x with SGLang, or vLLM
    hint: known to work: --accelerators 8xmi300x --variant int4 --engine vllm
    hint: sovai catalog show kimi-k2.6
    ");
    insta::assert_snapshot!(env.run("init a.yaml --model deepseek-v4-flash --accelerators 16xascend-a3 --variant 0731"), @r"
    exit 7
    --- stdout
    --- stderr
    error: DeepSeek-V4-Flash is known not to work on 16xascend-a3
      caused by: DeepSeek-V4-Flash (0731) with vllm: Ascend A2 and A3 have no FP8 and no FP4: they take W8A8 and W4A8 builds (https://github.com/vllm-project/vllm-ascend/tree/182b75e/docs/source/tutorials/models)

    hint: instead: a build with int8 (W8A8) or int4 weights (W4A8)
    hint: known to work: --accelerators 16xascend-a3 --variant w8a8-mtp --engine vllm
    hint: sovai catalog show deepseek-v4-flash
    ");
    insta::assert_snapshot!(env.run("init a.yaml --model kimi-k26"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the catalogue has no model `kimi-k26`

    hint: did you mean `kimi-k2.6`?
    ");
    insta::assert_snapshot!(env.run("init a.yaml --model kimi-k2.6 --accelerators 8xH2OO"), @r"
    exit 2
    --- stdout
    --- stderr
    error: --accelerators: no card `H2OO` is known

    hint: known are h100, h200, b200, gb200, b300, gb300, dgx-station-gb300, gb10, rtx-pro-6000, rtx-5090, a100, l40s, l4, mi300x, mi325x, mi355x, arc-pro-b60, arc-pro-b70, ascend-a2, ascend-a3, ascend-310p, ascend-950dt, ascend-950pr
    ");
    for line in [
        "init --accelerators 8xh200",
        "init --model kimi-k2.6 --variant nothing",
        "init --model kimi-k2.6 --engine ollama",
    ] {
        assert_eq!(env.run(line).code, 2, "{line}");
    }
    assert!(!env.path("a.yaml").exists() && !env.path("manifest.yaml").exists());
}

/// The manifests that say how they were made, each with that command line.
fn made() -> Vec<(PathBuf, String)> {
    let mut made = Vec::new();
    for entry in fs_err::read_dir(MANIFESTS).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = fs_err::read_to_string(&path) else { continue };
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("# Made by: sovai ")) {
            made.push((path, line.to_owned()));
        }
    }
    made.sort();
    made
}

#[test]
fn the_ready_manifests_are_what_init_writes_today() {
    let made = made();
    let names: Vec<_> = made.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "deepseek-v4-flash-ascend-a3.yaml",
            "deepseek-v4-flash-h200.yaml",
            "deepseek-v4-pro.yaml",
            "gpt-oss-20b.yaml",
            "kimi-k2.6.yaml",
            "qwen3.6-27b.yaml",
            "seed-oss-36b.yaml",
        ]
    );
    for (path, line) in made {
        let env = TestEnv::new();
        let ran = env.run(&format!("{line} again.yaml"));
        assert_eq!(ran.code, 0, "{line}: {ran}");
        assert_eq!(parsed(&env.path("again.yaml")), parsed(&path), "{line}");
    }
}

#[test]
fn every_flag_is_documented() {
    let docs = fs_err::read_to_string(DOCS).unwrap();
    let env = TestEnv::new();
    for (command, section) in [("init", "\n## `sovai init "), ("catalog", "\n## `sovai catalog ")] {
        assert!(docs.contains(section), "{section}");
        let help = env.run(&format!("{command} --help")).stdout;
        for flag in help.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.trim_end_matches([',', '.', ')', ']']);
            assert!(docs.contains(flag), "{command}: {flag} is not in docs/commands.md");
        }
    }
}
