//! What is not covered is said.

use crate::common::{Model, options};
use sovai_verifier::{MAX_LISTED, Reason, Remainders, Reread, remainder, remainder_unpinned};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn listed(remainders: &Remainders) -> Vec<String> {
    remainders.items.iter().map(ToString::to_string).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_plain_model_leaves_nothing_but_what_is_never_covered() {
    let model = Model::usual();
    let remainder = model.verify().remainder;
    assert_eq!(listed(&remainder), [""; 0]);
    assert!(remainder.counts.is_empty());
    assert!(remainder.general.contains(&"extended attributes and access-control lists"));
}

#[test]
fn modes_links_empty_folders_and_notes_are_listed_and_are_no_findings() {
    let model = Model::usual();
    set_mode(&model.path("config.json"), 0o755);
    set_mode(&model.path("empty.txt"), 0o4644);
    set_mode(&model.path("weights/model-00001.safetensors"), 0o666);
    fs_err::hard_link(
        model.path("weights/more/model-00002.safetensors"),
        model.dir.path().join("other name"),
    )
    .unwrap();
    fs_err::create_dir_all(model.path("nothing/here")).unwrap();
    fs_err::create_dir_all(model.path("weights/more/none")).unwrap();
    model.write(".cache/huggingface/download/config.json.metadata", b"0\n0\n0\n");
    let report = model.verify();
    assert_eq!(report.findings, []);
    let expected = [
        "`.cache/huggingface/download/config.json.metadata` is not covered: a note of a hub's tool",
        "`config.json` is not covered: its permission bits (0755)",
        "`empty.txt` is not covered: its permission bits (4644)",
        "`nothing` is not covered: an empty folder",
        "`nothing/here` is not covered: an empty folder",
        "`weights/model-00001.safetensors` is not covered: its permission bits (0666)",
        "`weights/more/model-00002.safetensors` is not covered: it has more than one name",
        "`weights/more/none` is not covered: an empty folder",
    ];
    assert_eq!(listed(&report.remainder), expected);
    assert_eq!(remainder(&model.source(), &model.pins, &options(Reread::Full)).unwrap(), report.remainder);
    assert_eq!(remainder_unpinned(&model.source(), &options(Reread::Full)).unwrap(), report.remainder);
    // Admission says the same when it reads, and when receipts answer.
    assert_eq!(listed(&model.admitted().remainder), expected);
    let again = model.admitted();
    assert_eq!((again.hashed, &listed(&again.remainder)[..]), (0, &expected.map(str::to_owned)[..]));
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let files: Vec<(String, Vec<u8>)> =
        (0..MAX_LISTED + 20).map(|at| (format!("f{at:04}"), vec![1])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (&**path, &**bytes)).collect();
    let model = Model::new(&files);
    for (path, _) in &files {
        set_mode(&model.path(path), 0o755);
    }
    let remainder = model.verify().remainder;
    assert_eq!(remainder.items.len(), MAX_LISTED);
    assert_eq!(remainder.counts[&Reason::Mode], MAX_LISTED as u64 + 20);
}

#[test]
fn a_remainder_in_json() {
    let model = Model::new(&[("run.sh", b"#!")]);
    set_mode(&model.path("run.sh"), 0o700);
    let value = serde_json::to_value(model.verify().remainder).unwrap();
    assert_eq!(value["items"], serde_json::json!([{ "path": "run.sh", "reason": "mode", "detail": "0700" }]));
    assert_eq!(value["counts"], serde_json::json!({ "mode": 1 }));
    assert!(value["general"].is_array());
}

#[test]
fn the_store_s_own_links_are_no_names_of_others() {
    let model = Model::usual();
    let receipt = model.admit().receipt.unwrap();
    let listed_of_tree = || {
        let report = sovai_verifier::verify(
            receipt.tree(),
            &model.pins,
            &options(Reread::Full),
            None,
            &sovai_core::NullReporter,
        );
        listed(&report.unwrap().remainder)
    };
    assert_eq!(listed_of_tree(), [""; 0]);
    // The same blob in a second tree of the store.
    let lock = model.store().lock("a test").unwrap();
    let first = &model.pins[..1];
    model.store().make_tree(&lock, &sovai_store::model_manifest(first).1, first).unwrap();
    assert_eq!(listed_of_tree(), [""; 0]);
    // A name outside the store.
    fs_err::hard_link(model.store().blob(&model.pins[0].sha256), model.dir.path().join("out")).unwrap();
    let expected = format!("`{}` is not covered: it has more than one name", model.pins[0].path);
    assert_eq!(listed_of_tree(), [expected]);
}
