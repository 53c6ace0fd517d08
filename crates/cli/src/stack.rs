//! What `plan` and `deploy` share: from a manifest to a plan.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::ManifestFile;
use crate::output::safe_line;
use sovai_core::Name;
use sovai_deployer::archive::{gateway_archive, gateway_id, gateway_tag};
use sovai_deployer::engine::{ContainerEngine, EngineInfo};
use sovai_deployer::{
    Blueprint, DeployError, GatewayImageRef, ModelRef, Observed, Plan, TlsFiles, preflight,
};
use sovai_manifest::{ImagePin, Lock, Manifest, Resolved, Source, resolve};
use sovai_store::{Root, RootImage, StackDir, Store, model_manifest};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A manifest whose every file and image is pinned.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// The manifest.
    pub(crate) file: ManifestFile,
    /// Its lock, where it has one.
    pub(crate) lock: Option<Lock>,
    /// Its pins.
    pub(crate) resolved: Resolved,
}

impl Pinned {
    /// Reads a manifest and its lock, and refuses what is pinned nowhere.
    pub(crate) fn load(path: &Path, ctx: &Ctx) -> Result<Self, CliError> {
        let file = ManifestFile::load(path, ctx.out)?;
        let lock = file.lock()?;
        let resolved = resolve(&file.manifest, lock.as_ref());
        if let Some((first, others)) = resolved.unpinned.split_first() {
            let mut error = CliError::new(Exit::Refused, safe_line(&first.to_string()));
            for other in others {
                error = error.cause(format!("also {}", safe_line(&other.to_string())));
            }
            let lock = format!("sovai lock {}", safe_line(&path.display().to_string()));
            return Err(error.hint(format!("pin it in the manifest, or make the lock: {lock}")));
        }
        Ok(Self { file, lock, resolved })
    }

    /// The manifest itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.file.manifest
    }

    /// The stack's name.
    pub(crate) fn name(&self) -> &Name {
        &self.file.manifest.name
    }

    /// Whether a model's source is not on this host.
    pub(crate) fn is_remote(&self, name: &Name) -> bool {
        self.manifest().models.get(name).is_some_and(|model| matches!(model.source, Source::Remote { .. }))
    }

    /// What the store is to remember of it, so that nothing of it is pruned: see [`sovai_store::Store::record_root`].
    pub(crate) fn root(&self) -> Result<Root, CliError> {
        let models = self.resolved.models.iter().map(|(name, files)| (name.clone(), model_manifest(files).1));
        let images = self.resolved.images.iter().map(|(reference, image)| {
            let locked = self.lock.as_ref().and_then(|lock| lock.images.get(reference));
            let image = match (locked, image.pin) {
                (Some(locked), _) => {
                    RootImage { config: locked.config.0, manifest: locked.manifest, index: locked.index }
                }
                (None, ImagePin::Digest(digest)) => {
                    RootImage { config: digest, manifest: Some(digest), index: None }
                }
                (None, ImagePin::Id(id)) => RootImage { config: id.0, manifest: None, index: None },
            };
            (reference.clone(), image)
        });
        let lock = self.file.lock_path()?;
        let (models, images) = (models.collect(), images.collect());
        Ok(Root::stack(&self.file.path, &lock, self.name().clone(), models, images)?)
    }

    /// Resolves everything that the manifest names; asks the engine for images, reads certificates and secrets.
    pub(crate) async fn blueprint<E: ContainerEngine>(
        &self,
        engine: &E,
        host: &Host,
        store: &Path,
        ready_deadline_s: Option<u32>,
    ) -> Result<Blueprint<'_>, CliError> {
        let manifest = self.manifest();
        let folder = self.file.resolve(Path::new(""));
        // Mounts need absolute paths, and one store has one path, as `Store::open` has it.
        let store = fs_err::canonicalize(store)
            .or_else(|_| std::path::absolute(store))
            .map_err(|error| CliError::new(Exit::Internal, "the working folder is gone").source(&error))?;
        let models = self.resolved.models.iter().map(|(name, files)| {
            let digest = model_manifest(files).1;
            let tree = sovai_store::tree_path(&store, &digest);
            (name.clone(), ModelRef { digest, tree, files: files.clone() })
        });
        // Only looked into: `plan` makes no store.
        let looked = Store::look(&store)?;
        let images =
            preflight::images(engine, &host.info, manifest, &self.resolved.images, looked.as_ref()).await?;
        Ok(Blueprint {
            manifest,
            models: models.collect(),
            images,
            gateway_image: host.image.clone(),
            tls: tls(manifest, &folder)?,
            secrets: preflight::secrets(manifest, &folder)?,
            stack_dir: store.join("stacks").join(manifest.name.as_str()),
            host_memory: host.info.memory,
            host_cpus: host.info.cpus,
            ready_deadline_s,
        })
    }
}

