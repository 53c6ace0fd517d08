//! What the reference implementation accepts, or could be made to accept, and sovai refuses.

use crate::support::{
    always_refused, bundle, bundle_of, good, hex, key, only_tolerated, resource, statement, verify,
    verify_text,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use sovai_signing::oms::{Bundle, Compat, Method};
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{Algorithm, PrivateKey, dsse};

/// The good statement with one place set to something else.
fn with(place: &str, value: Value) -> Value {
    let mut statement = good();
    set(&mut statement, place, value);
    bundle(&statement)
}

/// The good bundle with one place set to something else, unsigned.
fn around(place: &str, value: Value) -> Value {
    let mut bundle = bundle(&good());
    set(&mut bundle, place, value);
    bundle
}

fn set(tree: &mut Value, place: &str, value: Value) {
    let (parent, last) = place.rsplit_once('/').unwrap();
    match tree.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.insert(last.to_owned(), value)),
        items => items[last.parse::<usize>().unwrap()] = value,
    }
}

const IGNORED: &str = "/predicate/serialization/ignore_paths";
const SERIALIZATION: &str = "/predicate/serialization";

#[test]
fn the_good_bundle_is_accepted() {
    let signed = verify(&bundle(&good()), Compat::Strict).unwrap();
    assert_eq!(signed.resources.len(), 2);
    // What the specification or its schema leaves open.
    let mut extras = good();
    extras["predicate"]["resources"][0]["size"] = json!(3);
    extras["predicate"]["resources"][0]["annotations"] = json!({ "x": [1] });
    extras["subject"][0]["uri"] = json!("x");
    extras["predicate"]["serialization"].as_object_mut().unwrap().remove("ignore_paths");
    assert!(verify(&bundle(&extras), Compat::Strict).is_ok());
    let open = [
        ("/dsseEnvelope/signatures/0/keyid", Value::Null),
        ("/dsseEnvelope/signatures/0/keyid", json!("anything")),
        ("/verificationMaterial/tlogEntries", Value::Null),
        ("/verificationMaterial/timestampVerificationData", json!({})),
    ];
    for (place, value) in open {
        assert!(verify(&around(place, value), Compat::Strict).is_ok(), "{place}");
    }
    let reversed = statement(&[resource("z"), resource("a")]);
    assert!(verify(&bundle(&reversed), Compat::Strict).is_ok(), "order does not matter");
}

#[test]
fn a_name_twice_with_the_wrong_digest_first() {
    let wrong = json!({ "name": "a.txt", "algorithm": "sha256", "digest": hex("wrong") });
    always_refused(&bundle(&statement(&[wrong, resource("a.txt")])), "`a.txt` is listed twice");
    always_refused(&bundle(&statement(&[resource("a"), resource("a")])), "`a` is listed twice");
    always_refused(&bundle(&statement(&[resource("a"), resource("a/b")])), "as the folder of `a/b`");
}

#[test]
fn ignored_paths_that_hide_everything_or_a_listed_file() {
    for path in [".", "/", "..", "../", "../x", "./x", "/etc", "a//b", "", "dir/", "x/../y"] {
        always_refused(&with(IGNORED, json!([path])), "ignored path");
    }
    always_refused(&with(IGNORED, json!(["a.txt"])), "it is a signed file");
    always_refused(&with(IGNORED, json!(["dir"])), "folder of the signed file `dir/b.bin`");
    always_refused(&with(IGNORED, json!([1])), "the serialization");
    assert!(verify(&with(IGNORED, json!(["di", "dir2", "dir/c", "a.txt2"])), Compat::Strict).is_ok());
    only_tolerated(&with(IGNORED, json!(["*.md"])), "ignore-pattern");
    let many: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    always_refused(&with(IGNORED, json!(many)), "at most 10000");
}

