//! Registries at the command line, with Debian's `docker-registry`: an index of platforms, TLS and passwords, what takes more
//! space than there is, and an image for which only the container engine vouches.

use crate::engine::FakeEngine;
use crate::env::{FILES, Ran, TestEnv, WEIGHTS, manifest};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_test_hub::{Registry, Setup};
use std::process::Command;

const KIND: &str = "application/vnd.oci.image";
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
/// That of the other platform.
const OTHER: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };

fn sha256(bytes: &[u8]) -> String {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into()).hex()
}

/// An image of one layer, in documents.
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Image {
    /// `fill` makes it one of many; a size of the layer other than its own is a lie of the manifest.
    fn new(fill: u8, size: Option<u64>) -> Self {
        Self::of(ARCH, fill, size)
    }

    fn of(arch: &str, fill: u8, size: Option<u64>) -> Self {
        let layer = vec![fill; 10240];
        let hex = sha256(&layer);
        let config = format!(
            r#"{{"architecture":"{arch}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{hex}"]}}}}"#
        );
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{KIND}.manifest.v1+json","config":{{"mediaType":"{KIND}.config.v1+json","digest":"sha256:{}","size":{}}},"layers":[{{"mediaType":"{KIND}.layer.v1.tar","digest":"sha256:{hex}","size":{}}}]}}"#,
            sha256(config.as_bytes()),
            config.len(),
            size.unwrap_or(layer.len() as u64)
        );
        Self { layer, config: config.into_bytes(), manifest: manifest.into_bytes() }
    }

    /// An index that names it, and another platform that is nowhere.
    fn index(&self) -> String {
        self.index_with(&"a".repeat(64), 500)
    }

    /// An index that names it, and this manifest for another platform.
    fn index_with(&self, other: &str, size: usize) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{KIND}.index.v1+json","manifests":[{{"mediaType":"{KIND}.manifest.v1+json","digest":"sha256:{}","size":{},"platform":{{"os":"linux","architecture":"{ARCH}"}}}},{{"mediaType":"{KIND}.manifest.v1+json","digest":"sha256:{other}","size":{size},"platform":{{"os":"linux","architecture":"{OTHER}"}}}}]}}"#,
            sha256(&self.manifest),
            self.manifest.len()
        )
    }

    /// As an OCI layout, by its index.
    fn layout(&self, env: &TestEnv, folder: &str) -> String {
        self.layout_by(&self.index(), env, folder)
    }

    fn layout_by(&self, index: &str, env: &TestEnv, folder: &str) -> String {
        let hex = sha256(index.as_bytes());
        for blob in [self.layer.as_slice(), &self.config, &self.manifest, index.as_bytes()] {
            env.write(&format!("{folder}/blobs/sha256/{}", sha256(blob)), blob);
        }
        env.write(&format!("{folder}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let top = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{KIND}.index.v1+json","digest":"sha256:{hex}","size":{}}}]}}"#,
            index.len()
        );
        env.write(&format!("{folder}/index.json"), top);
        hex
    }

    /// As `docker save` writes it.
    fn archive(&self, env: &TestEnv) -> Vec<u8> {
        let config = format!("{}.json", sha256(&self.config));
        env.write(&format!("saved/{config}"), &self.config).write("saved/layer.tar", &self.layer);
        env.write(
            "saved/manifest.json",
            format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":["layer.tar"]}}]"#),
        );
        let output = Command::new("tar")
            .args(["--create", "--directory", env.path("saved").to_str().unwrap(), "."])
            .output()
            .unwrap();
        assert!(output.status.success());
        fs_err::remove_dir_all(env.path("saved")).unwrap();
        output.stdout
    }
}

/// A stack with a model on this host and an image that is written like this.
fn stack(env: &TestEnv, image: &str) {
    let text = manifest("", FILES, "").replace("image: example/engine:1\n", &format!("image: {image}\n"));
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", text);
}

