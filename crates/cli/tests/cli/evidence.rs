//! `evidence`: what commands write into the log, and what becomes of it.

use crate::env::TestEnv;
use serde_json::{Value, json};
use sovai_signing::dsse::Envelope;

/// Every statement of the log, decoded.
fn statements(env: &TestEnv) -> Vec<Value> {
    let log = fs_err::read_to_string(env.root().join("store/evidence/log.jsonl")).unwrap_or_default();
    let decode =
        |line: &str| serde_json::from_slice(&Envelope::parse(line.as_bytes()).unwrap().payload).unwrap();
    log.lines().map(decode).collect()
}

#[test]
fn commands_write_what_they_did_also_when_it_failed() {
    let env = TestEnv::new();
    env.pinned();
    assert_eq!(env.run("lock stack.yaml").code, 0);
    assert_eq!(statements(&env), Vec::<Value>::new(), "a lock of files on this host makes no store");
    assert_eq!(env.run("verify stack.yaml").code, 0);
    assert_eq!(env.run("verify weights").code, 0, "a list of digests is no verification");
    assert_eq!(env.run("verify weights/m.gguf --pins stack.yaml").code, 0);
    assert_eq!(env.run("pull stack.yaml --model assistant").code, 0);
    env.write("weights/m.gguf", "other bytes");
    assert_eq!(env.run("verify stack.yaml").code, 4);
    assert_eq!(env.run("pull stack.yaml --model assistant").code, 4);
    assert_eq!(env.run("lock stack.yaml").code, 4);
    assert_ne!(env.run("down demo").code, 0, "no container engine is there");
    let all = statements(&env);
    let short: Vec<(&str, &str, u64)> = all
        .iter()
        .map(|one| {
            let kind = one["predicateType"].as_str().unwrap();
            let kind = kind.strip_prefix("https://sovai.dev/").unwrap().strip_suffix("/v1").unwrap();
            let predicate = &one["predicate"];
            (kind, predicate["result"].as_str().unwrap(), predicate["exitCode"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        short,
        [
            ("verify", "done", 0),
            ("verify", "done", 0),
            ("pull", "done", 0),
            ("verify", "failed", 4),
            ("pull", "failed", 4),
            ("lock", "failed", 4),
        ]
    );
    let first = &all[0];
    let predicate = &first["predicate"];
    assert_eq!(
        (&predicate["stack"], &predicate["version"]),
        (&json!("demo"), &json!(env!("CARGO_PKG_VERSION")))
    );
    let model = &predicate["models"]["assistant"];
    assert_eq!(
        (&model["against"], &model["matches"], &model["trust"]),
        (&json!("pins"), &json!(true), &json!("digest"))
    );
    assert_eq!(predicate["policy"]["uri"], "sovai:policy/built-in");
    let names: Vec<_> =
        first["subject"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"stack.yaml") && names.contains(&"model assistant"), "{names:?}");
    assert_eq!(all[3]["predicate"]["findings"]["size"], 1);
    assert_eq!(all[3]["predicate"]["models"]["assistant"]["matches"], false);
    let text = format!("{all:?}");
    assert!(!text.contains(env.root().to_str().unwrap()), "no folders of this host: {text}");
}

#[test]
fn a_log_that_takes_no_line_is_a_warning() {
    let env = TestEnv::new();
    env.pinned();
    for _ in 0..2 {
        assert_eq!(env.run("verify stack.yaml").code, 0);
    }
    let path = env.root().join("store/evidence/log.jsonl");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replacen("payload", "paylaod", 1)).unwrap();
    let ran = env.run("verify stack.yaml");
    assert!(ran.code == 0 && ran.stderr.contains("this run is not in the evidence log"), "{ran}");
    let ran = env.run("evidence verify");
    assert!(ran.code == 4 && ran.stdout.contains("log.jsonl, line 1"), "{ran}");
    assert_eq!(env.run("evidence export --out out").code, 4);
}

#[test]
fn a_folder_is_exported_and_every_change_in_it_is_found() {
    let env = TestEnv::new();
    env.pinned();
    let ran = env.run("evidence export --out out");
    assert!(ran.code == 2 && ran.stderr.contains("there is no store"), "{ran}");
    assert_eq!(env.run("verify stack.yaml").code, 0);
    let exported = env.json("evidence export --out out");
    assert_eq!((&exported["kind"], &exported["lines"]), (&json!("EvidenceResult"), &json!(1)));
    let ran = env.run("evidence export --out out");
    assert!(ran.code == 2 && ran.stderr.contains("has `SHA256SUMS` in it"), "{ran}");
    let checked = env.json("evidence verify out");
    assert_eq!(
        (&checked["exitCode"], &checked["signer"], &checked["last"]),
        (&json!(0), &json!("known"), &exported["last"])
    );
    assert_eq!(env.run("evidence verify").code, 0);
    assert_eq!(env.run("evidence verify out --key out/site.pub").code, 0);
    assert_eq!(env.run("evidence verify out --key gone.pub").code, 2);
    assert_eq!(env.run("evidence verify gone").code, 2);
    assert_eq!(env.run("evidence verify stack.yaml").code, 2);
    // Another site's key, and a site that knows nothing of it.
    assert_eq!(env.run("keys generate --out other").code, 0);
    let ran = env.run("evidence verify out --key other.pub");
    assert!(ran.code == 5 && ran.stdout.contains("--key site.pub"), "{ran}");
    let ran = env.run("--store elsewhere evidence verify out");
    assert!(
        ran.code == 0 && ran.stdout.contains("signer     unknown") && ran.stderr.contains("no more"),
        "{ran}"
    );
    for (name, from, to) in [
        ("index.html", "Evidence", "Evidance"),
        ("reports/verify.json", "done", "dome"),
        ("log.jsonl", "payload", "paylaod"),
        ("SHA256SUMS", "a", "b"),
    ] {
        let good = env.read(&format!("out/{name}"));
        env.write(&format!("out/{name}"), good.replacen(from, to, 1));
        let ran = env.run("evidence verify out");
        assert!(ran.code == 4 && ran.stdout.contains(name), "{name}: {ran}");
        env.write(&format!("out/{name}"), good);
    }
    assert_eq!(env.run("evidence verify out").code, 0);
}

#[test]
fn a_bundle_is_followed_from_its_making_to_the_border() {
    let env = crate::bundle_create::ready(3000);
    let created = env.json("bundle create deploy/stack.yaml --key k --out out --sequence 7");
    assert_eq!(created["exitCode"], 0, "{created}");
    assert_eq!(env.json("bundle verify out")["exitCode"], 0);
    assert_eq!(env.run("bundle approve out --reason seen --key k").code, 0);
    assert_eq!(env.run("bundle reject out --reason no --key k").code, 0);
    let all = statements(&env);
    let of = |kind: &str| {
        let kind = format!("https://sovai.dev/{kind}/v1");
        all.iter().find(|one| one["predicateType"] == kind).unwrap_or_else(|| panic!("{kind}: {all:?}"))
    };
    for kind in ["lock", "pull", "bundle-create", "bundle-verify", "bundle-approve", "bundle-reject"] {
        assert_eq!(
            (&of(kind)["predicate"]["result"], &of(kind)["predicate"]["stack"]),
            (&json!("done"), &json!("demo"))
        );
    }
    let bundle = |kind: &str| &of(kind)["predicate"]["bundle"];
    let index = &bundle("bundle-create")["index"];
    assert_eq!((index, &bundle("bundle-create")["sequence"]), (&created["digest"], &json!(7)));
    for kind in ["bundle-verify", "bundle-approve", "bundle-reject"] {
        assert_eq!(&bundle(kind)["index"], index, "{kind}");
    }
    assert_eq!(
        (&bundle("bundle-approve")["decision"], &bundle("bundle-approve")["reason"]),
        (&json!("approved"), &json!("seen"))
    );
    assert_eq!(bundle("bundle-reject")["decision"], "rejected");
    let subjects = of("bundle-approve")["subject"].as_array().unwrap();
    let names: Vec<&str> = subjects.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["decision", "demo-7"]);
    assert_eq!(env.run("evidence export --out evidence --stack demo").code, 0);
    assert!(env.read("evidence/index.html").contains("What crossed the gap"));
}
