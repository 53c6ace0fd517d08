//! Paths, times, purposes, identity.

use crate::{Case, SUMMER, assert_refused, der};
use sovai_core::Sha256;
use sovai_pki::{Pin, PkiError, TimeFrom, read_certificates, split_roots};

#[test]
fn a_good_chain_holds_on_each_curve() {
    let judged = Case::good().judge().unwrap();
    assert_eq!(judged.subject, "CN=Model release,O=Example");
    assert_eq!(judged.issuers, ["CN=Issuing,O=Example", "CN=Root,O=Example"]);
    assert_eq!(
        judged.sans,
        ["dns:models.example.org", "email:release@example.org", "uri:https://example.org/release"]
    );
    assert_eq!((judged.time, &judged.time_from), (SUMMER, &TimeFrom::Now));
    assert_eq!(judged.revocation, None);
    assert!(judged.not_before < SUMMER && SUMMER < judged.not_after);
    assert!(judged.notes.iter().any(|note| note.contains("no revocation list")), "{:?}", judged.notes);
    for curve in ["secp384r1", "secp521r1"] {
        let chain = [format!("leaf-{curve}"), format!("sub-{curve}")];
        let judged =
            Case::new(&chain.each_ref().map(String::as_str), &[&format!("root-{curve}")]).judge().unwrap();
        assert_eq!(judged.subject, format!("CN=Release {curve}"));
    }
    Case::new(&["leaf-p256-sha512", "sub"], &["root"]).judge().unwrap();
    Case::new(&["leaf-p521-sha256", "sub-secp521r1"], &["root-secp521r1"]).judge().unwrap();
    Case::new(&["leaf-of-rsa"], &["root-rsa"]).judge().unwrap();
}

#[test]
fn the_pool_may_come_from_the_verifier_and_in_any_order() {
    let mut case = Case::new(&["leaf"], &["other-root", "root-secp384r1", "root"]);
    assert_refused!(case, PkiError::UnknownIssuer { .. });
    case.intermediates = vec![der("sub-secp384r1"), der("root"), der("sub"), der("sub")];
    case.judge().unwrap();
}

#[test]
fn a_changed_byte_is_refused() {
    let good = Case::good();
    // In the leaf's serial number, subject, key and signature, and in the issuer's key and signature.
    for (certificate, from_end) in [(0, 1), (0, 20), (0, 300), (0, 400), (1, 1), (1, 200)] {
        let mut case = Case::good();
        let at = good.chain[certificate].len() - from_end;
        case.chain[certificate][at] ^= 1;
        case.refused();
    }
}

#[test]
fn a_chain_needs_an_explicit_anchor_and_the_right_one() {
    assert_refused!(Case::new(&["leaf", "sub"], &[]), PkiError::NoAnchors);
    assert_refused!(Case::new(&["leaf", "sub"], &["other-root"]), PkiError::UnknownIssuer { .. });
    assert_refused!(Case::new(&["leaf", "sub", "root"], &["other-root"]), PkiError::UnknownIssuer { .. });
    assert_refused!(Case::new(&[], &["root"]), PkiError::EmptyChain);
}

#[test]
fn an_intermediate_is_no_anchor() {
    assert_refused!(Case::new(&["leaf"], &["sub"]), PkiError::NotRoot { .. });
    assert_refused!(Case::new(&["leaf", "sub"], &["root", "sub"]), PkiError::NotRoot { .. });
}

#[test]
fn a_leaf_is_no_anchor_of_its_own() {
    assert_refused!(Case::new(&["self"], &["self"]), PkiError::NotAuthority { .. });
    assert_refused!(Case::new(&["root"], &["root"]), PkiError::LeafIsAuthority { .. });
    assert_refused!(Case::new(&["leaf"], &["leaf"]), PkiError::NotRoot { .. });
}

#[test]
fn python_accepts_an_expired_leaf() {
    assert_refused!(Case::new(&["leaf-expired", "sub"], &["root"]), PkiError::Expired { .. });
}