#[test]
fn names_that_leave_the_root_or_are_written_in_two_ways() {
    for name in [
        "../key.pem",
        "/etc/passwd",
        "./a",
        "a//b",
        "a/",
        "a/./b",
        "a/../b",
        "",
        "a\\b",
        "a\nb",
        "a\u{202e}b",
    ] {
        always_refused(&bundle(&statement(&[resource(name)])), "resource name");
    }
    always_refused(&bundle(&statement(&[resource("."), resource("a")])), "`.` stands beside");
    always_refused(&bundle(&statement(&[resource("."), resource(".")])), "`.` stands beside");
    only_tolerated(&bundle(&statement(&[resource("README"), resource("readme")])), "case-collision");
    let twice = [resource("README"), resource("readme"), resource("readme")];
    always_refused(&bundle(&statement(&twice)).clone(), "");
}

#[test]
fn no_resources_at_all() {
    always_refused(&bundle(&statement(&[])), "lists no file");
}

#[test]
fn duplicate_keys_nan_depth_and_byte_order_marks() {
    let payload = good().to_string();
    let refused = |payload: String, message: &str| always_refused(&bundle_of(payload.as_bytes()), message);
    refused(payload.replacen("\"method\"", "\"method\":\"files\",\"method\"", 1), "duplicate key `method`");
    refused(payload.replacen("\"a.txt\"", "\"a.txt\",\"size\":NaN", 1), "expected value");
    refused(
        payload.replacen("\"a.txt\"", &format!("\"a.txt\",\"x\":{}1{}", "[".repeat(40), "]".repeat(40)), 1),
        "too deep",
    );
    refused(format!("\u{feff}{payload}"), "byte order mark");
    refused(format!("{payload} {{}}"), "trailing");
    let text = bundle(&good()).to_string();
    for changed in [
        text.replacen("\"mediaType\"", "\"mediaType\":\"x\",\"mediaType\"", 1),
        format!("\u{feff}{text}"),
        format!("{text}x"),
        format!("{text}{text}"),
        text.replacen("\"\"", "NaN", 1),
        "[".repeat(100_000),
    ] {
        assert!(verify_text(changed.as_bytes(), Compat::Compat).is_err(), "{}", &changed[..60]);
    }
    assert!(verify_text(format!("\n {text} \n").as_bytes(), Compat::Strict).is_ok());
}

#[test]
fn hash_types_and_digests_that_do_not_fit() {
    let serialization = |member: &str, value: &str| with(&format!("{SERIALIZATION}/{member}"), json!(value));
    always_refused(&serialization("hash_type", "blake3"), "but the signature's hash type is blake3");
    always_refused(&serialization("hash_type", "md5"), "unknown hash algorithm `md5`");
    always_refused(&serialization("hash_type", "SHA256"), "unknown hash algorithm");
    always_refused(&serialization("method", "folders"), "unknown serialization method `folders`");
    always_refused(
        &with("/predicate/resources/0/algorithm", json!("blake2b")),
        "has the algorithm `blake2b`",
    );
    let digest =
        |text: &str| bundle(&statement(&[json!({ "name": "a", "algorithm": "sha256", "digest": text })]));
    for text in [
        "",
        "00",
        &hex("a")[1..],
        &hex("a")[2..],
        &format!("{}00", hex("a")),
        &format!(" {}", &hex("a")[1..]),
    ] {
        always_refused(&digest(text), "is not hexadecimal of 32 bytes");
    }
    only_tolerated(&digest(&hex("a").to_uppercase()), "upper-case-digest");
}

#[test]
fn roots_and_subjects_that_do_not_fit() {
    always_refused(&with("/subject/0/digest/sha256", json!(hex("other"))), "the root digest is not that");
    always_refused(&with("/subject/0/digest", json!({ "sha512": "00" })), "no `sha256` digest");
    always_refused(&with("/subject", json!([])), "exactly one subject, found 0");
    let subject = good()["subject"][0].clone();
    always_refused(&with("/subject", json!([subject, subject])), "exactly one subject, found 2");
    always_refused(&with("/subject/0/name", json!("")), "its name has 1 to 4096 bytes");
    always_refused(&with("/_type", json!("https://in-toto.io/Statement/v0.1")), "expected `_type`");
    always_refused(
        &with("/predicateType", json!("https://slsa.dev/provenance/v1")),
        "expected a predicate of type",
    );
    for place in ["/more", "/predicate/more", "/predicate/serialization/more"] {
        only_tolerated(&with(place, json!(1)), "unknown-member");
    }
}

