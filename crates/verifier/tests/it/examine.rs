//! What files are, told by looking at them.

use crate::common::{Model, options};
use sovai_core::RelPath;
use sovai_formats::{ContentType, Severity, SurfaceKind, TemplatePlace};
use sovai_verifier::{Examination, Reread, Scope, TensorsError, examine, examine_scope, model_card, tensors};

/// A safetensors file of one-byte tensors, by name and length.
fn shard(tensors: &[(&str, usize)]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut end = 0;
    for (name, len) in tensors {
        let begin = end;
        end += len;
        entries.push(format!(r#""{name}":{{"dtype":"U8","shape":[{len}],"data_offsets":[{begin},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![7; end]);
    bytes
}

fn looked_at(files: &[(&str, &[u8])]) -> Examination {
    let model = Model::new(files);
    examine(&model.source(), &options(Reread::UseReceipts)).unwrap()
}

fn problems(found: &Examination) -> Vec<(&str, &str)> {
    found.problems.iter().map(|problem| (problem.code, problem.path.as_str())).collect()
}

const INDEX: &str = r#"{"metadata": {"total_size": 30}, "weight_map": {
    "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;

#[test]
fn a_sound_model_has_no_problems() {
    let (first, second) = (shard(&[("a", 10)]), shard(&[("b", 20)]));
    let found = looked_at(&[
        ("model-00001-of-00002.safetensors", &first),
        ("model-00002-of-00002.safetensors", &second),
        ("model.safetensors.index.json", INDEX.as_bytes()),
        (
            "config.json",
            br#"{"auto_map": {"AutoModel": "modeling_x.X"}, "time_step_limit": [0.0, Infinity]}"#,
        ),
        ("modeling_x.py", b"import torch\n"),
        ("tokenizer_config.json", br#"{"chat_template": "{{ messages }}"}"#),
        ("chat_template.jinja", b"{{ messages }}"),
        ("additional_chat_templates/rag.jinja", b"{{ documents }}"),
        ("LICENSE", b"MIT License\n"),
        ("README.md", b"# A model\n"),
    ]);
    assert_eq!(found.problems, []);
    assert_eq!(found.findings, []);
    assert!(!found.has_errors());
    let weights = found.files.iter().filter_map(|file| file.weights.as_ref());
    assert_eq!(
        weights.map(|weights| (weights.tensors, weights.bytes)).collect::<Vec<_>>(),
        [(1, 10), (1, 20)]
    );
    let surface: Vec<_> = found.surface.iter().map(|item| (item.path.as_str(), &item.kind)).collect();
    assert_eq!(surface.len(), 5, "{surface:?}");
    assert_eq!(surface[4].0, "tokenizer_config.json");
    assert!(matches!(&surface[2].1, SurfaceKind::AutoMap { entries } if entries[0].value == "modeling_x.X"));
    assert_eq!(surface[3], ("modeling_x.py", &SurfaceKind::PythonFile));
    let places: Vec<_> = found.templates.iter().map(|template| template.place).collect();
    assert_eq!(places, [TemplatePlace::Additional, TemplatePlace::JinjaFile, TemplatePlace::TokenizerConfig]);
    assert_eq!(found.templates[1].sha256, found.templates[2].sha256);
    assert_eq!(found.licenses.len(), 1);
    assert_eq!(
        (found.licenses[0].path.as_str(), found.licenses[0].text.as_str()),
        ("LICENSE", "MIT License\n")
    );
}

#[test]
fn damage_to_shards_and_indexes_is_found() {
    let (first, second) = (shard(&[("a", 10)]), shard(&[("b", 20)]));
    let with = |second: &[u8], index: &str| {
        looked_at(&[
            ("model-00001-of-00002.safetensors", &first),
            ("model-00002-of-00002.safetensors", second),
            ("model.safetensors.index.json", index.as_bytes()),
        ])
    };
    let index = "model.safetensors.index.json";
    let shard_2 = "model-00002-of-00002.safetensors";
    assert_eq!(problems(&with(&second[..second.len() - 1], INDEX)), [("SOV2013", shard_2)]);
    assert_eq!(problems(&with(&[&second[..], b"PK\x03\x04"].concat(), INDEX)), [("SOV2014", shard_2)]);
    assert_eq!(problems(&with(&shard(&[("b", 20), ("c", 0)]), INDEX)), [("SOV2107", index)]);
    assert_eq!(problems(&with(&shard(&[("a", 20)]), INDEX)), [("SOV2105", index), ("SOV2108", index)]);
    assert_eq!(
        problems(&with(&second, &INDEX.replace("\"b\": \"model-00002", "\"b\": \"model-00001"))),
        [("SOV2105", index), ("SOV2109", index), ("SOV2110", index)]
    );
    let size = with(&second, &INDEX.replace("30", "31"));
    assert_eq!(problems(&size), [("SOV2110", index)]);
    assert_eq!((size.problems[0].severity, size.has_errors()), (Severity::Warning, false));
    assert_eq!(
        problems(&with(&second, &INDEX.replace("model-00002", "../model-00002"))),
        [("SOV2103", index)]
    );
    assert_eq!(problems(&with(&second, &INDEX.replace("\"b\"", "\"a\""))), [("SOV2102", index)]);
    assert_eq!(problems(&with(&second, "{")), [("SOV2101", index)]);
    let missing = looked_at(&[("sub/model-00001-of-00002.safetensors", &first)]);
    assert_eq!(problems(&missing), [("SOV2111", "sub")]);
    assert_eq!(
        missing.problems[0].message,
        "1 of 2 numbered parts is missing, the first is `model-00002-of-00002.safetensors`"
    );
}

#[test]
fn what_hides_behind_a_name_is_found() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    let found = looked_at(&[
        ("model.safetensors", b"\x80\x02]q\0."),
        ("other.safetensors", b"PK\x03\x04"),
        ("big.safetensors", &[0xff; 64]),
        ("weights.gguf", b"\x7fELF"),
        ("cut.gguf", b"GGUF\x03\0\0\0"),
        ("config.json", b"cos\nsystem\n(S'id'\ntR."),
        ("tokenizer_config.json", b"{\"a\": "),
        ("pytorch_model.bin", b"\x80\x02]q\0."),
        ("chat_template.jinja", b"\xff\xfe"),
        ("weights.bin", pointer),
    ]);
    assert_eq!(
        problems(&found),
        [
            ("SOV2002", "big.safetensors"),
            ("SOV2303", "chat_template.jinja"),
            ("SOV2301", "config.json"),
            ("SOV2303", "config.json"),
            ("SOV2205", "cut.gguf"),
            ("SOV2301", "model.safetensors"),
            ("SOV2301", "other.safetensors"),
            ("SOV2303", "tokenizer_config.json"),
            ("SOV2302", "weights.bin"),
            ("SOV2301", "weights.gguf"),
        ]
    );
    let pickles = found.surface.iter().filter(|item| item.kind == SurfaceKind::Pickle);
    assert_eq!(
        pickles.map(|item| item.path.as_str()).collect::<Vec<_>>(),
        ["config.json", "model.safetensors", "pytorch_model.bin"]
    );
}

#[test]
fn links_and_special_files_are_findings_and_not_looked_at() {
    let model = Model::new(&[("config.json", b"{}")]);
    std::os::unix::fs::symlink("/etc/passwd", model.source().join("model.safetensors")).unwrap();
    let found = examine(&model.source(), &options(Reread::UseReceipts)).unwrap();
    assert_eq!((found.files.len(), found.findings.len()), (1, 1));
    assert!(found.has_errors());
}

#[test]
fn tensors_of_one_file_are_told_on_demand() {
    let model = Model::new(&[("sub/a.safetensors", &shard(&[("x", 5), ("y", 5)])), ("b.txt", b"text")]);
    let path = |path| RelPath::new(path).unwrap();
    let map = tensors(&model.source(), &path("sub/a.safetensors")).unwrap();
    let end = map.header().end;
    assert_eq!(map.describe(end + 4..end + 6, 5), "`x`, `y`");
    let refused = |name| tensors(&model.source(), &path(name)).unwrap_err();
    assert!(matches!(refused("b.txt"), TensorsError::NoTensors { content: ContentType::Text, .. }));
    assert!(matches!(refused("none"), TensorsError::File { .. }));
    let file = model.source().join("sub/a.safetensors");
    let alone = examine(&file, &options(Reread::UseReceipts)).unwrap();
    assert_eq!(alone.files[0].path, "a.safetensors");
}

fn examined(model: &Model, covered: &[&str]) -> Examination {
    let covered = covered.iter().map(|&path| path.to_owned()).collect();
    let scope = Scope { covered: Some(&covered), is_model: true };
    examine_scope(&model.source(), scope, &options(Reread::UseReceipts)).unwrap()
}

#[test]
fn files_outside_complete_no_set_of_shards_and_say_nothing_for_the_model() {
    let (first, second) = (shard(&[("a", 10)]), shard(&[("b", 20)]));
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = "model.safetensors.index.json";
    let note = ".cache/huggingface/download/LICENSE.metadata";
    let model = Model::new(&[
        (names[0], &first),
        (names[1], &second),
        (index, INDEX.as_bytes()),
        ("LICENSE", b"MIT License\n"),
        ("chat_template.jinja", b"{{ messages }}"),
        ("evil.py", b"import os\n"),
        (note, b"MIT License\n"),
    ]);
    let found = examined(&model, &[names[0], index]);
    assert_eq!(problems(&found), [("SOV2111", "."), ("SOV2104", index)]);
    assert_eq!((found.files.len(), found.outside.len()), (2, 4), "the note is neither");
    assert_eq!((&found.licenses[..], &found.templates[..]), (&[][..], &[][..]));
    assert_eq!(found.outside_templates.len(), 1);
    assert!(found.surface.iter().any(|item| item.kind == SurfaceKind::PythonFile), "{:?}", found.surface);
    // All of it covered: a note that is pinned is a file like any other.
    let all = examined(&model, &[names[0], names[1], index, "LICENSE", note]);
    assert_eq!((problems(&all), all.licenses.len(), all.outside.len()), (vec![], 2, 2));
}

#[test]
fn a_model_card_is_the_sources_own() {
    let model = Model::new(&[("README.md", b"# A"), ("w.gguf", b"GGUF")]);
    assert_eq!(model_card(&model.source()).as_deref(), Some("# A"));
    assert_eq!(model_card(&model.path("README.md")).as_deref(), Some("# A"));
    assert_eq!(model_card(&model.path("w.gguf")), None, "a neighbour's");
    fs_err::remove_file(model.path("README.md")).unwrap();
    std::os::unix::fs::symlink("w.gguf", model.path("README.md")).unwrap();
    assert_eq!(model_card(&model.source()), None);
}
