use crate::env::{Ran, TestEnv, WEIGHTS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::os::unix::fs::{MetadataExt as _, symlink};

/// A model's folder and a P-256 key.
fn ready() -> TestEnv {
    let env = TestEnv::new();
    env.write("m/config.json", "{}\n").write("m/sub/w.bin", WEIGHTS).write("m/.gitattributes", "x\n");
    assert_eq!(env.run("keys generate --algorithm p256 --out k").code, 0);
    env
}

/// Signs `m` as `line` says besides.
fn sign(env: &TestEnv, line: &str) -> Ran {
    env.run(&format!("sign model m --key k {line}"))
}

fn payload(env: &TestEnv, name: &str) -> Value {
    let bundle: Value = serde_json::from_str(&env.read(name)).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

fn names(payload: &Value) -> Vec<&str> {
    let resources = payload["predicate"]["resources"].as_array().unwrap();
    resources.iter().map(|resource| resource["name"].as_str().unwrap()).collect()
}

fn check(env: &TestEnv, model: &str, signature: &str) -> i32 {
    let line = format!(
        "oms-conformance verify-model --method key --model-path {model} --bundle {signature} --public-key k.pub"
    );
    env.run(&line).code
}

#[test]
fn a_key_pair_is_written_once_and_guarded() {
    let env = TestEnv::new();
    let made = env.json("keys generate --out k");
    assert_eq!((made["algorithm"].as_str(), made["encrypted"].as_bool()), (Some("ed25519"), Some(false)));
    let bits = |name: &str| fs_err::metadata(env.path(name)).unwrap().mode() & 0o7777;
    assert_eq!((bits("k"), bits("k.pub")), (0o600, 0o644));
    assert!(env.read("k").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(env.read("k.pub").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let before = (env.read("k"), env.read("k.pub"));
    let again = env.run("keys generate --out k");
    assert_eq!((again.code, (env.read("k"), env.read("k.pub"))), (2, before));
    assert!(again.stderr.contains("a key is never overwritten"), "{}", again.stderr);
    // Neither is a public key that stands alone.
    env.write("other.pub", "mine");
    assert_eq!(env.run("keys generate --out other").code, 2);
    assert!(!env.path("other").exists());
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let env = ready();
    env.write("pass", "open sesame\nmore\n").write("wrong", "open\n").write("none", "\n");
    let made = env.json("keys generate --algorithm p256 --passphrase-file pass --out e");
    assert_eq!(made["encrypted"], true);
    assert!(env.read("e").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let with = |line: &str| env.run(&format!("sign model m --key e --signature m.sig {line}"));
    assert_eq!(with("--passphrase-file pass").code, 0);
    assert_eq!(with("--passphrase-file wrong").code, 2);
    assert_eq!(with("--passphrase-file none").code, 2);
    let without = with("");
    assert!(without.code == 2 && without.stderr.contains("--passphrase-file FILE"), "{}", without.stderr);
}

#[test]
fn a_signed_folder_verifies_until_a_byte_changes() {
    let env = ready();
    let ran = sign(&env, "--signature m/model.sig --ignore logs");
    let text = regex_free(&ran.stdout);
    assert_eq!((ran.code, text.lines().count()), (0, 5), "{}{}", ran.stdout, ran.stderr);
    let payload = payload(&env, "m/model.sig");
    assert_eq!(names(&payload), ["config.json", "sub/w.bin"]);
    assert_eq!(payload["subject"][0]["name"], "m");
    let ignored = serde_json::json!([".git", ".gitattributes", ".github", ".gitignore", "logs", "model.sig"]);
    assert_eq!(payload["predicate"]["serialization"]["ignore_paths"], ignored);
    assert_eq!(check(&env, "m", "m/model.sig"), 0);
    // Again gives the same bytes: an older signature is replaced.
    let before = env.read("m/model.sig");
    assert_eq!(sign(&env, "--signature m/model.sig --ignore logs").code, 0);
    assert_eq!(env.read("m/model.sig"), before);
    env.write("m/sub/w.bin", "GGUF weighty\n");
    assert_eq!(check(&env, "m", "m/model.sig"), 4);
    env.write("m/sub/w.bin", WEIGHTS).write("m/new.bin", "x");
    assert_eq!(check(&env, "m", "m/model.sig"), 4);
}

/// What is printed, as it is.
fn regex_free(text: &str) -> &str {
    assert!(text.starts_with("signed: m/model.sig, 2 files of 27 B\nroot: sha256:"), "{text}");
    text
}

/// Every folder of a hub has a `.gitattributes`: who signs it hears at once what `verify` will say, and how to go on.
#[test]
fn what_is_there_and_not_covered_is_said_with_the_way_out() {
    let env = ready();
    env.write("m/.cache/huggingface/.gitignore", "*\n");
    for name in ["a", "b", "c", "d"] {
        env.write(&format!("m/.cache/huggingface/download/{name}.metadata"), "note\n");
    }
    let ran = sign(&env, "--signature s");
    assert_eq!(ran.code, 0, "{ran}");
    for line in [
        "not covered: 1 file, files of version control are ignored by every signature: .gitattributes\n",
        "not covered: 5 files, a note of a hub's tool: .cache/huggingface/.gitignore, \
         .cache/huggingface/download/a.metadata, .cache/huggingface/download/b.metadata, and 2 more\n",
    ] {
        assert!(ran.stdout.contains(line), "{ran}");
    }
    assert!(ran.stderr.contains("SOV3009") && ran.stderr.contains("--compat"), "{ran}");
    let signed = payload(&env, "s");
    assert_eq!(names(&signed), ["config.json", "sub/w.bin"]);
    let ignored = signed["predicate"]["serialization"]["ignore_paths"].as_array().unwrap();
    assert!(ignored.iter().any(|path| path == ".cache/huggingface"), "{ignored:?}");
    let value = env.json("sign model m --key k --signature s");
    assert_eq!(value["uncovered"].as_array().unwrap().len(), 6, "{value}");

    // What was said comes true, and so does the way out.
    let verify = |more: &str| env.run(&format!("verify m --signature s --key k.pub {more}"));
    let ran = verify("");
    assert!(ran.code == 5 && ran.stdout.contains("hint: take it out of the folder"), "{ran}");
    assert_eq!(verify("--compat").code, 0);
    fs_err::remove_file(env.path("m/.gitattributes")).unwrap();
    fs_err::remove_dir_all(env.path("m/.cache")).unwrap();
    assert_eq!(verify("").code, 0);
    let ran = sign(&env, "--signature s");
    assert!(!ran.stdout.contains("not covered") && ran.stderr.is_empty(), "{ran}");
    // A file ignores nothing, and no empty list is shown.
    let ran = env.run("sign model m/config.json --key k --signature c.sig");
    assert!(!ran.stdout.contains("ignored") && !ran.stdout.contains("not covered"), "{ran}");
}

#[test]
fn a_single_file_is_signed_under_its_name() {
    let env = ready();
    let ran = env.run("sign model m/sub/w.bin --key k --signature w.sig");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let payload = payload(&env, "w.sig");
    assert_eq!((names(&payload), payload["subject"][0]["name"].as_str()), (vec!["w.bin"], Some("w.bin")));
    assert_eq!(check(&env, "m/sub/w.bin", "w.sig"), 0);
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let env = ready();
    assert_eq!(env.run("keys generate --out ed").code, 0);
    let ed25519 = env.run("sign model m --key ed --signature m.sig");
    assert!(ed25519.code == 5 && ed25519.stderr.contains("P-256, P-384 or P-521"), "{}", ed25519.stderr);
    assert_eq!(env.run("sign model none --key k --signature m.sig").code, 6);
    for ignore in [".", "/", "../x", "/etc", "a//b", "./a"] {
        assert_eq!(sign(&env, &format!("--signature m.sig --ignore {ignore}")).code, 2, "{ignore}");
    }
    // Nothing is left to sign.
    let empty = sign(&env, "--signature m.sig --ignore config.json --ignore sub");
    assert!(empty.code == 5 && empty.stderr.contains("lists no file"), "{}", empty.stderr);
    symlink("config.json", env.path("m/link")).unwrap();
    let linked = sign(&env, "--signature m.sig");
    assert_eq!(linked.code, 4, "{}", linked.stderr);
    assert!(!env.path("m.sig").exists());
}

#[test]
fn a_slip_does_not_cost_a_file() {
    let env = ready();
    let ran = sign(&env, "--signature m/sub/w.bin");
    assert!(ran.code == 2 && ran.stderr.contains("is no signature"), "{}", ran.stderr);
    assert_eq!(env.read("m/sub/w.bin").as_bytes(), WEIGHTS);
    assert_eq!(sign(&env, "--signature m").code, 2);
}

#[test]
fn a_list_of_revocations_is_signed_for_trust_revoke() {
    let env = ready();
    let digest = "ab".repeat(32);
    let list = serde_json::json!({
        "number": 7, "issued": "2026-11-20T00:00:00Z",
        "models": [{ "digest": format!("sha256:{digest}"), "reason": "withdrawn" }],
    });
    env.write("list.json", list.to_string());
    let made = env.json("sign revocations list.json --key k --out list.dsse");
    assert_eq!((made["exitCode"].as_i64(), made["number"].as_i64()), (Some(0), Some(7)));
    let text = env.read("list.dsse");
    let (envelope, read) = sovai_trust::RevocationList::parse_envelope(text.as_bytes()).unwrap();
    assert_eq!((envelope.signatures.len(), read.models[0].digest.hex()), (1, digest));
    // A list is replaced by the next one, and by nothing else.
    assert_eq!(env.run("sign revocations list.json --key k --out list.dsse").code, 0);
    let slip = env.run("sign revocations list.json --key k --out list.json");
    assert!(slip.code == 2 && slip.stderr.contains("is no signature"), "{}", slip.stderr);
    env.write("bad.json", list.to_string().replace("\"number\":7", "\"number\":7,\"number\":8"));
    assert_eq!(env.run("sign revocations bad.json --key k --out bad.dsse").code, 5);
    assert!(!env.path("bad.dsse").exists());
}

#[test]
fn a_passport_is_signed_by_its_digest() {
    let env = ready();
    let options = sovai_verifier::Options::new(std::num::NonZeroUsize::MIN);
    let reporter = sovai_core::NullReporter;
    let made = sovai_verifier::make_passport(&env.path("m"), &options, None, &reporter).unwrap();
    env.write("m.passport", made.to_json());
    let result = env.json("sign passport m.passport --key k --signature m.passport.sig");
    assert_eq!(result["model"], made.model().to_string());
    let read = sovai_signing::passport::SignedPassport::parse(env.read("m.passport.sig").as_bytes()).unwrap();
    assert_eq!(read.model, made.model());
    env.write("bad.passport", env.read("m.passport").replace("config", "gonfig"));
    assert_eq!(env.run("sign passport bad.passport --key k --signature b.sig").code, 5);
}

#[test]
fn the_adapter_speaks_the_suites_language() {
    let env = ready();
    env.write("m/logs/x", "x");
    let line = "oms-conformance sign-model --method key --model-path m --output-bundle m.sig --private-key k --ignore-paths m/logs";
    assert_eq!(env.run(line).code, 0);
    assert_eq!(names(&payload(&env, "m.sig")), ["config.json", "sub/w.bin"]);
    assert_eq!(check(&env, "m", "m.sig"), 0);
    env.write("m/more", "x");
    assert_eq!(check(&env, "m", "m.sig"), 4);
    let with = |line: &str| {
        env.run(&format!("oms-conformance verify-model --method key --model-path m --bundle m.sig --public-key k.pub {line}")).code
    };
    assert_eq!(with("--ignore-unsigned-files"), 0);
    assert_eq!(with("--ignore-paths m/more m/other"), 0);
    assert_eq!(with("--ignore-paths m/mor"), 4);
    env.write("m/config.json", "{ }\n");
    assert_eq!(with("--ignore-unsigned-files"), 4);
    let other =
        "oms-conformance verify-model --method certificate --model-path m --bundle m.sig --cert-chain k.pub";
    assert_eq!(env.run(other).code, 5);
    let keyless =
        env.run("oms-conformance verify-model --method sigstore --model-path m --bundle m.sig --identity x");
    assert!(keyless.code == 5 && keyless.stderr.contains("keyless"), "{}", keyless.stderr);
    assert_eq!(env.run("oms-conformance verify-model").code, 2);
    assert_eq!(
        env.run("oms-conformance sign-model --method key --model-path m --output-bundle m.sig").code,
        2
    );
    let capabilities = env.run("oms-conformance capabilities");
    let value: Value = serde_json::from_str(&capabilities.stdout).unwrap();
    assert_eq!(value["methods"], serde_json::json!(["key", "certificate"]));
}
