use crate::support::key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sovai_core::{RelPath, Sha256};
use sovai_signing::oms::{Bundle, Compat, OmsError, SignRequest, sign};
use sovai_signing::{Algorithm, PrivateKey};

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// The files of the golden vector.
fn golden_files() -> Vec<(RelPath, Sha256)> {
    [
        ("empty", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("config.json", "4d523dee6bc8c17a3e283570526d8d6ed3d1edda07c53e94c55e491bbf780337"),
        ("a/b", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
        ("a.txt", "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"),
        (".hidden", "91ee5e9f42ba3d34e414443b36a27b797a56a47aad6bb1e4c1769e69c77ce0ca"),
    ]
    .map(|(name, digest)| (path(name), Sha256::from_hex(digest).unwrap()))
    .into()
}

fn request<'a>(files: &'a [(RelPath, Sha256)], key: &'a PrivateKey) -> SignRequest<'a> {
    SignRequest {
        model_name: "m".to_owned(),
        files,
        ignore_paths: [".gitignore", ".git", "model.sig", ".git"].map(path).into(),
        key,
        chain: None,
    }
}

fn payload(bundle: &[u8]) -> Value {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    serde_json::from_slice(&STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap())
        .unwrap()
}

/// Exactly these members, no other: what the schemas' `required` and `additionalProperties` come to.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn what_is_written_is_in_the_specifications_order_and_has_no_member_too_many() {
    let files = golden_files();
    let text = sign(request(&files, key())).unwrap();
    assert_eq!(text, sign(request(&files, key())).unwrap(), "the same input gives the same bytes");
    let bundle: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(members(&bundle), ["dsseEnvelope", "mediaType", "verificationMaterial"]);
    assert_eq!(members(&bundle["verificationMaterial"]), ["publicKey", "tlogEntries"]);
    assert_eq!(bundle["verificationMaterial"]["publicKey"]["hint"], key().public().oms_hint());
    assert_eq!(members(&bundle["dsseEnvelope"]), ["payload", "payloadType", "signatures"]);
    assert_eq!(members(&bundle["dsseEnvelope"]["signatures"][0]), ["keyid", "sig"]);
    let statement = payload(&text);
    assert_eq!(members(&statement), ["_type", "predicate", "predicateType", "subject"]);
    assert_eq!(members(&statement["subject"][0]), ["digest", "name"]);
    assert_eq!(members(&statement["predicate"]), ["resources", "serialization"]);
    let serialization = &statement["predicate"]["serialization"];
    assert_eq!(members(serialization), ["allow_symlinks", "hash_type", "ignore_paths", "method"]);
    assert_eq!(serialization["ignore_paths"], serde_json::json!([".git", ".gitignore", "model.sig"]));
    let resources = statement["predicate"]["resources"].as_array().unwrap();
    assert!(resources.iter().all(|resource| members(resource) == ["algorithm", "digest", "name"]));
    let names: Vec<_> = resources.iter().map(|resource| resource["name"].as_str().unwrap()).collect();
    assert_eq!(names, [".hidden", "a.txt", "a/b", "config.json", "empty"]);
    // The root digest of these files in code point order.
    let root = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
    assert!(root.starts_with("40125674"), "{root}");
}

#[test]
fn each_curve_signs_and_a_certificate_may_speak_for_the_key() {
    let files = golden_files();
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let text = sign(request(&files, &key)).unwrap();
        Bundle::parse(&text, Compat::Strict).unwrap().verify_key(key.public()).unwrap();
        let chain = Some(vec![vec![0x30, 0], vec![0x30, 0]]);
        let text = sign(SignRequest { chain, ..request(&files, &key) }).unwrap();
        let bundle = Bundle::parse(&text, Compat::Strict).unwrap();
        bundle.verify_leaf(key.public()).unwrap();
        assert!(bundle.verify_key(key.public()).is_err());
    }
}

#[test]
fn what_would_be_refused_is_not_written() {
    let files = golden_files();
    let ed25519 = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    assert_eq!(sign(request(&files, &ed25519)), Err(OmsError::KeyKind(Algorithm::Ed25519)));
    assert_eq!(sign(request(&[], key())), Err(OmsError::NoResources));
    let twice = [files.clone(), files[..1].to_vec()].concat();
    assert_eq!(sign(request(&twice, key())), Err(OmsError::Duplicate("empty".to_owned())));
    let ignore_paths = vec![path("a")];
    let hiding = sign(SignRequest { ignore_paths, ..request(&files, key()) });
    assert!(matches!(hiding, Err(OmsError::IgnoredPath { .. })));
    let none = sign(SignRequest { chain: Some(Vec::new()), ..request(&files, key()) });
    assert!(matches!(none, Err(OmsError::Malformed { .. })));
    let collision = [(path("A"), files[0].1), (path("a"), files[0].1)];
    assert!(matches!(
        sign(request(&collision, key())),
        Err(OmsError::NeedsCompat { code: "case-collision", .. })
    ));
}