#[test]
fn an_image_that_is_pinned_by_its_index_comes_back_from_a_registry() {
    let registry = Registry::start();
    let to = format!("oci://{}/ai/stack", registry.host());
    let (env, image) = (TestEnv::new(), Image::new(0, None));
    let index = image.layout(&env, "layout");
    stack(
        &env,
        &format!("{{ name: example/engine:1, digest: sha256:{index}, source: oci-layout:./layout }}"),
    );
    let ran = env.run("pull stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    let value = env.json(&format!("push stack.yaml {to}"));
    assert_eq!(value["exitCode"], 0, "{value}");
    let tags: Vec<_> =
        value["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    let config = sha256(&image.config);
    assert_eq!(tags, ["demo-assistant", &format!("image-{config}"), &format!("index-{index}")]);

    // Elsewhere the manifest alone is known.
    let site = || {
        let site = TestEnv::new();
        site.write("stack.yaml", env.read("stack.yaml"));
        site
    };
    let pulled = site();
    let value = pulled.json(&format!("pull stack.yaml --from {to}"));
    assert_eq!(value["exitCode"], 0, "{value}");
    assert_eq!(value["images"][0]["id"], format!("sha256:{config}"));
    assert_eq!(value["images"][0]["manifest"], format!("sha256:{}", sha256(&image.manifest)));
    let blob = pulled.root().join("store/blobs/sha256").join(&index);
    assert_eq!(fs_err::read_to_string(&blob).unwrap(), image.index(), "byte for byte");
    // What is pinned by its index is named by it, and stays.
    assert_eq!(pulled.run("store prune").code, 0);
    assert!(blob.exists());
    let again = pulled.json("--offline pull stack.yaml");
    assert_eq!((&again["exitCode"], &again["images"][0]["origin"]), (&0.into(), &"in the store".into()));
    // And goes on from there as it came.
    let value = pulled.json(&format!("push stack.yaml oci://{}/ai/next", registry.host()));
    assert_eq!(value["tags"][2]["tag"], format!("index-{index}"), "{value}");

    // An index with another byte is not the one that is pinned, and nothing of it stays.
    let data = registry.path(&format!("data/docker/registry/v2/blobs/sha256/{}/{index}/data", &index[..2]));
    let changed = image.index().replace(OTHER, "mips6");
    fs_err::write(&data, changed).unwrap();
    let other = site();
    let ran = other.run(&format!("pull stack.yaml --from {to}"));
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stderr.contains(&index) && ran.stderr.contains("hint: "), "{ran}");
    assert!(other.everything_below("store/blobs/sha256").is_empty(), "not a byte came");
    // One that is not there at all is told by its digest.
    let ran = other.run(&format!("pull stack.yaml --from oci://{}/ai/empty", registry.host()));
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains(&format!("neither a manifest sha256:{index}")), "{ran}");
    assert!(ran.stderr.contains("sovai push stack.yaml oci://"), "{ran}");
}

/// Runs a command line with the files of credentials in this folder.
fn with_docker_config(env: &TestEnv, folder: &str, line: &str) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = env.command(&words);
    command.env("DOCKER_CONFIG", env.path(folder));
    env.finish(&mut command)
}

#[test]
fn of_two_platforms_in_the_store_that_of_the_stack_is_pushed() {
    let registry = Registry::start();
    let (env, own, other) = (TestEnv::new(), Image::new(0, None), Image::of(OTHER, 1, None));
    let index = own.index_with(&sha256(&other.manifest), other.manifest.len());
    let hex = own.layout_by(&index, &env, "layout");
    other.layout_by(&index, &env, "layout");
    for (platform, image) in [(ARCH, &own), (OTHER, &other), (ARCH, &own)] {
        let text = format!(
            "{{ name: example/engine:1, digest: sha256:{hex}, platform: linux/{platform}, source: oci-layout:./layout }}"
        );
        stack(&env, &text);
        let ran = env.run("pull stack.yaml");
        assert_eq!(ran.code, 0, "{ran}");
        let to = format!("oci://{}/ai/stack", registry.host());
        let value = env.json(&format!("push stack.yaml {to}"));
        assert_eq!(value["tags"][1]["tag"], format!("image-{}", sha256(&image.config)), "{value}");
        let site = TestEnv::new();
        stack(&site, &text);
        let value = site.json(&format!("pull stack.yaml --from {to}"));
        assert_eq!(value["images"][0]["id"], format!("sha256:{}", sha256(&image.config)), "{value}");
    }
}

