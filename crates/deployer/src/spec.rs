//! From a blueprint to containers and networks: pure, so that `plan` prints just what `deploy` does.

mod gateway;
mod service;

use crate::blueprint::{Blueprint, Folder, Hidden};
use crate::engine::{ContainerSpec, NetworkSpec, Restart};
use crate::labels::{self, EDGE, GATEWAY, INTERNAL};
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_catalog::ShapeError;
use sovai_core::{Name, RelPath, Sha256, format_bytes};
use sovai_manifest::Service;
use std::collections::BTreeMap;
use std::time::Duration;

/// User of every container whose profile names none: the `nonroot` of the distroless images.
pub(crate) const NONROOT: &str = "65532:65532";
/// Log files a container keeps: three of 10 MiB.
pub(crate) const LOG_ROTATION: (u64, u32) = (10 << 20, 3);

/// A container as it is wanted, its generation still open.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The service, or [`GATEWAY`].
    pub service: String,
    /// Digest over everything that decides how it is made.
    pub digest: String,
    /// Folders that must be in place before it is created.
    pub folders: Vec<Folder>,
    /// How it says that it is ready; `None`: it runs.
    pub ready: Option<Ready>,
    /// The model that it mounts.
    pub model: Option<Name>,
    /// Whether it starts only when others are ready.
    pub waits: bool,
    template: ContainerSpec,
}

/// How a service says that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Asked from inside the stack.
    pub url: String,
    /// Status that means ready.
    pub status: u16,
    /// Text that the body must contain.
    pub body: Option<String>,
    /// How long it may take.
    pub deadline: Duration,
    /// The same without what the person asked for: for bringing back what served before.
    pub own_deadline: Duration,
}

/// A network as it is wanted.
#[derive(Debug, Clone)]
pub(crate) struct WantedNetwork {
    /// [`INTERNAL`] or [`EDGE`].
    pub role: &'static str,
    /// Digest over everything that decides how it is made.
    pub digest: String,
    template: NetworkSpec,
}

/// Everything a stack is made of.
#[derive(Debug, Clone)]
pub(crate) struct WantedStack {
    /// Containers, each after those it depends on; the gateway first, since readiness is asked from inside it.
    pub containers: Vec<Wanted>,
    /// Networks.
    pub networks: Vec<WantedNetwork>,
}

/// Why a manifest cannot be turned into containers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// The engine profile is not known.
    #[error("service `{service}`: no engine profile is called `{engine}`")]
    Engine {
        /// The service.
        service: Name,
        /// The profile that it names.
        engine: String,
    },
    /// The model has no files that this engine can read.
    #[error("service `{service}`: engine `{engine}` cannot read model `{model}`")]
    ModelShape {
        /// The service.
        service: Name,
        /// Its engine.
        engine: String,
        /// The model.
        model: Name,
        /// What it lacks.
        #[source]
        source: Box<ShapeError>,
    },
    /// More memory is asked for than the host has.
    #[error("service `{service}` asks for {} of memory, the container host has {}", format_bytes(*.asked), format_bytes(*.host))]
    Memory {
        /// The service.
        service: Name,
        /// Bytes asked for.
        asked: u64,
        /// Bytes of the host.
        host: u64,
    },
    /// More CPUs are asked for than the host has.
    #[error("service `{service}` asks for {} CPUs, the container host has {host}", f64::from(*.asked) / 1000.0)]
    Cpus {
        /// The service.
        service: Name,
        /// Thousandths of a CPU asked for.
        asked: u32,
        /// CPUs of the host.
        host: u32,
    },
    /// Accelerators of this vendor cannot be given to a container yet.
    #[error(
        "service `{service}`: accelerators of vendor `{vendor}` cannot be given to a container yet; known: {known}"
    )]
    Accelerator {
        /// The service.
        service: Name,
        /// The vendor asked for.
        vendor: String,
        /// Vendors that can.
        known: String,
    },
}

impl Wanted {
    /// The container under its final name, with its labels, in these networks.
    pub(crate) fn render(&self, stack: &Name, generation: u32, internal: &str, edge: &str) -> ContainerSpec {
        let home = if self.service == GATEWAY { edge } else { internal };
        ContainerSpec {
            name: labels::container_name(stack, generation, &self.service),
            labels: labels::labels(stack, generation, &self.service, &self.digest),
            network: Some(home.to_owned()),
            ..self.template.clone()
        }
    }

    /// Networks beside its first one, by role.
    pub(crate) fn roles(&self) -> &'static [&'static str] {
        if self.service == GATEWAY { &[EDGE, INTERNAL] } else { &[INTERNAL] }
    }

    /// The image it runs.
    pub(crate) fn image(&self) -> sovai_core::ImageId {
        self.template.image
    }
}

