//! The container of a service of the manifest.

use super::{LOG_ROTATION, NONROOT, Ready, SpecError, Wanted, digest, folder};
use crate::blueprint::{Blueprint, ModelRef};
use crate::engine::{BindMount, ContainerSpec, DeviceRequest, Restart};
use sovai_catalog::{ArgContext, EngineProfile};
use sovai_core::{FilePin, Name, RelPath};
use sovai_manifest::{Accelerators, Service, Wanted as WantedDevices};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a model is mounted: `/models/<model>`.
const MODELS: &str = "/models";
/// Where secrets are mounted; the place that Docker and Podman use.
const SECRETS: &str = "/run/secrets";
/// Memory of a plain service that names none.
const PLAIN_MEMORY: u64 = 1 << 30;
/// What an engine needs beside its weights where neither manifest nor profile say: runtime, KV cache, buffers.
const ENGINE_OVERHEAD: u64 = 2 << 30;
/// Processes of a container that names no limit.
const DEFAULT_PIDS: u32 = 512;
/// `/tmp` of a container whose profile says nothing else.
const TMPFS: &str = "rw,noexec,nosuid,nodev,size=64m,mode=1777";

/// The container of a service.
pub(super) fn container(
    blueprint: &Blueprint<'_>,
    name: &Name,
    service: &Service,
) -> Result<Wanted, SpecError> {
    let profile = match &service.engine {
        None => None,
        Some(engine) => Some(
            sovai_catalog::engine(engine)
                .ok_or_else(|| SpecError::Engine { service: name.clone(), engine: engine.clone() })?,
        ),
    };
    let model = service.model.as_ref().and_then(|model| blueprint.models.get_key_value(model));
    let mut mounts = Vec::new();
    if let Some((model, reference)) = model {
        mounts.push(BindMount { source: reference.tree.clone(), target: format!("{MODELS}/{model}") });
    }
    let mut folders = Vec::new();
    if let Some(secrets) = blueprint.secrets.get(name).filter(|secrets| !secrets.is_empty()) {
        let files = secrets
            .iter()
            .filter_map(|(name, bytes)| Some((RelPath::new(name.as_str()).ok()?, bytes.clone())));
        let folder = folder("secrets", files.collect());
        mounts.push(BindMount { source: blueprint.stack_dir.join(&folder.name), target: SECRETS.to_owned() });
        folders.push(folder);
    }
    let mut args = match (profile, model) {
        (Some(profile), Some((model, reference))) => engine_args(name, service, profile, model, reference)?,
        _ => Vec::new(),
    };
    args.extend(service.args.iter().cloned());
    let mut env = profile.map(|profile| profile.env.clone()).unwrap_or_default();
    env.extend(service.env.iter().map(|(key, value)| (key.clone(), value.clone())));

    if let Some(asked) = service.resources.millicpus
        && asked > blueprint.host_cpus.saturating_mul(1000)
    {
        return Err(SpecError::Cpus { service: name.clone(), asked, host: blueprint.host_cpus });
    }
    let image = blueprint.images.get(name);
    let mut tmpfs = profile.map_or_else(
        || BTreeMap::from([("/tmp".to_owned(), TMPFS.to_owned())]),
        |profile| profile.tmpfs.clone(),
    );
    // A volume that the image declares would be a writable place on disk, also under a read-only root.
    for volume in image.into_iter().flat_map(|image| &image.volumes) {
        if !mounts.iter().any(|mount| mount.target == *volume) {
            tmpfs.entry(volume.clone()).or_insert_with(|| TMPFS.to_owned());
        }
    }

    let template = ContainerSpec {
        name: String::new(),
        image: image.map_or(blueprint.gateway_image.id, |image| image.id),
        hostname: name.to_string(),
        entrypoint: profile.and_then(|profile| profile.entrypoint.clone()),
        args,
        env,
        labels: BTreeMap::new(),
        user: profile.map_or_else(|| NONROOT.to_owned(), |profile| profile.user.clone()),
        groups: Vec::new(),
        mounts,
        tmpfs,
        memory: memory(blueprint, name, service, profile, model.map(|(_, reference)| reference))?,
        millicpus: service.resources.millicpus,
        pids: service.resources.pids.or(profile.map(|profile| profile.pids)).unwrap_or(DEFAULT_PIDS),
        shm: service.resources.shm.map(|size| size.0).or(profile.and_then(|profile| profile.shm)),
        restart: Restart::UnlessStopped,
        log_rotation: LOG_ROTATION,
        network: None,
        aliases: vec![name.to_string()],
        publish: BTreeMap::new(),
        gpus: service.accelerators.as_ref().map(|wanted| devices(name, wanted)).transpose()?,
        stop_timeout: profile.map_or(10, |profile| profile.stop_timeout_s),
    };
    let ready = profile.map(|profile| Ready {
        url: format!("http://{name}:{}{}", profile.port, profile.health.path),
        status: profile.health.status,
        body: profile.health.body.clone(),
        deadline: Duration::from_secs(u64::from(blueprint.ready_deadline_s.unwrap_or(profile.deadline_s))),
        own_deadline: Duration::from_secs(u64::from(profile.deadline_s)),
    });
    Ok(Wanted {
        service: name.to_string(),
        digest: digest(&template),
        folders,
        ready,
        model: model.map(|(model, _)| model.clone()),
        waits: !service.depends.is_empty(),
        template,
    })
}

