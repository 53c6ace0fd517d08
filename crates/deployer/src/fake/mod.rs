//! A container engine in memory, with faults on demand.
//!
//! It keeps the rules of a real one that callers depend on: unique names, images that must be there, ports that can
//! be taken, networks in use, containers that end. Every call is recorded, so that a test can say "this only read".

mod engine;
mod script;
mod world;

pub use script::{ExecAnswer, ExecCall, Run};

use crate::engine::{
    ContainerSpec, ContainerState, ContainerStatus, EngineError, EngineInfo, ImageInfo, NetworkState,
};
use sovai_core::ImageId;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use world::{Fault, World};

/// The calls of [`crate::engine::ContainerEngine`], by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the call of that name")]
pub enum Call {
    Info,
    Image,
    LoadImage,
    ExportImage,
    RemoveImage,
    Containers,
    Container,
    CreateContainer,
    StartContainer,
    StopContainer,
    RemoveContainer,
    WaitContainer,
    Logs,
    FollowLogs,
    Exec,
    Networks,
    NetworksNamed,
    CreateNetwork,
    Connect,
    RemoveNetwork,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 20] = [
        Self::Info,
        Self::Image,
        Self::LoadImage,
        Self::ExportImage,
        Self::RemoveImage,
        Self::Containers,
        Self::Container,
        Self::CreateContainer,
        Self::StartContainer,
        Self::StopContainer,
        Self::RemoveContainer,
        Self::WaitContainer,
        Self::Logs,
        Self::FollowLogs,
        Self::Exec,
        Self::Networks,
        Self::NetworksNamed,
        Self::CreateNetwork,
        Self::Connect,
        Self::RemoveNetwork,
    ];

    /// Whether it changes anything in the engine. A command inside a container counts as a read: it changes nothing
    /// that the engine keeps.
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::LoadImage
                | Self::RemoveImage
                | Self::CreateContainer
                | Self::StartContainer
                | Self::StopContainer
                | Self::RemoveContainer
                | Self::CreateNetwork
                | Self::Connect
                | Self::RemoveNetwork
        )
    }
}

/// One call as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Which.
    pub call: Call,
    /// On what: a name, an ID, a reference; for `Connect` the network and the container.
    pub subject: String,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subject.is_empty() {
            write!(f, "{:?}", self.call)
        } else {
            write!(f, "{:?} {}", self.call, self.subject)
        }
    }
}

/// All that an engine keeps, for comparing before and after. Sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Images.
    pub images: Vec<ImageInfo>,
    /// Containers.
    pub containers: Vec<ContainerState>,
    /// Networks.
    pub networks: Vec<NetworkState>,
}

/// The fake engine. Clones share one world.
#[derive(Clone)]
pub struct FakeEngine {
    world: Arc<Mutex<World>>,
    /// Rings when a container changes.
    changed: Arc<tokio::sync::Notify>,
}

impl fmt::Debug for FakeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEngine").finish_non_exhaustive()
    }
}

impl Default for FakeEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeEngine {
    /// An engine that holds nothing: Docker 20.10 on linux/amd64 with 16 GiB and 8 CPUs.
    pub fn new() -> Self {
        Self { world: Arc::new(Mutex::new(World::new())), changed: Arc::new(tokio::sync::Notify::new()) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A test that failed while it held the lock has failed already.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine says of itself.
    pub fn set_info(&self, info: EngineInfo) {
        self.world().info = info;
    }

    /// Puts an image there.
    pub fn add_image(&self, image: ImageInfo) {
        self.world().images.push(image);
    }

    /// Every image that is loaded from now on gets this ID, whatever is in it.
    pub fn misread_images(&self, id: ImageId) {
        self.world().misread = Some(id);
    }

    /// Puts a container there that somebody else made.
    pub fn add_container(&self, container: ContainerState) {
        self.world().adopt(container);
    }

    /// Puts a network there that somebody else made; also a second one of the same name.
    pub fn add_network(&self, network: NetworkState) {
        self.world().networks.push(network);
    }

    /// Somebody else listens on this address of the host.
    pub fn occupy(&self, address: SocketAddr) {
        self.world().occupied.push(address);
    }

    /// The engine does not see this path of the host, nor what lies below it.
    pub fn hide(&self, path: impl Into<PathBuf>) {
        self.world().hidden.push(path.into());
    }

    /// What happens when containers of `service` start: decided by `script` at each start. `service` is the value of
    /// label `sovai.service`, or a container's name. Without a script a container just runs.
    pub fn on_start(&self, service: &str, script: impl FnMut(&ContainerSpec) -> Run + Send + 'static) {
        self.world().starts.insert(service.to_owned(), Box::new(script));
    }

    /// What commands inside containers of `service` answer. Without a script they end with code 0 and say nothing.
    pub fn on_exec(&self, service: &str, script: impl FnMut(&ExecCall<'_>) -> ExecAnswer + Send + 'static) {
        self.world().execs.insert(service.to_owned(), Box::new(script));
    }

    /// Somebody pauses a running container.
    pub fn pause(&self, name: &str) {
        if let Ok(container) = self.world().find_mut("pause", name) {
            container.state.status = ContainerStatus::Other;
        }
    }

    /// A running container ends on its own, as its restart policy has it.
    pub fn end(&self, name: &str, code: i64) {
        self.world().end(name, code);
        self.changed.notify_waiters();
    }

    /// The `nth` call from now on of this kind (from 1) changes nothing and gives `error`.
    pub fn fail_on(&self, call: Call, nth: usize, error: EngineError) {
        self.world().faults.push(Fault { call, left: nth, error: Some(error), done: false });
    }

    /// The `nth` call from now on of this kind (from 1) does its work, but its answer is lost.
    pub fn lose_answer(&self, call: Call, nth: usize) {
        self.world().faults.push(Fault { call, left: nth, error: None, done: true });
    }

    /// The engine dies after `calls` more calls: none after them changes anything or is answered.
    pub fn die_after(&self, calls: usize) {
        self.world().lives_for = Some(calls);
    }

    /// The engine is back, with all that it kept, and all faults are gone.
    pub fn revive(&self) {
        let mut world = self.world();
        world.lives_for = None;
        world.faults.clear();
    }

    /// Every call so far, also those that failed.
    pub fn calls(&self) -> Vec<Recorded> {
        self.world().calls.clone()
    }

    /// Every call so far that would change something, as `Call subject`.
    pub fn writes(&self) -> Vec<String> {
        self.world().calls.iter().filter(|made| made.call.writes()).map(ToString::to_string).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    /// All that is there now.
    pub fn snapshot(&self) -> Snapshot {
        self.world().snapshot()
    }

    /// What a container was asked to be; `None` for those of somebody else.
    pub fn spec(&self, name: &str) -> Option<ContainerSpec> {
        self.world().find(name).and_then(|container| container.spec.clone())
    }

    /// Whether the engine sees a path.
    pub fn sees(&self, path: &Path) -> bool {
        self.world().sees(path)
    }
}

#[cfg(test)]
mod tests;
