//! `verify DIR --signature`: each way in which a signature or a signed folder is refused, with its exit code.

use crate::env::{FLIPPED, Ran, TestEnv, WEIGHTS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A folder `m`, signed by `k` into `s`; the public key of somebody else is `other.pub`.
fn signed(options: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("m/config.json", "{}\n").write("m/sub/w.gguf", WEIGHTS);
    for key in ["k", "other"] {
        assert_eq!(env.run(&format!("keys generate --algorithm p256 --out {key}")).code, 0);
    }
    assert_eq!(env.run(&format!("sign model m --key k --signature s {options}")).code, 0);
    env
}

fn verify(env: &TestEnv, more: &str) -> Ran {
    env.run(&format!("verify m --signature s --key k.pub {more}"))
}

/// The codes of what refuses.
fn refusals(env: &TestEnv, line: &str) -> Vec<String> {
    let value = env.json(line);
    let findings = value["findings"].as_array().unwrap();
    let refuse = findings.iter().filter(|finding| finding["severity"] == "refuse");
    refuse.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// The bundle with a part of its text exchanged.
fn change(env: &TestEnv, change: impl FnOnce(&mut Value)) {
    let mut bundle: Value = serde_json::from_str(&env.read("s")).unwrap();
    change(&mut bundle);
    env.write("s", bundle.to_string());
}

#[test]
fn a_signed_folder_is_verified_by_its_key() {
    let env = signed("");
    let ran = verify(&env, "");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.starts_with("m: verified  2 files, 27 B, trust level digest\n"), "{ran}");
    assert!(ran.stdout.contains("signature s: holds, 2 files, by key sha256:"), "{ran}");
    assert!(ran.stdout.ends_with("; 1 good signature\n"), "{ran}");
    let value = env.json("verify m --signature s --key k.pub");
    assert_eq!(value["models"][0]["against"], "signature");
    assert_eq!(value["models"][0]["signatures"][0]["holds"], true);
    // A signature that lies in the folder is no file of the model, whether it says so or not.
    fs_err::copy(env.path("s"), env.path("m/model.sig")).unwrap();
    assert_eq!(env.run("verify m --signature m/model.sig --key k.pub").code, 0);
    assert_eq!(verify(&env, "").code, 4, "for another signature it is one file too many");
}

fn flip(env: &TestEnv) {
    env.write("m/sub/w.gguf", FLIPPED);
}

#[test]
fn files_that_differ_are_exit_4() {
    for (what, fault) in [
        ("flipped", flip as fn(&TestEnv)),
        ("missing", |env| fs_err::remove_file(env.path("m/config.json")).unwrap()),
        ("extra", |env| {
            env.write("m/extra.txt", "");
        }),
    ] {
        let env = signed("");
        assert_eq!(verify(&env, "").code, 0, "{what}");
        fault(&env);
        let ran = verify(&env, "");
        assert_eq!(ran.code, 4, "{what}: {ran}");
        assert_eq!(verify(&env, "--compat").code, 4, "{what}: compat forgives no byte");
    }
}

#[test]
fn a_signature_that_does_not_hold_is_exit_5_and_names_the_rule() {
    let line = "verify m --signature s --key k.pub";
    let env = signed("");
    assert_eq!(refusals(&env, "verify m --signature s --key other.pub"), ["SOV3005"], "wrong key");
    change(&env, |bundle| {
        let hint = &mut bundle["verificationMaterial"]["publicKey"]["hint"];
        *hint = "0".repeat(64).into();
    });
    assert_eq!(refusals(&env, line), ["SOV3005"], "wrong hint");

    let env = signed("");
    change(&env, |bundle| {
        let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
        let mut bytes = STANDARD.decode(payload).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bundle["dsseEnvelope"]["payload"] = STANDARD.encode(bytes).into();
    });
    assert_eq!(refusals(&env, line), ["SOV3005"], "flipped payload");

    for (text, code) in [
        ("", "SOV3002"),
        ("{}", "SOV3002"),
        ("no json", "SOV3002"),
        (r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","mediaType":"x"}"#, "SOV3002"),
    ] {
        env.write("s", text);
        assert_eq!(refusals(&env, line), [code], "{text}");
    }
}

#[test]
fn a_keyless_signature_is_refused_with_that_word_and_a_hint() {
    let env = signed("");
    change(&env, |bundle| {
        bundle["verificationMaterial"] =
            serde_json::json!({ "certificate": { "rawBytes": "AAAA" }, "tlogEntries": [{}] });
    });
    let ran = verify(&env, "");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stdout.contains("keyless") && ran.stdout.contains("hint: ask the signer"), "{ran}");
}

#[test]
fn the_wrong_method_is_exit_5() {
    let env = signed("");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/fixtures/root.der");
    env.write("root.pem", pem(&fs_err::read(root).unwrap()));
    let line = "verify m --signature s --ca root.pem --subject CN=X";
    assert_eq!(refusals(&env, line), ["SOV3004"], "a key's signature, and anchors were named");
    // The other way round: certificates in the bundle, and a key was named.
    change(&env, |bundle| {
        bundle["verificationMaterial"] = serde_json::json!({
            "x509CertificateChain": { "certificates": [{ "rawBytes": STANDARD.encode(fs_err::read(root).unwrap()) }] },
            "tlogEntries": []
        });
    });
    assert_eq!(refusals(&env, "verify m --signature s --key k.pub"), ["SOV3004"]);
    assert_eq!(refusals(&env, line), ["SOV3007"], "an authority's certificate is no signer's");
    assert_eq!(refusals(&env, "verify m --signature s"), ["SOV3007"], "nothing says whose are taken");
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[test]
fn wrong_usage_is_exit_2() {
    let env = signed("");
    for line in [
        "verify m --signature gone --key k.pub",
        "verify m --signature s --key gone.pub",
        "verify m --signature s --ca gone.pem --subject CN=X",
        "verify m --signature s --ca k.pub",
        "verify m --key k.pub",
        "verify m --ca k.pub --subject CN=X",
        "verify m --against p --signature s",
        "verify m --against gone",
        "verify m --passport m/p.json",
        "verify m --signature s --key k.pub --vsa m/v.json",
        "verify m --vsa v.json",
        "verify m --passport p.json --vsa v.json",
        "verify m --signature s --key k.pub --site-key k",
        "verify m --base gone",
        "verify m --policy gone",
        "verify m --passport k",
        "verify m --signature s --key k.pub --vsa k",
    ] {
        let ran = env.run(line);
        assert_eq!(ran.code, 2, "{line}: {ran}");
        assert!(ran.stdout.is_empty(), "{line}: {ran}");
    }
    // A summary of nothing would say PASSED of bytes that nobody vouches for.
    let ran = env.run("verify m --vsa v.json");
    assert!(ran.stderr.contains("nothing to compare with") && ran.stderr.contains("--pins"), "{ran}");
    assert!(!env.path("v.json").exists());
}

#[test]
fn what_lies_under_an_ignored_path_is_refused_unless_compat_reports_it() {
    for (options, path) in [("", "m/.git/hooks/post-checkout"), ("--ignore logs", "m/logs/a.txt")] {
        let env = signed(options);
        assert_eq!(verify(&env, "").code, 0);
        env.write(path, "x");
        let ran = verify(&env, "");
        assert_eq!(ran.code, 5, "{ran}");
        assert!(ran.stdout.contains(&format!("refused SOV3009 {} is not signed", &path[2..])), "{ran}");
        let ran = verify(&env, "--compat");
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.stdout.contains("warning SOV3009"), "{ran}");
        // Damage is worse than a remainder.
        env.write("m/config.json", "[]\n");
        assert_eq!(verify(&env, "").code, 4);
    }
}

#[test]
fn without_a_named_key_the_stores_keys_count_and_the_level_rises() {
    let env = signed("");
    assert_eq!(refusals(&env, "verify m --signature s"), ["SOV3006"], "nobody is trusted");
    assert_eq!(env.run("trust add other.pub --role countersigner").code, 0);
    assert_eq!(refusals(&env, "verify m --signature s"), ["SOV3006"], "somebody else is");
    assert_eq!(env.run("trust add k.pub --role countersigner --name Ministry").code, 0);
    let value = env.json("verify m --signature s");
    assert_eq!((value["exitCode"].as_i64(), value["trust"].as_str()), (Some(0), Some("countersigned")));
    assert!(value["models"][0]["level"]["vouchers"][0]["name"].as_str().unwrap().starts_with("Ministry"));
    // A revoked key is refused, also where it is named.
    assert_eq!(env.run("trust revoke k.pub --reason lost").code, 0);
    assert_eq!(refusals(&env, "verify m --signature s"), ["SOV3103"]);
    assert_eq!(refusals(&env, "verify m --signature s --key k.pub"), ["SOV3103"]);
}

#[test]
fn a_policy_judges_a_folder_only_when_it_is_named() {
    let env = TestEnv::new();
    env.write("m/config.json", r#"{"auto_map":{"AutoModel":"modeling_x.X"}}"#)
        .write("m/model.safetensors", b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x01a\x94.")
        .write("policy.yaml", "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: strict }\nspec: {}\n");
    assert_eq!(env.run("keys generate --algorithm p256 --out k").code, 0);
    assert_eq!(env.run("sign model m --key k --signature s").code, 0);
    let ran = verify(&env, "");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("  warning SOV2"), "a renamed pickle is said: {ran}");
    let found = refusals(&env, "verify m --signature s --key k.pub --policy policy.yaml");
    assert!(found.contains(&"SOV1030".to_owned()) && found.contains(&"SOV1070".to_owned()), "{found:?}");
    // A bare folder too; nothing is pinned there.
    assert_eq!(env.run("verify m --policy policy.yaml").code, 5);
    let ran = env.run("verify m");
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2), "{ran}");
    assert!(ran.stderr.contains("warning SOV2"), "{ran}");
}

#[test]
fn text_from_outside_is_escaped_everywhere() {
    let env = TestEnv::new();
    let evil = "\x1b[2J\u{202e}gone";
    env.write("m/config.json", "{}\n")
        .write("m/chat_template.jinja", format!("{{{{ '{evil}' }}}}\n"))
        .write("m/LICENSE", format!("Licence {evil}\n"))
        .write("base/chat_template.jinja", "{{ x }}\n");
    assert_eq!(env.run("keys generate --algorithm p256 --out k").code, 0);
    assert_eq!(env.run("sign model m --key k --signature s").code, 0);
    let name = format!("trust add k.pub --role publisher --publisher x --name {evil}");
    assert_ne!(env.run(&name).code, 0, "such a name is not taken in the first place");
    env.write(&format!("m/.git/{evil}"), "x");
    for line in ["verify m --signature s --key k.pub --base base -v", "verify m --base base -v"] {
        let ran = env.run(line);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains("differs") || ran.code == 4, "{ran}");
        assert!(!all.contains('\x1b') && !all.contains('\u{202e}'), "{ran}");
    }
}
