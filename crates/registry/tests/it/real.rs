//! What we push another client reads, and what another client pushed we read.

use crate::world::{World, noise, reference, registry, run, sha256};
use futures_util::StreamExt as _;
use sovai_core::{EventKind, Platform};
use sovai_http::Env;
use sovai_registry::{Content, Credentials, PushOptions, Pushed, RegistryError, index_artifact, index_tag};
use sovai_test_hub::{Registry as Debian, Setup};

const CHUNK: u64 = 1 << 20;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn options() -> PushOptions {
    PushOptions { chunk: CHUNK, ..PushOptions::default() }
}

#[test]
fn skopeo_reads_what_was_pushed_and_nothing_is_sent_twice() {
    let debian = Debian::start();
    let world = World::new();
    let weights = noise(5 * 1024 * 1024 + 17, 1);
    let model = world.model(&[("config.json", b"{}"), ("w/model.gguf", &weights), ("empty", b"")]);
    let image = world.image(&Platform::host(), "image-1");
    let artifacts = [model.clone(), image.clone()];
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        let pushed = world.push(&registry, "site/all", &artifacts, &options()).await.unwrap();
        assert_eq!((pushed.sent, pushed.present, pushed.mounted), (6, 0, 0));
        let tags = [("stack-model", &model), ("image-1", &image)]
            .map(|(tag, artifact)| (tag.to_owned(), artifact.manifests[0].descriptor.digest));
        assert_eq!(pushed.tags, tags);
        let again = world.push(&registry, "site/all", &artifacts, &options()).await.unwrap();
        assert_eq!(again, Pushed { tags: pushed.tags, present: 6, ..Pushed::default() });
    });
    assert!(world.remembered().is_empty());
    let of = |tag: &str| format!("docker://{}/site/all:{tag}", debian.host());
    for artifact in &artifacts {
        let raw = debian.skopeo(&["inspect", "--raw", "--tls-verify=false", &of(&artifact.tag)]);
        assert_eq!(raw, artifact.manifests[0].bytes);
    }
    for artifact in &artifacts {
        let layout = world.path(&artifact.tag);
        let to = format!("oci:{}:x", layout.display());
        debian.skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &of(&artifact.tag), &to]);
        for blob in artifact.blobs.iter().chain(artifact.contents.iter().map(|content| &content.descriptor)) {
            let bytes = fs_err::read(layout.join("blobs/sha256").join(blob.digest.hex())).unwrap();
            assert_eq!(sha256(&bytes), blob.digest);
        }
    }
}

#[test]
fn what_skopeo_pushed_is_read_and_mounted_elsewhere() {
    let debian = Debian::start();
    let world = World::new();
    let amd64: Platform = "linux/amd64".parse().unwrap();
    let image = world.image(&amd64, "x");
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        world.push(&registry, "first", std::slice::from_ref(&image), &options()).await.unwrap();
        let (from, to) =
            (format!("docker://{}/first:x", debian.host()), format!("docker://{}/second:y", debian.host()));
        debian.skopeo(&[
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            "--format=v2s2",
            &from,
            &to,
        ]);
        let second = reference(&format!("{}/second:y", debian.host()));
        let resolved = registry.resolve_image(&second, &amd64).await.unwrap();
        assert_eq!(
            resolved.manifest.descriptor.media_type,
            "application/vnd.docker.distribution.manifest.v2+json"
        );
        assert_eq!(resolved.platform, amd64);
        assert_eq!(sha256(&resolved.config.bytes), resolved.config.descriptor.digest);
        let error = registry.resolve_image(&second, &"linux/arm64".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("has no image for linux/arm64; it has linux/amd64"), "{error}");
        let pinned = second.at_digest(resolved.manifest.descriptor.digest);
        assert_eq!(registry.manifest(&pinned).await.unwrap(), resolved.manifest);
        let mounting =
            PushOptions { mount_from: vec!["nobody/has".to_owned(), "first".to_owned()], ..options() };
        let pushed = world.push(&registry, "third", std::slice::from_ref(&image), &mounting).await.unwrap();
        assert_eq!((pushed.sent, pushed.mounted), (0, 2));
    });
}

