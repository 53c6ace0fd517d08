//! Runs a plan, step by step, and undoes what it did when a step fails.

use crate::blueprint::GatewayImageRef;
use crate::engine::{BindMount, ContainerEngine, ContainerSpec, EngineError, NetworkSpec};
use crate::error::{DeployError, Failure};
use crate::labels::Labelled as _;
use crate::plan::{Action, Plan, What};
use crate::spec::{KEY_DIGESTS, KEYS_FOLDER};
use crate::state::{CURRENT, Current, PENDING, Pending};
use crate::undo::Done;
use crate::wait::{self, Watched};
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::{Event, EventKind, Name, Reporter, Sha256, Step};
use sovai_store::{StackDir, Store, atomic};
use sovai_verifier::{Cancel, Receipt};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A plan whose models all have receipts. Only such a plan can be run.
#[derive(Debug)]
pub struct AdmittedPlan {
    plan: Plan,
}

impl Plan {
    /// Demands a receipt for each model that a container of this plan mounts.
    pub fn admit(self, receipts: &BTreeMap<Name, Receipt>) -> Result<AdmittedPlan, DeployError> {
        for (name, model) in &self.models {
            let fits = receipts.get(name).is_some_and(|receipt| {
                receipt.model() == name
                    && receipt.model_digest() == model.digest
                    && receipt.tree() == model.tree
            });
            if !fits {
                return Err(DeployError::NotVerified { model: name.clone() });
            }
        }
        Ok(AdmittedPlan { plan: self })
    }
}

impl AdmittedPlan {
    /// The plan itself.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What a plan is run with.
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct Executor<'a, E> {
    /// The container engine.
    pub engine: &'a E,
    /// The store.
    pub store: &'a Store,
    /// Makes the archive of the image made of this binary; called only when it must be loaded.
    pub gateway_archive: &'a dyn Fn() -> Vec<u8>,
    /// Asked between steps and while waiting.
    pub cancel: &'a Cancel,
    /// The deploy question.
    pub question: &'a Question,
}

/// The question that every deploy asks once.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// How long the answer may take.
    pub deadline: Duration,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            prompt: "What is the capital of Malaysia?".to_owned(),
            max_tokens: 32,
            deadline: Duration::from_mins(2),
        }
    }
}

/// What a deploy came to.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The generation that serves now.
    pub generation: u32,
    /// Whether anything was changed.
    pub changed: bool,
    /// Model and its answer to the deploy question.
    pub answers: Vec<Answer>,
    /// File with the default key, where keys are asked for.
    pub key_file: Option<PathBuf>,
    /// Whether that file was made now.
    pub key_made: bool,
    /// What could not be cleared away after the new generation had answered, in words; the next deploy tries again.
    pub leftovers: Vec<String>,
}

/// A model's answer.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Answer {
    /// The name that clients use.
    pub model: String,
    /// What it said.
    pub text: String,
}

impl<E: ContainerEngine> Executor<'_, E> {
    /// Runs the plan to its end, or undoes it.
    pub async fn run(&self, admitted: &AdmittedPlan, reporter: &dyn Reporter) -> Result<Outcome, Failure> {
        let plan = &admitted.plan;
        let stack = self.store.stack(&plan.stack);
        let mut run = Run {
            executor: self,
            plan,
            stack: &stack,
            reporter,
            done: Done::default(),
            outcome: Outcome {
                generation: plan.generation,
                changed: !plan.is_empty(),
                answers: Vec::new(),
                key_file: None,
                key_made: false,
                leftovers: Vec::new(),
            },
            key: None,
        };
        match run.all().await {
            Ok(()) => Ok(run.outcome),
            Err((step, cause)) => {
                let restored = run.done.undo(self.engine, &plan.stack, &stack, &plan.before, reporter).await;
                Err(Failure { stack: plan.stack.clone(), step, cause: Box::new(cause), restored })
            }
        }
    }
}

struct Run<'a, E> {
    executor: &'a Executor<'a, E>,
    plan: &'a Plan,
    stack: &'a StackDir,
    reporter: &'a dyn Reporter,
    done: Done,
    outcome: Outcome,
    key: Option<String>,
}

