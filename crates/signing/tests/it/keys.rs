use crate::support::{public, vector};
use sovai_signing::{Algorithm, KeyError, PrivateKey, PublicKey, SignatureError};

fn private(name: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(&vector(&format!("keys/{name}")), passphrase.map(str::as_bytes))
}

#[test]
fn every_form_of_a_key_that_openssl_writes_is_the_same_key() {
    let expected = public("keys/p256.pub");
    let forms = [
        ("p256-sec1-params.pem", None),
        ("p256-pkcs8.pem", None),
        ("p256-encrypted.pem", Some("open")),
        ("p256-scrypt.pem", Some("open")),
    ];
    for (name, passphrase) in forms {
        assert_eq!(private(name, passphrase).unwrap().public(), &expected, "{name}");
    }
    // The compressed point is the same key material, so it has the same id and the same hint.
    let compressed = public("keys/p256-compressed.pub");
    assert_eq!((compressed.id(), compressed.oms_hint()), (expected.id(), expected.oms_hint()));
    assert_eq!(expected.to_pem().as_bytes(), vector("keys/p256.pub"));
    assert_eq!(private("p521-sec1.pem", None).unwrap().public(), &public("keys/p521.pub"));
    assert_eq!(private("ed25519.pem", None).unwrap().public(), &public("keys/ed25519.pub"));
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let error = |name: &str, passphrase| private(name, passphrase).unwrap_err().to_string();
    assert_eq!(error("rsa.pem", None), "expected a key of ed25519, P-256, P-384 or P-521, found RSA");
    assert_eq!(error("rsa-old.pem", None), "expected a key of ed25519, P-256, P-384 or P-521, found RSA");
    assert_eq!(
        error("secp256k1.pem", None),
        "expected a key of ed25519, P-256, P-384 or P-521, found secp256k1"
    );
    let public_error =
        |name: &str| PublicKey::from_pem(&vector(&format!("keys/{name}"))).unwrap_err().to_string();
    assert!(public_error("rsa.pub").ends_with("found RSA"));
    assert!(public_error("secp256k1.pub").ends_with("found secp256k1"));
    assert!(public_error("p256-pkcs8.pem").ends_with("found a PEM block `PRIVATE KEY`"));
    assert!(error("p256.pub", None).ends_with("found a PEM block `PUBLIC KEY`"));
    assert!(error("p256-old-encryption.pem", Some("open")).contains("openssl pkcs8 -topk8"));
    assert_eq!(private("p256-encrypted.pem", None).unwrap_err(), KeyError::Encrypted);
    assert_eq!(private("p256-encrypted.pem", Some("wrong")).unwrap_err(), KeyError::Passphrase);
    let two = [vector("keys/p256.pub"), vector("keys/p521.pub")].concat();
    assert_eq!(PublicKey::from_pem(&two), Err(KeyError::Several(2)));
    // The identity as a key: anybody can sign for it.
    let mut weak = public("keys/ed25519.pub").spki_der().to_vec();
    weak.truncate(12);
    weak.push(1);
    weak.extend([0; 31]);
    assert_eq!(PublicKey::from_spki_der(&weak), Err(KeyError::Weak));
    let mut off_curve = public("keys/p256.pub").spki_der().to_vec();
    *off_curve.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_spki_der(&off_curve), Err(KeyError::Malformed("public key")));
}

#[test]
fn pem_text_is_read_strictly() {
    let refused = |text: &[u8]| PublicKey::from_pem(text).unwrap_err();
    let good = String::from_utf8(vector("keys/p256.pub")).unwrap();
    assert!(PublicKey::from_pem(format!("a comment: with a colon\n\n{good}\n").as_bytes()).is_ok());
    assert!(PublicKey::from_pem(good.replace('\n', "\r\n").as_bytes()).is_ok());
    assert!(matches!(refused(format!("{good}more\n").as_bytes()), KeyError::Pem(_)));
    assert!(matches!(refused(good.replace("END PUBLIC", "END PRIVATE").as_bytes()), KeyError::Pem(_)));
    assert!(matches!(refused(good.replace("MFkw", "MF*w").as_bytes()), KeyError::Pem(_)));
    assert!(matches!(refused(b""), KeyError::Pem(_)));
    assert!(matches!(refused(b"\xff"), KeyError::Pem(_)));
    assert!(matches!(refused(&vec![b'\n'; 2 << 20]), KeyError::Pem(_)));
}

