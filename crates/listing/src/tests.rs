use super::*;
use crate::hub::{Answer, Folder, Model, parse};
use serde_json::{Value, json};

const A: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, files: 10 };

fn model(value: &Value) -> Result<Model, ListingError> {
    match parse(value.to_string().as_bytes(), BOUNDS)? {
        Answer::Model(model) => Ok(model),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_has_its_commit_its_licence_and_its_files() {
    let found = model(&json!({ "sha": BLOB, "cardData": { "license": "mit" }, "gated": false, "siblings": [
        { "rfilename": "b.safetensors", "size": 9, "blobId": BLOB, "lfs": { "sha256": A, "size": 9, "pointerSize": 134 } },
        { "rfilename": "a.json", "size": 3, "blobId": BLOB },
    ] }))
    .unwrap();
    assert_eq!((found.sha.as_deref(), found.license.as_deref()), (Some(BLOB), Some("mit")));
    let [weights, config] = &found.files[..] else { panic!("{found:?}") };
    assert_eq!((weights.size, weights.sha256.unwrap().hex()), (Some(9), A.to_owned()));
    assert_eq!(weights.git_blob, None, "the pointer's id says nothing of the weights");
    assert_eq!((config.size, config.sha256, config.git_blob), (Some(3), None, GitBlob::from_hex(BLOB)));
}

#[test]
fn licences_of_cards_are_read_in_their_forms() {
    for (card, expected) in [
        (json!({ "license": "apache-2.0" }), Some("apache-2.0")),
        (json!({ "license": "other", "license_name": "kimi" }), Some("kimi")),
        (json!({ "license": "other" }), Some("other")),
        (json!({ "license": ["mit", "cc-by-4.0"] }), Some("mit, cc-by-4.0")),
        (json!({ "license": 3 }), None),
        (json!({ "license": "  " }), None),
        (json!({}), None),
        (json!("text"), None),
        (Value::Null, None),
    ] {
        let found = model(&json!({ "cardData": card, "siblings": [] })).unwrap();
        assert_eq!(found.license.as_deref(), expected, "{card}");
    }
}

#[test]
fn what_no_file_can_have_is_refused() {
    let file = |more: Value| {
        let mut file = json!({ "rfilename": "w" });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "siblings": [file] })
    };
    for (value, part) in [
        (file(json!({ "size": -1 })), "invalid value"),
        (file(json!({ "size": 1.5 })), "invalid type"),
        (file(json!({ "size": 9_223_372_036_854_775_808_u64 })), "at most 9223372036854775807 bytes"),
        (file(json!({ "size": 1, "lfs": { "size": 2, "sha256": A } })), "two sizes"),
        (file(json!({ "lfs": { "sha256": A.to_uppercase() } })), "64 lower-case"),
        (file(json!({ "lfs": { "sha256": &A[..63] } })), "64 lower-case"),
        (file(json!({ "rfilename": "../x" })), "cannot be a file"),
        (file(json!({ "rfilename": "/x" })), "cannot be a file"),
        (json!({ "siblings": vec![json!({ "rfilename": "w" }); 11] }), "at most 10 files"),
        (
            json!({ "Success": true, "Data": { "Files": [{ "Path": "w", "Type": "blob", "Size": -1 }] } }),
            "invalid value",
        ),
    ] {
        let error = model(&value).unwrap_err();
        assert!(error.to_string().contains(part), "{value}: {error}");
    }
    let deep = format!("{{\"cardData\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(parse(deep.as_bytes(), BOUNDS), Err(ListingError::Json(_))));
    let long = format!("{{\"siblings\":[],\"x\":\"{}\"}}", "x".repeat(1 << 20));
    assert!(matches!(parse(long.as_bytes(), BOUNDS), Err(ListingError::Json(_))));
    let many = format!("{A}  x\n").repeat(11);
    assert_eq!(sums(many.as_bytes(), BOUNDS), Err(ListingError::TooMany { most: 10, found: 11 }));
    assert!(matches!(sums(&vec![b'#'; (1 << 20) + 1], BOUNDS), Err(ListingError::TooLong { .. })));
}

#[test]
fn a_folder_of_modelscope_tells_files_from_folders() {
    let value = json!({ "Code": 200, "Success": true, "Data": { "Files": [
        { "Path": "sub", "Name": "sub", "Type": "tree", "Size": 0, "Sha256": "" },
        { "Path": "w", "Name": "w", "Type": "blob", "Size": 7, "Sha256": A, "IsLFS": true },
    ] } });
    let Answer::ModelScope(folder) = parse(value.to_string().as_bytes(), BOUNDS).unwrap() else { panic!() };
    assert_eq!(folder.folders, [RelPath::new("sub").unwrap()]);
    assert_eq!((folder.files[0].size, folder.files[0].sha256.unwrap().hex()), (Some(7), A.to_owned()));
    assert!(!folder.may_be_cut());
    assert!(
        Folder { folders: vec![RelPath::new("x").unwrap(); hub::MODELSCOPE_CAP], files: vec![] }.may_be_cut()
    );
}
