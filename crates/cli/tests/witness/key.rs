//! Method `key`: the three curves, both ways, and one flipped byte.

use crate::{Witness, openssl};
use sovai_signing::PublicKey;
use sovai_signing::oms::{Bundle, Compat};
use sovai_verifier::{Finding, Links, Options, SignedList, verify_signed};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CURVES: [&str; 3] = ["prime256v1", "secp384r1", "secp521r1"];

/// A model's folder and a key pair: `model`, `k.pem`, `k.pub`.
struct Work(tempfile::TempDir);

impl Work {
    fn new(curve: &str) -> Self {
        let work = Self(tempfile::tempdir().unwrap());
        openssl(work.0.path(), &["ecparam", "-name", curve, "-genkey", "-out", "k.pem"]);
        openssl(work.0.path(), &["ec", "-in", "k.pem", "-pubout", "-out", "k.pub"]);
        fs_err::create_dir_all(work.at("model/a")).unwrap();
        for (name, text) in
            [("a.txt", "x\n"), ("a/b", "hello\n"), ("empty", ""), ("é ü:1.bin", "0123456789\n")]
        {
            fs_err::write(work.at("model").join(name), text).unwrap();
        }
        work
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One byte of a file's middle is another.
    fn flip(&self, name: &str) {
        let mut bytes = fs_err::read(self.at(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs_err::write(self.at(name), bytes).unwrap();
    }

    fn python_signs(&self, witness: &Witness, target: &str, signature: &str) {
        witness.must(self.words("sign", "--private_key", "k.pem", target, signature));
    }

    fn python_verifies(&self, witness: &Witness, target: &str, signature: &str) -> Output {
        witness.run(self.words("verify", "--public_key", "k.pub", target, signature))
    }

    fn words(&self, verb: &str, option: &str, key: &str, target: &str, signature: &str) -> [OsString; 7] {
        let path = |name: &str| self.at(name).into_os_string();
        [
            verb.into(),
            "key".into(),
            option.into(),
            path(key),
            "--signature".into(),
            path(signature),
            path(target),
        ]
    }

    fn sovai(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sovai"));
        command.args(args).current_dir(self.0.path()).env("SOVAI_STORE", self.at("store")).output().unwrap()
    }

    fn sovai_signs(&self, target: &str, signature: &str) {
        let output = self.sovai(&["sign", "model", target, "--key", "k.pem", "--signature", signature]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Strictly, and the files too: what is wrong.
    fn verify(&self, target: &str, signature: &str) -> Vec<Finding> {
        let key = PublicKey::from_pem(&fs_err::read(self.at("k.pub")).unwrap()).unwrap();
        let bundle = Bundle::parse(&fs_err::read(self.at(signature)).unwrap(), Compat::Strict).unwrap();
        let signed = bundle.verify_key(&key).unwrap();
        let signature = self.at(signature);
        let list = SignedList { signed: &signed, signature: Some(&signature), links: Links::Refuse };
        let options = Options::new(NonZeroUsize::MIN);
        let reporter = sovai_core::NullReporter;
        let target: &Path = &self.at(target);
        verify_signed(target, &list, &options, None, &reporter).unwrap().report.findings
    }
}

#[test]
fn what_the_witness_signs_sovai_verifies_strictly() {
    let Some(witness) = Witness::find() else { return };
    for curve in CURVES {
        let work = Work::new(curve);
        work.python_signs(&witness, "model", "model/model.sig");
        assert_eq!(work.verify("model", "model/model.sig"), [], "{curve}");
        work.flip("model/a.txt");
        let found = work.verify("model", "model/model.sig");
        assert!(matches!(&*found, [Finding::Digest { path, .. }] if path == "a.txt"), "{curve}: {found:?}");
        assert!(!work.python_verifies(&witness, "model", "model/model.sig").status.success(), "{curve}");
    }
}

#[test]
fn what_sovai_signs_the_witness_verifies() {
    let Some(witness) = Witness::find() else { return };
    for curve in CURVES {
        let work = Work::new(curve);
        work.sovai_signs("model", "model/model.sig");
        let said = work.python_verifies(&witness, "model", "model/model.sig");
        assert!(said.status.success(), "{curve}: {}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(work.verify("model", "model/model.sig"), [], "{curve}");
        work.flip("model/é ü:1.bin");
        assert!(!work.python_verifies(&witness, "model", "model/model.sig").status.success(), "{curve}");
        assert_eq!(work.verify("model", "model/model.sig").len(), 1, "{curve}");
    }
}

/// The notes that a hub's tool keeps in the folder are no files too many for either.
#[test]
fn a_folder_with_the_notes_of_a_hub_is_verified_by_the_witness() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new("prime256v1");
    fs_err::create_dir_all(work.at("model/.cache/huggingface/download")).unwrap();
    fs_err::write(work.at("model/.cache/huggingface/download/a.txt.metadata"), "note\n").unwrap();
    fs_err::write(work.at("model/.gitattributes"), "x\n").unwrap();
    work.sovai_signs("model", "model.sig");
    let said = work.python_verifies(&witness, "model", "model.sig");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_file_as_a_model_by_the_witness_is_verified() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new("prime256v1");
    work.python_signs(&witness, "model/a.txt", "one.sig");
    assert_eq!(work.verify("model/a.txt", "one.sig"), []);
    work.flip("model/a.txt");
    assert_eq!(work.verify("model/a.txt", "one.sig").len(), 1);
}

#[test]
fn an_encrypted_key_signs_too() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new("secp384r1");
    let scrypt = ["pkcs8", "-topk8", "-scrypt", "-in", "k.pem", "-passout", "pass:open", "-out", "k.enc"];
    openssl(work.0.path(), &scrypt);
    fs_err::write(work.at("pass"), "open\n").unwrap();
    let line =
        ["sign", "model", "model", "--key", "k.enc", "--passphrase-file", "pass", "--signature", "m.sig"];
    assert!(work.sovai(&line).status.success());
    assert!(work.python_verifies(&witness, "model", "m.sig").status.success());
}

/// The rows of what the reference implementation accepts and must not: each verifies with the witness, and is refused.
#[test]
fn what_the_witness_wrongly_accepts_is_refused() {
    let Some(witness) = Witness::find() else { return };
    let script = r#"
import base64, hashlib, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
work, case = sys.argv[1], sys.argv[2]
key = serialization.load_pem_private_key(open(f"{work}/k.pem", "rb").read(), None)
pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
good = lambda name, at=None: {"name": name, "algorithm": "sha256",
    "digest": hashlib.sha256(open(f"{work}/model/{at or name}", "rb").read()).hexdigest()}
names = ["a.txt", "a/b", "empty", "é ü:1.bin"]
resources, ignore, text = [good(name) for name in names], [], None
if case == "twice": resources.insert(0, dict(good("a.txt"), digest="00" * 32))
if case == "dot": resources, ignore = [], ["."]
if case == "root": ignore = ["/"]
if case == "up": ignore = ["../"]
if case == "dotted": resources[0]["name"] = "./a.txt"
if case == "slashes": resources[1]["name"] = "a//b"
if case == "hole": resources, ignore = [r for r in resources if r["name"] != "a/b"], ["a"]
if case == "hash": pass
root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": root}}],
    "predicateType": "https://model_signing/signature/v1.0", "predicate": {"resources": resources, "serialization":
    {"method": "files", "hash_type": "blake3" if case == "hash" else "sha256", "allow_symlinks": False,
     "ignore_paths": ignore}}}
payload = json.dumps(statement)
if case == "nan": payload = payload.replace('"m"', '"m", "x": NaN', 1)
payload = payload.encode()
pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
sig = base64.b64encode(key.sign(pae, ec.ECDSA(hashes.SHA256()))).decode()
bundle = json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial":
    {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []}, "dsseEnvelope": {"payload":
    base64.b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json",
    "signatures": [{"sig": sig, "keyid": ""}]}})
if case == "keys": bundle = bundle.replace('"mediaType"', '"mediaType": "x", "mediaType"', 1)
open(f"{work}/{case}.sig", "w").write(bundle)
"#;
    let work = Work::new("prime256v1");
    fs_err::write(work.at("make.py"), script).unwrap();
    let key = PublicKey::from_pem(&fs_err::read(work.at("k.pub")).unwrap()).unwrap();
    let cases = [
        ("good", None),
        ("twice", Some("listed twice")),
        ("dot", Some("lists no file")),
        ("root", Some("ignored path `/`")),
        ("up", Some("ignored path `../`")),
        ("dotted", Some("resource name `./a.txt`")),
        ("slashes", Some("resource name `a//b`")),
        ("hole", Some("lies beside it")),
        ("nan", Some("expected value")),
        ("keys", Some("duplicate key `mediaType`")),
        ("hash", Some("hash type is blake3")),
    ];
    for (case, refused) in cases {
        let made = Command::new(&witness.python)
            .arg(work.at("make.py"))
            .arg(work.0.path())
            .arg(case)
            .output()
            .unwrap();
        assert!(made.status.success(), "{case}: {}", String::from_utf8_lossy(&made.stderr));
        let signature = format!("{case}.sig");
        let said = work.python_verifies(&witness, "model", &signature);
        assert!(
            said.status.success(),
            "{case}: the witness refuses it: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        let text = fs_err::read(work.at(&signature)).unwrap();
        for compat in [Compat::Strict, Compat::Compat] {
            let verified = Bundle::parse(&text, compat).and_then(|bundle| bundle.verify_key(&key));
            match (refused, verified) {
                (None, Ok(_)) => {}
                // What such a signature says is true; the folder has more than that, and this is said.
                (Some("lies beside it"), Ok(_)) => {
                    let list = verified_remainder(&work, &signature);
                    assert_eq!(list, ["a/b"], "{case}");
                }
                (Some(message), Err(error)) => {
                    assert!(error.to_string().contains(message), "{case}: {error}");
                }
                (_, other) => panic!("{case}: {other:?}"),
            }
        }
    }
}

/// The files of `model` that nobody vouches for.
fn verified_remainder(work: &Work, signature: &str) -> Vec<String> {
    let key = PublicKey::from_pem(&fs_err::read(work.at("k.pub")).unwrap()).unwrap();
    let bundle = Bundle::parse(&fs_err::read(work.at(signature)).unwrap(), Compat::Strict).unwrap();
    let signed = bundle.verify_key(&key).unwrap();
    let signature = work.at(signature);
    let list = SignedList { signed: &signed, signature: Some(&signature), links: Links::Refuse };
    let options = Options::new(NonZeroUsize::MIN);
    let report = verify_signed(&work.at("model"), &list, &options, None, &sovai_core::NullReporter).unwrap();
    report.unsigned.into_iter().map(|one| one.path).collect()
}
