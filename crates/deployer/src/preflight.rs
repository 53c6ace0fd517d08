//! Looks before it leaps: everything that can be known before the first byte is verified or the first thing is made.

use crate::blueprint::{Blueprint, Hidden, ImageRef, TlsFiles};
use crate::engine::{ContainerEngine, EngineInfo};
use crate::error::DeployError;
use crate::images::{self, Origin, StoredRef};
use crate::labels::Labelled as _;
use crate::plan::{Observed, Plan, What};
use crate::state::{CURRENT, Current, PENDING, Pending};
use sovai_core::Name;
use sovai_manifest::{ImagePin, Manifest, ResolvedImage};
use sovai_store::{StackDir, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Finds the pinned image of every service: in the engine, or else in the store, from where it is to be loaded.
pub async fn images<E: ContainerEngine>(
    engine: &E,
    info: &EngineInfo,
    manifest: &Manifest,
    pins: &BTreeMap<String, ResolvedImage>,
    store: Option<&Store>,
) -> Result<BTreeMap<Name, ImageRef>, DeployError> {
    let mut found = BTreeMap::new();
    for (service, asked) in &manifest.services {
        let name = &asked.image.name;
        let pin = match (pins.get(name), asked.image.pin) {
            (_, Some(pin)) => pin,
            (Some(resolved), None) => resolved.pin,
            (None, None) => continue,
        };
        let (platform, image) = match images::look_for(engine, info, store, name, &pin).await? {
            Origin::Engine(found) => {
                let image = ImageRef { load: None, id: found.id, volumes: found.volumes };
                (format!("{}/{}", found.os, found.arch), Some(image))
            }
            Origin::Store(stored) => {
                let (id, manifest) = (info.id_of(&stored), stored.manifest.digest);
                let load = Some(StoredRef { id, name: name.clone(), manifest });
                let image = ImageRef { load, id, volumes: stored.volumes };
                (format!("{}/{}", stored.platform.os(), stored.platform.architecture()), Some(image))
            }
            Origin::Elsewhere(platform) => (platform.to_string(), None),
            Origin::Nowhere => {
                let pin = match pin {
                    ImagePin::Id(id) => id.to_string(),
                    ImagePin::Digest(digest) => digest.to_string(),
                };
                let found = engine.image(name).await?.map(|image| image.id);
                let (service, name) = (service.clone(), name.clone());
                return Err(DeployError::ImageMissing { service, name, pin, found });
            }
        };
        let host = format!("{}/{}", info.os, info.arch);
        match image {
            Some(image) if platform == host => found.insert(service.clone(), image),
            _ => {
                let (service, name) = (service.clone(), name.clone());
                return Err(DeployError::WrongPlatform { service, name, found: platform, host });
            }
        };
    }
    Ok(found)
}

/// Reads the TLS files that a manifest names; `folder` is the manifest's.
pub fn tls(manifest: &Manifest, folder: &Path) -> Result<Option<TlsFiles>, DeployError> {
    let Some(tls) = manifest.gateway.as_ref().and_then(|gateway| gateway.tls.as_ref()) else {
        return Ok(None);
    };
    let read = |what: &str, path: &Path| read(&format!("the gateway's {what}"), &folder.join(path));
    Ok(Some(TlsFiles {
        cert: read("TLS certificate", &tls.cert)?,
        key: Hidden(read("TLS key", &tls.key)?),
        client_ca: tls.client_ca.as_ref().map(|path| read("client CA", path)).transpose()?,
    }))
}

/// Reads the secrets that a manifest names; `folder` is the manifest's.
pub fn secrets(
    manifest: &Manifest,
    folder: &Path,
) -> Result<BTreeMap<Name, BTreeMap<Name, Hidden>>, DeployError> {
    let mut all = BTreeMap::new();
    for (service, asked) in &manifest.services {
        let mut files = BTreeMap::new();
        for secret in &asked.secrets {
            let what = format!("secret `{}` of service `{service}`", secret.name);
            files.insert(secret.name.clone(), Hidden(read(&what, &folder.join(&secret.file))?));
        }
        all.insert(service.clone(), files);
    }
    Ok(all)
}

/// Certificates and secrets are small; anything above this is a mistake.
const MAX_FILE: u64 = 1 << 20;

fn read(what: &str, path: &Path) -> Result<Vec<u8>, DeployError> {
    use std::io::{Error, ErrorKind, Read as _};
    let failed = |source| DeployError::File { what: what.to_owned(), source };
    let metadata = fs_err::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        let message = format!("{} is not a regular file of at most 1 MiB", path.display());
        return Err(failed(Error::new(ErrorKind::InvalidInput, message)));
    }
    let mut bytes = Vec::new();
    fs_err::File::open(path).map_err(failed)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Takes one look at the engine and at the stack's folder. Only reads.
pub async fn observe<E: ContainerEngine>(
    engine: &E,
    stack: &Name,
    folder: Option<&StackDir>,
    blueprint: &Blueprint<'_>,
) -> Result<Observed, DeployError> {
    let mut observed = Observed {
        containers: engine.containers(Some(stack.as_str())).await?,
        networks: engine.networks(Some(stack.as_str())).await?,
        gateway_image: engine.image(&blueprint.gateway_image.id.to_string()).await?.is_some(),
        ..Observed::default()
    };
    for (name, model) in &blueprint.models {
        if let Ok(metadata) = fs_err::symlink_metadata(&model.tree) {
            observed.trees.insert(name.clone(), metadata.ino());
        }
    }
    if let Some(folder) = folder {
        observed.current = folder.read::<Current>(CURRENT)?;
        observed.pending = folder.read::<Pending>(PENDING)?.map(|pending| pending.generation);
        observed.folders = subfolders(folder.path());
    }
    Ok(observed)
}

fn subfolders(path: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs_err::read_dir(path) else { return BTreeSet::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Names and addresses that the plan needs: nobody else may hold them.
pub async fn check<E: ContainerEngine>(
    engine: &E,
    plan: &Plan,
    observed: &Observed,
) -> Result<(), DeployError> {
    let stack = Some(plan.stack.as_str());
    for action in &plan.actions {
        let container = match &action.what {
            What::CreateContainer { spec, .. } | What::StoreCheck(spec) => Some(spec),
            _ => None,
        };
        match (container, &action.what) {
            (Some(spec), _) => {
                if let Some(there) = engine.container(&spec.name).await?
                    && there.stack() != stack
                {
                    return Err(DeployError::ForeignContainer { name: there.name, id: short(&there.id) });
                }
                for listen in spec.publish.values() {
                    check_free(*listen, observed)?;
                }
            }
            (None, What::CreateNetwork(spec)) => {
                if let Some(there) =
                    engine.networks_named(&spec.name).await?.into_iter().find(|n| n.stack() != stack)
                {
                    return Err(DeployError::ForeignNetwork { name: there.name, id: short(&there.id) });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The address is free, or it is one of this stack's own containers that holds it. On another host than the engine's,
/// or in another network namespace, this sees nothing; the engine's own refusal then says the same later.
fn check_free(listen: SocketAddr, observed: &Observed) -> Result<(), DeployError> {
    let own =
        observed.containers.iter().flat_map(|c| c.published.values().flatten()).any(|held| *held == listen);
    match TcpListener::bind(listen) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && !own => {
            Err(DeployError::PortTaken { listen })
        }
        _ => Ok(()),
    }
}

/// The first 12 digits of an ID, as `docker ps` shows it.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
