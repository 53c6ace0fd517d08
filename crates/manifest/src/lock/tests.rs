use super::*;
use proptest::prelude::*;

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

pub(crate) fn sample() -> Lock {
    let file = |path: &str, byte| LockedFile {
        path: RelPath::new(path).unwrap(),
        size: 98_362_432,
        sha256: digest(byte),
        source: "file:./weights".into(),
    };
    let model = LockedModel {
        revision: Some("1234567".into()),
        license: Some("Apache-2.0".into()),
        license_files: vec![LicenseFile { path: RelPath::new("LICENSE").unwrap(), sha256: digest(5) }],
        files: vec![file("tokenizer/b.json", 2), file("a: \"#1\".gguf", 0x11)],
    };
    let image = LockedImage {
        platform: "linux/amd64".into(),
        index: None,
        manifest: None,
        config: ImageId(digest(3)),
    };
    let pulled = LockedImage { index: Some(digest(6)), manifest: Some(digest(4)), ..image.clone() };
    Lock {
        models: [(Name::new("assistant").unwrap(), model), (Name::new("0").unwrap(), LockedModel::default())]
            .into(),
        images: [("sovai/engine:local".into(), image), ("host:5000/vllm:v1".into(), pulled)].into(),
    }
}

#[test]
fn the_text_of_a_lock() {
    insta::assert_snapshot!(sample().to_yaml(), @r##"
# Made by `sovai lock`. Do not edit.
apiVersion: sovai/v1
kind: Lock
models:
  "0":
    files: []
  "assistant":
    revision: "1234567"
    license: "Apache-2.0"
    licenseFiles:
      - path: "LICENSE"
        sha256: "0505050505050505050505050505050505050505050505050505050505050505"
    files:
      - path: "a: \"#1\".gguf"
        size: 98362432
        sha256: "1111111111111111111111111111111111111111111111111111111111111111"
        source: "file:./weights"
      - path: "tokenizer/b.json"
        size: 98362432
        sha256: "0202020202020202020202020202020202020202020202020202020202020202"
        source: "file:./weights"
images:
  "host:5000/vllm:v1":
    platform: "linux/amd64"
    index: "sha256:0606060606060606060606060606060606060606060606060606060606060606"
    manifest: "sha256:0404040404040404040404040404040404040404040404040404040404040404"
    config: "sha256:0303030303030303030303030303030303030303030303030303030303030303"
  "sovai/engine:local":
    platform: "linux/amd64"
    config: "sha256:0303030303030303030303030303030303030303030303030303030303030303"
"##);
    assert_eq!(Lock::default().to_yaml().lines().count(), 3);
}

#[test]
fn a_lock_survives_a_round_trip() {
    let mut expected = sample();
    for model in expected.models.values_mut() {
        model.files.sort();
    }
    let text = sample().to_yaml();
    assert_eq!(Lock::parse(text.as_bytes()), (Some(expected.clone()), vec![]), "{text}");
    assert_eq!(expected.to_yaml(), text, "the order of files does not matter");
    assert_eq!(Lock::parse(Lock::default().to_yaml().as_bytes()), (Some(Lock::default()), vec![]));
}

#[test]
fn locks_have_the_rules_of_manifests() {
    let codes = |text: &str| -> Vec<_> {
        let (lock, diagnostics) = Lock::parse(text.as_bytes());
        assert_eq!(lock.is_none(), !diagnostics.is_empty());
        diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
    };
    let good = sample().to_yaml();
    assert_eq!(codes(&good.replace("kind: Lock", "kind: Stack")), ["SOV0027"]);
    assert_eq!(codes(&good.replace("platform:", "plattform:")), ["SOV0020", "SOV0020"]);
    assert_eq!(codes(&good.replace("tokenizer/b.json", "../b")), ["SOV0044"]);
    assert_eq!(codes(&good.replace("tokenizer/b.json", "A: \\\"#1\\\".GGUF")), ["SOV0051"]);
    assert_eq!(codes(&good.replace("sha256:0303", "0303")), ["SOV0031", "SOV0031"]);
    assert_eq!(codes(&good.replace(&digest(2).hex(), "02")), ["SOV0031"]);
    assert_eq!(codes(&format!("{good}{good}")).first(), Some(&"SOV0010"));
    assert_eq!(codes(""), ["SOV0025"]);
    // A digest of digits only is text here, because it stands in quotes.
    assert!(digest(0x11).hex().bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(
        codes(&good.replace(&format!("\"{}\"", digest(0x11).hex()), &digest(0x11).hex())),
        ["SOV0022"]
    );
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let path = "[ -~\u{e9}\u{4e00}]{1,12}".prop_filter_map("a path", |text| RelPath::new(&text).ok());
    let file = (path, 0..=u64::MAX >> 1, any::<u8>()).prop_map(|(path, size, byte)| LockedFile {
        path,
        size,
        sha256: digest(byte),
        source: "hf:org/name".into(),
    });
    let license = proptest::option::of("[ -~]{0,9}[!-~]");
    let revision = proptest::option::of("[a-f0-9]{1,9}|sha256:[a-f0-9]{64}");
    let model = (revision, license, proptest::collection::vec(file, 0..4)).prop_filter_map(
        "no collisions",
        |(revision, license, mut files)| {
            let mut seen = sovai_core::PathSet::default();
            files.sort();
            let license_files = files
                .iter()
                .map(|file| LicenseFile { path: file.path.clone(), sha256: file.sha256 })
                .collect();
            files.iter().all(|file| seen.insert(&file.path).is_ok()).then_some(LockedModel {
                revision,
                license,
                license_files,
                files,
            })
        },
    );
    let name = "[a-z0-9]{1,4}".prop_map(|text| Name::new(&text).unwrap());
    let image = (any::<u8>(), proptest::option::of(any::<u8>())).prop_map(|(config, manifest)| LockedImage {
        platform: "linux/arm64".into(),
        index: manifest.map(|byte| digest(byte ^ 1)),
        manifest: manifest.map(digest),
        config: ImageId(digest(config)),
    });
    let models = proptest::collection::btree_map(name, model, 0..3);
    let images = proptest::collection::btree_map("[a-z]{1,3}(/[a-z0-9]{1,3})?(:[a-z0-9]{1,3})?", image, 0..3);
    (models, images).prop_map(|(models, images)| Lock { models, images })
}

proptest! {
    #[test]
    fn every_lock_survives_a_round_trip(lock in any_lock()) {
        let text = lock.to_yaml();
        let (parsed, diagnostics) = Lock::parse(text.as_bytes());
        prop_assert_eq!(diagnostics, vec![], "{}", text);
        prop_assert_eq!(parsed, Some(lock));
    }
}

#[test]
fn a_lock_of_tens_of_thousands_of_files_is_read() {
    let files = (0..20_000)
        .map(|number| LockedFile {
            path: RelPath::new(&format!("shards/part-{number:06}.safetensors")).unwrap(),
            size: 5 << 30,
            sha256: digest(1),
            source: "hf:organisation/a-model-of-many-files".into(),
        })
        .collect();
    let model = LockedModel { files, ..LockedModel::default() };
    let lock = Lock { models: [(Name::new("m").unwrap(), model)].into(), ..Lock::default() };
    let text = lock.to_yaml();
    assert!(text.len() > crate::MAX_BYTES);
    assert_eq!(Lock::parse(text.as_bytes()), (Some(lock), vec![]));
    let (taken, found) = Lock::parse(&vec![b'#'; crate::MAX_LOCK_BYTES + 1]);
    assert_eq!((taken, found[0].code), (None, "SOV0002"));
}