#[test]
fn python_accepts_a_future_leaf() {
    assert_refused!(Case::new(&["leaf-future", "sub"], &["root"]), PkiError::NotYetValid { .. });
}

#[test]
fn python_accepts_a_tls_servers_leaf() {
    let mut case = Case::new(&["leaf-tls", "sub"], &["root"]);
    assert_refused!(case, PkiError::Purpose { .. });
    case.waive_code_signing = true;
    case.judge().unwrap();
}

#[test]
fn python_accepts_a_leaf_without_a_purpose() {
    let mut case = Case::new(&["leaf-no-eku", "sub"], &["root"]);
    assert_refused!(case, PkiError::Purpose { .. });
    case.waive_code_signing = true;
    case.judge().unwrap();
}

#[test]
fn python_accepts_anybody_whom_an_anchor_vouches_for() {
    let mut case = Case::good();
    case.pin = Pin::default();
    assert_refused!(case, PkiError::NoPin);
}

#[test]
fn purposes_are_exact() {
    Case::new(&["leaf-no-ku", "sub"], &["root"]).judge().unwrap();
    assert_refused!(Case::new(&["leaf-any-eku", "sub"], &["root"]), PkiError::Purpose { .. });
    assert_refused!(Case::new(&["leaf-encipher", "sub"], &["root"]), PkiError::KeyUsage { .. });
    assert_refused!(Case::new(&["leaf-neither", "sub"], &["root"]), PkiError::Purpose { .. });
    assert_refused!(Case::new(&["leaf-of-tls", "sub-tls"], &["root"]), PkiError::Purpose { .. });
    assert_refused!(Case::new(&["leaf-critical", "sub"], &["root"]), PkiError::Path { .. });
    // A waived purpose leaves the key usage, which then must say it.
    for leaf in ["leaf-neither", "leaf-no-ku", "leaf-encipher"] {
        let mut case = Case::new(&[leaf, "sub"], &["root"]);
        case.waive_code_signing = true;
        assert_refused!(case, PkiError::KeyUsage { .. });
    }
}

#[test]
fn authorities_are_judged_at_the_same_time() {
    assert_refused!(Case::new(&["leaf-of-expired", "sub-expired"], &["root"]), PkiError::Expired { .. });
    assert_refused!(Case::new(&["leaf-of-expired-root"], &["root-expired"]), PkiError::Expired { .. });
}

#[test]
fn a_stated_time_is_the_time_of_judgement() {
    let mut case = Case::new(&["leaf-expired", "sub"], &["root"]);
    case.signed_at = Some(SUMMER - 365 * 86_400);
    let judged = case.judge().unwrap();
    assert_eq!(judged.time_from, TimeFrom::Stated);
    assert!(judged.notes.iter().any(|note| note.contains("not now")), "{:?}", judged.notes);
    let mut case = Case::new(&["leaf-future", "sub"], &["root"]);
    case.signed_at = Some(SUMMER + 900 * 86_400);
    assert_refused!(case, PkiError::StatedInFuture { .. });
}

#[test]
fn path_lengths_bind_intermediates_and_anchors() {
    assert_refused!(
        Case::new(&["leaf-deep", "sub-sub", "sub-short"], &["root"]),
        PkiError::PathLength { .. }
    );
    assert_refused!(
        Case::new(&["leaf-of-short", "sub-of-short"], &["root-short"]),
        PkiError::PathLength { .. }
    );
}

#[test]
fn name_constraints_bind() {
    Case::new(&["leaf-inside", "sub-names"], &["root"]).judge().unwrap();
    assert_refused!(Case::new(&["leaf-outside", "sub-names"], &["root"]), PkiError::NameConstraints { .. });
}

#[test]
fn only_authorities_issue() {
    assert_refused!(Case::new(&["leaf-by-leaf", "leaf", "sub"], &["root"]), PkiError::NotAuthority { .. });
    assert_refused!(Case::new(&["leaf-of-no-sign", "sub-no-sign"], &["root"]), PkiError::KeyUsage { .. });
    assert_refused!(Case::new(&["leaf-ca", "sub"], &["root"]), PkiError::LeafIsAuthority { .. });
}

