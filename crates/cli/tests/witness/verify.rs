//! `sovai verify` against the witness: what it signs is verified, and each thing that it wrongly accepts is refused. Every
//! test first shows that the witness says yes.

use crate::certificate::{Authority, Leaf};
use crate::{Witness, openssl};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the bundle of a case, signed with `k.pem` over `model`.
const MAKE: &str = r#"
import base64, hashlib, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
work, case = sys.argv[1], sys.argv[2]
key = serialization.load_pem_private_key(open(f"{work}/k.pem", "rb").read(), None)
pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
good = lambda name: {"name": name, "algorithm": "sha256",
    "digest": hashlib.sha256(open(f"{work}/model/{name}", "rb").read()).hexdigest()}
resources, ignore = [good("a.txt"), good("a/b")], []
if case == "twice": resources.insert(0, dict(good("a.txt"), digest="00" * 32))
if case in ("dot", "none"): resources = []
if case == "dot": ignore = ["."]
if case == "root": ignore = ["/"]
if case == "up": ignore = ["../"]
if case == "outside": resources.append(good("../k.pub"))
if case == "hole": resources, ignore = resources[:1], ["a"]
root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": root}}],
    "predicateType": "https://model_signing/signature/v1.0", "predicate": {"resources": resources, "serialization":
    {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ignore}}})
if case == "nan": payload = payload.replace('"m"', '"m", "x": NaN', 1)
payload = payload.encode()
pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
sig = base64.b64encode(key.sign(pae, ec.ECDSA(hashes.SHA256()))).decode()
bundle = json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial":
    {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []}, "dsseEnvelope": {"payload":
    base64.b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json",
    "signatures": [{"sig": sig, "keyid": ""}]}})
if case == "keys": bundle = bundle.replace('"mediaType"', '"mediaType": "x", "mediaType"', 1)
open(f"{work}/model.sig", "w").write(bundle)
"#;

struct Work(tempfile::TempDir);

