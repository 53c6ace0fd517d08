//! What the fake engine keeps, and the rules by which it changes.

use super::script::{ExecAnswer, ExecCall, Run};
use super::{Call, Recorded, Snapshot};
use crate::engine::{
    ContainerSpec, ContainerState, ContainerStatus, EngineError, EngineInfo, ImageInfo, LogLine, NetworkSpec,
    NetworkState, Restart,
};
use sovai_core::ImageId;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

type StartScript = Box<dyn FnMut(&ContainerSpec) -> Run + Send>;
type ExecScript = Box<dyn FnMut(&ExecCall<'_>) -> ExecAnswer + Send>;

/// A fault that waits for its call.
pub(super) struct Fault {
    /// Which call.
    pub(super) call: Call,
    /// How many of them it still waits for.
    pub(super) left: usize,
    /// What the call gives; `None`: no answer.
    pub(super) error: Option<EngineError>,
    /// Whether the call does its work before it fails.
    pub(super) done: bool,
}

/// A container with all that belongs to it.
pub(super) struct Container {
    pub(super) state: ContainerState,
    pub(super) spec: Option<ContainerSpec>,
    pub(super) log: Vec<LogLine>,
}

/// How a call goes on.
pub(super) enum Fate {
    /// It does its work.
    Works,
    /// It changes nothing.
    Fails(EngineError),
    /// It does its work, but its answer is lost.
    Lost(EngineError),
}

pub(super) struct World {
    pub(super) info: EngineInfo,
    pub(super) images: Vec<ImageInfo>,
    /// What was loaded, by ID.
    pub(super) archives: BTreeMap<ImageId, Vec<u8>>,
    /// The ID that every image gets that is loaded.
    pub(super) misread: Option<ImageId>,
    pub(super) containers: Vec<Container>,
    pub(super) networks: Vec<NetworkState>,
    pub(super) occupied: Vec<SocketAddr>,
    pub(super) hidden: Vec<PathBuf>,
    pub(super) starts: BTreeMap<String, StartScript>,
    pub(super) execs: BTreeMap<String, ExecScript>,
    pub(super) faults: Vec<Fault>,
    pub(super) lives_for: Option<usize>,
    pub(super) calls: Vec<Recorded>,
    /// Counts up; makes IDs and times.
    ticks: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            info: EngineInfo {
                version: "20.10.24".to_owned(),
                api_version: "1.41".to_owned(),
                os: "linux".to_owned(),
                arch: "amd64".to_owned(),
                memory: 16 << 30,
                cpus: 8,
                root_dir: "/var/lib/docker".to_owned(),
                storage_driver: "overlay2".to_owned(),
                security_options: vec!["name=seccomp,profile=default".to_owned()],
                runtimes: vec!["runc".to_owned()],
                missing_limits: Vec::new(),
            },
            images: Vec::new(),
            archives: BTreeMap::new(),
            misread: None,
            containers: Vec::new(),
            networks: Vec::new(),
            occupied: Vec::new(),
            hidden: Vec::new(),
            starts: BTreeMap::new(),
            execs: BTreeMap::new(),
            faults: Vec::new(),
            lives_for: None,
            calls: Vec::new(),
            ticks: 0,
        }
    }

    /// Records a call and decides how it goes on.
    pub(super) fn enter(&mut self, call: Call, subject: &str) -> Fate {
        self.calls.push(Recorded { call, subject: subject.to_owned() });
        match &mut self.lives_for {
            Some(0) => return Fate::Fails(no_answer(call, subject)),
            Some(left) => *left -= 1,
            None => {}
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.call == call) {
            fault.left = fault.left.saturating_sub(1);
        }
        // A fault strikes once, and one of two for the same call waits for the next.
        let due = |fault: &Fault| fault.call == call && fault.left == 0;
        let Some(at) = self.faults.iter().position(due) else { return Fate::Works };
        let fault = self.faults.swap_remove(at);
        let error = fault.error.unwrap_or_else(|| no_answer(call, subject));
        if fault.done { Fate::Lost(error) } else { Fate::Fails(error) }
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    fn new_id(&mut self) -> String {
        format!("{:064x}", self.tick())
    }

    pub(super) fn find(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.state.name == name || c.state.id == name)
    }

    pub(super) fn find_mut(&mut self, what: &str, name: &str) -> Result<&mut Container, EngineError> {
        self.containers
            .iter_mut()
            .find(|c| c.state.name == name || c.state.id == name)
            .ok_or_else(|| answer(what, 404, format!("No such container: {name}")))
    }

    pub(super) fn existing(&self, what: &str, name: &str) -> Result<&Container, EngineError> {
        self.find(name).ok_or_else(|| answer(what, 404, format!("No such container: {name}")))
    }

    pub(super) fn adopt(&mut self, state: ContainerState) {
        self.containers.push(Container { state, spec: None, log: Vec::new() });
    }

    pub(super) fn sees(&self, path: &Path) -> bool {
        !self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut images = self.images.clone();
        let mut containers: Vec<_> = self.containers.iter().map(|c| c.state.clone()).collect();
        let mut networks = self.networks.clone();
        images.sort_unstable_by_key(|image| image.id);
        containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        networks.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Snapshot { images, containers, networks }
    }

    /// The one network of this name or ID.
    fn one_network(&self, what: &str, name: &str) -> Result<Option<&NetworkState>, EngineError> {
        if let Some(network) = self.networks.iter().find(|network| network.id == name) {
            return Ok(Some(network));
        }
        let mut named = self.networks.iter().filter(|network| network.name == name);
        match (named.next(), named.count()) {
            (Some(_), more @ 1..) => {
                let text = format!("network {name} is ambiguous ({} matches found on name)", more + 1);
                Err(answer(what, 400, text))
            }
            (found, _) => Ok(found),
        }
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let what = format!("container {}", spec.name);
        spec.check(None).map_err(|source| EngineError::Refused { what: what.clone(), source })?;
        if self.find(&spec.name).is_some() {
            return Err(EngineError::NameTaken { what });
        }
        if !self.images.iter().any(|image| image.id == spec.image) {
            return Err(answer(&what, 404, format!("No such image: {}", spec.image)));
        }
        if let Some(mount) = spec.mounts.iter().find(|mount| !self.sees(&mount.source)) {
            let message = format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source.display()
            );
            return Err(EngineError::MountMissing { what, message });
        }
        let id = self.new_id();
        self.containers.push(Container {
            state: ContainerState {
                id: id.clone(),
                name: spec.name.clone(),
                image: spec.image,
                labels: spec.labels.clone(),
                status: ContainerStatus::Created,
                exit_code: None,
                error: None,
                oom_killed: false,
                started_at: None,
                restarts: 0,
                published: spec.publish.iter().map(|(inside, outside)| (*inside, vec![*outside])).collect(),
                networks: vec![spec.network.clone().unwrap_or_else(|| "none".to_owned())],
            },
            spec: Some(spec.clone()),
            log: Vec::new(),
        });
        Ok(id)
    }

    pub(super) fn start(&mut self, name: &str) -> Result<(), EngineError> {
        let what = format!("start container {name}");
        let container = self.existing(&what, name)?;
        if container.state.status == ContainerStatus::Running {
            return Ok(());
        }
        // As real engines do: only a start finds out that a network is not there, or a port taken.
        for network in container.state.networks.iter().filter(|network| *network != "none") {
            if self.one_network(&what, network)?.is_none() {
                return Err(answer(&what, 404, format!("network {network} not found")));
            }
        }
        if let Some(address) = container.state.published.values().flatten().find(|a| self.is_taken(**a)) {
            let message = format!("Bind for {address} failed: port is already allocated");
            return Err(EngineError::PortTaken { what, message });
        }
        let spec = container.spec.clone();
        let run = spec.as_ref().map_or_else(Run::on, |spec| self.script_start(spec));
        let time = self.tick();
        let container = self.find_mut(&what, name)?;
        container.state.status = ContainerStatus::Running;
        container.state.exit_code = None;
        container.state.started_at =
            Some(format!("1970-01-01T{:02}:{:02}:{:02}Z", time / 3600 % 24, time / 60 % 60, time % 60));
        container.log.extend(run.log);
        if let Some(code) = run.ends {
            let name = container.state.name.clone();
            container.state.oom_killed = run.oom;
            self.end(&name, code);
        }
        Ok(())
    }

    fn script_start(&mut self, spec: &ContainerSpec) -> Run {
        let key = script_key(&self.starts, &spec.name, spec.labels.get("sovai.service"));
        key.and_then(|key| self.starts.get_mut(&key)).map_or_else(Run::on, |script| script(spec))
    }

    fn is_taken(&self, wanted: SocketAddr) -> bool {
        let clash = |other: &SocketAddr| {
            let same_ip =
                other.ip() == wanted.ip() || other.ip().is_unspecified() || wanted.ip().is_unspecified();
            other.port() == wanted.port() && same_ip
        };
        let running = self.containers.iter().filter(|c| c.state.status == ContainerStatus::Running);
        self.occupied.iter().any(clash)
            || running.flat_map(|c| c.state.published.values().flatten()).any(clash)
    }

    /// A running container ends on its own.
    pub(super) fn end(&mut self, name: &str, code: i64) {
        let Ok(container) = self.find_mut("", name) else { return };
        container.state.exit_code = Some(code);
        let again = container.spec.as_ref().is_some_and(|spec| spec.restart == Restart::UnlessStopped);
        if again {
            container.state.status = ContainerStatus::Restarting;
            container.state.restarts += 1;
        } else {
            container.state.status = ContainerStatus::Exited;
        }
    }

    pub(super) fn stop(&mut self, name: &str) -> Result<(), EngineError> {
        let container = self.find_mut(&format!("stop container {name}"), name)?;
        if matches!(container.state.status, ContainerStatus::Running | ContainerStatus::Restarting) {
            container.state.status = ContainerStatus::Exited;
            container.state.exit_code.get_or_insert(0);
        }
        Ok(())
    }

    pub(super) fn exec(
        &mut self,
        name: &str,
        command: &[String],
        stdin: &[u8],
    ) -> Result<ExecAnswer, EngineError> {
        let what = format!("run a command in container {name}");
        let state = self.existing(&what, name)?.state.clone();
        if state.status != ContainerStatus::Running {
            return Err(answer(&what, 409, format!("Container {} is not running", state.id)));
        }
        let key = script_key(&self.execs, &state.name, state.labels.get("sovai.service"));
        let script = key.and_then(|key| self.execs.get_mut(&key));
        Ok(script.map_or_else(ExecAnswer::default, |script| {
            script(&ExecCall { container: &state.name, command, stdin })
        }))
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> Result<String, EngineError> {
        let what = format!("network {}", spec.name);
        spec.check().map_err(|source| EngineError::Refused { what: what.clone(), source })?;
        if self.networks.iter().any(|network| network.name == spec.name) {
            return Err(EngineError::NameTaken { what });
        }
        let id = self.new_id();
        self.networks.push(NetworkState {
            id: id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            internal: spec.internal,
            options: spec.options.clone(),
        });
        Ok(id)
    }

    pub(super) fn connect(&mut self, network: &str, container: &str) -> Result<(), EngineError> {
        let what = format!("connect container {container} to network {network}");
        let name = match self.one_network(&what, network)? {
            Some(network) => network.name.clone(),
            None => return Err(answer(&what, 404, format!("network {network} not found"))),
        };
        let container = self.find_mut(&what, container)?;
        if container.state.networks.contains(&name) {
            let message =
                format!("endpoint with name {} already exists in network {name}", container.state.name);
            return Err(answer(&what, 403, message));
        }
        container.state.networks.push(name);
        container.state.networks.sort_unstable();
        Ok(())
    }

    pub(super) fn remove_network(&mut self, name: &str) -> Result<(), EngineError> {
        let what = format!("remove network {name}");
        let Some(network) = self.one_network(&what, name)? else { return Ok(()) };
        let (id, name) = (network.id.clone(), network.name.clone());
        // Containers that do not run hold no endpoint.
        let used = self.containers.iter().any(|c| {
            matches!(c.state.status, ContainerStatus::Running | ContainerStatus::Restarting)
                && c.state.networks.contains(&name)
        });
        if used {
            let message =
                format!("error while removing network: network {name} id {id} has active endpoints");
            return Err(answer(&what, 403, message));
        }
        self.networks.retain(|network| network.id != id);
        Ok(())
    }

    /// `Ok(false)`: not there, or in use.
    pub(super) fn remove_image(&mut self, reference: &str) -> bool {
        let Some(at) = self.images.iter().position(|image| is_called(image, reference)) else { return false };
        let id = self.images[at].id;
        if self.containers.iter().any(|container| container.state.image == id) {
            return false;
        }
        self.images.remove(at);
        true
    }
}

/// Whether an image goes by this ID or reference.
pub(super) fn is_called(image: &ImageInfo, reference: &str) -> bool {
    let named = |names: &[String]| names.iter().any(|name| name == reference);
    let latest = || image.tags.iter().any(|tag| tag.strip_suffix(":latest") == Some(reference));
    image.id.to_string() == reference || named(&image.tags) || named(&image.repo_digests) || latest()
}

pub(super) fn answer(what: &str, status: u16, message: String) -> EngineError {
    EngineError::Answer { what: what.to_owned(), status, message }
}

fn no_answer(call: Call, subject: &str) -> EngineError {
    EngineError::NoAnswer {
        what: Recorded { call, subject: subject.to_owned() }.to_string(),
        source: Box::new(io::Error::from(io::ErrorKind::ConnectionReset)),
    }
}

fn script_key<T>(scripts: &BTreeMap<String, T>, name: &str, service: Option<&String>) -> Option<String> {
    [Some(name), service.map(String::as_str)]
        .into_iter()
        .flatten()
        .find(|key| scripts.contains_key(*key))
        .map(ToOwned::to_owned)
}
