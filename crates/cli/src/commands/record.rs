//! What a command did goes into the evidence log: one signed statement a run, also of a run that failed or was refused.
//!
//! A statement is written when its run has ended. What the run did stands whether or not it could be written down, so a log
//! that takes no line is a warning, and never another exit code.

use super::trust::{now, place};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::judge::{Judged, Verdict};
use crate::manifest::ManifestFile;
use crate::output::safe_line;
use crate::policy::PolicyFile;
use crate::stack::Pinned;
use serde_json::Value;
use sovai_bundle::Index;
use sovai_core::{FilePin, Name, Sha256};
use sovai_deployer::Blueprint;
use sovai_evidence::run::{BundleRun, GatewayRun, ImageRun, ModelRun, PolicyRef, Run, ServiceRun};
use sovai_evidence::{Log, site_key};
use sovai_manifest::{Auth, ImagePin, LockedModel, MAX_LOCK_BYTES, Manifest};
use sovai_store::{Store, model_manifest};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Collects what one run has to say, and writes it down at the end.
#[derive(Debug)]
pub(crate) struct Recorder {
    command: &'static str,
    begun: Instant,
    store: Option<Store>,
    /// What is said; commands fill in what they know.
    pub(crate) run: Run,
}

impl Recorder {
    /// For a run of `command`, as [`sovai_evidence::run::COMMANDS`] has it. Nothing is recorded until [`Recorder::begin`].
    pub(crate) fn new(command: &'static str) -> Self {
        Self { command, begun: Instant::now(), store: None, run: Run::default() }
    }

    /// From here on the run is recorded, in the log of this store.
    pub(crate) fn begin(&mut self, store: &Store) {
        self.store = Some(store.clone());
    }

    /// The same for a command that needs no store: where there is none, or another's, nothing is recorded.
    pub(crate) fn begin_where_there(&mut self, ctx: &Ctx) {
        self.store = ctx.settings.store.as_deref().and_then(|path| Store::look(path).ok().flatten());
    }