#[test]
fn an_index_leads_to_its_platforms() {
    let debian = Debian::start();
    let world = World::new();
    let (amd64, arm64): (Platform, Platform) =
        ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
    let images = [world.image(&amd64, "amd64"), world.image(&arm64, "arm64")];
    let index = index_of(&[(&images[0], "amd64"), (&images[1], "arm64")]);
    let mut whole = images[0].clone();
    whole.tag = "all".to_owned();
    whole.blobs.extend(images[1].blobs.clone());
    whole.manifests.extend(images[1].manifests.clone());
    whole.manifests.push(Content::new(INDEX, index.clone()));
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        world.push(&registry, "many", &[whole], &options()).await.unwrap();
        let all = reference(&format!("{}/many:all", debian.host()));
        for (image, platform) in images.iter().zip([amd64, arm64]) {
            let resolved = registry.resolve_image(&all, &platform).await.unwrap();
            assert_eq!(resolved.index.as_ref().unwrap().bytes, index);
            assert_eq!(resolved.manifest, image.manifests[0]);
            assert_eq!(resolved.layers[0].digest, image.blobs[1].digest);
            assert_eq!(resolved.platform, platform);
        }
        let error = registry.resolve_image(&all, &"linux/s390x".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().ends_with("it has linux/amd64, linux/arm64"), "{error}");
        registry.artifact(&all).await.unwrap_err();
    });
    let raw = debian.skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{}/many:all", debian.host()),
    ]);
    assert_eq!(raw, index);
}

/// An index that names a manifest for each architecture, in this order.
fn index_of(images: &[(&sovai_registry::Artifact, &str)]) -> Vec<u8> {
    let entry = |(image, architecture): &(&sovai_registry::Artifact, &str)| {
        let manifest = &image.manifests[0].descriptor;
        format!(
            r#"{{"mediaType":"{}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            manifest.media_type, manifest.digest, manifest.size
        )
    };
    let list: Vec<_> = images.iter().map(entry).collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, list.join(",")).into_bytes()
}

#[test]
fn an_index_comes_back_byte_for_byte_where_one_of_its_platforms_was_pushed() {
    let debian = Debian::start();
    let world = World::new();
    let (amd64, arm64): (Platform, Platform) =
        ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
    let (here, absent) = (world.image(&amd64, "image-1"), world.image(&arm64, "image-2"));
    let index = index_of(&[(&here, "amd64"), (&absent, "arm64")]);
    let digest = sha256(&index);
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        let at = reference(&format!("{}/one", debian.host()));
        // As an index it is refused: what it names is not all there.
        let mut partial = here.clone();
        partial.manifests.push(Content::new(INDEX, index.clone()));
        let error = world.push(&registry, "one", &[partial], &options()).await.unwrap_err();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(400), "{error}");
        let error = registry.resolve_pushed_index(&at, &digest, &amd64).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");

        let artifacts = [here.clone(), index_artifact("index".to_owned(), index.clone())];
        let pushed = world.push(&registry, "one", &artifacts, &options()).await.unwrap();
        assert_eq!(pushed.tags[1].0, index_tag(&digest));
        let resolved = registry.resolve_pushed_index(&at, &digest, &amd64).await.unwrap();
        assert_eq!(resolved.index, Some(Content::new(INDEX, index.clone())));
        assert_eq!((&resolved.manifest, resolved.platform), (&here.manifests[0], amd64.clone()));

        let error = registry.resolve_pushed_index(&at, &digest, &arm64).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
        let s390x = "linux/s390x".parse().unwrap();
        let error = registry.resolve_pushed_index(&at, &digest, &s390x).await.unwrap_err();
        assert!(matches!(error, RegistryError::Platform { .. }), "{error}");
        // It is no image for those who look for one.
        let tagged = at.at_tag(&index_tag(&digest)).unwrap();
        let error = registry.resolve_image(&tagged, &amd64).await.unwrap_err();
        assert!(error.to_string().contains("it is no container image but"), "{error}");

        let (of, to) =
            (format!("docker://{}/one:{}", debian.host(), index_tag(&digest)), world.path("index"));
        debian.skopeo(&["copy", "--src-tls-verify=false", &of, &format!("dir:{}", to.display())]);
        assert_eq!(fs_err::read(to.join(digest.hex())).unwrap(), index);

        // The registry's disk has another byte.
        let hex = digest.hex();
        let data = debian.path(&format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
        let mut bytes = fs_err::read(&data).unwrap();
        bytes[40] ^= 1;
        fs_err::write(&data, bytes).unwrap();
        let error = registry.resolve_pushed_index(&at, &digest, &amd64).await.unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");

        // Somebody else's index under the tag; then a manifest in the place of an index.
        let other = index_of(&[(&here, "arm64")]);
        let manifest = here.manifests[0].bytes.clone();
        for bytes in [other, manifest.clone()] {
            let mut wrong = index_artifact("index".to_owned(), bytes);
            wrong.tag = index_tag(&digest);
            world.push(&registry, "one", &[wrong], &options()).await.unwrap();
            let error = registry.resolve_pushed_index(&at, &digest, &amd64).await.unwrap_err();
            assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
        }
        let none = index_artifact("index".to_owned(), manifest.clone());
        world.push(&registry, "one", &[none], &options()).await.unwrap();
        let error = registry.resolve_pushed_index(&at, &sha256(&manifest), &amd64).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unsupported { .. }), "{error}");
    });
}