#[test]
fn signatures_hold_for_their_key_and_message_alone() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let signature = key.sign(b"message");
        assert_eq!(signature, key.sign(b"message"), "{algorithm} is deterministic");
        key.public().verify(b"message", &signature).unwrap();
        assert_eq!(key.public().verify(b"massage", &signature), Err(SignatureError::Invalid(algorithm)));
        let other = PrivateKey::generate(algorithm).unwrap();
        assert_eq!(other.public().verify(b"message", &signature), Err(SignatureError::Invalid(algorithm)));
        let malformed = Err(SignatureError::Malformed(algorithm));
        assert_eq!(key.public().verify(b"message", &signature[1..]), malformed);
        assert_eq!(key.public().verify(b"message", &[&*signature, &[0]].concat()), malformed);
        assert_eq!(key.public().verify(b"message", &[]), malformed);
        let text = format!("{key:?}");
        assert!(text.ends_with("secret)"), "{text}");
    }
    // r = 0 and s = 0, in DER.
    let key = public("keys/p256.pub");
    for zero in [[0x30, 6, 2, 1, 0, 2, 1, 1], [0x30, 6, 2, 1, 1, 2, 1, 0], [0x30, 6, 2, 1, 0, 2, 1, 0]] {
        assert_eq!(key.verify(b"message", &zero), Err(SignatureError::Malformed(Algorithm::P256)));
    }
}

#[test]
fn a_written_key_is_read_again() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let plain = key.to_pkcs8_pem(None).unwrap();
        assert_eq!(PrivateKey::from_pem(plain.as_bytes(), None).unwrap().public(), key.public());
        assert_eq!(&PublicKey::from_pem(key.public().to_pem().as_bytes()).unwrap(), key.public());
        let id = key.public().id();
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let secret = key.to_pkcs8_pem(Some(b"open")).unwrap();
    assert!(secret.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(PrivateKey::from_pem(secret.as_bytes(), Some(b"open")).unwrap().public(), key.public());
    assert_eq!(PrivateKey::from_pem(secret.as_bytes(), Some(b"shut")).unwrap_err(), KeyError::Passphrase);
}

/// OpenSSL 3.0 and Python's `cryptography` read PKCS#8 v1 alone.
#[test]
fn openssl_reads_every_key_that_is_written() {
    use std::process::{Command, Stdio};
    let public_of = |pem: &str, extra: &[&str]| {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(["pkey", "-pubout"])
            .args(extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    for algorithm in [Algorithm::Ed25519, Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let expected = key.public().to_pem();
        let plain = public_of(&key.to_pkcs8_pem(None).unwrap(), &[]);
        assert_eq!(plain, expected.as_bytes(), "{algorithm}");
        let secret = key.to_pkcs8_pem(Some(b"open")).unwrap();
        assert_eq!(public_of(&secret, &["-passin", "pass:open"]), expected.as_bytes(), "{algorithm}");
    }
}

/// Keys that were written with the public key inside (PKCS#8 v2) are read as before.
#[test]
fn an_ed25519_key_is_written_as_rfc_8410_has_it_and_both_versions_are_read() {
    let key = private("ed25519.pem", None).unwrap();
    assert_eq!(key.to_pkcs8_pem(None).unwrap().as_bytes(), vector("keys/ed25519.pem"));
    assert_eq!(private("ed25519-v2.pem", None).unwrap().public(), key.public());
}