#[test]
fn a_registry_with_tls_and_a_password_needs_the_authority_and_the_password() {
    let registry = Registry::with(&Setup { password: Some(("push", "s3cret")), tls: true });
    let (env, image) = (TestEnv::new(), Image::new(0, None));
    image.layout(&env, "layout");
    let id = sha256(&image.config);
    stack(&env, &format!("{{ name: example/engine:1, id: sha256:{id}, source: oci-layout:./layout }}"));
    assert_eq!(env.run("pull stack.yaml").code, 0);
    let ca = registry.ca();
    let to = format!("oci://{}/ai/stack", registry.host());
    let push = format!("push stack.yaml {to} --ca-cert {}", ca.display());
    // `printf push:s3cret | base64`, and `printf push:wr0ng | base64`
    for (folder, auth) in [("right", "cHVzaDpzM2NyZXQ="), ("wrong", "cHVzaDp3cjBuZw==")] {
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
        env.write(&format!("{folder}/config.json"), config);
    }
    env.write("broken/config.json", "{");

    for folder in ["wrong", "none"] {
        let ran = with_docker_config(&env, folder, &push);
        assert_eq!(ran.code, 6, "{ran}");
        assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("docker login"), "{ran}");
        assert!(!ran.stderr.contains("wr0ng") && !ran.stderr.contains("cHVzaD"), "{ran}");
    }
    let ran = with_docker_config(&env, "broken", &push);
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains("mend that file"), "{ran}");
    let ran = with_docker_config(&env, "right", &format!("push stack.yaml {to}"));
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains("certificate") && ran.stderr.contains("--ca-cert FILE"), "{ran}");
    env.write("no.pem", "no certificate");
    let ran = with_docker_config(&env, "right", &format!("push stack.yaml {to} --ca-cert no.pem"));
    assert_eq!(ran.code, 2, "{ran}");

    let ran = with_docker_config(&env, "right", &push);
    assert_eq!(ran.code, 0, "{ran}");
    let site = TestEnv::new();
    site.write("stack.yaml", env.read("stack.yaml"))
        .write("right/config.json", env.read("right/config.json"));
    // Of the settings too, and the environment.
    site.write("sovai.toml", format!("ca-cert = [\"{}\"]\n", ca.display()));
    let ran = with_docker_config(&site, "right", &format!("pull stack.yaml --from {to}"));
    assert_eq!(ran.code, 0, "{ran}");
    let ran = with_docker_config(&site, "wrong", &format!("pull stack.yaml --from {to}"));
    assert_eq!(ran.code, 0, "all is there: nobody is asked: {ran}");
}

/// Puts an image into a registry as it is, also where its manifest lies.
fn put(env: &TestEnv, registry: &Registry, image: &Image) {
    let curl = |args: &[&str]| {
        let output =
            Command::new("curl").args(["--silent", "--show-error", "--fail"]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let base = format!("http://{}/v2/big", registry.host());
    for blob in [&image.layer, &image.config] {
        env.write("blob", blob);
        let head = curl(&["--request", "POST", "--dump-header", "-", &format!("{base}/blobs/uploads/")]);
        let place = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim().to_owned();
        let place =
            if place.starts_with("http") { place } else { format!("http://{}{place}", registry.host()) };
        let join = if place.contains('?') { '&' } else { '?' };
        let at = format!("{place}{join}digest=sha256:{}", sha256(blob));
        let data = format!("@{}", env.path("blob").display());
        curl(&[
            "--request",
            "PUT",
            "--header",
            "Content-Type: application/octet-stream",
            "--data-binary",
            &data,
            &at,
        ]);
    }
    env.write("blob", &image.manifest);
    let data = format!("@{}", env.path("blob").display());
    let kind = format!("Content-Type: {KIND}.manifest.v1+json");
    curl(&["--request", "PUT", "--header", &kind, "--data-binary", &data, &format!("{base}/manifests/1")]);
}

#[test]
fn layers_that_have_no_room_are_told_before_the_first_byte_of_anything() {
    let (env, registry) = (TestEnv::new(), Registry::start());
    let image = Image::new(0, Some(1 << 50));
    put(&env, &registry, &image);
    let name = format!("{}/big:1", registry.host());
    stack(&env, &format!("{name}@sha256:{}", sha256(&image.manifest)));
    let value = env.json("pull stack.yaml");
    assert_eq!(value["exitCode"], 7, "{value}");
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.contains("1.0 PiB") && message.contains("GiB"), "{message}");
    assert!(value["error"]["hints"][0].as_str().unwrap().contains("--store DIR"), "{value}");
    assert!(env.everything_below("store/blobs/sha256").is_empty(), "the model did not come either");
    // An image that is nowhere is told before the model comes, too.
    stack(&env, &format!("example/engine:1{}", crate::env::IMAGE_PIN));
    let ran = env.run("pull stack.yaml");
    assert_eq!(ran.code, 6, "{ran}");
    assert!(env.everything_below("store/blobs/sha256").is_empty(), "{ran}");
    // The model alone has room.
    assert_eq!(env.run("pull stack.yaml --model assistant").code, 0);
}

/// An engine that says that it has an image by a reference.
fn engine(env: &TestEnv, reference: &str, image: &Image) -> FakeEngine {
    let engine = FakeEngine::start(env.root(), "1.41");
    engine.exports(reference, &sha256(&image.config), image.archive(env));
    engine
}

#[test]
fn an_image_for_which_only_the_engine_vouches_is_told() {
    let (env, image) = (TestEnv::new(), Image::new(0, None));
    let id = sha256(&image.config);
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("example/engine:1@{digest}");
    stack(&env, &pinned);
    let fake = engine(&env, &pinned, &image);
    let value = env.json(&format!("--host {} pull stack.yaml", fake.host));
    assert_eq!(value["exitCode"], 0, "{value}");
    let warning = value["images"][0]["warning"].as_str().unwrap();
    assert!(warning.contains(&digest) && warning.contains(&format!("id: sha256:{id}")), "{warning}");
    assert!(warning.contains("begins with no registry"), "{warning}");
    let ran = env.run(&format!("--host {} --offline pull stack.yaml", fake.host));
    assert_eq!(ran.code, 0, "{ran}");
    assert!(
        ran.stdout.contains("warning: image example/engine:1: ") && ran.stdout.contains("offline"),
        "{ran}"
    );

    // By its pin it is not in the store, and it is said what helps.
    let ran = env.run("push stack.yaml oci://127.0.0.1:1/a");
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains(&format!("`id: sha256:{id}`")), "{ran}");

    // A lock names the ID: the engine's image is it, or it is refused.
    let lock = |id: &str| {
        env.write(
            "stack.lock.yaml",
            format!(
                "apiVersion: sovai/v1\nkind: Lock\nmodels: {{}}\nimages:\n  \"example/engine:1\":\n    platform: \"linux/{ARCH}\"\n    config: \"sha256:{id}\"\n"
            ),
        );
    };
    lock(&id);
    let value = env.json(&format!("--host {} pull stack.yaml", fake.host));
    assert_eq!(value["exitCode"], 0, "{value}");
    assert!(value["images"][0].get("warning").is_none(), "{value}");
    lock(&"b".repeat(64));
    let ran = env.run(&format!("--host {} pull stack.yaml", fake.host));
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stderr.contains(&id) && ran.stderr.contains(&"b".repeat(64)), "{ran}");
}

