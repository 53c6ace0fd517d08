//! `trust`: whom a store trusts, and what was seen elsewhere.

use crate::env::TestEnv;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{Algorithm, KeyId, PrivateKey};
use sovai_trust::RevocationList;

/// A public key that is always the same, so that its digests can stand in snapshots.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

fn key(env: &TestEnv, name: &str) -> PrivateKey {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    env.write(&format!("{name}.pub"), key.public().to_pem());
    key
}

fn list(number: u64, keys: &[KeyId], signers: &[&PrivateKey]) -> Vec<u8> {
    let keys: Vec<_> =
        keys.iter().map(|id| serde_json::json!({ "id": id.to_string(), "reason": "stolen" })).collect();
    let source = serde_json::json!({ "number": number, "issued": "2025-11-25T00:00:00Z", "keys": keys });
    let list = RevocationList::parse_source(source.to_string().as_bytes()).unwrap();
    let payload = list.to_statement().unwrap().to_json().into_bytes();
    Envelope::sign(PAYLOAD_TYPE, payload, signers).to_json().into_bytes()
}

#[test]
fn a_key_is_added_listed_and_revoked_for_good() {
    let env = TestEnv::new();
    env.write("k.pub", PUBLIC);
    let ran = env.run("trust fingerprint k.pub --svg k.svg");
    let (told, qr) = ran.stdout.split_once("\n\n").unwrap();
    insta::assert_snapshot!(told, @r"
    key id    sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9
    OMS hint  7f2d9ed0b71b8e5a6c5cf30e647d6e20b5bca6dac8071f11abe3fef8014db610
    code      06e3 fd8f da29 bb60 ab59 557d e61e db0a
    words     afflict torpedo willow midsummer
              surmount certify shamrock fortitude
              rhythm examine edict insincere
              tracker Burlington suspense Apollo
    ");
    // Version 5 of the code, 37 modules, and four around it on each side: half as many lines.
    let lines: Vec<&str> = qr.lines().collect();
    assert_eq!((ran.code, lines.len(), lines[0].chars().count()), (0, 23, 45), "{ran}");
    assert!(qr.chars().all(|c| "\u{2580}\u{2584}\u{2588} \n".contains(c)), "{ran}");
    assert!(env.read("k.svg").contains("<svg"));
    let value = env.json("trust fingerprint k.pub");
    assert_eq!(value["words"].as_str().map(|words| words.split(' ').count()), Some(16));
    assert!(!env.root().join("store").exists(), "looking makes no store");
    insta::assert_snapshot!(env.run("trust list"), @r"
    exit 0
    --- stdout
    this store trusts no key
    revocations: no list was taken in
    --- stderr
    ");
    assert!(!env.root().join("store").exists(), "looking makes no store");
    insta::assert_snapshot!(env.run("trust add k.pub --name ministry --expires 2099-12-31"), @r"
    exit 0
    --- stdout
    trusted: sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9 with the role countersigner
      code      06e3 fd8f da29 bb60 ab59 557d e61e db0a
      name      ministry
      expires   2099-12-31, its last day
    --- stderr
    ");
    assert_eq!(env.json("trust add k.pub --name ministry --expires 2099-12-31")["state"], "unchanged");
    assert_eq!(env.json("trust add k.pub --name ministry")["state"], "changed");
    let ran = env.run("trust add k.pub --role publisher");
    assert!(ran.code == 0 && ran.stderr.contains("--publisher"), "{ran}");
    insta::assert_snapshot!(env.run("trust list"), @r"
    exit 0
    --- stdout
    publisher: 1 key must sign
      sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9
    countersigner: 1 key must sign
      sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9  ministry
    revocations: no list was taken in
    --- stderr
    ");
    let id = env.json("trust fingerprint k.pub")["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(env.run(&format!("trust revoke {} --reason stolen", &id[7..15])), @r"
    exit 0
    --- stdout
    revoked for good: sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9
    --- stderr
    ");
    assert_eq!(env.json("trust revoke k.pub")["state"], "unchanged");
    insta::assert_snapshot!(env.run("trust add k.pub --role bundle"), @r"
    exit 5
    --- stdout
    --- stderr
    error: key sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9 was revoked (stolen): it cannot be trusted again

    hint: a revocation is for good: ask its owner for a new key
    ");
    insta::assert_snapshot!(env.run("trust list"), @r"
    exit 0
    --- stdout
    publisher: 1 key must sign
      sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9  REVOKED
    countersigner: 1 key must sign
      sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9  ministry  REVOKED
    revoked sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9: stolen
    revocations: no list was taken in
    --- stderr
    ");
    let value = env.json("trust list");
    assert_eq!(value["kind"], "TrustResult");
    assert_eq!(value["keys"][0]["status"], "revoked");
    assert_eq!(value["revoked"][0]["reason"], "stolen");
}

#[test]
fn wrong_keys_and_arguments_have_their_exit_codes() {
    let env = TestEnv::new();
    env.write("k.pub", PUBLIC).write("bad.pub", "no key");
    for (line, code) in [
        ("trust add none.pub", 2),
        ("trust add bad.pub", 5),
        ("trust fingerprint bad.pub", 5),
        ("trust add k.pub --role king", 2),
        ("trust add k.pub --role bundle --publisher Qwen", 2),
        ("trust add k.pub --expires tomorrow", 2),
        ("trust add k.pub --expires 2001-01-01", 2),
        ("trust revoke 0123456789abcdef", 2),
        ("trust revoke none.pub", 2),
        ("trust revoke", 2),
        ("trust threshold bundle 0", 2),
        ("trust threshold bundle 65", 2),
        ("trust revoke --list none.json", 2),
        ("trust witness k.pub --at ftp:x", 2),
        ("trust witness bad.pub --at hf:a/b@main", 5),
        ("trust witness none --at hf:a/b@main", 2),
    ] {
        assert_eq!(env.run(line).code, code, "{line}");
    }
    assert!(!env.root().join("store/evidence/log.jsonl").exists());
    // What is wrong has a file or an option, and a next step.
    for (line, words) in [
        ("trust witness bad.pub --at hf:a/b@main", ["list of digests bad.pub", "hint: docs/trust.md"]),
        ("trust add k.pub --expires tomorrow", ["--expires is no day", "hint: --expires 2027-12-31"]),
        ("verify bad.pub --signature bad.pub --key key", ["public key key cannot be used", "K.pub"]),
        (
            "sign model k.pub --key k.pub --signature s",
            ["private key k.pub cannot be used", "name the private key"],
        ),
        (
            "sign model k.pub --key e --passphrase-file bad.pub --signature s",
            ["wrong passphrase", "--passphrase-file"],
        ),
        ("verify k.pub --threads 0", ["--threads", "1 or more"]),
        ("sign model k.pub --key key --signature s --threads 0", ["--threads", "1 or more"]),
    ] {
        env.write("key", PrivateKey::generate(Algorithm::P256).unwrap().to_pkcs8_pem(None).unwrap().as_str());
        env.write(
            "e",
            PrivateKey::generate(Algorithm::P256).unwrap().to_pkcs8_pem(Some(b"x")).unwrap().as_str(),
        );
        let ran = env.run(line);
        assert!(ran.code != 0 && words.iter().all(|word| ran.stderr.contains(word)), "{line}: {ran}");
    }
}

#[test]
fn what_others_could_have_written_is_not_believed_and_a_lost_file_revokes_nothing_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::new();
    let (one, victim) = (key(&env, "one"), key(&env, "victim"));
    assert_eq!(env.run("trust add one.pub --role revocation").code, 0);
    assert_eq!(env.run("trust add victim.pub").code, 0);
    env.write("3.json", list(3, &[victim.public().id()], &[&one]));
    assert_eq!(env.run("trust revoke --list 3.json").code, 0);
    let at = |name: &str| env.root().join("store/trust").join(name);
    let mode =
        |mode| fs_err::set_permissions(at("trust.json"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let ran = env.run("trust list");
    assert!(
        ran.code == 4 && ran.stderr.contains("its mode is 0666") && !ran.stderr.contains("same command"),
        "{ran}"
    );
    mode(0o600);
    assert_eq!(env.run("trust list").code, 0);
    for name in ["trust.json", "revocations.json"] {
        fs_err::rename(at(name), env.path("away")).unwrap();
        let ran = env.run("trust add victim.pub");
        assert!(ran.code == 4 && ran.stderr.contains("it is gone"), "{name}: {ran}");
        std::os::unix::fs::symlink(env.path("away"), at(name)).unwrap();
        let ran = env.run("trust list");
        assert!(ran.code == 4 && ran.stderr.contains("not a regular file"), "{name}: {ran}");
        fs_err::remove_file(at(name)).unwrap();
        fs_err::rename(env.path("away"), at(name)).unwrap();
        assert_eq!(env.run("trust list").code, 0, "{name}");
    }
}

#[test]
fn a_list_is_taken_in_by_its_threshold_and_never_an_older_one() {
    let env = TestEnv::new();
    let (one, two, victim) = (key(&env, "one"), key(&env, "two"), key(&env, "victim"));
    env.write("3.json", list(3, &[victim.public().id()], &[&one, &one]));
    assert_eq!(env.run("trust revoke --list 3.json").code, 5, "nobody signs lists yet");
    for line in [
        "trust add one.pub --role revocation",
        "trust add two.pub --role revocation",
        "trust add victim.pub --role publisher --publisher DeepSeek",
        "trust threshold revocation 2",
    ] {
        assert_eq!(env.run(line).code, 0, "{line}");
    }
    insta::assert_snapshot!(env.run("trust revoke --list 3.json"), @r"
    exit 5
    --- stdout
    --- stderr
    error: the list of revocations is signed by 1 of the 2 keys with the role `revocation` that must sign it

    hint: sovai trust add FILE.pub --role revocation
    hint: sovai trust list
    ");
    env.write("3.json", list(3, &[victim.public().id()], &[&one, &two]));
    let value = env.json("trust revoke --list 3.json");
    assert_eq!((&value["number"], &value["state"]), (&3.into(), &"new".into()));
    assert_eq!(value["lost"][0], victim.public().id().to_string());
    assert_eq!(env.json("trust revoke --list 3.json")["state"], "unchanged");
    env.write("2.json", list(2, &[], &[&one, &two]));
    insta::assert_snapshot!(env.run("trust revoke --list 2.json"), @r"
    exit 5
    --- stdout
    --- stderr
    error: the list of revocations has number 2, and number 3 is known: an older list is refused

    hint: ask for the newest list
    ");
    env.write("other.json", list(3, &[], &[&one, &two]));
    assert_eq!(env.run("trust revoke --list other.json").code, 5);
    let mut flipped = list(4, &[], &[&one, &two]);
    let at = flipped.windows(10).position(|window| window == b"\"payload\":").unwrap() + 20;
    flipped[at] ^= 1;
    env.write("flipped.json", &flipped).write("bad.json", "{}");
    assert_eq!(env.run("trust revoke --list flipped.json").code, 5);
    assert_eq!(env.run("trust revoke --list bad.json").code, 5);
    let ran = env.run("trust add victim.pub --role publisher --publisher DeepSeek");
    assert!(ran.code == 5 && ran.stderr.contains("stolen"), "{ran}");
    assert_eq!(env.json("trust list")["revocations"]["number"], 3);
}

#[test]
fn two_signers_reach_a_threshold_of_two_one_after_the_other() {
    let env = TestEnv::new();
    let id = format!("sha256:{}", "11".repeat(32));
    env.write(
        "list.json",
        format!(
            r#"{{"number":1,"issued":"2025-11-25T00:00:00Z","keys":[{{"id":"{id}","reason":"stolen"}}]}}"#
        ),
    );
    for name in ["a", "b"] {
        assert_eq!(env.run(&format!("keys generate --out {name}")).code, 0);
        assert_eq!(env.run(&format!("trust add {name}.pub --role revocation")).code, 0);
    }
    assert_eq!(env.run("trust threshold revocation 2").code, 0);
    assert_eq!(env.run("sign revocations list.json --key a --out one.json").code, 0);
    assert_eq!(env.run("trust revoke --list one.json").code, 5);
    // The same signer again adds nothing.
    assert_eq!(env.run("sign revocations one.json --key a --out same.json").code, 0);
    assert_eq!(env.read("same.json"), env.read("one.json"));
    assert_eq!(env.run("sign revocations one.json --key b --out both.json").code, 0);
    insta::assert_snapshot!(env.run("trust revoke --list both.json"), @r"
    exit 0
    --- stdout
    taken in: list 1 of 2025-11-25T00:00:00Z, 1 key and 0 models revoked
    --- stderr
    ");
}

#[test]
fn what_was_seen_goes_into_the_evidence_log() {
    let env = TestEnv::new();
    env.pinned().write("SHA256SUMS", format!("{}  m.gguf\n", crate::env::WEIGHTS_SHA256));
    let folder = env.json("trust witness weights --at hf:org/name@main");
    assert_eq!(
        (&folder["form"], &folder["files"], &folder["evidence"]),
        (&"folder".into(), &1.into(), &1.into())
    );
    let sums = env.json("trust witness SHA256SUMS --at https://mirror.example/x");
    assert_eq!((&sums["form"], &sums["group"]), (&"sha256sums".into(), &"host:mirror.example".into()));
    let log = fs_err::read_to_string(env.root().join("store/evidence/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2);
    let own = &env.json("trust list")["keys"][0];
    assert_eq!(own["own"], true);
    assert_eq!(own["file"], "[ROOT]/store/trust/site.pub");
    let public = fs_err::read(env.root().join("store/trust/site.pub")).unwrap();
    let id = sovai_signing::PublicKey::from_pem(&public).unwrap().id();
    assert_eq!(own["id"], id.to_string());
    assert!(env.run("trust list").stdout.contains("store/trust/site.pub"));

    // A log whose first line is gone is left alone.
    let (_, second) = log.split_once('\n').unwrap();
    fs_err::write(env.root().join("store/evidence/log.jsonl"), "").unwrap();
    let ran = env.run("trust witness SHA256SUMS --at https://mirror.example/x");
    assert!(ran.code == 4 && ran.stderr.contains("damaged"), "{ran}{second}");
}

#[test]
fn a_damaged_log_takes_no_line_wherever_the_damage_is() {
    let env = TestEnv::new();
    env.write("SHA256SUMS", format!("{}  m.gguf\n", crate::env::WEIGHTS_SHA256));
    let line = "trust witness SHA256SUMS --at https://mirror.example/x";
    for _ in 0..3 {
        assert_eq!(env.run(line).code, 0);
    }
    let path = env.root().join("store/evidence/log.jsonl");
    let text = fs_err::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs_err::write(&path, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    let ran = env.run(line);
    assert!(ran.code == 4 && ran.stderr.contains("line 2") && ran.stderr.contains("removed"), "{ran}");
}

#[test]
fn revoked_models_are_listed_with_digest_and_reason() {
    let env = TestEnv::new();
    let digest = format!("sha256:{}", "11".repeat(32));
    env.write(
        "list.json",
        format!(
            r#"{{"number":1,"issued":"2025-11-25T00:00:00Z","models":[{{"digest":"{digest}","name":"tiny","reason":"weights were replaced"}}]}}"#
        ),
    );
    assert_eq!(env.run("keys generate --out a").code, 0);
    assert_eq!(env.run("trust add a.pub --role revocation").code, 0);
    let ran = env.run("sign revocations list.json --key a --out one.json");
    assert!(ran.stdout.contains("list 1: 0 keys, 1 model\n"), "{ran}");
    assert_eq!(env.run("trust revoke --list one.json").code, 0);
    let ran = env.run("trust list");
    assert!(ran.stdout.contains(&format!("  model {digest} (tiny): weights were replaced\n")), "{ran}");
    assert_eq!(env.json("trust list")["revocations"]["revokedModels"][0]["digest"], digest);
    assert_eq!(env.run("trust threshold bundle 1").stdout, "role bundle: 1 key must sign\n");
}

#[test]
fn a_busy_store_says_who_holds_it() {
    let env = TestEnv::new();
    env.write("k.pub", PUBLIC);
    let store = sovai_store::Store::open(&env.root().join("store")).unwrap();
    let _held = store.lock_trust("sovai trust add").unwrap();
    let ran = env.run("trust add k.pub");
    assert!(ran.code == 11 && ran.stderr.contains("sovai trust add"), "{ran}");
}

/// Whatever the moment of the kill: the log stays a chain, and the same command goes on.
#[test]
fn a_kill_at_any_moment_leaves_a_chain() {
    let env = TestEnv::new();
    env.write("SHA256SUMS", format!("{}  m.gguf\n", crate::env::WEIGHTS_SHA256));
    let args = ["trust", "witness", "SHA256SUMS", "--at", "hf:a/b@main", "-q"];
    let program = env!("CARGO_BIN_EXE_sovai");
    assert_eq!(env.finish(&mut env.command(&args)).code, 0);
    for round in 0..30 {
        let mut child = env.process(program, &args).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(round * 700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(env.finish(&mut env.command(&args)).code, 0);
    let store = sovai_store::Store::open(&env.root().join("store")).unwrap();
    let key = sovai_evidence::site_public(&store).unwrap().unwrap();
    let walked = sovai_evidence::Log::open(&store).verify(&[key]).unwrap();
    assert!(walked.problems.is_empty() && walked.lines >= 2, "{walked:?}");
}