fn engine_args(
    name: &Name,
    service: &Service,
    profile: &EngineProfile,
    model: &Name,
    reference: &ModelRef,
) -> Result<Vec<String>, SpecError> {
    let mut path = format!("{MODELS}/{model}");
    let files = reference.files.iter().map(|file| file.path.as_str());
    if let Some(main) = profile.model.main_file(files).map_err(|source| SpecError::ModelShape {
        service: name.clone(),
        engine: profile.name.clone(),
        model: model.clone(),
        source: Box::new(source),
    })? {
        path = format!("{path}/{main}");
    }
    Ok(profile.render_args(&ArgContext {
        model_path: &path,
        model_name: model.as_str(),
        port: profile.port,
        context: service.context,
        tensor: service.parallelism.tensor,
        pipeline: service.parallelism.pipeline,
        data: service.parallelism.data,
        sequences: service.parallelism.sequences,
        threads: None,
    }))
}

/// The limit that is asked for, else the profile's, else the weights and [`ENGINE_OVERHEAD`]; never above the host's.
fn memory(
    blueprint: &Blueprint<'_>,
    name: &Name,
    service: &Service,
    profile: Option<&EngineProfile>,
    model: Option<&ModelRef>,
) -> Result<u64, SpecError> {
    let host = blueprint.host_memory;
    if let Some(asked) = service.resources.memory {
        if asked.0 > host {
            return Err(SpecError::Memory { service: name.clone(), asked: asked.0, host });
        }
        return Ok(asked.0);
    }
    let wanted = match profile {
        None => PLAIN_MEMORY,
        Some(profile) => profile.memory.unwrap_or_else(|| {
            let weights = model.map_or(0, |model| FilePin::total(&model.files));
            weights.saturating_add(weights / 4).saturating_add(ENGINE_OVERHEAD)
        }),
    };
    Ok(wanted.min(host))
}

fn devices(service: &Name, wanted: &Accelerators) -> Result<DeviceRequest, SpecError> {
    let request = sovai_catalog::vendor(&wanted.vendor).and_then(|vendor| vendor.device_request.as_ref());
    let Some(request) = request else {
        let known = sovai_catalog::vendors().iter().filter(|vendor| vendor.device_request.is_some());
        return Err(SpecError::Accelerator {
            service: service.clone(),
            vendor: wanted.vendor.clone(),
            known: known.map(|vendor| vendor.id.as_str()).collect::<Vec<_>>().join(", "),
        });
    };
    let (count, ids) = match &wanted.wanted {
        WantedDevices::Count(count) => (Some(*count), Vec::new()),
        WantedDevices::Ids(ids) => (None, ids.clone()),
    };
    Ok(DeviceRequest {
        driver: request.driver.clone(),
        count,
        ids,
        capabilities: request.capabilities.clone(),
    })
}