#[test]
fn the_registry_is_asked_before_the_engine_is_believed() {
    let (env, registry) = (TestEnv::new(), Registry::start());
    let (image, liar) = (Image::new(0, None), Image::new(1, None));
    put(&env, &registry, &image);
    let name = format!("{}/big:1", registry.host());
    let pinned = format!("{name}@sha256:{}", sha256(&image.manifest));
    let fake = engine(&env, &pinned, &liar);
    let pull = format!("--host {} pull stack.yaml", fake.host);
    // With the engine as its source, what it gives is compared with the registry's documents.
    stack(
        &env,
        &format!("{{ name: \"{name}\", digest: sha256:{}, source: engine }}", sha256(&image.manifest)),
    );
    let ran = env.run(&pull);
    assert_eq!(ran.code, 4, "{ran}");
    assert!(
        ran.stderr.contains(&sha256(&liar.config)) && ran.stderr.contains(&sha256(&image.config)),
        "{ran}"
    );
    // Offline nothing is left but its word.
    let value = env.json(&format!("--offline {pull}"));
    assert_eq!(value["exitCode"], 0, "{value}");
    assert!(value["images"][0]["warning"].as_str().unwrap().contains("this run is offline"), "{value}");
    // Without a source the image comes from the registry.
    stack(&env, &pinned);
    let value = env.json(&pull);
    assert_eq!(value["images"][0]["id"], format!("sha256:{}", sha256(&image.config)), "{value}");
    assert!(value["images"][0].get("warning").is_none(), "{value}");
    assert_eq!(value["images"][0]["fetched"], 10240, "{value}");

    // A registry that is gone is told, with the reason.
    let site = TestEnv::new();
    let gone = format!("127.0.0.1:1/big:1@sha256:{}", "c".repeat(64));
    let fake = engine(&site, &gone, &image);
    stack(&site, &gone);
    let value = site.json(&format!("--host {} pull stack.yaml", fake.host));
    assert_eq!(value["exitCode"], 0, "{value}");
    let warning = value["images"][0]["warning"].as_str().unwrap();
    assert!(warning.contains("its registry could not be asked"), "{warning}");
}