impl Work {
    fn new() -> Self {
        let work = Self(tempfile::tempdir().unwrap());
        openssl(work.0.path(), &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k.pem"]);
        openssl(work.0.path(), &["ec", "-in", "k.pem", "-pubout", "-out", "k.pub"]);
        fs_err::create_dir_all(work.at("model/a")).unwrap();
        fs_err::write(work.at("model/a.txt"), "x\n").unwrap();
        fs_err::write(work.at("model/a/b"), "hello\n").unwrap();
        work
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn witness_accepts(&self, witness: &Witness, more: &[&str]) {
        let path = |name: &str| self.at(name).into_os_string();
        let mut words: Vec<OsString> = vec!["verify".into(), "key".into(), path("model")];
        words.extend(["--signature".into(), path("model.sig"), "--public_key".into(), path("k.pub")]);
        words.extend(more.iter().map(OsString::from));
        witness.must(words);
    }

    /// Exit code and standard output.
    fn sovai(&self, more: &[&str]) -> (i32, String) {
        let args = ["verify", "model", "--signature", "model.sig", "--key", "k.pub"];
        sovai(self.0.path(), &[&args, more].concat())
    }

    fn make(&self, witness: &Witness, case: &str) {
        fs_err::write(self.at("make.py"), MAKE).unwrap();
        let script = self.at("make.py");
        let made = Command::new(&witness.python).arg(script).arg(self.0.path()).arg(case).output().unwrap();
        assert!(made.status.success(), "{case}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

fn sovai(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sovai"))
        .args(args)
        .current_dir(folder)
        .env("SOVAI_STORE", folder.join("store"))
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The witness takes the case's bundle, sovai refuses it with this code, also with `--compat`.
fn refused(case: &str, witness_options: &[&str], code: &str) {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new();
    work.make(&witness, "good");
    work.witness_accepts(&witness, &[]);
    assert_eq!(work.sovai(&[]).0, 0, "the good one");
    work.make(&witness, case);
    work.witness_accepts(&witness, witness_options);
    let (exit, said) = work.sovai(&[]);
    assert!(exit == 5 && said.contains(code), "{case}: exit {exit}: {said}");
    assert_eq!(work.sovai(&["--compat"]).0, 5, "{case}");
}

#[test]
fn what_the_witness_signs_is_verified() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new();
    let path = |name: &str| work.at(name).into_os_string();
    let sign: [OsString; 7] = [
        "sign".into(),
        "key".into(),
        path("model"),
        "--signature".into(),
        path("model.sig"),
        "--private_key".into(),
        path("k.pem"),
    ];
    witness.must(sign);
    let (exit, said) = work.sovai(&[]);
    assert!(exit == 0 && said.starts_with("model: verified"), "{said}");
    fs_err::write(work.at("model/a/b"), "hallo\n").unwrap();
    assert_eq!(work.sovai(&[]).0, 4);
}

#[test]
fn a_file_that_was_dropped_into_git_is_refused() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new();
    work.make(&witness, "good");
    fs_err::create_dir_all(work.at("model/.git/hooks")).unwrap();
    fs_err::write(work.at("model/.git/hooks/post-checkout"), "#!/bin/sh\n").unwrap();
    work.witness_accepts(&witness, &[]);
    let (exit, said) = work.sovai(&[]);
    assert!(exit == 5 && said.contains("SOV3009 .git/hooks/post-checkout"), "{exit}: {said}");
    assert_eq!(work.sovai(&["--compat"]).0, 0, "reported, and taken");
}

#[test]
fn a_file_that_is_listed_twice_is_refused() {
    refused("twice", &[], "SOV3002");
}

#[test]
fn ignoring_everything_is_refused() {
    refused("dot", &[], "SOV3002");
}

#[test]
fn ignoring_the_root_of_the_system_is_refused() {
    refused("root", &[], "SOV3002");
}

#[test]
fn ignoring_what_is_above_is_refused() {
    refused("up", &[], "SOV3002");
}

#[test]
fn a_file_outside_the_model_is_refused() {
    refused("outside", &["--ignore_unsigned_files"], "SOV3002");
}

#[test]
fn a_signature_without_files_is_refused() {
    refused("none", &["--ignore_unsigned_files"], "SOV3002");
}

#[test]
fn keys_that_stand_twice_in_a_bundle_are_refused() {
    refused("keys", &[], "SOV3002");
}

#[test]
fn a_number_that_is_none_is_refused() {
    refused("nan", &[], "SOV3002");
}

#[test]
fn a_hole_that_the_signer_left_by_ignoring_a_folder_is_refused() {
    let Some(witness) = Witness::find() else { return };
    let work = Work::new();
    work.make(&witness, "hole");
    work.witness_accepts(&witness, &[]);
    let (exit, said) = work.sovai(&[]);
    assert!(exit == 5 && said.contains("SOV3009 a/b is not signed"), "{exit}: {said}");
}

/// The witness takes a certificate ([`Authority::sign`] lets it verify its own signature); what sovai says of it.
fn certificate(leaf: Leaf, dates: [&str; 2]) -> Option<(i32, String)> {
    let witness = Witness::find()?;
    let authority = Authority::new("prime256v1");
    authority.sign(&witness, "prime256v1", leaf, dates);
    let args =
        ["verify", "model", "--signature", "model.sig", "--ca", "root.pem", "--intermediate", "sub.pem"];
    let folder = authority.at("");
    assert_eq!(sovai(&folder, &args).0, 2, "nothing says whose certificate it must be");
    assert_eq!(sovai(&folder, &[&args[..], &["--subject", "CN=somebody else"]].concat()).0, 5);
    Some(sovai(&folder, &[&args[..], &["--subject", "CN=leaf"]].concat()))
}

#[test]
fn a_certificate_for_signing_is_verified() {
    if let Some((exit, said)) = certificate(Leaf::Code, ["20200101000000Z", "20390101000000Z"]) {
        assert!(exit == 0 && said.contains("by the certificate of CN=leaf"), "{exit}: {said}");
    }
}

#[test]
fn the_certificate_of_a_tls_server_is_refused() {
    if let Some((exit, said)) = certificate(Leaf::TlsServer, ["20200101000000Z", "20390101000000Z"]) {
        assert!(exit == 5 && said.contains("SOV3007"), "{exit}: {said}");
    }
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    if let Some((exit, said)) = certificate(Leaf::Code, ["20380101000000Z", "20390101000000Z"]) {
        assert!(exit == 5 && said.contains("is valid from 2038"), "{exit}: {said}");
    }
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    if let Some((exit, said)) = certificate(Leaf::Code, ["20240101000000Z", "20250101000000Z"]) {
        assert!(exit == 5 && said.contains("expired at 2025"), "{exit}: {said}");
    }
}