#[test]
fn signatures_that_are_missing_repeated_or_somebody_elses() {
    let sig =
        |message: &[u8], key: &PrivateKey| json!({ "sig": STANDARD.encode(key.sign(message)), "keyid": "" });
    let payload = good().to_string();
    let message = dsse::pae(PAYLOAD_TYPE, payload.as_bytes());
    let good_one = sig(&message, key());
    let stranger = PrivateKey::generate(Algorithm::P256).unwrap();
    let bad_one = sig(&message, &stranger);
    let signatures = |list: Value| around("/dsseEnvelope/signatures", list);
    assert!(verify(&signatures(json!([good_one])), Compat::Strict).is_ok());
    always_refused(&signatures(json!([])), "no signature in its envelope");
    always_refused(&signatures(json!([bad_one])), "does not hold");
    for list in [json!([bad_one, good_one]), json!([good_one, bad_one])] {
        assert!(verify(&signatures(list.clone()), Compat::Strict).is_err());
        let error = verify(&signatures(list), Compat::Compat).unwrap_err();
        assert!(error.to_string().contains("does not hold"), "{error}");
    }
    only_tolerated(&signatures(json!([good_one, good_one])), "several-signatures");
    let raw = |bytes: &[u8]| signatures(json!([{ "sig": STANDARD.encode(bytes) }]));
    always_refused(&raw(&[0x30, 6, 2, 1, 0, 2, 1, 0]), "malformed P-256 signature");
    always_refused(&raw(&[0x30, 6, 2, 1, 1, 2, 1, 0]), "malformed P-256 signature");
    always_refused(&raw(&[0; 5000]), "malformed P-256 signature");
    always_refused(&raw(b""), "malformed P-256 signature");
}

#[test]
fn another_hash_for_the_curve() {
    // P-256 with SHA-512: the same statement, signed as a P-521 key would have it.
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let pem = {
        use p256::pkcs8::EncodePublicKey as _;
        secret.verifying_key().to_public_key_der().unwrap()
    };
    let public = sovai_signing::PublicKey::from_spki_der(pem.as_bytes()).unwrap();
    let payload = good().to_string();
    let message = dsse::pae(PAYLOAD_TYPE, payload.as_bytes());
    let mut bundle = bundle(&good());
    bundle["verificationMaterial"]["publicKey"]["hint"] = public.oms_hint().into();
    for (digest, holds) in [
        (sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&message)).to_vec(), true),
        (sha2::Digest::finalize(<sha2::Sha512 as sha2::Digest>::new_with_prefix(&message)).to_vec(), false),
    ] {
        let signature: p256::ecdsa::Signature = secret.sign_prehash(&digest).unwrap();
        bundle["dsseEnvelope"]["signatures"][0]["sig"] =
            STANDARD.encode(signature.to_der().as_bytes()).into();
        for compat in [Compat::Strict, Compat::Compat] {
            let verified = Bundle::parse(bundle.to_string().as_bytes(), compat).unwrap().verify_key(&public);
            assert_eq!(verified.is_ok(), holds);
        }
    }
}

