use crate::support::{public, specification, vector};
use serde_json::Value;
use sovai_signing::oms::{Bundle, Compat, HashAlgorithm, Material, Method, OmsError, Signed};

fn verify(name: &str, key: &str, compat: Compat) -> Result<Signed, OmsError> {
    Bundle::parse(&vector(name), compat)?.verify_key(&public(key))
}

fn names(signed: &Signed) -> Vec<&str> {
    signed.resources.iter().map(|resource| resource.name.as_str()).collect()
}

fn codes(signed: &Signed) -> Vec<&str> {
    signed.tolerated.iter().map(|one| one.code).collect()
}

#[test]
fn the_golden_bundle_verifies_when_strict() {
    let signed = verify("golden.sig", "golden.pub", Compat::Strict).unwrap();
    assert_eq!(signed.model_name, "m");
    // Component order, as the Python tool writes it.
    assert_eq!(names(&signed), [".hidden", "a/b", "a.txt", "config.json", "empty"]);
    assert_eq!((signed.method, signed.hash), (Method::Files, HashAlgorithm::Sha256));
    assert_eq!(signed.ignore_paths, [".github", "model.sig", ".git", ".gitattributes", ".gitignore"]);
    assert_eq!(signed.root.hex(), "2e59b896828fcdef7b6b38413804c79e28dbb07767970e334f90febcf7f0b084");
    assert!(signed.tolerated.is_empty() && !signed.single_file && !signed.allow_symlinks);
}

#[test]
fn one_bit_of_payload_signature_or_hint_is_enough_to_refuse_it() {
    let golden: Value = serde_json::from_slice(&vector("golden.sig")).unwrap();
    let key = public("golden.pub");
    let places =
        ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig", "/verificationMaterial/publicKey/hint"];
    for place in places {
        let text = golden.pointer(place).unwrap().as_str().unwrap();
        for at in (0..text.len()).step_by(text.len() / 40) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            let mut changed = golden.clone();
            *changed.pointer_mut(place).unwrap() = flipped.into();
            for compat in [Compat::Strict, Compat::Compat] {
                let verified =
                    Bundle::parse(changed.to_string().as_bytes(), compat).and_then(|b| b.verify_key(&key));
                assert!(verified.is_err(), "{place} at {at}");
            }
        }
    }
}

#[test]
fn what_the_python_tool_writes_by_default_verifies_when_strict() {
    for curve in ["prime256v1", "secp384r1", "secp521r1"] {
        let signed = verify(&format!("{curve}.sig"), &format!("{curve}.pub"), Compat::Strict).unwrap();
        assert_eq!(names(&signed), ["a/b", "a.txt", "config.json", "empty", "é:1.bin"]);
        assert!(signed.ignore_paths.contains(&"model.sig".to_owned()));
        assert_eq!(signed.resources[1].pieces[0].digest.sha256().unwrap().hex(), super::support::hex("x\n"));
        assert_eq!(codes(&signed), [""; 0]);
    }
    // By another key: the hint says so first.
    let error = verify("prime256v1.sig", "secp384r1.pub", Compat::Compat).unwrap_err();
    assert!(matches!(error, OmsError::WrongHint { .. }), "{error}");
}

#[test]
fn the_python_tools_other_forms_are_read() {
    let single = verify("single.sig", "prime256v1.pub", Compat::Strict).unwrap();
    assert!(single.single_file);
    assert_eq!((single.model_name.as_str(), names(&single)), ("single.bin", vec!["single.bin"]));
    let blake2b = verify("blake2b.sig", "prime256v1.pub", Compat::Strict).unwrap();
    assert_eq!(
        (blake2b.hash, blake2b.resources[0].pieces[0].digest.bytes.len()),
        (HashAlgorithm::Blake2b, 64)
    );
    let blake3 = verify("blake3.sig", "prime256v1.pub", Compat::Strict).unwrap();
    // `x` and a newline, by b3sum.
    assert_eq!((blake3.hash, blake3.resources[1].name.as_str()), (HashAlgorithm::Blake3, "a.txt"));
    let refused = verify("shards.sig", "prime256v1.pub", Compat::Strict).unwrap_err();
    assert!(matches!(refused, OmsError::NeedsCompat { code: "float-shard-size", .. }), "{refused}");
    let shards = verify("shards.sig", "prime256v1.pub", Compat::Compat).unwrap();
    assert_eq!(shards.method, Method::Shards { size: 4 });
    assert_eq!(codes(&shards), ["float-shard-size", "sharded-algorithm"]);
    let ranges = |at: usize| -> Vec<_> {
        shards.resources[at].pieces.iter().map(|piece| (piece.start, piece.end.unwrap())).collect()
    };
    assert_eq!(names(&shards), ["a/b", "a.txt", "config.json", "é:1.bin"]);
    assert_eq!((ranges(0), ranges(3)), (vec![(0, 4), (4, 6)], vec![(0, 4), (4, 8), (8, 11)]));
}

