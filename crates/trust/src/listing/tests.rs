use super::*;
use serde_json::{Value, json};

const A: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const B: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

fn parse(value: &Value) -> Result<Listing, ListingError> {
    Listing::parse(value.to_string().as_bytes())
}

fn sha(listing: &Listing, path: &str) -> Option<String> {
    listing.files[&RelPath::new(path).unwrap()].sha256.map(|digest| digest.hex())
}

#[test]
fn sums_are_read_in_both_forms() {
    let text = format!(
        "# made by hand\n{A}  config.json\n{B} *sub dir/weights.safetensors\r\nSHA256 (a (b).txt) = {A}\n{A}  ./dot\n\n"
    );
    let listing = Listing::parse(text.as_bytes()).unwrap();
    assert_eq!(listing.kind, ListingKind::Sums);
    assert_eq!(listing.files.len(), 4);
    assert_eq!(sha(&listing, "sub dir/weights.safetensors").unwrap(), B);
    assert_eq!(sha(&listing, "a (b).txt").unwrap(), A);
    assert_eq!(sha(&listing, "dot").unwrap(), A);
}

#[test]
fn bad_sums_are_refused() {
    for (text, part) in [
        (String::new(), "no file"),
        ("hello\n".to_owned(), "line 1"),
        (format!("{A}  x\n{A} y\n"), "line 2"),
        (format!("{}  x\n", A.to_uppercase()), "lower-case"),
        (format!("{A}  /etc/passwd\n"), "cannot be a file"),
        (format!("{A}  ../x\n"), "cannot be a file"),
        (format!("{A}  x\n{B}  x\n"), "twice"),
        // Escapes are understood, and what they hide is refused.
        (format!("\\{A}  a\\nb\n"), "cannot be a file"),
        (format!("\\{A}  a\\\\b\n"), "cannot be a file"),
        (format!("\\{A}  a\\tb\n"), "line 1"),
        (A.to_owned(), "line 1"),
        (format!("{}é  x\n", &A[..63]), "line 1"),
    ] {
        let error = Listing::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(part), "{text:?}: {error}");
    }
    assert_eq!(Listing::parse(b"\xff\xfe"), Err(ListingError::NotText(0)));
    let many: Vec<String> = (0..=MAX_FILES).map(|number| format!("{A}  {number}")).collect();
    assert!(matches!(Listing::parse(many.join("\n").as_bytes()), Err(ListingError::TooMany { .. })));
    assert!(matches!(Listing::parse(&vec![b'x'; MAX_LISTING + 1]), Err(ListingError::TooLong { .. })));
}

#[test]
fn a_hub_tree_and_siblings_are_read_with_both_spellings() {
    for key in ["oid", "sha256"] {
        let tree = parse(&json!([
            { "type": "directory", "oid": BLOB, "size": 0, "path": "sub" },
            { "type": "file", "oid": BLOB, "size": 3, "path": "config.json" },
            { "type": "file", "oid": BLOB, "size": 9, "path": "sub/w.safetensors", "xetHash": "x",
              "lfs": { key: B, "size": 9, "pointerSize": 134 } },
        ]))
        .unwrap();
        let siblings = parse(&json!({ "sha": BLOB, "tags": ["x"], "siblings": [
            { "rfilename": "config.json", "size": 3, "blobId": BLOB },
            { "rfilename": "sub/w.safetensors", "size": 9, "blobId": BLOB, "lfs": { key: B, "size": 9 } },
        ] }))
        .unwrap();
        assert_eq!(tree.kind, ListingKind::HubTree);
        assert_eq!(siblings.kind, ListingKind::HubSiblings);
        assert_eq!(tree.files, siblings.files);
        assert_eq!(sha(&tree, "sub/w.safetensors").unwrap(), B);
        let weights = tree.files[&RelPath::new("sub/w.safetensors").unwrap()];
        assert_eq!(weights.git_blob, None, "the pointer's id says nothing of the weights");
        let config = tree.files[&RelPath::new("config.json").unwrap()];
        assert_eq!((config.sha256, config.git_blob.unwrap().to_string()), (None, BLOB.to_owned()));
    }
}