impl WantedNetwork {
    /// The network under its final name, with its labels.
    pub(crate) fn render(&self, stack: &Name, generation: u32) -> NetworkSpec {
        let name = match self.role {
            EDGE => labels::edge_network_name(stack),
            _ => labels::internal_network_name(stack, generation),
        };
        NetworkSpec {
            name,
            labels: labels::labels(stack, generation, self.role, &self.digest),
            ..self.template.clone()
        }
    }
}

/// Turns a blueprint into containers and networks.
pub(crate) fn wanted(blueprint: &Blueprint<'_>) -> Result<WantedStack, SpecError> {
    let manifest = blueprint.manifest;
    let mut networks = vec![network(
        INTERNAL,
        true,
        // Without an address of its own on the bridge the host is not reachable through it: `internal` alone still
        // lets a container talk to services that listen on the host.
        [("com.docker.network.bridge.inhibit_ipv4", "true")],
    )];
    let mut containers = Vec::new();
    if let Some(gateway) = gateway::gateway(blueprint) {
        networks.push(network(EDGE, false, [("com.docker.network.bridge.enable_ip_masquerade", "false")]));
        containers.push(gateway);
    }
    for name in start_order(&manifest.services) {
        if let Some(service) = manifest.services.get(name) {
            containers.push(service::container(blueprint, name, service)?);
        }
    }
    Ok(WantedStack { containers, networks })
}

/// Services, each after those it depends on; the manifest has no cycles.
fn start_order(services: &BTreeMap<Name, Service>) -> Vec<&Name> {
    fn visit<'a>(
        name: &'a Name,
        services: &'a BTreeMap<Name, Service>,
        order: &mut Vec<&'a Name>,
        depth: usize,
    ) {
        if order.contains(&name) || depth > services.len() {
            return;
        }
        if let Some(service) = services.get(name) {
            for dependency in &service.depends {
                visit(dependency, services, order, depth + 1);
            }
        }
        order.push(name);
    }
    let mut order = Vec::new();
    for name in services.keys() {
        visit(name, services, &mut order, 0);
    }
    order
}

/// Folder in the stack's folder that holds the digests of the gateway's keys.
pub(crate) const KEYS_FOLDER: &str = "gateway-keys";
/// File in [`KEYS_FOLDER`]: one SHA-256 a line.
pub(crate) const KEY_DIGESTS: &str = "keys.sha256";
/// Where the deploy question is put, from inside the gateway's container.
pub(crate) const INNER_URL: &str = "http://127.0.0.1:8081";

/// A container of sovai's own image with nothing mounted and no arguments.
pub(crate) fn helper(blueprint: &Blueprint<'_>, service: &str) -> ContainerSpec {
    ContainerSpec {
        name: String::new(),
        image: blueprint.gateway_image.id,
        hostname: service.to_owned(),
        entrypoint: None,
        args: Vec::new(),
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        user: NONROOT.to_owned(),
        groups: Vec::new(),
        mounts: Vec::new(),
        tmpfs: BTreeMap::new(),
        memory: (64 << 20_u64).min(blueprint.host_memory),
        millicpus: None,
        pids: 64,
        shm: None,
        restart: Restart::No,
        log_rotation: LOG_ROTATION,
        network: None,
        aliases: Vec::new(),
        publish: BTreeMap::new(),
        gpus: None,
        stop_timeout: 5,
    }
}

fn network<const N: usize>(role: &'static str, internal: bool, options: [(&str, &str); N]) -> WantedNetwork {
    let template = NetworkSpec {
        name: String::new(),
        labels: BTreeMap::new(),
        internal,
        options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    WantedNetwork { role, digest: digest(&template), template }
}

/// A folder named by its content: `<kind>-<first 16 digits of a SHA-256 over paths and bytes>`.
fn folder(kind: &str, files: Vec<(RelPath, Hidden)>) -> Folder {
    let mut hasher = Hasher::new();
    for (path, bytes) in &files {
        for part in [path.as_str().as_bytes(), &bytes.0] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    let digest = Sha256::from_bytes(hasher.finalize().into());
    Folder { name: format!("{kind}-{}", &digest.hex()[..16]), files }
}

/// Digest over a template: names, generation and networks' names are still empty in it. Every field takes part, since
/// the whole struct is serialised.
fn digest(template: &impl serde::Serialize) -> String {
    let bytes = serde_json::to_vec(template).unwrap_or_default();
    Sha256::from_bytes(Hasher::digest(bytes).into()).to_string()
}