#[test]
fn what_older_versions_wrote_is_read_when_asked_for() {
    let older = [
        ("upstream-v0.3.1-elliptic-key.sig", vec!["key-bytes"], vec!["signme-1"]),
        ("upstream-v1.0.1-elliptic-key.sig", vec!["key-bytes"], vec!["signme-1", "signme-2"]),
        ("upstream-v1.1.0-elliptic-key.sig", vec![], vec!["signme-1", "signme-2"]),
    ];
    for (name, tolerated, files) in older {
        let signed = verify(name, "upstream.pub", Compat::Compat).unwrap();
        assert_eq!((codes(&signed), names(&signed)), (tolerated.clone(), files), "{name}");
        assert_eq!(verify(name, "upstream.pub", Compat::Strict).is_ok(), tolerated.is_empty(), "{name}");
        // The key that a bundle carries is never the key that it is checked with.
        assert!(verify(name, "secp384r1.pub", Compat::Compat).is_err(), "{name}");
    }
}

#[test]
fn certificates_are_handed_out_and_the_leafs_key_verifies() {
    let leaf = public("upstream.pub");
    for (name, tolerated) in [
        ("upstream-v0.3.1-certificate.sig", vec![]),
        ("upstream-v0.2.0-certificate.sig", vec!["legacy-encoding", "predicate-v0.1"]),
    ] {
        let bundle = Bundle::parse(&vector(name), Compat::Compat).unwrap();
        let Material::Chain(chain) = bundle.material() else { panic!("{name}: no chain") };
        assert!(chain.len() >= 2 && chain.iter().all(|der| der[0] == 0x30), "{name}");
        let signed = bundle.verify_leaf(&leaf).unwrap();
        assert_eq!((codes(&signed), names(&signed)), (tolerated, vec!["signme-1", "signme-2"]), "{name}");
        assert!(matches!(bundle.verify_key(&leaf), Err(OmsError::WrongMethod { .. })));
        assert!(matches!(bundle.verify_leaf(&public("secp384r1.pub")), Err(OmsError::Signature(_))));
    }
    let strict = Bundle::parse(&vector("upstream-v0.2.0-certificate.sig"), Compat::Strict).unwrap();
    assert!(strict.verify_leaf(&leaf).is_err());
    let by_key = Bundle::parse(&vector("golden.sig"), Compat::Strict).unwrap();
    assert!(matches!(by_key.verify_leaf(&public("golden.pub")), Err(OmsError::WrongMethod { .. })));
}

#[test]
fn the_specifications_vectors_are_judged_as_it_says() {
    let Some(folder) = specification() else { return };
    let read = |name: &str| fs_err::read(folder.join(name)).unwrap();
    let by_key = Bundle::parse(&read("valid/key.bundle.json"), Compat::Strict).unwrap();
    assert_eq!(names(&by_key.verify_key(&public("upstream.pub")).unwrap()), ["signme-1", "signme-2"]);
    let by_leaf = Bundle::parse(&read("valid/certificate.bundle.json"), Compat::Strict).unwrap();
    assert_eq!(names(&by_leaf.verify_leaf(&public("upstream.pub")).unwrap()), ["signme-1", "signme-2"]);
    let keyless = Bundle::parse(&read("valid/sigstore.bundle.json"), Compat::Strict).unwrap();
    let error = keyless.verify_key(&public("upstream.pub")).unwrap_err();
    assert_eq!(error, OmsError::Keyless);
    assert!(error.to_string().contains("keyless"));
    assert_eq!(keyless.verify_leaf(&public("upstream.pub")), Err(OmsError::Keyless));
    for name in ["invalid/empty.bundle.json", "invalid/missing-envelope.bundle.json"] {
        assert!(Bundle::parse(&read(name), Compat::Compat).is_err(), "{name}");
    }
}
