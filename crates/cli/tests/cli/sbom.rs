//! `export sbom` and `export provenance`.

use crate::env::{IMAGE_PIN, TestEnv};
use crate::lock_remote::{WEIGHTS, stack};
use crate::push::layout_of;
use serde_json::Value;
use sovai_test_hub::{Hub, Repo};
use std::process::Stdio;

/// The property of that name.
fn property<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let properties = value["properties"].as_array()?;
    properties.iter().find(|property| property["name"] == *name)?["value"].as_str()
}

fn read(env: &TestEnv, name: &str) -> Value {
    serde_json::from_str(&env.read(name)).unwrap()
}

/// A layer with a Debian package.
fn layer(env: &TestEnv) -> Vec<u8> {
    env.write(
        "root/var/lib/dpkg/status",
        "Package: adduser\nStatus: install ok installed\nArchitecture: all\nVersion: 3.152\n",
    );
    let mut tar = env.process("tar", &["-c", "-C", "root", "."]);
    let output = tar.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn what_the_store_has_is_verified_and_the_rest_declared() {
    let (hub, env) = (Hub::start(), TestEnv::new());
    let repo = Repo::new("acme/tiny", "a".repeat(40)).license("apache-2.0");
    let repo = repo
        .file("config.json", r#"{"architectures":["TinyForCausalLM"]}"#)
        .file("LICENSE", include_str!("../../../../LICENSE"))
        .lfs("model.gguf", WEIGHTS.to_vec());
    hub.add(repo.refs(["main"]));
    layout_of(&env, "layout", &layer(&env));
    let text = stack("hf:acme/tiny@main", "\n      license: Apache-2.0").replace(
        &format!("example/engine:1{IMAGE_PIN}"),
        "{ name: example/engine:1, source: oci-layout:./layout }",
    );
    env.write("stack.yaml", text);
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);

    let value = env.json("export sbom stack.yaml --out before.json");
    assert_eq!((&value["kind"], &value["verified"]), (&"ExportResult".into(), &0.into()), "{value}");
    let ran = env.at(&hub, "pull stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    let value = env.json("export sbom stack.yaml --out after.json");
    assert_eq!(value["components"], 6, "a model with three files, an image with a package: {value}");
    assert!(value["verified"].as_u64() > Some(5), "{value}");

    let bom = read(&env, "after.json");
    let (model, image) = (&bom["components"][0], &bom["components"][1]);
    assert_eq!(model["purl"], format!("pkg:huggingface/acme/tiny@{}", "a".repeat(40)));
    for claim in ["hashes", "license"] {
        assert_eq!(property(model, &format!("sovai:claim:{claim}")), Some("verified"), "{claim}");
        assert_eq!(
            property(&read(&env, "before.json")["components"][0], &format!("sovai:claim:{claim}")),
            Some("declared")
        );
    }
    assert_eq!(model["modelCard"]["modelParameters"]["modelArchitecture"], "TinyForCausalLM");
    assert_eq!(image["components"][0]["purl"], "pkg:deb/debian/adduser@3.152?arch=all");
    assert_eq!(property(image, "sovai:claim:hashes"), Some("verified"));

    // A blob of the store that is gone takes the claim with it.
    let weights = model["components"][2]["hashes"][0]["content"].as_str().unwrap();
    fs_err::remove_file(env.root().join("store/blobs/sha256").join(weights)).unwrap();
    assert_eq!(env.run("export sbom stack.yaml --out gone.json").code, 0);
    assert_eq!(property(&read(&env, "gone.json")["components"][0], "sovai:claim:hashes"), Some("declared"));
}

#[test]
fn the_same_stack_gives_the_same_bytes_and_a_time_only_when_it_is_given() {
    let env = TestEnv::new();
    env.pinned();
    for name in ["a.json", "b.json"] {
        let ran = env.run(&format!("export sbom stack.yaml --out {name}"));
        assert_eq!(ran.code, 0, "{ran}");
    }
    assert_eq!(env.read("a.json"), env.read("b.json"));
    assert!(read(&env, "a.json")["metadata"].get("timestamp").is_none());
    assert!(!env.root().join("store").exists(), "looking makes no store");
    let with = |epoch: &str| {
        let mut command = env.command(&["export", "sbom", "stack.yaml", "--out", "c.json"]);
        command.env("SOURCE_DATE_EPOCH", epoch);
        env.finish(&mut command).code
    };
    assert_eq!(with("1700000000"), 0);
    assert_eq!(read(&env, "c.json")["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(with("yesterday"), 2);
}

#[test]
fn sovai_tells_what_it_is_and_where_it_comes_from() {
    let env = TestEnv::new();
    let ran = env.run("export sbom --self --out own.json");
    assert_eq!(ran.code, 0, "{ran}");
    let own = read(&env, "own.json");
    let mut sum = env.process("sha256sum", &[env!("CARGO_BIN_EXE_sovai")]);
    let sum = String::from_utf8(sum.output().unwrap().stdout).unwrap();
    assert_eq!(own["metadata"]["component"]["hashes"][0]["content"], sum[..64]);

    let value = env.json("export provenance --out p.json");
    assert_eq!(value["program"], format!("sha256:{}", &sum[..64]));
    let statement = read(&env, "p.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], sum[..64]);
    assert!(statement["predicate"]["buildDefinition"]["externalParameters"]["target"].is_string());
    // The tests' own program was not built by the script, and says so.
    assert_eq!(value["builtByScript"], false);
    let ran = env.run("export provenance --out p.json");
    assert!(ran.stderr.contains("scripts/build.sh"), "{ran}");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let env = TestEnv::new();
    env.pinned();
    env.write("unpinned.yaml", crate::env::manifest("", "", ""));
    for (line, code) in [
        ("export sbom stack.yaml --self --out a", 2),
        ("export sbom --out a", 2),
        ("export sbom none.yaml --out a", 2),
        ("export sbom unpinned.yaml --out a", 5),
        ("export sbom stack.yaml --out weights", 2),
    ] {
        let ran = env.run(line);
        assert_eq!(ran.code, code, "{line}: {ran}");
    }
    assert!(!env.path("a").exists());
}
