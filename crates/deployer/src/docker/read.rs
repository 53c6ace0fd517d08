//! From the engine's answers to the types of [`crate::engine`]. Nothing an engine leaves out makes a call fail, save
//! for an identity.

use super::lines::escape;
use crate::engine::{ContainerState, ContainerStatus, EngineError, EngineInfo, ImageInfo, NetworkState};
use bollard::models::{
    BuildInfo, ContainerInspectResponse, ContainerStateStatusEnum, ImageInspect, Network, PortMap,
    SystemInfo, SystemVersion,
};
use sovai_core::ImageId;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How Docker writes "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn info(version: SystemVersion, info: SystemInfo) -> EngineInfo {
    let limits = [
        ("memory", info.memory_limit),
        ("swap", info.swap_limit),
        ("pids", info.pids_limit),
        ("cpus", info.cpu_cfs_quota),
    ];
    EngineInfo {
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        os: version.os.or(info.os_type).unwrap_or_default(),
        arch: platform_arch(version.arch.or(info.architecture).unwrap_or_default()),
        memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        root_dir: info.docker_root_dir.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        security_options: info.security_options.unwrap_or_default(),
        runtimes: info.runtimes.map(|map| sorted(map).into_keys().collect()).unwrap_or_default(),
        missing_limits: limits
            .into_iter()
            .filter(|(_, there)| *there == Some(false))
            .map(|(name, _)| name.to_owned())
            .collect(),
    }
}

/// Most references that are read from the answer to a load.
const MAX_LOADED: usize = 64;

/// What a line of the answer to a load says was loaded: a tag or an ID.
pub(super) fn loaded(line: &BuildInfo) -> Vec<String> {
    let text = line.stream.as_deref().unwrap_or_default();
    let reference = |line: &str| {
        let rest = line.strip_prefix("Loaded image ID: ").or_else(|| line.strip_prefix("Loaded image: "))?;
        Some(rest.trim().to_owned())
    };
    text.lines().filter_map(reference).take(MAX_LOADED).collect()
}

/// Kernels and image platforms name the same machines differently.
fn platform_arch(arch: String) -> String {
    match arch.as_str() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        _ => arch,
    }
}

pub(super) fn image(what: &str, found: ImageInspect) -> Result<ImageInfo, EngineError> {
    let config = found.config.unwrap_or_default();
    Ok(ImageInfo {
        id: id(what, found.id.as_deref())?,
        tags: found.repo_tags.unwrap_or_default(),
        repo_digests: found.repo_digests.unwrap_or_default(),
        os: found.os.unwrap_or_default(),
        arch: platform_arch(found.architecture.unwrap_or_default()),
        labels: sorted(config.labels.unwrap_or_default()),
        volumes: config.volumes.unwrap_or_default(),
        size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
    })
}

pub(super) fn container(what: &str, found: ContainerInspectResponse) -> Result<ContainerState, EngineError> {
    let state = found.state.unwrap_or_default();
    let status = match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerStatus::Created,
        Some(ContainerStateStatusEnum::RUNNING) => ContainerStatus::Running,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerStatus::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => ContainerStatus::Exited,
        _ => ContainerStatus::Other,
    };
    let ever = |time: Option<String>| time.filter(|time| !time.is_empty() && time != NEVER);
    let ended = ever(state.finished_at).is_some();
    let runs_or_never_ran = matches!(status, ContainerStatus::Running | ContainerStatus::Created);
    let settings = found.network_settings.unwrap_or_default();
    let asked = found.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
    let mut published = ports(asked);
    published.extend(ports(settings.ports.unwrap_or_default()));
    Ok(ContainerState {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: id(what, found.image.as_deref())?,
        labels: sorted(found.config.and_then(|config| config.labels).unwrap_or_default()),
        status,
        exit_code: state.exit_code.filter(|_| ended && !runs_or_never_ran),
        error: state.error.filter(|error| !error.is_empty()).map(|error| escape(&error)),
        oom_killed: state.oom_killed.unwrap_or(false),
        started_at: ever(state.started_at),
        restarts: found.restart_count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        published,
        networks: sorted(settings.networks.unwrap_or_default()).into_keys().collect(),
    })
}

pub(super) fn network(found: Network) -> NetworkState {
    NetworkState {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default(),
        labels: sorted(found.labels.unwrap_or_default()),
        internal: found.internal.unwrap_or(false),
        options: sorted(found.options.unwrap_or_default()),
    }
}

/// TCP ports that have a place on the host; an address that is left out means all of the host's.
fn ports(map: PortMap) -> BTreeMap<u16, Vec<SocketAddr>> {
    let mut found = BTreeMap::new();
    for (inside, bindings) in map {
        let Some(inside) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
        let mut places: Vec<SocketAddr> = bindings
            .unwrap_or_default()
            .into_iter()
            .filter_map(|binding| {
                let port = binding.host_port?.parse().ok()?;
                let ip = match binding.host_ip.as_deref() {
                    None | Some("") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    Some(ip) => ip.parse().ok()?,
                };
                Some(SocketAddr::new(ip, port))
            })
            .collect();
        places.sort_unstable();
        if !places.is_empty() {
            found.insert(inside, places);
        }
    }
    found
}

/// An image's ID; podman leaves the algorithm out.
fn id(what: &str, text: Option<&str>) -> Result<ImageId, EngineError> {
    let text = text.unwrap_or_default();
    let whole = if text.contains(':') { text.to_owned() } else { format!("sha256:{text}") };
    whole.parse().map_err(|error| EngineError::Answer {
        what: what.to_owned(),
        status: 200,
        message: format!("an image ID that is none: {error}"),
    })
}

fn sorted<V>(map: HashMap<String, V>) -> BTreeMap<String, V> {
    map.into_iter().collect()
}

#[cfg(test)]
mod tests;
