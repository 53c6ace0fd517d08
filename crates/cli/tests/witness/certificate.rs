//! Method `certificate`.

use crate::{Witness, openssl};
use sovai_pki::{Judged, Pin, PkiError, Request, read_certificates, verify};
use sovai_signing::PublicKey;
use sovai_signing::oms::{Bundle, Compat, Material};
use std::path::PathBuf;

/// 2026-07-01T00:00:00Z.
const SUMMER: u64 = 1_782_864_000;

/// An authority, an issuing one below it, and models that leaves sign.
pub(crate) struct Authority {
    work: tempfile::TempDir,
}

/// What a leaf is for.
#[derive(Clone, Copy)]
pub(crate) enum Leaf {
    Code,
    TlsServer,
}

impl Authority {
    pub(crate) fn new(curve: &str) -> Self {
        let new = Self { work: tempfile::tempdir().unwrap() };
        let config = "[ca]\ndefault_ca = main\n[main]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
            default_md = sha512\npolicy = any\n[any]\ncommonName = supplied\n\
            [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n\
            subjectKeyIdentifier = hash\n\
            [code]\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = codeSigning\n\
            subjectAltName = email:release@example.org\n\
            [tls]\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = serverAuth\n\
            subjectAltName = DNS:www.example.org\n";
        fs_err::write(new.at("ca.cnf"), config).unwrap();
        fs_err::write(new.at("index"), "").unwrap();
        fs_err::write(new.at("serial"), "01\n").unwrap();
        fs_err::create_dir(new.at("model")).unwrap();
        fs_err::write(new.at("model/config.json"), "{}\n").unwrap();
        new.certificate("root", "root", curve, "authority", ["20200101000000Z", "20400101000000Z"]);
        new.certificate("sub", "root", curve, "authority", ["20200101000000Z", "20400101000000Z"]);
        new
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn certificate(&self, name: &str, issuer: &str, curve: &str, extensions: &str, [from, to]: [&str; 2]) {
        let (key, request, out) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let folder = self.work.path();
        openssl(folder, &["ecparam", "-name", curve, "-genkey", "-noout", "-out", &key]);
        openssl(folder, &["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
        let (issuer_key, issuer_out) = (format!("{issuer}.key"), format!("{issuer}.pem"));
        let mut args = vec!["ca", "-batch", "-notext", "-config", "ca.cnf", "-extensions", extensions];
        args.extend([
            "-startdate",
            from,
            "-enddate",
            to,
            "-in",
            &request,
            "-out",
            &out,
            "-keyfile",
            &issuer_key,
        ]);
        if name == issuer {
            args.push("-selfsign");
        } else {
            args.extend(["-cert", &issuer_out]);
        }
        openssl(folder, &args);
    }

    /// The witness signs with a new leaf; then it must say yes to its own signature.
    pub(crate) fn sign(&self, witness: &Witness, curve: &str, leaf: Leaf, dates: [&str; 2]) -> Bundle {
        let extensions = match leaf {
            Leaf::Code => "code",
            Leaf::TlsServer => "tls",
        };
        self.certificate("leaf", "sub", curve, extensions, dates);
        let path = |name: &str| self.at(name).into_os_string();
        witness.must([
            "sign".into(),
            "certificate".into(),
            path("model"),
            "--signature".into(),
            path("model.sig"),
            "--private_key".into(),
            path("leaf.key"),
            "--signing_certificate".into(),
            path("leaf.pem"),
            "--certificate_chain".into(),
            path("sub.pem"),
        ]);
        witness.must([
            "verify".into(),
            "certificate".into(),
            path("model"),
            "--signature".into(),
            path("model.sig"),
            "--certificate_chain".into(),
            path("root.pem"),
            "--certificate_chain".into(),
            path("sub.pem"),
        ]);
        Bundle::parse(&fs_err::read(self.at("model.sig")).unwrap(), Compat::Strict).unwrap()
    }

    fn judge(&self, bundle: &Bundle, pin: &Pin, now: u64) -> Result<Judged, PkiError> {
        let Material::Chain(chain) = bundle.material() else { panic!("{:?}", bundle.material()) };
        let anchors = read_certificates(&fs_err::read(self.at("root.pem")).unwrap(), "root.pem").unwrap();
        let intermediates = read_certificates(&fs_err::read(self.at("sub.pem")).unwrap(), "sub.pem").unwrap();
        verify(&Request {
            chain,
            anchors: &anchors,
            intermediates: &intermediates,
            pin,
            crls: &[],
            timestamps: bundle.timestamps(),
            tsa_anchors: &[],
            signature: bundle.signature(),
            signed_at: None,
            now,
            waive_code_signing: false,
        })
    }
}

const THIS_YEAR: [&str; 2] = ["20260101000000Z", "20270101000000Z"];

fn pin() -> Pin {
    Pin::new(Some("CN=leaf".to_owned()), Some("release@example.org".to_owned()), None)
}

#[test]
fn what_the_witness_signs_is_verified_on_each_curve() {
    let Some(witness) = Witness::find() else { return };
    for curve in ["prime256v1", "secp384r1", "secp521r1"] {
        let authority = Authority::new(curve);
        let bundle = authority.sign(&witness, curve, Leaf::Code, THIS_YEAR);
        let judged = authority.judge(&bundle, &pin(), SUMMER).unwrap();
        let signed = bundle.verify_leaf(&PublicKey::from_spki_der(&judged.spki_der).unwrap()).unwrap();
        assert_eq!(signed.resources.len(), 1);
        // The key of another certificate of the chain is not the signer's.
        let sub = authority.at("sub.key");
        openssl(authority.work.path(), &["ec", "-in", sub.to_str().unwrap(), "-pubout", "-out", "sub.pub"]);
        let sub = PublicKey::from_pem(&fs_err::read(authority.at("sub.pub")).unwrap()).unwrap();
        bundle.verify_leaf(&sub).unwrap_err();
    }
}

#[test]
fn the_witness_accepts_a_tls_servers_certificate() {
    let Some(witness) = Witness::find() else { return };
    let authority = Authority::new("prime256v1");
    let bundle = authority.sign(&witness, "prime256v1", Leaf::TlsServer, THIS_YEAR);
    let pin = Pin::new(None, Some("www.example.org".to_owned()), None);
    let error = authority.judge(&bundle, &pin, SUMMER).unwrap_err();
    assert!(matches!(error, PkiError::Purpose { .. }), "{error}");
}

#[test]
fn the_witness_accepts_an_expired_certificate() {
    let Some(witness) = Witness::find() else { return };
    let authority = Authority::new("prime256v1");
    let dates = ["20240101000000Z", "20250101000000Z"];
    let bundle = authority.sign(&witness, "prime256v1", Leaf::Code, dates);
    let error = authority.judge(&bundle, &pin(), SUMMER).unwrap_err();
    assert!(matches!(error, PkiError::Expired { .. }), "{error}");
}

#[test]
fn the_witness_accepts_a_future_certificate() {
    let Some(witness) = Witness::find() else { return };
    let authority = Authority::new("prime256v1");
    let dates = ["20350101000000Z", "20360101000000Z"];
    let bundle = authority.sign(&witness, "prime256v1", Leaf::Code, dates);
    let error = authority.judge(&bundle, &pin(), SUMMER).unwrap_err();
    assert!(matches!(error, PkiError::NotYetValid { .. }), "{error}");
}

#[test]
fn the_witness_accepts_whoever_has_a_certificate() {
    let Some(witness) = Witness::find() else { return };
    let authority = Authority::new("prime256v1");
    let bundle = authority.sign(&witness, "prime256v1", Leaf::Code, THIS_YEAR);
    let error = authority.judge(&bundle, &Pin::default(), SUMMER).unwrap_err();
    assert_eq!(error, PkiError::NoPin);
    let somebody = Pin::new(Some("CN=somebody else".to_owned()), None, None);
    let error = authority.judge(&bundle, &somebody, SUMMER).unwrap_err();
    assert!(matches!(error, PkiError::Pin { .. }), "{error}");
}

#[test]
fn what_sovai_signs_with_a_certificate_the_witness_verifies() {
    let Some(witness) = Witness::find() else { return };
    for curve in ["prime256v1", "secp384r1", "secp521r1"] {
        let authority = Authority::new(curve);
        authority.certificate("leaf", "sub", curve, "code", THIS_YEAR);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_sovai"))
            .args(["sign", "model", "model", "--key", "leaf.key", "--signature", "model.sig"])
            .args(["--certificate", "leaf.pem", "--chain", "sub.pem"])
            .current_dir(authority.work.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let verify = || {
            witness.run([
                "verify".into(),
                "certificate".into(),
                authority.at("model").into_os_string(),
                "--signature".into(),
                authority.at("model.sig").into_os_string(),
                "--certificate_chain".into(),
                authority.at("root.pem").into_os_string(),
            ])
        };
        let said = verify();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let bundle =
            Bundle::parse(&fs_err::read(authority.at("model.sig")).unwrap(), Compat::Strict).unwrap();
        let judged = authority.judge(&bundle, &pin(), SUMMER).unwrap();
        bundle.verify_leaf(&PublicKey::from_spki_der(&judged.spki_der).unwrap()).unwrap();
        fs_err::write(authority.at("model/config.json"), "[]\n").unwrap();
        assert!(!verify().status.success(), "the witness sees no difference");
    }
}