#[test]
fn blobs_come_whole_and_in_ranges() {
    let debian = Debian::start();
    let world = World::new();
    let weights = noise(100_000, 3);
    let model = world.model(&[("model.gguf", &weights)]);
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        world.push(&registry, "m", &[model], &options()).await.unwrap();
        let at = reference(&format!("{}/m", debian.host()));
        let digest = sha256(&weights);
        for (range, start, end) in [(None, 0, 100_000), (Some((500, 1500)), 500, 1500)] {
            let body = registry.open_blob(&at, &digest, range).await.unwrap();
            assert_eq!((body.start, body.length, body.total), (start, Some(end - start), Some(100_000)));
            let mut stream = body.stream;
            let mut bytes = Vec::new();
            while let Some(piece) = stream.next().await {
                bytes.extend_from_slice(&piece.unwrap());
            }
            assert_eq!(bytes, weights[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
        }
        let error = registry.open_blob(&at, &sha256(b"none"), None).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
        let error = registry.manifest(&at.at_tag("none").unwrap()).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    });
}

#[test]
fn tls_needs_the_authority_and_basic_auth_the_password_that_docker_keeps() {
    let debian = Debian::with(&Setup { password: Some(("push", "s3cret")), tls: true });
    let world = World::new();
    let image = [world.image(&Platform::host(), "x")];
    let ca = [debian.ca()];
    // `printf push:s3cret | base64`
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"cHVzaDpzM2NyZXQ="}}}}}}"#, debian.host());
    fs_err::write(world.path("config.json"), config).unwrap();
    let of_docker = || Credentials::of_user(&Env::of([("DOCKER_CONFIG", world.path("").to_str().unwrap())]));
    run(async {
        let good = registry(debian.host(), of_docker(), &ca);
        world.push(&good, "a", &image, &options()).await.unwrap();
        let at = reference(&format!("{}/a:x", debian.host()));
        assert_eq!(good.manifest(&at).await.unwrap(), image[0].manifests[0]);

        let unknown = registry(debian.host(), of_docker(), &[]);
        let error = unknown.manifest(&at).await.unwrap_err();
        assert!(!error.is_transient() && chain(&error).contains("certificate"), "{}", chain(&error));

        for credentials in
            [Credentials::anonymous(), Credentials::basic("push".to_owned(), "wrong".to_owned())]
        {
            let error = registry(debian.host(), credentials, &ca).manifest(&at).await.unwrap_err();
            assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
            assert!(!chain(&error).contains("wrong"));
        }
    });
    let to = format!("docker://{}/a:x", debian.host());
    let raw = debian.skopeo(&["inspect", "--raw", "--tls-verify=false", "--creds=push:s3cret", &to]);
    assert_eq!(raw, image[0].manifests[0].bytes);
}

#[test]
fn damaged_bytes_of_the_store_are_found_and_named() {
    let debian = Debian::start();
    let world = World::new();
    let model = [world.model(&[("model.gguf", &noise(3_000_000, 5))])];
    let path = world.store.blob(&model[0].blobs[0].digest);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, &bytes).unwrap();
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        let error = world.push(&registry, "m", &model, &options()).await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Store(_)) && error.to_string().contains("is damaged"),
            "{error}"
        );
        assert!(registry.manifest(&reference(&format!("{}/m:stack-model", debian.host()))).await.is_err());
        fs_err::remove_file(&path).unwrap();
        let error = world.push(&registry, "m", &model, &options()).await.unwrap_err();
        assert!(matches!(error, RegistryError::Store(_)), "{error}");
    });
}

#[test]
fn progress_only_rises_and_ends_at_the_whole() {
    let debian = Debian::start();
    let world = World::new();
    let model = [world.model(&[("model.gguf", &noise(4 << 20, 9)), ("b", &noise(1 << 20, 10))])];
    run(async {
        let registry = registry(debian.host(), Credentials::anonymous(), &[]);
        let slow = PushOptions { rate: Some(5 << 20), jobs: 1, ..options() };
        world.push(&registry, "m", &model, &slow).await.unwrap();
    });
    let events = world.reporter.events();
    assert_eq!((events[0].kind, events.last().unwrap().kind), (EventKind::Started, EventKind::Done));
    let total = events[0].total.unwrap();
    let done: Vec<u64> = events
        .iter()
        .filter(|event| event.kind == EventKind::Progress)
        .map(|event| event.done.unwrap())
        .collect();
    assert!(done.len() > 1 && done.is_sorted() && *done.last().unwrap() <= total, "{done:?} of {total}");
    assert_eq!(events.last().unwrap().done, Some(total));
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
