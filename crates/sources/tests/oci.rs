//! `oci:` against Debian's docker-registry: what was pushed is listed, and opened by digest.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use futures_util::StreamExt as _;
use sha2::Digest as _;
use sovai_core::{FilePin, NullReporter, Reference, RelPath, Sha256};
use sovai_http::{Client, Env, Options, Retry};
use sovai_registry::{Artifact, Content, Credentials, PushOptions, PushPlan, Registry, push};
use sovai_sources::adapters::{Surroundings, open};
use sovai_sources::{ByteRange, Source, SourceError, Wanted, oci_blobs};
use sovai_store::image::OCI_MANIFEST;
use sovai_store::{Descriptor, ModelArtifact, Store};
use sovai_test_hub::Registry as Debian;

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

async fn read(
    source: &dyn Source,
    wanted: &Wanted,
    range: Option<ByteRange>,
) -> Result<Vec<u8>, SourceError> {
    let mut stream = source.open(wanted, range).await?.stream;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

async fn pushed(running: &Debian, files: &[(&str, &str)]) -> Sha256 {
    let store = Store::open(&running.path("store")).unwrap();
    let pins: Vec<FilePin> = files
        .iter()
        .map(|(path, text)| FilePin {
            path: RelPath::new(path).unwrap(),
            size: text.len() as u64,
            sha256: store.put(text.as_bytes()).unwrap(),
        })
        .collect();
    let model = ModelArtifact::new(&pins);
    let blobs = files.iter().map(|(_, text)| -> Descriptor {
        Content::new("application/octet-stream", text.as_bytes().to_vec()).descriptor
    });
    let artifact = Artifact {
        subject: "model".to_owned(),
        tag: "stack-model".to_owned(),
        blobs: blobs.collect(),
        contents: vec![Content::new("application/vnd.cncf.model.config.v1+json", model.config)],
        manifests: vec![Content::new(OCI_MANIFEST, model.manifest)],
    };
    let client = Client::new(&Options::default()).unwrap();
    let registry = Registry::new(client, running.host(), Credentials::anonymous()).unwrap();
    let target = Reference::new(&format!("{}/site/all", running.host())).unwrap();
    let plan = PushPlan { target, artifacts: vec![artifact] };
    push(&registry, &store, &plan, &PushOptions::default(), &NullReporter).await.unwrap();
    model.digest
}

#[test]
fn a_pushed_model_is_listed_and_every_blob_is_opened_by_digest() {
    let running = Debian::start();
    let files = [("README.md", "read me"), ("w/model.gguf", "weights that are long enough")];
    let http = Client::new(&Options::default()).unwrap();
    let surroundings = Surroundings { http, env: Env::of([]), retry: Retry::ONCE };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let digest = pushed(&running, &files).await;
        let source = open("oci", &format!("{}/site/all:stack-model", running.host()), &surroundings).unwrap();
        let listing = source.list(None).await.unwrap();
        assert_eq!(listing.revision, Some(digest.to_string()));
        let listed: Vec<_> =
            listing.files.iter().map(|file| (file.path.as_str(), file.size, file.sha256)).collect();
        let expected =
            files.map(|(path, text)| (path, Some(text.len() as u64), Some(sha256(text.as_bytes()))));
        assert_eq!(listed, expected);
        assert_eq!(source.list(listing.revision.as_deref()).await.unwrap(), listing);
        let gone = source.list(Some("none")).await.unwrap_err();
        assert!(matches!(gone, SourceError::Refused { .. }), "{gone}");

        let text = files[1].1;
        let mut wanted = Wanted {
            path: RelPath::new("any/other.name").unwrap(),
            size: Some(text.len() as u64),
            sha256: Some(sha256(text.as_bytes())),
            revision: None,
        };
        let blobs =
            oci_blobs(&Reference::new(&format!("{}/site/all", running.host())).unwrap(), &surroundings);
        let blobs = blobs.unwrap();
        assert_eq!(read(&*blobs, &wanted, None).await.unwrap(), text.as_bytes());
        let range = Some(ByteRange { start: 8, end: 12 });
        assert_eq!(read(&*blobs, &wanted, range).await.unwrap(), b"that");
        wanted.sha256 = Some(sha256(b"never pushed"));
        let gone = read(&*blobs, &wanted, None).await.unwrap_err();
        assert!(matches!(gone, SourceError::Refused { .. }), "{gone}");
    });
}
