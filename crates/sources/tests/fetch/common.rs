//! A hub with files, a store, and fetches between them.

use sovai_core::{NullReporter, RelPath, Reporter, Sha256};
use sovai_http::{Client, Env, Options, Retry, Slowest};
use sovai_sources::adapters::{Surroundings, open};
use sovai_sources::{FetchOptions, Fetched, Job, Source, SourceError, Wanted, fetch};
use sovai_store::Store;
use sovai_test_hub::{Content, Hub, Repo};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MIB: u64 = 1 << 20;
const COMMIT: &str = "1111111111111111111111111111111111111111";

/// Files that a hub and perhaps mirrors have.
pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) files: Vec<(String, Content)>,
    pub(crate) hub: Hub,
    pub(crate) options: FetchOptions,
    pub(crate) silence: Duration,
    pub(crate) slowest: Slowest,
}

impl World {
    /// Files of these sizes, in LFS.
    pub(crate) fn new(sizes: &[u64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files: Vec<(String, Content)> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| (format!("model-{at}.safetensors"), Content::pattern(at as u64, *size)))
            .collect();
        let hub = hub(&files);
        let mut options = FetchOptions::new(NonZeroUsize::new(2).unwrap());
        options.retry = Retry { tries: 4, first: Duration::from_millis(1), most: Duration::from_millis(4) };
        let (silence, slowest) = (Duration::from_secs(30), Slowest::default());
        Self { _dir: dir, store, files, hub, options, silence, slowest }
    }

    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|(_, content)| content.size()).sum()
    }

    pub(crate) fn sha256(&self, at: usize) -> Sha256 {
        Sha256::from_hex(self.files[at].1.sha256()).unwrap()
    }

    pub(crate) fn source(&self, hub: &Hub) -> Arc<dyn Source> {
        let (silence, slowest) = (self.silence, self.slowest);
        let http = Client::new(&Options { silence, slowest, ..Options::default() }).unwrap();
        let env = Env::of([("HF_ENDPOINT", &hub.url()), ("HF_TOKEN", "hf_secret"), ("HOME", "/nowhere")]);
        open("hf", "org/model", &Surroundings { http, env, retry: Retry::ONCE }).unwrap()
    }

    pub(crate) fn jobs(&self, from: &[Arc<dyn Source>]) -> Vec<Job> {
        self.files
            .iter()
            .map(|(path, content)| Job {
                subject: path.clone(),
                wanted: Wanted {
                    path: RelPath::new(path).unwrap(),
                    size: Some(content.size()),
                    sha256: Some(Sha256::from_hex(content.sha256()).unwrap()),
                    revision: Some(COMMIT.to_owned()),
                },
                from: from.to_vec(),
            })
            .collect()
    }

    pub(crate) async fn fetch(&self) -> Result<Fetched, SourceError> {
        self.fetch_from(&[self.source(&self.hub)], &NullReporter).await
    }

    pub(crate) async fn fetch_from(
        &self,
        from: &[Arc<dyn Source>],
        reporter: &dyn Reporter,
    ) -> Result<Fetched, SourceError> {
        fetch(&self.jobs(from), &self.store, &self.options, reporter).await
    }

    /// Every file is a blob with its bytes, and nothing half-written is left.
    pub(crate) fn assert_whole(&self) {
        for (at, (path, content)) in self.files.iter().enumerate() {
            let bytes = fs_err::read(self.store.blob(&self.sha256(at))).unwrap();
            assert!(bytes == content.read_all().unwrap(), "{path}");
        }
        self.assert_no_partials();
    }

    pub(crate) fn assert_no_partials(&self) {
        let left: Vec<_> = fs_err::read_dir(self.store.root().join("partial")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    pub(crate) fn partial_bytes(&self) -> u64 {
        let bytes = |at: usize| self.store.partial_bytes(&self.sha256(at), self.files[at].1.size());
        (0..self.files.len()).map(bytes).sum()
    }
}

pub(crate) fn hub(files: &[(String, Content)]) -> Hub {
    let hub = Hub::start();
    let mut repo = Repo::new("org/model", COMMIT);
    for (path, content) in files {
        repo = repo.lfs(path.clone(), content.clone());
    }
    hub.add(repo);
    hub
}

/// The same files with other bytes under their names.
pub(crate) fn liar(world: &World) -> Hub {
    let files: Vec<_> = world
        .files
        .iter()
        .map(|(path, content)| (path.clone(), Content::pattern(999, content.size())))
        .collect();
    hub(&files)
}

pub(crate) fn connections(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// An error with all that is behind it.
pub(crate) fn chain(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