#[test]
fn a_name_alone_does_not_issue() {
    assert_refused!(Case::new(&["leaf", "impostor"], &["other-root"]), PkiError::BadSignature { .. });
    assert_refused!(Case::new(&["leaf-of-impostor", "sub"], &["root"]), PkiError::BadSignature { .. });
}

#[test]
fn loops_end() {
    let case = Case::new(&["leaf-of-loop", "loop-a", "loop-b", "loop-a", "loop-b"], &["root"]);
    assert_refused!(case, PkiError::UnknownIssuer { .. });
}

#[test]
fn weak_keys_and_hashes_are_refused() {
    assert_refused!(Case::new(&["leaf-sha1", "sub"], &["root"]), PkiError::Weak { .. });
    assert_refused!(Case::new(&["leaf-of-sha1", "sub-sha1"], &["root"]), PkiError::Weak { .. });
    assert_refused!(Case::new(&["leaf-of-rsa1024"], &["root-rsa1024"]), PkiError::Weak { .. });
}

#[test]
fn models_are_signed_on_three_curves() {
    assert_refused!(Case::new(&["leaf-rsa", "sub"], &["root"]), PkiError::LeafKey { .. });
    assert_refused!(Case::new(&["leaf-k1", "sub"], &["root"]), PkiError::LeafKey { .. });
}

#[test]
fn all_that_is_pinned_must_be_so() {
    let spki = Case::good().judge().unwrap().spki_der;
    let key = {
        use sha2::Digest;
        Sha256::from_bytes(sha2::Sha256::digest(spki).into())
    };
    let text = |text: &str| Some(text.to_owned());
    let with = |subject: Option<&str>, san: Option<&str>, spki| {
        let mut case = Case::good();
        case.pin = Pin::new(subject.map(str::to_owned), san.map(str::to_owned), spki);
        case
    };
    with(Some("CN=Model release,O=Example"), Some("release@example.org"), Some(key)).judge().unwrap();
    for san in
        ["models.example.org", "MODELS.example.org", "release@example.org", "https://example.org/release"]
    {
        with(None, Some(san), None).judge().unwrap();
    }
    for subject in
        ["", "Model release", "CN=Model release", "O=Example,CN=Model release", "cn=Model release,O=Example"]
    {
        assert_refused!(with(Some(subject), None, None), PkiError::Pin { what: "subject", .. });
    }
    for san in ["", "example.org", "*.example.org", "Release@example.org", "https://example.org", "192.0.2.1"]
    {
        assert_refused!(with(None, Some(san), None), PkiError::Pin { what: "alternative name", .. });
    }
    let other = Sha256::from_bytes([7; 32]);
    assert_refused!(with(None, None, Some(other)), PkiError::Pin { what: "key", .. });
    assert_refused!(
        with(Some("CN=Model release,O=Example"), None, Some(other)),
        PkiError::Pin { what: "key", .. }
    );
    // The same name from another authority.
    let mut case = Case::new(&["leaf-of-impostor", "impostor"], &["other-root"]);
    case.pin = Pin::new(text("CN=Model release,O=Example"), None, Some(key));
    assert_refused!(case, PkiError::Pin { what: "key", .. });
}

#[test]
fn certificates_are_read_from_pem_and_der() {
    let root = der("root");
    assert_eq!(read_certificates(&root, "root").unwrap(), std::slice::from_ref(&root));
    for wrong in [b"".as_slice(), b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        assert!(matches!(read_certificates(wrong, "file"), Err(PkiError::Malformed { .. })));
    }
    let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(read_certificates(key, "file"), Err(PkiError::Malformed { .. })));
    let parted = split_roots(vec![der("sub"), root.clone()]).unwrap();
    assert_eq!((parted.roots, parted.intermediates), (vec![root], vec![der("sub")]));
}
