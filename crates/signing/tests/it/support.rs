//! Makes signed bundles with whatever inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_signing::oms::{Bundle, Compat, OmsError, Signed};
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{Algorithm, PrivateKey, PublicKey, dsse};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) fn vector(name: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

pub(crate) fn public(name: &str) -> PublicKey {
    PublicKey::from_pem(&vector(name)).unwrap()
}

/// The specification's own files, which lie beside the repository where it is developed.
pub(crate) fn specification() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oms-v1.0");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is not there", folder.display());
    None
}

/// One key of P-256 for all tests.
pub(crate) fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate(Algorithm::P256).unwrap())
}

pub(crate) fn hex(seed: &str) -> String {
    sha2::Sha256::digest(seed).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn resource(name: &str) -> Value {
    json!({ "name": name, "algorithm": "sha256", "digest": hex(name) })
}

/// A statement over these resources, with the right root digest.
pub(crate) fn statement(resources: &[Value]) -> Value {
    let mut root = sha2::Sha256::new();
    for digest in resources.iter().filter_map(|resource| resource["digest"].as_str()) {
        let bytes: Vec<u8> = (0..digest.len() / 2)
            .map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap_or(0))
            .collect();
        root.update(bytes);
    }
    let root: String = root.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "m", "digest": { "sha256": root } }],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": [".git"]
            },
        },
    })
}

/// A good statement over two files.
pub(crate) fn good() -> Value {
    statement(&[resource("a.txt"), resource("dir/b.bin")])
}

/// A bundle around any payload, with a signature that holds.
pub(crate) fn bundle_of(payload: &[u8]) -> Value {
    let signature = key().sign(&dsse::pae(PAYLOAD_TYPE, payload));
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": key().public().oms_hint() }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
        },
    })
}

pub(crate) fn bundle(statement: &Value) -> Value {
    bundle_of(statement.to_string().as_bytes())
}

pub(crate) fn verify(bundle: &Value, compat: Compat) -> Result<Signed, OmsError> {
    verify_text(bundle.to_string().as_bytes(), compat)
}

pub(crate) fn verify_text(bundle: &[u8], compat: Compat) -> Result<Signed, OmsError> {
    Bundle::parse(bundle, compat)?.verify_key(key().public())
}

/// Refused in both modes, with the same error.
#[track_caller]
pub(crate) fn always_refused(bundle: &Value, message: &str) {
    for compat in [Compat::Strict, Compat::Compat] {
        let error = verify(bundle, compat).expect_err("must be refused").to_string();
        assert!(error.contains(message), "{compat:?}: expected `{message}` in `{error}`");
    }
}

/// Refused when strict; otherwise read, and named by this code alone.
#[track_caller]
pub(crate) fn only_tolerated(bundle: &Value, code: &str) -> Signed {
    let error = verify(bundle, Compat::Strict).expect_err("must be refused");
    assert!(matches!(error, OmsError::NeedsCompat { code: found, .. } if found == code), "{error:?}");
    let signed = verify(bundle, Compat::Compat).unwrap();
    assert_eq!(signed.tolerated.iter().map(|one| one.code).collect::<Vec<_>>(), [code]);
    signed
}