    /// The run is about this bundle; `signers` are the keys whose signatures over its index hold.
    pub(crate) fn bundle(&mut self, index: &Index, digest: &Sha256, signers: Vec<String>) {
        self.run.stack = Some(index.stack.to_string());
        self.run.bundle = Some(BundleRun {
            sequence: index.sequence,
            index: digest.to_string(),
            volumes: Some(index.volumes.len() as u64),
            parity: Some(index.parity.as_ref().map_or(0, |parity| parity.volumes.len() as u64)),
            bytes: Some(index.items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.size))),
            signers,
            ..BundleRun::default()
        });
    }

    /// The models and images that a bundle's index names.
    pub(crate) fn carried(&mut self, index: &Index) {
        for (name, carried) in &index.models {
            let model = self.model(name);
            model.digest = Some(carried.digest.to_string());
            model.license.clone_from(&carried.license);
        }
        for (name, carried) in &index.images {
            self.image(name).id = Some(carried.id.to_string());
        }
    }

    /// The run is about this manifest.
    pub(crate) fn manifest(&mut self, file: &ManifestFile) {
        self.run.stack = Some(file.manifest.name.to_string());
        self.run.about(base_name(&file.path), &file.sha256);
    }

    /// The run goes by the lock beside this manifest, where there is one.
    pub(crate) fn lock(&mut self, file: &ManifestFile) {
        let Ok(path) = file.lock_path() else { return };
        if let Ok(bytes) = read_bounded(&path, MAX_LOCK_BYTES, "lock") {
            self.run.about(base_name(&path), &crate::judge::digest(&bytes));
        }
    }

    /// The models of a manifest with their pins, and its images.
    pub(crate) fn pinned(&mut self, pinned: &Pinned) {
        self.manifest(&pinned.file);
        if pinned.lock.is_some() {
            self.lock(&pinned.file);
        }
        for (name, pins) in &pinned.resolved.models {
            let model = self.model(name);
            *model = pinned_model(pins);
            declare(model, pinned.manifest(), name, pinned.locked(name));
        }
        for (name, image) in &pinned.resolved.images {
            let id = match (pinned.lock.as_ref().and_then(|lock| lock.images.get(name)), image.pin) {
                (Some(locked), _) => locked.config.0,
                (None, ImagePin::Id(id)) => id.0,
                (None, ImagePin::Digest(digest)) => digest,
            };
            self.image(name).id = Some(id.to_string());
        }
    }

    /// Services and gateway of a manifest, for the picture of what runs.
    pub(crate) fn serves(&mut self, manifest: &Manifest) {
        let of = |(name, service): (&Name, &sovai_manifest::Service)| {
            let run = ServiceRun {
                engine: service.engine.clone(),
                image: service.image.name.clone(),
                model: service.model.as_ref().map(ToString::to_string),
            };
            (name.to_string(), run)
        };
        self.run.services = manifest.services.iter().map(of).collect();
        self.run.gateway = manifest.gateway.as_ref().map(|gateway| GatewayRun {
            listen: gateway.listen.to_string(),
            tls: gateway.tls.is_some(),
            keys: gateway.auth == Auth::Keys,
            routes: gateway
                .routes
                .iter()
                .map(|(name, service)| (name.clone(), service.to_string()))
                .collect(),
        });
    }

    /// The IDs of the images that a deploy uses, as the container engine has them.
    pub(crate) fn images(&mut self, manifest: &Manifest, blueprint: &Blueprint<'_>) {
        for (name, service) in &manifest.services {
            if let Some(image) = blueprint.images.get(name) {
                self.image(&service.image.name).id = Some(image.id.to_string());
            }
        }
        if manifest.gateway.is_some() {
            self.image(&blueprint.gateway_image.tag).id = Some(blueprint.gateway_image.id.to_string());
        }
    }

    /// What is said of one model.
    pub(crate) fn model(&mut self, name: &Name) -> &mut ModelRun {
        self.run.models.entry(name.to_string()).or_default()
    }

    /// What is said of one image.
    pub(crate) fn image(&mut self, name: &str) -> &mut ImageRun {
        self.run.images.entry(name.to_owned()).or_default()
    }

    /// The policy that judges.
    pub(crate) fn policy(&mut self, policy: Option<&PolicyFile>) {
        self.run.policy = policy.map(|file| PolicyRef {
            uri: file.path.as_deref().map_or_else(
                || "sovai:policy/built-in".to_owned(),
                |path| format!("file:{}", base_name(path)),
            ),
            sha256: file.sha256.hex(),
        });
    }

    /// Trust levels and signers of models that were judged.
    pub(crate) fn judged(&mut self, models: &BTreeMap<Name, Judged>) {
        for (name, judged) in models {
            let model = self.model(name);
            model.matches = Some(true);
            model.trust = Some(judged.judgement.level.level.to_string());
            model.signers = signers(&judged.signatures);
        }
    }

    /// Findings as the result has them.
    pub(crate) fn found(&mut self, findings: &[Value]) {
        self.run.found(findings);
    }

    /// Writes the statement; `result` is how the run ended.
    pub(crate) fn finish(mut self, result: &Result<Exit, CliError>, ctx: &Ctx) {
        let Some(store) = self.store.take() else { return };
        let exit = match result {
            Ok(exit) => *exit,
            Err(error) => {
                self.run.found(error.findings());
                self.run.message = Some(safe_line(error.message()));
                error.exit()
            }
        };
        let run = &mut self.run;
        run.ended(now());
        run.milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        run.place = place();
        env!("CARGO_PKG_VERSION").clone_into(&mut run.version);
        run.exit_code = exit.code();
        word(exit).clone_into(&mut run.result);
        let Some(statement) = self.run.statement(self.command) else { return };
        let appended = site_key(&store).and_then(|key| Log::open(&store).append(&statement, &key));
        if let Err(error) = appended {
            let why = safe_line(&error.to_string());
            ctx.out.warn(&format!("this run is not in the evidence log: {why}"));
        }
    }
}

/// `done`, `refused`, `interrupted`, or `failed`.
const fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Refused => "refused",
        Exit::Interrupted => "interrupted",
        _ => "failed",
    }
}

/// A model by what it is pinned to.
pub(crate) fn pinned_model(pins: &[FilePin]) -> ModelRun {
    ModelRun {
        digest: Some(model_manifest(pins).1.to_string()),
        files: Some(pins.len() as u64),
        bytes: Some(FilePin::total(pins)),
        ..ModelRun::default()
    }
}

/// What a manifest and its lock say of a model: source, revision and licence.
pub(crate) fn declare(model: &mut ModelRun, manifest: &Manifest, name: &Name, locked: Option<&LockedModel>) {
    let Some(declared) = manifest.models.get(name) else { return };
    model.source = Some(declared.source.to_string());
    model.revision = locked
        .and_then(|locked| locked.revision.clone())
        .or_else(|| declared.wanted_revision().map(ToOwned::to_owned));
    model.license = declared.license.clone().or_else(|| locked.and_then(|locked| locked.license.clone()));
}

/// Key ids of the signatures that hold, each once.
pub(crate) fn signers(signatures: &[Verdict]) -> Vec<String> {
    let ids: std::collections::BTreeSet<String> =
        signatures.iter().flat_map(Verdict::by).map(|by| by.key.to_string()).collect();
    ids.into_iter().collect()
}

/// The last part of a path, in words: where a file lies on a host is nobody's business elsewhere.
pub(crate) fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The digest that stands for a stack of which only the name is known: of the name itself.
pub(crate) fn stack_digest(name: &Name) -> Sha256 {
    crate::judge::digest(name.as_str().as_bytes())
}