#[test]
fn hints_and_methods_that_are_mixed_up() {
    let material = |value: Value| around("/verificationMaterial", value);
    let hint = key().public().oms_hint();
    always_refused(&material(json!({ "publicKey": { "hint": hex("x") } })), "names another key");
    always_refused(&material(json!({ "publicKey": { "hint": hint.to_uppercase() } })), "names another key");
    only_tolerated(&material(json!({ "publicKey": { "hint": "" } })), "no-hint");
    only_tolerated(&material(json!({ "publicKey": {} })), "no-hint");
    let pem = STANDARD.encode(key().public().to_pem());
    let details = "PKIX_ECDSA_P256_SHA_256";
    only_tolerated(
        &material(json!({ "publicKey": { "rawBytes": pem, "keyDetails": details } })),
        "key-bytes",
    );
    let other = STANDARD.encode(PrivateKey::generate(Algorithm::P256).unwrap().public().to_pem());
    let carried =
        verify(&material(json!({ "publicKey": { "rawBytes": other } })), Compat::Compat).unwrap_err();
    assert!(carried.to_string().contains("carries another public key"));
    always_refused(&material(json!({ "publicKey": { "rawBytes": pem, "hint": hint } })), "both `hint` and");
    let chain = json!({ "certificates": [{ "rawBytes": "MAA=" }] });
    always_refused(
        &material(json!({ "x509CertificateChain": chain })),
        "by a key, found one by a certificate",
    );
    always_refused(
        &material(json!({ "x509CertificateChain": chain, "publicKey": { "hint": hint } })),
        "more than one kind",
    );
    always_refused(&material(json!({ "x509CertificateChain": { "certificates": [] } })), "1 to 32, found 0");
    let many: Vec<Value> = (0..10_000).map(|_| json!({ "rawBytes": "MAA=" })).collect();
    always_refused(
        &material(json!({ "x509CertificateChain": { "certificates": many } })),
        "1 to 32, found 10000",
    );
    always_refused(
        &material(json!({ "certificate": { "rawBytes": "MAA=" }, "tlogEntries": [{}] })),
        "keyless",
    );
    always_refused(&material(json!({})), "neither a key nor a certificate");
    only_tolerated(&around("/verificationMaterial/tlogEntries", json!([{ "logIndex": "1" }])), "log-entries");
    let by_key = Bundle::parse(bundle(&good()).to_string().as_bytes(), Compat::Compat).unwrap();
    let error = by_key.verify_leaf(key().public()).unwrap_err();
    assert_eq!(error.to_string(), "expected a signature by a certificate, found one by a key");
    let ed25519 = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    assert!(by_key.verify_key(ed25519.public()).is_err());
}

#[test]
fn other_media_types_unknown_fields_and_bad_base64() {
    for version in ["v0.1", "v0.2", "v0.3.1"] {
        let kind = format!("application/vnd.dev.sigstore.bundle.{version}+json");
        always_refused(&around("/mediaType", json!(kind)), "expected a bundle of media type");
    }
    always_refused(
        &around("/dsseEnvelope/payloadType", json!("application/json")),
        "expected a payload of type",
    );
    for place in
        ["/more", "/verificationMaterial/more", "/dsseEnvelope/more", "/dsseEnvelope/signatures/0/more"]
    {
        always_refused(&around(place, json!(1)), "unknown field `more`");
    }
    let payload = good().to_string();
    let padded = format!("{payload}{}", " ".repeat((3 - payload.len() % 3) % 3 + 1));
    let text = STANDARD.encode(&padded);
    let unpadded = text.trim_end_matches('=');
    for broken in
        [unpadded.to_owned(), format!("{text}\n"), format!(" {text}"), "*".to_owned(), String::new()]
    {
        if broken == text {
            continue;
        }
        let mut bundle = bundle_of(padded.as_bytes());
        bundle["dsseEnvelope"]["payload"] = broken.into();
        always_refused(&bundle, "payload");
    }
    let odd = good().to_string().replacen("a.txt", "~~~???>>>ÿ.txt", 1);
    let odd_url = URL_SAFE.encode(&odd);
    assert!(odd_url.contains(['-', '_']));
    let mut bundle = bundle_of(odd.as_bytes());
    bundle["dsseEnvelope"]["payload"] = odd_url.into();
    only_tolerated(&bundle, "base64-alphabet");
}