/// The gateway's TLS files; refused now when they do not fit together, not by a gateway that has replaced one that served.
fn tls(manifest: &Manifest, folder: &Path) -> Result<Option<TlsFiles>, CliError> {
    let files = preflight::tls(manifest, folder)?;
    if let Some(files) = &files {
        sovai_gateway::check_tls(&files.cert, &files.key.0, files.client_ca.as_deref()).map_err(|error| {
            CliError::new(Exit::Invalid, "the files of `gateway.tls` cannot be used")
                .source(&error)
                .hint("name a PEM certificate chain and the private key that belongs to it, not encrypted")
        })?;
    }
    Ok(files)
}

/// The container host, and the image that this binary makes for it.
#[derive(Debug)]
pub(crate) struct Host {
    /// What the engine says.
    pub(crate) info: EngineInfo,
    image: GatewayImageRef,
    binary: Vec<u8>,
}

/// This binary's architecture, as image platforms name it.
const OWN_ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

impl Host {
    /// Asks the engine, and works out the image of the running binary.
    pub(crate) async fn look<E: ContainerEngine>(engine: &E) -> Result<Self, CliError> {
        let info = engine.info().await?;
        if info.arch != OWN_ARCH {
            let found = safe_line(&info.arch);
            let message =
                format!("the container host is {found}, this sovai is {OWN_ARCH}: it cannot run there");
            return Err(
                CliError::new(Exit::Resources, message).hint("use the sovai binary for that architecture")
            );
        }
        // Not `current_exe`: that names a path, where an upgrade may already have put another binary.
        let binary = fs_err::read("/proc/self/exe").map_err(CliError::internal)?;
        let image = if info.has_containerd_store() {
            let image = gateway_archive(&binary, OWN_ARCH);
            GatewayImageRef { id: image.manifest_id, tag: image.tag }
        } else {
            let id = gateway_id(&binary, OWN_ARCH);
            GatewayImageRef { id, tag: gateway_tag(id) }
        };
        Ok(Self { info, image, binary })
    }

    /// The archive of the image of the running binary.
    pub(crate) fn archive(&self) -> Vec<u8> {
        gateway_archive(&self.binary, OWN_ARCH).archive
    }
}

/// One look and one plan; also that nobody else holds the names and addresses that it needs.
pub(crate) async fn plan<E: ContainerEngine>(
    engine: &E,
    blueprint: &Blueprint<'_>,
    folder: Option<&StackDir>,
) -> Result<(Plan, Observed), CliError> {
    let observed = preflight::observe(engine, &blueprint.manifest.name, folder, blueprint).await?;
    let plan = sovai_deployer::plan(blueprint, &observed).map_err(DeployError::from)?;
    preflight::check(engine, &plan, &observed).await?;
    Ok((plan, observed))
}

/// A stack's name from what a person typed: a name, or a manifest, which is then read for it.
pub(crate) fn stack_name(target: &OsStr, ctx: &Ctx) -> Result<Name, CliError> {
    let path = PathBuf::from(target);
    let text = target.to_string_lossy();
    let manifest = text.contains('/')
        || matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml"))
        || path.is_file();
    if manifest {
        return Ok(ManifestFile::load(&path, ctx.out)?.manifest.name);
    }
    Name::new(&text).map_err(|error| {
        CliError::new(Exit::Usage, format!("`{}` is no stack's name", safe_line(&text)))
            .source(&error)
            .hint("give a stack's name or the path of its manifest; `sovai status` lists what is deployed")
    })
}