impl<E: ContainerEngine> Run<'_, E> {
    async fn all(&mut self) -> Result<(), (String, DeployError)> {
        let at = |step: &str| {
            let step = step.to_owned();
            move |error| (step, error)
        };
        if !self.plan.is_empty() {
            let pending = Pending { generation: self.plan.generation };
            self.stack.write(PENDING, &pending).map_err(DeployError::from).map_err(at("record"))?;
        }
        self.keys().map_err(at("default key"))?;
        for action in &self.plan.actions {
            if self.executor.cancel.is_cancelled() {
                return Err((in_words(action), DeployError::Interrupted));
            }
            self.reported(action).await.map_err(|error| (in_words(action), error))?;
        }
        self.record().map_err(at("record"))?;
        // The new generation serves. What cannot be cleared away now is no reason to take it back.
        for action in &self.plan.cleanup {
            if self.reported(action).await.is_err() {
                self.outcome.leftovers.push(in_words(action));
            }
        }
        Ok(())
    }

    async fn reported(&mut self, action: &Action) -> Result<(), DeployError> {
        let (step, subject) = (step_of(&action.what), action.what.subject());
        self.reporter.report(Event::new(EventKind::Started, step, subject).message(action.why.as_str()));
        let result = self.act(action).await;
        let kind = if result.is_ok() { EventKind::Done } else { EventKind::Failed };
        self.reporter.report(Event::new(kind, step, subject));
        result
    }

    /// The digests of the stack's keys lie where the gateway reads them.
    fn keys(&mut self) -> Result<(), DeployError> {
        let wants_keys = self.plan.result.images.contains_key(crate::labels::GATEWAY);
        if !wants_keys {
            return Ok(());
        }
        let (path, key, made) = self.stack.default_key()?;
        let digest = Sha256::from_bytes(Hasher::digest(key.as_bytes()).into());
        let folder = self.stack.path().join(KEYS_FOLDER);
        fs_err::create_dir_all(&folder).map_err(|source| file_error("the folder of key digests", source))?;
        let file = folder.join(KEY_DIGESTS);
        let before = fs_err::read_to_string(&file).unwrap_or_default();
        let after = with_default_key(&before, &digest);
        if before != after {
            atomic::write(&file, after.as_bytes(), 0o444)?;
            open_folder(&folder)?;
        }
        self.outcome.key_file = Some(path);
        self.outcome.key_made = made;
        self.key = Some(key);
        Ok(())
    }

    async fn act(&mut self, action: &Action) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        match &action.what {
            What::LoadGatewayImage(image) => self.load(image).await?,
            What::Publish(folder) => {
                let files: Vec<_> =
                    folder.files.iter().map(|(path, bytes)| (path.clone(), bytes.0.clone())).collect();
                self.done.folders.push(folder.name.clone());
                self.stack.publish_dir(&folder.name, &files)?;
            }
            What::StoreCheck(spec) => self.store_check(spec).await?,
            What::CreateNetwork(spec) => {
                let id = self.create_network(spec).await?;
                self.done.networks.push(id);
            }
            What::CreateContainer { spec, connect } => self.create(spec, connect).await?,
            What::StopContainer(name) => {
                self.done.stopped.push(name.clone());
                engine.stop_container(name, Duration::from_secs(30)).await?;
            }
            What::StartContainer(name) => {
                self.done.started.push(name.clone());
                engine.start_container(name).await?;
            }
            What::WaitReady { service, container, ready, prober } => {
                let watched = Watched { service, container, prober };
                wait::ready(self.executor, &watched, ready.as_ref(), self.reporter).await?;
            }
            What::Ask { model, url, prober } => {
                let text = wait::ask(self.executor, model, url, prober, self.key.as_deref()).await?;
                self.outcome.answers.push(Answer { model: model.clone(), text });
            }
            What::RemoveLeftover(name) | What::RemoveContainer(name) => engine.remove_container(name).await?,
            What::RemoveNetwork(name) => engine.remove_network(name).await?,
        }
        Ok(())
    }

    async fn load(&mut self, image: &GatewayImageRef) -> Result<(), EngineError> {
        let engine = self.executor.engine;
        engine.load_image((self.executor.gateway_archive)()).await?;
        self.done.images.push(image.tag.clone());
        match engine.image(&image.id.to_string()).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::Answer {
                what: format!("load image {}", image.tag),
                status: 200,
                message: format!("it was loaded, but not under its ID {}", image.id),
            }),
        }
    }

    /// Creates a container. All stacks of a host share the image made of the binary: when another stack is taken away
    /// after this plan was made, the image may go with it, and is loaded again.
    async fn create_container(&mut self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let engine = self.executor.engine;
        let own = &self.plan.gateway_image;
        match engine.create_container(spec).await {
            Err(_) if spec.image == own.id && engine.image(&own.id.to_string()).await?.is_none() => {
                self.load(own).await?;
                engine.create_container(spec).await
            }
            Err(EngineError::NameTaken { .. }) if self.clear_late(&spec.name).await? => {
                engine.create_container(spec).await
            }
            result => result,
        }
    }

    /// A call of a killed deploy may be carried out after this one has looked: the engine goes on with what it was
    /// asked. Removes the container that came so late, if it is this stack's; says whether the name may be free now.
    async fn clear_late(&self, name: &str) -> Result<bool, EngineError> {
        let engine = self.executor.engine;
        let until = Instant::now() + LATE;
        // The engine reserves the name some time before it shows the container.
        while Instant::now() < until {
            if let Some(found) = engine.container(name).await? {
                let own = found.stack() == Some(self.plan.stack.as_str());
                if own {
                    engine.remove_container(&found.id).await?;
                }
                return Ok(own);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    /// The same for networks, which an engine shows as soon as they are there.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<String, EngineError> {
        let engine = self.executor.engine;
        match engine.create_network(spec).await {
            Err(EngineError::NameTaken { what }) => {
                let late = engine.networks_named(&spec.name).await?;
                if late.iter().any(|network| network.stack() != Some(self.plan.stack.as_str())) {
                    return Err(EngineError::NameTaken { what });
                }
                for network in late {
                    engine.remove_network(&network.id).await?;
                }
                engine.create_network(spec).await
            }
            result => result,
        }
    }

    async fn create(
        &mut self,
        spec: &ContainerSpec,
        connect: &[(String, Vec<String>)],
    ) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        // Noted before the call: should its answer get lost, the name is looked for all the same.
        self.done.containers.push(spec.name.clone());
        let id = self.create_container(spec).await?;
        for (network, aliases) in connect {
            engine.connect(network, &id, aliases).await?;
        }
        match engine.container(&id).await? {
            Some(container) if container.image != spec.image => Err(DeployError::ImageChanged {
                container: spec.name.clone(),
                expected: spec.image,
                found: container.image,
            }),
            _ => Ok(()),
        }
    }

    /// A container reads a nonce from the store. Where the engine lives elsewhere (another host, a private mount
    /// namespace) it would otherwise be given an empty model.
    async fn store_check(&mut self, spec: &ContainerSpec) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)
            .map_err(|error| file_error("a random number", std::io::Error::other(error.to_string())))?;
        let nonce = Sha256::from_bytes(Hasher::digest(random).into()).hex();
        let file = self.stack.path().join(NONCE);
        atomic::write(&file, nonce.as_bytes(), 0o444)?;
        let unseen = |detail: String| DeployError::StoreUnseen {
            store: self.executor.store.root().to_owned(),
            detail,
        };
        let spec = ContainerSpec {
            mounts: vec![BindMount { source: file, target: "/nonce".to_owned() }],
            ..spec.clone()
        };
        self.done.containers.push(spec.name.clone());
        let read = async {
            self.create_container(&spec).await?;
            engine.start_container(&spec.name).await?;
            engine.wait_container(&spec.name).await?;
            let lines = engine.logs(&spec.name, Some(1)).await?;
            engine.remove_container(&spec.name).await?;
            Ok(lines.into_iter().next().map(|line| line.text))
        };
        let seen = read.await;
        self.stack.remove(NONCE)?;
        match seen {
            Ok(Some(text)) if text == nonce => Ok(()),
            Ok(text) => Err(unseen(format!(
                "a container read {:?} where a nonce was written",
                text.unwrap_or_default()
            ))),
            Err(EngineError::MountMissing { message, .. }) => Err(unseen(message)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what serves now; nothing is written when nothing changed.
    fn record(&self) -> Result<(), DeployError> {
        let current = self.stack.read::<Current>(CURRENT)?;
        if current.as_ref() != Some(&self.plan.result) {
            self.stack.write(CURRENT, &self.plan.result)?;
        }
        if self.stack.read::<Pending>(PENDING)?.is_some() {
            self.stack.remove(PENDING)?;
        }
        if !self.plan.is_empty() {
            self.sweep_folders()?;
        }
        Ok(())
    }

    /// Folders of configuration and secrets that no container of this stack mounts any more.
    fn sweep_folders(&self) -> Result<(), DeployError> {
        for name in self.stack.list("")? {
            let ours =
                ["gateway-", "secrets-"].iter().any(|kind| name.starts_with(kind)) && name != KEYS_FOLDER;
            if ours && !self.plan.folders.contains(&name) {
                self.stack.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn in_words(action: &Action) -> String {
    let (verb, object) = action.what.words();
    format!("{verb} {object}")
}

/// How long an engine may take over a call of a deploy that was killed.
const LATE: Duration = Duration::from_secs(10);

/// The file of key digests with the default key's own line in it. Lines that a person added, for the keys of teams, stay.
fn with_default_key(before: &str, digest: &Sha256) -> String {
    let others = before.lines().filter(|line| line.split_whitespace().nth(1) != Some("default"));
    let mut after = format!("{} default\n", digest.hex());
    for line in others {
        after.push_str(line);
        after.push('\n');
    }
    after
}

/// File in the stack's folder that the store check reads.
const NONCE: &str = "nonce";

/// The folder of key digests is mounted, so anybody inside the container may look into it; the store above it is closed.
fn open_folder(folder: &std::path::Path) -> Result<(), DeployError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(|source| file_error("the folder of key digests", source))
}

fn file_error(what: &str, source: std::io::Error) -> DeployError {
    DeployError::File { what: what.to_owned(), source }
}

const fn step_of(what: &What) -> Step {
    match what {
        What::LoadGatewayImage(_) => Step::GatewayImage,
        What::Publish(_) => Step::Store,
        What::StoreCheck(_) => Step::StoreCheck,
        What::CreateNetwork(_) => Step::CreateNetwork,
        What::CreateContainer { .. } => Step::CreateContainer,
        What::StopContainer(_) => Step::StopContainer,
        What::StartContainer(_) => Step::StartContainer,
        What::WaitReady { .. } => Step::WaitReady,
        What::Ask { .. } => Step::Ask,
        What::RemoveLeftover(_) | What::RemoveContainer(_) => Step::RemoveContainer,
        What::RemoveNetwork(_) => Step::RemoveNetwork,
    }
}
