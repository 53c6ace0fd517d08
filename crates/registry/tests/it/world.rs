//! A store with a model and an image in it, and what is pushed of them.

use sha2::Digest as _;
use sovai_core::{FilePin, Platform, RecordingReporter, Reference, RelPath, Sha256};
use sovai_http::{Client, Options, Retry};
use sovai_registry::{
    Artifact, Content, Credentials, PushOptions, PushPlan, Pushed, Registry, RegistryError, push,
};
use sovai_store::image::{ImageManifest, OCI_CONFIG, OCI_MANIFEST};
use sovai_store::{Descriptor, ModelArtifact, Store};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) reporter: RecordingReporter,
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Bytes that do not repeat, by xorshift.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Content::new(media_type, bytes.to_vec()).descriptor
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store, reporter: RecordingReporter::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn add(&self, bytes: &[u8]) -> Sha256 {
        let mut stage = self.store.stage().unwrap();
        stage.write_all(bytes).unwrap();
        let digest = sha256(bytes);
        stage.commit(&digest).unwrap();
        digest
    }

    /// A model of these files.
    pub(crate) fn model(&self, files: &[(&str, &[u8])]) -> Artifact {
        let pin = |(path, bytes): &(&str, &[u8])| FilePin {
            path: RelPath::new(path).unwrap(),
            size: bytes.len() as u64,
            sha256: self.add(bytes),
        };
        let pins: Vec<FilePin> = files.iter().map(pin).collect();
        let artifact = ModelArtifact::new(&pins);
        let blob = |pin: &FilePin| Descriptor {
            media_type: "application/octet-stream".to_owned(),
            artifact_type: None,
            digest: pin.sha256,
            size: pin.size,
            annotations: BTreeMap::new(),
        };
        Artifact {
            subject: "model".to_owned(),
            tag: "stack-model".to_owned(),
            blobs: pins.iter().map(blob).collect(),
            contents: vec![Content::new("application/vnd.cncf.model.config.v1+json", artifact.config)],
            manifests: vec![Content::new(OCI_MANIFEST, artifact.manifest)],
        }
    }

    /// An image of one layer, for a platform.
    pub(crate) fn image(&self, platform: &Platform, tag: &str) -> Artifact {
        let file = noise(3000, 7);
        let mut tar = vec![0; 512];
        tar[..5].copy_from_slice(b"hello");
        tar[100..107].copy_from_slice(b"0000644");
        tar[124..135].copy_from_slice(format!("{:011o}", file.len()).as_bytes());
        tar[156] = b'0';
        tar[257..263].copy_from_slice(b"ustar\0");
        tar[148..156].copy_from_slice(b"        ");
        let sum: u32 = tar.iter().map(|byte| u32::from(*byte)).sum();
        tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&file);
        tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar", &tar);
        self.add(&tar);
        let config = format!(
            r#"{{"architecture":"{}","os":"{}","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            platform.architecture(),
            platform.os(),
            layer.digest
        );
        let config_descriptor = descriptor(OCI_CONFIG, config.as_bytes());
        self.add(config.as_bytes());
        let manifest = ImageManifest::write(&config_descriptor, std::slice::from_ref(&layer));
        Artifact {
            subject: "image".to_owned(),
            tag: tag.to_owned(),
            blobs: vec![config_descriptor, layer],
            contents: Vec::new(),
            manifests: vec![Content::new(OCI_MANIFEST, manifest)],
        }
    }

    pub(crate) async fn push(
        &self,
        registry: &Registry,
        repository: &str,
        artifacts: &[Artifact],
        options: &PushOptions,
    ) -> Result<Pushed, RegistryError> {
        let target = reference(&format!("{}/{repository}", registry.host()));
        let plan = PushPlan { target, artifacts: artifacts.to_vec() };
        push(registry, &self.store, &plan, options, &self.reporter).await
    }

    /// Addresses of uploads that are remembered.
    pub(crate) fn remembered(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.store.root().join("partial")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().contains("push-"))
            .collect()
    }
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Quick to try again: tests wait for what happens and not for the clock.
pub(crate) const RETRY: Retry =
    Retry { tries: 10, first: Duration::from_millis(1), most: Duration::from_millis(20) };

pub(crate) fn registry(host: &str, credentials: Credentials, ca: &[PathBuf]) -> Registry {
    let options = Options { ca_certs: ca.to_vec(), ..Options::default() };
    Registry::new(Client::new(&options).unwrap(), host, credentials).unwrap().with_retry(RETRY)
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