#[test]
fn shards_with_gaps_overlaps_and_bad_ranges() {
    let sharded = |names: &[&str], size: Value| {
        let resources: Vec<Value> = names.iter().map(|name| resource(name)).collect();
        let mut statement = statement(&resources);
        set(&mut statement, "/predicate/serialization/method", json!("shards"));
        set(&mut statement, "/predicate/serialization/shard_size", size);
        bundle(&statement)
    };
    let four = |names: &[&str]| sharded(names, json!(4));
    let signed = verify(&four(&["a:8:9", "a:0:4", "b:c:0:2", "a:4:8"]), Compat::Strict).unwrap();
    assert_eq!(signed.method, Method::Shards { size: 4 });
    assert_eq!(signed.resources[0].pieces.iter().map(|p| p.start).collect::<Vec<_>>(), [0, 4, 8]);
    assert_eq!(signed.resources[1].name.as_str(), "b:c");
    always_refused(&four(&["a:0:4", "a:8:9"]), "bytes 4 to 8 are not covered");
    always_refused(&four(&["a:4:8"]), "bytes 0 to 4 are not covered");
    always_refused(&four(&["a:0:4", "a:2:6"]), "covered twice");
    always_refused(&four(&["a:0:4", "a:0:4"]), "covered twice");
    always_refused(&four(&["a:0:3", "a:3:7"]), "has 3 bytes instead of 4");
    always_refused(&four(&["a:0:5"]), "has 5 bytes instead of 4");
    for name in [
        "a:0:0",
        "a:4:0",
        "a",
        "a:0",
        "a:0:",
        "a::4",
        "a:-1:4",
        "a:+0:4",
        "a:00:4",
        "a:0:04",
        "a:0:0x4",
        "a:0:99999999999999999999",
        ":0:4",
        "a: 0:4",
        "a:0:4 ",
    ] {
        assert!(verify(&four(&[name]), Compat::Compat).is_err(), "{name}");
    }
    for size in [json!(0), json!(-4), json!(4.5), json!("4"), json!(1e300), Value::Null] {
        always_refused(&sharded(&["a:0:4"], size), "");
    }
    only_tolerated(&sharded(&["a:0:4"], json!(4.0)), "float-shard-size");
    always_refused(&with("/predicate/serialization/shard_size", json!(4)), "`files` has no `shard_size`");
    let mut wrong =
        statement(&[json!({ "name": "a:0:4", "algorithm": "sha256-sharded-5", "digest": hex("a") })]);
    set(&mut wrong, "/predicate/serialization/method", json!("shards"));
    set(&mut wrong, "/predicate/serialization/shard_size", json!(4));
    always_refused(&bundle(&wrong), "has the algorithm `sha256-sharded-5`");
}

#[test]
fn more_resources_than_are_read() {
    let many: Vec<Value> = (0..250_001)
        .map(|n| json!({ "name": format!("{n}"), "algorithm": "sha256", "digest": "00".repeat(32) }))
        .collect();
    always_refused(&bundle(&statement(&many)), "at most 250000 resources");
}

#[test]
fn a_list_of_values_is_no_object() {
    // serde reads `["a", "b"]` as a structure of two members; no other reader of this format does.
    let as_list = |tree: &Value, place: &str, members: &[&str]| {
        let object = tree.pointer(place).unwrap();
        Value::Array(members.iter().map(|name| object[*name].clone()).collect())
    };
    let envelope = bundle(&good());
    for (place, members) in [
        ("/dsseEnvelope", &["payload", "payloadType", "signatures"][..]),
        ("/dsseEnvelope/signatures/0", &["sig", "keyid"]),
        ("/verificationMaterial/publicKey", &["hint"]),
    ] {
        always_refused(&around(place, as_list(&envelope, place, members)), "an object");
    }
    for (place, members) in [
        ("/subject/0", &["name", "digest"][..]),
        ("/predicate/resources/0", &["name", "digest", "algorithm"]),
        ("/predicate/serialization", &["method", "hash_type", "allow_symlinks"]),
    ] {
        always_refused(&with(place, as_list(&good(), place, members)), "");
    }
}

#[test]
fn deep_names_cost_no_more_than_flat_ones() {
    let deep = "d/".repeat(60);
    let many: Vec<Value> = (0..20_000).map(|n| resource(&format!("{deep}{n}"))).collect();
    let signed = verify(&bundle(&statement(&many)), Compat::Strict).unwrap();
    assert_eq!(signed.resources.len(), 20_000);
    let names = [format!("{deep}x"), format!("{deep}x-y"), format!("{deep}x/z")];
    let inside: Vec<Value> = names.iter().map(|name| resource(name)).collect();
    always_refused(&bundle(&statement(&inside)), "as the folder of");
}
