//! A stack on the fake engine: what the command does, without the command.

use sovai_core::{ImageId, Name, NullReporter, Sha256};
use sovai_deployer::archive::{GatewayImage, gateway_archive};
use sovai_deployer::engine::{ContainerEngine as _, ImageInfo};
use sovai_deployer::fake::{ExecAnswer, FakeEngine, Run};
use sovai_deployer::labels::{GATEWAY, PROBE, STORE_CHECK};
use sovai_deployer::{
    Blueprint, DeployError, Executor, Failure, GatewayImageRef, ModelRef, Outcome, Plan, Question, plan,
    preflight,
};
use sovai_store::{Store, model_manifest, tree_path};
use sovai_verifier::{Cancel, Options, Receipt};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The model's bytes and, by `printf weights | sha256sum`, their digest.
const WEIGHTS: &[u8] = b"weights";
const WEIGHTS_SHA256: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

/// The smallest useful manifest.
pub(crate) const MANIFEST: &str = "
apiVersion: sovai/v1
kind: Stack
metadata: { name: demo }
spec:
  models:
    assistant:
      source: file:./model.gguf
      license: Apache-2.0
      files: [{ path: model.gguf, size: 7, sha256: WEIGHTS }]
  services:
    engine:
      engine: llama.cpp
      image: { name: engine, id: 'sha256:1111111111111111111111111111111111111111111111111111111111111111' }
      model: assistant
  gateway:
    listen: LISTEN
    routes: { assistant: engine }
";

/// Why a deploy of the fixture failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Before(DeployError),
    Run(Failure),
}

impl Failed {
    pub(crate) fn before(self) -> DeployError {
        match self {
            Self::Before(error) => error,
            Self::Run(failure) => panic!("failed only when it ran: {failure:?}"),
        }
    }

    pub(crate) fn run(self) -> Failure {
        match self {
            Self::Run(failure) => failure,
            Self::Before(error) => panic!("failed before it ran: {error:?}"),
        }
    }
}

/// A store, an engine and weights.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) engine: FakeEngine,
    pub(crate) image: GatewayImage,
    pub(crate) cancel: Cancel,
    /// The gateway's address; each fixture has its own, since preflight really binds it.
    pub(crate) listen: String,
}

static ADDRESSES: AtomicU32 = AtomicU32::new(1);

pub(crate) fn image(digit: char) -> ImageId {
    ImageId(Sha256::from_hex(&digit.to_string().repeat(64)).unwrap())
}

impl Fixture {
    /// Everything is there and behaves.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs_err::write(folder.path().join("model.gguf"), WEIGHTS).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let engine = FakeEngine::new();
        for digit in ['1', '2'] {
            engine.add_image(ImageInfo {
                id: image(digit),
                tags: vec![format!("engine:{digit}")],
                repo_digests: Vec::new(),
                os: "linux".into(),
                arch: "amd64".into(),
                labels: BTreeMap::new(),
                volumes: if digit == '2' { vec!["/data".into()] } else { Vec::new() },
                size: 0,
            });
        }
        let [_, b, c, d] = ADDRESSES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let fixture = Self {
            folder,
            store,
            engine,
            image: gateway_archive(b"binary", "amd64"),
            cancel: Cancel::default(),
            listen: format!("127.{}.{c}.{d}:18080", 1 + b),
        };
        fixture.behave();
        fixture
    }

    /// Containers answer as they should.
    pub(crate) fn behave(&self) {
        self.engine.on_start(STORE_CHECK, |spec| {
            let nonce = fs_err::read_to_string(&spec.mounts[0].source).unwrap_or_default();
            Run::prints(&[&nonce])
        });
        for prober in [GATEWAY, PROBE] {
            self.engine.on_exec(prober, |call| match call.command.last().map(String::as_str) {
                Some("probe") => ExecAnswer::lines(&[r#"{"state":"ready","detail":"ready"}"#]),
                Some("ask") => ExecAnswer::lines(&[r#"{"text":"Kuala Lumpur."}"#]),
                other => ExecAnswer::fails(2, &format!("{other:?}")),
            });
        }
    }

    pub(crate) fn receipts(&self) -> BTreeMap<Name, Receipt> {
        let name = Name::new("assistant").unwrap();
        let pins = parse(&MANIFEST.replace("LISTEN", "127.0.0.1:1")).models[&name].files.clone();
        let options = Options::new(NonZeroUsize::MIN);
        let source = self.folder.path().join("model.gguf");
        let admission =
            sovai_verifier::admit(&name, &source, &pins, &self.store, &options, &NullReporter).unwrap();
        BTreeMap::from([(name, admission.receipt.expect("the bytes are the pinned ones"))])
    }

    /// What the deploy of a manifest would do now.
    pub(crate) async fn plan(&self, text: &str) -> Result<Plan, DeployError> {
        let manifest = parse(&text.replace("LISTEN", &self.listen));
        let resolved = sovai_manifest::resolve(&manifest, None);
        assert_eq!(resolved.unpinned, [], "the fixture pins everything");
        let info = self.engine.info().await?;
        let models = resolved.models.iter().map(|(name, files)| {
            let digest = model_manifest(files).1;
            let tree = tree_path(self.store.root(), &digest);
            (name.clone(), ModelRef { digest, tree, files: files.clone() })
        });
        let stack = self.store.stack(&manifest.name);
        let blueprint = Blueprint {
            manifest: &manifest,
            models: models.collect(),
            images: preflight::images(&self.engine, &info, &manifest, &resolved.images, Some(&self.store))
                .await?,
            gateway_image: GatewayImageRef { id: self.image.id, tag: self.image.tag.clone() },
            tls: preflight::tls(&manifest, self.folder.path())?,
            secrets: preflight::secrets(&manifest, self.folder.path())?,
            stack_dir: stack.path().to_owned(),
            host_memory: info.memory,
            host_cpus: info.cpus,
            ready_deadline_s: Some(5),
        };
        let observed = preflight::observe(&self.engine, &manifest.name, Some(&stack), &blueprint).await?;
        let plan = plan(&blueprint, &observed)?;
        preflight::check(&self.engine, &plan, &observed).await?;
        Ok(plan)
    }

    pub(crate) async fn deploy(&self, text: &str) -> Result<Outcome, Failed> {
        let plan = self.plan(text).await.map_err(Failed::Before)?;
        self.run(plan).await
    }

    pub(crate) async fn run(&self, plan: Plan) -> Result<Outcome, Failed> {
        let admitted = plan.admit(&self.receipts()).map_err(Failed::Before)?;
        let executor = Executor {
            engine: &self.engine,
            store: &self.store,
            gateway_archive: &|| self.image.archive.clone(),
            cancel: &self.cancel,
            question: &Question::default(),
        };
        executor.run(&admitted, &NullReporter).await.map_err(Failed::Run)
    }

    /// Names of all containers that are there, sorted.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.engine.snapshot().containers.into_iter().map(|container| container.name).collect()
    }
}

pub(crate) fn parse(text: &str) -> sovai_manifest::Manifest {
    let parsed = sovai_manifest::parse(text.replace("WEIGHTS", WEIGHTS_SHA256).as_bytes());
    parsed.manifest.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics))
}
