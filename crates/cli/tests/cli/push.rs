//! `push` into a real registry (Debian's `docker-registry`), and `pull --from` out of it into another store.

use crate::env::TestEnv;
use crate::lock_remote::{WEIGHTS, repo, stack};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_test_hub::{Hub, Registry};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An OCI layout with one image of one empty layer; the digest of its configuration.
pub(crate) fn layout(env: &TestEnv, folder: &str) -> String {
    layout_of(env, folder, &[0; 10240])
}

/// The same with this layer, a tar archive.
pub(crate) fn layout_of(env: &TestEnv, folder: &str, layer: &[u8]) -> String {
    let put = |bytes: &[u8]| {
        let hex = Sha256::from_bytes(sha2::Sha256::digest(bytes).into()).hex();
        env.write(&format!("{folder}/blobs/sha256/{hex}"), bytes);
        (hex, bytes.len())
    };
    let (layer, layer_size) = put(layer);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let (config, config_size) = put(
        format!(
            r#"{{"architecture":"{arch}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{layer}"]}}}}"#
        )
        .as_bytes(),
    );
    let kind = "application/vnd.oci.image";
    let (manifest, manifest_size) = put(
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{{"mediaType":"{kind}.config.v1+json","digest":"sha256:{config}","size":{config_size}}},"layers":[{{"mediaType":"{kind}.layer.v1.tar","digest":"sha256:{layer}","size":{layer_size}}}]}}"#
        )
        .as_bytes(),
    );
    env.write(&format!("{folder}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    env.write(
        &format!("{folder}/index.json"),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{kind}.manifest.v1+json","digest":"sha256:{manifest}","size":{manifest_size}}}]}}"#
        ),
    );
    config
}

/// A stack with a model at the hub and an image in a layout, locked.
pub(crate) fn ready(hub: &Hub) -> (TestEnv, String) {
    let env = TestEnv::new();
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    let config = layout(&env, "layout");
    let text = stack("hf:acme/tiny@main", "").replace(
        &format!("example/engine:1{}", crate::env::IMAGE_PIN),
        "{ name: example/engine:1, source: oci-layout:./layout }",
    );
    env.write("stack.yaml", text);
    let ran = env.at(hub, "lock stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(env.read("stack.lock.yaml").contains(&config));
    (env, config)
}

#[test]
fn what_is_pushed_is_pulled_into_another_store_without_the_hub() {
    let (hub, registry) = (Hub::start(), Registry::start());
    let (env, config) = ready(&hub);
    let ran = env.at(&hub, "pull stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");

    let to = format!("oci://{}/ai/stack", registry.host());
    let value = env.json(&format!("push stack.yaml {to}"));
    assert_eq!((&value["exitCode"], &value["kind"]), (&0.into(), &"PushResult".into()), "{value}");
    let tags: Vec<_> = value["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].clone()).collect();
    assert_eq!(tags, ["demo-assistant".into(), serde_json::Value::from(format!("image-{config}"))]);
    assert_eq!(value["sent"], 6, "three files and a config, a layer and a config: {value}");
    let value = env.json(&format!("push stack.yaml {to} -j 1"));
    assert_eq!((&value["sent"], &value["present"]), (&0.into(), &6.into()), "{value}");
    let value =
        env.json(&format!("push stack.yaml oci://{}/ai/other --mount-from ai/stack", registry.host()));
    assert_eq!((&value["sent"], &value["mounted"]), (&0.into(), &6.into()), "{value}");

    // An independent reader sees both.
    let read = |tag: &str| {
        let reference = format!("docker://{}/ai/stack:{tag}", registry.host());
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false", &reference])
            .output()
            .unwrap_or_else(|error| panic!("skopeo, of the package of that name: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(read("demo-assistant").contains(crate::env::WEIGHTS_SHA256));
    assert!(read(&format!("image-{config}")).contains(&config));

    // Another store, with manifest and lock alone: neither hub nor layout are there.
    let site = TestEnv::new();
    site.write("stack.yaml", env.read("stack.yaml")).write("stack.lock.yaml", env.read("stack.lock.yaml"));
    let value = site.json(&format!("pull stack.yaml --from {to}"));
    assert_eq!(value["exitCode"], 0, "{value}");
    assert_eq!(value["images"][0]["id"], format!("sha256:{config}"));
    assert_eq!(value["fetched"], 41 + 10240, "{value}");
    assert_eq!(site.json("--offline verify stack.yaml")["models"][0]["trust"], "hub-pinned");
    assert_eq!(site.run("--offline pull stack.yaml").code, 0, "all is there");
    assert_eq!(site.run("store verify").code, 0);
}

#[test]
fn repositories_that_are_none_are_exit_2_and_a_registry_that_is_not_there_is_6() {
    let hub = Hub::start();
    let (env, _) = ready(&hub);
    assert_eq!(env.at(&hub, "pull stack.yaml").code, 0);
    for to in
        ["registry.example/a", "oci://a/b", "oci://registry.example/a:tag", "https://registry.example/a"]
    {
        let ran = env.run(&format!("push stack.yaml {to}"));
        assert_eq!(ran.code, 2, "{to}: {ran}");
        assert!(ran.stderr.contains("hint: ") || ran.stderr.contains("no reference"), "{ran}");
    }
    assert_eq!(env.run("--offline push stack.yaml oci://127.0.0.1:1/a").code, 6);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mount = format!("push stack.yaml oci://127.0.0.1:{port}/a --mount-from registry.example/b");
    assert_eq!(env.run(&mount).code, 2);
}

#[test]
fn a_push_that_is_killed_is_completed_by_the_same_command() {
    let (hub, registry) = (Hub::start(), Registry::start());
    let env = TestEnv::new();
    hub.add(repo('a', sovai_test_hub::Content::pattern(9, 24 << 20)).refs(["main"]));
    let config = layout(&env, "layout");
    let text = stack("hf:acme/tiny@main", "").replace(
        &format!("example/engine:1{}", crate::env::IMAGE_PIN),
        "{ name: example/engine:1, source: oci-layout:./layout }",
    );
    env.write("stack.yaml", text);
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    assert_eq!(env.at(&hub, "pull stack.yaml").code, 0);
    let to = format!("oci://{}/ai/stack", registry.host());
    for pause in [100, 400, 700] {
        let args = ["push", "stack.yaml", &to, "--limit-rate", "16MiB"];
        let mut command = env.process(env!("CARGO_BIN_EXE_sovai"), &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ran = env.run(&format!("push stack.yaml {to}"));
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains(&format!("image-{config}")), "{ran}");
    let site = TestEnv::new();
    site.write("stack.yaml", env.read("stack.yaml")).write("stack.lock.yaml", env.read("stack.lock.yaml"));
    let ran = site.run(&format!("pull stack.yaml --from {to}"));
    assert_eq!(ran.code, 0, "{ran}");
}