#[test]
fn a_list_without_digests_witnesses_nothing() {
    let names = json!({ "siblings": [{ "rfilename": "config.json" }] });
    assert_eq!(parse(&names), Err(ListingError::Empty));
    let some =
        parse(&json!({ "siblings": [{ "rfilename": "a" }, { "rfilename": "b", "blobId": BLOB }] })).unwrap();
    assert_eq!(some.without, [RelPath::new("a").unwrap()]);
}

fn modelscope(count: usize) -> Value {
    let files: Vec<Value> = (0..count)
        .map(|number| json!({ "Path": format!("f{number}"), "Name": "x", "Type": "blob", "Size": 1, "Sha256": A }))
        .collect();
    json!({ "Code": 200, "Success": true, "Data": { "Files": files } })
}

#[test]
fn a_modelscope_list_is_read_unless_it_may_be_cut_off() {
    let listing = parse(&modelscope(2)).unwrap();
    assert_eq!((listing.kind, listing.files.len()), (ListingKind::ModelScope, 2));
    assert_eq!(parse(&modelscope(2999)).unwrap().files.len(), 2999);
    assert_eq!(parse(&modelscope(3000)), Err(ListingError::PossiblyCut(3000)));
    assert_eq!(parse(&modelscope(3001)).unwrap().files.len(), 3001);
    let mut failed = modelscope(1);
    failed["Success"] = false.into();
    assert_eq!(parse(&failed), Err(ListingError::Failed));
}

#[test]
fn bad_hub_lists_are_refused() {
    let file = |more: Value| {
        let mut file = json!({ "type": "file", "path": "w" });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([file])
    };
    for (value, part) in [
        (json!({}), "no file list"),
        (json!({ "siblings": [], "Data": { "Files": [] } }), "no file list"),
        (json!([1]), "malformed"),
        (file(json!({ "type": "symlink" })), "symlink"),
        (file(json!({ "path": "a/../b", "oid": BLOB })), "cannot be a file"),
        (file(json!({ "oid": "main" })), "40 lower-case"),
        (file(json!({ "lfs": { "oid": BLOB } })), "64 lower-case"),
        (file(json!({ "lfs": { "oid": A, "sha256": B } })), "differ"),
        (
            json!([{ "type": "file", "path": "w", "oid": BLOB }, { "type": "file", "path": "w", "oid": BLOB }]),
            "twice",
        ),
    ] {
        let error = parse(&value).unwrap_err();
        assert!(error.to_string().contains(part), "{value}: {error}");
    }
    let twice = format!(r#"[{{"type":"file","path":"w","oid":"{BLOB}","path":"x"}}]"#);
    assert!(matches!(Listing::parse(twice.as_bytes()), Err(ListingError::Json(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(Listing::parse(deep.as_bytes()), Err(ListingError::Json(_))));
}

#[test]
fn of_1000_mutated_lists_none_panics_and_digests_stay_whole() {
    let good = json!([
        { "type": "file", "oid": BLOB, "size": 3, "path": "config.json" },
        { "type": "file", "oid": BLOB, "size": 9, "path": "w", "lfs": { "oid": B, "size": 9, "pointerSize": 134 } },
    ])
    .to_string();
    let sums = format!("{A}  config.json\n{B} *w\n");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % (bound as u64)).unwrap()
    };
    let mut refused = 0;
    for round in 0..1000 {
        let mut bytes = if round % 2 == 0 { good.clone() } else { sums.clone() }.into_bytes();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] ^= 1 << random(8),
                1 => drop(bytes.drain(at..(at + 1 + random(30)).min(bytes.len()))),
                _ => bytes.insert(at, u8::try_from(random(256)).unwrap()),
            }
        }
        match Listing::parse(&bytes) {
            Ok(listing) => assert!(listing.files.values().all(|seen| *seen != Seen::default())),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 300, "{refused}");
}
